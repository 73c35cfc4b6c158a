//! What can be typed. The help of each verb, and its own arguments, are in its file under `verbs`.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::verbs;

/// Declares a Proxmox VE host in JSON and makes it so: containers and virtual machines, created in dependency order
/// and provisioned by Rhai scripts.
#[derive(Debug, Parser)]
#[command(name = "phoenix", version, max_term_width = 100, propagate_version = true)]
pub struct Arguments {
    /// Options of every verb.
    #[command(flatten)]
    pub globals: Globals,
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// Options of every verb.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Global options")]
pub struct Globals {
    /// Configuration directory [default: /etc/phoenix; for the sandbox else ./etc, else the built-in platform]
    #[arg(long, global = true, value_name = "DIR")]
    pub config: Option<PathBuf>,
    /// Directory with `features/` and `apps/` that is searched first
    #[arg(long, global = true, value_name = "DIR")]
    pub scripts: Option<PathBuf>,
    /// Where to act: `local` (this node), `ssh://[user@]host[:port]`, `sandbox[:FILE]` (an emulated node) or `lab[:DIR]`
    /// (one with real containers) [default: local]
    #[arg(long, global = true, value_name = "HOST", conflicts_with = "sandbox")]
    pub host: Option<String>,
    /// The phoenix that is carried to the node, where this one cannot run there (another machine or system; ssh only)
    #[arg(long, global = true, value_name = "FILE")]
    pub node_binary: Option<PathBuf>,
    /// What the program at the other end of ssh serves instead of the node it is on, such as `sandbox:FILE`: for trying out
    #[arg(long, global = true, value_name = "HOST", hide = true)]
    pub node_serves: Option<String>,
    /// Act on the emulated node (`--host sandbox`)
    #[arg(long, global = true)]
    pub sandbox: bool,
    /// Make the emulated node fail: `fail:K`, `kill:K` or `lost:ID:K` at the K-th changing call (sandbox only)
    #[arg(long, global = true, value_name = "FAULT")]
    pub fault: Vec<String>,
    /// Let the emulated node take time: real seconds for one of its own, such as 0.1 (sandbox only) [default: 0]
    #[arg(long, global = true, value_name = "FACTOR", default_value_t = 0.0, hide_default_value = true, value_parser = pace)]
    pub pace: f64,
    /// Warnings and programs that nobody modelled count as errors
    #[arg(long, global = true)]
    pub strict: bool,
    /// Guests worked on at the same time
    #[arg(long, global = true, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..))]
    pub jobs: u16,
    /// Print JSON: a document, or one event per line for runs
    #[arg(long, global = true)]
    pub json: bool,
    /// Show only failures
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Show unchanged steps and differences too; twice: every command
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// When to use colours
    #[arg(long, global = true, value_enum, default_value_t = Color::Auto, value_name = "WHEN")]
    pub color: Color,
    /// Do not ask: consent to restarts and deletions
    #[arg(short, long, global = true)]
    pub yes: bool,
}

/// Slower than this nobody wants to watch.
const SLOWEST: f64 = 100.0;

fn pace(word: &str) -> Result<f64, String> {
    let factor = word.parse().ok().filter(|factor| (0.0..=SLOWEST).contains(factor));
    factor.ok_or_else(|| format!("expected a number from 0 to {SLOWEST}"))
}

/// When to use colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On terminals, unless NO_COLOR is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// The verbs.
#[derive(Debug, Subcommand)]
#[allow(missing_docs, reason = "the help of a verb is the doc comment of its arguments")]
pub enum Verb {
    Create(verbs::create::Args),
    Converge(verbs::converge::Args),
    #[command(visible_alias = "LetsGo")]
    Up(verbs::up::Args),
    Plan(verbs::plan::Args),
    Start(verbs::power::StartArgs),
    Stop(verbs::power::StopArgs),
    Restart(verbs::power::RestartArgs),
    Delete(verbs::delete::Args),
    Status(verbs::status::Args),
    Health(verbs::health::Args),
    Graph(verbs::graph::Args),
    Check(verbs::check::Args),
    Init(verbs::init::Args),
    Import(verbs::import::Args),
    Config(verbs::config::Args),
    Feature(verbs::feature::Args),
    Sandbox(verbs::sandbox::Args),
    Lsp(verbs::lsp::Args),
    #[command(hide = true)]
    Serve(verbs::serve::Args),
    Completions(verbs::completions::Args),
    Man(verbs::man::Args),
}
