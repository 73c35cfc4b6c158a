//! What programs and packages do to a modelled machine: the questions that a [`Body`](super::body::Body) asks.
//!
//! A modelled machine knows a closed list of programs itself (`docs/sandbox-programs.md`). About every other program,
//! package and unit it asks a [`Programs`]; what nobody models is *assumed* to succeed, or *unknown* in a rehearsal.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::command::Output;
use crate::model::{GuestId, GuestKind};
use crate::op::{Attributes, Content, Op, OpResult, OpValue};
use crate::request::{Request, Response};

/// A program started inside a modelled machine.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ProgramCall {
    /// Program (name or path, as given) and arguments.
    pub argv: Vec<String>,
    /// Environment that was asked for; secrets in the clear.
    pub env: BTreeMap<String, String>,
    /// Working directory.
    pub cwd: String,
    /// Standard input; secrets in the clear.
    pub stdin: String,
    /// User it runs as.
    pub user: String,
}

impl ProgramCall {
    /// The program's name without its directory.
    pub fn name(&self) -> &str {
        let program = self.argv.first().map_or("", String::as_str);
        program.rsplit('/').next().unwrap_or(program)
    }

    /// The arguments.
    pub fn args(&self) -> &[String] {
        self.argv.get(1..).unwrap_or_default()
    }
}

/// Who a modelled machine is.
#[derive(Clone, Debug, PartialEq)]
pub struct Identity {
    /// The guest's id; absent for the node.
    pub id: Option<GuestId>,
    /// The guest's kind; absent for the node.
    pub kind: Option<GuestKind>,
    /// Host name.
    pub name: String,
    /// First address, if the machine has one.
    pub ip: Option<IpAddr>,
    /// The machine's clock.
    pub now: jiff::Timestamp,
}

/// The machine that a modelled program runs in.
pub trait Inside {
    /// Who it is.
    fn identity(&self) -> Identity;

    /// The program that runs; none where a server answers a request.
    fn call(&self) -> Option<&ProgramCall>;

    /// One plain read or write in it. What a program makes belongs to the user that it runs as.
    fn perform(&mut self, op: &Op) -> OpResult;

    /// The text of a file; none if there is none.
    fn text(&mut self, path: &str) -> Option<String> {
        match self.perform(&Op::Read { path: path.to_owned(), limit: u64::MAX }) {
            Ok(OpValue::Bytes(Some(bytes))) => Some(String::from_utf8_lossy(&bytes).into_owned()),
            _ => None,
        }
    }

    /// Writes a file with this mode, with the directories above it.
    ///
    /// # Errors
    /// The machine's words.
    fn write(&mut self, path: &str, mode: u32, text: &str) -> Result<(), String> {
        if let Some((above, _)) = path.rsplit_once('/').filter(|(above, _)| !above.is_empty()) {
            let make = Op::MakeDir { path: above.to_owned(), attributes: Attributes::default() };
            self.perform(&make).map_err(|error| error.message)?;
        }
        let write = Op::Write {
            path: path.to_owned(),
            content: Content::Bytes(text.as_bytes().into()),
            attributes: Attributes { mode: Some(mode), ..Attributes::default() },
            guard: None,
        };
        self.perform(&write).map(drop).map_err(|error| error.message)
    }

    /// Asks a double of a service (`ca` ...) to do something to this machine; options and answer are JSON. A verb that
    /// stands for a program answers what that prints, as `{"stdout": ...}`.
    ///
    /// # Errors
    /// The words that the real program would print.
    fn double(&mut self, service: &str, verb: &str, options: serde_json::Value) -> Result<serde_json::Value, String>;
}

/// What installing a package brings.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PackageModel {
    /// Version that is installed; empty: `1.0-1`.
    pub version: String,
    /// Text that one of the machine's enabled apt sources must contain (`download.docker.com`); empty: in Debian itself.
    pub source: String,
    /// Other packages that come with it.
    pub depends: Vec<String>,
    /// Units (`nginx.service`); one whose file is not among `files` gets a plain unit file.
    pub units: Vec<String>,
    /// Files, path -> text. Programs by their name belong into `programs`.
    pub files: BTreeMap<String, String>,
    /// Directories, 0755 of root.
    pub dirs: Vec<String>,
    /// Symbolic links, path -> target.
    pub links: BTreeMap<String, String>,
    /// System users, each with a group of the same name.
    pub users: Vec<String>,
    /// Programs that come to `/usr/bin`, or anywhere if given as an absolute path.
    pub programs: Vec<String>,
}

/// What a running unit does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UnitModel {
    /// TCP ports it listens on; empty with `serves`: the double says.
    pub listens: Vec<u16>,
    /// Double that answers on its ports: `ca`, `traefik`, `nginx`, `docker`.
    pub serves: Option<String>,
}

/// A request that reached a server, without TLS.
#[derive(Clone, Copy, Debug)]
pub struct Reached<'r> {
    /// The request.
    pub request: &'r Request,
    /// TCP port that it came to.
    pub port: u16,
    /// Path of its URL, without query.
    pub path: &'r str,
}

/// Answers for programs, packages and units that a modelled machine does not know itself.
pub trait Programs: Send + Sync {
    /// Whether this program (by name) is modelled. A modelled program that is not installed is not found; one that
    /// nobody models is assumed or unknown.
    fn knows(&self, program: &str) -> bool;

    /// Whether something may stand for calls of this program ([`Programs::instead`]).
    fn stands_in(&self, _program: &str) -> bool {
        false
    }

    /// What stands for this call whether or not there is such a program; `None`: nothing does.
    fn instead(&self, _call: &ProgramCall) -> Option<Output> {
        None
    }

    /// What the program does; `None`: nothing is known about this call.
    fn run(&self, call: &ProgramCall, inside: &mut dyn Inside) -> Option<Output>;

    /// What the package brings; `None`: not modelled.
    fn package(&self, name: &str) -> Option<PackageModel>;

    /// What the unit does while it runs; `None`: nothing that others see.
    fn unit(&self, name: &str) -> Option<UnitModel>;

    /// TCP ports that a server listens on which a unit started as `server`; `None`: nobody models it as a server.
    fn listens(&self, _server: &ProgramCall, _inside: &mut dyn Inside) -> Option<Vec<u16>> {
        None
    }

    /// What such a server answers.
    ///
    /// # Errors
    /// Why no answer came, in a client's words.
    fn respond(&self, server: &ProgramCall, _: &Reached, _inside: &mut dyn Inside) -> Result<Response, String> {
        Err(format!("nobody models what {} answers", server.name()))
    }
}

/// No models at all.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoPrograms;

impl Programs for NoPrograms {
    fn knows(&self, _program: &str) -> bool {
        false
    }

    fn run(&self, _call: &ProgramCall, _inside: &mut dyn Inside) -> Option<Output> {
        None
    }

    fn package(&self, _name: &str) -> Option<PackageModel> {
        None
    }

    fn unit(&self, _name: &str) -> Option<UnitModel> {
        None
    }
}
