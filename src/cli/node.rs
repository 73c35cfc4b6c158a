//! Which node is acted on: the real one, here or over ssh, the emulated one (with real containers in a lab), or a rehearsal
//! on any of them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};

use super::{Globals, Refusal, Session, ask, lab};
use crate::config::Dir;
use crate::engine;
use crate::finding::Severity;
use crate::host::interrupt::Interrupt;
use crate::host::local::Local;
use crate::host::ssh::{self, Address, Needs, Ssh, SshError, Time};
use crate::host::{HostError, HostHandle};
use crate::lab::Lab;
use crate::pve::inventory::Inventory;
use crate::sandbox::{Bodies, Fault, Options, Programs, Sandbox, World};
use crate::script::{Library, Models};
use crate::ui;

/// What a run stands on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ground {
    /// The node that was named.
    Real,
    /// An emulated copy of it that nobody keeps; the node itself is only read.
    Rehearsal,
}

/// Where to act, as typed.
enum Where {
    Local,
    Ssh(Address),
    Sandbox(Option<PathBuf>),
    Lab(Option<PathBuf>),
}

fn wherever(globals: &Globals) -> Result<Where> {
    match globals.host.as_deref() {
        _ if globals.sandbox => Ok(Where::Sandbox(None)),
        None | Some("local") => Ok(Where::Local),
        Some("sandbox") => Ok(Where::Sandbox(None)),
        Some("lab") => Ok(Where::Lab(None)),
        Some(host) if host.starts_with("ssh:") => {
            // Not even a password that should not be there is shown.
            let shown = host.rsplit_once('@').map_or(host.to_owned(), |(_, host)| format!("ssh://...@{host}"));
            let invalid = |why| SshError::Address { address: shown, why };
            Ok(Where::Ssh(host.parse().map_err(invalid)?))
        }
        Some(host) => match host.split_once(':').filter(|(_, path)| !path.is_empty()) {
            Some(("sandbox", file)) => Ok(Where::Sandbox(Some(PathBuf::from(file)))),
            Some(("lab", dir)) => Ok(Where::Lab(Some(PathBuf::from(dir)))),
            _ => Err(Refusal::usage(format!("`--host {host}` names no host"))
                .hint("hosts are `local`, `ssh://[user@]host[:port]`, `sandbox`, `sandbox:FILE`, `lab` and `lab:DIR`")
                .into()),
        },
    }
}

/// Whether the emulated node was asked for.
pub fn is_emulated(globals: &Globals) -> bool {
    matches!(wherever(globals), Ok(Where::Sandbox(_) | Where::Lab(_)))
}

/// The node for a run.
///
/// # Errors
/// When it is not there or cannot be read.
pub fn open(session: &Session, ground: Ground, interrupt: &Interrupt) -> Result<HostHandle> {
    let globals = &session.globals;
    let options = || options(globals, &session.library);
    let fresh = || World::fresh(&session.site);
    let place = wherever(globals)?;
    fits(globals, &place)?;
    let real: HostHandle = match (place, ground) {
        (Where::Local, _) => Arc::new(local(interrupt)?),
        (Where::Ssh(address), _) => Arc::new(remote(globals, &address, interrupt)?),
        (Where::Lab(dir), _) => {
            let dir = dir.map_or_else(|| usual_lab(&session.dir), Ok)?;
            let lab = lab::open(&dir, Some(&session.site), globals, interrupt)?;
            Arc::new(Sandbox::open(&dir.join(WORLD), fresh, Options { bodies: Some(lab), ..options()? })?)
        }
        (Where::Sandbox(file), Ground::Real) => {
            let path = file.map_or_else(|| usual_world(&session.dir), Ok)?;
            return Ok(Arc::new(Sandbox::open(&path, fresh, options()?)?));
        }
        (Where::Sandbox(file), Ground::Rehearsal) => {
            let path = file.map_or_else(|| usual_world(&session.dir), Ok)?;
            let kept = Sandbox::open(&path, fresh, options()?)?;
            return Ok(Arc::new(Sandbox::rehearse(kept.world(), None, options()?)));
        }
    };
    if ground == Ground::Real {
        return Ok(real);
    }
    let world = World::of_node(&engine::observe(real.as_ref())?.inventory, real.as_ref())?;
    Ok(Arc::new(Sandbox::rehearse(world, Some(real), options()?)))
}

