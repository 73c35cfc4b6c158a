//! Comparisons and conditions whose result is known before anything runs.

use rhai::Position;

use super::visit::Checker;
use crate::finding::did_you_mean;
use crate::script::api::signature::Type;
use crate::script::syntax::{Expr, Link};

const ORDER: [&str; 6] = ["==", "!=", "<", ">", "<=", ">="];

/// What `kind` of a guest can be.
const KINDS: [&str; 3] = ["lxc", "vm", "node"];

/// Whether an operator compares.
pub(super) fn compares(name: &str) -> bool {
    ORDER.contains(&name)
}

impl Checker<'_> {
    /// `if` and `while` take true or false and nothing that looks like it.
    pub fn condition(&mut self, condition: &Expr) {
        let shown = self.used(condition);
        if let Expr::Bool(value, at) = condition {
            let problem = format!("this is always {value}");
            self.warning("constant-condition", *at, problem, None);
        }
        let hint = match shown {
            Type::Any | Type::Never | Type::Bool | Type::Unit => return,
            Type::Change => "ask for `.changed`",
            Type::Output => "ask for `.ok` or `.changed`",
            Type::Text => "compare it: `text != \"\"`",
            Type::Array => "ask for `.is_empty()` or `.len()`",
            _ => "compare it with something",
        };
        let problem = format!("a condition must be true or false, this is {}", a(shown));
        self.error("condition", condition.at(), problem, Some(hint.to_owned()));
    }

    /// `one == other` and its kin.
    pub fn comparison(&mut self, operator: &str, args: &[Expr], shown: &[Type], at: Position) {
        let ([one, other], [one_type, other_type]) = (args, shown) else { return };
        if literal(one) && literal(other) {
            let problem = "this compares two constants: its result is always the same".to_owned();
            return self.warning("constant-condition", at, problem, None);
        }
        if same(one, other) {
            let problem = "this compares something with itself".to_owned();
            return self.warning("constant-condition", at, problem, None);
        }
        for (value, beside) in [(one, other), (other, one)] {
            let origin = self.origin(value);
            if origin.is_opaque() && !self.origin(beside).is_opaque() && !matches!(beside, Expr::Unit(_)) {
                return self.opaque(origin, &format!("`{operator}`"), at);
            }
        }
        if differ(*one_type, *other_type) {
            return self.different(operator, (one, *one_type), (other, *other_type), at);
        }
        self.choice(one, other);
        self.choice(other, one);
    }

    fn different(&mut self, operator: &str, one: (&Expr, Type), other: (&Expr, Type), at: Position) {
        let problem = match operator {
            "==" => format!("{} never equals {}: this is always false", a(one.1), a(other.1)),
            "!=" => format!("{} never equals {}: this is always true", a(one.1), a(other.1)),
            _ => format!("{} cannot be compared with {}", a(one.1), a(other.1)),
        };
        let hint = [one, other].iter().find_map(|(value, shown)| match (shown, value.text()) {
            (Type::Output, _) => Some("ask for `.ok`, `.code` or `.stdout`".to_owned()),
            (Type::Change, _) => Some("ask for `.changed`".to_owned()),
            (_, Some(text)) if text.parse::<i64>().is_ok() && [one.1, other.1].contains(&Type::Int) => {
                Some(format!("write it without quotes: {text}"))
            }
            _ => None,
        });
        self.warning("comparison", at, problem, hint);
    }

    /// A value of few possibilities beside a text that is none of them.
    fn choice(&mut self, value: &Expr, beside: &Expr) {
        let (Expr::Text(text, at), Expr::Chain { head, links }) = (beside, value) else { return };
        let (Expr::Variable { module: None, name: variable, .. }, [Link::Property { name, .. }]) =
            (&**head, links.as_slice())
        else {
            return;
        };
        let choices: Vec<&str> = match self.variable(variable) {
            Type::Guest | Type::Node if name == "kind" => KINDS.to_vec(),
            Type::Params => {
                let Some(param) = self.spec.and_then(|spec| spec.params.get(name)) else { return };
                param.choices.iter().filter_map(serde_json::Value::as_str).collect()
            }
            _ => return,
        };
        if choices.is_empty() || choices.contains(&text.as_str()) {
            return;
        }
        let hint = match did_you_mean(text, choices.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("it is one of {}", choices.join(", ")),
        };
        self.warning("comparison", *at, format!("`{name}` is never `{text}`"), Some(hint));
    }
}

/// Whether values of these types are never equal.
fn differ(one: Type, other: Type) -> bool {
    let class = |shown: Type| match shown {
        Type::Any | Type::Never => None,
        Type::Int | Type::Float => Some(Type::Float),
        Type::Map | Type::Record(_) | Type::Params => Some(Type::Map),
        known => Some(known),
    };
    matches!((class(one), class(other)), (Some(one), Some(other)) if one != other)
}

fn literal(value: &Expr) -> bool {
    matches!(value, Expr::Bool(..) | Expr::Int(..) | Expr::Float(..) | Expr::Text(..) | Expr::Unit(_))
}

/// Whether two expressions are the same variable, or the same property of one.
fn same(one: &Expr, other: &Expr) -> bool {
    match (one, other) {
        (Expr::Variable { module, name, .. }, Expr::Variable { module: beside, name: other, .. }) => {
            module == beside && name == other
        }
        (Expr::Chain { head, links }, Expr::Chain { head: beside, links: others }) => {
            same(head, beside)
                && links.len() == others.len()
                && links.iter().zip(others).all(|pair| match pair {
                    (Link::Property { name, .. }, Link::Property { name: other, .. }) => name == other,
                    _ => false,
                })
        }
        _ => false,
    }
}

/// A type with its article.
pub(super) fn a(shown: Type) -> String {
    let word = shown.word();
    match word {
        "()" => "`()`".to_owned(),
        "params" => "`params`".to_owned(),
        _ if word.starts_with(['a', 'e', 'i', 'o', 'u']) => format!("an {word}"),
        _ => format!("a {word}"),
    }
}
