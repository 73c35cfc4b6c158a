//! Calls: names, arity, types and options.

use rhai::Position;

use super::standard::standard;
use super::visit::Checker;
use crate::finding::did_you_mean;
use crate::script::api::signature::{Kind, Parameter, Signature, Type};
use crate::script::syntax::{Expr, Function, Link};
use crate::script::text::lower_first;

/// Artifacts that `certificate` reads.
const OF_CERTIFICATE: [&str; 2] = ["step_ca/root.crt", "step_ca/url"];

/// Options without one of which `exec` runs every time.
const GUARDS: [&str; 4] = ["creates", "unless", "only_if", "watch"];

impl Checker<'_> {
    /// `name(...)`, `module::name(...)` or an operator.
    pub fn call(&mut self, module: Option<&str>, name: &str, args: &[Expr], operator: bool, at: Position) -> Type {
        if operator {
            return self.operator(name, args);
        }
        if let Some(module) = module {
            self.arguments(args);
            self.module_call(module, name, args.len(), at);
            return Type::Any;
        }
        let script = self.script;
        if script.syntax.defines(name) {
            self.arguments(args);
            self.own(name, args.len(), at);
            return Type::Any;
        }
        if let Some(signature) = self.vocabulary.function(name) {
            return self.verb(signature, args, at);
        }
        let shown = self.arguments(args);
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

    fn arguments(&mut self, args: &[Expr]) -> Vec<Type> {
        args.iter()
            .map(|arg| {
                self.escaping(arg);
                self.used(arg)
            })
            .collect()
    }

    fn own(&mut self, name: &str, given: usize, at: Position) {
        self.seen.calls.insert((self.inside.clone(), name.to_owned()));
        let script = self.script;
        let functions = script.syntax.functions.iter().filter(|function| function.name == name);
        let arities: Vec<usize> = functions.map(|function| function.params.len()).collect();
        if !arities.contains(&given) {
            let known = counts(arities.into_iter());
            self.error("arity", at, format!("`{name}` takes {known}, not {given}"), None);
        }
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

    fn operator(&mut self, name: &str, args: &[Expr]) -> Type {
        let shown = self.arguments(args);
        match (name, shown.as_slice()) {
            ("==" | "!=" | "<" | ">" | "<=" | ">=" | "!" | "in", _) => Type::Bool,
            ("+", [one, other]) if *one == Type::Text || *other == Type::Text => Type::Text,
            ("|", [Type::Change, _]) => Type::Change,
            (_, [one, other]) if one == other => *one,
            (_, [one]) => *one,
            _ => Type::Any,
        }
    }

    /// `head.a.b()[c]`.
    pub fn chain(&mut self, head: &Expr, links: &[Link]) -> Type {
        let mut on = self.type_of(head);
        for (index, link) in links.iter().enumerate() {
            on = match link {
                Link::Property { name, at } => self.property(on, name, *at),
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
                    self.captured(receiver, name, args, *at);
                    self.method(on, name, args, *at)
                }
            };
        }
        on
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
                self.error("unknown-property", at, format!("`{name}` is a method of a {}", on.word()), hint);
            }
            return signature.returns;
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
        );
        if closed && !standard().has_property(on, name) {
            let known = self.vocabulary.members(on).map(|signature| signature.name);
            let hint = did_you_mean(name, known).map(|near| format!("did you mean `{near}`?"));
            self.error("unknown-property", at, format!("a {} has no `{name}`", on.word()), hint);
        }
        Type::Any
    }

    fn method(&mut self, on: Type, name: &str, args: &[Expr], at: Position) -> Type {
        if let Some(signature) = self.vocabulary.member(on, name) {
            if signature.property {
                let hint = Some(format!("read it: `{}`", signature.shown()));
                self.error("unknown-method", at, format!("`{name}` of a {} is no method", on.word()), hint);
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
        if standard().is_special(name) || matches!(on, Type::Map | Type::Params | Type::Function) {
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
        }
        self.error("unknown-method", at, format!("a {} has no method `{name}`", on.word()), hint);
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

    /// A call of one of our tables.
    fn verb(&mut self, signature: &'static Signature, args: &[Expr], at: Position) -> Type {
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
        for (parameter, value) in signature.args.iter().zip(positional) {
            self.value(signature, parameter, value);
        }
        if let Some(surplus) = positional.get(signature.args.len()) {
            let shown = self.used(surplus);
            if !matches!(shown, Type::Any | Type::Map) {
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
                    self.error(
                        "unknown-option",
                        *key_at,
                        format!("`{}` has no option `{key}`", signature.name),
                        Some(hint),
                    );
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
        let shown = match parameter.kind {
            _ if matches!(value, Expr::Unit(_)) && parameter.may_be_nothing() => return,
            Kind::Any | Kind::Data => self.type_of(value),
            _ => self.used(value),
        };
        let kind = parameter.kind;
        let refused = value.text().is_some_and(|text| kind.refuses(text))
            || matches!((kind, value), (Kind::Port, Expr::Int(port, _)) if !(1..=65535).contains(port));
        // Nothing at all was complained about already.
        if refused || (shown != Type::Unit && !kind.accepts(shown)) {
            let problem = format!("`{}` of `{}` must be {}", parameter.name, signature.name, kind.expected());
            let hint = (!refused).then(|| format!("this is a {}", shown.word()));
            self.error("type", value.at(), problem, hint);
        }
    }

    /// Rules about single verbs.
    fn special(&mut self, signature: &Signature, args: &[Expr], options: Option<&Expr>, at: Position) {
        let option = |name: &str| match options {
            Some(Expr::Map(entries, _)) => entries.iter().find(|(key, ..)| key == name).map(|(_, _, value)| value),
            _ => None,
        };
        match signature.name {
            "exec" if args.len() == 1 && GUARDS.iter().all(|guard| option(guard).is_none()) => {
                let hint = Some(format!("say when it need not run: {}", GUARDS.join(", ")));
                self.warning("unguarded-exec", at, "this program runs every time".to_owned(), hint);
            }
            "artifact" => self.artifact(args.first(), false),
            "publish" => self.artifact(args.first(), true),
            "certificate" => {
                for name in OF_CERTIFICATE {
                    self.declared(name, false, at);
                }
            }
            "asset" => self.asset(args.first()),
            "template" | "file" => self.asset(option("source")),
            _ => {}
        }
    }

    fn artifact(&mut self, name: Option<&Expr>, publishes: bool) {
        match name {
            Some(Expr::Text(text, at)) => self.declared(text, publishes, *at),
            _ => self.seen.artifacts_escape = true,
        }
    }

    fn declared(&mut self, name: &str, publishes: bool, at: Position) {
        let seen = if publishes { &mut self.seen.published } else { &mut self.seen.consumed };
        seen.insert(name.to_owned());
        let Some(spec) = self.spec else { return };
        let (word, list) = if publishes { ("publishes", &spec.publishes) } else { ("consumes", &spec.consumes) };
        if !list.iter().any(|declared| declared == name) {
            let hint = match did_you_mean(name, list.iter().map(String::as_str)) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("add it: `{word}: [\"{name}\"]`"),
            };
            self.error("undeclared-artifact", at, format!("`{name}` is not in `{word}`"), Some(hint));
        }
    }

    fn asset(&mut self, path: Option<&Expr>) {
        let (Some(Expr::Text(path, at)), Some(spec)) = (path, self.spec) else { return };
        if let Err(error) = self.library.asset(spec.kind, &spec.name, path) {
            let hint = format!("assets are files of `{}/{}/`", crate::script::library::folder(spec.kind), spec.name);
            self.error("asset", *at, error.to_string(), Some(hint));
        }
    }
}

/// `1, 2 or 4 arguments`.
fn counts(arities: impl Iterator<Item = usize>) -> String {
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

fn range(fewest: usize, most: usize) -> String {
    if fewest == most { counts(std::iter::once(fewest)) } else { format!("{fewest} to {most} arguments") }
}
