//! MQTT 3.1.1 as clients in the field expect it: the cases of the Eclipse Paho interoperability tests, in our own
//! words, within the topics that our access rules allow.
#![allow(clippy::unwrap_used, reason = "a test may end where it fails")]

mod mqtt_support;
use std::sync::Arc;

use mqtt_support::*;
use rumqttc::{AsyncClient, Event, MqttOptions, Packet, QoS, TlsConfiguration};

const A: &str = "35.12.07.2003-01";

fn topic(rest: &str) -> String {
    format!("simpul/v1/{A}/{rest}")
}

#[tokio::test]
async fn publishes_of_each_quality_reach_intake_and_a_subscriber() {
    let (rig, kept) = Rig::start(|_| {}).await;
    let mut reader = rig.client("ops.room", "reader", true).await;
    reader.send(&subscribe(1, &[("simpul/v1/#", 2)])).await;
    reader.expect(&suback(1, &[2])).await;
    let mut node = rig.client(A, "agent", true).await;
    let event = topic("up/event");
    node.send(&publish(&event, b"zero", 0, 0, 0)).await;
    node.send(&publish(&event, b"one", 1, 11, 0)).await;
    node.expect(&acknowledgement(0x40, 11)).await;
    node.send(&publish(&event, b"two", 2, 12, 0)).await;
    node.expect(&acknowledgement(0x50, 12)).await;
    node.send(&acknowledgement(0x62, 12)).await;
    node.expect(&acknowledgement(0x70, 12)).await;
    reader.expect(&publish(&event, b"zero", 0, 0, 0)).await;
    reader.expect(&publish(&event, b"one", 1, 1, 0)).await;
    reader.expect(&publish(&event, b"two", 2, 2, 0)).await;
    reader.send(&acknowledgement(0x40, 1)).await;
    reader.send(&acknowledgement(0x50, 2)).await;
    reader.expect(&acknowledgement(0x62, 2)).await;
    reader.send(&acknowledgement(0x70, 2)).await;
    reader.expect_silence().await;
    assert_eq!(kept.payloads(), [b"zero".to_vec(), b"one".to_vec(), b"two".to_vec()]);
}

#[tokio::test]
async fn a_retained_state_reaches_later_subscribers_until_it_is_cleared() {
    let (rig, _kept) = Rig::start(|_| {}).await;
    let mut node = rig.client(A, "agent", true).await;
    node.send(&publish(&topic("state"), b"online", 1, 1, RETAIN)).await;
    node.expect(&acknowledgement(0x40, 1)).await;
    // A batch is nothing for later readers, whatever its flag says.
    node.send(&publish(&topic("up/event"), b"batch", 1, 2, RETAIN)).await;
    node.expect(&acknowledgement(0x40, 2)).await;
    let mut reader = rig.client("ops.room", "reader", true).await;
    reader.send(&subscribe(1, &[("simpul/v1/+/state", 0), ("simpul/v1/+/up/+", 0)])).await;
    reader.expect(&suback(1, &[0, 0])).await;
    reader.expect(&publish(&topic("state"), b"online", 0, 0, RETAIN)).await;
    reader.expect_silence().await;
    node.send(&publish(&topic("state"), b"", 1, 3, RETAIN)).await;
    node.expect(&acknowledgement(0x40, 3)).await;
    reader.expect(&publish(&topic("state"), b"", 0, 0, 0)).await;
    let mut later = rig.client("ops.room", "later", true).await;
    later.send(&subscribe(1, &[("simpul/v1/#", 0)])).await;
    later.expect(&suback(1, &[0])).await;
    later.expect_silence().await;
}

#[tokio::test]
async fn thousands_of_retained_states_are_replayed_through_a_small_queue() {
    let (rig, _kept) = Rig::start(|limits| limits.queue_messages_max = 20).await;
    for index in 0..3_000 {
        rig.publish(&format!("simpul/v1/n-{index}/state"), "online", 1, true).await;
    }
    eventually("all retained", || rig.handle.stats().retained == 3_000).await;
    let mut reader = rig.client("ops.room", "reader", true).await;
    reader.send(&subscribe(1, &[("simpul/v1/+/state", 1)])).await;
    reader.expect(&suback(1, &[1])).await;
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..3_000 {
        let packet = reader.packet().await;
        assert_eq!(packet[0], 0x33, "quality 1, retained");
        let length = usize::from(packet[3]);
        seen.insert(packet[4..4 + length].to_vec());
        let packet_id = u16::from_be_bytes([packet[4 + length], packet[5 + length]]);
        reader.send(&acknowledgement(0x40, packet_id)).await;
    }
    assert_eq!(seen.len(), 3_000);
    reader.expect_silence().await;
    assert_eq!(rig.handle.stats().dropped_queue_full, 0);
}

