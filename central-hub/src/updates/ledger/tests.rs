//! What is written is there after a kill, what is offered is the node's own, and another program's database is refused.

use simpul_wire::update::{Part, Step};

use super::super::file::{self, Claim, Update};
use super::super::key::SigningKey;
use super::super::plan::{Event, Fleet, Seen};
use super::super::platform::tests::elf;
use super::*;
use simpul_wire::NodeId;

const NOW_MS: i64 = 1_795_000_000_000;

fn node(id: &str) -> NodeId {
    id.parse().unwrap()
}

fn update(version: &str, body: &[u8]) -> Update {
    let key = SigningKey::of_seed(7);
    let claim = Claim {
        part: Part::Agent,
        version: version.parse().unwrap(),
        platform: "aarch64-linux".parse().unwrap(),
        floor: Default::default(),
        downgrade: false,
    };
    file::open(&file::sign(&key, &claim, &elf(2, 183, body)).unwrap(), &[key.public()]).unwrap()
}

fn program(nodes: &[&str]) -> NewRollout {
    NewRollout {
        id: [9; 16],
        part: Part::Agent,
        version: "0.2.0".into(),
        rings: "1,all".parse().unwrap(),
        soak_ms: 0,
        pause_on: 3,
        nodes: nodes.iter().map(|id| (node(id), None)).collect(),
    }
}

fn configuration(id: u8, nodes: &[&str]) -> NewRollout {
    NewRollout {
        id: [id; 16],
        part: Part::Configuration,
        version: String::new(),
        rings: "all".parse().unwrap(),
        nodes: nodes.iter().map(|id| (node(id), Some(Content { sha256: [id.as_bytes()[0]; 32], bytes: 10 }))).collect(),
        ..program(&[])
    }
}

fn fleet() -> Fleet {
    let seen = Seen {
        online: true,
        healthy: true,
        heard_ms: NOW_MS,
        platform: Some("aarch64-linux".into()),
        version: Some("0.1.0".into()),
    };
    ["a-1", "b-1"].into_iter().map(|id| (node(id), seen.clone())).collect()
}

fn look(ledger: &Ledger) -> Planned {
    let fleet = fleet();
    ledger.plan(NOW_MS, Some(([1; 16], 5)), |_, rollout| rollout.on(NOW_MS, Event::Look(&fleet))).unwrap()
}

fn database() -> (tempfile::TempDir, Ledger) {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(&folder.path().join("updates/updates.db")).unwrap();
    (folder, ledger)
}

#[test]
fn a_node_is_offered_what_is_its_own_and_only_in_its_turn() {
    let (folder, ledger) = database();
    ledger.add(&update("0.2.0", b"x"), "cli:agus", NOW_MS).unwrap();
    let number = ledger.start(&program(&["a-1", "b-1"]), "cli:agus", NOW_MS).unwrap();
    ledger.start(&configuration(8, &["b-1"]), "cli:agus", NOW_MS).unwrap();
    assert_eq!(ledger.offers(&node("a-1")).unwrap().0, Default::default(), "nobody's turn yet");
    let planned = look(&ledger);
    assert_eq!(planned.tell, [node("a-1"), node("b-1")], "a program for one, a configuration for the other");
    // Another connection, as after a restart.
    drop(ledger);
    let ledger = Ledger::open(&folder.path().join("updates/updates.db")).unwrap();
    let (offers, contents) = ledger.offers(&node("a-1")).unwrap();
    let offer = offers.agent.unwrap();
    assert_eq!((offer.rollout, offers.configuration), ([9; 16], None));
    assert_eq!(contents[0].sha256, update("0.2.0", b"x").manifest.content_sha256);
    let (offers, contents) = ledger.offers(&node("b-1")).unwrap();
    assert_eq!((offers.agent, offers.configuration.unwrap().revision), (None, 1));
    assert_eq!(contents, [Content { sha256: [b'b'; 32], bytes: 10 }]);
    assert_eq!(ledger.offers(&node("c-1")).unwrap().0, Default::default());
    // What is confirmed, paused or cancelled is offered no more.
    ledger.order(number, Order::Pause, "api:posko", NOW_MS).unwrap();
    assert_eq!(ledger.offers(&node("a-1")).unwrap().0.agent, None);
    ledger.order(number, Order::Resume, "api:posko", NOW_MS).unwrap();
    assert!(ledger.offers(&node("a-1")).unwrap().0.agent.is_some());
    ledger
        .plan(NOW_MS, None, |_, rollout| rollout.on(NOW_MS, Event::Reported(&node("a-1"), Step::Confirmed, "")))
        .unwrap();
    assert_eq!(ledger.offers(&node("a-1")).unwrap().0.agent, None);
}

