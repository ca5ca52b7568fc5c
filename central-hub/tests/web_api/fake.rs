//! A store that holds rows in memory: what the web part needs of the trait, and a log of looks to check.

use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};
use simpul_hub::store::*;
use simpul_hub::view::vitals::{Sample, Vitals};
use simpul_hub::web::Commands;
use simpul_wire::command::Command;
use simpul_wire::event::{EventBody, EventRecord, Loss, LossReason};
use simpul_wire::image::ImageMeta;
use simpul_wire::reading::Value;
use simpul_wire::service::{Origin, ServiceBody, ServiceRecord, VisitOutcome};
use simpul_wire::state::{AgentState, StreamState};
use simpul_wire::{Epoch, Generation, NodeId, RangeSet, SeqRange, Stamp, Stream, Unit};

/// The hub's time in these tests: 2023-11-14 22:13:20 UTC, 05:13 in Jakarta.
pub const NOW_MS: i64 = 1_700_000_000_000;

pub const EPOCH: Epoch = Epoch::from_bytes([0xab; 16]);
pub const STAMP: Stamp = Stamp { boot: 1, uptime_ms: 1, wall_ms: None };

pub fn node(id: &str) -> NodeId {
    id.parse().unwrap()
}

#[derive(Default)]
pub struct FakeStore {
    pub nodes: Mutex<Vec<NodeRow>>,
    pub streams: Mutex<Vec<StreamRow>>,
    pub totals: Mutex<Vec<ServiceTotal>>,
    pub services: Mutex<Vec<ServiceRow>>,
    pub events: Mutex<Vec<EventRow>>,
    pub looks: Mutex<Vec<(String, i64, i64)>>,
    pub overview_reads: AtomicUsize,
    pub withholding: AtomicBool,
    pub broken: AtomicBool,
    /// Taken while a backup is made: a test holds it to keep a backup under way.
    pub backup_gate: tokio::sync::Mutex<()>,
}

impl FakeStore {
    /// One node with some of everything.
    pub fn filled() -> FakeStore {
        let store = FakeStore::default();
        let id = node("35.12.07.2003-01");
        let streams = Stream::ALL.map(|stream| StreamState {
            stream,
            next_seq: 10,
            backlog_records: 4,
            backlog_bytes: 400,
            limit_bytes: 1 << 20,
            lost_records: 3,
            oldest_uptime_ms: None,
        });
        let state = AgentState {
            online: true,
            epoch: EPOCH,
            stamp: STAMP,
            version: "0.1.0".parse().unwrap(),
            interval_s: 30,
            generation: None,
            streams: streams.to_vec(),
            hardware: None,
            platform: None,
        };
        *store.nodes.lock().unwrap() = vec![NodeRow {
            node: id.clone(),
            first_heard_ms: NOW_MS - 100_000,
            last_heard_ms: NOW_MS - 5_000,
            state: Some(state),
            state_received_ms: Some(NOW_MS - 5_000),
        }];
        let lost = Loss {
            epoch: EPOCH,
            stream: Stream::Service,
            range: SeqRange::new(3, 5).unwrap(),
            reason: LossReason::Damaged,
        };
        *store.streams.lock().unwrap() = vec![StreamRow {
            node: id.clone(),
            epoch: EPOCH,
            stream: Stream::Service,
            have: RangeSet::from_iter([SeqRange::new(0, 2).unwrap(), SeqRange::new(6, 9).unwrap()]),
            lost: vec![lost],
            last_received_ms: NOW_MS - 5_000,
        }];
        let total = |node: &NodeId, simulated| ServiceTotal {
            node: node.clone(),
            service: "ktp".into(),
            simulated,
            counted: 5,
            counted_by_button: 3,
            visits_served: 2,
            visits_other: 1,
            last_at_ms: NOW_MS - 6_000,
            estimated: 1,
        };
        *store.totals.lock().unwrap() = vec![total(&id, false), total(&id, true)];
        *store.services.lock().unwrap() = (1..=7).map(|number| service(&id, number)).collect();
        *store.events.lock().unwrap() = vec![EventRow {
            id: 1,
            node: id,
            epoch: EPOCH,
            seq: 1,
            at_ms: NOW_MS - 7_000,
            dating: Dating::Clock,
            received_ms: NOW_MS - 6_000,
            record: EventRecord {
                stamp: STAMP,
                body: EventBody::Camera {
                    camera: "gate".parse().unwrap(),
                    condition: simpul_wire::event::CameraCondition::Frozen,
                    detail: "".parse().unwrap(),
                },
            },
        }];
        store
    }

