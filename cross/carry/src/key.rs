//! The hub's carry key: public for whoever seals, secret for the hub; both in age's notation.

use core::fmt;
use core::str::FromStr;

use crate::bech32;

const PUBLIC_PREFIX: &str = "age";
#[cfg(feature = "open")]
const SECRET_PREFIX: &str = "age-secret-key-";

/// A text that is no key. What it is stays unsaid: it may be a secret one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a carry key: {0} followed by 58 letters and digits is expected, whole and unchanged")]
pub struct BadKey(&'static str);

/// For whom a file is sealed: an X25519 public key.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct HubKey([u8; 32]);

impl HubKey {
    /// From 32 bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> HubKey {
        HubKey(bytes)
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// `age1...`
impl fmt::Display for HubKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&bech32::encode(PUBLIC_PREFIX, &self.0))
    }
}

impl fmt::Debug for HubKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HubKey({self})")
    }
}

impl FromStr for HubKey {
    type Err = BadKey;
    fn from_str(text: &str) -> Result<HubKey, BadKey> {
        bech32::decode(PUBLIC_PREFIX, text).map(HubKey).ok_or(BadKey("`age1`"))
    }
}

/// What opens files for a [`HubKey`].
#[cfg(feature = "open")]
#[derive(Clone)]
pub struct HubSecret {
    secret: x25519_dalek::StaticSecret,
    public: HubKey,
}

#[cfg(feature = "open")]
impl HubSecret {
    /// From 32 random bytes.
    pub fn from_bytes(bytes: [u8; 32]) -> HubSecret {
        let secret = x25519_dalek::StaticSecret::from(bytes);
        let public = HubKey(*x25519_dalek::PublicKey::from(&secret).as_bytes());
        HubSecret { secret, public }
    }

    /// A new one.
    ///
    /// # Errors
    /// The system gives no random numbers.
    pub fn generate() -> Result<HubSecret, crate::SealError> {
        Ok(HubSecret::from_bytes(crate::seal::random()?))
    }

    /// The keys of a file of them: one a line; empty lines and those that begin with `#` are passed over.
    ///
    /// # Errors
    /// A line is no key; it is named by its number, never shown.
    pub fn parse_file(text: &str) -> Result<Vec<HubSecret>, String> {
        let lines = text.lines().enumerate().map(|(at, line)| (at + 1, line.trim()));
        lines
            .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
            .map(|(number, line)| line.parse().map_err(|error| format!("line {number}: {error}")))
            .collect()
    }

    /// For whom it opens.
    pub fn public(&self) -> HubKey {
        self.public
    }

    /// `AGE-SECRET-KEY-1...`: to be written into a file for its owner alone.
    pub fn expose(&self) -> zeroize::Zeroizing<String> {
        let mut text = bech32::encode(SECRET_PREFIX, self.secret.as_bytes());
        text.make_ascii_uppercase();
        zeroize::Zeroizing::new(text)
    }

    /// What both sides agree on; `None`: the other side's share is one that gives everybody the same.
    pub(crate) fn agree(&self, share: [u8; 32]) -> Option<zeroize::Zeroizing<[u8; 32]>> {
        let agreed = self.secret.diffie_hellman(&x25519_dalek::PublicKey::from(share));
        agreed.was_contributory().then(|| zeroize::Zeroizing::new(agreed.to_bytes()))
    }
}

#[cfg(feature = "open")]
impl fmt::Debug for HubSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HubSecret(of {})", self.public)
    }
}

#[cfg(feature = "open")]
impl FromStr for HubSecret {
    type Err = BadKey;
    fn from_str(text: &str) -> Result<HubSecret, BadKey> {
        bech32::decode(SECRET_PREFIX, text).map(HubSecret::from_bytes).ok_or(BadKey("`AGE-SECRET-KEY-1`"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_pair_is_the_one_that_age_makes_of_it() {
        let text = "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX";
        let secret: HubSecret = text.parse().unwrap();
        let public = "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj";
        assert_eq!(secret.public().to_string(), public);
        assert_eq!(secret.expose().as_str(), text);
        assert_eq!(public.parse(), Ok(secret.public()));
    }

    #[test]
    fn nothing_secret_is_printed() {
        let secret = HubSecret::from_bytes([0x42; 32]);
        let shown = format!("{secret:?}");
        assert!(!shown.to_ascii_uppercase().contains("SECRET-KEY") && !shown.contains("gfpyysjz"), "{shown}");
        let error = HubSecret::parse_file("# old\nAGE-SECRET-KEY-1NOTONE\n").unwrap_err();
        assert!(error.starts_with("line 2: not a carry key") && !error.contains("NOTONE"), "{error}");
    }
}