#[test]
fn a_rollout_comes_back_as_it_was_and_everything_says_who_did_it() {
    let (_folder, ledger) = database();
    ledger.add(&update("0.2.0", b"x"), "cli:agus", NOW_MS).unwrap();
    let number = ledger.start(&program(&["a-1", "b-1"]), "cli:agus", NOW_MS).unwrap();
    look(&ledger);
    let mut after = None;
    let planned = ledger
        .plan(NOW_MS, Some(([1; 16], 7)), |_, rollout| {
            let actions = rollout.on(NOW_MS + 5, Event::Reported(&node("a-1"), Step::RolledBack, "no hub in 15 min"));
            after = Some(rollout.clone());
            actions
        })
        .unwrap();
    assert_eq!(planned.alarms, [(number, "paused: a-1 of the first ring: rolled_back: no hub in 15 min".into())]);
    assert_eq!(ledger.rollout(number).unwrap().unwrap().rollout, after.unwrap());
    assert_eq!(ledger.place().unwrap(), Some(([1; 16], 7)));
    assert!(!look(&ledger).changed, "paused: nothing more comes of it");
    ledger.order(number, Order::Cancel, "api:posko", NOW_MS).unwrap();
    let events: Vec<(String, bool, String)> =
        ledger.events(Some(number)).unwrap().into_iter().map(|row| (row.who, row.alarm, row.what)).collect();
    let expected = [
        ("api:posko", false, "cancel ordered"),
        ("hub", true, "paused: a-1 of the first ring: rolled_back: no hub in 15 min"),
        ("hub", false, "a-1 rolled_back: no hub in 15 min"),
        ("hub", false, "ring 1 (aarch64-linux): offered to 1 nodes"),
        ("cli:agus", false, "started agent 0.2.0 on 2 nodes, rings 1,all, soak 0 s, pause on 3"),
    ];
    assert_eq!(events, expected.map(|(who, alarm, what)| (who.to_owned(), alarm, what.to_owned())));
    assert!(ledger.events(None).unwrap().last().unwrap().what.starts_with("added agent 0.2.0 for aarch64-linux, key "));
}

#[test]
fn revisions_of_a_configuration_never_count_down() {
    let (_folder, ledger) = database();
    for revision in 1..=3u8 {
        let number = ledger.start(&configuration(revision, &["a-1"]), "cli:agus", NOW_MS).unwrap();
        look(&ledger);
        let offered = ledger.offers(&node("a-1")).unwrap().0.configuration.unwrap();
        assert_eq!(offered.revision, u64::from(revision));
        ledger.order(number, Order::Cancel, "cli:agus", NOW_MS).unwrap();
    }
}

#[test]
fn each_bad_order_is_refused_with_its_exact_error_and_changes_nothing() {
    let (_folder, ledger) = database();
    let start = |new: &NewRollout| ledger.start(new, "cli:agus", NOW_MS).unwrap_err().to_string();
    assert_eq!(
        start(&program(&["a-1"])),
        "there is no agent 0.2.0: `simpul-hub updates add FILE.update` first; `simpul-hub updates list` shows all"
    );
    assert_eq!(start(&program(&[])), "no node is chosen: `simpul-hub nodes list` shows all");
    ledger.add(&update("0.2.0", b"x"), "cli:agus", NOW_MS).unwrap();
    ledger.add(&update("0.2.0", b"x"), "cli:agus", NOW_MS).unwrap();
    assert_eq!(
        ledger.add(&update("0.2.0", b"y"), "cli:agus", NOW_MS).unwrap_err().to_string(),
        "there is another agent 0.2.0 for aarch64-linux already: give what changed a version of its own"
    );
    let number = ledger.start(&program(&["a-1"]), "cli:agus", NOW_MS).unwrap();
    assert_eq!(
        start(&NewRollout { id: [7; 16], ..program(&["b-1", "a-1"]) }),
        "node a-1 is in rollout 1, which is still open: wait for its end, or `simpul-hub updates cancel 1`"
    );
    assert_eq!(ledger.rollouts(10).unwrap().len(), 1);
    let order = |number, order| ledger.order(number, order, "cli:agus", NOW_MS).unwrap_err().to_string();
    assert_eq!(order(number, Order::Resume), "rollout 1 is running: resume changes nothing");
    assert_eq!(order(7, Order::Pause), "there is no rollout 7: `simpul-hub updates list` shows all");
    ledger.order(number, Order::Cancel, "cli:agus", NOW_MS).unwrap();
    assert_eq!(order(number, Order::Pause), "rollout 1 is cancelled: pause changes nothing");
}

#[test]
fn a_newer_programs_database_is_refused_and_the_own_one_is_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("updates.db");
    drop(Ledger::open(&path).unwrap());
    drop(Ledger::open(&path).unwrap());
    let connection = Connection::open(&path).unwrap();
    let mode: String = connection.query_row("PRAGMA journal_mode", [], |row| row.get(0)).unwrap();
    assert_eq!(mode, "wal");
    connection.pragma_update(None, "user_version", schema::STEPS.len() as u32 + 1).unwrap();
    let error = Ledger::open(&path).unwrap_err().to_string();
    let number = schema::STEPS.len() + 1;
    assert!(error.contains(&format!("version {number} is a newer program's")), "{error}");
}

#[test]
fn a_transaction_that_fails_leaves_nothing_behind() {
    let (_folder, ledger) = database();
    let bad = ledger.change(|transaction| -> Result<(), Change> {
        note(transaction, &EventRow { at_ms: 1, who: "x".into(), rollout: None, alarm: false, what: "x".into() })?;
        Err(UpdateError::refused("no").into())
    });
    assert_eq!(bad.unwrap_err().to_string(), "no");
    assert!(ledger.events(None).unwrap().is_empty());
    let full: i64 = ledger.look(|c| c.query_row("PRAGMA synchronous", [], |row| row.get(0))).unwrap();
    assert_eq!(full, 2, "FULL");
}
