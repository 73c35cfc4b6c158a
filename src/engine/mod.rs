//! Runs a plan: guests as actors side by side, each through the steps of its life.
//!
//! | file | what |
//! |---|---|
//! | [`run`](run()) | a run: the lock, the actors, the end |
//! | [`scheduler`] | which guest may start when |
//! | `boot` | who is started one after another, with pauses |
//! | `lifecycle` | the table: which step does what, which of them a guest goes through |
//! | `steps` | the steps: read, compare, change, read back |
//! | `progress` | how far the run is, for whoever finds its lock held |
//! | `life`, [`sight`], `stage` | one guest during one run, the node as read, the handles of an actor |
//! | [`mark`], [`record`], `repair` | whose a guest is, what is remembered of it, what a killed run left behind |
//! | [`drift`](drift()) | how settings on the node differ, for those who only look |
//! | [`Preflight`] | what the node lacks, found before anything is begun |
//! | `unsupported` | what is declared and the node's version does not have |
//! | [`journal`] | the story of a run on the node's disk |
//!
//! What counts is always read from the node. Record and journal prove what was begun by us and remember what cannot be
//! seen from outside.

mod boot;
mod drift;
pub mod failure;
pub mod journal;
mod life;
mod lifecycle;
pub mod mark;
mod preflight;
mod progress;
pub mod record;
mod repair;
mod run;
pub mod scheduler;
pub mod sight;
mod stage;
mod steps;
mod summary;
mod unsupported;

pub use drift::drift;
pub use failure::StepError;
pub use preflight::{Locate, Preflight, Spot, cpus, memory_total};
pub use record::Record;
pub use run::{Ask, Consent, Engine, EngineError, Options, observe, run};
pub use sight::Sight;
pub use summary::{GuestSummary, Span, Stale, Summary, critical_path};
pub use unsupported::Unsupported;
