//! Reads a configuration directory.

use std::collections::BTreeMap;
use std::io::ErrorKind;

use super::check::{self, Conditional};
use super::decode::Fields;
use super::dir::Dir;
use super::file::{Asked, File};
use super::guest::Draft;
use super::{certificates, hypervisor, json, legacy, lxc, mounts, resolve, roles, stacks, vm};
use crate::finding::{Finding, Severity, Source};
use crate::model::{Catalogue, GuestId, Site};

/// The node.
const HYPERVISOR: &str = "phoenix_hypervisor_config.json";
/// Containers.
const LXC: &str = "phoenix_lxc_configs.json";
/// Virtual machines.
const VM: &str = "phoenix_vm_configs.json";
/// Certificates.
const CERTIFICATES: &str = "certificate-manifest.json";
/// The predecessor's list of stacks, which `stacks/` replaced.
const OLD_STACKS: &str = "phoenix_stacks_config.json";

/// A configuration that was read.
#[derive(Debug)]
pub struct Loaded {
    /// What it declares. `None` if too little of it could be read to say anything; then there is an error.
    pub site: Option<Site>,
    /// Everything that is wrong, in the order of the files. What concerns only the scripts of some guests (an unknown
    /// feature) is a warning here and an error in [`Loaded::findings_for`].
    pub findings: Vec<Finding>,
    conditional: Vec<Conditional>,
}

impl Loaded {
    /// The findings of a request: what is wrong with the scripts of `guests`, targets and their dependencies alike,
    /// is an error.
    pub fn findings_for(&self, guests: &[GuestId]) -> Vec<Finding> {
        let severe = self.conditional.iter().filter(|one| one.guests.iter().any(|(id, _)| guests.contains(id)));
        let mut findings = self.findings.clone();
        for one in severe {
            if let Some(finding) = findings.get_mut(one.finding) {
                *finding = one.for_guests(finding, guests);
            }
        }
        findings
    }

    /// Whether any finding is an error, whatever is asked for.
    pub fn has_errors(&self) -> bool {
        self.findings.iter().any(|finding| finding.severity == Severity::Error)
    }
}

/// Reads and checks a configuration. Never fails: what is wrong is in the findings.
pub fn load(dir: &Dir, catalogue: &Catalogue) -> Loaded {
    Files::read(dir, false).check(catalogue).0
}

/// The fields that decoding asks for, with their types, by file: what `docs/configuration.md` lists. A field inside a
/// map is asked for only where the map is there, so `dir` should use every one.
pub type FieldsByFile = BTreeMap<&'static str, Asked>;

/// Records the fields of a configuration, see [`FieldsByFile`].
pub fn fields(dir: &Dir) -> FieldsByFile {
    Files::read(dir, true).check(&Catalogue::default()).1
}

/// All files of a configuration, parsed.
struct Files {
    hypervisor: Option<File>,
    lxc: Option<File>,
    vm: Option<File>,
    certificates: Option<File>,
    stacks: Vec<(String, String, File)>,
    /// Findings about files rather than in them.
    about: Vec<Finding>,
}

