//! Trust in the hub: the district's CAs, this node's certificate, and the time at which certificates are judged.
//!
//! Boards have no clock battery: after a power cut the system's time may be years off, back or ahead. So validity is
//! judged at the latest of three: when this program was built, the last wall time that was saved, and the system's time
//! if that is believed. While it is not, the present may be any time after the other two: then a certificate that begins
//! later is judged at its own beginning. Leaves to others: saving that time, revocation (the hub's side).

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::time_provider::TimeProvider;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use simpul_clock::Clock;
use simpul_wire::enrolment::HUB_NAME;

use crate::config::{ClockTrust, UplinkConfig};
use crate::stamper::SYNCHRONISED_FILE;

/// Unix seconds at which this program was built (`SOURCE_DATE_EPOCH`, else the build's clock; `build.rs`).
const BUILD_UNIX_S: &str = env!("SIMPUL_BUILD_UNIX_S");

/// When this program was built, in Unix milliseconds.
pub(crate) fn built_ms() -> i64 {
    BUILD_UNIX_S.parse::<i64>().unwrap_or_default().saturating_mul(1000)
}

/// Why the uplink's certificates could not be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file could not be read, or holds no PEM of that kind.
    #[error("{what} {path}: {cause}")]
    File {
        /// What it should hold.
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// What went wrong.
        cause: String,
    },
    /// The server name is not a DNS name or an IP address.
    #[error("uplink.server_name {0:?} is neither a DNS name nor an IP address")]
    ServerName(String),
    /// The parts do not fit each other.
    #[error("certificate and key do not fit: {0}")]
    Unusable(#[from] rustls::Error),
    /// The CAs cannot be used.
    #[error("the CA file's certificates cannot be used: {0}")]
    Verifier(#[from] rustls::client::VerifierBuilderError),
}

/// The time at which certificates are judged. Clones share the saved wall time.
#[derive(Debug, Clone)]
pub struct JudgingTime {
    clock: Clock,
    trust: ClockTrust,
    saved_ms: Arc<AtomicI64>,
}

impl JudgingTime {
    /// `saved_ms` is the last wall time that was saved, 0 for none.
    pub fn new(clock: Clock, trust: ClockTrust, saved_ms: i64) -> Self {
        JudgingTime { clock, trust, saved_ms: Arc::new(AtomicI64::new(saved_ms)) }
    }

    /// Whether the system's time is believed now.
    fn is_believed(&self) -> bool {
        self.trust == ClockTrust::Trust || Path::new(SYNCHRONISED_FILE).exists()
    }

    /// A trustworthy wall time was seen.
    pub fn saw(&self, wall_ms: i64) {
        self.saved_ms.fetch_max(wall_ms, Ordering::Relaxed);
    }

    /// The latest trustworthy wall time, seen now or before; to be saved.
    pub fn seen_ms(&self) -> Option<i64> {
        Some(self.saved_ms.load(Ordering::Relaxed)).filter(|saved_ms| *saved_ms > 0)
    }

    /// The time, in Unix milliseconds.
    pub fn wall_ms(&self) -> i64 {
        let known_ms = self.saved_ms.load(Ordering::Relaxed).max(built_ms());
        if self.is_believed() { self.clock.wall_ms().max(known_ms) } else { known_ms }
    }
}

impl TimeProvider for JudgingTime {
    fn current_time(&self) -> Option<UnixTime> {
        let milliseconds = u64::try_from(self.wall_ms()).ok()?;
        Some(UnixTime::since_unix_epoch(Duration::from_millis(milliseconds)))
    }
}

/// Judges the hub's certificate by a name that need not be the address's.
#[derive(Debug)]
pub(crate) struct HubVerifier {
    inner: Arc<WebPkiServerVerifier>,
    name: Option<ServerName<'static>>,
    time: JudgingTime,
}

impl HubVerifier {
    /// For hubs of these CAs; `None`: by the address's own name.
    pub(crate) fn new(
        roots: RootCertStore,
        name: Option<ServerName<'static>>,
        time: JudgingTime,
    ) -> Result<HubVerifier, TlsError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let inner = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build()?;
        Ok(HubVerifier { inner, name, time })
    }
}

/// The name in each hub's certificate of an enrolled district.
pub(crate) fn hub_name() -> Result<ServerName<'static>, TlsError> {
    ServerName::try_from(HUB_NAME).map_err(|_| TlsError::ServerName(HUB_NAME.to_owned()))
}

