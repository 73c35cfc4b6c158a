//! From JSON values to typed ones: every field is asked for by name and type, every mistake is a finding.
//!
//! Getters return `None` for an absent field and for a wrong one (which is then reported), so decoding always goes on
//! and all mistakes of a file come at once. `null` counts as absent. [`Fields::finish`] reports what nobody asked for
//! and what is missing.

use std::cell::RefCell;
use std::fmt::Display;
use std::net::IpAddr;
use std::ops::{Range, RangeInclusive};
use std::str::FromStr;
use std::sync::LazyLock;

use super::asked::{AskedField, Kind};
use super::file::File;
use super::json::{Data, Member, Value};
use crate::finding::{Finding, did_you_mean};

/// The fields of one JSON map while it is decoded.
pub struct Fields<'a> {
    /// The file it stands in.
    pub file: &'a File,
    /// The map.
    pub value: &'a Value,
    /// Where findings about the whole map point: its key, or its first byte.
    pub place: Range<usize>,
    path: String,
    asked: RefCell<Vec<&'static str>>,
    required: RefCell<Vec<Required>>,
}

/// A field that must be there.
struct Required {
    name: &'static str,
    hint: &'static str,
    /// Not only because of what else stands in the file.
    always: bool,
}

/// What is read where fields are recorded: everything that could be there is, and is empty.
static EMPTY: Value = Value { span: 0..0, data: Data::Map(Vec::new()) };
static ONE_ITEM: [Value; 1] = [Value { span: 0..0, data: Data::Map(Vec::new()) }];
/// The key is good for whatever keys are: a name, a guest id.
static ONE_MEMBER: LazyLock<[Member; 1]> =
    LazyLock::new(|| [Member { key: "100".to_owned(), key_span: 0..0, value: EMPTY.clone() }]);

impl<'a> Fields<'a> {
    /// The fields of a file's outermost value. Reported when that is no map.
    pub fn root(file: &'a File) -> Option<Fields<'a>> {
        let value = file.value.as_ref()?;
        Fields::of(file, value, value.span.start..value.span.start + 1, String::new(), "the file")
    }

    /// The fields of a member's value, under the given name in the field table (`vms[]`, `lxc_configs.ID`).
    pub fn of_member(file: &'a File, member: &'a Member, path: &str) -> Option<Fields<'a>> {
        let path = if file.is_recording() { path.to_owned() } else { String::new() };
        Fields::of(file, &member.value, member.key_span.clone(), path, &member.key)
    }

