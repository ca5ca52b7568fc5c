//! Secrets: only in files of their own, never in the configuration, never printed.

use std::fmt;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Longest secret in bytes: a password or token, not a document.
const SECRET_BYTES_MAX: u64 = 1_024;

/// A secret; prints as `[secret]`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The secret itself: for the one place that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// Why a secret's file was refused.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// It cannot be read.
    #[error("{path}: {source}; create it with mode 0600", path = path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Everyone on the machine can read it.
    #[error("{path}: readable by everyone (mode {mode:04o}); run: chmod 600 {path}", path = path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// It holds no usable secret.
    #[error("{path}: {what}; one line of 1 to {SECRET_BYTES_MAX} bytes is expected", path = path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: &'static str,
    },
}

/// Refuse a file that everyone can read or write; warn of one that its group can (a service's group may be meant).
pub(super) fn check_mode(path: &Path) -> Result<(), SecretError> {
    let metadata =
        std::fs::metadata(path).map_err(|source| SecretError::Unreadable { path: path.to_owned(), source })?;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o007 != 0 {
        return Err(SecretError::Open { path: path.to_owned(), mode });
    }
    if mode & 0o070 != 0 {
        tracing::warn!(path = %path.display(), mode = format_args!("{mode:04o}"), "the group can read this secret");
    }
    Ok(())
}

/// Read a secret: the file's first line, its end trimmed.
///
/// # Errors
/// When the file is missing, empty, too long, not text, or readable by everyone.
pub fn read_secret(path: &Path) -> Result<Secret, SecretError> {
    check_mode(path)?;
    let unreadable = |source| SecretError::Unreadable { path: path.to_owned(), source };
    let unusable = |what| SecretError::Unusable { path: path.to_owned(), what };
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(unreadable)?;
    file.take(SECRET_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > SECRET_BYTES_MAX {
        return Err(unusable("too long"));
    }
    let text = String::from_utf8(bytes).map_err(|_| unusable("not text"))?;
    let mut lines = text.lines();
    let secret = lines.next().unwrap_or_default().trim_end();
    if secret.is_empty() {
        return Err(unusable("empty"));
    }
    if lines.any(|line| !line.trim().is_empty()) {
        return Err(unusable("several lines"));
    }
    Ok(Secret(secret.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(content: &[u8], mode: u32) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        (folder, path)
    }

    #[test]
    fn a_secret_is_one_line_in_a_file_of_its_own() {
        let (_folder, path) = file(b"rahasia\n", 0o600);
        let secret = read_secret(&path).unwrap();
        assert_eq!(secret.expose(), "rahasia");
        assert_eq!(format!("{secret:?}"), "[secret]");
        for (content, expected) in [(&b""[..], "empty"), (b"a\nb\n", "several lines"), (b"\xff", "not text")] {
            let (_folder, path) = file(content, 0o600);
            assert!(read_secret(&path).unwrap_err().to_string().contains(expected), "{expected}");
        }
    }

    #[test]
    fn a_secret_that_everyone_can_read_is_refused() {
        let (_folder, path) = file(b"rahasia\n", 0o644);
        let error = read_secret(&path).unwrap_err().to_string();
        assert!(error.contains("readable by everyone (mode 0644)") && error.contains("chmod 600"), "{error}");
        assert!(!error.contains("rahasia"), "{error}");
    }
}
