//! Read-only projections of the store for the room. Every number carries its age, its coverage and its source.
//!
//! Pure parts ([`liveness`], [`day`], [`event`], [`examination`], [`rows`], [`optics`], [`board`], [`overview`]) turn the store's rows into what the API says;
//! [`View`] fetches the rows and keeps the overview for a second, so that a room full of walls costs one read.

pub mod board;
pub mod day;
pub mod event;
pub mod examination;
pub mod judges;
pub mod liveness;
pub mod model;
pub mod notable;
pub mod optics;
pub mod overview;
pub mod registry;
pub mod rollouts;
pub mod rows;
pub mod vitals;

use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use simpul_clock::{Clock, Moment};
use simpul_wire::doctor::SealedReport;
use simpul_wire::{Label, NodeId};
use simpul_words::Language;
use tokio::sync::Mutex;

use crate::store::{Page, Step, Store, StoreError};
use judges::Judges;
use model::{
    AsideView, EventView, ExaminationView, NodeReadingsView, Overview, Rows, SeriesView, ServiceRecordView,
    SnapshotView, StreamRangesView, UsageView,
};
use notable::Notable;
use overview::{Inputs, project};
use registry::Registry;
use vitals::Vitals;

/// How old a shared overview may be: walls ask at most once a second, and one read serves all of them.
const OVERVIEW_AGE_MAX: Duration = Duration::from_secs(1);

/// The projections, with what they are made from.
pub struct View {
    store: Arc<dyn Store>,
    vitals: Arc<dyn Vitals>,
    registry: RwLock<Arc<Registry>>,
    clock: Clock,
    utc_offset_minutes: i32,
    demo: bool,
    started: Moment,
    /// Held while the overview is being made: whoever asks meanwhile waits and gets the same one.
    shared: Mutex<Shared>,
}

#[derive(Default)]
struct Shared {
    notable: Notable,
    judges: Judges,
    latest: Option<(Moment, Arc<Shot>)>,
}

/// An overview and its JSON, made once for everybody who asks within the second.
pub struct Shot {
    /// The overview, without the demo's switch positions.
    pub overview: Overview,
    /// The same as JSON.
    pub json: Bytes,
    packed: OnceLock<Option<Bytes>>,
}

/// zstd's quickest level: the overview shrinks to about a tenth all the same.
const PACKED_LEVEL: i32 = 1;

impl Shot {
    /// The JSON as one zstd frame, made once for everybody who asks; `None` if that failed.
    pub fn packed(&self) -> Option<Bytes> {
        let pack = || {
            let mut packed = vec![0; zstd_safe::compress_bound(self.json.len())];
            let length = zstd_safe::compress(packed.as_mut_slice(), &self.json, PACKED_LEVEL).ok()?;
            packed.truncate(length);
            Some(packed.into())
        };
        self.packed.get_or_init(pack).clone()
    }
}

impl View {
    /// A view of `store`, for the nodes of `registry`; `demo` when the fibre switch is there.
    pub fn new(
        store: Arc<dyn Store>,
        vitals: Arc<dyn Vitals>,
        registry: Registry,
        clock: Clock,
        utc_offset_minutes: i32,
        demo: bool,
    ) -> View {
        let started = clock.now();
        let registry = RwLock::new(Arc::new(registry));
        View { store, vitals, registry, clock, utc_offset_minutes, demo, started, shared: Mutex::default() }
    }

