//! `packages`: Debian packages, one transaction for all that is missing.

use super::error::{LAST_LINES, PackageFailure};
use super::{Change, Facts, Machine, MachineError, change::difference};
use crate::op::{Op, OpError, OpErrorKind};

/// How packages are brought about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Packages {
    /// They shall not be there (configuration files stay).
    pub absent: bool,
    /// Recommended packages come along.
    pub recommends: bool,
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
            self.transact(&[Op::RemovePackages { names: bare }], &wrong)?;
        } else {
            let install = Op::InstallPackages { names: wrong.clone(), recommends: options.recommends };
            let fresh = self.known().index_fresh;
            let ops = if fresh { vec![install] } else { vec![Op::RefreshPackages, install] };
            self.transact(&ops, &wrong)?;
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

    /// Runs a transaction and reads back; one that an earlier run left cut off is finished first.
    fn transact(&self, ops: &[Op], names: &[String]) -> Result<(), MachineError> {
        let Err(error) = self.transaction(ops, names)? else { return Ok(()) };
        if !matches!(error, MachineError::Packages { cause: PackageFailure::Interrupted, .. }) {
            return Err(error);
        }
        self.tool(&["dpkg", "--configure", "-a", "--force-confdef", "--force-confold"])?;
        self.transaction(ops, names)?
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
    MachineError::Packages { names: names.join(" "), cause: class(error), output }
}

/// The cause by apt's and dpkg's own words.
fn class(error: &OpError) -> PackageFailure {
    const WORDS: [(&str, PackageFailure); 17] = [
        ("dpkg was interrupted", PackageFailure::Interrupted),
        ("No space left on device", PackageFailure::NoSpace),
        ("You don't have enough free space", PackageFailure::NoSpace),
        ("Could not get lock", PackageFailure::Locked),
        ("Unable to acquire the dpkg frontend lock", PackageFailure::Locked),
        ("Unable to lock", PackageFailure::Locked),
        ("NO_PUBKEY", PackageFailure::Signature),
        ("is not signed", PackageFailure::Signature),
        ("EXPKEYSIG", PackageFailure::Signature),
        ("is not valid yet", PackageFailure::Signature),
        ("Unable to locate package", PackageFailure::NotKnown),
        ("has no installation candidate", PackageFailure::NotKnown),
        ("Couldn't find any package by", PackageFailure::NotKnown),
        ("was not found", PackageFailure::NotKnown),
        ("Temporary failure resolving", PackageFailure::Mirror),
        ("Could not resolve", PackageFailure::Mirror),
        ("Failed to fetch", PackageFailure::Mirror),
    ];
    if error.kind == OpErrorKind::NoSpace {
        return PackageFailure::NoSpace;
    }
    let known = WORDS.iter().find(|(words, _)| error.message.contains(words));
    match known {
        Some((_, cause)) => *cause,
        None if error.message.contains("onnection") || error.kind == OpErrorKind::Timeout => PackageFailure::Mirror,
        None => PackageFailure::Other,
    }
}
