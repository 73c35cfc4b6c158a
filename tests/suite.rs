//! One binary for all integration tests: `cargo test --test suite`.

#![allow(clippy::unwrap_used, missing_docs)]

mod author;
mod cli;
mod config;
mod conformance;
mod corpora;
mod create;
mod create_vm;
mod declare;
mod engine;
mod failures;
mod features;
mod host;
mod lab;
mod lsp;
mod machine;
mod manual;
mod pitfalls;
mod plan;
mod preflight;
mod pve;
mod rehearsal;
mod rules;
mod sandbox;
mod sandbox_body;
mod script;
mod ssh;
mod support;
mod tidy;
mod ui;
mod verbs;
