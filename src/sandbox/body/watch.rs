//! What is looked at in machines while something is done: which paths, directories, units, packages.
//!
//! A rehearsal on a real node knows of a machine only what it asked. It does something to the little that it knows,
//! watches what is looked at, asks the real machine about what it lacked, and does it again; and an answer for which
//! nothing was looked at that a change was predicted of is as good as asked of the real machine.

use std::cell::RefCell;
use std::collections::BTreeSet;

/// What was looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Paths, there or not, with those above them. A path behind a link that was not known yet is told as it was asked.
    pub paths: BTreeSet<String>,
    /// Directories whose entries were looked through.
    pub listed: BTreeSet<String>,
    /// Units whose state was looked at.
    pub units: BTreeSet<String>,
    /// All units that are in some state were looked through.
    pub all_units: bool,
    /// What is installed was looked at.
    pub packages: bool,
}

thread_local! {
    /// Whoever does something in a machine does it on one thread, and nothing else there meanwhile.
    static SEEN: RefCell<Option<Seen>> = const { RefCell::new(None) };
}

/// Does some work and tells what it looked at, in whatever machines.
pub fn watch<T>(work: impl FnOnce() -> T) -> (T, Seen) {
    SEEN.with_borrow_mut(|seen| *seen = Some(Seen::default()));
    let result = work();
    (result, SEEN.take().unwrap_or_default())
}

/// Takes down what is looked at, if somebody watches.
pub(super) fn note(what: impl FnOnce(&mut Seen)) {
    SEEN.with_borrow_mut(|seen| {
        if let Some(seen) = seen {
            what(seen);
        }
    });
}
