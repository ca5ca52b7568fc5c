//! Boards without a clock battery: the agent's own code, with a clock that is years off, against a real hub.

use simpul_agent::config::{ClockTrust, Config};
use simpul_agent::enrolment::access::Enrolment;
use simpul_agent::enrolment::client;
use simpul_agent::uplink::tls::JudgingTime;
use simpul_clock::Clock;

use super::*;

const YEAR_MS: i64 = 365 * 86_400_000;

fn enrolment(node: &Node, wall_ms: i64, trust: ClockTrust) -> Enrolment {
    let config = Config::load(&node.directory().join("agent.toml")).unwrap();
    let time = JudgingTime::new(Clock::held(wall_ms), trust, 0);
    Enrolment::new(config.node, config.enrolment, config.uplink, time)
}

#[tokio::test]
async fn clocks_that_are_years_off_in_either_direction_enrol_and_renew() {
    let district = Enrolling::start(LIFE_SECONDS).await;
    let now_ms = Clock::machine().wall_ms();
    for (name, wall_ms) in [("1970", 0), ("years-back", now_ms - 9 * YEAR_MS), ("2099", now_ms + 73 * YEAR_MS)] {
        let node = Node::prepare_bare(&district.folder.path().join(name), NODE).unwrap();
        node.give_token(&district.token(NODE).await).unwrap();
        let enrolment = enrolment(&node, wall_ms, ClockTrust::Auto);
        let kept = enrolment.enrol_if_new().await.unwrap_or_else(|error| panic!("{name}: {error}")).unwrap();
        let key = enrolment.store().pending_key().unwrap();
        client::renew(&kept, &key, enrolment.time()).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        // The uplink's TLS as well.
        assert!(enrolment.access().await.is_ok(), "{name}");
    }
}

#[tokio::test]
async fn a_clock_that_is_believed_refuses_what_has_expired() {
    let district = Enrolling::start(LIFE_SECONDS).await;
    let node = district.bare(NODE);
    node.give_token(&district.token(NODE).await).unwrap();
    let enrolment = enrolment(&node, Clock::machine().wall_ms() + 73 * YEAR_MS, ClockTrust::Trust);
    let error = enrolment.enrol_if_new().await.unwrap_err().to_string();
    assert!(error.contains("expired"), "{error}");
}
