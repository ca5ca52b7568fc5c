//! Sealing: frames in, an age file out, a chunk at a time.

use ring::aead::Aad;
use ring::agreement::{EphemeralPrivateKey, UnparsedPublicKey, X25519, agree_ephemeral};
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};

use crate::frame::{self, FRAME_BYTES_MAX, Kind};
use crate::header::{self, Header};
use crate::stream::{self, CHUNK_BYTES, Chunks, FILE_KEY_BYTES, NONCE_BYTES, TAG_BYTES};

/// Why nothing can be sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The system gives none.
    #[error("the system gives no random numbers")]
    Random,
    /// One that gives everybody the same secret.
    #[error("the hub's carry key cannot be used: take it anew from the hub (`simpul-hub carry key`)")]
    Key,
    /// A frame is over its limit.
    #[error("a frame has {0} bytes, {FRAME_BYTES_MAX} are allowed")]
    TooLarge(usize),
}

/// Random bytes of the system.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], SealError> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).map_err(|_| SealError::Random)?;
    Ok(bytes)
}

/// What a file's secrecy comes from.
pub(crate) struct Secrets {
    pub share: [u8; 32],
    pub agreed: [u8; 32],
    pub file_key: [u8; FILE_KEY_BYTES],
    pub nonce: [u8; NONCE_BYTES],
}

impl Secrets {
    fn fresh(hub: &[u8; 32]) -> Result<Secrets, SealError> {
        let random_numbers = SystemRandom::new();
        let own = EphemeralPrivateKey::generate(&X25519, &random_numbers).map_err(|_| SealError::Random)?;
        let public = own.compute_public_key().map_err(|_| SealError::Random)?;
        let share = public.as_ref().try_into().map_err(|_| SealError::Random)?;
        let peer = UnparsedPublicKey::new(&X25519, hub);
        let agreed = agree_ephemeral(own, &peer, |agreed| <[u8; 32]>::try_from(agreed).ok());
        let agreed = agreed.ok().flatten().ok_or(SealError::Key)?;
        Ok(Secrets { share, agreed, file_key: random()?, nonce: random()? })
    }
}

/// Seals one file. Holds at most a chunk.
pub struct Sealer {
    chunks: Chunks,
    plain: Vec<u8>,
}

impl Sealer {
    /// Begin a file: everything before its first chunk, which is what the node signs ([`crate::signed_message`]). The
    /// next thing to seal is the [`crate::Opening`].
    ///
    /// # Errors
    /// No random numbers, or a key that is none.
    pub fn begin(header: &Header) -> Result<(Sealer, Vec<u8>), SealError> {
        Sealer::with(header, &Secrets::fresh(header.hub.as_bytes())?)
    }

    pub(crate) fn with(header: &Header, secrets: &Secrets) -> Result<(Sealer, Vec<u8>), SealError> {
        let Secrets { share, agreed, file_key, nonce } = secrets;
        let key = stream::wrapping_key(agreed, share, header.hub.as_bytes()).ok_or(SealError::Key)?;
        let mut wrapped = file_key.to_vec();
        key.seal_in_place_append_tag(stream::wrapping_nonce(), Aad::empty(), &mut wrapped)
            .map_err(|_| SealError::Key)?;
        let mut head = header::write(header, share, &wrapped);
        let mac = hmac::sign(&stream::header_key(file_key).ok_or(SealError::Key)?, head.as_bytes());
        head.push_str(&header::write_mac(mac.as_ref()));
        let mut head = head.into_bytes();
        head.extend_from_slice(nonce);
        let chunks = Chunks::new(file_key, nonce).ok_or(SealError::Key)?;
        Ok((Sealer { chunks, plain: Vec::with_capacity(CHUNK_BYTES + TAG_BYTES) }, head))
    }

    /// Seal a frame; what is ready to be written is appended to `out`.
    ///
    /// # Errors
    /// It is over its limit; nothing was sealed.
    pub fn frame(&mut self, kind: Kind, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), SealError> {
        if bytes.len() > FRAME_BYTES_MAX {
            return Err(SealError::TooLarge(bytes.len()));
        }
        let head = frame::head(kind, u32::try_from(bytes.len()).unwrap_or(u32::MAX));
        self.push(&head, out)?;
        self.push(bytes, out)
    }

