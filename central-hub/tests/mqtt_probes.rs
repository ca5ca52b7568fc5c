//! Raw probes with the exact reaction: what a hostile, broken or slow client gets, and that the others do not notice.
#![allow(clippy::unwrap_used, reason = "a test may end where it fails")]

mod mqtt_support;
use std::collections::VecDeque;
use std::time::Duration;

use mqtt_support::*;
use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};
use simpul_hub::mqtt::{Incoming, Receipt};
use simpul_wire::ack::{Downlink, RejectReason};
use simpul_wire::limits::PAYLOAD_BYTES_MAX;
use simpul_wire::{Epoch, SeqRange, Stream};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;

const A: &str = "35.12.07.2003-01";

fn topic(rest: &str) -> String {
    format!("simpul/v1/{A}/{rest}")
}

/// First packet, and everything the server answers before it closes.
#[tokio::test]
async fn a_bad_first_packet_gets_exactly_its_answer() {
    let (rig, _kept) = Rig::start(|limits| limits.handshake_timeout_ms = 2_000).await;
    let with_flags =
        |flags: u8| frame(0x10, &[&[0, 4, b'M', b'Q', b'T', b'T', 4, flags, 0, 60, 0, 1, b'x'][..]].concat());
    let level = |level: u8| frame(0x10, &[0, 4, b'M', b'Q', b'T', b'T', level, 2, 0, 60, 0, 1, b'x']);
    let table: Vec<(&str, Vec<u8>, &[u8])> = vec![
        ("MQTT 5", frame(0x10, &[0, 4, b'M', b'Q', b'T', b'T', 5, 2, 0, 60, 0, 0, 1, b'x']), &[0x20, 3, 0, 0x84, 0]),
        ("level 3", level(3), &[0x20, 2, 0, 1]),
        ("level 6", level(6), &[0x20, 2, 0, 1]),
        ("MQTT 3.1", frame(0x10, b"\0\x06MQIsdp\x03\x02\0\x3c\0\x01x"), &[0x20, 2, 0, 1]),
        ("another protocol", frame(0x10, b"\0\x04HTTP\x04\x02\0\x3c\0\x01x"), &[]),
        ("reserved flag", with_flags(3), &[]),
        ("will quality without will", with_flags(2 | 8), &[]),
        ("password without user", with_flags(2 | 0x40), &[]),
        ("bytes behind the last field", [frame(0x10, b"\0\x04MQTT\x04\x02\0\x3c\0\x01x!")].concat(), &[]),
        ("CONNECT with header flags", [&[0x11][..], &connect("x", true, 60)[1..]].concat(), &[]),
        ("NUL in the client id", connect("a\0b", true, 60), &[]),
        ("no UTF-8 in the client id", frame(0x10, b"\0\x04MQTT\x04\x02\0\x3c\0\x02\xff\xfe"), &[]),
        ("PINGREQ first", vec![0xc0, 0], &[]),
        ("SUBSCRIBE first", subscribe(1, &[("simpul/v1/#", 0)]), &[]),
        ("PUBLISH first", publish(&topic("up/event"), b"x", 0, 0, 0), &[]),
        ("packet type 0", vec![0, 0], &[]),
        ("packet type 15", vec![0xf0, 0], &[]),
        ("five bytes of length", vec![0x10, 0xff, 0xff, 0xff, 0xff, 0x01], &[]),
        ("a CONNECT of 256 MB", vec![0x10, 0xff, 0xff, 0xff, 0x7f], &[]),
        ("a short CONNECT", frame(0x10, b"\0\x04MQ"), &[]),
        ("garbage", b"GET / HTTP/1.1\r\n\r\n".to_vec(), &[]),
        ("half a CONNECT", connect("x", true, 60)[..9].to_vec(), &[]),
        (
            "will on another's topic",
            connect_with_will("x", true, "simpul/v1/other/state", "x", false),
            &[0x20, 2, 0, 5],
        ),
        ("will with a wildcard", connect_with_will("x", true, "simpul/v1/+/state", "x", false), &[]),
    ];
    for (name, bytes, answer) in table {
        let mut raw = rig.raw(A).await;
        raw.send(&bytes).await;
        assert_eq!(raw.rest().await, answer, "{name}");
    }
    eventually("no session is left", || rig.handle.sessions() == 0).await;
}

