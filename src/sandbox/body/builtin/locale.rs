//! `locale-gen`, `update-locale`, `locale -a`, `timedatectl`.

use std::time::Duration;

use crate::command::Output;
use crate::op::{Attributes, Content, Op};
use crate::sandbox::body::exec::Within;
use crate::sandbox::body::tree::Last;
use crate::sandbox::programs::{Inside, ProgramCall};

use super::{failure, lines, words};

/// Where glibc keeps generated locales; here one name per line.
const ARCHIVE: &str = "/usr/lib/locale/locale-archive";

/// `locale-gen`: what `/etc/locale.gen` lists is made. The kinds that exist are those of the file as Debian ships it.
pub(super) fn locale_gen(call: &ProgramCall, within: &mut Within) -> Option<Output> {
    if !call.args().is_empty() {
        return None;
    }
    let listed = within.body.state.tree.text("/etc/locale.gen").unwrap_or_default();
    let wanted: Vec<&str> = listed.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#')).collect();
    let mut said = vec!["Generating locales (this might take a while)...".to_owned()];
    let mut archive = String::new();
    for line in wanted {
        let [name, charset] = line.split_whitespace().collect::<Vec<_>>()[..] else { continue };
        let language = name.split(['.', '@']).next().unwrap_or(name);
        let known = language.len() == 5 && language.as_bytes()[2] == b'_' || matches!(language, "C" | "POSIX");
        if !known {
            return Some(failure(
                1,
                format!("cannot open locale definition file `{language}': No such file or directory"),
            ));
        }
        *within.took += Duration::from_secs(1);
        said.push(format!("  {name}... done"));
        archive.push_str(&format!("{language}.{}\n", charset.to_ascii_lowercase().replace('-', "")));
    }
    said.push("Generation complete.".to_owned());
    Some(match within.body.place(ARCHIVE, 0o644, archive.into_bytes()) {
        Ok(()) => lines(said),
        Err(error) => failure(1, error),
    })
}

/// `locale -a`
pub(super) fn locale(call: &ProgramCall, within: &mut Within) -> Option<Output> {
    let ["-a"] = words(call)[..] else { return None };
    let archive = within.body.state.tree.text(ARCHIVE).unwrap_or_default();
    let mut names = vec!["C", "C.utf8", "POSIX"];
    names.extend(archive.lines());
    Some(lines(names))
}

/// `update-locale NAME=VALUE...`
pub(super) fn update_locale(call: &ProgramCall, within: &mut Within) -> Option<Output> {
    let path = "/etc/default/locale".to_owned();
    let old = within.body.state.tree.text(&path).unwrap_or_default();
    let mut settings: Vec<(String, String)> =
        old.lines().filter_map(|line| line.split_once('=')).map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
    for word in words(call) {
        let (name, value) = word.split_once('=')?;
        match settings.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => value.clone_into(old),
            None => settings.push((name.to_owned(), value.to_owned())),
        }
    }
    let text: String = settings.iter().map(|(name, value)| format!("{name}={value}\n")).collect();
    let content = Content::Bytes(text.into_bytes().into());
    let write = Op::Write { path, content, attributes: Attributes::default(), guard: None };
    Some(super::done(within.perform(&write).map(drop)))
}

/// `timedatectl set-timezone ZONE`, `timedatectl set-ntp VALUE`, `timedatectl show -p Timezone --value`
pub(super) fn timedatectl(call: &ProgramCall, within: &mut Within) -> Option<Output> {
    let tree = &within.body.state.tree;
    match words(call)[..] {
        ["set-timezone", zone] => {
            let target = format!("/usr/share/zoneinfo/{zone}");
            if tree.bytes(&target).is_none() {
                return Some(failure(
                    1,
                    format!("Failed to set time zone: Invalid or not installed time zone '{zone}'"),
                ));
            }
            let link = Op::Link { path: "/etc/localtime".to_owned(), target };
            Some(super::done(within.perform(&link).map(drop)))
        }
        ["set-ntp", _] => Some(Output::default()),
        ["show", "-p" | "--property", "Timezone", "--value"] | ["show", "--property=Timezone", "--value"] => {
            let spot = tree.resolve("/etc/localtime", Last::Followed).ok()?;
            let path = spot.path();
            Some(lines([path.strip_prefix("/usr/share/zoneinfo/").unwrap_or("Etc/UTC")]))
        }
        _ => None,
    }
}
