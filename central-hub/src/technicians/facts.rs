//! A node's facts for a technician, from what the room sees and what the registry knows.

use sha2::{Digest, Sha256};
use simpul_wire::NodeId;
use simpul_wire::label::BoundedText;
use simpul_wire::technician::{
    self, CAMERAS_MAX, CameraFacts, ExaminationFact, NodeFacts, PictureFact, ReadingFact, RefusalFact,
};

use super::TechnicianDesk;
use crate::identity::issue::{NotIssued, Visitor};
use crate::identity::ledger::{NodeRow, RefusalRow};
use crate::view::model::{CameraView, Liveness, ReadingView, SnapshotView};

pub(super) fn clipped<const MAX: usize>(text: Option<&str>) -> BoundedText<MAX> {
    BoundedText::clipped(text.unwrap_or_default())
}

pub(super) fn liveness(liveness: Liveness) -> technician::Liveness {
    match liveness {
        Liveness::Live => technician::Liveness::Live,
        Liveness::Late => technician::Liveness::Late,
        Liveness::Silent => technician::Liveness::Silent,
        Liveness::Never => technician::Liveness::Never,
    }
}

/// All that is known of a node now.
pub(super) async fn of(desk: &TechnicianDesk, visitor: &Visitor, node: &NodeId) -> Result<NodeFacts, NotIssued> {
    let shown = desk.known(visitor, node).await;
    let (registered, refusal) = registered(desk, visitor, node).await?;
    // A node that was added since the hub's start is in the registry before it is in the room.
    let shown = match (shown, &registered) {
        (Ok(shown), _) => Some(shown),
        (Err(_), Some(_)) => None,
        (Err(not), None) => return Err(not),
    };
    let failed = |error| desk.unavailable(visitor, &error);
    let origin = desk.view.origin(node).await.map_err(failed)?;
    let report = desk.view.report(node).await.map_err(failed)?;
    let registered = registered.as_ref();
    let shown = shown.as_ref();
    let text = |seen: Option<&String>, known: Option<&String>| -> Option<String> { seen.or(known).cloned() };
    let name = text(shown.and_then(|node| node.name.as_ref()), registered.map(|row| &row.name));
    let code = text(shown.and_then(|node| node.village_code.as_ref()), registered.map(|row| &row.village));
    let village = text(shown.and_then(|node| node.village_name.as_ref()), registered.map(|row| &row.village_name));
    let readings = shown.map(|node| node.readings.as_slice()).unwrap_or_default();
    let cameras = shown.map(|node| node.cameras.as_slice()).unwrap_or_default();
    let mut facts = NodeFacts {
        node: node.clone(),
        seen: 0,
        now_ms: 0,
        name: clipped(name.as_deref()),
        village_code: clipped(code.as_deref()),
        village: clipped(village.as_deref()),
        liveness: shown.map_or(technician::Liveness::Never, |node| liveness(node.liveness)),
        connected: desk.view.vitals().connected(node),
        first_heard_ms: origin.as_ref().map(|(first_ms, _)| *first_ms),
        last_heard_ms: shown.and_then(|node| node.last_heard_ms),
        version: shown.and_then(|node| node.version.as_deref()).map(BoundedText::clipped),
        hardware: origin.and_then(|(_, hardware)| hardware),
        board: shown
            .and_then(|node| node.board.as_ref())
            .and_then(|board| board.serial.as_deref())
            .map(BoundedText::clipped),
        reading: newest(readings),
        cameras: cameras.iter().take(CAMERAS_MAX).map(camera).collect(),
        examination: report.map(|(at_ms, report)| ExaminationFact { at_ms, report }),
        certificate_to_s: registered.and_then(|row| row.certificate_to_s),
        refusal: refusal.map(|row| RefusalFact { at_ms: row.at_ms, text: BoundedText::clipped(&row.text) }),
        utc_offset_minutes: desk.view.utc_offset_minutes(),
    };
    // Without the hub's time, which always differs.
    let hash = Sha256::digest(facts.to_vec());
    facts.seen = hash.first_chunk::<8>().map_or(0, |bytes| u64::from_be_bytes(*bytes));
    facts.now_ms = desk.clock.wall_ms();
    Ok(facts)
}

async fn registered(
    desk: &TechnicianDesk,
    visitor: &Visitor,
    node: &NodeId,
) -> Result<(Option<NodeRow>, Option<RefusalRow>), NotIssued> {
    let (issuing, id) = (desk.issuing.clone(), node.to_string());
    let look = move || {
        let ledger = issuing.ledger();
        let row = ledger.node(&id)?;
        Ok::<_, crate::identity::IdentityError>((row, ledger.last_refusal(&id)?))
    };
    let looked = tokio::task::spawn_blocking(look).await.map_err(|error| desk.unavailable(visitor, &error))?;
    looked.map_err(|error| desk.unavailable(visitor, &error))
}

fn newest(readings: &[ReadingView]) -> Option<ReadingFact> {
    let newest = readings.iter().filter(|reading| reading.value.is_some()).max_by_key(|reading| reading.at_ms)?;
    Some(ReadingFact {
        metric: BoundedText::clipped(&newest.metric),
        unit: BoundedText::clipped(&newest.unit),
        value: newest.value?,
        at_ms: newest.at_ms,
    })
}

fn camera(camera: &CameraView) -> CameraFacts {
    CameraFacts {
        camera: BoundedText::clipped(&camera.camera),
        condition: camera.condition.as_deref().map(BoundedText::clipped),
        picture: camera.snapshot.as_ref().and_then(picture),
    }
}

fn picture(snapshot: &SnapshotView) -> Option<PictureFact> {
    let mut sha256 = [0; 32];
    hex::decode_to_slice(&snapshot.sha256, &mut sha256).ok()?;
    Some(PictureFact {
        snapshot: snapshot.id,
        camera: BoundedText::clipped(&snapshot.camera),
        sha256,
        at_ms: snapshot.at_ms,
        width: snapshot.width,
        height: snapshot.height,
    })
}
