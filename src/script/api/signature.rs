//! What scripts can call, as data: one table feeds the engine, the checks before a run, the errors of a run and the
//! reference.

use crate::model::params::duration;

/// A type as authors see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Type {
    /// Not known without running.
    Any,
    /// `()`.
    Unit,
    /// `true` or `false`.
    Bool,
    /// Whole number.
    Int,
    /// Number.
    Float,
    /// Text.
    Text,
    /// List.
    Array,
    /// Map.
    Map,
    /// A map that has these keys and no others.
    Record(&'static [&'static str]),
    /// Closure or function pointer.
    Function,
    /// `guest`: the machine a feature runs against.
    Guest,
    /// `node`: the node.
    Node,
    /// `params`: the declared parameters.
    Params,
    /// What a changing verb answers.
    Change,
    /// What a program answered.
    Output,
    /// What `catch` gets.
    Error,
    /// The declared site.
    Site,
    /// A guest of a script test.
    TestGuest,
    /// The modelled machine that a program model works on.
    Model,
    /// Nothing comes back: the script, or this part of it, ends here.
    Never,
}

impl Type {
    /// The word in messages.
    pub const fn word(self) -> &'static str {
        match self {
            Type::Any => "value",
            Type::Unit => "()",
            Type::Bool => "bool",
            Type::Int => "whole number",
            Type::Float => "number",
            Type::Text => "text",
            Type::Array => "list",
            Type::Map | Type::Record(_) => "map",
            Type::Function => "function",
            Type::Guest | Type::TestGuest => "guest",
            Type::Node => "node",
            Type::Params => "params",
            Type::Change => "change",
            Type::Output => "output",
            Type::Error => "error",
            Type::Site => "site",
            Type::Model => "machine",
            Type::Never => "end",
        }
    }
}