    /// The fields of an item of an outermost list.
    pub fn of_item(file: &'a File, item: &'a Value, path: &str) -> Option<Fields<'a>> {
        let path = if file.is_recording() { path.to_owned() } else { String::new() };
        Fields::of(file, item, item.span.start..item.span.start + 1, path, "the item")
    }

    fn of(file: &'a File, value: &'a Value, place: Range<usize>, path: String, name: &str) -> Option<Fields<'a>> {
        if !matches!(value.data, Data::Map(_)) {
            wrong_type(file, name, "a map", value);
            return None;
        }
        Some(Fields { file, value, place, path, asked: RefCell::default(), required: RefCell::default() })
    }

    fn path_of(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    /// The member of this name, whatever its type; marks the name as known.
    pub fn member(&self, name: &'static str, kind: Kind) -> Option<&'a Member> {
        self.asked.borrow_mut().push(name);
        self.file.asked(|| self.path_of(name), kind);
        self.value.member(name).filter(|member| member.value.data != Data::Null)
    }

    /// Adds what more is known of a field that was asked for.
    fn note(&self, name: &str, what: impl FnOnce(&mut AskedField)) {
        self.file.note(|| self.path_of(name), what);
    }

    /// Where the value of a field stands; of an absent one, where the map is named.
    pub fn span(&self, name: &str) -> Range<usize> {
        self.value.get(name).map_or_else(|| self.place.clone(), |value| value.span.clone())
    }

    /// Text. Empty text counts as absent.
    pub fn text(&self, name: &'static str) -> Option<&'a str> {
        self.text_as(name, Kind::Text)
    }

    /// Text of a kind; empty text counts as absent.
    pub fn text_as(&self, name: &'static str, kind: Kind) -> Option<&'a str> {
        let member = self.member(name, kind)?;
        self.text_of(name, &member.value).filter(|text| !text.is_empty())
    }

    /// Text, owned.
    pub fn string(&self, name: &'static str) -> Option<String> {
        self.text(name).map(str::to_owned)
    }

    /// Text, owned; `default` if it is absent.
    pub fn string_or(&self, name: &'static str, default: &str) -> String {
        let text = self.string(name);
        self.note(name, |field| field.default = Some(default.into()));
        text.unwrap_or_else(|| default.to_owned())
    }

    fn text_of(&self, name: &str, value: &'a Value) -> Option<&'a str> {
        let text = value.text();
        if text.is_none() {
            wrong_type(self.file, name, "text", value);
        }
        text
    }

    /// `true` or `false`.
    pub fn flag(&self, name: &'static str) -> Option<bool> {
        let member = self.member(name, Kind::Flag)?;
        match &member.value.data {
            Data::Bool(value) => Some(*value),
            Data::Text(text) if self.file.lenient() && (text == "true" || text == "false") => {
                wrong_type(self.file, name, "true or false", &member.value);
                Some(text == "true")
            }
            _ => {
                wrong_type(self.file, name, "true or false", &member.value);
                None
            }
        }
    }

    /// `true` or `false`; `default` if it is absent.
    pub fn flag_or(&self, name: &'static str, default: bool) -> bool {
        let flag = self.flag(name);
        self.note(name, |field| field.default = Some(default.into()));
        flag.unwrap_or(default)
    }

    /// A whole number in a range; `default` if it is absent.
    pub fn whole_or<T: TryFrom<u64> + Into<u64> + Copy>(
        &self,
        name: &'static str,
        range: RangeInclusive<u64>,
        default: T,
    ) -> T {
        let number = self.whole(name, range);
        self.note(name, |field| field.default = Some(default.into().into()));
        number.unwrap_or(default)
    }

    /// A whole number in a range.
    pub fn whole<T: TryFrom<u64>>(&self, name: &'static str, range: RangeInclusive<u64>) -> Option<T> {
        let member = self.member(name, Kind::Whole);
        self.note(name, |field| field.range = Some(range.clone()));
        let value = &member?.value;
        let number = match &value.data {
            Data::Number(number) if !number.is_f64() => number.as_u64(),
            Data::Text(text) if self.file.lenient() && text.parse::<u64>().is_ok() => {
                wrong_type(self.file, name, "a whole number", value);
                text.parse().ok()
            }
            _ => {
                wrong_type(self.file, name, "a whole number", value);
                return None;
            }
        };
        let fitting = number.filter(|number| range.contains(number)).and_then(|number| T::try_from(number).ok());
        if fitting.is_none() {
            let limits = match *range.end() {
                u64::MAX => format!("{} or more", range.start()),
                end => format!("from {} to {end}", range.start()),
            };
            self.reject("out-of-range", name, format!("must be {limits}, found {}", value.plain()));
        }
        fitting
    }

    /// A number above `above` and at most `most`.
    pub fn number(&self, name: &'static str, above: f64, most: f64) -> Option<f64> {
        let member = self.member(name, Kind::Number);
        self.note(name, |field| field.above_to = Some((above, most)));
        let value = &member?.value;
        let Data::Number(number) = &value.data else {
            wrong_type(self.file, name, "a number", value);
            return None;
        };
        let fitting = number.as_f64().filter(|number| *number > above && *number <= most);
        if fitting.is_none() {
            self.reject("out-of-range", name, format!("must be above {above} and at most {most}, found {number}"));
        }
        fitting
    }

    /// A number above `above` and at most `most`, as it is written.
    pub fn decimal(&self, name: &'static str, above: f64, most: f64) -> Option<String> {
        self.number(name, above, most).map(|number| number.to_string())
    }

    /// Text in a syntax of its own; `kind` names it in the field table. The error's text is the finding.
    pub fn parsed<T: FromStr<Err: Display>>(&self, name: &'static str, kind: Kind) -> Option<T> {
        let text = self.text_as(name, kind)?;
        match text.parse() {
            Ok(value) => Some(value),
            Err(error) => {
                let error = error.to_string();
                let message = if error.contains(text) {
                    format!("`{name}`: {error}")
                } else {
                    format!("`{name}`: `{text}`: {error}")
                };
                self.file.report(Finding::error("bad-value", message), self.span(name));
                None
            }
        }
    }

    /// One of a few words, in any case.
    pub fn choice<T: Clone>(&self, name: &'static str, choices: &[(&'static str, T)]) -> Option<T> {
        let text = self.text(name);
        self.note(name, |field| field.choices = choices.iter().map(|(word, _)| *word).collect());
        let text = text?;
        let found = choices.iter().find(|(word, _)| word.eq_ignore_ascii_case(text));
        if found.is_none() {
            let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
            let mut finding =
                Finding::error("bad-value", format!("`{name}` must be one of {}, found `{text}`", words.join(", ")));
            finding.hint = did_you_mean(text, words).map(|word| format!("did you mean `{word}`?"));
            self.file.report(finding, self.span(name));
        }
        found.map(|(_, value)| value.clone())
    }

    /// One of a few words; the first of them if it is absent.
    pub fn choice_or_first<T: Clone + Default>(&self, name: &'static str, choices: &[(&'static str, T)]) -> T {
        let found = self.choice(name, choices);
        let first = choices.first();
        self.note(name, |field| field.default = first.map(|(word, _)| (*word).into()));
        found.or_else(|| first.map(|(_, value)| value.clone())).unwrap_or_default()
    }

    /// An absolute path without `.` and `..`, which Proxmox refuses; without a slash at its end.
    pub fn path(&self, name: &'static str) -> Option<String> {
        let path = self.text_as(name, Kind::Path)?;
        let plain = path.starts_with('/') && !path.split('/').any(|part| part == "." || part == "..");
        if !plain {
            self.reject("bad-path", name, format!("must be an absolute path without `.` and `..`, found `{path}`"));
        }
        plain.then(|| if path.len() > 1 { path.trim_end_matches('/').to_owned() } else { path.to_owned() })
    }

    /// Addresses, as a list or as one text with blanks or commas between them.
    pub fn addresses(&self, name: &'static str) -> Vec<IpAddr> {
        let Some(member) = self.member(name, Kind::Addresses) else { return Vec::new() };
        let words = match &member.value.data {
            Data::List(_) => self.texts(name),
            Data::Text(text) => {
                let words = text.split([' ', ',']).filter(|word| !word.is_empty());
                words.map(|word| (word, member.value.span.clone())).collect()
            }
            _ => {
                wrong_type(self.file, name, "addresses", &member.value);
                Vec::new()
            }
        };
        let parsed = words.into_iter().filter_map(|(word, span)| {
            let address = word.parse().ok();
            if address.is_none() {
                let finding = Finding::error("bad-address", format!("`{name}`: `{word}` is no address"));
                self.file.report(finding, span);
            }
            address
        });
        parsed.collect()
    }

    /// A list of texts, each with its place.
    pub fn texts(&self, name: &'static str) -> Vec<(&'a str, Range<usize>)> {
        let items = self.list(name, Kind::Texts);
        items.iter().filter_map(|item| Some((self.text_of(name, item)?, item.span.clone()))).collect()
    }

    /// A list of texts, without places.
    pub fn strings(&self, name: &'static str) -> Vec<String> {
        self.texts(name).into_iter().map(|(text, _)| text.to_owned()).collect()
    }

    /// The items of a list of anything.
    pub fn list(&self, name: &'static str, kind: Kind) -> &'a [Value] {
        let Some(member) = self.member(name, kind) else {
            return if kind.has_items() && self.file.is_recording() { &ONE_ITEM } else { &[] };
        };
        match &member.value.data {
            Data::List(items) => items,
            _ => {
                wrong_type(self.file, name, "a list", &member.value);
                &[]
            }
        }
    }

    /// A map with declared fields.
    pub fn map(&self, name: &'static str) -> Option<Fields<'a>> {
        let member = self.member(name, Kind::Map);
        if self.file.is_recording() && member.is_none() {
            return Fields::of(self.file, &EMPTY, 0..0, self.path_of(name), name);
        }
        let member = member?;
        let path = if self.file.is_recording() { self.path_of(name) } else { String::new() };
        Fields::of(self.file, &member.value, member.key_span.clone(), path, name)
    }

    /// A list of maps with declared fields.
    pub fn maps(&self, name: &'static str) -> Vec<Fields<'a>> {
        let items = self.list(name, Kind::Maps);
        let path = if self.file.is_recording() { format!("{}[]", self.path_of(name)) } else { String::new() };
        items
            .iter()
            .filter_map(|item| Fields::of(self.file, item, item.span.start..item.span.start + 1, path.clone(), name))
            .collect()
    }

    /// The members of a map whose keys the operator chose, without remarks; `KEY` stands for the keys in the field
    /// table.
    pub fn table(&self, name: &'static str) -> impl Iterator<Item = &'a Member> + use<'a> {
        let members: &'a [Member] = match self.member(name, Kind::Map) {
            None if self.file.is_recording() => &*ONE_MEMBER,
            None => &[],
            Some(member) => match &member.value.data {
                Data::Map(members) => members,
                _ => {
                    wrong_type(self.file, name, "a map", &member.value);
                    &[]
                }
            },
        };
        members.iter().filter(|member| !is_remark(member))
    }

    /// What the values of a map are whose keys the operator chose and whose values are no maps with declared fields.
    pub fn key(&self, table: &str, kind: Kind) {
        self.file.asked(|| format!("{}.KEY", self.path_of(table)), kind);
    }

    /// The same for keys that have no effect.
    pub fn key_without_effect(&self, table: &str, kind: Kind) {
        self.key(table, kind);
        self.note(&format!("{table}.KEY"), |field| field.used = false);
    }

    /// The declared fields of a member of [`Fields::table`].
    pub fn entry(&self, table: &str, member: &'a Member) -> Option<Fields<'a>> {
        let path = if self.file.is_recording() { format!("{}.KEY", self.path_of(table)) } else { String::new() };
        Fields::of(self.file, &member.value, member.key_span.clone(), path, &member.key)
    }

    /// A field that must be there; [`Fields::finish`] reports it with the hint if it is not.
    pub fn require(&self, name: &'static str, hint: &'static str) {
        self.required.borrow_mut().push(Required { name, hint, always: true });
    }

    /// A field that must be there because of what else stands in the file.
    pub fn require_here(&self, name: &'static str, hint: &'static str) {
        self.required.borrow_mut().push(Required { name, hint, always: false });
    }

    /// A field that is known and has no effect; `docs/configuration.md` says why.
    pub fn unused(&self, name: &'static str, kind: Kind) {
        let member = self.member(name, kind);
        self.note(name, |field| field.used = false);
        if member.is_some() {
            let span = self.value.member(name).map_or_else(|| self.place.clone(), |member| member.key_span.clone());
            self.file.note_unused(name, span);
        }
    }

    /// Reports the value of a field as wrong.
    pub fn reject(&self, code: &'static str, name: &str, what: impl Display) {
        self.file.report(Finding::error(code, format!("`{name}` {what}")), self.span(name));
    }

    /// Reports every field that nobody asked for, and those that are missing: not the ones that are merely misspelled.
    pub fn finish(&self) {
        self.finish_but(|_| false);
    }

    /// The same; a field that nobody asked for is offered to `take` before.
    pub fn finish_but(&self, mut take: impl FnMut(&Member) -> bool) {
        let asked = self.asked.borrow();
        let mut meant = Vec::new();
        for member in self.value.members() {
            if !asked.contains(&member.key.as_str()) && !is_remark(member) && !take(member) {
                let near = did_you_mean(&member.key, asked.iter().copied());
                meant.extend(near);
                let mut finding = Finding::error("unknown-field", format!("unknown field `{}`", member.key));
                finding.hint = near.map(|near| format!("did you mean `{near}`?"));
                self.file.lapse(finding, member.key_span.clone());
            }
        }
        let required = self.required.borrow();
        for Required { name, .. } in required.iter().filter(|required| required.always) {
            self.note(name, |field| field.required = true);
        }
        for Required { name, hint, .. } in required.iter().filter(|required| !meant.contains(&required.name)) {
            let value = self.value.get(name).filter(|value| value.data != Data::Null && value.text() != Some(""));
            if value.is_none() {
                let finding = Finding::error("missing-field", format!("`{name}` is missing")).hint(*hint);
                self.file.report(finding, self.place.clone());
            }
        }
    }
}

/// What is allowed in every map and says nothing.
fn is_remark(member: &Member) -> bool {
    matches!(member.key.as_str(), "comment" | "$schema")
}

/// Reports a value of the wrong type; a lapse if the predecessor's reader, which knew only text, took it anyway.
fn wrong_type(file: &File, name: &str, expected: &str, value: &Value) {
    let finding = Finding::error("wrong-type", format!("`{name}` must be {expected}, found {}", value.kind()));
    // A list or map may be long: point at its beginning only.
    let span = match value.data {
        Data::List(_) | Data::Map(_) => value.span.start..value.span.start + 1,
        _ => value.span.clone(),
    };
    let bare = match (&value.data, expected) {
        (Data::Text(text), "a whole number") if text.parse::<u64>().is_ok() => Some(text),
        (Data::Text(text), "true or false") if text == "true" || text == "false" => Some(text),
        _ => None,
    };
    match bare {
        Some(text) => file.lapse(finding.hint(format!("write {text} without quotes")), span),
        None => file.report(finding, span),
    }
}
