//! Tests of plan.

use std::time::Instant;

use phoenix::config::{Dir, load};
use phoenix::model::{
    Boot, Catalogue, Guest, GuestId, GuestKind, Image, LxcNeeds, LxcSettings, Origin, RootDisk, ScriptKind, ScriptSpec,
    Site, Step, Target,
};
use phoenix::plan::{Edge, Graph, PlanError, Request, Rest, Verb, Wanted, Why, draw, make, order};
use phoenix::script::{Library, Roots};

pub fn id(number: u32) -> GuestId {
    number.try_into().unwrap()
}

fn ids(numbers: &[u32]) -> Vec<GuestId> {
    numbers.iter().copied().map(id).collect()
}

/// A container with next to nothing declared.
pub fn guest(number: u32) -> Guest {
    Guest {
        id: id(number),
        name: format!("guest{number}"),
        kind: GuestKind::Lxc,
        roles: Default::default(),
        node: None,
        tags: Default::default(),
        is_template: false,
        origin: Origin::Template("local:vztmpl/debian.tar.zst".into()),
        cores: 1,
        memory_mb: 512,
        swap_mb: None,
        root: RootDisk { storage: "tank".into(), size_gb: 8, ..RootDisk::default() },
        nics: Vec::new(),
        nameservers: Vec::new(),
        search_domain: None,
        options: Default::default(),
        boot: Boot { start_at_boot: true, ..Boot::default() },
        dependencies: Vec::new(),
        features: Vec::new(),
        app: None,
        params: Default::default(),
        firewall: Default::default(),
        volumes: Vec::new(),
        mounts: Vec::new(),
        snapshots: Default::default(),
        health_checks: Vec::new(),
        traefik_service: None,
        dns_records: Vec::new(),
        portainer_role: Default::default(),
        trigger_sync: false,
        lxc: LxcSettings { unprivileged: true, ..LxcSettings::default() },
        vm: Default::default(),
        config: serde_json::Value::Null,
    }
}

pub fn site(guests: impl IntoIterator<Item = Guest>) -> Site {
    Site { guests: guests.into_iter().map(|guest| (guest.id, guest)).collect(), ..Site::default() }
}

fn cloned(number: u32, source: u32, dependencies: &[u32]) -> Guest {
    let kind = if number >= 5000 { GuestKind::Vm } else { GuestKind::Lxc };
    Guest { kind, origin: Origin::Clone(id(source)), dependencies: ids(dependencies), ..guest(number) }
}

/// The shape of the reference installation under other numbers: 600 base, 503 certificate authority, 502 router,
/// 501 gateway, 6000 VM template, 5001 Portainer, 5002 Docker host, 601 and above guests with GPUs.
fn platform() -> Site {
    let image =
        Guest { kind: GuestKind::Vm, is_template: true, origin: Origin::Image(Image::default()), ..guest(6000) };
    let mut site = site([
        cloned(501, 600, &[503]),
        cloned(502, 600, &[503]),
        cloned(503, 600, &[]),
        cloned(551, 611, &[5002]),
        cloned(552, 611, &[5002]),
        guest(600),
        cloned(601, 600, &[5002]),
        cloned(610, 601, &[]),
        cloned(611, 601, &[]),
        cloned(612, 601, &[]),
        cloned(614, 601, &[5002]),
        cloned(617, 601, &[5002]),
        image,
        cloned(5001, 6000, &[502]),
        cloned(5002, 6000, &[5001]),
    ]);
    let features = [(600, "base_setup"), (503, "step_ca"), (502, "trusted_ca"), (502, "traefik"), (501, "trusted_ca")];
    for (number, feature) in features {
        site.guests.get_mut(&id(number)).unwrap().features.push(feature.into());
    }
    let boot = [(600, 1), (601, 1), (610, 1), (611, 1), (612, 1), (503, 2), (501, 3), (502, 4)];
    for (number, order) in boot.into_iter().chain([551, 552, 614, 617].map(|number| (number, 9))) {
        site.guests.get_mut(&id(number)).unwrap().boot.order = Some(order);
    }
    site
}

