//! One file per verb: its arguments, whose doc comments are the help, and what it does.

pub mod check;
pub mod config;
pub mod create;
pub mod delete;
pub mod feature;
pub mod graph;
pub mod plan;
pub mod power;
pub mod sandbox;
pub mod status;
