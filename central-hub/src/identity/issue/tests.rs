//! Tokens are good once, whoever asks at the same time and whenever the hub is killed; certificates renew themselves.

use rcgen::{CertificateParams, KeyPair};
use simpul_wire::enrolment::Secret;

use super::super::Places;
use super::super::villages::Villages;
use super::*;

const NOW_MS: i64 = 1_795_000_000_000;
const LIFE_S: u64 = 397 * 86_400;

struct District {
    folder: tempfile::TempDir,
    issuing: Issuing,
    node: NodeId,
}

fn issuing(folder: &std::path::Path) -> Issuing {
    let places = Places::of(folder);
    let hubs = vec!["hub.example:8883".parse().unwrap()];
    Issuing::new(
        Ledger::open(&places.registry).unwrap(),
        places.pki,
        LIFE_S,
        hubs,
        vec!["hub.example:8884".parse().unwrap()],
    )
}

fn district() -> District {
    let folder = tempfile::tempdir().unwrap();
    let places = Places::of(folder.path());
    let issuing = issuing(folder.path());
    issuing.ledger.make_first(&places, "Situbondo", &[], NOW_MS).unwrap();
    let villages = Villages::from([("35.12.01.2001".into(), "Pategalan".into())]);
    issuing.ledger.import(&villages, false, NOW_MS).unwrap();
    let node = issuing.ledger.add("35.12.01.2001", "", NOW_MS).unwrap().id;
    District { folder, issuing, node }
}

impl District {
    fn token(&self, byte: u8) -> Secret {
        self.issuing.ledger.issue_token(&self.node, None, &[byte; 16], NOW_MS, NOW_MS + 14 * DAY_MS).unwrap();
        Secret::from_bytes([byte; 16])
    }

    fn ask(&self, secret: &Secret, key: &KeyPair) -> Result<Identity, NotIssued> {
        self.issuing.enrol(&asked(&self.node, secret, key), NOW_MS)
    }

    fn certificates(&self) -> u32 {
        self.issuing.ledger.look(|c| c.query_row("SELECT count(*) FROM certificate", [], |row| row.get(0))).unwrap()
    }
}

fn csr(key: &KeyPair) -> Vec<u8> {
    CertificateParams::default().serialize_request(key).unwrap().der().to_vec()
}

fn asked(node: &NodeId, secret: &Secret, key: &KeyPair) -> EnrolRequest {
    EnrolRequest { node: node.clone(), secret: secret.clone(), request: csr(key).into() }
}

fn serial(identity: &Identity) -> Vec<u8> {
    use x509_parser::prelude::{FromDer, X509Certificate};
    X509Certificate::from_der(&identity.certificate).unwrap().1.raw_serial().to_vec()
}

fn reason<T: std::fmt::Debug>(result: Result<T, NotIssued>) -> RefusalReason {
    result.unwrap_err().refusal.reason
}

#[test]
fn a_token_is_good_once_and_a_lost_answer_is_given_again() {
    let district = district();
    let secret = district.token(7);
    let key = KeyPair::generate().unwrap();
    let first = district.ask(&secret, &key).unwrap();
    assert_eq!(district.ask(&secret, &key).unwrap(), first, "the same key after a lost answer");
    // Also after it has expired: the node may have lost its uplink for weeks.
    let late = district.issuing.enrol(&asked(&district.node, &secret, &key), NOW_MS + 30 * DAY_MS).unwrap();
    assert_eq!(late, first);
    assert_eq!(reason(district.ask(&secret, &KeyPair::generate().unwrap())), RefusalReason::UsedToken);
    assert_eq!(district.certificates(), 1);
}

#[test]
fn each_wrong_token_is_refused_with_its_own_reason() {
    let district = district();
    let key = KeyPair::generate().unwrap();
    assert_eq!(reason(district.ask(&Secret::from_bytes([1; 16]), &key)), RefusalReason::UnknownToken);
    let secret = district.token(2);
    let other = asked(&"35.12.01.2001-010".parse().unwrap(), &secret, &key);
    assert_eq!(reason(district.issuing.enrol(&other, NOW_MS)), RefusalReason::OtherNode);
    let late = asked(&district.node, &secret, &key);
    assert_eq!(reason(district.issuing.enrol(&late, NOW_MS + 14 * DAY_MS)), RefusalReason::ExpiredToken);
    let newer = district.token(3);
    assert_eq!(reason(district.ask(&secret, &key)), RefusalReason::Revoked, "a newer token withdraws it");
    let bad = EnrolRequest { request: vec![0x30, 0].into(), ..asked(&district.node, &newer, &key) };
    assert_eq!(reason(district.issuing.enrol(&bad, NOW_MS)), RefusalReason::BadRequest);
    let other_kind = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    assert_eq!(reason(district.ask(&newer, &other_kind)), RefusalReason::BadRequest);
    assert_eq!(district.certificates(), 0);
    assert!(district.ask(&newer, &key).is_ok(), "refusals used nothing up");
}

