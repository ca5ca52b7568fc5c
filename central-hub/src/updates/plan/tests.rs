//! The planner's rules, one by one.

use super::*;

const MINUTE_MS: i64 = 60_000;

/// A rollout of an agent's program over `count` nodes, and the nodes, all online.
fn district(count: usize, rings: &str) -> (Rollout, Fleet) {
    let nodes = (0..count).map(|n| (format!("n-{n:04}").parse().unwrap(), Progress::default()));
    let rollout = Rollout {
        part: Part::Agent,
        version: "0.2.0".into(),
        platforms: Some(vec!["aarch64-linux".into(), "armv7-linux".into()]),
        rings: rings.parse().unwrap(),
        soak_ms: HOUR_MS,
        pause_on: 3,
        made_ms: 0,
        state: State::Running,
        reason: String::new(),
        forgiven: [0, 0],
        lanes: BTreeMap::new(),
        nodes: nodes.collect(),
    };
    let fleet = rollout.nodes.keys().map(|node| (node.clone(), seen("aarch64-linux", "0.1.0"))).collect();
    (rollout, fleet)
}

fn seen(platform: &str, version: &str) -> Seen {
    Seen { online: true, healthy: true, heard_ms: 0, platform: Some(platform.into()), version: Some(version.into()) }
}

fn node(number: usize) -> NodeId {
    format!("n-{number:04}").parse().unwrap()
}

fn told(actions: &[Action]) -> Vec<NodeId> {
    actions
        .iter()
        .filter_map(|action| if let Action::Tell(node) = action { Some(node.clone()) } else { None })
        .collect()
}

fn alarms(actions: &[Action]) -> Vec<&str> {
    actions
        .iter()
        .filter_map(|action| if let Action::Alarm(why) = action { Some(why.as_str()) } else { None })
        .collect()
}

fn confirm(rollout: &mut Rollout, now_ms: i64, nodes: &[NodeId]) {
    for node in nodes {
        rollout.on(now_ms, Event::Reported(node, Step::Confirmed, ""));
    }
}

#[test]
fn one_then_ten_then_all_and_each_only_after_the_proof_and_the_soak_of_the_one_before() {
    let (mut rollout, fleet) = district(25, "1,10,all");
    let first = told(&rollout.on(0, Event::Look(&fleet)));
    assert_eq!(first, [node(0)]);
    assert!(told(&rollout.on(5 * HOUR_MS, Event::Look(&fleet))).is_empty(), "nothing was proved yet");
    confirm(&mut rollout, 5 * HOUR_MS, &first);
    assert!(told(&rollout.on(6 * HOUR_MS - 1, Event::Look(&fleet))).is_empty(), "the soak");
    rollout.on(6 * HOUR_MS, Event::Look(&fleet));
    let second = told(&rollout.on(6 * HOUR_MS, Event::Look(&fleet)));
    assert_eq!(second.len(), 9, "ten in all");
    confirm(&mut rollout, 7 * HOUR_MS, &second[1..]);
    assert!(told(&rollout.on(9 * HOUR_MS, Event::Look(&fleet))).is_empty(), "one of the ten is not there yet");
    confirm(&mut rollout, 9 * HOUR_MS, &second[..1]);
    rollout.on(10 * HOUR_MS, Event::Look(&fleet));
    let third = told(&rollout.on(10 * HOUR_MS, Event::Look(&fleet)));
    assert_eq!(third.len(), 15);
    confirm(&mut rollout, 10 * HOUR_MS, &third);
    rollout.on(10 * HOUR_MS, Event::Look(&fleet));
    rollout.on(10 * HOUR_MS, Event::Look(&fleet));
    assert_eq!(rollout.state, State::Finished);
    assert_eq!(rollout.reason, "25 nodes have it, 0 failed, 0 were left");
}

#[test]
fn each_platform_has_its_own_first_node_and_one_that_nothing_was_signed_for_gets_nothing() {
    let (mut rollout, mut fleet) = district(6, "1,all");
    for (number, platform) in [(3, "armv7-linux"), (4, "armv7-linux"), (5, "x86_64-linux")] {
        fleet.insert(node(number), seen(platform, "0.1.0"));
    }
    assert_eq!(told(&rollout.on(0, Event::Look(&fleet))), [node(0), node(3)]);
    confirm(&mut rollout, 0, &[node(0)]);
    rollout.on(2 * HOUR_MS, Event::Look(&fleet));
    let next = told(&rollout.on(2 * HOUR_MS, Event::Look(&fleet)));
    assert_eq!(next, [node(1), node(2)], "the other platform has not proved it");
    assert_eq!(rollout.nodes[&node(5)].standing(), "planned");
}

