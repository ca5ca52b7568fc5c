//! What goes in comes out, bit for bit.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use simpul_wire::batch::{Batch, Body, seal};
use simpul_wire::reading::{Point, ReadingBlock, Series, Value};
use simpul_wire::service::{Origin, ServiceBody, ServiceRecord};
use simpul_wire::*;

fn stamp() -> Stamp {
    Stamp { boot: 3, uptime_ms: 61_000, wall_ms: Some(1_795_000_000_000) }
}

#[test]
fn a_batch_of_service_records_comes_back_as_it_was() {
    let record = ServiceRecord {
        stamp: stamp(),
        key: "k-1".parse().unwrap(),
        origin: Origin::Api,
        simulated: false,
        body: ServiceBody::Count { service: "ktp".parse().unwrap(), desk: None, delta: 1, total: Some(17) },
    };
    let node: NodeId = "35.12.07.2003-01".parse().unwrap();
    let bytes = simpul_wire::error::to_vec(&record);
    let range = SeqRange::with_count(5, 3).unwrap();
    let payload = seal(&node, Epoch::from_bytes([7; 16]), Stream::Service, range, &[&bytes, &bytes, &bytes]);
    let batch = Batch::open(&payload).unwrap();
    assert_eq!(batch.header.range, range);
    assert_eq!(batch.decode().unwrap(), Body::Service(vec![record.clone(), record.clone(), record]));
}

#[test]
fn readings_keep_every_bit_and_every_reason() {
    let points = |values: &[Value]| -> Vec<Point> {
        values
            .iter()
            .enumerate()
            .map(|(i, value)| Point { uptime_ms: 60_000 + 10_000 * i as u64, value: *value })
            .collect()
    };
    let block = ReadingBlock {
        base: stamp(),
        series: vec![
            Series {
                metric: "a".parse().unwrap(),
                unit: Unit::Celsius,
                points: points(&[Value::Number(21.37), Value::Missing(Missing::Timeout), Value::Number(-0.01)]),
            },
            Series {
                metric: "b".parse().unwrap(),
                unit: Unit::DecibelMilliwatts,
                points: points(&[
                    Value::Missing(Missing::NoLight),
                    Value::Number(-0.0),
                    Value::Number(core::f64::consts::PI),
                ]),
            },
        ],
    };
    let back = ReadingBlock::from_slice(&block.to_vec()).unwrap();
    assert_eq!(back, block);
    let Value::Number(zero) = back.series[1].points[1].value else { panic!("a number") };
    assert!(zero.is_sign_negative());
    assert_eq!(block.slice(2, 4).count(), 2);
    assert_eq!(block.slice(2, 4).series[0].points, block.series[0].points[2..]);
}

#[test]
fn metrics_that_are_sampled_together_share_their_times() {
    let block = |together: bool| {
        let series = (0..10u64).map(|metric| {
            let late = if together { 0 } else { metric };
            let point = |i: u64| Point { uptime_ms: 61_000 + 10_000 * i + late, value: Value::Number(i as f64) };
            Series {
                metric: format!("m{metric}").parse().unwrap(),
                unit: Unit::Count,
                points: (0..5).map(point).collect(),
            }
        });
        ReadingBlock { base: stamp(), series: series.collect() }
    };
    for together in [true, false] {
        assert_eq!(ReadingBlock::from_slice(&block(together).to_vec()).unwrap(), block(together));
    }
    assert!(block(true).to_vec().len() + 9 * 6 < block(false).to_vec().len());
}
