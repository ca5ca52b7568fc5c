//! `SHA256SUMS`, and minisign signatures of it and of every file.
//!
//! The key is outside of the repository. Without one there is a key for development, which proves nothing.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use minisign::{KeyPair, PublicKey, SecretKey, SecretKeyBox};
use sha2::{Digest, Sha256};

use crate::run::{root, target};

/// The variable with the key's password, for machines where nobody can type it.
const PASSWORD: &str = "SIMPUL_SIGNING_PASSWORD";

/// A signing key, and its public half.
pub struct Signer {
    secret: SecretKey,
    public: PublicKey,
}

impl Signer {
    /// The key in `file`; without one, the development key of this target folder.
    pub fn open(file: Option<&Path>) -> anyhow::Result<Signer> {
        match file {
            Some(file) => {
                refuse_in_repository(file)?;
                read(file, std::env::var(PASSWORD).ok())
            }
            None => {
                let file = target().join("development-signing.key");
                println!(
                    "!!! NO --key: signing with a throw-away development key, {}\n\
                     !!! Its signatures prove nothing. Do not publish these files.",
                    file.display()
                );
                if !file.exists() {
                    make(&file)?;
                }
                read(&file, None)
            }
        }
    }

    /// Sign each of the files in `folder` as FILE.minisig; also write `SHA256SUMS` and the public key there.
    pub fn sign_all(&self, folder: &Path, files: &[String], epoch_s: u64) -> anyhow::Result<()> {
        let mut sums = String::new();
        for name in files {
            let bytes = fs::read(folder.join(name)).with_context(|| format!("cannot read {name}"))?;
            let sum: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
            sums.push_str(&format!("{sum}  {name}\n"));
            self.sign(folder, name, &bytes, epoch_s)?;
        }
        write(&folder.join("SHA256SUMS"), sums.as_bytes())?;
        self.sign(folder, "SHA256SUMS", sums.as_bytes(), epoch_s)?;
        write(&folder.join("simpul.pub"), &self.public.to_box()?.to_bytes())
    }

    fn sign(&self, folder: &Path, name: &str, bytes: &[u8], epoch_s: u64) -> anyhow::Result<()> {
        // The trusted comment is signed too: a file that was renamed to another one is noticed.
        let comment = format!("timestamp:{epoch_s}\tfile:{name}\thashed");
        let signature = minisign::sign(Some(&self.public), &self.secret, bytes, Some(&comment), Some("Simpul"))
            .with_context(|| format!("cannot sign {name}"))?;
        write(&folder.join(format!("{name}.minisig")), signature.into_string().as_bytes())
    }
}

fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
}

pub(super) fn refuse_in_repository(file: &Path) -> anyhow::Result<()> {
    let path = fs::canonicalize(file)
        .with_context(|| format!("--key {}: not there; make a key with: minisign -G -s {0}", file.display()))?;
    if path.starts_with(root()) && !path.starts_with(target()) {
        bail!("--key {}: a signing key must not be in the repository: move it elsewhere, mode 0600", file.display());
    }
    Ok(())
}

fn read(file: &Path, password: Option<String>) -> anyhow::Result<Signer> {
    let text = fs::read_to_string(file).with_context(|| format!("the signing key {}", file.display()))?;
    let wrong = |why: String| {
        anyhow!(
            "{}: not a usable minisign secret key ({why}); name the file that `minisign -G` made with -s, not the \
             public key (.pub) and not a signature (.minisig)",
            file.display()
        )
    };
    let key = SecretKeyBox::from_string(&text).map_err(|error| wrong(error.to_string()))?;
    // Only what is protected asks for a password: anything else is simply the wrong file.
    let secret = if looks_protected(&text) {
        key.into_secret_key(password).map_err(|error| {
            anyhow!("{}: {error}; is the password right? It is asked for, or taken from {PASSWORD}", file.display())
        })?
    } else {
        key.into_unencrypted_secret_key().map_err(|error| wrong(error.to_string()))?
    };
    let public = PublicKey::from_secret_key(&secret).map_err(|error| wrong(error.to_string()))?;
    Ok(Signer { secret, public })
}

