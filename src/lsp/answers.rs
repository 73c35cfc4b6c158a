//! Requests and their answers.

use lsp_types::{
    CompletionItem, CompletionItemKind, CompletionOptions, CompletionTextEdit, DocumentSymbol, DocumentSymbolParams,
    Documentation, HoverContents, HoverProviderCapability, Location, MarkupContent, MarkupKind, OneOf,
    ParameterInformation, ParameterLabel, ServerCapabilities, ServerInfo, SignatureHelp, SignatureHelpOptions,
    SignatureInformation, SymbolKind, TextDocumentPositionParams, TextDocumentSyncCapability, TextDocumentSyncKind,
    TextDocumentSyncOptions, TextDocumentSyncSaveOptions, TextEdit,
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::documents::{Document, Documents, location};
use super::position::Encoding;
use crate::script::edit::{self, Completion, CompletionKind, Sheet, Target};

/// What this server can do.
pub(super) fn capabilities(encoding: Encoding) -> Value {
    let triggers = [".", ":", "\""].map(str::to_owned).to_vec();
    let capabilities = ServerCapabilities {
        position_encoding: Some(encoding.kind()),
        text_document_sync: Some(TextDocumentSyncCapability::Options(TextDocumentSyncOptions {
            open_close: Some(true),
            change: Some(TextDocumentSyncKind::FULL),
            save: Some(TextDocumentSyncSaveOptions::Supported(true)),
            ..TextDocumentSyncOptions::default()
        })),
        completion_provider: Some(CompletionOptions {
            trigger_characters: Some(triggers),
            ..CompletionOptions::default()
        }),
        hover_provider: Some(HoverProviderCapability::Simple(true)),
        definition_provider: Some(OneOf::Left(true)),
        document_symbol_provider: Some(OneOf::Left(true)),
        signature_help_provider: Some(SignatureHelpOptions {
            trigger_characters: Some(vec!["(".to_owned(), ",".to_owned()]),
            ..SignatureHelpOptions::default()
        }),
        ..ServerCapabilities::default()
    };
    let version = Some(env!("CARGO_PKG_VERSION").to_owned());
    json!({ "capabilities": capabilities, "serverInfo": ServerInfo { name: "phoenix".to_owned(), version } })
}

/// The answer to a request; nothing where the method is not known.
pub(super) fn answer(
    documents: &mut Documents,
    encoding: Encoding,
    method: &str,
    params: Value,
) -> Option<Result<Value, String>> {
    let mut at = |answer: fn(&Sheet, &Place) -> Value| at_position(documents, encoding, params.clone(), answer);
    Some(match method {
        "textDocument/completion" => at(completion),
        "textDocument/hover" => at(hover),
        "textDocument/definition" => at(definition),
        "textDocument/signatureHelp" => at(signature_help),
        "textDocument/documentSymbol" => read(params).map(|params: DocumentSymbolParams| {
            let uri = params.text_document.uri;
            let Some((document, library, file)) = documents.get(&uri) else { return Value::Null };
            let sheet = Sheet::new(library, file.clone(), &document.text);
            json!(sheet.outline().iter().map(|one| symbol(one, document, encoding)).collect::<Vec<_>>())
        }),
        _ => return None,
    })
}

fn read<P: DeserializeOwned>(params: Value) -> Result<P, String> {
    serde_json::from_value(params).map_err(|problem| problem.to_string())
}

/// Where in which document something is asked.
struct Place<'a> {
    document: &'a Document,
    uri: &'a lsp_types::Uri,
    encoding: Encoding,
    offset: usize,
}

/// Answers about a position; nothing is known of texts that are no scripts.
fn at_position(
    documents: &mut Documents,
    encoding: Encoding,
    params: Value,
    answer: fn(&Sheet, &Place) -> Value,
) -> Result<Value, String> {
    let params: TextDocumentPositionParams = read(params)?;
    let uri = &params.text_document.uri;
    let Some((document, library, file)) = documents.get(uri) else { return Ok(Value::Null) };
    let offset = encoding.offset(&document.text, params.position);
    let sheet = Sheet::new(library, file.clone(), &document.text);
    Ok(answer(&sheet, &Place { document, uri, encoding, offset }))
}

