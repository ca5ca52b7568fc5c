//! Revoked certificates, by serial number of our CA: a node keeps its id when its card or key is replaced, so the
//! certificate is what is revoked, not the node.

use std::collections::HashSet;
use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::sync::{Arc, PoisonError, RwLock};

use super::config::MqttError;

/// A certificate's serial number, as `openssl x509 -serial` prints it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Serial(Box<[u8]>);

impl Serial {
    /// From the certificate's big-endian bytes.
    pub fn from_bytes(bytes: &[u8]) -> Serial {
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        Serial(bytes[zeros..].into())
    }
}

impl fmt::Display for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode_upper(&self.0))
    }
}

impl fmt::Debug for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Serial({self})")
    }
}

/// A text is not a serial number in hexadecimal.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a serial number: hexadecimal digits expected, with or without colons, at most 20 bytes")]
pub struct BadSerial;

impl FromStr for Serial {
    type Err = BadSerial;
    fn from_str(text: &str) -> Result<Serial, BadSerial> {
        let mut digits: String = text.chars().filter(|c| *c != ':').collect();
        if digits.len() % 2 == 1 {
            digits.insert(0, '0');
        }
        let bytes = hex::decode(digits).map_err(|_| BadSerial)?;
        // RFC 5280, 4.1.2.2: at most 20 octets, here with a leading zero.
        if bytes.is_empty() || bytes.len() > 21 { Err(BadSerial) } else { Ok(Serial::from_bytes(&bytes)) }
    }
}

/// The revoked certificates; clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Revoked(Arc<RwLock<HashSet<Serial>>>);

impl Revoked {
    /// Read a list. A list that is named but missing is an error: silently none revoked would be worse.
    pub(crate) fn read(path: &Path) -> Result<Revoked, MqttError> {
        let text = std::fs::read_to_string(path).map_err(|source| MqttError::File {
            what: "revocation list",
            path: path.to_owned(),
            source,
        })?;
        let mut serials = HashSet::new();
        for (index, line) in text.lines().enumerate() {
            let serial = line.split('#').next().unwrap_or_default().trim();
            if serial.is_empty() {
                continue;
            }
            let error = |_| MqttError::RevocationList { path: path.to_owned(), line: index + 1 };
            serials.insert(serial.parse().map_err(error)?);
        }
        Ok(Revoked(Arc::new(RwLock::new(serials))))
    }

    pub(crate) fn contains(&self, serial: &Serial) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).contains(serial)
    }

    pub(crate) fn insert(&self, serial: Serial) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(serial);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serials_are_equal_however_they_are_written() {
        let serial: Serial = "0A:0b:0C".parse().unwrap();
        for same in ["0a0b0c", "A0B0C", "000A0B0C"] {
            assert_eq!(same.parse::<Serial>().unwrap(), serial, "{same}");
        }
        assert_eq!(serial.to_string(), "0A0B0C");
        for bad in ["", "xyz", "0x10", &"ab".repeat(22)] {
            assert_eq!(bad.parse::<Serial>(), Err(BadSerial), "{bad:?}");
        }
    }

    #[test]
    fn a_list_names_its_bad_line_and_must_exist() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("revoked");
        assert!(matches!(Revoked::read(&path), Err(MqttError::File { .. })));
        std::fs::write(&path, "# stolen in Panarukan\n0a:0b\n\n0C # replaced\n").unwrap();
        let revoked = Revoked::read(&path).unwrap();
        assert!(revoked.contains(&"A0B".parse().unwrap()) && revoked.contains(&"0c".parse().unwrap()));
        std::fs::write(&path, "0a\nnonsense\n").unwrap();
        assert!(matches!(Revoked::read(&path), Err(MqttError::RevocationList { line: 2, .. })));
    }
}
