//! A double of Traefik 3: entry points, redirections, routers of its file provider, and the API that shows them.
//!
//! True to Traefik: ports and redirections come from the static configuration, `/ping` and the API answer where it says
//! so, every broken dynamic file freezes the file provider (shown as no routers at all), a router whose service is
//! missing is disabled with the error, and an entry point shows the certificate that fits the name. Not so: a request
//! that a router takes is answered 502 because no backend is behind it, rules are understood as far as they are
//! ``Host(`NAME`)``, and changes count at once.

use serde_json::{Map, Value, json};

use crate::op::{Op, OpValue};
use crate::request::Response;
use crate::sandbox::programs::Inside;

use super::{Chain, Double, Exchange, Served, authority, redirect, tls, yaml};

/// The double.
pub(super) struct Traefik;

/// Where the static configuration is looked for when nothing is said.
const USUAL: [&str; 2] = ["/etc/traefik/traefik.yaml", "/etc/traefik/traefik.yml"];

/// The entry point that the API is on, and the ping if nothing else is said.
const INTERNAL: &str = "traefik";

impl Double for Traefik {
    fn ports(&self, served: &mut Served) -> Vec<u16> {
        let Ok(config) = Static::read(served) else { return Vec::new() };
        config.entry_points().into_iter().map(|(_, port)| port).collect()
    }

    fn chain(&self, served: &mut Served, port: u16, name: &str) -> Result<Option<Chain>, String> {
        let config = Static::read(served)?;
        let entry_point = config.entry_point(port).unwrap_or_default();
        let dynamic = config.dynamic(served.inside);
        let secure = entry_point != INTERNAL
            && (config.0["entryPoints"][&entry_point]["http"].get("tls").is_some()
                || dynamic.routers().any(|router| router.get("tls").is_some() && on(router, &entry_point))
                || port == 443);
        if !secure {
            return Ok(None);
        }
        let mut read = |pair: &Value| {
            let chain = tls::certificates(&served.inside.text(pair["certFile"].as_str()?)?);
            Some(chain).filter(|chain| !chain.is_empty())
        };
        let pairs = dynamic.0["tls"]["certificates"].as_array().into_iter().flatten();
        if let Some(chain) = pairs.filter_map(&mut read).find(|chain| tls::is_for(chain, name)) {
            return Ok(Some(chain));
        }
        if let Some(chain) = read(&dynamic.0["tls"]["stores"]["default"]["defaultCertificate"]) {
            return Ok(Some(chain));
        }
        let now = served.inside.identity().now;
        authority::self_signed("TRAEFIK DEFAULT CERT", &["default.traefik".to_owned()], now).map(Some)
    }

    fn respond(&self, served: &mut Served, exchange: &Exchange) -> Response {
        let Ok(config) = Static::read(served) else { return super::text(404, "404 page not found\n") };
        let entry_point = config.entry_point(exchange.port).unwrap_or_default();
        let dynamic = config.dynamic(served.inside);
        if exchange.path == "/ping" && config.ping() == Some(entry_point.as_str()) {
            return super::text(200, "OK");
        }
        if entry_point == INTERNAL
            && let Some(response) = config.internal(&dynamic, exchange.path)
        {
            return response;
        }
        let redirection = &config.0["entryPoints"][&entry_point]["http"]["redirections"]["entryPoint"];
        if let Some(to) = redirection["to"].as_str() {
            let scheme = redirection["scheme"].as_str().unwrap_or("https");
            let port = config.entry_points().into_iter().find(|(name, _)| name == to).map(|(_, port)| port);
            let port = port.filter(|port| *port != 443).map_or_else(String::new, |port| format!(":{port}"));
            let status = if redirection["permanent"] == false { 302 } else { 301 };
            return redirect(status, format!("{scheme}://{}{port}{}", exchange.host, exchange.path));
        }
        let takes = |router: &Value| {
            let rule = router["rule"].as_str().unwrap_or_default();
            on(router, &entry_point) && rule.contains(&format!("Host(`{}`)", exchange.host))
        };
        if dynamic.routers().any(|router| takes(router) && dynamic.problem(router).is_none()) {
            return super::text(502, "Bad Gateway");
        }
        super::text(404, "404 page not found\n")
    }

    fn act(&self, inside: &mut dyn Inside, verb: &str, options: &Value) -> Result<Value, String> {
        match verb {
            // What the program does when it starts; unknown settings are not looked for.
            "check" => {
                let argv = super::command(inside, options)?.argv;
                let config = Static::read(&mut Served::unit(inside, argv))?;
                let points = config.entry_points();
                if points.is_empty() {
                    Err("no entry point is configured".to_owned())
                } else {
                    Ok(json!({ "stdout": "" }))
                }
            }
            _ => Err(format!("the double `traefik` cannot `{verb}`: it knows check")),
        }
    }
}

/// The static configuration.
struct Static(Value);

impl Static {
    fn read(served: &mut Served) -> Result<Static, String> {
        let mut given = None;
        let mut arguments = served.argv.iter().skip(1);
        while let Some(argument) = arguments.next() {
            let lower = argument.to_ascii_lowercase();
            match lower.trim_start_matches('-').split_once('=') {
                Some(("configfile", _)) => given = argument.split_once('=').map(|(_, path)| path.to_owned()),
                None if lower.trim_start_matches('-') == "configfile" => given = arguments.next().cloned(),
                _ => {}
            }
        }
        let paths = given.into_iter().chain(USUAL.map(str::to_owned));
        let text = paths.into_iter().find_map(|path| served.inside.text(&path)).unwrap_or_default();
        yaml::parse(&text).map(Static)
    }

