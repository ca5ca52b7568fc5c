//! A line that carries garbage.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use simpul_clock::Clock;
use simpul_wire::board::{ENCODED_BYTES_MAX, FromBoard, Greet, PROTOCOL_VERSION, ToBoard};

use crate::peer::{Peer, board};

/// A re-plugged cable must not be felt.
const RECOVERY_MAX: Duration = Duration::from_secs(1);
const ROUNDS: u32 = 20;

#[tokio::test]
async fn garbage_and_half_frames_cost_less_than_a_second() {
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let clock = Clock::machine();
    let (_folder, board) = board(None).await;
    let (mut peer, first) = Peer::linked(&board).await;
    let mut last = first;
    for _ in 0..ROUNDS {
        let mut garbage = vec![0; random.random_range(1..600)];
        random.fill(garbage.as_mut_slice());
        // And half a frame behind it.
        let mut frame = [0; ENCODED_BYTES_MAX];
        let greet = ToBoard::Greet(Greet { protocol: PROTOCOL_VERSION, wall_ms: Some(1) });
        let length = greet.encode(&mut frame).unwrap();
        garbage.extend(&frame[..random.random_range(1..length)]);
        peer.send_bytes(&garbage).await;
        let begun = clock.now();
        peer.greet().await;
        let is_hello = |message: &FromBoard| matches!(message, FromBoard::Hello(_));
        let FromBoard::Hello(hello) = peer.until("an answer", is_hello).await else { unreachable!() };
        assert!(clock.now().since(begun) < RECOVERY_MAX, "seed {seed}: {:?}", clock.now().since(begun));
        assert_eq!(hello.boot, last.boot, "seed {seed}: the board was reset");
        last = hello;
    }
    assert!(last.frames_refused >= ROUNDS, "seed {seed}: {}", last.frames_refused);
    assert_eq!(peer.refused, 0, "seed {seed}");
}
