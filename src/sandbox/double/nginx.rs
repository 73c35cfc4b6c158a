//! A double of nginx: its servers as the configuration says, `return`, static files, certificates; and `nginx -t`.
//!
//! True to nginx: which server and location take a request, redirections and their variables, the certificate of a
//! server, a refused handshake, and what `nginx -t` says about syntax, missing files, certificates, `http2` and `stream`
//! where this nginx does not have them. Not so: names of directives and their places are not checked, regular
//! expressions take nothing, what is proxied is answered 502, and the files count at every request, without a reload.

use serde_json::{Value, json};

use crate::op::{Op, OpValue};
use crate::request::Response;
use crate::sandbox::programs::Inside;

use super::nginx_config::{Directive, all, read};
use super::{Chain, Double, Exchange, Served, tls};

/// The double.
pub(super) struct Nginx;

/// The main configuration file.
const MAIN: &str = "/etc/nginx/nginx.conf";

impl Double for Nginx {
    fn ports(&self, served: &mut Served) -> Vec<u16> {
        let config = read(served.inside, MAIN).unwrap_or_default();
        let http = all(&config, "http").flat_map(|http| all(&http.block, "server"));
        let stream = all(&config, "stream").flat_map(|stream| all(&stream.block, "server"));
        http.chain(stream).flat_map(listens).map(|listen| listen.port).collect()
    }

    fn chain(&self, served: &mut Served, port: u16, name: &str) -> Result<Option<Chain>, String> {
        let config = read(served.inside, MAIN)?;
        let Some(http) = all(&config, "http").next() else { return Ok(None) };
        let servers: Vec<&Directive> = all(&http.block, "server").filter(|server| on(server, port)).collect();
        if !servers.iter().any(|server| listens(server).any(|listen| listen.port == port && listen.tls)) {
            return Ok(None);
        }
        let server = chosen(&servers, port, name).ok_or("connection refused")?;
        if all(&server.block, "ssl_reject_handshake").any(|directive| directive.value() == "on") {
            return Err("received fatal alert: UnrecognisedName".to_owned());
        }
        let path = all(&server.block, "ssl_certificate").chain(all(&http.block, "ssl_certificate")).next();
        let pem = path.and_then(|directive| served.inside.text(directive.value()));
        let chain = tls::certificates(&pem.unwrap_or_default());
        if chain.is_empty() { Err("received fatal alert: HandshakeFailure".to_owned()) } else { Ok(Some(chain)) }
    }

    fn respond(&self, served: &mut Served, exchange: &Exchange) -> Response {
        let config = read(served.inside, MAIN).unwrap_or_default();
        let http: Vec<Directive> = all(&config, "http").flat_map(|http| http.block.clone()).collect();
        let servers: Vec<&Directive> = all(&http, "server").filter(|server| on(server, exchange.port)).collect();
        let Some(server) = chosen(&servers, exchange.port, exchange.host) else { return super::text(404, "") };
        let location = location(server, exchange.path);
        let levels = [location.map_or(&[][..], |location| &location.block), &server.block];
        // A `return` of the server comes before any location is looked for.
        if let Some(directive) = [levels[1], levels[0]].into_iter().find_map(|level| all(level, "return").next()) {
            return returned(directive, exchange);
        }
        if levels.iter().any(|level| all(level, "proxy_pass").next().is_some()) {
            return super::text(502, "<html><head><title>502 Bad Gateway</title></head></html>\n");
        }
        let root =
            levels.iter().find_map(|level| all(level, "root").next()).map_or("/usr/share/nginx/html", Directive::value);
        file(served.inside, root, exchange.path)
    }

    fn act(&self, inside: &mut dyn Inside, verb: &str, options: &Value) -> Result<Value, String> {
        match verb {
            // `nginx -t`
            "test" => {
                super::command(inside, options)?;
                test(inside).map(|()| json!({ "stdout": "" }))
            }
            _ => Err(format!("the double `nginx` cannot `{verb}`: it knows test")),
        }
    }
}

/// `nginx -t`: what is wrong, in nginx's words.
fn test(inside: &mut dyn Inside) -> Result<(), String> {
    let config = read(inside, MAIN)?;
    let loads = |module: &str| all(&config, "load_module").any(|directive| directive.value().contains(module));
    if let Some(stream) = all(&config, "stream").next().filter(|_| !loads("ngx_stream_module")) {
        return Err(format!("unknown directive \"stream\" in {}", stream.place));
    }
    let mut all_of_them = Vec::new();
    flatten(&config, &mut all_of_them);
    for directive in &all_of_them {
        match directive.name.as_str() {
            "http2" if !has_http2_directive(inside) => {
                return Err(format!("unknown directive \"http2\" in {}", directive.place));
            }
            "ssl_certificate" | "ssl_certificate_key" | "ssl_trusted_certificate" | "proxy_ssl_trusted_certificate" => {
                let path = directive.value();
                if !path.contains('$') && inside.text(path).is_none() {
                    let what = if directive.name.ends_with("_key") { "certificate key" } else { "certificate" };
                    return Err(format!(
                        "cannot load {what} \"{path}\": BIO_new_file() failed (No such file or directory)"
                    ));
                }
            }
            _ => {}
        }
    }
    let servers = all_of_them.iter().filter(|directive| directive.name == "server");
    let mut defaults = std::collections::BTreeSet::new();
    for directive in servers.flat_map(|server| all(&server.block, "listen")) {
        let address = directive.value().to_owned();
        if directive.args.iter().any(|word| word == "default_server") && !defaults.insert(address.clone()) {
            return Err(format!("a duplicate default server for {address} in {}", directive.place));
        }
    }
    Ok(())
}

