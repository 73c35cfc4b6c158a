//! `template`: a file made of a template and variables.

use std::io::{self, Write};

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, ErrorKind, UndefinedBehavior};
use serde_json::Value;

use super::{Change, File, Machine, MachineError, SealedJson};
use crate::op::Content;
use crate::secret::Sealed;

impl Machine {
    /// Brings a file about whose content is `source` (a minijinja template, called `name` in messages) with these
    /// variables. An unknown variable is an error.
    ///
    /// # Errors
    /// [`MachineError::Template`], and those of [`Machine::file`].
    pub fn template(
        &self,
        path: &str,
        name: &str,
        source: &str,
        variables: &SealedJson,
        options: &File,
    ) -> Result<Change, MachineError> {
        let content = Content::Text(filled(name, source, variables)?);
        self.file(path, &File { content: Some(content), ..options.clone() })
    }
}

/// A template with its variables filled in.
///
/// # Errors
/// [`MachineError::Template`] when it does not parse, names an unknown variable, or a secret holds characters that mean
/// something in one kind of file or another.
pub fn filled(name: &str, source: &str, variables: &SealedJson) -> Result<Sealed, MachineError> {
    let error = |reason: String| MachineError::Template { name: name.to_owned(), reason };
    if let Some(variable) = unsafe_secret(&variables.real, &variables.shown, &mut Vec::new()) {
        return Err(error(format!(
            "the secret in `{variable}` has characters other than A-Z a-z 0-9 _ . / + = - and cannot stand in free text"
        )));
    }
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.set_syntax(whitespace());
    environment.set_fuel(Some(FUEL));
    // Messages name the line and the variable, never a value.
    let template = environment.template_from_named_str(name, source).map_err(|reason| error(reason.to_string()))?;
    let render = |variables: &Value| {
        let mut text = Bounded(Vec::new());
        match template.render_captured_to(Serde(variables), &mut text) {
            Ok(_) => Ok(String::from_utf8_lossy(&text.0).into_owned()),
            Err(_) if text.0.len() == LIMIT => Err(error(format!("it grew beyond {LIMIT} bytes"))),
            Err(reason) if reason.kind() == ErrorKind::OutOfFuel => {
                Err(error(format!("it does not end: more than {FUEL} steps; look at its loops")))
            }
            Err(reason) => Err(error(reason.to_string())),
        }
    };
    Ok(Sealed::new(render(&variables.real)?, render(&variables.shown)?))
}

/// Longer no file becomes that is made of a template, in bytes.
const LIMIT: usize = 16 << 20;
/// More steps no template takes: a second or so of loops.
const FUEL: u64 = 10_000_000;

/// Text that is no longer than [`LIMIT`].
struct Bounded(Vec<u8>);

impl Write for Bounded {
    fn write(&mut self, more: &[u8]) -> io::Result<usize> {
        let fits = more.len().min(LIMIT - self.0.len());
        self.0.extend(&more[..fits]);
        Ok(fits)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Tags on lines of their own leave no empty lines behind, and a file ends as its template does.
fn whitespace() -> SyntaxConfig {
    let mut syntax = SyntaxConfig::builder();
    syntax.trim_blocks(true).lstrip_blocks(true).keep_trailing_newline(true);
    syntax.build().expect("delimiters are the default ones")
}

/// Whether a secret may stand in free text: nothing in it means anything to a shell, YAML, JSON or an INI file.
pub fn fits_free_text(secret: &str) -> bool {
    !secret.is_empty() && secret.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_./+=-".contains(&byte))
}

/// The path of the first secret that may not stand in free text.
fn unsafe_secret(real: &Value, shown: &Value, path: &mut Vec<String>) -> Option<String> {
    match (real, shown) {
        (Value::Object(real), Value::Object(shown)) => real.iter().find_map(|(key, value)| {
            path.push(key.clone());
            let found = unsafe_secret(value, shown.get(key).unwrap_or(&Value::Null), path);
            path.pop();
            found
        }),
        (Value::Array(real), Value::Array(shown)) => {
            real.iter().zip(shown).find_map(|(real, shown)| unsafe_secret(real, shown, path))
        }
        (Value::String(real), shown) if Some(real.as_str()) != shown.as_str() && !fits_free_text(real) => {
            Some(path.join("."))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;

    #[test]
    fn variables_are_filled_in_and_secrets_named() {
        let variables =
            SealedJson { real: json!({"p": "s3cret", "n": [1, 2]}), shown: json!({"p": "<secret p>", "n": [1, 2]}) };
        let text = filled("t", "pass={{ p }}\n{% for i in n %}\nn={{ i }}\n{% endfor %}\n", &variables).unwrap();
        assert_eq!(text.expose(), "pass=s3cret\nn=1\nn=2\n");
        assert_eq!(text.shown(), "pass=<secret p>\nn=1\nn=2\n");
    }

    #[test]
    fn an_unknown_variable_is_an_error_with_its_line() {
        let error = filled("site.conf", "a\n{{ missing }}\n", &json!({}).into()).unwrap_err().to_string();
        assert!(error.contains("site.conf") && error.contains(":2"), "{error}");
    }

    #[test]
    fn loops_without_end_are_ended() {
        let loops = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}";
        let error = filled("t", loops, &json!({}).into()).unwrap_err().to_string();
        assert!(error.contains("more than 10000000 steps"), "{error}");
    }

    #[test]
    fn a_secret_with_meaning_is_refused() {
        let variables = SealedJson { real: json!({"db": {"p": "a\"b"}}), shown: json!({"db": {"p": "<secret p>"}}) };
        let error = filled("t", "{{ db.p }}", &variables).unwrap_err().to_string();
        assert!(error.contains("`db.p`") && !error.contains("a\"b"), "{error}");
    }
}
