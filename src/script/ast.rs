//! From rhai's syntax tree to ours: the only file that touches rhai's `internals`.
//!
//! Two things of rhai 1.27 shape it. Bodies of functions cannot be named outside of the crate, so they are taken from
//! [`AST::walk`], whose nodes of depth one are whole statements, and given to the innermost function that surrounds
//! them. And chains are nested to the right; here they are flat.

use rhai::{AST, ASTFlags, ASTNode, BinaryExpr, Expr as RhaiExpr, FnCallExpr, Namespace, Position, Stmt as RhaiStmt};

use super::syntax::{Constant, Expr, Function, Import, Leave, Link, Stmt, Syntax};

/// The syntax of a compiled script. `text` is its source, for the places of function names.
pub(crate) fn syntax(ast: &AST, text: &str) -> Syntax {
    let mut syntax = Syntax { doc: unmark(ast.doc(), "//!"), ..Syntax::default() };
    for statement in ast.statements() {
        match statement {
            RhaiStmt::Var(var, flags, _) if flags.contains(ASTFlags::CONSTANT) => {
                syntax.constants.push(Constant {
                    name: var.0.name.to_string(),
                    at: var.0.pos,
                    value: expr(&var.1),
                    exported: flags.contains(ASTFlags::EXPORTED),
                });
            }
            // The walk below meets them.
            RhaiStmt::Import(..) | RhaiStmt::Noop(_) => {}
            other => syntax.effects.push(start(other)),
        }
    }
    let mut bodies: Vec<(Span, Function)> = ast
        .iter_fn_def()
        .map(|def| {
            let span = Span { from: def.body.start_position(), to: def.body.end_position() };
            let function = Function {
                name: def.name.to_string(),
                params: def.params.iter().map(ToString::to_string).collect(),
                private: def.access.is_private(),
                typed: def.this_type.is_some(),
                at: name_position(text, &def.name, span.from),
                body: Vec::new(),
                doc: unmark(&def.comments.join("\n"), "///"),
            };
            (span, function)
        })
        .collect();
    let mut top_level = ast.statements().len();
    ast.walk(&mut |path: &[ASTNode]| {
        if let Some(ASTNode::Stmt(RhaiStmt::Import(import, _))) = path.last() {
            syntax.imports.push(Import {
                path: expr(&import.0).text().map(str::to_owned),
                at: import.0.start_position(),
                alias: import.1.name.to_string(),
                alias_at: import.1.pos,
            });
        }
        if let [node] = path {
            // The walk begins with the top-level statements, which are known already.
            if top_level > 0 {
                top_level -= 1;
                return true;
            }
            let statement = match node {
                ASTNode::Stmt(statement) if !statement.is_noop() => *statement,
                _ => return true,
            };
            let innermost =
                bodies.iter_mut().filter(|(span, _)| span.holds(statement)).max_by_key(|(span, _)| key(span.from));
            if let Some((_, function)) = innermost {
                function.body.push(stmt(statement));
            }
        }
        true
    });
    syntax.imports.sort_by_key(|import| key(import.at));
    bodies.sort_by_key(|(span, _)| key(span.from));
    for (_, function) in bodies {
        if function.name.starts_with("anon$") {
            syntax.closures.push(function);
        } else {
            syntax.functions.push(function);
        }
    }
    syntax
}

#[derive(Clone, Copy)]
struct Span {
    from: Position,
    to: Position,
}

impl Span {
    /// Whether a statement is in it. The body of a closure without braces is one statement, and has no end.
    fn holds(self, statement: &RhaiStmt) -> bool {
        let at = key(start(statement));
        match self.to.is_none() {
            true => at == key(self.from) || key(statement.position()) == key(self.from),
            false => key(self.from) <= at && at <= key(self.to),
        }
    }
}

fn key(at: Position) -> (usize, usize) {
    (at.line().unwrap_or(0), at.position().unwrap_or(0))
}

/// Where the name of the function stands whose body begins at `body`: the last `fn NAME` before it.
fn name_position(text: &str, name: &str, body: Position) -> Position {
    let (Some(body_line), Some(body_column)) = (body.line(), body.position()) else { return body };
    let lines: Vec<&str> = text.lines().collect();
    for line in (1..=body_line.min(lines.len())).rev() {
        let shown = lines[line - 1];
        let end = if line == body_line {
            shown.char_indices().nth(body_column.saturating_sub(1)).map_or(shown.len(), |(at, _)| at)
        } else {
            shown.len()
        };
        let Some(keyword) = shown[..end].rfind("fn ") else { continue };
        let Some(offset) = shown[keyword..end].find(name) else { continue };
        let column = shown[..keyword + offset].chars().count() + 1;
        return Position::new(line as u16, column as u16);
    }
    body
}

