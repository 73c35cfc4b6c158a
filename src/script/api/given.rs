//! The arguments of one call, checked against its signature, and values out of them.

use std::collections::BTreeMap;
use std::time::Duration;

use rhai::{Dynamic, FnPtr, ImmutableString, NativeCallContext, Position};
use serde_json::Value;

use super::signature::{Kind, Signature, Type};
use crate::finding::did_you_mean;
use crate::model::params::duration;
use crate::script::error::{Raised, Thrown};
use crate::script::value::is_opaque;
use crate::secret::Sealed;

/// What a native function answers.
pub(crate) type Answer = Result<Dynamic, Raised>;

/// Whom native functions act for: found through the engine's tag.
pub(crate) trait Context: Clone + Send + Sync + 'static {
    /// A call begins: remember where, refuse what is not allowed now.
    fn begins(&self, signature: &'static Signature, source: Option<&str>, at: Position) -> Result<(), Raised>;

    /// A text with the values of its placeholders put in.
    fn resolve(&self, text: &str) -> Result<Sealed, Raised>;
}

/// The checked arguments of one call.
pub(crate) struct Given<'a, C> {
    /// Whom it acts for.
    pub run: &'a C,
    /// rhai's own view, for calling closures.
    pub context: &'a NativeCallContext<'a>,
    /// What is called.
    pub signature: &'static Signature,
    /// What it is called on; `()` for a free function.
    pub subject: Dynamic,
    values: BTreeMap<&'static str, Dynamic>,
}

