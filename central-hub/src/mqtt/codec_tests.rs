//! Tests of `codec`: see there.
use bytes::{Bytes, BytesMut};
use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};

use super::*;
use rumqttc::mqttbytes::v4::{Connect, LastWill, Login, PubAck, PubComp, PubRec, PubRel, Subscribe, Unsubscribe};

fn encoded(packet: Packet) -> Vec<u8> {
    let mut bytes = BytesMut::new();
    packet.write(&mut bytes, usize::MAX).unwrap();
    bytes.to_vec()
}

/// One of each kind that a client may send.
fn good() -> Vec<Vec<u8>> {
    let mut connect = Connect::new("agent");
    connect.last_will = Some(LastWill::new("simpul/v1/x/state", "offline", QoS::AtLeastOnce, true));
    connect.login = Some(Login::new("user", "password"));
    let mut subscribe = Subscribe::new("simpul/v1/x/#", QoS::ExactlyOnce);
    subscribe.add("simpul/v1/+/state".into(), QoS::AtMostOnce);
    subscribe.pkid = 3;
    let mut unsubscribe = Unsubscribe::new("simpul/v1/x/#");
    unsubscribe.pkid = 4;
    let mut numbered = Publish::new("simpul/v1/x/up/event", QoS::AtLeastOnce, vec![7; 300]);
    numbered.pkid = 9;
    [
        Packet::Connect(connect),
        Packet::Publish(Publish::new("simpul/v1/x/state", QoS::AtMostOnce, "hello")),
        Packet::Publish(numbered),
        Packet::PubAck(PubAck::new(1)),
        Packet::PubRec(PubRec::new(1)),
        Packet::PubRel(PubRel::new(1)),
        Packet::PubComp(PubComp::new(1)),
        Packet::Subscribe(subscribe),
        Packet::Unsubscribe(unsubscribe),
        Packet::PingReq,
        Packet::Disconnect,
    ]
    .into_iter()
    .map(encoded)
    .collect()
}

fn first(bytes: &[u8]) -> Result<Option<Frame>, Violation> {
    Decoder::default().next(&mut BytesMut::from(bytes))
}

#[test]
fn every_packet_of_a_client_is_read_back_whole_and_only_when_whole() {
    for bytes in good() {
        let Ok(Some(Frame::Packet(packet))) = first(&bytes) else { panic!("{bytes:02x?}") };
        assert_eq!(encoded(packet), bytes);
        for cut in 0..bytes.len() {
            assert_eq!(first(&bytes[..cut]), Ok(None), "{bytes:02x?} cut at {cut}");
        }
    }
}

#[test]
fn violations_are_named() {
    let table: [(&[u8], Violation); 15] = [
        (&[0x00, 0], Violation::PacketType(0)),
        (&[0xf0, 0], Violation::PacketType(15)),
        (&[0x20, 2, 0, 0], Violation::PacketType(2)),
        (&[0x11, 0], Violation::Flags { packet_type: 1, flags: 1 }),
        (&[0x80, 0], Violation::Flags { packet_type: 8, flags: 0 }),
        (&[0x38, 0], Violation::Flags { packet_type: 3, flags: 8 }),
        (&[0x36, 0], Violation::QualityOfService),
        (&[0x30, 0xff, 0xff, 0xff, 0xff], Violation::RemainingLength),
        (&[0x40, 3, 0, 1, 0], Violation::Length { packet_type: 4, bytes: 3 }),
        (&[0x40, 2, 0, 0], Violation::PacketId),
        (&[0x30, 2, 0, 0], Violation::Topic),
        (&[0x10, 0xff, 0xff, 0x7f], Violation::TooLarge { packet_type: 1, bytes: 2_097_151, limit: CONNECT_BYTES_MAX }),
        (&[0x10, 7, 0, 4, b'M', b'Q', b'T', b'T', 5], Violation::Level(5)),
        (&[0x10, 7, 0, 4, b'H', b'T', b'T', b'P', 4], Violation::ProtocolName),
        (&[0x10, 8, 0, 4, b'M', b'Q', b'T', b'T', 4, 1], Violation::ReservedFlag),
    ];
    for (bytes, violation) in table {
        assert_eq!(first(bytes), Err(violation), "{bytes:02x?}");
    }
}

