//! Whether a file's sealer is a node of this district: its certificate, and its signature over the file's head.
//!
//! As for a renewal, an expired certificate is good enough: a node whose backlog is carried has been away for long.

use std::path::PathBuf;

use rustls::SignatureScheme;
use rustls::server::danger::ClientCertVerifier;
use rustls_pki_types::{CertificateDer, UnixTime};
use simpul_carry::{Header, HubSecret, Opening, signed_message};
use simpul_clock::Clock;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::CarryError;
use crate::config::Config;
use crate::identity::ledger::Ledger;
use crate::identity::verifier::ExpiredToo;
use crate::identity::{Places, carry};
use crate::mqtt::{Revoked, Serial, certificate_identity, certificates};

/// Judges files; reads keys and certificates anew for each, so that it follows the command line.
#[derive(Debug, Clone)]
pub struct Judge {
    pub(super) places: Places,
    pub(super) ca_file: PathBuf,
    pub(super) revoked_file: Option<PathBuf>,
    pub(super) clock: Clock,
}

fn unusable(error: impl std::fmt::Display) -> CarryError {
    CarryError::Hub(error.to_string())
}

impl Judge {
    /// Of the hub with this configuration.
    pub fn new(config: &Config, clock: Clock) -> Judge {
        Judge {
            places: Places::of(&config.data_directory),
            ca_file: config.mqtt.ca_file.clone(),
            revoked_file: config.mqtt.revoked_file.clone(),
            clock,
        }
    }

    /// What opens files for this hub.
    pub(super) fn keys(&self) -> Result<Vec<HubSecret>, CarryError> {
        let keys = carry::keys(&self.places.pki).map_err(unusable)?;
        if keys.is_empty() { Err(CarryError::NoKey) } else { Ok(keys) }
    }

    /// Whether the node that the header names has sealed this file, and may.
    pub(super) fn judge(&self, header: &Header, head: &[u8], opening: &Opening) -> Result<(), CarryError> {
        let certificate = CertificateDer::from(opening.certificate.to_vec());
        let authorities = certificates(&self.ca_file, "CA").map_err(unusable)?;
        let verifier = ExpiredToo::new(&authorities).map_err(unusable)?;
        let now_s = u64::try_from(self.clock.wall_ms() / 1_000).unwrap_or_default();
        let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(now_s));
        let node = || header.node.to_string();
        verifier
            .verify_client_cert(&certificate, &[], now)
            .map_err(|error| CarryError::Stranger { node: node(), reason: error.to_string() })?;
        let (identity, serial) = certificate_identity(&certificate)
            .map_err(|name| CarryError::Stranger { node: node(), reason: format!("its name is {name}") })?;
        if identity.node() != Some(&header.node) {
            return Err(CarryError::OtherNode { node: node(), certificate: identity.name().to_owned() });
        }
        if self.is_revoked(&serial)? {
            return Err(CarryError::Revoked { node: node() });
        }
        if signed(&certificate, head, opening) { Ok(()) } else { Err(CarryError::BadSignature { node: node() }) }
    }

    fn is_revoked(&self, serial: &Serial) -> Result<bool, CarryError> {
        if let Some(file) = &self.revoked_file
            && Revoked::read(file).map_err(unusable)?.contains(serial)
        {
            return Ok(true);
        }
        if !Ledger::exists(&self.places.registry) {
            return Ok(false);
        }
        let revoked = Ledger::open(&self.places.registry).and_then(|ledger| ledger.revoked()).map_err(unusable)?;
        Ok(revoked.iter().any(|revoked| Serial::from_bytes(revoked) == *serial))
    }
}

fn signed(certificate: &CertificateDer<'_>, head: &[u8], opening: &Opening) -> bool {
    let Ok((_, parsed)) = X509Certificate::from_der(certificate) else { return false };
    let scheme = SignatureScheme::from(opening.scheme);
    let known = rustls::crypto::ring::default_provider().signature_verification_algorithms.mapping;
    let algorithms = known.iter().filter(|(known, _)| *known == scheme).flat_map(|(_, algorithms)| *algorithms);
    let (key, message) = (&parsed.public_key().subject_public_key.data, signed_message(head));
    // One of them fits the key; the others refuse it.
    algorithms.into_iter().any(|algorithm| algorithm.verify_signature(key, &message, &opening.signature).is_ok())
}
