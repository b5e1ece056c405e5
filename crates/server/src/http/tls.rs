//! TLS on the listening port: a certificate and its key from files, read again when they change.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::App;
use crate::platform::config::TlsConfig;

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// What connections are encrypted with, now.
pub struct Tls {
    certificate: PathBuf,
    key: PathBuf,
    inner: Mutex<Inner>,
}

struct Inner {
    acceptor: TlsAcceptor,
    seen: [Option<SystemTime>; 2],
}

/// Why a certificate cannot be used; each is one sentence that names the file.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read, or has not in it what it should.
    #[error("{file} cannot be used as {what}: {cause}")]
    File {
        /// Which.
        file: String,
        /// What for.
        what: &'static str,
        /// The reason.
        cause: String,
    },
    /// They do not fit.
    #[error("the certificate in {certificate} and the key in {key} do not fit: {cause}")]
    Mismatch {
        /// The file of the certificate.
        certificate: String,
        /// The file of the key.
        key: String,
        /// The reason.
        cause: String,
    },
}

impl Tls {
    /// From the configuration; `None` when no certificate is named.
    pub fn open(config: &TlsConfig) -> Result<Option<Arc<Self>>, TlsError> {
        if config.certificate.is_empty() && config.key.is_empty() {
            return Ok(None);
        }
        let (certificate, key) = (PathBuf::from(&config.certificate), PathBuf::from(&config.key));
        let seen = times(&certificate, &key);
        let acceptor = load(&certificate, &key)?;
        Ok(Some(Arc::new(Self { certificate, key, inner: Mutex::new(Inner { acceptor, seen }) })))
    }

    /// The handshake of a connection.
    pub async fn accept(&self, stream: TcpStream) -> std::io::Result<TlsStream<TcpStream>> {
        let acceptor = self.lock().acceptor.clone();
        acceptor.accept(stream).await
    }

    /// Reads the files again when they have changed. What cannot be used is logged, and the old ones stay.
    pub fn look(&self) {
        let seen = times(&self.certificate, &self.key);
        if self.lock().seen == seen {
            return;
        }
        match load(&self.certificate, &self.key) {
            Ok(acceptor) => {
                *self.lock() = Inner { acceptor, seen };
                tracing::info!(certificate = %self.certificate.display(), "the certificate was read again");
            }
            // The two files may be half-way through being replaced: the next look finds out.
            Err(cause) => tracing::error!(%cause, "the new certificate cannot be used; the old one stays"),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Looks at the files until the server goes away.
pub(crate) async fn keep_fresh(app: Arc<App>, tls: Arc<Tls>) {
    let mut draining = app.draining();
    loop {
        tokio::select! {
            _ = draining.wait_for(|draining| *draining) => return,
            () = tokio::time::sleep(LOOK_EVERY) => tls.look(),
        }
    }
}

fn times(certificate: &Path, key: &Path) -> [Option<SystemTime>; 2] {
    [certificate, key].map(|file| std::fs::metadata(file).and_then(|found| found.modified()).ok())
}

fn load(certificate: &Path, key: &Path) -> Result<TlsAcceptor, TlsError> {
    let unusable = |file: &Path, what: &'static str, cause: String| TlsError::File {
        file: file.display().to_string(),
        what,
        cause,
    };
    let chain: Result<Vec<_>, _> =
        CertificateDer::pem_file_iter(certificate).and_then(|certificates| certificates.collect());
    let chain = chain.map_err(|cause| unusable(certificate, "a certificate", cause.to_string()))?;
    if chain.is_empty() {
        return Err(unusable(certificate, "a certificate", "there is none in it".to_owned()));
    }
    let private =
        PrivateKeyDer::from_pem_file(key).map_err(|cause| unusable(key, "a private key", cause.to_string()))?;
    let mismatch = |cause: rustls::Error| TlsError::Mismatch {
        certificate: certificate.display().to_string(),
        key: key.display().to_string(),
        cause: cause.to_string(),
    };
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(mismatch)?
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .map_err(mismatch)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rustls::pki_types::ServerName;
    use rustls::{ClientConfig, RootCertStore};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio_rustls::TlsConnector;

    use super::*;

    fn write(folder: &Path) -> (TlsConfig, CertificateDer<'static>) {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let file = |name: &str, text: String| {
            let path = folder.join(name);
            fs::write(&path, text).unwrap();
            path.to_str().unwrap().to_owned()
        };
        let certificate = file("certificate.pem", made.cert.pem());
        let key = file("key.pem", made.signing_key.serialize_pem());
        (TlsConfig { certificate, key }, made.cert.der().clone())
    }

    /// Whether a client that trusts this certificate only can talk.
    async fn talks(tls: &Arc<Tls>, trusted: &CertificateDer<'static>) -> bool {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let tls = Arc::clone(tls);
        tokio::spawn(async move {
            if let Ok(mut stream) = tls.accept(listener.accept().await.unwrap().0).await {
                stream.write_all(b"hello").await.unwrap();
                let _ = stream.shutdown().await;
            }
        });
        let mut roots = RootCertStore::empty();
        roots.add(trusted.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = config.with_root_certificates(roots).with_no_client_auth();
        let stream = TcpStream::connect(address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let Ok(mut stream) = TlsConnector::from(Arc::new(config)).connect(name, stream).await else { return false };
        let mut text = String::new();
        stream.read_to_string(&mut text).await.is_ok() && text == "hello"
    }

    #[tokio::test]
    async fn a_new_certificate_is_taken_without_a_restart_and_a_bad_one_is_not() {
        let folder = testkit::temp_dir();
        let (config, old) = write(folder.path());
        let tls = Tls::open(&config).unwrap().unwrap();
        assert!(talks(&tls, &old).await);
        let (_, new) = write(folder.path());
        // File systems with coarse times would not show the change.
        tls.lock().seen = [None, None];
        tls.look();
        assert!(talks(&tls, &new).await);
        assert!(!talks(&tls, &old).await);
        fs::write(&config.certificate, "no certificate").unwrap();
        tls.lock().seen = [None, None];
        tls.look();
        assert!(talks(&tls, &new).await, "the old one stays");
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        let folder = testkit::temp_dir();
        let (config, _) = write(folder.path());
        assert!(Tls::open(&TlsConfig { certificate: String::new(), key: String::new() }).unwrap().is_none());
        let missing = TlsConfig { key: "/nowhere/key.pem".to_owned(), ..config.clone() };
        assert!(Tls::open(&missing).err().unwrap().to_string().contains("/nowhere/key.pem"));
        let swapped = TlsConfig { certificate: config.key.clone(), key: config.certificate.clone() };
        assert!(Tls::open(&swapped).err().unwrap().to_string().contains("cannot be used as"));
        let other = testkit::temp_dir();
        let (mixed, _) = write(other.path());
        let mixed = TlsConfig { key: mixed.key, ..config };
        assert!(Tls::open(&mixed).err().unwrap().to_string().contains("do not fit"));
    }
}