impl ServerCertVerifier for HubVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let name = self.name.as_ref().unwrap_or(server_name);
        match self.inner.verify_server_cert(end_entity, intermediates, name, ocsp_response, now) {
            Err(rustls::Error::InvalidCertificate(CertificateError::NotValidYetContext { not_before, .. }))
                if !self.time.is_believed() =>
            {
                self.inner.verify_server_cert(end_entity, intermediates, name, ocsp_response, not_before)
            }
            verdict => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls12_signature(message, cert, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls13_signature(message, cert, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

/// Where the uplink's TLS comes from, asked at each connection: a certificate that was renewed is shown at the next one.
#[derive(Clone)]
pub struct TlsSource(Arc<dyn Fn() -> Result<Arc<ClientConfig>, String> + Send + Sync>);

impl TlsSource {
    /// From a function that reads it.
    pub fn reading(read: impl Fn() -> Result<Arc<ClientConfig>, String> + Send + Sync + 'static) -> TlsSource {
        TlsSource(Arc::new(read))
    }

    /// What it is now.
    ///
    /// # Errors
    /// It cannot be read, in words.
    pub fn get(&self) -> Result<Arc<ClientConfig>, String> {
        (self.0)()
    }
}

impl From<Arc<ClientConfig>> for TlsSource {
    fn from(config: Arc<ClientConfig>) -> TlsSource {
        TlsSource::reading(move || Ok(config.clone()))
    }
}

/// The client's TLS from the configured files. Installs nothing process-wide.
pub fn client_config(uplink: &UplinkConfig, time: JudgingTime) -> Result<Arc<ClientConfig>, TlsError> {
    let name = match &uplink.server_name {
        Some(name) => Some(ServerName::try_from(name.clone()).map_err(|_| TlsError::ServerName(name.clone()))?),
        None => None,
    };
    let authorities = certificates("CA file", &uplink.ca_file)?;
    let chain = certificates("certificate", &uplink.certificate_file)?;
    let key = PrivateKeyDer::from_pem_file(&uplink.key_file)
        .map_err(|error| unreadable("private key", &uplink.key_file, error))?;
    assemble(authorities, name, (chain, key), time)
}

/// The client's TLS of CAs, the hub's name, and a certificate with its key.
pub(crate) fn assemble(
    authorities: Vec<CertificateDer<'static>>,
    name: Option<ServerName<'static>>,
    (chain, key): (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>),
    time: JudgingTime,
) -> Result<Arc<ClientConfig>, TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        roots.add(authority)?;
    }
    let verifier = HubVerifier::new(roots, name, time.clone())?;
    let config = ClientConfig::builder_with_details(provider, Arc::new(time))
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_client_auth_cert(chain, key)?;
    Ok(Arc::new(config))
}

fn unreadable(what: &'static str, path: &Path, cause: impl ToString) -> TlsError {
    TlsError::File { what, path: path.to_path_buf(), cause: cause.to_string() }
}

/// Every certificate of a PEM file; at least one.
pub(crate) fn certificates(what: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let iter = CertificateDer::pem_file_iter(path).map_err(|error| unreadable(what, path, error))?;
    let all: Vec<_> = iter.collect::<Result<_, _>>().map_err(|error| unreadable(what, path, error))?;
    if all.is_empty() {
        return Err(unreadable(what, path, "no PEM certificate in it"));
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_are_judged_at_the_latest_of_build_saved_and_system_time() {
        let built_ms = BUILD_UNIX_S.parse::<i64>().unwrap() * 1000;
        let clock = Clock::held(0);
        let time = JudgingTime::new(clock.clone(), ClockTrust::Trust, 0);
        assert_eq!(time.wall_ms(), built_ms, "a board that boots in 1970");
        time.saw(built_ms + 5_000);
        time.saw(1);
        assert_eq!(time.wall_ms(), built_ms + 5_000);
        clock.set_wall_ms(built_ms + 9_000);
        assert_eq!(time.wall_ms(), built_ms + 9_000);
        let unsure = JudgingTime { trust: ClockTrust::Auto, ..time };
        if !unsure.is_believed() {
            assert_eq!(unsure.wall_ms(), built_ms + 5_000, "a clock that nobody vouches for");
        }
    }
}
