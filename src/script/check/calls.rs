//! Calls: which function, method or property a name stands for, and how many arguments it takes.

use rhai::Position;

use super::compare::{a, compares};
use super::standard::standard;
use super::visit::{Checker, Role};
use crate::finding::did_you_mean;
use crate::script::api::DECLARED;
use crate::script::api::signature::{Signature, Type};
use crate::script::syntax::{Expr, Function, Link};

impl Checker<'_> {
    /// `name(...)`, `module::name(...)` or an operator.
    pub fn call(&mut self, module: Option<&str>, name: &str, args: &[Expr], operator: bool, at: Position) -> Type {
        if operator {
            return self.operator(name, args, at);
        }
        if let Some(module) = module {
            self.arguments(args);
            self.module_call(module, name, args.len(), at);
            return Type::Any;
        }
        let script = self.script;
        if script.syntax.defines(name) {
            return self.own(name, args, at);
        }
        if let Some(signature) = self.vocabulary.function(name) {
            return self.verb(signature, args, at);
        }
        let shown = self.arguments(args);
        if name == "contains" {
            self.contained(args, &shown);
        }
        // `trim(text)` is the same as `text.trim()`.
        if let Some(signature) = shown.first().and_then(|first| self.vocabulary.member(*first, name)) {
            return signature.returns;
        }
        let forms = standard().forms(name);
        if forms.iter().any(|form| form.params.len() == args.len()) {
            let fitting = forms.iter().filter(|form| form.params.len() == args.len());
            return if fitting.clone().all(|form| form.unit) { Type::Unit } else { Type::Any };
        }
        if standard().is_special(name) {
            return Type::Any;
        }
        if !forms.is_empty() {
            let known = counts(forms.iter().map(|form| form.params.len()));
            self.error("arity", at, format!("`{name}` takes {known}, not {}", args.len()), None);
            return Type::Any;
        }
        let hint = match self.vocabulary.anywhere(name).first() {
            _ if self.scopes.get(name).is_some() => {
                self.variable(name);
                Some(format!("a closure is called like this: `{name}.call(...)`"))
            }
            Some(method) => Some(format!("it is called on something: `{}`", method.shown())),
            None => {
                let mut known: Vec<&str> = script.syntax.functions.iter().map(|f| f.name.as_str()).collect();
                known.extend(self.vocabulary.functions());
                known.extend(standard().names());
                did_you_mean(name, known).map(|near| format!("did you mean `{near}`?"))
            }
        };
        self.error("unknown-function", at, format!("there is no function `{name}`"), hint);
        Type::Any
    }

    /// Types of all arguments.
    pub fn arguments(&mut self, args: &[Expr]) -> Vec<Type> {
        args.iter()
            .map(|arg| {
                self.escaping(arg);
                self.used(arg)
            })
            .collect()
    }

    /// A call of a function of the file.
    fn own(&mut self, name: &str, args: &[Expr], at: Position) -> Type {
        let shown = self.arguments(args);
        self.seen.calls.insert((self.inside.clone(), name.to_owned()));
        let script = self.script;
        let functions = || script.syntax.functions.iter().filter(|function| function.name == name);
        let Some(function) = functions().find(|function| function.params.len() == args.len()) else {
            let known = counts(functions().map(|function| function.params.len()));
            self.error("arity", at, format!("`{name}` takes {known}, not {}", args.len()), None);
            return Type::Any;
        };
        for ((param, arg), shown) in function.params.iter().zip(args).zip(shown) {
            let expected = self.convention(param);
            if mistaken(expected, shown) {
                let problem = format!("`{param}` of `{name}` is {} by convention, this is {}", a(expected), a(shown));
                let hint = Some(format!("mind the order, or give `{param}` of `{name}` another name"));
                self.error("type", arg.at(), problem, hint);
            }
        }
        self.answered(name, args.len()).map_or(Type::Any, |(shown, _)| shown)
    }

    /// A function of the file wins over a verb that takes as many arguments, even where the verb is called as a method.
    pub fn shadowing(&mut self, function: &Function) {
        let name = function.name.as_str();
        let methods = self.vocabulary.anywhere(name).iter().filter(|signature| !signature.property).copied();
        let hidden = self.vocabulary.function(name).into_iter().chain(methods).find(|signature| {
            let (fewest, most) = signature.arity();
            (fewest..=most).contains(&function.params.len())
        });
        if let Some(verb) = hidden {
            let problem = format!("this function is called instead of `{}`", verb.shown());
            self.error("shadowed-verb", function.at, problem, Some("give it another name".to_owned()));
        }
    }

    fn module_call(&mut self, alias: &str, name: &str, given: usize, at: Position) {
        self.seen.modules.insert(alias.to_owned());
        let script = self.script;
        let Some(import) = script.syntax.imports.iter().find(|import| import.alias == alias) else { return };
        let Some(module) = import.path.as_deref().and_then(|path| self.library.module(path)) else { return };
        let public = || module.syntax.functions.iter().filter(|function| !function.private);
        let arities: Vec<usize> = public().filter(|f| f.name == name).map(|f| f.params.len()).collect();
        if arities.is_empty() {
            let near = did_you_mean(name, public().map(|function| function.name.as_str()));
            let hint = near.map(|near| format!("did you mean `{alias}::{near}`?"));
            self.error("module", at, format!("`{}` has no function `{name}`", module.source.path), hint);
        } else if !arities.contains(&given) {
            let known = counts(arities.into_iter());
            self.error("arity", at, format!("`{alias}::{name}` takes {known}, not {given}"), None);
        }
    }

    fn operator(&mut self, name: &str, args: &[Expr], at: Position) -> Type {
        let shown = self.arguments(args);
        if compares(name) {
            self.comparison(name, args, &shown, at);
            return Type::Bool;
        }
        if name == "contains" {
            self.contained(args, &shown);
            return Type::Bool;
        }
        if let ([one, other], [one_type, other_type]) = (args, shown.as_slice()) {
            if name == "+" && (*one_type == Type::Text || *other_type == Type::Text) {
                self.inside_text(one, *one_type);
                self.inside_text(other, *other_type);
                return Type::Text;
            }
            if !computes(name, *one_type, *other_type) {
                let problem = format!("`{name}` cannot take {} and {}", a(*one_type), a(*other_type));
                let hint = match (name, *one_type) {
                    ("+", Type::Array) => Some("put it in brackets: `list + [x]`".to_owned()),
                    _ => None,
                };
                self.error("type", at, problem, hint);
            }
        }
        match (name, shown.as_slice()) {
            ("!", _) => Type::Bool,
            ("|", [Type::Change, _]) => Type::Change,
            (".." | "..=", _) => Type::Any,
            (_, [one, other]) if one == other => *one,
            (_, [one]) => *one,
            _ => Type::Any,
        }
    }

    /// `x in container`.
    fn contained(&mut self, args: &[Expr], shown: &[Type]) {
        let ([container, _], [on, _]) = (args, shown) else { return };
        let hint = match on {
            Type::Output => "take its text: `.stdout`",
            Type::Int | Type::Float | Type::Bool | Type::Change | Type::Guest | Type::Node | Type::Site => {
                "`in` asks a list, a map, a text or a range"
            }
            _ => return,
        };
        let problem = format!("{} holds nothing that could be asked for", a(*on));
        self.error("type", container.at(), problem, Some(hint.to_owned()));
    }

    /// `head.a.b()[c]`.
    pub fn chain(&mut self, head: &Expr, links: &[Link]) -> Type {
        let mut on = self.type_of(head);
        for (index, link) in links.iter().enumerate() {
            if let Link::Property { name, at } | Link::Method { name, at, .. } = link {
                self.declared_only(on, name, *at);
            }
            on = match link {
                Link::Property { name, at } => {
                    self.looked_into(head, &links[..index], on, name, *at);
                    self.property(on, name, *at)
                }
                Link::Index(key) => {
                    self.used(key);
                    match (on, key.text()) {
                        (Type::Params, Some(name)) => self.param(name, key.at()),
                        (Type::Params, None) => {
                            self.seen.params_escape = true;
                            Type::Any
                        }
                        _ => Type::Any,
                    }
                }
                Link::Method { name, args, at } => {
                    let receiver = match head {
                        Expr::Variable { module: None, name, .. } if index == 0 => Some(name.as_str()),
                        _ => None,
                    };
                    self.looked_into(head, &links[..index], on, name, *at);
                    self.captured(receiver, name, args, *at);
                    self.method(on, name, args, *at)
                }
            };
        }
        on
    }

    /// In `prepare` the guest is only declared: it may not exist yet.
    fn declared_only(&mut self, on: Type, name: &str, at: Position) {
        if on != Type::Guest || self.role != Role::Script || self.inside != "prepare" || DECLARED.contains(&name) {
            return;
        }
        if self.vocabulary.member(on, name).is_some() {
            let hint = Some(format!("only what is declared can be read there: {}", DECLARED.join(", ")));
            self.error("prepare", at, format!("`guest.{name}` in `prepare`: the guest may not exist yet"), hint);
        }
    }

    /// A closure given to a method must not capture what the method is called on.
    fn captured(&mut self, receiver: Option<&str>, name: &str, args: &[Expr], at: Position) {
        let Some(receiver) = receiver else { return };
        let captures =
            |arg: &Expr| matches!(arg, Expr::Closure { captures, .. } if captures.iter().any(|c| c == receiver));
        if args.iter().any(captures) {
            let problem = format!("the closure captures `{receiver}`, on which `{name}` is called");
            let hint = Some("hand it to a free function instead, such as `retry(5, 2000, || ...)`".to_owned());
            self.error("data-race", at, problem, hint);
        }
    }

    fn property(&mut self, on: Type, name: &str, at: Position) -> Type {
        if on == Type::Params {
            return self.param(name, at);
        }
        if let Some(signature) = self.vocabulary.member(on, name) {
            if !signature.property {
                let hint = Some(format!("call it: `{}`", signature.shown()));
                self.error("unknown-property", at, format!("`{name}` is a method of {}", a(on)), hint);
            }
            return signature.returns;
        }
        if let Type::Record(known) = on
            && !known.contains(&name)
        {
            let hint = match did_you_mean(name, known.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("it has {}", known.join(", ")),
            };
            self.error("unknown-property", at, format!("this map has no `{name}`"), Some(hint));
        }
        let closed = matches!(
            on,
            Type::Guest
                | Type::Node
                | Type::Change
                | Type::Output
                | Type::Site
                | Type::Error
                | Type::Text
                | Type::Array
                | Type::Int
                | Type::Bool
                | Type::TestGuest
                | Type::Model
        );
        if closed && !standard().has_property(on, name) {
            let known = self.vocabulary.members(on).map(|signature| signature.name);
            let hint = did_you_mean(name, known).map(|near| format!("did you mean `{near}`?"));
            self.error("unknown-property", at, format!("{} has no `{name}`", a(on)), hint);
        }
        Type::Any
    }

    fn method(&mut self, on: Type, name: &str, args: &[Expr], at: Position) -> Type {
        if let Some(signature) = self.vocabulary.member(on, name) {
            if signature.property {
                let hint = Some(format!("read it: `{}`", signature.shown()));
                self.error("unknown-method", at, format!("`{name}` of {} is no method", a(on)), hint);
                return signature.returns;
            }
            return self.verb(signature, args, at);
        }
        // On a value of unknown type the name still tells, if only one table has it.
        if on == Type::Any
            && let [signature] = self.vocabulary.anywhere(name)
            && standard().forms(name).is_empty()
            && !self.script.syntax.defines(name)
        {
            return self.verb(signature, args, at);
        }
        self.arguments(args);
        let script = self.script;
        if script.syntax.defines(name) {
            self.seen.calls.insert((self.inside.clone(), name.to_owned()));
            return Type::Any;
        }
        let forms: Vec<_> = standard().forms(name).iter().filter(|form| form.fits(on)).collect();
        let fitting = || forms.iter().filter(|form| form.params.len() == args.len() + 1);
        if fitting().next().is_some() {
            return if fitting().all(|form| form.unit) { Type::Unit } else { Type::Any };
        }
        if standard().is_special(name)
            || matches!(on, Type::Map | Type::Record(_) | Type::Params | Type::Function | Type::Never)
        {
            return Type::Any;
        }
        let takes = |signature: &&Signature| {
            let (fewest, most) = signature.arity();
            (fewest..=most).contains(&args.len())
        };
        if on == Type::Any && self.vocabulary.anywhere(name).iter().any(takes) {
            return Type::Any;
        }
        if !forms.is_empty() {
            let known = counts(forms.iter().map(|form| form.params.len() - 1));
            self.error("arity", at, format!("`{name}` takes {known}, not {}", args.len()), None);
            return Type::Any;
        }
        if on == Type::Any {
            self.unknown_anywhere(name, at);
            return Type::Any;
        }
        let known = self.vocabulary.members(on).map(|signature| signature.name).chain(standard().methods(on));
        let mut hint = did_you_mean(name, known).map(|near| format!("did you mean `{near}`?"));
        if let Some(function) = self.vocabulary.function(name) {
            hint = Some(format!("it is a function of its own: `{}`", function.shown()));
        } else if let Some(method) = self.vocabulary.anywhere(name).first() {
            hint = Some(format!("it belongs to another type: `{}`", method.shown()));
        }
        self.error("unknown-method", at, format!("{} has no method `{name}`", a(on)), hint);
        Type::Any
    }

    /// On a value of unknown type only a name that nothing has, but that is near to one, is a mistake for sure: a map
    /// may hold a closure of any name.
    fn unknown_anywhere(&mut self, name: &str, at: Position) {
        if !standard().forms(name).is_empty() || !self.vocabulary.anywhere(name).is_empty() {
            return;
        }
        if let Some(near) = did_you_mean(name, self.vocabulary.member_names()) {
            let hint = Some(format!("did you mean `{near}`?"));
            self.error("unknown-method", at, format!("nothing has a method `{name}`"), hint);
        }
    }
}

