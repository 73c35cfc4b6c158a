//! What programs and machines may do to a channel, asked of both channels: nothing of it breaks the next call.

use std::time::{Duration, Instant};

use phoenix::command::Effect;
use phoenix::host::local::Local;
use phoenix::host::{Host as _, HostError};
use phoenix::op::{Attributes, Content, Exec, FileKind, Op, OpErrorKind, OpResult, OpValue, Place};
use phoenix::secret::Sealed;

use super::channel::{output, sh};
use super::node;
use crate::support::agent::Agent;
use crate::support::container::{self, Container};

/// A machine and the channel into it.
struct Machine<'a> {
    host: &'a Local,
    place: Place,
    /// For looking at it around the channel.
    container: &'a Container,
}

impl Machine<'_> {
    fn one(&self, op: Op) -> OpResult {
        self.host.perform(self.place, &[op]).unwrap().remove(0)
    }

    fn run(&self, exec: Exec) -> OpResult {
        self.one(Op::Exec(exec))
    }

    fn says(&self, script: &str) -> String {
        output(self.run(sh(script))).text()
    }

    fn kind(&self, op: Op) -> OpErrorKind {
        self.one(op).unwrap_err().kind
    }

    /// It still does what it is told.
    fn goes_on(&self) {
        assert_eq!(self.says("echo on"), "on\n");
    }
}

fn within<T>(limit: u64, act: impl FnOnce() -> T) -> T {
    let begun = Instant::now();
    let done = act();
    assert!(begun.elapsed() < Duration::from_secs(limit), "took {:?}", begun.elapsed());
    done
}

fn limited(millis: u64, script: &str) -> Exec {
    Exec { timeout: Duration::from_millis(millis), ..sh(script) }
}

fn write(path: &str, content: &[u8]) -> Op {
    let content = Content::Bytes(content.into());
    Op::Write { path: path.to_owned(), content, attributes: Attributes::default(), guard: None }
}

fn append(path: &str, bytes: &[u8]) -> Op {
    Op::Append { path: path.to_owned(), bytes: bytes.to_vec(), sync: false }
}

#[test]
fn a_container_does_not_break_its_channel() {
    let container = Container::boot();
    let host = node();
    let machine = Machine { host: &host, place: container.place(), container: &container };
    all(&machine);
    its_places_for_temporary_files_are_missing(&machine);
    a_program_speaks_over_the_channel_itself(&machine);
    machine_without_timeout(&machine);
}

#[test]
fn a_virtual_machine_does_not_break_its_channel() {
    let agent = Agent::boot();
    let host = agent.host();
    let machine = Machine { host: &host, place: agent.place(), container: &agent.container };
    all(&machine);
    its_places_for_temporary_files_are_missing(&machine);
}

fn all(machine: &Machine<'_>) {
    floods(machine);
    nothing_of_a_late_program_stays(machine);
    a_program_that_multiplies(machine);
    a_program_against_its_parents(machine);
    what_looks_like_an_answer(machine);
    no_room_and_no_right_to_write(machine);
    no_room_for_output(machine);
}

/// 200 MB on both streams at once.
fn floods(machine: &Machine<'_>) {
    let flood = "head -c 200000000 /dev/zero >&2 & exec head -c 200000000 /dev/zero";
    for _ in 0..3 {
        let flooded = within(20, || machine.run(sh(flood)));
        assert_eq!(flooded.unwrap_err().kind, OpErrorKind::TooLarge);
    }
    // Nothing of it stays in the machine's memory either.
    let used = machine.container.sh("df -k --output=used /run /dev/shm | tail -n +2 | paste -sd+ | tr -d ' '");
    let used: u64 = used.trim().split('+').map(|part| part.parse::<u64>().unwrap()).sum();
    assert!(used < 4096, "{used} KiB");
    machine.goes_on();
}

