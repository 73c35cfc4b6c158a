//! What a script declares about itself, read from its syntax: nothing is evaluated.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rhai::Position;
use serde_json::Value;

use crate::finding::{Finding, Source, did_you_mean};
use crate::model::{LxcNeeds, ParamSpec, ParamType, ScriptKind, ScriptSpec, Target};

use super::params;
use super::place::span;
use super::syntax::{Expr, Syntax};

/// Name of the constant that holds a script's metadata.
pub(crate) const fn constant(kind: ScriptKind) -> &'static str {
    match kind {
        ScriptKind::Feature => "FEATURE",
        ScriptKind::App => "APP",
    }
}

/// Fields of `FEATURE` and `APP`, and what each is for.
pub(super) const KEYS: [(&str, &str); 10] = [
    ("name", "The name, as the file is called."),
    ("summary", "What it is, on one line."),
    ("targets", "What it runs against: `\"lxc\"`, `\"vm\"`, `\"node\"`."),
    ("needs", "Features that must be on the guest, or on a guest that it is cloned from; they run before."),
    ("after", "Features that run before, where the guest has them."),
    ("lxc", "What a container needs for it, such as `#{ nesting: true }`."),
    ("publishes", "Artifacts that it publishes for other guests."),
    ("consumes", "Artifacts of other guests that it reads: the guest then depends on theirs."),
    ("params", "Its parameters by name, such as `#{ port: #{ type: \"port\", fallback: 80, doc: \"...\" } }`."),
    ("timeout", "Seconds after which a run is given up."),
];
/// Fields of a parameter.
pub(super) const PARAM_KEYS: [(&str, &str); 5] = [
    ("type", "What it takes."),
    ("required", "Whether it must be given."),
    ("fallback", "Its value if it is not given."),
    ("choices", "The values that it can have."),
    ("doc", "What it is for, with its unit."),
];
/// Fields of `lxc`.
pub(super) const LXC_KEYS: [(&str, &str); 3] = [
    ("nesting", "Containers inside of the container, and services that systemd locks in."),
    ("keyctl", "The kernel's keyring, which Docker asks for in unprivileged containers."),
    ("fuse", "File systems made by programs."),
];
const TARGETS: [(&str, Target); 3] = [("lxc", Target::Lxc), ("vm", Target::Vm), ("node", Target::Node)];

/// Reads the metadata of the script called `stem`. The answer is present if it is good enough to plan with.
pub(crate) fn read(
    kind: ScriptKind,
    stem: &str,
    source: &Arc<Source>,
    syntax: &Syntax,
) -> (Option<ScriptSpec>, Vec<Finding>) {
    let mut reader = Reader { source, findings: Vec::new() };
    let spec = reader.script(kind, stem, syntax);
    (spec, reader.findings)
}

struct Reader<'a> {
    source: &'a Arc<Source>,
    findings: Vec<Finding>,
}

