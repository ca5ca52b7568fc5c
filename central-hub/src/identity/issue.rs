//! Who gets a certificate: tokens are used once, certificates renew themselves. One transaction each, so a kill leaves a
//! token unused or used with its certificate stored, and nothing between.

use std::path::PathBuf;

use minicbor::bytes::{ByteArray, ByteVec};
use rusqlite::{Connection, OptionalExtension, params};
use simpul_wire::NodeId;
use simpul_wire::enrolment::{
    ADDRESSES_MAX, AUTHORITIES_MAX, Address, EnrolRequest, Identity, Laptop, Refusal, RefusalReason, Trust, Validity,
};
use simpul_wire::label::Text;

use super::authority::{Authority, Request, Signed};
use super::ledger::{CaRow, CaState, Change, Ledger, RefusalRow};
use super::{IdentityError, sha256};

/// Certificates of one node in a day: more is an agent that loops, and each one stays in the registry.
const RENEWALS_A_DAY_MAX: u32 = 20;

const DAY_MS: i64 = 86_400_000;

/// Issues certificates; one per hub.
#[derive(Debug)]
pub struct Issuing {
    ledger: Ledger,
    pki: PathBuf,
    life_s: u64,
    hubs: Vec<Address>,
    addresses: Vec<Address>,
}

/// No certificate: refused, or the hub's own trouble.
#[derive(Debug)]
pub struct NotIssued {
    /// What the node is told.
    pub refusal: Refusal,
    /// The node that it is about, as far as it is known.
    pub node: String,
}

/// A certificate that was shown, by its serial number in the registry.
struct Shown {
    node: NodeId,
    authority: u32,
    ahead: Option<Ahead>,
}

/// What is particular to a certificate that was made ahead, on a laptop.
struct Ahead {
    to_s: i64,
    spent_key: Option<[u8; 32]>,
}

impl Shown {
    /// One that was made ahead is renewed once, in time, to one key: a laptop that is found years later is worth
    /// nothing, and neither is the copy of a bundle that has been used.
    fn check_ahead(&self, key: &[u8; 32], now_ms: i64) -> Result<(), NotIssued> {
        let Some(ahead) = &self.ahead else { return Ok(()) };
        let node = self.node.as_str();
        match ahead.spent_key {
            Some(spent) if spent == *key => Ok(()),
            Some(_) => {
                let text = "this node's bundle has been used already, with another key: if that was not this node, \
                            revoke the node at the hub; take a new token";
                Err(refused(RefusalReason::UsedToken, node, text))
            }
            None if ahead.to_s.saturating_mul(1_000) <= now_ms => {
                let text = "the bundle that this node was installed with has expired: take a token";
                Err(refused(RefusalReason::ExpiredToken, node, text))
            }
            None => Ok(()),
        }
    }
}

/// A token's row.
struct TokenRow {
    owner: String,
    expires_ms: i64,
    withdrawn: bool,
    used: bool,
    used_key: Option<[u8; 32]>,
    laptop: Option<String>,
    laptop_revoked: bool,
}

fn refused(reason: RefusalReason, node: &str, text: &str) -> NotIssued {
    NotIssued { refusal: Refusal { reason, text: Text::clipped(text) }, node: node.to_owned() }
}

/// Why a transaction gave no certificate.
enum Stop {
    Refused(NotIssued),
    Failed(Change),
}

impl From<rusqlite::Error> for Stop {
    fn from(error: rusqlite::Error) -> Stop {
        Stop::Failed(error.into())
    }
}

impl From<IdentityError> for Stop {
    fn from(error: IdentityError) -> Stop {
        Stop::Failed(error.into())
    }
}

impl From<NotIssued> for Stop {
    fn from(not: NotIssued) -> Stop {
        Stop::Refused(not)
    }
}

impl Issuing {
    /// With the registry, the keys' folder, how long certificates hold, and what nodes are told.
    pub fn new(ledger: Ledger, pki: PathBuf, life_s: u64, hubs: Vec<Address>, addresses: Vec<Address>) -> Issuing {
        Issuing { ledger, pki, life_s, hubs, addresses }
    }

