//! How guests are: one line per check, then what is wrong in full.

use serde_json::{Value, json};

use super::style::{FAILED, SKIPPED, STRONG, UNCHANGED, paint};
use super::{GuestStory, Story, failure, table};
use crate::event::Outcome;

/// The table, the causes, the count.
pub fn render(story: &Story) -> String {
    let mut rows = Vec::new();
    for (id, guest) in &story.guests {
        let row = |check: &str, health: String| vec![id.to_string(), guest.name.clone(), check.to_owned(), health];
        for (name, cause) in &guest.checks {
            let word = if cause.is_some() { paint(FAILED, "not healthy") } else { paint(UNCHANGED, "healthy") };
            rows.push(row(name, word));
        }
        match &guest.outcome {
            Some(Outcome::Skipped { reason }) => rows.push(row("", paint(SKIPPED, format!("not asked: {reason}")))),
            Some(Outcome::Failed { cause }) if guest.checks.is_empty() => {
                rows.push(row("", paint(FAILED, &cause.message)));
            }
            Some(_) if guest.checks.is_empty() => rows.push(row("", "running; it has no checks".to_owned())),
            _ => {}
        }
    }
    let mut text =
        if rows.is_empty() { String::new() } else { table::render(&["ID", "NAME", "CHECK", "HEALTH"], &rows) };
    for (id, guest) in &story.guests {
        let heading = format!("{} {}", paint(STRONG, id), guest.name);
        let sick = guest.checks.iter().filter_map(|(name, cause)| Some((name, cause.as_ref()?)));
        for (name, cause) in sick {
            text.push_str(&format!("\n{heading}: {name}\n{}\n", failure::render(cause, 2)));
        }
        if let (Some(Outcome::Failed { cause }), true) = (&guest.outcome, guest.checks.is_empty()) {
            text.push_str(&format!("\n{heading}\n{}\n", failure::render(cause, 2)));
        }
    }
    text.push_str(&count(story));
    text
}

fn count(story: &Story) -> String {
    let parts = [
        (story.guests.values().filter(|guest| word(guest) == "healthy").count(), "healthy", UNCHANGED),
        (story.guests.values().filter(|guest| word(guest) == "not_healthy").count(), "not healthy", FAILED),
        (story.guests.values().filter(|guest| word(guest) == "not_asked").count(), "not asked", SKIPPED),
    ];
    let parts = parts.into_iter().filter(|(number, ..)| *number > 0);
    let parts: Vec<String> = parts.map(|(number, word, style)| paint(style, format!("{number} {word}"))).collect();
    let noun = if story.guests.len() == 1 { "guest" } else { "guests" };
    format!("{} {noun}: {}\n", story.guests.len(), parts.join(", "))
}

/// The same for programs: per guest its health, and every check.
pub fn json(story: &Story) -> Vec<Value> {
    let guest = |(id, guest): (_, &GuestStory)| {
        let checks = guest.checks.iter().map(|(name, cause)| json!({ "name": name, "cause": cause }));
        json!({
            "id": id, "name": guest.name, "health": word(guest), "checks": checks.collect::<Vec<_>>(),
            "cause": match &guest.outcome { Some(Outcome::Failed { cause }) => Some(cause), _ => None },
            "reason": match &guest.outcome { Some(Outcome::Skipped { reason }) => Some(reason), _ => None },
        })
    };
    story.guests.iter().map(guest).collect()
}

fn word(guest: &GuestStory) -> &'static str {
    match &guest.outcome {
        Some(Outcome::Failed { .. }) => "not_healthy",
        Some(Outcome::Changed | Outcome::Unchanged) => "healthy",
        Some(Outcome::Skipped { .. }) | None => "not_asked",
    }
}
