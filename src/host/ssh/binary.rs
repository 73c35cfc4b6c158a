//! The program that is carried to the node.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use super::SshError;
use crate::host::content;

/// A file with the program, and what it is.
pub(super) struct Binary {
    file: File,
    /// Where it is, for words.
    pub(super) path: PathBuf,
    /// SHA-256, lower-case hex.
    pub(super) digest: String,
    /// Bytes.
    pub(super) size: u64,
    /// Machine that it was built for, as `uname -m` calls it; absent if it is no Linux program.
    pub(super) machine: Option<String>,
}

impl Binary {
    /// The program in this file, or the one that is running.
    pub(super) fn open(named: Option<&Path>) -> Result<Binary, SshError> {
        // The running program may have been replaced by another one meanwhile: Linux still knows it.
        let own = || {
            let running = PathBuf::from("/proc/self/exe");
            if running.exists() { Ok(running) } else { std::env::current_exe() }
        };
        let path = named.map_or_else(own, |path| Ok(path.to_owned()));
        let open = || -> io::Result<Binary> {
            let path = path?;
            let mut file = File::open(&path)?;
            let mut head = Vec::new();
            (&mut file).take(20).read_to_end(&mut head)?;
            file.seek(SeekFrom::Start(0))?;
            let (digest, size) = content::digest(&file)?;
            Ok(Binary { file, path, digest, size, machine: machine(&head) })
        };
        let shown = named.map_or_else(|| "the running program".to_owned(), |path| path.display().to_string());
        open().map_err(|error| SshError::Binary { path: shown, reason: error.to_string() })
    }

    /// Its bytes, from the beginning.
    pub(super) fn bytes(&mut self) -> io::Result<&mut File> {
        self.file.seek(SeekFrom::Start(0))?;
        Ok(&mut self.file)
    }
}

/// The machine that the header of an ELF file names (elf(5): `e_machine`, in the file's own byte order).
fn machine(head: &[u8]) -> Option<String> {
    let (magic, rest) = head.split_at_checked(4)?;
    if magic != b"\x7fELF" {
        return None;
    }
    let number: [u8; 2] = rest.get(14..16)?.try_into().ok()?;
    let little = rest.get(1) == Some(&1);
    let number = if little { u16::from_le_bytes(number) } else { u16::from_be_bytes(number) };
    Some(match number {
        3 => "i686".to_owned(),
        21 => "ppc64le".to_owned(),
        40 => "armv7l".to_owned(),
        62 => "x86_64".to_owned(),
        183 => "aarch64".to_owned(),
        243 => "riscv64".to_owned(),
        other => format!("machine {other} of elf(5)"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_stands_in_the_header() {
        let own = Binary::open(None).unwrap();
        assert_eq!(own.machine.as_deref(), Some(std::env::consts::ARCH));
        let mut arm = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0\xb7\0".to_vec();
        assert_eq!(machine(&arm).as_deref(), Some("aarch64"));
        arm[0] = b'M';
        assert_eq!(machine(&arm), None);
        assert_eq!(machine(b"#!/bin/sh\n"), None);
    }
}