    /// The registry.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The first certificate, for a token.
    ///
    /// # Errors
    /// A refusal for the node.
    pub fn enrol(&self, asked: &EnrolRequest, now_ms: i64) -> Result<Identity, NotIssued> {
        let node = asked.node.as_str();
        let request = signing_request(&asked.request, node)?;
        let hash = sha256(asked.secret.expose());
        self.transaction(node, |transaction| {
            let token: Option<TokenRow> = transaction
                .query_row(
                    "SELECT node, expires_ms, withdrawn_ms, used_ms, used_key, laptop, laptop_revoked
                     FROM token WHERE hash = ?",
                    [hash],
                    |row| {
                        Ok(TokenRow {
                            owner: row.get(0)?,
                            expires_ms: row.get(1)?,
                            withdrawn: row.get::<_, Option<i64>>(2)?.is_some(),
                            used: row.get::<_, Option<i64>>(3)?.is_some(),
                            used_key: row.get(4)?,
                            laptop: row.get(5)?,
                            laptop_revoked: row.get(6)?,
                        })
                    },
                )
                .optional()?;
            let Some(TokenRow { owner, expires_ms, withdrawn, used, used_key, laptop, laptop_revoked }) = token else {
                let text = "the hub does not know this enrolment token: was it made by this district's hub?";
                return Err(refused(RefusalReason::UnknownToken, node, text).into());
            };
            if owner != node {
                let text = format!(
                    "the enrolment token belongs to another node ({owner}), this is {node}: take this node's own"
                );
                return Err(refused(RefusalReason::OtherNode, node, &text).into());
            }
            if laptop_revoked {
                let text = format!(
                    "the laptop {} that asked for this enrolment token was revoked, and its tokens with it: take a new one",
                    laptop.unwrap_or_default()
                );
                return Err(refused(RefusalReason::Revoked, node, &text).into());
            }
            if withdrawn {
                let text =
                    "the enrolment token was withdrawn: a newer one was made, or the node was revoked; take a new one";
                return Err(refused(RefusalReason::Revoked, node, text).into());
            }
            let key = request.key_hash();
            if used {
                let stored = if used_key == Some(key) { stored(transaction, node, &key)? } else { None };
                return match stored {
                    Some((certificate, validity, _)) => self.identity(transaction, certificate, validity, node),
                    None => {
                        let text = "the enrolment token has been used already, with another key: if that was not this \
                                    node, revoke the node at the hub; take a new token";
                        Err(refused(RefusalReason::UsedToken, node, text).into())
                    }
                };
            }
            if expires_ms <= now_ms {
                let text = "the enrolment token has expired: take a new one";
                return Err(refused(RefusalReason::ExpiredToken, node, text).into());
            }
            let signed = self.sign(transaction, &asked.node, &request, now_ms)?;
            transaction
                .execute("UPDATE token SET used_ms = ?, used_key = ? WHERE hash = ?", params![now_ms, key, hash])?;
            Ok(signed)
        })
    }

    /// The next certificate, for the one with this serial number, whose holder has proved its key. It may have expired.
    ///
    /// # Errors
    /// A refusal for the node.
    pub fn renew(&self, serial: &[u8], request: &[u8], now_ms: i64) -> Result<Identity, NotIssued> {
        self.transaction("", |transaction| {
            let shown = shown(transaction, serial)?;
            let node = shown.node.as_str();
            let request = signing_request(request, node)?;
            shown.check_ahead(&request.key_hash(), now_ms)?;
            // After an answer that was lost: the same key gets the same certificate, while that is fresh.
            if let Some((certificate, validity, authority)) = stored(transaction, node, &request.key_hash())? {
                let current = super::ledger::ca_in_state(transaction, CaState::Current)?;
                let fresh = i64::try_from(validity.to_s).unwrap_or(i64::MAX).saturating_mul(1_000) > now_ms;
                if fresh && current.is_some_and(|current| current.number == authority) {
                    return self.identity(transaction, certificate, validity, node);
                }
            }
            let lately: u32 = transaction.query_row(
                "SELECT count(*) FROM certificate WHERE node = ? AND made_ms > ?",
                params![node, now_ms - DAY_MS],
                |row| row.get(0),
            )?;
            if lately >= RENEWALS_A_DAY_MAX {
                let text = "this node got too many certificates today: is one card in two machines?";
                return Err(refused(RefusalReason::Busy, node, text).into());
            }
            let signed = self.sign(transaction, &shown.node, &request, now_ms)?;
            if shown.ahead.is_some() {
                // Its key has been on a laptop: from now on it is good for this one answer again, and opens no door.
                transaction.execute(
                    "UPDATE certificate SET spent_ms = ?, spent_key = ? WHERE serial = ?",
                    params![now_ms, request.key_hash(), serial],
                )?;
            }
            Ok(signed)
        })
    }

