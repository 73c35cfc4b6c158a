//! `qm guest`: questions to the agent inside a machine.

use serde_json::{Value, json};

use super::*;
use crate::op::{Op, OpErrorKind, OpValue};
use crate::sandbox::{guest, pace, vm};

/// Refuses a machine that no agent answers for, in the tools' words.
fn answering(s: &mut Session, id: GuestId) -> Done {
    let config = &here(s.world(), id)?.config;
    // What a running machine was started without it does not have before its next cold start.
    if !vm::has_agent(&config.current) {
        return Err(fail("No QEMU guest agent configured"));
    }
    if !is_running(s, id) {
        return Err(fail_with(2, format!("VM {id} is not running")));
    }
    if vm::agent(s.world(), s.core(), id, s.now()) == vm::Agent::Answers {
        return Ok(());
    }
    s.wait(pace::AGENT_SILENT)?;
    Err(fail("QEMU guest agent is not running"))
}

/// JSON as the tools print it: three blanks of indentation, a blank before every colon.
fn print(s: &mut Session, value: &Value) {
    use serde::Serialize as _;
    let mut bytes = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b"   ");
    // A value made of plain JSON types can always be written.
    let _ = value.serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, formatter));
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let spaced = text.lines().map(|line| match line.split_once("\": ") {
        Some((key, rest)) if key.trim_start().starts_with('"') => format!("{key}\" : {rest}"),
        _ => line.to_owned(),
    });
    s.print(spaced.collect::<Vec<_>>().join("\n"));
}

pub(super) fn cmd(s: &mut Session, call: &Call) -> Done<i32> {
    let id = id_at(call, 0)?;
    answering(s, id)?;
    let (core, now) = (s.core(), s.now());
    let ask = |s: &mut Session, op: Op| guest::perform(s.world_mut(), core, id, now, &op).result;
    let value = match call.positionals.get(1).map(String::as_str) {
        Some("ping") => return Ok(0),
        Some("get-host-name") => {
            let name = guest::inside(s.world_mut(), core, id, now, |_, around| around.identity.name.clone());
            json!({"host-name": name})
        }
        Some("get-time") => json!(now * 1000),
        Some("fsfreeze-status") => json!("thawed"),
        Some("fsfreeze-freeze" | "fsfreeze-thaw") => json!(1),
        Some("fstrim") => json!({"paths": [{"minimum": 0, "path": "/", "trimmed": 0}]}),
        Some("get-osinfo") => match ask(s, Op::Os) {
            Ok(OpValue::Os { id, version, .. }) => json!({"id": id, "machine": "x86_64", "version-id": version}),
            _ => json!({}),
        },
        Some("network-get-interfaces") => match ask(s, Op::Network) {
            Ok(OpValue::Network { addresses, .. }) => interfaces(&addresses),
            _ => json!([]),
        },
        Some("shutdown") => {
            power::stop_now(s, id)?;
            return Ok(0);
        }
        _ => return Err(not_modelled(call)),
    };
    print(s, &value);
    Ok(0)
}

fn interfaces(addresses: &[String]) -> Value {
    let address = |text: &String| {
        let (ip, prefix) = text.split_once('/').unwrap_or((text, "32"));
        let kind = if ip.contains(':') { "ipv6" } else { "ipv4" };
        json!({"ip-address": ip, "ip-address-type": kind, "prefix": prefix.parse::<u32>().unwrap_or(32)})
    };
    let own: Vec<Value> = addresses.iter().map(address).collect();
    json!([{"name": "lo", "ip-addresses": [address(&"127.0.0.1/8".to_owned())]}, {"name": "eth0", "ip-addresses": own}])
}

/// The exit status is 0 whatever becomes of the program.
pub(super) fn exec(s: &mut Session, call: &Call) -> Done<i32> {
    let id = id_at(call, 0)?;
    answering(s, id)?;
    if call.rest.is_empty() && !call.is_on("pass-stdin") {
        return Err(fail("command or input-data (or both) required"));
    }
    if !call.is_on("pass-stdin") {
        s.stdin.clear();
    } else if s.stdin.len() > 1 << 20 {
        return Err(fail("'input-data' (STDIN) is limited to 1 MiB, aborting"));
    }
    let op = super::super::exec(s, &call.rest, &[]);
    let (core, now) = (s.core(), s.now());
    let answer = guest::perform(s.world_mut(), core, id, now, &op);
    s.wait(pace::AGENT_POLL.max(answer.took))?;
    let program = call.rest.first().map(String::as_str).unwrap_or_default();
    let no_program = || {
        let reason = format!("Failed to execute child process “{program}” (No such file or directory)");
        fail_with(29, format!("Agent error: Guest agent command failed, error was '{reason}'"))
    };
    match answer.result {
        Ok(OpValue::Output(output)) if output.code == 127 || output.assumed => Err(no_program()),
        Ok(OpValue::Output(output)) => {
            let mut value = json!({"exitcode": output.code, "exited": 1});
            // Every byte of output appears as one character.
            let latin = |bytes: &[u8]| bytes.iter().map(|byte| char::from(*byte)).collect::<String>();
            for (key, bytes) in [("err-data", &output.stderr), ("out-data", &output.stdout)] {
                if !bytes.is_empty() {
                    value[key] = latin(bytes).into();
                }
            }
            print(s, &value);
            Ok(0)
        }
        Err(error) if error.kind == OpErrorKind::NotFound => Err(no_program()),
        Err(error) if error.kind == OpErrorKind::Timeout => {
            s.warn("timeout reached, returning pid");
            print(s, &json!({"pid": 1000 + s.now() % 30_000}));
            Ok(0)
        }
        Err(error) => Err(fail(format!("Agent error: {}", error.message))),
        Ok(_) => Ok(0),
    }
}

/// Programs are waited for, so none is left to ask about.
pub(super) fn exec_status(s: &mut Session, call: &Call) -> Done<i32> {
    let id = id_at(call, 0)?;
    answering(s, id)?;
    let pid = call.positionals.get(1).cloned().unwrap_or_default();
    Err(fail(format!("Agent error: Invalid parameter 'pid' ({pid})")))
}

pub(super) fn passwd(s: &mut Session, call: &Call) -> Done<i32> {
    let id = id_at(call, 0)?;
    answering(s, id)?;
    let user = call.positionals.get(1).cloned().unwrap_or_default();
    let (core, now) = (s.core(), s.now());
    match guest::perform(s.world_mut(), core, id, now, &Op::Accounts).result {
        Ok(OpValue::Accounts { users, .. }) if users.iter().any(|known| known.name == user) => Ok(0),
        _ => Err(fail(format!("Agent error: child process has failed to set user password for '{user}'"))),
    }
}
