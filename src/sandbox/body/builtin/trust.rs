//! `update-ca-certificates`: the bundle and the links of what a Debian machine believes.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::command::Output;
use crate::sandbox::body::exec::Within;
use crate::sandbox::body::tree::{Last, Node};
use crate::sandbox::programs::ProgramCall;

use super::{failure, lines, words};

const BUNDLE: &str = "/etc/ssl/certs/ca-certificates.crt";
const LOCAL: &str = "/usr/local/share/ca-certificates";
const SHARED: &str = "/usr/share/ca-certificates";

/// `update-ca-certificates [--fresh]`
pub(super) fn update_ca_certificates(call: &ProgramCall, within: &mut Within) -> Option<Output> {
    let fresh = match words(call)[..] {
        [] => false,
        ["--fresh" | "-f"] => true,
        _ => return None,
    };
    let tree = &mut within.body.state.tree;
    let mut wanted: BTreeMap<String, String> = BTreeMap::new();
    let list = tree.text("/etc/ca-certificates.conf").unwrap_or_default();
    for line in list.lines().filter(|line| line.ends_with(".crt") && !line.starts_with(['#', '!'])) {
        wanted.insert(link_name(line), format!("{SHARED}/{line}"));
    }
    // The real one looks at any depth; nobody goes deeper than this.
    let folders = tree.names(LOCAL).iter().map(|name| format!("{LOCAL}/{name}")).collect::<Vec<_>>();
    for folder in [LOCAL.to_owned()].iter().chain(&folders) {
        for name in tree.names(folder).iter().filter(|name| name.ends_with(".crt")) {
            wanted.insert(link_name(name), format!("{folder}/{name}"));
        }
    }
    let mut said = vec!["Updating certificates in /etc/ssl/certs...".to_owned()];
    let (mut added, mut removed) = (0, 0);
    let present = tree.names("/etc/ssl/certs");
    for name in present.iter().filter(|name| name.ends_with(".pem")) {
        let path = format!("/etc/ssl/certs/{name}");
        // A link whose file is gone; with --fresh every link that nobody asks for.
        let stale = tree.get(&path).is_none() || (fresh && !wanted.contains_key(name.as_ref()));
        if stale && let Ok(spot) = tree.resolve(&path, Last::Itself) {
            tree.take(&spot.names);
            removed += 1;
        }
    }
    let mut bundle = String::new();
    for (name, path) in &wanted {
        let Some(pem) = tree.text(path).filter(|pem| pem.contains("-----BEGIN CERTIFICATE-----")) else {
            said.push(format!("rehash: warning: skipping {name},it does not contain exactly one certificate or CRL"));
            continue;
        };
        let link = format!("/etc/ssl/certs/{name}");
        if !present.iter().any(|present| present.as_ref() == name) {
            added += 1;
        }
        if let Err(errno) = tree.place(&link, Node::link(path)) {
            return Some(failure(1, errno.at(&link)));
        }
        bundle.push_str(pem.trim_end());
        bundle.push('\n');
    }
    said.push(format!("{added} added, {removed} removed; done."));
    said.push("Running hooks in /etc/ca-certificates/update.d...\ndone.".to_owned());
    *within.took += Duration::from_secs(1);
    Some(match within.body.place(BUNDLE, 0o644, bundle.into_bytes()) {
        Ok(()) => lines(said),
        Err(error) => failure(1, error),
    })
}

/// `mozilla/ISRG_Root_X2.crt` -> `ISRG_Root_X2.pem`
fn link_name(path: &str) -> String {
    let name = path.rsplit('/').next().unwrap_or(path);
    format!("{}.pem", name.trim_end_matches(".crt").replace(' ', "_"))
}