impl<'a, C: Context> Given<'a, C> {
    /// Takes the arguments apart and checks each against its kind.
    pub fn read(
        run: &'a C,
        context: &'a NativeCallContext<'a>,
        signature: &'static Signature,
        subject: Dynamic,
        mut given: Vec<Dynamic>,
    ) -> Result<Given<'a, C>, Raised> {
        let mut values = BTreeMap::new();
        let name = signature.name;
        // The last argument is the option map unless a positional parameter stands there: `service("x", #{...})`.
        let has_map = !signature.options.is_empty()
            && given.last().is_some_and(Dynamic::is_map)
            && signature.args.get(given.len() - 1).is_none_or(|parameter| !parameter.required);
        let options = if has_map { given.pop() } else { None };
        if given.len() > signature.args.len() {
            let last = given.len();
            let problem =
                format!("`{name}`: argument {last} must be the map of options, not {}", describe(&given[last - 1]));
            return Err(Thrown::invalid(problem).into());
        }
        for (parameter, value) in signature.args.iter().zip(given) {
            check(signature, parameter.name, parameter.kind, &value)?;
            values.insert(parameter.name, value);
        }
        for (key, value) in options.and_then(|map| map.try_cast::<rhai::Map>()).unwrap_or_default() {
            let Some(option) = signature.options.iter().find(|option| option.name == key.as_str()) else {
                return Err(unknown_option(signature, &key).into());
            };
            if value.is_unit() && option.may_be_nothing() {
                continue;
            }
            check(signature, option.name, option.kind, &value)?;
            values.insert(option.name, value);
        }
        let missing =
            signature.args.iter().chain(signature.options).find(|p| p.required && !values.contains_key(p.name));
        if let Some(missing) = missing {
            return Err(Thrown::invalid(format!("`{name}` needs `{}` ({})", missing.name, missing.doc)).into());
        }
        Ok(Given { run, context, signature, subject, values })
    }

    fn value(&self, name: &'static str) -> Option<&Dynamic> {
        debug_assert!(
            self.signature.args.iter().chain(self.signature.options).any(|known| known.name == name),
            "`{}` asks for `{name}`, which its signature does not have",
            self.signature.name
        );
        self.values.get(name)
    }

    /// Whether it was given.
    pub fn has(&self, name: &'static str) -> bool {
        self.value(name).is_some()
    }

    fn plain(&self, name: &'static str, value: &Dynamic) -> Result<String, Raised> {
        let text = as_text(value);
        let resolved = self.run.resolve(&text)?;
        if resolved.is_secret() {
            let problem = format!("`{name}` of `{}` would show {}", self.signature.name, resolved.shown());
            return Err(Thrown::new("secret", problem)
                .hint("secrets go into `content`, `env`, `stdin`, headers and bodies only")
                .into());
        }
        Ok(resolved.expose().to_owned())
    }

    /// A text.
    pub fn text(&self, name: &'static str) -> Result<String, Raised> {
        Ok(self.maybe_text(name)?.unwrap_or_default())
    }

    /// A text, if given.
    pub fn maybe_text(&self, name: &'static str) -> Result<Option<String>, Raised> {
        self.value(name).map(|value| self.plain(name, value)).transpose()
    }

    /// A text as it stands, placeholders included: for messages, which are masked later.
    pub fn raw_text(&self, name: &'static str) -> String {
        self.value(name).map(as_text).unwrap_or_default()
    }

    /// A text that may hold secrets, if given.
    pub fn maybe_sealed(&self, name: &'static str) -> Result<Option<Sealed>, Raised> {
        self.value(name).map(|value| self.run.resolve(&as_text(value))).transpose()
    }

    /// A whole number, if given.
    pub fn maybe_int(&self, name: &'static str) -> Option<i64> {
        self.value(name).and_then(|value| value.as_int().ok())
    }

    /// A port, if given.
    pub fn maybe_port(&self, name: &'static str) -> Option<u16> {
        self.maybe_int(name).and_then(|port| u16::try_from(port).ok())
    }

    /// `true` or `false`, if given.
    pub fn maybe_bool(&self, name: &'static str) -> Option<bool> {
        self.value(name).and_then(|value| value.as_bool().ok())
    }

    /// Seconds, if given.
    pub fn maybe_seconds(&self, name: &'static str) -> Option<Duration> {
        self.value(name).and_then(seconds)
    }

    /// A list of texts; empty if not given.
    pub fn texts(&self, name: &'static str) -> Result<Vec<String>, Raised> {
        match self.value(name) {
            None => Ok(Vec::new()),
            Some(value) if value.is_array() => items(value).iter().map(|item| self.plain(name, item)).collect(),
            Some(value) => Ok(vec![self.plain(name, value)?]),
        }
    }

    /// A program with its arguments; a text is a line for the shell. Empty if not given.
    pub fn command(&self, name: &'static str) -> Result<Vec<String>, Raised> {
        match self.value(name) {
            Some(value) if !value.is_array() => Ok(crate::machine::shell(&self.plain(name, value)?)),
            _ => self.texts(name),
        }
    }

    /// A map of texts that may hold secrets; empty if not given.
    pub fn sealed_map(&self, name: &'static str) -> Result<BTreeMap<String, Sealed>, Raised> {
        let map = self.value(name).and_then(|value| value.clone().try_cast::<rhai::Map>()).unwrap_or_default();
        map.iter().map(|(key, value)| Ok((key.to_string(), self.run.resolve(&as_text(value))?))).collect()
    }

    /// A map of texts that end up where everybody sees them (arguments of programs): no secrets. Empty if not given.
    pub fn plain_map(&self, name: &'static str) -> Result<BTreeMap<String, String>, Raised> {
        let map = self.value(name).and_then(|value| value.clone().try_cast::<rhai::Map>()).unwrap_or_default();
        map.iter().map(|(key, value)| Ok((key.to_string(), self.plain(name, value)?))).collect()
    }

    /// Anything JSON can hold, placeholders still in it.
    pub fn data(&self, name: &'static str) -> Result<Option<Value>, Raised> {
        self.value(name).map(to_json).transpose()
    }

    /// Any value.
    pub fn dynamic(&self, name: &'static str) -> Option<Dynamic> {
        self.value(name).cloned()
    }

    /// Calls a closure that was given.
    pub fn call(&self, name: &'static str) -> Answer {
        let Some(function) = self.value(name).and_then(|value| value.clone().try_cast::<FnPtr>()) else {
            return Ok(Dynamic::UNIT);
        };
        function.call_within_context::<Dynamic>(self.context, ()).map_err(Raised::Script)
    }
}

fn unknown_option(signature: &Signature, key: &str) -> Thrown {
    let known = signature.options.iter().map(|option| option.name);
    let hint = match did_you_mean(key, known.clone()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("known: {}", known.collect::<Vec<_>>().join(", ")),
    };
    Thrown::invalid(format!("`{}` has no option `{key}`", signature.name)).hint(hint)
}

