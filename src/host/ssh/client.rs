//! The system's `ssh`: so the user's configuration, agent, jump hosts and known hosts count.

use std::io::Read;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::SshError;
use super::address::Address;

/// So long a host may take to answer at all, in seconds.
const CONNECT: u32 = 30;
/// After so many seconds of silence the node is asked whether it is there, so often in vain the line is dead.
const ALIVE: (u32, u32) = (15, 3);
/// What ssh said last is kept up to so many bytes.
const SAID: usize = 8 << 10;
/// So long its last words are waited for.
const PATIENCE: Duration = Duration::from_millis(500);

/// Starts ssh with this command line for the node's shell. `terminal`: somebody is there to answer its questions.
pub(super) fn start(client: &Path, address: &Address, command_line: &str, terminal: bool) -> Result<Child, SshError> {
    // Ctrl-C on the terminal reaches every process there. ssh leaves SIGINT alone when it was started so, and still can
    // ask for a passphrase, which it could not in a process group of its own.
    let ignoring = "trap '' INT QUIT; exec \"$0\" \"$@\"";
    Command::new("/bin/sh")
        .args(["-c", ignoring])
        .arg(client)
        .args(arguments(address, command_line, terminal))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| SshError::NoClient { reason: error.to_string() })
}

/// Host keys are checked as the user's configuration says; nothing here loosens that.
fn arguments(address: &Address, command_line: &str, terminal: bool) -> Vec<String> {
    let mut options = vec![
        format!("ConnectTimeout={CONNECT}"),
        format!("ServerAliveInterval={}", ALIVE.0),
        format!("ServerAliveCountMax={}", ALIVE.1),
        // What the user set up for working there by hand would be in the way.
        "ClearAllForwardings=yes".to_owned(),
        "ForwardAgent=no".to_owned(),
        "ForwardX11=no".to_owned(),
        "PermitLocalCommand=no".to_owned(),
        "RemoteCommand=none".to_owned(),
        "RequestTTY=no".to_owned(),
    ];
    if !terminal {
        options.push("BatchMode=yes".to_owned());
    }
    let mut words: Vec<String> = options.into_iter().flat_map(|option| ["-o".to_owned(), option]).collect();
    if let Some(port) = address.port {
        words.extend(["-p".to_owned(), port.to_string()]);
    }
    if let Some(user) = &address.user {
        words.extend(["-l".to_owned(), user.clone()]);
    }
    words.extend(["--".to_owned(), address.host.clone(), command_line.to_owned()]);
    words
}

/// What ssh, and the program on the node, said on standard error: the end of it.
#[derive(Clone, Default)]
pub(super) struct Said(Arc<Mutex<Words>>);

#[derive(Default)]
struct Words {
    bytes: Vec<u8>,
    ended: bool,
}

impl Said {
    /// Collects until the stream ends.
    pub(super) fn collect(mut from: ChildStderr) -> Said {
        let said = Said::default();
        let into = said.clone();
        let collecting = std::thread::Builder::new().name("ssh's words".to_owned()).spawn(move || {
            let mut chunk = [0; 1024];
            while let Ok(count @ 1..) = from.read(&mut chunk) {
                let bytes = &mut into.words().bytes;
                bytes.extend_from_slice(&chunk[..count]);
                let beyond = bytes.len().saturating_sub(SAID);
                bytes.drain(..beyond);
            }
            into.words().ended = true;
        });
        // Without a thread for it ssh's words are lost, and nothing else.
        drop(collecting);
        said
    }

    fn words(&self) -> MutexGuard<'_, Words> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All that was kept, once ssh is ending. A shared connection of the user's may hold the stream open for longer.
    pub(super) fn text(&self) -> String {
        let until = Instant::now() + PATIENCE;
        while !self.words().ended && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(2));
        }
        String::from_utf8_lossy(&self.words().bytes).replace('\r', "").trim().to_owned()
    }

    /// The last line.
    pub(super) fn last(&self) -> Option<String> {
        self.text().lines().next_back().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_stands_behind_all_options_and_keys_are_checked() {
        let address: Address = "ssh://root@[2001:db8::2]:2222".parse().unwrap();
        let words = arguments(&address, "exec x", false);
        let end = ["-p", "2222", "-l", "root", "--", "2001:db8::2", "exec x"];
        assert_eq!(words[words.len() - end.len()..], end);
        assert!(words.contains(&"BatchMode=yes".to_owned()));
        assert!(!words.iter().any(|word| word.contains("HostKey") || word.contains("KnownHosts")), "{words:?}");
        let asked = arguments(&"ssh://pve".parse().unwrap(), "exec x", true);
        assert!(!asked.contains(&"BatchMode=yes".to_owned()));
        assert_eq!(asked[asked.len() - 3..], ["--", "pve", "exec x"]);
    }
}
