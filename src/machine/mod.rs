//! Idempotent primitives against one machine: a running guest, or the node.
//!
//! Every changing primitive is one method of [`Machine`] in a file of its own that looks first, changes what differs, and
//! returns a [`Change`]. What is right already costs reads only. Nothing here knows whether it is done or rehearsed: that
//! is the [`crate::host::Host`]'s business.
//!
//! What a primitive needs to remember (what watched files looked like at the last success, what an unpacked download came
//! from) is kept inside the machine under `/var/lib/phoenix/watch`, written after the work is done.

mod absent;
mod accounts;
mod apt_repo;
mod attributes;
mod block;
mod certificate;
mod change;
mod compose;
mod diff;
mod dir;
mod download;
mod edit;
mod error;
mod exec;
mod facts;
mod file;
mod handle;
mod hosts;
mod http;
mod issued;
mod json;
mod kernel_module;
mod line;
mod link;
mod locale;
mod mount;
mod node;
mod package_failure;
mod packages;
mod path;
mod provisioner;
mod read;
mod reboot;
mod secret_store;
mod service;
mod sysctl;
mod template;
mod timezone;
mod unit;
mod validation;
mod wait_for;
mod watch;

pub use accounts::{Group, User};
pub use apt_repo::{AptRepo, Key};
pub use block::Block;
pub use certificate::{Authority, CertificateSpec};
pub use change::Change;
pub use compose::{COMPOSE_DIR, COMPOSE_TIMEOUT, Compose};
pub use download::{CACHE_DIR, Source};
pub use error::MachineError;
pub use exec::{EXEC_TIMEOUT, Exec, Execution, PROBE_TIMEOUT, Ran, shell};
pub use facts::{Facts, Os};
pub use file::File;
pub use handle::{Machine, Report};
pub use json::SealedJson;
pub use line::Line;
pub use mount::Mount;
pub use node::{NfsExport, NodeFirewall, NodeStorage, Scope, Timer, ZfsDataset, ZfsPool};
pub use package_failure::{PackageFailure, PackageTrouble};
pub use packages::{PACKAGE_WAIT, Packages};
pub use path::mode;
pub use provisioner::ProvisionerKey;
pub use read::READ_LIMIT;
pub use reboot::{REBOOT_TIMEOUT, Reboot};
pub use secret_store::{Generate, Origin, Outside, SECRETS_DIR, SecretStore};
pub use service::Service;
pub use template::{filled, fits_free_text};
pub(crate) use unit::UNIT_TYPES;
pub use wait_for::{Condition, Wait};
pub use watch::WATCH_DIR;
