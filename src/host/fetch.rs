//! A file fetched to the node, whole or not at all. A line that breaks or a server that is busy for a moment is no failure:
//! it goes on where it was, if the server still has the same.

use std::fs::{self, File};
use std::io::{self, Seek as _, Write as _};
use std::path::Path;
use std::time::Duration;

use http_body_util::BodyExt as _;
use hyper::StatusCode;
use hyper::header::{ETAG, LAST_MODIFIED, LOCATION};
use tokio::time::timeout;

use crate::command::Command;
use crate::host::content::{absolute, digest, failure};
use crate::host::{http, node, process};
use crate::op::{OpError, OpErrorKind, OpResult, OpValue};
use crate::request::Request;
use crate::secret::Sealed;

/// Limit for one file, redirects included.
const LIMIT: Duration = Duration::from_secs(30 * 60);
/// Largest file.
const MOST: u64 = 64 << 30;
/// So long nothing may come.
const STALL: Duration = Duration::from_secs(60);
/// So often in a row it goes on after the line broke without anything new, or the server was busy.
const TRIES: u32 = 3;
/// Before it goes on; longer from time to time.
const PAUSE: Duration = Duration::from_millis(500);
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

/// Fetches a URL to a file. What breaks in the middle goes on from there, as often as more of it comes.
async fn download(url: &str, to: &str) -> Result<(), OpError> {
    let mut file = File::create(to).map_err(|error| failure(to, &error))?;
    let mut partial = Partial::default();
    let mut tries = 0;
    loop {
        let before = partial.bytes;
        match attempt(url, &mut file, &mut partial, to).await {
            Ok(()) => return file.sync_all().map_err(|error| failure(to, &error)),
            Err(Broken::For(error)) => return Err(error),
            Err(Broken::Midway(error)) => {
                // Whatever brought some more is no try in vain.
                tries = if partial.bytes > before { 1 } else { tries + 1 };
                if tries > TRIES {
                    return Err(error);
                }
                tokio::time::sleep(PAUSE * tries).await;
            }
        }
    }
}

/// What has come so far, and what tells whether the server still has the same.
#[derive(Default)]
struct Partial {
    bytes: u64,
    validator: Option<String>,
}

/// How an attempt failed.
enum Broken {
    /// Another one would fail too.
    For(OpError),
    /// The server was busy or the line broke.
    Midway(OpError),
}

async fn attempt(url: &str, file: &mut File, partial: &mut Partial, to: &str) -> Result<(), Broken> {
    let local = |error: io::Error| Broken::For(failure(to, &error));
    let mut url = url.to_owned();
    for _ in 0..=REDIRECTS {
        let unanswered = |reason: String| failed(OpErrorKind::Failed, format!("{url}: {reason}"));
        let mut request = Request::get(&url);
        if let (1.., Some(validator)) = (partial.bytes, &partial.validator) {
            request.headers.push(("Range".to_owned(), Sealed::plain(format!("bytes={}-", partial.bytes))));
            request.headers.push(("If-Range".to_owned(), Sealed::plain(validator.as_str())));
        }
        let answer = http::open(&request).await.map_err(|reason| match partial.bytes {
            0 => Broken::For(unanswered(reason)),
            _ => Broken::Midway(unanswered(reason)),
        })?;
        let answer = answer.answer;
        let status = answer.status();
        let header = |name| answer.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        if status.is_redirection() && status != StatusCode::NOT_MODIFIED {
            let location = header(LOCATION);
            let location = location.ok_or_else(|| Broken::For(unanswered(format!("{status} without a location"))))?;
            url = join(&url, &location);
            continue;
        }
        if !status.is_success() {
            let error = |kind| failed(kind, format!("{url}: {status}"));
            return Err(match status {
                StatusCode::NOT_FOUND | StatusCode::GONE => Broken::For(error(OpErrorKind::NotFound)),
                StatusCode::TOO_MANY_REQUESTS => Broken::Midway(error(OpErrorKind::Failed)),
                status if status.is_server_error() => Broken::Midway(error(OpErrorKind::Failed)),
                _ => Broken::For(error(OpErrorKind::Failed)),
            });
        }
        if status != StatusCode::PARTIAL_CONTENT {
            // From the beginning: the first time, and where the server cannot or does not want to go on.
            *partial = Partial {
                bytes: 0,
                validator: header(ETAG).filter(|tag| !tag.starts_with("W/")).or(header(LAST_MODIFIED)),
            };
            file.set_len(0).and_then(|()| file.rewind()).map_err(local)?;
        }
        let mut body = answer.into_body();
        loop {
            let late = || unanswered(format!("nothing more came for {} s", STALL.as_secs()));
            let frame = timeout(STALL, body.frame()).await.map_err(|_| Broken::Midway(late()))?;
            let Some(frame) = frame else { return Ok(()) };
            let frame = frame.map_err(|error| Broken::Midway(unanswered(http::words(&error))))?;
            if let Some(data) = frame.data_ref() {
                file.write_all(data).map_err(local)?;
                partial.bytes += data.len() as u64;
            }
            if partial.bytes > MOST {
                let message = format!("{url}: is larger than {} GiB", MOST >> 30);
                return Err(Broken::For(failed(OpErrorKind::TooLarge, message)));
            }
        }
    }
    Err(Broken::For(failed(OpErrorKind::Failed, format!("{url}: more than {REDIRECTS} redirects"))))
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
