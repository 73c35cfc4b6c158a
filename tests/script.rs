//! Tests of script.

#[path = "script/bad.rs"]
mod bad;
