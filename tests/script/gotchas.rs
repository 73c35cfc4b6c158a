//! Properties of the language that scripts, the API or the checks rely on. An upgrade of rhai that changes one shows here.

use phoenix::script::reference::{Caller, groups, helpers};

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

/// A feature of one file around these functions.
fn of_functions(apply: &str, functions: &str) -> Stage {
    let text = format!(
        "const FEATURE = #{{ name: \"x\", summary: \"s\", targets: [\"lxc\"] }};\nconst PORT = 80;\n\n\
         fn apply(guest, params) {{\n{apply}\n}}\n\n{functions}\n"
    );
    Stage::new(&[("features/x.rhai", &text)])
}

#[test]
fn reserved_words_name_nothing_in_our_api() {
    const RESERVED: &str = "package module use with match new sync async await spawn thread yield static public protected \
                            shared is case void null nil go goto var super default print debug call curry eval this type_of Fn";
    let reserved: Vec<&str> = RESERVED.split_whitespace().collect();
    let callers = [Caller::Script, Caller::Test, Caller::Model];
    let signatures = callers.into_iter().flat_map(groups).chain([helpers()]).flat_map(|group| group.signatures);
    for signature in signatures {
        let keys = signature.args.iter().chain(signature.options).map(|parameter| parameter.name);
        for name in keys.chain([signature.name]) {
            assert!(!reserved.contains(&name), "`{name}` of {}", signature.shown());
        }
    }
    assert!(failure("let m = #{ default: 1 };").contains("features/x.rhai"));
    assert_eq!(answer("let m = #{ \"default\": 1 }; let answer = m[\"default\"];"), "1");
    assert_eq!(answer("let answer = parse_json(\"{\\\"default\\\": 2}\")[\"default\"];"), "2");
}

#[test]
fn the_answer_of_what_changes_in_place_is_refused() {
    for call in ["s.replace(\"a\", \"b\")", "s.pad(9, 'x')", "s.make_upper()", "[3, 1].sort()", "[1, 1].dedup()"] {
        let said = failure(&format!("let s = \"a\"; let t = {call}; info(t);"));
        assert!(said.contains("answers nothing, but its answer is used"), "{call}: {said}");
    }
    assert_eq!(answer("let answer = \"a\".upper() + \"B\".lower();"), "Ab");
}

#[test]
fn nothing_is_silently_empty_in_a_sum_too() {
    assert_eq!(answer("let m = #{ a: () }; let answer = \"<\" + m.a + \">\";"), "<>");
}

#[test]
fn functions_see_constants_by_global_only() {
    let with = |body: &str| {
        of_functions(
            "    guest.file(\"/answer\", #{ content: `${port()}` });",
            &format!("private fn port() {{ {body} }}"),
        )
    };
    let stage = with("global::PORT");
    stage.apply().unwrap();
    assert_eq!(stage.text("/answer").unwrap(), "80");
    assert!(with("PORT").failure().contains("PORT"));
    let outer = of_functions(
        "    let seen = 1;\n    guest.file(\"/a\", #{ content: `${seen}${look()}` });",
        "private fn look() { seen }",
    );
    assert!(outer.failure().contains("seen"));
}

#[test]
fn what_a_module_does_not_export_is_invisible() {
    let text = |body: &str| {
        format!(
            "import \"lib/m\" as m;\nconst FEATURE = #{{ name: \"x\", summary: \"s\", targets: [\"lxc\"] }};\n\n\
             fn apply(guest, params) {{\n    guest.file(\"/answer\", #{{ content: `${{{body}}}` }});\n}}\n"
        )
    };
    let module = "export const SHOWN = 1;\nconst HIDDEN = 2;\n\nfn open() {\n    hidden()\n}\n\nprivate fn hidden() {\n    3\n}\n";
    let run = |body: &str| Stage::new(&[("features/x.rhai", &text(body)), ("features/lib/m.rhai", module)]);
    let open = run("m::open()");
    open.apply().unwrap();
    assert_eq!(open.text("/answer").unwrap(), "3");
    for body in ["m::HIDDEN", "m::hidden()"] {
        assert!(run(body).apply().is_err(), "{body}");
    }
}

#[test]
fn what_a_function_is_given_stays_as_it_was() {
    let stage = of_functions(
        "    let m = #{ a: 1 };\n    let other = with_b(m);\n    guest.file(\"/answer\", #{ content: `${m.len()}${other.len()}` });",
        "private fn with_b(m) { m.b = 2; m }",
    );
    stage.apply().unwrap();
    assert_eq!(stage.text("/answer").unwrap(), "12");
}

#[test]
fn a_closure_that_captures_its_receiver_is_refused_in_words() {
    let said = failure("let list = [1, 2]; let all = list.map(|x| x + list.len()); info(all);");
    assert!(said.contains("features/x.rhai:4") && !said.contains("Dynamic"), "{said}");
}

