//! Technicians' tokens, laptops, and what ends with them.

use simpul_wire::enrolment::{Laptop, LoginRequest};

use super::super::laptops::Visitor;
use super::*;

const WEEK_MS: i64 = 7 * DAY_MS;

impl District {
    fn login_token(&self, technician: &str, byte: u8) -> Secret {
        let technician = technician.parse().unwrap();
        self.issuing.ledger.issue_login_token(&technician, &[byte; 16], NOW_MS, NOW_MS + WEEK_MS).unwrap();
        Secret::from_bytes([byte; 16])
    }

    fn login(&self, laptop: &str, secret: &Secret, key: &KeyPair, now_ms: i64) -> Result<Identity, NotIssued> {
        let laptop: Laptop = laptop.parse().unwrap();
        let asked = LoginRequest { laptop, secret: secret.clone(), request: csr(key).into() };
        self.issuing.login(&asked, "192.0.2.1", now_ms)
    }

    fn laptop(&self, laptop: &str, byte: u8) -> Visitor {
        let technician = laptop.split('/').next().unwrap();
        let secret = self.login_token(technician, byte);
        let identity = self.login(laptop, &secret, &KeyPair::generate().unwrap(), NOW_MS).unwrap();
        self.issuing.visitor(&serial(&identity), "192.0.2.1", NOW_MS).unwrap()
    }
}

#[test]
fn a_login_is_good_once_and_ends_with_its_token() {
    let district = district();
    let secret = district.login_token("budi", 1);
    let key = KeyPair::generate().unwrap();
    let first = district.login("budi/a", &secret, &key, NOW_MS + 6 * DAY_MS).unwrap();
    assert_eq!(first.validity.to_s, seconds(NOW_MS + WEEK_MS), "late to log in is not longer in");
    assert_eq!(district.login("budi/a", &secret, &key, NOW_MS + 6 * DAY_MS).unwrap(), first, "a lost answer");
    let other = KeyPair::generate().unwrap();
    assert_eq!(reason(district.login("budi/a", &secret, &other, NOW_MS)), RefusalReason::UsedToken);
    assert_eq!(reason(district.login("budi/b", &secret, &key, NOW_MS)), RefusalReason::UsedToken);
    let unused = district.login_token("sri", 2);
    assert_eq!(reason(district.login("budi/a", &unused, &key, NOW_MS)), RefusalReason::UnknownToken);
    assert_eq!(reason(district.login("sri/a", &unused, &key, NOW_MS + WEEK_MS)), RefusalReason::ExpiredToken);
    let newer = district.login_token("sri", 3);
    assert_eq!(reason(district.login("sri/a", &unused, &key, NOW_MS)), RefusalReason::Revoked);
    assert!(district.login("sri/a", &newer, &key, NOW_MS).is_ok());

    let visit =
        |now_ms| district.issuing.visitor(&serial(&first), "", now_ms).map(|visitor| visitor.laptop.to_string());
    assert_eq!(visit(NOW_MS).unwrap(), "budi/a");
    assert_eq!(reason(visit(NOW_MS + WEEK_MS)), RefusalReason::ExpiredLogin);
    // A laptop's certificate is not a node's, nor the other way round.
    assert_eq!(reason(district.issuing.renew(&serial(&first), &csr(&key), NOW_MS)), RefusalReason::UnknownNode);
    assert_eq!(reason(district.issuing.trust(&serial(&first))), RefusalReason::UnknownNode);
    let node = district.ask(&district.token(9), &key).unwrap();
    assert_eq!(reason(district.issuing.visitor(&serial(&node), "", NOW_MS)), RefusalReason::NoCertificate);
    let nodes_secret = district.token(10);
    assert_eq!(reason(district.login("budi/a", &nodes_secret, &key, NOW_MS)), RefusalReason::UnknownToken);
    assert_eq!(reason(district.ask(&district.login_token("budi", 11), &key)), RefusalReason::UnknownToken);
}