/// What a parameter or an option takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text without secrets.
    Text,
    /// An absolute path.
    Path,
    /// Permission bits as text: `"0644"`.
    Mode,
    /// An absolute URL of HTTP.
    Url,
    /// A SHA-256 digest in hex, or `"none"`.
    Digest,
    /// Name of a systemd unit.
    Unit,
    /// `"present"` or `"absent"`.
    State,
    /// A method of HTTP.
    Method,
    /// Text that may hold secrets.
    Content,
    /// Whole number.
    Int,
    /// Port number.
    Port,
    /// A number of seconds, or a duration as text: `"24h"`.
    Seconds,
    /// `true` or `false`.
    Bool,
    /// A list of texts, or one text.
    Texts,
    /// Program and arguments as a list, or a shell line.
    Command,
    /// A map of texts that may hold secrets.
    Contents,
    /// A map of texts that everybody may see.
    Settings,
    /// A map.
    Map,
    /// Anything JSON can hold, with secrets in it.
    Data,
    /// A closure.
    Function,
    /// Changes: one, or a list of them.
    Changes,
    /// Anything.
    Any,
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 22] = [
        Kind::Text,
        Kind::Content,
        Kind::Path,
        Kind::Mode,
        Kind::Url,
        Kind::Digest,
        Kind::Unit,
        Kind::State,
        Kind::Method,
        Kind::Int,
        Kind::Port,
        Kind::Seconds,
        Kind::Bool,
        Kind::Texts,
        Kind::Command,
        Kind::Contents,
        Kind::Settings,
        Kind::Map,
        Kind::Data,
        Kind::Function,
        Kind::Changes,
        Kind::Any,
    ];

    /// The word in the reference.
    pub const fn word(self) -> &'static str {
        match self {
            Kind::Text => "text",
            Kind::Content => "content",
            Kind::Path => "path",
            Kind::Mode => "mode",
            Kind::Url => "URL",
            Kind::Digest => "digest",
            Kind::Unit => "unit",
            Kind::State => "state",
            Kind::Method => "method",
            Kind::Int => "whole number",
            Kind::Port => "port",
            Kind::Seconds => "time",
            Kind::Bool => "bool",
            Kind::Texts => "texts",
            Kind::Command => "command",
            Kind::Contents => "contents",
            Kind::Settings => "settings",
            Kind::Map => "map",
            Kind::Data => "data",
            Kind::Function => "closure",
            Kind::Changes => "changes",
            Kind::Any => "any",
        }
    }

    /// Whether secrets and artifacts are put in on the way into the machine.
    pub const fn takes_secrets(self) -> bool {
        matches!(self, Kind::Content | Kind::Contents | Kind::Data)
    }

    /// Continues "must be".
    pub const fn expected(self) -> &'static str {
        match self {
            Kind::Text | Kind::Content => "a text",
            Kind::Unit => "a unit name, such as \"x.service\"",
            Kind::Url => "a URL that begins with http:// or https://",
            Kind::Digest => "a SHA-256 digest of 64 hexadecimal digits, or \"none\"",
            Kind::State => "\"present\" or \"absent\"",
            Kind::Method => "one of GET, HEAD, POST, PUT, DELETE",
            Kind::Path => "an absolute path",
            Kind::Mode => "permission bits as text, such as \"0644\"",
            Kind::Int => "a whole number",
            Kind::Port => "a port from 1 to 65535",
            Kind::Seconds => "a number of seconds or a duration such as \"24h\"",
            Kind::Bool => "true or false",
            Kind::Texts => "a text or a list of texts",
            Kind::Command => "a list of program and arguments, or a shell line",
            Kind::Contents | Kind::Settings => "a map of texts",
            Kind::Map => "a map",
            Kind::Data => "a text, number, bool, list or map",
            Kind::Function => "a closure, such as `|| ...`",
            Kind::Changes => "a change or a list of changes",
            Kind::Any => "a value",
        }
    }

    /// Whether a value of this type may fit.
    pub fn accepts(self, found: Type) -> bool {
        match self {
            _ if matches!(found, Type::Any | Type::Never) => true,
            Kind::Text
            | Kind::Path
            | Kind::Mode
            | Kind::Content
            | Kind::Url
            | Kind::Digest
            | Kind::Unit
            | Kind::State
            | Kind::Method => found == Type::Text,
            Kind::Int | Kind::Port => found == Type::Int,
            Kind::Seconds => matches!(found, Type::Int | Type::Float | Type::Text),
            Kind::Bool => found == Type::Bool,
            Kind::Texts | Kind::Command => matches!(found, Type::Text | Type::Array),
            Kind::Contents | Kind::Settings | Kind::Map => matches!(found, Type::Map | Type::Record(_) | Type::Params),
            Kind::Data => !matches!(found, Type::Function | Type::Guest | Type::Node | Type::Site),
            Kind::Function => found == Type::Function,
            Kind::Changes => matches!(found, Type::Change | Type::Output | Type::Array),
            Kind::Any => true,
        }
    }

    /// Whether it cannot be this text, which is written out in the script.
    pub fn refuses(self, literal: &str) -> bool {
        match self {
            Kind::Path => !literal.starts_with('/'),
            Kind::Seconds => duration(literal).is_none(),
            Kind::Url => !["http://", "https://"].iter().any(|scheme| literal.starts_with(scheme)),
            Kind::Digest => {
                literal != "none" && (literal.len() != 64 || !literal.bytes().all(|byte| byte.is_ascii_hexdigit()))
            }
            Kind::State => !["present", "absent"].contains(&literal),
            Kind::Method => !["GET", "HEAD", "POST", "PUT", "DELETE"].contains(&literal),
            Kind::Mode => {
                literal.is_empty() || literal.len() > 5 || !literal.bytes().all(|byte| (b'0'..=b'7').contains(&byte))
            }
            _ => false,
        }
    }
}

/// A positional parameter, or a key of the option map.
#[derive(Clone, Copy, Debug)]
pub struct Parameter {
    /// Name.
    pub name: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// Whether it must be given.
    pub required: bool,
    /// What it is for, with its unit.
    pub doc: &'static str,
}

impl Parameter {
    /// Whether `()`, which is what a parameter that was not given looks like, counts as not given. A text that was read
    /// from a missing file must not quietly become an empty one.
    pub fn may_be_nothing(&self) -> bool {
        !self.required && self.kind != Kind::Content
    }
}

