//! `phoenix lsp` over its protocol: the real program, spoken to through pipes.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// Longer nobody waits, on however busy a machine.
const PATIENCE: Duration = Duration::from_secs(60);

const SCRIPT: &str = r##"import "lib/tools" as tools;

const FEATURE = #{
    name: "x",
    summary: "s",
    targets: ["lxc"],
    params: #{ port: #{ type: "port", fallback: 80, doc: "where it listens" } },
};

fn apply(guest, params) {
    guest.file("/x", #{ content: `ü𝄞 ${params.port}`, mdoe: "0644" });
    tools::work(guest);
}
"##;

/// An editor with a checkout of its own.
struct Editor {
    child: Child,
    input: Option<ChildStdin>,
    received: Receiver<Value>,
    waiting: VecDeque<Value>,
    dir: tempfile::TempDir,
    last: i64,
}

impl Editor {
    /// Starts the program and writes a feature and its module.
    fn start() -> Editor {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("features/lib")).unwrap();
        std::fs::write(dir.path().join("features/x.rhai"), SCRIPT).unwrap();
        std::fs::write(
            dir.path().join("features/lib/tools.rhai"),
            "/// Works.\nfn work(guest) {\n    guest.dir(\"/x\");\n}\n",
        )
        .unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_phoenix"))
            .arg("lsp")
            .env_clear()
            .env("HOME", dir.path())
            .current_dir(std::env::temp_dir())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let (sender, received) = channel();
        std::thread::spawn(move || {
            loop {
                let mut length = None;
                loop {
                    let mut line = String::new();
                    if output.read_line(&mut line).unwrap_or(0) == 0 {
                        return;
                    }
                    match line.trim_end() {
                        "" => break,
                        line => length = line.strip_prefix("Content-Length: ").map(|n| n.parse().unwrap()),
                    }
                }
                let mut body = vec![0; length.expect("every frame has its length")];
                output.read_exact(&mut body).unwrap();
                if sender.send(serde_json::from_slice(&body).unwrap()).is_err() {
                    return;
                }
            }
        });
        let input = child.stdin.take();
        Editor { child, input, received, waiting: VecDeque::new(), dir, last: 0 }
    }

    /// Starts it and introduces itself.
    fn introduced(encodings: &[&str]) -> Editor {
        let mut editor = Editor::start();
        let answer =
            editor.ask("initialize", json!({ "capabilities": { "general": { "positionEncodings": encodings } } }));
        let chosen = if encodings.contains(&"utf-8") { "utf-8" } else { "utf-16" };
        assert_eq!(answer["result"]["capabilities"]["positionEncoding"], chosen);
        editor.tell("initialized", json!({}));
        editor
    }

    fn write(&mut self, bytes: &[u8]) {
        let input = self.input.as_mut().unwrap();
        input.write_all(bytes).unwrap();
        input.flush().unwrap();
    }

    fn send(&mut self, message: &Value) {
        let text = message.to_string();
        self.write(format!("Content-Length: {}\r\n\r\n{text}", text.len()).as_bytes());
    }

    fn tell(&mut self, method: &str, params: Value) {
        self.send(&json!({ "jsonrpc": "2.0", "method": method, "params": params }));
    }

    /// The next message that fits; others wait for their turn.
    #[track_caller]
    fn next(&mut self, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        if let Some(at) = self.waiting.iter().position(&fits) {
            return self.waiting.remove(at).unwrap();
        }
        let until = Instant::now() + PATIENCE;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let message = self.received.recv_timeout(left).unwrap_or_else(|_| panic!("{what} never came"));
            if fits(&message) {
                return message;
            }
            self.waiting.push_back(message);
        }
    }

    #[track_caller]
    fn ask(&mut self, method: &str, params: Value) -> Value {
        self.last += 1;
        let id = self.last;
        self.send(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }));
        self.next(method, |message| message["id"] == id)
    }

    fn uri(&self, path: &str) -> String {
        format!("file://{}", self.dir.path().canonicalize().unwrap().join(path).display())
    }

    fn open(&mut self, path: &str, text: &str) {
        let document = json!({ "uri": self.uri(path), "languageId": "rhai", "version": 1, "text": text });
        self.tell("textDocument/didOpen", json!({ "textDocument": document }));
    }

    fn change(&mut self, path: &str, version: i32, text: &str) {
        let document = json!({ "uri": self.uri(path), "version": version });
        let changes = json!([{ "text": text }]);
        self.tell("textDocument/didChange", json!({ "textDocument": document, "contentChanges": changes }));
    }

    /// What is wrong with a file, as it is told next.
    #[track_caller]
    fn findings(&mut self, path: &str) -> Vec<Value> {
        let uri = self.uri(path);
        let told = self.next(&format!("findings of {path}"), |message| {
            message["method"] == "textDocument/publishDiagnostics" && message["params"]["uri"] == uri.as_str()
        });
        told["params"]["diagnostics"].as_array().unwrap().clone()
    }

    /// Asks about a position of a file.
    #[track_caller]
    fn at(&mut self, method: &str, path: &str, line: u32, character: u32) -> Value {
        let uri = self.uri(path);
        let position = json!({ "line": line, "character": character });
        let answer = self
            .ask(&format!("textDocument/{method}"), json!({ "textDocument": { "uri": uri }, "position": position }));
        assert!(answer.get("error").is_none(), "{answer}");
        answer["result"].clone()
    }

    /// Waits for its end: exit code and what it complained of.
    fn ended(mut self) -> (Option<i32>, String) {
        drop(self.input.take());
        let until = Instant::now() + PATIENCE;
        while self.child.try_wait().unwrap().is_none() {
            assert!(Instant::now() < until, "it does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
        let mut complaints = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut complaints).unwrap();
        (self.child.wait().unwrap().code(), complaints)
    }
}