    fn answer<T: Send + 'static>(&self, value: T) -> StoreResult<'_, T> {
        if self.broken.load(Ordering::SeqCst) {
            return ready(Err(StoreError::Backend("secret path".into()))).boxed();
        }
        ready(Ok(value)).boxed()
    }
}

/// A visit, or for even numbers a count.
fn service(node: &NodeId, number: u64) -> ServiceRow {
    let service = "ktp".parse().unwrap();
    let body = if number.is_multiple_of(2) {
        ServiceBody::Count { service, desk: None, delta: 1, total: Some(number) }
    } else {
        let outcome = VisitOutcome::NoShow;
        ServiceBody::Visit {
            service,
            desk: None,
            ticket: Some("=A,1".parse().unwrap()),
            waited_s: Some(60),
            served_s: None,
            outcome,
        }
    };
    ServiceRow {
        id: number as i64,
        node: node.clone(),
        epoch: EPOCH,
        seq: number,
        at_ms: NOW_MS + number as i64,
        dating: Dating::Clock,
        received_ms: NOW_MS,
        record: ServiceRecord {
            stamp: STAMP,
            key: format!("key-{number}").parse().unwrap(),
            origin: Origin::Api,
            simulated: false,
            body,
        },
    }
}

fn paged<T: Clone>(rows: &[T], page: &Page, id: impl Fn(&T) -> i64, node: impl Fn(&T) -> &NodeId) -> Vec<T> {
    let mut rows: Vec<T> = rows
        .iter()
        .filter(|row| page.node.as_ref().is_none_or(|wanted| wanted == node(row)))
        .filter(|row| page.cursor.is_none_or(|at| if page.newest_first { id(row) < at } else { id(row) > at }))
        .cloned()
        .collect();
    rows.sort_by_key(&id);
    if page.newest_first {
        rows.reverse();
    }
    rows.truncate(page.limit);
    rows
}

