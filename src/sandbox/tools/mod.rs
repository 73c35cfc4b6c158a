//! The node's command line tools, as the emulator answers for them.
//!
//! Each command line is understood (or refused) by [`crate::pve::argv`], the one reader of the option table. What a
//! command then does is a function named after it. Every other program runs inside the node's own modelled machine.

mod both;
mod ha_manager;
mod pct;
mod pveam;
mod pvesh;
mod pvesm;
mod qm;
mod quorum;

use std::time::Duration;

use crate::command::{CHANGE_TIMEOUT, Effect, Output};
use crate::host::HostError;
use crate::model::GuestId;
use crate::op::{Exec, Op, OpErrorKind, OpValue};
use crate::pve::argv::{self, Call};
use crate::sandbox::guest::node_inside;
use crate::sandbox::pace;
use crate::sandbox::session::{Done, Session, Stop, fail, fail_with};
use crate::sandbox::world::World;
use crate::secret::Sealed;

/// Runs one command line to its end.
pub(super) fn run(mut session: Session, argv: &[String]) -> Result<Output, HostError> {
    let result = dispatch(&mut session, argv);
    session.finish(result)
}

/// Whether the emulator itself answers for this program.
pub(super) fn is_emulated(program: &str) -> bool {
    matches!(program.rsplit('/').next(), Some("pct" | "qm" | "pvesm" | "pveam" | "pvesh" | "ha-manager"))
}

fn dispatch(s: &mut Session, argv: &[String]) -> Done<i32> {
    let Some(program) = argv.first().map(|path| path.rsplit('/').next().unwrap_or(path)) else {
        return Err(fail("no program given"));
    };
    match program {
        "lxc-attach" => return lxc_attach(s, argv),
        program if !is_emulated(program) => return run_on_node(s, argv),
        _ => {}
    }
    s.wait(pace::startup(program))?;
    let mut words = vec![program.to_owned()];
    words.extend(argv[1..].iter().map(|word| s.as_argument(word)));
    if words.get(1).is_some_and(|word| word == "help") {
        s.print(format!("USAGE: {program} {}", words[2..].join(" ")));
        return Ok(0);
    }
    if program == "pvesh" {
        return pvesh::run(s, &words);
    }
    match understand(s, &words) {
        Ok(call) => carry_out(s, &call),
        Err(refusal) => {
            s.write_err(refusal.stderr.as_bytes());
            Ok(refusal.code)
        }
    }
}

/// Understands a command line as the node's version of the tool does.
fn understand(s: &Session, words: &[String]) -> Result<Call, argv::Refusal> {
    match s.world().pve_version() {
        Some(version) => argv::parse_as_of(version, words),
        None => argv::parse(words),
    }
}

/// Does what was understood, unless the cluster or its HA manager has a say in it.
fn carry_out(s: &mut Session, call: &Call) -> Done<i32> {
    quorum::check(s.world(), call)?;
    if let Some(code) = ha_manager::instead(s, call)? {
        return Ok(code);
    }
    let tool: fn(&mut Session, &Call) -> Done<i32> = match call.command.split(' ').next() {
        Some("pct") => pct::run,
        Some("qm") => qm::run,
        Some("pvesm") => pvesm::run,
        Some("pveam") => pveam::run,
        Some("ha-manager") => ha_manager::run,
        _ => return Err(not_modelled(call)),
    };
    let code = tool(s, call)?;
    if code == 0 {
        ha_manager::follow(s, call);
    }
    Ok(code)
}

/// A command of a tool that the emulator does not have. Refused by name, never passed over.
fn not_modelled(call: &Call) -> Stop {
    fail(format!("sandbox: `{}` is not modelled", call.command))
}

/// A refusal that names one option: `400 Parameter verification failed.`
fn bad_parameter(call: &Call, option: &str, message: &str) -> Stop {
    bad_parameters(call, &[(option, message)])
}

/// A refusal that names several options.
fn bad_parameters(call: &Call, wrong: &[(&str, &str)]) -> Stop {
    let lines: String = wrong.iter().map(|(option, message)| format!("{option}: {message}\n")).collect();
    fail_with(2, format!("400 Parameter verification failed.\n{lines}{}", call.usage))
}

