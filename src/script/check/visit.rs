//! Going through a file: types of expressions, names in scope.

use std::collections::{BTreeMap, BTreeSet};

use rhai::Position;

use super::vocabulary::Vocabulary;
use crate::finding::{Finding, did_you_mean};
use crate::model::{ParamType, ScriptSpec};
use crate::script::Library;
use crate::script::api::signature::Type;
use crate::script::library::Script;
use crate::script::place::span;
use crate::script::syntax::{Expr, Function, Stmt};

/// Goes through one file and collects what is wrong.
pub(super) struct Checker<'a> {
    pub library: &'a Library,
    pub script: &'a Script,
    /// What the script declares; absent for shared modules.
    pub spec: Option<&'a ScriptSpec>,
    pub vocabulary: &'static Vocabulary,
    /// What was seen on the way, for rules about the whole file.
    pub seen: Seen,
    findings: Vec<Finding>,
    scopes: Vec<BTreeMap<String, Type>>,
    /// Name of the function that is gone through.
    pub inside: String,
}

/// What a file uses.
#[derive(Default)]
pub(super) struct Seen {
    /// Calls of the file's own functions: caller, callee.
    pub calls: BTreeSet<(String, String)>,
    /// Verbs that change something: function they stand in, name, place.
    pub changes: Vec<(String, &'static str, Position)>,
    /// Parameters that are read.
    pub params: BTreeSet<String>,
    /// `params` as a whole goes somewhere else.
    pub params_escape: bool,
    /// Artifacts that are read.
    pub consumed: BTreeSet<String>,
    /// Artifacts that are published.
    pub published: BTreeSet<String>,
    /// An artifact's name is made while running.
    pub artifacts_escape: bool,
}

impl<'a> Checker<'a> {
    pub fn new(
        library: &'a Library,
        script: &'a Script,
        spec: Option<&'a ScriptSpec>,
        vocabulary: &'static Vocabulary,
    ) -> Checker<'a> {
        Checker {
            library,
            script,
            spec,
            vocabulary,
            seen: Seen::default(),
            findings: Vec::new(),
            scopes: Vec::new(),
            inside: String::new(),
        }
    }

    /// Goes through all functions and what stands at top level.
    pub fn file(&mut self) {
        let script = self.script;
        for at in &script.syntax.effects {
            self.error(
                "top-level",
                *at,
                "statements at top level would run again on every call".to_owned(),
                Some("keep only `const`, `import` and `fn` there".to_owned()),
            );
        }
        for import in &script.syntax.imports {
            self.import(import.path.as_deref(), import.at);
        }
        for function in &script.syntax.functions {
            self.shadowing(function);
            self.function(function);
        }
    }

    /// What was found, in the order of the file, each once.
    pub fn finish(self) -> Vec<Finding> {
        let mut findings = self.findings;
        let place = |finding: &Finding| finding.place.as_ref().map(|place| place.span.start);
        findings.sort_by_key(place);
        findings.dedup();
        findings
    }

    pub fn error(&mut self, code: &'static str, at: Position, message: String, hint: Option<String>) {
        self.push(Finding::error(code, message), at, hint);
    }

    pub fn warning(&mut self, code: &'static str, at: Position, message: String, hint: Option<String>) {
        self.push(Finding::warning(code, message), at, hint);
    }

    fn push(&mut self, finding: Finding, at: Position, hint: Option<String>) {
        let source = &self.script.source;
        let mut finding = finding.at(source, span(source, at));
        finding.hint = hint;
        self.findings.push(finding);
    }

    fn import(&mut self, path: Option<&str>, at: Position) {
        let Some(path) = path else {
            let hint = Some("write the path out: `import \"lib/x\" as x;`".to_owned());
            return self.error("module", at, "the path of an import must be a literal".to_owned(), hint);
        };
        if self.library.module(path).is_some() {
            return;
        }
        let near = did_you_mean(path, self.library.module_names()).map(|near| format!("did you mean `{near}`?"));
        let hint = near.or_else(|| Some("modules are files of `lib/` in the folder of the features".to_owned()));
        self.error("module", at, format!("there is no module `{path}`"), hint);
    }