/// The second line of a protected key: "Ed" and "Sc" in base64 at its beginning, and 158 bytes in all.
fn looks_protected(text: &str) -> bool {
    text.lines().nth(1).is_some_and(|line| line.starts_with("RWRTY0Iy") && line.trim_end().len() == 212)
}

fn make(file: &PathBuf) -> anyhow::Result<()> {
    let pair = KeyPair::generate_unencrypted_keypair()?;
    let text = pair.sk.to_box(Some("Simpul: a throw-away development key"))?.to_bytes();
    let open = fs::File::options().write(true).create_new(true).mode(0o600).open(file);
    let written = open.and_then(|mut opened| opened.write_all(&text));
    written.with_context(|| format!("cannot write {}", file.display()))
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use minisign::SignatureBox;

    use super::*;

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("simpul-sign-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    #[test]
    fn every_file_and_the_sums_are_signed_and_a_changed_byte_is_noticed() {
        let folder = folder("all");
        make(&folder.join("key")).unwrap();
        fs::write(folder.join("a.deb"), "abc").unwrap();
        read(&folder.join("key"), None).unwrap().sign_all(&folder, &["a.deb".to_owned()], 7).unwrap();
        let sums = fs::read_to_string(folder.join("SHA256SUMS")).unwrap();
        assert_eq!(sums, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad  a.deb\n");
        let public = fs::read_to_string(folder.join("simpul.pub")).unwrap();
        let public = minisign::PublicKeyBox::from_string(&public).unwrap().into_public_key().unwrap();
        for (name, bytes) in [("a.deb", b"abc".to_vec()), ("SHA256SUMS", sums.into_bytes())] {
            let signature = SignatureBox::from_file(folder.join(format!("{name}.minisig"))).unwrap();
            assert!(minisign::verify(&public, &signature, Cursor::new(&bytes), true, false, false).is_ok());
            let mut changed = bytes;
            changed[0] ^= 1;
            assert!(minisign::verify(&public, &signature, Cursor::new(&changed), true, false, false).is_err());
            assert!(signature.trusted_comment().unwrap().contains(&format!("timestamp:7\tfile:{name}")));
        }
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_public_key_or_nonsense_in_place_of_the_key_is_refused_with_what_to_name() {
        let folder = folder("wrong");
        let pair = KeyPair::generate_unencrypted_keypair().unwrap();
        fs::write(folder.join("key.pub"), pair.pk.to_box().unwrap().to_bytes()).unwrap();
        fs::write(folder.join("nonsense"), "a\nb\n").unwrap();
        fs::write(folder.join("empty"), "").unwrap();
        for name in ["key.pub", "nonsense", "empty"] {
            let error = format!("{:#}", read(&folder.join(name), None).err().unwrap());
            assert!(error.contains(name) && error.contains("not the public key"), "{error}");
        }
        let error = format!("{:#}", Signer::open(Some(&folder.join("missing"))).err().unwrap());
        assert!(error.contains("minisign -G -s"), "{error}");
        let inside = root().join("Cargo.toml");
        let error = format!("{:#}", Signer::open(Some(&inside)).err().unwrap());
        assert!(error.contains("must not be in the repository"), "{error}");
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_protected_key_opens_with_its_password_and_with_no_other() {
        let folder = folder("protected");
        let pair = KeyPair::generate_encrypted_keypair(Some("rahasia".to_owned())).unwrap();
        fs::write(folder.join("key"), pair.sk.to_box(None).unwrap().to_bytes()).unwrap();
        assert!(read(&folder.join("key"), Some("rahasia".to_owned())).is_ok());
        let error = format!("{:#}", read(&folder.join("key"), Some("salah".to_owned())).err().unwrap());
        assert!(error.contains("is the password right"), "{error}");
        fs::remove_dir_all(&folder).unwrap();
    }
}