fn nothing_of_a_late_program_stays(machine: &Machine<'_>) {
    // What an earlier call left in the background on purpose is somebody else's.
    assert_eq!(machine.says("setsid sleep 9700 >/dev/null 2>&1 </dev/null & echo left"), "left\n");
    let ways = [
        // Its own session, with and without the streams.
        "setsid sleep 9801 & setsid sleep 9802 >/dev/null 2>&1 </dev/null & sleep 9803",
        // Nobody's child, without an environment, as another user.
        "(env -i setsid setpriv --reuid=1 sh -c 'sleep 9804 & exec sleep 9805' >/dev/null 2>&1 &); sleep 9806",
        // One that stays when its parent goes.
        "sh -c 'trap \"\" TERM; sleep 9807' & exec sleep 9808",
        // All of them stubborn.
        "trap '' TERM HUP INT; setsid sh -c 'trap \"\" TERM; sleep 9809; sleep 9809' & sleep 9810; sleep 9810",
    ];
    for way in ways {
        let late = within(12, || machine.run(limited(400, way)));
        assert_eq!(late.unwrap_err().kind, OpErrorKind::Timeout, "{way}");
        assert_eq!(machine.container.sh("pgrep -a -f '^sleep 98[0-9][0-9]' || true"), "", "{way}");
    }
    assert_eq!(machine.says("pkill -c -f '^sleep 970[0]'"), "1\n");
    machine.goes_on();
}

fn a_program_that_multiplies(machine: &Machine<'_>) {
    let bomb = "ulimit -p 300; f() { while :; do f & done; }; f 2>/dev/null; sleep 30";
    let bomb = Exec { user: Some("daemon".to_owned()), ..limited(1500, bomb) };
    // It may fail by itself before its time is over.
    within(25, || _ = machine.run(bomb));
    let until = Instant::now() + Duration::from_secs(5);
    while machine.container.sh("pgrep -c -u daemon || true") != "0\n" {
        assert!(Instant::now() < until, "{}", machine.container.sh("ps -u daemon -o pid,args | head"));
        std::thread::sleep(Duration::from_millis(100));
    }
    machine.goes_on();
}

fn a_program_against_its_parents(machine: &Machine<'_>) {
    let said = output(machine.run(sh("kill -9 $PPID; sleep 0.1; echo alone")));
    assert_eq!(said.code, 137);
    let said = output(machine.run(sh("exec <&- >&- 2>&-; sleep 0.1; exit 5")));
    assert_eq!((said.code, said.stdout.len() + said.stderr.len()), (5, 0));
    machine.goes_on();
    // The shell that answers is the parent of `timeout`.
    let secret = "s3cr3t-that-must-not-stay";
    let murder = "cat; kill -9 $(cut -d' ' -f4 /proc/$PPID/stat); sleep 1";
    let murder = Exec { stdin: Some(Sealed::new(secret, "***")), ..sh(murder) };
    let lost = within(10, || machine.host.perform(machine.place, &[Op::Exec(murder)]));
    assert!(matches!(&lost, Err(HostError::Lost { place, .. }) if *place == machine.place.to_string()), "{lost:?}");
    assert!(!format!("{lost:?}").contains(secret));
    machine.goes_on();
    let search = format!("grep -rls {secret} /run /dev/shm /tmp /var/tmp || true");
    assert_eq!(machine.container.sh(&search), "");
    // Nor does its directory: only the one of the shell that answers now, if it is still there.
    let dirs = machine.container.sh("ls -d /run/phoenix.* /dev/shm/phoenix* 2>/dev/null | wc -l");
    assert!(["0\n", "1\n"].contains(&&*dirs), "{dirs}");
}

fn what_looks_like_an_answer(machine: &Machine<'_>) {
    let frames = b"=0\0=\0=\0\0!not_run no\0\0\0batch\nop read 0 digest /\n\xff\r\n=PQ==\0\0";
    let octal: String = frames.iter().map(|byte| format!("\\{byte:03o}")).collect();
    let said = output(machine.run(sh(&format!("printf '{octal}'; printf '{octal}' >&2"))));
    assert_eq!((said.code, &*said.stdout, &*said.stderr), (0, &frames[..], &frames[..]));
    // Names of files and targets of symlinks too.
    let names = ["!not_run x", "=", "=0\n\n!", " ", "\\000", "op change 0 x\n", "$(id)"];
    let mut ops = vec![Op::MakeDir { path: "/srv/odd".to_owned(), attributes: Attributes::default() }];
    ops.extend(names.map(|name| Op::Link { path: format!("/srv/odd/{name}"), target: name.to_owned() }));
    ops.extend(names.map(|name| Op::Stat { path: format!("/srv/odd/{name}") }));
    ops.push(Op::List { path: "/srv/odd".to_owned() });
    let mut results = machine.host.perform(machine.place, &ops).unwrap();
    let Some(Ok(OpValue::Entries(Some(entries)))) = results.pop() else { panic!("no entries") };
    let mut expected = names.map(str::to_owned);
    expected.sort();
    assert_eq!(entries.iter().map(|entry| entry.name.as_str()).collect::<Vec<_>>(), expected);
    assert!(entries.iter().all(|entry| entry.kind == FileKind::Symlink));
    for (name, result) in names.iter().zip(&results[1 + names.len()..]) {
        let Ok(OpValue::Stat(Some(stat))) = result else { panic!("{result:?}") };
        assert_eq!(stat.target.as_deref(), Some(*name));
    }
}

