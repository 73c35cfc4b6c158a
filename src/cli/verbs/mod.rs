//! One file per verb: its arguments, whose doc comments and examples are the help, and what it does.

pub mod check;
pub mod completions;
pub mod config;
pub mod converge;
pub mod create;
pub mod delete;
pub mod feature;
pub mod graph;
pub mod health;
pub mod import;
pub mod init;
pub mod lsp;
pub mod man;
pub mod plan;
pub mod power;
pub mod sandbox;
pub mod serve;
pub mod status;
pub mod up;
