//! What tests of several rooms share: a real container of this machine, QEMU's guest agent in one, and whole runs in the
//! sandbox.

pub mod agent;
pub mod container;
pub mod inside;
pub mod scenario;
