//! What people see: events and findings in, text out. Beside `cli` the only room that prints.
//!
//! Progress goes to standard error in one of three forms ([`progress`]): live lines on a terminal, plain lines in a
//! pipe, JSON lines for programs. A [`Story`] folds the same events into what is told at the end ([`summary`]).
//! Text is always drawn with colours; the stream it is printed to takes them out where they do not belong.

pub mod cases;
pub mod choices;
pub mod coverage;
pub mod failure;
pub mod findings;
pub mod health;
pub mod print;
pub mod progress;
pub mod proofs;
pub mod sarif;
mod story;
mod style;
pub mod summary;
pub mod table;
mod time;
mod width;

pub use story::{GuestStory, StepStory, Story};
