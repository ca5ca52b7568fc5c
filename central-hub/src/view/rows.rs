//! The store's rows as the API says them. Pure.

use simpul_wire::event::Loss;
use simpul_wire::reading::Value;
use simpul_wire::service::ServiceBody;

use super::day::age_s;
use super::event::describe;
use super::model::{
    AsideView, DatingView, EventView, LossView, RangeView, ReadingView, SeriesPointView, ServiceRecordView,
    SnapshotView, StreamRangesView,
};
use crate::store::{AsideRow, Dating, EventRow, LatestReading, RollupPoint, ServiceRow, SnapshotRow, StreamRow};

/// How sure a date is.
pub fn dating(dating: Dating) -> DatingView {
    match dating {
        Dating::Clock => DatingView::Clock,
        Dating::Anchor(_) => DatingView::Anchor,
        Dating::Estimated => DatingView::Estimated,
        Dating::Undated => DatingView::Undated,
    }
}

/// A loss.
pub fn loss(loss: &Loss) -> LossView {
    LossView {
        epoch: loss.epoch.to_string(),
        first_seq: loss.range.first(),
        last_seq: loss.range.last(),
        reason: loss.reason.to_string(),
    }
}

/// An event.
pub fn event(row: &EventRow) -> EventView {
    let said = describe(&row.record.body);
    EventView {
        id: row.id,
        node: row.node.to_string(),
        epoch: row.epoch.to_string(),
        seq: row.seq,
        at_ms: row.at_ms,
        dating: dating(row.dating),
        received_ms: row.received_ms,
        kind: said.kind.into(),
        severity: said.severity.into(),
        detail: said.detail,
    }
}

/// A service record.
pub fn service_record(row: &ServiceRow) -> ServiceRecordView {
    let mut view = ServiceRecordView {
        id: row.id,
        node: row.node.to_string(),
        epoch: row.epoch.to_string(),
        seq: row.seq,
        key: row.record.key.to_string(),
        at_ms: row.at_ms,
        dating: dating(row.dating),
        received_ms: row.received_ms,
        origin: row.record.origin.to_string(),
        simulated: row.record.simulated,
        kind: String::new(),
        service: row.record.body.service().to_string(),
        desk: None,
        delta: None,
        total: None,
        ticket: None,
        waited_s: None,
        served_s: None,
        outcome: None,
    };
    match &row.record.body {
        ServiceBody::Count { desk, delta, total, .. } => {
            view.kind = "count".into();
            view.desk = desk.as_ref().map(ToString::to_string);
            view.delta = Some(*delta);
            view.total = *total;
        }
        ServiceBody::Visit { desk, ticket, waited_s, served_s, outcome, .. } => {
            view.kind = "visit".into();
            view.desk = desk.as_ref().map(ToString::to_string);
            view.ticket = ticket.as_ref().map(ToString::to_string);
            view.waited_s = *waited_s;
            view.served_s = *served_s;
            view.outcome = Some(outcome.to_string());
        }
    }
    view
}

/// An image.
pub fn snapshot(row: &SnapshotRow, now_ms: i64) -> SnapshotView {
    SnapshotView {
        id: row.id,
        node: row.node.to_string(),
        camera: row.meta.camera.to_string(),
        at_ms: row.at_ms,
        dating: dating(row.dating),
        age_s: age_s(now_ms, row.at_ms),
        received_ms: row.received_ms,
        width: row.meta.width,
        height: row.meta.height,
        masked_percent: row.meta.masked_percent,
        sha256: hex::encode(row.meta.sha256),
        simulated: row.meta.simulated,
    }
}

/// A newest reading.
pub fn reading(latest: &LatestReading, now_ms: i64) -> ReadingView {
    let (value, missing) = match latest.value {
        Value::Number(number) => (Some(number), None),
        Value::Missing(reason) => (None, Some(reason.to_string())),
    };
    ReadingView {
        metric: latest.metric.clone(),
        unit: latest.unit.to_string(),
        at_ms: latest.at_ms,
        age_s: age_s(now_ms, latest.at_ms),
        value,
        missing,
    }
}

/// One span of a series: without a value there is no smallest, mean or largest.
pub fn point(point: &RollupPoint) -> SeriesPointView {
    let known = |value: f64| (point.count > 0).then_some(value);
    SeriesPointView {
        at_ms: point.at_ms,
        min: known(point.min),
        mean: known(point.sum / point.count.max(1) as f64),
        max: known(point.max),
        count: point.count,
        missing: point.missing,
    }
}

/// A payload that was kept aside.
pub fn aside(row: &AsideRow) -> AsideView {
    AsideView {
        id: row.id,
        node: row.node.to_string(),
        received_ms: row.received_ms,
        topic: row.topic.clone(),
        reason: row.reason.to_string(),
        detail: row.detail.clone(),
        payload_bytes: row.payload_bytes,
    }
}

/// What the hub has and lacks of one stream, range by range.
pub fn stream_ranges(row: &StreamRow) -> StreamRangesView {
    StreamRangesView {
        node: row.node.to_string(),
        epoch: row.epoch.to_string(),
        stream: row.stream.to_string(),
        have: row.have.iter().map(|range| RangeView { first_seq: range.first(), last_seq: range.last() }).collect(),
        have_records: row.have.count(),
        lost: row.lost.iter().map(loss).collect(),
        lost_records: row.lost.iter().map(|loss| loss.range.count()).sum(),
        last_received_ms: row.last_received_ms,
    }
}
