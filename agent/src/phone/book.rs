//! What the door keeps over a restart, in `phone.json`; and `phone-code`, by which `simpul-agent phone-code` hands a new
//! code's hash to the agent, running or not.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use super::door::Kept;
use crate::files::replace_secret;

/// Both files are a few hundred bytes.
const FILE_BYTES_MAX: u64 = 4 * 1024;

/// The files.
#[derive(Debug, Clone)]
pub struct Book {
    file: PathBuf,
    handed: PathBuf,
}

impl Book {
    /// In the state directory.
    pub fn new(directory: &Path) -> Self {
        Book { file: directory.join("phone.json"), handed: directory.join("phone-code") }
    }

    /// What was kept; unreadable: nothing that opens. The token's code then opens as a new one, for a technician must
    /// get in, and the room sees it.
    pub fn load(&self) -> Kept {
        match read(&self.file) {
            Ok(None) => Kept::default(),
            Ok(Some(text)) => serde_json::from_str(&text).ok().as_ref().and_then(parse).unwrap_or_else(|| {
                tracing::error!(file = %self.file.display(), "what was kept of the phone page is unreadable");
                Kept::default()
            }),
            Err(error) => {
                tracing::error!(%error, file = %self.file.display(), "what was kept of the phone page is unreadable");
                Kept::default()
            }
        }
    }

    /// Keep it. Blocking: two fsyncs.
    ///
    /// # Errors
    /// When the directory cannot be written to.
    pub fn save(&self, kept: &Kept) -> io::Result<()> {
        replace_secret(&self.file, document(kept).to_string().as_bytes())
    }

    /// Hand a new code's hash to the agent; readable by whoever owns the directory, which is who it runs as.
    ///
    /// # Errors
    /// When the directory cannot be written to.
    pub fn hand(&self, hash: &[u8; 32]) -> io::Result<()> {
        use std::os::unix::fs::MetadataExt;
        replace_secret(&self.handed, hex::encode(hash).as_bytes())?;
        if let Some(directory) = self.handed.parent() {
            let owner = std::fs::metadata(directory)?;
            if std::fs::metadata(&self.handed)?.uid() != owner.uid() {
                std::os::unix::fs::chown(&self.handed, Some(owner.uid()), Some(owner.gid()))?;
            }
        }
        Ok(())
    }

    /// A hash that was handed over; to be deleted once it is kept.
    pub fn handed(&self) -> Option<[u8; 32]> {
        read(&self.handed).ok().flatten().and_then(|text| hash(text.trim()))
    }

    /// It is kept now.
    ///
    /// # Errors
    /// It cannot be deleted.
    pub fn forget_handed(&self) -> io::Result<()> {
        std::fs::remove_file(&self.handed)
    }
}

fn read(path: &Path) -> io::Result<Option<String>> {
    match std::fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
        Ok(metadata) if metadata.len() > FILE_BYTES_MAX => Err(io::Error::other("too large")),
        Ok(_) => std::fs::read_to_string(path).map(Some),
    }
}

fn document(kept: &Kept) -> Value {
    json!({
        "code": kept.code.map(hex::encode), "of_token": kept.of_token.map(hex::encode),
        "used_by": kept.used_by.map(|by| by.to_string()), "used_s": kept.used_for.as_secs(),
        "open_s": kept.open_for.as_secs(), "accepted_by": kept.accepted_by,
    })
}

fn parse(document: &Value) -> Option<Kept> {
    let text = |name: &str| -> Option<Option<&str>> {
        let value = document.get(name)?;
        if value.is_null() { Some(None) } else { value.as_str().map(Some) }
    };
    let hash = |name: &str| -> Option<Option<[u8; 32]>> {
        match text(name)? {
            Some(text) => hash(text).map(Some),
            None => Some(None),
        }
    };
    let seconds = |name: &str| Some(Duration::from_secs(document.get(name)?.as_u64()?));
    let used_by = match text("used_by")? {
        Some(text) => Some(text.parse().ok()?),
        None => None,
    };
    Some(Kept {
        code: hash("code")?,
        of_token: hash("of_token")?,
        used_by,
        used_for: seconds("used_s")?,
        open_for: seconds("open_s")?,
        accepted_by: text("accepted_by")?.map(str::to_owned),
    })
}

fn hash(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    hex::decode_to_slice(text, &mut bytes).ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_there_after_a_restart_and_only_for_its_owner() {
        let folder = tempfile::tempdir().unwrap();
        let book = Book::new(folder.path());
        assert_eq!(book.load(), Kept::default());
        let kept = Kept {
            code: Some([1; 32]),
            of_token: Some([2; 32]),
            used_by: Some("fe80::1".parse().unwrap()),
            used_for: Duration::from_secs(3),
            open_for: Duration::from_secs(4),
            accepted_by: Some("Sari \"x\"".into()),
        };
        for kept in [kept, Kept::default()] {
            book.save(&kept).unwrap();
            assert_eq!(book.load(), kept);
        }
        let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(&book.file).unwrap());
        assert_eq!(mode & 0o777, 0o600);
        for text in ["", "{}", "[]", r#"{"code":"zz"}"#, &" ".repeat(5_000)] {
            std::fs::write(&book.file, text).unwrap();
            assert_eq!(book.load(), Kept::default(), "{text:.20}");
        }
    }

    #[test]
    fn a_code_is_handed_over_once() {
        let folder = tempfile::tempdir().unwrap();
        let book = Book::new(folder.path());
        assert_eq!(book.handed(), None);
        book.hand(&[5; 32]).unwrap();
        assert_eq!(book.handed(), Some([5; 32]));
        book.forget_handed().unwrap();
        assert_eq!(book.handed(), None);
    }
}
