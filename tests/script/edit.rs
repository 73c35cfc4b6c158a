//! What editors are told: what fits, what stands there, where it comes from; also of texts that do not parse.

use std::path::Path;

use phoenix::script::edit::{Completion, FileName, Sheet, Target};
use phoenix::script::{Library, Roots};

const HEAD: &str = r##"import "lib/tools" as tools;

const FEATURE = #{
    name: "x",
    summary: "s",
    targets: ["lxc"],
    needs: ["other"],
    consumes: ["other/name"],
    params: #{
        port: #{ type: "port", fallback: 80, doc: "where it listens" },
        mode: #{ type: "string", choices: ["a", "b"], fallback: "a" },
    },
};
const HOME = "/srv/x";
"##;

/// A library around `features/x.rhai`.
struct Desk {
    dir: tempfile::TempDir,
    library: Library,
}

impl Desk {
    fn new() -> Desk {
        let dir = tempfile::tempdir().unwrap();
        for (path, text) in [
            (
                "features/x.rhai",
                &*format!("{HEAD}\nfn apply(guest, params) {{\n    tools::work(guest, params.port);\n}}\n"),
            ),
            (
                "features/other.rhai",
                "//! What others need.\n\nconst FEATURE = #{ name: \"other\", summary: \"The other\", targets: [\"lxc\"], \
                 publishes: [\"other/name\"] };\n\nfn apply(guest, params) {\n    guest.publish(\"other/name\", \"/x\");\n}\n",
            ),
            (
                "features/lib/tools.rhai",
                "//! Tools of all kinds.\n\n/// Does the work.\n/// All of it.\nfn work(guest, port) {\n    hidden(guest);\n}\n\n\
                 private fn hidden(guest) {\n    guest.dir(\"/x\");\n}\n",
            ),
            ("features/x/site.conf", "text"),
        ] {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let library = Library::load(&Roots::only(dir.path())).0;
        Desk { dir, library }
    }

    /// Asks at the `§` of a text.
    fn ask<T>(&self, file: &str, text: &str, ask: impl FnOnce(&Sheet, usize) -> T) -> T {
        let at = text.find('§').expect("the text has a place to ask at");
        let text = text.replace('§', "");
        ask(&Sheet::new(&self.library, FileName::of(file).unwrap(), &text), at)
    }

    fn completions(&self, file: &str, text: &str) -> Vec<Completion> {
        self.ask(file, text, |sheet, at| sheet.complete(at))
    }

    fn labels(&self, file: &str, text: &str) -> Vec<String> {
        self.completions(file, text).into_iter().map(|completion| completion.label).collect()
    }

    /// What fits in the body of `apply`, which ends nowhere.
    fn in_apply(&self, body: &str) -> Vec<String> {
        self.labels("features/x.rhai", &format!("{HEAD}\nfn apply(guest, params) {{\n    {body}\n}}\n"))
    }

    fn hover(&self, body: &str) -> Option<String> {
        let text = if body.contains("FEATURE") {
            body.to_owned()
        } else {
            format!("{HEAD}\nfn apply(guest, params) {{\n    {body}\n}}\n")
        };
        self.ask("features/x.rhai", &text, |sheet, at| sheet.hover(at)).map(|hover| hover.text)
    }

    /// File and text of what is declared where.
    fn definition(&self, body: &str) -> Option<(String, String)> {
        let text = format!("{HEAD}\nfn apply(guest, params) {{\n    {body}\n}}\n\nfn own(a) {{ }}\n");
        let target = self.ask("features/x.rhai", &text, |sheet, at| sheet.definition(at))?;
        let shown = |text: &str, span: &std::ops::Range<usize>| {
            let line = text[..span.start].matches('\n').count() + 1;
            format!("{line}: {}", &text[span.clone()])
        };
        Some(match target {
            Target::Here(span) => ("here".to_owned(), shown(&text.replace('§', ""), &span)),
            Target::There(place) => (place.source.path.clone(), shown(&place.source.text, &place.span)),
        })
    }
}

#[track_caller]
fn has(found: &[String], wanted: &[&str], not: &[&str]) {
    for word in wanted {
        assert!(found.iter().any(|label| label == word), "no `{word}` in {found:?}");
    }
    for word in not {
        assert!(!found.iter().any(|label| label == word), "`{word}` in {found:?}");
    }
}

#[test]
fn members_are_those_of_what_stands_before_the_dot() {
    let desk = Desk::new();
    has(&desk.in_apply("guest.§"), &["file", "exec", "ip", "has_feature"], &["section", "devices", "|"]);
    has(&desk.in_apply("guest.fi§"), &["file"], &[]);
    has(&desk.in_apply("guest\n        .§"), &["file"], &[]);
    has(&desk.in_apply("if guest.§ {"), &["exists"], &[]);
    has(&desk.in_apply("info(`on ${guest.§} and`);"), &["ip"], &[]);
    assert_eq!(desk.in_apply("params.§"), ["mode", "port"]);
    assert_eq!(desk.in_apply("let url = `http://x:${params.§}/`;"), ["mode", "port"]);
    assert_eq!(desk.in_apply("params[\"§"), ["mode", "port"]);
    has(
        &desk.in_apply("let ran = guest.exec([\"x\"], #{ creates: \"/y\" });\n    ran.§"),
        &["stdout", "ok"],
        &["file"],
    );
    has(&desk.in_apply("guest.exec([\"x\"], #{ creates: \"/y\" }).§"), &["stdout"], &["file"]);
    has(&desk.in_apply("let t = guest.name;\n    t.§"), &["trimmed", "starts_with"], &["file"]);
    has(&desk.in_apply("site().§"), &["domain", "with_role"], &["file"]);
    has(&desk.in_apply("site().guest(1).§"), &["fqdn", "features"], &["exec"]);
    has(&desk.in_apply("try { } catch (e) { e.§ }"), &["message", "kind"], &["file"]);
    assert_eq!(desk.in_apply("for x in [1] { x.§ }"), [] as [&str; 0]);
    assert_eq!(desk.in_apply("unheard_of.§"), [] as [&str; 0]);
    let prepare = format!("{HEAD}\nfn prepare(node, guest, params) {{\n    node.§");
    has(&desk.labels("features/x.rhai", &prepare), &["devices"], &["section"]);
    let model = "const MODEL = #{ programs: [\"x\"] };\n\nfn run(machine, argv) {\n    machine.§\n}\n";
    has(&desk.labels("features/x.model.rhai", model), &["read"], &["packages"]);
    let test = "fn test_x() {\n    let g = guest(#{ });\n    g.§\n}\n";
    has(&desk.labels("features/x.test.rhai", test), &["apply", "assert_ran"], &["packages"]);
}

#[test]
fn keys_are_those_of_the_map_that_are_not_given() {
    let desk = Desk::new();
    let found = desk.in_apply("guest.file(\"/x\", #{ mode: \"0644\", §");
    has(&found, &["content", "source", "owner"], &["mode", "section", "image"]);
    has(&desk.in_apply("guest.file(\"/x\", #{ con§ })"), &["content"], &["section"]);
    has(&desk.in_apply("guest.file(\"/x\", #{\n        §\n        mode: \"0644\",\n    });"), &["content"], &["mode"]);
    has(&desk.in_apply("guest.service(\"x\", #{ running: §"), &["true", "false"], &["section"]);
    // A value of the map, and data that has any keys.
    has(&desk.in_apply("guest.file(\"/x\", #{ content: se§ })"), &["secret", "section"], &["mode"]);
    assert_eq!(desk.in_apply("guest.json(\"/x\", #{ §"), [] as [&str; 0]);
    let text = format!("{HEAD}\nfn apply(guest, params) {{\n    guest.file(\"/x\", #{{ cont§ }});\n}}\n");
    let content =
        desk.completions("features/x.rhai", &text).into_iter().find(|found| found.label == "content").unwrap();
    assert_eq!(content.insert.as_deref(), Some("content: "));
    assert_eq!((content.detail.as_str(), content.span.len()), ("a text", 4));
    assert!(content.doc.starts_with("`content` (a text): "), "{}", content.doc);
    let feature = |inside: &str| desk.labels("features/x.rhai", &format!("const FEATURE = #{{\n    {inside}"));
    has(&feature("name: \"x\",\n    §"), &["summary", "targets", "params"], &["name"]);
    has(&feature("params: #{ port: #{ ty§ } }"), &["type", "fallback"], &["summary"]);
    assert_eq!(feature("lxc: #{ §"), ["nesting", "keyctl", "fuse"]);
    let test = "fn test_x() {\n    let g = guest(#{ });\n    g.apply(\"x\", #{ §\n}\n";
    assert_eq!(desk.labels("features/x.test.rhai", test), ["mode", "port"]);
    assert_eq!(desk.labels("features/x.test.rhai", "const PARAMS = #{ port: 1, §"), ["mode"]);
    has(&desk.labels("features/x.test.rhai", "const GUEST = #{ §"), &["packages"], &[]);
    has(&desk.labels("features/x.test.rhai", "fn test_x() { guest(#{ §"), &["packages", "files"], &[]);
}

#[test]
fn texts_are_completed_by_what_they_name() {
    let desk = Desk::new();
    assert_eq!(desk.in_apply("artifact(\"§"), ["other/name"]);
    assert_eq!(desk.in_apply("artifact(\"oth§\")"), ["other/name"]);
    assert_eq!(desk.in_apply("guest.file(\"/x\", #{ source: \"§"), ["site.conf"]);
    assert_eq!(desk.in_apply("asset(\"§\")"), ["site.conf"]);
    assert_eq!(desk.in_apply("guest.has_feature(\"§\")"), ["other", "x"]);
    assert_eq!(desk.in_apply("info(\"guest.§\");"), [] as [&str; 0]);
    let feature = |inside: &str| desk.labels("features/x.rhai", &format!("const FEATURE = #{{\n    {inside}"));
    assert_eq!(feature("needs: [\"§"), ["other", "x"]);
    assert_eq!(feature("after: [\"a\", \"§"), ["other", "x"]);
    assert_eq!(feature("consumes: [\"§"), ["other/name"]);
    assert_eq!(feature("targets: [\"§"), ["lxc", "vm", "node"]);
    has(&feature("params: #{ port: #{ type: \"§\" } }"), &["port", "secret"], &["lxc"]);
    assert_eq!(desk.labels("features/x.rhai", "import \"§"), ["lib/tools"]);
    // The quotes stay.
    let text = format!("{HEAD}\nfn apply(guest, params) {{\n    artifact(\"oth§er\");\n}}\n");
    let found = desk.completions("features/x.rhai", &text).remove(0);
    assert_eq!(&text.replace('§', "")[found.span], "other");
}

#[test]
fn names_are_those_of_the_place() {
    let desk = Desk::new();
    let found = desk.in_apply("let one = 1;\n    §");
    has(&found, &["guest", "params", "one", "section", "tools", "if", "apply"], &["exit", "file"]);
    assert_eq!(desk.in_apply("tools::§"), ["work"]);
    assert_eq!(desk.in_apply("tools::wo§(guest, 1);"), ["work"]);
    assert_eq!(desk.in_apply("global::§"), ["FEATURE", "HOME"]);
    assert_eq!(desk.in_apply("// guest.§"), [] as [&str; 0]);
    assert_eq!(desk.in_apply("let §"), [] as [&str; 0]);
    assert_eq!(desk.labels("features/x.rhai", "§"), ["fn", "private", "const", "import"]);
    has(&desk.labels("features/x.rhai", &format!("{HEAD}\nfn §")), &["apply", "health", "prepare"], &[]);
    assert_eq!(FileName::of("docs/x.rhai"), None);
    assert_eq!(FileName::of("features/x.txt"), None);
    assert_eq!(FileName::of("features/a/b.rhai"), None);
}

#[test]
fn hovers_tell_what_tables_and_comments_say() {
    let desk = Desk::new();
    let tells = |body: &str, words: &[&str]| {
        let text = desk.hover(body).unwrap_or_else(|| panic!("nothing is told of {body}"));
        for word in words {
            assert!(text.contains(word), "`{word}` of {body} in\n{text}");
        }
    };
    tells(
        "guest.fi§le(\"/x\", #{});",
        &["guest.file(path, #{ ... }) -> change", "**Options**", "`content`", "**Example**"],
    );
    tells("guest.file§(\"/x\", #{});", &["guest.file("]);
    tells("guest.file(\"/x\", #{ mo§de: \"0644\" });", &["permission bits"]);
    tells("info(params.po§rt);", &["params.port", "where it listens", "`80` if not given"]);
    tells("tools::wo§rk(guest, 1);", &["tools::work(guest, port)", "Does the work.\nAll of it."]);
    tells("§tools::work(guest, 1);", &["Tools of all kinds."]);
    tells("artifact(\"other/na§me\");", &["published by `other`"]);
    tells("gu§est.file(\"/x\", #{});", &["guest: guest"]);
    tells("let ran = guest.exec([\"x\"]);\n    info(r§an);", &["ran: output"]);
    tells("sec§tion(\"x\");", &["Begins a labelled part"]);
    tells("const FEATURE = #{ nee§ds: [\"other\"] };", &["they run before"]);
    tells("const FEATURE = #{ needs: [\"ot§her\"] };", &["The other", "What others need."]);
    assert_eq!(desk.hover("// guest.fi§le"), None);
    assert_eq!(desk.hover("  §  "), None);
    assert_eq!(desk.hover("info(\"gu§est\");"), None);
}

#[test]
fn definitions_are_found_in_the_file_and_around_it() {
    let desk = Desk::new();
    let of = |body: &str| desk.definition(body).unwrap_or_else(|| panic!("nothing is declared by {body}"));
    let here = |text: &str| ("here".to_owned(), text.to_owned());
    assert_eq!(of("ow§n(1);"), here("20: own"));
    assert_eq!(of("tools::wo§rk(guest, 1);"), ("features/lib/tools.rhai".to_owned(), "5: work".to_owned()));
    assert_eq!(of("to§ols::work(guest, 1);"), ("features/lib/tools.rhai".to_owned(), "1: ".to_owned()));
    assert_eq!(of("info(params.po§rt);"), here("10: port"));
    assert_eq!(of("info(global::HO§ME);"), here("14: HOME"));
    assert_eq!(of("let a = 1;\n    let a = 2;\n    info(§a);"), here("18: a"));
    assert_eq!(of("gue§st.dir(\"/x\");"), here("16: guest"));
    assert_eq!(of("artifact(\"other/n§ame\");"), ("features/other.rhai".to_owned(), "3: \"other/name\"".to_owned()));
    assert_eq!(of("asset(\"site§.conf\");"), ("features/x/site.conf".to_owned(), "1: ".to_owned()));
    assert_eq!(of("guest.has_feature(\"oth§er\");"), ("features/other.rhai".to_owned(), "1: ".to_owned()));
    assert_eq!(desk.definition("guest.fi§le(\"/x\", #{});"), None);
    assert_eq!(desk.definition("tools::hidd§en2();"), None);
    assert!(desk.dir.path().exists());
}

#[test]
fn calls_are_helped_with() {
    let desk = Desk::new();
    let help = |body: &str| {
        let text = format!("{HEAD}\nfn apply(guest, params) {{\n    {body}\n}}\n\nfn own(a, b) {{ }}\n");
        desk.ask("features/x.rhai", &text, |sheet, at| sheet.call_help(at)).map(|help| {
            let at = help.parameters.get(help.active).map_or("", |(at, _)| &help.label[at.clone()]).to_owned();
            (help.label, at)
        })
    };
    let file = "guest.file(path, #{ ... })".to_owned();
    assert_eq!(help("guest.file(§"), Some((file.clone(), "path".to_owned())));
    assert_eq!(help("guest.file(\"/x\", §)"), Some((file.clone(), "#{ ... }".to_owned())));
    assert_eq!(help("guest.file(\"/x\", #{ mode: §"), Some((file, "#{ ... }".to_owned())));
    assert_eq!(help("own(f(1, 2), §"), Some(("own(a, b)".to_owned(), "b".to_owned())));
    assert_eq!(help("§"), None);
}

/// Cut off anywhere, and asked anywhere near the end: something is answered, and nothing panics.
#[test]
fn shipped_scripts_may_be_cut_off_anywhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let library = Library::load(&Roots::only(root)).0;
    let mut asked = 0;
    for folder in ["features", "apps", "features/lib"] {
        for entry in std::fs::read_dir(root.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            let relative = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            let Some(file) = FileName::of(&relative) else { continue };
            let text = std::fs::read_to_string(&path).unwrap();
            for end in (0..text.len()).step_by(1999).filter(|end| text.is_char_boundary(*end)) {
                let sheet = Sheet::new(&library, file.clone(), &text[..end]);
                sheet.outline();
                for at in [end, end.saturating_sub(1), end / 2].into_iter().filter(|at| text.is_char_boundary(*at)) {
                    sheet.complete(at);
                    sheet.hover(at);
                    sheet.definition(at);
                    sheet.call_help(at);
                    asked += 1;
                }
            }
        }
    }
    assert!(asked > 50, "only {asked} questions");
    for odd in [
        "",
        "\u{feff}",
        "}}}}",
        "((((",
        "`${`${`${",
        "#{#{#{",
        "....",
        "::::",
        "\"",
        "fn",
        "fn (",
        "const",
        "𝄞.𝄞",
        "import \"",
        "/*",
    ] {
        let sheet = Sheet::new(&library, FileName::of("features/x.rhai").unwrap(), odd);
        sheet.outline();
        for at in (0..=odd.len()).filter(|at| odd.is_char_boundary(*at)) {
            sheet.complete(at);
            sheet.hover(at);
            sheet.definition(at);
            sheet.call_help(at);
        }
    }
    let deep = format!("fn apply(guest, params) {{ guest{}", ".a".repeat(50_000));
    Sheet::new(&library, FileName::of("features/x.rhai").unwrap(), &deep).complete(deep.len());
}
