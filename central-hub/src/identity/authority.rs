//! The district's CAs: their keys on disk, and what they sign. The only file that reads such a key.
//!
//! Leaves to others: which of several CAs signs ([`super::ledger`] knows their states), and who gets something signed.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PublicKeyData,
    SerialNumber,
};
use simpul_wire::NodeId;
use simpul_wire::enrolment::{HUB_NAME, Laptop, Validity};
use time::OffsetDateTime;

use super::IdentityError;

/// A CA holds so long, and the hub's own certificate with it: the keys of both lie on the same machine, so a shorter
/// life of the second would protect nothing and could strand a district.
const AUTHORITY_SECONDS: u64 = 20 * 365 * 86_400;

/// Certificates begin so long before they are made: a hub whose clock was set back must not refuse what it signed.
const BACKDATED_SECONDS: u64 = 86_400;

/// A CA, with its key when it is to sign.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Authority")
    }
}

/// A signing request whose signature was right.
#[derive(Debug)]
pub struct Request {
    public_key: rcgen::PublicKey,
}

/// What was signed for a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// The certificate (DER).
    pub certificate: Vec<u8>,
    /// Its serial number.
    pub serial: Vec<u8>,
    /// When it holds.
    pub validity: Validity,
}

impl Request {
    /// From DER. Only P-256 is signed: one kind of key to look after.
    pub fn parse(der: &[u8]) -> Result<Request, String> {
        let parsed = CertificateSigningRequestParams::from_der(&der.into()).map_err(|error| error.to_string())?;
        if parsed.public_key.algorithm() != &PKCS_ECDSA_P256_SHA256 {
            return Err("its key is not P-256".into());
        }
        Ok(Request { public_key: parsed.public_key })
    }

    /// SHA-256 of its public key.
    pub fn key_hash(&self) -> [u8; 32] {
        super::sha256(self.public_key.der_bytes())
    }
}

fn unusable(what: &str) -> impl Fn(rcgen::Error) -> IdentityError + use<> {
    let what = what.to_owned();
    move |error| IdentityError::Unusable { what: what.clone(), reason: error.to_string() }
}

fn date(seconds: u64) -> OffsetDateTime {
    let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
    OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

fn named(name: &str, usages: &[KeyUsagePurpose], from_s: u64, to_s: u64) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.key_usages = usages.to_vec();
    (params.not_before, params.not_after) = (date(from_s), date(to_s));
    params
}

fn key_file(pki: &Path, number: u32) -> PathBuf {
    pki.join(format!("ca-{number}.key"))
}

/// Make the `number`-th CA: its key is durable when this returns its certificate (DER).
pub fn make(pki: &Path, number: u32, district: &str, now_s: u64) -> Result<Vec<u8>, IdentityError> {
    let key = KeyPair::generate().map_err(unusable("the CA's key"))?;
    let usages = [KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let from_s = now_s.saturating_sub(BACKDATED_SECONDS);
    // The number keeps the subjects of two CAs apart: verifiers look a CA up by it.
    let name = format!("Simpul CA {number} {district}");
    let mut params = named(name.trim_end(), &usages, from_s, now_s + AUTHORITY_SECONDS);
    // One level: it signs leaves, never another CA.
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let certificate = params.self_signed(&key).map_err(unusable("the CA's certificate"))?;
    write_secret(&key_file(pki, number), key.serialize_pem().as_bytes())?;
    Ok(certificate.der().to_vec())
}

/// Refuse a CA's key that is missing or that others can read.
pub fn check_key(pki: &Path, number: u32) -> Result<(), IdentityError> {
    let path = key_file(pki, number);
    let file = |source| IdentityError::File { path: path.clone(), source };
    let mode = std::fs::metadata(&path).map_err(file)?.mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(IdentityError::OpenKey { path, mode });
    }
    Ok(())
}

impl Authority {
    /// The `number`-th CA, ready to sign.
    pub fn open(pki: &Path, number: u32, certificate: &[u8]) -> Result<Authority, IdentityError> {
        check_key(pki, number)?;
        let path = key_file(pki, number);
        let pem =
            std::fs::read_to_string(&path).map_err(|source| IdentityError::File { path: path.clone(), source })?;
        let wrong = unusable(&format!("the CA's key {}", path.display()));
        let key = KeyPair::from_pem(&pem).map_err(&wrong)?;
        let issuer = Issuer::from_ca_cert_der(&certificate.into(), key).map_err(&wrong)?;
        Ok(Authority { issuer })
    }