#[test]
fn closures_in_variables_are_called_by_call() {
    assert_eq!(answer("let f = |x| x + 1; let answer = f.call(4);"), "5");
    assert!(Stage::of_body("    let f = |x| x + 1; let a = f(4); info(a);").apply().is_err());
    assert_eq!(answer("let m = #{ f: |x| x + 1 }; let answer = m.f(3);"), "4");
}

#[test]
fn return_in_a_try_leaves_the_function() {
    let stage = of_functions(
        "    guest.file(\"/answer\", #{ content: `${early()}` });",
        "private fn early() { try { return 1; } catch { return 2; } 3 }",
    );
    stage.apply().unwrap();
    assert_eq!(stage.text("/answer").unwrap(), "1");
}

#[test]
fn backticks_drop_their_first_line_break_and_raw_texts_keep_all() {
    assert_eq!(answer("let answer = `\n  a\n`;"), "  a\n");
    assert_eq!(answer("let answer = `\\${x}`;"), "${x}");
    assert_eq!(answer("let answer = #\"a\\n${b}\"#;"), "a\\n${b}");
}

#[test]
fn conditions_are_bools_only_and_the_message_says_so() {
    let said = failure("if guest.probe(\"true\") { info(\"x\"); }");
    assert!(said.contains("features/x.rhai:4") && !said.contains("script::api"), "{said}");
    assert!(failure("let n = 1; if n { info(\"x\"); }").contains("features/x.rhai:4"));
}

#[test]
fn whole_numbers_and_numbers_are_equal_and_texts_count_letters() {
    assert_eq!(answer("let answer = 1 == 1.0;"), "true");
    assert_eq!(answer("let answer = \"grün\".len();"), "4");
}

#[test]
fn a_missing_key_is_an_error_however_it_is_read() {
    for read in ["m.a", "m?.a", "m[\"a\"]"] {
        assert!(failure(&format!("let m = #{{}}; info({read});")).contains("`a`"), "{read}");
    }
}

#[test]
fn maps_are_walked_by_their_keys() {
    assert!(Stage::of_body("    for k in #{ a: 1 } { info(k); }").apply().is_err());
    assert_eq!(answer("let answer = \"\"; for k in #{ b: 1, a: 2 }.keys() { answer += k; }"), "ab");
    assert_eq!(answer("let answer = \"\"; for (v, i) in [5, 6] { answer += `${i}${v} `; }"), "05 16 ");
}

#[test]
fn beyond_the_end_of_a_list_is_an_error() {
    assert!(failure("let list = [1]; info(list[3]);").contains("features/x.rhai:4"));
    assert_eq!(answer("let answer = [1].index_of(9);"), "-1");
}

#[test]
fn our_types_say_what_they_are_without_paths_of_the_program() {
    for shown in ["guest", "guest.dir(\"/srv/a\")", "guest.probe(\"true\")", "site()"] {
        let said = answer(&format!("let all = [{shown}]; let it = all[0]; let answer = `<${{it}}>`;"));
        assert!(!said.contains("::"), "{shown} is shown as {said}");
    }
}

#[test]
fn names_are_plain_letters() {
    assert!(Stage::of_body("    let größe = 1; info(größe);").apply().is_err());
}

#[test]
fn functions_are_told_apart_by_how_many_arguments_they_take() {
    let stage = of_functions(
        "    guest.file(\"/answer\", #{ content: greet() + greet(\"b\") });",
        "private fn greet() { greet(\"a\") }\n\nprivate fn greet(name) { name }",
    );
    stage.apply().unwrap();
    assert_eq!(stage.text("/answer").unwrap(), "ab");
}

#[test]
fn a_variable_may_become_something_else() {
    assert_eq!(answer("let x = 1; x = \"a\"; let answer = x;"), "a");
}

#[test]
fn errors_in_nested_functions_keep_their_place() {
    let stage = of_functions(
        "    outer(guest);",
        "private fn outer(guest) {\n    inner(guest);\n}\n\nprivate fn inner(guest) {\n    guest.exec([\"false\"], #{ unless: \"false\" });\n}",
    );
    let said = stage.failure();
    assert!(said.contains("features/x.rhai:13:11") && said.contains("outer") && said.contains("inner"), "{said}");
    // Those that rhai raises itself lose it on their way out (too much work, too deep); ours is the last call's.
    let stage = of_functions(
        "    outer(guest);",
        "private fn outer(guest) {\n    guest.probe(\"true\");\n    outer(guest);\n}",
    );
    assert!(stage.failure().contains("features/x.rhai:"), "{}", stage.failure());
}

#[test]
fn an_error_while_a_text_is_put_together_is_not_swallowed() {
    // rhai prints the type's path instead of a failing `to_string`: secrets are never guarded by that.
    let said = failure("let s = secret(\"none\"); info(`${s}`);");
    assert!(said.contains("none"), "{said}");
}
