//! The overview: nodes, cameras, today's services and the hub itself, as of one moment. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use simpul_wire::{Generation, NodeId, Stream};

use super::board;
use super::day::age_s;
use super::judges::Judges;
use super::liveness::{Heard, liveness};
use super::model::{
    CameraView, HubView, Liveness, NodeView, Overview, PausedRolloutView, RestoredView, ServiceView, StreamView,
};
use super::notable::Notable;
use super::registry::Registry;
use super::rows;
use super::vitals::Vitals;
use crate::store::{LatestReading, NodeRow, Restored, ServiceTotal, SnapshotRow, StreamRow, Usage};

/// Losses shown of one stream; the auditors' page has them all.
const LOSSES_MAX: usize = 20;

/// What an overview is made from.
pub struct Inputs<'a> {
    /// The hub's time.
    pub now_ms: i64,
    /// The district's UTC offset in minutes.
    pub utc_offset_minutes: i32,
    /// Start of the local day.
    pub today_start_ms: i64,
    /// Since the hub started.
    pub uptime: Duration,
    /// Whether the demo's switch is there.
    pub demo: bool,
    /// The store's nodes.
    pub nodes: &'a [NodeRow],
    /// The store's streams.
    pub streams: &'a [StreamRow],
    /// Today's totals.
    pub totals: &'a [ServiceTotal],
    /// Newest readings.
    pub readings: &'a [LatestReading],
    /// Newest snapshots.
    pub snapshots: &'a [SnapshotRow],
    /// The disk.
    pub usage: &'a Usage,
    /// The store's generation.
    pub generation: Generation,
    /// What events last said.
    pub notable: &'a Notable,
    /// What received power is worth.
    pub judges: &'a Judges,
    /// The nodes to expect.
    pub registry: &'a Registry,
    /// The running hub.
    pub vitals: &'a dyn Vitals,
}

/// Make the overview.
pub fn project(inputs: Inputs<'_>) -> Overview {
    let heard: BTreeMap<&NodeId, &NodeRow> = inputs.nodes.iter().map(|row| (&row.node, row)).collect();
    let ids: BTreeSet<&NodeId> =
        heard.keys().copied().chain(inputs.registry.iter().map(|registered| &registered.id)).collect();
    let mut by_node = ByNode::new(&inputs);
    let nodes: Vec<NodeView> =
        ids.iter().map(|id| node(&inputs, id, heard.get(*id).copied(), by_node.take(id))).collect();
    let services = services(&inputs, &nodes);
    Overview {
        now_ms: inputs.now_ms,
        utc_offset_minutes: inputs.utc_offset_minutes,
        today_start_ms: inputs.today_start_ms,
        nodes,
        services,
        hub: hub(&inputs),
        demo: inputs.demo,
    }
}

/// The store's rows sorted by node once, instead of searched through for each node.
struct ByNode<'a> {
    rows: BTreeMap<&'a NodeId, NodeRows<'a>>,
}

#[derive(Default)]
struct NodeRows<'a> {
    streams: Vec<&'a StreamRow>,
    readings: Vec<&'a LatestReading>,
    snapshots: Vec<&'a SnapshotRow>,
}

impl<'a> ByNode<'a> {
    fn new(inputs: &Inputs<'a>) -> Self {
        let mut rows: BTreeMap<&NodeId, NodeRows<'_>> = BTreeMap::new();
        for row in inputs.streams {
            rows.entry(&row.node).or_default().streams.push(row);
        }
        for row in inputs.readings {
            rows.entry(&row.node).or_default().readings.push(row);
        }
        for row in inputs.snapshots {
            rows.entry(&row.node).or_default().snapshots.push(row);
        }
        ByNode { rows }
    }

    fn take(&mut self, node: &NodeId) -> NodeRows<'a> {
        self.rows.remove(node).unwrap_or_default()
    }
}

