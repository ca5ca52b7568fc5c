//! Intake against a store that can be told to fail: receipts and acknowledgements follow commits, never precede them.

use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::FutureExt;
use simpul_wire::batch::seal;
use simpul_wire::error::to_vec;
use simpul_wire::event::{EventBody, EventRecord};
use simpul_wire::{Epoch, Generation, Label, RangeSet, SeqRange, Stamp, Stream};
use tokio::sync::oneshot;

use super::*;
use crate::store::*;

const GENERATION: Generation = Generation::from_bytes([9; 16]);

/// Keeps what was committed in memory; fails its first `failures` commits. Reads that intake never makes are errors.
#[derive(Default)]
struct FakeStore {
    failures: AtomicUsize,
    committed: Mutex<Vec<NodeId>>,
}

fn unused<'a, T: Send + 'a>() -> StoreResult<'a, T> {
    async { Err(StoreError::Backend("not part of intake".into())) }.boxed()
}

impl Store for FakeStore {
    fn commit(&self, group: Vec<Upload>) -> StoreResult<'_, Vec<Outcome>> {
        let failing =
            self.failures.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
        async move {
            if failing {
                return Err(StoreError::Full("test".into()));
            }
            self.committed.lock().unwrap().extend(group.iter().map(|upload| upload.node.clone()));
            let outcome = |upload: Upload| match upload.content {
                Content::Batch { epoch, range, .. } => {
                    Outcome::Committed { stream: Stream::Event, epoch, range, new: [range].into_iter().collect() }
                }
                Content::Aside { placed, reason, .. } => Outcome::Refused { placed, reason },
                _ => Outcome::Noted,
            };
            Ok(group.into_iter().map(outcome).collect())
        }
        .boxed()
    }

    fn generation(&self) -> Generation {
        GENERATION
    }

    fn backed_up(&self, _: NodeId) -> StoreResult<'_, Vec<(Epoch, Stream, RangeSet)>> {
        async { Ok(vec![(Epoch::from_bytes([1; 16]), Stream::Event, RangeSet::new())]) }.boxed()
    }

    fn streams(&self, node: Option<NodeId>) -> StoreResult<'_, Vec<StreamRow>> {
        let row = StreamRow {
            node: node.unwrap(),
            epoch: Epoch::from_bytes([1; 16]),
            stream: Stream::Event,
            have: [SeqRange::new(1, 8).unwrap()].into_iter().collect(),
            lost: Vec::new(),
            last_received_ms: 0,
        };
        async { Ok(vec![row]) }.boxed()
    }

    fn nodes(&self) -> StoreResult<'_, Vec<NodeRow>> {
        unused()
    }
    fn service_totals(&self, _: i64, _: i64) -> StoreResult<'_, Vec<ServiceTotal>> {
        unused()
    }
    fn service_records(&self, _: Page) -> StoreResult<'_, Vec<ServiceRow>> {
        unused()
    }
    fn events(&self, _: Page) -> StoreResult<'_, Vec<EventRow>> {
        unused()
    }
    fn readings(&self, _: NodeId, _: String, _: Step, _: i64, _: i64) -> StoreResult<'_, Vec<RollupPoint>> {
        unused()
    }
    fn latest_readings(&self, _: Option<NodeId>) -> StoreResult<'_, Vec<LatestReading>> {
        unused()
    }
    fn snapshots(&self, _: Page) -> StoreResult<'_, Vec<SnapshotRow>> {
        unused()
    }
    fn latest_snapshots(&self) -> StoreResult<'_, Vec<SnapshotRow>> {
        unused()
    }
    fn snapshot_bytes(&self, _: i64) -> StoreResult<'_, Option<Bytes>> {
        unused()
    }
    fn aside(&self, _: usize) -> StoreResult<'_, Vec<AsideRow>> {
        unused()
    }
    fn usage(&self) -> StoreResult<'_, Usage> {
        unused()
    }
    fn log_look(&self, _: String, _: i64, _: i64) -> StoreResult<'_, ()> {
        unused()
    }
    fn backup(&self, _: PathBuf) -> StoreResult<'_, BackupReport> {
        unused()
    }
    fn maintain(&self, _: i64) -> StoreResult<'_, bool> {
        unused()
    }
}

struct Bench {
    incoming: mpsc::Sender<Incoming>,
    outgoing: mpsc::Receiver<Outgoing>,
    store: Arc<FakeStore>,
    counters: Arc<Counters>,
    task: tokio::task::JoinHandle<()>,
    stop: watch::Sender<bool>,
}

