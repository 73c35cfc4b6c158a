//! Why a node could not be reached over ssh, and what to do then.

use super::address::InvalidAddress;

/// Why there is no session.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SshError {
    /// The words name no node.
    #[error("`{address}` names no node: {why}")]
    Address {
        /// As typed, without a password.
        address: String,
        /// Why not.
        why: InvalidAddress,
    },
    /// The program to carry cannot be read.
    #[error("{path}: {reason}")]
    Binary {
        /// The file.
        path: String,
        /// Why not.
        reason: String,
    },
    /// There is no `ssh` on this machine.
    #[error("`ssh` cannot be started: {reason}")]
    NoClient {
        /// Why not.
        reason: String,
    },
    /// ssh ended before the node said anything.
    #[error("{node} cannot be reached: {words}")]
    Unreachable {
        /// Which.
        node: String,
        /// What ssh said, last lines.
        words: String,
    },
    /// Whoever logs in there is not root.
    #[error("{node}: phoenix must be root on the node, and is `{user}` there")]
    NotRoot {
        /// Which.
        node: String,
        /// Who.
        user: String,
    },
    /// It is no Proxmox VE node.
    #[error("{node}: `{name}` is no Proxmox VE node: it has no /etc/pve")]
    NoProxmox {
        /// Which.
        node: String,
        /// Its own name.
        name: String,
    },
    /// The program cannot be put there.
    #[error("{node}: phoenix could not be copied to the node: {reason}")]
    NotCopied {
        /// Which.
        node: String,
        /// Why not.
        reason: String,
    },
    /// The program was built for another machine.
    #[error("{node} is {theirs}, and {binary} is built for {}", .machine.as_deref().unwrap_or("another system"))]
    OtherMachine {
        /// Which.
        node: String,
        /// What `uname -m` says there.
        theirs: String,
        /// The file.
        binary: String,
        /// What it is built for; absent if it is no Linux program.
        machine: Option<String>,
    },
    /// The program does not start there.
    #[error("{node}: phoenix does not run on the node: {words}")]
    CannotRun {
        /// Which.
        node: String,
        /// What the node said.
        words: String,
    },
    /// The program there is of another version.
    #[error("{node}: the program for the node is phoenix {theirs}, which this one ({ours}) does not understand")]
    OtherVersion {
        /// Which.
        node: String,
        /// Version there.
        theirs: String,
        /// Version here.
        ours: String,
    },
    /// Something else answers.
    #[error("{node}: something else than phoenix answers: {words}")]
    Foreign {
        /// Which.
        node: String,
        /// What it says.
        words: String,
    },
    /// Ctrl-C before there was a session.
    #[error("interrupted")]
    Interrupted,
}

impl SshError {
    /// What to do.
    pub fn hint(&self) -> Option<String> {
        let own = "name a phoenix that runs there with `--node-binary FILE`: a static build runs on every Linux of its machine";
        Some(match self {
            SshError::Address { .. } => "an address is `ssh://[user@]host[:port]`".to_owned(),
            SshError::NoClient { .. } => "install OpenSSH's client".to_owned(),
            SshError::Unreachable { words, .. } => return for_words(words).map(str::to_owned),
            SshError::NotRoot { .. } => {
                "name root: `--host ssh://root@HOST`, or `User root` in ~/.ssh/config".to_owned()
            }
            SshError::NoProxmox { .. } => "try the emulated node with `--sandbox`, or name another host".to_owned(),
            SshError::OtherMachine { .. } | SshError::CannotRun { .. } => own.to_owned(),
            SshError::OtherVersion { .. } => "`--node-binary FILE` must name the same version".to_owned(),
            SshError::NotCopied { .. } => "it goes to /var/lib/phoenix/bin, which takes some 15 MB".to_owned(),
            SshError::Foreign { .. } => "does a start file of root's shell there start something else?".to_owned(),
            SshError::Binary { .. } | SshError::Interrupted => return None,
        })
    }
}

/// What to do about what ssh says often.
fn for_words(words: &str) -> Option<&'static str> {
    const HINTS: [(&str, &str); 7] = [
        (
            "REMOTE HOST IDENTIFICATION HAS CHANGED",
            "the node's key is another one than known_hosts has. If it was reinstalled, `ssh-keygen -R HOST` forgets the \
             old key; if not, somebody else may be answering",
        ),
        (
            "Host key verification failed",
            "its key is not in known_hosts: log in once with `ssh HOST` and compare the fingerprint with the node's own \
             (`ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` on its console)",
        ),
        (
            "Permission denied",
            "a key of yours must open root there: `ssh-copy-id root@HOST`, or `ssh-add` for the agent",
        ),
        ("Could not resolve hostname", "hosts are found by DNS, /etc/hosts and ~/.ssh/config"),
        ("Connection refused", "nothing listens there: is it the right port?"),
        ("timed out", "nothing answers there: is the node up, and no firewall in between?"),
        ("ssh: not found", "install OpenSSH's client"),
    ];
    HINTS.iter().find(|(text, _)| words.contains(text)).map(|(_, hint)| *hint)
}