fn no_room_and_no_right_to_write(machine: &Machine<'_>) {
    machine.container.sh(
        "mkdir -p /srv/full /srv/fixed && mount -t tmpfs -o size=1M none /srv/full && echo old >/srv/full/file && \
         printf 'a line\\n' >/srv/full/log && \
         mount -t tmpfs none /srv/fixed && echo old >/srv/fixed/file && mount -o remount,ro /srv/fixed",
    );
    let large = vec![b'x'; 3_000_000];
    let list = || machine.container.sh("ls -A /srv/full /srv/fixed | tr '\\n' ' '; cat /srv/full/log /srv/*/file");
    let before = list();
    assert_eq!(machine.kind(write("/srv/full/file", &large)), OpErrorKind::NoSpace);
    assert_eq!(machine.kind(write("/srv/full/new", &large)), OpErrorKind::NoSpace);
    // All of what is appended, or nothing.
    assert_eq!(machine.kind(append("/srv/full/log", &large)), OpErrorKind::NoSpace);
    assert_eq!(machine.kind(append("/srv/full/new", &large)), OpErrorKind::NoSpace);
    let attributes = || Attributes { mode: Some(0o700), ..Attributes::default() };
    let path = |name: &str| format!("/srv/fixed/{name}");
    let refused = [
        write(&path("file"), b"new"),
        write(&path("new"), &large),
        append(&path("file"), &large),
        Op::MakeDir { path: path("dir"), attributes: attributes() },
        Op::Link { path: path("link"), target: "/".to_owned() },
        Op::Remove { path: path("file"), recursive: false },
        Op::Remove { path: path("file"), recursive: true },
        Op::Move { from: path("file"), to: path("moved") },
        Op::SetAttributes { path: path("file"), attributes: attributes() },
    ];
    for op in refused {
        assert_eq!(machine.kind(op.clone()), OpErrorKind::PermissionDenied, "{op}");
    }
    assert_eq!(list(), before);
    machine.container.sh("umount /srv/full /srv/fixed");
    machine.goes_on();
}

/// A machine whose memory for temporary files is smaller than what a program writes says so, and loses no end silently.
fn no_room_for_output(machine: &Machine<'_>) {
    machine.container.sh("mount -o remount,size=4M /run && mount -t tmpfs -o size=4M none /dev/shm");
    machine.host.close_channel(machine.place);
    for script in ["head -c 6000000 /dev/zero", "head -c 6000000 /dev/zero >&2; echo end"] {
        assert_eq!(machine.run(sh(script)).unwrap_err().kind, OpErrorKind::NoSpace);
        machine.goes_on();
    }
    let fed = Exec { stdin: Some(Sealed::plain("x".repeat(300_000))), ..sh("wc -c") };
    assert_eq!(output(machine.run(fed)).text(), "300000\n");
    machine.container.sh("umount /dev/shm && mount -o remount,size=50% /run");
    machine.host.close_channel(machine.place);
}

fn its_places_for_temporary_files_are_missing(machine: &Machine<'_>) {
    machine.host.close_channel(machine.place);
    // The first of them cannot be written to, the others run no programs.
    machine
        .container
        .sh("mount -t tmpfs -o ro none /dev/shm && mount -o remount,noexec /run && mount -t tmpfs -o noexec none /tmp");
    machine.goes_on();
    machine.host.close_channel(machine.place);
    // In containers, where it is another one.
    machine.container.sh("mount -o remount,ro /run; umount /dev/shm");
    machine.goes_on();
    machine.host.close_channel(machine.place);
    machine.container.sh("mount -o remount,rw,exec /run && umount /tmp");
    machine.goes_on();
}

