//! This laptop's identity, in the folder of the user's own settings, for this user alone:
//!
//! ```text
//! $XDG_CONFIG_HOME/simpul/laptop.json   (else ~/.config/simpul; %APPDATA%\Simpul on Windows)
//! .../login.json                        the key of a login whose answer has not come: a retry asks with the same
//! ```

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use rcgen::KeyPair;
use serde::{Deserialize, Serialize};
use simpul_wire::enrolment::{Identity, Laptop, TechnicianToken};
use zeroize::Zeroizing;

use super::problem::Problem;
use super::tls::sha256;

/// Ours have some 5 kB.
const FILE_BYTES_MAX: u64 = 128 * 1024;

/// An identity. Prints without its key.
pub struct Kept {
    /// Whose.
    pub laptop: Laptop,
    /// The key (PKCS#8, DER).
    pub key: Zeroizing<Vec<u8>>,
    /// Certificate, CAs, addresses.
    pub identity: Identity,
}

#[derive(Serialize, Deserialize)]
struct Document {
    laptop: String,
    key: String,
    identity: String,
}

#[derive(Serialize, Deserialize)]
struct Pending {
    token_sha256: String,
    key: String,
}

/// The folder of this user's settings.
pub fn folder() -> Result<PathBuf, Problem> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let found = if cfg!(windows) {
        variable("APPDATA").map(|folder| folder.join("Simpul"))
    } else {
        let own = || variable("HOME").map(|home| home.join(".config"));
        variable("XDG_CONFIG_HOME").or_else(own).map(|folder| folder.join("simpul"))
    };
    found.ok_or(Problem::NoHome)
}

impl Kept {
    /// What is kept, if there is something.
    ///
    /// # Errors
    /// It cannot be read, others can read it, or it is damaged.
    pub fn load() -> Result<Option<Kept>, Problem> {
        let path = folder()?.join("laptop.json");
        let Some(text) = read(&path)? else { return Ok(None) };
        let damaged = || Problem::Damaged { path: path.display().to_string() };
        let document: Document = serde_json::from_slice(&text).map_err(|_| damaged())?;
        let key = Zeroizing::new(hex::decode(document.key).map_err(|_| damaged())?);
        let identity = hex::decode(document.identity).map_err(|_| damaged())?;
        let identity = Identity::from_slice(&identity).map_err(|_| damaged())?;
        Ok(Some(Kept { laptop: document.laptop.parse().map_err(|_| damaged())?, key, identity }))
    }

    /// Keep it instead of the one before; the key of the login is done with.
    ///
    /// # Errors
    /// It cannot be written; the one before is still there.
    pub fn keep(&self) -> Result<(), Problem> {
        let document = Document {
            laptop: self.laptop.to_string(),
            key: hex::encode(self.key.as_slice()),
            identity: hex::encode(self.identity.to_vec()),
        };
        let folder = folder()?;
        write(&folder.join("laptop.json"), &document)?;
        match fs::remove_file(folder.join("login.json")) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(Problem::File { path: folder.join("login.json").display().to_string(), error })
            }
            _ => Ok(()),
        }
    }
}

/// The key to log in with by this token: of a login under way, else a new one, on the disk before it is used.
pub fn pending_key(token: &TechnicianToken) -> Result<KeyPair, Problem> {
    let path = folder()?.join("login.json");
    let token_sha256 = hex::encode(sha256(token.secret.expose()));
    let pending = read(&path)?.and_then(|text| serde_json::from_slice::<Pending>(&text).ok());
    let same = pending.filter(|pending| pending.token_sha256 == token_sha256);
    if let Some(key) = same.and_then(|pending| hex::decode(pending.key).ok())
        && let Ok(key) = KeyPair::try_from(Zeroizing::new(key).as_slice())
    {
        return Ok(key);
    }
    let key = KeyPair::generate().map_err(Problem::key)?;
    write(&path, &Pending { token_sha256, key: hex::encode(key.serialize_der()) })?;
    Ok(key)
}

fn read(path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, Problem> {
    let failed = |error| Problem::File { path: path.display().to_string(), error };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = file.metadata().map_err(failed)?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(Problem::OpenKey { path: path.display().to_string() });
        }
    }
    let mut bytes = Zeroizing::new(Vec::new());
    file.take(FILE_BYTES_MAX).read_to_end(&mut bytes).map_err(failed)?;
    Ok(Some(bytes))
}

/// For this user alone, whole: a power cut leaves the old one or the new one.
fn write(path: &Path, document: &impl Serialize) -> Result<(), Problem> {
    let failed = |error| Problem::File { path: path.display().to_string(), error };
    let bytes = Zeroizing::new(serde_json::to_vec(document).map_err(|error| failed(error.into()))?);
    let written = || {
        if let Some(folder) = path.parent() {
            let mut builder = fs::DirBuilder::new();
            builder.recursive(true);
            #[cfg(unix)]
            std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
            builder.create(folder)?;
        }
        let temporary = path.with_extension("new");
        match fs::remove_file(&temporary) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&temporary)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    };
    written().map_err(failed)
}
