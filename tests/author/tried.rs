//! The program in a directory of its own.

use std::path::Path;
use std::process::Command;

use super::super::support::program::Ended;

/// A directory that somebody works in.
pub struct Tried(tempfile::TempDir);

impl Tried {
    pub fn new() -> Tried {
        Tried(tempfile::tempdir().unwrap())
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.path().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    pub fn write(&self, path: &str, text: &str) {
        let path = self.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// The program on an emulated node that is kept here, with the configuration in `etc`.
    pub fn emulated(&self, args: &[&str]) -> Ended {
        self.phoenix(&[&["--host", "sandbox:world", "--config", "etc"], args].concat())
    }

    /// The program with these arguments, here.
    pub fn phoenix(&self, args: &[&str]) -> Ended {
        let mut command = Command::new(env!("CARGO_BIN_EXE_phoenix"));
        command.args(args).current_dir(self.path()).env("HOME", self.path()).env("NO_COLOR", "1");
        Ended::of(&mut command)
    }
}
