//! A script's syntax as metadata and checks see it: plain values, independent of rhai's own tree.
//!
//! [`super::ast`] makes it; everything that looks at scripts without running them looks at this.

use rhai::Position;

/// One file.
#[derive(Debug, Default)]
pub(crate) struct Syntax {
    /// `const NAME = ...` at top level.
    pub constants: Vec<Constant>,
    /// `import "..." as ...`, wherever it stands.
    pub imports: Vec<Import>,
    /// Top-level statements that do something. They would be repeated on every call into the file.
    pub effects: Vec<Position>,
    /// Named functions, in the order of the file.
    pub functions: Vec<Function>,
    /// Bodies of closures, by their generated names.
    pub closures: Vec<Function>,
    /// The `//!` comment of the file, without its markers.
    pub doc: String,
}

impl Syntax {
    /// The function with this name and number of parameters.
    pub fn function(&self, name: &str, arity: usize) -> Option<&Function> {
        self.functions.iter().find(|function| function.name == name && function.params.len() == arity)
    }

    /// Whether any function has this name.
    pub fn defines(&self, name: &str) -> bool {
        self.functions.iter().any(|function| function.name == name)
    }
}

/// A top-level constant.
#[derive(Debug)]
pub(crate) struct Constant {
    /// Name.
    pub name: String,
    /// Where the name stands.
    pub at: Position,
    /// Value.
    pub value: Expr,
    /// Visible to importers.
    pub exported: bool,
}

/// An import.
#[derive(Debug)]
pub(crate) struct Import {
    /// The path, if it is a literal.
    pub path: Option<String>,
    /// Where the path stands.
    pub at: Position,
    /// The name after `as`; empty: none.
    pub alias: String,
    /// Where that name stands.
    pub alias_at: Position,
}

/// A function.
#[derive(Debug)]
pub(crate) struct Function {
    /// Name.
    pub name: String,
    /// Parameter names.
    pub params: Vec<String>,
    /// Not visible to importers.
    pub private: bool,
    /// Where the name stands (for a closure: where its body begins).
    pub at: Position,
    /// Called as a method of one type (`fn Text.twice()`): whoever imports the module has it without naming the module.
    pub typed: bool,
    /// Statements.
    pub body: Vec<Stmt>,
    /// Its `///` comment, without the markers.
    pub doc: String,
}

/// A statement.
#[derive(Debug)]
pub(crate) enum Stmt {
    /// `let` or `const`; `at`: the name.
    Let { name: String, at: Position, value: Expr },
    /// An expression; its value counts if it is the last statement of a block.
    Expr(Expr),
    /// `target = value`; `compound`: `+=` and its kin.
    Assign { target: Expr, value: Expr, compound: bool },
    /// `if`.
    If { condition: Expr, then: Vec<Stmt>, otherwise: Vec<Stmt>, at: Position },
    /// `switch`: conditions and bodies of all arms.
    Switch { on: Expr, arms: Vec<(Expr, Expr)>, at: Position },
    /// `while`, `do`, and `loop`, which has no condition.
    Loop { condition: Option<Expr>, body: Vec<Stmt>, at: Position },
    /// `for`; `name_at`: its variable.
    For { name: String, name_at: Position, counter: Option<String>, over: Expr, body: Vec<Stmt>, at: Position },
    /// `{ ... }`.
    Block(Vec<Stmt>, Position),
    /// `try { ... } catch (name) { ... }`.
    Try { body: Vec<Stmt>, name: Option<(String, Position)>, handler: Vec<Stmt>, at: Position },
    /// `return`, `throw`, `break`, `continue`.
    Leave { how: Leave, value: Option<Expr>, at: Position },
    /// `import` inside of a function; it is in [`Syntax::imports`] too.
    Import(Position),
}

/// How control leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leave {
    /// `return`.
    Return,
    /// `throw`.
    Throw,
    /// `break`.
    Break,
    /// `continue`.
    Continue,
}

impl Stmt {
    /// Where it begins.
    pub fn at(&self) -> Position {
        match self {
            Stmt::Let { at, .. }
            | Stmt::If { at, .. }
            | Stmt::Switch { at, .. }
            | Stmt::Loop { at, .. }
            | Stmt::For { at, .. }
            | Stmt::Block(_, at)
            | Stmt::Try { at, .. }
            | Stmt::Leave { at, .. }
            | Stmt::Import(at) => *at,
            Stmt::Expr(value) => value.at(),
            Stmt::Assign { target, .. } => target.at(),
        }
    }

