//! What the steps of a guest's life do: each reads, compares, changes what differs, and reads back.

mod clean;
mod cloud_init;
mod configure;
mod define;
mod destroy;
mod firewall;
mod health;
mod host_keys;
mod host_paths;
mod image;
mod managed;
mod mount;
mod node_files;
mod power;
mod prepare;
mod ready;
mod scripts;
mod snapshot;
mod storage;
mod template;

pub(super) use clean::clean;
pub(super) use configure::configure;
pub(super) use define::define;
pub(super) use destroy::destroy;
pub(super) use firewall::firewall;
pub(super) use health::health;
pub(super) use mount::mount;
pub(super) use power::{halt, start, stop};
pub(super) use prepare::prepare;
pub(super) use ready::ready;
pub(super) use scripts::{apply, consumed_others, outdated};
pub(super) use snapshot::snapshot;
pub(super) use storage::storage;
pub(super) use template::template;

use super::failure::{Result, StepError};
use super::life::{Life, difference, verb};

/// How a step ended when it did not fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Done {
    /// Something was changed.
    Changed,
    /// It was right already.
    Unchanged,
    /// Not done, and why.
    Skipped(String),
}

impl Done {
    fn of(changed: bool) -> Done {
        if changed { Done::Changed } else { Done::Unchanged }
    }
}
