//! What a question to a guest costs: over the channel, and by one `lxc-attach` of its own; and by a guest agent. What one
//! to a node costs over an ssh session, and by one `ssh` of its own.

use std::hint::black_box;
use std::process::Command;

use criterion::{Criterion, criterion_group, criterion_main};
use phoenix::host::Host as _;
use phoenix::host::interrupt::Interrupt;
use phoenix::host::local::Local;
use phoenix::op::{Op, Place};

#[path = "../tests/support/agent.rs"]
#[allow(clippy::unwrap_used, dead_code, reason = "shared with the tests, which use more of it")]
mod agent;
#[path = "../tests/support/container.rs"]
#[allow(clippy::unwrap_used, dead_code, reason = "shared with the tests, which use more of it")]
mod container;
#[path = "../tests/support/sshd.rs"]
#[allow(clippy::unwrap_used, dead_code, reason = "shared with the tests, which use more of it")]
mod sshd;

fn channel(criterion: &mut Criterion) {
    let container = container::Container::boot();
    let host = Local::new(Interrupt::new()).expect("threads for a runtime");
    let stat = |path: &str| Op::Stat { path: path.to_owned() };
    let ask = |ops: &[Op]| host.perform(container.place(), ops).expect("an answer");
    let id = container.id().to_string();
    let mut group = criterion.benchmark_group("container");
    group.bench_function("stat over the channel", |bench| {
        let ops = [stat("/etc/hostname")];
        bench.iter(|| black_box(ask(&ops)));
    });
    group.bench_function("stat by lxc-attach", |bench| {
        bench.iter(|| {
            let mut command = Command::new("lxc-attach");
            let output = command.args(["-n", &id, "--clear-env", "--", "stat", "/etc/hostname"]).output();
            black_box(output.expect("lxc-attach"));
        });
    });
    group.bench_function("100 stats in one batch", |bench| {
        let ops: Vec<Op> = (0..100).map(|_| stat("/etc/hostname")).collect();
        bench.iter(|| black_box(ask(&ops)));
    });
    group.bench_function("read of a small file", |bench| {
        let ops = [Op::Read { path: "/etc/hostname".to_owned(), limit: 1 << 20 }];
        bench.iter(|| black_box(ask(&ops)));
    });
    group.bench_function("true", |bench| {
        let exec = phoenix::op::Exec {
            argv: vec!["true".to_owned()],
            env: Default::default(),
            cwd: None,
            stdin: None,
            user: None,
            timeout: std::time::Duration::from_secs(10),
            effect: phoenix::command::Effect::Read,
        };
        let ops = [Op::Exec(exec)];
        bench.iter(|| black_box(ask(&ops)));
    });
    group.finish();
}

/// The shell starts anew for each batch, so small questions belong together.
fn guest_agent(criterion: &mut Criterion) {
    let agent = agent::Agent::boot();
    let host = agent.host();
    let stat = || Op::Stat { path: "/etc/hostname".to_owned() };
    let mut group = criterion.benchmark_group("guest agent");
    for count in [1, 100] {
        let ops: Vec<Op> = (0..count).map(|_| stat()).collect();
        group.bench_function(format!("{count} stats in one batch"), |bench| {
            bench.iter(|| black_box(host.perform(agent.place(), &ops).expect("an answer")));
        });
    }
    group.finish();
}

fn ssh(criterion: &mut Criterion) {
    let node = sshd::Sshd::start();
    let host = node.open();
    let stat = || Op::Stat { path: "/etc/hostname".to_owned() };
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
