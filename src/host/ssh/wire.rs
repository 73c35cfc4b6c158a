//! What is said between a workstation and the node.
//!
//! Values that may hold secrets have no encoding of their own, so that they cannot end up in a file by mistake. Theirs
//! is defined here, for this line alone: ssh encrypts it, and nobody prints it (nothing here is `Debug`).

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::command::{Claim, Command, Effect, Output};
use crate::host::HostError;
use crate::op::{Attributes, Content, Exec, Guard, Op, OpResult, Place, UnitAction};
use crate::request::{Method, Request, Response, Trust};
use crate::secret::Sealed;

/// Counts up with every change to what is defined here or carried by it.
pub(super) const PROTOCOL: u32 = 1;

/// What the node says first.
#[derive(Serialize, Deserialize)]
pub(super) struct Hello {
    /// [`PROTOCOL`] of the program there.
    pub(super) protocol: u32,
    /// Its version.
    pub(super) version: String,
    /// Its clock.
    pub(super) now: jiff::Timestamp,
    /// Whether the clock goes on by itself; otherwise only calls move it.
    pub(super) ticks: bool,
}

/// Of one's own actors each has a number; 0 is there from the beginning.
pub(super) type ActorId = u32;

/// What a workstation says.
#[derive(Serialize, Deserialize)]
pub(super) enum ToNode {
    /// Something to do, and to answer under this number. Calls of one actor are done in order.
    Call(u64, ActorId, Call),
    /// A new actor.
    Actor(ActorId, String),
    /// An actor that will call no more.
    Gone(ActorId),
    /// How far the run is.
    Tell(String),
    /// The run is over.
    Unlock,
    /// Nothing, but I am still here.
    Alive,
}

