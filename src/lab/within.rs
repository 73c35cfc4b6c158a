//! Paths inside a container's root file system, seen from this machine.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs;
use std::path::{Component, Path, PathBuf};

use super::program::LabError;

/// Links that are followed at most, as in the kernel.
const LINKS: usize = 40;

/// Where a path of the container lies below its `root`, links followed as the container would: an absolute one begins at
/// its root and not at this machine's. The last parts need not exist.
///
/// # Errors
/// When links go in a circle, or one cannot be read.
pub(super) fn within(root: &Path, path: &Path) -> Result<PathBuf, LabError> {
    let parts = |path: &Path| -> VecDeque<OsString> {
        let named = path.components().filter(|part| matches!(part, Component::Normal(_) | Component::ParentDir));
        named.map(|part| part.as_os_str().to_owned()).collect()
    };
    let (mut ahead, mut there, mut depth, mut links) = (parts(path), root.to_owned(), 0_usize, 0);
    while let Some(part) = ahead.pop_front() {
        if part == ".." {
            if depth > 0 {
                there.pop();
                depth -= 1;
            }
            continue;
        }
        let next = there.join(&part);
        if !next.symlink_metadata().is_ok_and(|found| found.is_symlink()) {
            (there, depth) = (next, depth + 1);
            continue;
        }
        links += 1;
        if links > LINKS {
            return Err(LabError::failed(path.display().to_string(), "its links go in a circle"));
        }
        let target = fs::read_link(&next).map_err(LabError::at(&next))?;
        if target.is_absolute() {
            (there, depth) = (root.to_owned(), 0);
        }
        let mut more = parts(&target);
        more.append(&mut ahead);
        ahead = more;
    }
    Ok(there)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_stay_in_the_root() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        fs::create_dir_all(root.join("run/lock")).unwrap();
        fs::create_dir(root.join("var")).unwrap();
        symlink("/run", root.join("var/run")).unwrap();
        symlink("../../../../run/lock", root.join("var/lock")).unwrap();
        symlink("b", root.join("a")).unwrap();
        symlink("a", root.join("b")).unwrap();
        let at = |path: &str| within(root, Path::new(path));
        assert_eq!(at("/var/run/x/y").unwrap(), root.join("run/x/y"));
        assert_eq!(at("/var/lock").unwrap(), root.join("run/lock"));
        assert_eq!(at("/../../etc/hosts").unwrap(), root.join("etc/hosts"));
        assert!(at("/a/x").unwrap_err().to_string().contains("circle"));
    }
}
