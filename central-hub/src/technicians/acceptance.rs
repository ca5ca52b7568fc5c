//! An acceptance is kept when its signature is the laptop's own and what it says is what the hub knows: the laptop judges
//! at the place, the hub does not take its word for what it can look up.

use ring::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use simpul_wire::doctor::Verdict;
use simpul_wire::enrolment::RefusalReason;
use simpul_wire::technician::{Acceptance, AcceptanceKept, SignedAcceptance};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::{TechnicianDesk, facts};
use crate::identity::issue::{NotIssued, Visitor, refused_laptop};
use crate::identity::ledger::NewAcceptance;

/// How old an acceptance may be when it comes: the technician reads it through, and the uplink is slow.
const AGE_MS_MAX: i64 = 30 * 60_000;

/// Whether `signature` of `record` was made with the key of `certificate` (DER).
pub fn is_signed_by(certificate: &[u8], record: &[u8], signature: &[u8]) -> bool {
    let Ok((_, parsed)) = X509Certificate::from_der(certificate) else { return false };
    let key = &parsed.public_key().subject_public_key.data;
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, key).verify(record, signature).is_ok()
}

/// Check and keep an acceptance; the answer.
pub(super) async fn keep(desk: &TechnicianDesk, visitor: &Visitor, body: &[u8]) -> Result<Vec<u8>, NotIssued> {
    let refused = |reason, text: &str| refused_laptop(&visitor.laptop, reason, text);
    let unreadable = |error: simpul_wire::WireError| {
        refused(RefusalReason::BadRequest, &format!("the acceptance cannot be read ({error}): update simpul"))
    };
    let signed = SignedAcceptance::from_slice(body).map_err(unreadable)?;
    let acceptance = Acceptance::from_slice(&signed.acceptance).map_err(unreadable)?;
    let (record, signature) = (signed.acceptance.to_vec(), signed.signature.to_vec());
    let is_own = desk
        .issue(visitor, {
            let (record, signature) = (record.clone(), signature.clone());
            move |issuing, visitor, _| {
                let certificate = issuing.ledger().laptop_certificate(&visitor.serial);
                Ok(certificate.is_ok_and(|der| der.is_some_and(|der| is_signed_by(&der, &record, &signature))))
            }
        })
        .await?;
    if !is_own || acceptance.laptop != visitor.laptop {
        let text = "the acceptance was not signed by this laptop: nothing was kept; run `simpul watch` again";
        return Err(refused(RefusalReason::DoesNotFit, text));
    }
    fits(desk, visitor, &acceptance).await?;
    let mut pictures = Vec::new();
    for picture in &acceptance.pictures {
        let found = desk.picture_bytes(visitor, &acceptance.node, picture.snapshot).await?;
        match found.filter(|(sha256, _)| *sha256 == hex::encode(picture.sha256)) {
            Some((_, bytes)) => pictures.push((picture.sha256, bytes)),
            None => {
                let text = "a picture of the acceptance is not at the hub (any more): run `simpul watch` again";
                return Err(refused(RefusalReason::DoesNotFit, text));
            }
        }
    }
    let node = acceptance.node.to_string();
    let kept = desk.issue(visitor, {
        let node = node.clone();
        move |issuing, visitor, now_ms| {
            let laptop = visitor.laptop.to_string();
            let new = NewAcceptance {
                node: &node,
                laptop: &laptop,
                serial: &visitor.serial,
                record: &record,
                signature: &signature,
                pictures: &pictures,
            };
            let kept = issuing.ledger().keep_acceptance(&new, now_ms);
            kept.map_err(|error| {
                tracing::error!(%error, "an acceptance could not be kept");
                refused_laptop(
                    &visitor.laptop,
                    RefusalReason::Unavailable,
                    "the hub cannot keep it now: its log says why",
                )
            })
        }
    });
    let (number, at_ms) = kept.await?;
    desk.note(visitor.deed(at_ms, "acceptance", &node, &format!("number {number}"))).await;
    Ok(AcceptanceKept { number, at_ms }.to_vec())
}

/// Refuse what the hub knows otherwise.
async fn fits(desk: &TechnicianDesk, visitor: &Visitor, said: &Acceptance) -> Result<(), NotIssued> {
    let wrong = |text: &str| refused_laptop(&visitor.laptop, RefusalReason::DoesNotFit, text);
    let known = facts::of(desk, visitor, &said.node).await?;
    if said.made_ms.abs_diff(known.now_ms) > AGE_MS_MAX.unsigned_abs() {
        return Err(wrong("the acceptance is too old, or was made by a wrong clock: run `simpul watch` again"));
    }
    if known.first_heard_ms != Some(said.first_heard_ms) || known.hardware != said.hardware || known.board != said.board
    {
        return Err(wrong("the node is not the one that was accepted (serials differ): run `simpul watch` again"));
    }
    if said.name != known.name || said.village != known.village || said.village_code != known.village_code {
        return Err(wrong("the node's place is another at the hub: run `simpul watch` again"));
    }
    let opened = known.examination.as_ref().and_then(|made| Some((made.at_ms, made.report.open().ok()?.worst())));
    match opened {
        None => Err(wrong("the hub has no examination of this node: run `simpul watch` again")),
        Some((_, Verdict::Fail)) => Err(wrong("the node's newest examination failed: `simpul doctor` says what to do")),
        Some(newest) if newest != (said.examined_ms, said.verdict) => {
            Err(wrong("the node was examined again meanwhile: run `simpul watch` again"))
        }
        Some(_) => Ok(()),
    }
}
