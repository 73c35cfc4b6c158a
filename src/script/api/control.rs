//! Free functions that steer a run: sections, messages, failures, waiting.

use std::sync::Arc;
use std::time::Duration;

use rhai::Dynamic;

use super::signature::{Kind, Signature, Type, optional, required};
use super::{Answer, Given, Ran, Verb, verb};
use crate::event::{Event, Level};
use crate::machine::Change;
use crate::script::context::Run;
use crate::script::error::{Ended, Raised, Thrown};

pub(super) const VERBS: &[Verb<Arc<Run>>] = &[
    verb(
        Signature::function("section", "Begins a labelled part of the script.")
            .takes(&[required("label", Kind::Text, "shown in the progress")])
            .example(
                r#"section("packages");
guest.packages(["nginx"]);"#,
            ),
        |given| {
            let label = given.run.mask(&given.raw_text("label"));
            given.run.tell(|guest| Event::Section { guest, label: label.clone() });
            Ok(Dynamic::UNIT)
        },
    ),
    verb(
        Signature::function("info", "A message for the operator.")
            .takes(&[required("message", Kind::Any, "shown")])
            .example("info(`this is ${guest.name}`);"),
        |given| message(given, Level::Info),
    ),
    verb(
        Signature::function("warn", "A warning for the operator.")
            .takes(&[required("message", Kind::Any, "shown")])
            .example(
                r#"if guest.os.id != "debian" {
    warn(`${guest.os.id} is not tried`);
}"#,
            ),
        |given| message(given, Level::Warning),
    ),
    verb(
        Signature::function("fail", "Ends the script as failed; `try` can catch it.")
            .takes(&[required("message", Kind::Any, "what is wrong")])
            .options(&[optional("hint", Kind::Text, "what to do about it")])
            .returns(Type::Never)
            .example(
                r#"if guest.kind == "vm" {
    fail("this needs a container", #{ hint: "declare the guest in phoenix_lxc_configs.json" });
}"#,
            ),
        |given| {
            let mut thrown = Thrown::new("fail", given.run.mask(&given.raw_text("message")));
            thrown.hint = given.maybe_text("hint")?;
            Err(thrown.into())
        },
    ),
    verb(
        Signature::function("skip", "Ends the script as skipped, with a reason; nothing can catch it.")
            .takes(&[required("reason", Kind::Any, "why there is nothing to do here")])
            .returns(Type::Never)
            .example(
                r#"if guest.gpus.is_empty() {
    skip("no GPU is shared with this guest");
}"#,
            ),
        |given| Err(Raised::End(Ended::Skipped(given.run.mask(&given.raw_text("reason"))))),
    ),
    verb(
        Signature::function("exit", "Not to be used: `return` from `apply`, or `skip(reason)`.")
            .takes(&[optional("value", Kind::Any, "ignored")])
            .returns(Type::Never),
        // rhai's own `exit` ends the whole script as a success, even inside `try`.
        |_| Err(Thrown::invalid("`exit` is switched off").hint("`return` from `apply`, or `skip(reason)`").into()),
    ),
    verb(
        Signature::function("sleep", "Waits. Prefer `wait_for` and `retry`, which know for what.")
            .takes(&[required("seconds", Kind::Seconds, "how long, in the node's time")])
            .example("sleep(2);"),
        |given| {
            given.run.sleep(given.maybe_seconds("seconds").unwrap_or_default())?;
            Ok(Dynamic::UNIT)
        },
    ),
    verb(
        Signature::function(
            "retry",
            "Calls a closure until it answers true, with a pause between tries. Answers whether it did.",
        )
        .takes(&[
            required("times", Kind::Int, "tries"),
            required("pause", Kind::Int, "milliseconds between tries"),
            required("attempt", Kind::Function, "answers whether it worked"),
        ])
        .returns(Type::Bool)
        .errors(&["when the closure's last try does"])
        .example(
            r#"guest.packages(["nginx"]);
if !retry(5, 2000, || guest.probe(["systemctl", "is-active", "nginx"]).ok) {
    fail("nginx does not start");
}"#,
        ),
        retry,
    ),
    verb(
        Signature::function("any_changed", "Whether any of these changes changed something.")
            .takes(&[required("changes", Kind::Changes, "a change or a list of them")])
            .returns(Type::Bool)
            .example(
                r#"let one = guest.file("/etc/a.conf", #{ content: "a" });
let other = guest.file("/etc/b.conf", #{ content: "b" });
if any_changed([one, other]) {
    info("the configuration is another one");
}"#,
            ),
        |given| {
            let changes = given.dynamic("changes").unwrap_or_default();
            let all = match changes.read_lock::<rhai::Array>() {
                Some(items) => items.iter().any(changed),
                None => changed(&changes),
            };
            Ok(all.into())
        },
    ),
    verb(
        Signature::method(&[Type::Change], "|", "Both changes as one.")
            .takes(&[required("other", Kind::Changes, "another change")])
            .returns(Type::Change)
            .example(
                r#"let one = guest.file("/etc/a.conf", #{ content: "a" });
let both = one | guest.file("/etc/b.conf", #{ content: "b" });
if both.changed {
    info(both.diff);
}"#,
            ),
        |given| {
            let other = given.dynamic("other").and_then(|other| as_change(&other)).unwrap_or_default();
            let change = as_change(&given.subject).unwrap_or_default();
            Ok(Dynamic::from(change | other))
        },
    ),
];

fn message(given: &Given<Arc<Run>>, level: Level) -> Answer {
    let text = given.run.mask(&given.raw_text("message"));
    given.run.tell(|guest| Event::Message { guest: Some(guest), level, text: text.clone() });
    Ok(Dynamic::UNIT)
}

fn as_change(value: &Dynamic) -> Option<Change> {
    match value.read_lock::<Ran>() {
        Some(ran) => Some(ran.change.clone()),
        None => value.clone().try_cast(),
    }
}

fn changed(value: &Dynamic) -> bool {
    as_change(value).is_some_and(|change| change.changed)
}

fn retry(given: &Given<Arc<Run>>) -> Answer {
    let times = given.maybe_int("times").unwrap_or(1).max(1);
    let pause = Duration::from_millis(given.maybe_int("pause").unwrap_or_default().unsigned_abs());
    for tried in 1..=times {
        let last = tried == times;
        match given.call("attempt") {
            Ok(answer) => match answer.as_bool() {
                Ok(true) => return Ok(true.into()),
                Ok(false) => {}
                Err(found) => {
                    let problem = format!("the closure of `retry` must answer true or false, not a {found}");
                    return Err(Thrown::invalid(problem).hint("ask a program's answer for `.ok`").into());
                }
            },
            Err(Raised::Script(error)) if !last && error.is_catchable() => {}
            Err(error) => return Err(error),
        }
        if !last {
            given.run.sleep(pause)?;
        }
    }
    Ok(false.into())
}
