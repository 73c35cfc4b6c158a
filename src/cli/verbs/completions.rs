//! `phoenix completions`: what a shell needs to complete command lines.

use anyhow::Result;
use clap::CommandFactory;
use clap_complete::Shell;

use crate::cli::{Arguments, Exit};
use crate::ui;

/// Print a script that completes command lines in a shell
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  phoenix completions bash > /etc/bash_completion.d/phoenix
  phoenix completions zsh > /usr/local/share/zsh/site-functions/_phoenix
  phoenix completions fish > ~/.config/fish/completions/phoenix.fish")]
pub struct Args {
    /// The shell
    #[arg(value_enum)]
    pub shell: Shell,
}

/// Prints it.
///
/// # Errors
/// Never; all verbs answer alike.
pub fn run(args: &Args) -> Result<Exit> {
    let mut script = Vec::new();
    let mut command = Arguments::command();
    let name = command.get_name().to_owned();
    clap_complete::generate(args.shell, &mut command, name, &mut script);
    ui::print::result(&String::from_utf8_lossy(&script));
    Ok(Exit::Fine)
}
