//! A script's syntax as metadata and checks see it: plain values, independent of rhai's own tree.
//!
//! [`super::ast`] makes it; everything that looks at scripts without running them looks at this.

use rhai::Position;

/// One file.
#[derive(Debug, Default)]
pub(crate) struct Syntax {
    /// `const NAME = ...` at top level.
    pub constants: Vec<Constant>,
    /// `import "..." as ...` at top level.
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
    /// Statements.
    pub body: Vec<Stmt>,
}

/// A statement.
#[derive(Debug)]
pub(crate) enum Stmt {
    /// `let` or `const`.
    Let { name: String, value: Expr },
    /// An expression; its value counts if it is the last statement of a block.
    Expr(Expr),
    /// `target = value` and its kin.
    Assign { target: Expr, value: Expr },
    /// `if`.
    If { condition: Expr, then: Vec<Stmt>, otherwise: Vec<Stmt> },
    /// `switch`: conditions and bodies of all arms.
    Switch { on: Expr, arms: Vec<(Expr, Expr)> },
    /// `while`, `loop`, `do`.
    Loop { condition: Expr, body: Vec<Stmt> },
    /// `for`.
    For { name: String, counter: Option<String>, over: Expr, body: Vec<Stmt> },
    /// `{ ... }`.
    Block(Vec<Stmt>),
    /// `try { ... } catch (name) { ... }`.
    Try { body: Vec<Stmt>, name: Option<String>, handler: Vec<Stmt> },
    /// `return`, `throw`, `break` with a value, if any.
    Leave(Option<Expr>),
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
