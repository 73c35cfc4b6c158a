//! What guests that are not there yet are made from: template archives, images, vendor data.

use super::{Look, list};
use crate::engine::run::EngineError;
use crate::finding::Finding;
use crate::model::{GuestId, GuestKind, Origin};
use crate::op::{Op, OpValue, Place};
use crate::pve::vm::Snippets;

/// Digests of larger files are computed on request only.
const SMALL: u64 = 256 << 20;

/// A file that a guest is made from.
struct File<'a> {
    kind: GuestKind,
    name: &'a str,
    path: String,
    guests: Vec<GuestId>,
    sha256: Option<&'a str>,
}

/// Templates, images with their digests, and the storage for vendor data. A missing template is noticed by `pct create`
/// only after the disk was made, so it is looked for here.
pub(super) fn check(look: &Look) -> Result<Vec<Finding>, EngineError> {
    let mut findings: Vec<Finding> = snippets(look).into_iter().collect();
    let mut files = Vec::new();
    let named = look.wanted(|guest| match &guest.origin {
        _ if look.is_there(guest.id) => Vec::new(),
        Origin::Template(file) => vec![file.as_str()],
        Origin::Image(image) if !image.source.contains("://") => vec![image.source.as_str()],
        Origin::Image(_) | Origin::Clone(_) | Origin::Existing => Vec::new(),
    });
    for (name, guests) in named {
        let Some(guest) = guests.first().and_then(|id| look.site.guest(*id)) else { continue };
        let sha256 = match &guest.origin {
            Origin::Image(image) => image.sha256.as_deref(),
            _ => None,
        };
        match look.sight.inventory.path_of(name) {
            Some(path) => files.push(File { kind: guest.kind, name, path, guests, sha256 }),
            None => findings.push(nowhere(look, guest.kind, name, &guests)),
        }
    }
    let stats: Vec<Op> = files.iter().map(|file| Op::Stat { path: file.path.clone() }).collect();
    let mut sized = Vec::new();
    for (file, result) in files.into_iter().zip(look.host.perform(Place::Node, &stats)?) {
        match result {
            Ok(OpValue::Stat(Some(stat))) => sized.push((file, stat.size)),
            _ => findings.push(absent(look, &file)),
        }
    }
    let digested = |(file, size): &(File, u64)| file.sha256.is_some() && (look.asked.digests || *size <= SMALL);
    let sized: Vec<(File, u64)> = sized.into_iter().filter(digested).collect();
    let digests: Vec<Op> = sized.iter().map(|(file, _)| Op::Digest { path: file.path.clone() }).collect();
    for ((file, _), result) in sized.into_iter().zip(look.host.perform(Place::Node, &digests)?) {
        if let Ok(OpValue::Digest(Some(is))) = result
            && file.sha256 != Some(is.as_str())
        {
            findings.push(other_digest(look, &file, &is));
        }
    }
    Ok(findings)
}

fn noun(kind: GuestKind) -> &'static str {
    match kind {
        GuestKind::Lxc => "template",
        GuestKind::Vm => "image",
    }
}

fn field(kind: GuestKind) -> &'static str {
    match kind {
        GuestKind::Lxc => "template",
        GuestKind::Vm => "template_image",
    }
}

fn nowhere(look: &Look, kind: GuestKind, name: &str, guests: &[GuestId]) -> Finding {
    let code = if kind == GuestKind::Lxc { "template-storage" } else { "image-storage" };
    let message = format!("the storage of {} `{name}` ({}) is not on the node", noun(kind), list(guests));
    let finding = Finding::error(code, message)
        .hint("files are named `STORAGE:vztmpl/FILE` or `STORAGE:import/FILE`, or by an absolute path");
    look.at(finding, guests[0], field(kind))
}

fn absent(look: &Look, file: &File) -> Finding {
    let code = if file.kind == GuestKind::Lxc { "template-absent" } else { "image-absent" };
    let message = format!("{} `{}` ({}) is not on the node", noun(file.kind), file.name, list(&file.guests));
    let advice = match file.name.split_once(":vztmpl/") {
        Some((storage, archive)) => {
            format!("`pveam update && pveam download {storage} {archive}` fetches it; `pveam available` lists others")
        }
        None => format!("put the file to {}, or name another one", file.path),
    };
    look.at(Finding::error(code, message).hint(advice), file.guests[0], field(file.kind))
}

fn other_digest(look: &Look, file: &File, is: &str) -> Finding {
    let message = format!("{} `{}` ({}) is not what is declared", noun(file.kind), file.name, list(&file.guests));
    let finding = Finding::error("image-digest", message)
        .hint(format!("its SHA-256 is {is}: fetch {} again, or declare this digest", file.path));
    look.at(finding, file.guests[0], "template_image_sha256")
}

/// Virtual machines made from an image get vendor data of cloud-init, which only some storages may hold.
fn snippets(look: &Look) -> Option<Finding> {
    let made = look.guests().filter(|guest| matches!(guest.origin, Origin::Image(_)) && !look.is_there(guest.id));
    let guests: Vec<GuestId> = made.map(|guest| guest.id).collect();
    let inventory = &look.sight.inventory;
    let absent = Snippets::storage(&inventory.storages, &inventory.node).is_none();
    let first = *guests.first().filter(|_| absent)?;
    let message = format!("no storage of the node holds `snippets` ({})", list(&guests));
    let finding =
        Finding::error("snippets-absent", message).hint(Snippets::advice(&inventory.storages, &inventory.node));
    Some(look.at(finding, first, "template_image"))
}