/// Options that belong to one kind of host are refused with another.
fn fits(globals: &Globals, place: &Where) -> Result<()> {
    let ssh = matches!(place, Where::Ssh(_));
    let emulated = matches!(place, Where::Sandbox(_));
    let fitting = [
        ("--fault", "the emulated node", globals.fault.is_empty() || emulated),
        ("--pace", "the emulated node", globals.pace == 0.0 || emulated),
        ("--node-binary", "`--host ssh://...`", globals.node_binary.is_none() || ssh),
        ("--node-serves", "`--host ssh://...`", globals.node_serves.is_none() || ssh),
    ];
    match fitting.iter().find(|(_, _, fits)| !fits) {
        Some((option, host, _)) => Err(Refusal::usage(format!("`{option}` is for {host} only")).into()),
        None => Ok(()),
    }
}

/// What the program at the end of an ssh session serves.
///
/// # Errors
/// When this machine is no node, or the world cannot be read.
pub fn served(globals: &Globals) -> Result<(HostHandle, Time)> {
    match wherever(globals)? {
        Where::Local => Ok((Arc::new(local(&Interrupt::new())?), Time::Real)),
        Where::Sandbox(_) => Ok((Arc::new(sandbox(globals)?), Time::Emulated)),
        Where::Lab(_) => Err(Refusal::usage("a lab is used on its own machine").into()),
        Where::Ssh(_) => Err(Refusal::usage("another node is reached from the workstation, not from a node").into()),
    }
}

/// How many seconds pass on the node in a second of real time. An emulated node without a pace waits for nothing: what
/// is seen of it in between is over too soon to matter.
pub fn rate(globals: &Globals) -> f64 {
    if globals.pace > 0.0 { 1.0 / globals.pace } else { 1.0 }
}

/// The node, only to look at it.
///
/// # Errors
/// When it is not there or cannot be read.
pub fn look(session: &Session) -> Result<HostHandle> {
    open(session, Ground::Real, &Interrupt::new())
}

/// The node without any configuration, only to look at it. An emulated one without a world of its own is as Proxmox's
/// installer makes it.
///
/// # Errors
/// When it is not there or cannot be read.
pub fn bare(globals: &Globals) -> Result<HostHandle> {
    let (library, _) = super::session::library(globals);
    match wherever(globals)? {
        Where::Local => Ok(Arc::new(local(&Interrupt::new())?)),
        Where::Ssh(address) => Ok(Arc::new(remote(globals, &address, &Interrupt::new())?)),
        Where::Sandbox(Some(path)) => {
            Ok(Arc::new(Sandbox::open(&path, World::installed, options(globals, &library)?)?))
        }
        Where::Sandbox(None) => Ok(Arc::new(Sandbox::in_memory(World::installed(), options(globals, &library)?))),
        Where::Lab(_) => Ok(Arc::new(sandbox(globals)?)),
    }
}

/// What is on the node.
///
/// # Errors
/// When it is not there or cannot be read.
pub fn inventory(session: &Session) -> Result<Inventory> {
    Ok(engine::observe(look(session)?.as_ref())?.inventory)
}

/// The emulated node by itself: no configuration is needed where its file is named.
///
/// # Errors
/// When the world cannot be read, a real node was named, or a new world would begin from a broken configuration.
pub fn sandbox(globals: &Globals) -> Result<Sandbox> {
    let path = world_path(globals)?;
    let (library, _) = super::session::library(globals);
    let named = globals.host.as_deref().is_some_and(|host| host.contains(':'));
    let session = Session::open(globals);
    let site = session.as_ref().ok().map(|session| session.site.clone());
    let fresh = match session {
        Ok(session) => World::fresh(&session.site),
        // A world is never extended later: none may begin without what a broken configuration would have named.
        Err(error) if !path.exists() && (!named || globals.config.is_some()) => return Err(error),
        Err(_) => World::empty("pve"),
    };
    let bodies: Option<Arc<dyn Bodies>> = match (wherever(globals), path.parent()) {
        (Ok(Where::Lab(_)), Some(dir)) => Some(lab::open(dir, site.as_deref(), globals, &Interrupt::new())?),
        _ => None,
    };
    Ok(Sandbox::open(&path, || fresh, Options { bodies, ..options(globals, &library)? })?)
}

/// What a world is to be taken from.
pub enum Source {
    /// A real node.
    Real(HostHandle),
    /// An emulated one.
    Emulated(Box<World>),
}

/// The node that was named, to be taken home; this one if none was.
///
/// # Errors
/// When it is not there or cannot be read.
pub fn source(globals: &Globals) -> Result<Source> {
    match wherever(globals)? {
        Where::Sandbox(_) => Ok(Source::Emulated(Box::new(sandbox(globals)?.world()))),
        Where::Lab(_) => Ok(Source::Real(Arc::new(sandbox(globals)?))),
        Where::Local => Ok(Source::Real(Arc::new(local(&Interrupt::new())?))),
        Where::Ssh(address) => Ok(Source::Real(Arc::new(remote(globals, &address, &Interrupt::new())?))),
    }
}