/// A packet within a session, and everything the server answers before it closes.
#[tokio::test]
async fn a_bad_packet_ends_the_session_without_an_answer() {
    let (rig, _kept) = Rig::start(|_| {}).await;
    let event = topic("up/event");
    let table: Vec<(&str, Vec<u8>)> = vec![
        ("second CONNECT", connect("again", true, 60)),
        ("CONNACK", vec![0x20, 2, 0, 0]),
        ("SUBACK", suback(1, &[0])),
        ("UNSUBACK", acknowledgement(0xb0, 1)),
        ("PINGRESP", vec![0xd0, 0]),
        ("PUBREL with wrong flags", acknowledgement(0x60, 1)),
        ("SUBSCRIBE with wrong flags", [&[0x80][..], &subscribe(1, &[("a", 0)])[1..]].concat()),
        ("UNSUBSCRIBE with wrong flags", [&[0xa0][..], &unsubscribe(1, "a")[1..]].concat()),
        ("PINGREQ with flags", vec![0xc1, 0]),
        ("PINGREQ with a body", vec![0xc0, 1, 0]),
        ("DISCONNECT with a body", vec![0xe0, 1, 0]),
        ("PUBACK of three bytes", vec![0x40, 3, 0, 1, 0]),
        ("PUBACK of packet 0", acknowledgement(0x40, 0)),
        ("quality 3", publish(&event, b"x", 3, 1, 0)),
        ("DUP at quality 0", publish(&event, b"x", 0, 0, DUP)),
        ("packet id 0", publish(&event, b"x", 1, 0, 0)),
        ("empty topic", publish("", b"x", 0, 0, 0)),
        ("NUL in the topic", publish("a\0b", b"x", 0, 0, 0)),
        ("wildcard in the topic", publish("simpul/v1/+/state", b"x", 0, 0, 0)),
        ("no UTF-8 in the topic", frame(0x30, b"\0\x02\xff\xfex")),
        ("topic longer than the packet", frame(0x30, b"\0\x20x")),
        ("empty PUBLISH", vec![0x30, 0]),
        ("SUBSCRIBE of nothing", frame(0x82, &[0, 1])),
        ("SUBSCRIBE with packet id 0", subscribe(0, &[("a", 0)])),
        ("SUBSCRIBE at quality 3", subscribe(1, &[("a", 3)])),
        ("SUBSCRIBE with reserved bits", subscribe(1, &[("a", 4)])),
        ("# in the middle", subscribe(1, &[("a/#/b", 0)])),
        ("empty filter", subscribe(1, &[("", 0)])),
        ("UNSUBSCRIBE of nothing", frame(0xa2, &[0, 1])),
        ("UNSUBSCRIBE with packet id 0", unsubscribe(0, "a")),
        ("a SUBSCRIBE of 1 MB", vec![0x82, 0x80, 0x80, 0x40]),
        ("33 filters", subscribe(1, &[("a", 0); 33])),
        ("release of what is not committed", acknowledgement(0x62, 0)),
    ];
    let count = table.len() as u64;
    for (name, bytes) in table {
        let mut node = rig.client(A, "agent", true).await;
        node.send(&bytes).await;
        assert_eq!(node.rest().await, b"", "{name}");
    }
    eventually("each was counted", || rig.handle.stats().violations == count).await;
}

