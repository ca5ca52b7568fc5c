//! One request to the hub's enrolment API, over HTTPS, at the first of its addresses that answers.
//!
//! With a token the hub is known by its CA's fingerprint alone; with an identity by the CAs that are kept.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{CertificateParams, KeyPair};
use reqwest::{Client, StatusCode};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use sha2::{Digest, Sha256};
use simpul_wire::enrolment::{
    ANSWER_BYTES_MAX, Address, ENROL_PATH, EnrolRequest, EnrolmentToken, Identity, RENEW_PATH, Refusal, RenewRequest,
    TRUST_PATH, Trust,
};
use simpul_wire::update::{OFFERS_PATH, Offers};

use super::EnrolmentError;
use super::store::Kept;
use crate::uplink::tls::{HubVerifier, JudgingTime, TlsError, assemble, hub_name};

/// For DNS, TCP and TLS: a 3-second round trip still gets through.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(20);

/// For all of a request: 20 kB at 2 kbit/s take longer, and then the next attempt comes.
const REQUEST_TIME_MAX: Duration = Duration::from_secs(60);

/// Of a download: the next byte comes within so long, or it goes on another time.
const READ_TIME_MAX: Duration = Duration::from_secs(60);

/// Ask for the first certificate.
///
/// # Errors
/// No hub answered, or it refused.
pub async fn enrol(token: &EnrolmentToken, key: &KeyPair, time: &JudgingTime) -> Result<Identity, EnrolmentError> {
    let request =
        EnrolRequest { node: token.node.clone(), secret: token.secret.clone(), request: request(key)?.into() };
    let client = client(Arc::unwrap_or_clone(pinned(token.authority, time)?))?;
    let answer = ask(&client, &token.addresses, ENROL_PATH, Some(request.to_vec())).await?;
    let identity = Identity::from_slice(&answer)?;
    // Else a hub that is not the token's own could have its CA trusted from now on.
    let is_pinned = |der: &[u8]| Sha256::digest(der)[..] == token.authority;
    if !identity.trust.authorities.iter().any(|authority| is_pinned(authority)) {
        return Err(EnrolmentError::BadAnswer("the CA that the token names is not among those that it gives".into()));
    }
    Ok(identity)
}

/// Ask for the next certificate.
///
/// # Errors
/// No hub answered, or it refused.
pub async fn renew(kept: &Kept, key: &KeyPair, time: &JudgingTime) -> Result<Identity, EnrolmentError> {
    let request = RenewRequest { request: request(key)?.into() };
    let answer = ask(&known(kept, time)?, addresses(kept), RENEW_PATH, Some(request.to_vec())).await?;
    Ok(Identity::from_slice(&answer)?)
}

/// Ask whom to trust.
///
/// # Errors
/// No hub answered, or it refused.
pub async fn trust(kept: &Kept, time: &JudgingTime) -> Result<Trust, EnrolmentError> {
    Ok(Trust::from_slice(&ask(&known(kept, time)?, addresses(kept), TRUST_PATH, None).await?)?)
}

/// Ask what this node should run.
///
/// # Errors
/// No hub answered, or it refused.
pub async fn offers(kept: &Kept, time: &JudgingTime) -> Result<Offers, EnrolmentError> {
    Ok(Offers::from_slice(&ask(&known(kept, time)?, addresses(kept), OFFERS_PATH, None).await?)?)
}

/// Begin a download from a byte on: the first hub that answers anything.
///
/// # Errors
/// None did.
pub async fn content(
    kept: &Kept,
    time: &JudgingTime,
    path: &str,
    from: u64,
) -> Result<reqwest::Response, EnrolmentError> {
    let config = assemble(kept.authorities(), Some(hub_name()?), kept.chain_and_key(), time.clone())?;
    let client = builder(Arc::unwrap_or_clone(config)).read_timeout(READ_TIME_MAX).build();
    let client = client.map_err(|error| EnrolmentError::Key(words(&error)))?;
    let mut last = EnrolmentError::NoAnswer("it told no address for this; enrol the node anew".into());
    for address in addresses(kept) {
        let mut request = client.get(format!("https://{}{path}", address.as_str()));
        if from > 0 {
            request = request.header("range", format!("bytes={from}-"));
        }
        match request.send().await {
            Ok(response) => return Ok(response),
            Err(error) => last = EnrolmentError::NoAnswer(format!("{}: {}", address.as_str(), words(&error))),
        }
    }
    Err(last)
}