fn node(inputs: &Inputs<'_>, id: &NodeId, row: Option<&NodeRow>, mut rows: NodeRows<'_>) -> NodeView {
    let registered = inputs.registry.get(id);
    let state = row.and_then(|row| row.state.as_ref());
    let connected = inputs.vitals.connected(id);
    let said = inputs.notable.of(id);
    let heard = row.map(|row| Heard {
        age_ms: inputs.now_ms.saturating_sub(row.last_heard_ms),
        interval_s: state.map(|state| state.interval_s),
        connected,
        online: state.map(|state| state.online),
    });
    let epochs: BTreeSet<_> = rows.streams.iter().map(|row| row.epoch).chain(state.map(|state| state.epoch)).collect();
    rows.readings.sort_by(|a, b| a.metric.cmp(&b.metric));
    NodeView {
        id: id.to_string(),
        name: registered.and_then(|node| node.name.clone()),
        village_code: registered.and_then(|node| node.village_code.clone()),
        village_name: registered.and_then(|node| node.village_name.clone()),
        liveness: liveness(heard),
        connected,
        last_heard_ms: row.map(|row| row.last_heard_ms),
        age_s: row.map(|row| age_s(inputs.now_ms, row.last_heard_ms)),
        interval_s: state.map(|state| state.interval_s),
        version: state.map(|state| state.version.to_string()),
        platform: state.and_then(|state| state.platform.as_ref()).map(ToString::to_string),
        epoch: state.map(|state| state.epoch.to_string()),
        epoch_count: u32::try_from(epochs.len()).unwrap_or(u32::MAX),
        streams: Stream::ALL.into_iter().map(|stream| stream_view(stream, row, &rows.streams)).collect(),
        cameras: cameras(inputs, id, &rows.snapshots),
        readings: rows.readings.iter().map(|reading| rows::reading(reading, inputs.now_ms)).collect(),
        board: board::view(id, said.map(|said| &said.board), &rows.readings, inputs.judges, inputs.now_ms),
        last_command: said.and_then(|said| said.board.last_command()),
        last_event: said.and_then(|said| said.event.as_ref()).map(rows::event),
        fibre_cut: None,
    }
}

fn stream_view(stream: Stream, node: Option<&NodeRow>, streams: &[&StreamRow]) -> StreamView {
    let said = node.and_then(|row| row.state.as_ref()).and_then(|state| {
        let mut states = state.streams.iter();
        states.find(|said| said.stream == stream)
    });
    let mut rows: Vec<&StreamRow> = streams.iter().filter(|row| row.stream == stream).copied().collect();
    rows.sort_by_key(|row| std::cmp::Reverse(row.last_received_ms));
    let mut losses = Vec::new();
    for row in &rows {
        let mut of_row: Vec<_> = row.lost.iter().collect();
        of_row.sort_by_key(|loss| std::cmp::Reverse(loss.range.first()));
        losses.extend(of_row.into_iter().take(LOSSES_MAX.saturating_sub(losses.len())).map(rows::loss));
    }
    StreamView {
        stream: stream.to_string(),
        have_records: rows.iter().map(|row| row.have.count()).sum(),
        backlog_records: said.map(|said| said.backlog_records),
        backlog_bytes: said.map(|said| said.backlog_bytes),
        limit_bytes: said.map(|said| said.limit_bytes),
        lost_records: rows.iter().flat_map(|row| &row.lost).map(|loss| loss.range.count()).sum(),
        losses,
    }
}

fn cameras(inputs: &Inputs<'_>, id: &NodeId, snapshots: &[&SnapshotRow]) -> Vec<CameraView> {
    let conditions = inputs.notable.of(id).map(|said| &said.cameras);
    let images: BTreeMap<&str, &SnapshotRow> = snapshots.iter().map(|row| (row.meta.camera.as_str(), *row)).collect();
    let names: BTreeSet<&str> =
        images.keys().copied().chain(conditions.into_iter().flatten().map(|(camera, _)| camera.as_str())).collect();
    let camera = |name: &str| CameraView {
        camera: name.to_owned(),
        snapshot: images.get(name).map(|row| rows::snapshot(row, inputs.now_ms)),
        condition: conditions.and_then(|conditions| conditions.get(name)).map(|(_, condition)| condition.clone()),
    };
    names.into_iter().map(camera).collect()
}

