//! The uplink against a real broker (Debian's mosquitto) over TLS with client certificates: spool, scheduler, driver
//! and adapter as they ship, with a hub of the test's own behind the broker.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test against a real process: deadlines, and helpers that fail loudly"
)]

#[allow(dead_code, reason = "shared with the tests of updates, which use more of it")]
#[path = "uplink_mosquitto/district.rs"]
mod district;

use std::time::Duration;

use district::{District, event, image, readings, service};
use simpul_agent::spool::NewRecord;
use simpul_agent::uplink::mqtt::{Link, LinkEvent, PublishError};
use simpul_wire::Stream;
use simpul_wire::ack::RejectReason;
use simpul_wire::command::{Action, Command};
use simpul_wire::limits::PAYLOAD_BYTES_MAX;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_that_was_appended_reaches_the_hub_and_is_freed() {
    let district = District::start().await;
    let agent = district.agent("everything", |_| {}).await;
    for number in 0..50 {
        agent.spool.append(service(number)).await.unwrap();
        agent.spool.append(event(number)).await.unwrap();
    }
    agent.spool.append(readings(120)).await.unwrap();
    let (meta, jpeg) = image(150_000);
    agent.spool.append(NewRecord::Snapshot { meta, jpeg: jpeg.clone() }).await.unwrap();
    agent.until_drained().await;
    let hub = district.hub();
    assert_eq!(hub.have(Stream::Service).count(), 50);
    assert!(hub.have(Stream::Event).count() >= 50, "and the link's own events");
    assert_eq!(hub.have(Stream::Reading).count(), 120);
    assert_eq!(hub.images(), [jpeg]);
    assert!(hub.states().last().unwrap().online);
    let status = agent.status();
    assert!(status.up && status.last_ack_at.is_some() && status.refused_records == 0, "{status:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_is_killed_loses_nothing() {
    let mut district = District::start().await;
    let agent = district.agent("killed", |_| {}).await;
    for round in 0..5 {
        // Killed while a session is up and records are on their way.
        agent.until_sessions(round + 1).await;
        for number in 0..40 {
            agent.spool.append(service(round * 40 + number)).await.unwrap();
        }
        district.restart_broker().await;
    }
    agent.until_drained().await;
    let hub = district.hub();
    assert_eq!(hub.have(Stream::Service).count(), 200);
    assert!(agent.status().sessions >= 5, "{:?}", agent.status());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_acknowledgement_is_made_up_for_by_sending_again() {
    let district = District::start().await;
    let agent = district.agent_without_link("lossy").await;
    for number in 0..20 {
        agent.append(service(number)).await.unwrap();
    }
    district.hub().lose_next_ack();
    let agent = district.link(agent, |_| {}).await;
    agent.until_drained().await;
    assert_eq!(district.hub().have(Stream::Service).count(), 20);
    assert_eq!(district.hub().lost(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_bad_record_is_found_and_the_others_arrive() {
    let district = District::start().await;
    let agent = district.agent_without_link("bad").await;
    for number in 0..64 {
        agent.append(service(number)).await.unwrap();
    }
    let bad = 37;
    district.hub().refuse(Stream::Service, bad, RejectReason::Malformed);
    let agent = district.link(agent, |_| {}).await;
    agent.until_drained().await;
    let have = district.hub().have(Stream::Service);
    assert!(!have.contains(bad) && have.count() == 63, "{have}");
    let state = agent.spool.state().borrow().clone();
    assert_eq!(state.stream(Stream::Service).lost_records, 1, "counted as lost");
    assert_eq!(agent.status().refused_records, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_goodbye_says_offline_and_so_does_the_last_will() {
    let district = District::start().await;
    for orderly in [true, false] {
        let mut agent = district.agent(if orderly { "goodbye" } else { "will" }, |_| {}).await;
        agent.until_up().await;
        district.hub().until_online(true).await;
        if orderly {
            agent.stop().await;
        } else {
            agent.abort();
        }
        district.hub().until_online(false).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connected_agent_stops_in_order_and_within_its_time() {
    let district = District::start().await;
    let mut program = district.program().await;
    district.hub().until_online(true).await;
    program.terminate();
    let ended = program.wait_for_end(Duration::from_secs(10)).await.unwrap();
    assert!(ended.success(), "{}", program.log_tail());
    assert_eq!(program.complaints(), Vec::<String>::new());
    // The stopping event arrived before the goodbye.
    district.hub().until_online(false).await;
    let state = district.hub().states().pop().unwrap();
    let events = state.streams.iter().find(|status| status.stream == Stream::Event).unwrap();
    assert!(events.next_seq > 1 && events.backlog_records == 0, "{state:?}");
    assert!(district.hub().have(Stream::Event).contains(events.next_seq - 1), "{state:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hub_of_another_authority_is_refused_and_another_name_can_be_configured() {
    let district = District::start().await;
    let stranger = district.foreign_ca();
    let agent = district.agent("stranger", |uplink| uplink.ca_file = stranger.clone()).await;
    let error = agent.until_error().await;
    assert!(error.contains("UnknownIssuer"), "{error}");
    drop(agent);
    let agent = district.agent("misnamed", |uplink| uplink.server_name = Some("hub.elsewhere".to_string())).await;
    let error = agent.until_error().await;
    assert!(error.contains("not valid for name \"hub.elsewhere\""), "{error}");
    drop(agent);
    // The certificate names localhost; the address is 127.0.0.1, which it names too, and so either will do.
    let agent = district.agent("named", |uplink| uplink.server_name = Some("localhost".to_string())).await;
    agent.until_up().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_oversize_publish_never_reaches_the_broker_and_the_next_one_does() {
    let district = District::start().await;
    let mut link = Link::connect(&district.address(), district.link_options()).unwrap();
    assert!(matches!(link.next().await, Some(LinkEvent::Connected { .. })));
    let size = PAYLOAD_BYTES_MAX + 1;
    assert_eq!(link.publish(1, Stream::Event, vec![0; size]), Err(PublishError::TooLarge { size }));
    link.publish(2, Stream::Event, vec![0; PAYLOAD_BYTES_MAX]).unwrap();
    let acked = tokio::time::timeout(Duration::from_secs(10), link.next()).await.unwrap();
    assert!(matches!(acked, Some(LinkEvent::PubAcked(2))), "{acked:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_and_the_hubs_state_arrive() {
    let district = District::start().await;
    let mut agent = district.agent("commanded", |_| {}).await;
    agent.until_up().await;
    let command =
        Command { id: [7; 16], ttl_ms: 1_000, action: Action::SnapshotNow { camera: "gate".parse().unwrap() } };
    district.hub().command(&command).await;
    let received = tokio::time::timeout(Duration::from_secs(10), agent.commands.recv()).await.unwrap().unwrap();
    assert_eq!(received.0, command);
    let generation = district.hub().generation();
    let mut state = agent.spool.state();
    let known = state.wait_for(|state| state.generation == Some(generation));
    tokio::time::timeout(Duration::from_secs(10), known).await.unwrap().unwrap();
    assert_eq!(district.hub().states().last().unwrap().streams.len(), 4);
}
