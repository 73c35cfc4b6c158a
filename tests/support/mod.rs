//! What tests of several rooms share: a real container of this machine, and whole runs in the sandbox.

pub mod container;
pub mod scenario;
