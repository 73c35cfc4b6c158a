//! A guest's firewall file, which is made and goes with the guest.

use crate::model::GuestId;
use crate::op::{Attributes, Content, Op, OpValue};
use crate::pve::firewall::path;
use crate::sandbox::guest::node_inside;
use crate::sandbox::session::Session;

/// A clone has the rules of what it was cloned from.
pub(in super::super) fn copy_firewall(s: &mut Session, source: GuestId, id: GuestId) {
    let (core, now) = (s.core(), s.now());
    node_inside(s.world_mut(), core, now, |body, around| {
        let read = Op::Read { path: path(source), limit: 1 << 20 };
        if let Ok(OpValue::Bytes(Some(bytes))) = body.perform(&read, around).result {
            let content = Content::Bytes(bytes.into());
            let attributes = Attributes::default();
            body.perform(&Op::Write { path: path(id), content, attributes, guard: None }, around);
        }
    });
}

/// A guest that is gone leaves no rules.
pub(in super::super) fn remove_firewall(s: &mut Session, id: GuestId) {
    let remove = Op::Remove { path: path(id), recursive: false };
    let (core, now) = (s.core(), s.now());
    node_inside(s.world_mut(), core, now, |body, around| body.perform(&remove, around));
}
