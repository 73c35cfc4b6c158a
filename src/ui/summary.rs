//! What is told at the end of a run or a plan: root causes first, then what changed, then the count.

use super::style::{self, DIM, FAILED, SKIPPED, STRONG, paint};
use super::{GuestStory, Story, failure, time};
use crate::event::{Asked, Cost, Difference, Outcome};
use crate::model::{GuestId, Step};

/// How a story is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Telling {
    /// It happened.
    Run,
    /// It would happen.
    Plan,
}

/// The end of a story in lines.
pub fn render(story: &Story, telling: Telling, verbose: bool) -> String {
    let mut text = String::new();
    for (id, guest) in &story.guests {
        if telling == Telling::Plan || verbose {
            text.push_str(&changes(*id, guest));
        }
    }
    for (id, guest) in &story.guests {
        if let Some(Outcome::Failed { cause }) = &guest.outcome {
            let step = guest.steps.iter().rev().find(|step| matches!(step.outcome, Outcome::Failed { .. }));
            let at = step.map(|step| format!(" at {}", step.step)).unwrap_or_default();
            text.push_str(&format!("\n{}{at}\n{}\n", heading(*id, guest), failure::render(cause, 2)));
        }
    }
    for (id, guest) in &story.guests {
        if let Some(Outcome::Skipped { reason }) = &guest.outcome {
            text.push_str(&format!("{} {}\n", heading(*id, guest), paint(SKIPPED, format!("skipped: {reason}"))));
        }
    }
    for (id, guest) in &story.guests {
        for difference in &guest.pending {
            let needs = match difference.cost {
                Cost::Restart => "needs restart; `--yes` consents".to_owned(),
                Cost::Rebuild => rebuild(difference),
                Cost::None => "left as it is".to_owned(),
            };
            let line = format!("{} pending: {} ({needs})\n", heading(*id, guest), brief(difference));
            text.push_str(&line);
        }
    }
    // Of a run they were told as they came.
    if telling == Telling::Plan {
        for (id, guest) in &story.guests {
            for warning in &guest.warnings {
                text.push_str(&format!("{} {}\n", heading(*id, guest), paint(SKIPPED, format!("warning: {warning}"))));
            }
        }
    }
    if !story.assumed.is_empty() {
        let programs: Vec<&str> = story.assumed.iter().map(String::as_str).collect();
        let line = format!("assumed to succeed, as nobody models them: {}\n", programs.join(", "));
        text.push_str(&paint(SKIPPED, line));
    }
    let unknown = story.guests.values().flat_map(|guest| &guest.steps).filter(|step| step.outcome.is_unknown()).count();
    if unknown > 0 {
        let steps = if unknown == 1 { "1 step is".to_owned() } else { format!("{unknown} steps are") };
        text.push_str(&paint(SKIPPED, format!("{steps} not known before the run: each says what it depends on\n")));
    }
    text.push_str(&count(story, telling));
    if telling == Telling::Run {
        text.push_str(&critical_path(story));
    }
    if verbose {
        text.push_str(&asked(&story.asked, telling));
    }
    text
}

/// `asked of the node: no Proxmox process, 4 channels into guests, 61 round trips`.
fn asked(asked: &Asked, telling: Telling) -> String {
    let count = |number: u64, one: &str, many: &str| match number {
        0 => format!("no {one}"),
        1 => format!("1 {one}"),
        _ => format!("{number} {many}"),
    };
    let mut parts = vec![count(asked.proxmox, "Proxmox process", "Proxmox processes")];
    if asked.programs > 0 {
        parts.push(count(asked.programs, "other program", "other programs"));
    }
    parts.push(count(asked.channels, "channel into guests", "channels into guests"));
    parts.push(count(asked.round_trips, "round trip", "round trips"));
    let begin = if telling == Telling::Run { "asked of the node" } else { "would ask of the node" };
    paint(DIM, format!("{begin}: {}", parts.join(", "))) + "\n"
}

/// `critical path: 900 (33.8s) -> 103 (24.9s)`: what a run that did something took so long for, if it is not one guest.
fn critical_path(story: &Story) -> String {
    let idle = story.ended(|outcome| *outcome == Outcome::Changed) == 0;
    // Guests that were only looked at would be told as `0.0s`.
    let shares = story.critical_path.iter().filter(|share| share.elapsed.as_millis() >= 50);
    let shares = shares.map(|share| format!("{} ({})", share.guest, time::short(share.elapsed))).collect::<Vec<_>>();
    if idle || shares.len() < 2 {
        return String::new();
    }
    paint(DIM, format!("critical path: {}", shares.join(" -> "))) + "\n"
}