    fn function(&mut self, function: &Function) {
        self.inside.clone_from(&function.name);
        let scope = function.params.iter().map(|name| (name.clone(), self.convention(name))).collect();
        self.scopes = vec![scope];
        self.block(&function.body);
    }

    /// The type of a parameter by its name. What `params` of a shared module holds is its callers' business.
    fn convention(&self, name: &str) -> Type {
        match self.vocabulary.parameter(name) {
            Type::Params if self.spec.is_none() => Type::Any,
            known => known,
        }
    }

    pub fn variables(&self) -> impl Iterator<Item = &str> {
        self.scopes.iter().flat_map(|scope| scope.keys().map(String::as_str))
    }

    fn variable(&self, name: &str) -> Type {
        self.scopes.iter().rev().find_map(|scope| scope.get(name)).copied().unwrap_or(Type::Any)
    }

    fn declare(&mut self, name: &str, value: Type) {
        if let Some(scope) = self.scopes.last_mut() {
            scope.insert(name.to_owned(), value);
        }
    }

    fn inner(&mut self, declared: &[(&str, Type)], body: &[Stmt]) -> Type {
        self.scopes.push(declared.iter().map(|(name, shown)| ((*name).to_owned(), *shown)).collect());
        let last = self.block(body);
        self.scopes.pop();
        last
    }

    /// Goes through statements; the type of the last one is the type of the block.
    fn block(&mut self, statements: &[Stmt]) -> Type {
        let mut last = Type::Unit;
        for statement in statements {
            last = self.statement(statement);
        }
        last
    }

    fn statement(&mut self, statement: &Stmt) -> Type {
        match statement {
            Stmt::Let { name, value } => {
                let shown = self.used(value);
                if ["guest", "params"].contains(&name.as_str()) && self.variable(name) != Type::Any {
                    let hint = Some("give the variable another name".to_owned());
                    self.warning("shadowed", value.at(), format!("this hides `{name}` from here on"), hint);
                }
                self.declare(name, shown);
                Type::Unit
            }
            Stmt::Expr(value) => self.type_of(value),
            Stmt::Assign { target, value } => {
                let found = self.used(value);
                let before = self.type_of(target);
                if let Expr::Variable { module: None, name, .. } = target
                    && before != found
                {
                    // It may be either from here on.
                    if let Some(scope) = self.scopes.iter_mut().rev().find(|scope| scope.contains_key(name)) {
                        scope.insert(name.clone(), Type::Any);
                    }
                }
                Type::Unit
            }
            Stmt::If { condition, then, otherwise } => {
                self.condition(condition);
                let one = self.inner(&[], then);
                let other = self.inner(&[], otherwise);
                if one == other { one } else { Type::Any }
            }
            Stmt::Switch { on, arms } => {
                self.used(on);
                for (condition, body) in arms {
                    self.type_of(condition);
                    self.type_of(body);
                }
                Type::Any
            }
            Stmt::Loop { condition, body } => {
                // `loop` has no condition: the parser writes `()`.
                if !matches!(condition, Expr::Unit(_)) {
                    self.condition(condition);
                }
                self.inner(&[], body);
                Type::Any
            }
            Stmt::For { name, counter, over, body } => {
                let shown = self.used(over);
                if matches!(shown, Type::Map | Type::Params) {
                    let hint = Some("of a map take `map.keys()` or `map.values()`".to_owned());
                    self.error("loop", over.at(), "a map cannot be gone through".to_owned(), hint);
                }
                let mut declared = vec![(name.as_str(), Type::Any)];
                declared.extend(counter.iter().map(|counter| (counter.as_str(), Type::Int)));
                self.inner(&declared, body);
                Type::Unit
            }
            Stmt::Block(body) => self.inner(&[], body),
            Stmt::Try { body, name, handler } => {
                self.inner(&[], body);
                let declared: Vec<(&str, Type)> = name.iter().map(|name| (name.as_str(), Type::Any)).collect();
                self.inner(&declared, handler);
                Type::Unit
            }
            Stmt::Leave(value) => {
                if let Some(value) = value {
                    self.type_of(value);
                }
                Type::Any
            }
        }
    }

