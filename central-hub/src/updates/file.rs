//! The update file: signed manifest and content in one, made where the key is and carried to the hub.
//!
//! ```text
//! 0..8     "SIMPULUP"
//! 8..12    format, 1 (u32, little-endian)
//! 12..16   bytes of the signed manifest (u32, little-endian)
//! ..       the signed manifest as CBOR
//! ..       the content as it is transferred: the agent's program in one zstd frame, the board's update file as it is
//! ```

use std::path::Path;

use simpul_wire::Label;
use simpul_wire::update::{Manifest, PROGRAM_BYTES_MAX, Part, SIGNED_PREFIX, SignedManifest, Version};

use super::key::{PublicKey, SigningKey};
use super::platform;
use super::{UpdateError, read_bounded};
use crate::identity::sha256;

const MAGIC: &[u8; 8] = b"SIMPULUP";
const FORMAT: u32 = 1;

/// Largest signed manifest: ours have 220 bytes.
const SIGNED_BYTES_MAX: usize = 1_024;

/// Largest file.
pub const FILE_BYTES_MAX: u64 = PROGRAM_BYTES_MAX as u64 + 16 + SIGNED_BYTES_MAX as u64;

/// zstd's strongest level without long windows: it is compressed once and goes over thousands of thin lines.
const LEVEL: i32 = 19;

/// What is to be said of a program.
#[derive(Debug, Clone)]
pub struct Claim {
    /// Agent or board.
    pub part: Part,
    /// Its version.
    pub version: Version,
    /// What it runs on.
    pub platform: Label,
    /// Nothing below it is taken any more, from this update on.
    pub floor: Version,
    /// It may replace a newer one.
    pub downgrade: bool,
}

/// An update file that was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Update {
    /// What it says.
    pub manifest: Manifest,
    /// The same, signed.
    pub signed: SignedManifest,
    /// What nodes download.
    pub content: Vec<u8>,
}

/// Make an update file of a program.
///
/// # Errors
/// The program is not what is claimed, or too large.
pub fn sign(key: &SigningKey, claim: &Claim, program: &[u8]) -> Result<Vec<u8>, UpdateError> {
    platform::check(claim.part, claim.version, claim.platform.as_str(), program).map_err(UpdateError::Refused)?;
    if claim.floor > claim.version {
        let text = format!("--floor {}: at most the version itself, {}, is allowed", claim.floor, claim.version);
        return Err(UpdateError::refused(text));
    }
    let content = if claim.part == Part::Agent { pack(program)? } else { program.to_vec() };
    let bytes = |bytes: &[u8]| {
        let length = u32::try_from(bytes.len()).ok().filter(|length| *length <= PROGRAM_BYTES_MAX);
        length.ok_or_else(|| UpdateError::refused(format!("the program has more than {PROGRAM_BYTES_MAX} bytes")))
    };
    let manifest = Manifest {
        part: claim.part,
        version: claim.version,
        platform: claim.platform.clone(),
        content_bytes: bytes(&content)?,
        content_sha256: sha256(&content),
        installed_bytes: bytes(program)?,
        installed_sha256: sha256(program),
        floor: claim.floor,
        downgrade: claim.downgrade,
    };
    let manifest = manifest.to_vec();
    let signature = key.sign(&signed_bytes(&manifest));
    let signed = to_vec(&SignedManifest { manifest: manifest.into(), key_id: key.public().id(), signature })?;
    let length = u32::try_from(signed.len()).unwrap_or(u32::MAX);
    Ok([MAGIC.as_slice(), &FORMAT.to_le_bytes(), &length.to_le_bytes(), &signed, &content].concat())
}

/// Read an update file and check everything that it says: signature, sizes, hashes, and what its program runs on.
///
/// # Errors
/// What is wrong with it.
pub fn open(bytes: &[u8], keys: &[PublicKey]) -> Result<Update, UpdateError> {
    let none = || UpdateError::refused("this is no update file: `simpul-hub updates sign` makes one");
    let cut = || UpdateError::refused("the update file is cut short: copy it again");
    let number = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    if !bytes.starts_with(MAGIC) {
        return Err(none());
    }
    let format = number(8).ok_or_else(cut)?;
    if format != FORMAT {
        return Err(UpdateError::refused(format!("the update file has format {format}: update the hub first")));
    }
    let length = usize::try_from(number(12).ok_or_else(cut)?).unwrap_or(usize::MAX);
    if length > SIGNED_BYTES_MAX {
        return Err(UpdateError::refused("the update file is damaged: copy it again"));
    }
    let (signed, content) = bytes.get(16..).and_then(|rest| rest.split_at_checked(length)).ok_or_else(cut)?;
    let (manifest, signed) = verify(signed, keys)?;
    if content.len() < manifest.content_bytes as usize {
        return Err(cut());
    }
    if content.len() > manifest.content_bytes as usize || sha256(content) != manifest.content_sha256 {
        return Err(UpdateError::refused("the update file's content is not what was signed: copy it again"));
    }
    let installed = installed(&manifest, content)?;
    if installed.len() != manifest.installed_bytes as usize || sha256(&installed) != manifest.installed_sha256 {
        return Err(UpdateError::refused("the update file's program is not what was signed: sign it again"));
    }
    platform::check(manifest.part, manifest.version, manifest.platform.as_str(), &installed)
        .map_err(UpdateError::Refused)?;
    Ok(Update { manifest, signed, content: content.to_vec() })
}