fn script(kind: ScriptKind, name: &str) -> ScriptSpec {
    ScriptSpec {
        name: name.into(),
        kind,
        summary: String::new(),
        targets: vec![Target::Lxc, Target::Vm],
        needs: Vec::new(),
        after: Vec::new(),
        lxc: LxcNeeds::default(),
        publishes: Vec::new(),
        consumes: Vec::new(),
        params: Default::default(),
        timeout: None,
        has_prepare: false,
        has_health: true,
        has_remove: false,
        digest: String::new(),
        path: String::new(),
    }
}

fn feature(name: &str) -> ScriptSpec {
    script(ScriptKind::Feature, name)
}

fn catalogue(features: impl IntoIterator<Item = ScriptSpec>) -> Catalogue {
    let features = features.into_iter().map(|spec| (spec.name.clone(), spec)).collect();
    Catalogue { features, ..Catalogue::default() }
}

/// `step_ca` publishes a root certificate, `trusted_ca` reads it.
fn certificates() -> Catalogue {
    let root = vec!["step_ca/root.crt".to_owned()];
    let url = "step_ca/url".to_owned();
    catalogue([
        feature("base_setup"),
        ScriptSpec { publishes: root.iter().chain([&url]).cloned().collect(), ..feature("step_ca") },
        ScriptSpec { consumes: root, needs: vec!["base_setup".into()], ..feature("trusted_ca") },
        ScriptSpec {
            after: vec!["trusted_ca".into()],
            lxc: LxcNeeds { nesting: true, ..LxcNeeds::default() },
            consumes: vec![url],
            ..feature("traefik")
        },
    ])
}

const ALL: &[u32] = &[501, 502, 503, 551, 552, 600, 601, 610, 611, 612, 614, 617, 6000, 5001, 5002];

#[test]
fn the_reference_requests_have_the_reference_orders() {
    let graph = Graph::new(&platform(), &certificates());
    let seven: &[u32] = &[600, 503, 501, 502, 6000, 5001, 5002];
    let references: [(&[u32], &[u32]); 11] = [
        (&[501], &[600, 503, 501]),
        (&[502], &[600, 503, 502]),
        (&[5001], &[6000, 600, 503, 502, 5001]),
        (&[5002], &[6000, 600, 503, 502, 5001, 5002]),
        (&[501, 502], &[600, 503, 501, 502]),
        (seven, seven),
        (&[601], &[600, 6000, 503, 502, 5001, 5002, 601]),
        (&[610], &[600, 6000, 503, 502, 5001, 5002, 601, 610]),
        (&[551], &[600, 6000, 503, 502, 5001, 5002, 601, 611, 551]),
        (&[614], &[600, 6000, 503, 502, 5001, 5002, 601, 614]),
        (ALL, &[600, 503, 501, 502, 6000, 5001, 5002, 601, 611, 551, 552, 610, 612, 614, 617]),
    ];
    for (targets, order) in references {
        assert_eq!(graph.order(&ids(targets)), ids(order), "{targets:?}");
    }
    // The twelfth: the order at boot.
    let boot = [600, 601, 610, 611, 612, 503, 501, 502, 551, 552, 614, 617, 5001, 5002, 6000];
    assert_eq!(order::boot(&platform()), ids(&boot));
}

/// The shipped platform has the reference orders too, under its own numbers.
#[test]
fn the_shipped_platform_is_made_and_started_in_order() {
    let catalogue = Library::load(&Roots::embedded()).0.catalogue().clone();
    let site = load(&Dir::Embedded, &catalogue).site.unwrap();
    let graph = Graph::new(&site, &catalogue);
    let seven: &[u32] = &[900, 103, 101, 102, 9000, 1001, 1002];
    let references: [(&[u32], &[u32]); 6] = [
        (&[101], &[900, 103, 101]),
        (&[102], &[900, 103, 102]),
        (&[1001], &[9000, 900, 103, 102, 1001]),
        (&[1002], &[9000, 900, 103, 102, 1001, 1002]),
        (&[101, 102], &[900, 103, 101, 102]),
        (seven, seven),
    ];
    for (targets, order) in references {
        assert_eq!(graph.order(&ids(targets)), ids(order), "{targets:?}");
    }
    assert_eq!(order::boot(&site), ids(&[103, 102, 101, 1001, 1002, 900, 9000]));

    let started = |targets: &[u32]| {
        let plan = make(&site, &catalogue, &Request::new(Verb::Start, ids(targets))).unwrap();
        plan.guests.iter().filter(|guest| !guest.steps.is_empty()).map(|guest| guest.id.get()).collect::<Vec<_>>()
    };
    assert_eq!(started(&[1002]), [103, 102, 1001, 1002]);
    assert_eq!(started(seven), [103, 101, 102, 1001, 1002], "templates stay as they are");
    let stop = make(&site, &catalogue, &Request { with_dependents: true, ..Request::new(Verb::Stop, ids(&[103])) });
    let stopped: Vec<u32> = stop.unwrap().guests.iter().map(|guest| guest.id.get()).collect();
    assert_eq!(stopped, [1002, 1001, 101, 102, 103]);
}

