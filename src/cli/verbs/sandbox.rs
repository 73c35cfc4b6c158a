//! `phoenix sandbox`: look around in the emulated node.

use std::io::{BufRead, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Subcommand;

use crate::cli::node::Source;
use crate::cli::{Exit, Globals, Refusal, node};
use crate::command::Output;
use crate::model::GuestId;
use crate::sandbox::{Sandbox, World};
use crate::{engine, ui};

/// Look around in the emulated node
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  phoenix --sandbox sandbox status
  phoenix --sandbox sandbox exec -- pct config 201
  phoenix sandbox seed copy.world --inside 201   this node as an emulated one, for `--host sandbox:copy.world`")]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub what: What,
}

/// What can be done with it.
#[derive(Debug, Subcommand)]
pub enum What {
    /// Show its guests and storages, and where its world is kept
    Status,
    /// Forget everything: the next call begins with a fresh node
    Reset,
    /// Run one command of the node, as in `sandbox exec -- pct list`
    Exec {
        /// The command and its arguments
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
    /// Type commands of the node, one per line
    Shell,
    /// Take a node home: write a world that is like it to FILE
    ///
    /// The world has the node's guests (configurations, snapshots, locks, which of them run), storages, bridges,
    /// templates, firewall and phoenix's records. The node is only read, and no secret leaves it: no secrets of phoenix, no
    /// `/etc/pve/priv`, no passwords of cloud-init. Inside, guests hold a fresh system, unless they are named with
    /// `--inside`. An emulated node (`--host sandbox:...`) is copied whole.
    Seed {
        /// The file to write
        file: PathBuf,
        /// Read this running guest's inside too: packages, units, and what everybody there may read of /etc
        #[arg(long, value_name = "ID")]
        inside: Vec<GuestId>,
    },
}

/// Does it.
///
/// # Errors
/// When the world cannot be read or kept.
pub fn run(globals: &Globals, args: &Args) -> Result<Exit> {
    match &args.what {
        What::Status => status(globals),
        What::Reset => reset(globals),
        What::Exec { command } => exec(globals, command),
        What::Shell => shell(globals),
        What::Seed { file, inside } => seed(globals, file, inside),
    }
}

fn seed(globals: &Globals, file: &Path, inside: &[GuestId]) -> Result<Exit> {
    if file.exists() && !globals.yes {
        let refusal = Refusal::usage(format!("{} is there already", file.display()));
        return Err(refusal.hint("`--yes` overwrites it").into());
    }
    let world = match node::source(globals)? {
        Source::Emulated(world) => *world,
        Source::Real(host) => {
            let inventory = engine::observe(host.as_ref())?.inventory;
            for id in inside {
                if !inventory.guests.get(id).is_some_and(|guest| guest.running) {
                    return Err(Refusal::usage(format!("guest {id} does not run: nobody can look into it")).into());
                }
            }
            let inside = inside.iter().copied().collect();
            World::taken_home(&inventory, host.as_ref(), &inside, node::programs(globals)?.as_ref())?
        }
    };
    let (node, guests, about) = (world.node.clone(), world.guests().count(), world.about.clone());
    Sandbox::keep(file, world)?;
    if globals.json {
        ui::print::document(&serde_json::json!({ "file": file, "node": node, "guests": guests, "about": about }));
    } else {
        let guests = if guests == 1 { "1 guest".to_owned() } else { format!("{guests} guests") };
        ui::print::result_line(&format!("node {node} with {guests} in {}", file.display()));
        ui::print::note(&format!("look around with `phoenix --host sandbox:{} sandbox status`\n", file.display()));
    }
    Ok(Exit::Fine)
}

fn status(globals: &Globals) -> Result<Exit> {
    let path = node::world_path(globals)?;
    let sandbox = node::sandbox(globals)?;
    let status = sandbox.status();
    if globals.json {
        let mut document = serde_json::to_value(&status)?;
        document["file"] = path.display().to_string().into();
        ui::print::document(&document);
        return Ok(Exit::Fine);
    }
    let kept = if path.exists() { "" } else { " (not made yet: the first change does)" };
    ui::print::result_line(&format!("node {} in {}{kept}", status.node, path.display()));
    ui::print::result_line(&format!("its clock shows {}", status.now));
    ui::print::result_line(&format!("storages: {}; volumes: {}", status.storages.join(", "), status.volumes));
    let rows: Vec<Vec<String>> = status
        .guests
        .iter()
        .map(|guest| {
            let state = match (guest.template, guest.running) {
                (true, _) => "template",
                (false, true) => "running",
                (false, false) => "stopped",
            };
            vec![
                guest.id.to_string(),
                guest.kind.to_string(),
                guest.name.clone(),
                state.to_owned(),
                guest.lock.clone().unwrap_or_default(),
                guest.snapshots.join(", "),
            ]
        })
        .collect();
    if !rows.is_empty() {
        ui::print::result(&ui::table::render(&["ID", "KIND", "NAME", "STATE", "LOCK", "SNAPSHOTS"], &rows));
    }
    Ok(Exit::Fine)
}

fn reset(globals: &Globals) -> Result<Exit> {
    let path = node::world_path(globals)?;
    let was = node::forget(globals)?;
    let text = if was { "forgotten" } else { "nothing to forget" };
    ui::print::result_line(&format!("{text}: {}", path.display()));
    Ok(Exit::Fine)
}

fn exec(globals: &Globals, command: &[String]) -> Result<Exit> {
    let sandbox = node::sandbox(globals)?;
    let mut stdin = Vec::new();
    if !std::io::stdin().is_terminal() {
        std::io::stdin().lock().read_to_end(&mut stdin)?;
    }
    // What programs inside would make of other bytes is not modelled, so none of them gets any.
    let stdin = String::from_utf8(stdin).context("standard input of an emulated command must be UTF-8 text")?;
    let output = sandbox.exec(command, &stdin)?;
    pass_on(&output);
    Ok(Exit::Code(output.code))
}

fn shell(globals: &Globals) -> Result<Exit> {
    let sandbox = node::sandbox(globals)?;
    let node = sandbox.status().node;
    let terminal = std::io::stdin().is_terminal();
    let mut lines = std::io::stdin().lock().lines();
    loop {
        if terminal {
            ui::print::note(&format!("root@{node}:~# "));
        }
        let Some(line) = lines.next().transpose()? else { break };
        let Some(words) = shlex::split(&line) else {
            ui::print::note("unbalanced quotes\n");
            continue;
        };
        match words.first().map(String::as_str) {
            None => {}
            Some("exit" | "quit") => break,
            Some(_) => pass_on(&sandbox.exec(&words, "")?),
        }
    }
    Ok(Exit::Fine)
}

/// Both streams as they are, byte for byte.
fn pass_on(output: &Output) {
    let _gone_reader = std::io::stdout().write_all(&output.stdout).and_then(|()| std::io::stdout().flush());
    let _gone_reader = std::io::stderr().write_all(&output.stderr);
}
