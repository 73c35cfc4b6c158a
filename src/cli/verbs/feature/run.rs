//! `phoenix feature run`: one script on one guest, and nothing else.

use anyhow::Result;

use super::{find, word};
use crate::cli::node::Ground;
use crate::cli::{Exit, Globals, Refusal, Session, run as runner};
use crate::model::{Guest, GuestKind, ScriptKind, ScriptSpec, Site, Target};
use crate::{plan, ui};

/// What `phoenix feature run` takes.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Its name
    pub name: String,
    /// The guest, by id or name
    #[arg(long, value_name = "GUEST")]
    pub on: String,
    /// Only show what would change; also on a guest that does not list it yet
    #[arg(long)]
    pub dry_run: bool,
}

/// Applies it.
///
/// # Errors
/// When there is no such script or guest, the script is not for it, or the configuration is wrong.
pub fn run(globals: &Globals, Args { name, on, dry_run }: &Args) -> Result<Exit> {
    let session = Session::open(globals)?;
    let spec = find(session.library.catalogue(), name)?;
    let script = (spec.kind, spec.name.clone());
    let id = session.target(on)?;
    if let Some(guest) = session.site.guest(id) {
        fits(spec, guest)?;
        match declared(&session.site, spec, guest) {
            Err(refusal) if !dry_run => return Err(refusal.into()),
            Err(refusal) if !globals.json && !globals.quiet => ui::print::note(&format!("note: {refusal}\n")),
            _ => {}
        }
    }
    let plan = plan::one_script(&session.site, session.library.catalogue(), id, script)?;
    let ground = if *dry_run { Ground::Rehearsal } else { Ground::Real };
    runner::follow(&session, plan, ground).map(|told| told.exit)
}

/// Whether a script can run in such a guest at all.
fn fits(spec: &ScriptSpec, guest: &Guest) -> Result<(), Refusal> {
    let (target, others) = match guest.kind {
        GuestKind::Lxc => (Target::Lxc, "virtual machines"),
        GuestKind::Vm => (Target::Vm, "containers"),
    };
    let (id, name, what) = (guest.id, &guest.name, word(spec.kind));
    if !spec.targets.contains(&target) {
        let others = if spec.targets.contains(&Target::Node) { "the node" } else { others };
        let problem = format!("the {what} `{}` is for {others}: {id} ({name}) is a {}", spec.name, guest.kind.noun());
        return Err(Refusal::usage(problem).hint(format!("`targets` of {} says what it is for", spec.path)));
    }
    if guest.is_template {
        let problem = format!("{id} ({name}) is a template: nothing runs in it any more");
        return Err(Refusal::usage(problem).hint("name a guest that is cloned from it"));
    }
    Ok(())
}

/// Whether the guest has the script, itself or from what it is cloned from.
fn declared(site: &Site, spec: &ScriptSpec, guest: &Guest) -> Result<(), Refusal> {
    let (there, member) = match spec.kind {
        ScriptKind::Feature => (site.has_feature(guest.id, &spec.name), "features"),
        ScriptKind::App => (guest.app.as_deref() == Some(spec.name.as_str()), "application_script"),
    };
    if there {
        return Ok(());
    }
    let problem = format!("{} ({}) does not have the {} `{}`", guest.id, guest.name, word(spec.kind), spec.name);
    Err(Refusal::usage(problem).hint(format!("put it into its `{member}`, or see what it would do with `--dry-run`")))
}