    /// Whom to trust now, for the node of this certificate; the registry remembers that it was told.
    ///
    /// # Errors
    /// A refusal for the node.
    pub fn trust(&self, serial: &[u8]) -> Result<Trust, NotIssued> {
        self.transaction("", |transaction| {
            let shown = shown(transaction, serial)?;
            let trust = self.told(transaction, shown.node.as_str())?;
            let current = super::ledger::ca_in_state(transaction, CaState::Current)?;
            let renew = shown.ahead.is_some() || current.is_some_and(|current| current.number > shown.authority);
            Ok(Trust { renew, ..trust })
        })
    }

    /// Whose certificate this is; its holder has proved its key.
    ///
    /// # Errors
    /// A refusal for the node.
    pub fn node_of(&self, serial: &[u8]) -> Result<NodeId, NotIssued> {
        self.transaction("", |transaction| Ok(shown(transaction, serial)?.node))
    }

    /// Note a refusal in the log and in the registry: never the secret.
    pub fn note(&self, not: &NotIssued, peer: &str, now_ms: i64) {
        let Refusal { reason, text } = &not.refusal;
        tracing::warn!(peer, node = not.node, ?reason, "enrolment refused: {text}");
        let row = RefusalRow {
            at_ms: now_ms,
            reason: format!("{reason:?}"),
            node: not.node.clone(),
            peer: peer.to_owned(),
            text: text.to_string(),
        };
        if let Err(error) = self.ledger.note_refusal(&row) {
            tracing::error!(%error, "a refusal could not be kept in the registry");
        }
    }

    fn transaction<T>(&self, node: &str, work: impl FnOnce(&Connection) -> Result<T, Stop>) -> Result<T, NotIssued> {
        // A refusal changes nothing, so its transaction may as well be undone.
        let mut refusal = None;
        let done = self.ledger.change(|transaction| match work(transaction) {
            Ok(value) => Ok(value),
            Err(Stop::Failed(change)) => Err(change),
            Err(Stop::Refused(not)) => {
                refusal = Some(not);
                Err(IdentityError::refused("refused").into())
            }
        });
        done.map_err(|error| {
            refusal.take().unwrap_or_else(|| {
                tracing::error!(%error, "no certificate can be issued");
                let text = "the hub cannot issue certificates now: its log says why; it is asked again";
                refused(RefusalReason::Unavailable, node, text)
            })
        })
    }

    fn sign(&self, transaction: &Connection, node: &NodeId, request: &Request, now_ms: i64) -> Result<Identity, Stop> {
        let (current, authority) = self.authority(transaction)?;
        let signed = authority.sign_node(node, request, seconds(now_ms), self.life_s)?;
        self.keep(transaction, node, request, (current, signed), None, now_ms)
    }

    /// The CA that signs now, with its key. Read each time: a CA that was rotated signs at once, and its key does not
    /// stay in memory.
    fn authority(&self, transaction: &Connection) -> Result<(u32, Authority), Stop> {
        let current = super::ledger::ca_in_state(transaction, CaState::Current)?.ok_or(IdentityError::NoAuthority)?;
        Ok((current.number, Authority::open(&self.pki, current.number, &current.certificate)?))
    }