/// Read and check the update file in `path`.
///
/// # Errors
/// It cannot be read, or [`open`] refuses it.
pub fn read(path: &Path, keys: &[PublicKey]) -> Result<Update, UpdateError> {
    let bytes = read_bounded(path, FILE_BYTES_MAX)?;
    open(&bytes, keys).map_err(|error| match error {
        UpdateError::Refused(text) => UpdateError::refused(format!("{}: {text}", path.display())),
        other => other,
    })
}

fn verify(bytes: &[u8], keys: &[PublicKey]) -> Result<(Manifest, SignedManifest), UpdateError> {
    let damaged = || UpdateError::refused("the update file's manifest cannot be read: copy it again");
    let signed: SignedManifest = minicbor::decode(bytes).map_err(|_| damaged())?;
    // Exactly as it was written: nothing hides behind it or between its fields.
    if to_vec(&signed)? != bytes {
        return Err(damaged());
    }
    let Some(key) = keys.iter().find(|key| key.id() == signed.key_id) else {
        let text = format!(
            "it is signed with the key {}, which is not among updates.keys: add the public key that `updates key generate` printed, if that key is yours",
            hex::encode(signed.key_id)
        );
        return Err(UpdateError::refused(text));
    };
    if !key.verifies(&signed_bytes(&signed.manifest), &signed.signature) {
        return Err(UpdateError::refused("its signature is wrong: the file is damaged or was changed"));
    }
    let manifest = Manifest::from_slice(&signed.manifest).map_err(|error| UpdateError::refused(error.to_string()))?;
    Ok((manifest, signed))
}

fn signed_bytes(manifest: &[u8]) -> Vec<u8> {
    [SIGNED_PREFIX, manifest].concat()
}

/// CBOR into memory.
pub(super) fn to_vec<T: minicbor::Encode<()>>(value: &T) -> Result<Vec<u8>, UpdateError> {
    minicbor::to_vec(value).map_err(|error| UpdateError::refused(error.to_string()))
}

fn pack(program: &[u8]) -> Result<Vec<u8>, UpdateError> {
    let wrong = |code| UpdateError::refused(format!("zstd: {}", zstd_safe::get_error_name(code)));
    let mut packed = vec![0; zstd_safe::compress_bound(program.len())];
    let length = zstd_safe::compress(packed.as_mut_slice(), program, LEVEL).map_err(wrong)?;
    packed.truncate(length);
    Ok(packed)
}

fn installed(manifest: &Manifest, content: &[u8]) -> Result<Vec<u8>, UpdateError> {
    if manifest.part != Part::Agent {
        return Ok(content.to_vec());
    }
    // Bounded by what the manifest says, which is bounded itself.
    let mut program = vec![0; manifest.installed_bytes as usize];
    let unpacked = zstd_safe::decompress(program.as_mut_slice(), content);
    let length =
        unpacked.map_err(|_| UpdateError::refused("the update file's program cannot be unpacked: sign it again"))?;
    program.truncate(length);
    Ok(program)
}

#[cfg(test)]
mod tests {
    use super::super::platform::tests::elf;
    use super::*;

    fn claim() -> Claim {
        Claim {
            part: Part::Agent,
            version: "0.2.0".parse().unwrap(),
            platform: "aarch64-linux".parse().unwrap(),
            floor: "0.1.0".parse().unwrap(),
            downgrade: false,
        }
    }

    fn program() -> Vec<u8> {
        elf(2, 183, &b"simpul ".repeat(40))
    }

    fn refused(bytes: &[u8], keys: &[PublicKey]) -> String {
        open(bytes, keys).unwrap_err().to_string()
    }

