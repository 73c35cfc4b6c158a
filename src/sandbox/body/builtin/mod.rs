//! Programs that every modelled machine knows. The list is closed and documented in `docs/sandbox-programs.md`;
//! everything else is said in a `.model.rhai` file beside the feature that needs it.

mod text;

use crate::command::Output;
use crate::sandbox::programs::ProgramCall;

use super::exec::Within;

type Builtin = fn(&ProgramCall, &mut Within) -> Option<Output>;

/// Name and function, sorted by name.
const BUILTINS: &[(&str, Builtin)] = &[("cat", text::cat), ("false", text::no), ("true", text::yes)];

/// Whether a program is built in.
pub(super) fn knows(name: &str) -> bool {
    BUILTINS.binary_search_by_key(&name, |(name, _)| name).is_ok()
}

/// Names of all built-in programs, sorted.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    BUILTINS.iter().map(|(name, _)| *name)
}

/// What a built-in program answers; none when it is none, or not known for these arguments.
pub(super) fn run(call: &ProgramCall, within: &mut Within) -> Option<Output> {
    let index = BUILTINS.binary_search_by_key(&call.name(), |(name, _)| name).ok()?;
    (BUILTINS[index].1)(call, within)
}
