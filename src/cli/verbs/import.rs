//! `phoenix import`: guests that somebody else made get a declaration.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::cli::node::Ground;
use crate::cli::run::{self as runner, Showing};
use crate::cli::{Exit, Globals, Refusal, Session, node};
use crate::config::{Dir, HYPERVISOR, LXC, VM, insert};
use crate::declare::{Declared, declare};
use crate::engine::{Sight, Spot, observe};
use crate::finding::{Finding, Severity, did_you_mean};
use crate::model::{GuestId, GuestKind};
use crate::op::Place;
use crate::plan;
use crate::pve::inventory;
use crate::ui;

/// Write the declaration of guests that are there already
///
/// It is put into the file of their kind; whatever else is in the file keeps every byte. Everything that fields can say
/// is written down, so that the next plan changes nothing; what no field says is named and stays as it is. The guests
/// themselves are not touched: without phoenix's mark (the tag `phoenix` and a record on the node) nothing ever is. The
/// mark comes with `--adopt`, or later with `phoenix create ID --adopt ID`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  phoenix import 105 106          declare two guests of this node
  phoenix import web --print      only show the declaration
  phoenix import 105 --adopt      and mark it: from now on it is phoenix's")]
pub struct Args {
    /// Guests of the node by id or name
    #[arg(required = true, value_name = "GUEST")]
    pub guests: Vec<String>,
    /// Print the declarations instead of writing them
    #[arg(long, conflicts_with = "adopt")]
    pub print: bool,
    /// Mark the guests too: tag and record
    #[arg(long)]
    pub adopt: bool,
}

/// Writes it.
///
/// # Errors
/// When a guest is not there, not on this node, or declared already; when a declaration would change it; when a file
/// cannot be written.
pub fn run(globals: &Globals, args: &Args) -> Result<Exit> {
    let session = Session::open(globals)?;
    let declared = {
        let host = node::look(&session)?;
        let mut sight = observe(host.as_ref())?;
        let details = inventory::details(&sight.inventory);
        sight.inventory.complete(&host.perform(Place::Node, &details)?);
        let hypervisor = session.dir.read(HYPERVISOR).with_context(|| format!("cannot read {HYPERVISOR}"))?;
        let mut ids: Vec<GuestId> =
            args.guests.iter().map(|word| find(&session, &sight, word)).collect::<Result<_>>()?;
        ids.sort_unstable();
        ids.dedup();
        ids.into_iter().map(|id| one(&session, &sight, id, &hypervisor)).collect::<Result<Vec<_>>>()?
    };
    if args.print {
        print(globals, &declared);
        return Ok(Exit::Fine);
    }
    let written = write(&session, globals, &declared)?;
    tell(globals, &declared, &written, args.adopt);
    if !args.adopt {
        return Ok(Exit::Fine);
    }
    let session = Session::open(globals)?;
    let ids: Vec<GuestId> = declared.iter().map(|one| one.id).collect();
    let plan = plan::adoption(&session.site, session.library.catalogue(), &ids)?;
    let showing = if globals.json { Showing::Result } else { Showing::Run };
    Ok(runner::finish(&session, plan, Ground::Real, showing)?.exit)
}

/// The guest of the node that was typed, by id or name.
fn find(session: &Session, sight: &Sight, word: &str) -> Result<GuestId> {
    let guests = &sight.inventory.guests;
    let named = |word: &str| {
        guests
            .iter()
            .filter(|(_, one)| one.name().is_some_and(|name| name.eq_ignore_ascii_case(word)))
            .map(|(id, _)| *id)
            .collect::<Vec<_>>()
    };
    let id = match word.parse::<GuestId>() {
        Ok(id) if guests.contains_key(&id) => id,
        Err(_) if named(word).len() == 1 => named(word)[0],
        Err(_) if named(word).len() > 1 => {
            let ids: Vec<String> = named(word).iter().map(GuestId::to_string).collect();
            return Err(Refusal::usage(format!("several guests are called `{word}`"))
                .hint(format!("name one by its id: {}", ids.join(", ")))
                .into());
        }
        _ => {
            let ids: Vec<String> = guests.keys().map(GuestId::to_string).collect();
            let names = guests.values().filter_map(|one| one.name());
            let hint = match did_you_mean(word, names.chain(ids.iter().map(String::as_str))) {
                Some(near) => format!("did you mean `{near}`?"),
                None if ids.is_empty() => "the node has no guests".to_owned(),
                None => format!("guests of the cluster: {}", ids.join(", ")),
            };
            return Err(Refusal::usage(format!("the node has no guest `{word}`")).hint(hint).into());
        }
    };
    if let Some(guest) = session.site.guest(id) {
        let present = &guests[&id];
        let place = session.place(Spot::Guest(id, "name")).map_or_else(String::new, |place| {
            format!(" in {}, line {}", place.source.path, place.source.line_column(place.span.start).0)
        });
        let message = format!("guest {id} is declared already{place}, as a {}", guest.kind.noun());
        let hint = match present.kind == guest.kind {
            true => format!("`phoenix create {id} --adopt {id}` takes it over"),
            false => format!("on the node it is a {}: give the declared guest another id", present.kind.noun()),
        };
        return Err(Refusal::usage(message).hint(hint).into());
    }
    Ok(id)
}