    /// Calls back for this statement and for all that are in it, the bodies of closures excepted.
    pub fn walk<'a>(&'a self, see: &mut dyn FnMut(Node<'a>)) {
        see(Node::Stmt(self));
        let blocks: [&[Stmt]; 2] = match self {
            Stmt::Let { value, .. } | Stmt::Expr(value) => {
                value.walk(see);
                [&[], &[]]
            }
            Stmt::Assign { target, value, .. } => {
                target.walk(see);
                value.walk(see);
                [&[], &[]]
            }
            Stmt::If { condition, then, otherwise, .. } => {
                condition.walk(see);
                [then, otherwise]
            }
            Stmt::Switch { on, arms, .. } => {
                on.walk(see);
                for (condition, body) in arms {
                    condition.walk(see);
                    body.walk(see);
                }
                [&[], &[]]
            }
            Stmt::Loop { condition, body, .. } => {
                if let Some(condition) = condition {
                    condition.walk(see);
                }
                [body, &[]]
            }
            Stmt::For { over, body, .. } => {
                over.walk(see);
                [body, &[]]
            }
            Stmt::Block(body, _) => [body, &[]],
            Stmt::Try { body, handler, .. } => [body, handler],
            Stmt::Leave { value, .. } => {
                if let Some(value) = value {
                    value.walk(see);
                }
                [&[], &[]]
            }
            Stmt::Import(_) => [&[], &[]],
        };
        for statement in blocks.into_iter().flatten() {
            statement.walk(see);
        }
    }
}

/// What a walk meets.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Node<'a> {
    /// A statement.
    Stmt(&'a Stmt),
    /// An expression.
    Expr(&'a Expr),
}

/// An expression.
#[derive(Debug)]
pub(crate) enum Expr {
    /// `()`.
    Unit(Position),
    /// `true`.
    Bool(bool, Position),
    /// `1`.
    Int(i64, Position),
    /// `1.5`.
    Float(f64, Position),
    /// `"text"`, or backticks without interpolation.
    Text(String, Position),
    /// Backticks with `${}`.
    Template(Vec<Expr>, Position),
    /// `[...]`.
    Array(Vec<Expr>, Position),
    /// `#{...}`.
    Map(Vec<(String, Position, Expr)>, Position),
    /// `name` or `module::name`.
    Variable { module: Option<String>, name: String, at: Position },
    /// `this`.
    This(Position),
    /// `name(...)`, `module::name(...)`, or an operator.
    Call { module: Option<String>, name: String, args: Vec<Expr>, operator: bool, at: Position },
    /// `head.property.method()[index]`.
    Chain { head: Box<Expr>, links: Vec<Link> },
    /// A block, `if` or `switch` used as a value.
    Block(Vec<Stmt>, Position),
    /// `&&`, `||`: the result is a bool.
    Logic(Vec<Expr>, Position),
    /// `??`.
    Coalesce(Vec<Expr>, Position),
    /// `|x| ...`, by the generated name of its body, with what it captures.
    Closure { function: String, captures: Vec<String>, at: Position },
    /// Anything else (characters, ranges made by the parser).
    Other(Position),
}

/// One link of a chain.
#[derive(Debug)]
pub(crate) enum Link {
    /// `.name`.
    Property { name: String, at: Position },
    /// `.name(...)`.
    Method { name: String, args: Vec<Expr>, at: Position },
    /// `[...]`.
    Index(Expr),
}

impl Function {
    /// What it may answer: the last expression of its body and the values of its `return`s.
    pub fn answers(&self) -> Vec<&Expr> {
        let mut found = Vec::new();
        last_values(&self.body, &mut found);
        for statement in &self.body {
            statement.walk(&mut |node| {
                if let Node::Stmt(Stmt::Leave { how: Leave::Return, value: Some(value), .. }) = node {
                    found.push(value);
                }
            });
        }
        found
    }
}

/// What a block may answer by its last statement.
fn last_values<'a>(body: &'a [Stmt], found: &mut Vec<&'a Expr>) {
    match body.last() {
        Some(Stmt::Expr(Expr::Block(inner, _)) | Stmt::Block(inner, _)) => last_values(inner, found),
        Some(Stmt::Expr(value)) => found.push(value),
        Some(Stmt::If { then, otherwise, .. }) => {
            last_values(then, found);
            last_values(otherwise, found);
        }
        Some(Stmt::Try { body, handler, .. }) => {
            last_values(body, found);
            last_values(handler, found);
        }
        Some(Stmt::Switch { arms, .. }) => {
            for (_, body) in arms {
                match body {
                    Expr::Block(inner, _) => last_values(inner, found),
                    value => found.push(value),
                }
            }
        }
        _ => {}
    }
}

