//! Guests and stacks that other entries name.

use crate::config::guest::Draft;
use crate::config::json::Value;
use crate::finding::{Finding, did_you_mean};
use crate::model::{GuestKind, Origin, Site};

/// Clone sources, dependencies and stacks.
pub fn check(site: &mut Site, drafts: &[Draft]) {
    for draft in drafts {
        clone_source(site, draft);
        stacks(site, draft);
    }
    for draft in drafts {
        dependencies(site, draft);
    }
}

fn clone_source(site: &Site, draft: &Draft) {
    let Origin::Clone(source) = draft.guest.origin else { return };
    let field = match draft.guest.kind {
        GuestKind::Lxc => "clone_from_ctid",
        GuestKind::Vm => "clone_from_vmid",
    };
    let Some(original) = site.guest(source) else {
        let finding = Finding::error("missing-source", format!("the clone source {source} is not declared"));
        draft.report(finding.hint("declare it, or name another source"), field);
        return;
    };
    if original.kind != draft.guest.kind {
        let message = format!(
            "{source} is a {}, and a {} cannot be cloned from it",
            original.kind.noun(),
            draft.guest.kind.noun()
        );
        draft.report(Finding::error("clone-kind", message), field);
        return;
    }
    if !original.is_template && original.snapshots.template.is_none() {
        let finding = Finding::error("clone-source", format!("nothing can be cloned from {source}"))
            .hint(format!("give {source} `is_template`: true (linked clones), or a `template_snapshot_name`"));
        draft.report(finding, field);
    }
    if draft.guest.root.size_gb < original.root.size_gb {
        let size = match draft.guest.kind {
            GuestKind::Lxc => "storage_size_gb",
            GuestKind::Vm => "disk_size_gb",
        };
        let message = format!(
            "the disk has {} GiB, less than the {} GiB of its source {source}",
            draft.guest.root.size_gb, original.root.size_gb
        );
        draft.report(Finding::error("disk-shrinks", message).hint("disks only grow"), size);
    }
}

/// Dependencies on guests that are not declared: the predecessor went on without them.
fn dependencies(site: &mut Site, draft: &Draft) {
    let declared: Vec<&Value> = draft.fields.value.get("dependencies").into_iter().flat_map(Value::items).collect();
    for item in declared {
        let Some(id) = crate::config::guest::id_of(item) else { continue };
        let file = draft.fields.file;
        if id == draft.guest.id {
            file.report(Finding::error("self-dependency", format!("{id} depends on itself")), item.span.clone());
        } else if site.guest(id).is_none() {
            let finding = Finding::error(
                "missing-dependency",
                format!("{} depends on {id}, which is not declared", draft.guest.id),
            );
            file.lapse(finding.hint("declare it, or remove the dependency"), item.span.clone());
        }
    }
    let known =
        draft.guest.dependencies.iter().copied().filter(|id| site.guest(*id).is_some() && *id != draft.guest.id);
    let known: Vec<_> = known.collect();
    if let Some(guest) = site.guests.get_mut(&draft.guest.id) {
        guest.dependencies = known;
    }
}

fn stacks(site: &Site, draft: &Draft) {
    let items = draft.fields.value.get("docker_stacks").map(|list| list.items()).unwrap_or_default();
    for used in &draft.guest.vm.stacks {
        let names = |item: &Value| item.text().or_else(|| item.get("name")?.text()) == Some(used.name.as_str());
        let path = items.iter().position(names).map_or_else(String::new, |at| format!("docker_stacks.{at}"));
        let Some(stack) = site.stacks.iter().find(|stack| stack.name == used.name) else {
            let mut finding = Finding::error("unknown-stack", format!("there is no stack `{}`", used.name));
            let near = did_you_mean(&used.name, site.stacks.iter().map(|stack| stack.name.as_str()));
            finding.hint = Some(near.map_or_else(
                || "a stack is a folder stacks/NAME with docker-compose.yml and phoenix.json".to_owned(),
                |near| format!("did you mean `{near}`?"),
            ));
            draft.lapse(finding, &path);
            continue;
        };
        if !stack.environments.contains_key(&used.environment) {
            let message = format!("the stack `{}` has no environment `{}`", used.name, used.environment);
            let known: Vec<&str> = stack.environments.keys().map(String::as_str).collect();
            draft.lapse(Finding::error("unknown-stack", message).hint(format!("it has: {}", known.join(", "))), &path);
        }
    }
}
