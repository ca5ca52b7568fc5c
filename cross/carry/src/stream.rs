//! age's payload: 64 KiB chunks under one key, numbered, the last one marked. And the keys that everything hangs on.

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, KeyType, Salt};
use ring::hmac;

/// Plain bytes of a chunk.
pub(crate) const CHUNK_BYTES: usize = 64 * 1024;

/// What sealing adds to a chunk.
pub(crate) const TAG_BYTES: usize = 16;

/// Bytes between header and chunks.
pub(crate) const NONCE_BYTES: usize = 16;

/// A file's own key.
pub(crate) const FILE_KEY_BYTES: usize = 16;

struct Bytes32;

impl KeyType for Bytes32 {
    fn len(&self) -> usize {
        32
    }
}

/// HKDF-SHA-256 to 32 bytes. `None` cannot be: the length is far below HKDF's limit.
fn derive(salt: &[u8], secret: &[u8], info: &[u8]) -> Option<[u8; 32]> {
    let mut key = [0; 32];
    let extracted = Salt::new(HKDF_SHA256, salt).extract(secret);
    extracted.expand(&[info], Bytes32).ok()?.fill(&mut key).ok()?;
    Some(key)
}

fn aead(key: [u8; 32]) -> Option<LessSafeKey> {
    UnboundKey::new(&CHACHA20_POLY1305, &key).ok().map(LessSafeKey::new)
}

/// The key that wraps a file key, of what both sides agreed on.
pub(crate) fn wrapping_key(agreed: &[u8], share: &[u8; 32], hub: &[u8; 32]) -> Option<LessSafeKey> {
    derive(&[*share, *hub].concat(), agreed, b"age-encryption.org/v1/X25519").and_then(aead)
}

/// A wrapping key wraps one file key: its nonce is zeros.
pub(crate) fn wrapping_nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; 12])
}

/// The key of the header's MAC.
pub(crate) fn header_key(file_key: &[u8; FILE_KEY_BYTES]) -> Option<hmac::Key> {
    derive(&[], file_key, b"header").map(|key| hmac::Key::new(hmac::HMAC_SHA256, &key))
}

/// Chunks, in order.
pub(crate) struct Chunks {
    key: LessSafeKey,
    next: u64,
}

impl Chunks {
    pub(crate) fn new(file_key: &[u8; FILE_KEY_BYTES], nonce: &[u8; NONCE_BYTES]) -> Option<Chunks> {
        Some(Chunks { key: aead(derive(nonce, file_key, b"payload")?)?, next: 0 })
    }

    fn nonce(&self, last: bool) -> Nonce {
        let mut nonce = [0; 12];
        nonce[3..11].copy_from_slice(&self.next.to_be_bytes());
        nonce[11] = u8::from(last);
        Nonce::assume_unique_for_key(nonce)
    }

    /// Seal the next one and append it; false cannot be: a chunk is far below the cipher's limit.
    pub(crate) fn seal(&mut self, plain: &mut Vec<u8>, last: bool, out: &mut Vec<u8>) -> bool {
        let sealed = self.key.seal_in_place_append_tag(self.nonce(last), Aad::empty(), plain).is_ok();
        if sealed {
            out.extend_from_slice(plain);
            self.next += 1;
        }
        sealed
    }

    /// Open the next one; `None`: these bytes are not it.
    #[cfg(feature = "open")]
    pub(crate) fn open(&mut self, sealed: &[u8], last: bool) -> Option<Vec<u8>> {
        let mut bytes = sealed.to_vec();
        let length = self.key.open_in_place(self.nonce(last), Aad::empty(), &mut bytes).ok()?.len();
        bytes.truncate(length);
        self.next += 1;
        Some(bytes)
    }
}