#[test]
fn a_revoked_laptop_takes_its_unused_tokens_and_bundles_with_it_and_nothing_else() {
    let district = district();
    let ledger = &district.issuing.ledger;
    let (mine, others) = (district.laptop("budi/a", 1), district.laptop("sri/b", 2));
    let second = ledger.add("35.12.01.2001", "", NOW_MS).unwrap().id;
    let third = ledger.add("35.12.01.2001", "", NOW_MS).unwrap().id;
    let key = KeyPair::generate().unwrap();
    let used = district.issuing.token_for(&mine, &district.node, NOW_MS).unwrap();
    district.issuing.enrol(&asked(&district.node, &used.secret, &key), NOW_MS).unwrap();
    let unused = district.issuing.token_for(&mine, &second, NOW_MS).unwrap();
    let kept = district.issuing.token_for(&others, &third, NOW_MS).unwrap();
    let bundle = district.issuing.ahead_for(&mine, &second, &csr(&KeyPair::generate().unwrap()), NOW_MS).unwrap();
    let installed = district.issuing.ahead_for(&mine, &third, &csr(&KeyPair::generate().unwrap()), NOW_MS).unwrap();
    district.issuing.renew(&serial(&installed), &csr(&key), NOW_MS + 5).unwrap();

    let ended = ledger.revoke_laptop("a", NOW_MS + 9).unwrap();
    let names = |names: &[String]| names.join(" ");
    assert_eq!((ended.laptop.as_str(), ended.certificates), ("budi/a", 1));
    assert_eq!((names(&ended.tokens), names(&ended.bundles)), (second.to_string(), second.to_string()));
    assert_eq!(ended.used, [(third.to_string(), NOW_MS + 5)]);
    assert_eq!(reason(district.issuing.visitor(&mine.serial, "", NOW_MS)), RefusalReason::Revoked);
    let refused = district.issuing.enrol(&asked(&second, &unused.secret, &key), NOW_MS).unwrap_err().refusal;
    assert!(refused.text.contains("the laptop budi/a that asked for this enrolment token was revoked"), "{refused}");
    assert_eq!(reason(district.issuing.renew(&serial(&bundle), &csr(&key), NOW_MS)), RefusalReason::Revoked);
    assert!(district.issuing.visitor(&others.serial, "", NOW_MS).is_ok());
    assert!(district.issuing.enrol(&asked(&third, &kept.secret, &key), NOW_MS).is_ok());
    let revoked = ledger.revoked().unwrap();
    for serial in [&mine.serial, &serial(&bundle), &serial(&installed)] {
        assert!(revoked.contains(serial));
    }
    assert_eq!(revoked.len(), 3);
    assert_eq!(ledger.revoke_laptop("budi/a", NOW_MS).unwrap().certificates, 0, "once more ends nothing more");
    let deeds: Vec<String> = ledger.deeds(100).unwrap().into_iter().map(|deed| deed.what).collect();
    assert_eq!(deeds, ["revoked", "revoked", "bundle", "bundle", "token", "token", "token", "login", "login"]);
}

#[test]
fn a_bundle_is_renewed_once_in_time_to_one_key() {
    let district = district();
    let mine = district.laptop("budi/a", 1);
    let ahead = |key: &KeyPair| district.issuing.ahead_for(&mine, &district.node, &csr(key), NOW_MS).unwrap();
    let (first, second) = (ahead(&KeyPair::generate().unwrap()), ahead(&KeyPair::generate().unwrap()));
    let key = KeyPair::generate().unwrap();
    assert_eq!(reason(district.issuing.renew(&serial(&first), &csr(&key), NOW_MS)), RefusalReason::Revoked, "replaced");
    let validity = second.validity;
    assert_eq!(validity.to_s - seconds(NOW_MS), 14 * 86_400);
    assert!(seconds(NOW_MS) >= validity.from_s + (validity.to_s - validity.from_s) / 3 * 2, "due at once");
    assert!(district.issuing.trust(&serial(&second)).unwrap().renew, "whatever the node's clock says");
    let late = NOW_MS + 14 * DAY_MS;
    assert_eq!(reason(district.issuing.renew(&serial(&second), &csr(&key), late)), RefusalReason::ExpiredToken);
    let own = district.issuing.renew(&serial(&second), &csr(&key), NOW_MS).unwrap();
    assert_eq!(own.validity.to_s, seconds(NOW_MS) + LIFE_S);
    assert_eq!(district.issuing.renew(&serial(&second), &csr(&key), late).unwrap(), own, "a lost answer");
    let thief = csr(&KeyPair::generate().unwrap());
    assert_eq!(reason(district.issuing.renew(&serial(&second), &thief, NOW_MS)), RefusalReason::UsedToken);
    let next = KeyPair::generate().unwrap();
    assert!(district.issuing.renew(&serial(&own), &csr(&next), late).is_ok(), "its own renews as any node's");
    let unknown = "35.12.01.2001-77".parse().unwrap();
    let refused = district.issuing.ahead_for(&mine, &unknown, &csr(&key), NOW_MS);
    assert_eq!(reason(refused), RefusalReason::NotFound);
    assert_eq!(reason(district.issuing.token_for(&mine, &unknown, NOW_MS)), RefusalReason::NotFound);
}
