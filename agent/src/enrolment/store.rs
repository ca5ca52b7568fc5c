//! What is on the card, each file replaced by rename, so that a power cut leaves the old one or the new one:
//!
//! ```text
//! DIRECTORY/identity.cbor  key, certificate, CAs, addresses: together, so they always fit each other
//! DIRECTORY/pending.key    key of a request whose answer has not come: a retry asks with the same
//! ```

use std::fs::{self, DirBuilder};
use std::io::{self, ErrorKind};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use minicbor::bytes::{ByteArray, ByteVec};
use minicbor::{Decode, Encode};
use rcgen::KeyPair;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use sha2::{Digest, Sha256};
use simpul_wire::NodeId;
use simpul_wire::checksum::CRC32C;
use simpul_wire::enrolment::{EnrolmentToken, Identity};
use simpul_wire::error::to_vec;

use super::EnrolmentError;
use crate::files::replace_secret;

/// Largest file of ours: an answer has at most 16 KiB, a token 4.
const FILE_BYTES_MAX: u64 = 64 * 1024;

/// An identity as it is kept.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Kept {
    /// Whose.
    #[n(0)]
    pub node: NodeId,
    /// Its key (PKCS#8, DER).
    #[n(1)]
    key: ByteVec,
    /// Certificate, CAs, addresses.
    #[n(2)]
    pub identity: Identity,
    /// SHA-256 of the token's secret that it began with: that token is used up.
    #[n(3)]
    pub token: Option<ByteArray<32>>,
}

impl std::fmt::Debug for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kept").field("node", &self.node).field("validity", &self.identity.validity).finish()
    }
}

impl Kept {
    /// Of a key and what the hub signed for it.
    pub fn new(node: NodeId, key: &KeyPair, identity: Identity, token: Option<[u8; 32]>) -> Kept {
        Kept { node, key: key.serialize_der().into(), identity, token: token.map(ByteArray::from) }
    }

    /// Certificate chain and key, for TLS.
    pub fn chain_and_key(&self) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        let certificate = CertificateDer::from(self.identity.certificate.to_vec());
        (vec![certificate], PrivatePkcs8KeyDer::from(self.key.to_vec()).into())
    }

    /// The CAs, for TLS.
    pub fn authorities(&self) -> Vec<CertificateDer<'static>> {
        self.identity.trust.authorities.iter().map(|der| CertificateDer::from(der.to_vec())).collect()
    }

    /// Whether the token has been used for it.
    pub fn came_from(&self, token: &EnrolmentToken) -> bool {
        self.token.is_some_and(|hash| *hash == token_hash(token))
    }
}

/// By what a used token is recognised.
pub fn token_hash(token: &EnrolmentToken) -> [u8; 32] {
    Sha256::digest(token.secret.expose()).into()
}

/// The folder.
#[derive(Debug, Clone)]
pub struct Store {
    directory: PathBuf,
}

impl Store {
    /// In `directory`, which is made when something is kept.
    pub fn new(directory: &Path) -> Store {
        Store { directory: directory.to_owned() }
    }

    fn identity_file(&self) -> PathBuf {
        self.directory.join("identity.cbor")
    }

    fn pending_file(&self) -> PathBuf {
        self.directory.join("pending.key")
    }

    /// The identity, if there is one.
    ///
    /// # Errors
    /// It cannot be read, or is damaged.
    pub fn load(&self) -> Result<Option<Kept>, EnrolmentError> {
        let path = self.identity_file();
        let Some(bytes) = read(&path)? else { return Ok(None) };
        let damaged = |what: String| EnrolmentError::Damaged { path: path.clone(), what };
        let repair = "put a new token beside the configuration, the node enrols anew";
        let (content, sum) = bytes
            .split_last_chunk::<4>()
            .filter(|(content, sum)| CRC32C.checksum(content).to_be_bytes() == **sum)
            .ok_or_else(|| damaged(format!("the check sum does not fit; {repair}")))?;
        let _ = sum;
        minicbor::decode(content).map(Some).map_err(|error| damaged(format!("{error}; {repair}")))
    }

    /// Keep an identity instead of the one before; the key under way is done with.
    ///
    /// # Errors
    /// It cannot be written; the one before is still there.
    pub fn keep(&self, kept: &Kept) -> Result<(), EnrolmentError> {
        self.prepare()?;
        let mut bytes = to_vec(kept);
        bytes.extend(CRC32C.checksum(&bytes).to_be_bytes());
        let path = self.identity_file();
        replace_secret(&path, &bytes).map_err(|source| EnrolmentError::File { path, source })?;
        self.drop_pending()
    }