    /// A node's certificate: its id as the one common name, for client authentication alone.
    pub fn sign_node(
        &self,
        node: &NodeId,
        request: &Request,
        now_s: u64,
        life_s: u64,
    ) -> Result<Signed, IdentityError> {
        // A short life (tests have one) is not to begin before the last one ended.
        let from_s = now_s.saturating_sub(BACKDATED_SECONDS.min(life_s));
        self.sign_client(node.as_str(), request, Validity { from_s, to_s: now_s.saturating_add(life_s) })
    }

    /// A node's certificate that was asked for before the node is there: two thirds of its life have passed when it is
    /// made, so that the node renews it at its first contact.
    pub fn sign_ahead(
        &self,
        node: &NodeId,
        request: &Request,
        now_s: u64,
        life_s: u64,
    ) -> Result<Signed, IdentityError> {
        let from_s = now_s.saturating_sub(life_s.saturating_mul(2));
        self.sign_client(node.as_str(), request, Validity { from_s, to_s: now_s.saturating_add(life_s) })
    }

    /// A laptop's certificate, to the second `to_s`: a common name that no node can have.
    pub fn sign_laptop(
        &self,
        laptop: &Laptop,
        request: &Request,
        now_s: u64,
        to_s: u64,
    ) -> Result<Signed, IdentityError> {
        let validity = Validity { from_s: now_s.saturating_sub(BACKDATED_SECONDS), to_s };
        self.sign_client(&laptop.common_name(), request, validity)
    }

    fn sign_client(&self, name: &str, request: &Request, validity: Validity) -> Result<Signed, IdentityError> {
        let mut params = named(name, &[KeyUsagePurpose::DigitalSignature], validity.from_s, validity.to_s);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        let mut serial = [0; 16];
        getrandom::fill(&mut serial)
            .map_err(|error| IdentityError::Unusable { what: "randomness".into(), reason: error.to_string() })?;
        // Positive and without leading zeros, whoever prints it.
        serial[0] = serial[0] & 0x3f | 0x40;
        params.serial_number = Some(SerialNumber::from_slice(&serial));
        let params = CertificateSigningRequestParams { params, public_key: request.public_key.clone() };
        let certificate = params.signed_by(&self.issuer).map_err(unusable("a certificate"))?;
        Ok(Signed { certificate: certificate.der().to_vec(), serial: serial.to_vec(), validity })
    }

    /// The hub's own certificate, as PEM, for the key in `pki/hub.key`, which is made if it is missing.
    pub fn sign_hub(&self, pki: &Path, hosts: &[String], now_s: u64) -> Result<String, IdentityError> {
        let path = pki.join("hub.key");
        let wrong = unusable(&format!("the hub's key {}", path.display()));
        let key = match std::fs::read_to_string(&path) {
            Ok(pem) => KeyPair::from_pem(&pem).map_err(&wrong)?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let key = KeyPair::generate().map_err(&wrong)?;
                write_secret(&path, key.serialize_pem().as_bytes())?;
                key
            }
            Err(source) => return Err(IdentityError::File { path, source }),
        };
        let names: Vec<String> = std::iter::once(HUB_NAME.to_owned()).chain(hosts.iter().cloned()).collect();
        let from_s = now_s.saturating_sub(BACKDATED_SECONDS);
        let mut params = named("hub", &[KeyUsagePurpose::DigitalSignature], from_s, now_s + AUTHORITY_SECONDS);
        params.subject_alt_names = CertificateParams::new(names).map_err(&wrong)?.subject_alt_names;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        Ok(params.signed_by(&key, &self.issuer).map_err(&wrong)?.pem())
    }
}

/// A certificate as PEM.
pub fn pem(der: &[u8]) -> String {
    use base64::Engine;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let lines: Vec<&str> = text.as_bytes().chunks(64).filter_map(|line| std::str::from_utf8(line).ok()).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}

/// Make the folder for keys, for its owner alone.
pub fn prepare(pki: &Path) -> Result<(), IdentityError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(pki);
    made.map_err(|source| IdentityError::File { path: pki.into(), source })
}

/// Write a file whole, durably, for its owner alone: a power cut leaves the old one or the new one.
pub fn write_secret(path: &Path, bytes: &[u8]) -> Result<(), IdentityError> {
    let written = || {
        let temporary = path.with_extension("new");
        // Not one that is there already: its mode would stay.
        match std::fs::remove_file(&temporary) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&temporary, path)?;
        path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
    };
    written().map_err(|source| IdentityError::File { path: path.into(), source })
}