#[tokio::test]
async fn messages_wait_for_a_client_that_keeps_its_session() {
    let (rig, _kept) = Rig::start(|_| {}).await;
    let mut node = rig.client(A, "agent", false).await;
    node.send(&subscribe(1, &[(&topic("cmd"), 1)])).await;
    node.expect(&suback(1, &[1])).await;
    node.send(DISCONNECT).await;
    node.rest().await;
    eventually("offline", || rig.handle.stats().offline_sessions == 1).await;
    for index in 0..3 {
        rig.publish(&topic("cmd"), &format!("command {index}"), 1, false).await;
    }
    rig.publish(&topic("cmd"), "best effort", 0, false).await;
    let mut node = rig.raw(A).await;
    node.send(&connect("agent", false, 60)).await;
    node.expect(&[0x20, 2, 1, 0]).await;
    for index in 0..3u16 {
        node.expect(&publish(&topic("cmd"), format!("command {index}").as_bytes(), 1, index + 1, 0)).await;
        node.send(&acknowledgement(0x40, index + 1)).await;
    }
    node.expect_silence().await;
    // A clean session forgets all of it.
    drop(node);
    let mut node = rig.client(A, "agent", true).await;
    rig.publish(&topic("cmd"), "for nobody", 1, false).await;
    node.expect_silence().await;
}

#[tokio::test]
async fn what_was_not_acknowledged_is_sent_again_as_a_duplicate() {
    let (rig, _kept) = Rig::start(|_| {}).await;
    let mut node = rig.client(A, "agent", false).await;
    node.send(&subscribe(1, &[(&topic("cmd"), 1)])).await;
    node.expect(&suback(1, &[1])).await;
    rig.publish(&topic("cmd"), "first", 1, false).await;
    rig.publish(&topic("cmd"), "second", 1, false).await;
    node.expect(&publish(&topic("cmd"), b"first", 1, 1, 0)).await;
    node.expect(&publish(&topic("cmd"), b"second", 1, 2, 0)).await;
    node.send(&acknowledgement(0x40, 1)).await;
    node.expect_silence().await;
    drop(node);
    let mut node = rig.raw(A).await;
    node.send(&connect("agent", false, 60)).await;
    node.expect(&[0x20, 2, 1, 0]).await;
    node.expect(&publish(&topic("cmd"), b"second", 1, 2, DUP)).await;
    node.send(&acknowledgement(0x40, 2)).await;
    node.expect_silence().await;
}

#[tokio::test]
async fn a_last_will_is_published_when_the_client_vanishes_and_not_when_it_says_goodbye() {
    let (rig, kept) = Rig::start(|_| {}).await;
    let mut reader = rig.client("ops.room", "reader", true).await;
    reader.send(&subscribe(1, &[("simpul/v1/+/state", 0)])).await;
    reader.expect(&suback(1, &[0])).await;
    let will = connect_with_will("agent", true, &topic("state"), "offline", true);
    let mut node = rig.raw(A).await;
    node.send(&will).await;
    node.expect(&[0x20, 2, 0, 0]).await;
    node.send(DISCONNECT).await;
    node.rest().await;
    reader.expect_silence().await;
    let mut node = rig.raw(A).await;
    node.send(&will).await;
    node.expect(&[0x20, 2, 0, 0]).await;
    drop(node);
    reader.expect(&publish(&topic("state"), b"offline", 0, 0, 0)).await;
    kept.until("the will reaches intake", |seen| {
        seen.contains(&Seen::Publish { topic: topic("state"), payload: b"offline".to_vec(), retain: true })
    })
    .await;
    assert_eq!(rig.handle.stats().retained, 1);
}