fn one(session: &Session, sight: &Sight, id: GuestId, hypervisor: &str) -> Result<Declared> {
    let present = &sight.inventory.guests[&id];
    let node = &sight.inventory.node;
    if present.node != *node {
        let message = format!("guest {id} is on node `{}`, not on `{node}`", present.node);
        return Err(Refusal::usage(message).hint(format!("run phoenix on `{}`", present.node)).into());
    }
    if let Some(lock) = present.config.lock() {
        let message = format!("guest {id} is locked ({lock}): something is at work on it");
        return Err(Refusal::usage(message).hint("wait until it is done").into());
    }
    let declared = declare(sight, id, present, hypervisor).map_err(|reason| {
        let message = format!("guest {id} cannot be declared so that a plan would leave it alone: {reason}");
        anyhow::Error::from(
            Refusal::usage(message).hint("nothing was written; change it on the node, or write it by hand"),
        )
    })?;
    if let Some(other) = session.site.find(&declared.name) {
        let message = format!("guest {id} is called `{}`, as guest {} is declared", declared.name, other.id);
        return Err(Refusal::usage(message).hint("names are unique: give one of them another").into());
    }
    Ok(declared)
}

fn file_of(kind: GuestKind) -> &'static str {
    match kind {
        GuestKind::Lxc => LXC,
        GuestKind::Vm => VM,
    }
}

/// A file without guests.
fn empty(kind: GuestKind) -> &'static str {
    match kind {
        GuestKind::Lxc => "{\n    \"lxc_configs\": {}\n}\n",
        GuestKind::Vm => "{\n    \"vms\": []\n}\n",
    }
}

/// Puts the guests into their files; answers which file each is in. What makes the configuration wrong is taken back.
fn write(session: &Session, globals: &Globals, declared: &[Declared]) -> Result<Vec<PathBuf>> {
    let Dir::Real(folder) = &session.dir else {
        return Err(Refusal::usage("the platform that comes with phoenix cannot be written to")
            .hint("name a directory of your own with `--config DIR`, or look with `--print`")
            .into());
    };
    let mut changed: Vec<(PathBuf, Option<String>, String)> = Vec::new();
    for kind in [GuestKind::Lxc, GuestKind::Vm] {
        let of_kind: Vec<&Declared> = declared.iter().filter(|one| one.kind == kind).collect();
        if of_kind.is_empty() {
            continue;
        }
        let path = folder.join(file_of(kind));
        let old = path.exists().then(|| std::fs::read_to_string(&path)).transpose();
        let old = old.with_context(|| format!("cannot read {}", path.display()))?;
        let mut text = old.clone().unwrap_or_else(|| empty(kind).to_owned());
        for one in of_kind {
            text =
                insert(&text, kind, one.id, |indent| one.text(indent)).with_context(|| path.display().to_string())?;
        }
        changed.push((path, old, text));
    }
    let before = wrong(&session.findings());
    for (path, _, text) in &changed {
        replace(path, text)?;
    }
    let after = match Session::open(globals) {
        Ok(session) => wrong(&session.findings()),
        Err(error) => {
            take_back(&changed);
            return Err(error);
        }
    };
    if after.len() > before.len() {
        take_back(&changed);
        let told: Vec<String> = before.iter().map(|finding| finding.message.clone()).collect();
        let new: Vec<Finding> = after.into_iter().filter(|finding| !told.contains(&finding.message)).collect();
        ui::print::note("beside the other declarations it would be wrong; nothing was written\n");
        return Err(Refusal::Findings(new).into());
    }
    Ok(declared.iter().map(|one| folder.join(file_of(one.kind))).collect())
}

