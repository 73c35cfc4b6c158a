//! One JSON object per event on standard output.

use crate::event::{Sink, Stamped};
use crate::ui::print;

/// The stream for programs.
#[derive(Debug)]
pub struct Json;

impl Sink for Json {
    fn emit(&self, event: Stamped) {
        // An event is plain data; were one not serialisable, the stream would rather miss it than end the run.
        if let Ok(line) = serde_json::to_string(&event) {
            print::result_line(&line);
        }
    }
}
