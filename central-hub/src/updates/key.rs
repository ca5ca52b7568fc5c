//! Update keys: made wherever the operator keeps them, never on the hub. Ed25519 (RFC 8032) in PKCS#8.

use std::fmt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::rand::SystemRandom;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};

use super::{UpdateError, read_bounded};
use crate::identity::authority::{prepare, write_secret};

const BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const END: &str = "-----END PRIVATE KEY-----";

/// What the key's file is called.
pub const FILE: &str = "update.key";

/// Largest key file: ours have 160 bytes.
const FILE_BYTES_MAX: u64 = 4 * 1024;

/// The public half of an update key; as text its 32 bytes in hexadecimal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// From its bytes.
    pub fn from_bytes(bytes: [u8; 32]) -> PublicKey {
        PublicKey(bytes)
    }

    /// The first eight bytes of its SHA-256: how a signature names it.
    pub fn id(&self) -> [u8; 8] {
        let hash = crate::identity::sha256(&self.0);
        std::array::from_fn(|index| hash.get(index).copied().unwrap_or_default())
    }

    /// Whether it made this signature.
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, &self.0).verify(message, signature).is_ok()
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl FromStr for PublicKey {
    type Err = hex::FromHexError;

    fn from_str(text: &str) -> Result<Self, hex::FromHexError> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes)?;
        Ok(PublicKey(bytes))
    }
}

/// An update key. It is printed nowhere.
pub struct SigningKey(Ed25519KeyPair);

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey")
    }
}

impl SigningKey {
    /// Make a key in `folder`, which is made for its owner alone if it is missing. Where it is, and its public half.
    ///
    /// # Errors
    /// There is one already, or it cannot be written.
    pub fn generate(folder: &Path) -> Result<(PathBuf, PublicKey), UpdateError> {
        let path = folder.join(FILE);
        if path.exists() {
            let text = format!("{} is there already: it is not replaced; name another folder", path.display());
            return Err(UpdateError::refused(text));
        }
        let made = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new());
        let document = made.map_err(|_| UpdateError::refused("the machine gives no random numbers for a key"))?;
        let public = SigningKey::from_der(document.as_ref()).ok_or_else(|| UpdateError::refused("no key was made"))?;
        let write = || {
            prepare(folder)?;
            write_secret(&path, format!("{BEGIN}\n{}\n{END}\n", STANDARD.encode(document.as_ref())).as_bytes())
        };
        write().map_err(|error| UpdateError::refused(error.to_string()))?;
        Ok((path, public.public()))
    }

    /// Read the key in `path`.
    ///
    /// # Errors
    /// It is missing, others can read it, or it is none.
    pub fn read(path: &Path) -> Result<SigningKey, UpdateError> {
        let mode = std::fs::metadata(path).map_err(|source| UpdateError::File { path: path.into(), source })?.mode();
        if mode & 0o077 != 0 {
            return Err(UpdateError::refused(format!(
                "the update key {0} has mode {1:03o}: only its owner may read it; run `chmod 600 {0}`, and think of who read it",
                path.display(),
                mode & 0o777
            )));
        }
        let text = String::from_utf8(read_bounded(path, FILE_BYTES_MAX)?).unwrap_or_default();
        let inner = text.trim().strip_prefix(BEGIN).and_then(|rest| rest.strip_suffix(END));
        let der = inner.and_then(|inner| STANDARD.decode(inner.split_whitespace().collect::<String>()).ok());
        der.and_then(|der| SigningKey::from_der(&der)).ok_or_else(|| {
            let text = format!(
                "{}: no Ed25519 key in PKCS#8 (PEM); `simpul-hub updates key generate DIR` makes one",
                path.display()
            );
            UpdateError::refused(text)
        })
    }

    fn from_der(der: &[u8]) -> Option<SigningKey> {
        // Without the public half (as OpenSSL writes it) it is computed.
        Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).ok().map(SigningKey)
    }

    /// Its public half.
    pub fn public(&self) -> PublicKey {
        let mut bytes = [0; 32];
        for (to, from) in bytes.iter_mut().zip(self.0.public_key().as_ref()) {
            *to = *from;
        }
        PublicKey(bytes)
    }

    /// Sign.
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        let mut bytes = [0; 64];
        for (to, from) in bytes.iter_mut().zip(self.0.sign(message).as_ref()) {
            *to = *from;
        }
        bytes
    }
}

#[cfg(test)]
impl SigningKey {
    /// A key that is the same each time.
    pub(crate) fn of_seed(seed: u8) -> SigningKey {
        SigningKey(Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_key_is_made_once_for_its_owner_alone_and_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("stick");
        let (path, public) = SigningKey::generate(&place).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        let key = SigningKey::read(&path).unwrap();
        assert_eq!(key.public(), public);
        assert!(public.verifies(b"x", &key.sign(b"x")) && !public.verifies(b"y", &key.sign(b"x")));
        assert_eq!(public.to_string().parse::<PublicKey>().unwrap(), public);
        let error = SigningKey::generate(&place).unwrap_err().to_string();
        assert_eq!(error, format!("{} is there already: it is not replaced; name another folder", path.display()));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        let error = SigningKey::read(&path).unwrap_err().to_string();
        assert!(error.contains("has mode 644: only its owner may read it"), "{error}");
        std::fs::write(&path, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert!(SigningKey::read(&path).unwrap_err().to_string().contains("no Ed25519 key in PKCS#8 (PEM)"));
    }

    #[test]
    fn a_key_of_openssl_is_read() {
        // `openssl genpkey -algorithm ed25519`, the key of RFC 8032's first test.
        let seed = hex::decode("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60").unwrap();
        let mut der = hex::decode("302e020100300506032b657004220420").unwrap();
        der.extend(seed);
        let public = SigningKey::from_der(&der).unwrap().public();
        assert_eq!(public.to_string(), "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
    }
}
