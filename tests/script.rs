//! Tests of script.

#[path = "script/bad.rs"]
mod bad;
#[path = "script/gotchas.rs"]
mod gotchas;
#[path = "script/harness.rs"]
mod harness;
#[path = "script/models.rs"]
mod models;
#[path = "script/running.rs"]
mod running;
#[path = "script/stage.rs"]
mod stage;