#[tokio::test]
async fn odd_but_legal_packets_are_answered() {
    let (rig, kept) = Rig::start(|_| {}).await;
    let mut node = rig.client(A, "agent", true).await;
    node.send(&acknowledgement(0x40, 77)).await;
    node.send(&acknowledgement(0x70, 77)).await;
    node.expect_silence().await;
    node.send(&acknowledgement(0x62, 78)).await;
    node.expect(&acknowledgement(0x70, 78)).await;
    node.send(&acknowledgement(0x50, 79)).await;
    node.expect(&acknowledgement(0x62, 79)).await;
    node.send(&unsubscribe(5, "never/subscribed")).await;
    node.expect(&acknowledgement(0xb0, 5)).await;
    // Byte by byte, as a bad link delivers it.
    for byte in publish(&topic("up/event"), b"slowly", 1, 6, 0) {
        node.send(&[byte]).await;
    }
    node.expect(&acknowledgement(0x40, 6)).await;
    // At quality 2, a duplicate is answered and not delivered twice; the id is free again after its release.
    for flags in [0, DUP, DUP] {
        node.send(&publish(&topic("up/event"), b"once", 2, 9, flags)).await;
        node.expect(&acknowledgement(0x50, 9)).await;
    }
    node.send(&acknowledgement(0x62, 9)).await;
    node.expect(&acknowledgement(0x70, 9)).await;
    node.send(&publish(&topic("up/event"), b"another", 2, 9, 0)).await;
    node.expect(&acknowledgement(0x50, 9)).await;
    assert_eq!(kept.payloads(), [b"slowly".to_vec(), b"once".to_vec(), b"another".to_vec()]);
}

async fn next_receipt(incoming: &mut mpsc::Receiver<Incoming>) -> (Vec<u8>, Receipt) {
    loop {
        if let Incoming::Publish(publish) = timeout(PATIENCE, incoming.recv()).await.unwrap().unwrap() {
            return (publish.payload.to_vec(), publish.receipt);
        }
    }
}

#[tokio::test]
async fn acknowledgements_wait_for_the_commit_and_leave_in_order() {
    let (rig, mut incoming) = Rig::manual(|_| {}).await;
    let mut node = rig.client(A, "agent", true).await;
    for packet_id in 1..=6u16 {
        let qos = if packet_id % 2 == 0 { 2 } else { 1 };
        node.send(&publish(&topic("up/service"), &[packet_id as u8], qos, packet_id, 0)).await;
    }
    let mut receipts = VecDeque::new();
    for packet_id in 1..=6u8 {
        let (payload, receipt) = next_receipt(&mut incoming).await;
        assert_eq!(payload, [packet_id]);
        receipts.push_back(receipt);
    }
    node.expect_silence().await;
    let rest = receipts.split_off(1);
    rest.into_iter().for_each(Receipt::done);
    node.expect_silence().await;
    receipts.pop_front().unwrap().done();
    for packet_id in 1..=6u16 {
        let first = if packet_id % 2 == 0 { 0x50 } else { 0x40 };
        node.expect(&acknowledgement(first, packet_id)).await;
    }
}

#[tokio::test]
async fn a_duplicate_after_a_takeover_waits_for_its_own_commit() {
    for (qos, answer) in [(1, 0x40), (2, 0x50)] {
        let (rig, mut incoming) = Rig::manual(|_| {}).await;
        let mut first = rig.client(A, "agent", false).await;
        first.send(&publish(&topic("up/service"), b"x", qos, 5, 0)).await;
        let (_, old) = next_receipt(&mut incoming).await;
        let mut second = rig.raw(A).await;
        second.send(&connect("agent", false, 60)).await;
        second.expect(&[0x20, 2, 1, 0]).await;
        assert_eq!(first.rest().await, b"");
        second.send(&publish(&topic("up/service"), b"x", qos, 5, DUP)).await;
        let (_, new) = next_receipt(&mut incoming).await;
        old.done();
        second.expect_silence().await;
        new.done();
        second.expect(&acknowledgement(answer, 5)).await;
    }
}

#[tokio::test]
async fn a_publish_that_is_not_taken_ends_the_connection_so_that_it_is_sent_again() {
    let (rig, mut incoming) = Rig::manual(|_| {}).await;
    let mut node = rig.client(A, "agent", false).await;
    node.send(&publish(&topic("up/service"), b"x", 1, 5, 0)).await;
    drop(next_receipt(&mut incoming).await);
    assert_eq!(node.rest().await, b"");
    eventually("counted", || rig.handle.stats().not_taken == 1).await;
    let mut node = rig.raw(A).await;
    node.send(&[connect("agent", false, 60), publish(&topic("up/service"), b"x", 1, 5, DUP)].concat()).await;
    node.expect(&[0x20, 2, 1, 0]).await;
    next_receipt(&mut incoming).await.1.done();
    node.expect(&acknowledgement(0x40, 5)).await;
}

