//! Why packages could not be brought about, told from apt's and dpkg's own words.
//!
//! The words are those of apt 2.6 (Debian 12), 2.8 (Ubuntu 24.04) and 3.0 (Debian 13), taken down from the real programs
//! in `tests/data/apt`. Only what was written under `LC_ALL=C` is known here, which is how the channel runs apt.

use std::fmt;

use crate::op::{OpError, OpErrorKind};

/// Classes of failed package transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum PackageFailure {
    /// The mirror's name is not resolved.
    #[error("the name of the package mirror cannot be resolved")]
    Unresolved,
    /// No mirror answered, or not as a mirror does.
    #[error("the package mirror cannot be reached")]
    Mirror,
    /// The mirror answered, but has no such suite or file.
    #[error("the package mirror does not have what was asked for")]
    Gone,
    /// The mirror's certificate is not believed.
    #[error("the package mirror is not believed")]
    Untrusted,
    /// No repository has it.
    #[error("not known to any repository of this machine")]
    NotKnown,
    /// No repository has this version of it.
    #[error("no repository of this machine has this version")]
    NoSuchVersion,
    /// It does not go together with what it needs or with what is there.
    #[error("its dependencies cannot be met")]
    Unmet,
    /// Another program holds the lock of apt or dpkg.
    #[error("another program holds the package lock")]
    Locked,
    /// No room.
    #[error("the disk is full")]
    NoSpace,
    /// An earlier transaction was cut off.
    #[error("an earlier package transaction was interrupted")]
    Interrupted,
    /// A repository's signature is missing, wrong, or by a key that nobody vouches for.
    #[error("a repository's signature cannot be verified")]
    Signature,
    /// The key of a repository is no longer valid.
    #[error("the key of a repository has expired")]
    KeyExpired,
    /// The mirror's list of what it has is too old.
    #[error("what a repository says about itself is out of date")]
    Expired,
    /// The mirror's list of what it has is from the machine's future.
    #[error("what a repository says about itself is not valid yet")]
    NotYetValid,
    /// A package's own script failed.
    #[error("the package's own script failed")]
    Script,
    /// It did not come to its end.
    #[error("the transaction did not end in time")]
    TimedOut,
    /// Anything else.
    #[error("the transaction failed")]
    Other,
}

/// A class and the words that tell it, the most telling ones first. What is behind the words in the same line tells more.
const WORDS: &[(PackageFailure, &[&str])] = &[
    (PackageFailure::Interrupted, &["dpkg was interrupted"]),
    (PackageFailure::NoSpace, &["No space left on device", "You don't have enough free space"]),
    (
        PackageFailure::Locked,
        &["E: Could not get lock", "E: Unable to acquire the dpkg frontend lock", "E: Unable to lock"],
    ),
    (PackageFailure::Expired, &["is expired (invalid since"]),
    (PackageFailure::NotYetValid, &["is not valid yet"]),
    (PackageFailure::KeyExpired, &["EXPKEYSIG", "KEYEXPIRED", "EXPSIG"]),
    (
        PackageFailure::Signature,
        &["NO_PUBKEY", "BADSIG", "OpenPGP signature verification failed", "GPG error", "is not signed"],
    ),
    (PackageFailure::Unresolved, &["Temporary failure resolving", "Could not resolve"]),
    (PackageFailure::Untrusted, &["Certificate verification failed", "certificate verification failed", "SSL "]),
    (PackageFailure::Gone, &["does not have a Release file", "404  Not Found", "File not found"]),
    (PackageFailure::NotKnown, &["Unable to locate package", "Couldn't find any package by"]),
    (PackageFailure::NotKnown, &["has no installation candidate"]),
    (PackageFailure::NoSuchVersion, &["E: Version '"]),
    (PackageFailure::Mirror, &["Could not connect", "Unable to connect", "onnection timed out", "onnection refused"]),
    (PackageFailure::Mirror, &["Network is unreachable", "Failed to fetch", "onnection failed"]),
    (PackageFailure::Unmet, &["unmet dependencies", "you have held broken packages"]),
    (PackageFailure::Script, &["script subprocess returned error", "dpkg: error processing package"]),
];

/// A failed transaction, as far as its words tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackageTrouble {
    /// Its class.
    pub cause: PackageFailure,
    /// The host, process, repository or package that it is about, in a few words.
    pub about: Option<String>,
}

impl fmt::Display for PackageTrouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.about {
            Some(about) => write!(f, "{}: {about}", self.cause),
            None => write!(f, "{}", self.cause),
        }
    }
}

impl PackageTrouble {
    /// What a failed operation of apt was about.
    pub fn of(error: &OpError) -> PackageTrouble {
        let known = WORDS.iter().find_map(|(cause, words)| {
            let line = error.message.lines().find(|line| words.iter().any(|words| line.contains(words)))?;
            Some((*cause, line))
        });
        match known {
            Some((cause, line)) => PackageTrouble { cause, about: about(cause, line, &error.message) },
            None => {
                let cause = match error.kind {
                    OpErrorKind::NoSpace => PackageFailure::NoSpace,
                    OpErrorKind::Timeout => PackageFailure::TimedOut,
                    _ => PackageFailure::Other,
                };
                PackageTrouble { cause, about: None }
            }
        }
    }

