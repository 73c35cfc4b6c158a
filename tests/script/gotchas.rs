//! Properties of the language that scripts, the API or the checks rely on. An upgrade of rhai that changes one shows here.

use super::stage::Stage;

/// What a body leaves in `/answer`.
fn answer(body: &str) -> String {
    let stage = Stage::of_body(&format!("{body}\n    guest.file(\"/answer\", #{{ content: `${{answer}}` }});"));
    match stage.apply() {
        Ok(_) => stage.text("/answer").unwrap(),
        Err(error) => panic!("{}", super::stage::shown(&error)),
    }
}

fn failure(body: &str) -> String {
    Stage::of_body(body).failure()
}

#[test]
fn texts_change_in_place_and_ours_do_not() {
    assert_eq!(answer("let s = \" a \"; s.trim(); let answer = s;"), "a");
    assert_eq!(answer("let s = \" a \"; let answer = s.trimmed() + \"|\" + s;"), "a| a ");
    assert_eq!(answer("let answer = \"a-b\".replaced(\"-\", \"+\");"), "a+b");
    assert_eq!(answer("let answer = [\"a\", \"b\"].join(\", \");"), "a, b");
    assert_eq!(answer("let answer = \"a\\nb\".lines().len();"), "2");
    assert_eq!(answer("let answer = \"a\\n\\nb\".indent(2);"), "  a\n\n  b");
}

#[test]
fn nothing_interpolates_as_nothing() {
    assert_eq!(answer("let m = #{ a: () }; let answer = `<${m.a}>`;"), "<>");
    assert_eq!(answer("let answer = guest.read(\"/absent\") ?? \"none\";"), "none");
}

#[test]
fn a_constant_map_is_not_changed_and_nothing_panics() {
    let text = "const FEATURE = #{ name: \"x\", summary: \"s\", targets: [\"lxc\"] };\n\
                const A = #{ x: 1 };\n\nfn apply(guest, params) {\n    global::A.x = 5;\n}\n";
    let stage = Stage::new(&[("features/x.rhai", text)]);
    assert!(stage.apply().is_err());
}

#[test]
fn reading_a_missing_key_is_an_error_and_writing_a_new_one_is_not() {
    assert_eq!(answer("let m = #{}; m.a = 1; let answer = m.a;"), "1");
    assert!(failure("let m = #{}; info(m.a);").contains("the map has no `a`"));
    assert_eq!(answer("let m = #{}; let answer = m.get(\"a\") ?? \"none\";"), "none");
    assert_eq!(answer("let m = #{}; let answer = \"a\" in m;"), "false");
}

#[test]
fn keys_are_sorted() {
    assert_eq!(answer("let answer = #{ b: 1, a: 2 }.keys();"), "[\"a\", \"b\"]");
}

#[test]
fn closures_share_what_they_capture() {
    assert_eq!(
        answer("let all = []; let n = 0; while n < 3 { all.push(|| n); n += 1; } let answer = all[0].call();"),
        "3"
    );
}

#[test]
fn free_functions_may_call_what_captures_the_guest() {
    assert_eq!(answer("let answer = retry(2, 10, || guest.probe([\"true\"]).ok);"), "true");
    assert!(failure("retry(2, 10, || guest.name);").contains("must answer true or false"));
}

#[test]
fn arguments_are_copies() {
    assert_eq!(answer("let list = [1]; let f = |l| { l.push(2); }; f.call(list); let answer = list.len();"), "1");
}

#[test]
fn try_is_a_statement() {
    assert!(failure("let answer = try { 1 } catch { 2 };").contains("features/x.rhai"));
}

#[test]
fn backticks_know_no_escapes_and_double_quotes_no_interpolation() {
    assert_eq!(answer("let answer = `a\\nb`.len();"), "4");
    assert_eq!(answer("let answer = \"a\\nb\".len();"), "3");
    assert_eq!(answer("let answer = \"$HOME ${HOME}\";"), "$HOME ${HOME}");
    assert_eq!(answer("let answer = `$HOME`;"), "$HOME");
}

#[test]
fn numbers_are_whole_until_they_are_not() {
    assert_eq!(answer("let answer = 7 / 2;"), "3");
    assert_eq!(answer("let answer = \"1\" == 1;"), "false");
    assert!(failure("let n = 9223372036854775807; n += 1;").contains("overflow"));
}

#[test]
fn placeholders_survive_interpolation_concatenation_and_json() {
    let stage = Stage::of_body(
        "    let s = secret(\"made\", #{ generate: 16 });\n    guest.file(\"/a\", #{ content: s });\n    \
         guest.file(\"/b\", #{ content: `${s}` + \"-\" + s });\n    guest.json(\"/c\", #{ deep: [#{ s: s }] });",
    );
    stage.apply().unwrap();
    let secret = stage.text("/a").unwrap();
    assert_eq!(stage.text("/b").unwrap(), format!("{secret}-{secret}"));
    assert!(stage.text("/c").unwrap().contains(&secret));
}

#[test]
fn functions_of_the_file_are_called_like_methods_too() {
    let text = "const FEATURE = #{ name: \"x\", summary: \"s\", targets: [\"lxc\"] };\n\n\
                fn apply(guest, params) {\n    let list = [1, 2];\n    let answer = list.twice();\n    \
                guest.file(\"/answer\", #{ content: `${answer}` });\n}\n\nprivate fn twice() {\n    this.len() * 2\n}\n";
    let stage = Stage::new(&[("features/x.rhai", text)]);
    stage.apply().unwrap();
    assert_eq!(stage.text("/answer").unwrap(), "4");
}

#[test]
fn modules_see_their_own_constants() {
    let text = "import \"lib/m\" as m;\nconst FEATURE = #{ name: \"x\", summary: \"s\", targets: [\"lxc\"] };\n\
                const NAME = \"mine\";\n\nfn apply(guest, params) {\n    \
                guest.file(\"/answer\", #{ content: m::name() + global::NAME });\n}\n";
    let module = "const NAME = \"theirs-\";\n\nfn name() {\n    global::NAME\n}\n";
    let stage = Stage::new(&[("features/x.rhai", text), ("features/lib/m.rhai", module)]);
    stage.apply().unwrap();
    assert_eq!(stage.text("/answer").unwrap(), "theirs-mine");
}
