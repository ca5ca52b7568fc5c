//! Seeded random actions against a card in memory that crashes at any operation: nothing accepted is lost, nothing
//! arrives twice, no number is used twice, and every number is accounted for.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]
#![allow(clippy::disallowed_methods, reason = "deadlines for what happens in another process")]

#[path = "spool_support/model.rs"]
mod model;
mod spool_support;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;

use model::{ModelDisk, Shared, card};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use sha2::{Digest, Sha256};
use simpul_agent::config::SpoolConfig;
use simpul_agent::spool::{AppendError, NewRecord, Spool};
use simpul_clock::Clock;
use simpul_wire::event::{EventBody, EventRecord, LossReason};
use simpul_wire::{Epoch, RangeSet, SeqRange, Stream};
use spool_support::*;

fn seed() -> u64 {
    let seed = std::env::var("SIMPUL_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(20_261_124);
    println!("seed {seed} (SIMPUL_SEED sets another)");
    seed
}

/// What a hub would hold.
#[derive(Default)]
struct Hub {
    records: BTreeMap<(Epoch, u8), BTreeMap<u64, Vec<u8>>>,
    have: BTreeMap<(Epoch, u8), RangeSet>,
}

impl Hub {
    fn take(&mut self, epoch: Epoch, stream: Stream, range: SeqRange, bytes: Vec<u8>) {
        let key = (epoch, stream.number());
        if let Some(before) = self.records.entry(key).or_default().insert(range.first(), bytes.clone()) {
            assert_eq!(before, bytes, "{stream} {range} of {epoch}: one number, two records");
        }
        self.have.entry(key).or_default().insert(range);
    }
}

struct World {
    random: StdRng,
    card: Shared,
    config: SpoolConfig,
    clock: Clock,
    spool: Option<Spool>,
    hub: Hub,
    /// Keys that a client wants stored, with their content; it retries until it is answered.
    wanted: BTreeMap<String, i64>,
    accepted: BTreeMap<String, i64>,
    events: BTreeSet<u32>,
    images: u32,
    next: u32,
    power_cuts: u32,
    kills: u32,
}

impl World {
    fn new(seed: u64) -> World {
        let mut config = config(&PathBuf::from("model"));
        config.service_bytes_max = 128 * 1024;
        config.reading_bytes_max = 128 * 1024;
        config.kept_bytes_max = 20_000;
        config.ballast_bytes = 20_000;
        World {
            random: StdRng::seed_from_u64(seed),
            card: card(seed ^ 1),
            config,
            clock: Clock::held(1_000_000),
            spool: None,
            hub: Hub::default(),
            wanted: BTreeMap::new(),
            accepted: BTreeMap::new(),
            events: BTreeSet::new(),
            images: 0,
            next: 0,
            power_cuts: 0,
            kills: 0,
        }
    }

    fn one_in(&mut self, chances: u32) -> bool {
        self.random.random_range(0..chances) == 0
    }

    async fn act(&mut self) {
        let Some(spool) = self.spool.clone() else {
            if self.one_in(3) {
                self.card.lock().unwrap().crash_after = Some(self.random.random_range(0..60));
            }
            match Spool::open_on(ModelDisk::boxed(&self.card), &self.config, self.clock.clone()) {
                Ok((spool, _)) => self.spool = Some(spool),
                Err(error) => assert!(self.card.lock().unwrap().crashed, "{error}"),
            }
            self.reboot_if_crashed();
            return;
        };
        match self.random.random_range(0..14) {
            0..=3 => self.append_services(&spool).await,
            4 | 5 => self.append_event(&spool).await,
            6 => drop(spool.append(NewRecord::Readings(block(self.random.random_range(1..3_000)))).await),
            7 => {
                let length = self.random.random_range(100..6_000);
                let appended = spool.append(snapshot(self.random.random(), length, false)).await;
                self.images += u32::from(appended.is_ok());
            }
            8..=10 => self.sync_with_hub(&spool, 200).await,
            11 => self.card.lock().unwrap().crash_after = Some(self.random.random_range(0..25)),
            12 => {
                let full = self.card.lock().unwrap().capacity == u64::MAX;
                let capacity = if full { self.random.random_range(30_000..300_000) } else { u64::MAX };
                self.card.lock().unwrap().capacity = capacity;
            }
            _ => {
                self.spool = None;
                if self.one_in(2) { drop(spool.close().await) } else { drop(spool) }
            }
        }
        self.reboot_if_crashed();
    }

    fn reboot_if_crashed(&mut self) {
        if self.card.lock().unwrap().crashed {
            self.spool = None;
            let power = self.one_in(2);
            let mut card = self.card.lock().unwrap();
            if power {
                self.power_cuts += 1;
                card.cut_power();
            } else {
                self.kills += 1;
                card.kill();
            }
        }
    }

    async fn append_services(&mut self, spool: &Spool) {
        for _ in 0..self.random.random_range(1..8) {
            self.next += 1;
            self.wanted.insert(format!("key-{}", self.next), i64::from(self.next));
        }
        let mut group: Vec<(String, i64)> = self.wanted.clone().into_iter().collect();
        // Now and then a client repeats what was answered, or uses a key for something else.
        if let Some((key, value)) = self.accepted.iter().collect::<Vec<_>>().choose(&mut self.random) {
            group.push(((*key).clone(), **value));
        }
        let tasks: Vec<_> = group
            .into_iter()
            .map(|(key, value)| {
                let spool = spool.clone();
                (key.clone(), value, tokio::spawn(async move { spool.append(service(&key, value)).await }))
            })
            .collect();
        for (key, value, task) in tasks {
            match task.await.unwrap() {
                Ok(appended) => {
                    let known = self.accepted.insert(key.clone(), value).is_some();
                    assert!(appended.duplicate || !known, "{key} was accepted twice as new");
                    self.wanted.remove(&key);
                }
                Err(AppendError::KeyReused) => panic!("{key}: the content is the same"),
                Err(_) => {}
            }
        }
    }

    async fn append_event(&mut self, spool: &Spool) {
        self.next += 1;
        if spool.append(event(self.next)).await.is_ok() {
            self.events.insert(self.next);
        }
    }

    /// An uplink's round: read what is owed, hand it to the hub, acknowledge some of what the hub has.
    async fn sync_with_hub(&mut self, spool: &Spool, records_max: usize) {
        let state = spool.state().borrow().clone();
        let epochs: Vec<Epoch> = state.previous.iter().map(|era| era.epoch).chain([state.epoch]).collect();
        for epoch in epochs {
            for stream in Stream::ALL {
                let Ok(stored) = spool.read(epoch, stream, all(), 100_000, records_max).await else { return };
                for stored in stored {
                    if stream != Stream::Snapshot {
                        self.hub.take(epoch, stream, stored.range, stored.bytes);
                        continue;
                    }
                    let (mut whole, seq) = (Vec::new(), stored.range.first());
                    loop {
                        match spool.read_part(epoch, seq, whole.len() as u32, 2_000).await {
                            Ok(Some(part)) => whole.extend(part.bytes),
                            Ok(None) => break,
                            Err(_) => return,
                        }
                    }
                    let meta: simpul_wire::image::ImageMeta = minicbor::decode(&stored.bytes).unwrap();
                    let digest: [u8; 32] = Sha256::digest(&whole).into();
                    assert_eq!(digest, meta.sha256, "image {seq}");
                    self.hub.take(epoch, stream, stored.range, stored.bytes);
                }
                let have: Vec<SeqRange> =
                    self.hub.have.get(&(epoch, stream.number())).map_or(Vec::new(), |set| set.iter().collect());
                let have = have.into_iter().filter(|_| self.random.random_bool(0.8));
                let mut ack = ack(&state, stream, have);
                ack.epoch = epoch;
                if spool.acknowledge(ack).await.is_err() {
                    return;
                }
            }
        }
    }

    /// No more faults: everything arrives.
    async fn finish(mut self, seed: u64) -> (u32, u32) {
        {
            let mut card = self.card.lock().unwrap();
            card.kill();
            card.capacity = u64::MAX;
        }
        self.spool = None;
        let (spool, _) = Spool::open_on(ModelDisk::boxed(&self.card), &self.config, self.clock.clone()).unwrap();
        while !self.wanted.is_empty() {
            self.append_services(&spool).await;
            self.sync_with_hub(&spool, 10_000).await;
        }
        for _ in 0..200 {
            self.sync_with_hub(&spool, 10_000).await;
            if spool.state().borrow().streams.iter().all(|status| status.owed.is_empty()) {
                break;
            }
        }
        let state = spool.state().borrow().clone();
        assert!(state.previous.is_empty() && !state.disk_full, "seed {seed}");
        assert_eq!(
            self.hub.have.keys().map(|(epoch, _)| *epoch).collect::<BTreeSet<_>>().len(),
            1,
            "seed {seed}: one epoch"
        );

        let mut arrived: BTreeMap<String, Vec<i64>> = BTreeMap::new();
        for bytes in self.hub.records[&(state.epoch, Stream::Service.number())].values() {
            let record: simpul_wire::service::ServiceRecord = minicbor::decode(bytes).unwrap();
            let simpul_wire::service::ServiceBody::Count { delta, .. } = record.body else { unreachable!() };
            arrived.entry(record.key.to_string()).or_default().push(delta);
        }
        for (key, value) in &self.accepted {
            assert_eq!(arrived.get(key), Some(&vec![*value]), "seed {seed}: {key}");
        }
        assert_eq!(arrived.len(), self.accepted.len(), "seed {seed}: what was refused must not arrive");

        let mut anchors = BTreeMap::new();
        let mut lost: BTreeMap<u8, RangeSet> = BTreeMap::new();
        for bytes in self.hub.records.get(&(state.epoch, Stream::Event.number())).into_iter().flat_map(BTreeMap::values)
        {
            match minicbor::decode::<EventRecord>(bytes).unwrap().body {
                EventBody::ClockAnchor { error_ms, .. } => *anchors.entry(error_ms).or_insert(0) += 1,
                EventBody::Loss(loss) => {
                    let only_unused = matches!(
                        loss.reason,
                        LossReason::Unused | LossReason::Thinned | LossReason::Evicted | LossReason::RolledUp
                    );
                    assert!(only_unused, "seed {seed}: {loss:?}");
                    let dropped = matches!(loss.stream, Stream::Reading | Stream::Snapshot);
                    assert!(dropped || loss.reason == LossReason::Unused, "seed {seed}: {loss:?}");
                    if loss.reason == LossReason::Unused {
                        let had = self.hub.have.get(&(loss.epoch, loss.stream.number())).cloned().unwrap_or_default();
                        assert!(had.present_in(loss.range).is_empty(), "seed {seed}: {loss:?}, and the hub has it");
                    }
                    lost.entry(loss.stream.number()).or_default().insert(loss.range);
                }
                _ => {}
            }
        }
        for number in &self.events {
            assert_eq!(anchors.get(number), Some(&1), "seed {seed}: event {number}");
        }
        for stream in Stream::ALL {
            let mut accounted = self.hub.have.get(&(state.epoch, stream.number())).cloned().unwrap_or_default();
            let lost = lost.remove(&stream.number()).unwrap_or_default();
            // What was dropped while it was on its way may arrive all the same.
            accounted.insert_all(&lost);
            let next = state.stream(stream).next_seq;
            assert_eq!(accounted.count(), next, "seed {seed}: {stream} {accounted} of {next}");
        }
        spool.close().await.unwrap();
        (self.power_cuts, self.kills)
    }
}

#[tokio::test]
async fn whatever_crashes_nothing_accepted_is_lost_or_doubled_and_every_number_is_accounted_for() {
    let first = seed();
    let (mut power_cuts, mut kills) = (0, 0);
    for seed in first..first + 60 {
        let mut world = World::new(seed);
        for _ in 0..120 {
            world.act().await;
        }
        let (cuts, killed) = world.finish(seed).await;
        power_cuts += cuts;
        kills += killed;
    }
    println!("{power_cuts} power cuts, {kills} kills");
    assert!(power_cuts > 100 && kills > 100, "{power_cuts} power cuts, {kills} kills: too few to mean anything");
}

#[tokio::test]
async fn concurrent_appends_share_an_fsync() {
    let card = card(seed());
    let (spool, _) = Spool::open_on(ModelDisk::boxed(&card), &config(&PathBuf::from("model")), Clock::held(0)).unwrap();
    spool.append(event(0)).await.unwrap();
    let (release, gate) = channel();
    let before = {
        let mut card = card.lock().unwrap();
        card.gate = Some(gate);
        card.syncs
    };
    let first = tokio::spawn({
        let spool = spool.clone();
        async move { spool.append(event(1)).await }
    });
    while card.lock().unwrap().syncs == before {
        tokio::task::yield_now().await;
    }
    let rest: Vec<_> = (2..102)
        .map(|number| {
            let spool = spool.clone();
            tokio::spawn(async move { spool.append(event(number)).await })
        })
        .collect();
    // Each task has queued its record once it was polled.
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
    release.send(()).unwrap();
    first.await.unwrap().unwrap();
    for task in rest {
        task.await.unwrap().unwrap();
    }
    assert_eq!(card.lock().unwrap().syncs - before, 2);
}

#[tokio::test]
async fn a_failed_commit_answers_nobody_with_success_and_leaves_nothing_behind() {
    let card = card(seed());
    let (spool, _) = Spool::open_on(ModelDisk::boxed(&card), &config(&PathBuf::from("model")), Clock::held(0)).unwrap();
    let epoch = spool.state().borrow().epoch;
    spool.append(service("a", 1)).await.unwrap();
    // No room for anything, not even after the ballast is given back.
    card.lock().unwrap().capacity = 0;
    assert!(matches!(spool.append(service("b", 1)).await, Err(AppendError::DiskFull(_))));
    assert!(matches!(spool.append(event(1)).await, Err(AppendError::DiskFull(_))));
    assert!(spool.state().borrow().disk_full);
    card.lock().unwrap().capacity = u64::MAX;
    let again = spool.append(service("b", 1)).await.unwrap();
    assert!(!again.duplicate && again.range.first() > 1);
    assert_eq!(keys_by_number(&spool).await.into_values().collect::<Vec<_>>(), ["a", "b"]);
    let (_, unused) = lost(&spool, epoch, Stream::Service).await;
    assert_eq!(unused, RangeSet::from_iter([range(1, again.range.first() - 1)]));
    assert!(!spool.state().borrow().disk_full);
}

const CHILD: &str = "SIMPUL_SPOOL_CHILD";

/// The child: appends as fast as it can and says what was accepted.
async fn be_the_child(folder: PathBuf) {
    let (spool, _) = open(&config(&folder));
    let start: u64 = std::env::var("SIMPUL_SPOOL_FROM").unwrap().parse().unwrap();
    for round in 0.. {
        let tasks: Vec<_> = (0..20)
            .map(|at| {
                let (spool, key) = (spool.clone(), format!("key-{}", start + round * 20 + at));
                tokio::spawn(async move { spool.append(service(&key, 1)).await.map(|_| key) })
            })
            .collect();
        for task in tasks {
            let key = task.await.unwrap().unwrap();
            let mut out = std::io::stdout().lock();
            writeln!(out, "accepted {key}").unwrap();
            out.flush().unwrap();
        }
    }
}

#[tokio::test]
async fn a_process_killed_in_the_middle_loses_nothing_it_accepted() {
    if let Some(folder) = std::env::var_os(CHILD) {
        return be_the_child(folder.into()).await;
    }
    let mut random = StdRng::seed_from_u64(seed());
    let folder = tempfile::tempdir().unwrap();
    let (mut accepted, mut from) = (BTreeSet::new(), 0u64);
    for _ in 0..12 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "a_process_killed_in_the_middle_loses_nothing_it_accepted", "--nocapture"])
            .env(CHILD, folder.path())
            .env("SIMPUL_SPOOL_FROM", from.to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let enough = random.random_range(1..400);
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut seen = 0;
        while seen < enough {
            let line = lines.next().expect("the child ended by itself").unwrap();
            if let Some((_, key)) = line.split_once("accepted ") {
                accepted.insert(key.to_string());
                seen += 1;
            }
        }
        child.kill().unwrap();
        child.wait().unwrap();
        for line in lines.map_while(Result::ok) {
            // A line that was cut short names no key of ours.
            if let Some(key) = line.strip_prefix("accepted key-").filter(|number| number.parse::<u64>().is_ok()) {
                accepted.insert(format!("key-{key}"));
            }
        }
        from += 100_000;
    }
    let (spool, _) = open(&config(folder.path()));
    let stored = keys_by_number(&spool).await;
    let keys: BTreeSet<&String> = stored.values().collect();
    assert_eq!(keys.len(), stored.len(), "a key is stored twice");
    let missing: Vec<_> = accepted.iter().filter(|key| !keys.contains(key)).collect();
    assert!(missing.is_empty(), "{} of {} accepted are missing: {missing:?}", missing.len(), accepted.len());
    println!("{} accepted, {} stored, 12 kills", accepted.len(), stored.len());
}