fn range(line: u32, from: u32, to: u32) -> Value {
    json!({ "start": { "line": line, "character": from }, "end": { "line": line, "character": to } })
}

fn labels(completions: &Value) -> Vec<&str> {
    completions.as_array().unwrap().iter().map(|item| item["label"].as_str().unwrap()).collect()
}

#[test]
fn a_session_from_the_first_mistake_to_the_last_word() {
    let mut editor = Editor::introduced(&[]);
    editor.open("features/x.rhai", SCRIPT);
    let found = editor.findings("features/x.rhai");
    assert_eq!(found.len(), 1, "{found:?}");
    // `ü` is one unit of UTF-16, `𝄞` two.
    let at = SCRIPT.lines().nth(10).unwrap().split("mdoe").next().unwrap().encode_utf16().count() as u32;
    assert_eq!(found[0]["range"], range(10, at, at + 4));
    assert_eq!((&found[0]["code"], &found[0]["severity"]), (&json!("unknown-option"), &json!(1)));
    assert_eq!(found[0]["message"], "`file` has no option `mdoe`\ndid you mean `mode`?");

    let hover = editor.at("hover", "features/x.rhai", 10, 11);
    assert!(hover["contents"]["value"].as_str().unwrap().contains("guest.file(path, #{ ... }) -> change"), "{hover}");
    assert_eq!(hover["range"], range(10, 10, 14));
    let definition = editor.at("definition", "features/x.rhai", 11, 12);
    assert_eq!(
        (&definition["uri"], &definition["range"]),
        (&json!(editor.uri("features/lib/tools.rhai")), &range(1, 3, 7))
    );
    let here = editor.at("definition", "features/x.rhai", 10, 48);
    assert_eq!((&here["uri"], &here["range"]), (&json!(editor.uri("features/x.rhai")), &range(6, 15, 19)));
    let uri = editor.uri("features/x.rhai");
    let symbols = editor.ask("textDocument/documentSymbol", json!({ "textDocument": { "uri": uri } }));
    let names: Vec<&str> =
        symbols["result"].as_array().unwrap().iter().map(|symbol| symbol["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["tools", "FEATURE", "apply(guest, params)"]);
    let help = editor.at("signatureHelp", "features/x.rhai", 10, 15);
    assert_eq!(help["signatures"][0]["label"], "guest.file(path, #{ ... })");

    // Half a word is no script, and completed all the same.
    let broken = SCRIPT.replace("mdoe: \"0644\" });", "mo");
    editor.change("features/x.rhai", 2, &broken);
    assert_eq!(editor.findings("features/x.rhai")[0]["code"], "syntax");
    let completions = editor.at("completion", "features/x.rhai", 10, at + 2);
    assert!(labels(&completions).contains(&"mode") && !labels(&completions).contains(&"content"), "{completions}");
    let mode = completions.as_array().unwrap().iter().find(|item| item["label"] == "mode").unwrap();
    assert_eq!(mode["textEdit"], json!({ "range": range(10, at, at + 2), "newText": "mode: " }));
    editor.change("features/x.rhai", 3, &SCRIPT.replace("mdoe: \"0644\" });", "mode: \"0644\" });\n    params."));
    editor.findings("features/x.rhai");
    assert_eq!(labels(&editor.at("completion", "features/x.rhai", 11, 11)), ["port"]);

    editor.change("features/x.rhai", 4, &SCRIPT.replace("mdoe", "mode"));
    assert_eq!(editor.findings("features/x.rhai"), [] as [Value; 0]);
    assert_eq!(editor.ask("shutdown", Value::Null)["result"], Value::Null);
    assert_eq!(editor.ask("textDocument/hover", json!({}))["error"]["code"], -32600, "after `shutdown` comes `exit`");
    editor.tell("exit", Value::Null);
    assert_eq!(editor.ended(), (Some(0), String::new()));
}

#[test]
fn texts_that_are_not_saved_count_for_other_files_too() {
    let mut editor = Editor::introduced(&["utf-8", "utf-16"]);
    let script = SCRIPT.replace("mdoe", "mode");
    editor.open("features/x.rhai", &script);
    assert_eq!(editor.findings("features/x.rhai"), [] as [Value; 0]);
    // The module loses its function, in the editor only.
    editor.open("features/lib/tools.rhai", "fn works(guest) {\n    guest.dir(\"/x\");\n}\n");
    let found = editor.findings("features/x.rhai");
    assert_eq!(
        found[0]["message"],
        "`".to_owned()
            + editor.dir.path().canonicalize().unwrap().to_str().unwrap()
            + "/features/lib/tools.rhai` has no function `work`\ndid you mean `tools::works`?"
    );
    assert_eq!(found[0]["range"], range(11, 11, 15));
    let uri = editor.uri("features/lib/tools.rhai");
    editor.tell("textDocument/didClose", json!({ "textDocument": { "uri": uri } }));
    assert_eq!(editor.findings("features/x.rhai"), [] as [Value; 0]);
    // Tests and models beside it; files that nobody wrote yet; columns in bytes.
    editor.open("features/x.test.rhai", "fn test_ü() { }\n");
    assert_eq!(editor.findings("features/x.test.rhai")[0]["severity"], 1);
    editor.open(
        "features/x.test.rhai",
        "fn test_x() {\n    let _ü = 1;\n    let g = guest(#{ pakages: [] });\n    g.apply(\"x\", #{ prot: 1 });\n}\n",
    );
    let codes: Vec<Value> =
        editor.findings("features/x.test.rhai").into_iter().map(|found| found["code"].clone()).collect();
    assert!(codes.contains(&json!("syntax")) || codes == ["unknown-option", "unknown-parameter"], "{codes:?}");
    editor.open("features/x.model.rhai", "const MODEL = #{ programs: [\"odd\"] };\n");
    assert_eq!(editor.findings("features/x.model.rhai")[0]["code"], "signature");
    editor.open("features/new.rhai", "fn apply(guest, params) { info(\"ü\", unknown); }\n");
    let found = editor.findings("features/new.rhai");
    assert_eq!(found[0]["range"], range(0, 37, 44), "{found:?}");
    // No script, no file: nothing is known, nothing is wrong.
    for uri in ["untitled:Untitled-1", "file:///nowhere/else.rhai", "file:///nowhere/features/else.rhai"] {
        let document = json!({ "uri": uri, "languageId": "rhai", "version": 1, "text": "guest." });
        editor.tell("textDocument/didOpen", json!({ "textDocument": document }));
        let params = json!({ "textDocument": { "uri": uri }, "position": { "line": 0, "character": 6 } });
        assert_eq!(editor.ask("textDocument/completion", params)["result"], Value::Null);
    }
}

#[test]
fn whatever_comes_is_answered_or_ends_it() {
    let mut editor = Editor::start();
    assert_eq!(editor.ask("textDocument/hover", json!({}))["error"]["code"], -32002, "`initialize` comes first");
    editor.tell("textDocument/didOpen", json!({}));
    editor.ask("initialize", json!({ "capabilities": {} }));
    assert_eq!(editor.ask("initialize", json!({ "capabilities": {} }))["error"]["code"], -32600);
    assert_eq!(editor.ask("textDocument/rename", json!({}))["error"]["code"], -32601);
    assert_eq!(editor.ask("textDocument/hover", json!({ "position": 1 }))["error"]["code"], -32602);
    editor.tell("textDocument/didChange", json!({ "nonsense": true }));
    editor.tell("$/cancelRequest", json!({ "id": 1 }));
    editor.send(&json!({ "jsonrpc": "2.0", "id": 99, "result": null }));
    // A change of what was never opened, and positions that are nowhere.
    editor.change("features/x.rhai", 7, SCRIPT);
    assert_eq!(editor.findings("features/x.rhai").len(), 1);
    assert_eq!(editor.at("hover", "features/x.rhai", 4_000_000_000, 4_000_000_000), Value::Null);
    // A frame without a message in it.
    editor.write(b"Content-Length: 7\r\n\r\nnothing");
    assert_eq!(
        editor.next("the refusal", |message| message["id"].is_null() && message.get("error").is_some())["error"]["code"],
        -32700
    );
    assert!(editor.at("hover", "features/x.rhai", 10, 11).is_object(), "and it goes on");
    editor.tell("exit", Value::Null);
    assert_eq!(editor.ended(), (Some(1), String::new()), "`exit` without `shutdown`");

    for garbage in [
        &b"\x00\xff\xfe\n\n"[..],
        b"Content-Length: 99999999999999999\r\n\r\n{}",
        b"Content-Length: x\r\n\r\n",
        b"\r\n",
    ] {
        let mut editor = Editor::introduced(&[]);
        editor.write(garbage);
        editor.next("the refusal", |message| message["error"]["code"] == -32700);
        assert_eq!(editor.ended(), (Some(1), String::new()));
    }
    // The editor is gone.
    assert_eq!(Editor::introduced(&[]).ended(), (Some(1), String::new()));
}

/// How long shipped scripts take, from a keystroke to what is wrong and to what fits.
#[test]
fn shipped_scripts_are_answered_at_once() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut slowest = (Duration::ZERO, PathBuf::new());
    let mut editor = Editor::introduced(&[]);
    for folder in ["features", "apps"] {
        let copy = editor.dir.path().join(folder);
        let copied = Command::new("cp").arg("-rT").arg(root.join(folder)).arg(&copy).status().unwrap();
        assert!(copied.success());
        for entry in std::fs::read_dir(&copy).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|suffix| suffix != "rhai") {
                continue;
            }
            let relative = path.strip_prefix(editor.dir.path()).unwrap().to_str().unwrap().to_owned();
            let text = std::fs::read_to_string(&path).unwrap();
            let began = Instant::now();
            editor.open(&relative, &text);
            editor.at("completion", &relative, 30, 4);
            let took = began.elapsed();
            editor.findings(&relative);
            if took > slowest.0 {
                slowest = (took, path);
            }
            let uri = editor.uri(&relative);
            editor.tell("textDocument/didClose", json!({ "textDocument": { "uri": uri } }));
        }
    }
    println!("language server: the slowest answer took {:?} ({})", slowest.0, slowest.1.display());
    assert!(slowest.0 < Duration::from_secs(5), "{slowest:?}");
}
