//! How a laptop knows the hub: by the fingerprint of the district's CA in its token, later by the CAs that it was given;
//! always by the one name that the CA gives to hubs alone. A laptop's clock is taken as it is.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use sha2::{Digest, Sha256};
use simpul_wire::enrolment::HUB_NAME;

use super::identity::Kept;
use super::problem::Problem;

/// SHA-256.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// Towards the hub that shows this CA.
pub fn pinned(authority: [u8; 32]) -> Result<ClientConfig, Problem> {
    let config = verified(Trusted::Fingerprint(authority))?;
    Ok(config.with_no_client_auth())
}

/// Towards the hub of this identity, showing it.
pub fn known(kept: &Kept) -> Result<ClientConfig, Problem> {
    let mut roots = RootCertStore::empty();
    for authority in &kept.identity.trust.authorities {
        roots.add(CertificateDer::from(authority.to_vec())).map_err(Problem::key)?;
    }
    let chain = vec![CertificateDer::from(kept.identity.certificate.to_vec())];
    let key = PrivatePkcs8KeyDer::from(kept.key.to_vec()).into();
    verified(Trusted::Authorities(Arc::new(roots)))?.with_client_auth_cert(chain, key).map_err(Problem::key)
}

fn verified(trusted: Trusted) -> Result<rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert>, Problem> {
    let provider = Arc::new(ring::default_provider());
    let name = ServerName::try_from(HUB_NAME).map_err(Problem::key)?;
    let verifier = Verifier { trusted, name, provider: provider.clone() };
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    Ok(config.map_err(Problem::key)?.dangerous().with_custom_certificate_verifier(Arc::new(verifier)))
}

#[derive(Debug)]
enum Trusted {
    Fingerprint([u8; 32]),
    Authorities(Arc<RootCertStore>),
}

#[derive(Debug)]
struct Verifier {
    trusted: Trusted,
    name: ServerName<'static>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let roots = match &self.trusted {
            Trusted::Authorities(roots) => roots.clone(),
            Trusted::Fingerprint(pinned) => {
                let authority = intermediates.iter().find(|der| sha256(der) == *pinned).ok_or_else(|| {
                    Error::General(
                        "this hub belongs to another district: it shows another CA than the token names".into(),
                    )
                })?;
                let mut roots = RootCertStore::empty();
                roots.add(authority.clone().into_owned())?;
                Arc::new(roots)
            }
        };
        let verifier = WebPkiServerVerifier::builder_with_provider(roots, self.provider.clone())
            .build()
            .map_err(|error| Error::General(error.to_string()))?;
        verifier.verify_server_cert(end_entity, &[], &self.name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