#[tokio::test]
async fn what_a_full_disk_left_behind_is_not_stored_twice_wherever_the_next_run_ends() {
    let mut ended_early = 0;
    for crash_after in 0..25 {
        let card = card(seed());
        let mut config = config(&PathBuf::from("model"));
        config.ballast_bytes = 0;
        let (spool, _) = Spool::open_on(ModelDisk::boxed(&card), &config, Clock::held(0)).unwrap();
        spool.append(service("first", 1)).await.unwrap();
        let group = |spool: Spool| async move {
            let tasks: Vec<_> = (0..40)
                .map(|at| {
                    let spool = spool.clone();
                    tokio::spawn(async move { spool.append(service(&format!("key-{at}"), 1)).await })
                })
                .collect();
            let mut answers = Vec::new();
            for task in tasks {
                answers.push(task.await.unwrap());
            }
            answers
        };
        // Room for some packets of the group and not for all, and none to be had from the ballast. The writer is held
        // until the whole group has queued.
        let (release, gate) = channel();
        let before = card.lock().unwrap().syncs;
        card.lock().unwrap().gate = Some(gate);
        let held = tokio::spawn({
            let spool = spool.clone();
            async move { spool.append(service("held", 1)).await }
        });
        while card.lock().unwrap().syncs == before {
            tokio::task::yield_now().await;
        }
        card.lock().unwrap().leave_room(2_500);
        let waiting = tokio::spawn(group(spool.clone()));
        for _ in 0..200 {
            tokio::task::yield_now().await;
        }
        release.send(()).unwrap();
        held.await.unwrap().unwrap();
        let refused = waiting.await.unwrap();
        assert!(refused.iter().all(|answer| matches!(answer, Err(AppendError::DiskFull(_)))), "{refused:?}");
        {
            let mut card = card.lock().unwrap();
            card.capacity = u64::MAX;
            card.crash_after = Some(crash_after);
        }
        ended_early += u32::from(group(spool.clone()).await.iter().any(Result::is_err));
        drop(spool);
        card.lock().unwrap().kill();
        let (spool, _) = Spool::open_on(ModelDisk::boxed(&card), &config, Clock::held(0)).unwrap();
        assert!(group(spool.clone()).await.iter().all(Result::is_ok));
        let stored: Vec<String> = keys_by_number(&spool).await.into_values().collect();
        let keys: BTreeSet<&String> = stored.iter().collect();
        assert_eq!((keys.len(), stored.len()), (42, 42), "the run ended after {crash_after} operations");
    }
    assert!(ended_early > 2 && ended_early < 25, "{ended_early}");
}
