//! Scripts: the only room that knows rhai.
//!
//! A [`Library`] finds scripts, compiles them and reads what they declare about themselves without running them; it
//! checks them too ([`Library::check`]), and [`run()`] does so again before anything of a script happens. [`Models`]
//! and [`TestFile`] are what may stand beside a script.
//!
//! | file | what |
//! |---|---|
//! | `roots`, `resolver` | where files come from, and that nothing else is read |
//! | `library`, `metadata` | compiled scripts, and what they declare |
//! | `syntax`, `ast`, `place` | a script as a plain tree; the only file that touches rhai's; places in files |
//! | `check/`, `lint` | what can be said without running, of one file and of many |
//! | `api/` | what scripts can call: one table per concern |
//! | `run`, `context`, `engine`, `memory`, `value` | one run: what it acts on, limits, secrets and artifacts |
//! | `error`, `blame`, `trace` | why it did not come to its end, and how that looks |
//! | `edit/` | what editors ask: what fits here, what this is, where it comes from |
//! | `prepare`, `models`, `harness` | answers of `prepare`; program models; script tests |
//! | `reference` | what can be called, for whoever shows it |
//! | `staged`, `coverage` | what tests do with guests; which lines ran |

mod api;
mod ast;
mod blame;
mod check;
mod context;
mod coverage;
pub mod edit;
mod engine;
mod error;
mod harness;
mod library;
mod lint;
mod memory;
mod metadata;
mod models;
mod place;
mod prepare;
pub mod reference;
mod resolver;
mod roots;
mod run;
mod staged;
mod syntax;
mod text;
mod trace;
mod value;

use crate::model::params;

pub use api::signature;
pub use check::{RULES, Rule};
pub use coverage::{Covered, Recorder, percent};
pub use engine::{STACK, thread};
pub use error::ScriptError;
pub use harness::{TEST_STACK, TestCase, TestFile};
pub use library::Library;
pub use lint::{Linted, UnknownName, lint};
pub use models::Models;
pub use params::{Problem, params};
pub use roots::Roots;
pub use run::{Call, Entry, ScriptReport, run};
pub use staged::{Maker, StagedGuest, Stub, Trouble};