fn heading(id: GuestId, guest: &GuestStory) -> String {
    format!("{} {}", paint(STRONG, id), guest.name)
}

fn changes(id: GuestId, guest: &GuestStory) -> String {
    let touched: Vec<_> = guest
        .steps
        .iter()
        .filter(|step| !matches!(step.outcome, Outcome::Unchanged) || !step.changes.is_empty())
        .collect();
    if touched.is_empty() {
        return String::new();
    }
    let mut text = heading(id, guest) + "\n";
    // Of a guest that is about to be made nothing has to be restarted.
    let made = touched.iter().any(|step| step.step == Step::Define && step.outcome == Outcome::Changed);
    for step in touched {
        let settings = !made && matches!(step.step, Step::Configure | Step::Storage | Step::Firewall);
        let reason = match &step.outcome {
            Outcome::Skipped { reason } => format!(": {reason}"),
            _ => String::new(),
        };
        let word = if step.outcome.is_unknown() { "not known" } else { style::word(&step.outcome) };
        let word = paint(style::of(&step.outcome), word);
        text.push_str(&format!("  {:<24} {word}{reason}\n", step.step));
        for difference in &step.changes {
            text.push_str(&format!("    {}{}\n", brief(difference), price(difference, settings)));
            if let Some(diff) = &difference.diff {
                text.extend(diff.lines().map(|line| format!("      {}\n", colored(line))));
            }
        }
    }
    text
}

/// `memory 2048 -> 3333`.
fn brief(difference: &Difference) -> String {
    // A description has lines of its own.
    let line = |value: &String| value.replace('\n', "\\n");
    match (difference.from.as_ref().map(line), difference.to.as_ref().map(line)) {
        (Some(from), Some(to)) => format!("{} {from} -> {to}", difference.what),
        (None, Some(to)) => format!("{} {to}", difference.what),
        (Some(from), None) => format!("{} {from} -> (none)", difference.what),
        (None, None) => difference.what.clone(),
    }
}

/// When a setting of a guest that is there takes effect.
fn price(difference: &Difference, setting: bool) -> String {
    match difference.cost {
        Cost::None if setting => " (at once)".to_owned(),
        Cost::Restart if setting => " (needs restart)".to_owned(),
        // The restart itself, and what is not about settings.
        Cost::None | Cost::Restart => String::new(),
        Cost::Rebuild => format!(" ({})", rebuild(difference)),
    }
}

/// What only a new guest can have, and what the operator can do.
fn rebuild(difference: &Difference) -> String {
    let way =
        difference.way.as_deref().unwrap_or("delete the guest and create it again, or declare it under another id");
    format!("needs rebuild: {way}")
}

fn colored(line: &str) -> String {
    match line.as_bytes().first() {
        Some(b'+') => paint(style::UNCHANGED, line),
        Some(b'-') => paint(FAILED, line),
        _ => paint(DIM, line),
    }
}

fn count(story: &Story, telling: Telling) -> String {
    let changed = story.ended(|outcome| *outcome == Outcome::Changed);
    let unchanged = story.ended(|outcome| *outcome == Outcome::Unchanged);
    let failed = story.ended(|outcome| matches!(outcome, Outcome::Failed { .. }));
    let skipped = story.ended(|outcome| matches!(outcome, Outcome::Skipped { .. }));
    let unfinished = story.guests.values().filter(|guest| guest.outcome.is_none()).count();
    let would = if telling == Telling::Plan { "to change" } else { "changed" };
    let mut parts = Vec::new();
    for (number, word, style) in [
        (changed, would, style::CHANGED),
        (unchanged, "unchanged", style::UNCHANGED),
        (failed, "failed", FAILED),
        (skipped, "skipped", SKIPPED),
        (unfinished, "not finished", SKIPPED),
    ] {
        if number > 0 {
            parts.push(paint(style, format!("{number} {word}")));
        }
    }
    let guests = story.guests.len();
    let noun = if guests == 1 { "guest" } else { "guests" };
    let interrupted = if story.interrupted { ", interrupted: run the same command again to go on" } else { "" };
    let took = match telling {
        Telling::Run => format!(" in {}", time::short(story.elapsed)),
        Telling::Plan => String::new(),
    };
    format!("{guests} {noun}: {}{took}{interrupted}\n", parts.join(", "))
}
