//! What a kind of script can call: our tables by name.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use super::visit::Role;
use crate::script::api::{self, signature::Signature, signature::Type};

/// Signatures by name.
pub(crate) struct Vocabulary {
    functions: BTreeMap<&'static str, &'static Signature>,
    methods: BTreeMap<&'static str, Vec<&'static Signature>>,
    parameters: &'static [(&'static str, Type)],
}

static RUNS: LazyLock<Vocabulary> = LazyLock::new(|| {
    let parameters = &[("guest", Type::Guest), ("node", Type::Node), ("params", Type::Params)];
    Vocabulary::new(api::run_signatures(), parameters)
});
static MODELS: LazyLock<Vocabulary> = LazyLock::new(|| {
    const REQUEST: Type = Type::Record(&["method", "path", "port", "headers", "body", "argv"]);
    let parameters = &[("machine", Type::Model), ("argv", Type::Array), ("request", REQUEST)];
    Vocabulary::new(api::model_signatures(), parameters)
});
static TESTS: LazyLock<Vocabulary> =
    LazyLock::new(|| Vocabulary::new(api::test_signatures(), &[("g", Type::TestGuest)]));

impl Vocabulary {
    /// What a file can call.
    pub fn of(role: Role) -> &'static Vocabulary {
        match role {
            Role::Script | Role::Module => &RUNS,
            Role::Model => &MODELS,
            Role::Test => &TESTS,
        }
    }

    /// What features and apps can call.
    pub fn of_runs() -> &'static Vocabulary {
        &RUNS
    }

    fn new(signatures: Vec<&'static Signature>, parameters: &'static [(&'static str, Type)]) -> Vocabulary {
        let mut vocabulary = Vocabulary { functions: BTreeMap::new(), methods: BTreeMap::new(), parameters };
        for signature in signatures {
            if signature.on.is_empty() {
                vocabulary.functions.insert(signature.name, signature);
            } else {
                vocabulary.methods.entry(signature.name).or_default().push(signature);
            }
        }
        vocabulary
    }

    /// The type that a parameter of this name has by convention.
    pub fn parameter(&self, name: &str) -> Type {
        self.parameters.iter().find(|(known, _)| *known == name).map_or(Type::Any, |(_, shown)| *shown)
    }

    /// The free function of this name.
    pub fn function(&self, name: &str) -> Option<&'static Signature> {
        self.functions.get(name).copied()
    }

    /// Names of all free functions.
    pub fn functions(&self) -> impl Iterator<Item = &str> {
        self.functions.keys().copied()
    }

    /// The method or property of this name on this type.
    pub fn member(&self, on: Type, name: &str) -> Option<&'static Signature> {
        self.anywhere(name).iter().find(|signature| signature.on.contains(&on)).copied()
    }

    /// Methods and properties of this name on whatever type.
    pub fn anywhere(&self, name: &str) -> &[&'static Signature] {
        self.methods.get(name).map(Vec::as_slice).unwrap_or_default()
    }

    /// Methods and properties of a type.
    pub fn members(&self, on: Type) -> impl Iterator<Item = &'static Signature> {
        self.methods.values().flatten().copied().filter(move |signature| signature.on.contains(&on))
    }

    /// Names of all methods and properties.
    pub fn member_names(&self) -> impl Iterator<Item = &str> {
        self.methods.keys().copied()
    }
}