    fn registry(&self) -> Arc<Registry> {
        self.registry.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Expect these nodes from now on: the overview shows them within a second.
    pub fn expect(&self, registry: Registry) {
        *self.registry.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(registry);
    }

    /// The hub's time in Unix milliseconds.
    pub fn now_ms(&self) -> i64 {
        self.clock.wall_ms()
    }

    /// The district's UTC offset in minutes.
    pub fn utc_offset_minutes(&self) -> i32 {
        self.utc_offset_minutes
    }

    /// The running hub.
    pub fn vitals(&self) -> &dyn Vitals {
        &*self.vitals
    }

    /// Everything the first page shows, at most a second old.
    pub async fn overview(&self) -> Result<Arc<Shot>, StoreError> {
        let mut shared = self.shared.lock().await;
        if let Some((made, shot)) = &shared.latest
            && self.clock.now().since(*made) < OVERVIEW_AGE_MAX
        {
            return Ok(shot.clone());
        }
        let Shared { notable, judges, .. } = &mut *shared;
        notable.follow(&*self.store).await?;
        let readings = self.store.latest_readings(None).await?;
        judges.follow(&*self.store, &readings, notable).await?;
        let now_ms = self.clock.wall_ms();
        let today_start_ms = day::start_ms(now_ms, self.utc_offset_minutes);
        let overview = project(Inputs {
            now_ms,
            utc_offset_minutes: self.utc_offset_minutes,
            today_start_ms,
            uptime: self.clock.now().since(self.started),
            demo: self.demo,
            nodes: &self.store.nodes().await?,
            streams: &self.store.streams(None).await?,
            // A clock ahead of the hub's may date records a little into the future: they are today's too.
            totals: &self.store.service_totals(today_start_ms, today_start_ms + 86_400_000).await?,
            readings: &readings,
            snapshots: &self.store.latest_snapshots().await?,
            usage: &self.store.usage().await?,
            generation: self.store.generation(),
            notable,
            judges,
            registry: &self.registry(),
            vitals: &*self.vitals,
        });
        let json = serde_json::to_vec(&overview).map_err(|error| StoreError::Backend(error.to_string()))?.into();
        let shot = Arc::new(Shot { overview, json, packed: OnceLock::new() });
        // From the end of the read: a read that took a second must not be stale at birth.
        shared.latest = Some((self.clock.now(), shot.clone()));
        Ok(shot)
    }

    /// Forget the shared overview: something changed that its reader is waiting to see.
    pub async fn refresh(&self) {
        self.shared.lock().await.latest = None;
    }

    /// A node's newest examination in words, if there is one.
    pub async fn examination(&self, node: &NodeId, language: Language) -> Result<Option<ExaminationView>, StoreError> {
        let mut shared = self.shared.lock().await;
        shared.notable.follow(&*self.store).await?;
        let examined = shared.notable.of(node).and_then(|said| said.examined.as_ref());
        Ok(examined.map(|examined| examination::view(examined, language, self.clock.wall_ms())))
    }

    /// A node's newest examination as it came, and when it was made.
    pub async fn report(&self, node: &NodeId) -> Result<Option<(i64, SealedReport)>, StoreError> {
        let mut shared = self.shared.lock().await;
        shared.notable.follow(&*self.store).await?;
        let examined = shared.notable.of(node).and_then(|said| said.examined.as_ref());
        Ok(examined.map(|examined| (examined.at_ms, examined.report.clone())))
    }

    /// When a node was first heard of, and the serial of the machine that it runs in.
    pub async fn origin(&self, node: &NodeId) -> Result<Option<(i64, Option<Label>)>, StoreError> {
        let rows = self.store.nodes().await?;
        let row = rows.into_iter().find(|row| row.node == *node);
        Ok(row.map(|row| (row.first_heard_ms, row.state.and_then(|state| state.hardware))))
    }

    /// One whole image's row, if it is this node's.
    pub async fn snapshot(&self, node: &NodeId, id: i64) -> Result<Option<SnapshotView>, StoreError> {
        let page = Page { node: Some(node.clone()), cursor: Some(id.saturating_sub(1)), newest_first: false, limit: 1 };
        let rows = self.store.snapshots(page).await?;
        Ok(rows.iter().find(|row| row.id == id).map(|row| rows::snapshot(row, self.now_ms())))
    }

    /// A page of service records.
    pub async fn service_records(&self, page: Page) -> Result<Rows<ServiceRecordView>, StoreError> {
        let limit = page.limit;
        let rows = self.store.service_records(page).await?;
        Ok(rows_of(rows.iter().map(rows::service_record).collect(), limit, |row| row.id))
    }

    /// A page of events.
    pub async fn events(&self, page: Page) -> Result<Rows<EventView>, StoreError> {
        let limit = page.limit;
        let rows = self.store.events(page).await?;
        Ok(rows_of(rows.iter().map(rows::event).collect(), limit, |row| row.id))
    }

    /// A page of snapshots.
    pub async fn snapshots(&self, page: Page) -> Result<Rows<SnapshotView>, StoreError> {
        let (limit, now_ms) = (page.limit, self.now_ms());
        let rows = self.store.snapshots(page).await?;
        Ok(rows_of(rows.iter().map(|row| rows::snapshot(row, now_ms)).collect(), limit, |row| row.id))
    }

    /// A series.
    pub async fn series(
        &self,
        node: NodeId,
        metric: String,
        step: Step,
        from_ms: i64,
        to_ms: i64,
    ) -> Result<SeriesView, StoreError> {
        let points = self.store.readings(node.clone(), metric.clone(), step, from_ms, to_ms).await?;
        let latest = self.store.latest_readings(Some(node.clone())).await?;
        let unit = latest.iter().find(|reading| reading.metric == metric).map(|reading| reading.unit.to_string());
        let step_s = step_s(step);
        Ok(SeriesView {
            node: node.to_string(),
            metric,
            unit,
            step_s,
            points: points.iter().map(rows::point).collect(),
        })
    }

    /// The newest reading of every metric, by node.
    pub async fn latest_readings(&self, node: Option<NodeId>) -> Result<Vec<NodeReadingsView>, StoreError> {
        let now_ms = self.now_ms();
        let mut latest = self.store.latest_readings(node).await?;
        latest.sort_by(|a, b| (&a.node, &a.metric).cmp(&(&b.node, &b.metric)));
        let by_node = latest.chunk_by(|a, b| a.node == b.node).map(|readings| NodeReadingsView {
            node: readings.first().map(|reading| reading.node.to_string()).unwrap_or_default(),
            readings: readings.iter().map(|reading| rows::reading(reading, now_ms)).collect(),
        });
        Ok(by_node.collect())
    }

    /// What the hub has and lacks, range by range.
    pub async fn streams(&self, node: Option<NodeId>) -> Result<Vec<StreamRangesView>, StoreError> {
        Ok(self.store.streams(node).await?.iter().map(rows::stream_ranges).collect())
    }

    /// What was kept aside, newest first.
    pub async fn aside(&self, limit: usize) -> Result<Vec<AsideView>, StoreError> {
        Ok(self.store.aside(limit).await?.iter().map(rows::aside).collect())
    }

    /// How full the disk is.
    pub async fn usage(&self) -> Result<UsageView, StoreError> {
        let usage = self.store.usage().await?;
        Ok(UsageView {
            database_bytes: usage.database_bytes,
            snapshot_bytes: usage.snapshot_bytes,
            budget_bytes: usage.budget_bytes,
            free_bytes: usage.free_bytes,
            days_left: usage.days_left,
            aside_count: usage.aside_count,
            rollup_lag_batches: usage.rollup_lag_batches,
            withholding: usage.withholding || self.vitals.withholding(),
        })
    }
}

/// Width of a step in seconds.
pub fn step_s(step: Step) -> u32 {
    match step {
        Step::Minute => 60,
        Step::Hour => 3_600,
        Step::Day => 86_400,
    }
}

/// A full page has a next one (perhaps an empty one); a short page is the last.
fn rows_of<T>(rows: Vec<T>, limit: usize, id: impl Fn(&T) -> i64) -> Rows<T> {
    let next_cursor = if rows.len() >= limit { rows.last().map(id) } else { None };
    Rows { rows, next_cursor }
}
