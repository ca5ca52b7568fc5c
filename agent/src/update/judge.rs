//! Whether a program is taken: pure. Whoever is refused is told why; nothing is fetched before this said yes.

use ring::signature::{ED25519, UnparsedPublicKey};
use sha2::{Digest, Sha256};
use simpul_wire::WireError;
use simpul_wire::update::{Manifest, Part, SIGNED_PREFIX, SignedManifest, Version};

/// What this agent runs on, as manifests name it.
pub const AGENT_PLATFORM: &str = if cfg!(target_arch = "aarch64") {
    "aarch64-linux"
} else if cfg!(target_arch = "arm") {
    "armv7-linux"
} else {
    "x86_64-linux"
};

/// The board that there is.
pub const BOARD_PLATFORM: &str = "rp2040";

/// Why a program is not taken.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Programs are not taken from afar.
    #[error("this node has no update key: write the district's public key into update.keys of its configuration")]
    NoKeys,
    /// Somebody else's.
    #[error("signed with key {0}, and this node has another: another district's, or the key was changed")]
    UnknownKey(String),
    /// Forged, or damaged on the way.
    #[error("the signature does not fit: the offer is forged, or was changed after it was signed")]
    BadSignature,
    /// Signed, and cannot be read.
    #[error("the manifest cannot be used: {0}")]
    Manifest(#[from] WireError),
    /// An agent offered as a board's firmware, or the other way.
    #[error("offered as {offered}, and signed as {signed}")]
    OtherPart {
        /// Where it stood.
        offered: &'static str,
        /// What it is.
        signed: &'static str,
    },
    /// For another machine.
    #[error("it is for {wanted}, and this is {own}")]
    OtherPlatform {
        /// The manifest's.
        wanted: String,
        /// Ours.
        own: &'static str,
    },
    /// What was found broken does not come back.
    #[error("{version} is below {floor}, the oldest that this node still takes")]
    BelowFloor {
        /// The manifest's.
        version: Version,
        /// The node's.
        floor: Version,
    },
    /// Replayed, or offered by mistake.
    #[error("{version} is older than {running}, which runs, and is not signed as a downgrade")]
    Older {
        /// The manifest's.
        version: Version,
        /// What runs.
        running: Version,
    },
    /// A downgrade that comes a second time.
    #[error("the downgrade to {0} was taken before: each is taken once; sign it anew if it is meant")]
    Spent(Version),
    /// Its own floor is above it.
    #[error("{version} is below the floor {floor} in its own manifest: it was signed by mistake")]
    AboveItself {
        /// The manifest's.
        version: Version,
        /// Its floor.
        floor: Version,
    },
}

/// What an offer is judged by.
pub struct Bench<'a> {
    /// Public keys, Ed25519.
    pub keys: &'a [[u8; 32]],
    /// What it is offered as.
    pub part: Part,
    /// What runs; nothing: not known.
    pub running: Option<Version>,
    /// The node's floor.
    pub floor: Version,
    /// Whether a manifest's downgrade was taken before, by the beginning of its SHA-256.
    pub spent: &'a dyn Fn(&[u8; 8]) -> bool,
}

/// The beginning of a SHA-256: keys and manifests are told by it.
pub fn short_hash(bytes: &[u8]) -> [u8; 8] {
    let whole: [u8; 32] = Sha256::digest(bytes).into();
    let mut short = [0; 8];
    short.copy_from_slice(&whole[..8]);
    short
}