#[test]
fn sixteen_at_once_get_one_certificate_from_one_token() {
    let district = district();
    let secret = district.token(9);
    let won: Vec<bool> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..16)
            .map(|_| {
                // A connection of its own each, as command line and hub have.
                let own = issuing(district.folder.path());
                let (node, secret) = (&district.node, &secret);
                scope.spawn(move || {
                    let key = KeyPair::generate().unwrap();
                    match own.enrol(&asked(node, secret, &key), NOW_MS) {
                        Ok(_) => true,
                        Err(not) => {
                            assert_eq!(not.refusal.reason, RefusalReason::UsedToken, "{not:?}");
                            false
                        }
                    }
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(won.iter().filter(|won| **won).count(), 1);
    assert_eq!(district.certificates(), 1);
}

#[test]
fn an_expired_certificate_renews_itself_and_a_revoked_one_does_not() {
    let district = district();
    let first = district.ask(&district.token(1), &KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let years_later = NOW_MS + 900 * DAY_MS;
    let second = district.issuing.renew(&serial(&first), &csr(&key), years_later).unwrap();
    assert!(second.validity.to_s > first.validity.to_s);
    let again = district.issuing.renew(&serial(&first), &csr(&key), years_later).unwrap();
    assert_eq!(again, second, "a lost answer is given again");
    assert_eq!(district.issuing.ledger.revoke(&district.node, years_later).unwrap().0, 2);
    for identity in [&first, &second] {
        assert_eq!(reason(district.issuing.renew(&serial(identity), &csr(&key), years_later)), RefusalReason::Revoked);
        assert_eq!(reason(district.issuing.trust(&serial(identity))), RefusalReason::Revoked);
    }
    assert_eq!(district.issuing.ledger.revoked().unwrap().len(), 2);
    assert_eq!(reason(district.issuing.renew(&[1, 2], &csr(&key), NOW_MS)), RefusalReason::UnknownNode);
    assert!(district.ask(&district.token(2), &KeyPair::generate().unwrap()).is_ok(), "a new token brings it back");
}

#[test]
fn an_agent_that_loops_is_stopped() {
    let district = district();
    let first = district.ask(&district.token(1), &KeyPair::generate().unwrap()).unwrap();
    let renewals = (0..RENEWALS_A_DAY_MAX).map(|_| {
        district
            .issuing
            .renew(&serial(&first), &csr(&KeyPair::generate().unwrap()), NOW_MS)
            .map_err(|not| not.refusal.reason)
    });
    let refusals: Vec<RefusalReason> = renewals.filter_map(Result::err).collect();
    assert_eq!(refusals, [RefusalReason::Busy]);
    let tomorrow = NOW_MS + DAY_MS + 1;
    assert!(district.issuing.renew(&serial(&first), &csr(&KeyPair::generate().unwrap()), tomorrow).is_ok());
}

#[test]
fn a_rotation_leaves_nobody_behind_unless_forced() {
    let district = district();
    let ledger = &district.issuing.ledger;
    let pki = &district.issuing.pki;
    let first = district.ask(&district.token(1), &KeyPair::generate().unwrap()).unwrap();
    let authority = |identity: &Identity| identity.trust.authorities.len();
    assert_eq!(authority(&first), 1);
    ledger.rotate(pki, "Situbondo", &[], NOW_MS).unwrap();
    assert!(ledger.rotate(pki, "Situbondo", &[], NOW_MS).is_err(), "one next CA at a time");
    let refused = ledger.activate(NOW_MS, false).unwrap_err().to_string();
    assert!(refused.contains("1 nodes (35.12.01.2001-01) do not know CA 2 yet"), "{refused}");
    let told = district.issuing.trust(&serial(&first)).unwrap();
    assert_eq!((told.authorities.len(), told.renew), (2, false));
    ledger.activate(NOW_MS, false).unwrap();
    let told = district.issuing.trust(&serial(&first)).unwrap();
    assert!(told.renew, "its certificate is of the old CA");
    assert_eq!(told.authorities[0][..], ledger.trusted().unwrap()[0].certificate[..]);
    let refused = ledger.retire(false).unwrap_err().to_string();
    assert!(refused.contains("have no certificate of the current CA yet"), "{refused}");
    let second = district.issuing.renew(&serial(&first), &csr(&KeyPair::generate().unwrap()), NOW_MS).unwrap();
    assert_eq!(authority(&second), 2);
    ledger.retire(false).unwrap();
    let told = district.issuing.trust(&serial(&second)).unwrap();
    assert_eq!((told.authorities.len(), told.renew), (1, false));
    assert_eq!(reason(district.issuing.trust(&serial(&first))), RefusalReason::Revoked, "of a retired CA");
}

#[test]
fn nodes_are_registered_by_the_list_of_villages_whole_or_not_at_all() {
    let district = district();
    let ledger = &district.issuing.ledger;
    assert_eq!(ledger.add("35.12.01.2001", "Pasar", NOW_MS).unwrap().id.as_str(), "35.12.01.2001-02");
    let wrong = ledger.add("35.12.01.2010", "", NOW_MS).unwrap_err().to_string();
    assert_eq!(wrong, "35.12.01.2010 is no village of this district: did you mean 35.12.01.2001?");
    let villages = Villages::from([("35.12.01.2001".into(), "A".into()), ("35.12.01.2002".into(), "B".into())]);
    let added = ledger.import(&villages, true, NOW_MS).unwrap();
    assert_eq!(added.iter().map(|added| added.id.as_str()).collect::<Vec<_>>(), ["35.12.01.2002-01"]);
    assert_eq!(ledger.nodes().unwrap().len(), 3);
    assert!(ledger.revoke(&"35.12.01.2001-20".parse().unwrap(), NOW_MS).is_err());
}

#[test]
fn a_key_that_others_can_read_signs_nothing() {
    use std::os::unix::fs::PermissionsExt;
    let district = district();
    let key = district.issuing.pki.join("ca-1.key");
    assert_eq!(std::fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o640)).unwrap();
    let secret = district.token(1);
    assert_eq!(reason(district.ask(&secret, &KeyPair::generate().unwrap())), RefusalReason::Unavailable);
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    assert!(district.ask(&secret, &KeyPair::generate().unwrap()).is_ok(), "the token was not used up");
}

#[test]
fn a_database_is_cut_at_any_byte_of_its_journal_and_the_token_is_unused_or_used_with_its_certificate() {
    let district = district();
    let secret = district.token(5);
    let key = KeyPair::generate().unwrap();
    let before = std::fs::read(district.folder.path().join("identity/registry.db")).unwrap();
    let wal_file = district.folder.path().join("identity/registry.db-wal");
    district.ask(&secret, &key).unwrap();
    let wal = std::fs::read(&wal_file).unwrap();
    let after = std::fs::read(district.folder.path().join("identity/registry.db")).unwrap();
    assert_eq!(before, after, "nothing was checkpointed yet: the journal has it all");
    let (mut unused, mut used) = (0, 0);
    for cut in (0..=wal.len()).rev().step_by(1_031) {
        let copy = tempfile::tempdir().unwrap();
        std::fs::create_dir(copy.path().join("identity")).unwrap();
        std::fs::write(copy.path().join("identity/registry.db"), &after).unwrap();
        std::fs::write(copy.path().join("identity/registry.db-wal"), &wal[..cut]).unwrap();
        let Ok(ledger) = Ledger::open(&copy.path().join("identity/registry.db")) else { continue };
        let rows: rusqlite::Result<(u32, u32)> = ledger
            .look(|connection| {
                Ok(connection.query_row(
                    "SELECT (SELECT count(*) FROM token WHERE used_ms IS NOT NULL), (SELECT count(*) FROM certificate)",
                    [],
                    |row| Ok((row.get(0)?, row.get(1)?)),
                ))
            })
            .unwrap();
        match rows {
            Ok((0, 0)) => unused += 1,
            Ok((1, 1)) => used += 1,
            // Cut before the tables were made.
            Err(_) => {}
            other => panic!("half done: {other:?} after {cut} bytes"),
        }
    }
    assert!(unused > 0 && used > 0, "{unused} {used}");
}

mod laptops;
