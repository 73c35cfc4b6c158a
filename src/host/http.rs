//! HTTP requests from the node: HTTP/1.1, one connection each, no redirects, no cookies.

use std::net::SocketAddr;
use std::sync::Arc;

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{ACCEPT, CONNECTION, HOST, HeaderName, HeaderValue, USER_AGENT};
use hyper::{Uri, header};
use hyper_util::rt::TokioIo;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::host::HostError;
use crate::request::{Request, Response, Trust};

/// Largest body of an answer.
const BODY_LIMIT: usize = 64 << 20;
/// Where distributions keep the system's roots.
const SYSTEM_ROOTS: &[&str] = &["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"];

/// Sends a request and waits for the whole answer.
pub(super) async fn send(request: &Request) -> Result<Response, HostError> {
    match tokio::time::timeout(request.timeout, exchange(request)).await {
        Ok(Ok(response)) => Ok(response),
        Ok(Err(reason)) => Err(HostError::Unreachable { what: request.url.clone(), reason }),
        Err(_) => Err(HostError::Timeout { what: request.to_string(), after: request.timeout }),
    }
}

/// The reason is for people: the innermost cause says most.
pub(super) fn words(error: &(dyn std::error::Error + 'static)) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

async fn exchange(request: &Request) -> Result<Response, String> {
    let Opened { answer, chain } = open(request).await?;
    let status = answer.status().as_u16();
    let header = |(name, value): (&HeaderName, &HeaderValue)| {
        (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    let headers = answer.headers().iter().map(header).collect();
    let body = Limited::new(answer.into_body(), BODY_LIMIT).collect().await.map_err(|error| words(error.as_ref()))?;
    Ok(Response { status, headers, body: body.to_bytes().to_vec(), chain })
}

/// An answer whose body is still to come.
pub(super) struct Opened {
    /// Status, headers, and where the body comes from.
    pub(super) answer: hyper::Response<Incoming>,
    /// The peer's certificates (DER), leaf first.
    chain: Vec<Vec<u8>>,
}

/// Sends a request and waits for the beginning of the answer. The error is the reason in words.
pub(super) async fn open(request: &Request) -> Result<Opened, String> {
    let uri: Uri = request.url.parse().map_err(|error| format!("no URL: {error}"))?;
    let host = uri.host().ok_or("the URL names no host")?.trim_matches(['[', ']']).to_owned();
    let secure = match uri.scheme_str() {
        Some("https") => true,
        Some("http") => false,
        _ => return Err("the URL is neither http nor https".to_owned()),
    };
    let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
    let stream = connect(request.connect_to, &host, port).await?;
    if !secure {
        return Ok(Opened { answer: talk(stream, request, &uri).await?, chain: Vec::new() });
    }
    let name = ServerName::try_from(host).map_err(|error| error.to_string())?;
    let connector = TlsConnector::from(Arc::new(client(&request.trust)?));
    let stream = connector.connect(name, stream).await.map_err(|error| words(&error))?;
    let peer = stream.get_ref().1.peer_certificates().unwrap_or_default();
    let chain = peer.iter().map(|certificate| certificate.to_vec()).collect();
    Ok(Opened { answer: talk(stream, request, &uri).await?, chain })
}

/// Tries the addresses of a name in turn.
async fn connect(to: Option<SocketAddr>, host: &str, port: u16) -> Result<TcpStream, String> {
    let stream = match to {
        Some(address) => TcpStream::connect(address).await,
        None => TcpStream::connect((host, port)).await,
    };
    stream.map_err(|error| words(&error))
}

async fn talk<S>(stream: S, request: &Request, uri: &Uri) -> Result<hyper::Response<Incoming>, String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| words(&error))?;
    // Ends when the sender is dropped at the latest.
    tokio::spawn(connection);
    sender.send_request(message(request, uri)?).await.map_err(|error| words(&error))
}

fn message(request: &Request, uri: &Uri) -> Result<hyper::Request<Full<Bytes>>, String> {
    let target = uri.path_and_query().map_or("/", |target| target.as_str());
    let host = uri.authority().map(|authority| authority.as_str().rsplit('@').next().unwrap_or_default());
    let mut message = hyper::Request::builder()
        .method(request.method.word())
        .uri(target)
        .header(HOST, host.unwrap_or_default())
        .header(ACCEPT, "*/*")
        .header(CONNECTION, "close")
        .header(USER_AGENT, concat!("phoenix/", env!("CARGO_PKG_VERSION")));
    for (name, value) in &request.headers {
        let name = HeaderName::try_from(name).map_err(|_| format!("`{name}` is no name of a header"))?;
        let value = HeaderValue::try_from(value.expose());
        let mut value = value.map_err(|_| format!("the value of the header `{name}` cannot be sent"))?;
        value.set_sensitive(true);
        if let Some(headers) = message.headers_mut() {
            headers.insert(name, value);
        }
    }
    let body = request.body.as_ref().map(|body| Bytes::from(body.expose().to_owned())).unwrap_or_default();
    if body.is_empty() && matches!(request.method, crate::request::Method::Post | crate::request::Method::Put) {
        message = message.header(header::CONTENT_LENGTH, "0");
    }
    message.body(Full::new(body)).map_err(|error| error.to_string())
}

fn client(trust: &Trust) -> Result<ClientConfig, String> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let believing = |roots| builder.clone().with_root_certificates(roots).with_no_client_auth();
    match trust {
        Trust::System => Ok(believing(system_roots()?)),
        Trust::Roots(pem) => {
            let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
            let mut roots = RootCertStore::empty();
            for certificate in found.map_err(|error| format!("the given roots are no PEM: {error}"))? {
                roots.add(certificate).map_err(|error| format!("a given root cannot be used: {error}"))?;
            }
            if roots.is_empty() { Err("no roots were given".to_owned()) } else { Ok(believing(roots)) }
        }
        Trust::Anybody => {
            let verifier = Arc::new(Credulous(provider));
            Ok(builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth())
        }
    }
}

fn system_roots() -> Result<RootCertStore, String> {
    let bundle = SYSTEM_ROOTS.iter().find(|path| std::path::Path::new(path).is_file());
    let bundle = bundle.ok_or("the system has no trust store: install the package ca-certificates")?;
    let found = CertificateDer::pem_file_iter(bundle).map_err(|error| format!("{bundle}: {error}"))?;
    let mut roots = RootCertStore::empty();
    // Like every other program: a root that is not understood is not believed.
    roots.add_parsable_certificates(found.filter_map(Result::ok));
    Ok(roots)
}

/// Believes any certificate whose key really signed the handshake.
#[derive(Debug)]
struct Credulous(Arc<CryptoProvider>);

impl ServerCertVerifier for Credulous {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
