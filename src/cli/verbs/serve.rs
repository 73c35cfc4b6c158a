//! `phoenix serve`: the end on the node of a run over ssh.

use std::fs::File;
use std::os::fd::AsFd as _;

use anyhow::Result;

use crate::cli::{Exit, Globals, node};
use crate::host::ssh;

/// Do what comes over standard input, and answer on standard output
///
/// Started on the node by a phoenix elsewhere that was told `--host ssh://...`; there is nothing to be typed.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  phoenix serve                       as a phoenix elsewhere starts it
  phoenix --host sandbox:FILE serve   an emulated node, to try out the line")]
pub struct Args {}

/// Serves until the line ends.
///
/// # Errors
/// When this is no node, or something else than a phoenix is at the other end.
pub fn run(globals: &Globals, _: &Args) -> Result<Exit> {
    let (host, time) = node::served(globals)?;
    // Rust's own standard output would cut an answer in two at its last line feed, and sshd, which knows nothing of the
    // other half, sends each as a packet of its own: the second one waits for the first to be acknowledged.
    let output = File::from(std::io::stdout().as_fd().try_clone_to_owned()?);
    ssh::serve(host, time, std::io::stdin(), output)?;
    Ok(Exit::Fine)
}