/// Something to do.
#[derive(Serialize, Deserialize)]
pub(super) enum Call {
    Run(#[serde(with = "CommandWire")] Command),
    Perform(Place, Vec<OpValue>),
    Request(#[serde(with = "RequestWire")] Request),
    Sleep(Duration),
    CloseChannel(Place),
    Lock(String),
}

/// What the node says then.
#[derive(Serialize, Deserialize)]
pub(super) struct Answered {
    /// Number of the call.
    pub(super) call: u64,
    /// The node's clock.
    pub(super) now: jiff::Timestamp,
    /// What came of it.
    pub(super) answer: Result<Answer, HostError>,
}

/// What came of a call.
#[derive(Serialize, Deserialize)]
pub(super) enum Answer {
    Output(Output),
    Results(Vec<OpResult>),
    Response(Response),
    Done,
}

/// An Op on the line.
#[derive(Serialize, Deserialize)]
pub(super) struct OpValue(#[serde(with = "OpWire")] pub(super) Op);

#[derive(Serialize, Deserialize)]
#[serde(remote = "Command")]
struct CommandWire {
    program: String,
    args: Vec<String>,
    #[serde(with = "one")]
    stdin: Option<Sealed>,
    timeout: Duration,
    effect: Effect,
    claims: Vec<Claim>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Request")]
struct RequestWire {
    method: Method,
    url: String,
    connect_to: Option<SocketAddr>,
    #[serde(with = "pairs")]
    headers: Vec<(String, Sealed)>,
    #[serde(with = "one")]
    body: Option<Sealed>,
    trust: Trust,
    timeout: Duration,
    effect: Effect,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Exec")]
struct ExecWire {
    argv: Vec<String>,
    #[serde(with = "map")]
    env: BTreeMap<String, Sealed>,
    cwd: Option<String>,
    #[serde(with = "one")]
    stdin: Option<Sealed>,
    user: Option<String>,
    timeout: Duration,
    effect: Effect,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Content")]
enum ContentWire {
    Bytes(Arc<[u8]>),
    Text(#[serde(with = "sealed")] Sealed),
    NodeFile { path: String, sha256: String },
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Op")]
enum OpWire {
    Stat {
        path: String,
    },
    Read {
        path: String,
        limit: u64,
    },
    Digest {
        path: String,
    },
    List {
        path: String,
    },
    ReadAll {
        path: String,
        suffix: String,
    },
    Write {
        path: String,
        #[serde(with = "ContentWire")]
        content: Content,
        attributes: Attributes,
        guard: Option<Guard>,
    },
    Append {
        path: String,
        bytes: Vec<u8>,
        sync: bool,
    },
    MakeDir {
        path: String,
        attributes: Attributes,
    },
    Link {
        path: String,
        target: String,
    },
    Remove {
        path: String,
        recursive: bool,
    },
    Move {
        from: String,
        to: String,
    },
    SetAttributes {
        path: String,
        attributes: Attributes,
    },
    Fetch {
        url: String,
        sha256: Option<String>,
        member: Option<String>,
        path: String,
    },
    Packages,
    RefreshPackages,
    InstallPackages {
        names: Vec<String>,
        recommends: bool,
    },
    RemovePackages {
        names: Vec<String>,
    },
    Units {
        names: Vec<String>,
    },
    Unit {
        name: String,
        action: UnitAction,
    },
    ReloadUnits,
    Accounts,
    AddUser {
        name: String,
        uid: Option<u32>,
        system: bool,
        home: Option<String>,
        shell: Option<String>,
    },
    AddGroup {
        name: String,
        gid: Option<u32>,
        system: bool,
    },
    AddToGroup {
        user: String,
        group: String,
    },
    Exec(#[serde(with = "ExecWire")] Exec),
    Listening,
    Neighbours {
        addresses: Vec<Ipv4Addr>,
    },
    Network,
    SystemState,
    Os,
}

/// The real text, and the text as it may be shown.
type Plain = (String, String);

fn plain(sealed: &Sealed) -> (&str, &str) {
    (sealed.expose(), sealed.shown())
}

fn seal((real, shown): Plain) -> Sealed {
    Sealed::new(real, shown)
}

mod sealed {
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    use super::{Plain, Sealed, plain, seal};

    pub(super) fn serialize<S: Serializer>(value: &Sealed, to: S) -> Result<S::Ok, S::Error> {
        plain(value).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Sealed, D::Error> {
        Plain::deserialize(from).map(seal)
    }
}

mod one {
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    use super::{Plain, Sealed, plain, seal};

    pub(super) fn serialize<S: Serializer>(value: &Option<Sealed>, to: S) -> Result<S::Ok, S::Error> {
        value.as_ref().map(plain).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Sealed>, D::Error> {
        Ok(Option::<Plain>::deserialize(from)?.map(seal))
    }
}

mod pairs {
    use serde::{Deserialize as _, Deserializer, Serializer};

    use super::{Plain, Sealed, plain, seal};

    pub(super) fn serialize<S: Serializer>(value: &[(String, Sealed)], to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(value.iter().map(|(name, value)| (name, plain(value))))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<(String, Sealed)>, D::Error> {
        let all = Vec::<(String, Plain)>::deserialize(from)?;
        Ok(all.into_iter().map(|(name, value)| (name, seal(value))).collect())
    }
}

mod map {
    use std::collections::BTreeMap;

    use serde::{Deserialize as _, Deserializer, Serializer};

    use super::{Plain, Sealed, plain, seal};

    pub(super) fn serialize<S: Serializer>(value: &BTreeMap<String, Sealed>, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(value.iter().map(|(name, value)| (name, plain(value))))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<String, Sealed>, D::Error> {
        let all = BTreeMap::<String, Plain>::deserialize(from)?;
        Ok(all.into_iter().map(|(name, value)| (name, seal(value))).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::ssh::frame;
    use crate::op::OpValue as Value;
    use crate::op::{OpError, OpErrorKind};

    fn crosses<T: Serialize + serde::de::DeserializeOwned>(value: &T) -> T {
        frame::read(&mut frame::encode(value).unwrap().as_slice()).unwrap().unwrap()
    }

    #[test]
    fn secrets_cross_as_they_are_and_stay_sealed() {
        let secret = || Sealed::new("s3cret\0\n", "<secret one>");
        let command = Command::change("pct", ["set", "", "--x", "grün; $(id)"]).stdin(secret());
        let request =
            Request { headers: vec![("a".to_owned(), secret())], ..Request::post_json("http://x/", secret()) };
        let exec = Exec {
            argv: vec!["true".to_owned()],
            env: [("A".to_owned(), secret())].into(),
            cwd: Some("/".to_owned()),
            stdin: Some(secret()),
            user: None,
            timeout: Duration::from_millis(1500),
            effect: Effect::Change,
        };
        let guard = Guard { lock: "/l".to_owned(), expect: "00".to_owned() };
        let write = Op::Write {
            path: "/a".to_owned(),
            content: Content::Text(secret()),
            attributes: Attributes { mode: Some(0o640), owner: Some("root".to_owned()), group: None },
            guard: Some(guard),
        };
        let ops = vec![Op::Exec(exec), write, Op::Packages];

        let Call::Run(got) = crosses(&Call::Run(command.clone())) else { panic!() };
        assert_eq!(got, command);
        assert_eq!(got.stdin.unwrap().shown(), "<secret one>");
        let Call::Request(got) = crosses(&Call::Request(request.clone())) else { panic!() };
        assert_eq!(got, request);
        assert!(got.headers[0].1.is_secret());
        let Call::Perform(Place::Node, got) =
            crosses(&Call::Perform(Place::Node, ops.iter().cloned().map(OpValue).collect()))
        else {
            panic!()
        };
        assert_eq!(got.into_iter().map(|op| op.0).collect::<Vec<_>>(), ops);
    }

    #[test]
    fn answers_cross() {
        let results: Vec<OpResult> = vec![
            Ok(Value::Bytes(Some(vec![0, 255]))),
            Ok(Value::Bytes(None)),
            Ok(Value::Files([("a".to_owned(), vec![1])].into())),
            Err(OpError::new(OpErrorKind::NoSuchUser, "invalid user: 'x'")),
        ];
        let Answer::Results(got) = crosses(&Answer::Results(results.clone())) else { panic!() };
        assert_eq!(got, results);
        let error = HostError::Timeout { what: "x".to_owned(), after: Duration::from_secs(3) };
        let answered = Answered { call: 1, now: jiff::Timestamp::UNIX_EPOCH, answer: Err(error.clone()) };
        assert_eq!(crosses(&answered).answer.err(), Some(error));
    }
}
