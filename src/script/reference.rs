//! What scripts can call, for whoever shows it: the tables of `api/` under their headings.

use super::api;
use super::api::signature::Signature;

/// Who calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// Features and apps.
    Script,
    /// `NAME.test.rhai`.
    Test,
    /// `NAME.model.rhai`.
    Model,
}

/// Verbs about one thing.
#[derive(Clone, Debug)]
pub struct Group {
    /// Heading.
    pub title: &'static str,
    /// What can be called, in the order of its table.
    pub signatures: Vec<&'static Signature>,
}

/// What a caller has, without the helpers that all have ([`helpers`]).
pub fn groups(caller: Caller) -> Vec<Group> {
    let tables = match caller {
        Caller::Script => api::run_tables(),
        Caller::Test => api::test_tables(),
        Caller::Model => api::model_tables(),
    };
    tables.into_iter().map(|(title, signatures)| Group { title, signatures }).collect()
}

/// What every script, test and model has besides.
pub fn helpers() -> Group {
    let (title, signatures) = api::helper_table();
    Group { title, signatures }
}
