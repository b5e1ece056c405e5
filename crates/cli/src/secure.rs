//! TLS towards a running server: which certificate is believed, and the connection itself.
//!
//! On the server's own machine, `run.json` names the certificate's file, and exactly that certificate is believed: it
//! is reached by an address that no certificate names. Elsewhere it is the authorities, and the name counts.

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, anyhow, bail};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, Error as TlsError, RootCertStore,
    SignatureScheme, StreamOwned,
};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, Either, LazyBuffers, NextTimeout, Transport, TransportAdapter,
};

/// Where operating systems keep the certificates of the authorities they trust.
const SYSTEM_FILES: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

/// Which certificates are believed.
#[derive(Clone, Debug)]
pub(crate) enum Trust {
    /// The first one in this file alone, whatever names it has.
    Exactly(PathBuf),
    /// Those that the authorities in this file have signed for the server's name.
    Authorities(PathBuf),
}

impl Trust {
    /// By the authorities in a file, or those that the operating system trusts.
    pub(crate) fn authorities(named: Option<&Path>) -> anyhow::Result<Self> {
        let system = || SYSTEM_FILES.map(PathBuf::from).into_iter().find(|file| file.exists());
        let file = named.map(Path::to_owned).or_else(system);
        Ok(Self::Authorities(file.context("name a file with the certificates of authorities, with --ca")?))
    }

    /// What to do when the server's certificate is not believed.
    pub(crate) fn advice(&self) -> String {
        match self {
            Self::Exactly(file) => format!(
                "it shows another certificate than {}, which its run.json names; a server reads that file again \
                 within ten seconds after a change",
                file.display()
            ),
            Self::Authorities(file) => format!(
                "its certificate is not signed by an authority in {}, or is for another name; \
                 --ca FILE names another file",
                file.display()
            ),
        }
    }

    /// For rustls.
    pub(crate) fn config(&self) -> anyhow::Result<ClientConfig> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let algorithms = provider.signature_verification_algorithms;
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        Ok(match self {
            Self::Exactly(file) => {
                let certificate = certificates(file)?.swap_remove(0);
                let only = Arc::new(Only { certificate, algorithms });
                builder.dangerous().with_custom_certificate_verifier(only).with_no_client_auth()
            }
            Self::Authorities(file) => {
                let mut roots = RootCertStore::empty();
                let (added, _) = roots.add_parsable_certificates(certificates(file)?);
                if added == 0 {
                    bail!("{} holds no certificate of an authority", file.display());
                }
                builder.with_root_certificates(roots).with_no_client_auth()
            }
        })
    }
}

/// The certificates in a PEM file, at least one.
fn certificates(file: &Path) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let unusable = || format!("the certificate {} cannot be read", file.display());
    let text = fs::read(file).with_context(unusable)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let found = found.map_err(|cause| anyhow!("{cause}")).with_context(unusable)?;
    if found.is_empty() {
        bail!("there is no certificate in {}", file.display());
    }
    Ok(found)
}

/// Believes one certificate. That the server holds its key is checked as ever.
#[derive(Debug)]
struct Only {
    certificate: CertificateDer<'static>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for Only {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        if *shown == self.certificate {
            return Ok(ServerCertVerified::assertion());
        }
        Err(TlsError::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Encrypts connections for `https`, and leaves others as they are.
#[derive(Debug)]
pub(crate) struct Secure(Arc<ClientConfig>);

impl Secure {
    pub(crate) fn new(trust: &Trust) -> anyhow::Result<Self> {
        Ok(Self(Arc::new(trust.config()?)))
    }
}

impl<In: Transport> Connector<In> for Secure {
    type Out = Either<In, Encrypted>;

    fn connect(&self, details: &ConnectionDetails, below: Option<In>) -> Result<Option<Self::Out>, ureq::Error> {
        let Some(below) = below else { return Ok(None) };
        if !details.needs_tls() {
            return Ok(Some(Either::A(below)));
        }
        let host = details.uri.host().unwrap_or_default().trim_matches(['[', ']']);
        let name = ServerName::try_from(host.to_owned()).map_err(|cause| ureq::Error::Other(Box::new(cause)))?;
        let mut session = ClientConnection::new(Arc::clone(&self.0), name).map_err(other)?;
        let mut socket = TransportAdapter::new(Box::new(below) as Box<dyn Transport>, details.current_time.clone());
        socket.set_timeout(details.timeout);
        session.complete_io(&mut socket)?;
        let config = details.config;
        let buffers = LazyBuffers::new(config.input_buffer_size(), config.output_buffer_size());
        Ok(Some(Either::B(Encrypted { buffers, stream: StreamOwned::new(session, socket) })))
    }
}

fn other(cause: TlsError) -> ureq::Error {
    ureq::Error::Other(Box::new(cause))
}

/// Whether a call failed because the server's certificate is not believed.
pub(crate) fn is_disbelief(error: &ureq::Error) -> bool {
    let ureq::Error::Io(cause) = error else { return false };
    let cause = cause.get_ref().and_then(|cause| cause.downcast_ref::<TlsError>());
    matches!(cause, Some(TlsError::InvalidCertificate(_)))
}

/// An encrypted connection.
pub(crate) struct Encrypted {
    buffers: LazyBuffers,
    stream: StreamOwned<ClientConnection, TransportAdapter>,
}

impl std::fmt::Debug for Encrypted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Encrypted(…)")
    }
}

impl Transport for Encrypted {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        self.stream.get_mut().set_timeout(timeout);
        Ok(self.stream.write_all(&self.buffers.output()[..amount])?)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        self.stream.get_mut().set_timeout(timeout);
        let amount = self.stream.read(self.buffers.input_append_buf())?;
        self.buffers.input_appended(amount);
        Ok(amount > 0)
    }

    fn is_open(&mut self) -> bool {
        self.stream.get_mut().get_mut().is_open()
    }

    fn is_tls(&self) -> bool {
        true
    }
}
