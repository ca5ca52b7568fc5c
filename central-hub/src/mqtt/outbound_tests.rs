//! Tests of `outbound`: see there.
use super::*;

fn delivery(payload: &str, qos: QoS) -> Delivery {
    let message = Arc::new(Message { topic: "t".into(), payload: payload.to_owned().into() });
    Delivery { message, qos, retain: false }
}

fn written(outbound: &mut Outbound) -> Vec<u8> {
    let mut output = BytesMut::new();
    outbound.write(&mut output, 1 << 20);
    output.to_vec()
}

#[test]
fn in_flight_messages_are_bounded_and_ids_are_never_shared() {
    let limits = Limits::default();
    let mut outbound = Outbound::default();
    outbound.resume();
    outbound.last_id = u16::MAX - 3;
    for _ in 0..100 {
        assert_eq!(outbound.deliver(delivery("x", QoS::AtLeastOnce), &limits), Queued::Yes);
    }
    written(&mut outbound);
    let ids: std::collections::BTreeSet<u16> = outbound.in_flight.iter().map(|entry| entry.packet_id).collect();
    assert_eq!((ids.len(), ids.contains(&0)), (IN_FLIGHT_MAX, false));
    outbound.acknowledged(1);
    assert_eq!(written(&mut outbound).len(), 2 + 2 + 1 + 2 + 1, "one more went out");
    outbound.acknowledged(9_999);
    assert_eq!(written(&mut outbound).len(), 0);
}

#[test]
fn quality_2_is_released_and_after_a_new_connection_released_again() {
    let mut outbound = Outbound::default();
    outbound.resume();
    outbound.deliver(delivery("x", QoS::ExactlyOnce), &Limits::default());
    written(&mut outbound);
    let mut output = BytesMut::new();
    outbound.received(1, &mut output);
    assert_eq!(&output[..], [0x62, 2, 0, 1]);
    outbound.acknowledged(1);
    outbound.detach();
    outbound.resume();
    assert_eq!(written(&mut outbound), [0x62, 2, 0, 1], "not the message again");
    outbound.completed(1);
    outbound.detach();
    outbound.resume();
    assert_eq!(written(&mut outbound), b"");
}

#[test]
fn the_queue_is_bounded_in_bytes_and_messages_by_quality() {
    let limits = Limits { queue_bytes_max: 1_000, queue_messages_max: 5, ..Limits::default() };
    let mut outbound = Outbound::default();
    assert_eq!(outbound.deliver(delivery("x", QoS::AtMostOnce), &limits), Queued::Away);
    outbound.resume();
    let large = "x".repeat(800);
    assert_eq!(outbound.deliver(delivery(&large, QoS::AtMostOnce), &limits), Queued::Yes);
    assert_eq!(outbound.deliver(delivery(&large, QoS::AtMostOnce), &limits), Queued::Slow);
    assert_eq!(outbound.deliver(delivery(&large, QoS::AtLeastOnce), &limits), Queued::Full);
    written(&mut outbound);
    assert_eq!(outbound.queue_bytes, 0);
    for _ in 0..5 {
        assert_eq!(outbound.deliver(delivery("x", QoS::AtLeastOnce), &limits), Queued::Yes);
    }
    assert_eq!(outbound.deliver(delivery("x", QoS::AtMostOnce), &limits), Queued::Slow);
    outbound.detach();
    assert_eq!(outbound.queue.len(), 5);
}

#[test]
fn a_replay_waits_for_the_queue_and_ends() {
    let mut outbound = Outbound::default();
    outbound.resume();
    outbound.replay("#", QoS::AtMostOnce);
    outbound.deliver(delivery("live", QoS::AtMostOnce), &Limits::default());
    assert!(outbound.replaying().is_none());
    written(&mut outbound);
    assert!(outbound.replaying().is_some());
    outbound.replayed("#", vec![delivery("kept", QoS::AtMostOnce).message], Some("t".into()));
    assert_eq!(written(&mut outbound)[0], 0x31, "with the retain flag");
    assert_eq!(outbound.replaying().unwrap().after.as_deref(), Some("t"));
    outbound.replayed("#", Vec::new(), None);
    assert!(outbound.replaying().is_none());
}
