//! Going through a file, function by function: names in scope, statements.

use std::collections::{BTreeMap, BTreeSet};

use rhai::Position;

use super::origin::Origin;
use super::scope::{Scopes, Unread, Variable};
use super::vocabulary::Vocabulary;
use crate::finding::{Finding, did_you_mean};
use crate::model::ScriptSpec;
use crate::script::Library;
use crate::script::api::signature::Type;
use crate::script::library::Script;
use crate::script::place::span;
use crate::script::resolver::{WAY_OUT, in_a_circle};
use crate::script::syntax::{Expr, Function, Leave, Node, Stmt};

/// What a file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// A feature or an app.
    Script,
    /// A shared module.
    Module,
    /// A program model.
    Model,
    /// Tests.
    Test,
}

/// Goes through one file and collects what is wrong.
pub(super) struct Checker<'a> {
    pub library: &'a Library,
    pub script: &'a Script,
    /// What the script declares; of tests: what the script declares that they are beside. Absent for shared modules.
    pub spec: Option<&'a ScriptSpec>,
    pub role: Role,
    pub vocabulary: &'static Vocabulary,
    /// What was seen on the way, for rules about the whole file.
    pub seen: Seen,
    pub scopes: Scopes,
    /// Name of the function that is gone through.
    pub inside: String,
    /// Whether a closure is gone through.
    pub in_closure: bool,
    /// Whether a program or its arguments are gone through.
    pub in_command: bool,
    /// Whether what is gone through is meant to fail.
    pub meant_to_fail: bool,
    findings: Vec<Finding>,
    /// What the file's functions answer, by name and number of parameters.
    answers: BTreeMap<(String, usize), (Type, Origin)>,
    /// Types that the function's `return`s answer so far.
    returned: Option<Type>,
    /// Variables of the function that loops and closures assign to: their type is not that of their first value.
    fickle: BTreeSet<String>,
}

