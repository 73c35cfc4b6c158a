//! What a question to a guest costs: over its channel, and beside it by one process per question, as a ratio in the same run.
//! What one to a node costs over an ssh session, and by one `ssh` of its own.
//!
//! Needs what the tests with containers need (root, and the packages that `tests/run` installs); takes about a minute.

use std::hint::black_box;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use phoenix::host::Host as _;
use phoenix::host::interrupt::Interrupt;
use phoenix::host::local::Local;
use phoenix::op::{Attributes, Content, Exec, Op, Place};

#[path = "../tests/support/agent.rs"]
#[allow(clippy::unwrap_used, dead_code, reason = "shared with the tests, which use more of it")]
mod agent;
#[path = "../tests/support/container.rs"]
#[allow(clippy::unwrap_used, dead_code, reason = "shared with the tests, which use more of it")]
mod container;
#[path = "../tests/support/sshd.rs"]
#[allow(clippy::unwrap_used, dead_code, reason = "shared with the tests, which use more of it")]
mod sshd;

/// How many questions a feature asks in one breath.
const BATCH: usize = 20;

fn stat() -> Op {
    Op::Stat { path: "/etc/hostname".to_owned() }
}

fn exec() -> Op {
    Op::Exec(Exec {
        argv: vec!["true".to_owned()],
        env: Default::default(),
        cwd: None,
        stdin: None,
        user: None,
        timeout: Duration::from_secs(10),
        effect: phoenix::command::Effect::Read,
    })
}

fn write() -> Op {
    let content = Content::Bytes(vec![b'x'; 1000].into());
    Op::Write { path: "/srv/file".to_owned(), content, attributes: Attributes::default(), guard: None }
}

/// Medians of both ways to do the same, in turn, so that whatever else the machine does hits both.
fn beside(what: &str, mut channel: impl FnMut(), name: &str, mut processes: impl FnMut()) {
    let time = |act: &mut dyn FnMut()| {
        let begun = Instant::now();
        act();
        begun.elapsed()
    };
    let mut times: [Vec<Duration>; 2] = Default::default();
    for _ in 0..9 {
        times[0].push(time(&mut channel));
        times[1].push(time(&mut processes));
    }
    let [ours, theirs] = times.map(|mut times| {
        times.sort_unstable();
        times[times.len() / 2]
    });
    let ratio = theirs.as_secs_f64() / ours.as_secs_f64();
    println!("{what}: {ours:.1?} over the channel, {theirs:.1?} by {name}: {ratio:.1} times\n");
}

fn channel(criterion: &mut Criterion) {
    let container = container::Container::boot();
    let host = Local::new(Interrupt::new()).expect("threads for a runtime");
    let ask = |ops: &[Op]| host.perform(container.place(), ops).expect("an answer");
    let id = container.id().to_string();
    let attach = |words: &[&str]| {
        let mut command = Command::new("lxc-attach");
        command.args(["-n", &id, "--clear-env", "--"]).args(words).output().expect("lxc-attach")
    };
    let mut group = criterion.benchmark_group("container");
    for (name, op) in [("stat", stat()), ("write", write()), ("true", exec())] {
        let ops = [op];
        group.bench_function(name, |bench| bench.iter(|| black_box(ask(&ops))));
    }
    group.bench_function("stat by lxc-attach", |bench| {
        bench.iter(|| black_box(attach(&["stat", "/etc/hostname"])));
    });
    let hundred: Vec<Op> = (0..100).map(|_| stat()).collect();
    group.bench_function("100 stats in one batch", |bench| bench.iter(|| black_box(ask(&hundred))));
    group.finish();

    let name = format!("{BATCH} lxc-attach");
    let times = |act: &dyn Fn()| (0..BATCH).for_each(|_| act());
    for (what, op, words) in
        [("stats", stat(), &["stat", "/etc/hostname"][..]), ("runs of `true`", exec(), &["true"][..])]
    {
        let ops: Vec<Op> = (0..BATCH).map(|_| op.clone()).collect();
        let one_by_one = || times(&|| _ = black_box(attach(words)));
        beside(&format!("container, {BATCH} {what} in one batch"), || _ = black_box(ask(&ops)), &name, one_by_one);
        let single = || times(&|| _ = black_box(ask(&ops[..1])));
        beside(&format!("container, {BATCH} {what} one after the other"), single, &name, one_by_one);
    }
}

