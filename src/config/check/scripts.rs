//! Features and apps as their scripts declare them: do they exist, fit the guest, have what they need.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use crate::config::guest::Draft;
use crate::finding::{Finding, Place, Severity, did_you_mean};
use crate::model::{Catalogue, GuestId, GuestKind, ScriptKind, ScriptSpec, Site, Target, params};

/// A finding that is an error only for requests that reach one of its guests.
#[derive(Debug)]
pub struct Conditional {
    /// Its number among the findings.
    pub finding: usize,
    /// The finding as it stands for everybody, until it is put among the others.
    pub warning: Option<Finding>,
    /// The guests, and where each of them names the script.
    pub guests: Vec<(GuestId, Place)>,
}

impl Conditional {
    /// The finding for a request: an error where the first of the requested guests names the script.
    pub fn for_guests(&self, finding: &Finding, requested: &[GuestId]) -> Finding {
        let place = self.guests.iter().find(|(id, _)| requested.contains(id)).map(|(_, place)| place.clone());
        Finding { severity: Severity::Error, place, ..finding.clone() }
    }
}

/// Checks all guests. Scripts that do not exist, or not for this kind of guest, are returned; everything else is
/// reported.
pub fn check(site: &Site, drafts: &[Draft], catalogue: &Catalogue) -> Vec<Conditional> {
    let publishers = publishers(site, catalogue);
    let mut unusable: BTreeMap<(ScriptKind, String, bool), Conditional> = BTreeMap::new();
    for draft in drafts {
        unused_parameters(draft);
        for (kind, name, span) in scripts(draft) {
            let spec = catalogue.get(kind, &name);
            match spec.filter(|spec| spec.targets.contains(&target(draft.guest.kind))) {
                Some(spec) => {
                    needs(site, draft, spec, span.clone());
                    artifacts(draft, spec, span.clone(), &publishers);
                    parameters(draft, spec, catalogue, span);
                }
                None => {
                    let one = unusable.entry((kind, name.clone(), spec.is_some())).or_insert_with(|| Conditional {
                        finding: 0,
                        warning: Some(unusable_script(kind, &name, spec, draft.guest.kind, catalogue)),
                        guests: Vec::new(),
                    });
                    let place = Place { source: std::sync::Arc::clone(&draft.fields.file.source), span };
                    one.guests.push((draft.guest.id, place));
                }
            }
        }
    }
    let mut unusable: Vec<Conditional> = unusable.into_values().collect();
    for (number, one) in unusable.iter_mut().enumerate() {
        one.finding = number;
        let ids: Vec<String> = one.guests.iter().map(|(id, _)| id.to_string()).collect();
        if let Some(warning) = &mut one.warning {
            warning.place = one.guests.first().map(|(_, place)| place.clone());
            let advice = warning.hint.take().map(|hint| format!("{hint} ")).unwrap_or_default();
            let guests = if ids.len() == 1 { "guest" } else { "guests" };
            warning.hint = Some(format!("{advice}({guests} {})", ids.join(", ")));
        }
    }
    unusable
}

/// The scripts a guest names, with their places; a feature that follows from `portainer_role` is named there.
fn scripts(draft: &Draft) -> Vec<(ScriptKind, String, Range<usize>)> {
    let items = draft.fields.value.get("features").map(|list| list.items()).unwrap_or_default();
    let features = draft.guest.features.iter().map(|name| {
        let item = items.iter().find(|item| item.text() == Some(name));
        let span = item.map_or_else(|| draft.span("portainer_role"), |item| item.span.clone());
        (ScriptKind::Feature, name.clone(), span)
    });
    let app = draft.guest.app.iter().map(|app| (ScriptKind::App, app.clone(), draft.span("application_script")));
    features.chain(app).collect()
}

const fn target(kind: GuestKind) -> Target {
    match kind {
        GuestKind::Lxc => Target::Lxc,
        GuestKind::Vm => Target::Vm,
    }
}

const fn word(kind: ScriptKind) -> &'static str {
    match kind {
        ScriptKind::Feature => "feature",
        ScriptKind::App => "app",
    }
}

