//! Tests of scripts: every case in a modelled guest of its own, on the same host and the same machine path as
//! production; and every script applied twice, the second time without a change.
//!
//! | file | what |
//! |---|---|
//! | `suite` | which cases there are, run side by side |
//! | `declared` | the guest that a test describes, as data |
//! | `ground` | a sandbox with such guests running in it |
//! | `stand` | one of them, in a test's hand |
//! | `stubs` | answers in the place of programs |
//! | `create` | guests created by the production engine |
//! | `twice` | a script and whatever it needs, created twice |
//! | `killed` | a script cut off everywhere |
//! | [`real`] | a script in a real container |
//! | `lcov` | coverage as a file for other programs |

mod create;
mod declared;
mod ground;
mod killed;
pub mod lcov;
pub mod real;
mod stand;
mod stubs;
mod suite;
mod twice;

pub use declared::{Declared, File, Kind, Unit, User};
pub use stand::{Stand, StandError};
pub use suite::{CaseResult, Listed, Request, Results, Selection, Suite};

use crate::script::Library;

/// Tests scripts of a library.
pub fn run(library: &Library, request: &Request) -> Results {
    Suite::load(library, request).run()
}
