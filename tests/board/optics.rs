//! The module in the cage: light that fades, and modules that are none.

use simpul_testkit::board::Module;
use simpul_wire::Missing;
use simpul_wire::board::{Calibration, FromBoard, Measured, MissingNumber};
use simpul_wire::metrics;

use crate::peer::{Peer, board};

async fn received_power(peer: &mut Peer) -> Measured {
    // A greeting has a new round of readings begin.
    peer.greet().await;
    let FromBoard::Readings(readings) =
        peer.until("readings", |message| matches!(message, FromBoard::Readings(_))).await
    else {
        unreachable!()
    };
    let metric = metrics::number("optics.0.rx_power").unwrap();
    readings.items.iter().find(|reading| reading.metric == metric).unwrap().value
}

fn dbm(value: Measured) -> f64 {
    let Measured::Nanowatts(nanowatts) = value else { panic!("no power: {value:?}") };
    10.0 * (f64::from(nanowatts) / 1e6).log10()
}

#[tokio::test]
async fn light_that_fades_is_measured_while_it_fades() {
    let (_folder, board) = board(Some(Module::gpon(-18.0))).await;
    let (mut peer, _) = Peer::linked(&board).await;
    let FromBoard::Module(module) = peer.until("the module", |message| matches!(message, FromBoard::Module(_))).await
    else {
        unreachable!()
    };
    let found = module.found.unwrap();
    assert_eq!((found.vendor.as_str(), found.calibration), ("SIMULASI", Calibration::Internal));
    assert!(found.receive_limits.is_some());
    for expected in [-18.0, -23.5, -29.0] {
        board.set_rx_power(expected).await.unwrap();
        // The round that is under way may still have the old light.
        let mut measured = dbm(received_power(&mut peer).await);
        for _ in 0..3 {
            if (measured - expected).abs() < 0.3 {
                break;
            }
            measured = dbm(received_power(&mut peer).await);
        }
        // One step of the module's register is 0.33 dB at -29 dBm.
        assert!((measured - expected).abs() < 0.3, "{measured} instead of {expected}");
    }
}

#[tokio::test]
async fn a_cage_without_a_usable_module_has_a_reason() {
    let cases = [
        (None, Missing::NoModule),
        (Some(Module::noise(1)), Missing::BadChecksum),
        (Some(Module::without_diagnostics()), Missing::NoDiagnostics),
    ];
    for (module, reason) in cases {
        let (_folder, board) = board(module).await;
        let (mut peer, _) = Peer::linked(&board).await;
        peer.until("the module", |message| matches!(message, FromBoard::Module(_))).await;
        assert_eq!(received_power(&mut peer).await, Measured::Missing(MissingNumber(reason)));
    }
}
