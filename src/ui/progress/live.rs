//! One living line per guest at work; finished guests become ordinary lines above.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::Verbosity;
use super::plain::Plain;
use crate::event::{Event, Sink, Stamped};
use crate::model::GuestId;
use crate::ui::print;

/// Lines for terminals.
pub struct Live {
    plain: Plain,
    area: MultiProgress,
    bars: Mutex<Bars>,
}

#[derive(Default)]
struct Bars {
    names: BTreeMap<GuestId, String>,
    at_work: BTreeMap<GuestId, (ProgressBar, String)>,
}

impl Live {
    /// Lines of this verbosity.
    pub fn new(verbosity: Verbosity) -> Live {
        Live { plain: Plain::new(verbosity), area: MultiProgress::new(), bars: Mutex::default() }
    }

    fn move_bars(&self, event: &Event) {
        let mut bars = self.bars.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::RunStarted { guests, .. } => bars.names.extend(guests.iter().cloned()),
            Event::GuestStarted { guest } => {
                let bar = self.area.add(ProgressBar::new_spinner().with_style(line_style()));
                bar.set_prefix(format!("{guest:>5} {}", bars.names.get(guest).map_or("", String::as_str)));
                bar.enable_steady_tick(Duration::from_millis(120));
                bars.at_work.insert(*guest, (bar, String::new()));
            }
            Event::StepStarted { guest, step } => {
                if let Some((bar, doing)) = bars.at_work.get_mut(guest) {
                    *doing = step.to_string();
                    bar.set_message(doing.clone());
                }
            }
            Event::Section { guest, label } => detail(&bars, guest, label),
            Event::Waiting { guest, on } => detail(&bars, guest, &format!("waiting for {on}")),
            Event::GuestFinished { guest, .. } => {
                if let Some((bar, _)) = bars.at_work.remove(guest) {
                    bar.finish_and_clear();
                    self.area.remove(&bar);
                }
            }
            _ => {}
        }
    }
}

fn detail(bars: &Bars, guest: &GuestId, text: &str) {
    if let Some((bar, doing)) = bars.at_work.get(guest) {
        bar.set_message(format!("{doing}: {text}"));
    }
}

fn line_style() -> ProgressStyle {
    ProgressStyle::with_template("{spinner} {prefix:.bold} {elapsed:>4} {wide_msg}")
        .expect("the template is a constant that a test draws")
}

impl Sink for Live {
    fn emit(&self, event: Stamped) {
        self.move_bars(&event.event);
        if let Some(text) = self.plain.lines(&event) {
            self.area.suspend(|| print::note(&(text + "\n")));
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_template_is_valid() {
        super::line_style();
    }
}
