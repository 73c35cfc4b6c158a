//! A language server for scripts: what [`crate::script::edit`] knows, spoken over the Language Server Protocol.
//!
//! One message after the other is answered on the thread of the caller; another thread only reads, so that what is wrong
//! is told once nobody types any more. Nothing is remembered but the texts that are open: with every change the scripts
//! are read anew, which takes a few milliseconds.
//!
//! | file | what |
//! |---|---|
//! | `wire` | messages in frames, also broken ones |
//! | `position` | bytes of a text, and lines and characters of the protocol |
//! | `documents` | texts that are open, the scripts around them, and what is wrong with them |
//! | `answers` | requests and their answers |

mod answers;
mod documents;
mod position;
mod wire;

use std::io::{BufReader, Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, channel};

use lsp_server::{ErrorCode, Message, Notification, Request, RequestId, Response};
use lsp_types::{
    DidChangeTextDocumentParams, DidCloseTextDocumentParams, DidOpenTextDocumentParams, InitializeParams,
    PositionEncodingKind,
};
use serde_json::{Value, json};

use documents::Documents;
use position::Encoding;
use wire::Received;

/// How a conversation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The editor took its leave: `shutdown`, then `exit`.
    Orderly,
    /// It left without, or what came is no protocol.
    Abruptly,
}

/// Speaks with one editor until it leaves. `scripts`: the directory that is searched after the one a file is in.
///
/// # Errors
/// When nothing can be written.
pub fn serve(
    input: impl Read + Send + 'static,
    output: impl Write,
    scripts: Option<PathBuf>,
) -> std::io::Result<Ended> {
    let (sender, received) = channel();
    std::thread::spawn(move || {
        let mut input = BufReader::new(input);
        loop {
            let one = wire::read(&mut input);
            let last = !matches!(one, Received::Message(_) | Received::Malformed(_));
            if sender.send(one).is_err() || last {
                return;
            }
        }
    });
    Server { output, state: State::Fresh, encoding: Encoding::Utf16, documents: Documents::new(scripts) }
        .converse(&received)
}

/// How far the conversation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nobody has introduced themselves.
    Fresh,
    Working,
    /// `shutdown` was asked for.
    Leaving,
}

struct Server<W> {
    output: W,
    state: State,
    encoding: Encoding,
    documents: Documents,
}

impl<W: Write> Server<W> {
    fn converse(&mut self, received: &Receiver<Received>) -> std::io::Result<Ended> {
        let abruptly = |state| if state == State::Leaving { Ended::Orderly } else { Ended::Abruptly };
        loop {
            // What is wrong is told when there is nothing else to do.
            let next = match received.try_recv() {
                Ok(next) => Ok(next),
                Err(_) => {
                    self.tell_findings()?;
                    received.recv()
                }
            };
            match next {
                Ok(Received::Message(Message::Notification(told))) if told.method == "exit" => {
                    return Ok(abruptly(self.state));
                }
                Ok(Received::Message(Message::Request(request))) => {
                    let response = self.answer(request);
                    self.send(Message::Response(response))?;
                }
                Ok(Received::Message(Message::Notification(told))) => self.told(told),
                // Nothing was asked.
                Ok(Received::Message(Message::Response(_))) => {}
                Ok(Received::Malformed(problem)) => wire::refuse(&mut self.output, &problem)?,
                Ok(Received::Garbage(problem)) => {
                    wire::refuse(&mut self.output, &problem)?;
                    return Ok(Ended::Abruptly);
                }
                Ok(Received::End) | Err(_) => return Ok(abruptly(self.state)),
            }
        }
    }

    fn send(&mut self, message: Message) -> std::io::Result<()> {
        message.write(&mut self.output)
    }

    fn answer(&mut self, request: Request) -> Response {
        let Request { id, method, params } = request;
        let refuse = |code: ErrorCode, problem: &str| Response::new_err(id.clone(), code as i32, problem.to_owned());
        match (self.state, method.as_str()) {
            (State::Fresh, "initialize") => self.introduced(id, params),
            (State::Fresh, _) => refuse(ErrorCode::ServerNotInitialized, "`initialize` comes first"),
            (_, "initialize") => refuse(ErrorCode::InvalidRequest, "`initialize` came already"),
            (State::Leaving, _) => refuse(ErrorCode::InvalidRequest, "after `shutdown` comes `exit`"),
            (State::Working, "shutdown") => {
                self.state = State::Leaving;
                Response::new_ok(id, Value::Null)
            }
            (State::Working, _) => {
                let encoding = self.encoding;
                let documents = &mut self.documents;
                let answered = catch_unwind(AssertUnwindSafe(|| answers::answer(documents, encoding, &method, params)));
                match answered {
                    Ok(Some(Ok(answer))) => Response::new_ok(id, answer),
                    Ok(Some(Err(problem))) => refuse(ErrorCode::InvalidParams, &problem),
                    Ok(None) => refuse(ErrorCode::MethodNotFound, &format!("`{method}` is not known here")),
                    Err(_) => refuse(ErrorCode::InternalError, "this server made a mistake"),
                }
            }
        }
    }

    fn introduced(&mut self, id: RequestId, params: Value) -> Response {
        let params: InitializeParams = match serde_json::from_value(params) {
            Ok(params) => params,
            Err(problem) => return Response::new_err(id, ErrorCode::InvalidParams as i32, problem.to_string()),
        };
        let offered = params.capabilities.general.and_then(|general| general.position_encodings).unwrap_or_default();
        if offered.contains(&PositionEncodingKind::UTF8) {
            self.encoding = Encoding::Utf8;
        }
        self.state = State::Working;
        Response::new_ok(id, answers::capabilities(self.encoding))
    }

    fn told(&mut self, told: Notification) {
        if self.state != State::Working {
            return;
        }
        let Notification { method, params } = told;
        match method.as_str() {
            "textDocument/didOpen" => {
                if let Ok(told) = serde_json::from_value::<DidOpenTextDocumentParams>(params) {
                    self.documents.open(told.text_document.uri, told.text_document.version, told.text_document.text);
                }
            }
            "textDocument/didChange" => {
                if let Ok(told) = serde_json::from_value::<DidChangeTextDocumentParams>(params)
                    && let Some(change) = told.content_changes.into_iter().next_back()
                {
                    // Whole texts were asked for.
                    self.documents.open(told.text_document.uri, told.text_document.version, change.text);
                }
            }
            "textDocument/didClose" => {
                if let Ok(told) = serde_json::from_value::<DidCloseTextDocumentParams>(params) {
                    self.documents.close(&told.text_document.uri);
                }
            }
            "textDocument/didSave" | "workspace/didChangeWatchedFiles" => self.documents.read_anew(),
            _ => {}
        }
    }

    /// Tells what is wrong with the texts that are open, where it differs from what was told last.
    fn tell_findings(&mut self) -> std::io::Result<()> {
        let encoding = self.encoding;
        let documents = &mut self.documents;
        // What cannot be looked at now may be with the next change.
        let told = catch_unwind(AssertUnwindSafe(|| documents.news(encoding))).unwrap_or_default();
        for params in told {
            let method = "textDocument/publishDiagnostics".to_owned();
            self.send(Message::Notification(Notification { method, params: json!(params) }))?;
        }
        Ok(())
    }
}