impl Store for FakeStore {
    fn commit(&self, _: Vec<Upload>) -> StoreResult<'_, Vec<Outcome>> {
        self.answer(Vec::new())
    }
    fn generation(&self) -> Generation {
        Generation::from_bytes([0xcd; 16])
    }
    fn backed_up(&self, _: NodeId) -> StoreResult<'_, Vec<(Epoch, Stream, RangeSet)>> {
        self.answer(Vec::new())
    }
    fn nodes(&self) -> StoreResult<'_, Vec<NodeRow>> {
        self.overview_reads.fetch_add(1, Ordering::SeqCst);
        self.answer(self.nodes.lock().unwrap().clone())
    }
    fn streams(&self, node: Option<NodeId>) -> StoreResult<'_, Vec<StreamRow>> {
        let rows = self.streams.lock().unwrap().clone();
        self.answer(rows.into_iter().filter(|row| node.as_ref().is_none_or(|node| row.node == *node)).collect())
    }
    fn service_totals(&self, _: i64, _: i64) -> StoreResult<'_, Vec<ServiceTotal>> {
        self.answer(self.totals.lock().unwrap().clone())
    }
    fn service_records(&self, page: Page) -> StoreResult<'_, Vec<ServiceRow>> {
        let rows = self.services.lock().unwrap().clone();
        self.answer(paged(&rows, &page, |row| row.id, |row| &row.node))
    }
    fn events(&self, page: Page) -> StoreResult<'_, Vec<EventRow>> {
        let rows = self.events.lock().unwrap().clone();
        self.answer(paged(&rows, &page, |row| row.id, |row| &row.node))
    }
    fn readings(&self, _: NodeId, _: String, step: Step, from_ms: i64, _: i64) -> StoreResult<'_, Vec<RollupPoint>> {
        if step == Step::Minute {
            // What the view judges received power by: it was always dark.
            return self.answer(Vec::new());
        }
        assert_eq!(step, Step::Hour);
        let all = RollupPoint { at_ms: from_ms, min: 1.0, max: 3.0, sum: 4.0, count: 2, missing: 0 };
        self.answer(vec![all, RollupPoint { min: f64::MAX, max: f64::MIN, sum: 0.0, count: 0, missing: 5, ..all }])
    }
    fn latest_readings(&self, node: Option<NodeId>) -> StoreResult<'_, Vec<LatestReading>> {
        let reading = |metric: &str, value| LatestReading {
            node: self::node("35.12.07.2003-01"),
            metric: metric.into(),
            unit: Unit::DecibelMilliwatts,
            at_ms: NOW_MS - 9_000,
            value,
        };
        let all = vec![
            reading("optics.0.rx_power", Value::Missing(simpul_wire::Missing::NoLight)),
            reading("optics.0.tx_power", Value::Number(0.0)),
        ];
        self.answer(all.into_iter().filter(|row| node.as_ref().is_none_or(|node| row.node == *node)).collect())
    }
    fn snapshots(&self, _: Page) -> StoreResult<'_, Vec<SnapshotRow>> {
        self.latest_snapshots()
    }
    fn latest_snapshots(&self) -> StoreResult<'_, Vec<SnapshotRow>> {
        self.answer(vec![SnapshotRow {
            id: 42,
            node: node("35.12.07.2003-01"),
            at_ms: NOW_MS - 8_000,
            dating: Dating::Anchor(5),
            received_ms: NOW_MS - 7_000,
            meta: ImageMeta {
                stamp: STAMP,
                camera: "front".parse().unwrap(),
                length: 4,
                sha256: [7; 32],
                width: 640,
                height: 480,
                dhash: 0,
                masked_percent: 10,
                changed: true,
                simulated: true,
            },
        }])
    }
    fn snapshot_bytes(&self, id: i64) -> StoreResult<'_, Option<Bytes>> {
        self.answer((id == 42).then(|| Bytes::from_static(b"JPEG")))
    }
    fn aside(&self, limit: usize) -> StoreResult<'_, Vec<AsideRow>> {
        let row = AsideRow {
            id: 1,
            node: node("35.12.07.2003-01"),
            received_ms: NOW_MS,
            topic: "simpul/v1/35.12.07.2003-01/up/event".into(),
            reason: simpul_wire::ack::RejectReason::Malformed,
            detail: "not CBOR".into(),
            payload_bytes: 12,
        };
        self.answer([row].into_iter().take(limit).collect())
    }
    fn usage(&self) -> StoreResult<'_, Usage> {
        let withholding = self.withholding.load(Ordering::SeqCst);
        self.answer(Usage { database_bytes: 1_000, budget_bytes: 1 << 30, withholding, ..Usage::default() })
    }
    fn log_look(&self, who: String, snapshot_id: i64, at_ms: i64) -> StoreResult<'_, ()> {
        self.looks.lock().unwrap().push((who, snapshot_id, at_ms));
        self.answer(())
    }
    fn backup(&self, _: PathBuf) -> StoreResult<'_, BackupReport> {
        async {
            let _open = self.backup_gate.lock().await;
            Ok(BackupReport { bytes: 9, images: 1, at_ms: NOW_MS })
        }
        .boxed()
    }
    fn maintain(&self, _: i64) -> StoreResult<'_, bool> {
        self.answer(false)
    }
}

/// Keeps what was sent.
#[derive(Default)]
pub struct FakeCommands {
    pub sent: Mutex<Vec<(NodeId, Command)>>,
    pub stopping: AtomicBool,
}

impl Commands for FakeCommands {
    fn send<'a>(&'a self, node: &'a NodeId, command: Command) -> BoxFuture<'a, bool> {
        let taken = !self.stopping.load(Ordering::SeqCst);
        if taken {
            self.sent.lock().unwrap().push((node.clone(), command));
        }
        ready(taken).boxed()
    }
}

/// A hub whose every node is in session, or none, or (behind a broker) nobody knows.
pub struct FakeVitals {
    pub connected: Mutex<Option<bool>>,
    pub ready: AtomicBool,
}

impl Vitals for FakeVitals {
    fn connected(&self, _: &NodeId) -> Option<bool> {
        *self.connected.lock().unwrap()
    }
    fn sessions(&self) -> Option<u32> {
        Some(1)
    }
    fn mqtt_ready(&self) -> bool {
        self.ready.load(Ordering::SeqCst)
    }
    fn withholding(&self) -> bool {
        false
    }
    fn samples(&self) -> Vec<Sample> {
        Vec::new()
    }
}
