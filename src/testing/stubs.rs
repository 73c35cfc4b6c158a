//! Answers that a test puts in the place of programs, before the models beside the scripts are asked.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::command::Output;
use crate::model::fits;
use crate::request::Response;
use crate::sandbox::Programs;
use crate::sandbox::programs::{Inside, PackageModel, ProgramCall, Reached, UnitModel};
use crate::script::{Models, Stub};

/// The programs of one test.
pub(super) struct Stubs {
    models: Models,
    stubs: Mutex<Vec<Stub>>,
}

impl Stubs {
    pub fn new(models: &Models) -> Stubs {
        Stubs { models: models.clone(), stubs: Mutex::default() }
    }

    /// From now on this answers first.
    pub fn add(&self, stub: Stub) {
        self.all().push(stub);
    }

    fn all(&self) -> MutexGuard<'_, Vec<Stub>> {
        self.stubs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a call is meant: its program by name or as it was called; of a shell line the line too.
fn is_meant(pattern: &str, call: &ProgramCall) -> bool {
    let named: Vec<&str> = std::iter::once(call.name()).chain(call.args().iter().map(String::as_str)).collect();
    let line = match &call.argv[..] {
        [shell, option, line] if shell == "sh" && option == "-c" => fits(pattern, line),
        _ => false,
    };
    line || fits(pattern, &named.join(" ")) || fits(pattern, &call.argv.join(" "))
}

impl Programs for Stubs {
    fn knows(&self, program: &str) -> bool {
        self.models.knows(program)
    }

    fn stands_in(&self, program: &str) -> bool {
        self.all().iter().any(|stub| stub.pattern.split(' ').next().is_some_and(|first| fits(first, program)))
    }

    fn instead(&self, call: &ProgramCall) -> Option<Output> {
        let mut stubs = self.all();
        let stub = stubs.iter_mut().rev().find(|stub| stub.times != Some(0) && is_meant(&stub.pattern, call))?;
        stub.times = stub.times.map(|times| times - 1);
        Some(stub.answer.clone())
    }

    fn run(&self, call: &ProgramCall, inside: &mut dyn Inside) -> Option<Output> {
        self.models.run(call, inside)
    }

    fn package(&self, name: &str) -> Option<PackageModel> {
        self.models.package(name)
    }

    fn unit(&self, name: &str) -> Option<UnitModel> {
        self.models.unit(name)
    }

    fn listens(&self, server: &ProgramCall, inside: &mut dyn Inside) -> Option<Vec<u16>> {
        self.models.listens(server, inside)
    }

    fn respond(&self, server: &ProgramCall, reached: &Reached, inside: &mut dyn Inside) -> Result<Response, String> {
        self.models.respond(server, reached, inside)
    }
}
