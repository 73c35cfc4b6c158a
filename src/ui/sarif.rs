//! Findings as SARIF 2.1.0, which code hosts and editors read.

use serde_json::{Value, json};

use crate::finding::{Finding, Severity};

/// The document. `rules`: code and meaning of every rule.
pub fn document(findings: &[Finding], rules: &[(&str, &str)]) -> Value {
    let rules: Vec<Value> =
        rules.iter().map(|(code, meaning)| json!({ "id": code, "shortDescription": { "text": meaning } })).collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": { "name": "phoenix", "version": env!("CARGO_PKG_VERSION"), "rules": rules } },
            "columnKind": "unicodeCodePoints",
            "results": findings.iter().map(result).collect::<Vec<_>>(),
        }],
    })
}

fn result(finding: &Finding) -> Value {
    let message = match &finding.hint {
        Some(hint) => format!("{} ({hint})", finding.message),
        None => finding.message.clone(),
    };
    let level = match finding.severity {
        Severity::Warning => "warning",
        Severity::Error => "error",
    };
    let mut result = json!({ "ruleId": finding.code, "level": level, "message": { "text": message } });
    if let Some(place) = &finding.place {
        let (line, column) = place.source.line_column(place.span.start);
        let (end_line, end_column) = place.source.line_column(place.span.end);
        let region = json!({ "startLine": line, "startColumn": column, "endLine": end_line, "endColumn": end_column });
        result["locations"] =
            json!([{ "physicalLocation": { "artifactLocation": { "uri": place.source.path }, "region": region } }]);
    }
    result
}