fn flatten<'d>(directives: &'d [Directive], all: &mut Vec<&'d Directive>) {
    for directive in directives {
        all.push(directive);
        // What stands in a map are values.
        if !matches!(directive.name.as_str(), "map" | "geo" | "split_clients" | "types") {
            flatten(&directive.block, all);
        }
    }
}

/// The directive `http2` came with 1.25.1.
fn has_http2_directive(inside: &mut dyn Inside) -> bool {
    let Ok(OpValue::Packages(packages)) = inside.perform(&Op::Packages) else { return false };
    let version = packages.get("nginx").or_else(|| packages.get("nginx-common")).cloned().unwrap_or_default();
    let mut numbers = version.split(['.', '-', '+']).map(|part| part.parse::<u32>().unwrap_or_default());
    let version = [numbers.next(), numbers.next(), numbers.next()].map(Option::unwrap_or_default);
    version >= [1, 25, 1]
}

/// A `listen`.
struct Listen {
    port: u16,
    tls: bool,
    default: bool,
}

fn listens(server: &Directive) -> impl Iterator<Item = Listen> {
    all(&server.block, "listen").filter_map(|directive| {
        let port = directive.value().rsplit(':').next().unwrap_or_default();
        let flag = |name: &str| directive.args.iter().any(|word| word == name);
        // An address without a port is on 80.
        let port = if port.contains('.') || port.ends_with(']') { 80 } else { port.parse().ok()? };
        Some(Listen { port, tls: flag("ssl"), default: flag("default_server") })
    })
}

fn on(server: &Directive, port: u16) -> bool {
    listens(server).any(|listen| listen.port == port)
}

/// The server that takes a request for a name: by its names, else the default one, else the first.
fn chosen<'d>(servers: &[&'d Directive], port: u16, host: &str) -> Option<&'d Directive> {
    let names = |server: &'d Directive| all(&server.block, "server_name").flat_map(|directive| &directive.args);
    let wildcard =
        |name: &String| name.strip_prefix('*').is_some_and(|rest| rest.starts_with('.') && host.ends_with(rest));
    let exact = servers.iter().find(|server| names(server).any(|name| name == host));
    let fits = || servers.iter().find(|server| names(server).any(wildcard));
    let default = || servers.iter().find(|server| listens(server).any(|listen| listen.port == port && listen.default));
    exact.or_else(fits).or_else(default).or_else(|| servers.first()).copied()
}

/// The location that takes a path: an exact one, else the longest prefix.
fn location<'d>(server: &'d Directive, path: &str) -> Option<&'d Directive> {
    let prefix = |location: &'d Directive| match location.args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["=", exact] if exact == path => Some(usize::MAX),
        ["^~", prefix] | [prefix] if path.starts_with(prefix) => Some(prefix.len()),
        _ => None,
    };
    let fitting = all(&server.block, "location").filter_map(|location| Some((prefix(location)?, location)));
    fitting.max_by_key(|(length, _)| *length).map(|(_, location)| location)
}

/// What a `return` answers.
fn returned(directive: &Directive, exchange: &Exchange) -> Response {
    let scheme = if exchange.tls { "https" } else { "http" };
    let filled = |text: &str| {
        text.replace("$request_uri", exchange.path)
            .replace("$uri", exchange.path)
            .replace("$host", exchange.host)
            .replace("$server_name", exchange.host)
            .replace("$scheme", scheme)
    };
    let code = directive.value().parse().ok();
    let rest = directive.args.get(1).map(|text| filled(text));
    match (code, rest) {
        (Some(code @ (301 | 302 | 303 | 307 | 308)), Some(location)) => super::redirect(code, location),
        (Some(code), rest) => super::text(code, &rest.unwrap_or_default()),
        (None, _) => super::redirect(302, filled(directive.value())),
    }
}

/// A file below a root, or the index of a directory.
fn file(inside: &mut dyn Inside, root: &str, path: &str) -> Response {
    let path = format!("{}{path}", root.trim_end_matches('/'));
    let candidates = if path.ends_with('/') {
        ["index.html", "index.htm", "index.nginx-debian.html"].map(|name| format!("{path}{name}")).to_vec()
    } else {
        vec![path]
    };
    match candidates.into_iter().find_map(|path| inside.text(&path)) {
        Some(text) => super::text(200, &text),
        None => super::text(404, "<html><head><title>404 Not Found</title></head></html>\n"),
    }
}