#[test]
fn an_oversize_publish_is_discarded_at_every_cut() {
    let payload = vec![7; PAYLOAD_BYTES_MAX + 5_000];
    let mut bytes = BytesMut::new();
    put_publish(&mut bytes, "simpul/v1/x/up/event", &payload, (QoS::AtLeastOnce, 9), (false, false));
    put_pingresp(&mut bytes);
    bytes.truncate(bytes.len() - 2);
    bytes.extend_from_slice(&[0xc0, 0]);
    for step in [1, 7, 1_000, 4_096, 100_000] {
        let (mut decoder, mut input, mut frames, mut held) = (Decoder::default(), BytesMut::new(), Vec::new(), 0);
        for chunk in bytes.chunks(step) {
            input.extend_from_slice(chunk);
            while let Some(frame) = decoder.next(&mut input).unwrap() {
                frames.push(frame);
            }
            held = held.max(input.len());
        }
        let report = Oversize {
            topic: "simpul/v1/x/up/event".into(),
            qos: QoS::AtLeastOnce,
            packet_id: 9,
            head: Bytes::from(vec![7; OVERSIZE_HEAD_BYTES]),
            bytes: payload.len(),
        };
        assert_eq!(frames, [Frame::Oversize(report), Frame::Packet(Packet::PingReq)], "step {step}");
        assert!(held <= 2_048.max(step), "step {step} held {held} bytes");
    }
}

/// 100,000 mutated streams, fed in random cuts: no panic, no endless loop, and never more held than a frame may have.
#[test]
fn mutated_streams_neither_panic_nor_hold_more_than_a_frame() {
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let good = good();
    let (mut packets, mut violations, mut waiting) = (0u32, 0u32, 0u32);
    for _ in 0..100_000 {
        let mut stream = Vec::new();
        for _ in 0..random.random_range(1..4) {
            stream.extend_from_slice(&good[random.random_range(0..good.len())]);
        }
        for _ in 0..random.random_range(0..4) {
            mutate(&mut stream, &mut random);
        }
        let (mut decoder, mut input) = (Decoder::default(), BytesMut::new());
        let mut rest = &stream[..];
        let ended = 'stream: loop {
            match decoder.next(&mut input) {
                Ok(Some(Frame::Packet(packet))) => {
                    packets += 1;
                    invariants(&packet);
                }
                Ok(Some(Frame::Oversize(oversize))) => assert!(oversize.head.len() <= OVERSIZE_HEAD_BYTES),
                Ok(None) if rest.is_empty() => break 'stream false,
                Ok(None) => {
                    match decoder.wanted(&input) {
                        // What a connection would reserve.
                        Ok(Wanted::Frame(bytes)) => assert!(bytes <= PAYLOAD_BYTES_MAX + TOPIC_BYTES_MAX + 16),
                        Ok(Wanted::Header) => assert!(input.len() < 5),
                        Ok(Wanted::Discard) => assert!(input.is_empty()),
                        Err(_) => break 'stream true,
                    }
                    let (now, later) = rest.split_at(random.random_range(1..=rest.len()));
                    input.extend_from_slice(now);
                    rest = later;
                }
                Err(_) => break 'stream true,
            }
        };
        if ended {
            violations += 1;
        } else {
            waiting += 1;
        }
    }
    // The mutations reach both ends, or this test tests nothing.
    assert!(packets > 50_000 && violations > 10_000 && waiting > 10_000, "{packets} {violations} {waiting}");
}

fn mutate(stream: &mut Vec<u8>, random: &mut StdRng) {
    if stream.is_empty() {
        return;
    }
    let at = random.random_range(0..stream.len());
    match random.random_range(0..5) {
        0 => stream[at] ^= 1 << random.random_range(0..8),
        1 => stream[at] = random.random(),
        2 => stream.truncate(at),
        3 => stream.insert(at, random.random()),
        _ => {
            let mut noise = [0; 4];
            random.fill_bytes(&mut noise);
            stream.splice(at..at, noise);
        }
    }
}

/// What the session relies on.
fn invariants(packet: &Packet) {
    match packet {
        Packet::Publish(publish) => {
            assert!(name_is_valid(&publish.topic) && publish.payload.len() <= PAYLOAD_BYTES_MAX);
            assert!(publish.qos == QoS::AtMostOnce || publish.pkid != 0);
        }
        Packet::Subscribe(subscribe) => {
            assert!(subscribe.pkid != 0 && (1..=FILTERS_MAX).contains(&subscribe.filters.len()));
            assert!(subscribe.filters.iter().all(|filter| filter_is_valid(&filter.path)));
        }
        Packet::Unsubscribe(unsubscribe) => {
            assert!(unsubscribe.pkid != 0 && (1..=FILTERS_MAX).contains(&unsubscribe.topics.len()));
        }
        Packet::Connect(connect) => assert!(!connect.client_id.contains('\0') && connect.client_id.len() <= 256),
        Packet::PubAck(PubAck { pkid }) | Packet::PubRel(PubRel { pkid }) => assert_ne!(*pkid, 0),
        Packet::PubRec(PubRec { pkid }) | Packet::PubComp(PubComp { pkid }) => assert_ne!(*pkid, 0),
        Packet::PingReq | Packet::Disconnect => {}
        other => panic!("not a client's packet: {other:?}"),
    }
}
