//! What laptops get: a certificate for a technician's token, tokens for nodes, certificates made ahead. And who a laptop
//! is, each time it asks.

use rusqlite::{Connection, OptionalExtension, params};
use simpul_wire::NodeId;
use simpul_wire::enrolment::{EnrolmentToken, Identity, Laptop, LoginRequest, RefusalReason, Secret};

use super::super::ledger::{Change, DeedRow, note_deed};
use super::super::{IdentityError, ledger, sha256};
use super::{DAY_MS, Issuing, NotIssued, Stop, refused, seconds, signing_request};

/// A node's token that a laptop asks for is for this round of visits.
const TOKEN_LIFE_MS: i64 = 14 * DAY_MS;

/// A bundle made ahead is for a visit that is planned: as long as a token.
const AHEAD_LIFE_S: u64 = 14 * 86_400;

/// A laptop that was let in, and from where it asks.
#[derive(Debug, Clone)]
pub struct Visitor {
    /// Who.
    pub laptop: Laptop,
    /// Its certificate's serial number.
    pub serial: Vec<u8>,
    /// From which address.
    pub peer: String,
}

impl Visitor {
    /// A deed of this laptop's.
    pub fn deed(&self, at_ms: i64, what: &str, node: &str, detail: &str) -> DeedRow {
        DeedRow {
            at_ms,
            laptop: self.laptop.to_string(),
            peer: self.peer.clone(),
            what: what.to_owned(),
            node: node.to_owned(),
            detail: detail.to_owned(),
        }
    }
}

/// A refusal to a laptop, not noted against any node.
pub fn refused_laptop(laptop: &Laptop, reason: RefusalReason, text: &str) -> NotIssued {
    refused(reason, &laptop.to_string(), text)
}

