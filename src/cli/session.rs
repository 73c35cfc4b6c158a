//! What most verbs begin with: scripts and configuration, read and checked.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Result;

use super::{Globals, Refusal, failure};
use crate::config::{self, Dir, Loaded};
use crate::engine::{Spot, Unsupported};
use crate::finding::{Finding, Place, Severity, did_you_mean};
use crate::model::{GuestId, ScriptKind, Site};
use crate::plan::{self, Graph};
use crate::script::{Library, Roots};
use crate::ui;

/// Where the configuration of an installation is.
const INSTALLED: &str = "/etc/phoenix";

/// Scripts and configuration of one call.
pub struct Session {
    /// Options of the call.
    pub globals: Globals,
    /// Where the configuration was read from.
    pub dir: Dir,
    /// All scripts.
    pub library: Library,
    /// All declarations.
    pub site: Arc<Site>,
    loaded: Loaded,
}

impl Session {
    /// Reads scripts and configuration.
    ///
    /// # Errors
    /// When there is no configuration, or it is too broken to say anything: then all findings are the error.
    pub fn open(globals: &Globals) -> Result<Session> {
        let dir = configuration(globals)?;
        let (library, findings) = library(globals);
        let mut loaded = config::load(&dir, library.catalogue());
        loaded.findings.extend(findings);
        match loaded.site.take() {
            Some(site) => Ok(Session { globals: globals.clone(), dir, library, site: Arc::new(site), loaded }),
            None => Err(Refusal::Findings(loaded.findings).into()),
        }
    }

    /// Where something that is declared stands.
    pub fn place(&self, spot: Spot<'_>) -> Option<Place> {
        match spot {
            Spot::Guest(id, path) => self.loaded.places.of_guest(id, path),
            Spot::Node(path) => self.loaded.places.of_node(path),
        }
    }

    /// All findings of files and scripts, for no request in particular.
    pub fn findings(&self) -> Vec<Finding> {
        let mut findings = self.loaded.findings.clone();
        let catalogue = self.library.catalogue();
        for (kind, names) in [
            (ScriptKind::Feature, catalogue.features.keys().collect::<Vec<_>>()),
            (ScriptKind::App, catalogue.apps.keys().collect()),
        ] {
            findings.extend(names.iter().flat_map(|name| self.library.check(kind, name)));
        }
        findings
    }

    /// Makes sure that nothing is wrong with the guests of a request and with their scripts. Warnings are counted on
    /// standard error, or told with `--verbose`.
    ///
    /// # Errors
    /// All findings, if one of them is an error (or anything but nothing, with `--strict`).
    pub fn require_sound(&self, guests: &[GuestId]) -> Result<()> {
        let mut findings = self.loaded.findings_for(guests);
        let guests = guests.iter().filter_map(|id| self.site.guest(*id));
        let scripts: BTreeSet<_> =
            guests.flat_map(|guest| plan::order::scripts(guest, self.library.catalogue())).collect();
        for (kind, name) in &scripts {
            findings.extend(self.library.check(*kind, name));
        }
        let wrong = |finding: &Finding| self.globals.strict || finding.severity == Severity::Error;
        if findings.iter().any(wrong) {
            return Err(Refusal::Findings(findings).into());
        }
        if findings.is_empty() || self.globals.quiet || self.globals.json {
            return Ok(());
        }
        if self.globals.verbose > 0 {
            failure::print_findings(&findings, false);
        } else {
            let count = ui::findings::count(&findings);
            ui::print::note(&format!("{count} in the configuration; `phoenix check` shows them\n"));
        }
        Ok(())
    }

    /// What the node's version does not have, where it is declared.
    pub fn not_on_the_node(&self, unsupported: &[Unsupported]) -> Vec<Finding> {
        unsupported.iter().map(|one| one.finding(&|spot| self.place(spot))).collect()
    }

    /// The guests that were typed, by id or name.
    ///
    /// # Errors
    /// When a word names no declared guest.
    pub fn targets(&self, words: &[String]) -> Result<Vec<GuestId>> {
        words.iter().map(|word| self.target(word)).collect()
    }

    /// All declared guests, in the order of the files.
    ///
    /// # Errors
    /// When there is none.
    pub fn everybody(&self) -> Result<Vec<GuestId>> {
        let all: Vec<GuestId> = self.site.guests.keys().copied().collect();
        if all.is_empty() { Err(Refusal::usage("no guest is declared").into()) } else { Ok(all) }
    }

    /// The guest that was typed, by id or name.
    ///
    /// # Errors
    /// When the word names no declared guest.
    pub fn target(&self, word: &str) -> Result<GuestId> {
        if let Some(guest) = self.site.find(word) {
            return Ok(guest.id);
        }
        let ids: Vec<String> = self.site.guests.keys().map(GuestId::to_string).collect();
        let names = self.site.guests.values().map(|guest| guest.name.as_str());
        let near = did_you_mean(word, names.chain(ids.iter().map(String::as_str)));
        let hint = match near {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("declared are {}", ids.join(", ")),
        };
        Err(Refusal::usage(format!("no guest `{word}` is declared")).hint(hint).into())
    }

    /// The targets and everything they need, in order.
    pub fn closure(&self, targets: &[GuestId]) -> Vec<GuestId> {
        Graph::new(&self.site, self.library.catalogue()).order(targets)
    }
}

/// The scripts, and what is wrong with how they present themselves.
pub fn library(globals: &Globals) -> (Library, Vec<Finding>) {
    Library::load(&Roots::usual(globals.scripts.as_deref()))
}

/// Where the configuration is.
///
/// # Errors
/// When there is none.
pub fn configuration(globals: &Globals) -> Result<Dir> {
    let emulated = super::node::is_emulated(globals);
    match &globals.config {
        Some(dir) if dir.is_dir() => Ok(Dir::Real(dir.clone())),
        Some(dir) => Err(Refusal::usage(format!("there is no directory {}", dir.display()))
            .hint("`--config DIR` names the directory with phoenix_hypervisor_config.json")
            .into()),
        None if holds_configuration(Path::new(INSTALLED)) => Ok(Dir::Real(PathBuf::from(INSTALLED))),
        None if emulated && holds_configuration(Path::new("etc")) => Ok(Dir::Real(PathBuf::from("etc"))),
        None if emulated => Ok(Dir::Embedded),
        None => Err(Refusal::usage(format!("there is no configuration in {INSTALLED}"))
            .hint("name its directory with `--config DIR`, or try the emulated node with `--sandbox`")
            .into()),
    }
}

fn holds_configuration(dir: &Path) -> bool {
    [config::HYPERVISOR, config::LXC].iter().any(|name| dir.join(name).is_file())
}