/// A program of the node that is none of Proxmox's tools.
fn run_on_node(s: &mut Session, argv: &[String]) -> Done<i32> {
    s.wait(pace::startup("other"))?;
    let op = exec(s, argv, &[]);
    let (core, now) = (s.core(), s.now());
    let answer = node_inside(s.world_mut(), core, now, |body, around| body.perform(&op, around));
    let Some(answer) = answer else { return Err(fail("the node has no modelled inside")) };
    s.wait(answer.took)?;
    match answer.result {
        Ok(OpValue::Output(output)) if output.assumed => Err(HostError::NotFound { program: argv[0].clone() }.into()),
        Ok(OpValue::Output(output)) => {
            s.write(&output.stdout);
            s.write_err(&output.stderr);
            Ok(output.code)
        }
        Err(error) if error.kind == OpErrorKind::NotFound => {
            Err(HostError::NotFound { program: argv[0].clone() }.into())
        }
        Err(error) => Err(fail(error.message)),
        Ok(_) => Ok(0),
    }
}

/// A program with this session's standard input.
fn exec(s: &Session, argv: &[String], env: &[(&str, &str)]) -> Op {
    Op::Exec(Exec {
        argv: argv.to_vec(),
        env: env.iter().map(|(name, value)| ((*name).to_owned(), Sealed::plain(*value))).collect(),
        cwd: None,
        stdin: Some(Sealed::plain(s.stdin.clone())),
        user: None,
        timeout: CHANGE_TIMEOUT,
        effect: Effect::Change,
    })
}

/// `lxc-attach -n ID [options] -- PROGRAM ...`.
fn lxc_attach(s: &mut Session, argv: &[String]) -> Done<i32> {
    s.wait(pace::startup("lxc-attach"))?;
    let name = argv.iter().position(|word| word == "-n" || word == "--name").and_then(|at| argv.get(at + 1));
    let id: Option<GuestId> = name.and_then(|name| name.parse().ok());
    let words = argv.iter().position(|word| word == "--").map(|at| argv[at + 1..].to_vec()).unwrap_or_default();
    match id {
        Some(id) => pct::attach(s, id, &words, !argv.iter().any(|word| word == "--clear-env")),
        None => Err(fail("lxc-attach: missing container name, use --name option")),
    }
}

/// How a command's exit status follows the task that it starts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Exit {
    /// 255 when the task failed.
    Follows,
    /// 0 whatever became of the task.
    Lost,
}

/// Runs a task: its standard error comes merged into standard output; when it fails, the reason alone is printed on
/// standard error, on one line.
fn task<'a>(s: &mut Session<'a>, exit: Exit, work: impl FnOnce(&mut Session<'a>) -> Done) -> Done<i32> {
    match s.merged(work) {
        Ok(()) => Ok(0),
        Err(Stop::Failed { message, .. }) => {
            s.warn(message.trim_end().replace('\n', " "));
            Ok(if exit == Exit::Follows { 255 } else { 0 })
        }
        Err(stop) => Err(stop),
    }
}

/// Guest id at this place among the positionals. The reader of the command line has seen to it that it is one.
fn id_at(call: &Call, at: usize) -> Done<GuestId> {
    let word = call.positionals.get(at).map(String::as_str).unwrap_or_default();
    word.parse().map_err(|_| fail(format!("unable to parse guest ID '{word}'")))
}

/// Refuses to move a guest to where it is, or to a node that the cluster does not have.
fn other_node(world: &World, call: &Call, target: &str) -> Done {
    if target == world.node {
        return Err(bad_parameter(call, "target", "target is local node."));
    }
    if !world.cluster.members.iter().any(|member| member == target) {
        return Err(fail(format!("no such cluster node '{target}'")));
    }
    Ok(())
}

/// Time that passes for everybody else too.
fn work_for(s: &mut Session, duration: Duration) -> Done {
    s.commit()?;
    s.wait(duration)
}
