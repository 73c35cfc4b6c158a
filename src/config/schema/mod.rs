//! JSON Schema (draft 2020-12) of every configuration file, for editors and for whoever writes these files by program.
//!
//! Nothing is listed here: fields, types, limits and defaults are what decoding asks for (`asked`), the words
//! about them are those of `docs/configuration.md` (`words`). The schema describes our own spelling: what the
//! predecessor's files may say besides (quoted numbers, `null`, empty text, words in any case) is read, not offered.

mod params;
mod types;
mod words;

use indexmap::IndexMap;
use schemars::generate::SchemaSettings;
use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};

use super::asked::{Asked, AskedField, Kind};
use super::load::{self, CERTIFICATES, HYPERVISOR, LXC, STACK, VM};

use crate::model::Catalogue;

pub use words::{Row, row, rows};

/// A kind of configuration file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// The node.
    Hypervisor,
    /// Containers.
    Lxc,
    /// Virtual machines.
    Vm,
    /// Certificates kept on the node.
    Certificates,
    /// The manifest of a stack.
    Stack,
}

impl FileKind {
    /// All of them.
    pub const ALL: [FileKind; 5] =
        [FileKind::Hypervisor, FileKind::Lxc, FileKind::Vm, FileKind::Certificates, FileKind::Stack];

    /// Its word on the command line.
    pub const fn word(self) -> &'static str {
        match self {
            FileKind::Hypervisor => "hypervisor",
            FileKind::Lxc => "lxc",
            FileKind::Vm => "vm",
            FileKind::Certificates => "certificates",
            FileKind::Stack => "stack",
        }
    }

    /// The configuration file, as documented; NAME stands for a stack's folder.
    pub const fn described(self) -> &'static str {
        match self {
            FileKind::Hypervisor => HYPERVISOR,
            FileKind::Lxc => LXC,
            FileKind::Vm => VM,
            FileKind::Certificates => CERTIFICATES,
            FileKind::Stack => STACK,
        }
    }

    /// The name of a file that holds the schema.
    pub fn file_name(self) -> String {
        format!("{}.schema.json", self.word())
    }
}

/// The schema of a file; parameters of scripts as this catalogue declares them.
pub fn schema(kind: FileKind, catalogue: &Catalogue) -> Schema {
    let asked = load::fields().remove(kind.described()).unwrap_or_default();
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    let root = Node::tree(kind, &asked, params::scripts(kind, catalogue));
    let mut schema = match root.children.get(ITEM) {
        Some(item) => list(item.map(&mut generator)),
        None => {
            let mut map = root.map(&mut generator);
            if let Some(properties) = map.get_mut("properties").and_then(Value::as_object_mut) {
                properties.insert("$schema".to_owned(), json!({"type": "string", "description": "this schema"}));
            }
            map
        }
    };
    let definitions = generator.take_definitions(true);
    if !definitions.is_empty() {
        schema.insert("$defs".to_owned(), definitions.into());
    }
    let dialect = SchemaSettings::draft2020_12().meta_schema.map(Value::from);
    let head = [("$schema", dialect), ("title", Some(kind.described().into()))];
    let mut whole: Map<String, Value> =
        head.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect();
    whole.extend(std::mem::take(schema.ensure_object()));
    whole.into()
}

/// The step of a path that stands for the items of a list.
const ITEM: &str = "[]";

/// A field with the fields inside it.
#[derive(Default)]
struct Node<'a> {
    field: Option<&'a AskedField>,
    words: Option<&'static Row>,
    /// Members that scripts declare.
    scripts: Map<String, Value>,
    children: IndexMap<&'a str, Node<'a>>,
}