    /// `if` and `while` take true or false and nothing that looks like it.
    fn condition(&mut self, condition: &Expr) {
        let shown = self.used(condition);
        let hint = match shown {
            Type::Any | Type::Bool | Type::Unit => return,
            Type::Change => "ask for `.changed`",
            Type::Output => "ask for `.ok` or `.changed`",
            Type::Text => "compare it: `text != \"\"`",
            Type::Array => "ask for `.is_empty()` or `.len()`",
            _ => "compare it with something",
        };
        let problem = format!("a condition must be true or false, this is a {}", shown.word());
        self.error("condition", condition.at(), problem, Some(hint.to_owned()));
    }

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

    /// The type of an expression, going through all of it.
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
                        other => _ = self.used(other),
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
            Expr::Block(body, _) => self.inner(&[], body),
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
            Expr::Closure { function, captures, .. } => self.closure(function, captures),
        }
    }

    /// `params` that is handed on may be read anywhere.
    pub fn escaping(&mut self, value: &Expr) {
        if matches!(value, Expr::Variable { module: None, name, .. } if self.variable(name) == Type::Params) {
            self.seen.params_escape = true;
        }
    }

    fn closure(&mut self, function: &str, captures: &[String]) -> Type {
        let script = self.script;
        if let Some(body) = script.syntax.closures.iter().find(|closure| closure.name == function) {
            // Captured variables come first among the parameters of its body.
            let declared: Vec<(&str, Type)> = body
                .params
                .iter()
                .map(|name| {
                    let captured = captures.contains(name);
                    (name.as_str(), if captured { self.variable(name) } else { Type::Any })
                })
                .collect();
            self.inner(&declared, &body.body);
        }
        Type::Function
    }

    fn constant(&mut self, module: &str, name: &str, at: Position) -> Type {
        if module != "global" {
            return Type::Any;
        }
        let script = self.script;
        let constants = &script.syntax.constants;
        if let Some(constant) = constants.iter().find(|constant| constant.name == name) {
            return self.type_of(&constant.value);
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

    fn literal(&mut self, text: &str, at: Position) {
        self.escapes(text, at);
        if self.quote(at) == Some('"')
            && let Some((_, rest)) = text.split_once("${")
            && let Some((name, _)) = rest.split_once(['}', '.', '['])
            && self.variables().any(|variable| variable == name)
        {
            let hint = Some("write it in backticks: `...${name}...`".to_owned());
            self.warning("no-interpolation", at, format!("`${{{name}}}` is not filled in between double quotes"), hint);
        }
    }

    /// Backticks know no escapes: `\n` in them is two characters.
    fn escapes(&mut self, text: &str, at: Position) {
        if self.quote(at) == Some('`') && (text.contains("\\n") || text.contains("\\t") || text.contains("\\\"")) {
            let hint = Some("break the line itself, or use double quotes".to_owned());
            self.warning("backtick-escape", at, "a backslash means nothing between backticks".to_owned(), hint);
        }
    }

    fn quote(&self, at: Position) -> Option<char> {
        let source = &self.script.source;
        let (line, column) = (at.line()?, at.position()?);
        source.text[source.offset(line, column)..].chars().next()
    }
}

/// The call whose answer an expression is.
fn last_call(value: &Expr) -> Option<(&str, Position)> {
    use crate::script::syntax::Link;
    match value {
        Expr::Call { name, at, operator: false, .. } => Some((name, *at)),
        Expr::Chain { links, .. } => match links.last()? {
            Link::Method { name, at, .. } => Some((name, *at)),
            _ => None,
        },
        _ => None,
    }
}
