//! The lines of the live view: pure, from who is at work and the room there is.

use std::time::Duration;

use jiff::Timestamp;

use super::at_work::{AtWork, Doing};
use crate::model::GuestId;
use crate::ui::style::{CHANGED, DIM, STRONG, paint};
use crate::ui::{time, width};

/// Below this a detail says nothing.
const LEAST_DETAIL: usize = 8;
/// From this width on there is room for a step and a detail.
const ROOMY: usize = 60;
/// Columns of a duration.
const ELAPSED: usize = 6;

/// One line per guest at work, in plan order, and one about the run. No line is as wide as the terminal, so none wraps;
/// where there are not lines enough the last guests are only counted. Nobody at work: no lines.
pub fn lines(at_work: &AtWork, now: Timestamp, columns: usize, rows: usize) -> Vec<String> {
    if at_work.doing.is_empty() {
        return Vec::new();
    }
    let room = columns.saturating_sub(1);
    let guests: Vec<(GuestId, &str, &Doing)> =
        at_work.names.iter().filter_map(|(id, name)| Some((*id, name.as_str(), at_work.doing.get(id)?))).collect();
    // One line for the run, one where the next finished guest is told.
    let shown = guests.len().min(rows.saturating_sub(2).max(1));
    let widest = |of: &dyn Fn(&(GuestId, &str, &Doing)) -> usize| guests.iter().map(of).max().unwrap_or(0);
    let id = widest(&|(id, ..)| id.to_string().len());
    let name = widest(&|(_, name, _)| width::columns(name)).min(room / 4);
    // A detail is worth cutting a step's name short only where there is room for both.
    let step_at_most = if room < ROOMY { room.saturating_sub(id + name + ELAPSED + 3) } else { room / 3 };
    let step = widest(&|(.., doing)| width::columns(&doing.step)).min(step_at_most);
    let layout = Layout { room, id, name, step };
    let mut lines: Vec<String> = guests[..shown].iter().map(|guest| layout.line(*guest, now)).collect();
    let more = guests.len() - shown;
    lines.push(of_the_run(at_work, now, more, room));
    lines
}

struct Layout {
    room: usize,
    id: usize,
    name: usize,
    step: usize,
}

impl Layout {
    fn line(&self, (id, name, doing): (GuestId, &str, &Doing), now: Timestamp) -> String {
        let who = format!("{id:>0$} {1}", self.id, width::fill(name, self.name));
        let step = width::fill(&doing.step, self.step);
        let elapsed = time::short(since(doing.since, now));
        let plain = width::fit(&format!("{who} {step} {elapsed:>ELAPSED$}"), self.room);
        let left = self.room.saturating_sub(width::columns(&plain) + 1);
        let detail = if left < LEAST_DETAIL { String::new() } else { width::fit(doing.detail.trim(), left) };
        match plain.strip_prefix(&who) {
            Some(rest) => format!("{}{rest} {}", paint(STRONG, who), paint(DIM, detail)),
            None => plain,
        }
    }
}

fn of_the_run(at_work: &AtWork, now: Timestamp, more: usize, room: usize) -> String {
    if at_work.stopping {
        return paint(CHANGED, width::fit("finishing these; Ctrl-C again stops now", room));
    }
    let took = time::short(since(at_work.start.unwrap_or(now), now));
    let more = if more > 0 { format!(", {more} more at work") } else { String::new() };
    let text = format!("{} of {} guests done in {took}{more}", at_work.done, at_work.names.len());
    paint(DIM, width::fit(&text, room))
}

fn since(then: Timestamp, now: Timestamp) -> Duration {
    now.duration_since(then).try_into().unwrap_or_default()
}
