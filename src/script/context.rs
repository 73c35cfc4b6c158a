//! One run of one script: what its verbs act on and what they leave behind.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rhai::Position;
use serde_json::Value;

use super::Library;
use super::api::signature::Signature;
use super::api::{Answer, Context};
use super::error::{Ended, Raised, Thrown};
use super::roots::{Found, RootError};
use super::run::Entry;
use super::text::shortened;
use super::value::Vault;
use crate::artifact::{Artifact, Artifacts};
use crate::event::{Event, Stamped};
use crate::finding::did_you_mean;
use crate::host::interrupt::Interrupt;
use crate::machine::{Change, Machine, SealedJson, SecretStore};
use crate::model::{Guest, GuestId, ScriptSpec, Site};
use crate::secret::Sealed;

/// One run of one script.
pub(crate) struct Run {
    pub library: Library,
    pub spec: ScriptSpec,
    pub entry: Entry,
    pub machine: Machine,
    pub site: Arc<Site>,
    pub id: GuestId,
    pub artifacts: Artifacts,
    pub publishers: Vec<GuestId>,
    pub secrets: SecretStore,
    pub interrupt: Interrupt,
    pub deadline: Option<jiff::Timestamp>,
    pub state: Mutex<State>,
}

/// What a run leaves behind.
#[derive(Default)]
pub(crate) struct State {
    pub changed: bool,
    pub published: Vec<Artifact>,
    pub vault: Vault,
    /// File and place of the last call: system errors lose their position on the way out of script functions.
    pub last_call: Option<(String, Position)>,
}

impl Run {
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The declared guest.
    pub fn guest(&self) -> Result<&Guest, Raised> {
        self.site.guest(self.id).ok_or_else(|| Thrown::invalid(format!("guest {} is not declared", self.id)).into())
    }

    /// Counts a change.
    pub fn note(&self, change: &Change) {
        self.state().changed |= change.changed;
    }

    /// Counts a change and hands it to the script.
    pub fn changed(&self, change: Change) -> Answer {
        self.note(&change);
        Ok(rhai::Dynamic::from(change))
    }

    /// The text as it may be shown: without secrets, and not without end.
    pub fn mask(&self, text: &str) -> String {
        shortened(self.state().vault.mask(text))
    }

    /// A JSON value with the values of its placeholders put in.
    pub fn resolve_json(&self, value: &Value) -> Result<SealedJson, Raised> {
        Ok(self.state().vault.resolve_json(value)?)
    }

    /// Reports an event about the guest.
    pub fn tell(&self, event: impl Fn(GuestId) -> Event) {
        let report = self.machine.report();
        if let Some(guest) = report.guest {
            report.events.emit(Stamped { at: self.machine.host().now(), event: event(guest) });
        }
    }

    /// Waits in the node's time.
    pub fn sleep(&self, duration: Duration) -> Result<(), Raised> {
        Ok(self.machine.host().sleep(duration)?)
    }

    /// Refuses a change where scripts may only look.
    pub fn may_change(&self, signature: &Signature) -> Result<(), Raised> {
        if self.entry.only_looks() {
            let problem =
                format!("`{}` changes the machine: `{}` may only look", signature.name, self.entry.function());
            return Err(Thrown::invalid(problem).hint("ask with `probe`, `read`, `exists`, `http`, `wait_for`").into());
        }
        Ok(())
    }

    /// A file of the folder beside the script.
    pub fn asset(&self, path: &str) -> Result<Found, Raised> {
        self.library.asset(self.spec.kind, &self.spec.name, path).map_err(|error| {
            let thrown = Thrown::new("asset", error.to_string());
            match error {
                RootError::Absent(_) => thrown.hint("assets of a script are in the folder of its name beside it"),
                _ => thrown,
            }
            .into()
        })
    }

    /// The same as text.
    pub fn asset_text(&self, path: &str) -> Result<String, Raised> {
        let found = self.asset(path)?;
        String::from_utf8(found.bytes)
            .map_err(|_| Thrown::new("asset", format!("`{}` is no UTF-8 text", found.shown)).into())
    }

    /// The value of an artifact, of this publisher or of the only one.
    pub fn artifact(&self, name: &str, from: Option<GuestId>) -> Result<String, Raised> {
        if !self.spec.consumes.iter().any(|declared| declared == name) {
            let near = did_you_mean(name, self.spec.consumes.iter().map(String::as_str));
            let hint = match near {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("add it: `consumes: [\"{name}\"]`"),
            };
            let problem = format!("`{}` does not declare that it consumes `{name}`", self.spec.name);
            return Err(Thrown::new("artifact", problem).hint(hint).into());
        }
        // A guest's own artifact is nearer than any other.
        let mut found: Vec<Artifact> = Vec::new();
        for id in std::iter::once(&self.id).chain(&self.publishers) {
            if from.is_none_or(|from| from == *id)
                && let Some(artifact) = self.artifacts.get(name, &[*id])
            {
                found.push(artifact);
                if *id == self.id {
                    break;
                }
            }
        }
        let mut found = found.into_iter();
        match (found.next(), found.next()) {
            (Some(artifact), None) => Ok(artifact.value),
            (Some(one), Some(other)) if one.value == other.value => Ok(one.value),
            (Some(one), Some(other)) => {
                let problem = format!("both {} and {} publish `{name}`", one.publisher, other.publisher);
                let hint = format!("say which: `artifact(\"{name}\", #{{ from: {} }})`", one.publisher);
                Err(Thrown::new("artifact", problem).hint(hint).into())
            }
            (None, _) => {
                let problem = format!("nobody that this guest depends on has published `{name}`");
                let hint = "declare the dependency on the guest whose script publishes it";
                Err(Thrown::new("artifact", problem).hint(hint).into())
            }
        }
    }

    /// Publishes an artifact of this guest.
    pub fn publish(&self, name: &str, value: String) -> Result<(), Raised> {
        if !self.spec.publishes.iter().any(|declared| declared == name) {
            let problem = format!("`{}` does not declare that it publishes `{name}`", self.spec.name);
            let near = did_you_mean(name, self.spec.publishes.iter().map(String::as_str));
            let hint = match near {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("add it: `publishes: [\"{name}\"]`"),
            };
            return Err(Thrown::new("artifact", problem).hint(hint).into());
        }
        let artifact = Artifact { name: name.to_owned(), publisher: self.id, value };
        self.artifacts.publish(artifact.clone());
        let published = &mut self.state().published;
        published.retain(|earlier| earlier.name != name);
        published.push(artifact);
        Ok(())
    }
}

impl Context for Arc<Run> {
    fn begins(&self, signature: &'static Signature, source: Option<&str>, at: Position) -> Result<(), Raised> {
        self.state().last_call = Some((source.unwrap_or_default().to_owned(), at));
        if self.interrupt.is_set() {
            return Err(Raised::End(Ended::Interrupted));
        }
        if let (Some(deadline), Some(limit)) = (self.deadline, self.spec.timeout)
            && self.machine.host().now() > deadline
        {
            let problem = format!("`{}` did not finish within {} s", self.spec.name, limit.as_secs());
            return Err(Raised::End(Ended::Lost(Box::new(Thrown::new("timeout", problem)))));
        }
        if signature.changes { self.may_change(signature) } else { Ok(()) }
    }

    fn resolve(&self, text: &str) -> Result<Sealed, Raised> {
        Ok(self.state().vault.resolve(text)?)
    }
}