/// The manifest, if the program is to be taken.
///
/// # Errors
/// Why not.
pub fn judge(signed: &SignedManifest, bench: &Bench<'_>) -> Result<Manifest, Refusal> {
    if bench.keys.is_empty() {
        return Err(Refusal::NoKeys);
    }
    let key = bench.keys.iter().find(|key| short_hash(&key[..]) == signed.key_id);
    let key = key.ok_or_else(|| Refusal::UnknownKey(hex::encode(signed.key_id)))?;
    let message = [SIGNED_PREFIX, &signed.manifest[..]].concat();
    let verified = UnparsedPublicKey::new(&ED25519, key).verify(&message, &signed.signature);
    verified.map_err(|_| Refusal::BadSignature)?;
    // Only now: nothing that is not signed is even read.
    let manifest = Manifest::from_slice(&signed.manifest)?;
    if manifest.part != bench.part {
        return Err(Refusal::OtherPart { offered: bench.part.name(), signed: manifest.part.name() });
    }
    let own = if bench.part == Part::Board { BOARD_PLATFORM } else { AGENT_PLATFORM };
    if manifest.platform.as_str() != own {
        return Err(Refusal::OtherPlatform { wanted: manifest.platform.to_string(), own });
    }
    let (version, floor) = (manifest.version, bench.floor);
    if version < manifest.floor {
        return Err(Refusal::AboveItself { version, floor: manifest.floor });
    }
    if version < floor {
        return Err(Refusal::BelowFloor { version, floor });
    }
    match bench.running.filter(|running| version < *running) {
        Some(running) if !manifest.downgrade => Err(Refusal::Older { version, running }),
        Some(_) if (bench.spent)(&short_hash(&signed.manifest)) => Err(Refusal::Spent(version)),
        _ => Ok(manifest),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use ring::signature::{Ed25519KeyPair, KeyPair};

    use super::*;

    pub(in super::super) fn key(seed: u8) -> Ed25519KeyPair {
        Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap()
    }

    pub(in super::super) fn public(key: &Ed25519KeyPair) -> [u8; 32] {
        key.public_key().as_ref().try_into().unwrap()
    }

    pub(in super::super) fn sign(key: &Ed25519KeyPair, manifest: &[u8]) -> SignedManifest {
        let signature = key.sign(&[SIGNED_PREFIX, manifest].concat());
        SignedManifest {
            manifest: manifest.to_vec().into(),
            key_id: short_hash(&public(key)),
            signature: signature.as_ref().try_into().unwrap(),
        }
    }

    pub(in super::super) fn version(minor: u16) -> Version {
        Version { major: 0, minor, patch: 0 }
    }

    pub(in super::super) fn manifest(part: Part, minor: u16) -> Manifest {
        Manifest {
            part,
            version: version(minor),
            platform: if part == Part::Board { BOARD_PLATFORM } else { AGENT_PLATFORM }.parse().unwrap(),
            content_bytes: 100,
            content_sha256: [1; 32],
            installed_bytes: 200,
            installed_sha256: [2; 32],
            floor: version(0),
            downgrade: false,
        }
    }

    /// The node runs 0.5.0 with floor 0.3.0 and knows keys 1 and 2.
    fn said(signed: &SignedManifest) -> String {
        let keys = [public(&key(1)), public(&key(2))];
        let spent =
            |hash: &[u8; 8]| *hash == short_hash(&manifest_of(|m| (m.version, m.downgrade) = (version(4), true)));
        let bench =
            Bench { keys: &keys, part: Part::Agent, running: Some(version(5)), floor: version(3), spent: &spent };
        judge(signed, &bench)
            .map_or_else(|refusal| refusal.to_string(), |manifest| format!("taken: {}", manifest.version))
    }

    fn manifest_of(change: impl FnOnce(&mut Manifest)) -> Vec<u8> {
        let mut manifest = manifest(Part::Agent, 6);
        change(&mut manifest);
        manifest.to_vec()
    }

    #[test]
    fn each_refusal_has_its_own_words() {
        let signed = |change: &dyn Fn(&mut Manifest)| sign(&key(1), &manifest_of(|manifest| change(manifest)));
        let table: Vec<(&str, SignedManifest, &str)> = vec![
            ("as it should be", signed(&|_| {}), "taken: 0.6.0"),
            ("with the second key", sign(&key(2), &manifest_of(|_| {})), "taken: 0.6.0"),
            (
                "another district's",
                sign(&key(3), &manifest_of(|_| {})),
                "signed with key b62e867fa2f33afe, and this node has another: another district's, or the key was changed",
            ),
            (
                "forged: our key's name, another's signature",
                SignedManifest { key_id: short_hash(&public(&key(1))), ..sign(&key(3), &manifest_of(|_| {})) },
                "the signature does not fit: the offer is forged, or was changed after it was signed",
            ),
            (
                "changed after it was signed",
                SignedManifest { manifest: manifest_of(|m| m.version = version(9)).into(), ..signed(&|_| {}) },
                "the signature does not fit: the offer is forged, or was changed after it was signed",
            ),
            (
                "the manifest signed without the prefix",
                SignedManifest {
                    signature: key(1).sign(&manifest_of(|_| {})).as_ref().try_into().unwrap(),
                    ..signed(&|_| {})
                },
                "the signature does not fit: the offer is forged, or was changed after it was signed",
            ),
            (
                "for another machine",
                signed(&|m| m.platform = "riscv64-linux".parse().unwrap()),
                "it is for riscv64-linux, and this is PLATFORM",
            ),
            ("a board's", signed(&|m| m.part = Part::Board), "offered as agent, and signed as board"),
            (
                "replayed: of last year",
                signed(&|m| m.version = version(4)),
                "0.4.0 is older than 0.5.0, which runs, and is not signed as a downgrade",
            ),
            (
                "below the floor, although a downgrade",
                signed(&|m| (m.version, m.downgrade) = (version(2), true)),
                "0.2.0 is below 0.3.0, the oldest that this node still takes",
            ),
            (
                "a downgrade",
                signed(&|m| (m.version, m.downgrade, m.content_bytes) = (version(4), true, 7)),
                "taken: 0.4.0",
            ),
            (
                "a downgrade, replayed",
                signed(&|m| (m.version, m.downgrade) = (version(4), true)),
                "the downgrade to 0.4.0 was taken before: each is taken once; sign it anew if it is meant",
            ),
            (
                "below its own floor",
                signed(&|m| m.floor = version(7)),
                "0.6.0 is below the floor 0.7.0 in its own manifest: it was signed by mistake",
            ),
            (
                "oversized",
                signed(&|m| m.content_bytes = 16 * 1024 * 1024 + 1),
                "the manifest cannot be used: program is too large: 16777217, limit 16777216",
            ),
            (
                "cut short, and signed so",
                sign(&key(1), &manifest_of(|_| {})[..20]),
                "the manifest cannot be used: malformed: end of input bytes",
            ),
        ];
        for (name, signed, expected) in table {
            assert_eq!(said(&signed), expected.replace("PLATFORM", AGENT_PLATFORM), "{name}");
        }
        let none = Bench { keys: &[], part: Part::Agent, running: None, floor: version(0), spent: &|_| false };
        let refused = judge(&signed(&|_| {}), &none).unwrap_err().to_string();
        assert!(refused.starts_with("this node has no update key: write the district's public key into update.keys"));
    }

    #[test]
    fn no_changed_bit_of_an_offer_is_taken() {
        let good = sign(&key(1), &manifest_of(|_| {}));
        for place in 0..good.manifest.len() + 8 + 64 {
            let mut bad = good.clone();
            let length = good.manifest.len();
            match place {
                at if at < length => {
                    let mut bytes = good.manifest.to_vec();
                    bytes[at] ^= 1;
                    bad.manifest = bytes.into();
                }
                at if at < length + 8 => bad.key_id[at - length] ^= 1,
                at => bad.signature[at - length - 8] ^= 1,
            }
            assert!(!said(&bad).starts_with("taken"), "byte {place}");
        }
    }
}
