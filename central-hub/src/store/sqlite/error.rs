//! Turning the errors of SQLite, the file system and the object store into [`StoreError`]: a full disk is told apart
//! from everything else, because it passes by itself.

use std::error::Error;
use std::io::ErrorKind;

use crate::store::StoreError;

/// How the text of an error begins that means a damaged database.
const DAMAGE: &str = "the database is damaged, restart the hub to set it aside";

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DiskFull) => StoreError::Full(error.to_string()),
            // No room for the memory that connections share: a full disk by another name.
            _ if error
                .sqlite_error()
                .is_some_and(|error| error.extended_code == rusqlite::ffi::SQLITE_IOERR_SHMSIZE) =>
            {
                StoreError::Full(error.to_string())
            }
            Some(rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase) => {
                StoreError::Backend(format!("{DAMAGE}: {error}"))
            }
            _ => StoreError::Backend(error.to_string()),
        }
    }
}

impl From<rusqlite::types::FromSqlError> for StoreError {
    fn from(error: rusqlite::types::FromSqlError) -> Self {
        rusqlite::Error::from(error).into()
    }
}

impl From<std::io::Error> for StoreError {
    fn from(error: std::io::Error) -> Self {
        if is_full(error.kind()) { StoreError::Full(error.to_string()) } else { StoreError::Backend(error.to_string()) }
    }
}

impl From<object_store::Error> for StoreError {
    fn from(error: object_store::Error) -> Self {
        let mut source: Option<&(dyn Error + 'static)> = Some(&error);
        while let Some(one) = source {
            if one.downcast_ref::<std::io::Error>().is_some_and(|io| is_full(io.kind())) {
                return StoreError::Full(error.to_string());
            }
            source = one.source();
        }
        StoreError::Backend(error.to_string())
    }
}

impl From<minicbor::decode::Error> for StoreError {
    fn from(error: minicbor::decode::Error) -> Self {
        StoreError::Backend(format!("a stored value cannot be read: {error}"))
    }
}

impl From<simpul_wire::WireError> for StoreError {
    fn from(error: simpul_wire::WireError) -> Self {
        StoreError::Backend(format!("a stored value cannot be read: {error}"))
    }
}

fn is_full(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
}

impl StoreError {
    /// Whether it means that the database is damaged.
    pub(super) fn is_damage(&self) -> bool {
        matches!(self, StoreError::Backend(what) if what.starts_with(DAMAGE))
    }

    /// The same error once more: one failed transaction answers every group that was in it.
    pub(super) fn again(&self) -> StoreError {
        match self {
            StoreError::Full(what) => StoreError::Full(what.clone()),
            StoreError::Backend(what) => StoreError::Backend(what.clone()),
            StoreError::Closed => StoreError::Closed,
        }
    }
}