#[test]
fn edges_are_the_clone_source_then_dependencies_then_artifacts() {
    let graph = Graph::new(&platform(), &certificates());
    let edge = |on, why| Edge { on: id(on), why };
    let expected = [
        edge(600, Why::Clone),
        edge(503, Why::Dependency),
        edge(503, Why::Artifact("step_ca/root.crt".into())),
        edge(503, Why::Artifact("step_ca/url".into())),
    ];
    assert_eq!(graph.needs(id(502)), expected);
    assert_eq!(graph.needed_by(id(503)), ids(&[501, 502]));
    assert_eq!(graph.ancestors(id(502)), ids(&[600, 503]));
    assert_eq!(graph.dependents(id(5001)), ids(&[5002, 551, 552, 601, 614, 617, 610, 611, 612]));
    assert_eq!(graph.levels(&ids(&[5001])), [ids(&[6000, 600]), ids(&[503]), ids(&[502]), ids(&[5001])]);
    assert!(graph.is_clone_source(id(611)) && !graph.is_clone_source(id(503)));
}

#[test]
fn an_artifact_comes_from_the_nearest_publisher() {
    let mut site = platform();
    // A second authority that the gateway's clone source depends on is further away than its own dependency.
    site.guests.insert(id(504), Guest { features: vec!["step_ca".into()], ..guest(504) });
    site.guests.get_mut(&id(600)).unwrap().dependencies = ids(&[504]);
    let graph = Graph::new(&site, &certificates());
    let artifact = |number| graph.needs(id(number)).into_iter().find(|edge| matches!(edge.why, Why::Artifact(_)));
    assert_eq!(artifact(502).map(|edge| edge.on), Some(id(503)));
    assert_eq!(artifact(503), None, "who publishes it needs nobody for it");
    let nobody = Graph::new(&platform(), &catalogue([feature("trusted_ca")]));
    assert_eq!(nobody.needs(id(502)).len(), 2);
}

#[test]
fn a_circle_is_shown_as_a_path() {
    let mut site = platform();
    site.guests.get_mut(&id(503)).unwrap().dependencies = ids(&[5001]);
    let graph = Graph::new(&site, &certificates());
    assert_eq!(graph.cycle(), Some(ids(&[502, 503, 5001, 502])));
    let error = make(&site, &certificates(), &Request::new(Verb::Create, ids(&[501]))).unwrap_err();
    assert_eq!(error.to_string(), "guests need each other in a circle: 502 -> 503 -> 5001 -> 502");
    assert_eq!(Graph::new(&platform(), &certificates()).cycle(), None);

    site.guests.get_mut(&id(503)).unwrap().dependencies = ids(&[503]);
    assert_eq!(Graph::new(&site, &certificates()).cycle(), Some(ids(&[503, 503])));
}

#[test]
fn what_is_not_declared_is_missing() {
    let mut site = platform();
    site.guests.get_mut(&id(502)).unwrap().dependencies.push(id(999));
    let graph = Graph::new(&site, &certificates());
    assert_eq!(graph.missing().len(), 1);
    let create = |number| make(&site, &certificates(), &Request::new(Verb::Create, [id(number)]));
    let error = create(5001).unwrap_err();
    assert_eq!(error.to_string(), "guest 502 needs guest 999 (dependency), which is not declared");
    assert!(create(501).is_ok(), "it does not need 502");
    assert_eq!(create(998).unwrap_err(), PlanError::Unknown(id(998)));
}