#[test]
fn one_failure_in_the_first_ring_pauses_and_nobody_is_offered_it_meanwhile() {
    for (step, word) in [(Step::RolledBack, "rolled_back"), (Step::Refused, "refused")] {
        let (mut rollout, fleet) = district(25, "2,all");
        rollout.on(0, Event::Look(&fleet));
        rollout.on(1, Event::Reported(&node(1), Step::Fetched, ""));
        let actions = rollout.on(2, Event::Reported(&node(0), step, "no hub in 15 min"));
        assert_eq!(alarms(&actions), [format!("paused: n-0000 of the first ring: {word}: no hub in 15 min")]);
        assert_eq!(rollout.state, State::Paused);
        assert!(!rollout.nodes[&node(1)].is_offered(rollout.state), "it has the bytes, but not tried them");
        rollout.on(3, Event::Reported(&node(1), Step::Trial, ""));
        assert!(rollout.nodes[&node(1)].is_offered(rollout.state), "who tries it is not cut off");
        assert!(told(&rollout.on(HOUR_MS, Event::Look(&fleet))).is_empty());
        // A person goes on: somebody else takes the place, and who failed is not asked again.
        rollout.on(HOUR_MS, Event::Resume);
        rollout.on(HOUR_MS, Event::Reported(&node(1), Step::Confirmed, ""));
        assert_eq!(told(&rollout.on(HOUR_MS, Event::Look(&fleet))), [node(2)]);
        assert_eq!(rollout.state, State::Running);
    }
}

#[test]
fn behind_the_first_ring_so_many_failures_pause_it_as_were_said() {
    let (mut rollout, fleet) = district(25, "1,all");
    rollout.on(0, Event::Look(&fleet));
    confirm(&mut rollout, 0, &[node(0)]);
    rollout.on(HOUR_MS, Event::Look(&fleet));
    rollout.on(HOUR_MS, Event::Look(&fleet));
    for number in [1, 2] {
        assert!(alarms(&rollout.on(HOUR_MS, Event::Reported(&node(number), Step::Refused, ""))).is_empty());
    }
    let actions = rollout.on(HOUR_MS, Event::Reported(&node(3), Step::RolledBack, ""));
    assert_eq!(alarms(&actions), ["paused: 3 nodes failed behind the first ring"]);
    rollout.on(HOUR_MS, Event::Resume);
    for number in [4, 5] {
        assert!(alarms(&rollout.on(HOUR_MS, Event::Reported(&node(number), Step::Refused, ""))).is_empty());
    }
    assert_eq!(alarms(&rollout.on(HOUR_MS, Event::Reported(&node(6), Step::Refused, ""))).len(), 1);
}

#[test]
fn what_a_node_reports_may_come_twice_and_in_any_order() {
    let steps = [Step::FetchFailed, Step::Fetched, Step::Waiting, Step::Trial, Step::RolledBack];
    let (rollout, fleet) = district(3, "1,all");
    let mut expected: Option<Rollout> = None;
    for order in 0..120 {
        let mut rollout = rollout.clone();
        rollout.on(0, Event::Look(&fleet));
        // Each order of the five once, by Lehmer's code, each step twice.
        let (mut left, mut code) = (steps.to_vec(), order);
        while !left.is_empty() {
            let step = left.remove(code % left.len());
            code /= left.len() + 1;
            rollout.on(1, Event::Reported(&node(0), step, ""));
            rollout.on(1, Event::Reported(&node(0), step, ""));
        }
        let expected = expected.get_or_insert_with(|| rollout.clone());
        assert_eq!(&rollout, expected, "{order}");
    }
    assert_eq!(expected.unwrap().nodes[&node(0)].standing(), "rolled_back");
}