#[tokio::test]
async fn a_hundred_in_flight_leave_room_for_a_ping_and_the_window_holds_back_the_rest() {
    let (rig, mut incoming) = Rig::manual(|_| {}).await;
    let mut node = rig.client(A, "agent", true).await;
    for packet_id in 1..=100u16 {
        node.send(&publish(&topic("up/service"), b"x", 1, packet_id, 0)).await;
    }
    node.expect_silence().await;
    for packet_id in 101..=200u16 {
        node.send(&publish(&topic("up/service"), b"x", 1, packet_id, 0)).await;
    }
    let mut receipts = Vec::new();
    for _ in 0..128 {
        receipts.push(next_receipt(&mut incoming).await.1);
    }
    node.send(&[0xc0, 0]).await;
    assert!(timeout(Duration::from_millis(200), incoming.recv()).await.is_err(), "the window is 128");
    receipts.into_iter().for_each(Receipt::done);
    for _ in 129..=200 {
        next_receipt(&mut incoming).await.1.done();
    }
    for packet_id in 1..=200u16 {
        node.expect(&acknowledgement(0x40, packet_id)).await;
    }
    node.expect(&[0xd0, 0]).await;
}

#[tokio::test]
async fn an_oversize_publish_is_discarded_and_reported_and_the_session_goes_on() {
    let (rig, kept) = Rig::start(|_| {}).await;
    let mut node = rig.client(A, "agent", false).await;
    node.send(&subscribe(1, &[(&topic("ack"), 0)])).await;
    node.expect(&suback(1, &[0])).await;
    let epoch = Epoch::from_bytes([9; 16]);
    let range = SeqRange::with_count(41, 2).unwrap();
    // Not compressible, so that the sealed batch is as large as its records.
    let mut random = StdRng::seed_from_u64(1);
    let mut record = vec![0u8; 300_000];
    random.fill_bytes(&mut record);
    let batch = simpul_wire::batch::seal(&A.parse().unwrap(), epoch, Stream::Event, range, &[&record, &record]);
    assert!(batch.len() > 4 * PAYLOAD_BYTES_MAX);
    for (packet_id, qos, answer) in [(7, 1, 0x40), (8, 2, 0x50)] {
        node.send(&publish(&topic("up/event"), &batch, qos, packet_id, 0)).await;
        node.expect(&acknowledgement(answer, packet_id)).await;
        let packet = node.packet().await;
        let body = packet.split_at(packet.len() - (packet.len() - 3 - usize::from(packet[3]) - 1)).1;
        let Ok(Downlink::Ack(ack)) = Downlink::from_slice(body) else { panic!("{packet:02x?}") };
        assert_eq!((ack.generation, ack.epoch, ack.stream), (GENERATION, epoch, Stream::Event));
        assert_eq!((ack.rejected[0].range, ack.rejected[0].reason), (range, RejectReason::TooLarge));
    }
    // One byte over the limit, nothing readable in it: acknowledged and counted only.
    node.send(&publish(&topic("up/event"), &vec![0; PAYLOAD_BYTES_MAX + 1], 1, 9, 0)).await;
    node.expect(&acknowledgement(0x40, 9)).await;
    node.send(&publish(&topic("up/event"), &vec![0; PAYLOAD_BYTES_MAX], 1, 10, 0)).await;
    node.expect(&acknowledgement(0x40, 10)).await;
    node.expect_silence().await;
    assert_eq!(rig.handle.stats().oversize_discarded, 3);
    assert_eq!(kept.payloads(), [vec![0; PAYLOAD_BYTES_MAX]]);
}

