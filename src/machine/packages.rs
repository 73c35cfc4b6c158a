//! `packages`: Debian packages, one transaction for all that is missing.

use std::time::Duration;

use super::error::LAST_LINES;
use super::exec::{EXEC_TIMEOUT, Exec, PROBE_TIMEOUT, spec};
use super::{Change, Facts, Machine, MachineError, PackageFailure, PackageTrouble, change::difference};
use crate::command::Effect;
use crate::finding::did_you_mean;
use crate::op::{Op, OpError, OpErrorKind, OpValue};
use crate::secret::Sealed;

/// How long others may hold the lock of apt or dpkg, if nothing else is said: unattended upgrades take minutes.
pub const PACKAGE_WAIT: Duration = Duration::from_secs(10 * 60);
/// Between two tries.
const EVERY: Duration = Duration::from_secs(3);

/// How packages are brought about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packages {
    /// They shall not be there (configuration files stay).
    pub absent: bool,
    /// Recommended packages come along.
    pub recommends: bool,
    /// How long other programs are waited for that hold the lock of apt or dpkg.
    pub wait: Duration,
}

impl Default for Packages {
    fn default() -> Packages {
        Packages { absent: false, recommends: false, wait: PACKAGE_WAIT }
    }
}

impl Machine {
    /// Brings packages about, or removes them, in one transaction. `NAME=VERSION` asks for one version. The package index
    /// is refreshed before the first installation of a run, and again after `apt_repo` changed something.
    ///
    /// # Errors
    /// [`MachineError::Packages`], sorted by cause.
    pub fn packages(&self, names: &[String], options: &Packages) -> Result<Change, MachineError> {
        if let Some(name) = names.iter().find(|name| !is_package(name)) {
            return Err(MachineError::Invalid(format!("`{name}` is no package name")));
        }
        let what = format!("packages {}", names.join(" "));
        let before = self.facts()?;
        let mut wrong: Vec<String> =
            names.iter().filter(|name| has(&before, name) == options.absent).cloned().collect();
        wrong.sort_unstable();
        wrong.dedup();
        if wrong.is_empty() {
            return Ok(Change::none(what));
        }
        if options.absent {
            let bare: Vec<String> = wrong.iter().map(|name| split(name).0.to_owned()).collect();
            self.transact(&[Op::RemovePackages { names: bare }], &wrong, options.wait)?;
        } else {
            let install = Op::InstallPackages { names: wrong.clone(), recommends: options.recommends };
            let fresh = self.known().index_fresh;
            let ops = if fresh { vec![install] } else { vec![Op::RefreshPackages, install] };
            self.transact(&ops, &wrong, options.wait)?;
            self.known().index_fresh = true;
        }
        let after = self.facts()?;
        if let Some(name) = wrong.iter().find(|name| has(&after, name) == options.absent) {
            return Err(MachineError::Conflict {
                what: format!("package {name}"),
                reason: if options.absent { "is still installed" } else { "is still not installed" }.to_owned(),
                hint: Some("a virtual package? Name the package that provides it".to_owned()),
            });
        }
        let differences = wrong.iter().map(|name| {
            let name = split(name).0;
            difference(format!("package {name}"), version(&before, name), version(&after, name))
        });
        Ok(self.done(Change::of(what, differences.collect())))
    }

    /// Runs a transaction and reads back. Whoever holds the lock is waited for; a transaction that was cut off before is
    /// finished first, once.
    fn transact(&self, ops: &[Op], names: &[String], wait: Duration) -> Result<(), MachineError> {
        let deadline = self.host().now() + wait;
        let mut repaired = false;
        let mut told = None;
        loop {
            let Err(error) = self.transaction(ops, names)? else { return Ok(()) };
            let MachineError::Packages { trouble, .. } = &error else { return Err(error) };
            match trouble.cause {
                PackageFailure::Interrupted if !repaired => {
                    self.finish_transaction(names)?;
                    repaired = true;
                }
                PackageFailure::Locked if self.host().now() < deadline => {
                    if told.as_ref() != Some(trouble) {
                        let holder = trouble.about.as_deref().unwrap_or("another program");
                        self.waiting(&format!("the package lock, which {holder} holds (up to {} s)", wait.as_secs()));
                        told = Some(trouble.clone());
                    }
                    self.host().sleep(EVERY)?;
                }
                PackageFailure::NotKnown => return Err(self.with_suggestion(error)),
                _ => return Err(error),
            }
        }
    }

