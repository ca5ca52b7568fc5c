//! Cards that were copied: a clone in another machine, two in machines that look the same, and one that was rolled back.
//! No sequence number carries two contents, so nothing is missing; and the room hears of it.

use std::fs;
use std::path::Path;
use std::time::Duration;

use simpul_testkit::hub::Hub;
use simpul_testkit::node::{Node, NodeSettings};
use simpul_testkit::proxy::Link;
use simpul_testkit::visitors::{Desk, Ledger, compare};
use simpul_tests::district::{District, Plan};
use simpul_tests::outcome::{self, accept};

/// Two agents with one name push each other off the hub all the time: each gets ahead in between.
const DRAIN_MAX: Duration = Duration::from_secs(90);
const ALARM_MAX: Duration = Duration::from_secs(60);
/// Records on the card when it is copied, and sent by then.
const BEFORE: usize = 40;
/// Records that wait on the card when it is copied: on both cards afterwards.
const WAITING: usize = 30;

/// A second machine with a copy of the card of the district's first node, at the end of a fibre of its own.
async fn clone_of(district: &District, serial: Option<&str>) -> (Node, Link) {
    let original = &district.nodes[0];
    let link = Link::start("clone", district.hub.mqtt()).await.unwrap();
    let settings = NodeSettings { hardware_serial: serial.map(str::to_owned), ..NodeSettings::default() };
    let folder = district.folder().join("clone");
    let node = Node::prepare(&folder, &district.authority, original.id(), link.address(), None, &settings).unwrap();
    copy(&original.spool(), &node.spool());
    (node, link)
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target)
        } else {
            drop(fs::copy(entry.path(), target))
        }
    }
}

/// A card with records that were sent and records that wait, of an agent that was stopped in order: a copy of it knows
/// of no hole that it would have to leave.
async fn card(ledger: &Ledger) -> District {
    let mut district = District::start(&Plan::default()).await.unwrap();
    let desk = Desk::new(&district.nodes[0], "before", ledger).unwrap();
    accept(&desk, BEFORE, 4).await.unwrap();
    outcome::everything(&district.hub, ledger, DRAIN_MAX).await.unwrap();
    outcome::drained(&district.nodes[0], DRAIN_MAX).await.unwrap();
    district.links[0].cut();
    accept(&desk, WAITING, 4).await.unwrap();
    district.nodes[0].stop().await.unwrap();
    district
}

/// Everything is there once and as it was accepted; no number was used twice; the room was told of the copy.
async fn judge(hub: &Hub, node: &str, ledger: &Ledger) {
    let rows = outcome::everything(hub, ledger, DRAIN_MAX).await.unwrap();
    assert_eq!(compare(&ledger.entries(), &rows), Default::default());
    let alarm = outcome::event(hub, node, "condition=new_epoch", ALARM_MAX).await.unwrap();
    assert_eq!(alarm["severity"], "critical", "{alarm}");
    let shown = hub.node(node).await.unwrap().unwrap();
    assert!(shown["epoch_count"].as_u64().unwrap() >= 2, "{shown:#}");
    let streams = outcome::shown(hub, node).await.unwrap();
    let lost: u64 = streams.values().map(|shown| shown.all_lost().count()).sum();
    assert_eq!(lost, 0, "{streams:?}");
}

#[tokio::test]
async fn a_clone_in_another_machine_and_the_original_both_deliver_everything() {
    let ledger = Ledger::default();
    let mut district = card(&ledger).await;
    let (mut clone, _link) = clone_of(&district, Some("another-machine")).await;
    district.nodes[0].start().await.unwrap();
    clone.start().await.unwrap();
    let here = Desk::new(&district.nodes[0], "here", &ledger).unwrap();
    let there = Desk::new(&clone, "there", &ledger).unwrap();
    district.links[0].restore();
    let (one, other) = tokio::join!(accept(&here, 150, 4), accept(&there, 150, 4));
    one.and(other).unwrap();
    judge(&district.hub, clone.id(), &ledger).await;
}

#[tokio::test]
async fn two_cards_in_machines_that_look_the_same_both_deliver_everything() {
    let ledger = Ledger::default();
    let mut district = card(&ledger).await;
    // The same serial: nothing on the card tells the two apart, and both are alone when they accept.
    let (mut clone, link) = clone_of(&district, None).await;
    link.cut();
    district.nodes[0].start().await.unwrap();
    clone.start().await.unwrap();
    let here = Desk::new(&district.nodes[0], "here", &ledger).unwrap();
    let there = Desk::new(&clone, "there", &ledger).unwrap();
    let (one, other) = tokio::join!(accept(&here, 120, 4), accept(&there, 80, 4));
    one.and(other).unwrap();
    district.links[0].restore();
    link.restore();
    let (one, other) = tokio::join!(accept(&here, 50, 4), accept(&there, 50, 4));
    one.and(other).unwrap();
    judge(&district.hub, clone.id(), &ledger).await;
}

/// Roll the card back to what it was before `after` records were sent, and accept `again` before the hub is there.
async fn rolled_back(after: usize, again: usize) {
    let ledger = Ledger::default();
    let mut district = card(&ledger).await;
    let old = district.folder().join("old");
    copy(&district.nodes[0].spool(), &old);
    district.links[0].restore();
    district.nodes[0].start().await.unwrap();
    let desk = Desk::new(&district.nodes[0], "after", &ledger).unwrap();
    accept(&desk, after, 4).await.unwrap();
    outcome::everything(&district.hub, &ledger, DRAIN_MAX).await.unwrap();
    outcome::drained(&district.nodes[0], DRAIN_MAX).await.unwrap();
    district.nodes[0].stop().await.unwrap();

    let spool = district.nodes[0].spool();
    fs::remove_dir_all(&spool).unwrap();
    copy(&old, &spool);
    district.links[0].cut();
    district.nodes[0].start().await.unwrap();
    let desk = Desk::new(&district.nodes[0], "again", &ledger).unwrap();
    accept(&desk, again, 4).await.unwrap();
    district.links[0].restore();
    accept(&desk, 20, 4).await.unwrap();
    judge(&district.hub, district.nodes[0].id(), &ledger).await;
}

#[tokio::test]
async fn a_card_rolled_back_to_before_much_was_sent_delivers_everything() {
    rolled_back(150, 60).await;
}

#[tokio::test]
async fn a_card_rolled_back_to_before_little_was_sent_delivers_everything() {
    rolled_back(60, 150).await;
}
