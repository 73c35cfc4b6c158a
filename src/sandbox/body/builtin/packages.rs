//! `dpkg-query`, and the little of `dpkg` that looks or finishes.

use crate::command::Output;
use crate::sandbox::body::exec::Within;
use crate::sandbox::programs::ProgramCall;

use super::{failure, lines, words};

/// `dpkg-query -W [-f FORMAT] [NAME...]` with `${Package}`, `${Version}`, `${Status}`, `${db:Status-Status}` and
/// `${Architecture}`.
pub(super) fn dpkg_query(call: &ProgramCall, within: &mut Within) -> Option<Output> {
    let mut format = "${Package}\t${Version}\n".to_owned();
    let mut names = Vec::new();
    let mut words = words(call).into_iter();
    let mut show = false;
    while let Some(word) = words.next() {
        match word {
            "-W" | "--show" => show = true,
            "-f" => format = words.next()?.to_owned(),
            _ if word.starts_with("-f") || word.starts_with("--showformat=") => {
                format = word
                    .trim_start_matches("--showformat=")
                    .trim_start_matches("-f")
                    .trim_start_matches('=')
                    .to_owned();
            }
            _ if word.starts_with('-') || word.contains(['*', '?']) => return None,
            name => names.push(name),
        }
    }
    if !show {
        return None;
    }
    let packages = within.body.state.installed();
    let row = |name: &str, version: &str| {
        format
            .replace("${Package}", name)
            .replace("${binary:Package}", name)
            .replace("${Version}", version)
            .replace("${Status}", "install ok installed")
            .replace("${db:Status-Status}", "installed")
            .replace("${db:Status-Abbrev}", "ii ")
            .replace("${Architecture}", "amd64")
            .replace("\\n", "\n")
            .replace("\\t", "\t")
    };
    let mut output = Output::default();
    if names.is_empty() {
        names = packages.keys().map(String::as_str).collect();
    }
    for name in names {
        match packages.get(name) {
            Some(installed) => output.stdout.extend(row(name, &installed.version).bytes()),
            None => {
                output.code = 1;
                output.stderr.extend(format!("dpkg-query: no packages found matching {name}\n").bytes());
            }
        }
    }
    Some(output)
}

/// `dpkg --print-architecture`, `dpkg -s NAME`, `dpkg --configure -a`
pub(super) fn dpkg(call: &ProgramCall, within: &mut Within) -> Option<Output> {
    match words(call)[..] {
        ["--print-architecture"] => Some(lines(["amd64"])),
        ["--configure", "-a", ..] => Some(Output::default()),
        ["-s" | "--status", name] => Some(match within.body.state.installed().get(name) {
            Some(installed) => lines([
                format!("Package: {name}"),
                "Status: install ok installed".to_owned(),
                format!("Version: {}", installed.version),
            ]),
            None => {
                failure(1, format!("dpkg-query: package '{name}' is not installed and no information is available"))
            }
        }),
        _ => None,
    }
}

/// `apt-cache pkgnames [PREFIX]`
pub(super) fn apt_cache(call: &ProgramCall, within: &mut Within) -> Option<Output> {
    let prefix = match words(call)[..] {
        ["pkgnames"] => "",
        ["pkgnames", prefix] => prefix,
        _ => return None,
    };
    Some(lines(within.body.package_names(prefix)))
}
