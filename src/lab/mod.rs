//! Real machines on this one: system containers made by Debian's `lxc`.
//!
//! | file | what |
//! |---|---|
//! | `base` | [`Base`]: the root file system of a release, made once |
//! | `container` | [`Container`]: a root file system in layers ([`Stack`]), booted, entered, stopped |
//! | `throwaway` | [`Throwaway`]: a container for one test |
//! | `network` | links and the way out |
//! | `needs`, `program` | what this machine must have; running its programs |

mod base;
mod container;
mod needs;
mod network;
mod program;
mod throwaway;

pub use base::Base;
pub use container::{Container, Settings, Stack};
pub use needs::check;
pub use network::NEXT_HOP;
pub use program::LabError;
pub use throwaway::Throwaway;