    fn push(&mut self, mut bytes: &[u8], out: &mut Vec<u8>) -> Result<(), SealError> {
        while !bytes.is_empty() {
            // A full chunk waits until it is known not to be the last one.
            if self.plain.len() == CHUNK_BYTES {
                self.seal(false, out)?;
            }
            let (taken, left) = bytes.split_at(bytes.len().min(CHUNK_BYTES - self.plain.len()));
            self.plain.extend_from_slice(taken);
            bytes = left;
        }
        Ok(())
    }

    fn seal(&mut self, last: bool, out: &mut Vec<u8>) -> Result<(), SealError> {
        let sealed = self.chunks.seal(&mut self.plain, last, out);
        self.plain.clear();
        sealed.then_some(()).ok_or(SealError::Key)
    }

    /// End the file.
    ///
    /// # Errors
    /// As [`Sealer::frame`].
    pub fn end(mut self, out: &mut Vec<u8>) -> Result<(), SealError> {
        self.seal(true, out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{HubSecret, Item, Opener, Opening};

    /// What the secrets of a golden file come from.
    fn golden() -> (HubSecret, Header, Secrets) {
        let hub = HubSecret::from_bytes([0x42; 32]);
        let own = HubSecret::from_bytes([0x17; 32]);
        let share = *own.public().as_bytes();
        let agreed = *own.agree(*hub.public().as_bytes()).unwrap();
        let header = Header {
            node: "35.12.07.2003-01".parse().unwrap(),
            epoch: simpul_wire::Epoch::from_bytes([0xe5; 16]),
            created_ms: 1_795_000_000_123,
            hub: hub.public(),
        };
        (hub, header, Secrets { share, agreed, file_key: [0xf1; 16], nonce: [0x0c; 16] })
    }

    #[test]
    fn the_bytes_of_a_file_stay_what_they_are() {
        let (hub, header, secrets) = golden();
        let (mut sealer, mut file) = Sealer::with(&header, &secrets).unwrap();
        let opening = Opening {
            certificate: vec![0x30, 0x00].into(),
            scheme: 0x0403,
            signature: vec![0x51].into(),
            promises: vec![crate::Promise {
                epoch: header.epoch,
                stream: simpul_wire::Stream::Event,
                ranges: simpul_wire::SeqRange::new(5, 9).into_iter().collect(),
            }],
        };
        sealer.frame(Kind::Opening, &opening.to_vec(), &mut file).unwrap();
        sealer.frame(Kind::Publish, b"payload", &mut file).unwrap();
        sealer.end(&mut file).unwrap();
        // Its chunks were opened with age's own tools too, when it was made.
        let golden: &[u8] = include_bytes!("../tests/golden.carry");
        assert_eq!(hex::encode(&file), hex::encode(golden));
        let text = String::from_utf8_lossy(golden);
        let ours = "\n-> simpul-carry 1 35.12.07.2003-01 e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5 1795000000123 \
            age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj\n\n--- ";
        assert!(text.starts_with("age-encryption.org/v1\n-> X25519 ") && text.contains(ours), "{text}");
        let mut opener = Opener::new(vec![hub]);
        assert_eq!(opener.feed(&file), file.len());
        opener.close();
        assert!(matches!(opener.next(), Ok(Some(Item::Head(read, _))) if read == header));
        assert_eq!(opener.next(), Ok(Some(Item::Opening(opening))));
        assert_eq!(opener.next(), Ok(Some(Item::Publish(b"payload".to_vec()))));
        assert_eq!(opener.next(), Ok(None));
    }

    #[test]
    fn no_two_files_share_a_secret() {
        let (_, header, _) = golden();
        let (first, second) = (Sealer::begin(&header).unwrap().1, Sealer::begin(&header).unwrap().1);
        assert_ne!(first, second);
        let zero = Header { hub: crate::HubKey::from_bytes([0; 32]), ..header };
        assert_eq!(Sealer::begin(&zero).err(), Some(SealError::Key), "a key that gives everybody the same secret");
    }

    #[test]
    fn a_frame_over_its_limit_is_refused_whole() {
        let (_, header, secrets) = golden();
        let (mut sealer, _) = Sealer::with(&header, &secrets).unwrap();
        let mut out = Vec::new();
        let large = vec![0; FRAME_BYTES_MAX + 1];
        assert_eq!(sealer.frame(Kind::Publish, &large, &mut out), Err(SealError::TooLarge(large.len())));
        assert!(sealer.plain.is_empty() && out.is_empty());
    }
}
