//! What goes wrong on purpose: the k-th changing value fails, the process dies at it, or a guest is lost in it.
//!
//! A *changing value* is one call of the host that may change something: a command, a batch of Ops with at least one
//! change among them, a request. They are counted from 1 on in the order in which they are answered, over all actors.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::random;
use crate::model::GuestId;

/// One thing that goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Fault {
    /// `fail:K`: the K-th changing value fails and changes nothing.
    Fail(u64),
    /// `kill:K`: the process dies by abort at the K-th changing value: before it, in the middle or after it, by seed.
    Kill(u64),
    /// `cut:K`: the same moments as `kill`, but only the node is lost: this and every later call says so. What a
    /// lost ssh session looks like, and how a test in one process dies.
    Cut(u64),
    /// `lost:ID:K`: the K-th changing value inside guest ID ends with the guest, which stops at once.
    Lost(GuestId, u64),
}

/// A word that is no fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no fault: expected `fail:K`, `kill:K`, `cut:K` or `lost:ID:K`")]
pub struct InvalidFault(pub String);

impl FromStr for Fault {
    type Err = InvalidFault;

    fn from_str(word: &str) -> Result<Fault, InvalidFault> {
        let invalid = || InvalidFault(word.to_owned());
        let number = |text: &str| text.parse::<u64>().ok().filter(|k| *k > 0).ok_or_else(invalid);
        match word.split(':').collect::<Vec<_>>()[..] {
            ["fail", k] => Ok(Fault::Fail(number(k)?)),
            ["kill", k] => Ok(Fault::Kill(number(k)?)),
            ["cut", k] => Ok(Fault::Cut(number(k)?)),
            ["lost", id, k] => Ok(Fault::Lost(id.parse().map_err(|_| invalid())?, number(k)?)),
            _ => Err(invalid()),
        }
    }
}

impl TryFrom<String> for Fault {
    type Error = InvalidFault;

    fn try_from(word: String) -> Result<Fault, InvalidFault> {
        word.parse()
    }
}

impl From<Fault> for String {
    fn from(fault: Fault) -> String {
        fault.to_string()
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Fail(k) => write!(f, "fail:{k}"),
            Fault::Kill(k) => write!(f, "kill:{k}"),
            Fault::Cut(k) => write!(f, "cut:{k}"),
            Fault::Lost(id, k) => write!(f, "lost:{id}:{k}"),
        }
    }
}

/// When within a changing value the end comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    /// Nothing of it was done.
    Before,
    /// Done as far as the command commits itself before its long work.
    Midway,
    /// All of it was done, but nobody hears.
    After,
}

/// What is to happen to one changing value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// Nothing special.
    Fine,
    /// It fails.
    Fails,
    /// The process or the node ends there.
    Ends { when: When, abort: bool },
    /// Its guest is lost.
    Lost,
}

/// Counts changing values and knows which of them is doomed.
#[derive(Debug, Default)]
pub(super) struct Doom {
    faults: Vec<Fault>,
    seed: u64,
    count: u64,
    inside: std::collections::BTreeMap<GuestId, u64>,
}

impl Doom {
    pub(super) fn new(faults: Vec<Fault>, seed: u64) -> Doom {
        Doom { faults, seed, ..Doom::default() }
    }

    /// Counts one changing value, `inside` a guest or not, and says what happens to it.
    pub(super) fn next(&mut self, inside: Option<GuestId>) -> Fate {
        self.count += 1;
        let count = self.count;
        let in_guest = inside.map(|id| {
            let n = self.inside.entry(id).or_default();
            *n += 1;
            (id, *n)
        });
        let when = match random::mix(&[self.seed, count]) % 3 {
            0 => When::Before,
            1 => When::Midway,
            _ => When::After,
        };
        for fault in &self.faults {
            match *fault {
                Fault::Fail(k) if k == count => return Fate::Fails,
                Fault::Kill(k) if k == count => return Fate::Ends { when, abort: true },
                Fault::Cut(k) if k == count => return Fate::Ends { when, abort: false },
                Fault::Lost(id, k) if in_guest == Some((id, k)) => return Fate::Lost,
                _ => {}
            }
        }
        Fate::Fine
    }

    /// How many changing values there were.
    pub(super) fn count(&self) -> u64 {
        self.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_come_back_as_they_were() {
        for word in ["fail:3", "kill:1", "cut:12", "lost:101:2"] {
            assert_eq!(word.parse::<Fault>().unwrap().to_string(), word);
        }
        for word in ["fail", "fail:0", "fail:x", "lost:7:1", "break:1", ""] {
            assert!(word.parse::<Fault>().is_err(), "{word}");
        }
    }

    #[test]
    fn the_counted_value_is_the_doomed_one() {
        let guest: GuestId = "101".parse().unwrap();
        let mut doom = Doom::new(vec![Fault::Fail(2), Fault::Lost(guest, 2)], 1);
        let fates: Vec<Fate> = [Some(guest), None, None, Some(guest)].into_iter().map(|g| doom.next(g)).collect();
        assert_eq!(fates, [Fate::Fine, Fate::Fails, Fate::Fine, Fate::Lost]);
        assert_eq!(doom.count(), 4);
    }
}