    /// Names and ports of the entry points; `traefik` on 8080 is there when API or ping are.
    fn entry_points(&self) -> Vec<(String, u16)> {
        let declared = self.0["entryPoints"].as_object();
        let port = |value: &Value| value["address"].as_str()?.split('/').next()?.rsplit(':').next()?.parse().ok();
        let mut points: Vec<(String, u16)> =
            declared.into_iter().flatten().filter_map(|(name, value)| Some((name.clone(), port(value)?))).collect();
        let asked = self.ping() == Some(INTERNAL) || self.0["api"]["insecure"] == true;
        if asked && !points.iter().any(|(name, _)| name == INTERNAL) {
            points.push((INTERNAL.to_owned(), 8080));
        }
        points
    }

    /// The entry point that answers `/ping`, if any does.
    fn ping(&self) -> Option<&str> {
        self.0.get("ping").map(|ping| ping["entryPoint"].as_str().unwrap_or(INTERNAL))
    }

    fn entry_point(&self, port: u16) -> Option<String> {
        self.entry_points().into_iter().find(|(_, known)| *known == port).map(|(name, _)| name)
    }

    /// Everything that the file provider has read; nothing when one file is broken.
    fn dynamic(&self, inside: &mut dyn Inside) -> Dynamic {
        let provider = &self.0["providers"]["file"];
        let mut paths: Vec<String> = provider["filename"].as_str().map(str::to_owned).into_iter().collect();
        if let Some(directory) = provider["directory"].as_str()
            && let Ok(OpValue::Entries(Some(entries))) = inside.perform(&Op::List { path: directory.to_owned() })
        {
            let names = entries.into_iter().map(|entry| entry.name);
            let ours = names.filter(|name| name.ends_with(".yml") || name.ends_with(".yaml"));
            paths.extend(ours.map(|name| format!("{}/{name}", directory.trim_end_matches('/'))));
        }
        let mut all = Value::Object(Map::new());
        for path in paths {
            match yaml::parse(&inside.text(&path).unwrap_or_default()) {
                Ok(document) => merge(&mut all, document),
                Err(_) => return Dynamic(Value::Null),
            }
        }
        Dynamic(all)
    }

    /// What the API answers; none for everything else.
    fn internal(&self, dynamic: &Dynamic, path: &str) -> Option<Response> {
        if self.0.get("api").is_none_or(|api| api["insecure"] != true) {
            return None;
        }
        let listed = |items: Map<String, Value>| {
            let named = |(name, mut item): (String, Value)| {
                item["name"] = json!(name);
                item
            };
            Value::Array(items.into_iter().map(named).collect())
        };
        Some(match path {
            "/api/version" => super::json(200, &json!({ "Version": "3.5.3", "Codename": "chabichou" })),
            "/api/http/routers" => super::json(200, &listed(dynamic.shown("routers"))),
            "/api/http/services" => super::json(200, &listed(dynamic.shown("services"))),
            "/api/http/middlewares" => super::json(200, &listed(dynamic.shown("middlewares"))),
            "/api/rawdata" => {
                let part = |kind| dynamic.shown(kind);
                let all = json!({ "routers": part("routers"), "services": part("services"), "middlewares": part("middlewares") });
                super::json(200, &all)
            }
            "/api/overview" => {
                let count = |kind| json!({ "total": dynamic.shown(kind).len(), "warnings": 0, "errors": 0 });
                super::json(200, &json!({ "http": { "routers": count("routers"), "services": count("services") } }))
            }
            _ => return None,
        })
    }
}

/// The dynamic configuration of the file provider.
struct Dynamic(Value);

impl Dynamic {
    fn routers(&self) -> impl Iterator<Item = &Value> {
        self.0["http"]["routers"].as_object().into_iter().flat_map(Map::values)
    }

    /// Routers, services or middlewares as the API shows them: by their name with the provider's.
    fn shown(&self, kind: &str) -> Map<String, Value> {
        let items = self.0["http"][kind].as_object().into_iter().flatten();
        let shown = items.map(|(name, item)| {
            let mut shown = item.clone();
            shown["provider"] = json!("file");
            shown["status"] = json!("enabled");
            if let Some(problem) = self.problem(item).filter(|_| kind == "routers") {
                shown["status"] = json!("disabled");
                shown["error"] = json!([problem]);
            }
            (format!("{name}@file"), shown)
        });
        shown.collect()
    }

    /// Why a router is disabled.
    fn problem(&self, router: &Value) -> Option<String> {
        let service = router["service"].as_str()?;
        let known = service.contains('@') || self.0["http"]["services"].get(service).is_some();
        (!known).then(|| format!("the service \"{service}@file\" does not exist"))
    }
}

/// Whether a router is on an entry point; one that names none is on all.
fn on(router: &Value, entry_point: &str) -> bool {
    router["entryPoints"].as_array().is_none_or(|points| points.iter().any(|point| point == entry_point))
}

/// Adds a document; of two values with one name the first stays, lists are joined.
fn merge(all: &mut Value, document: Value) {
    match (all, document) {
        (Value::Object(all), Value::Object(document)) => {
            for (key, value) in document {
                match all.get_mut(&key) {
                    Some(known) => merge(known, value),
                    None => {
                        all.insert(key, value);
                    }
                }
            }
        }
        (Value::Array(all), Value::Array(more)) => all.extend(more),
        _ => {}
    }
}
