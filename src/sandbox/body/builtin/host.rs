//! `hostname`, `uname`, `id`, `getent`, `ssh-keygen -A`, `sshd -t`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::command::Output;
use crate::sandbox::body::Body;
use crate::sandbox::body::data::{self, Data};
use crate::sandbox::body::exec::Within;
use crate::sandbox::body::tree::{Meta, Node};
use crate::sandbox::double;
use crate::sandbox::programs::{Identity, ProgramCall};

use super::{failure, lines, words};

/// Kernel that the node runs.
const KERNEL: &str = "6.14.11-4-pve";

/// `hostname [-s | -f | -I | -i]`
pub(super) fn hostname(call: &ProgramCall, within: &mut Within) -> Option<Output> {
    let name = &within.around.identity.name;
    let short = name.split('.').next().unwrap_or(name);
    // systemd gives the kernel the name in `/etc/hostname`, which is the first part only.
    let kernel = if within.body.state.has_systemd() { short } else { name };
    let addresses = within.around.addresses.iter().map(|cidr| cidr.address.to_string());
    Some(match words(call)[..] {
        [] => lines([kernel]),
        ["-s"] => lines([short]),
        ["-f" | "--fqdn"] => lines([fully_qualified(within, short)]),
        ["-I" | "-i"] => lines([addresses.collect::<Vec<_>>().join(" ")]),
        _ => return None,
    })
}

/// The first name of the line in `/etc/hosts` that has the host's name.
fn fully_qualified(within: &Within, name: &str) -> String {
    let hosts = within.body.state.tree.text("/etc/hosts").unwrap_or_default();
    let line = hosts.lines().find(|line| line.split_whitespace().skip(1).any(|word| word == name));
    line.and_then(|line| line.split_whitespace().nth(1)).unwrap_or(name).to_owned()
}

/// `uname [-s | -n | -r | -m | -a]`
pub(super) fn uname(call: &ProgramCall, within: &mut Within) -> Option<Output> {
    let name = within.around.identity.name.as_str();
    Some(match words(call)[..] {
        [] | ["-s"] => lines(["Linux"]),
        ["-n"] => lines([name]),
        ["-r"] => lines([KERNEL]),
        ["-m"] => lines(["x86_64"]),
        ["-a"] => lines([format!("Linux {name} {KERNEL} #1 SMP PREEMPT_DYNAMIC x86_64 GNU/Linux")]),
        _ => return None,
    })
}

/// `id [-u | -g | -G] [-n] [USER]`
pub(super) fn id(call: &ProgramCall, within: &mut Within) -> Option<Output> {
    let (options, names): (Vec<&str>, Vec<&str>) = words(call).into_iter().partition(|word| word.starts_with('-'));
    let name = match names[..] {
        [] => call.user.as_str(),
        [name] => name,
        _ => return None,
    };
    let accounts = within.body.state.accounts();
    let Some(user) = accounts.user(name) else {
        return Some(failure(1, format!("id: ‘{name}’: no such user")));
    };
    let mut groups = vec![user.gid];
    let member = |group: &&crate::op::Group| group.members.iter().any(|member| member == name) && group.gid != user.gid;
    groups.extend(accounts.groups.iter().filter(member).map(|group| group.gid));
    let names = |groups: &[u32]| groups.iter().map(|gid| accounts.group_name(*gid)).collect::<Vec<_>>();
    let flags: String = options.iter().map(|option| option.trim_start_matches('-')).collect();
    Some(match flags.as_str() {
        "" => {
            let all =
                groups.iter().map(|gid| format!("{gid}({})", accounts.group_name(*gid))).collect::<Vec<_>>().join(",");
            let (uid, gid, group) = (user.uid, user.gid, accounts.group_name(user.gid));
            // Busybox is silent about the one group that everybody has.
            let all = if groups.len() == 1 && within.body.state.is_busybox() {
                String::new()
            } else {
                format!(" groups={all}")
            };
            lines([format!("uid={uid}({name}) gid={gid}({group}){all}")])
        }
        "u" => lines([user.uid]),
        "un" | "nu" => lines([name]),
        "g" => lines([user.gid]),
        "gn" | "ng" => lines([accounts.group_name(user.gid)]),
        "G" => lines([groups.iter().map(u32::to_string).collect::<Vec<_>>().join(" ")]),
        "Gn" | "nG" => lines([names(&groups).join(" ")]),
        _ => return None,
    })
}

/// `whoami`
pub(super) fn whoami(call: &ProgramCall, _within: &mut Within) -> Option<Output> {
    words(call).is_empty().then(|| lines([&call.user]))
}