/// Root can find the channel; what comes over it then is no answer, and is not taken into memory without end.
fn a_program_speaks_over_the_channel_itself(machine: &Machine<'_>) {
    let channel = "/proc/$(cut -d' ' -f4 /proc/$PPID/stat)/fd/4";
    for speech in ["echo mine", "tr '\\000' = </dev/zero"] {
        let lost = within(15, || machine.host.perform(machine.place, &[Op::Exec(sh(&format!("{speech} >{channel}")))]));
        assert!(matches!(lost, Err(HostError::Lost { .. })), "{lost:?}");
        machine.goes_on();
    }
}

fn machine_without_timeout(machine: &Machine<'_>) {
    machine.host.close_channel(machine.place);
    machine.container.sh("mv /usr/bin/timeout /usr/bin/timeout.away");
    let refused = machine.run(sh("true")).unwrap_err();
    assert!(refused.message.contains("`timeout`"), "{refused}");
    assert_eq!(machine.one(write("/srv/still", b"works")), Ok(OpValue::Done));
    machine.container.sh("mv /usr/bin/timeout.away /usr/bin/timeout");
    machine.host.close_channel(machine.place);
    machine.goes_on();
}

#[test]
fn a_thousand_batches_over_one_channel() {
    let container = Container::boot();
    let host = node();
    batches(&host, container.place(), 1000);
}

#[test]
#[ignore = "long: 1,000 programs of an agent, one after the other"]
fn a_thousand_batches_over_an_agent() {
    let agent = Agent::boot();
    batches(&agent.host(), agent.place(), 1000);
    assert_eq!(agent.container.sh("ls /dev/shm"), "");
}

fn batches(host: &Local, place: Place, count: u32) {
    let begun = Instant::now();
    host.perform(place, &[write("/srv/log", b"")]).unwrap();
    for round in 0..count {
        let read = Op::Read { path: "/srv/log".to_owned(), limit: 100_000 };
        let line = format!("{round}\n");
        let results = host.perform(place, &[append("/srv/log", line.as_bytes()), read]).unwrap();
        let Ok(OpValue::Bytes(Some(bytes))) = &results[1] else { panic!("{results:?}") };
        assert!(bytes.ends_with(line.as_bytes()));
    }
    println!("{count} batches took {:?}", begun.elapsed());
}

#[test]
fn a_guest_that_was_started_again_is_entered_by_a_fresh_channel() {
    let container = Container::boot();
    let host = node();
    let machine = Machine { host: &host, place: container.place(), container: &container };
    machine.goes_on();
    let ops: Vec<Op> =
        (0..1000).map(|at| if at == 500 { Op::Exec(sh("sleep 15")) } else { write("/srv/x", b"x") }).collect();
    let lost = std::thread::scope(|scope| {
        let running = scope.spawn(|| host.perform(container.place(), &ops));
        while container.sh("pgrep -c -f '^sleep 1[5]' || true") == "0\n" {
            std::thread::sleep(Duration::from_millis(50));
        }
        container.kill();
        within(5, || running.join().unwrap())
    });
    let Err(HostError::Lost { place, .. }) = lost else { panic!("{lost:?}") };
    assert_eq!(place, container.place().to_string());
    container.start();
    machine.goes_on();
}

