//! Tests of script.

#[path = "script/coverage.rs"]
mod coverage;
#[path = "script/edit.rs"]
mod edit;
#[path = "script/examples.rs"]
mod examples;
#[path = "script/gotchas.rs"]
mod gotchas;
#[path = "script/harness.rs"]
mod harness;
#[path = "script/hostile.rs"]
mod hostile;
#[path = "script/lint.rs"]
mod lint;
#[path = "script/models.rs"]
mod models;
#[path = "script/node.rs"]
mod node;
#[path = "script/reboot.rs"]
mod reboot;
#[path = "script/running.rs"]
mod running;
#[path = "script/secrets.rs"]
mod secrets;
#[path = "script/stage.rs"]
mod stage;
#[path = "script/testing.rs"]
mod testing;