/// The comment of a file without its markers.
fn unmark(comment: &str, mark: &str) -> String {
    let lines = comment.lines().map(|line| {
        let line = line.trim_start();
        let line = line.strip_prefix(mark).unwrap_or(line);
        line.strip_prefix(' ').unwrap_or(line)
    });
    lines.collect::<Vec<_>>().join("\n").trim().to_owned()
}

fn start(statement: &RhaiStmt) -> Position {
    match statement {
        RhaiStmt::Expr(inner) => inner.start_position(),
        other => other.position(),
    }
}

/// The line on which what a node stands for begins.
pub(crate) fn first_line(node: ASTNode) -> Option<usize> {
    match node {
        ASTNode::Stmt(statement) => start(statement).line(),
        ASTNode::Expr(expression) => expression.start_position().line(),
        _ => None,
    }
}

fn block<'a>(statements: impl IntoIterator<Item = &'a RhaiStmt>) -> Vec<Stmt> {
    statements.into_iter().filter(|statement| !statement.is_noop()).map(stmt).collect()
}

fn stmt(statement: &RhaiStmt) -> Stmt {
    match statement {
        RhaiStmt::Var(var, ..) => Stmt::Let { name: var.0.name.to_string(), at: var.0.pos, value: expr(&var.1) },
        RhaiStmt::Assignment(assignment) => Stmt::Assign {
            target: expr(&assignment.1.lhs),
            value: expr(&assignment.1.rhs),
            compound: assignment.0.is_op_assignment(),
        },
        RhaiStmt::If(flow, at) => {
            Stmt::If { condition: expr(&flow.expr), then: block(&flow.body), otherwise: block(&flow.branch), at: *at }
        }
        RhaiStmt::Switch(switch, at) => Stmt::Switch {
            on: expr(&switch.0),
            arms: switch.1.expressions.iter().map(|arm| (expr(&arm.lhs), expr(&arm.rhs))).collect(),
            at: *at,
        },
        RhaiStmt::While(flow, at) | RhaiStmt::Do(flow, _, at) => Stmt::Loop {
            // The parser writes `loop` as `while ()`.
            condition: (!matches!(flow.expr, RhaiExpr::Unit(_))).then(|| expr(&flow.expr)),
            body: block(&flow.body),
            at: *at,
        },
        RhaiStmt::For(parts, at) => Stmt::For {
            name: parts.0.name.to_string(),
            name_at: parts.0.pos,
            counter: parts.1.as_ref().map(|counter| counter.name.to_string()),
            over: expr(&parts.2.expr),
            body: block(&parts.2.body),
            at: *at,
        },
        RhaiStmt::Block(inner) => Stmt::Block(block(inner.iter()), inner.position()),
        RhaiStmt::TryCatch(flow, at) => Stmt::Try {
            body: block(&flow.body),
            name: match &flow.expr {
                RhaiExpr::Variable(variable, _, at) => Some((variable.1.to_string(), *at)),
                _ => None,
            },
            handler: block(&flow.branch),
            at: *at,
        },
        RhaiStmt::Return(value, flags, at) => {
            let how = if flags.contains(ASTFlags::BREAK) { Leave::Throw } else { Leave::Return };
            Stmt::Leave { how, value: value.as_ref().map(|value| expr(value)), at: *at }
        }
        RhaiStmt::BreakLoop(value, flags, at) => {
            let how = if flags.contains(ASTFlags::BREAK) { Leave::Break } else { Leave::Continue };
            Stmt::Leave { how, value: value.as_ref().map(|value| expr(value)), at: *at }
        }
        RhaiStmt::Expr(inner) => Stmt::Expr(expr(inner)),
        RhaiStmt::FnCall(call, at) => Stmt::Expr(function_call(call, *at)),
        RhaiStmt::Import(_, at) => Stmt::Import(*at),
        other => Stmt::Expr(Expr::Other(other.position())),
    }
}

fn exprs<'a>(items: impl IntoIterator<Item = &'a RhaiExpr>) -> Vec<Expr> {
    items.into_iter().map(expr).collect()
}

