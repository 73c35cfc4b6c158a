//! What is refused before anything is done, with what to do.

use std::fs;
use std::path::Path;

use phoenix::host::interrupt::Interrupt;
use phoenix::host::ssh::SshError;

use crate::support::sshd::{Setup, Sshd, node_binary};

/// The refusal of this address.
fn refused(sshd: &Sshd, url: &str, binary: &Path) -> (String, String) {
    let error = sshd.try_open(url, Some(binary), &Interrupt::new()).err().expect("a refusal");
    (error.to_string(), error.hint().unwrap_or_default())
}

#[test]
fn an_unknown_key_and_a_changed_one_are_no_nodes() {
    let sshd = Sshd::start();
    let port = sshd.port();
    fs::write(sshd.path("known_hosts"), "").unwrap();
    let (error, hint) = refused(&sshd, &sshd.url(), node_binary());
    assert!(error.contains("Host key verification failed."), "{error}");
    assert!(hint.contains("log in once with `ssh HOST` and compare the fingerprint"), "{hint}");
    let other = fs::read_to_string(sshd.path("other_key.pub")).unwrap();
    fs::write(sshd.path("known_hosts"), format!("[127.0.0.1]:{port} {other}")).unwrap();
    let (error, hint) = refused(&sshd, &sshd.url(), node_binary());
    assert!(error.contains("REMOTE HOST IDENTIFICATION HAS CHANGED"), "{error}");
    assert!(hint.contains("`ssh-keygen -R HOST`"), "{hint}");
}

#[test]
fn who_may_not_log_in_and_where_nobody_answers() {
    let sshd = Sshd::start();
    fs::write(sshd.path("authorized_keys"), "").unwrap();
    let (error, hint) = refused(&sshd, &sshd.url(), node_binary());
    assert!(error.contains("Permission denied (publickey)"), "{error}");
    assert!(hint.contains("`ssh-copy-id root@HOST`"), "{hint}");
    let (error, hint) = refused(&sshd, "ssh://root@127.0.0.1:1", node_binary());
    assert!(
        error.starts_with("root@127.0.0.1:1 cannot be reached: ") && error.contains("Connection refused"),
        "{error}"
    );
    assert!(hint.contains("the right port"), "{hint}");
}

#[test]
fn only_root_acts_on_a_node_and_only_on_one() {
    let sshd = Sshd::start();
    let anna = sshd.url().replace("root@", "anna@");
    let (error, hint) = refused(&sshd, &anna, node_binary());
    assert!(error.ends_with("phoenix must be root on the node, and is `anna` there"), "{error}");
    assert!(hint.contains("ssh://root@HOST"), "{hint}");
    drop(sshd);
    let sshd = Sshd::with(&Setup { no_proxmox: true, ..Setup::default() });
    let (error, hint) = refused(&sshd, &sshd.url(), node_binary());
    assert!(error.ends_with("is no Proxmox VE node: it has no /etc/pve"), "{error}");
    assert!(hint.contains("--sandbox"), "{hint}");
    assert!(!sshd.path("world").exists());
    assert_eq!(sshd.sh("ls -A /var/lib/phoenix").stdout, b"", "nothing is copied to what is no node");
}

#[test]
fn a_program_that_cannot_run_there_is_told_so() {
    let sshd = Sshd::start();
    let other = sshd.path("phoenix-arm");
    let mut bytes = fs::read(node_binary()).unwrap();
    bytes[18] = 183;
    fs::write(&other, &bytes).unwrap();
    let (error, hint) = refused(&sshd, &sshd.url(), &other);
    assert!(error.ends_with(&format!("is x86_64, and {} is built for aarch64", other.display())), "{error}");
    assert!(hint.contains("--node-binary FILE"), "{hint}");
    // Of the right machine, but not whole.
    bytes[18] = 62;
    fs::write(&other, &bytes[..4096]).unwrap();
    let (error, hint) = refused(&sshd, &sshd.url(), &other);
    assert!(error.contains("phoenix does not run on the node: "), "{error}");
    assert!(hint.contains("--node-binary FILE"), "{hint}");
    // For another C library: its loader is not there.
    let loader = b"/lib64/ld-linux-x86-64.so.2";
    bytes = fs::read(node_binary()).unwrap();
    let at = bytes.windows(loader.len()).position(|window| window == loader).unwrap();
    bytes[at + 5] = b'X';
    fs::write(&other, &bytes).unwrap();
    let (error, _) = refused(&sshd, &sshd.url(), &other);
    assert!(error.contains("phoenix does not run on the node: ") && error.contains("not found"), "{error}");
    // What another program says is no session either.
    fs::copy("/bin/true", &other).unwrap();
    let (error, _) = refused(&sshd, &sshd.url(), &other);
    assert!(error.contains("cannot be reached: "), "{error}");
    assert_eq!(
        sshd.try_open(&sshd.url(), Some(Path::new("/nowhere")), &Interrupt::new())
            .err()
            .map(|error| error.to_string())
            .as_deref(),
        Some("/nowhere: No such file or directory (os error 2)")
    );
}

#[test]
fn the_program_is_carried_once_and_is_the_right_one_or_comes_again() {
    let sshd = Sshd::start();
    drop(sshd.open());
    let there =
        || String::from_utf8(sshd.sh("cd /var/lib/phoenix/bin && stat -c '%n %a %i' phoenix-*").stdout).unwrap();
    let first = there();
    assert!(first.contains(" 700 "), "{first}");
    drop(sshd.open());
    assert_eq!(there(), first, "it was carried twice");
    // Damaged there: noticed, and carried again.
    sshd.sh("cd /var/lib/phoenix/bin && echo damage >>$(ls phoenix-*) && touch phoenix-of-old .phoenix-cut-off && touch -d -2hours .phoenix-cut-off");
    drop(sshd.open());
    assert_eq!(there().lines().count(), 1, "{}", there());
    assert_ne!(there(), first);
    assert_eq!(sshd.sh("ls -A /var/lib/phoenix/bin | wc -l").stdout, b"1\n");
    // No room for it.
    sshd.sh("rm -r /var/lib/phoenix/bin; mount -o remount,size=1M /var/lib/phoenix");
    let (error, hint) = refused(&sshd, &sshd.url(), node_binary());
    assert!(error.contains("could not be copied to the node: ") && error.contains("No space left"), "{error}");
    assert!(hint.contains("/var/lib/phoenix/bin"), "{hint}");
}

#[test]
fn what_a_login_prints_does_no_harm() {
    let bashrc =
        "echo Welcome; printf 'no newline'; echo 'phoenix-node:' ; echo words >&2; head -c 20000 /dev/urandom\n";
    let sshd = Sshd::with(&Setup { bashrc, ..Setup::default() });
    assert!(sshd.sh("true").stdout.starts_with(b"Welcome\n"), "the shell reads its start file");
    let host = sshd.open();
    let output = phoenix::host::Host::run(&host, &phoenix::command::Command::read("echo", ["fine"])).unwrap();
    assert_eq!(output.text(), "fine\n");
    drop(host);
    drop(sshd);
    // A login that never lets anybody work is told with its own words.
    let sshd = Sshd::with(&Setup { bashrc: "echo This account is closed.; exit 3\n", ..Setup::default() });
    let error = sshd.try_open(&sshd.url(), Some(node_binary()), &Interrupt::new()).err();
    assert!(
        matches!(&error, Some(SshError::Unreachable { words, .. }) if words == "This account is closed."),
        "{error:?}"
    );
}
