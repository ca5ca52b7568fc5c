//! Orders to the relay.

use simpul_testkit::board::EmulatedBoard;
use simpul_testkit::wait;
use simpul_wire::board::{NumberedBody, RelayOrder, RelayOutcome, ToBoard};

use crate::peer::{Peer, WAIT_MAX, board};

async fn outcome(peer: &mut Peer, id: [u8; 16]) -> RelayOutcome {
    let is = |body: &NumberedBody| matches!(body, NumberedBody::RelayResult { id: of, .. } if *of == id);
    let NumberedBody::RelayResult { outcome, .. } = peer.until_event("the order's result", is).await else {
        unreachable!()
    };
    outcome
}

async fn energised(board: &EmulatedBoard, wanted: bool) {
    let what = format!("the relay to be {wanted}");
    let seen =
        wait::until(&what, WAIT_MAX, || async { (board.relay_energised().await.unwrap() == wanted).then_some(()) });
    seen.await.unwrap();
}

#[tokio::test]
async fn an_order_switches_the_load_off_and_on_and_what_came_of_it_is_told() {
    let (_folder, board) = board(None).await;
    let (mut peer, _) = Peer::linked(&board).await;
    assert!(!board.relay_energised().await.unwrap());
    let order = |id: u8, off_ms: u32| ToBoard::Relay(RelayOrder { id: [id; 16], off_ms });
    peer.send(&order(1, 600_000)).await;
    assert_eq!(outcome(&mut peer, [1; 16]).await, RelayOutcome::TooLong);
    assert!(!board.relay_energised().await.unwrap());
    peer.send(&order(2, 3_000)).await;
    energised(&board, true).await;
    assert_eq!(outcome(&mut peer, [2; 16]).await, RelayOutcome::Done);
    assert!(!board.relay_energised().await.unwrap());
    peer.send(&order(3, 3_000)).await;
    assert_eq!(outcome(&mut peer, [3; 16]).await, RelayOutcome::TooSoon);
    assert!(!board.relay_energised().await.unwrap());
}

#[tokio::test]
async fn an_order_that_a_power_cut_interrupts_is_told_and_not_done_again() {
    let (_folder, mut board) = board(None).await;
    let (mut peer, _) = Peer::linked(&board).await;
    let order = ToBoard::Relay(RelayOrder { id: [9; 16], off_ms: 50_000 });
    peer.send(&order).await;
    energised(&board, true).await;
    board.power_on().await.unwrap();
    let mut peer = Peer::open(&board.tty());
    peer.greet().await;
    assert_eq!(outcome(&mut peer, [9; 16]).await, RelayOutcome::Interrupted);
    assert!(!board.relay_energised().await.unwrap());
    // An agent that did not hear of it asks again: the same order is not a new one.
    peer.send(&order).await;
    assert_eq!(outcome(&mut peer, [9; 16]).await, RelayOutcome::Interrupted);
    assert!(!board.relay_energised().await.unwrap());
}