#[tokio::test]
async fn a_takeover_publishes_the_old_will_before_anything_of_the_new_connection() {
    let (rig, kept) = Rig::start(|_| {}).await;
    let will = connect_with_will("agent", false, &topic("state"), "offline", true);
    let mut first = rig.raw(A).await;
    first.send(&will).await;
    first.expect(&[0x20, 2, 0, 0]).await;
    let mut second = rig.raw(A).await;
    second.send(&[will, publish(&topic("state"), b"online", 1, 1, RETAIN)].concat()).await;
    second.expect(&[0x20, 2, 1, 0]).await;
    second.expect(&acknowledgement(0x40, 1)).await;
    assert_eq!(first.rest().await, b"");
    assert_eq!(kept.payloads(), [b"offline".to_vec(), b"online".to_vec()]);
    let mut reader = rig.client("ops.room", "reader", true).await;
    reader.send(&subscribe(1, &[("simpul/v1/#", 0)])).await;
    reader.expect(&suback(1, &[0])).await;
    reader.expect(&publish(&topic("state"), b"online", 0, 0, RETAIN)).await;
    assert_eq!(rig.handle.sessions(), 2);
}

#[tokio::test]
async fn after_a_takeover_messages_reach_the_new_connection_at_once() {
    let (rig, _kept) = Rig::start(|_| {}).await;
    let mut first = rig.client(A, "agent", false).await;
    first.send(&subscribe(1, &[(&topic("cmd"), 1)])).await;
    first.expect(&suback(1, &[1])).await;
    let mut second = rig.raw(A).await;
    second.send(&connect("agent", false, 60)).await;
    second.expect(&[0x20, 2, 1, 0]).await;
    assert_eq!(first.rest().await, b"");
    // The second sends nothing more: only the router can wake its connection.
    rig.publish(&topic("cmd"), "now", 1, false).await;
    second.expect(&publish(&topic("cmd"), b"now", 1, 1, 0)).await;
}

#[tokio::test]
async fn overlapping_subscriptions_get_one_copy_at_the_best_quality() {
    let (rig, _kept) = Rig::start(|_| {}).await;
    let mut node = rig.client(A, "agent", true).await;
    node.send(&subscribe(1, &[(&topic("#"), 0), (&topic("cmd"), 1), (&topic("+"), 2)])).await;
    node.expect(&suback(1, &[0, 1, 2])).await;
    rig.publish(&topic("cmd"), "once", 1, false).await;
    node.expect(&publish(&topic("cmd"), b"once", 1, 1, 0)).await;
    node.send(&acknowledgement(0x40, 1)).await;
    node.expect_silence().await;
    node.send(&unsubscribe(2, &topic("+"))).await;
    node.expect(&acknowledgement(0xb0, 2)).await;
    node.send(&unsubscribe(3, &topic("cmd"))).await;
    node.expect(&acknowledgement(0xb0, 3)).await;
    rig.publish(&topic("cmd"), "again", 1, false).await;
    node.expect(&publish(&topic("cmd"), b"again", 0, 0, 0)).await;
    node.expect_silence().await;
}

#[tokio::test]
async fn a_silent_client_is_closed_after_one_and_a_half_keep_alives() {
    let (rig, kept) = Rig::start(|_| {}).await;
    let mut node = rig.raw(A).await;
    let started = tokio::time::Instant::now();
    node.send(&connect("agent", true, 1)).await;
    node.expect(&[0x20, 2, 0, 0]).await;
    node.send(&subscribe(1, &[(&topic("ack"), 0)])).await;
    node.expect(&suback(1, &[0])).await;
    assert_eq!(node.rest().await, b"");
    let silence = started.elapsed().as_secs_f64();
    assert!(silence >= 1.5, "closed after {silence} s");
    assert_eq!(rig.handle.stats().keepalive_timeouts, 1);
    let why = "silent for longer than its keep-alive allows".to_owned();
    kept.until("intake is told", |seen| seen.contains(&Seen::Disconnected(A.into(), why.clone()))).await;
    assert!(!rig.handle.connected(&A.parse().unwrap()));
}

#[tokio::test]
async fn an_empty_client_id_gets_a_session_of_its_own_only_if_clean() {
    let (rig, _kept) = Rig::start(|_| {}).await;
    let mut first = rig.client(A, "", true).await;
    let mut second = rig.client(A, "", true).await;
    first.expect_silence().await;
    second.expect_silence().await;
    let mut kept = rig.raw(A).await;
    kept.send(&connect("", false, 60)).await;
    assert_eq!(kept.rest().await, [0x20, 2, 0, 2]);
}

