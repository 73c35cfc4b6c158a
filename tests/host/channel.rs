//! A real container's channel under stress: what a model cannot show.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use phoenix::command::Output;
use phoenix::host::local::Local;
use phoenix::host::{Host as _, HostError};
use phoenix::op::{Attributes, Content, Exec, Op, OpErrorKind, OpResult, OpValue, Place};
use phoenix::secret::Sealed;

use super::node;
use crate::support::container::Container;

pub fn sh(script: &str) -> Exec {
    Exec {
        argv: vec!["sh".to_owned(), "-c".to_owned(), script.to_owned()],
        env: BTreeMap::new(),
        cwd: None,
        stdin: None,
        user: None,
        timeout: Duration::from_secs(20),
        effect: phoenix::command::Effect::Change,
    }
}

pub fn output(result: OpResult) -> Output {
    match result {
        Ok(OpValue::Output(output)) => output,
        other => panic!("no output: {other:?}"),
    }
}

#[test]
fn a_channel_bears_what_programs_do() {
    let container = Container::boot();
    bears(&node(), container.place(), &container, "HOME LANG LC_ALL LOGNAME PATH PWD USER container");
}

/// One boot for all of them: they do not get in each other's way. `environment` is what a program finds there.
pub fn bears(host: &Local, place: Place, container: &Container, environment: &str) {
    let perform = |ops: Vec<Op>| host.perform(place, &ops).unwrap();
    let run = |exec: Exec| perform(vec![Op::Exec(exec)]).remove(0);

    // Binary on both streams, code and signal.
    let said = output(run(sh("printf 'a\\0b\\377'; printf '\\0\\n' >&2; exit 3")));
    assert_eq!((said.code, &*said.stdout, &*said.stderr), (3, &b"a\0b\xff"[..], &b"\0\n"[..]));
    assert_eq!(output(run(sh("kill -9 $$"))).code, 137);
    let missing = Exec { argv: vec!["no-such-program".to_owned()], ..sh("") };
    assert_eq!(output(run(missing)).code, 127);

    // Odd arguments and environment; a clean environment otherwise.
    let odd = ["two words", "new\nline", "$(id) `id`", "'\"\\", "-n", "", "*", "grün 雪\n"];
    let argv = ["printf", "%s|"].into_iter().chain(odd).map(str::to_owned).collect();
    assert_eq!(output(run(Exec { argv, ..sh("") })).text(), format!("{}|", odd.join("|")));
    let env = odd.iter().enumerate().map(|(index, value)| (format!("ODD_{index}"), Sealed::plain(*value))).collect();
    let said = output(run(Exec { env, ..sh("printf '%s|' \"$ODD_0\" \"$ODD_1\" \"$ODD_2\" \"$ODD_7\"") }));
    assert_eq!(said.text(), format!("{}|{}|{}|{}|", odd[0], odd[1], odd[2], odd[7]));
    let names = ["user", "dir", "seconds", "timeout", "code", "PATH"];
    let env = names.iter().map(|name| ((*name).to_owned(), Sealed::plain("/opt"))).collect();
    let said = output(run(Exec { env, argv: vec!["/usr/bin/env".to_owned()], ..sh("") })).text();
    assert!(names.iter().all(|name| said.lines().any(|line| line == format!("{name}=/opt"))), "{said}");
    let said = output(run(sh("env | cut -d= -f1 | grep -v TERM | sort | tr '\\n' ' '; pwd; umask"))).text();
    assert_eq!(said, format!("{environment} /\n0022\n"));

    // Another user, with his own home and groups, in a directory of his choice.
    let said = output(run(Exec {
        user: Some("daemon".to_owned()),
        cwd: Some("/tmp".to_owned()),
        ..sh("id; echo $HOME $USER; pwd")
    }));
    assert_eq!(said.text(), "uid=1(daemon) gid=1(daemon) groups=1(daemon)\n/usr/sbin daemon\n/tmp\n");

    // Large input, all of it or none of it read.
    let large = "0123456789abcdef".repeat(1 << 19);
    let fed = |script: &str| Exec { stdin: Some(Sealed::plain(&large)), ..sh(script) };
    assert!(output(run(fed("cat"))).text() == large, "8 MiB came back as they went");
    assert_eq!(output(run(fed("echo unread"))).text(), "unread\n");

    // A secret is on no command line while it is used, and its file is nobody else's.
    let secret = || Sealed::new("s3cr3t-value", "***");
    let search = "tr '\\0' ' ' </proc/self/environ >/dev/null; for p in /proc/[0-9]*; do tr '\\0' ' ' <$p/cmdline 2>/dev/null; done | grep -c 's3cr3t-v[a]lue'";
    let env = BTreeMap::from([("TOKEN".to_owned(), secret())]);
    assert_eq!(output(run(Exec { env, stdin: Some(secret()), ..sh(search) })).text(), "0\n");

    // Many small writes are no less than one large one.
    let said = output(run(sh("i=0; while [ $i -lt 2000 ]; do echo line $i; i=$((i + 1)); done")));
    assert_eq!(said.text().lines().count(), 2000);

    // Floods end in an error and in bounded memory; the channel goes on.
    let flood = run(sh("yes >&2 & exec yes"));
    assert_eq!(flood.unwrap_err().kind, OpErrorKind::TooLarge);
    let most = output(run(sh("head -c 16777216 /dev/zero")));
    assert_eq!(most.stdout.len(), 16 << 20);

    // A time limit ends the whole group, also if it does not want to go.
    let start = Instant::now();
    let stubborn = Exec { timeout: Duration::from_millis(500), ..sh("trap '' TERM; sleep 9731 & sleep 9731") };
    assert_eq!(run(stubborn).unwrap_err().kind, OpErrorKind::Timeout);
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    assert_eq!(output(run(sh("pgrep -c -f '^sleep 973[1]'"))).text(), "0\n");

    // A child that keeps the output open does not hold it up, and gets no say later.
    let start = Instant::now();
    let said = output(run(sh("(sleep 1; echo late; sleep 60) & echo early")));
    assert_eq!(said.text(), "early\n");
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    std::thread::sleep(Duration::from_millis(1200));
    assert_eq!(output(run(sh("echo next"))).text(), "next\n");

    // A batch is one stream, whatever fails in it; nothing is lost behind payloads that nobody took.
    let content = || Content::Bytes(vec![b'x'; 300_000].into());
    let write = |path: &str| Op::Write {
        path: path.to_owned(),
        content: content(),
        attributes: Attributes::default(),
        guard: None,
    };
    let digest = |path: &str| Op::Digest { path: path.to_owned() };
    for _ in 0..3 {
        let results = perform(vec![write("/no/such/place"), write("/srv/a"), digest("/srv/a")]);
        let kinds: Vec<_> = results.into_iter().map(|result| result.unwrap_err().kind).collect();
        assert_eq!(kinds, [OpErrorKind::NotFound, OpErrorKind::NotRun, OpErrorKind::NotRun]);
        let results = perform(vec![write("/srv/a"), write("/dev/full/x")]);
        assert_eq!(results[1].as_ref().unwrap_err().kind, OpErrorKind::NotADirectory);
    }

    // A full disk leaves nothing behind and the channel in step.
    container.sh("mkdir -p /srv/small && mount -t tmpfs -o size=100k none /srv/small");
    let full = perform(vec![write("/srv/small/file")]).remove(0).unwrap_err();
    assert_eq!(full.kind, OpErrorKind::NoSpace, "{full}");
    let list = Op::List { path: "/srv/small".to_owned() };
    assert_eq!(perform(vec![list.clone()]).remove(0), Ok(OpValue::Entries(Some(Vec::new()))));
    // What is mounted below is not removed with a directory.
    container.sh("echo kept >/srv/small/data");
    assert!(perform(vec![Op::Remove { path: "/srv".to_owned(), recursive: true }]).remove(0).is_err());
    assert_eq!(container.sh("cat /srv/small/data"), "kept\n");

    // A file of the node goes over by its digest.
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), vec![7; 3_000_000]).unwrap();
    let node_file = |sha256: &str| Op::Write {
        path: "/opt/big".to_owned(),
        content: Content::NodeFile { path: file.path().to_str().unwrap().to_owned(), sha256: sha256.to_owned() },
        attributes: Attributes::default(),
        guard: None,
    };
    assert_eq!(perform(vec![node_file("00")]).remove(0).unwrap_err().kind, OpErrorKind::Conflict);
    let hex: String = ring::digest::digest(&ring::digest::SHA256, &[7; 3_000_000])
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let results = perform(vec![node_file(&hex), digest("/opt/big")]);
    assert_eq!(results[1], Ok(OpValue::Digest(Some(hex))));

    // An op means one unit, never a pattern.
    let pattern = Op::Units { names: vec!["*.service".to_owned()] };
    assert_eq!(perform(vec![pattern]).remove(0).unwrap_err().kind, OpErrorKind::Failed);

    // A thousand operations in one round trip.
    let stats: Vec<Op> = (0..1000).map(|index| Op::Stat { path: format!("/srv/nothing-{index}") }).collect();
    let start = Instant::now();
    assert!(perform(stats).iter().all(|result| *result == Ok(OpValue::Stat(None))));
    println!("a batch of 1,000 ops took {:?}", start.elapsed());

    // Nothing of the channel stays behind when it is closed, and the next batch opens another.
    host.close_channel(place);
    assert_eq!(
        container.sh(
            "ls -d /run/phoenix.* /dev/shm/phoenix-* 2>/dev/null | wc -l; pgrep -c -f 'sh -c # The far [e]nd' || true"
        ),
        "0\n0\n"
    );
    assert_eq!(output(run(sh("echo again"))).text(), "again\n");
}

#[test]
fn a_guest_that_dies_in_the_middle_is_lost_and_then_unreachable() {
    let container = Container::boot();
    let host = node();
    let place = container.place();
    host.perform(place, &[Op::Os]).unwrap();
    let result = std::thread::scope(|scope| {
        let running = scope.spawn(|| host.perform(place, &[Op::Exec(sh("sleep 15"))]));
        std::thread::sleep(Duration::from_millis(300));
        container.kill();
        running.join().unwrap()
    });
    assert!(matches!(result, Err(HostError::Lost { .. })), "{result:?}");
    let result = host.perform(place, &[Op::Os]);
    assert!(matches!(result, Err(HostError::Unreachable { .. })), "{result:?}");
}