/// In one boot: what becomes of a batch whose agent is ended in the middle.
#[test]
fn an_agent_may_be_ended_by_what_it_runs() {
    let agent = Agent::boot();
    let host = agent.host();
    let machine = Machine { host: &host, place: agent.place(), container: &agent.container };
    let restart = "systemctl restart qemu-guest-agent";
    assert_eq!(machine.says(&format!("{restart}; echo back")), "back\n");
    assert_eq!(machine.says(&format!("{restart}; sleep 1; {restart}; echo twice")), "twice\n");
    // In the middle of much: carried in pieces, answered in pieces, with changes before and after.
    let large = vec![b'x'; 1_000_000];
    let results = host.perform(
        agent.place(),
        &[
            write("/srv/before", &large),
            Op::Exec(sh(restart)),
            Op::Exec(sh("head -c 3000000 /dev/zero")),
            write("/srv/after", b"after"),
        ],
    );
    let mut results = results.unwrap().into_iter();
    assert_eq!(results.next(), Some(Ok(OpValue::Done)));
    assert_eq!(output(results.next().unwrap()).code, 0);
    assert_eq!(output(results.next().unwrap()).stdout.len(), 3_000_000);
    assert_eq!(results.next(), Some(Ok(OpValue::Done)));
    // By name, as scripts do it.
    let unit = Op::Unit { name: "qemu-guest-agent.service".to_owned(), action: phoenix::op::UnitAction::Restart };
    assert_eq!(machine.one(unit), Ok(OpValue::Done));
    // From outside, in the middle.
    let survived = std::thread::scope(|scope| {
        let running = scope.spawn(|| machine.says("sleep 2; echo survived"));
        std::thread::sleep(Duration::from_millis(800));
        agent.container.sh("systemctl kill -s KILL qemu-guest-agent");
        running.join().unwrap()
    });
    assert_eq!(survived, "survived\n");
    assert_eq!(agent.container.sh("ls -A /dev/shm"), "");

    // What only looks ends with the agent. Of what it was given nothing stays, also before the next batch.
    let secret = "s3cr3t-that-must-not-stay ";
    for size in [1, 40_000] {
        let looks = Exec {
            stdin: Some(Sealed::new(secret.repeat(size), "***")),
            effect: Effect::Read,
            ..sh("cat >/dev/null; sleep 16")
        };
        let lost = std::thread::scope(|scope| {
            let running = scope.spawn(|| host.perform(agent.place(), &[Op::Exec(looks)]));
            while agent.container.sh("pgrep -c -f '^sleep 1[6]' || true") == "0\n" {
                std::thread::sleep(Duration::from_millis(50));
            }
            agent.container.sh("systemctl kill -s KILL qemu-guest-agent");
            running.join().unwrap()
        });
        assert!(matches!(lost, Err(HostError::Lost { .. })), "{lost:?}");
        assert_eq!(agent.container.sh(&format!("grep -rls {} /run /dev/shm || true", secret.trim())), "");
        machine.goes_on();
        assert_eq!(agent.container.sh("ls -A /dev/shm"), "", "the next batch tidies up");
    }
    // What somebody left behind long ago goes, what is carried in right now stays.
    agent
        .container
        .sh("cd /dev/shm && mkdir -m 700 phoenix-000000000000000000000001 phoenix-000000000000000000000002 && \
         echo secret >phoenix-000000000000000000000001/calls && touch -d '1 hour ago' phoenix-*1/calls phoenix-*1");
    machine.goes_on();
    assert_eq!(agent.container.sh("ls -A /dev/shm"), "phoenix-000000000000000000000002\n");
}

/// Sends a signal to everything that runs in a container, from outside: all of it stands still, as in a machine without a
/// processor.
fn signal_all(container: &Container, signal: &str) {
    let script = format!(
        "space=$(readlink /proc/$(lxc-info -p -H -n {})/ns/pid)
         for process in /proc/[0-9]*; do
             if [ \"$(readlink $process/ns/pid)\" = \"$space\" ]; then kill -{signal} ${{process#/proc/}} || true; fi
         done 2>/dev/null",
        container.id()
    );
    container::sh(&script);
}

#[test]
#[ignore = "long: waits for machines that stand still"]
fn a_machine_that_stands_still_is_given_up() {
    let agent = Agent::boot();
    let container = Container::boot();
    let (over_agent, over_shell) = (agent.host(), node());
    let machines = [
        Machine { host: &over_agent, place: agent.place(), container: &agent.container },
        Machine { host: &over_shell, place: container.place(), container: &container },
    ];
    std::thread::scope(|scope| {
        for machine in &machines {
            scope.spawn(|| {
                machine.goes_on();
                let given_up = std::thread::scope(|inner| {
                    let op = Op::Exec(limited(3000, "sleep 2; sleep 10"));
                    let running = inner.spawn(|| within(200, || machine.host.perform(machine.place, &[op])));
                    std::thread::sleep(Duration::from_secs(1));
                    signal_all(machine.container, "STOP");
                    running.join().unwrap()
                });
                println!("{}: {given_up:?}", machine.place);
                assert!(matches!(given_up, Err(HostError::Timeout { .. } | HostError::Lost { .. })), "{given_up:?}");
                signal_all(machine.container, "CONT");
                machine.goes_on();
            });
        }
    });
}