    /// The key to ask with: the one of a request under way, else a new one, durable before it is used.
    ///
    /// # Errors
    /// It cannot be made, read or written.
    pub fn pending_key(&self) -> Result<KeyPair, EnrolmentError> {
        let path = self.pending_file();
        if let Some(bytes) = read(&path)? {
            match KeyPair::try_from(bytes.as_slice()) {
                // A cut after `keep` and before the deletion: this key has its certificate already.
                Ok(key) if self.load().ok().flatten().is_none_or(|kept| kept.key[..] != bytes[..]) => return Ok(key),
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(%error, path = %path.display(), "the key of a request under way is damaged; a new one is made");
                }
            }
        }
        let key = KeyPair::generate().map_err(|error| EnrolmentError::Key(error.to_string()))?;
        self.prepare()?;
        replace_secret(&path, &key.serialize_der()).map_err(|source| EnrolmentError::File { path, source })?;
        Ok(key)
    }

    fn drop_pending(&self) -> Result<(), EnrolmentError> {
        let path = self.pending_file();
        remove(&path).map_err(|source| EnrolmentError::File { path, source })
    }

    fn prepare(&self) -> Result<(), EnrolmentError> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&self.directory);
        made.map_err(|source| EnrolmentError::File { path: self.directory.clone(), source })
    }
}

/// The token in a file, if there is one, for this node.
///
/// # Errors
/// The file cannot be read, holds no token, or another node's.
pub fn read_token(path: &Path, node: &NodeId) -> Result<Option<EnrolmentToken>, EnrolmentError> {
    let Some(bytes) = read(path)? else { return Ok(None) };
    let wrong = |error| EnrolmentError::Token { path: path.to_owned(), error };
    let token: EnrolmentToken = String::from_utf8_lossy(&bytes).parse().map_err(wrong)?;
    token.check_node(node).map_err(wrong)?;
    Ok(Some(token))
}

/// Delete a token that is used up.
///
/// # Errors
/// It cannot be deleted.
pub fn delete_token(path: &Path) -> io::Result<()> {
    remove(path)
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, EnrolmentError> {
    let file = |source| EnrolmentError::File { path: path.to_owned(), source };
    match fs::metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(file(error)),
        Ok(metadata) if metadata.len() > FILE_BYTES_MAX => {
            return Err(file(io::Error::other(format!("{} bytes: this is another file", metadata.len()))));
        }
        Ok(_) => {}
    }
    fs::read(path).map(Some).map_err(file)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use simpul_wire::enrolment::{Trust, Validity};

    use super::*;

    fn kept(number: u64, key: &KeyPair) -> Kept {
        let trust = Trust { authorities: vec![vec![1].into()], ..Trust::default() };
        let validity = Validity { from_s: 1, to_s: 1 + number };
        let identity = Identity { certificate: vec![0x30].into(), validity, trust };
        Kept::new("a-01".parse().unwrap(), key, identity, None)
    }

    #[test]
    fn a_request_under_way_keeps_its_key_until_its_answer_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(&folder.path().join("identity"));
        assert_eq!(store.load().unwrap(), None);
        let key = store.pending_key().unwrap();
        assert_eq!(store.pending_key().unwrap().serialize_der(), key.serialize_der());
        let mode = fs::metadata(folder.path().join("identity/pending.key")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        store.keep(&kept(1, &key)).unwrap();
        assert_eq!(store.load().unwrap(), Some(kept(1, &key)));
        assert_ne!(store.pending_key().unwrap().serialize_der(), key.serialize_der());
    }

    #[test]
    fn a_cut_at_any_step_leaves_the_old_identity_or_the_new_one() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path());
        let (old_key, new_key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        let (old, new) = (kept(1, &old_key), kept(2, &new_key));
        store.keep(&new).unwrap();
        let new_bytes = fs::read(store.identity_file()).unwrap();
        store.keep(&old).unwrap();
        // Before the rename: any part of the new file lies beside the old one.
        for length in 0..=new_bytes.len() {
            fs::write(folder.path().join("identity.new"), &new_bytes[..length]).unwrap();
            fs::write(store.pending_file(), new_key.serialize_der()).unwrap();
            assert_eq!(store.load().unwrap(), Some(old.clone()));
            assert_eq!(store.pending_key().unwrap().serialize_der(), new_key.serialize_der(), "asks again with it");
        }
        // After the rename, before the pending key is deleted.
        fs::write(store.identity_file(), &new_bytes).unwrap();
        assert_eq!(store.load().unwrap(), Some(new.clone()));
        assert_ne!(store.pending_key().unwrap().serialize_der(), new_key.serialize_der(), "it has its certificate");
        // And what was left over does not hinder the next one.
        store.keep(&old).unwrap();
        assert_eq!(store.load().unwrap(), Some(old));
    }

    #[test]
    fn a_damaged_identity_is_told_and_never_taken() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path());
        store.keep(&kept(1, &KeyPair::generate().unwrap())).unwrap();
        let good = fs::read(store.identity_file()).unwrap();
        for place in 0..good.len() {
            let mut bad = good.clone();
            bad[place] ^= 1;
            fs::write(store.identity_file(), &bad).unwrap();
            assert!(matches!(store.load(), Err(EnrolmentError::Damaged { .. })), "byte {place}");
            fs::write(store.identity_file(), &good[..place]).unwrap();
            assert!(matches!(store.load(), Err(EnrolmentError::Damaged { .. })), "cut at {place}");
        }
        fs::write(store.pending_file(), b"noise").unwrap();
        assert!(store.pending_key().is_ok(), "a damaged key under way is replaced");
    }
}
