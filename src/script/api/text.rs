//! Pure helpers for texts, lists and maps. rhai's own `trim`, `replace` and `sort` change their receiver and answer
//! nothing; these answer the result. Opaque values are refused: a piece of a secret is a secret too.

use std::marker::PhantomData;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rhai::Dynamic;
use ring::digest::{SHA256, digest};

use super::given::{Context, from_json, to_json};
use super::signature::{Kind, Signature, Type, required};
use super::{Given, Verb, verb};
use crate::script::error::{Raised, Thrown};
use crate::script::text::{hex, version_at_least};
use crate::script::value::is_opaque;

const TEXT: &[Type] = &[Type::Text];
const LIST: &[Type] = &[Type::Array];

/// The table, for whatever scripts the engine is for.
pub(super) struct Helpers<C>(PhantomData<C>);

impl<C: Context> Helpers<C> {
    pub(super) const VERBS: &'static [Verb<C>] = &[
        verb(
            Signature::method(TEXT, "trimmed", "The text without blanks around it.")
                .returns(Type::Text)
                .example(r#"assert_eq("  web \n".trimmed(), "web");"#),
            |given| Ok(subject(given)?.trim().to_owned().into()),
        ),
        verb(
            Signature::method(TEXT, "replaced", "The text with every occurrence replaced.")
                .takes(&[required("from", Kind::Text, "what"), required("to", Kind::Text, "by what")])
                .returns(Type::Text)
                .example(r#"assert_eq("a-b-c".replaced("-", "."), "a.b.c");"#),
            |given| Ok(subject(given)?.replace(&given.text("from")?, &given.text("to")?).into()),
        ),
        verb(
            Signature::method(TEXT, "lines", "The lines of the text.")
                .returns(Type::Array)
                .example(r#"assert_eq("a\nb\n".lines(), ["a", "b"]);"#),
            |given| {
                Ok(subject(given)?.lines().map(|line| Dynamic::from(line.to_owned())).collect::<rhai::Array>().into())
            },
        ),
        verb(
            Signature::method(TEXT, "indent", "Every line that is not empty, moved to the right.")
                .takes(&[required("blanks", Kind::Int, "by how many")])
                .returns(Type::Text)
                .example(r#"assert_eq("a\nb".indent(2), "  a\n  b");"#),
            |given| {
                let blanks = " ".repeat(usize::try_from(given.maybe_int("blanks").unwrap_or(0)).unwrap_or(0).min(200));
                let text = subject(given)?;
                let lines = text
                    .split('\n')
                    .map(|line| if line.is_empty() { String::new() } else { format!("{blanks}{line}") });
                Ok(lines.collect::<Vec<_>>().join("\n").into())
            },
        ),
        verb(
            Signature::method(TEXT, "lower", "The text in lower case.")
                .returns(Type::Text)
                .example(r#"assert_eq("Web".lower(), "web");"#),
            |given| Ok(subject(given)?.to_lowercase().into()),
        ),
        verb(
            Signature::method(TEXT, "upper", "The text in upper case.")
                .returns(Type::Text)
                .example(r#"assert_eq("web".upper(), "WEB");"#),
            |given| Ok(subject(given)?.to_uppercase().into()),
        ),
        verb(
            Signature::method(TEXT, "sha256", "SHA-256 of the text, in hex.")
                .returns(Type::Text)
                .example(r#"assert_eq("web".sha256().len(), 64);"#),
            |given| Ok(hex(digest(&SHA256, subject(given)?.as_bytes()).as_ref()).into()),
        ),
        verb(
            Signature::method(TEXT, "base64", "The text in base64.")
                .returns(Type::Text)
                .example(r#"assert_eq("web".base64(), "d2Vi");"#),
            |given| Ok(STANDARD.encode(subject(given)?).into()),
        ),
        verb(
            Signature::method(LIST, "join", "The items as one text.")
                .takes(&[required("between", Kind::Text, "what stands between two items")])
                .returns(Type::Text)
                .example(r#"assert_eq(["a", "b"].join(", "), "a, b");"#),
            |given| {
                let between = given.text("between")?;
                // Opaque items stay whole in it, so they are welcome.
                let items = given.subject.clone().try_cast::<rhai::Array>().unwrap_or_default();
                Ok(items.iter().map(ToString::to_string).collect::<Vec<_>>().join(&between).into())
            },
        ),
        verb(
            Signature::function("unique", "The list without repetitions, in its order; `()` is left out.")
                .takes(&[required("list", Kind::Any, "a list")])
                .returns(Type::Array)
                .errors(&["when it is no list"])
                .example(r#"assert_eq(unique(["a", "b", "a", ()]), ["a", "b"]);"#),
            |given| {
                let items = given.dynamic("list").and_then(|list| list.try_cast::<rhai::Array>());
                let items = items.ok_or_else(|| Thrown::invalid("`unique` takes a list"))?;
                let mut kept: rhai::Array = Vec::new();
                let mut seen = std::collections::BTreeSet::new();
                for item in items {
                    if !item.is_unit() && seen.insert(item.to_string()) {
                        kept.push(item);
                    }
                }
                Ok(kept.into())
            },
        ),
        verb(
            Signature::function("shell_quote", "The text as one word for a shell.")
                .takes(&[required("text", Kind::Any, "any text")])
                .returns(Type::Text)
                .errors(&["when it holds a NUL byte, or stands for a secret"])
                .example(r#"assert_eq(shell_quote("two words"), "'two words'");"#),
            |given| {
                let text = clear(given, given.raw_text("text"))?;
                match shlex::try_quote(&text) {
                    Ok(quoted) => Ok(quoted.into_owned().into()),
                    Err(_) => Err(Thrown::invalid("a text with a NUL byte cannot be quoted").into()),
                }
            },
        ),
        verb(
            Signature::function(
                "version_at_least",
                "Whether a version (`1.24.0-2~deb13`) is at least another, by its numbers.",
            )
            .takes(&[required("version", Kind::Text, "the version"), required("least", Kind::Text, "the least one")])
            .returns(Type::Bool)
            .example(r#"assert(version_at_least("1.24.0-2~deb13", "1.9"));"#),
            |given| Ok(version_at_least(&given.text("version")?, &given.text("least")?).into()),
        ),
        verb(
            Signature::function("parse_json", "Reads JSON.")
                .takes(&[required("text", Kind::Text, "JSON")])
                .returns(Type::Any)
                .errors(&["when it is no JSON"])
                .example(r#"assert_eq(parse_json("{\"port\": 80}").port, 80);"#),
            |given| match serde_json::from_str(&given.text("text")?) {
                Ok(value) => Ok(from_json(&value)),
                Err(error) => Err(Thrown::invalid(format!("not JSON: {error}")).into()),
            },
        ),
        verb(
            Signature::function("to_json_pretty", "A value as JSON with two blanks per level.")
                .takes(&[required("value", Kind::Any, "a text, number, bool, list or map")])
                .returns(Type::Text)
                .errors(&["when it holds a function, or a secret"])
                .example(r#"assert_eq(to_json_pretty(#{ port: 80 }), "{\n  \"port\": 80\n}");"#),
            |given| {
                let value = to_json(&given.dynamic("value").unwrap_or_default())?;
                let text = serde_json::to_string_pretty(&value).unwrap_or_default();
                Ok(clear(given, text)?.into())
            },
        ),
    ];
}

fn subject<C: Context>(given: &Given<C>) -> Result<String, Raised> {
    clear(given, given.subject.to_string())
}

fn clear<C: Context>(given: &Given<C>, text: String) -> Result<String, Raised> {
    if is_opaque(&text) {
        let problem = format!("`{}` cannot look into a secret or an artifact", given.signature.name);
        return Err(Thrown::new("secret", problem)
            .hint("pass it on as it is: verbs put the value in on its way into the machine")
            .into());
    }
    Ok(text)
}