impl Issuing {
    /// A laptop's certificate, for a technician's token. It ends when the token does.
    ///
    /// # Errors
    /// A refusal for the laptop.
    pub fn login(&self, asked: &LoginRequest, peer: &str, now_ms: i64) -> Result<Identity, NotIssued> {
        let who = asked.laptop.to_string();
        let request = signing_request(&asked.request, &who)?;
        let hash = sha256(asked.secret.expose());
        self.transaction(&who, |transaction| {
            type Row = (String, i64, bool, bool, Option<[u8; 32]>);
            let token: Option<Row> = transaction
                .query_row(
                    "SELECT technician, expires_ms, withdrawn_ms IS NOT NULL, used_ms IS NOT NULL, used_key
                     FROM login_token WHERE hash = ?",
                    [hash],
                    |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?)),
                )
                .optional()?;
            let Some((technician, expires_ms, withdrawn, used, used_key)) = token else {
                let text = "the hub does not know this technician's token: was it made by this district's hub?";
                return Err(refused(RefusalReason::UnknownToken, &who, text).into());
            };
            if technician != asked.laptop.technician.as_str() {
                let text = format!("this is the token of another technician ({technician}): take your own");
                return Err(refused(RefusalReason::UnknownToken, &who, &text).into());
            }
            if withdrawn {
                let text = "the technician's token was withdrawn, as a newer one was made: take that one";
                return Err(refused(RefusalReason::Revoked, &who, text).into());
            }
            if expires_ms <= now_ms {
                let text = "the technician's token has expired: ask the hub's operator for a new one";
                return Err(refused(RefusalReason::ExpiredToken, &who, text).into());
            }
            let key = request.key_hash();
            if used {
                // The same laptop once more, after an answer that was lost.
                let stored = if used_key == Some(key) { stored(transaction, &who, &key)? } else { None };
                let Some((certificate, validity)) = stored else {
                    let text = "the technician's token has been used already, with another key: if that was not you, \
                                have that laptop revoked (`simpul-hub technicians list`); ask for a new token";
                    return Err(refused(RefusalReason::UsedToken, &who, text).into());
                };
                return self.identity(transaction, certificate, validity, "");
            }
            let (number, authority) = self.authority(transaction)?;
            let signed = authority.sign_laptop(&asked.laptop, &request, seconds(now_ms), seconds(expires_ms))?;
            transaction.execute(
                "INSERT INTO laptop (serial, laptop, authority, key, der, from_s, to_s, made_ms)
                 VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                params![
                    signed.serial,
                    who,
                    number,
                    key,
                    signed.certificate,
                    signed.validity.from_s.cast_signed(),
                    signed.validity.to_s.cast_signed(),
                    now_ms
                ],
            )?;
            transaction.execute(
                "UPDATE login_token SET used_ms = ?, used_key = ? WHERE hash = ?",
                params![now_ms, key, hash],
            )?;
            let visitor =
                Visitor { laptop: asked.laptop.clone(), serial: signed.serial.clone(), peer: peer.to_owned() };
            note_deed(transaction, &visitor.deed(now_ms, "login", "", ""))?;
            self.identity(transaction, signed.certificate, signed.validity, "")
        })
    }

    /// Which laptop this certificate's holder is, if it may come in now.
    ///
    /// # Errors
    /// A refusal for the laptop.
    pub fn visitor(&self, serial: &[u8], peer: &str, now_ms: i64) -> Result<Visitor, NotIssued> {
        let found = self.ledger.look(|connection| {
            connection
                .query_row(
                    "SELECT laptop, to_s, revoked_ms IS NOT NULL, authority.state = 'retired'
                     FROM laptop JOIN authority ON authority.number = laptop.authority WHERE serial = ?",
                    [serial],
                    |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)),
                )
                .optional()
        });
        let row: Option<(String, i64, bool, bool)> = found.map_err(|error| {
            tracing::error!(%error, "a laptop cannot be judged");
            refused(RefusalReason::Unavailable, "", "the hub cannot look at its registry now: its log says why")
        })?;
        let none = || {
            let text = "this is no laptop's certificate: `simpul login` with a technician's token gets one";
            refused(RefusalReason::NoCertificate, "", text)
        };
        let (laptop, to_s, revoked, retired) = row.ok_or_else(none)?;
        if revoked || retired {
            let text = "this laptop was revoked: if it is yours and with you, ask the hub's operator for a new token";
            return Err(refused(RefusalReason::Revoked, &laptop, text));
        }
        if to_s.saturating_mul(1_000) <= now_ms {
            let text = "the credentials of this laptop have expired, as they do after a week: ask for a new token, then \
                        `simpul login`";
            return Err(refused(RefusalReason::ExpiredLogin, &laptop, text));
        }
        let laptop: Laptop = laptop.parse().map_err(|_| none())?;
        Ok(Visitor { laptop, serial: serial.to_vec(), peer: peer.to_owned() })
    }

    /// A node's enrolment token, for a laptop that will put it onto a card.
    ///
    /// # Errors
    /// A refusal for the laptop.
    pub fn token_for(&self, visitor: &Visitor, node: &NodeId, now_ms: i64) -> Result<EnrolmentToken, NotIssued> {
        let expires_ms = now_ms + TOKEN_LIFE_MS;
        let (addresses, who) = (self.addresses.clone(), &visitor.laptop);
        let unavailable = |error: &dyn std::fmt::Display| {
            tracing::error!(%error, "no token can be made");
            refused_laptop(who, RefusalReason::Unavailable, "the hub cannot make a token now: its log says why")
        };
        if addresses.is_empty() {
            return Err(unavailable(&"enrolment.addresses is empty"));
        }
        let mut secret = [0; 16];
        getrandom::fill(&mut secret).map_err(|error| unavailable(&error))?;
        let made = self.ledger.issue_token(node, Some(who), &secret, now_ms, expires_ms).and_then(|authority| {
            self.ledger.note_deed(&visitor.deed(now_ms, "token", node.as_str(), "")).map(|()| authority)
        });
        let authority = made.map_err(|error| match error {
            IdentityError::Refused(text) => refused_laptop(who, RefusalReason::NotFound, &text),
            other => unavailable(&other),
        })?;
        let expires_s = seconds(expires_ms);
        Ok(EnrolmentToken { node: node.clone(), secret: Secret::from_bytes(secret), authority, addresses, expires_s })
    }

    /// A node's certificate before the node is there: for a place without an uplink on the day. Its key is on the laptop,
    /// so that it lives briefly, is renewed to a key of the node's own at its first contact, and ends with the laptop.
    ///
    /// # Errors
    /// A refusal for the laptop.
    pub fn ahead_for(
        &self,
        visitor: &Visitor,
        node: &NodeId,
        request: &[u8],
        now_ms: i64,
    ) -> Result<Identity, NotIssued> {
        let who = visitor.laptop.to_string();
        let request = signing_request(request, &who)?;
        self.transaction(&who, |transaction| {
            match ledger::known(transaction, node) {
                Ok(()) => {}
                Err(Change::Refused(IdentityError::Refused(text))) => {
                    return Err(refused(RefusalReason::NotFound, &who, &text).into());
                }
                Err(other) => return Err(Stop::Failed(other)),
            }
            // One bundle a node: an older one that nobody has used is worth nothing from now on.
            transaction.execute(
                "UPDATE certificate SET revoked_ms = ?
                 WHERE node = ? AND laptop IS NOT NULL AND spent_ms IS NULL AND revoked_ms IS NULL AND key <> ?",
                params![now_ms, node.as_str(), request.key_hash()],
            )?;
            let (number, authority) = self.authority(transaction)?;
            let signed = authority.sign_ahead(node, &request, seconds(now_ms), AHEAD_LIFE_S)?;
            note_deed(transaction, &visitor.deed(now_ms, "bundle", node.as_str(), ""))?;
            self.keep(transaction, node, &request, (number, signed), Some(&visitor.laptop), now_ms)
        })
    }

    /// Keep what a laptop did, in log and registry.
    pub fn note_deed(&self, deed: &DeedRow) {
        tracing::info!(
            laptop = deed.laptop,
            what = deed.what,
            node = deed.node,
            "a technician's laptop: {}",
            deed.detail
        );
        if let Err(error) = self.ledger.note_deed(deed) {
            tracing::error!(%error, "what a laptop did could not be kept in the registry");
        }
    }
}

/// A certificate that this key has.
#[allow(clippy::type_complexity, reason = "a certificate and when it holds")]
fn stored(
    connection: &Connection,
    laptop: &str,
    key: &[u8; 32],
) -> rusqlite::Result<Option<(Vec<u8>, simpul_wire::enrolment::Validity)>> {
    let query = "SELECT der, from_s, to_s FROM laptop
                 WHERE laptop = ? AND key = ? AND revoked_ms IS NULL ORDER BY to_s DESC LIMIT 1";
    connection
        .query_row(query, params![laptop, key], |row| {
            let (from_s, to_s): (i64, i64) = (row.get(1)?, row.get(2)?);
            let validity =
                simpul_wire::enrolment::Validity { from_s: from_s.cast_unsigned(), to_s: to_s.cast_unsigned() };
            Ok((row.get(0)?, validity))
        })
        .optional()
}
