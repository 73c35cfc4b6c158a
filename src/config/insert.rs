//! A new guest in the text of a file: it stands where it belongs, and every other byte stays.

use super::guest::id_of;
use super::json::{self, Data, Value};
use crate::model::{GuestId, GuestKind};

/// Why a guest cannot be put into a file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InsertError {
    /// The file is no JSON.
    #[error("it is no JSON: {0}")]
    Syntax(String),
    /// It has no place for guests.
    #[error("it has no `{0}`")]
    NoList(&'static str),
    /// The guest is in it already.
    #[error("guest {0} is in it already")]
    Declared(GuestId),
}

/// The text with this guest in it. `entry` writes its value for lines that are indented so far.
///
/// # Errors
/// When the file has no place for it.
pub fn insert(
    text: &str,
    kind: GuestKind,
    id: GuestId,
    entry: impl Fn(usize) -> String,
) -> Result<String, InsertError> {
    let parsed = json::parse(text);
    if let Some(error) = parsed.errors.first() {
        return Err(InsertError::Syntax(error.message.clone()));
    }
    let list = match kind {
        GuestKind::Lxc => "lxc_configs",
        GuestKind::Vm => "vms",
    };
    let value = parsed.value.as_ref().and_then(|root| root.get(list)).ok_or(InsertError::NoList(list))?;
    let items = items(value, kind).ok_or(InsertError::NoList(list))?;
    if items.iter().any(|item| item.id == Some(id)) {
        return Err(InsertError::Declared(id));
    }
    let written = |indent: usize| match kind {
        GuestKind::Lxc => format!("\"{id}\": {}", entry(indent)),
        GuestKind::Vm => entry(indent),
    };
    let Some(first) = items.first() else {
        let outer = indent_of(text, value.span.start);
        let (open, close) = (&text[..value.span.start + 1], &text[value.span.end - 1..]);
        let inner = outer + 4;
        return Ok(format!("{open}\n{:inner$}{}\n{:outer$}{close}", "", written(inner), ""));
    };
    let indent = indent_of(text, first.span.start);
    // In order where the others are.
    let ascending = items.windows(2).all(|pair| pair[0].id < pair[1].id);
    let after = items.iter().find(|item| ascending && item.id > Some(id));
    let end = items.last().map_or(value.span.end, |last| last.span.end);
    Ok(match after {
        Some(next) => {
            let (before, rest) = text.split_at(next.span.start);
            format!("{before}{},\n{:indent$}{rest}", written(indent), "")
        }
        None => {
            let (before, rest) = text.split_at(end);
            format!("{before},\n{:indent$}{}{rest}", "", written(indent))
        }
    })
}

/// A guest in a file.
struct Item {
    id: Option<GuestId>,
    /// With its key.
    span: std::ops::Range<usize>,
}

fn items(value: &Value, kind: GuestKind) -> Option<Vec<Item>> {
    match (&value.data, kind) {
        (Data::Map(members), GuestKind::Lxc) => Some(
            members
                .iter()
                .map(|member| Item { id: member.key.parse().ok(), span: member.key_span.start..member.value.span.end })
                .collect(),
        ),
        (Data::List(items), GuestKind::Vm) => Some(
            items.iter().map(|item| Item { id: item.get("vmid").and_then(id_of), span: item.span.clone() }).collect(),
        ),
        _ => None,
    }
}

/// Blanks before the first character of the line that holds this byte.
fn indent_of(text: &str, at: usize) -> usize {
    let line = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
    text[line..].bytes().take_while(|byte| *byte == b' ').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u32) -> GuestId {
        number.try_into().unwrap()
    }

    fn lxc(text: &str, number: u32) -> String {
        insert(text, GuestKind::Lxc, id(number), |_| "{}".to_owned()).unwrap()
    }

    #[test]
    fn other_bytes_stay() {
        let text = "{\n  \"lxc_configs\": {\n    \"101\": {\"a\":1},\r\n    \"103\":   { }\n  } , \"x\":0}";
        assert_eq!(lxc(text, 102), text.replace("\"103\"", "\"102\": {},\n    \"103\""));
        assert_eq!(lxc(text, 104), text.replace("{ }", "{ },\n    \"104\": {}"));
        let unordered = "{\"lxc_configs\": {\n    \"900\": {},\n    \"103\": {}}}";
        assert_eq!(lxc(unordered, 102), unordered.replace("\"103\": {}", "\"103\": {},\n    \"102\": {}"));
    }

    #[test]
    fn an_empty_list_is_opened() {
        assert_eq!(
            lxc("{\n    \"lxc_configs\": {}\n}\n", 101),
            "{\n    \"lxc_configs\": {\n        \"101\": {}\n    }\n}\n"
        );
        let vms = insert("{\"vms\": [ ]}", GuestKind::Vm, id(101), |indent| format!("{indent}"));
        assert_eq!(vms.unwrap(), "{\"vms\": [\n    4\n]}");
    }

    #[test]
    fn what_is_no_place_is_refused() {
        let lxc = |text| insert(text, GuestKind::Lxc, id(101), |_| String::new()).unwrap_err().to_string();
        assert_eq!(lxc("{}"), "it has no `lxc_configs`");
        assert_eq!(lxc("{\"lxc_configs\": {\"101\": {}}}"), "guest 101 is in it already");
        assert!(lxc("{").starts_with("it is no JSON"));
    }
}
