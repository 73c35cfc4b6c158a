//! A file fetched to the node, whole or not at all.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;
use std::time::Duration;

use http_body_util::BodyExt as _;
use hyper::StatusCode;
use hyper::header::LOCATION;
use tokio::time::timeout;

use crate::command::Command;
use crate::host::content::{absolute, digest, failure};
use crate::host::{http, node, process};
use crate::op::{OpError, OpErrorKind, OpResult, OpValue};
use crate::request::Request;

/// Limit for one file, redirects included.
const LIMIT: Duration = Duration::from_secs(30 * 60);
/// How many redirects are followed.
const REDIRECTS: usize = 10;

/// Fetches `url` to `path`; of an archive only `member`, which the digest is of then.
pub(super) async fn fetch(url: &str, sha256: Option<&str>, member: Option<&str>, path: &str) -> OpResult {
    absolute(path)?;
    if let Some(directory) = Path::new(path).parent() {
        fs::create_dir_all(directory).map_err(|error| failure(path, &error))?;
    }
    let late = || failed(OpErrorKind::Timeout, format!("{url}: did not come within {} s", LIMIT.as_secs()));
    let fetched = Leftover(node::beside(path));
    timeout(LIMIT, download(url, &fetched.0)).await.unwrap_or_else(|_| Err(late()))?;
    let whole = match member {
        None => fetched,
        Some(member) => extract(url, &fetched.0, member, path).await?,
    };
    if let Some(expected) = sha256 {
        let (found, _) = File::open(&whole.0).and_then(digest).map_err(|error| failure(&whole.0, &error))?;
        if found != expected {
            let what = member.map_or_else(|| url.to_owned(), |member| format!("{member} in {url}"));
            return Err(failed(OpErrorKind::Conflict, format!("{what}: has the SHA-256 {found}, not {expected}")));
        }
    }
    fs::rename(&whole.0, path).map_err(|error| failure(path, &error))?;
    Ok(OpValue::Done)
}

/// A file that goes away with this value, unless it was moved.
struct Leftover(String);

impl Drop for Leftover {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn failed(kind: OpErrorKind, message: String) -> OpError {
    OpError::new(kind, message)
}

async fn download(url: &str, to: &str) -> Result<(), OpError> {
    let mut url = url.to_owned();
    for _ in 0..=REDIRECTS {
        let unanswered = |reason: String| failed(OpErrorKind::Failed, format!("{url}: {reason}"));
        let answer = http::open(&Request::get(&url)).await.map_err(unanswered)?.answer;
        let status = answer.status();
        if status.is_redirection() && status != StatusCode::NOT_MODIFIED {
            let location = answer.headers().get(LOCATION).and_then(|value| value.to_str().ok());
            let location = location.ok_or_else(|| unanswered(format!("{status} without a location")))?;
            url = join(&url, location);
            continue;
        }
        if !status.is_success() {
            let kind = if status == StatusCode::NOT_FOUND { OpErrorKind::NotFound } else { OpErrorKind::Failed };
            return Err(failed(kind, format!("{url}: {status}")));
        }
        let mut file = File::create(to).map_err(|error| failure(to, &error))?;
        let mut body = answer.into_body();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| unanswered(http::words(&error)))?;
            if let Some(data) = frame.data_ref() {
                file.write_all(data).map_err(|error| failure(to, &error))?;
            }
        }
        return file.sync_all().map_err(|error| failure(to, &error));
    }
    Err(failed(OpErrorKind::Failed, format!("{url}: more than {REDIRECTS} redirects")))
}

/// Where a redirect leads: a whole URL, one without scheme, or a path of the same host.
fn join(url: &str, location: &str) -> String {
    let scheme_end = url.find("://").map_or(0, |at| at + 3);
    let host_end = url[scheme_end..].find('/').map_or(url.len(), |at| scheme_end + at);
    if location.contains("://") {
        location.to_owned()
    } else if location.starts_with("//") {
        format!("{}{location}", &url[..scheme_end.saturating_sub(2)])
    } else if location.starts_with('/') {
        format!("{}{location}", &url[..host_end])
    } else {
        let directory = url.rfind('/').filter(|&at| at >= host_end).unwrap_or(url.len());
        format!("{}/{location}", &url[..directory])
    }
}

/// The member of an archive as a file of its own. tar tells by itself how an archive is compressed.
async fn extract(url: &str, archive: &str, member: &str, path: &str) -> Result<Leftover, OpError> {
    let mut magic = [0; 4];
    let zip = File::open(archive).and_then(|mut file| io::Read::read_exact(&mut file, &mut magic)).is_ok()
        && magic == *b"PK\x03\x04";
    let directory = Path::new(path).parent().unwrap_or_else(|| Path::new("/"));
    let room = tempfile::Builder::new().prefix(".phoenix-").tempdir_in(directory);
    let room = room.map_err(|error| failure(path, &error))?;
    let into = room.path().to_string_lossy().into_owned();
    let command = if zip {
        Command::change("unzip", ["-q", "-d", &into, "--", archive, member])
    } else {
        Command::change("tar", ["--no-same-owner", "-x", "-f", archive, "-C", &into, "--", member])
    };
    let output = process::run(&command).await.map_err(|error| failed(OpErrorKind::Failed, error.to_string()))?;
    let found = room.path().join(member);
    if !output.ok() || !found.is_file() {
        return Err(failed(OpErrorKind::NotFound, format!("{url}: has no member {member}: {}", output.tail(2))));
    }
    let whole = Leftover(node::beside(path));
    fs::rename(found, &whole.0).map_err(|error| failure(path, &error))?;
    Ok(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_may_be_relative() {
        let url = "https://example.org/a/b.tar";
        assert_eq!(join(url, "https://cdn.example.org/x"), "https://cdn.example.org/x");
        assert_eq!(join(url, "//cdn.example.org/x"), "https://cdn.example.org/x");
        assert_eq!(join(url, "/x"), "https://example.org/x");
        assert_eq!(join(url, "x"), "https://example.org/a/x");
        assert_eq!(join("https://example.org", "x"), "https://example.org/x");
    }
}
