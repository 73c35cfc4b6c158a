//! `phoenix init`: from a node to a configuration that it can carry out.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::cli::{Exit, Globals, Refusal, Session, node, session};
use crate::config::schema::{FileKind, schema};
use crate::config::{HYPERVISOR, LXC, VM};
use crate::declare::{self, Extent, Proposal, Survey, Unable, Wishes};
use crate::engine::{Preflight, Spot};
use crate::finding::{Finding, Severity};
use crate::host::Host;
use crate::model::{Catalogue, Cidr, GuestId};
use crate::ui;

/// Write a starting configuration for the node as it is
///
/// Storages, bridges, subnet, templates, free ids and addresses are read; nothing is changed on the node and nothing is
/// asked. What was chosen, and why, is told. Then the node is compared with it, as `check --host` does.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  phoenix init                              one base and one guest, in /etc/phoenix
  phoenix init --platform ./lab             the platform of seven guests, in ./lab
  phoenix init ./lab --bridge vmbr1 --storage local-lvm --first-id 500
  phoenix --sandbox init ./lab              for an emulated node as Proxmox's installer makes it")]
pub struct Args {
    /// Directory to write to; files in it are never overwritten [default: --config, else /etc/phoenix; for the sandbox ./etc]
    #[arg(value_name = "DIR")]
    pub directory: Option<PathBuf>,
    /// One base and one guest (the default)
    #[arg(long, conflicts_with = "platform")]
    pub minimal: bool,
    /// The platform: a private CA, a router, a gateway, Portainer, a Docker host
    #[arg(long)]
    pub platform: bool,
    /// Bridge of the guests [default: where the node's gateway is]
    #[arg(long, value_name = "BRIDGE")]
    pub bridge: Option<String>,
    /// Storage of their disks [default: one with snapshots and linked clones and the most room]
    #[arg(long, value_name = "STORAGE")]
    pub storage: Option<String>,
    /// Network of their addresses [default: the bridge's]
    #[arg(long, value_name = "NETWORK")]
    pub subnet: Option<Cidr>,
    /// Their gateway [default: the node's]
    #[arg(long, value_name = "ADDRESS")]
    pub gateway: Option<Ipv4Addr>,
    /// Ids in a row from this one on [default: 200, or the platform's, as far as they are free]
    #[arg(long, value_name = "ID")]
    pub first_id: Option<GuestId>,
}

/// Writes it.
///
/// # Errors
/// When the node cannot be read, something cannot be chosen, or a file is there already.
pub fn run(globals: &Globals, args: &Args) -> Result<Exit> {
    let folder = folder(globals, args);
    let host = node::bare(globals)?;
    let survey = Survey::of(host.as_ref())?;
    let extent = if args.platform { Extent::Platform } else { Extent::Minimal };
    let wishes = Wishes {
        bridge: args.bridge.clone(),
        storage: args.storage.clone(),
        subnet: args.subnet,
        gateway: args.gateway,
        first_id: args.first_id,
    };
    let proposal = declare::propose(&survey, host.as_ref(), extent, &wishes).map_err(|unable| match unable {
        Unable::Choose { message, hint } => Refusal::usage(message).hint(hint).into(),
        Unable::Host(error) => anyhow::Error::from(error),
    })?;
    let (library, _) = session::library(globals);
    let written = write(&folder, &proposal, library.catalogue())?;
    let findings = check(globals, &folder, host.as_ref())?;
    tell(globals, &folder, &proposal, &written, &findings);
    let wrong = findings.iter().any(|finding| finding.severity == Severity::Error);
    Ok(if wrong { Exit::Pending } else { Exit::Fine })
}

fn folder(globals: &Globals, args: &Args) -> PathBuf {
    let named = args.directory.clone().or_else(|| globals.config.clone());
    // What is tried in the sandbox leaves this machine's own configuration alone.
    named.unwrap_or_else(|| PathBuf::from(if node::is_emulated(globals) { "etc" } else { "/etc/phoenix" }))
}

/// All files or none: what is there already is never overwritten.
fn write(folder: &Path, proposal: &Proposal, catalogue: &Catalogue) -> Result<Vec<PathBuf>> {
    let text = |kind| format!("{:#}\n", schema(kind, catalogue).as_value());
    let schemas = FileKind::ALL.map(|kind| (format!("schema/{}", kind.file_name()), text(kind)));
    let files: Vec<(PathBuf, &str)> =
        proposal.files.iter().chain(&schemas).map(|(name, text)| (folder.join(name), text.as_str())).collect();
    let own = proposal.files.len();
    let mut names = [HYPERVISOR, LXC, VM].map(|name| folder.join(name)).to_vec();
    names.extend(files[..own].iter().map(|(path, _)| path.clone()));
    if let Some(there) = names.iter().find(|path| path.exists()) {
        return Err(Refusal::usage(format!("{} is there already", there.display()))
            .hint("nothing was written: name another directory, or move the files away")
            .into());
    }
    for (path, text) in &files {
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
        }
        std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(files.into_iter().take(own).map(|(path, _)| path).collect())
}

/// What the node and the configuration say against each other.
fn check(globals: &Globals, folder: &Path, host: &dyn Host) -> Result<Vec<Finding>> {
    let session = Session::open(&Globals { config: Some(folder.to_owned()), ..globals.clone() })?;
    let mut findings = session.findings();
    let locate = |spot: Spot<'_>| session.place(spot);
    findings.extend(Preflight { site: &session.site, locate: &locate, digests: false }.run(host)?);
    Ok(findings)
}

fn tell(globals: &Globals, folder: &Path, proposal: &Proposal, written: &[PathBuf], findings: &[Finding]) {
    if globals.json {
        ui::print::document(&serde_json::json!({
            "directory": folder,
            "files": written,
            "chosen": proposal.chosen,
            "guests": proposal.guests,
            "findings": findings.iter().map(ui::findings::json).collect::<Vec<_>>(),
        }));
        return;
    }
    for path in written {
        ui::print::result_line(&path.display().to_string());
    }
    if globals.quiet {
        return;
    }
    let rows: Vec<(&str, &str, &str)> =
        proposal.chosen.iter().map(|one| (one.what, one.value.as_str(), one.why.as_str())).collect();
    ui::print::note(&ui::choices::render(&rows));
    if !findings.is_empty() {
        ui::print::note(&format!("\n{}", ui::findings::render(findings, true)));
    }
    let options = match (&globals.host, globals.sandbox) {
        (_, true) => "--sandbox ".to_owned(),
        (Some(host), _) => format!("--host {host} "),
        _ => String::new(),
    };
    let place =
        if folder == Path::new("/etc/phoenix") { String::new() } else { format!("--config {} ", folder.display()) };
    let last = proposal.guests.last().map_or_else(String::new, GuestId::to_string);
    let host = if options.is_empty() { " --host local".to_owned() } else { String::new() };
    let next = [
        format!("phoenix {place}{options}check{host}"),
        format!("phoenix {place}{options}plan {last}"),
        format!("phoenix {place}{options}create {last}"),
    ];
    let first = if findings.iter().any(|one| one.severity == Severity::Error) {
        "mend what is told above, then"
    } else {
        "next"
    };
    ui::print::note(&format!("\n{first}:\n  {}\n", next.join("\n  ")));
}