fn unusable_script(
    kind: ScriptKind,
    name: &str,
    spec: Option<&ScriptSpec>,
    guest: GuestKind,
    catalogue: &Catalogue,
) -> Finding {
    let word = word(kind);
    if spec.is_some() {
        return Finding::warning("wrong-target", format!("the {word} `{name}` does not run in a {}", guest.noun()));
    }
    let known = match kind {
        ScriptKind::Feature => &catalogue.features,
        ScriptKind::App => &catalogue.apps,
    };
    let mut finding = Finding::warning("unknown-script", format!("there is no {word} `{name}`"));
    finding.hint = did_you_mean(name, known.keys().map(String::as_str)).map(|near| format!("did you mean `{near}`?"));
    finding
}

/// The features a script needs are on the guest or on one it is cloned from.
fn needs(site: &Site, draft: &Draft, spec: &ScriptSpec, span: Range<usize>) {
    for needed in spec.needs.iter().filter(|needed| !site.has_feature(draft.guest.id, needed)) {
        let message = format!("`{}` needs the feature `{needed}`", spec.name);
        let finding = Finding::error("missing-feature", message)
            .hint(format!("add \"{needed}\" to the features of this guest or of one it is cloned from"));
        draft.fields.file.report(finding, span.clone());
    }
}

/// Parameters that the script does not know, misses or cannot use.
fn parameters(draft: &Draft, spec: &ScriptSpec, catalogue: &Catalogue, span: Range<usize>) {
    let file = draft.fields.file;
    let given = draft.fields.value.at("params").and_then(|params| params.member(&spec.name));
    let Err(problems) = params::of_guest(spec, &draft.guest, catalogue) else { return };
    for problem in problems {
        let mut finding = Finding::error("bad-parameter", problem.message);
        let near = || did_you_mean(&problem.name, spec.params.keys().map(String::as_str));
        finding.hint = match near().filter(|_| problem.given && !spec.params.contains_key(&problem.name)) {
            Some(near) => Some(format!("did you mean `{near}`?")),
            None => problem.hint,
        };
        let member = given.and_then(|given| given.value.member(&problem.name));
        let place = match (member, given) {
            (Some(member), _) if !spec.params.contains_key(&problem.name) => member.key_span.clone(),
            (Some(member), _) => member.value.span.clone(),
            (None, Some(given)) => given.key_span.clone(),
            (None, None) => span.clone(),
        };
        file.report(finding, place);
    }
}

/// Parameters for a script that the guest does not have.
fn unused_parameters(draft: &Draft) {
    let names: Vec<String> = scripts(draft).into_iter().map(|(_, name, _)| name).collect();
    for member in draft.fields.value.at("params").map(|params| params.members()).unwrap_or_default() {
        if !names.contains(&member.key) && member.key != "comment" {
            let mut finding =
                Finding::error("unknown-script", format!("this guest has no feature or app `{}`", member.key));
            let near = did_you_mean(&member.key, names.iter().map(String::as_str));
            finding.hint = near.map(|near| format!("did you mean `{near}`?"));
            draft.fields.file.report(finding, member.key_span.clone());
        }
    }
}

/// The guests whose scripts publish an artifact.
fn publishers(site: &Site, catalogue: &Catalogue) -> HashMap<String, Vec<GuestId>> {
    let mut publishers: HashMap<String, Vec<GuestId>> = HashMap::new();
    for guest in site.guests.values() {
        let features = guest.features.iter().filter_map(|name| catalogue.get(ScriptKind::Feature, name));
        let app = guest.app.iter().filter_map(|name| catalogue.get(ScriptKind::App, name));
        for name in features.chain(app).flat_map(|spec| &spec.publishes) {
            publishers.entry(name.clone()).or_default().push(guest.id);
        }
    }
    publishers
}

/// Somebody publishes what a script reads: the guest then depends on the publisher.
fn artifacts(draft: &Draft, spec: &ScriptSpec, span: Range<usize>, publishers: &HashMap<String, Vec<GuestId>>) {
    let orphan = |name: &&String| publishers.get(*name).is_none_or(|ids| ids.iter().all(|id| *id == draft.guest.id));
    let missing: Vec<String> = spec.consumes.iter().filter(orphan).map(|name| format!("`{name}`")).collect();
    if !missing.is_empty() {
        let message = format!("`{}` reads {}, which no guest publishes", spec.name, missing.join(", "));
        let finding = Finding::error("missing-artifact", message)
            .hint("declare a guest with the feature that publishes it (`phoenix feature list` tells which)");
        draft.fields.file.report(finding, span);
    }
}
