//! Files of the node that a guest's configuration names: vendor data of cloud-init, public keys.

use std::sync::Arc;

use super::{Life, Result, difference};
use crate::command::Cost;
use crate::op::{Attributes, Content, Op, OpValue, Place};

/// Makes every file be there with its content. Answers whether anything was changed. A template needs none.
pub(super) fn ensure(life: &mut Life) -> Result<bool> {
    if life.present().is_some_and(|present| present.config.is_template()) || has_its_own(life)? {
        return Ok(false);
    }
    let desired = life.desired();
    let files = desired.files();
    let looks: Vec<Op> = files.iter().map(|file| Op::Read { path: file.path.clone(), limit: LIMIT }).collect();
    if looks.is_empty() {
        return Ok(false);
    }
    let mut ops = Vec::new();
    for (file, present) in files.into_iter().zip(life.perform(Place::Node, &looks)?) {
        let OpValue::Bytes(bytes) = present else { continue };
        if bytes.as_deref() == Some(file.content.as_bytes()) {
            continue;
        }
        let from = bytes.map(|_| "another");
        life.changes(difference(&format!("file {}", file.path), from, Some("written on the node"), Cost::None));
        let folder = file.path.rsplit_once('/').map_or("/", |(folder, _)| folder).to_owned();
        ops.push(Op::MakeDir { path: folder, attributes: Attributes::default() });
        ops.push(Op::Write {
            path: file.path.clone(),
            content: Content::Bytes(Arc::from(file.content.as_bytes())),
            attributes: Attributes::default(),
            guard: None,
        });
    }
    if !ops.is_empty() {
        life.perform(Place::Node, &ops)?;
    }
    Ok(!ops.is_empty())
}

/// Whether somebody else made it, with the keys that are declared: ours are only read when they are set.
fn has_its_own(life: &Life) -> Result<bool> {
    if !life.guest.is_imported() || life.present().is_none() {
        return Ok(false);
    }
    Ok(life.differences()?.set.iter().all(|(key, _)| key != "sshkeys"))
}

/// More is not ours.
const LIMIT: u64 = 1024 * 1024;
