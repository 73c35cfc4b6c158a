//! The command line: one file per verb, and the place where everything is put together.

/// Runs the program.
pub fn main() -> std::process::ExitCode {
    std::process::ExitCode::SUCCESS
}
