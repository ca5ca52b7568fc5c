//! The dying gasp.

use std::time::Duration;

use simpul_wire::board::{FromBoard, NumberedBody, SupplyState};
use tokio::time::timeout;

use crate::peer::{Peer, WAIT_MAX, board};

#[tokio::test]
async fn a_gasp_is_the_first_frame_after_the_mains_are_gone() {
    let (_folder, board) = board(None).await;
    let (mut peer, _) = Peer::linked(&board).await;
    // A press that nobody acknowledges, so that there is always something else to send.
    board.press(0, Duration::from_millis(100)).await.unwrap();
    let pressed = |message: &FromBoard| matches!(message, FromBoard::Numbered(_));
    while !pressed(&timeout(WAIT_MAX, peer.next()).await.unwrap().unwrap()) {}
    // What the board said before is read: it stands still, and then nothing more comes.
    board.freeze().await.unwrap();
    while timeout(Duration::from_millis(200), peer.next()).await.is_ok() {}
    board.set_power_good(false).await.unwrap();
    board.thaw().await.unwrap();
    // The rest of a frame that was being sent is cut off; the first whole frame is the gasp.
    let first = timeout(WAIT_MAX, peer.next()).await.unwrap().unwrap();
    assert!(matches!(first, FromBoard::Gasp(_)), "{first:?}");
    peer.until_event("the battery", |body| *body == NumberedBody::Power(SupplyState::Battery)).await;
    board.set_power_good(true).await.unwrap();
    let mains = |body: &NumberedBody| matches!(body, NumberedBody::Power(SupplyState::Mains { outage_ms: Some(_) }));
    peer.until_event("the mains", mains).await;
}
