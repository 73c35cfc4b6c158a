//! rhai's own functions, asked of an engine once.

use std::any::TypeId;
use std::collections::BTreeMap;
use std::sync::LazyLock;

use rhai::{Dynamic, FnPtr, ImmutableString};

use crate::script::api::signature::Type;
use crate::script::engine;

/// One form of a standard function.
pub(crate) struct Form {
    /// Types of all parameters, the receiver first; `None`: a type that scripts here never see.
    pub params: Vec<Option<Type>>,
    /// Whether it answers nothing.
    pub unit: bool,
}

impl Form {
    /// Whether it can be called on a value of this type.
    pub fn fits(&self, on: Type) -> bool {
        match self.params.first() {
            Some(Some(Type::Any)) => true,
            Some(Some(first)) => on == Type::Any || *first == on,
            _ => false,
        }
    }
}

/// Standard functions by name.
pub(crate) struct Standard(BTreeMap<String, Vec<Form>>);

static STANDARD: LazyLock<Standard> = LazyLock::new(|| {
    let mut functions: BTreeMap<String, Vec<Form>> = BTreeMap::new();
    let found = engine::standard().collect_fn_metadata(
        None,
        |info| {
            let metadata = info.metadata;
            let form = Form {
                params: metadata.param_types.iter().map(|id| known(*id)).collect(),
                // rhai writes `RhaiResultOf<() >`.
                unit: matches!(metadata.return_type.replace(' ', "").as_str(), "" | "()" | "RhaiResultOf<()>"),
            };
            Some((metadata.name.to_string(), form))
        },
        true,
    );
    for (name, form) in found {
        functions.entry(name).or_default().push(form);
    }
    Standard(functions)
});

/// Functions of the language itself, which no module lists.
const SPECIAL: [&str; 11] =
    ["print", "debug", "type_of", "Fn", "call", "curry", "is_shared", "is_def_var", "is_def_fn", "import", "to_string"];

/// The functions.
pub(crate) fn standard() -> &'static Standard {
    &STANDARD
}

impl Standard {
    /// Forms of a function.
    pub fn forms(&self, name: &str) -> &[Form] {
        self.0.get(name).map(Vec::as_slice).unwrap_or_default()
    }

    /// Whether the language knows the name without listing it.
    pub fn is_special(&self, name: &str) -> bool {
        SPECIAL.contains(&name)
    }

    /// Names that can be written as a call.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str).filter(|name| name.starts_with(|c: char| c.is_ascii_alphabetic()))
    }

    /// Names of methods of a type.
    pub fn methods(&self, on: Type) -> impl Iterator<Item = &str> {
        self.names().filter(move |name| !name.contains('$') && self.forms(name).iter().any(|form| form.fits(on)))
    }

    /// Whether a type has a property.
    pub fn has_property(&self, on: Type, name: &str) -> bool {
        self.forms(&format!("get${name}")).iter().any(|form| form.fits(on))
    }
}

fn known(id: TypeId) -> Option<Type> {
    let table = [
        (TypeId::of::<Dynamic>(), Type::Any),
        (TypeId::of::<()>(), Type::Unit),
        (TypeId::of::<bool>(), Type::Bool),
        (TypeId::of::<i64>(), Type::Int),
        (TypeId::of::<f64>(), Type::Float),
        (TypeId::of::<ImmutableString>(), Type::Text),
        (TypeId::of::<String>(), Type::Text),
        (TypeId::of::<&str>(), Type::Text),
        (TypeId::of::<rhai::Array>(), Type::Array),
        (TypeId::of::<rhai::Map>(), Type::Map),
        (TypeId::of::<FnPtr>(), Type::Function),
    ];
    table.iter().find(|(known, _)| *known == id).map(|(_, shown)| *shown)
}
