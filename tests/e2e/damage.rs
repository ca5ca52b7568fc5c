//! Damage end to end: an agent is killed with a backlog, its card is damaged, it starts. It answers within 10 s, it
//! loses at most the database that was damaged, and what the hub then shows as lost is exactly what is missing.

#[path = "damage/card.rs"]
mod card;
#[path = "damage/kinds.rs"]
mod kinds;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use card::{Backlog, Card};
use kinds::{CASES, Case, Place};
use rand::SeedableRng;
use rand::rngs::StdRng;
use simpul_testkit::hub::Hub;
use simpul_testkit::node::Node;
use simpul_testkit::visitors::compare;
use simpul_testkit::wait;
use simpul_tests::district::{District, Plan};
use simpul_tests::outcome::{self, Shown};
use simpul_wire::{RangeSet, Stream};

/// An agent answers so soon after its start, whatever happened to its card (promise 6).
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// A backlog of some hundred kilobytes, in a debug build.
const DRAIN_MAX: Duration = Duration::from_secs(60);

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "the time until it answers is what is promised")]
async fn every_damage_costs_at_most_its_database_and_the_hub_shows_exactly_what_is_missing() {
    let seed = std::env::var("SIMPUL_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(20_261_124u64);
    println!("seed {seed}");
    let mut district = District::prepare(&Plan::default()).await.unwrap();
    let card = Card::fill(&mut district).await.unwrap();
    district.hub.start().await.unwrap();
    let mut random = StdRng::seed_from_u64(seed);
    let mut harmed = BTreeMap::<&str, u64>::new();
    for (number, case) in CASES.iter().enumerate() {
        let mut node = card.copy(&district, number).unwrap();
        let at_most = kinds::damage(case, &node.spool(), &mut random).unwrap();
        let started = Instant::now();
        node.launch().unwrap();
        node.wait_until_ready().await.unwrap();
        let answered = started.elapsed();
        assert!(answered < ANSWER_MAX, "{case}: it answered after {answered:?}");
        outcome::drained(&node, DRAIN_MAX).await.unwrap();
        let lost = judge(case, &district.hub, &node, &card.backlog, &at_most).await;
        *harmed.entry(case.kind).or_default() += lost;
        println!("{case}: answered after {} ms, {lost} records lost and shown", answered.as_millis());
        // It ends before the next one starts; what it would log at an orderly stop is not this test's matter.
        node.kill();
    }
    // The damage must really have reached records, or nothing was tested.
    for kind in kinds::HARMFUL {
        assert!(harmed[kind] > 0, "{kind} did no harm anywhere: {harmed:?}");
    }
    for kind in kinds::HARMLESS {
        assert_eq!(harmed[kind], 0, "{kind} costs nothing: {harmed:?}");
    }
}

/// Hold what the hub shows against what was on the card. Returns how many records were lost.
async fn judge(case: &Case, hub: &Hub, node: &Node, backlog: &Backlog, at_most: &BTreeMap<Stream, RangeSet>) -> u64 {
    let (mut total, mut before) = (0, 0);
    let mut service_lost = RangeSet::new();
    for (stream, accepted) in &backlog.ranges {
        // Losses travel as records behind the backlog: until they are here, what is missing is not explained.
        let what = format!("{case}: everything of {stream} to be at the hub or shown as lost");
        let shown = wait::until(&what, DRAIN_MAX, || async {
            let shown = shown(hub, node, backlog, *stream).await;
            let mut missing = accepted.clone();
            missing.remove_all(&shown.have);
            missing.remove_all(&shown.all_lost());
            missing.is_empty().then_some(shown)
        });
        let shown = shown.await.unwrap();
        let mut missing = accepted.clone();
        missing.remove_all(&shown.have);
        let lost = shown.all_lost();
        assert_eq!(lost, missing, "{case}: {stream}: shown as lost, and missing");
        let mut allowed = at_most.get(stream).cloned().unwrap_or_default();
        let thinned = if *stream == Stream::Snapshot { &backlog.thinned } else { &RangeSet::new() };
        allowed.insert_all(thinned);
        let what = format!("{case}: {stream}: lost {lost}, damaged or thinned {allowed}");
        assert!(lost.iter().flat_map(|range| range.first()..=range.last()).all(|seq| allowed.contains(seq)), "{what}");
        // The damage is told from what was lost before it; without any books both look the same.
        let mut damaged = lost.clone();
        damaged.remove_all(thinned);
        let said = shown.lost.get("damaged").cloned().unwrap_or_default();
        assert!(said == damaged || matches!(case.place, Place::Witnesses), "{case}: {stream}: {:?}", shown.lost);
        total += lost.count();
        before += thinned.count();
        if *stream == Stream::Service {
            service_lost = lost;
        }
    }
    // The room's page is a second old at most.
    let what = format!("{case}: the room to count {total} lost records");
    wait::until(&what, DRAIN_MAX, || async {
        let shown = hub.node(node.id()).await.ok()??;
        let counts = shown["streams"].as_array()?.iter().map(|stream| stream["lost_records"].as_u64());
        (counts.sum::<Option<u64>>()? == total).then_some(())
    })
    .await
    .unwrap();
    if total > before {
        outcome::event(hub, node.id(), "condition=quarantined", DRAIN_MAX).await.unwrap();
    }

    // By key and content: what is at the hub is what was accepted, and what is missing are the records shown as lost.
    let (rows, _) = hub.rows(&format!("/api/v1/service-records?node={}", node.id()), None).await.unwrap();
    let accepted = backlog.accepted_at(node.id());
    let found = compare(&accepted, &rows);
    let gone: Vec<String> = accepted
        .iter()
        .filter(|(_, accepted)| service_lost.contains(accepted.seq.unwrap()))
        .map(|(key, _)| key.clone())
        .collect();
    assert_eq!((found.missing, found.doubled, found.different), (gone, vec![], vec![]), "{case}");
    total - before
}

/// What the hub shows of the card's own epoch.
async fn shown(hub: &Hub, node: &Node, backlog: &Backlog, stream: Stream) -> Shown {
    let shown = outcome::shown(hub, node.id()).await.unwrap_or_default();
    shown.get(&(backlog.epoch.clone(), stream.name().to_owned())).cloned().unwrap_or_default()
}
