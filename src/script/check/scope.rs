//! Variables in scope: what is known of each, and whether anybody reads it.

use std::collections::BTreeMap;

use rhai::Position;

use super::origin::Origin;
use crate::script::api::signature::Type;

/// What is known of a variable.
#[derive(Clone, Copy, Debug)]
pub(super) struct Variable {
    /// Its type.
    pub shown: Type,
    /// Where its value comes from.
    pub origin: Origin,
    /// The name in its `let`, if somebody should read it; absent for parameters and the like.
    pub declared: Option<Position>,
    /// Whether it was read.
    pub read: bool,
}

impl Variable {
    /// One that nothing is known of but its type.
    pub fn of(shown: Type) -> Variable {
        Variable { shown, origin: Origin::Unknown, declared: None, read: false }
    }
}

/// Scopes from the outermost to the innermost.
#[derive(Debug, Default)]
pub(super) struct Scopes(Vec<BTreeMap<String, Variable>>);

/// A variable that nobody reads: its name and place.
pub(super) type Unread = (String, Position);

impl Scopes {
    /// Begins a scope with these variables.
    pub fn enter(&mut self, variables: impl IntoIterator<Item = (String, Variable)>) {
        self.0.push(variables.into_iter().collect());
    }

    /// Ends the innermost scope; answers what nobody read in it.
    pub fn leave(&mut self) -> Vec<Unread> {
        let ended = self.0.pop().unwrap_or_default();
        ended.into_iter().filter_map(|(name, variable)| unread(name, variable)).collect()
    }

    /// Declares a variable in the innermost scope; answers the one of the same name that it replaces unread.
    pub fn declare(&mut self, name: &str, variable: Variable) -> Option<Unread> {
        let before = self.0.last_mut()?.insert(name.to_owned(), variable)?;
        unread(name.to_owned(), before)
    }

    /// The variable of this name.
    pub fn get(&self, name: &str) -> Option<&Variable> {
        self.0.iter().rev().find_map(|scope| scope.get(name))
    }

    /// The same, to be changed.
    pub fn get_mut(&mut self, name: &str) -> Option<&mut Variable> {
        self.0.iter_mut().rev().find_map(|scope| scope.get_mut(name))
    }
}

fn unread(name: String, variable: Variable) -> Option<Unread> {
    let at = variable.declared.filter(|_| !variable.read && !name.starts_with('_'))?;
    Some((name, at))
}