#[test]
fn named_guests_are_targets_and_others_dependencies() {
    let plan = make(&platform(), &certificates(), &Request::new(Verb::Create, ids(&[503, 501]))).unwrap();
    let wanted: Vec<(u32, Wanted)> = plan.guests.iter().map(|guest| (guest.id.get(), guest.wanted)).collect();
    assert_eq!(wanted, [(600, Wanted::Dependency), (503, Wanted::Target), (501, Wanted::Target)]);
    let plan = make(&platform(), &certificates(), &Request::new(Verb::Converge, ids(&[501]))).unwrap();
    assert!(plan.guests.iter().all(|guest| guest.wanted == Wanted::Target));
    let alone = Request { no_deps: true, ..Request::new(Verb::Create, ids(&[501])) };
    let plan = make(&platform(), &certificates(), &alone).unwrap();
    assert_eq!(plan.guests.len(), 1);
    assert!(plan.guests[0].after.is_empty());
}

#[test]
fn scripts_run_after_what_they_need() {
    let declared = ["traefik", "trusted_ca", "base_setup"].map(str::to_owned).to_vec();
    let guest = Guest { features: declared, app: Some("router".into()), ..guest(100) };
    let scripts = order::scripts(&guest, &certificates());
    let names: Vec<&str> = scripts.iter().map(|(_, name)| name.as_str()).collect();
    assert_eq!(names, ["base_setup", "trusted_ca", "traefik", "router"]);
    assert_eq!(scripts[3].0, ScriptKind::App);
    let both = site([guest, cloned(101, 100, &[])]);
    let plan = make(&both, &certificates(), &Request::new(Verb::Create, ids(&[101]))).unwrap();
    // What a source runs its clones run too.
    for guest in plan.guests {
        assert_eq!(guest.needs, LxcNeeds { nesting: true, ..LxcNeeds::default() });
    }
}

fn steps(guest: Guest, others: impl IntoIterator<Item = Guest>, catalogue: &Catalogue) -> String {
    let number = guest.id;
    let plan =
        make(&site([guest].into_iter().chain(others)), catalogue, &Request::new(Verb::Create, [number])).unwrap();
    plan.guests[0].steps.iter().map(Step::to_string).collect::<Vec<_>>().join(", ")
}

fn snapshots(template: &str) -> phoenix::model::LifecycleSnapshots {
    phoenix::model::LifecycleSnapshots {
        before_features: Some("pre-configured".into()),
        after_features: Some("final-form".into()),
        template: Some(template.into()),
    }
}

#[test]
fn a_guest_s_life_has_its_steps() {
    let preparing = catalogue([ScriptSpec { has_prepare: true, ..feature("docker") }]);
    let mut own = Guest { features: vec!["docker".into()], app: Some("shop".into()), ..guest(100) };
    own.snapshots = snapshots("final-form");
    assert_eq!(
        steps(own.clone(), [], &preparing),
        "prepare, define, configure, storage, firewall, start, ready, snapshot pre-configured, feature docker, app shop, \
         health, snapshot final-form"
    );
    own.boot.start_at_boot = false;
    own.snapshots = snapshots("for-clones");
    assert_eq!(
        steps(own.clone(), [cloned(101, 100, &[])], &preparing),
        "prepare, define, configure, storage, firewall, start, ready, snapshot pre-configured, feature docker, app shop, \
         health, stop, snapshot final-form, snapshot for-clones"
    );
    own.is_template = true;
    assert_eq!(
        steps(own, [], &preparing),
        "prepare, define, configure, storage, firewall, start, ready, feature docker, app shop, health, stop, template"
    );
}