impl<'a> Node<'a> {
    /// All fields of a file, in the order of the documentation.
    fn tree(kind: FileKind, asked: &'a Asked, scripts: Map<String, Value>) -> Node<'a> {
        let mut fields: Vec<_> = asked.iter().map(|(path, field)| (words::position(kind, path), path, field)).collect();
        fields.sort_by_key(|(position, path, _)| (*position, *path));
        let mut root = Node::default();
        for (_, path, field) in fields {
            let mut node = &mut root;
            for step in path.split('.') {
                let (name, is_list) = step.strip_suffix(ITEM).map_or((step, false), |name| (name, true));
                let steps = (!name.is_empty()).then_some(name).into_iter().chain(is_list.then_some(ITEM));
                for step in steps {
                    node = node.children.entry(step).or_default();
                }
            }
            node.field = Some(field);
            node.words = words::row(kind, path);
            if path.ends_with(".params") {
                node.scripts = scripts.clone();
            }
        }
        root
    }

    /// What the value of this field may be.
    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        let item = self.children.get(ITEM);
        let mut schema = match (self.field.map(|field| field.kind), item) {
            (None | Some(Kind::Map), _) => self.map(generator),
            (Some(Kind::TextsOrMaps), Some(item)) => {
                list(json_schema!({"anyOf": [{"type": "string"}, item.map(generator)]}))
            }
            (Some(_), Some(item)) => list(item.map(generator)),
            (Some(kind), None) => types::schema(kind, generator),
        };
        if let Some(field) = self.field {
            limit(&mut schema, field);
        }
        let says_values = self.field.is_some_and(|field| field.default.is_some() || !field.choices.is_empty());
        let Some(description) = self.words.and_then(|row| row.description(says_values)) else { return schema };
        let mut described = json_schema!({"description": description});
        described.ensure_object().extend(std::mem::take(schema.ensure_object()));
        described
    }

    /// A map: with declared fields and no others, with keys of the operator's, or with anything.
    fn map(&self, generator: &mut SchemaGenerator) -> Schema {
        if self.children.is_empty() {
            return json_schema!({"type": "object"});
        }
        let of_operator = |name: &str| name == "KEY" || name == "ID";
        let declared = self.children.iter().filter(|(name, _)| !of_operator(name));
        let mut properties: Map<String, Value> =
            declared.map(|(name, node)| ((*name).to_owned(), node.schema(generator).into())).collect();
        properties.extend(self.scripts.clone());
        properties.entry("comment").or_insert_with(|| json!({"description": "a remark"}));
        let others = self.children.iter().find(|(name, _)| of_operator(name));
        let mut schema = json_schema!({"type": "object", "properties": properties, "additionalProperties": false});
        if let Some((name, node)) = others {
            let values = node.schema(generator);
            if *name == "ID" {
                schema.insert("patternProperties".to_owned(), json!({types::GUEST_ID: values}));
            } else {
                schema.insert("additionalProperties".to_owned(), values.into());
            }
        }
        let required = |(_, node): &(&&str, &Node)| node.field.is_some_and(|field| field.required);
        let required: Vec<&str> = self.children.iter().filter(required).map(|(name, _)| *name).collect();
        if !required.is_empty() {
            schema.insert("required".to_owned(), required.into());
        }
        schema
    }
}

/// A list of these.
fn list(items: Schema) -> Schema {
    json_schema!({"type": "array", "items": items})
}

/// What decoding knows of a field beside its type.
fn limit(schema: &mut Schema, field: &AskedField) {
    let mut set = |key: &str, value: Value| schema.insert(key.to_owned(), value);
    if !field.choices.is_empty() {
        set("enum", field.choices.clone().into());
    }
    if let Some(range) = &field.range {
        set("minimum", (*range.start()).into());
        if *range.end() != u64::MAX {
            set("maximum", (*range.end()).into());
        }
    }
    if let Some((above, most)) = field.above_to {
        set("exclusiveMinimum", above.into());
        set("maximum", most.into());
    }
    if let Some(default) = &field.default {
        set("default", default.clone());
    }
    if !field.used {
        set("deprecated", true.into());
    }
}
