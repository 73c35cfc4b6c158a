//! What goes over a channel: any bytes, in any pieces, through a real shell.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use phoenix::command::Effect;
use phoenix::host::{Host as _, answers};
use phoenix::op::{Exec, Op, OpErrorKind, OpValue, Place};
use phoenix::secret::Sealed;
use proptest::prelude::*;

use super::channel::{output, sh};
use super::node;

/// Cut at these places, in whatever order and number.
fn cut(bytes: &[u8], places: &[usize]) -> Vec<Vec<u8>> {
    let mut places: Vec<usize> = places.iter().map(|place| place % (bytes.len() + 1)).collect();
    places.sort_unstable();
    let mut pieces = Vec::new();
    let mut from = 0;
    for to in places {
        pieces.push(bytes[from..to].to_vec());
        from = to;
    }
    pieces.push(bytes[from..].to_vec());
    pieces
}

proptest! {
    #[test]
    fn answers_are_the_same_in_any_pieces(
        contents in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 1..6),
        failure in "[^\0]{0,30}",
        places in prop::collection::vec(any::<usize>(), 0..12),
    ) {
        let ops: Vec<Op> = (0..=contents.len()).map(|at| Op::Read { path: format!("/{at}"), limit: 200 }).collect();
        let mut bytes = Vec::new();
        for content in &contents {
            bytes.extend(format!("={}\0\0", BASE64.encode(content)).into_bytes());
        }
        bytes.extend(format!("!- {failure}\0\0").into_bytes());
        let results = answers(&ops, cut(&bytes, &places)).unwrap();
        for (content, result) in contents.iter().zip(&results) {
            prop_assert_eq!(result, &Ok(OpValue::Bytes(Some(content.clone()))));
        }
        let error = results.last().unwrap().as_ref().unwrap_err();
        prop_assert_eq!(error.message.as_str(), failure.trim());
        // Whatever is missing at the end is missed.
        for end in [0, bytes.len() / 2, bytes.len() - 1] {
            prop_assert!(answers(&ops, cut(&bytes[..end], &places)).is_err());
        }
    }

    #[test]
    fn answers_to_less_than_was_asked_for_are_none(limit in 0u64..50, size in 0usize..100) {
        let op = Op::Read { path: "/file".to_owned(), limit };
        let bytes = format!("={}\0\0", BASE64.encode(vec![b'x'; size])).into_bytes();
        let result = answers(&[op], vec![bytes]).unwrap().remove(0);
        prop_assert_eq!(result.is_ok(), size as u64 <= limit);
        prop_assert!(result.is_ok() || result.unwrap_err().kind == OpErrorKind::TooLarge);
    }
}

/// Each batch is one round through the node's own shell.
#[test]
fn words_go_through_a_real_shell_as_they_are() {
    let host = node();
    let word = "[^\0]{0,20}|['\"\\\\$`!*?;&|<> \t\n\r(){}\\[\\]~#=%-]{0,12}";
    let strategy = (prop::collection::vec(word, 0..5), word, "[^\0]{0,300}", prop::collection::vec(any::<u8>(), 0..64));
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig { cases: 150, ..ProptestConfig::default() });
    let held = runner.run(&strategy, |(words, value, input, bytes)| {
        let exec = |argv: Vec<String>| Exec { argv, effect: Effect::Read, ..sh("") };
        let script = "printf '%s\\0' \"$VALUE\" \"$@\"; cat >&2";
        let argv = ["sh", "-c", script, "sh"].into_iter().map(str::to_owned).chain(words.iter().cloned()).collect();
        let env = BTreeMap::from([("VALUE".to_owned(), Sealed::plain(value.as_str()))]);
        let octal: String = bytes.iter().map(|byte| format!("\\{byte:03o}")).collect();
        let ops = [
            Op::Exec(Exec { env, stdin: Some(Sealed::plain(input.as_str())), ..exec(argv) }),
            Op::Exec(exec(["printf", &octal].map(str::to_owned).into())),
        ];
        let mut results = host.perform(Place::Node, &ops).unwrap().into_iter();
        let said = output(results.next().unwrap());
        let expected: String = std::iter::once(&value).chain(&words).map(|word| format!("{word}\0")).collect();
        prop_assert_eq!(String::from_utf8(said.stdout).unwrap(), expected);
        prop_assert_eq!(String::from_utf8(said.stderr).unwrap(), input);
        prop_assert_eq!(output(results.next().unwrap()).stdout, bytes);
        Ok(())
    });
    held.unwrap();
}