/// Today's counts by village, service and whether simulated; nodes without a village stand together.
fn services(inputs: &Inputs<'_>, nodes: &[NodeView]) -> Vec<ServiceView> {
    let by_id: BTreeMap<&str, &NodeView> = nodes.iter().map(|node| (node.id.as_str(), node)).collect();
    let mut villages: BTreeMap<Option<&str>, Village<'_>> = BTreeMap::new();
    for node in nodes {
        villages.entry(node.village_code.as_deref()).or_default().add(node);
    }
    let mut services: BTreeMap<(Option<&str>, &str, bool), ServiceView> = BTreeMap::new();
    for total in inputs.totals {
        let Some(node) = by_id.get(total.node.as_str()) else { continue };
        let code = node.village_code.as_deref();
        let service = services.entry((code, &total.service, total.simulated)).or_insert_with(|| {
            let village = villages.get(&code).copied().unwrap_or_default();
            ServiceView {
                village_code: node.village_code.clone(),
                village_name: village.name.map(str::to_owned),
                service: total.service.clone(),
                counted: 0,
                counted_by_button: 0,
                counted_by_api: 0,
                visits_served: 0,
                visits_other: 0,
                last_at_ms: total.last_at_ms,
                nodes_live: village.live,
                nodes_total: village.total,
                backlog_records: if village.backlog_unknown { None } else { Some(village.backlog) },
                estimated: 0,
                simulated: total.simulated,
                nodes: Vec::new(),
            }
        });
        service.counted = service.counted.saturating_add(total.counted);
        service.counted_by_button = service.counted_by_button.saturating_add(total.counted_by_button);
        service.counted_by_api = service.counted.saturating_sub(service.counted_by_button);
        service.visits_served += total.visits_served;
        service.visits_other += total.visits_other;
        service.last_at_ms = service.last_at_ms.max(total.last_at_ms);
        service.estimated += total.estimated;
        service.nodes.push(node.id.clone());
    }
    services.into_values().collect()
}

#[derive(Debug, Clone, Copy, Default)]
struct Village<'a> {
    name: Option<&'a str>,
    live: u32,
    total: u32,
    backlog: u64,
    backlog_unknown: bool,
}

impl<'a> Village<'a> {
    fn add(&mut self, node: &'a NodeView) {
        self.name = self.name.or(node.village_name.as_deref());
        self.total += 1;
        self.live += u32::from(node.liveness == Liveness::Live);
        let said = node.streams.iter().find(|stream| stream.stream == Stream::Service.name());
        // A node that does not speak has its last word in there, not what waits in it now.
        match said.and_then(|stream| stream.backlog_records).filter(|_| node.liveness == Liveness::Live) {
            Some(records) => self.backlog = self.backlog.saturating_add(records),
            None => self.backlog_unknown = true,
        }
    }
}

fn hub(inputs: &Inputs<'_>) -> HubView {
    let paused = inputs.vitals.paused_rollouts().into_iter();
    let paused = paused.map(|(number, reason)| PausedRolloutView { number, reason });
    HubView {
        version: env!("CARGO_PKG_VERSION").into(),
        generation: inputs.generation.to_string(),
        uptime_s: inputs.uptime.as_secs(),
        sessions: inputs.vitals.sessions(),
        database_bytes: inputs.usage.database_bytes,
        snapshot_bytes: inputs.usage.snapshot_bytes,
        budget_bytes: inputs.usage.budget_bytes,
        free_bytes: inputs.usage.free_bytes,
        days_left: inputs.usage.days_left,
        aside_count: inputs.usage.aside_count,
        rollup_lag_batches: inputs.usage.rollup_lag_batches,
        mqtt_ready: inputs.vitals.mqtt_ready(),
        withholding: inputs.usage.withholding || inputs.vitals.withholding(),
        last_backup_ms: inputs.usage.last_backup_ms,
        restored: inputs.usage.restored.map(|Restored { at_ms, backup_ms }| RestoredView { at_ms, backup_ms }),
        incoming_dropped: inputs.usage.incoming_dropped,
        quarantined: inputs.usage.quarantined.clone(),
        paused_rollouts: paused.collect(),
    }
}
