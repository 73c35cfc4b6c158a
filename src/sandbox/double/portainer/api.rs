//! What the server answers.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::request::{Method, Response};
use crate::sandbox::body::sha256;
use crate::sandbox::double::{Exchange, json as answer};
use crate::sandbox::programs::Inside;

use super::data::{Data, User};
use super::flags::hashed;

/// How long after a start the first administrator can be made.
const WINDOW: Duration = Duration::from_secs(5 * 60);
/// Life of a session.
const SESSION: Duration = Duration::from_secs(8 * 3600);
/// Shortest password.
const SHORTEST: usize = 12;

/// A running server.
pub(super) struct Server {
    /// Data directory on the machine.
    pub directory: String,
    pub version: String,
    /// Without it nobody makes the first administrator.
    pub setup_token: Option<String>,
    /// When it was started.
    pub started: Timestamp,
}

/// `{"Username", "Password"}`
#[derive(Deserialize)]
struct Credentials {
    #[serde(rename = "Username", default)]
    name: String,
    #[serde(rename = "Password", default)]
    password: String,
}

impl Server {
    pub fn respond(&self, inside: &mut dyn Inside, exchange: &Exchange) -> Response {
        let Some(mut data) = Data::read(inside, &self.directory) else {
            return refused(500, "Unable to retrieve the database", "database not open");
        };
        let now = inside.identity().now;
        let Some(path) = exchange.path.strip_prefix("/api/") else {
            return super::super::text(200, "<!doctype html><title>Portainer</title>\n");
        };
        let late = now.duration_since(self.started) > jiff::SignedDuration::try_from(WINDOW).unwrap_or_default();
        if late && !data.has_administrator() && !matches!(path, "status" | "settings/public") {
            let mut response = refused(303, "Administrator initialization timeout", "");
            response.headers.push(("redirect-reason".to_owned(), "AdminInitTimeout".to_owned()));
            return response;
        }
        let parts: Vec<&str> = path.split('/').collect();
        match (exchange.request.method, parts.as_slice()) {
            (Method::Get, ["system", "status"] | ["status"]) => {
                answer(200, &json!({ "Version": self.version, "InstanceID": data.instance }))
            }
            (Method::Get, ["users", "admin", "check"]) => match data.has_administrator() {
                true => Response { status: 204, ..Response::default() },
                false => refused(404, "No administrator account found inside the database", "Object not found"),
            },
            (Method::Post, ["users", "admin", "init"]) => {
                let response = self.first_administrator(&mut data, exchange);
                match data.keep(inside, &self.directory) {
                    Ok(()) => response,
                    Err(words) => refused(500, "Unable to persist user inside the database", &words),
                }
            }
            (Method::Post, ["auth"]) => sign_in(&data, exchange, now),
            (_, known) => match session(&data, exchange, now) {
                Err(response) => response,
                Ok(user) => match (exchange.request.method, known) {
                    (Method::Get, ["users", "me"]) => answer(200, &shown(&user)),
                    _ => refused(404, "Unable to find the requested resource", "Not found"),
                },
            },
        }
    }

    fn first_administrator(&self, data: &mut Data, exchange: &Exchange) -> Response {
        const FAILED: &str = "Unable to create administrator user";
        let Ok(credentials) = body::<Credentials>(exchange) else {
            return refused(400, "Invalid request payload", "Unexpected end of JSON input");
        };
        if let Some(token) = &self.setup_token
            && header(exchange, "x-setup-token") != Some(token)
        {
            return refused(403, "A valid setup token is required in the X-Setup-Token header", "Access denied");
        }
        if data.has_administrator() {
            return refused(409, FAILED, "An administrator user already exists");
        }
        if credentials.name.is_empty() || credentials.name.contains(char::is_whitespace) {
            return refused(400, "Invalid request payload", "Invalid username. Must not contain any whitespace");
        }
        if credentials.password.len() < SHORTEST {
            return refused(400, "Password does not meet the requirements", "Password does not meet the requirements");
        }
        answer(200, &shown(&data.add_administrator(&credentials.name, hashed(&credentials.password))))
    }
}

/// `POST /api/auth`
fn sign_in(data: &Data, exchange: &Exchange, now: Timestamp) -> Response {
    let Ok(credentials) = body::<Credentials>(exchange) else {
        return refused(400, "Invalid request payload", "Unexpected end of JSON input");
    };
    if credentials.name.is_empty() || credentials.password.is_empty() {
        return refused(400, "Invalid request payload", "Invalid username");
    }
    let found = data.users.iter().find(|user| user.name == credentials.name);
    match found.filter(|user| user.password == hashed(&credentials.password)) {
        None => refused(422, "Invalid credentials", "Unauthorized"),
        Some(user) => {
            let until = now + SESSION;
            let claims = json!({ "id": user.id, "username": user.name, "role": user.role, "exp": until.as_second() });
            let token = format!("{}.{}", encoded("{\"alg\":\"HS256\",\"typ\":\"JWT\"}"), encoded(&claims.to_string()));
            let jwt = format!("{token}.{}", signature(data, &token));
            let mut response = answer(200, &json!({ "jwt": jwt }));
            let cookie = format!("portainer_api_key={jwt}; Path=/; HttpOnly; SameSite=Strict");
            response.headers.push(("set-cookie".to_owned(), cookie));
            response
        }
    }
}

/// The user whom the token of a session names.
fn session(data: &Data, exchange: &Exchange, now: Timestamp) -> Result<User, Response> {
    if header(exchange, "x-api-key").is_some() {
        return Err(refused(401, "Invalid JWT token", "Unauthorized"));
    }
    let Some(token) = header(exchange, "authorization").and_then(|value| value.strip_prefix("Bearer ")) else {
        return Err(refused(401, "A valid authorization token is missing", "Unauthorized"));
    };
    let believed = || {
        let (signed, mark) = token.rsplit_once('.')?;
        let claims = URL_SAFE_NO_PAD.decode(signed.split('.').nth(1)?).ok()?;
        let claims: Value = serde_json::from_slice(&claims).ok()?;
        let valid = mark == signature(data, signed) && claims["exp"].as_i64()? > now.as_second();
        data.users.iter().find(|user| valid && claims["id"] == user.id).cloned()
    };
    believed().ok_or_else(|| refused(401, "Invalid JWT token", "Unauthorized"))
}

fn signature(data: &Data, token: &str) -> String {
    encoded(&sha256(format!("{} {token}", data.key).as_bytes()))
}

fn encoded(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(text)
}

fn header<'e>(exchange: &Exchange<'e>, name: &str) -> Option<&'e str> {
    let found = exchange.request.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value.expose())
}

fn body<T: DeserializeOwned>(exchange: &Exchange) -> Result<T, serde_json::Error> {
    serde_json::from_str(exchange.request.body.as_ref().map_or("", |body| body.expose()))
}

fn shown(user: &User) -> Value {
    json!({ "Id": user.id, "Username": user.name, "Role": user.role })
}

/// A refusal in Portainer's form.
pub(super) fn refused(status: u16, message: &str, details: &str) -> Response {
    answer(status, &json!({ "message": message, "details": details }))
}
