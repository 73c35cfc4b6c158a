//! Paths inside a machine.

use super::MachineError;

/// An absolute path without `.` or `..` and without doubled or trailing slashes.
///
/// # Errors
/// [`MachineError::Invalid`] with the path.
pub(super) fn absolute(path: &str) -> Result<String, MachineError> {
    let invalid = |reason: &str| Err(MachineError::Invalid(format!("path `{path}` {reason}")));
    if !path.starts_with('/') {
        return invalid("is not absolute");
    }
    if path.contains(['\0', '\n']) {
        return invalid("contains a line break or NUL");
    }
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    if parts.contains(&"..") {
        return invalid("contains `..`");
    }
    Ok(format!("/{}", parts.join("/")))
}

/// Where a symlink at an absolute path leads, without looking further.
pub(super) fn behind(link: &str, target: &str) -> String {
    let from = if target.starts_with('/') { "" } else { link.rsplit_once('/').map_or("", |(above, _)| above) };
    let mut parts: Vec<&str> = Vec::new();
    for part in from.split('/').chain(target.split('/')) {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            name => parts.push(name),
        }
    }
    format!("/{}", parts.join("/"))
}

/// Permission bits as written in scripts: `"0640"`, `"750"`, `"0o644"`.
///
/// # Errors
/// [`MachineError::Invalid`] with the text.
pub fn mode(text: &str) -> Result<u32, MachineError> {
    let digits = text.strip_prefix("0o").unwrap_or(text);
    match u32::from_str_radix(digits, 8) {
        Ok(mode) if mode <= 0o7777 && digits.len() >= 3 => Ok(mode),
        _ => Err(MachineError::Invalid(format!("`{text}` is no file mode: expected octal digits such as \"0644\""))),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn links_lead_where_the_kernel_would_go() {
        for (link, target, leads) in [
            ("/etc/default/locale", "../locale.conf", "/etc/locale.conf"),
            ("/etc/a", "b", "/etc/b"),
            ("/a", "../../b", "/b"),
            ("/etc/a", "/run/./b", "/run/b"),
        ] {
            assert_eq!(behind(link, target), leads);
        }
    }

    #[test]
    fn paths_and_modes_are_cleaned_or_refused() {
        assert_eq!(absolute("//etc/./x/").unwrap(), "/etc/x");
        assert_eq!(absolute("/").unwrap(), "/");
        assert!(absolute("etc").is_err() && absolute("/a/../b").is_err() && absolute("/a\0").is_err());
        assert_eq!((mode("0640").unwrap(), mode("0o755").unwrap(), mode("1777").unwrap()), (0o640, 0o755, 0o1777));
        assert!(mode("64").is_err() && mode("0888").is_err() && mode("17777").is_err() && mode("u+x").is_err());
    }
}
