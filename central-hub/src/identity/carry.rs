//! The hub's carry key: what a backlog on a stick is sealed to. Never the CA's: a key that signs must not decrypt.
//!
//! `pki/carry.key` is an age identity file: the first key is told to nodes, all of them open. To change it, put a new
//! line before the old ones: nodes learn it within a day, and what is on sticks still opens.

use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use simpul_carry::{HubKey, HubSecret};

use super::{IdentityError, authority};

/// Where it is.
pub fn key_file(pki: &Path) -> PathBuf {
    pki.join("carry.key")
}

/// The keys, the told one first; none: nobody was told of any.
///
/// # Errors
/// The file cannot be read, others can read it, or it holds something else.
pub fn keys(pki: &Path) -> Result<Vec<HubSecret>, IdentityError> {
    let path = key_file(pki);
    let file = |source| IdentityError::File { path: path.clone(), source };
    let mode = match std::fs::metadata(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        metadata => metadata.map_err(file)?.mode() & 0o777,
    };
    if mode & 0o077 != 0 {
        return Err(IdentityError::OpenKey { path, mode });
    }
    let text = zeroize::Zeroizing::new(std::fs::read_to_string(&path).map_err(file)?);
    HubSecret::parse_file(&text)
        .map_err(|reason| IdentityError::Unusable { what: format!("the carry key {}", path.display()), reason })
}

/// The key that nodes are told, made if there is none yet.
///
/// # Errors
/// As [`keys`], or it cannot be made.
pub fn ensure(pki: &Path) -> Result<HubKey, IdentityError> {
    if let Some(first) = keys(pki)?.first() {
        return Ok(first.public());
    }
    let made = HubSecret::generate()
        .map_err(|error| IdentityError::Unusable { what: "the carry key".into(), reason: error.to_string() })?;
    authority::prepare(pki)?;
    let text = zeroize::Zeroizing::new(format!(
        "# What nodes put on sticks for this hub opens with this key; `age -d -i` takes it too.\n# public key: {}\n{}\n",
        made.public(),
        made.expose().as_str()
    ));
    authority::write_secret(&key_file(pki), text.as_bytes())?;
    Ok(made.public())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_key_is_made_once_for_its_owner_alone_and_an_older_one_still_opens() {
        let folder = tempfile::tempdir().unwrap();
        let pki = folder.path().join("pki");
        assert!(keys(&pki).unwrap().is_empty());
        let first = ensure(&pki).unwrap();
        assert_eq!(ensure(&pki).unwrap(), first);
        assert_eq!(std::fs::metadata(key_file(&pki)).unwrap().mode() & 0o777, 0o600);
        let newer = HubSecret::generate().unwrap();
        let text = format!("{}\n{}", newer.expose().as_str(), std::fs::read_to_string(key_file(&pki)).unwrap());
        std::fs::write(key_file(&pki), text).unwrap();
        let public: Vec<HubKey> = keys(&pki).unwrap().iter().map(HubSecret::public).collect();
        assert_eq!(public, [newer.public(), first]);
        std::fs::set_permissions(key_file(&pki), std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(keys(&pki).unwrap_err().to_string().contains("chmod 600"));
    }

    #[test]
    fn a_damaged_key_is_told_by_its_line_and_never_shown_or_replaced() {
        let folder = tempfile::tempdir().unwrap();
        authority::write_secret(&key_file(folder.path()), b"AGE-SECRET-KEY-1DAMAGED\n").unwrap();
        let error = ensure(folder.path()).unwrap_err().to_string();
        assert!(error.contains("line 1: not a carry key") && !error.contains("DAMAGED"), "{error}");
    }
}
