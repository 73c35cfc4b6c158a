//! Reads a configuration directory.

use std::collections::BTreeMap;
use std::io::ErrorKind;

use super::asked::Asked;
use super::check::{self, Conditional};
use super::decode::Fields;
use super::dir::Dir;
use super::file::File;
use super::guest::Draft;
use super::places::Places;
use super::{certificates, derived, hypervisor, legacy, lxc, mounts, resolve, roles, stacks, vm};
use crate::finding::{Finding, Severity, Source};
use crate::model::{Catalogue, GuestId, Site};

/// The node.
pub const HYPERVISOR: &str = "phoenix_hypervisor_config.json";
/// Containers.
pub const LXC: &str = "phoenix_lxc_configs.json";
/// Virtual machines.
pub const VM: &str = "phoenix_vm_configs.json";
/// Certificates.
pub const CERTIFICATES: &str = "certificate-manifest.json";
/// Stacks, each in its folder.
pub const STACK: &str = "stacks/NAME/phoenix.json";
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
    /// Where what is declared stands.
    pub places: Places,
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
    Files::read(dir).check(catalogue).0
}

/// The fields that decoding asks for, by file.
pub type FieldsByFile = BTreeMap<&'static str, Asked>;

/// Every field that decoding asks for: what the files may hold.
pub fn fields() -> FieldsByFile {
    let empty = |name: &str, text| {
        let file = File::parse(name.to_owned(), text, |_| false);
        file.record_fields();
        file
    };
    let stack = StackFiles { name: "NAME".to_owned(), compose: String::new(), manifest: empty(STACK, "{}") };
    let files = Files {
        hypervisor: Some(empty(HYPERVISOR, "{}")),
        lxc: Some(empty(LXC, "{}")),
        // A machine without an id is not decoded.
        vm: Some(empty(VM, r#"{"vms": [{"vmid": 100}]}"#)),
        certificates: Some(empty(CERTIFICATES, "[{}]")),
        stacks: vec![stack],
        about: Vec::new(),
    };
    files.check(&Catalogue::default()).1
}

/// All files of a configuration, parsed.
struct Files {
    hypervisor: Option<File>,
    lxc: Option<File>,
    vm: Option<File>,
    certificates: Option<File>,
    stacks: Vec<StackFiles>,
    /// Findings about files rather than in them.
    about: Vec<Finding>,
}

/// One folder of `stacks/`.
struct StackFiles {
    name: String,
    compose: String,
    manifest: File,
}

/// Reads files of one directory.
struct Reader<'a> {
    dir: &'a Dir,
    lenient: bool,
    about: Vec<Finding>,
}

impl Reader<'_> {
    /// The text of a file, if it is there; that it cannot be read is an error.
    fn text(&mut self, name: &str) -> Option<String> {
        match self.dir.read(name) {
            Ok(text) => Some(text),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => {
                let message = format!("cannot read {}: {error}", self.dir.shown(name));
                self.about.push(Finding::error("unreadable-file", message));
                None
            }
        }
    }

    /// A file, if it is there. The first one in the predecessor's spelling makes all later ones lenient.
    fn file(&mut self, name: &str) -> Option<File> {
        let text = self.text(name)?;
        let lenient = self.lenient;
        let file = File::parse(self.dir.shown(name), &text, |value| lenient || value.is_some_and(legacy::is_legacy));
        self.lenient = file.lenient();
        Some(file)
    }

    fn stacks(&mut self) -> Vec<StackFiles> {
        let mut stacks = Vec::new();
        for (folder, name) in self.dir.stacks() {
            let compose = self.text(&format!("{folder}/docker-compose.yml"));
            let manifest = self.file(&format!("{folder}/phoenix.json"));
            match compose.zip(manifest) {
                Some((compose, manifest)) => stacks.push(StackFiles { name, compose, manifest }),
                None => self.about.push(
                    Finding::warning("incomplete-stack", format!("the stack {} is left out", self.dir.shown(&folder)))
                        .hint("it needs docker-compose.yml and phoenix.json"),
                ),
            }
        }
        stacks
    }

    /// Says of the predecessor's list of stacks that it is not read.
    fn old_stacks(&mut self) {
        if let Some(old) = self.text(OLD_STACKS) {
            let source = Source::new(self.dir.shown(OLD_STACKS), super::mask::covered(&old));
            let finding = Finding::warning("unused-file", "this file is not read")
                .hint("stacks are declared in stacks/NAME/phoenix.json");
            let first = old.chars().next().map_or(0, char::len_utf8);
            self.about.push(finding.at(&source, 0..first));
        }
    }
}

impl Files {
    fn read(dir: &Dir) -> Files {
        let mut reader = Reader { dir, lenient: false, about: Vec::new() };
        let hypervisor = reader.file(HYPERVISOR);
        if hypervisor.is_none() && reader.about.is_empty() {
            let finding = Finding::error("missing-file", format!("there is no {}", dir.shown(HYPERVISOR)));
            reader.about.push(finding.hint("`--config DIR` names the directory with the configuration"));
        }
        let [lxc, vm, certificates] = [LXC, VM, CERTIFICATES].map(|name| reader.file(name));
        let stacks = reader.stacks();
        reader.old_stacks();
        Files { hypervisor, lxc, vm, certificates, stacks, about: reader.about }
    }

    fn check(self, catalogue: &Catalogue) -> (Loaded, FieldsByFile) {
        let root = self.hypervisor.as_ref().and_then(Fields::root);
        let unreadable = root.is_none()
            || [&self.lxc, &self.vm].iter().any(|file| file.as_ref().is_some_and(|file| file.value.is_none()));
        let mut conditional = Vec::new();
        let site = root.map(|root| {
            let mut site = hypervisor::decode(&root);
            let mut drafts: Vec<Draft> = self.lxc.as_ref().map(lxc::decode).unwrap_or_default();
            drafts.extend(self.vm.as_ref().map(vm::decode).unwrap_or_default());
            site.certificates = self.certificates.as_ref().map(certificates::decode).unwrap_or_default();
            let stacks = self.stacks.iter();
            site.stacks = stacks.filter_map(|of| stacks::decode(&of.name, &of.compose, &of.manifest)).collect();
            resolve::resolve(&mut site, &mut drafts);
            derived::derive(&site, &mut drafts, &root, catalogue);
            roles::derive(&mut drafts);
            mounts::resolve(&mut drafts, &root, &site.node.setup.zfs.datasets);
            conditional = check::check(&mut site, &drafts, &root, catalogue);
            site
        });
        let places = Places::of([&self.hypervisor, &self.lxc, &self.vm]);
        let mut findings = self.about;
        let mut recorded = FieldsByFile::new();
        let files = [(HYPERVISOR, self.hypervisor), (LXC, self.lxc), (VM, self.vm), (CERTIFICATES, self.certificates)];
        let stacks = self.stacks.into_iter().map(|of| (STACK, Some(of.manifest)));
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
        (Loaded { site: site.filter(|_| !unreadable), findings, places, conditional }, recorded)
    }
}
