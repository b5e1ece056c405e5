//! Asking somebody else over HTTP: one GET of a configured URL, with a bound on time and size.
//!
//! Redirects are never followed, and no proxy of the environment is used: what is asked is what the
//! configuration names. HTTPS trusts the machine's own certificates, so that a company's own authority
//! works; `SSL_CERT_FILE` names others.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, HeaderValue, Request, Uri, header};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::finding::{Check, Finding, target};

/// What was answered.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// HTTP status.
    pub status: u16,
    /// Where a redirect leads.
    pub location: Option<String>,
    /// What kind of body it has.
    pub content_type: Option<String>,
    /// The body.
    pub body: Vec<u8>,
}

/// Why nothing was answered. The text is for the log.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The URL is none.
    #[error("{0} is no URL to fetch")]
    Url(String),
    /// It took too long.
    #[error("no answer within {0:?}")]
    Late(Duration),
    /// It is longer than it may be.
    #[error("the answer has over {0} bytes")]
    Long(usize),
    /// The network's or the other side's fault.
    #[error("{0}")]
    Broken(String),
}

/// How much a request may take.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Time for everything.
    pub time: Duration,
    /// Bytes of the answer's body.
    pub bytes: usize,
}

impl Fetched {
    /// What to say of an answer that leads elsewhere; `None` for every other one.
    pub fn redirect(&self, url: &str) -> Option<Finding> {
        if !(300..=399).contains(&self.status) {
            return None;
        }
        let found = match self.location.as_deref() {
            Some(location) => format!("{} to {}", self.status, target(location)),
            None => format!("{} without a target", self.status),
        };
        let finding = Finding::new(Check::Redirect, found, format!("an answer of {url} itself"));
        let is_secure = self.location.as_deref().is_some_and(|location| location.starts_with("https://"));
        Some(match is_secure && url.starts_with("http://") {
            true => finding.hint("it wants HTTPS: use its https address, or send the header X-Forwarded-Proto"),
            false => finding.hint("redirects are not followed: answer 401 where nobody is logged in"),
        })
    }
}

impl FetchError {
    /// The same as a finding.
    pub fn finding(&self) -> Finding {
        match self {
            Self::Late(time) => {
                Finding::new(Check::AnswerTime, format!("no answer within {time:?}"), "one (timeout_ms)")
            }
            Self::Long(bytes) => Finding::new(Check::AnswerSize, format!("over {bytes} bytes"), "less"),
            Self::Url(_) | Self::Broken(_) => Finding::new(Check::Connection, self.to_string(), "an answer"),
        }
    }
}

fn broken(what: &str) -> impl Fn(Box<dyn std::error::Error + Send + Sync>) -> FetchError {
    move |cause| FetchError::Broken(format!("{what}: {}", crate::http::chain(cause.as_ref())))
}

/// The machine's certificates, read once. A broken one among them is left out.
static TLS: LazyLock<Result<TlsConnector, String>> = LazyLock::new(|| {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let causes: Vec<String> = found.errors.iter().map(ToString::to_string).collect();
        return Err(format!("this machine has no certificates to trust (ca-certificates): {}", causes.join("; ")));
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|cause| cause.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
});

/// Gets a URL, with these headers in place of the usual ones, or beside them.
pub async fn get(url: &str, headers: HeaderMap, bounds: Bounds) -> Result<Fetched, FetchError> {
    timeout(bounds.time, get_at_leisure(url, headers, bounds.bytes)).await.map_err(|_| FetchError::Late(bounds.time))?
}

async fn get_at_leisure(url: &str, headers: HeaderMap, bytes_max: usize) -> Result<Fetched, FetchError> {
    let no_url = || FetchError::Url(url.to_owned());
    let uri: Uri = url.parse().map_err(|_| no_url())?;
    let authority = uri.authority().ok_or_else(no_url)?;
    let is_secure = match uri.scheme_str() {
        Some("https") => true,
        Some("http") => false,
        _ => return Err(no_url()),
    };
    let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
    let port = authority.port_u16().unwrap_or(if is_secure { 443 } else { 80 });
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let mut request = Request::get(path).body(Body::empty()).map_err(|_| no_url())?;
    *request.headers_mut() = headers;
    let headers = request.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    for (name, value) in [
        (header::HOST, authority.as_str()),
        (header::ACCEPT, "application/json"),
        (header::USER_AGENT, concat!("tertulia/", env!("CARGO_PKG_VERSION"))),
    ] {
        // What the caller gave stays.
        if !headers.contains_key(&name) {
            headers.insert(name, value.parse().map_err(|_| no_url())?);
        }
    }
    let stream =
        TcpStream::connect((host.as_str(), port)).await.map_err(|cause| broken("no connection")(cause.into()))?;
    if !is_secure {
        return exchange(stream, request, bytes_max).await;
    }
    let connector = TLS.as_ref().map_err(|cause| FetchError::Broken(cause.clone()))?;
    let name = ServerName::try_from(host).map_err(|_| no_url())?;
    let stream = connector.connect(name, stream).await.map_err(|cause| broken("no secure connection")(cause.into()))?;
    exchange(stream, request, bytes_max).await
}

async fn exchange<S>(stream: S, request: Request<Body>, bytes_max: usize) -> Result<Fetched, FetchError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|cause| broken("no HTTP")(cause.into()))?;
    let answered = async move {
        let answer = sender.send_request(request).await.map_err(|cause| broken("no answer")(cause.into()))?;
        let status = answer.status().as_u16();
        let text =
            |name| answer.headers().get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        let (location, content_type) = (text(header::LOCATION), text(header::CONTENT_TYPE));
        let body = to_bytes(Body::new(answer.into_body()), bytes_max).await.map_err(|cause| {
            // Hyper tells of connections that break; what it does not know of is the bound.
            let mut causes = std::iter::successors(Some(&cause as &(dyn std::error::Error + 'static)), |e| e.source());
            match causes.any(<dyn std::error::Error>::is::<hyper::Error>) {
                true => broken("the answer broke off")(cause.into_inner()),
                false => FetchError::Long(bytes_max),
            }
        })?;
        Ok(Fetched { status, location, content_type, body: body.to_vec() })
    };
    tokio::pin!(answered);
    // The connection must be driven, and is dropped with the request: nothing goes on behind anybody's back.
    tokio::select! {
        outcome = &mut answered => outcome,
        ended = connection => match ended {
            Ok(()) => answered.await,
            Err(cause) => Err(broken("the connection broke")(cause.into())),
        },
    }
}
