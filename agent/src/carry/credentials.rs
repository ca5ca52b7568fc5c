//! Who seals, and for whom: the node's certificate and key, the hub's carry key.

use std::sync::Arc;

use rustls::SignatureScheme;
use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use rustls::sign::SigningKey;
use simpul_carry::{HubKey, signed_message};
use simpul_wire::NodeId;

use super::CarryError;
use crate::config::Config;
use crate::enrolment::store::Store;
use crate::uplink::tls::{TlsError, certificates};

/// What a node's key may sign with: those that its certificates have (P-256), and what people put into files.
const SCHEMES: [SignatureScheme; 4] = [
    SignatureScheme::ECDSA_NISTP256_SHA256,
    SignatureScheme::ECDSA_NISTP384_SHA384,
    SignatureScheme::ED25519,
    SignatureScheme::RSA_PSS_SHA256,
];

/// Who seals, and for whom.
pub struct Credentials {
    /// Whose records.
    pub node: NodeId,
    /// For whom.
    pub hub: HubKey,
    pub(super) certificate: Vec<u8>,
    key: Arc<dyn SigningKey>,
}

impl Credentials {
    /// What is on the card: the identity that was enrolled, else the certificate files that the configuration names.
    ///
    /// # Errors
    /// It cannot be read, or the hub's key is not known.
    pub fn load(config: &Config, to: Option<HubKey>) -> Result<Credentials, CarryError> {
        let kept = Store::new(&config.enrolment.directory).load()?.filter(|kept| kept.node == config.node);
        let told = kept.as_ref().and_then(|kept| kept.identity.trust.carry).map(|key| HubKey::from_bytes(*key));
        let (chain, key) = match &kept {
            Some(kept) => kept.chain_and_key(),
            None => {
                let path = &config.uplink.key_file;
                let key = PrivateKeyDer::from_pem_file(path).map_err(|error| TlsError::File {
                    what: "private key",
                    path: path.clone(),
                    cause: error.to_string(),
                })?;
                (certificates("certificate", &config.uplink.certificate_file)?, key)
            }
        };
        let sign = |error: rustls::Error| CarryError::Sign(error.to_string());
        let key = any_supported_type(&key).map_err(sign)?;
        let certificate = chain.first().map(|first| first.to_vec()).unwrap_or_default();
        Ok(Credentials { node: config.node.clone(), hub: to.or(told).ok_or(CarryError::NoKey)?, certificate, key })
    }

    /// Sign everything of a file before its first chunk: the scheme's number, the signature.
    pub(super) fn sign(&self, head: &[u8]) -> Result<(u16, Vec<u8>), CarryError> {
        let signer =
            self.key.choose_scheme(&SCHEMES).ok_or_else(|| CarryError::Sign("a kind that is not known".into()))?;
        let signature = signer.sign(&signed_message(head)).map_err(|error| CarryError::Sign(error.to_string()))?;
        Ok((signer.scheme().into(), signature))
    }
}
