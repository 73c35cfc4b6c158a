//! Types of expressions, going through all that is in them.

use rhai::Position;

use super::compare::a;
use super::scope::Variable;
use super::visit::Checker;
use crate::finding::did_you_mean;
use crate::model::ParamType;
use crate::script::api::signature::Type;
use crate::script::syntax::{Expr, Link};

impl Checker<'_> {
    /// The type of an expression whose value is used: nothing is no value.
    pub fn used(&mut self, value: &Expr) -> Type {
        let shown = self.type_of(value);
        if shown == Type::Unit
            && let Some((name, at)) = last_call(value)
        {
            let hint = match name {
                "replace" => Some("`replaced(from, to)` answers the new text".to_owned()),
                "trim" => Some("`trimmed()` answers the new text".to_owned()),
                "make_upper" => Some("`upper()` answers the new text".to_owned()),
                "make_lower" => Some("`lower()` answers the new text".to_owned()),
                "sort" | "dedup" | "reverse" | "push" | "append" | "retain" | "drain" => {
                    Some("it changes the list itself: call it on a line of its own".to_owned())
                }
                _ => None,
            };
            self.error("unit", at, format!("`{name}` answers nothing, but its answer is used"), hint);
        }
        shown
    }

    /// The type of an expression.
    pub fn type_of(&mut self, value: &Expr) -> Type {
        match value {
            Expr::Unit(_) => Type::Unit,
            Expr::Bool(..) => Type::Bool,
            Expr::Int(..) => Type::Int,
            Expr::Float(..) => Type::Float,
            Expr::Text(text, at) => {
                self.literal(text, *at);
                Type::Text
            }
            Expr::Template(parts, at) => {
                for part in parts {
                    match part {
                        Expr::Text(text, _) => self.escapes(text, *at),
                        other => {
                            let shown = self.used(other);
                            self.inside_text(other, shown);
                        }
                    }
                }
                Type::Text
            }
            Expr::Array(items, _) => {
                for item in items {
                    self.used(item);
                    self.escaping(item);
                }
                Type::Array
            }
            Expr::Map(entries, _) => {
                for (_, _, value) in entries {
                    self.used(value);
                    self.escaping(value);
                }
                Type::Map
            }
            Expr::Variable { module: None, name, .. } => self.variable(name),
            Expr::Variable { module: Some(module), name, at } => self.constant(module, name, *at),
            Expr::This(_) | Expr::Other(_) => Type::Any,
            Expr::Call { module, name, args, operator, at } => self.call(module.as_deref(), name, args, *operator, *at),
            Expr::Chain { head, links } => self.chain(head, links),
            Expr::Block(body, _) => self.inner(Vec::new(), body, true),
            Expr::Logic(parts, _) => {
                for part in parts {
                    self.condition(part);
                }
                Type::Bool
            }
            Expr::Coalesce(parts, _) => {
                for part in parts {
                    self.type_of(part);
                }
                Type::Any
            }
            Expr::Closure { function, captures, at } => self.closure(function, captures, *at),
        }
    }

    /// A value that becomes part of a text.
    pub fn inside_text(&mut self, value: &Expr, shown: Type) {
        let hint = match shown {
            Type::Output => "take `.stdout`",
            Type::Change => "take `.what` or `.changed`",
            Type::Guest | Type::Node | Type::TestGuest => "take `.name`, `.id` or `.ip`",
            Type::Site => "take `.domain`",
            Type::Function => "call it: `f.call()`",
            _ => return,
        };
        let problem = format!("{} is no text", a(shown));
        self.error("type", value.at(), problem, Some(hint.to_owned()));
    }

    /// `params` that is handed on may be read anywhere.
    pub fn escaping(&mut self, value: &Expr) {
        if matches!(value, Expr::Variable { module: None, name, .. } if self.variable(name) == Type::Params) {
            self.seen.params_escape = true;
        }
    }

    fn closure(&mut self, function: &str, captures: &[String], at: Position) -> Type {
        let script = self.script;
        if let Some(body) = script.syntax.closures.iter().find(|closure| closure.name == function) {
            let mut declared = Vec::new();
            // Captured variables come first among the parameters of its body.
            for name in &body.params {
                let variable = if captures.contains(name) {
                    self.variable(name);
                    self.scopes.get(name).map(|variable| Variable { declared: None, ..*variable })
                } else {
                    self.hides(name, at);
                    None
                };
                declared.push((name.clone(), variable.unwrap_or(Variable::of(Type::Any))));
            }
            let outer = std::mem::replace(&mut self.in_closure, true);
            self.inner(declared, &body.body, true);
            self.in_closure = outer;
        }
        Type::Function
    }

    fn constant(&mut self, module: &str, name: &str, at: Position) -> Type {
        if module != "global" {
            self.seen.modules.insert(module.to_owned());
            return Type::Any;
        }
        self.seen.constants.insert(name.to_owned());
        let script = self.script;
        let constants = &script.syntax.constants;
        if let Some(constant) = constants.iter().find(|constant| constant.name == name) {
            return literal_type(&constant.value);
        }
        let near = did_you_mean(name, constants.iter().map(|constant| constant.name.as_str()));
        let hint = near.map(|near| format!("did you mean `global::{near}`?"));
        self.error("unknown-constant", at, format!("this file has no constant `{name}`"), hint);
        Type::Any
    }

    /// The type of a declared parameter; a finding if there is none of this name.
    pub fn param(&mut self, name: &str, at: Position) -> Type {
        let Some(spec) = self.spec else { return Type::Any };
        let Some(param) = spec.params.get(name) else {
            let hint = match did_you_mean(name, spec.params.keys().map(String::as_str)) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "declare it in `params`".to_owned(),
            };
            self.error("unknown-parameter", at, format!("`{}` has no parameter `{name}`", spec.name), Some(hint));
            return Type::Any;
        };
        self.seen.params.insert(name.to_owned());
        if !param.required && param.fallback.is_none() {
            // `()` when it is not given.
            return Type::Any;
        }
        match param.kind {
            ParamType::Int | ParamType::Port => Type::Int,
            ParamType::Bool => Type::Bool,
            ParamType::Float => Type::Any,
            ParamType::List => Type::Array,
            ParamType::Map => Type::Map,
            _ => Type::Text,
        }
    }
}

/// The type of a constant by what it is made of.
fn literal_type(value: &Expr) -> Type {
    match value {
        Expr::Unit(_) => Type::Unit,
        Expr::Bool(..) => Type::Bool,
        Expr::Int(..) => Type::Int,
        Expr::Float(..) => Type::Float,
        Expr::Text(..) | Expr::Template(..) => Type::Text,
        Expr::Array(..) => Type::Array,
        Expr::Map(..) => Type::Map,
        _ => Type::Any,
    }
}

/// The call whose answer an expression is.
fn last_call(value: &Expr) -> Option<(&str, Position)> {
    match value {
        Expr::Call { name, at, operator: false, .. } => Some((name, *at)),
        Expr::Chain { links, .. } => match links.last()? {
            Link::Method { name, at, .. } => Some((name, *at)),
            _ => None,
        },
        _ => None,
    }
}
