//! What tests do with guests: spoken here, done by whoever runs them ([`crate::testing`]).

use std::sync::Arc;

use serde_json::Value;

use super::ScriptError;
use super::run::{Entry, ScriptReport};
use crate::command::Output;
use crate::event::Failure;
use crate::machine::Machine;
use crate::model::GuestId;

/// A guest that a test asked for.
pub trait StagedGuest: Send + Sync {
    /// Its id.
    fn id(&self) -> GuestId;

    /// Runs one entry of a feature or an app in it.
    ///
    /// # Errors
    /// As [`super::run()`]; wrong parameters too.
    fn run(&self, entry: Entry, script: &str, params: &Value) -> Result<ScriptReport, ScriptError>;

    /// What applying a script would do now, as a dry run sees it. Changes nothing.
    ///
    /// # Errors
    /// As [`super::run()`].
    fn rehearse(&self, script: &str, params: &Value) -> Result<ScriptReport, ScriptError>;

    /// Applies a script to copies of the guest, each time cut off at another changing value and then applied again, and
    /// at last to the guest itself. Answers at how many places it was cut off.
    ///
    /// # Errors
    /// When it does not go on, or comes to another end than without the cut.
    fn apply_killed_everywhere(&self, script: &str, params: &Value) -> Result<usize, Failure>;

    /// The guest as a machine, for looking at what became of it. Knows nothing that it has not asked for.
    fn machine(&self) -> Machine;

    /// What it published under a name.
    fn artifact(&self, name: &str) -> Option<String>;

    /// Everything that could change something inside it since the test got it, one line each.
    fn did(&self) -> Vec<String>;

    /// From now on this answers instead of a program, on all guests of the test's node.
    fn stub(&self, stub: Stub);

    /// Something goes wrong from now on.
    ///
    /// # Errors
    /// When it cannot.
    fn trouble(&self, trouble: Trouble) -> Result<(), Failure>;
}

/// Makes guests as a test describes them, on one node.
pub type Maker = Arc<dyn Fn(Vec<Value>) -> Result<Vec<Arc<dyn StagedGuest>>, Failure> + Send + Sync>;

/// An answer instead of a program.
#[derive(Clone, Debug, PartialEq)]
pub struct Stub {
    /// Pattern of the program with its arguments, separated by blanks.
    pub pattern: String,
    /// What it answers.
    pub answer: Output,
    /// How often it may; absent: always.
    pub times: Option<u64>,
}

/// What goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The next call that is meant by this fails, once.
    Next(String),
    /// Nothing more can be written below this directory.
    FullDisk(String),
    /// No package mirror answers.
    NoMirror,
    /// The guest stops in the middle of the changing value after so many others.
    Lost(u64),
    /// The run is cut off at the changing value after so many others; the next one goes on where it stands.
    Cut(u64),
    /// Nothing any more; a guest that stopped runs again.
    Over,
}
