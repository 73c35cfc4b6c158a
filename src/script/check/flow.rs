//! Statements: what is never reached, what never ends, what is done for nothing.

use super::compare::compares;
use super::standard::standard;
use super::visit::{Checker, Role};
use crate::script::api::signature::{Signature, Type};
use crate::script::syntax::{Expr, Leave, Link, Node, Stmt};

/// Functions of ours that are worth a call whoever looks at the answer.
const WORTH_CALLING: [&str; 13] = [
    "http",
    "secret",
    "artifact",
    "parse_json",
    "provisioner",
    "retry",
    "double",
    "apply",
    "apply_twice",
    "apply_killed_everywhere",
    "remove",
    "guest",
    "guests",
];

/// Functions of the language that do nothing but answer.
const ANSWERING: [&str; 18] = [
    "len",
    "is_empty",
    "contains",
    "starts_with",
    "ends_with",
    "index_of",
    "sub_string",
    "split",
    "split_rev",
    "to_upper",
    "to_lower",
    "keys",
    "values",
    "to_string",
    "parse_int",
    "parse_float",
    "get",
    "type_of",
];

impl Checker<'_> {
    /// The value of a statement that nobody uses.
    pub fn discarded(&mut self, value: &Expr, shown: Type) {
        if matches!(value, Expr::Unit(_) | Expr::Other(_)) || matches!(shown, Type::Never) {
            return;
        }
        if self.role == Role::Script && self.inside == "health" && shown == Type::Bool && !self.in_closure {
            return self.health_answers(value);
        }
        if let Expr::Call { module: None, name, args, operator: false, at } = value
            && name == "retry"
            && !self.script.syntax.defines(name)
            && args.get(2).is_some_and(|closure| self.tells_by_answer(closure))
        {
            let hint = Some("write `if !retry(...) { fail(\"...\") }`".to_owned());
            let problem = "`retry` answers whether it worked, and nobody asks".to_owned();
            return self.warning("unused-answer", *at, problem, hint);
        }
        if !self.is_quiet(value) {
            return;
        }
        match last_name(value) {
            Some((_, at)) if self.told_at(at) => {}
            Some((name, at)) => {
                let hint = match name {
                    "probe" => Some("`probe` never fails: ask for `.ok`, or do it with `exec`".to_owned()),
                    "trimmed" | "replaced" | "lower" | "upper" | "indent" | "join" => {
                        Some(format!("it answers a new text: `x = x.{name}(...)`"))
                    }
                    _ => None,
                };
                self.warning("unused-answer", at, format!("nobody uses the answer of `{name}`"), hint);
            }
            None => {
                let hint = match value {
                    Expr::Call { name, .. } if name == "==" => Some("to assign write `=`".to_owned()),
                    Expr::Call { name, .. } if compares(name) => None,
                    Expr::Closure { .. } => Some("call it: `f.call()`".to_owned()),
                    _ => None,
                };
                self.warning("no-effect", value.at(), "this statement has no effect".to_owned(), hint);
            }
        }
    }

    /// `health` is believed unless it fails.
    pub fn health_answers(&mut self, value: &Expr) {
        let hint = Some("write `if !... { fail(\"what is wrong\") }`".to_owned());
        let problem = "nobody looks at what `health` answers: it says by `fail` what is wrong".to_owned();
        self.error("answer", value.at(), problem, hint);
    }

    /// Whether the closure of a `retry` says by its answer that it did not work: `|| { guest.exec(...); true }` fails.
    fn tells_by_answer(&self, closure: &Expr) -> bool {
        let Expr::Closure { function, .. } = closure else { return false };
        let Some(body) = self.script.syntax.closures.iter().find(|closure| closure.name == *function) else {
            return false;
        };
        let looks = |answer: &&Expr| {
            let mut only_looks = !matches!(answer, Expr::Bool(..));
            answer.walk(&mut |node| {
                if let Node::Expr(Expr::Chain { links, .. }) = node {
                    only_looks &= !links.iter().any(|link| matches!(link, Link::Method { name, .. } if name == "exec"));
                }
            });
            only_looks
        };
        body.answers().iter().any(looks)
    }

    /// Whether evaluating an expression does nothing but answer.
    fn is_quiet(&self, value: &Expr) -> bool {
        match value {
            Expr::Other(_) | Expr::This(_) | Expr::Block(..) => false,
            Expr::Template(parts, _) | Expr::Array(parts, _) | Expr::Logic(parts, _) | Expr::Coalesce(parts, _) => {
                parts.iter().all(|part| self.is_quiet(part))
            }
            Expr::Map(entries, _) => entries.iter().all(|(_, _, value)| self.is_quiet(value)),
            Expr::Call { operator: true, args, .. } => args.iter().all(|arg| self.is_quiet(arg)),
            Expr::Call { module: None, name, args, .. } => {
                let answers = match self.vocabulary.function(name) {
                    Some(signature) => only_answers(signature),
                    None => ANSWERING.contains(&name.as_str()),
                };
                answers && !self.script.syntax.defines(name) && args.iter().all(|arg| self.is_quiet(arg))
            }
            Expr::Call { .. } => false,
            Expr::Chain { head, links } => {
                self.is_quiet(head)
                    && links.iter().all(|link| match link {
                        Link::Property { .. } => true,
                        Link::Index(key) => self.is_quiet(key),
                        Link::Method { name, args, .. } => {
                            self.method_only_answers(name) && args.iter().all(|arg| self.is_quiet(arg))
                        }
                    })
            }
            _ => true,
        }
    }

    fn method_only_answers(&self, name: &str) -> bool {
        if self.script.syntax.defines(name) {
            return false;
        }
        let ours = self.vocabulary.anywhere(name);
        let theirs = !standard().forms(name).is_empty();
        (!ours.is_empty() || theirs)
            && ours.iter().all(|signature| only_answers(signature))
            && (!theirs || ANSWERING.contains(&name))
    }

    /// A loop that nothing ends.
    pub fn endless(&mut self, statement: &Stmt) {
        let Stmt::Loop { condition, body, at } = statement else { return };
        if !matches!(condition, None | Some(Expr::Bool(true, _))) {
            return;
        }
        let mut ends = false;
        for statement in body {
            statement.walk(&mut |node| match node {
                Node::Stmt(Stmt::Leave { how, .. }) => ends |= *how != Leave::Continue,
                Node::Expr(Expr::Call { operator: false, name, .. }) => {
                    let known = self.vocabulary.function(name).map(|signature| signature.returns);
                    ends |= known.is_none_or(|returns| returns == Type::Never);
                }
                _ => {}
            });
        }
        if !ends {
            let hint = Some("leave it by `break`; to wait for something there are `wait_for` and `retry`".to_owned());
            self.warning("endless-loop", *at, "nothing ends this loop".to_owned(), hint);
        }
    }
}

fn only_answers(signature: &Signature) -> bool {
    !signature.changes
        && !matches!(signature.returns, Type::Unit | Type::Never)
        && !WORTH_CALLING.contains(&signature.name)
}

/// The call whose answer an expression is, or the property that is read from one.
fn last_name(value: &Expr) -> Option<(&str, rhai::Position)> {
    match value {
        Expr::Call { name, at, operator: false, .. } => Some((name, *at)),
        Expr::Chain { head, links } => {
            let calls =
                matches!(&**head, Expr::Call { .. }) || links.iter().any(|link| matches!(link, Link::Method { .. }));
            match links.last()? {
                Link::Method { name, at, .. } | Link::Property { name, at } if calls => Some((name, *at)),
                _ => None,
            }
        }
        _ => None,
    }
}
