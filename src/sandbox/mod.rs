//! A host that emulates a Proxmox node.

pub mod body;
pub mod programs;
