//! A host that emulates a Proxmox node.

pub mod body;
pub mod double;
pub mod programs;
