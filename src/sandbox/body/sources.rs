//! apt's sources and what `apt-get update` makes of them.
//!
//! The index is kept as apt keeps it: one `..._InRelease` file per source in `/var/lib/apt/lists`, except that the file
//! holds the source's own words. A package whose model names a source can be installed only after an update that saw it.

use std::sync::Arc;

use crate::op::{OpError, OpErrorKind, OpResult, OpValue};

use super::around::Around;
use super::data::Data;
use super::state::State;
use super::tree::{Meta, Node};

const LISTS: &str = "/var/lib/apt/lists";

/// One enabled source: its words, the names that apt gives its indexes, and where they come from.
struct Source {
    text: String,
    indexes: Vec<String>,
    urls: Vec<String>,
}

impl Source {
    fn new(text: &str, uri: &str, suites: &[&str]) -> Source {
        let (_, place) = uri.split_once("://").unwrap_or(("", uri));
        let place = place.trim_end_matches('/').replace('/', "_");
        let indexes = suites.iter().map(|suite| {
            let suite = suite.trim_end_matches('/').replace('/', "_");
            format!("{place}_dists_{suite}_InRelease")
        });
        let base = uri.trim_end_matches('/');
        let urls = suites.iter().map(|suite| format!("{base}/dists/{}/InRelease", suite.trim_end_matches('/')));
        Source { text: text.to_owned(), indexes: indexes.collect(), urls: urls.collect() }
    }

    /// `deb [options] URI SUITE COMPONENT...`
    fn of_line(line: &str) -> Option<Source> {
        let rest = line.trim().strip_prefix("deb")?.strip_prefix([' ', '\t'])?.trim_start();
        let rest = match rest.strip_prefix('[') {
            Some(options) => options.split_once(']')?.1,
            None => rest,
        };
        let mut words = rest.split_whitespace();
        Some(Source::new(line, words.next()?, &[words.next()?]))
    }

    /// A stanza of a `.sources` file.
    fn of_stanza(stanza: &str) -> Option<Source> {
        let field = |name: &str| {
            let lines = stanza.lines().filter(|line| !line.starts_with('#'));
            let mut values =
                lines.filter_map(|line| line.split_once(':')).filter(|(key, _)| key.eq_ignore_ascii_case(name));
            values.next().map(|(_, value)| value.trim())
        };
        let enabled = field("Enabled") != Some("no") && field("Types")?.split_whitespace().any(|word| word == "deb");
        let suites: Vec<&str> = field("Suites")?.split_whitespace().collect();
        enabled.then(|| Source::new(stanza, field("URIs").unwrap_or_default(), &suites))
    }
}

impl State {
    /// `apt-get update`.
    pub(super) fn refresh_packages(&mut self, around: &Around) -> OpResult {
        around.need_lock("/var/lib/apt/lists/lock", "/var/lib/apt/lists/")?;
        if around.faults.disk_full {
            let urls = self.index_urls();
            let lines = urls.iter().map(|url| format!("E: Failed to fetch {url}  Error writing to file - {FULL}\n"));
            let lines: String = lines.collect();
            let message = format!("{lines}{NOT_ALL}\nE: Write error - {FULL}");
            return Err(OpError::new(OpErrorKind::NoSpace, message));
        }
        if around.faults.no_mirror {
            return Err(self.unresolved_index());
        }
        let lists = self.tree.make_dirs(LISTS).map_err(|errno| errno.at(LISTS))?;
        let mut directory = Node::dir(Meta::root(0o755));
        if let super::tree::Kind::Dir(entries) = &mut directory.kind {
            let file = |mode, text: &str| Arc::new(Node::file(Meta::root(mode), Data::text(text)));
            entries.insert("lock".into(), file(0o640, ""));
            for source in self.sources() {
                entries.extend(source.indexes.iter().map(|name| (name.as_str().into(), file(0o644, &source.text))));
            }
        }
        self.tree.put(&lists, directory).map_err(|errno| errno.at(LISTS))?;
        Ok(OpValue::Done)
    }

    /// Words of the sources that the last update saw.
    pub(super) fn package_index(&self) -> Vec<String> {
        let names = self.tree.names(LISTS);
        let indexes = names.iter().filter(|name| name.ends_with("_InRelease"));
        indexes.filter_map(|name| self.tree.text(&format!("{LISTS}/{name}"))).collect()
    }

    fn index_urls(&self) -> Vec<String> {
        self.sources().into_iter().flat_map(|source| source.urls).collect()
    }

    /// What `apt-get update` says when the name of no mirror can be resolved.
    pub(super) fn unresolved_index(&self) -> OpError {
        unresolved(&self.index_urls(), NOT_ALL)
    }

    /// Where packages are fetched from.
    pub(super) fn mirrors(&self) -> Vec<String> {
        self.index_urls().iter().filter_map(|url| Some(url.split_once("/dists/")?.0.to_owned())).collect()
    }

    fn sources(&self) -> Vec<Source> {
        let mut files = vec!["/etc/apt/sources.list".to_owned()];
        let directory = "/etc/apt/sources.list.d";
        files.extend(self.tree.names(directory).iter().map(|name| format!("{directory}/{name}")));
        let mut sources = Vec::new();
        for path in files {
            let text = self.tree.text(&path).unwrap_or_default();
            if path.ends_with(".list") {
                sources.extend(text.lines().filter_map(Source::of_line));
            } else if path.ends_with(".sources") {
                sources.extend(text.split("\n\n").filter_map(Source::of_stanza));
            }
        }
        sources
    }
}

/// apt's words about a full disk, and what `apt-get update` says after failures.
const FULL: &str = "write (28: No space left on device)";
const NOT_ALL: &str = "E: Some index files failed to download. They have been ignored, or old ones used instead.";

/// apt's words when the name of no mirror can be resolved.
pub(super) fn unresolved(urls: &[String], last: &str) -> OpError {
    let line = |url: &String| {
        let host = url.split_once("://").map_or("", |(_, rest)| rest).split('/').next().unwrap_or_default();
        format!("E: Failed to fetch {url}  Temporary failure resolving '{host}'\n")
    };
    OpError::new(OpErrorKind::Failed, urls.iter().map(line).collect::<String>() + last)
}
