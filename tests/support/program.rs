//! The program as its users start it: how a process ended, and what it said.

use std::process::{Command, Output};

/// How a process ended.
#[derive(Debug)]
pub struct Ended {
    /// Exit code; absent when it was killed.
    pub code: Option<i32>,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Ended {
    /// Runs a command to its end.
    pub fn of(command: &mut Command) -> Ended {
        Ended::from(&command.output().unwrap())
    }

    /// It has this exit code.
    #[track_caller]
    pub fn ends(self, code: i32) -> Ended {
        assert_eq!(self.code, Some(code), "{}\n{}", self.out, self.err);
        self
    }

    /// It said these words, on whatever stream.
    #[track_caller]
    pub fn says(self, words: &str) -> Ended {
        assert!(self.out.contains(words) || self.err.contains(words), "`{words}` in\n{}\n{}", self.out, self.err);
        self
    }
}

impl From<&Output> for Ended {
    fn from(output: &Output) -> Ended {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ended { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
    }
}
