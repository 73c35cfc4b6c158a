//! Where what is declared stands in the files, for those who find out about it later: what the node says against it.

use std::ops::Range;
use std::sync::Arc;

use super::file::File;
use super::guest::id_of;
use super::json::Value;
use crate::finding::{Place, Source};
use crate::model::GuestId;

/// The files of guests and node, as they were read.
#[derive(Debug, Default)]
pub struct Places {
    hypervisor: Option<Text>,
    lxc: Option<Text>,
    vm: Option<Text>,
}

#[derive(Debug)]
struct Text {
    source: Arc<Source>,
    value: Value,
}

impl Text {
    fn place(&self, span: Range<usize>) -> Place {
        Place { source: Arc::clone(&self.source), span }
    }
}

impl Places {
    /// The places of the hypervisor's, the containers' and the virtual machines' file.
    pub(super) fn of([hypervisor, lxc, vm]: [&Option<File>; 3]) -> Places {
        let text = |file: &Option<File>| {
            let file = file.as_ref()?;
            Some(Text { source: Arc::clone(&file.source), value: file.value.clone()? })
        };
        Places { hypervisor: text(hypervisor), lxc: text(lxc), vm: text(vm) }
    }

    /// Where a guest's declaration says this (`network_config.ip`); of what it does not say, the common value of all
    /// virtual machines, else where it begins.
    pub fn of_guest(&self, id: GuestId, path: &str) -> Option<Place> {
        if let Some(text) = &self.lxc
            && let Some(member) = text.value.get("lxc_configs").and_then(|guests| guests.member(&id.to_string()))
        {
            let span = said(&member.value, path).unwrap_or_else(|| member.key_span.clone());
            return Some(text.place(span));
        }
        let text = self.vm.as_ref()?;
        let is_it = |item: &&Value| item.get("vmid").and_then(id_of) == Some(id);
        let entry = text.value.get("vms")?.items().iter().find(is_it)?;
        let common = || said(text.value.get("vm_defaults")?, path);
        let span = said(entry, path).or_else(common).or_else(|| said(entry, "vmid"));
        Some(text.place(span.unwrap_or(entry.span.start..entry.span.start + 1)))
    }

    /// Where the file about the node says this (`network.hostname`).
    pub fn of_node(&self, path: &str) -> Option<Place> {
        let text = self.hypervisor.as_ref()?;
        Some(text.place(said(&text.value, path)?))
    }
}

/// The value at a path; of a map or list its key alone, which may be long.
fn said(value: &Value, path: &str) -> Option<Range<usize>> {
    let found = value.at(path)?;
    if found.members().is_empty() && found.items().is_empty() {
        return Some(found.span.clone());
    }
    let (parent, key) = path.rsplit_once('.').unwrap_or(("", path));
    let parent = if parent.is_empty() { Some(value) } else { value.at(parent) };
    let key = parent.and_then(|parent| parent.member(key)).map(|member| member.key_span.clone());
    Some(key.unwrap_or(found.span.start..found.span.start + 1))
}