#[test]
fn a_node_that_is_away_holds_nobody_up_for_ever() {
    let (mut rollout, mut fleet) = district(4, "1,all");
    rollout.on(0, Event::Look(&fleet));
    fleet.get_mut(&node(0)).unwrap().online = false;
    assert!(told(&rollout.on(PATIENCE_MS - 1, Event::Look(&fleet))).is_empty());
    assert_eq!(told(&rollout.on(PATIENCE_MS, Event::Look(&fleet))), [node(1)], "another one takes its place");
    assert_eq!(rollout.nodes[&node(0)].standing(), "behind");
    assert!(!rollout.nodes[&node(0)].is_offered(rollout.state));
    confirm(&mut rollout, PATIENCE_MS, &[node(1)]);
    let now_ms = PATIENCE_MS + HOUR_MS;
    rollout.on(now_ms, Event::Look(&fleet));
    assert_eq!(told(&rollout.on(now_ms, Event::Look(&fleet))), [node(2), node(3), node(0)], "its turn comes again");
    confirm(&mut rollout, now_ms, &[node(2), node(3)]);
    rollout.on(now_ms + LAST_RING_MS - 1, Event::Look(&fleet));
    assert_eq!(rollout.state, State::Running);
    rollout.on(now_ms + LAST_RING_MS, Event::Look(&fleet));
    assert_eq!((rollout.state, rollout.reason.as_str()), (State::Finished, "3 nodes have it, 0 failed, 1 were left"));
}

#[test]
fn a_first_ring_takes_only_who_is_online_and_healthy() {
    let (mut rollout, mut fleet) = district(4, "1,all");
    fleet.get_mut(&node(0)).unwrap().online = false;
    fleet.get_mut(&node(1)).unwrap().healthy = false;
    assert_eq!(told(&rollout.on(0, Event::Look(&fleet))), [node(2)]);
    let (mut rollout, mut fleet) = district(4, "1,all");
    fleet.values_mut().for_each(|seen| seen.online = false);
    assert!(told(&rollout.on(0, Event::Look(&fleet))).is_empty());
    assert!(told(&rollout.on(3 * PATIENCE_MS, Event::Look(&fleet))).is_empty(), "nobody to prove it");
}

#[test]
fn silence_after_the_update_is_a_failure_until_the_node_speaks() {
    let (mut rollout, mut fleet) = district(4, "1,all");
    rollout.on(0, Event::Look(&fleet));
    rollout.on(MINUTE_MS, Event::Reported(&node(0), Step::Trial, ""));
    let seen = fleet.get_mut(&node(0)).unwrap();
    (seen.online, seen.heard_ms) = (false, 2 * MINUTE_MS);
    assert!(alarms(&rollout.on(SILENT_MS, Event::Look(&fleet))).is_empty());
    let actions = rollout.on(SILENT_MS + 2 * MINUTE_MS, Event::Look(&fleet));
    assert_eq!(alarms(&actions), ["paused: n-0000 of the first ring: silent"]);
    rollout.on(SILENT_MS + 3 * MINUTE_MS, Event::Reported(&node(0), Step::Confirmed, ""));
    assert_eq!(rollout.nodes[&node(0)].standing(), "confirmed");
    rollout.on(SILENT_MS + 3 * MINUTE_MS, Event::Resume);
    assert_eq!(rollout.forgiven, [0, 0], "nothing had to be forgiven");
}

#[test]
fn who_runs_it_already_is_not_asked_and_a_pause_costs_nobody_patience() {
    let (mut rollout, mut fleet) = district(3, "1,all");
    fleet.insert(node(0), seen("aarch64-linux", "0.2.0"));
    assert_eq!(told(&rollout.on(0, Event::Look(&fleet))), [node(1)]);
    assert_eq!(rollout.nodes[&node(0)].standing(), "already");
    rollout.on(0, Event::Pause("by cli:agus"));
    rollout.on(2 * PATIENCE_MS, Event::Look(&fleet));
    rollout.on(2 * PATIENCE_MS, Event::Resume);
    assert!(told(&rollout.on(2 * PATIENCE_MS, Event::Look(&fleet))).is_empty());
    assert_eq!(rollout.nodes[&node(1)].standing(), "offered");
    rollout.on(0, Event::Cancel);
    assert!(rollout.on(0, Event::Resume).is_empty(), "ended is ended");
}

#[test]
fn rings_grow_and_all_is_the_last() {
    for good in ["1,10,all", "all", "5", "1,2,3,4,5,6,7,all"] {
        assert_eq!(good.parse::<Rings>().unwrap().to_string(), good);
    }
    for bad in ["", "0", "all,1", "10,1", "1,1", "1,,2", "1, 2", "x", "100001", "1,2,3,4,5,6,7,8,all"] {
        let expected = format!("{bad:?}: at most 8 growing numbers, and `all` at the end, such as 1,10,all");
        assert_eq!(bad.parse::<Rings>(), Err(expected));
    }
}