fn wrong(findings: &[Finding]) -> Vec<Finding> {
    findings.iter().filter(|finding| finding.severity == Severity::Error).cloned().collect()
}

/// A file as a whole: written beside, then renamed over the old one, whose mode it keeps.
fn replace(path: &Path, text: &str) -> Result<()> {
    let beside = path.with_extension("json.new");
    let cannot = || format!("cannot write {}", path.display());
    std::fs::write(&beside, text).with_context(cannot)?;
    if let Ok(old) = std::fs::metadata(path) {
        std::fs::set_permissions(&beside, old.permissions()).with_context(cannot)?;
    }
    // A link stays one.
    let target = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    std::fs::rename(&beside, target).with_context(cannot)
}

fn take_back(changed: &[(PathBuf, Option<String>, String)]) {
    for (path, old, _) in changed {
        let undone = match old {
            Some(text) => replace(path, text),
            None => std::fs::remove_file(path).map_err(Into::into),
        };
        if let Err(error) = undone {
            ui::print::note(&format!("warning: {error:#}\n"));
        }
    }
}

fn print(globals: &Globals, declared: &[Declared]) {
    let mut document = serde_json::Map::new();
    let lxc = declared.iter().filter(|one| one.kind == GuestKind::Lxc);
    let lxc: serde_json::Map<_, _> = lxc.map(|one| (one.id.to_string(), one.entry.clone())).collect();
    let vms: Vec<_> = declared.iter().filter(|one| one.kind == GuestKind::Vm).map(|one| one.entry.clone()).collect();
    if !lxc.is_empty() {
        document.insert("lxc_configs".to_owned(), lxc.into());
    }
    if !vms.is_empty() {
        document.insert("vms".to_owned(), vms.into());
    }
    ui::print::document(&document.into());
    if !globals.quiet && !globals.json {
        ui::print::note(&declared.iter().map(left).collect::<String>());
    }
}

fn tell(globals: &Globals, declared: &[Declared], written: &[PathBuf], adopt: bool) {
    if globals.json {
        let guests = declared.iter().zip(written).map(|(one, path)| {
            serde_json::json!({"id": one.id, "kind": one.kind, "name": one.name, "file": path, "declaration": one.entry, "left": one.left, "adopted": adopt})
        });
        ui::print::document(&serde_json::json!({ "imported": guests.collect::<Vec<_>>() }));
        return;
    }
    for (one, path) in declared.iter().zip(written) {
        ui::print::result_line(&format!("{}: {} {}", path.display(), one.id, one.name));
    }
    if globals.quiet {
        return;
    }
    let mut text: String = declared.iter().map(left).collect();
    for one in declared.iter().filter(|one| !one.running && !one.template) {
        text.push_str(&format!("{} {} is stopped: `phoenix create` would start it\n", one.id, one.name));
    }
    if !adopt {
        let ids: Vec<String> = declared.iter().map(|one| one.id.to_string()).collect();
        let adopts: Vec<String> = ids.iter().map(|id| format!("--adopt {id}")).collect();
        let (ids, adopts) = (ids.join(" "), adopts.join(" "));
        text.push_str(&format!(
            "nothing was changed on the node, and nothing will be: without its mark phoenix leaves a guest alone\n\
             next:\n  phoenix plan {ids} {adopts}\n  phoenix create {ids} {adopts}\n"
        ));
    }
    ui::print::note(&text);
}

/// What a declaration does not say.
fn left(one: &Declared) -> String {
    if one.left.is_empty() {
        return format!("{} {}: everything is declared\n", one.id, one.name);
    }
    let rows: Vec<(&str, &str, &str)> =
        one.left.iter().map(|left| (left.key.as_str(), left.value.as_str(), left.why.as_str())).collect();
    format!("{} {}: these stay as they are\n{}", one.id, one.name, ui::choices::render(&rows))
}