fn expr(expression: &RhaiExpr) -> Expr {
    match expression {
        RhaiExpr::Unit(at) => Expr::Unit(*at),
        RhaiExpr::BoolConstant(value, at) => Expr::Bool(*value, *at),
        RhaiExpr::IntegerConstant(value, at) => Expr::Int(*value, *at),
        RhaiExpr::FloatConstant(value, at) => Expr::Float(**value, *at),
        RhaiExpr::StringConstant(text, at) => Expr::Text(text.to_string(), *at),
        RhaiExpr::InterpolatedString(parts, at) => Expr::Template(exprs(parts.iter()), *at),
        RhaiExpr::Array(items, at) => Expr::Array(exprs(items.iter()), *at),
        RhaiExpr::Map(entries, at) => {
            Expr::Map(entries.0.iter().map(|(key, value)| (key.name.to_string(), key.pos, expr(value))).collect(), *at)
        }
        RhaiExpr::Variable(variable, _, at) => {
            Expr::Variable { module: module(&variable.2), name: variable.1.to_string(), at: *at }
        }
        RhaiExpr::ThisPtr(at) => Expr::This(*at),
        RhaiExpr::FnCall(call, at) | RhaiExpr::MethodCall(call, at) => function_call(call, *at),
        RhaiExpr::Dot(parts, flags, _) => chain(parts, *flags, false),
        RhaiExpr::Index(parts, flags, _) => chain(parts, *flags, true),
        RhaiExpr::Stmt(statements) => match statements.statements() {
            // What stands in `${...}` is a block of one expression.
            [RhaiStmt::Expr(inner)] => expr(inner),
            [RhaiStmt::FnCall(call, at)] => function_call(call, *at),
            all => closure(all).unwrap_or_else(|| Expr::Block(block(statements.iter()), statements.position())),
        },
        RhaiExpr::And(parts, at) | RhaiExpr::Or(parts, at) => Expr::Logic(exprs(parts.iter()), *at),
        RhaiExpr::Coalesce(parts, at) => Expr::Coalesce(exprs(parts.iter()), *at),
        RhaiExpr::DynamicConstant(value, at) => match value.read_lock::<rhai::FnPtr>() {
            Some(pointer) => Expr::Closure { function: pointer.fn_name().to_owned(), captures: Vec::new(), at: *at },
            None => Expr::Other(*at),
        },
        other => Expr::Other(other.position()),
    }
}

/// A closure that captures variables is written by the parser as `{ share(a, b); curry(Fn, a, b) }`.
fn closure(statements: &[RhaiStmt]) -> Option<Expr> {
    let [RhaiStmt::Share(_), RhaiStmt::Expr(inner)] = statements else { return None };
    let RhaiExpr::FnCall(call, _) = &**inner else { return None };
    let mut args = call.args.iter().map(expr);
    let Some(Expr::Closure { function, at, .. }) = args.next() else { return None };
    let captures = args
        .filter_map(|argument| match argument {
            Expr::Variable { name, .. } => Some(name),
            _ => None,
        })
        .collect();
    Some(Expr::Closure { function, captures, at })
}

fn function_call(call: &FnCallExpr, at: Position) -> Expr {
    Expr::Call {
        module: module(&call.namespace),
        name: call.name.to_string(),
        args: exprs(call.args.iter()),
        operator: call.op_token.is_some(),
        at,
    }
}

fn module(namespace: &Namespace) -> Option<String> {
    if namespace.is_empty() {
        return None;
    }
    Some(namespace.path.iter().map(|part| part.name.as_str()).collect::<Vec<_>>().join("::"))
}

fn chain(parts: &BinaryExpr, flags: ASTFlags, indexed: bool) -> Expr {
    let head = Box::new(expr(&parts.lhs));
    let mut links = Vec::new();
    let (mut parts, mut flags, mut indexed) = (parts, flags, indexed);
    loop {
        match &parts.rhs {
            RhaiExpr::Dot(rest, rest_flags, _) | RhaiExpr::Index(rest, rest_flags, _)
                if !flags.contains(ASTFlags::BREAK) =>
            {
                links.push(link(&rest.lhs, indexed));
                indexed = matches!(parts.rhs, RhaiExpr::Index(..));
                flags = *rest_flags;
                parts = rest;
            }
            last => {
                links.push(link(last, indexed));
                return Expr::Chain { head, links };
            }
        }
    }
}

fn link(expression: &RhaiExpr, indexed: bool) -> Link {
    match expression {
        inner if indexed => Link::Index(expr(inner)),
        RhaiExpr::Property(property, at) => Link::Property { name: property.2.to_string(), at: *at },
        RhaiExpr::MethodCall(call, at) | RhaiExpr::FnCall(call, at) => {
            Link::Method { name: call.name.to_string(), args: exprs(call.args.iter()), at: *at }
        }
        other => Link::Index(expr(other)),
    }
}
