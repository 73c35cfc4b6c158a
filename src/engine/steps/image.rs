//! The cloud image that a virtual machine is made from, brought to the node and compared with its digest.

use super::{Life, Result, StepError};
use crate::event::Failure;
use crate::machine::{Machine, MachineError, Report, Source};
use crate::model::Image;
use crate::op::{Op, OpValue, Place};
use crate::pve::vm::Snippets;

/// Answers what `import-from` reads: a volume id, or a path on the node.
///
/// # Errors
/// It is not there or has another digest, or the node has no place for cloud-init's data.
pub(super) fn on_the_node(life: &Life, image: &Image) -> Result<String> {
    let inventory = &life.sight.inventory;
    if Snippets::storage(&inventory.storages, &inventory.node).is_none() {
        return Err(StepError::with_hint(
            "no storage of the node holds `snippets`, where cloud-init's data of virtual machines lie",
            Snippets::advice(&inventory.storages, &inventory.node),
        ));
    }
    if image.source.contains("://") {
        let report = Report { guest: Some(life.id()), events: life.run.stage.events.clone() };
        let node = Machine::new(life.handles.host.clone(), Place::Node, report);
        life.waiting(&format!("the image {}", image.source));
        let source = Source { url: image.source.clone(), sha256: image.sha256.clone(), member: None };
        return match node.cached(&source) {
            Ok((path, _)) => Ok(path),
            Err(MachineError::Conflict { reason, hint, .. }) => {
                let hint = hint.map(|hint| hint.replace("`sha256`", "`template_image_sha256`"));
                Err(StepError::Failed(Box::new(Failure { hint, ..Failure::new(format!("the image {reason}")) })))
            }
            Err(error) => Err(error.into()),
        };
    }
    let Some(path) = inventory.path_of(&image.source) else {
        return Err(StepError::new(format!("the storage of the image {} is not on the node", image.source)));
    };
    let digest = life.perform(Place::Node, &[Op::Digest { path: path.clone() }])?;
    match (digest.into_iter().next(), &image.sha256) {
        (Some(OpValue::Digest(Some(found))), Some(wanted)) if found != *wanted => Err(StepError::with_hint(
            format!("the image {path} has the SHA-256 {found}, not {wanted}"),
            "it is another one than declared: check where it comes from, then `template_image_sha256`",
        )),
        (Some(OpValue::Digest(Some(_))), _) => Ok(image.source.clone()),
        _ => Err(StepError::with_hint(format!("the image {path} is not on the node"), "put it there, or name its URL")),
    }
}
