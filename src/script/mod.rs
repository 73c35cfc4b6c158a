//! Scripts: the only room that knows rhai.
//!
//! A [`Library`] finds scripts, compiles them and reads what they declare about themselves without running them.
//! [`params()`] checks what a guest gives to a script.

mod api;
mod ast;
mod blame;
mod check;
mod context;
mod engine;
mod error;
mod harness;
mod library;
mod metadata;
mod models;
mod place;
mod prepare;
mod resolver;
mod roots;
mod run;
mod syntax;
mod text;
mod trace;
mod value;

use crate::model::params;

pub use engine::{STACK, thread};
pub use error::ScriptError;
pub use harness::{Maker, StagedGuest, TestFile};
pub use library::Library;
pub use models::Models;
pub use params::{Problem, params};
pub use roots::Roots;
pub use run::{Call, Entry, ScriptReport, run};