#[tokio::test]
async fn half_received_packets_share_one_budget_and_end_after_a_while() {
    let (rig, kept) = Rig::start(|limits| {
        limits.pending_bytes_max = 200_000;
        limits.half_packet_timeout_ms = 1_500;
    })
    .await;
    let whole = publish(&topic("up/event"), &vec![1; 60_000], 1, 1, 0);
    let credentials = rig.pki.client("35.12.07.2003-02");
    let mut holders = Vec::new();
    for index in 0..4 {
        let mut raw = rig.raw_with(Some(&credentials)).await;
        raw.send(&connect(&format!("half-{index}"), true, 60)).await;
        raw.expect(&[0x20, 2, 0, 0]).await;
        let half = publish("simpul/v1/35.12.07.2003-02/up/event", &vec![1; 60_000], 1, 1, 0);
        raw.send(&half[..half.len() - 1]).await;
        holders.push(raw);
    }
    eventually("three grants", || rig.handle.stats().pending_bytes >= 180_000).await;
    assert!(rig.handle.stats().pending_bytes <= 200_000);
    // The honest one waits for the budget, and gets it when the half packets have had their time.
    let mut node = rig.client(A, "agent", true).await;
    node.send(&whole).await;
    node.expect(&acknowledgement(0x40, 1)).await;
    eventually("half packets were closed", || rig.handle.stats().half_packet_timeouts >= 3).await;
    drop(holders);
    eventually("everything came back", || rig.handle.stats().pending_bytes == 0).await;
    assert!(kept.payloads().contains(&vec![1; 60_000]));
}

#[tokio::test]
async fn a_slow_reader_loses_only_its_own_messages_and_they_are_counted() {
    let (rig, _kept) = Rig::start(|limits| limits.queue_bytes_max = 100_000).await;
    let mut slow = rig.client("ops.slow", "slow", true).await;
    slow.send(&subscribe(1, &[("simpul/v1/+/state", 0)])).await;
    slow.expect(&suback(1, &[0])).await;
    let mut careful = rig.client("ops.careful", "careful", false).await;
    careful.send(&subscribe(1, &[("simpul/v1/+/state", 1)])).await;
    careful.expect(&suback(1, &[1])).await;
    let payload = "x".repeat(50_000);
    let reading = tokio::spawn(async move {
        for packet_id in 1..=400u16 {
            let packet = careful.packet().await;
            assert_eq!(packet.len(), 1 + 3 + 2 + 17 + 2 + 50_000);
            careful.send(&acknowledgement(0x40, packet_id)).await;
        }
        careful
    });
    // 20 MB: no socket buffer swallows that. The careful one keeps up, one message at a time.
    for index in 0..400u64 {
        rig.publish("simpul/v1/x/state", &payload, 1, false).await;
        eventually("both were served", || {
            let stats = rig.handle.stats();
            stats.publishes_out + stats.dropped_slow_reader >= 2 * (index + 1)
        })
        .await;
        if index % 2 == 1 {
            tokio::task::yield_now().await;
        }
    }
    reading.await.unwrap();
    let stats = rig.handle.stats();
    assert_eq!(stats.dropped_queue_full, 0);
    assert!(stats.dropped_slow_reader > 100, "{stats:?}");
    slow.send(DISCONNECT).await;
}

#[tokio::test]
async fn a_full_queue_of_an_offline_session_drops_the_newest_and_counts() {
    let (rig, _kept) = Rig::start(|limits| limits.queue_messages_max = 5).await;
    let mut node = rig.client(A, "agent", false).await;
    node.send(&subscribe(1, &[(&topic("cmd"), 1)])).await;
    node.expect(&suback(1, &[1])).await;
    drop(node);
    eventually("offline", || rig.handle.stats().offline_sessions == 1).await;
    for index in 0..8 {
        rig.publish(&topic("cmd"), &index.to_string(), 1, false).await;
    }
    eventually("dropped", || rig.handle.stats().dropped_queue_full == 3).await;
    let mut node = rig.raw(A).await;
    node.send(&connect("agent", false, 60)).await;
    node.expect(&[0x20, 2, 1, 0]).await;
    for index in 0..5u16 {
        node.expect(&publish(&topic("cmd"), index.to_string().as_bytes(), 1, index + 1, 0)).await;
    }
    node.expect_silence().await;
}

#[tokio::test]
async fn sessions_are_capped_per_node_and_offline_ones_expire() {
    let (rig, _kept) = Rig::start(|limits| {
        limits.sessions_per_node_max = 2;
        limits.offline_sessions_max = 3;
    })
    .await;
    let first = rig.client(A, "one", false).await;
    let _second = rig.client(A, "two", false).await;
    let mut third = rig.raw(A).await;
    third.send(&connect("three", false, 60)).await;
    assert_eq!(third.rest().await, [0x20, 2, 0, 3]);
    drop(first);
    eventually("offline", || rig.handle.stats().offline_sessions == 1).await;
    let _third = rig.client(A, "three", false).await;
    let stats = rig.handle.stats();
    assert_eq!((stats.sessions_expired, stats.offline_sessions), (1, 0), "the offline one gave way");
    for index in 0..5 {
        drop(rig.client(&format!("n-{index}"), "agent", false).await);
        eventually("away", || rig.handle.sessions() == 2).await;
    }
    assert_eq!(rig.handle.stats().offline_sessions, 3);
}