impl Files {
    fn read(dir: &Dir, record: bool) -> Files {
        let mut about = Vec::new();
        let mut parsed: Vec<(File, Vec<json::Repeated>)> = Vec::new();
        let mut take = |name: &str, about: &mut Vec<Finding>| -> Option<usize> {
            let text = read(dir, name, about)?;
            parsed.push(File::parse(dir.shown(name), &text));
            Some(parsed.len() - 1)
        };
        let main = [HYPERVISOR, LXC, VM, CERTIFICATES].map(|name| take(name, &mut about));
        let mut stack_files = Vec::new();
        for (folder, name) in dir.stacks() {
            let compose = read(dir, &format!("{folder}/docker-compose.yml"), &mut about);
            let manifest = take(&format!("{folder}/phoenix.json"), &mut about);
            match (compose, manifest) {
                (Some(compose), Some(manifest)) => stack_files.push((name, compose, manifest)),
                _ => about.push(
                    Finding::warning("incomplete-stack", format!("the stack {} is left out", dir.shown(&folder)))
                        .hint("it needs docker-compose.yml and phoenix.json"),
                ),
            }
        }
        if let Some(old) = read(dir, OLD_STACKS, &mut about) {
            let source = Source::new(dir.shown(OLD_STACKS), super::mask::covered(&old));
            let finding = Finding::warning("unused-file", "this file is not read")
                .hint("stacks are declared in stacks/NAME/phoenix.json");
            let first = old.chars().next().map_or(0, char::len_utf8);
            about.push(finding.at(&source, 0..first));
        }
        if main[0].is_none() && about.iter().all(|finding| finding.severity == Severity::Warning) {
            let finding = Finding::error("missing-file", format!("there is no {}", dir.shown(HYPERVISOR)));
            about.push(finding.hint("`--config DIR` names the directory with the configuration"));
        }
        let lenient = main[0].and_then(|at| parsed[at].0.value.as_ref()).is_some_and(legacy::is_legacy);
        let mut files: Vec<Option<File>> = Vec::new();
        for (mut file, repeated) in parsed {
            file.judge(lenient, repeated);
            if record {
                file.record_fields();
            }
            files.push(Some(file));
        }
        let mut at = |index: Option<usize>| index.and_then(|index| files[index].take());
        let [hypervisor, lxc, vm, certificates] = main.map(&mut at);
        let stacks =
            stack_files.into_iter().filter_map(|(name, compose, index)| Some((name, compose, at(Some(index))?)));
        Files { hypervisor, lxc, vm, certificates, stacks: stacks.collect(), about }
    }

    fn check(self, catalogue: &Catalogue) -> (Loaded, FieldsByFile) {
        let root = self.hypervisor.as_ref().and_then(Fields::root);
        let unreadable = root.is_none()
            || [&self.lxc, &self.vm].iter().any(|file| file.as_ref().is_some_and(|file| file.value.is_none()));
        let mut conditional = Vec::new();
        let site = root.map(|root| {
            let mount_base = root.string("mount_point_base");
            let mut site = hypervisor::decode(&root);
            let mut drafts: Vec<Draft> = self.lxc.as_ref().map(lxc::decode).unwrap_or_default();
            drafts.extend(self.vm.as_ref().map(vm::decode).unwrap_or_default());
            site.certificates = self.certificates.as_ref().map(certificates::decode).unwrap_or_default();
            let stacks = self.stacks.iter();
            site.stacks =
                stacks.filter_map(|(name, compose, file)| stacks::decode(name, compose.clone(), file)).collect();
            resolve::resolve(&mut site, &mut drafts);
            roles::derive(&mut drafts);
            mounts::resolve(&mut drafts, &root, mount_base.as_deref(), &site.node.setup.zfs.datasets);
            conditional = check::check(&mut site, &drafts, &root, catalogue);
            site
        });
        let mut findings = self.about;
        let mut recorded = FieldsByFile::new();
        let files = [(HYPERVISOR, self.hypervisor), (LXC, self.lxc), (VM, self.vm), (CERTIFICATES, self.certificates)];
        let stacks = self.stacks.into_iter().map(|(_, _, file)| ("stacks/NAME/phoenix.json", Some(file)));
        for (name, file) in files.into_iter().chain(stacks) {
            if let Some(file) = file {
                recorded.entry(name).or_default().extend(file.recorded_fields());
                findings.extend(file.into_findings());
            }
        }
        for one in &mut conditional {
            one.finding += findings.len();
        }
        findings.extend(conditional.iter_mut().filter_map(|one| one.warning.take()));
        (Loaded { site: site.filter(|_| !unreadable), findings, conditional }, recorded)
    }
}

/// The text of a file, if it is there; that it cannot be read is an error.
fn read(dir: &Dir, name: &str, about: &mut Vec<Finding>) -> Option<String> {
    match dir.read(name) {
        Ok(text) => Some(text),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => {
            about.push(Finding::error("unreadable-file", format!("cannot read {}: {error}", dir.shown(name))));
            None
        }
    }
}