    /// Keep a node's certificate that CA `number` signed; `laptop`: it was made ahead, and lies there.
    fn keep(
        &self,
        transaction: &Connection,
        node: &NodeId,
        request: &Request,
        (number, signed): (u32, Signed),
        laptop: Option<&Laptop>,
        now_ms: i64,
    ) -> Result<Identity, Stop> {
        transaction.execute(
            "INSERT INTO certificate (serial, node, authority, key, der, from_s, to_s, made_ms, laptop)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            params![
                signed.serial,
                node.as_str(),
                number,
                request.key_hash(),
                signed.certificate,
                signed.validity.from_s.cast_signed(),
                signed.validity.to_s.cast_signed(),
                now_ms,
                laptop.map(Laptop::to_string)
            ],
        )?;
        self.identity(transaction, signed.certificate, signed.validity, node.as_str())
    }

    fn identity(
        &self,
        transaction: &Connection,
        certificate: Vec<u8>,
        validity: Validity,
        node: &str,
    ) -> Result<Identity, Stop> {
        let trust = self.told(transaction, node)?;
        Ok(Identity { certificate: certificate.into(), validity, trust })
    }

    /// What a node is told; that it knows the newest CA from now on is noted.
    fn told(&self, transaction: &Connection, node: &str) -> Result<Trust, Stop> {
        let rows: Vec<CaRow> = super::ledger::trusted(transaction)?;
        let newest = rows.iter().map(|row| row.number).max().unwrap_or_default();
        transaction.execute("UPDATE node SET knows = ?1 WHERE id = ?2 AND knows < ?1", params![newest, node])?;
        let authorities = rows.into_iter().take(AUTHORITIES_MAX).map(|row| ByteVec::from(row.certificate)).collect();
        let first = |list: &[Address]| list.iter().take(ADDRESSES_MAX).cloned().collect();
        let hubs = first(&self.hubs);
        Ok(Trust { authorities, hubs, addresses: first(&self.addresses), renew: false, carry: self.carry_key() })
    }
}

impl Issuing {
    /// Read each time, as the CA's. A node that is not told of it goes on without sticks, so it hinders no certificate.
    fn carry_key(&self) -> Option<ByteArray<32>> {
        match super::carry::keys(&self.pki) {
            Ok(keys) => keys.first().map(|key| (*key.public().as_bytes()).into()),
            Err(error) => {
                tracing::error!(%error, "nodes are not told of the hub's carry key");
                None
            }
        }
    }
}

fn seconds(ms: i64) -> u64 {
    u64::try_from(ms / 1_000).unwrap_or_default()
}

fn signing_request(der: &[u8], node: &str) -> Result<Request, NotIssued> {
    Request::parse(der).map_err(|error| {
        let text = format!("the signing request is not one that is signed here ({error}): update the agent");
        refused(RefusalReason::BadRequest, node, &text)
    })
}

/// A certificate that this key has, the newest: DER, when it holds, whose CA.
fn stored(connection: &Connection, node: &str, key: &[u8; 32]) -> rusqlite::Result<Option<(Vec<u8>, Validity, u32)>> {
    let query = "SELECT der, from_s, to_s, authority FROM certificate
                 WHERE node = ? AND key = ? AND revoked_ms IS NULL ORDER BY to_s DESC LIMIT 1";
    connection
        .query_row(query, params![node, key], |row| {
            let (from_s, to_s): (i64, i64) = (row.get(1)?, row.get(2)?);
            let validity = Validity { from_s: from_s.cast_unsigned(), to_s: to_s.cast_unsigned() };
            Ok((row.get(0)?, validity, row.get(3)?))
        })
        .optional()
}

fn shown(connection: &Connection, serial: &[u8]) -> Result<Shown, Stop> {
    let query = "SELECT node, certificate.authority, revoked_ms IS NOT NULL OR authority.state = 'retired',
                   to_s, spent_key, laptop
                 FROM certificate JOIN authority ON authority.number = certificate.authority WHERE serial = ?";
    type Row = (String, u32, bool, Option<String>, Ahead);
    let row: Option<Row> = connection
        .query_row(query, [serial], |row| {
            let ahead = Ahead { to_s: row.get(3)?, spent_key: row.get(4)? };
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(5)?, ahead))
        })
        .optional()?;
    let Some((node, authority, revoked, laptop, ahead)) = row else {
        let text = "this certificate was not issued to a node by this hub: enrol the node with a token";
        return Err(refused(RefusalReason::UnknownNode, "", text).into());
    };
    if revoked {
        let text = match laptop {
            Some(laptop) => format!(
                "the bundle that this node was installed with lay on the laptop {laptop}, which was revoked: take a token"
            ),
            None => {
                "this node's certificate was revoked: enrol the node with a new token, if it is to come back".to_owned()
            }
        };
        return Err(refused(RefusalReason::Revoked, &node, &text).into());
    }
    let unusable = || refused(RefusalReason::UnknownNode, &node, "the node's id cannot be read: enrol it anew");
    Ok(Shown { node: node.parse().map_err(|_| unusable())?, authority, ahead: laptop.map(|_| ahead) })
}

mod laptops;

pub use laptops::{Visitor, refused_laptop};

#[cfg(test)]
mod tests;
