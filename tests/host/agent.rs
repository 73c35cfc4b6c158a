//! A real guest agent under stress, and what becomes of a batch when it goes.

use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use phoenix::host::{Host as _, HostError};
use phoenix::op::{Attributes, Content, Exec, Op, OpErrorKind, OpValue};
use phoenix::secret::Sealed;

use super::channel::{bears, output, sh};
use crate::support::agent::Agent;

/// What a program finds in a machine that is entered by its agent.
const ENVIRONMENT: &str = "HOME LANG LC_ALL LOGNAME PATH PWD USER";

#[test]
fn an_agent_bears_what_programs_do() {
    let agent = Agent::boot();
    bears(&agent.host(), agent.place(), &agent.container, ENVIRONMENT);
}

/// In one boot: they do not get in each other's way.
#[test]
fn an_agent_carries_much_and_is_shared() {
    let agent = Agent::boot();
    let host = agent.host();
    let perform = |ops: Vec<Op>| host.perform(agent.place(), &ops).unwrap();
    let run = |exec: Exec| perform(vec![Op::Exec(exec)]).remove(0);

    // A small question takes few round trips.
    perform(vec![Op::Os]);
    let start = Instant::now();
    for _ in 0..10 {
        perform(vec![Op::Stat { path: "/etc/hostname".to_owned() }]);
    }
    println!("a small batch took {:?}", start.elapsed() / 10);

    // 40 MiB out of three programs in one batch, beyond what an agent keeps of one program.
    let flood = |byte: &str| Op::Exec(sh(&format!("head -c 13981013 /dev/zero | tr '\\0' '{byte}'")));
    let start = Instant::now();
    let said = perform(vec![flood("a"), flood("\\377"), flood("\\0")]);
    println!("40 MiB of output took {:?}", start.elapsed());
    for (result, byte) in said.into_iter().zip([b'a', 255, 0]) {
        assert!(output(result).stdout == vec![byte; 13_981_013]);
    }

    // 20 MiB into a file.
    let bytes: Vec<u8> = (0..20u32 << 20).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let digest: String =
        ring::digest::digest(&ring::digest::SHA256, &bytes).as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    let path = || "/srv/large".to_owned();
    let content = Content::Bytes(bytes.into());
    let write = Op::Write { path: path(), content, attributes: Attributes::default(), guard: None };
    let start = Instant::now();
    let results = perform(vec![write, Op::Digest { path: path() }]);
    println!("20 MiB of input took {:?}", start.elapsed());
    assert_eq!(results[1], Ok(OpValue::Digest(Some(digest))));

    // A secret too large for one piece is on no command line and in no file that anybody else can read.
    let secret = Sealed::new("s3cr3t-value ".repeat(100_000), "***");
    let search =
        "find / -xdev -readable -size +900k -newer /srv/large -type f ! -path '/proc/*' ! -path '/sys/*' | wc -l";
    let as_nobody = Exec { user: Some("nobody".to_owned()), stdin: Some(secret), ..sh(search) };
    assert_eq!(output(run(as_nobody)).text(), "0\n");
    let cmdlines = "tr '\\0' ' ' </dev/null; for p in /proc/[0-9]*; do tr '\\0' ' ' <$p/cmdline 2>/dev/null; done | grep -c 's3cr3t-v[a]lue'";
    assert_eq!(agent.container.sh(&format!("{cmdlines} || true")), "0\n");

    // While something long runs, another client gets its turn; nothing is lost by that.
    std::thread::scope(|scope| {
        let long = scope.spawn(|| run(sh("sleep 3; echo done")));
        std::thread::sleep(Duration::from_millis(300));
        for _ in 0..5 {
            let start = Instant::now();
            ping(&agent);
            assert!(start.elapsed() < Duration::from_secs(1), "waited for {:?}", start.elapsed());
            std::thread::sleep(Duration::from_millis(200));
        }
        assert_eq!(output(long.join().unwrap()).text(), "done\n");
    });

    // A client that does not read its replies, and goes, leaves them to nobody.
    let mut rude = UnixStream::connect(agent.socket()).unwrap();
    let request = "{\"execute\":\"guest-info\"}\n".repeat(20);
    std::io::Write::write_all(&mut rude, request.as_bytes()).unwrap();
    drop(rude);
    assert_eq!(output(run(sh("echo mine"))).text(), "mine\n");

    // One that stays keeps others out, and is told of.
    let greedy = UnixStream::connect(agent.socket()).unwrap();
    let fresh = agent.host();
    let start = Instant::now();
    let refused = fresh.perform(agent.place(), &[Op::Os]).unwrap_err();
    assert!(matches!(refused, HostError::Unreachable { .. }), "{refused}");
    assert!(start.elapsed() < Duration::from_secs(6), "{:?}", start.elapsed());
    // Who has been answered before is patient.
    let patient = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| run(sh("echo later")));
        std::thread::sleep(Duration::from_secs(4));
        drop(greedy);
        waiting.join().unwrap()
    });
    assert_eq!(output(patient).text(), "later\n");
}

