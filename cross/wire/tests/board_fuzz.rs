//! Foreign bytes on the board's link: nothing panics, and the next good frame is read.
//!
//! `SIMPUL_FUZZ` sets how many streams of each kind are tried (1,000,000 by default), `SIMPUL_SEED` the seed.
#![cfg(feature = "board")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};
use simpul_wire::Missing;
use simpul_wire::board::*;

const GOOD: ToBoard = ToBoard::Ack(Ack { boot: 7, seq: 3 });

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().map_or(otherwise, |text| text.parse().unwrap())
}

/// Random streams of up to 300 bytes, or what `make` makes; the same reader reads all of them and a good frame behind
/// each.
fn fuzz(seed: u64, mut make: impl FnMut(&mut StdRng, &mut Vec<u8>)) {
    let streams = number("SIMPUL_FUZZ", 1_000_000);
    println!("seed {seed}, {streams} streams");
    let mut random = StdRng::seed_from_u64(seed);
    let mut good = [0; ENCODED_BYTES_MAX];
    let length = GOOD.encode(&mut good).unwrap();
    let mut reader = FrameReader::default();
    let mut stream = Vec::new();
    for index in 0..streams {
        stream.clear();
        make(&mut random, &mut stream);
        for byte in &stream {
            if let Some(Ok((kind, body))) = reader.push(*byte) {
                // Either side's decoder may meet them: a line can be crossed.
                let _ = (FromBoard::decode(kind, body), ToBoard::decode(kind, body));
            }
        }
        let mut last = None;
        for byte in &good[..length] {
            if let Some(frame) = reader.push(*byte) {
                last = Some(frame.and_then(|(kind, body)| ToBoard::decode(kind, body)));
            }
        }
        assert_eq!(last, Some(Ok(GOOD)), "seed {seed}, stream {index}: {}", hex::encode(&stream));
    }
}

#[test]
fn random_bytes_never_panic_and_the_next_good_frame_is_read() {
    fuzz(number("SIMPUL_SEED", 20_261_124), |random, stream| {
        stream.resize(random.random_range(0..300), 0);
        random.fill_bytes(stream);
    });
}

#[test]
fn valid_streams_that_were_mutated_never_panic_and_the_next_good_frame_is_read() {
    let valid = valid_frames();
    fuzz(number("SIMPUL_SEED", 20_261_125), |random, stream| {
        for _ in 0..random.random_range(1..4) {
            stream.extend(&valid[random.random_range(0..valid.len())]);
        }
        for _ in 0..random.random_range(1..8) {
            let at = random.random_range(0..stream.len());
            match random.random_range(0..5) {
                0 => stream[at] ^= 1 << random.random_range(0..8),
                1 => stream[at] = random.random(),
                2 => drop(stream.remove(at)),
                3 => stream.insert(at, random.random()),
                _ => stream.truncate(at),
            }
            if stream.is_empty() {
                break;
            }
        }
    });
}

/// Bodies behind a good checksum: what a faulty or hostile board could send.
#[test]
fn random_bodies_with_a_good_checksum_never_panic() {
    let streams = number("SIMPUL_FUZZ", 1_000_000);
    let seed = number("SIMPUL_SEED", 20_261_126);
    println!("seed {seed}, {streams} bodies");
    let mut random = StdRng::seed_from_u64(seed);
    let kinds = [1, 2, 3, 4, 5, 6, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87];
    for _ in 0..streams {
        let mut body = vec![0; random.random_range(0..FRAME_BYTES_MAX)];
        random.fill_bytes(&mut body);
        if random.random_bool(0.5) {
            // Small numbers get further than random ones.
            body.iter_mut().for_each(|byte| *byte %= 20);
        }
        for kind in kinds {
            let _ = (FromBoard::decode(kind, &body), ToBoard::decode(kind, &body));
        }
    }
}

fn valid_frames() -> Vec<Vec<u8>> {
    let numbered = |body| FromBoard::Numbered(Numbered { boot: 7, seq: 3, at_ms: 60_000, sent_ms: 60_500, body });
    let items = [
        Reading { metric: 12, value: Measured::Nanowatts(1_259) },
        Reading { metric: 11, value: Missing::NoLight.into() },
    ];
    let found = ModuleFound {
        vendor: "ACME".try_into().unwrap(),
        part: "GE-BX-D".try_into().unwrap(),
        serial: "X1".try_into().unwrap(),
        wavelength_nm: 1_490,
        calibration: Calibration::External,
        receive_limits: None,
    };
    let from = [
        numbered(NumberedBody::Totals([DeskTotals { short: 70_000, long: 3 }; DESKS])),
        numbered(NumberedBody::Power(SupplyState::Mains { outage_ms: Some(5) })),
        numbered(NumberedBody::RelayResult { id: [0; 16], outcome: RelayOutcome::Done }),
        FromBoard::Readings(Readings { at_ms: 1, items: items.into_iter().collect() }),
        FromBoard::Gasp(Gasp { boot: 7, at_ms: 60_000 }),
        FromBoard::Module(Module { cage: 0, found: Ok(found) }),
        FromBoard::Update(UpdateState::Receiving { next: 384 }),
    ];
    let bytes = [0xA5; UPDATE_DATA_BYTES_MAX].into_iter().collect();
    let to = [
        GOOD,
        ToBoard::Greet(Greet { protocol: PROTOCOL_VERSION, wall_ms: Some(1) }),
        ToBoard::Relay(RelayOrder { id: [5; 16], off_ms: 10_000 }),
        ToBoard::Configure(Settings::default()),
        ToBoard::UpdateData(UpdateData { offset: 256, bytes }),
    ];
    let mut out = [0; ENCODED_BYTES_MAX];
    let mut frames = Vec::new();
    for message in &from {
        let length = message.encode(&mut out).unwrap();
        frames.push(out[..length].to_vec());
    }
    for message in &to {
        let length = message.encode(&mut out).unwrap();
        frames.push(out[..length].to_vec());
    }
    frames
}
