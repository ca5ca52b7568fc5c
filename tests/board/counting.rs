//! Presses and the lid.

use std::time::Duration;

use simpul_wire::board::{DESKS, DeskTotals, NumberedBody};

use crate::peer::{Peer, board};

/// People hold a button for 100 to 250 ms.
const SHORT: Duration = Duration::from_millis(100);
const LONG: Duration = Duration::from_millis(1_700);

#[tokio::test]
async fn a_hundred_presses_are_a_hundred_acknowledged() {
    let (_folder, board) = board(None).await;
    let (mut peer, _) = Peer::linked(&board).await;
    let presses = async {
        for press in 0u8..100 {
            board.press(press % 4, SHORT).await.unwrap();
        }
        board.press(7, LONG).await.unwrap();
    };
    let all = |totals: &[DeskTotals; DESKS]| totals.iter().map(|desk| desk.short + desk.long).sum::<u32>() >= 101;
    tokio::join!(presses, async {
        // As long as the presses take, then at most as long as any message.
        while !peer.totals.as_ref().is_some_and(all) {
            peer.until_event("more totals", |body| matches!(body, NumberedBody::Totals(_))).await;
        }
    });
    let mut expected = [DeskTotals::default(); DESKS];
    for desk in &mut expected[..4] {
        desk.short = 25;
    }
    expected[7].long = 1;
    assert_eq!(peer.totals.unwrap(), expected);
    assert_eq!(peer.refused, 0);
}

#[tokio::test]
async fn a_lid_that_opens_and_closes_is_told() {
    let (_folder, board) = board(None).await;
    let (mut peer, _) = Peer::linked(&board).await;
    for open in [true, false] {
        board.set_tamper(open).await.unwrap();
        peer.until_event("the lid", |body| *body == NumberedBody::Tamper { open }).await;
    }
}
