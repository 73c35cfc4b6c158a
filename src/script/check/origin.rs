//! Where values come from: what the author wrote, what somebody else said, what nobody may see. Shell lines are not made
//! of what others say, and secrets go nowhere but where they are sealed.

use super::visit::Checker;
use crate::model::ParamType;
use crate::script::api::signature::{Kind, Parameter, Signature, Type};
use crate::script::syntax::{Expr, Link, Stmt};

/// Where a value comes from. A value made of several comes from the last of them in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Origin {
    /// The script itself, or something that cannot hold anything surprising: a number, a name that was checked.
    Fixed,
    /// Not known.
    Unknown,
    /// A parameter, a file, a program: any text.
    Outside,
    /// A placeholder of an artifact.
    Artifact,
    /// A placeholder of a secret.
    Secret,
}

impl Origin {
    /// A placeholder, whose text nobody can look into.
    pub fn is_opaque(self) -> bool {
        self >= Origin::Artifact
    }
}

/// Verbs whose answer is a text that was found in the machine or the network.
const FOUND: [&str; 4] = ["read", "probe", "exec", "http"];

/// Facts of a guest that were checked when they were declared.
const CHECKED: [&str; 7] = ["id", "name", "kind", "ip", "fqdn", "os", "gpus"];

impl Checker<'_> {
    /// Where the value of an expression comes from.
    pub fn origin(&self, value: &Expr) -> Origin {
        match value {
            Expr::Template(parts, _) | Expr::Coalesce(parts, _) => self.widest(parts),
            Expr::Array(items, _) => self.collected(items.iter()),
            Expr::Map(entries, _) => self.collected(entries.iter().map(|(_, _, value)| value)),
            Expr::Variable { module: None, name, .. } => {
                self.scopes.get(name).map_or(Origin::Unknown, |variable| variable.origin)
            }
            Expr::Variable { module: Some(module), name, .. } if module == "global" => {
                let constant = self.script.syntax.constants.iter().find(|constant| constant.name == *name);
                constant.map_or(Origin::Unknown, |constant| self.origin(&constant.value))
            }
            Expr::Call { operator: true, name, args, .. } => match name.as_str() {
                "+" | "-" | "*" | "/" | "%" => self.widest(args),
                _ => Origin::Fixed,
            },
            Expr::Call { module: None, name, args, .. } => self.origin_of_call(name, args),
            Expr::Chain { head, links } => self.origin_of_chain(head, links),
            Expr::Block(body, _) => match body.last() {
                Some(Stmt::If { then, otherwise, .. }) => match (then.last(), otherwise.last()) {
                    (Some(Stmt::Expr(one)), Some(Stmt::Expr(other))) => self.origin(one).max(self.origin(other)),
                    _ => Origin::Unknown,
                },
                Some(Stmt::Expr(value)) => self.origin(value),
                _ => Origin::Unknown,
            },
            Expr::Unit(_) | Expr::Bool(..) | Expr::Int(..) | Expr::Float(..) | Expr::Text(..) | Expr::Logic(..) => {
                Origin::Fixed
            }
            _ => Origin::Unknown,
        }
    }

    fn widest(&self, parts: &[Expr]) -> Origin {
        parts.iter().map(|part| self.origin(part)).max().unwrap_or(Origin::Fixed)
    }

    /// A list or map that the script puts together: its members differ.
    fn collected<'e>(&self, members: impl Iterator<Item = &'e Expr>) -> Origin {
        match members.map(|member| self.origin(member)).max() {
            Some(Origin::Outside) => Origin::Unknown,
            widest => widest.unwrap_or(Origin::Fixed),
        }
    }

    fn origin_of_call(&self, name: &str, args: &[Expr]) -> Origin {
        if self.script.syntax.defines(name) {
            return self.answered(name, args.len()).map_or(Origin::Unknown, |(_, origin)| origin);
        }
        match name {
            "secret" => Origin::Secret,
            "artifact" => Origin::Artifact,
            "shell_quote" | "asset" | "parse_int" | "parse_float" => Origin::Fixed,
            "config" => Origin::Outside,
            "unique" | "to_json_pretty" => self.widest(args),
            _ => Origin::Unknown,
        }
    }

    /// The origin of a chain up to its last link.
    pub fn origin_of_chain(&self, head: &Expr, links: &[Link]) -> Origin {
        let on = match head {
            Expr::Variable { module: None, name, .. } => {
                self.scopes.get(name).map_or(Type::Any, |variable| variable.shown)
            }
            _ => Type::Any,
        };
        let mut origin = self.origin(head);
        for (index, link) in links.iter().enumerate() {
            origin = match (on, link) {
                (Type::Params, Link::Property { name, .. }) if index == 0 => self.origin_of_param(name),
                (Type::Params, Link::Index(key)) if index == 0 => {
                    key.text().map_or(Origin::Unknown, |name| self.origin_of_param(name))
                }
                (Type::Guest | Type::Node, Link::Property { name, .. }) if index == 0 => {
                    if CHECKED.contains(&name.as_str()) { Origin::Fixed } else { Origin::Outside }
                }
                (Type::Guest | Type::Node, Link::Method { name, .. }) if index == 0 => {
                    if FOUND.contains(&name.as_str()) { Origin::Outside } else { Origin::Unknown }
                }
                (_, Link::Property { name, .. }) if ["ok", "code", "status", "changed"].contains(&name.as_str()) => {
                    Origin::Fixed
                }
                (_, Link::Property { .. } | Link::Index(_)) => match origin {
                    // One member of what the script has put together.
                    Origin::Artifact | Origin::Secret => Origin::Unknown,
                    other => other,
                },
                (_, Link::Method { name, args, .. }) => match name.as_str() {
                    "len" | "is_empty" | "contains" | "starts_with" | "ends_with" | "index_of" | "sha256"
                    | "base64" => Origin::Fixed,
                    _ => origin.max(self.widest(args)),
                },
            };
        }
        origin
    }

    fn origin_of_param(&self, name: &str) -> Origin {
        let Some(param) = self.spec.and_then(|spec| spec.params.get(name)) else { return Origin::Unknown };
        match param.kind {
            ParamType::Secret => Origin::Secret,
            _ if !param.choices.is_empty() => Origin::Fixed,
            ParamType::String | ParamType::List | ParamType::Map | ParamType::Path => Origin::Outside,
            _ => Origin::Fixed,
        }
    }

    /// An argument that may hold no secret.
    pub fn in_the_open(&mut self, signature: &Signature, parameter: &Parameter, value: &Expr) {
        let sealed = matches!(
            parameter.kind,
            Kind::Content | Kind::Contents | Kind::Data | Kind::Any | Kind::Function | Kind::Changes
        );
        let Some(at) = (if sealed { None } else { self.secret_in(value) }) else { return };
        let problem = format!("`{}` of `{}` would show a secret", parameter.name, signature.name);
        let hint = match parameter.kind {
            Kind::Command => "give it by `stdin` or `env`: arguments are seen by every user of the machine",
            _ => "secrets go into `content`, `env`, `stdin`, headers and bodies only",
        };
        self.error("secret", at, problem, Some(hint.to_owned()));
    }

    /// Where a secret stands in an expression.
    fn secret_in(&self, value: &Expr) -> Option<rhai::Position> {
        if self.origin(value) < Origin::Secret {
            return None;
        }
        match value {
            Expr::Array(items, _) | Expr::Template(items, _) => items.iter().find_map(|item| self.secret_in(item)),
            Expr::Call { operator: true, args, .. } => args.iter().find_map(|arg| self.secret_in(arg)),
            other => Some(other.at()),
        }
    }

    /// A program and its arguments: what others say must not become part of a shell line.
    pub fn command(&mut self, value: &Expr) {
        let line = match value {
            Expr::Array(items, _) => match items.as_slice() {
                [shell, flag, line, ..] if is_shell(shell) && flag.text().is_some_and(|flag| flag.ends_with('c')) => {
                    line
                }
                _ => return,
            },
            line => line,
        };
        let mut found = Vec::new();
        self.outside_parts(line, false, &mut found);
        for (at, shown) in found {
            let problem = "this becomes part of a shell line as it is".to_owned();
            let hint = format!(
                "give program and arguments as a list, `[\"program\", {shown}]`, or write `shell_quote({shown})`"
            );
            self.warning("shell-quote", at, problem, Some(hint));
        }
    }

    /// Parts of a line that come from outside. A whole line that does is meant to be one.
    fn outside_parts(&self, value: &Expr, part: bool, found: &mut Vec<(rhai::Position, String)>) {
        match value {
            Expr::Template(parts, _) => parts.iter().for_each(|inner| self.outside_parts(inner, true, found)),
            Expr::Call { operator: true, name, args, .. } if name == "+" => {
                args.iter().for_each(|arg| self.outside_parts(arg, true, found));
            }
            other if part && matches!(self.origin(other), Origin::Outside | Origin::Artifact) => {
                found.push((other.at(), shown(other)));
            }
            _ => {}
        }
    }

    /// Nobody can look into a placeholder: it stands for the value only on its way into the machine.
    pub fn looked_into(&mut self, head: &Expr, links: &[Link], on: Type, name: &str, at: rhai::Position) {
        if on != Type::Text || ["to_string", "type_of"].contains(&name) {
            return;
        }
        let origin = self.origin_of_chain(head, links);
        if origin.is_opaque() {
            self.opaque(origin, &format!("`{name}`"), at);
        }
    }

    /// Tells that something cannot look into a placeholder.
    pub fn opaque(&mut self, origin: Origin, who: &str, at: rhai::Position) {
        let what = if origin == Origin::Secret { "a secret" } else { "an artifact" };
        let hint = "pass it on as it is: verbs put the value in on its way into the machine".to_owned();
        self.error("secret", at, format!("{who} cannot look into {what}"), Some(hint));
    }
}

fn is_shell(value: &Expr) -> bool {
    value.text().is_some_and(|program| matches!(program.rsplit('/').next(), Some("sh" | "bash" | "dash")))
}

/// An expression as a hint shows it.
fn shown(value: &Expr) -> String {
    match value {
        Expr::Variable { module: None, name, .. } => name.clone(),
        Expr::Chain { head, links } => match (shown(head).as_str(), links.as_slice()) {
            (head, [Link::Property { name, .. }]) if head != "x" => format!("{head}.{name}"),
            _ => "x".to_owned(),
        },
        _ => "x".to_owned(),
    }
}
