//! Real machines on this one: system containers made by Debian's `lxc`.
//!
//! | file | what |
//! |---|---|
//! | `node` | [`Lab`]: real containers as the insides of an emulated node's guests |
//! | `store` | what they are made of: layers that copies and snapshots share |
//! | `base` | [`Base`]: the root file system of a release, made once |
//! | `container` | [`Container`]: a root file system in layers ([`Stack`]), booted, entered, stopped |
//! | `throwaway` | [`Throwaway`]: a container for one test |
//! | `network` | links, bridges, names, the way out |
//! | `needs`, `program` | what this machine must have; running its programs |
//!
//! `docs/lab.md` says what is true in a lab and what is not.

mod base;
mod container;
mod needs;
mod network;
mod node;
mod program;
mod store;
mod throwaway;
mod within;

pub use base::Base;
pub use container::{Container, Settings, Stack};
pub use needs::check;
pub use network::NEXT_HOP;
pub use node::Lab;
pub use program::LabError;
pub use throwaway::Throwaway;
