//! Arguments of what our tables list: how many, of which type, which options.

use rhai::Position;

use super::calls::range;
use super::compare::a;
use super::visit::Checker;
use crate::finding::did_you_mean;
use crate::script::api::signature::{Kind, Parameter, Signature, Type};
use crate::script::syntax::Expr;
use crate::script::text::lower_first;

impl Checker<'_> {
    /// A call of one of our tables.
    pub fn verb(&mut self, signature: &'static Signature, args: &[Expr], at: Position) -> Type {
        if signature.changes {
            self.seen.changes.push((self.inside.clone(), signature.name, at));
        }
        let (fewest, most) = signature.arity();
        if args.len() < fewest || args.len() > most {
            let given = args.len();
            let problem = format!("`{}` takes {}, not {given}", signature.name, range(fewest, most));
            self.arguments(args);
            self.error("arity", at, problem, Some(format!("`{}`: {}", signature.shown(), lower_first(signature.doc))));
            return signature.returns;
        }
        // The option map stands where no positional parameter must.
        let has_map = !signature.options.is_empty()
            && args.len().checked_sub(1).is_some_and(|last| signature.args.get(last).is_none_or(|arg| !arg.required));
        let (positional, options) = match args.split_last() {
            Some((last, rest)) if has_map && matches!(last, Expr::Map(..)) => (rest, Some(last)),
            _ => (args, None),
        };
        let meant_to_fail = self.meant_to_fail;
        self.meant_to_fail |= signature.name == "assert_throws";
        for (parameter, value) in signature.args.iter().zip(positional) {
            self.value(signature, parameter, value);
        }
        self.meant_to_fail = meant_to_fail;
        if let Some(surplus) = positional.get(signature.args.len()) {
            let shown = self.used(surplus);
            if !matches!(shown, Type::Any | Type::Never | Type::Map | Type::Record(_) | Type::Params) {
                let problem = format!("the last argument of `{}` is its map of options", signature.name);
                self.error("type", surplus.at(), problem, Some(signature.shown()));
            }
        }
        match options {
            Some(Expr::Map(entries, map_at)) => self.options(signature, entries, *map_at),
            _ if positional.len() <= signature.args.len() => self.missing(signature, &[], at),
            _ => {}
        }
        self.special(signature, positional, options, at);
        signature.returns
    }

    fn options(&mut self, signature: &'static Signature, entries: &[(String, Position, Expr)], at: Position) {
        for (key, key_at, value) in entries {
            match signature.options.iter().find(|option| option.name == key) {
                Some(option) => self.value(signature, option, value),
                None => {
                    self.used(value);
                    let known = signature.options.iter().map(|option| option.name);
                    let hint = match did_you_mean(key, known.clone()) {
                        Some(near) => format!("did you mean `{near}`?"),
                        None => format!("known: {}", known.collect::<Vec<_>>().join(", ")),
                    };
                    let problem = format!("`{}` has no option `{key}`", signature.name);
                    self.error("unknown-option", *key_at, problem, Some(hint));
                }
            }
        }
        let given: Vec<&str> = entries.iter().map(|(key, ..)| key.as_str()).collect();
        self.missing(signature, &given, at);
    }

    fn missing(&mut self, signature: &'static Signature, given: &[&str], at: Position) {
        for option in signature.options.iter().filter(|option| option.required && !given.contains(&option.name)) {
            let problem = format!("`{}` needs the option `{}`", signature.name, option.name);
            self.error("missing-option", at, problem, Some(option.doc.to_owned()));
        }
    }

    /// One argument or option against what it takes.
    fn value(&mut self, signature: &Signature, parameter: &Parameter, value: &Expr) {
        self.escaping(value);
        let kind = parameter.kind;
        let in_command = self.in_command;
        self.in_command |= kind == Kind::Command;
        let shown = match kind {
            _ if matches!(value, Expr::Unit(_)) && parameter.may_be_nothing() => Type::Any,
            Kind::Any | Kind::Data => self.type_of(value),
            _ => self.used(value),
        };
        self.in_command = in_command;
        if let Some(at) = refused(kind, value) {
            let problem = format!("`{}` of `{}` must be {}", parameter.name, signature.name, kind.expected());
            self.error("type", at, problem, None);
        } else if shown != Type::Unit && !kind.accepts(shown) {
            // Nothing at all was complained about already.
            let problem = format!("`{}` of `{}` must be {}", parameter.name, signature.name, kind.expected());
            let hint = match (kind, value) {
                (Kind::Mode, Expr::Int(digits, _)) => format!("in quotes: \"{digits:04}\""),
                (Kind::Text | Kind::Content, _) if shown == Type::Output => "take `.stdout`".to_owned(),
                (Kind::Text | Kind::Content, Expr::Int(number, _)) => format!("in quotes: \"{number}\""),
                (Kind::Bool, _) if shown == Type::Output => "ask for `.ok`".to_owned(),
                (Kind::Bool, _) if shown == Type::Change => "ask for `.changed`".to_owned(),
                _ => format!("this is {}", a(shown)),
            };
            self.error("type", value.at(), problem, Some(hint));
        } else {
            self.members(signature, parameter, value);
        }
        self.in_the_open(signature, parameter, value);
        if kind == Kind::Command {
            self.command(value);
        }
        if kind == Kind::Unit {
            self.unit_suffix(value);
        }
    }

    /// Members of a list or map that is written out.
    fn members(&mut self, signature: &Signature, parameter: &Parameter, value: &Expr) {
        let members: Vec<&Expr> = match (parameter.kind, value) {
            (Kind::Command, Expr::Array(items, at)) if items.is_empty() => {
                let problem = format!("`{}` of `{}` names no program", parameter.name, signature.name);
                return self.error("type", *at, problem, None);
            }
            (Kind::Texts | Kind::Command, Expr::Array(items, _)) => items.iter().collect(),
            (Kind::Contents | Kind::Settings, Expr::Map(entries, _)) => {
                entries.iter().map(|(_, _, value)| value).collect()
            }
            _ => return,
        };
        for member in members {
            // Looked at a second time: what there is to tell of it was told already.
            let shown = self.quietly(member);
            if !matches!(shown, Type::Any | Type::Never | Type::Text | Type::Int | Type::Bool | Type::Float) {
                let problem = format!("{} cannot be in `{}` of `{}`", a(shown), parameter.name, signature.name);
                let hint = match shown {
                    Type::Array => Some("join lists by `+`".to_owned()),
                    Type::Output => Some("take `.stdout`".to_owned()),
                    _ => None,
                };
                self.error("type", member.at(), problem, hint);
            }
        }
    }
}

/// Where a text that is written out cannot be what is asked for; of a composed one only its beginning is known.
fn refused(kind: Kind, value: &Expr) -> Option<Position> {
    let begins = |first: &Expr| match (kind, first.text()) {
        (Kind::Path, Some(text)) => !text.is_empty() && !text.starts_with('/'),
        (Kind::Url, Some(text)) => {
            !["http://", "https://"].iter().any(|scheme| text.starts_with(scheme) || scheme.starts_with(text))
        }
        _ => false,
    };
    let wrong = match value {
        Expr::Text(text, _) => kind.refuses(text),
        Expr::Int(port, _) if kind == Kind::Port => !(1..=65535).contains(port),
        Expr::Int(seconds, _) if kind == Kind::Seconds => *seconds < 0,
        Expr::Template(parts, _) => parts.first().is_some_and(begins),
        Expr::Call { operator: true, name, args, .. } if name == "+" => {
            let mut first = args.first();
            while let Some(Expr::Call { operator: true, args, .. }) = first {
                first = args.first();
            }
            first.is_some_and(begins)
        }
        _ => false,
    };
    wrong.then(|| value.at())
}