/// What is known of programs inside of modelled machines.
///
/// # Errors
/// When a model is broken.
pub fn programs(globals: &Globals) -> Result<Arc<dyn Programs>> {
    let (library, _) = super::session::library(globals);
    Ok(options(globals, &library)?.programs)
}

/// Where the world of the emulated node is kept.
///
/// # Errors
/// When a real node was named, or there is no configuration to tell the usual place by.
pub fn world_path(globals: &Globals) -> Result<PathBuf> {
    let emulated = Globals { sandbox: globals.host.is_none(), ..globals.clone() };
    match wherever(&emulated)? {
        Where::Sandbox(Some(path)) => Ok(path),
        Where::Sandbox(None) => usual_world(&super::session::configuration(&emulated)?),
        Where::Lab(dir) => {
            let usual = || usual_lab(&super::session::configuration(&emulated)?);
            dir.map_or_else(usual, Ok).map(|dir| dir.join(WORLD))
        }
        Where::Local | Where::Ssh(_) => {
            Err(Refusal::usage("this host is no sandbox").hint("`--host sandbox:FILE` names a world").into())
        }
    }
}

/// Forgets an emulated node, with the real machines of a lab; answers whether there was one.
///
/// # Errors
/// When a real node was named, or another process uses it.
pub fn forget(globals: &Globals) -> Result<bool> {
    let path = world_path(globals)?;
    match (wherever(globals), path.parent()) {
        (Ok(Where::Lab(_)), Some(dir)) => Ok(Lab::reset(dir)?),
        _ => Ok(Sandbox::reset(&path)?),
    }
}

/// The world's name in a lab's directory.
const WORLD: &str = "world";

/// One world per configuration directory, below the user's state directory, named after it as systemd would.
fn usual_world(dir: &Dir) -> Result<PathBuf> {
    usual(dir, "world")
}

/// One lab per configuration directory, beside its world.
fn usual_lab(dir: &Dir) -> Result<PathBuf> {
    usual(dir, "lab")
}

fn usual(dir: &Dir, kind: &str) -> Result<PathBuf> {
    let state = match (std::env::var_os("XDG_STATE_HOME"), std::env::var_os("HOME")) {
        (Some(state), _) if !state.is_empty() => PathBuf::from(state),
        (_, Some(home)) => Path::new(&home).join(".local/state"),
        _ => {
            return Err(Refusal::usage("neither XDG_STATE_HOME nor HOME is set")
                .hint("name a world with `--host sandbox:FILE`, a lab with `--host lab:DIR`")
                .into());
        }
    };
    let name = match dir {
        Dir::Embedded => "platform".to_owned(),
        Dir::Real(path) => {
            let full = path.canonicalize().with_context(|| format!("{} cannot be found", path.display()))?;
            full.to_string_lossy().trim_matches('/').replace('-', "\\x2d").replace('/', "-")
        }
    };
    let folder = state.join("phoenix");
    std::fs::create_dir_all(&folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    Ok(folder.join(format!("{name}.{kind}")))
}

fn options(globals: &Globals, library: &Library) -> Result<Options> {
    let faults: Result<Vec<Fault>, _> = globals.fault.iter().map(|word| word.parse()).collect();
    let faults = faults.map_err(|error| Refusal::usage(error.to_string()))?;
    let (models, findings) = Models::load(library);
    if findings.iter().any(|finding| finding.severity == Severity::Error) {
        return Err(Refusal::Findings(findings).into());
    }
    Ok(Options { programs: Arc::new(models), faults, strict: globals.strict, pace: globals.pace, bodies: None })
}

/// This machine, if it is a Proxmox VE node.
fn local(interrupt: &Interrupt) -> Result<Local> {
    let local = Local::new(interrupt.clone())?;
    if !Path::new("/etc/pve").is_dir() {
        return Err(HostError::NotFound { program: "pct".to_owned() }.into());
    }
    Ok(local)
}

/// A node at the other end of an ssh session.
fn remote(globals: &Globals, address: &Address, interrupt: &Interrupt) -> Result<Ssh, SshError> {
    let mut arguments = Vec::new();
    if let Some(host) = &globals.node_serves {
        arguments.extend(["--host".to_owned(), host.clone()]);
    }
    arguments.push("serve".to_owned());
    let copying = |bytes: u64| {
        if !globals.quiet && !globals.json {
            ui::print::note(&format!("copying phoenix to {address} ({:.1} MB)\n", bytes as f64 / 1e6));
        }
    };
    let options = ssh::Options {
        client: "ssh".into(),
        binary: globals.node_binary.clone(),
        arguments,
        needs: if globals.node_serves.is_some() { Needs::Nothing } else { Needs::Proxmox },
        terminal: ask::possible(),
        copying: &copying,
    };
    Ssh::open(address, &options, interrupt)
}
