//! Mutual TLS: the server's configuration, whom a client's certificate speaks for, and which refusal it was.
//!
//! No session resumption: a resumed session would skip the look at the revoked certificates.

use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::ring;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::time_provider::TimeProvider;
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use simpul_clock::Clock;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::acl::Identity;
use super::config::{MqttError, TlsFiles};
use super::revocation::{Revoked, Serial};
use super::stats::Refusal;

/// The configuration of the server's side.
pub(crate) fn server_config(
    files: &TlsFiles,
    revoked: Revoked,
    clock: Clock,
) -> Result<rustls::ServerConfig, MqttError> {
    let unusable = |error: &dyn std::fmt::Display| MqttError::Tls(error.to_string());
    let provider = Arc::new(ring::default_provider());
    let roots = Arc::new(root_store(&files.ca_file)?);
    let inner = WebPkiClientVerifier::builder_with_provider(roots, provider.clone())
        .build()
        .map_err(|error| unusable(&error))?;
    let mut config = rustls::ServerConfig::builder_with_details(provider, Arc::new(WallTime(clock)))
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(&error))?
        .with_client_cert_verifier(Arc::new(Verifier { inner, revoked }))
        .with_single_cert(chain(&files.certificate_file, "certificate")?, key(&files.key_file)?)
        .map_err(|error| unusable(&error))?;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

/// The configuration towards an external broker.
pub(crate) fn client_config(ca_file: &Path, chain_and_key: (&Path, &Path)) -> Result<rustls::ClientConfig, MqttError> {
    let (certificate_file, key_file) = chain_and_key;
    rustls::ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| MqttError::Tls(error.to_string()))?
        .with_root_certificates(root_store(ca_file)?)
        .with_client_auth_cert(chain(certificate_file, "certificate")?, key(key_file)?)
        .map_err(|error| MqttError::Tls(error.to_string()))
}

fn root_store(ca_file: &Path) -> Result<RootCertStore, MqttError> {
    let mut roots = RootCertStore::empty();
    for certificate in chain(ca_file, "CA")? {
        roots.add(certificate).map_err(|error| pem_error("CA", ca_file, &error))?;
    }
    Ok(roots)
}

fn read(path: &Path, what: &'static str) -> Result<Vec<u8>, MqttError> {
    std::fs::read(path).map_err(|source| MqttError::File { what, path: path.to_owned(), source })
}

/// Every certificate of a PEM file; at least one.
pub(crate) fn chain(path: &Path, what: &'static str) -> Result<Vec<CertificateDer<'static>>, MqttError> {
    let pem = read(path, what)?;
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<_, _>>()
        .map_err(|error| pem_error(what, path, &error))?;
    if certificates.is_empty() {
        return Err(pem_error(what, path, &"no certificate"));
    }
    Ok(certificates)
}

fn key(path: &Path) -> Result<PrivateKeyDer<'static>, MqttError> {
    PrivateKeyDer::from_pem_slice(&read(path, "key")?).map_err(|error| pem_error("key", path, &error))
}

fn pem_error(what: &'static str, path: &Path, reason: &dyn std::fmt::Display) -> MqttError {
    MqttError::Pem { what, path: path.to_owned(), reason: reason.to_string() }
}

/// Certificates are judged by the workspace's clock.
#[derive(Debug)]
struct WallTime(Clock);

impl TimeProvider for WallTime {
    fn current_time(&self) -> Option<UnixTime> {
        let seconds = u64::try_from(self.0.wall_ms() / 1_000).ok()?;
        Some(UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds)))
    }
}

/// The usual checks, then the revoked certificates.
#[derive(Debug)]
struct Verifier {
    inner: Arc<dyn ClientCertVerifier>,
    revoked: Revoked,
}

impl ClientCertVerifier for Verifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.inner.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let verified = self.inner.verify_client_cert(end_entity, intermediates, now)?;
        let (_, parsed) = X509Certificate::from_der(end_entity).map_err(|_| CertificateError::BadEncoding)?;
        if self.revoked.contains(&Serial::from_bytes(parsed.raw_serial())) {
            return Err(CertificateError::Revoked.into());
        }
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

/// Whom a verified certificate speaks for, and its serial number. `Err` holds the common name that is nobody's.
pub(crate) fn identity(certificate: &CertificateDer<'_>) -> Result<(Identity, Serial), String> {
    let Ok((_, parsed)) = X509Certificate::from_der(certificate) else { return Err("(unreadable)".into()) };
    let mut names = parsed.subject().iter_common_name();
    // Two common names would be two identities.
    let name = match (names.next().and_then(|name| name.as_str().ok()), names.next()) {
        (Some(name), None) => name,
        _ => return Err("(none, or several)".into()),
    };
    match Identity::from_common_name(name) {
        Some(identity) => Ok((identity, Serial::from_bytes(parsed.raw_serial()))),
        None => Err(name.chars().take(80).collect()),
    }
}

/// Why a handshake failed, and what to do about it.
pub(crate) fn refusal(error: &std::io::Error) -> (Refusal, &'static str) {
    let Some(error) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) else {
        return (Refusal::Handshake, "the connection broke during the handshake");
    };
    match error {
        rustls::Error::NoCertificatesPresented => {
            (Refusal::NoCertificate, "it showed no certificate: enrol the device, or name its certificate and key")
        }
        rustls::Error::InvalidCertificate(reason) => match reason {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                (Refusal::Expired, "its certificate has expired: renew it")
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                (Refusal::NotYetValid, "its certificate is not valid yet: look at this machine's clock")
            }
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                (Refusal::Foreign, "its certificate comes from a foreign CA: enrol the device here")
            }
            CertificateError::Revoked => (Refusal::Revoked, "its certificate was revoked"),
            _ => (Refusal::BadCertificate, "its certificate is not usable"),
        },
        rustls::Error::AlertReceived(_) => {
            (Refusal::Handshake, "the client gave up: it may not know this server's CA or name")
        }
        _ => (Refusal::Handshake, "it did not speak TLS as it should"),
    }
}