fn start(failures: usize) -> Bench {
    let (incoming, receiver) = mpsc::channel(16);
    let (outbox, outgoing) = Outbox::new(16);
    let store = Arc::new(FakeStore { failures: failures.into(), ..FakeStore::default() });
    let counters = Arc::new(Counters::default());
    let (live, _) = broadcast::channel(16);
    let (stop, stopped) = watch::channel(false);
    let intake = Intake {
        store: store.clone(),
        clock: Clock::held(1_000),
        live,
        counters: counters.clone(),
        clock_synchronised: false,
    };
    let task = tokio::spawn(intake.run(Transport { incoming: receiver, outbox }, stopped));
    Bench { incoming, outgoing, store, counters, task, stop }
}

impl Bench {
    async fn publish(&self, payload: Vec<u8>) -> oneshot::Receiver<()> {
        let (receipt, done) = Receipt::new();
        let topic = "simpul/v1/a-1/up/event".to_owned();
        let publish = Publish { node: node(), topic, payload: payload.into(), retain: false, receipt };
        self.incoming.send(Incoming::Publish(publish)).await.unwrap();
        done
    }

    async fn next(&mut self) -> Downlink {
        Downlink::from_slice(&self.outgoing.recv().await.unwrap().payload).unwrap()
    }
}

fn node() -> NodeId {
    "a-1".parse().unwrap()
}

fn batch(first: u64) -> Vec<u8> {
    let record = EventRecord {
        stamp: Stamp { boot: 1, uptime_ms: 2, wall_ms: None },
        body: EventBody::Started { version: Label::clipped("0.1"), clean: true, new_boot: true },
    };
    let range = SeqRange::with_count(first, 1).unwrap();
    seal(&node(), Epoch::from_bytes([1; 16]), Stream::Event, range, &[to_vec(&record)])
}

#[tokio::test]
async fn a_committed_batch_gets_its_receipt_and_its_acknowledgement() {
    let mut bench = start(0);
    bench.publish(batch(5)).await.await.unwrap();
    let Downlink::Ack(ack) = bench.next().await else { panic!("an acknowledgement") };
    assert_eq!((ack.generation, ack.have.to_string().as_str()), (GENERATION, "[5..=5]"));
    assert_eq!(bench.counters.view().records_new, 1);
}

#[tokio::test(start_paused = true)]
async fn while_the_store_is_full_nothing_is_acknowledged_and_all_is_when_it_is_not() {
    let mut bench = start(2);
    let mut done = bench.publish(batch(5)).await;
    tokio::time::timeout(RETRY_PAUSE / 2, &mut done).await.unwrap_err();
    assert!(bench.outgoing.try_recv().is_err());
    assert!(bench.counters.view().withholding);
    done.await.unwrap();
    assert!(matches!(bench.next().await, Downlink::Ack(_)));
    let view = bench.counters.view();
    assert_eq!((view.commit_failures, view.withholding), (2, false));
}

#[tokio::test(start_paused = true)]
async fn a_stop_while_the_store_is_full_leaves_the_group_unacknowledged() {
    let bench = start(usize::MAX);
    let done = bench.publish(batch(5)).await;
    bench.stop.send(true).unwrap();
    drop(bench.incoming);
    bench.task.await.unwrap();
    done.await.unwrap_err();
    assert!(bench.store.committed.lock().unwrap().is_empty());
}

#[tokio::test]
async fn an_unreadable_batch_is_refused_and_its_neighbours_are_not() {
    let mut bench = start(0);
    let mut broken = batch(6);
    *broken.last_mut().unwrap() ^= 1;
    let (good, bad) = (bench.publish(batch(5)).await, bench.publish(broken).await);
    good.await.unwrap();
    bad.await.unwrap();
    let mut have = RangeSet::new();
    let mut rejected = Vec::new();
    while have.is_empty() || rejected.is_empty() {
        let Downlink::Ack(ack) = bench.next().await else { panic!("an acknowledgement") };
        have.insert_all(&ack.have);
        rejected.extend(ack.rejected);
    }
    assert_eq!((have.to_string().as_str(), rejected[0].range), ("[5..=5]", SeqRange::one(6)));
}

#[tokio::test]
async fn a_new_session_hears_the_generation_the_backup_and_what_the_hub_has() {
    let mut bench = start(0);
    bench.incoming.send(Incoming::Connected(node())).await.unwrap();
    let Downlink::Hub(hub) = bench.next().await else { panic!("the hub's state first") };
    assert_eq!((hub.generation, hub.backed_up.len(), hub.wall_ms), (GENERATION, 1, None));
    let Downlink::Ack(ack) = bench.next().await else { panic!("then what it has") };
    assert_eq!(ack.have.to_string(), "[1..=8]");
}

#[tokio::test]
async fn what_was_begun_is_finished_when_the_transport_ends() {
    let bench = start(0);
    let receipts = [bench.publish(batch(1)).await, bench.publish(batch(2)).await];
    drop(bench.incoming);
    bench.task.await.unwrap();
    for done in receipts {
        done.await.unwrap();
    }
    assert_eq!(bench.store.committed.lock().unwrap().len(), 2);
}
