//! What tests of several rooms share: a real container of this machine, QEMU's guest agent in one, a real virtual machine,
//! a node behind a real sshd, the program as a process, and whole runs in the sandbox.

pub mod agent;
pub mod container;
pub mod emulated;
pub mod inside;
pub mod looked;
pub mod program;
pub mod proxmox;
pub mod scenario;
pub mod sshd;
