//! The emulated node: what its tools answer, what its file keeps, how its time passes.

#[path = "sandbox/conformance.rs"]
mod conformance;
