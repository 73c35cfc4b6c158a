//! Health: what the scripts say about themselves, then the checks of the configuration.

use std::time::Duration;

use super::scripts::{call, spec};
use super::{Done, Life, Result, StepError};
use crate::command::Effect;
use crate::event::{Event, Failure};
use crate::model::HealthCheck;
use crate::op::{Exec, Op, OpValue};
use crate::plan::Verb;
use crate::script::Entry;

/// How long a service may take to become healthy after something was done to its guest.
const DEADLINE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_secs(2);
/// Limit of one check of the configuration.
const CHECK_TIMEOUT: Duration = Duration::from_secs(60);

/// Asks every script of the guest that knows, then every declared check. The first bad answer ends the step, except when
/// nothing but health was asked for: then everybody is asked, scripts once.
pub(in crate::engine) fn health(life: &mut Life) -> Result<Done> {
    if !life.running() {
        let hint = format!("`phoenix start {}` starts it", life.id());
        return Err(StepError::with_hint("it does not run", hint));
    }
    if let Some((_, on)) = life.unknown.first() {
        // What a rehearsal does not know the work of, it cannot ask for its health.
        return Err(StepError::Unknown(on.clone()));
    }
    let only_asked = life.run.plan.verb == Verb::Health;
    let mut sick = Ok(());
    for (kind, name) in life.planned.scripts.clone() {
        let spec = spec(life, kind, &name)?;
        if !spec.has_health {
            continue;
        }
        let tries =
            if only_asked { 0 } else { u32::try_from(DEADLINE.as_secs() / PAUSE.as_secs()).unwrap_or(u32::MAX) };
        let answer = until_well(life, &name, tries, PAUSE, |life| {
            let machine = life.machine();
            call(life, &spec, Entry::Health, machine).map(|_| ())
        });
        sick = sick.and(go_on(only_asked, answer)?);
    }
    for declared in &life.guest.health_checks {
        let pause = Duration::from_secs(u64::from(declared.interval));
        let answer = until_well(life, &declared.name, declared.retries, pause, |life| check(life, declared));
        sick = sick.and(go_on(only_asked, answer)?);
    }
    sick.map(|()| Done::Unchanged)
}

/// A bad answer is kept for later where everybody is asked; else it ends the step, as anything but an answer does.
fn go_on(everybody: bool, answer: Result<()>) -> Result<Result<()>> {
    match answer {
        Err(StepError::Failed(_)) if everybody => Ok(answer),
        Err(error) => Err(error),
        Ok(()) => Ok(Ok(())),
    }
}

/// Asks again while the answer is bad, `retries` times at most; tells the answer.
fn until_well(
    life: &mut Life,
    name: &str,
    retries: u32,
    pause: Duration,
    ask: impl Fn(&mut Life) -> Result<()>,
) -> Result<()> {
    let mut left = retries;
    let told = |life: &Life, cause| life.tell(Event::Check { guest: life.id(), name: name.to_owned(), cause });
    loop {
        match ask(life) {
            Err(StepError::Failed(failure)) if left > 0 => {
                left -= 1;
                life.waiting(&format!("{name}: {}", failure.message));
                life.handles.host.sleep(pause)?;
            }
            Err(StepError::Failed(failure)) => {
                told(life, Some(*failure.clone()));
                let message = format!("{name} is not healthy: {}", failure.message);
                return Err(StepError::Failed(Box::new(Failure { message, ..*failure })));
            }
            Ok(()) => {
                told(life, None);
                return Ok(());
            }
            other => return other,
        }
    }
}

fn check(life: &Life, declared: &HealthCheck) -> Result<()> {
    let exec = Op::Exec(Exec {
        argv: declared.command.clone(),
        env: Default::default(),
        cwd: None,
        stdin: None,
        user: None,
        timeout: CHECK_TIMEOUT,
        effect: Effect::Read,
    });
    let answers = life.perform(life.place(), std::slice::from_ref(&exec))?;
    match answers.first() {
        Some(OpValue::Output(output)) if output.ok() => Ok(()),
        Some(OpValue::Output(output)) => Err(StepError::Failed(Box::new(Failure {
            command: Some(exec.to_string()),
            output: Some(output.tail(8)),
            ..Failure::new(format!("exit status {}", output.code))
        }))),
        _ => Err(StepError::new("no answer")),
    }
}
