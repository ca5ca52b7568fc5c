//! Tests of `session`: see there.
use bytes::BytesMut;
use rumqttc::mqttbytes::v4::{PubRel, SubscribeFilter};

use super::*;

const A: &str = "simpul/v1/a/up/event";

fn session() -> Session {
    let identity = Identity::from_common_name("a").unwrap();
    let mut session = Session::new(Arc::new(identity));
    let mut connect = Connect::new("agent");
    connect.clean_session = false;
    connect.keep_alive = 10;
    session.attach(1, connect, Moment::ZERO);
    session
}

fn publish(topic: &str, qos: QoS, packet_id: u16) -> Frame {
    let mut publish = Publish::new(topic, qos, "x");
    publish.pkid = packet_id;
    Frame::Packet(Packet::Publish(publish))
}

/// Feed a frame; what is answered, and what is asked for.
fn feed(session: &mut Session, frame: Frame) -> Result<(Vec<u8>, Vec<Action>), Close> {
    let (mut output, mut actions) = (BytesMut::new(), Vec::new());
    session.frame(frame, &mut output, &mut actions)?;
    Ok((output.to_vec(), actions))
}

fn committed(session: &mut Session) -> Vec<u8> {
    let mut output = BytesMut::new();
    session.committed(&mut output);
    output.to_vec()
}

#[test]
fn a_refused_publish_waits_its_turn_behind_an_uncommitted_one() {
    let mut session = session();
    assert_eq!(feed(&mut session, publish(A, QoS::AtLeastOnce, 1)).unwrap().0, b"");
    let (answer, actions) = feed(&mut session, publish("simpul/v1/b/state", QoS::AtLeastOnce, 2)).unwrap();
    assert_eq!((answer, actions), (vec![], vec![Action::Refused("simpul/v1/b/state".into())]));
    assert_eq!(committed(&mut session), [0x40, 2, 0, 1, 0x40, 2, 0, 2]);
}

#[test]
fn quality_2_is_delivered_once_however_often_it_is_sent() {
    let mut session = session();
    let (answer, actions) = feed(&mut session, publish(A, QoS::ExactlyOnce, 5)).unwrap();
    assert_eq!((answer.len(), actions.len()), (0, 1));
    assert_eq!(feed(&mut session, publish(A, QoS::ExactlyOnce, 5)).unwrap(), (vec![], vec![]), "still committing");
    assert_eq!(committed(&mut session), [0x50, 2, 0, 5]);
    assert_eq!(feed(&mut session, publish(A, QoS::ExactlyOnce, 5)).unwrap(), (vec![0x50, 2, 0, 5], vec![]));
    // Also on the next connection, as long as it is not released.
    let mut connect = Connect::new("agent");
    connect.clean_session = false;
    session.attach(2, connect, Moment::ZERO);
    assert_eq!(feed(&mut session, publish(A, QoS::ExactlyOnce, 5)).unwrap(), (vec![0x50, 2, 0, 5], vec![]));
    let release = || Frame::Packet(Packet::PubRel(PubRel::new(5)));
    assert_eq!(feed(&mut session, release()).unwrap().0, [0x70, 2, 0, 5]);
    assert_eq!(feed(&mut session, release()).unwrap().0, [0x70, 2, 0, 5], "its PUBCOMP may have been lost");
    assert_eq!(feed(&mut session, publish(A, QoS::ExactlyOnce, 5)).unwrap().1.len(), 1, "a new message");
    assert!(feed(&mut session, release()).is_err(), "released before its PUBREC");
}

#[test]
fn unreleased_publishes_are_bounded() {
    let mut session = session();
    for packet_id in 1..=UNRELEASED_MAX as u16 {
        feed(&mut session, publish(A, QoS::ExactlyOnce, packet_id)).unwrap();
        committed(&mut session);
    }
    let one_more = feed(&mut session, publish(A, QoS::ExactlyOnce, UNRELEASED_MAX as u16 + 1));
    assert!(matches!(one_more, Err(Close::Violation(_))));
}

#[test]
fn the_window_closes_at_its_limit_and_opens_with_each_commit() {
    let mut session = session();
    for packet_id in 1..=WINDOW as u16 {
        assert!(session.has_room());
        feed(&mut session, publish(A, QoS::AtLeastOnce, packet_id)).unwrap();
    }
    assert!(!session.has_room());
    committed(&mut session);
    assert!(session.has_room());
}

#[test]
fn silence_is_one_and_a_half_keep_alives_from_the_last_byte() {
    let mut session = session();
    assert_eq!(session.silent_at(), Moment::from_millis(15_000));
    session.heard(Moment::from_millis(7_000));
    assert_eq!(session.silent_at(), Moment::from_millis(22_000));
}

#[test]
fn filters_are_capped_and_a_repeated_one_changes_its_quality() {
    let mut session = session();
    let subscribe = |from: usize, count: usize, qos| {
        let filter = |index| SubscribeFilter::new(format!("simpul/v1/a/{index}"), qos);
        let mut subscribe = Subscribe::new_many((from..from + count).map(filter));
        subscribe.pkid = 1;
        Frame::Packet(Packet::Subscribe(subscribe))
    };
    for from in (0..SUBSCRIPTIONS_MAX).step_by(16) {
        feed(&mut session, subscribe(from, 16, QoS::AtMostOnce)).unwrap();
    }
    let (answer, actions) = feed(&mut session, subscribe(1_000, 1, QoS::AtMostOnce)).unwrap();
    assert_eq!((answer, actions), (vec![0x90, 3, 0, 1, 0x80], vec![]));
    let (answer, _) = feed(&mut session, subscribe(3, 1, QoS::AtLeastOnce)).unwrap();
    assert_eq!(answer, [0x90, 3, 0, 1, 1]);
    assert_eq!(session.subscriptions.len(), SUBSCRIPTIONS_MAX);
    assert_eq!(session.subscriptions[3].1, QoS::AtLeastOnce);
}

#[test]
fn a_goodbye_takes_the_will_with_it() {
    let mut session = session();
    session.will = Some(Box::new(LastWill::new("simpul/v1/a/state", "offline", QoS::AtMostOnce, true)));
    let goodbye = feed(&mut session, Frame::Packet(Packet::Disconnect)).unwrap_err();
    assert_eq!((goodbye.wills(), session.will.is_none()), (false, true));
    assert!(Close::KeepAlive.wills() && Close::TakenOver.wills() && !Close::Shutdown.wills());
}