/// What a file uses.
#[derive(Default)]
pub(super) struct Seen {
    /// Calls of the file's own functions: caller, callee.
    pub calls: BTreeSet<(String, String)>,
    /// Verbs that change something: function they stand in, name, place.
    pub changes: Vec<(String, &'static str, Position)>,
    /// Constants of the file that are read.
    pub constants: BTreeSet<String>,
    /// Modules that are used, by alias.
    pub modules: BTreeSet<String>,
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
    pub fn new(library: &'a Library, script: &'a Script, spec: Option<&'a ScriptSpec>, role: Role) -> Checker<'a> {
        let vocabulary = Vocabulary::of(role);
        Checker {
            library,
            script,
            spec,
            role,
            vocabulary,
            seen: Seen::default(),
            scopes: Scopes::default(),
            inside: String::new(),
            in_closure: false,
            in_command: false,
            meant_to_fail: false,
            findings: Vec::new(),
            answers: BTreeMap::new(),
            returned: None,
            fickle: BTreeSet::new(),
        }
    }

    /// Goes through all functions and what stands at top level.
    pub fn file(&mut self) {
        // Once to learn what the functions answer, and again to tell.
        self.functions();
        self.seen = Seen::default();
        self.findings.clear();
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
        self.inside.clear();
        self.scopes.enter([]);
        for constant in &script.syntax.constants {
            let shown = self.used(&constant.value);
            self.scopes.declare(&constant.name, Variable::of(shown));
        }
        self.scopes.leave();
        for function in &script.syntax.functions {
            self.shadowing(function);
        }
        self.functions();
    }

    fn functions(&mut self) {
        let script = self.script;
        for function in &script.syntax.functions {
            self.function(function);
        }
    }

    /// What was found, in the order of the file, each once.
    pub fn finish(self) -> Vec<Finding> {
        let mut findings: Vec<Finding> = Vec::new();
        for finding in self.findings {
            if !findings.contains(&finding) {
                findings.push(finding);
            }
        }
        findings.sort_by_key(|finding| finding.place.as_ref().map(|place| place.span.start));
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

    /// Whether something was found at this place already.
    pub fn told_at(&self, at: Position) -> bool {
        let start = span(&self.script.source, at).start;
        self.findings.iter().any(|finding| finding.place.as_ref().is_some_and(|place| place.span.start == start))
    }

    /// Goes through something again without telling again.
    pub fn without_findings<T>(&mut self, go: impl FnOnce(&mut Self) -> T) -> T {
        let before = self.findings.len();
        let answer = go(self);
        self.findings.truncate(before);
        answer
    }

    fn import(&mut self, path: Option<&str>, at: Position) {
        let Some(path) = path else {
            let hint = Some("write the path out: `import \"lib/x\" as x;`".to_owned());
            return self.error("module", at, "the path of an import must be a literal".to_owned(), hint);
        };
        if let Some(module) = self.library.module(path) {
            let own = self.library.modules().find(|(_, module)| std::ptr::eq(*module, self.script));
            if let Some((own, _)) = own.filter(|(own, _)| *own == path || self.library.imports(module).contains(*own)) {
                self.error("module", at, in_a_circle(own), Some(WAY_OUT.to_owned()));
            }
            return;
        }
        let problem = match path.starts_with('/') || path.contains("..") || path.contains('\\') {
            true => format!("`{path}` leads out of the directory of the scripts"),
            false => format!("there is no module `{path}`"),
        };
        let near = did_you_mean(path, self.library.module_names()).map(|near| format!("did you mean `{near}`?"));
        let hint = near.or_else(|| Some("modules are files of `lib/` in the folder of the features".to_owned()));
        self.error("module", at, problem, hint);
    }

    fn function(&mut self, function: &Function) {
        self.inside.clone_from(&function.name);
        self.returned = None;
        self.fickle = self.fickle_in(function);
        self.scopes = Scopes::default();
        let params = function.params.iter().map(|name| (name.clone(), Variable::of(self.convention(name))));
        self.scopes.enter(params.collect::<Vec<_>>());
        let last = self.block(&function.body, !self.answers_nobody(&function.name));
        let origin = function.answers().iter().map(|answer| self.origin(answer)).max().unwrap_or(Origin::Fixed);
        self.leave_scope();
        let shown = self.returned.map_or(last, |returned| join(returned, last));
        self.answers.insert((function.name.clone(), function.params.len()), (shown, origin));
    }

    /// Functions that are called for what they do.
    fn answers_nobody(&self, name: &str) -> bool {
        match self.role {
            Role::Script => ["apply", "health", "remove"].contains(&name),
            Role::Test => name.starts_with("test_"),
            Role::Module | Role::Model => false,
        }
    }

    /// What a function of the file answers, as far as is known.
    pub fn answered(&self, name: &str, arity: usize) -> Option<(Type, Origin)> {
        self.answers.get(&(name.to_owned(), arity)).copied()
    }

    /// The type of a parameter by its name. What `params` of a shared module holds is its callers' business.
    pub fn convention(&self, name: &str) -> Type {
        match self.vocabulary.parameter(name) {
            Type::Params if self.spec.is_none() => Type::Any,
            known => known,
        }
    }

    /// Variables that loops or closures of a function assign to.
    fn fickle_in(&self, function: &Function) -> BTreeSet<String> {
        let mut fickle = BTreeSet::new();
        let mut assigned = |statement: &Stmt| {
            statement.walk(&mut |node| {
                if let Node::Stmt(Stmt::Assign { target: Expr::Variable { name, .. }, .. }) = node {
                    fickle.insert(name.clone());
                }
            });
        };
        for statement in &function.body {
            statement.walk(&mut |node| match node {
                Node::Stmt(Stmt::Loop { body, .. } | Stmt::For { body, .. }) => body.iter().for_each(&mut assigned),
                Node::Expr(Expr::Closure { function, .. }) => {
                    let closures = self.script.syntax.closures.iter().filter(|closure| closure.name == *function);
                    closures.flat_map(|closure| &closure.body).for_each(&mut assigned);
                }
                _ => {}
            });
        }
        fickle
    }

    /// The type of a variable, which is read by this.
    pub fn variable(&mut self, name: &str) -> Type {
        self.scopes.get_mut(name).map_or(Type::Any, |variable| {
            variable.read = true;
            variable.shown
        })
    }

    fn declare(&mut self, name: &str, at: Position, shown: Type, origin: Origin) {
        let shown = if self.fickle.contains(name) { Type::Any } else { shown };
        let variable = Variable { shown, origin, declared: Some(at), read: false };
        let replaced = self.scopes.declare(name, variable);
        self.unread(replaced);
    }

    fn leave_scope(&mut self) {
        let unread = self.scopes.leave();
        self.unread(unread);
    }

    fn unread(&mut self, variables: impl IntoIterator<Item = Unread>) {
        for (name, at) in variables {
            let hint = Some(format!("leave `let {name} =` out, or call it `_{name}`"));
            self.warning("unused-variable", at, format!("`{name}` is never read"), hint);
        }
    }

    /// A name that means something by convention must go on meaning it.
    pub fn hides(&mut self, name: &str, at: Position) {
        let by_convention = self.vocabulary.parameter(name);
        let before = self.scopes.get(name).map(|variable| variable.shown);
        if by_convention != Type::Any && before == Some(by_convention) {
            let hint = Some("give the variable another name".to_owned());
            self.warning("shadowed", at, format!("this hides `{name}` from here on"), hint);
        }
    }

    /// Goes through a block with variables of its own.
    pub fn inner(&mut self, declared: Vec<(String, Variable)>, body: &[Stmt], keeps: bool) -> Type {
        self.scopes.enter(declared);
        let last = self.block(body, keeps);
        self.leave_scope();
        last
    }

    /// Goes through statements; the type of the last one is the type of the block. `keeps`: somebody uses its value.
    fn block(&mut self, statements: &[Stmt], keeps: bool) -> Type {
        let mut last = Type::Unit;
        let mut ended = false;
        for (index, statement) in statements.iter().enumerate() {
            if ended && last == Type::Never {
                let problem = "this is never reached".to_owned();
                self.warning("unreachable", statement.at(), problem, None);
            }
            let keeps = keeps && index + 1 == statements.len();
            last = self.statement(statement, keeps);
            if let (Stmt::Expr(value), false) = (statement, keeps) {
                self.discarded(value, last);
            }
            ended |= last == Type::Never;
        }
        if ended { Type::Never } else { last }
    }

    fn statement(&mut self, statement: &Stmt, keeps: bool) -> Type {
        match statement {
            Stmt::Let { name, at, value } => {
                let shown = self.used(value);
                self.escaping(value);
                self.hides(name, *at);
                let origin = self.origin(value);
                self.declare(name, *at, shown, origin);
                Type::Unit
            }
            Stmt::Expr(value) => self.type_of(value),
            Stmt::Assign { target, value, compound } => {
                self.assign(target, value, *compound);
                Type::Unit
            }
            Stmt::If { condition, then, otherwise, .. } => {
                self.condition(condition);
                let one = self.inner(Vec::new(), then, keeps);
                let other = self.inner(Vec::new(), otherwise, keeps);
                join(one, other)
            }
            Stmt::Switch { on, arms, .. } => {
                self.used(on);
                for (condition, body) in arms {
                    self.type_of(condition);
                    self.type_of(body);
                }
                Type::Any
            }
            Stmt::Loop { condition, body, .. } => {
                if let Some(condition) = condition.as_ref().filter(|value| !matches!(value, Expr::Bool(true, _))) {
                    self.condition(condition);
                }
                self.inner(Vec::new(), body, false);
                self.endless(statement);
                Type::Any
            }
            Stmt::For { name, name_at, counter, over, body, .. } => {
                let shown = self.used(over);
                self.gone_through(over, shown);
                self.hides(name, *name_at);
                let origin = self.origin(over);
                let origin = if origin.is_opaque() { Origin::Unknown } else { origin };
                let mut declared = vec![(name.clone(), Variable { origin, ..Variable::of(Type::Any) })];
                let number = Variable { origin: Origin::Fixed, ..Variable::of(Type::Int) };
                declared.extend(counter.iter().map(|counter| (counter.clone(), number)));
                self.inner(declared, body, false);
                Type::Unit
            }
            Stmt::Block(body, _) => self.inner(Vec::new(), body, keeps),
            Stmt::Try { body, name, handler, .. } => {
                let one = self.inner(Vec::new(), body, keeps);
                let mut declared = Vec::new();
                if let Some((name, at)) = name {
                    self.hides(name, *at);
                    declared.push((name.clone(), Variable::of(Type::Any)));
                }
                let other = self.inner(declared, handler, keeps);
                join(one, other)
            }
            Stmt::Leave { how, value, .. } => {
                let shown = value.as_ref().map_or(Type::Unit, |value| {
                    self.escaping(value);
                    self.type_of(value)
                });
                if *how == Leave::Return && !self.in_closure {
                    self.returned = Some(self.returned.map_or(shown, |before| join(before, shown)));
                    if let Some(value) = value
                        && shown == Type::Bool
                        && self.role == Role::Script
                        && self.inside == "health"
                    {
                        self.health_answers(value);
                    }
                }
                Type::Never
            }
            Stmt::Import(_) => Type::Unit,
        }
    }

    fn assign(&mut self, target: &Expr, value: &Expr, compound: bool) {
        let found = self.used(value);
        self.escaping(value);
        let origin = self.origin(value);
        let variable = match target {
            Expr::Variable { module: None, name, .. } => name,
            _ => {
                // A new key of a map that had known ones.
                if let Expr::Chain { head, links } = target
                    && let Expr::Variable { module: None, name, .. } = &**head
                {
                    if let Some(variable) = self.scopes.get_mut(name) {
                        variable.read = true;
                        variable.shown = match variable.shown {
                            Type::Record(_) => Type::Map,
                            other => other,
                        };
                    }
                    if links.len() == 1 && !matches!(self.variable(name), Type::Guest | Type::Node | Type::Params) {
                        return;
                    }
                }
                self.type_of(target);
                return;
            }
        };
        let Some(variable) = self.scopes.get_mut(variable) else { return };
        let grows = compound && matches!(variable.shown, Type::Text | Type::Array);
        if variable.shown != found && !grows {
            // It may be either from here on.
            variable.shown = Type::Any;
        }
        variable.origin = variable.origin.max(origin);
    }

    /// What `for` can go through.
    fn gone_through(&mut self, over: &Expr, shown: Type) {
        let hint = match shown {
            Type::Map | Type::Record(_) | Type::Params => "of a map take `map.keys()` or `map.values()`",
            Type::Output => "take the lines of its text: `.stdout.lines()`",
            Type::Bool | Type::Change | Type::Guest | Type::Node | Type::Site | Type::TestGuest | Type::Model => {
                "take a list, a text or a range such as `0..3`"
            }
            _ => return,
        };
        let problem = format!("{} cannot be gone through", super::compare::a(shown));
        self.error("loop", over.at(), problem, Some(hint.to_owned()));
    }
}

/// The type of what is one of two.
pub(super) fn join(one: Type, other: Type) -> Type {
    match (one, other) {
        (Type::Never, known) | (known, Type::Never) => known,
        (one, other) if one == other => one,
        _ => Type::Any,
    }
}
