//! A real spool's backlog through the carry socket, and from its folder when nobody runs on it: everything that is owed
//! is in the file, as the uplink would publish it, and nothing is freed.
#![allow(clippy::unwrap_used, reason = "a test's helpers may panic like the test itself")]

mod spool_support;

use std::collections::BTreeMap;
use std::path::Path;

use rcgen::{CertificateParams, DnType, KeyPair};
use simpul_agent::carry::{Carried, CarryError, Wish, dead, live};
use simpul_agent::config::Config;
use simpul_agent::spool::{NewRecord, Spool};
use simpul_carry::{HubKey, HubSecret, Item, Opener, Opening};
use simpul_clock::Clock;
use simpul_wire::batch::{Batch, Body};
use simpul_wire::{RangeSet, Stream};
use spool_support::{block, config, event, service, snapshot};
use tokio::sync::watch;

const NOW_MS: i64 = 1_795_000_000_000;

fn hub() -> HubSecret {
    HubSecret::from_bytes([0x42; 32])
}

fn all() -> Wish {
    Wish { images: true, bytes_max: u64::MAX, to: Some(hub().public()) }
}

/// A node with certificate files; its spool is in `spool`.
fn node(folder: &Path) -> Config {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "35.12.07.2003-01");
    std::fs::write(folder.join("node.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
    simpul_agent::files::replace_secret(&folder.join("node.key"), key.serialize_pem().as_bytes()).unwrap();
    let text = "node = \"35.12.07.2003-01\"\nclock = \"trust\"\nstate_directory = \"state\"\n\n\
                [spool]\ndirectory = \"spool\"\nhardware_serial = \"board-1\"\n\n[uplink]\nhubs = [\"127.0.0.1:9\"]\n\
                certificate_file = \"node.pem\"\nkey_file = \"node.key\"\n\n[enrolment]\ndirectory = \"identity\"\n";
    std::fs::create_dir_all(folder.join("state")).unwrap();
    std::fs::write(folder.join("agent.toml"), text).unwrap();
    Config::load(&folder.join("agent.toml")).unwrap()
}

async fn filled(folder: &Path) -> Spool {
    let (spool, _) = Spool::open(&config(&folder.join("spool")), Clock::held(NOW_MS)).unwrap();
    for number in 0..2_500u32 {
        spool.append(service(&format!("key-{number}"), 1)).await.unwrap();
    }
    for number in 0..40 {
        spool.append(event(number)).await.unwrap();
    }
    for _ in 0..5 {
        spool.append(NewRecord::Readings(block(600))).await.unwrap();
    }
    for (seed, length) in [(1, 100), (2, 32 * 1024), (3, 100_001)] {
        spool.append(snapshot(seed, length, true)).await.unwrap();
    }
    spool
}

/// What a file holds: its opening, the numbers of each stream, the images' bytes.
fn opened(file: &[u8]) -> (Opening, BTreeMap<Stream, RangeSet>, BTreeMap<u64, Vec<u8>>) {
    let mut opener = Opener::new(vec![hub()]);
    let (mut rest, mut closed) = (file, false);
    let mut opening = None;
    let (mut ranges, mut images): (BTreeMap<Stream, RangeSet>, BTreeMap<u64, Vec<u8>>) = Default::default();
    loop {
        match opener.next().unwrap() {
            Some(Item::Head(header, _)) => assert_eq!(header.node.as_str(), "35.12.07.2003-01"),
            Some(Item::Opening(read)) => opening = Some(read),
            Some(Item::Publish(payload)) => {
                let batch = Batch::open(&payload).unwrap();
                let (stream, range) = (batch.header.stream, batch.header.range);
                if let Body::Image(part) = batch.decode().unwrap() {
                    let image = images.entry(range.first()).or_default();
                    assert_eq!(image.len(), part.offset as usize, "parts in order");
                    image.extend(part.bytes);
                } else {
                    let first = ranges.entry(stream).or_default().insert(range);
                    assert_eq!(first, [range], "no number twice");
                }
            }
            None if closed => return (opening.unwrap(), ranges, images),
            None => {
                let taken = opener.feed(rest);
                rest = &rest[taken..];
                if rest.is_empty() {
                    opener.close();
                    closed = true;
                }
            }
        }
    }
}

fn check(file: &[u8], carried: &Carried, spool: &BTreeMap<Stream, RangeSet>) {
    let (opening, ranges, images) = opened(file);
    for stream in [Stream::Service, Stream::Event, Stream::Reading] {
        assert_eq!(ranges[&stream], spool[&stream], "{stream}");
        let promised = opening.promises.iter().find(|promise| promise.stream == stream).unwrap();
        assert_eq!(promised.ranges, spool[&stream], "{stream}");
    }
    assert_eq!(images.values().map(Vec::len).collect::<Vec<_>>(), [100, 32 * 1024, 100_001]);
    assert_eq!(carried.records[..], [2_500, spool[&Stream::Event].count(), 3_000, 3]);
    assert_eq!((carried.images_left, carried.unreadable), (0, 0));
}

fn owed(spool: &Spool) -> BTreeMap<Stream, RangeSet> {
    let state = spool.state();
    let state = state.borrow();
    Stream::ALL.into_iter().map(|stream| (stream, (*state.stream(stream).owed).clone())).collect()
}

async fn ask(state: &Path, wish: Wish, give_up_after: usize) -> (Result<Option<Carried>, CarryError>, Vec<u8>) {
    let state = state.to_owned();
    tokio::task::spawn_blocking(move || {
        let mut file = Vec::new();
        let asked = live::ask(&state, &wish, &mut |bytes| {
            file.extend_from_slice(bytes);
            if file.len() > give_up_after { Err(CarryError::Stick("pulled".to_string())) } else { Ok(()) }
        });
        (asked, file)
    })
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_running_agents_backlog_is_whole_in_the_file_and_stays_where_it_is() {
    let folder = spool_support::folder();
    let config = node(folder.path());
    let spool = filled(folder.path()).await;
    let state = config.state_directory.clone();
    assert!(matches!(ask(&state, all(), usize::MAX).await.0, Ok(None)), "no agent runs");
    let (stop, stopped) = watch::channel(false);
    let serving = tokio::spawn(live::serve(config.clone(), spool.clone(), Clock::held(NOW_MS), stopped));
    let socket = live::socket_path(&state);
    simpul_testkit::wait::until("the socket", std::time::Duration::from_secs(10), || async {
        socket.exists().then_some(())
    })
    .await
    .unwrap();
    let before = owed(&spool);

    // A stick that is pulled in between ends that export and no other.
    let (pulled, file) = ask(&state, all(), 1).await;
    assert!(matches!(pulled, Err(CarryError::Stick(_))) && !file.is_empty());
    let (asked, file) = ask(&state, all(), usize::MAX).await;
    check(&file, &asked.unwrap().unwrap(), &before);
    assert_eq!(owed(&spool), before, "nothing is freed");

    // Without images; with room for some of them: the newest, and what is small enough beside it.
    let (asked, file) = ask(&state, Wish { images: false, ..all() }, usize::MAX).await;
    assert_eq!((asked.unwrap().unwrap().records[3], opened(&file).2.len()), (0, 0));
    let room = file.len() as u64 + 256 * 1024 + 105_000;
    let (asked, file) = ask(&state, Wish { bytes_max: room, ..all() }, usize::MAX).await;
    let carried = asked.unwrap().unwrap();
    assert_eq!((carried.records[3], carried.images_left), (2, 1), "{carried:?}");
    assert_eq!(opened(&file).2.values().map(Vec::len).collect::<Vec<_>>(), [100, 100_001]);
    // Nobody told this node of a key.
    let error = ask(&state, Wish { to: None, ..all() }, usize::MAX).await.0.unwrap_err().to_string();
    assert!(error.contains("does not know its hub's carry key yet"), "{error}");
    let zero = Wish { to: Some(HubKey::from_bytes([0; 32])), ..all() };
    let error = ask(&state, zero, usize::MAX).await.0.unwrap_err().to_string();
    assert!(error.contains("cannot be used"), "{error}");

    stop.send(true).unwrap();
    serving.await.unwrap().unwrap();
    assert!(!socket.exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_card_that_nobody_runs_on_gives_the_same_whether_it_was_closed_or_not() {
    let folder = spool_support::folder();
    let config = node(folder.path());
    let spool = filled(folder.path()).await;
    let before = owed(&spool);
    let mut file = Vec::new();
    let error = dead::export(&config, &all(), NOW_MS, &mut |_| Ok(())).unwrap_err().to_string();
    assert!(error.contains("an agent runs on this spool"), "{error}");
    spool.close().await.unwrap();
    let carried = dead::export(&config, &all(), NOW_MS, &mut |bytes| {
        file.extend_from_slice(bytes);
        Ok(())
    });
    check(&file, &carried.unwrap(), &before);
    let pulled = dead::export(&config, &all(), NOW_MS, &mut |_| Err(CarryError::Stick("pulled".to_string())));
    assert!(matches!(pulled, Err(CarryError::Stick(_))));
    // An image that is gone is counted, and the rest goes.
    let image = std::fs::read_dir(folder.path().join("spool/image")).unwrap().next().unwrap().unwrap().path();
    std::fs::remove_file(image).unwrap();
    let carried = dead::export(&config, &all(), NOW_MS, &mut |_| Ok(())).unwrap();
    assert_eq!((carried.records[3], carried.unreadable), (2, 1));
}