#[tokio::test]
async fn refused_filters_get_0x80_and_dollar_topics_stay_out_of_wildcards() {
    let (rig, _kept) = Rig::start(|_| {}).await;
    let mut operator = rig.client("ops.room", "reader", true).await;
    operator.send(&subscribe(1, &[("#", 0), ("$SYS/#", 0), ("simpul/v1/#", 1), ("+/v1/#", 0)])).await;
    operator.expect(&suback(1, &[0x80, 0x80, 1, 0x80])).await;
    rig.publish("$SYS/uptime", "1", 0, false).await;
    rig.publish("simpul/v1/x/state", "1", 0, false).await;
    operator.expect(&publish("simpul/v1/x/state", b"1", 0, 0, 0)).await;
    operator.expect_silence().await;
}

#[tokio::test]
async fn a_node_is_announced_once_when_it_can_hear_its_acknowledgements() {
    let (rig, kept) = Rig::start(|_| {}).await;
    let id = A.parse().unwrap();
    let mut node = rig.client(A, "agent", false).await;
    node.expect_silence().await;
    assert!(!rig.handle.connected(&id) && kept.all().is_empty(), "not before it listens");
    node.send(&subscribe(1, &[(&topic("#"), 1)])).await;
    node.expect(&suback(1, &[1])).await;
    kept.until("announced", |seen| seen == [Seen::Connected(A.into())]).await;
    assert!(rig.handle.connected(&id));
    drop(node);
    kept.until("gone", |seen| matches!(&seen[1..], [Seen::Disconnected(node, _)] if node == A)).await;
    // The session is still subscribed: the next connection is announced at once, and only once.
    let mut node = rig.client(A, "agent", false).await;
    node.send(&subscribe(2, &[(&topic("#"), 1)])).await;
    node.expect(&suback(2, &[1])).await;
    node.expect_silence().await;
    assert_eq!(kept.all()[2..], [Seen::Connected(A.into())]);
}

#[tokio::test]
async fn a_client_id_does_not_reach_into_another_nodes_session() {
    let (rig, _kept) = Rig::start(|_| {}).await;
    let mut a = rig.client(A, "agent", false).await;
    let mut b = rig.raw("35.12.07.2003-010").await;
    b.send(&connect("agent", false, 60)).await;
    b.expect(&[0x20, 2, 0, 0]).await;
    a.expect_silence().await;
    assert_eq!(rig.handle.sessions(), 2);
}

#[tokio::test]
async fn a_shutdown_closes_clients_without_their_wills() {
    let (rig, kept) = Rig::start(|_| {}).await;
    let mut node = rig.raw(A).await;
    node.send(&connect_with_will("agent", true, &topic("state"), "offline", true)).await;
    node.expect(&[0x20, 2, 0, 0]).await;
    rig.shutdown.send(true).unwrap();
    assert_eq!(node.rest().await, b"");
    rig.handle.join().await;
    assert_eq!(kept.payloads(), Vec::<Vec<u8>>::new());
}

#[tokio::test]
async fn rumqttc_with_its_hundred_in_flight_gets_everything_through_and_its_commands() {
    let (rig, kept) = Rig::start(|_| {}).await;
    let mut options = MqttOptions::new(A, "localhost", rig.address.port());
    let tls = client_config(&rig.pki.ca_file(), Some(&rig.pki.client(A)));
    options
        .set_transport(rumqttc::Transport::Tls(TlsConfiguration::Rustls(Arc::new(tls))))
        .set_clean_session(false)
        .set_max_packet_size(100_000, 100_000)
        .set_inflight(100);
    let (client, mut events) = AsyncClient::new(options, 10);
    client.subscribe(topic("cmd"), QoS::AtLeastOnce).await.unwrap();
    let sending = tokio::spawn(async move {
        for index in 0..500u32 {
            let payload = [&index.to_be_bytes()[..], &[0; 10_000]].concat();
            client.publish(topic("up/service"), QoS::AtLeastOnce, false, payload).await.unwrap();
        }
        client
    });
    let (mut acknowledged, mut commanded) = (0, false);
    while acknowledged < 500 || !commanded {
        match tokio::time::timeout(PATIENCE, events.poll()).await.expect("stuck").unwrap() {
            Event::Incoming(Packet::SubAck(_)) => rig.publish(&topic("cmd"), "restart", 1, false).await,
            Event::Incoming(Packet::PubAck(_)) => acknowledged += 1,
            Event::Incoming(Packet::Publish(publish)) => commanded = publish.topic == topic("cmd"),
            _ => {}
        }
    }
    let _client = sending.await.unwrap();
    let numbers: Vec<u32> =
        kept.payloads().iter().map(|payload| u32::from_be_bytes(payload[..4].try_into().unwrap())).collect();
    assert_eq!(numbers, (0..500).collect::<Vec<_>>());
}
