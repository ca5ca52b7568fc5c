//! Trust in the hub: the district's CAs, this node's certificate, and the time at which certificates are judged.
//!
//! Boards have no clock battery: after a power cut the system's time may be years back and every certificate "not yet
//! valid". So validity is judged at the latest of three: when this program was built, the last wall time that was
//! saved, the system's time. Leaves to others: saving that time, revocation (the hub's side).

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use simpul_clock::Clock;

use crate::config::UplinkConfig;

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
    saved_ms: Arc<AtomicI64>,
}

impl JudgingTime {
    /// `saved_ms` is the last wall time that was saved, 0 for none.
    pub fn new(clock: Clock, saved_ms: i64) -> Self {
        JudgingTime { clock, saved_ms: Arc::new(AtomicI64::new(saved_ms)) }
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
        self.clock.wall_ms().max(self.saved_ms.load(Ordering::Relaxed)).max(built_ms())
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
struct HubVerifier {
    inner: Arc<WebPkiServerVerifier>,
    name: Option<ServerName<'static>>,
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
        self.inner.verify_server_cert(end_entity, intermediates, name, ocsp_response, now)
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

/// The client's TLS from the configured files. Installs nothing process-wide.
pub fn client_config(uplink: &UplinkConfig, time: JudgingTime) -> Result<Arc<ClientConfig>, TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    for authority in certificates("CA file", &uplink.ca_file)? {
        roots.add(authority)?;
    }
    let inner = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build()?;
    let name = match &uplink.server_name {
        Some(name) => Some(ServerName::try_from(name.clone()).map_err(|_| TlsError::ServerName(name.clone()))?),
        None => None,
    };
    let chain = certificates("certificate", &uplink.certificate_file)?;
    let key = PrivateKeyDer::from_pem_file(&uplink.key_file)
        .map_err(|error| unreadable("private key", &uplink.key_file, error))?;
    let config = ClientConfig::builder_with_details(provider, Arc::new(time))
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(HubVerifier { inner, name }))
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
        let time = JudgingTime::new(clock.clone(), 0);
        assert_eq!(time.wall_ms(), built_ms, "a board that boots in 1970");
        time.saw(built_ms + 5_000);
        time.saw(1);
        assert_eq!(time.wall_ms(), built_ms + 5_000);
        clock.set_wall_ms(built_ms + 9_000);
        assert_eq!(time.wall_ms(), built_ms + 9_000);
    }
}