/// Another client, as Proxmox is one.
fn ping(agent: &Agent) {
    use std::io::{BufRead as _, Write as _};
    let mut stream = UnixStream::connect(agent.socket()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    stream.write_all(b"{\"execute\":\"guest-ping\"}\n").unwrap();
    let mut line = String::new();
    std::io::BufReader::new(stream).read_line(&mut line).unwrap();
    assert!(line.contains("return"), "{line}");
}

#[test]
fn an_agent_that_dies_in_the_middle_loses_the_machine_and_then_it_cannot_be_reached() {
    let agent = Agent::boot();
    let host = agent.host();
    host.perform(agent.place(), &[Op::Os]).unwrap();
    let during = |script: &str| {
        std::thread::scope(|scope| {
            let looks = Exec { effect: phoenix::command::Effect::Read, ..sh("sleep 15") };
            let running = scope.spawn(|| host.perform(agent.place(), &[Op::Exec(looks)]));
            std::thread::sleep(Duration::from_millis(500));
            agent.container.sh(script);
            let start = Instant::now();
            let result = running.join().unwrap();
            assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
            result
        })
    };
    // It comes back at once, and knows nothing.
    let lost = during("systemctl kill -s KILL qemu-guest-agent");
    assert!(matches!(&lost, Err(HostError::Lost { reason, .. }) if reason.contains("restart")), "{lost:?}");
    assert!(host.perform(agent.place(), &[Op::Os]).is_ok());
    // It does not.
    let lost = during("systemctl stop qemu-guest-agent");
    assert!(matches!(lost, Err(HostError::Lost { .. })), "{lost:?}");
    let start = Instant::now();
    let gone = host.perform(agent.place(), &[Op::Os]);
    assert!(matches!(gone, Err(HostError::Unreachable { .. })), "{gone:?}");
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}

#[test]
fn a_machine_without_a_socket_is_asked_by_qm() {
    let agent = Agent::boot();
    let host = agent.host_with_qm();
    let run = |exec: Exec| host.perform(agent.place(), &[Op::Exec(exec)]).unwrap().remove(0);
    let said = output(run(sh("printf 'a\\0b\\377gr\\303\\274n'; printf '\\0\\n' >&2; exit 3")));
    assert_eq!((said.code, &*said.stdout, &*said.stderr), (3, &b"a\0b\xffgr\xc3\xbcn"[..], &b"\0\n"[..]));
    assert_eq!(output(run(sh("kill -9 $$"))).code, 137);
    // Beyond what its standard input takes, and in both directions.
    let large = "grün 雪 ".repeat(200_000);
    assert!(output(run(Exec { stdin: Some(Sealed::plain(&large)), ..sh("cat") })).text() == large);
    let slow = Exec { timeout: Duration::from_millis(300), ..sh("sleep 9731") };
    assert_eq!(run(slow).unwrap_err().kind, OpErrorKind::Timeout);
    assert_eq!(output(run(sh("pgrep -c -f '^sleep 973[1]'"))).text(), "0\n");
    assert_eq!(agent.container.sh("ls /dev/shm"), "");
    // Its words about why there is no way.
    agent.container.sh("systemctl stop qemu-guest-agent");
    let reason = || host.perform(agent.place(), &[Op::Os]).unwrap_err().to_string();
    assert!(reason().contains("not running"), "{}", reason());
    std::fs::remove_file(agent.socket()).unwrap();
    assert!(reason().contains("--agent enabled=1"), "{}", reason());
}

#[test]
#[ignore = "long: a program that runs for 35 s"]
fn a_program_may_run_longer_than_qm_waits() {
    let agent = Agent::boot();
    let slow = Exec { timeout: Duration::from_secs(60), ..sh("sleep 35; echo slept") };
    for host in [agent.host(), agent.host_with_qm()] {
        let result = host.perform(agent.place(), &[Op::Exec(slow.clone())]).unwrap().remove(0);
        assert_eq!(output(result).text(), "slept\n");
    }
}
