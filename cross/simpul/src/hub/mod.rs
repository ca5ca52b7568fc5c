//! The hub, for a laptop that has logged in: every command that needs it goes through [`Hub`].
//!
//! ```text
//! let hub = Hub::open()?;                      // the identity that `simpul login` kept
//! let facts = hub.facts(&node, None)?;         // typed requests: `requests`
//! let bytes = hub.get("/v1/technician/...")?;  // any other of `simpul_wire::technician`
//! ```
//!
//! [`identity`] is the file on this laptop; [`tls`] knows the hub by the district's CA; [`client`] moves bytes;
//! [`problem`] says what went wrong, in words.

pub mod client;
pub mod identity;
pub mod problem;
mod requests;
mod tls;

use rcgen::KeyPair;
use simpul_wire::enrolment::{Laptop, LoginRequest, TechnicianToken};
use zeroize::Zeroizing;

use client::Client;
use identity::Kept;
use problem::Problem;

/// The hub, by this laptop's certificate.
pub struct Hub {
    client: Client,
    kept: Kept,
}

impl Hub {
    /// With the identity that `simpul login` kept.
    ///
    /// # Errors
    /// There is none, or it cannot be used.
    pub fn open() -> Result<Hub, Problem> {
        Hub::with(Kept::load()?.ok_or(Problem::NotLoggedIn)?)
    }

    fn with(kept: Kept) -> Result<Hub, Problem> {
        let client = Client::new(tls::known(&kept)?, kept.identity.trust.addresses.clone())?;
        Ok(Hub { client, kept })
    }

    /// Log this laptop in with a technician's token, and keep what the hub gave.
    ///
    /// # Errors
    /// No hub answered, it refused, or the identity cannot be kept.
    pub fn login(token: &TechnicianToken, laptop: Laptop) -> Result<Hub, Problem> {
        // The same key after an answer that was lost: the hub gives the same certificate once more.
        let key = identity::pending_key(token)?;
        let request = rcgen::CertificateParams::default().serialize_request(&key).map_err(Problem::key)?;
        let asked = LoginRequest {
            laptop: laptop.clone(),
            secret: token.secret.clone(),
            request: request.der().to_vec().into(),
        };
        let client = Client::new(tls::pinned(token.authority)?, token.addresses.clone())?;
        let answer = client.post(simpul_wire::enrolment::LOGIN_PATH, asked.to_vec())?;
        let given = simpul_wire::enrolment::Identity::from_slice(&answer).map_err(Problem::answer)?;
        // Else a hub that is not the token's own could have its CA trusted from now on.
        if !given.trust.authorities.iter().any(|der| tls::sha256(der) == token.authority) {
            return Err(Problem::ForeignHub);
        }
        let kept = Kept { laptop, key: Zeroizing::new(key.serialize_der()), identity: given };
        let hub = Hub::with(kept)?;
        hub.kept.keep()?;
        Ok(hub)
    }

    /// Whose laptop this is.
    pub fn laptop(&self) -> &Laptop {
        &self.kept.laptop
    }

    /// When its credentials end, Unix seconds.
    pub fn ends_s(&self) -> u64 {
        self.kept.identity.validity.to_s
    }

    /// Sign with this laptop's key (ECDSA P-256 with SHA-256, ASN.1).
    ///
    /// # Errors
    /// The key cannot be used.
    pub fn sign(&self, bytes: &[u8]) -> Result<Vec<u8>, Problem> {
        let key = KeyPair::try_from(self.kept.key.as_slice()).map_err(Problem::key)?;
        rcgen::SigningKey::sign(&key, bytes).map_err(Problem::key)
    }

    /// GET a path of the technicians' API; the answer's bytes.
    ///
    /// # Errors
    /// No hub answered, or it refused.
    pub fn get(&self, path: &str) -> Result<Vec<u8>, Problem> {
        self.client.get(path)
    }

    /// POST to a path of the technicians' API; the answer's bytes.
    ///
    /// # Errors
    /// No hub answered, or it refused.
    pub fn post(&self, path: &str, body: Vec<u8>) -> Result<Vec<u8>, Problem> {
        self.client.post(path, body)
    }
}