impl Reader<'_> {
    fn error(&mut self, code: &'static str, at: Position, message: String, hint: Option<String>) {
        let mut finding = Finding::error(code, message).at(self.source, span(self.source, at));
        finding.hint = hint;
        self.findings.push(finding);
    }

    fn script(&mut self, kind: ScriptKind, stem: &str, syntax: &Syntax) -> Option<ScriptSpec> {
        let word = constant(kind);
        let Some(declared) = syntax.constants.iter().find(|constant| constant.name == word) else {
            let other = syntax.constants.iter().find(|constant| did_you_mean(&constant.name, [word]).is_some());
            let finding =
                Finding::error("no-metadata", format!("no `const {word} = #{{...}}` says what this script is"));
            self.findings.push(match other {
                Some(near) => finding
                    .at(self.source, span(self.source, near.at))
                    .hint(format!("`{}` is not read; did you mean `{word}`?", near.name)),
                None => finding.at(self.source, 0..0).hint(format!(
                    "begin with `const {word} = #{{ name: \"{stem}\", summary: \"...\", targets: [\"lxc\"] }};`"
                )),
            });
            return None;
        };
        let Expr::Map(entries, map_at) = &declared.value else {
            self.error("no-metadata", declared.at, format!("`{word}` must be a map of literals"), None);
            return None;
        };
        let mut spec = ScriptSpec {
            name: stem.to_owned(),
            kind,
            summary: String::new(),
            targets: Vec::new(),
            needs: Vec::new(),
            after: Vec::new(),
            lxc: LxcNeeds::default(),
            publishes: Vec::new(),
            consumes: Vec::new(),
            params: BTreeMap::new(),
            timeout: None,
            has_prepare: syntax.function("prepare", 3).is_some(),
            has_health: syntax.function("health", 2).is_some(),
            has_remove: syntax.function("remove", 2).is_some(),
            digest: String::new(),
            path: self.source.path.clone(),
        };
        let before = self.findings.len();
        for (key, at, value) in entries {
            match key.as_str() {
                "name" => {
                    if let Some(name) = self.text(key, value)
                        && name != stem
                    {
                        self.error(
                            "name",
                            value.at(),
                            format!("the name is `{name}`, but the file is called `{stem}.rhai`"),
                            Some(format!("write `name: \"{stem}\"`, or rename the file")),
                        );
                    }
                }
                "summary" => spec.summary = self.text(key, value).unwrap_or_default(),
                "targets" => spec.targets = self.targets(value),
                "needs" => spec.needs = self.texts(key, value),
                "after" => spec.after = self.texts(key, value),
                "publishes" => spec.publishes = self.texts(key, value),
                "consumes" => spec.consumes = self.texts(key, value),
                "lxc" => spec.lxc = self.lxc(value),
                "params" => spec.params = self.params(value),
                "timeout" => match value {
                    Expr::Int(seconds, _) if *seconds > 0 => {
                        spec.timeout = Some(Duration::from_secs(seconds.unsigned_abs()));
                    }
                    other => self.wrong_type(key, other, "a whole number of seconds above 0"),
                },
                _ => self.unknown(word, key, *at, &KEYS),
            }
        }
        for key in ["name", "summary", "targets"] {
            if !entries.iter().any(|(known, ..)| known == key) {
                self.error("missing-field", *map_at, format!("`{word}` has no `{key}`"), None);
            }
        }
        (self.findings.len() == before).then_some(spec)
    }

    fn unknown(&mut self, of: &str, key: &str, at: Position, known: &[(&str, &str)]) {
        let known: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
        let hint = match did_you_mean(key, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("known: {}", known.join(", ")),
        };
        self.error("unknown-field", at, format!("`{of}` has no field `{key}`"), Some(hint));
    }

    fn wrong_type(&mut self, key: &str, value: &Expr, expected: &str) {
        self.error("wrong-type", value.at(), format!("`{key}` must be {expected}"), None);
    }

    fn text(&mut self, key: &str, value: &Expr) -> Option<String> {
        let text = value.text().map(str::to_owned);
        if text.is_none() {
            self.wrong_type(key, value, "a literal text");
        }
        text
    }

    fn texts(&mut self, key: &str, value: &Expr) -> Vec<String> {
        let Expr::Array(items, _) = value else {
            self.wrong_type(key, value, "a list of literal texts");
            return Vec::new();
        };
        let mut texts: Vec<String> = Vec::new();
        for item in items {
            let Some(text) = self.text(&format!("{key}[]"), item) else { continue };
            if texts.contains(&text) {
                self.error("duplicate", item.at(), format!("`{text}` is in `{key}` already"), None);
            }
            texts.push(text);
        }
        texts
    }

    fn targets(&mut self, value: &Expr) -> Vec<Target> {
        let Expr::Array(items, at) = value else {
            self.wrong_type("targets", value, "a list of \"lxc\", \"vm\" and \"node\"");
            return Vec::new();
        };
        if items.is_empty() {
            self.error("wrong-type", *at, "`targets` names nothing that the script may run against".to_owned(), None);
        }
        let words: Vec<&str> = TARGETS.iter().map(|(word, _)| *word).collect();
        let mut targets = Vec::new();
        for item in items {
            match TARGETS.iter().find(|(word, _)| Some(*word) == item.text()) {
                Some((word, target)) if targets.contains(target) => {
                    self.error("duplicate", item.at(), format!("`{word}` is in `targets` already"), None);
                }
                Some((_, target)) => targets.push(*target),
                None => {
                    let hint = item.text().and_then(|text| did_you_mean(text, words.iter().copied()));
                    self.error(
                        "wrong-type",
                        item.at(),
                        "a target is one of \"lxc\", \"vm\", \"node\"".to_owned(),
                        hint.map(|near| format!("did you mean `{near}`?")),
                    );
                }
            }
        }
        targets
    }

    fn lxc(&mut self, value: &Expr) -> LxcNeeds {
        let mut needs = LxcNeeds::default();
        let Expr::Map(entries, _) = value else {
            self.wrong_type("lxc", value, "a map such as `#{ nesting: true }`");
            return needs;
        };
        for (key, at, value) in entries {
            let Expr::Bool(wanted, _) = value else {
                self.wrong_type(key, value, "true or false");
                continue;
            };
            match key.as_str() {
                "nesting" => needs.nesting = *wanted,
                "keyctl" => needs.keyctl = *wanted,
                "fuse" => needs.fuse = *wanted,
                _ => self.unknown("lxc", key, *at, &LXC_KEYS),
            }
        }
        needs
    }

    fn params(&mut self, value: &Expr) -> BTreeMap<String, ParamSpec> {
        let Expr::Map(entries, _) = value else {
            self.wrong_type("params", value, "a map of parameters");
            return BTreeMap::new();
        };
        entries.iter().map(|(name, _, value)| (name.clone(), self.param(name, value))).collect()
    }

    fn param(&mut self, name: &str, value: &Expr) -> ParamSpec {
        let mut spec = ParamSpec {
            kind: ParamType::String,
            required: false,
            fallback: None,
            choices: Vec::new(),
            doc: String::new(),
        };
        let Expr::Map(entries, map_at) = value else {
            self.wrong_type(name, value, "a map such as `#{ type: \"string\", fallback: \"x\" }`");
            return spec;
        };
        let mut fallback_at = None;
        let mut choices_at = &Expr::Unit(Position::NONE);
        let mut typed = false;
        for (key, at, value) in entries {
            match key.as_str() {
                "type" => {
                    typed = true;
                    match ParamType::WORDS.iter().find(|(word, _)| Some(*word) == value.text()) {
                        Some((_, kind)) => spec.kind = *kind,
                        None => {
                            let words = ParamType::WORDS.iter().map(|(word, _)| *word);
                            let near = value.text().and_then(|text| did_you_mean(text, words.clone()));
                            let hint = match near {
                                Some(near) => format!("did you mean `{near}`?"),
                                None => format!("known: {}", words.collect::<Vec<_>>().join(", ")),
                            };
                            self.error("wrong-type", value.at(), format!("`{name}` has no such type"), Some(hint));
                        }
                    }
                }
                "required" => match value {
                    Expr::Bool(required, _) => spec.required = *required,
                    other => self.wrong_type(key, other, "true or false"),
                },
                "doc" => spec.doc = self.text(key, value).unwrap_or_default(),
                "fallback" => {
                    fallback_at = Some(value.at());
                    spec.fallback = self.literal(key, value);
                }
                "choices" => match self.literal(key, value) {
                    Some(Value::Array(choices)) => {
                        spec.choices = choices;
                        choices_at = value;
                    }
                    Some(_) => self.wrong_type(key, value, "a list"),
                    None => {}
                },
                _ => self.unknown(name, key, *at, &PARAM_KEYS),
            }
        }
        if !typed {
            self.error("missing-field", *map_at, format!("parameter `{name}` has no `type`"), None);
        }
        if let Expr::Array(items, _) = choices_at {
            let any = ParamSpec { choices: Vec::new(), ..spec.clone() };
            for (item, choice) in items.iter().zip(&spec.choices) {
                if let Err(message) = params::check_value(&any, choice) {
                    self.error("wrong-type", item.at(), format!("a choice of `{name}` {message}"), None);
                }
            }
        }
        if let (Some(fallback), Some(at)) = (&spec.fallback, fallback_at) {
            if !typed {
                // What it must be is not known.
            } else if spec.required {
                self.error("wrong-type", at, format!("`{name}` is required: it needs no fallback"), None);
            } else if let Err(message) = params::check_value(&spec, fallback) {
                self.error("wrong-type", at, format!("the fallback of `{name}` {message}"), None);
            }
        }
        spec
    }

    fn literal(&mut self, key: &str, value: &Expr) -> Option<Value> {
        let literal = value.literal();
        if literal.is_none() {
            self.error(
                "no-literal",
                value.at(),
                format!("`{key}` must be written out: metadata is read without running the script"),
                None,
            );
        }
        literal
    }
}