    /// Finishes a transaction that was cut off: packages that are unpacked are configured.
    fn finish_transaction(&self, names: &[String]) -> Result<(), MachineError> {
        let argv = ["dpkg", "--configure", "-a", "--force-confdef", "--force-confold"].map(str::to_owned);
        let env = [("DEBIAN_FRONTEND".to_owned(), Sealed::plain("noninteractive"))].into();
        let exec = spec(&argv, &Exec { env, timeout: EXEC_TIMEOUT, ..Exec::default() }, Effect::Change)?;
        match self.run(&exec) {
            Err(MachineError::Exec { output, .. }) => Err(failed(names, &OpError::new(OpErrorKind::Failed, output))),
            other => other.map(drop),
        }
    }

    /// The error with the name of a package that may be meant, where apt's lists have one.
    fn with_suggestion(&self, error: MachineError) -> MachineError {
        let MachineError::Packages { names, trouble, output, .. } = error else { return error };
        let wrong = trouble.about.as_deref().map(|about| about.trim_matches('`').to_owned());
        let hint = wrong
            .and_then(|wrong| self.similar_package(&wrong))
            .map(|near| format!("did you mean `{near}`? Otherwise declare its repository with `apt_repo` before"));
        MachineError::Packages { names, trouble, output, hint }
    }

    fn similar_package(&self, name: &str) -> Option<String> {
        // A typing error in the first letter is rare, and all names are a megabyte.
        let argv = ["apt-cache".to_owned(), "pkgnames".to_owned(), name.get(..1)?.to_owned()];
        let exec = spec(&argv, &Exec { timeout: PROBE_TIMEOUT, ..Exec::default() }, Effect::Read).ok()?;
        // Without an answer there is no suggestion; the failure itself is told all the same.
        let Ok(OpValue::Output(output)) = self.one(Op::Exec(exec)) else { return None };
        let known = output.text();
        did_you_mean(name, known.lines()).map(str::to_owned)
    }

    fn transaction(&self, ops: &[Op], names: &[String]) -> Result<Result<(), MachineError>, MachineError> {
        let all: Vec<Op> = ops.iter().cloned().chain([Op::Packages, Op::Accounts]).collect();
        let mut values = Vec::new();
        for (op, result) in all.iter().zip(self.perform(&all)?) {
            match result {
                Ok(value) => values.push(value),
                Err(source) if source.kind == OpErrorKind::Unknown => {
                    return Err(MachineError::Op { op: op.to_string(), source });
                }
                Err(error) => {
                    self.forget_facts();
                    return Ok(Err(failed(names, &error)));
                }
            }
        }
        self.learn(values);
        Ok(Ok(()))
    }

    /// The apt sources changed: the index has to be read again before the next installation.
    pub(super) fn forget_index(&self) {
        self.known().index_fresh = false;
    }
}

fn split(name: &str) -> (&str, Option<&str>) {
    match name.split_once('=') {
        Some((name, version)) => (name, Some(version)),
        None => (name, None),
    }
}

fn version(facts: &Facts, name: &str) -> Option<String> {
    facts.packages.get(name).cloned()
}

fn has(facts: &Facts, name: &str) -> bool {
    match split(name) {
        (name, None) => facts.packages.contains_key(name),
        (name, Some(version)) => facts.packages.get(name).is_some_and(|present| present == version),
    }
}

/// Debian policy 5.6.1, with an optional version.
fn is_package(name: &str) -> bool {
    let (name, version) = split(name);
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    name.len() > 1
        && name.bytes().next().is_some_and(plain)
        && name.bytes().all(|byte| plain(byte) || b"+-.".contains(&byte))
        && version.is_none_or(|version| {
            !version.is_empty() && version.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".+-:~".contains(&byte))
        })
}

fn failed(names: &[String], error: &OpError) -> MachineError {
    let lines: Vec<&str> = error.message.lines().collect();
    let output = lines[lines.len().saturating_sub(LAST_LINES)..].join("\n");
    let trouble = PackageTrouble::of(error);
    MachineError::Packages { names: names.join(" "), trouble, output, hint: None }
}