fn addresses(kept: &Kept) -> &[Address] {
    &kept.identity.trust.addresses
}

fn request(key: &KeyPair) -> Result<Vec<u8>, EnrolmentError> {
    // The hub names the node by its token or certificate: the request is for its key alone.
    let request = CertificateParams::default().serialize_request(key);
    request.map(|request| request.der().to_vec()).map_err(|error| EnrolmentError::Key(error.to_string()))
}

fn known(kept: &Kept, time: &JudgingTime) -> Result<Client, EnrolmentError> {
    let config = assemble(kept.authorities(), Some(hub_name()?), kept.chain_and_key(), time.clone())?;
    client(Arc::unwrap_or_clone(config))
}

fn client(tls: ClientConfig) -> Result<Client, EnrolmentError> {
    builder(tls).timeout(REQUEST_TIME_MAX).build().map_err(|error| EnrolmentError::Key(words(&error)))
}

fn builder(tls: ClientConfig) -> reqwest::ClientBuilder {
    Client::builder()
        .tls_backend_preconfigured(tls)
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(CONNECT_TIME_MAX)
}

/// The answer of the first address that gives one. A refusal is an answer, unless it may pass.
async fn ask(
    client: &Client,
    addresses: &[Address],
    path: &str,
    body: Option<Vec<u8>>,
) -> Result<Vec<u8>, EnrolmentError> {
    let mut last = EnrolmentError::NoAnswer("it told no address for this; enrol the node anew".into());
    for address in addresses {
        let url = format!("https://{}{path}", address.as_str());
        let request = match &body {
            Some(body) => client.post(&url).header("content-type", "application/cbor").body(body.clone()),
            None => client.get(&url),
        };
        last = match answer(request).await {
            Err(error) if error.passes() => match error {
                EnrolmentError::NoAnswer(why) => EnrolmentError::NoAnswer(format!("{}: {why}", address.as_str())),
                other => other,
            },
            decided => return decided,
        };
    }
    Err(last)
}

async fn answer(request: reqwest::RequestBuilder) -> Result<Vec<u8>, EnrolmentError> {
    let no_answer = |error: reqwest::Error| EnrolmentError::NoAnswer(words(&error));
    let mut response = request.send().await.map_err(no_answer)?;
    let status = response.status();
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(no_answer)? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > ANSWER_BYTES_MAX {
            return Err(EnrolmentError::BadAnswer("it is too large".into()));
        }
    }
    if status == StatusCode::OK {
        return Ok(bytes);
    }
    match Refusal::from_slice(&bytes) {
        Ok(refusal) => Err(EnrolmentError::Refused(refusal)),
        // A portal of the network in between, or another program at this address.
        Err(_) => Err(EnrolmentError::NoAnswer(format!("{status}, and no answer of a hub"))),
    }
}

/// An error with its causes: reqwest's own text says nothing of TLS.
pub(crate) fn words(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = error.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        cause = error.source();
    }
    text
}

/// TLS towards a hub of which only its CA's fingerprint is known.
fn pinned(authority: [u8; 32], time: &JudgingTime) -> Result<Arc<ClientConfig>, EnrolmentError> {
    let provider = Arc::new(ring::default_provider());
    let verifier = Pinned { authority, time: time.clone(), provider: provider.clone() };
    let config = ClientConfig::builder_with_details(provider, Arc::new(time.clone()))
        .with_safe_default_protocol_versions()
        .map_err(TlsError::from)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// Trusts the one CA whose fingerprint it knows, if the hub shows it.
#[derive(Debug)]
struct Pinned {
    authority: [u8; 32],
    time: JudgingTime,
    provider: Arc<CryptoProvider>,
}

impl Pinned {
    fn verifier(&self, shown: &[CertificateDer<'_>]) -> Result<HubVerifier, rustls::Error> {
        let wrong = |text: &str| rustls::Error::General(text.to_owned());
        let authority = shown.iter().find(|der| Sha256::digest(der)[..] == self.authority).ok_or_else(|| {
            wrong("this hub belongs to another district: it shows another CA than the enrolment token names")
        })?;
        let mut roots = RootCertStore::empty();
        roots.add(authority.clone().into_owned())?;
        let name = hub_name().map_err(|error| wrong(&error.to_string()))?;
        HubVerifier::new(roots, Some(name), self.time.clone()).map_err(|error| wrong(&error.to_string()))
    }
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verifier = self.verifier(intermediates)?;
        verifier.verify_server_cert(end_entity, &[], server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
