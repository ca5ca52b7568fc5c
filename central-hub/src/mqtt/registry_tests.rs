//! Tests of `registry`: see there.
use super::*;

fn registry(change: impl FnOnce(&mut Limits)) -> Registry {
    let mut limits = Limits::default();
    change(&mut limits);
    Registry::new(limits, Arc::new(Counters::default()))
}

fn attach(registry: &Registry, name: &str, client_id: &str, clean: bool, connection: u64) -> Option<Attached> {
    let identity = Arc::new(Identity::from_common_name(name).unwrap());
    let mut connect = Connect::new(client_id);
    connect.clean_session = clean;
    registry.attach(&identity, &"a1".parse().unwrap(), connect, connection, Moment::ZERO)
}

fn subscribe(registry: &Registry, cell: &Arc<Cell>, filter: &str) {
    cell.lock().subscriptions.push((filter.into(), QoS::AtLeastOnce));
    registry.subscribe(cell, vec![(filter.to_owned(), QoS::AtLeastOnce)]);
}

fn detach(registry: &Registry, cell: &Arc<Cell>, connection: u64) -> Option<bool> {
    let mut told = None;
    registry.detach(cell, connection, Moment::ZERO, |_, gone| told = Some(gone));
    told
}

#[test]
fn a_narrow_key_is_the_first_three_whole_levels() {
    let table = [
        ("simpul/v1/a/state", false, Some("simpul/v1/a")),
        ("simpul/v1/a", false, Some("simpul/v1/a")),
        ("simpul/v1/a/", true, Some("simpul/v1/a")),
        ("simpul/v1/", true, None),
        ("simpul/v1", false, None),
        ("x", false, None),
        ("", true, None),
        ("//", false, Some("//")),
    ];
    for (text, cut, key) in table {
        assert_eq!(narrow_key(text, cut), key, "{text} {cut}");
    }
}

#[test]
fn the_index_finds_what_the_matcher_matches() {
    let registry = registry(|_| {});
    let filters =
        ["simpul/v1/a/#", "simpul/v1/a", "simpul/v1/+/state", "simpul/v1/#", "simpul/v1/a/up/+", "simpul/+/a/cmd"];
    let operator = attach(&registry, "ops.room", "x", true, 1).unwrap().cell;
    filters.iter().for_each(|filter| subscribe(&registry, &operator, filter));
    for topic in ["simpul/v1/a/state", "simpul/v1/a", "simpul/v1/b/state", "simpul/v1/a/up/event", "simpul/v1/a/cmd"] {
        let found = registry.read().matching(topic).count();
        let wanted = filters.iter().filter(|filter| matches(filter, topic)).count();
        assert_eq!(found, wanted, "{topic}");
    }
    assert!(!registry.has_readers("simpul/v2/a/state"));
    registry.unsubscribe(&operator, &filters.map(str::to_owned));
    assert!(!registry.has_readers("simpul/v1/a/state"));
    assert!(registry.read().narrow.is_empty());
}

#[test]
fn a_node_is_reachable_as_long_as_one_of_its_sessions_hears_its_acknowledgements() {
    let registry = registry(|_| {});
    let node = "a".parse().unwrap();
    let agent = attach(&registry, "a", "agent", false, 1).unwrap().cell;
    let tool = attach(&registry, "a", "tool", true, 2).unwrap().cell;
    assert!(!registry.is_reachable(&node));
    for (cell, connection) in [(&agent, 1), (&tool, 2)] {
        subscribe(&registry, cell, "simpul/v1/a/ack");
        assert!(registry.announce(cell, connection));
        assert!(registry.announce(cell, connection), "counted once");
    }
    assert_eq!(detach(&registry, &tool, 2), Some(false));
    // Taken over: the old connection has no say any more.
    let again = attach(&registry, "a", "agent", false, 3).unwrap();
    assert!(again.present && again.announced);
    assert_eq!(detach(&registry, &agent, 1), None);
    assert!(!registry.announce(&agent, 1));
    assert!(registry.is_reachable(&node));
    assert_eq!(detach(&registry, &agent, 3), Some(true));
    assert!(!registry.is_reachable(&node));
}

#[test]
fn a_clean_session_leaves_nothing_behind_not_even_when_it_replaces_a_kept_one() {
    let registry = registry(|_| {});
    let kept = attach(&registry, "a", "agent", false, 1).unwrap().cell;
    subscribe(&registry, &kept, "simpul/v1/a/#");
    let clean = attach(&registry, "a", "agent", true, 2).unwrap();
    assert!(!clean.present);
    assert_eq!(detach(&registry, &kept, 1), None);
    subscribe(&registry, &clean.cell, "simpul/v1/a/#");
    // The old connection's last SUBSCRIBE may still be on its way.
    registry.subscribe(&kept, vec![("simpul/v1/a/cmd".into(), QoS::AtMostOnce)]);
    assert_eq!(detach(&registry, &clean.cell, 2), Some(false));
    let inner = registry.read();
    assert!(inner.sessions.is_empty() && inner.narrow.is_empty() && inner.offline.is_empty());
}

#[test]
fn offline_sessions_expire_by_age_oldest_first() {
    let registry = registry(|limits| limits.session_expiry_ms = 1_000);
    for (index, name) in ["a", "b"].into_iter().enumerate() {
        let cell = attach(&registry, name, "agent", false, index as u64).unwrap().cell;
        subscribe(&registry, &cell, &format!("simpul/v1/{name}/#"));
        registry.detach(&cell, index as u64, Moment::from_millis(500 * index as u64), |_, _| {});
    }
    registry.sweep(Moment::from_millis(999));
    assert_eq!(registry.offline_sessions(), 2);
    registry.sweep(Moment::from_millis(1_000));
    assert_eq!(registry.offline_sessions(), 1);
    assert!(!registry.has_readers("simpul/v1/a/cmd") && registry.has_readers("simpul/v1/b/cmd"));
    assert!(attach(&registry, "b", "agent", false, 9).unwrap().present);
    assert_eq!(registry.offline_sessions(), 0);
}
