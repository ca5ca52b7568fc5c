//! A certificate authority for tests and the demo: hub and node certificates, good ones and bad ones.
//!
//! A node's certificate carries the node's id as its common name and is for client authentication only. Leaves what
//! a certificate means to the hub.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, date_time_ymd,
};

/// An authority that signs.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate and its key, as PEM.
#[derive(Clone)]
pub struct Identity {
    /// The certificate.
    pub certificate_pem: String,
    /// Its private key (PKCS#8).
    pub key_pem: String,
}

/// Where an [`Identity`] was written to.
#[derive(Debug, Clone)]
pub struct IdentityFiles {
    /// The certificate.
    pub certificate: PathBuf,
    /// The key, mode 0600.
    pub key: PathBuf,
}

/// From when to when a certificate holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Validity {
    /// 2020 to 2099.
    Now,
    /// 2020 to 2021.
    Expired,
    /// From 2098 on.
    NotYet,
}

impl Validity {
    fn apply(self, params: &mut CertificateParams) {
        let (from, to) = match self {
            Validity::Now => (2020, 2099),
            Validity::Expired => (2020, 2021),
            Validity::NotYet => (2098, 2099),
        };
        params.not_before = date_time_ymd(from, 1, 1);
        params.not_after = date_time_ymd(to, 1, 1);
    }
}

fn params_named(common_name: &str, validity: Validity) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    validity.apply(&mut params);
    params
}

impl Authority {
    /// A new authority with a key of its own.
    pub fn new(common_name: &str) -> anyhow::Result<Self> {
        let mut params = params_named(common_name, Validity::Now);
        // One level: this authority signs leaves, never another authority.
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        Ok(Authority { issuer: CertifiedIssuer::self_signed(params, KeyPair::generate()?)? })
    }

    /// The authority's certificate, as PEM.
    pub fn certificate_pem(&self) -> String {
        self.issuer.pem()
    }

    /// Write the authority's certificate.
    pub fn write_certificate(&self, path: &Path) -> anyhow::Result<()> {
        fs::write(path, self.certificate_pem()).with_context(|| format!("cannot write {}", path.display()))
    }

    /// A server certificate for `names`: DNS names or IP addresses.
    pub fn server(&self, names: &[&str]) -> anyhow::Result<Identity> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names)?;
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "hub");
        Validity::Now.apply(&mut params);
        self.sign(params, ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// A hub on this machine: `localhost` and `127.0.0.1`.
    pub fn local_server(&self) -> anyhow::Result<Identity> {
        self.server(&["localhost", "127.0.0.1"])
    }

    /// A node's certificate; `id` becomes its common name.
    pub fn node(&self, id: &str) -> anyhow::Result<Identity> {
        self.node_valid(id, Validity::Now)
    }

    /// A node's certificate that holds when `validity` says.
    pub fn node_valid(&self, id: &str, validity: Validity) -> anyhow::Result<Identity> {
        self.sign(params_named(id, validity), ExtendedKeyUsagePurpose::ClientAuth)
    }

    fn sign(&self, mut params: CertificateParams, usage: ExtendedKeyUsagePurpose) -> anyhow::Result<Identity> {
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![usage];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok(Identity { certificate_pem: certificate.pem(), key_pem: key.serialize_pem() })
    }
}

impl Identity {
    /// Write `<stem>.crt` and `<stem>.key` (0600) into `directory`.
    pub fn write(&self, directory: &Path, stem: &str) -> anyhow::Result<IdentityFiles> {
        let files = IdentityFiles {
            certificate: directory.join(format!("{stem}.crt")),
            key: directory.join(format!("{stem}.key")),
        };
        fs::write(&files.certificate, &self.certificate_pem)
            .with_context(|| format!("cannot write {}", files.certificate.display()))?;
        write_secret(&files.key, &self.key_pem)?;
        Ok(files)
    }
}

/// Write a file that only its owner reads (0600): a key, a password, a token.
pub fn write_secret(path: &Path, text: &str) -> anyhow::Result<()> {
    let file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
    let written = file.and_then(|mut file| file.write_all(text.as_bytes()));
    written.with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::sync::Arc;

    use rustls::server::WebPkiClientVerifier;
    use rustls::{CertificateError, RootCertStore};
    use rustls_pki_types::pem::PemObject;
    use rustls_pki_types::{CertificateDer, UnixTime};

    use super::*;

    fn verdict(trusted: &Authority, shown: &Identity) -> Result<(), rustls::Error> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(trusted.certificate_pem().as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
        let certificate = CertificateDer::from_pem_slice(shown.certificate_pem.as_bytes()).unwrap();
        // Some day in 2026: the tests of this file do not depend on the machine's clock.
        let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(1_790_000_000));
        verifier.verify_client_cert(&certificate, &[], now).map(|_| ())
    }

    #[test]
    fn rustls_tells_good_expired_early_and_foreign_node_certificates_apart() {
        let authority = Authority::new("district").unwrap();
        let foreign = Authority::new("elsewhere").unwrap();
        let id = "35.12.01.2001-01";
        assert_eq!(verdict(&authority, &authority.node(id).unwrap()), Ok(()));
        let expired = verdict(&authority, &authority.node_valid(id, Validity::Expired).unwrap());
        assert!(
            matches!(expired, Err(rustls::Error::InvalidCertificate(CertificateError::ExpiredContext { .. }))),
            "{expired:?}"
        );
        let early = verdict(&authority, &authority.node_valid(id, Validity::NotYet).unwrap());
        assert!(
            matches!(early, Err(rustls::Error::InvalidCertificate(CertificateError::NotValidYetContext { .. }))),
            "{early:?}"
        );
        let stranger = verdict(&authority, &foreign.node(id).unwrap());
        assert_eq!(stranger, Err(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer)));
    }

    #[test]
    fn a_server_certificate_is_no_client_certificate() {
        let authority = Authority::new("district").unwrap();
        assert!(verdict(&authority, &authority.local_server().unwrap()).is_err());
    }

    #[test]
    fn keys_are_readable_by_their_owner_only() {
        let directory = tempfile::tempdir().unwrap();
        let files = Authority::new("district").unwrap().node("a-01").unwrap().write(directory.path(), "a-01").unwrap();
        assert_eq!(fs::metadata(&files.key).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(fs::read_to_string(&files.key).unwrap().starts_with("-----BEGIN PRIVATE KEY-----"));
    }
}
