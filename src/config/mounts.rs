//! Directories of the node that guests see: those that give a guest another one's CA state are left out.

use super::decode::Fields;
use super::guest::Draft;
use super::legacy;
use crate::finding::Finding;
use crate::model::{Role, ZfsDataset};

/// What replaces a look into the state of the certificate authority.
const ROOT_CERTIFICATE: &str = "step_ca/root.crt";

/// The field that says below which directory the predecessor looked for datasets.
const BASE: &str = "mount_point_base";

/// Leaves out what must not be shown, and says which paths are not where they seem to be.
pub fn resolve(drafts: &mut [Draft], root: &Fields, datasets: &[ZfsDataset]) {
    leave_out_ca_state(drafts);
    leave_out_staged_ca_files(drafts);
    if let Some(base) = root.value.get(BASE).and_then(|base| base.text()) {
        explain_base(drafts, root, base, datasets);
    }
}

/// The authority's keys lie in its directories. Another guest needs its certificate only, which is an artifact.
fn leave_out_ca_state(drafts: &mut [Draft]) {
    let of_ca = drafts.iter().filter(|draft| draft.guest.roles.contains(&Role::Ca));
    let state: Vec<(crate::model::GuestId, String)> = of_ca
        .flat_map(|draft| draft.guest.mounts.iter().map(|mount| (draft.guest.id, mount.host_path.clone())))
        .collect();
    for draft in drafts {
        let Draft { guest, fields } = draft;
        guest.mounts.retain(|mount| {
            let shown = state.iter().find(|(ca, path)| *ca != guest.id && overlap(path, &mount.host_path));
            if let Some((ca, _)) = shown {
                let finding = Finding::warning(
                    "ca-state",
                    format!("this mount shows the state of the certificate authority ({ca}) and is left out"),
                )
                .hint(format!(
                    "scripts get the root certificate as the artifact `{ROOT_CERTIFICATE}`; remove the mount"
                ));
                let item = item_with(fields, "mount_points", "host_path", &mount.host_path);
                fields.file.report(finding, item.unwrap_or_else(|| fields.place.clone()));
            }
            shown.is_none()
        });
    }
}

/// The predecessor copied the root certificate and the provisioner's password to an export for every virtual machine.
fn leave_out_staged_ca_files(drafts: &mut [Draft]) {
    for Draft { guest, fields } in drafts {
        guest.vm.nfs.retain(|volume| {
            let staged = volume.path.ends_with("/.step-ca");
            if staged {
                let finding = Finding::warning(
                    "ca-state",
                    "this volume carried files of the certificate authority and is left out",
                )
                .hint(format!(
                    "scripts get the root certificate as the artifact `{ROOT_CERTIFICATE}`; remove the volume"
                ));
                let item = item_with(fields, "volumes", "path", &volume.path);
                fields.file.report(finding, item.unwrap_or_else(|| fields.place.clone()));
            }
            !staged
        });
    }
}

/// Paths below `mount_point_base` are directories of the root file system, while the datasets they seem to name are
/// mounted elsewhere. They are kept: the data of guests that run is there.
fn explain_base(drafts: &[Draft], root: &Fields, base: &str, datasets: &[ZfsDataset]) {
    let mounts = drafts.iter().flat_map(|draft| draft.guest.mounts.iter().map(move |mount| (draft, &mount.host_path)));
    let mut hidden =
        mounts.filter_map(|(draft, path)| Some((draft, path, legacy::mounted_elsewhere(path, base, datasets)?)));
    if let Some((draft, path, real)) = hidden.next() {
        let more = hidden.count();
        let finding = Finding::warning(
            "path-base",
            format!(
                "`{path}` is a directory of the node's root file system, not of the dataset mounted at {}",
                dataset_of(real)
            ),
        );
        let and_more = if more == 0 { String::new() } else { format!(" (and {more} more mounts)") };
        let finding =
            finding.hint(format!("kept as declared{and_more}; to use the dataset, move the files and write {real}"));
        let place = item_with(&draft.fields, "mount_points", "host_path", path);
        draft.fields.file.report(
            finding.related(&root.file.source, root.span(BASE), "datasets are not mounted below this"),
            place.unwrap_or_else(|| draft.fields.place.clone()),
        );
    }
}

/// `/pool/dataset` of a path in it.
fn dataset_of(path: &str) -> String {
    path.split('/').take(3).collect::<Vec<_>>().join("/")
}

/// Where the value of `key` stands in the item of a list that has it.
fn item_with(fields: &Fields, list: &str, key: &str, value: &str) -> Option<std::ops::Range<usize>> {
    let items = fields.value.get(list)?.items();
    let found = items
        .iter()
        .filter_map(|item| item.get(key))
        .find(|text| text.text().map(|t| t.trim_end_matches('/')) == Some(value));
    found.map(|found| found.span.clone())
}

/// Whether one path is the other or lies inside it.
fn overlap(a: &str, b: &str) -> bool {
    let (short, long) = if a.len() <= b.len() { (a, b) } else { (b, a) };
    long.strip_prefix(short).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