/// `getent (passwd | group | hosts) [KEY]`
pub(super) fn getent(call: &ProgramCall, within: &mut Within) -> Option<Output> {
    let (path, separator) = match words(call)[..] {
        ["passwd", ..] => ("/etc/passwd", ':'),
        ["group", ..] => ("/etc/group", ':'),
        ["hosts" | "ahosts" | "ahostsv4", ..] => ("/etc/hosts", ' '),
        _ => return None,
    };
    let text = within.body.state.tree.text(path).unwrap_or_default();
    let mut entries = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    match words(call)[1..] {
        [] => Some(lines(entries)),
        [key] => {
            let keyed = |line: &&str| match separator {
                ':' => line.split(':').next() == Some(key) || line.split(':').nth(2) == Some(key),
                _ => line.split_whitespace().any(|word| word == key),
            };
            Some(entries.find(keyed).map_or_else(|| Output::failure(2, ""), |line| lines([line])))
        }
        _ => None,
    }
}

/// `ssh-keygen -A`: host keys that are missing.
pub(super) fn ssh_keygen(call: &ProgramCall, within: &mut Within) -> Option<Output> {
    let ["-A"] = words(call)[..] else { return None };
    let identity = within.around.identity.clone();
    Some(super::done(within.body.make_host_keys(&identity)))
}

/// `sshd -t` and `sshd -D`: fails without host keys.
pub(super) fn sshd(call: &ProgramCall, within: &mut Within) -> Option<Output> {
    let ["-t" | "-D"] = words(call)[..] else { return None };
    let keys = within.body.state.tree.names("/etc/ssh");
    let any = keys.iter().any(|name| name.starts_with("ssh_host_") && name.ends_with("_key"));
    Some(if any { Output::default() } else { failure(1, "sshd: no hostkeys available -- exiting.") })
}

/// `nginx [-t | -s reload] [-q] [-g DIRECTIVES]`: reads its configuration, and refuses a bad one.
pub(super) fn nginx(call: &ProgramCall, within: &mut Within) -> Option<Output> {
    let words = words(call);
    if words.iter().any(|word| matches!(*word, "-T" | "-v" | "-V" | "-c" | "-p")) {
        return None;
    }
    let path = "/etc/nginx/nginx.conf";
    Some(match double::act("nginx", within, "test", &serde_json::json!({})) {
        Ok(_) if words.contains(&"-t") && !words.contains(&"-q") => {
            let said = format!(
                "nginx: the configuration file {path} syntax is ok\n\
                 nginx: configuration file {path} test is successful\n"
            );
            Output { stderr: said.into_bytes(), ..Output::default() }
        }
        Ok(_) => Output::default(),
        Err(reason) => failure(1, format!("nginx: [emerg] {reason}\nnginx: configuration file {path} test failed")),
    })
}

/// Kinds of host keys: file name part, and the type's name in the public half.
const HOST_KEYS: [(&str, &str); 3] = [("rsa", "ssh-rsa"), ("ecdsa", "ecdsa-sha2-nistp256"), ("ed25519", "ssh-ed25519")];

impl Body {
    /// Makes the SSH host keys that are missing, as `ssh-keygen -A` does. They have the form of keys and differ by
    /// machine and time, but open nothing.
    ///
    /// # Errors
    /// When `/etc/ssh` is no directory.
    pub fn make_host_keys(&mut self, identity: &Identity) -> Result<(), crate::op::OpError> {
        for (kind, name) in HOST_KEYS {
            let path = format!("/etc/ssh/ssh_host_{kind}_key");
            if self.state.tree.get(&path).is_some() {
                continue;
            }
            let seed = format!("{kind} {} {:?} {}", identity.name, identity.id, identity.now);
            let digest = STANDARD.encode(data::sha256(seed.as_bytes()));
            let comment = &identity.name;
            let private = format!("-----BEGIN OPENSSH PRIVATE KEY-----\n{digest}\n-----END OPENSSH PRIVATE KEY-----\n");
            let public = format!("{name} {} root@{comment}\n", wire(name, &digest));
            for (path, mode, text) in [(path.clone(), 0o600, private), (format!("{path}.pub"), 0o644, public)] {
                let node = Node::file(Meta::root(mode), Data::text(&text));
                self.state.tree.place(&path, node).map_err(|errno| errno.at(&path))?;
            }
        }
        Ok(())
    }
}

/// A public key in SSH's wire format: length and name, length and key.
fn wire(name: &str, key: &str) -> String {
    let mut bytes = Vec::new();
    for part in [name.as_bytes(), &key.as_bytes()[..32]] {
        bytes.extend((part.len() as u32).to_be_bytes());
        bytes.extend(part);
    }
    STANDARD.encode(bytes)
}