fn check(signature: &Signature, name: &str, kind: Kind, value: &Dynamic) -> Result<(), Raised> {
    let fits = match kind {
        Kind::Path | Kind::Mode | Kind::Url | Kind::Digest | Kind::State | Kind::Method => {
            value.is_string() && (is_opaque(&as_text(value)) || !kind.refuses(&as_text(value)))
        }
        Kind::Port => value.as_int().is_ok_and(|port| (1..=65535).contains(&port)),
        Kind::Seconds => seconds(value).is_some(),
        Kind::Texts => value.is_string() || value.is_array() && items(value).iter().all(is_scalar),
        Kind::Command => {
            value.is_string() || value.is_array() && !items(value).is_empty() && items(value).iter().all(is_scalar)
        }
        Kind::Contents | Kind::Settings => {
            value.read_lock::<rhai::Map>().is_some_and(|map| map.values().all(is_scalar))
        }
        _ => kind.accepts(type_of(value)),
    };
    if fits {
        return Ok(());
    }
    let problem = format!("`{name}` of `{}` must be {}, not {}", signature.name, kind.expected(), describe(value));
    Err(Thrown::invalid(problem).into())
}

/// A time of 0 or more as authors write it: a number of seconds, or a duration as parameters hold it.
fn seconds(value: &Dynamic) -> Option<Duration> {
    if value.is_string() {
        return duration(&as_text(value));
    }
    match value.as_int() {
        Ok(seconds) => u64::try_from(seconds).ok().map(Duration::from_secs),
        Err(_) => value.as_float().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()),
    }
}

fn is_scalar(value: &Dynamic) -> bool {
    value.is_string() || value.is_int() || value.is_bool() || value.is_float()
}

fn items(value: &Dynamic) -> Vec<Dynamic> {
    value.read_lock::<rhai::Array>().map(|items| items.clone()).unwrap_or_default()
}

fn as_text(value: &Dynamic) -> String {
    match value.read_lock::<ImmutableString>() {
        Some(text) => text.to_string(),
        None => shown(value).unwrap_or_else(|| value.to_string()),
    }
}

/// What stands for a value of ours in a text; none for those of the language. rhai itself would write the type's path.
pub(super) fn shown(value: &Dynamic) -> Option<String> {
    use super::{Ran, Subject};
    if let Some(subject) = value.read_lock::<Subject>() {
        return Some(subject.shown_type().word().to_owned());
    }
    if let Some(change) = value.read_lock::<crate::machine::Change>() {
        return Some(change.what.clone());
    }
    if let Some(ran) = value.read_lock::<Ran>() {
        return Some(ran.change.what.clone());
    }
    value.read_lock::<Thrown>().map(|thrown| thrown.message.clone())
}

/// A value as a message describes it, without showing much of it.
fn describe(value: &Dynamic) -> String {
    match type_of(value) {
        Type::Text if is_opaque(&as_text(value)) => "a secret or an artifact".to_owned(),
        Type::Text => format!("{:?}", as_text(value).chars().take(60).collect::<String>()),
        Type::Int | Type::Float | Type::Bool => as_text(value),
        Type::Unit => "() (nothing)".to_owned(),
        Type::Array if items(value).is_empty() => "an empty list".to_owned(),
        other => format!("a {}", other.word()),
    }
}

/// The type of a value as authors know it.
fn type_of(value: &Dynamic) -> Type {
    use super::{Ran, Subject};
    if value.is_unit() {
        Type::Unit
    } else if value.is_string() || value.is_char() {
        Type::Text
    } else if value.is_bool() {
        Type::Bool
    } else if value.is_int() {
        Type::Int
    } else if value.is_float() {
        Type::Float
    } else if value.is_array() {
        Type::Array
    } else if value.is_map() {
        Type::Map
    } else if value.is_fnptr() {
        Type::Function
    } else if value.is::<crate::machine::Change>() {
        Type::Change
    } else if value.is::<Ran>() {
        Type::Output
    } else if let Some(subject) = value.read_lock::<Subject>() {
        subject.shown_type()
    } else {
        Type::Any
    }
}

/// A value as JSON. Placeholders stay in.
pub(crate) fn to_json(value: &Dynamic) -> Result<Value, Raised> {
    rhai::serde::from_dynamic::<Value>(value)
        .map_err(|_| Thrown::invalid(format!("{} cannot be written as JSON", describe(value))).into())
}

/// JSON as a value of a script.
pub(crate) fn from_json(value: &Value) -> Dynamic {
    match value {
        Value::Null => Dynamic::UNIT,
        Value::Bool(value) => (*value).into(),
        Value::Number(number) => match number.as_i64() {
            Some(number) => number.into(),
            None => number.as_f64().unwrap_or_default().into(),
        },
        Value::String(text) => text.as_str().into(),
        Value::Array(items) => items.iter().map(from_json).collect::<rhai::Array>().into(),
        Value::Object(entries) => {
            Dynamic::from_map(entries.iter().map(|(key, value)| (key.as_str().into(), from_json(value))).collect())
        }
    }
}