    /// What to do next.
    pub(super) fn hint(&self) -> Option<&'static str> {
        Some(match self.cause {
            PackageFailure::Unresolved => {
                "check the machine's name servers (/etc/resolv.conf) and its way out, then the spelling in its apt sources"
            }
            PackageFailure::Mirror => "check the machine's address, gateway and proxy, and its apt sources",
            PackageFailure::Gone => {
                "check the URL and the suite in its apt sources; a mirror that is just being renewed has it on the next run"
            }
            PackageFailure::Untrusted => {
                "check the machine's clock and its `ca-certificates`; a private mirror needs its root installed before"
            }
            PackageFailure::NotKnown => "check the spelling, or declare its repository with `apt_repo` before",
            PackageFailure::NoSuchVersion => {
                "`apt-cache policy NAME` on the machine lists the versions; leave the version away for the newest"
            }
            PackageFailure::Unmet => {
                "packages of another release or a repository that lacks a part? `apt-get install -s NAME` on the machine tells more"
            }
            PackageFailure::Locked => "wait until it ends, or allow more time with `wait`, then run again",
            PackageFailure::NoSpace => "make room (`apt-get clean`) or enlarge the root disk",
            PackageFailure::Interrupted => "run `dpkg --configure -a` on the machine and read what it says",
            PackageFailure::Signature => {
                "declare the repository's own key with `apt_repo` (`key_url`); its maker publishes it beside the repository"
            }
            PackageFailure::KeyExpired => {
                "get the repository's new key from its maker (`key_url` and `key_sha256` of `apt_repo`)"
            }
            PackageFailure::Expired => {
                "the mirror is not renewed any more: use another one; or the machine's clock is ahead"
            }
            PackageFailure::NotYetValid => "the machine's clock is behind: set it, then run again",
            PackageFailure::Script => "its words are above; repair it, then run again: dpkg finishes what is left over",
            PackageFailure::TimedOut => {
                "a slow mirror or a package that waits for something: run again and look at the machine"
            }
            PackageFailure::Other => return None,
        })
    }
}

/// What a failure is about, out of the line that told it, or of the whole.
fn about(cause: PackageFailure, line: &str, message: &str) -> Option<String> {
    match cause {
        PackageFailure::Unresolved => quoted(line).map(str::to_owned),
        PackageFailure::Locked => holder(message),
        PackageFailure::NotKnown => {
            let name = line.split("package ").nth(1).or_else(|| quoted(line))?;
            Some(format!("`{}`", name.trim_matches(['\'', '"', ' ']).split(['\'', ' ']).next()?))
        }
        PackageFailure::NoSuchVersion => line.strip_prefix("E: Version '").and_then(|rest| {
            let (version, rest) = rest.split_once('\'')?;
            Some(format!("`{}` {version}", quoted(rest)?))
        }),
        PackageFailure::Unmet => unmet(message),
        PackageFailure::Script => {
            let mut words = message.lines().filter_map(|line| line.strip_prefix("dpkg: error processing package "));
            Some(format!("`{}`", words.next()?.split(' ').next()?))
        }
        PackageFailure::Signature | PackageFailure::KeyExpired => repository(message),
        PackageFailure::Expired | PackageFailure::NotYetValid => {
            Some(line.split_once("Release file for ")?.1.split(' ').next()?.to_owned())
        }
        PackageFailure::Gone | PackageFailure::Mirror | PackageFailure::Untrusted => {
            let failed = message.lines().find_map(|line| line.split_once("Failed to fetch "));
            match failed {
                Some((_, rest)) => Some(rest.split(' ').next()?.to_owned()),
                None => repository(message),
            }
        }
        _ => None,
    }
}

/// The repository that apt complains about: `E: The repository 'http://... stable InRelease' is not signed.`
fn repository(message: &str) -> Option<String> {
    let line = message.lines().find_map(|line| line.split_once("The repository '"))?.1;
    let words = line.split('\'').next()?;
    Some(words.trim_end_matches(" InRelease").trim_end_matches(" Release").to_owned())
}

/// Who holds the lock: `It is held by process 812 (apt-get)`.
fn holder(message: &str) -> Option<String> {
    let rest = message.rsplit_once("It is held by ")?.1;
    let end = rest.find(')').map_or_else(|| rest.find(['.', '\n']).unwrap_or(rest.len()), |at| at + 1);
    Some(rest[..end].trim().to_owned())
}

/// The lines below `The following packages have unmet dependencies:`.
fn unmet(message: &str) -> Option<String> {
    let (_, below) = message.split_once("unmet dependencies:\n")?;
    let lines = below.lines().take_while(|line| line.starts_with(' ')).take(3);
    let words: Vec<String> = lines.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    (!words.is_empty()).then(|| words.join("; "))
}

fn quoted(line: &str) -> Option<&str> {
    line.split('\'').nth(1)
}
