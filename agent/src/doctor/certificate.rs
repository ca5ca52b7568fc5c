//! This node's own certificate, enrolled or from files: there, in time, for this node, with its key, by the authority that
//! is trusted here.
//! What is printed of the files are dates and names, never their content.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, TrustAnchor, UnixTime};
use rustls::sign::CertifiedKey;
use simpul_wire::doctor::{Code, Finding, Value, Verdict};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};

use super::{Patient, duration};
use crate::config::UplinkConfig;
use crate::enrolment::EnrolmentError;
use crate::uplink::tls;

/// A certificate that ends within a month is told of: a visit has to be planned.
const SOON_S: i64 = 30 * 86_400;

/// The end of year 9999, at which RFC 5280 lets certificates end that never end.
const FOREVER_S: u64 = 253_402_300_799;

/// What the files say.
#[derive(Debug, Clone)]
pub(super) struct Facts {
    pub now_s: i64,
    pub node: String,
    pub read: Result<Read, (PathBuf, String)>,
}

#[derive(Debug, Clone)]
pub(super) struct Read {
    pub name: Option<String>,
    pub key_fits: bool,
    pub validity: Validity,
    /// Its last second; nothing: it never ends.
    pub until_s: Option<i64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Validity {
    Good,
    Expired,
    From(i64),
    WrongAuthority,
}

pub(super) fn gather(patient: &Patient) -> Facts {
    let config = &patient.config;
    let enrolment = patient.enrolment();
    let now_s = enrolment.time().wall_ms().div_euclid(1_000);
    let read = match enrolment.load() {
        Ok(Some(kept)) => read(&config.enrolment.directory, kept.authorities(), kept.chain_and_key(), now_s),
        Ok(None) if config.uplink.certificate_file.exists() => read_files(&config.uplink, now_s),
        Ok(None) => {
            let path = config.enrolment.token_file.clone();
            let waits = "the token has not been used yet: no hub answered so far".to_owned();
            let none = EnrolmentError::NoToken { path: path.clone() }.to_string();
            Err((path.clone(), if path.exists() { waits } else { none }))
        }
        Err(error) => Err((config.enrolment.directory.clone(), error.to_string())),
    };
    Facts { now_s, node: config.node.to_string(), read }
}

fn read_files(uplink: &UplinkConfig, now_s: i64) -> Result<Read, (PathBuf, String)> {
    let failed = |path: &Path, what: String| (path.to_path_buf(), what);
    let authorities =
        tls::certificates("CA file", &uplink.ca_file).map_err(|error| failed(&uplink.ca_file, cause(&error)))?;
    let path = &uplink.certificate_file;
    let chain = tls::certificates("certificate", path).map_err(|error| failed(path, cause(&error)))?;
    let key =
        PrivateKeyDer::from_pem_file(&uplink.key_file).map_err(|error| failed(&uplink.key_file, error.to_string()))?;
    read(path, authorities, (chain, key), now_s)
}

/// `path` is what a finding names.
fn read(
    path: &Path,
    authorities: Vec<CertificateDer<'static>>,
    (chain, key): (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>),
    now_s: i64,
) -> Result<Read, (PathBuf, String)> {
    let failed = |path: &Path, what: String| (path.to_path_buf(), what);
    let provider = default_provider();
    let anchors: Vec<TrustAnchor<'_>> = authorities.iter().filter_map(|it| anchor_from_trusted_cert(it).ok()).collect();
    let (own, between) = chain.split_first().ok_or_else(|| failed(path, "empty".to_owned()))?;
    let certificate = EndEntityCert::try_from(own).map_err(|error| failed(path, error.to_string()))?;
    let judged = |at_s: u64| {
        let at = UnixTime::since_unix_epoch(Duration::from_secs(at_s));
        let algorithms = provider.signature_verification_algorithms.all;
        let usage = KeyUsage::client_auth();
        certificate.verify_for_usage(algorithms, &anchors, between, at, usage, None, None).map(|_| ())
    };
    let seconds = |time: UnixTime| i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    let until_s = match judged(FOREVER_S) {
        Err(webpki::Error::CertExpired { not_after, .. }) => Some(seconds(not_after)),
        _ => None,
    };
    let validity = match judged(u64::try_from(now_s).unwrap_or_default()) {
        Ok(()) => Validity::Good,
        Err(webpki::Error::CertExpired { .. }) => Validity::Expired,
        Err(webpki::Error::CertNotValidYet { not_before, .. }) => Validity::From(seconds(not_before)),
        Err(_) => Validity::WrongAuthority,
    };
    let key_fits = CertifiedKey::from_der(chain.clone(), key, &provider).is_ok();
    Ok(Read { name: common_name(certificate.subject()), key_fits, validity, until_s })
}

/// Without the path, which the finding names itself.
fn cause(error: &tls::TlsError) -> String {
    match error {
        tls::TlsError::File { cause, .. } => cause.clone(),
        other => other.to_string(),
    }
}

/// The common name in a subject (DER): its object identifier 2.5.4.3, then a string with its length.
fn common_name(subject: &[u8]) -> Option<String> {
    const COMMON_NAME: [u8; 5] = [0x06, 0x03, 0x55, 0x04, 0x03];
    let at = subject.windows(COMMON_NAME.len()).position(|window| window == COMMON_NAME)?;
    let [_kind, length, rest @ ..] = subject.get(at + COMMON_NAME.len()..)? else { return None };
    // A node's id has at most 64 characters: lengths of several bytes are somebody else's.
    std::str::from_utf8(rest.get(..usize::from(*length))?).ok().map(str::to_owned)
}

pub(super) fn judge(facts: &Facts) -> Vec<Finding> {
    let read = match &facts.read {
        Ok(read) => read,
        Err((path, error)) => {
            let unreadable = Code::CertificateFile.finding(Verdict::Fail).with_text("path", path.display());
            return vec![unreadable.with_text("error", error)];
        }
    };
    let mut findings = Vec::new();
    let until = |finding: Finding, name| match read.until_s {
        Some(until_s) => finding.with(name, Value::UnixS(until_s)),
        None => finding,
    };
    match read.validity {
        Validity::Expired => findings.push(until(Code::CertificateExpired.finding(Verdict::Fail), "at")),
        Validity::From(from_s) => {
            findings.push(Code::CertificateNotYetValid.finding(Verdict::Fail).with("at", Value::UnixS(from_s)));
        }
        Validity::WrongAuthority => findings.push(Code::CertificateWrongAuthority.finding(Verdict::Fail)),
        Validity::Good => {
            let left_s = read.until_s.map(|until_s| until_s - facts.now_s).filter(|left_s| *left_s < SOON_S);
            if let Some(left_s) = left_s {
                let left = duration(Duration::from_secs(u64::try_from(left_s).unwrap_or_default()));
                let soon = until(Code::CertificateExpiresSoon.finding(Verdict::Warn), "at");
                findings.push(soon.with("left", left));
            }
        }
    }
    if read.name.as_deref() != Some(&facts.node) {
        let wrong = Code::CertificateWrongNode.finding(Verdict::Fail);
        let name = read.name.as_deref().unwrap_or("–");
        findings.push(wrong.with_text("name", name).with_text("node", &facts.node));
    }
    if !read.key_fits {
        findings.push(Code::CertificateWrongKey.finding(Verdict::Fail));
    }
    if findings.is_empty() {
        findings.push(until(Code::CertificateGood.finding(Verdict::Ok), "until"));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::testing::told;
    use super::*;
    use simpul_testkit::pki::{Authority, Identity, Validity as Made, write_secret};

    const NODE: &str = "35.12.07.2003-01";
    const NOW_S: i64 = 1_795_000_000;

    /// What is told of a certificate, its key and an authority.
    fn judged(authority: &Authority, certificate: &Identity, key: &Identity, now_s: i64) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        authority.write_certificate(&at("ca.pem")).unwrap();
        std::fs::write(at("node.pem"), &certificate.certificate_pem).unwrap();
        write_secret(&at("node.key"), &key.key_pem).unwrap();
        let text = format!(
            "node = \"{NODE}\"\n[spool]\ndirectory = \"spool\"\n[uplink]\nhubs = [\"hub:8883\"]\nca_file = \"ca.pem\"\n\
             certificate_file = \"node.pem\"\nkey_file = \"node.key\"\n"
        );
        let config = crate::config::Config::parse(&text, folder.path()).unwrap();
        let facts = Facts { now_s, node: NODE.to_owned(), read: read_files(&config.uplink, now_s) };
        told(&judge(&facts))
    }

    #[test]
    fn certificates_are_told_apart() {
        let (ours, theirs) = (Authority::new("district").unwrap(), Authority::new("elsewhere").unwrap());
        let good = ours.node(NODE).unwrap();
        let made = |validity| ours.node_valid(NODE, validity).unwrap();
        let judged = |certificate: &Identity, now_s| judged(&ours, certificate, certificate, now_s);
        assert_eq!(judged(&good, NOW_S), ["certificate.good ok"]);
        assert_eq!(judged(&made(Made::Expired), NOW_S), ["certificate.expired fail"]);
        assert_eq!(judged(&made(Made::NotYet), NOW_S), ["certificate.not_yet_valid fail"]);
        assert_eq!(judged(&ours.node("35.12.07.2003-02").unwrap(), NOW_S), ["certificate.wrong_node fail"]);
        assert_eq!(judged(&theirs.node(NODE).unwrap(), NOW_S), ["certificate.wrong_authority fail"]);
        // Two weeks before 2099.
        assert_eq!(judged(&good, 4_070_908_800 - 14 * 86_400), ["certificate.expires_soon warn"]);
        assert_eq!(super::tests::judged(&ours, &good, &made(Made::Now), NOW_S), ["certificate.wrong_key fail"]);
        let empty = Identity { certificate_pem: "nothing".into(), key_pem: good.key_pem.clone() };
        assert_eq!(judged(&empty, NOW_S), ["certificate.file fail"]);
    }

    #[test]
    fn a_subject_that_is_cut_short_has_no_name() {
        for subject in [&[][..], &[6, 3, 0x55, 4, 3], &[6, 3, 0x55, 4, 3, 12], &[6, 3, 0x55, 4, 3, 12, 9, 65]] {
            assert_eq!(common_name(subject), None);
        }
        assert_eq!(common_name(&[0x30, 9, 6, 3, 0x55, 4, 3, 12, 2, 65, 66]).as_deref(), Some("AB"));
    }
}