/// A parameter that must be given.
pub const fn required(name: &'static str, kind: Kind, doc: &'static str) -> Parameter {
    Parameter { name, kind, required: true, doc }
}

/// A parameter that may be left out.
pub const fn optional(name: &'static str, kind: Kind, doc: &'static str) -> Parameter {
    Parameter { name, kind, required: false, doc }
}

/// Something scripts can call or read.
#[derive(Clone, Copy, Debug)]
pub struct Signature {
    /// Types it is called on; none: a free function.
    pub on: &'static [Type],
    /// Name.
    pub name: &'static str,
    /// Whether it is read like a field (`guest.ip`).
    pub property: bool,
    /// Positional parameters; optional ones come last.
    pub args: &'static [Parameter],
    /// Keys of a trailing option map; none: it takes no map.
    pub options: &'static [Parameter],
    /// Type of the answer.
    pub returns: Type,
    /// Whether it may change the machine: refused in `health` and `prepare`.
    pub changes: bool,
    /// What it does. The first sentence is its summary.
    pub doc: &'static str,
    /// When it fails; each continues "Fails".
    pub errors: &'static [&'static str],
    /// The body of a function that calls it and runs as it stands: of `apply(guest, params)`, for verbs of the node with
    /// `node`; of a test; of `run(machine, argv)`. Empty for what [`Signature::property`] reads.
    pub example: &'static str,
}

impl Signature {
    /// A free function.
    pub const fn function(name: &'static str, doc: &'static str) -> Signature {
        Signature {
            on: &[],
            name,
            property: false,
            args: &[],
            options: &[],
            returns: Type::Unit,
            changes: false,
            doc,
            errors: &[],
            example: "",
        }
    }

    /// A method.
    pub const fn method(on: &'static [Type], name: &'static str, doc: &'static str) -> Signature {
        Signature { on, ..Signature::function(name, doc) }
    }

    /// A property.
    pub const fn property(on: &'static [Type], name: &'static str, returns: Type, doc: &'static str) -> Signature {
        Signature { property: true, returns, ..Signature::method(on, name, doc) }
    }

    /// The same with positional parameters.
    pub const fn takes(self, args: &'static [Parameter]) -> Signature {
        Signature { args, ..self }
    }

    /// The same with options.
    pub const fn options(self, options: &'static [Parameter]) -> Signature {
        Signature { options, ..self }
    }

    /// The same with an answer.
    pub const fn returns(self, returns: Type) -> Signature {
        Signature { returns, ..self }
    }

    /// The same, changing the machine.
    pub const fn changes(self) -> Signature {
        Signature { changes: true, ..self }
    }

    /// The same with what it fails of: `["when the mirror cannot be reached"]`.
    pub const fn errors(self, errors: &'static [&'static str]) -> Signature {
        Signature { errors, ..self }
    }

    /// The same with an example, which a test runs: as the body of `apply(guest, params)` (for verbs of the node with
    /// `node`; of a test; of `run(machine, argv)`). Applied twice it changes nothing the second time.
    pub const fn example(self, example: &'static str) -> Signature {
        Signature { example, ..self }
    }

    /// Fewest and most arguments of a call, the option map included.
    pub fn arity(&self) -> (usize, usize) {
        let fewest = self.args.iter().filter(|arg| arg.required).count();
        // A map that holds a required option must be there.
        let map_required = self.options.iter().any(|option| option.required);
        (fewest + usize::from(map_required), self.args.len() + usize::from(!self.options.is_empty()))
    }

    /// The call as documentation shows it: `guest.file(path, #{ ... })`.
    pub fn shown(&self) -> String {
        let receiver = self.on.first().map(|on| format!("{}.", on.word())).unwrap_or_default();
        if self.property {
            return format!("{receiver}{}", self.name);
        }
        let mut parts: Vec<String> = self
            .args
            .iter()
            .map(|arg| if arg.required { arg.name.to_owned() } else { format!("[{}]", arg.name) })
            .collect();
        if !self.options.is_empty() {
            parts.push("#{ ... }".to_owned());
        }
        format!("{receiver}{}({})", self.name, parts.join(", "))
    }
}