fn markdown(value: &str) -> MarkupContent {
    MarkupContent { kind: MarkupKind::Markdown, value: value.to_owned() }
}

fn completion(sheet: &Sheet, at: &Place) -> Value {
    json!(sheet.complete(at.offset).iter().map(|one| item(one, at)).collect::<Vec<_>>())
}

fn item(completion: &Completion, at: &Place) -> CompletionItem {
    let Completion { label, kind, detail, doc, span, insert } = completion;
    let kind = match kind {
        CompletionKind::Method => CompletionItemKind::METHOD,
        CompletionKind::Property => CompletionItemKind::PROPERTY,
        CompletionKind::Function => CompletionItemKind::FUNCTION,
        CompletionKind::Variable => CompletionItemKind::VARIABLE,
        CompletionKind::Constant => CompletionItemKind::CONSTANT,
        CompletionKind::Module => CompletionItemKind::MODULE,
        CompletionKind::Key => CompletionItemKind::FIELD,
        CompletionKind::Keyword => CompletionItemKind::KEYWORD,
        CompletionKind::Value => CompletionItemKind::VALUE,
        CompletionKind::File => CompletionItemKind::FILE,
    };
    let range = at.encoding.range(&at.document.text, span);
    let new_text = insert.as_ref().unwrap_or(label).clone();
    CompletionItem {
        label: label.clone(),
        kind: Some(kind),
        detail: (!detail.is_empty()).then(|| detail.clone()),
        documentation: (!doc.is_empty()).then(|| Documentation::MarkupContent(markdown(doc))),
        text_edit: Some(CompletionTextEdit::Edit(TextEdit { range, new_text })),
        ..CompletionItem::default()
    }
}

fn hover(sheet: &Sheet, at: &Place) -> Value {
    json!(sheet.hover(at.offset).map(|hover| lsp_types::Hover {
        contents: HoverContents::Markup(markdown(&hover.text)),
        range: Some(at.encoding.range(&at.document.text, &hover.span)),
    }))
}

fn definition(sheet: &Sheet, at: &Place) -> Value {
    json!(sheet.definition(at.offset).and_then(|target| match target {
        Target::Here(span) =>
            Some(Location { uri: at.uri.clone(), range: at.encoding.range(&at.document.text, &span) }),
        Target::There(place) => location(&place.source, &place.span, at.encoding),
    }))
}

fn signature_help(sheet: &Sheet, at: &Place) -> Value {
    json!(sheet.call_help(at.offset).map(|help| {
        // Offsets in labels are counted in UTF-16 always; ours are ASCII.
        let offsets =
            |span: &std::ops::Range<usize>| ParameterLabel::LabelOffsets([span.start as u32, span.end as u32]);
        let parameters = help.parameters.iter().map(|(span, doc)| ParameterInformation {
            label: offsets(span),
            documentation: (!doc.is_empty()).then(|| Documentation::MarkupContent(markdown(doc))),
        });
        SignatureHelp {
            signatures: vec![SignatureInformation {
                label: help.label.clone(),
                documentation: (!help.doc.is_empty()).then(|| Documentation::MarkupContent(markdown(&help.doc))),
                parameters: Some(parameters.collect()),
                active_parameter: Some(help.active as u32),
            }],
            active_signature: Some(0),
            active_parameter: Some(help.active as u32),
        }
    }))
}

#[allow(deprecated, reason = "a field of the protocol's old versions has to be filled in")]
fn symbol(symbol: &edit::Symbol, document: &Document, encoding: Encoding) -> DocumentSymbol {
    DocumentSymbol {
        name: symbol.name.clone(),
        detail: None,
        kind: match symbol.kind {
            edit::SymbolKind::Function => SymbolKind::FUNCTION,
            edit::SymbolKind::Constant => SymbolKind::CONSTANT,
            edit::SymbolKind::Module => SymbolKind::MODULE,
        },
        tags: None,
        deprecated: None,
        range: encoding.range(&document.text, &symbol.span),
        selection_range: encoding.range(&document.text, &symbol.at),
        children: None,
    }
}
