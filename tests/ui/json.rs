//! docs/json.md names every event with its fields, and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use phoenix::command::Effect;
use phoenix::event::{Asked, Cost, Difference, Event, Failure, Level, Outcome, Share, Sink, Stamped, Step};
use phoenix::model::GuestId;
use phoenix::ui::progress::{Form, Progress, Verbosity};
use serde_json::Value;

type Fields = BTreeMap<String, BTreeSet<String>>;

fn guest() -> GuestId {
    201.try_into().unwrap()
}

fn difference() -> Difference {
    Difference { what: "memory".to_owned(), from: None, to: None, diff: None, cost: Cost::Restart, way: None }
}

/// How things can end.
fn outcomes() -> [Outcome; 3] {
    let reason = "a template".to_owned();
    [Outcome::Changed, Outcome::Skipped { reason }, Outcome::Failed { cause: Failure::new("broken") }]
}

/// Every event; those that end something once for every end. Whoever adds one comes by here: the match is exhaustive.
fn events() -> Vec<Event> {
    let (elapsed, step) = (Duration::from_millis(1500), Step::Define);
    let id = guest();
    let word = || "word".to_owned();
    let all = vec![
        Event::RunStarted { run: word(), command: word(), guests: vec![(id, word())] },
        Event::GuestStarted { guest: id },
        Event::StepStarted { guest: id, step: step.clone() },
        Event::Section { guest: id, label: word() },
        Event::Change { guest: id, difference: difference() },
        Event::Pending { guest: id, difference: difference() },
        Event::Did { guest: None, what: word(), effect: Effect::Read, process: false, ok: true, elapsed },
        Event::Check { guest: id, name: word(), cause: None },
        Event::Waiting { guest: id, on: word() },
        Event::Assumed { guest: None, program: word() },
        Event::Message { guest: None, level: Level::Info, text: word() },
    ];
    let steps = outcomes().map(|outcome| Event::StepFinished { guest: id, step: step.clone(), outcome, elapsed });
    let guests = outcomes().map(|outcome| Event::GuestFinished { guest: id, outcome, elapsed });
    let critical_path = vec![Share { guest: id, elapsed }];
    let end = Event::RunFinished { elapsed, interrupted: false, critical_path, asked: Asked::default() };
    all.into_iter().chain(steps).chain(guests).chain([end]).inspect(is_listed).collect()
}

fn is_listed(event: &Event) {
    match event {
        Event::RunStarted { .. }
        | Event::GuestStarted { .. }
        | Event::StepStarted { .. }
        | Event::StepFinished { .. }
        | Event::Section { .. }
        | Event::Change { .. }
        | Event::Pending { .. }
        | Event::Did { .. }
        | Event::Check { .. }
        | Event::Waiting { .. }
        | Event::Assumed { .. }
        | Event::Message { .. }
        | Event::GuestFinished { .. }
        | Event::RunFinished { .. } => {}
    }
}

fn keys(value: &Value) -> BTreeSet<String> {
    value.as_object().unwrap().keys().cloned().collect()
}

/// The rows of the tables whose first heading is this: first cell, and the words in backticks of the second.
fn documented(heading: &str) -> Fields {
    let text = include_str!("../../docs/json.md");
    let rows = text.lines().skip_while(|line| !line.starts_with(&format!("| {heading} |"))).skip(2);
    let rows = rows.take_while(|line| line.starts_with('|'));
    let quoted = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
    rows.map(|row| {
        let mut cells = row.trim_matches('|').split('|');
        let name = quoted(cells.next().unwrap()).remove(0);
        (name, quoted(cells.next().unwrap()).into_iter().collect())
    })
    .collect()
}

#[test]
fn every_event_is_documented_with_its_fields() {
    let mut real = Fields::new();
    for event in events() {
        let stamped = serde_json::to_value(Stamped { at: jiff::Timestamp::UNIX_EPOCH, event }).unwrap();
        let mut fields = keys(&stamped);
        assert!(fields.remove("at") && fields.remove("event"), "{stamped}");
        real.entry(stamped["event"].as_str().unwrap().to_owned()).or_default().extend(fields);
    }
    real.insert("summary".to_owned(), BTreeSet::from(["summary".to_owned()]));
    assert_eq!(documented("`event`"), real);
}

#[test]
fn every_object_is_documented_with_its_fields() {
    let progress = Progress::new(Form::Plain, Verbosity::Quiet);
    for event in events() {
        progress.emit(Stamped { at: jiff::Timestamp::UNIX_EPOCH, event });
    }
    // A guest ends once: each end is looked at by itself.
    let end = |outcome| {
        let event = Event::GuestFinished { guest: guest(), outcome, elapsed: Duration::ZERO };
        progress.emit(Stamped { at: jiff::Timestamp::UNIX_EPOCH, event });
        serde_json::to_value(progress.story()).unwrap()
    };
    let mut real = Fields::new();
    for story in outcomes().map(end) {
        let of_guest = &story["guests"][guest().to_string()];
        let mut add = |name: &str, value: &Value| real.entry(name.to_owned()).or_default().extend(keys(value));
        add("summary", &story);
        add("guests", of_guest);
        of_guest["steps"].as_array().unwrap().iter().for_each(|step| add("steps", step));
        add("critical_path", &story["critical_path"][0]);
        add("asked", &story["asked"]);
    }
    real.insert("difference".to_owned(), keys(&serde_json::to_value(difference()).unwrap()));
    real.insert("cause".to_owned(), keys(&serde_json::to_value(Failure::new("broken")).unwrap()));
    assert_eq!(documented("object"), real);
}