#[tokio::test]
async fn connections_over_the_cap_are_refused_and_counted() {
    let (rig, _kept) = Rig::start(|limits| limits.connections_max = 1).await;
    let mut node = rig.client(A, "agent", true).await;
    let refused = Raw::open(rig.address, &rig.pki.ca_file(), Some(&rig.pki.client(A))).await;
    assert!(refused.is_err());
    let capacity = rig.handle.stats().refused.into_iter().find(|(reason, _)| reason.label() == "capacity");
    assert_eq!(capacity.unwrap().1, 1);
    node.expect_silence().await;
}

#[tokio::test]
async fn nothing_is_lost_while_garbage_half_packets_and_oversize_publishes_come_in() {
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let (rig, kept) = Rig::start(|limits| limits.handshake_timeout_ms = 500).await;
    let address = rig.address;
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let mut attackers = Vec::new();
    for attacker in 0..6u64 {
        let stopped = stopped.clone();
        let credentials = rig.pki.client(&format!("bad-{attacker}"));
        let ca_file = rig.pki.ca_file();
        attackers.push(tokio::spawn(async move {
            let mut random = StdRng::seed_from_u64(seed ^ attacker);
            while !*stopped.borrow() {
                let mut garbage = vec![0u8; random.random_range(1..4_000)];
                random.fill_bytes(&mut garbage);
                if attacker < 2 {
                    if let Ok(mut tcp) = TcpStream::connect(address).await {
                        let _ = tcp.write_all(&garbage).await;
                    }
                    continue;
                }
                let Ok(mut raw) = Raw::open(address, &ca_file, Some(&credentials)).await else { continue };
                let own = format!("simpul/v1/bad-{attacker}/up/event");
                let bytes = match attacker {
                    2 => garbage,
                    3 => [connect("x", false, 60), garbage].concat(),
                    4 => [connect("x", false, 60), publish(&own, &[0; 60_000], 1, 1, 0)[..30_000].to_vec()].concat(),
                    _ => [connect("x", false, 60), publish(&own, &[0; 300_000], 1, 1, 0)].concat(),
                };
                let _ = raw.stream.write_all(&bytes).await;
                let _ = raw.stream.flush().await;
                // CONNACK and PUBACK, so that all of it has arrived before the connection is dropped.
                for _ in 0..attacker.saturating_sub(3) {
                    let _ = raw.try_packet().await;
                }
            }
        }));
    }
    let mut honest = Vec::new();
    for name in ["n-1", "n-2", "n-3"] {
        let mut node = rig.client(name, "agent", false).await;
        honest.push(tokio::spawn(async move {
            for index in 0..300u16 {
                let payload = format!("{name} {index}");
                let topic = format!("simpul/v1/{name}/up/service");
                node.send(&publish(&topic, payload.as_bytes(), 1, index + 1, 0)).await;
                node.expect(&acknowledgement(0x40, index + 1)).await;
            }
        }));
    }
    for node in honest {
        node.await.unwrap();
    }
    stop.send(true).unwrap();
    for attacker in attackers {
        attacker.await.unwrap();
    }
    let payloads = kept.payloads();
    for name in ["n-1", "n-2", "n-3"] {
        let own: Vec<_> = payloads.iter().filter(|payload| payload.starts_with(name.as_bytes())).collect();
        let wanted: Vec<Vec<u8>> = (0..300).map(|index| format!("{name} {index}").into_bytes()).collect();
        assert_eq!(own, wanted.iter().collect::<Vec<_>>(), "seed {seed}");
    }
    let stats = rig.handle.stats();
    assert!(stats.violations > 0 && stats.oversize_discarded > 0, "the attack did not arrive: {stats:?}");
}
