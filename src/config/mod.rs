//! JSON files in, a checked `Site` out, and everything that is wrong in them at once.
//!
//! ```text
//! text -> json (values with places) -> file (findings) -> decode (typed fields)
//!      -> hypervisor, lxc, vm, certificates, stacks (drafts) -> resolve, derived, roles, mounts -> check -> Site
//! ```
//!
//! What decoding asks the files for (`asked`) is also what `schema` makes JSON Schema of.
//!
//! The predecessor's files are read as they are: `legacy` knows its spelling, and what it let pass is a warning
//! there. Findings point into the text; passwords in plain text are covered in it (`mask`) and never enter the site.

mod asked;
mod certificates;
mod check;
mod decode;
mod derived;
mod dir;
mod disks;
mod file;
mod firewall;
mod guest;
mod hypervisor;
mod insert;
mod json;
mod legacy;
mod load;
mod lxc;
mod mask;
mod mounts;
mod nics;
mod options;
mod places;
mod resolve;
mod roles;
pub mod schema;
mod secrets;
mod show;
mod stacks;
mod vm;

pub use asked::{Asked, AskedField, Kind};
pub use dir::Dir;
pub use insert::{InsertError, insert};
pub use load::{FieldsByFile, HYPERVISOR, LXC, Loaded, VM, fields, load};
pub use options::{fields_of as option_fields, is_listed as is_listed_option};
pub use places::Places;
pub use show::resolve_show;
