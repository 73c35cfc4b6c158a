//! `sysctl`: the kernel's parameters, which are files below `/proc/sys` here too.

use crate::command::Output;
use crate::model::GuestKind;
use crate::sandbox::body::Body;
use crate::sandbox::body::exec::Within;
use crate::sandbox::programs::ProgramCall;

use super::words;

/// Parameters that a kernel starts with.
const DEFAULTS: [(&str, &str); 14] = [
    ("fs/file-max", "9223372036854775807"),
    ("fs/inotify/max_user_instances", "128"),
    ("fs/inotify/max_user_watches", "65536"),
    ("kernel/keys/maxkeys", "200"),
    ("net/core/somaxconn", "4096"),
    ("net/ipv4/conf/all/rp_filter", "0"),
    ("net/ipv4/ip_forward", "0"),
    ("net/ipv4/ip_unprivileged_port_start", "1024"),
    ("net/ipv6/conf/all/disable_ipv6", "0"),
    ("net/ipv6/conf/all/forwarding", "0"),
    ("net/ipv6/conf/default/disable_ipv6", "0"),
    ("net/ipv6/conf/lo/disable_ipv6", "0"),
    ("vm/max_map_count", "1048576"),
    ("vm/swappiness", "60"),
];

/// `sysctl [-n] KEY...`, `sysctl [-q] -w KEY=VALUE...`, `sysctl [-q] (-p [FILE] | --system)`
pub(super) fn sysctl(call: &ProgramCall, within: &mut Within) -> Option<Output> {
    let (options, words): (Vec<&str>, Vec<&str>) = words(call).into_iter().partition(|word| word.starts_with('-'));
    let container = within.around.identity.kind == Some(GuestKind::Lxc);
    let mut said = Said { quiet: options.contains(&"-q"), bare: options.contains(&"-n"), output: Output::default() };
    let settings: Vec<(String, String)> = match words[..] {
        _ if options.contains(&"--system") => within.body.boot_parameters(),
        _ if options.contains(&"-p") => {
            let path = words.first().copied().unwrap_or("/etc/sysctl.conf");
            parameters(&within.body.state.tree.text(path).unwrap_or_default())
        }
        _ if options.iter().any(|option| !matches!(*option, "-q" | "-n" | "-w")) => return None,
        _ => words
            .iter()
            .filter_map(|word| word.split_once('='))
            .map(|(k, v)| (k.trim().to_owned(), v.trim().to_owned()))
            .collect(),
    };
    for (key, value) in settings {
        match within.body.set_parameter(&key, &value, container) {
            Ok(()) => said.value(&key, &value, true),
            Err(reason) => said.problem(&reason),
        }
    }
    for key in words.iter().filter(|word| !word.contains('=') && !options.contains(&"-p")) {
        match within.body.state.tree.text(&live(key)) {
            Some(value) => said.value(key, value.trim(), false),
            None => said.problem(&missing(key)),
        }
    }
    Some(said.output)
}

/// What sysctl prints.
struct Said {
    quiet: bool,
    bare: bool,
    output: Output,
}

impl Said {
    fn value(&mut self, key: &str, value: &str, set: bool) {
        match (self.quiet && set, self.bare) {
            (true, _) => {}
            (false, true) => self.output.stdout.extend(format!("{value}\n").bytes()),
            (false, false) => self.output.stdout.extend(format!("{key} = {value}\n").bytes()),
        }
    }

    fn problem(&mut self, reason: &str) {
        self.output.code = 1;
        self.output.stderr.extend(format!("sysctl: {reason}\n").bytes());
    }
}

fn live(key: &str) -> String {
    if key.contains('/') { format!("/proc/sys/{key}") } else { format!("/proc/sys/{}", key.replace('.', "/")) }
}

fn missing(key: &str) -> String {
    format!("cannot stat {}: No such file or directory", live(key))
}

/// `key = value` lines of a file of parameters.
fn parameters(text: &str) -> Vec<(String, String)> {
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with(['#', ';']));
    let pairs = lines.filter_map(|line| line.trim_start_matches('-').split_once('='));
    pairs.map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned())).collect()
}

impl Body {
    /// Parameters as the kernel has them at the start, and what `/etc/sysctl.d` makes of them.
    pub(in crate::sandbox::body) fn start_parameters(&mut self, container: bool) {
        for (key, value) in DEFAULTS {
            // The directories are the template's own.
            let _ = self.place(&format!("/proc/sys/{key}"), 0o644, format!("{value}\n").into_bytes());
        }
        for (key, value) in self.boot_parameters() {
            // systemd-sysctl goes on when the kernel refuses one.
            let _ = self.set_parameter(&key, &value, container);
        }
    }

    fn boot_parameters(&self) -> Vec<(String, String)> {
        let tree = &self.state.tree;
        let mut files: Vec<_> = ["/usr/lib/sysctl.d", "/etc/sysctl.d"]
            .into_iter()
            .flat_map(|dir| tree.names(dir).into_iter().map(move |name| (name, dir)))
            .filter(|(name, _)| name.ends_with(".conf"))
            .collect();
        files.sort();
        let texts = files.iter().map(|(name, dir)| format!("{dir}/{name}")).chain(["/etc/sysctl.conf".to_owned()]);
        texts.filter_map(|path| tree.text(&path)).flat_map(|text| parameters(&text)).collect()
    }

    /// Containers see the node's kernel: only what belongs to their network can be set.
    fn set_parameter(&mut self, key: &str, value: &str, container: bool) -> Result<(), String> {
        let path = live(key);
        if self.state.tree.get(&path).is_none() {
            return Err(missing(key));
        }
        if container && !path.starts_with("/proc/sys/net/") {
            return Err(format!("setting key \"{key}\": Read-only file system"));
        }
        self.place(&path, 0o644, format!("{value}\n").into_bytes()).map_err(|error| error.to_string())
    }
}
