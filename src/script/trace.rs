//! Places of scripts drawn as text: the line, a mark below it, and how the script got there.

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use crate::finding::{Finding, Place, Severity};

/// A place without colours, with notes below it.
pub(crate) fn draw(place: &Place, notes: &[String]) -> String {
    let snippet = Snippet::source(place.source.text.as_str())
        .path(place.source.path.as_str())
        .annotation(AnnotationKind::Primary.span(place.span.clone()));
    let notes = notes.iter().map(|note| Level::NOTE.no_name().message(note.as_str()));
    let group = Group::with_level(Level::ERROR).element(snippet).elements(notes);
    Renderer::plain().render(&[group]).to_string()
}

/// A finding without colours: message, place, hint.
pub(crate) fn finding(finding: &Finding) -> String {
    let level = match finding.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let title = format!("{} [{}]", finding.message, finding.code);
    let mut group = level.primary_title(title.as_str()).elements(finding.place.iter().map(|place| {
        Snippet::source(place.source.text.as_str())
            .path(place.source.path.as_str())
            .annotation(AnnotationKind::Primary.span(place.span.clone()))
    }));
    if let Some(hint) = &finding.hint {
        group = group.element(Level::HELP.message(hint.as_str()));
    }
    Renderer::plain().render(&[group]).to_string()
}