/// One program by the agent, as its protocol has it and `qm guest exec` does it, but without what `qm` takes by itself.
fn guest_exec(socket: &Path, program: &str, argument: &str) {
    let mut stream = UnixStream::connect(socket).expect("the agent listens");
    let mut lines = BufReader::new(stream.try_clone().expect("another handle"));
    let mut ask = |request: serde_json::Value| {
        stream.write_all(format!("{request}\n").as_bytes()).expect("it takes requests");
        let mut line = String::new();
        lines.read_line(&mut line).expect("it answers");
        serde_json::from_str::<serde_json::Value>(&line).expect("JSON")["return"].take()
    };
    ask(serde_json::json!({ "execute": "guest-sync", "arguments": { "id": 7 } }));
    let begin = serde_json::json!({ "path": program, "arg": [argument], "capture-output": true });
    let begun = ask(serde_json::json!({ "execute": "guest-exec", "arguments": begin }));
    let look = serde_json::json!({ "execute": "guest-exec-status", "arguments": { "pid": begun["pid"] } });
    while ask(look.clone())["exited"] != true {
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The shell starts anew for each batch, so small questions belong together.
fn guest_agent(criterion: &mut Criterion) {
    let agent = agent::Agent::boot();
    let host = agent.host();
    let ask = |ops: &[Op]| host.perform(agent.place(), ops).expect("an answer");
    let mut group = criterion.benchmark_group("guest agent");
    for count in [1, 100] {
        let ops: Vec<Op> = (0..count).map(|_| stat()).collect();
        group.bench_function(format!("{count} stats in one batch"), |bench| bench.iter(|| black_box(ask(&ops))));
    }
    let changes = [write(), Op::Exec(Exec { effect: phoenix::command::Effect::Change, ..plain(exec()) })];
    group.bench_function("a change that runs apart", |bench| bench.iter(|| black_box(ask(&changes))));
    group.bench_function("stat by guest-exec", |bench| {
        bench.iter(|| guest_exec(&agent.socket(), "/usr/bin/stat", "/etc/hostname"));
    });
    group.finish();

    let ops: Vec<Op> = (0..BATCH).map(|_| stat()).collect();
    let one_by_one = || (0..BATCH).for_each(|_| guest_exec(&agent.socket(), "/usr/bin/stat", "/etc/hostname"));
    let name = format!("{BATCH} guest-exec");
    beside(&format!("guest agent, {BATCH} stats in one batch"), || _ = black_box(ask(&ops)), &name, one_by_one);
}

fn plain(op: Op) -> Exec {
    match op {
        Op::Exec(exec) => exec,
        other => unreachable!("{other} is no program"),
    }
}

fn ssh(criterion: &mut Criterion) {
    let node = sshd::Sshd::start();
    let host = node.open();
    let mut group = criterion.benchmark_group("ssh");
    for (name, count) in [("stat over the session", 1), ("100 stats in one batch", 100)] {
        let ops: Vec<Op> = (0..count).map(|_| stat()).collect();
        group.bench_function(name, |bench| {
            bench.iter(|| black_box(host.perform(Place::Node, &ops).expect("an answer")));
        });
    }
    group.bench_function("a program over the session", |bench| {
        let command = phoenix::command::Command::read("stat", ["/etc/hostname"]);
        bench.iter(|| black_box(host.run(&command).expect("an answer")));
    });
    group.sample_size(10);
    group.bench_function("stat by ssh", |bench| {
        bench.iter(|| black_box(node.sh("stat /etc/hostname")));
    });
    group.bench_function("opening a session", |bench| {
        bench.iter(|| black_box(node.open()));
    });
    group.finish();
}

criterion_group!(benches, channel, guest_agent, ssh);
criterion_main!(benches);
