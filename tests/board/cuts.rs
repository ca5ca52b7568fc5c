//! Power cuts at random moments, with people at the buttons.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use simpul_wire::board::{DESKS, DeskTotals, FromBoard, NumberedBody};
use tokio::time::{sleep, timeout};

use crate::peer::{Peer, WAIT_MAX, board};

const CUTS: u32 = 50;

#[tokio::test]
async fn fifty_power_cuts_take_no_acknowledged_press_back_and_count_none_twice() {
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let (_folder, mut board) = board(None).await;
    drop(Peer::linked(&board).await);
    let mut acknowledged = [DeskTotals::default(); DESKS];
    // Presses that were begun: what the board may have counted at most.
    let mut begun = [0u32; DESKS];
    let mut last_boot = 1;
    for cut in 0..CUTS {
        let mut peer = Peer::open(&board.tty());
        peer.greet().await;
        let hello = timeout(WAIT_MAX, async {
            loop {
                if let Some(FromBoard::Hello(hello)) = peer.next().await {
                    return hello;
                }
            }
        });
        let boot = hello.await.unwrap().boot;
        assert!(cut == 0 || boot > last_boot, "seed {seed}, cut {cut}: boot {boot} after {last_boot}");
        last_boot = boot;
        let alive_ms = random.random_range(1..700);
        let people = async {
            for desk in 0.. {
                let desk = desk % 8u8;
                begun[usize::from(desk)] += 1;
                board.press(desk, Duration::from_millis(60)).await.unwrap();
            }
        };
        let agent = async {
            while let Some(message) = peer.next().await {
                let FromBoard::Numbered(numbered) = message else { continue };
                if let NumberedBody::Totals(totals) = &numbered.body {
                    for (desk, (now, before)) in totals.iter().zip(&acknowledged).enumerate() {
                        assert!(now.short >= before.short, "seed {seed}, cut {cut}, desk {desk}: {now:?} < {before:?}");
                        assert_eq!(now.long, 0, "seed {seed}, cut {cut}, desk {desk}");
                    }
                    acknowledged = *totals;
                }
                peer.acknowledge(&numbered).await;
            }
        };
        tokio::select! {
            () = people => {}
            () = agent => panic!("seed {seed}, cut {cut}: the board is gone"),
            () = sleep(Duration::from_millis(alive_ms)) => {}
        }
        board.power_on().await.unwrap();
    }
    let (mut peer, hello) = Peer::linked(&board).await;
    assert!(hello.boot > last_boot);
    peer.until_totals("the totals", |_| true).await;
    let last = peer.totals.unwrap();
    for (desk, ((last, before), begun)) in last.iter().zip(&acknowledged).zip(&begun).enumerate() {
        assert!(last.short >= before.short, "seed {seed}, desk {desk}: {last:?} < {before:?}");
        assert!(last.short <= *begun, "seed {seed}, desk {desk}: {last:?} of {begun} presses");
    }
    let total: u32 = last.iter().map(|desk| desk.short).sum();
    println!("{total} presses counted of {} begun, over {CUTS} cuts", begun.iter().sum::<u32>());
    assert!(total > 0, "seed {seed}: nobody was counted");
}