impl Expr {
    /// Where it begins.
    pub fn at(&self) -> Position {
        match self {
            Expr::Unit(at)
            | Expr::Bool(_, at)
            | Expr::Int(_, at)
            | Expr::Float(_, at)
            | Expr::Text(_, at)
            | Expr::Template(_, at)
            | Expr::Array(_, at)
            | Expr::Map(_, at)
            | Expr::Variable { at, .. }
            | Expr::This(at)
            | Expr::Block(_, at)
            | Expr::Logic(_, at)
            | Expr::Coalesce(_, at)
            | Expr::Closure { at, .. }
            | Expr::Other(at) => *at,
            Expr::Call { args, operator: true, at, .. } => args.first().map_or(*at, Expr::at),
            Expr::Call { at, .. } => *at,
            Expr::Chain { head, .. } => head.at(),
        }
    }

    /// Calls back for this expression and for all that is in it, the bodies of closures excepted.
    pub fn walk<'a>(&'a self, see: &mut dyn FnMut(Node<'a>)) {
        see(Node::Expr(self));
        match self {
            Expr::Template(parts, _) | Expr::Array(parts, _) | Expr::Logic(parts, _) | Expr::Coalesce(parts, _) => {
                parts.iter().for_each(|part| part.walk(see));
            }
            Expr::Map(entries, _) => entries.iter().for_each(|(_, _, value)| value.walk(see)),
            Expr::Call { args, .. } => args.iter().for_each(|arg| arg.walk(see)),
            Expr::Chain { head, links } => {
                head.walk(see);
                for link in links {
                    match link {
                        Link::Property { .. } => {}
                        Link::Method { args, .. } => args.iter().for_each(|arg| arg.walk(see)),
                        Link::Index(key) => key.walk(see),
                    }
                }
            }
            Expr::Block(body, _) => body.iter().for_each(|statement| statement.walk(see)),
            Expr::Unit(_)
            | Expr::Bool(..)
            | Expr::Int(..)
            | Expr::Float(..)
            | Expr::Text(..)
            | Expr::Variable { .. }
            | Expr::This(_)
            | Expr::Closure { .. }
            | Expr::Other(_) => {}
        }
    }

    /// Where a key of nested literal maps stands.
    pub fn key(&self, path: &[&str]) -> Option<Position> {
        let Expr::Map(entries, _) = self else { return None };
        let (first, rest) = path.split_first()?;
        let (_, at, value) = entries.iter().find(|(key, ..)| key == first)?;
        if rest.is_empty() { Some(*at) } else { value.key(rest) }
    }

    /// Where a text stands in a list of a literal map.
    pub fn item(&self, list: &str, text: &str) -> Option<Position> {
        let Expr::Map(entries, _) = self else { return None };
        let (_, _, value) = entries.iter().find(|(key, ..)| key == list)?;
        let Expr::Array(items, _) = value else { return None };
        items.iter().find(|item| item.text() == Some(text)).map(Expr::at)
    }

    /// The text, if it is a literal one.
    pub fn text(&self) -> Option<&str> {
        match self {
            Expr::Text(text, _) => Some(text),
            _ => None,
        }
    }

    /// The value, if it is made of literals only.
    pub fn literal(&self) -> Option<serde_json::Value> {
        use serde_json::Value;
        Some(match self {
            Expr::Unit(_) => Value::Null,
            Expr::Bool(value, _) => Value::Bool(*value),
            Expr::Int(value, _) => Value::from(*value),
            Expr::Float(value, _) => Value::from(*value),
            Expr::Text(text, _) => Value::String(text.clone()),
            Expr::Array(items, _) => Value::Array(items.iter().map(Expr::literal).collect::<Option<_>>()?),
            Expr::Map(entries, _) => Value::Object(
                entries.iter().map(|(key, _, value)| Some((key.clone(), value.literal()?))).collect::<Option<_>>()?,
            ),
            _ => return None,
        })
    }
}