/// `1, 2 or 4 arguments`.
pub(super) fn counts(arities: impl Iterator<Item = usize>) -> String {
    let mut all: Vec<usize> = arities.collect();
    all.sort_unstable();
    all.dedup();
    let noun = if all == [1] { "argument" } else { "arguments" };
    let words: Vec<String> = all.iter().map(ToString::to_string).collect();
    match words.as_slice() {
        [rest @ .., last] if !rest.is_empty() => format!("{} or {last} {noun}", rest.join(", ")),
        _ => format!("{} {noun}", words.join("")),
    }
}

pub(super) fn range(fewest: usize, most: usize) -> String {
    if fewest == most { counts(std::iter::once(fewest)) } else { format!("{fewest} to {most} arguments") }
}

/// Whether a value of this type is surely not what a parameter of that name stands for.
fn mistaken(expected: Type, found: Type) -> bool {
    match expected {
        Type::Guest | Type::Node | Type::TestGuest | Type::Model => {
            // A function may be for guests and for the node.
            !matches!(found, Type::Any | Type::Never | Type::Guest | Type::Node | Type::TestGuest | Type::Model)
        }
        Type::Params => !matches!(found, Type::Any | Type::Never | Type::Params | Type::Map | Type::Record(_)),
        _ => false,
    }
}

/// Whether an operator may take values of these types; neither is a text that something is added to.
fn computes(name: &str, one: Type, other: Type) -> bool {
    let number = |shown: Type| matches!(shown, Type::Int | Type::Float);
    let odd = |shown: Type| {
        matches!(
            shown,
            Type::Bool
                | Type::Array
                | Type::Map
                | Type::Record(_)
                | Type::Change
                | Type::Output
                | Type::Guest
                | Type::Site
        )
    };
    match name {
        "+" | "-" | "*" | "/" | "%" => {
            !(number(one) && odd(other) || odd(one) && number(other))
                && !(one == Type::Text && name != "-" && number(other))
                && !(number(one) && other == Type::Text)
        }
        _ => true,
    }
}