#[test]
fn starting_leaves_templates_and_sources_alone() {
    let mut site = platform();
    site.guests.get_mut(&id(600)).unwrap().boot.start_at_boot = false;
    let start = |targets: &[u32]| {
        let plan = make(&site, &certificates(), &Request::new(Verb::Start, ids(targets))).unwrap();
        plan.guests.iter().filter(|guest| !guest.steps.is_empty()).map(|guest| guest.id.get()).collect::<Vec<_>>()
    };
    assert_eq!(start(&[5001]), [503, 502, 5001]);
    assert_eq!(start(&[600]), [600], "named, it is started");
    assert!(start(&[6000]).is_empty());
    let plan = make(&site, &certificates(), &Request::new(Verb::Start, ids(&[6000]))).unwrap();
    assert_eq!(plan.guests[0].rest, Some(Rest::Template));
    let health = make(&site, &certificates(), &Request::new(Verb::Health, ids(&[600, 503]))).unwrap();
    assert!(health.guests[0].steps.is_empty() && health.guests[1].steps == [Step::Health]);
}

#[test]
fn only_named_guests_are_stopped_and_dependents_on_request() {
    let order = |verb, with_dependents| {
        let request = Request { with_dependents, ..Request::new(verb, ids(&[503])) };
        let plan = make(&platform(), &certificates(), &request).unwrap();
        plan.guests.iter().map(|guest| guest.id.get()).collect::<Vec<_>>()
    };
    assert_eq!(order(Verb::Stop, false), [503]);
    assert_eq!(order(Verb::Restart, false), [503]);
    let stopped = order(Verb::Stop, true);
    assert_eq!(stopped.last(), Some(&503));
    assert_eq!(stopped.len(), 13);
    let mut restarted = order(Verb::Restart, true);
    restarted.reverse();
    assert_eq!(restarted, stopped);
}

#[test]
fn a_guest_that_others_need_is_not_deleted() {
    let delete = |targets: &[u32]| Request::new(Verb::Delete, ids(targets));
    let error = make(&platform(), &certificates(), &delete(&[503])).unwrap_err();
    assert!(error.to_string().starts_with("guest 503 is needed by 501, 502, 5001, 5002"), "{error}");
    assert!(matches!(error, PlanError::Dependents { .. }));

    let absent = Request { present: Some([id(503), id(600)].into()), ..delete(&[503]) };
    assert!(make(&platform(), &certificates(), &absent).is_ok(), "what is not there needs nothing");

    let plan = make(&platform(), &certificates(), &delete(&[551, 5002, 601, 611, 552, 610, 612, 614, 617])).unwrap();
    let order: Vec<u32> = plan.guests.iter().map(|guest| guest.id.get()).collect();
    assert_eq!(order, [617, 614, 612, 610, 552, 551, 611, 601, 5002]);
    assert_eq!(plan.guests[6].after, [551, 552].map(|on| Edge { on: id(on), why: Why::Clone }));
    assert_eq!(plan.guests[0].steps, [Step::Stop, Step::Destroy]);
}

#[test]
fn the_graph_is_drawn_as_text() {
    let (site, catalogue) = (platform(), certificates());
    let graph = Graph::new(&site, &catalogue);
    insta::assert_snapshot!(draw::text(&site, &graph, &ids(&[501, 5001])));
    let all = draw::text(&site, &graph, &[]);
    assert!(all.starts_with("501 guest501\n") && all.contains("\n610 guest610\n"), "{all}");
}

#[test]
fn the_graph_is_drawn_as_mermaid() {
    let (site, catalogue) = (platform(), certificates());
    insta::assert_snapshot!(draw::mermaid(&site, &Graph::new(&site, &catalogue), &ids(&[5001])));
}

#[test]
fn a_thousand_guests_are_planned_at_once() {
    let guests = (0..1000).map(|n| match n {
        0 => guest(1000),
        1..=20 => Guest { features: vec!["base_setup".into(), "step_ca".into()], ..cloned(1000 + n, 1000, &[]) },
        _ => {
            let features = ["base_setup", "trusted_ca", "traefik"].map(str::to_owned).to_vec();
            Guest { features, ..cloned(1000 + n, 1000, &[1000 + n % 20 + 1, 1000 + n - 1]) }
        }
    });
    let site = site(guests);
    let all: Vec<GuestId> = site.guests.keys().copied().collect();
    let begun = Instant::now();
    let plan = make(&site, &certificates(), &Request::new(Verb::Create, all)).unwrap();
    println!("1000 guests planned in {:?}", begun.elapsed());
    assert_eq!(plan.guests.len(), 1000);
}