    #[test]
    fn the_files_bytes_are_these_and_what_it_holds_comes_back() {
        let key = SigningKey::of_seed(7);
        // A board's file: an agent's bytes are another zstd's with the next version of that.
        let image = [b"SIMPULFW\x01\x00\x02\x03\x04\0\0\0\0\0\0\0".as_slice(), b"code"].concat();
        let of_board = Claim {
            part: Part::Board,
            version: "0.2.3".parse().unwrap(),
            platform: "rp2040".parse().unwrap(),
            floor: "0.2.0".parse().unwrap(),
            downgrade: true,
        };
        let bytes = sign(&key, &of_board, &image).unwrap();
        assert_eq!(hex::encode(&bytes), GOLDEN);
        assert_eq!(open(&bytes, &[key.public()]).unwrap().content, image);
        let bytes = sign(&key, &claim(), &program()).unwrap();
        let signed = usize::from(bytes[12]);
        let update = open(&bytes, &[SigningKey::of_seed(1).public(), key.public()]).unwrap();
        assert_eq!(update.manifest.version.to_string(), "0.2.0");
        assert_eq!(update.content, bytes[16 + signed..]);
        assert_eq!(update.manifest.installed_bytes as usize, program().len());
    }

    const GOLDEN: &str = "53494d50554c555001000000b4000000a3005863a90002018300020302667270323034300318180458202a07206f66808744\
         79126fc897098ad8886e6e3e25ab37495201810bc8af1ab30518180658202a07206f6680874479126fc897098ad8886e6e3e\
         25ab37495201810bc8af1ab3078300020008f50148fe812c12f3ab4ce6025840da190622089ecdd3933f4c1cc9dad4ad7ed2\
         c9f235d55a022a6091585e594e6800436d8ea0c9ce9f7841294c49b45e6cfdd8344196dd59b809e59d22e90db90853494d50\
         554c4657010002030400000000000000636f6465";

    #[test]
    fn every_cut_every_flipped_bit_and_everything_added_is_refused() {
        let key = SigningKey::of_seed(7);
        let bytes = sign(&key, &claim(), &program()).unwrap();
        let keys = [key.public()];
        for length in 0..bytes.len() {
            assert!(open(&bytes[..length], &keys).is_err(), "cut to {length}");
        }
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(open(&flipped, &keys).is_err(), "bit {bit}");
        }
        assert!(open(&[bytes.as_slice(), b"x"].concat(), &keys).is_err());
    }

    #[test]
    fn each_bad_file_is_refused_with_its_exact_error() {
        let key = SigningKey::of_seed(7);
        let bytes = sign(&key, &claim(), &program()).unwrap();
        let keys = [key.public()];
        let with = |at: usize, byte: u8| {
            let mut bytes = bytes.clone();
            bytes[at] = byte;
            bytes
        };
        let cases: &[(&[u8], &str)] = &[
            (b"", "this is no update file: `simpul-hub updates sign` makes one"),
            (b"SIMPULUP", "the update file is cut short: copy it again"),
            (&bytes[..bytes.len() - 1], "the update file is cut short: copy it again"),
            (&with(8, 2), "the update file has format 2: update the hub first"),
            (&with(13, 9), "the update file is damaged: copy it again"),
            (&with(20, 0), "its signature is wrong: the file is damaged or was changed"),
            (&with(16, 0), "the update file's manifest cannot be read: copy it again"),
            (&with(bytes.len() - 1, 0), "the update file's content is not what was signed: copy it again"),
        ];
        for (bytes, expected) in cases {
            assert_eq!(&refused(bytes, &keys), expected);
        }
        let id = hex::encode(key.public().id());
        assert_eq!(
            refused(&bytes, &[SigningKey::of_seed(1).public()]),
            format!(
                "it is signed with the key {id}, which is not among updates.keys: add the public key that `updates key generate` printed, if that key is yours"
            )
        );
    }

    #[test]
    fn a_program_that_is_not_what_is_claimed_is_not_signed() {
        let key = SigningKey::of_seed(7);
        let sign = |claim: Claim, program: &[u8]| sign(&key, &claim, program).unwrap_err().to_string();
        assert_eq!(
            sign(claim(), &elf(2, 62, b"")),
            "the program is for x86_64-linux, not for aarch64-linux: take the other file"
        );
        assert_eq!(
            sign(claim(), b"#!/bin/sh"),
            "the program is no agent for aarch64-linux: it is no ELF program for that machine"
        );
        let above = Claim { floor: "0.3.0".parse().unwrap(), ..claim() };
        assert_eq!(sign(above, &program()), "--floor 0.3.0: at most the version itself, 0.2.0, is allowed");
        let board = Claim { part: Part::Board, ..claim() };
        assert_eq!(
            sign(board, &program()),
            "this is no update file of a board: take pico.img of `cargo xtask firmware`"
        );
    }
}
