//! Findings in files, with the line itself.

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use crate::finding::{Finding, Severity};

/// All findings, errors last (nearest to the prompt), followed by a count. Empty when there are none.
pub fn render(findings: &[Finding], color: bool) -> String {
    let renderer = if color { Renderer::styled() } else { Renderer::plain() }.decor_style(DecorStyle::Ascii);
    let mut sorted: Vec<&Finding> = findings.iter().collect();
    sorted.sort_by_key(|finding| finding.severity);
    let mut text = String::new();
    for finding in &sorted {
        text.push_str(&renderer.render(&report(finding)));
        text.push_str("\n\n");
    }
    if !sorted.is_empty() {
        text.push_str(&count(findings));
        text.push('\n');
    }
    text
}

/// `2 errors, 1 warning`.
pub fn count(findings: &[Finding]) -> String {
    let of = |severity| findings.iter().filter(|finding| finding.severity == severity).count();
    let (errors, warnings) = (of(Severity::Error), of(Severity::Warning));
    let plural = |n: usize| if n == 1 { "" } else { "s" };
    match (errors, warnings) {
        (0, 0) => "no findings".to_owned(),
        (0, w) => format!("{w} warning{}", plural(w)),
        (e, 0) => format!("{e} error{}", plural(e)),
        (e, w) => format!("{e} error{}, {w} warning{}", plural(e), plural(w)),
    }
}

fn report(finding: &Finding) -> Vec<Group<'_>> {
    let level = match finding.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let mut group = Group::with_title(level.primary_title(finding.message.as_str()).id(finding.code));
    if let Some(place) = &finding.place {
        let mut snippet = Snippet::source(place.source.text.as_str())
            .path(place.source.path.as_str())
            .annotation(AnnotationKind::Primary.span(place.span.clone()));
        match &finding.related {
            Some((other, label)) if std::sync::Arc::ptr_eq(&other.source, &place.source) => {
                snippet = snippet.annotation(AnnotationKind::Context.span(other.span.clone()).label(label.as_str()));
                group = group.element(snippet);
            }
            Some((other, label)) => {
                group = group.element(snippet).element(
                    Snippet::source(other.source.text.as_str())
                        .path(other.source.path.as_str())
                        .annotation(AnnotationKind::Context.span(other.span.clone()).label(label.as_str())),
                );
            }
            None => group = group.element(snippet),
        }
    }
    if let Some(hint) = &finding.hint {
        group = group.element(Level::HELP.message(hint.as_str()));
    }
    vec![group]
}

/// A finding for programs: `{severity, code, message, file, line, column, end_line, end_column, hint}`.
pub fn json(finding: &Finding) -> serde_json::Value {
    let mut value = serde_json::json!({
        "severity": finding.severity,
        "code": finding.code,
        "message": finding.message,
    });
    if let Some(place) = &finding.place {
        let (line, column) = place.source.line_column(place.span.start);
        let (end_line, end_column) = place.source.line_column(place.span.end);
        value["file"] = place.source.path.clone().into();
        value["line"] = line.into();
        value["column"] = column.into();
        value["end_line"] = end_line.into();
        value["end_column"] = end_column.into();
    }
    if let Some(hint) = &finding.hint {
        value["hint"] = hint.clone().into();
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::Source;

    #[test]
    fn a_finding_shows_its_line_and_advice() {
        let source = Source::new("etc/lxc.json", "{\n  \"memry_mb\": 512\n}\n");
        let finding = Finding::error("unknown-field", "unknown field `memry_mb`")
            .at(&source, 4..14)
            .hint("did you mean `memory_mb`?");
        let text = render(&[finding], false);
        assert_eq!(
            text,
            "error[unknown-field]: unknown field `memry_mb`\n \
             --> etc/lxc.json:2:3\n  \
             |\n\
             2 |   \"memry_mb\": 512\n  \
             |   ^^^^^^^^^^\n  \
             |\n  \
             = help: did you mean `memory_mb`?\n\n\
             1 error\n"
        );
    }
}
