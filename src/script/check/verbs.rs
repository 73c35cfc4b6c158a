//! Rules about single verbs: guards, options that exclude each other, names of artifacts, assets and features.

use rhai::Position;

use super::visit::{Checker, Role};
use crate::finding::did_you_mean;
use crate::machine::UNIT_TYPES;
use crate::model::{ScriptKind, ScriptSpec, params};
use crate::script::api::signature::{Signature, Type};
use crate::script::library::folder;
use crate::script::syntax::Expr;

/// Artifacts that `certificate` reads.
const OF_CERTIFICATE: [&str; 2] = ["step_ca/root.crt", "step_ca/url"];

/// Options without one of which `exec` runs every time.
const GUARDS: [&str; 4] = ["creates", "unless", "only_if", "watch"];

/// Options without one of which `reboot` restarts every time.
const REBOOT_GUARDS: [&str; 4] = ["when", "only_if", "unless", "watch"];

/// What `wait_for` can wait for.
const CONDITIONS: [&str; 5] = ["port", "http", "file", "command", "unit"];

type Entries = [(String, Position, Expr)];

impl Checker<'_> {
    /// What is more to say about a call than its table does.
    pub fn special(&mut self, signature: &Signature, args: &[Expr], options: Option<&Expr>, at: Position) {
        let entries: &Entries = match options {
            Some(Expr::Map(entries, _)) => entries,
            _ => &[],
        };
        // Options in a variable: nothing is known of them.
        let open = options.is_none() && args.len() > signature.args.iter().filter(|arg| arg.required).count();
        match signature.name {
            "exec" if !open && GUARDS.iter().all(|guard| option(entries, guard).is_none()) => {
                let hint = Some(format!("say when it need not run: {}", GUARDS.join(", ")));
                self.warning("unguarded-exec", at, "this program runs every time".to_owned(), hint);
            }
            "reboot" if !open && REBOOT_GUARDS.iter().all(|guard| option(entries, guard).is_none()) => {
                let hint = Some(format!("say when it is needed: {}", REBOOT_GUARDS.join(", ")));
                self.warning("unguarded-reboot", at, "this restarts the guest in every run".to_owned(), hint);
            }
            "artifact" if self.role != Role::Test => self.artifact(args.first(), false),
            "publish" => {
                self.artifact(args.first(), true);
                let given = usize::from(args.len() > 1) + usize::from(option(entries, "value").is_some());
                if given != 1 && (!open || args.get(1).is_some_and(|path| path.text().is_some())) {
                    self.clash(at, "`publish` takes the path of a file or `#{ value: ... }`");
                }
            }
            "certificate" => {
                for name in OF_CERTIFICATE {
                    self.declared(name, false, at);
                }
            }
            "asset" => self.asset(args.first()),
            "template" => self.asset(option(entries, "source")),
            "file" => {
                self.asset(option(entries, "source"));
                if option(entries, "content").is_some() && option(entries, "source").is_some() {
                    self.clash(at, "`file` takes `content` or `source`, not both");
                }
            }
            "compose" if !open => self.compose(entries, at),
            "wait_for" if !open && CONDITIONS.iter().filter(|name| option(entries, name).is_some()).count() != 1 => {
                let problem =
                    format!("`wait_for` waits for one of {}", CONDITIONS.map(|n| format!("`{n}`")).join(", "));
                self.clash(at, &problem);
            }
            "apt_repo" if option(entries, "key_url").is_some() && option(entries, "keyring").is_some() => {
                self.clash(at, "`apt_repo` takes `key_url` or `keyring`, not both");
            }
            "service"
                if matches!(option(entries, "reload"), Some(Expr::Bool(true, _)))
                    && option(entries, "watch").is_none() =>
            {
                self.clash(at, "`reload` says what happens when watched files differ, but nothing is watched: `watch`");
            }
            "exit" => {
                let hint = Some("`return` from `apply`, or `skip(reason)`".to_owned());
                self.error("exit", at, "`exit` is switched off".to_owned(), hint);
            }
            "info" | "warn" | "fail" | "skip" => {
                if let Some(message) = args.first() {
                    let shown = self.quietly(message);
                    self.inside_text(message, shown);
                }
            }
            "shell_quote" | "to_json_pretty" => {
                if let Some(value) = args.first() {
                    let origin = self.origin(value);
                    if origin.is_opaque() {
                        self.opaque(origin, &format!("`{}`", signature.name), at);
                    }
                }
            }
            "has_feature" | "with_feature" => self.feature(args.first()),
            "apply" | "apply_twice" | "apply_killed_everywhere" | "assert_unchanged" | "health" | "remove"
                if self.role == Role::Test && !self.meant_to_fail =>
            {
                self.tested(args.first(), args.get(1));
            }
            _ => {}
        }
    }

    fn clash(&mut self, at: Position, problem: &str) {
        self.error("options", at, problem.to_owned(), None);
    }

    fn compose(&mut self, entries: &Entries, at: Position) {
        self.asset(option(entries, "source"));
        let has = |name| option(entries, name).is_some();
        let absent = option(entries, "absent").is_some_and(|absent| !matches!(absent, Expr::Bool(false, _)));
        if absent {
            return;
        }
        if has("content") == has("source") || has("content") && has("vars") {
            self.clash(at, "`compose` takes `content`, or `source` with or without `vars`");
        }
    }

    fn artifact(&mut self, name: Option<&Expr>, publishes: bool) {
        match name {
            Some(Expr::Text(text, at)) => self.declared(text, publishes, *at),
            _ => self.seen.artifacts_escape = true,
        }
    }

    fn declared(&mut self, name: &str, publishes: bool, at: Position) {
        let seen = if publishes { &mut self.seen.published } else { &mut self.seen.consumed };
        seen.insert(name.to_owned());
        let Some(spec) = self.spec else { return };
        let (word, list) = if publishes { ("publishes", &spec.publishes) } else { ("consumes", &spec.consumes) };
        if !list.iter().any(|declared| declared == name) {
            let hint = match did_you_mean(name, list.iter().map(String::as_str)) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("add it: `{word}: [\"{name}\"]`"),
            };
            self.error("undeclared-artifact", at, format!("`{name}` is not in `{word}`"), Some(hint));
        }
    }

    fn asset(&mut self, path: Option<&Expr>) {
        let (Some(Expr::Text(path, at)), Some(spec)) = (path, self.spec) else { return };
        let Err(error) = self.library.asset(spec.kind, &spec.name, path) else { return };
        let folder = format!("{}/{}", folder(spec.kind), spec.name);
        let assets = self.library.assets(spec.kind, &spec.name);
        let hint = match did_you_mean(path, assets.iter().map(String::as_str)) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("assets are files of `{folder}/`"),
        };
        self.error("asset", *at, error.to_string(), Some(hint));
    }

    /// A feature that is asked for by name.
    fn feature(&mut self, name: Option<&Expr>) {
        let Some(Expr::Text(name, at)) = name else { return };
        if self.library.contains(ScriptKind::Feature, name) {
            return;
        }
        let features = self.library.catalogue().features.keys().map(String::as_str);
        let hint = did_you_mean(name, features).map(|near| format!("did you mean `{near}`?"));
        self.warning("unknown-feature", *at, format!("there is no feature `{name}`"), hint);
    }

    /// A script that a test calls, with its parameters.
    fn tested(&mut self, name: Option<&Expr>, given: Option<&Expr>) {
        let Some(Expr::Text(name, at)) = name else { return };
        let (kinds, name) = ScriptKind::of_name(name);
        let catalogue = self.library.catalogue();
        let Some(spec) = kinds.iter().find_map(|kind| catalogue.get(*kind, name)) else {
            if kinds.iter().all(|kind| !self.library.contains(*kind, name)) {
                let known = catalogue.features.keys().chain(catalogue.apps.keys()).map(String::as_str);
                let hint = did_you_mean(name, known).map(|near| format!("did you mean `{near}`?"));
                self.error("unknown-feature", *at, format!("there is no feature or app `{name}`"), hint);
            }
            return;
        };
        if let Some(Expr::Map(entries, _)) = given {
            self.given_params(spec, entries);
        }
    }

    /// Parameters that are written out, against what a script declares.
    pub fn given_params(&mut self, spec: &ScriptSpec, entries: &Entries) {
        for (key, at, value) in entries {
            let Some(param) = spec.params.get(key) else {
                let near = did_you_mean(key, spec.params.keys().map(String::as_str));
                let hint = near.map(|near| format!("did you mean `{near}`?"));
                self.error("unknown-parameter", *at, format!("`{}` has no parameter `{key}`", spec.name), hint);
                continue;
            };
            if let Some(literal) = value.literal()
                && let Err(message) = params::check_value(param, &literal)
            {
                let hint = (!param.doc.is_empty()).then(|| param.doc.clone());
                self.error("type", value.at(), format!("parameter `{key}` of `{}` {message}", spec.name), hint);
            }
        }
    }

    /// `x.servce` would be the unit `x.servce.service`.
    pub fn unit_suffix(&mut self, value: &Expr) {
        let Expr::Text(name, at) = value else { return };
        let Some((_, suffix)) = name.rsplit_once('.').filter(|(_, suffix)| !UNIT_TYPES.contains(suffix)) else {
            return;
        };
        if let Some(near) = did_you_mean(suffix, UNIT_TYPES) {
            let hint = Some(format!("did you mean `.{near}`?"));
            self.warning("unit-suffix", *at, format!("`{name}` means the unit `{name}.service`"), hint);
        }
    }

    /// The type of an expression that was gone through already.
    pub fn quietly(&mut self, value: &Expr) -> Type {
        self.without_findings(|checker| checker.type_of(value))
    }
}

/// An option that is given: `()` is as good as nothing.
fn option<'e>(entries: &'e Entries, name: &str) -> Option<&'e Expr> {
    entries.iter().find(|(key, _, value)| key == name && !matches!(value, Expr::Unit(_))).map(|(_, _, value)| value)
}
