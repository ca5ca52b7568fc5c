//! Reads of the API: the overview, one node, rows in pages, series, ranges, the disk.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Uri, header};
use axum::response::{IntoResponse, Response};

use super::Web;
use super::error::ApiError;
use super::query::{Params, path_node};
use crate::store::Step;
use crate::view::model::{
    AsideView, ErrorView, EventView, NodeReadingsView, NodeView, Overview, Rows, SeriesView, ServiceRecordView,
    SnapshotView, StreamRangesView, UsageView,
};
use crate::view::step_s;

/// Spans of one series at most: a week of minutes.
const POINTS_MAX: i64 = 10_080;

/// Times are accepted up to the year 2100: beyond is a slip (seconds for milliseconds the other way round).
const TIME_MAX_MS: i64 = 4_102_444_800_000;

/// Everything that the first page shows, as of one moment; at most a second old.
#[utoipa::path(get, path = "/api/v1/overview", tag = "view",
    responses((status = 200, body = Overview), (status = 401, body = ErrorView)))]
pub async fn overview(State(web): State<Arc<Web>>, headers: HeaderMap) -> Result<Response, ApiError> {
    let shot = web.view.overview().await?;
    let Some(fibre) = &web.fibre else {
        // 852 nodes are some megabytes a second for each wall: who understands zstd gets a tenth of that.
        let kind = [(header::CONTENT_TYPE, "application/json"), (header::VARY, "accept-encoding")];
        return Ok(match accepts_zstd(&headers).then(|| shot.packed()).flatten() {
            Some(packed) => (kind, [(header::CONTENT_ENCODING, "zstd")], packed).into_response(),
            None => (kind, shot.json.clone()).into_response(),
        });
    };
    let mut overview = shot.overview.clone();
    fibre.mark(&mut overview.nodes).await;
    Ok(Json(overview).into_response())
}

/// RFC 9110, 12.5.3: named, and not with a weight of zero.
fn accepts_zstd(headers: &HeaderMap) -> bool {
    let lists = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|list| list.to_str().ok());
    lists.flat_map(|list| list.split(',')).any(|item| {
        let (name, weight) = item.split_once(';').unwrap_or((item, "q=1"));
        let refused = weight.trim().strip_prefix("q=").and_then(|q| q.parse::<f32>().ok()) == Some(0.0);
        name.trim() == "zstd" && !refused
    })
}

/// One node, as in the overview.
#[utoipa::path(get, path = "/api/v1/nodes/{id}", tag = "view", params(("id" = String, Path, description = "The node's id")),
    responses((status = 200, body = NodeView), (status = 400, body = ErrorView), (status = 404, body = ErrorView)))]
pub async fn node(State(web): State<Arc<Web>>, Path(id): Path<String>) -> Result<Json<NodeView>, ApiError> {
    let id = path_node(&id)?;
    let shot = web.view.overview().await?;
    let known = shot.overview.nodes.iter().find(|node| node.id == id.as_str()).cloned();
    let mut node = known.ok_or_else(|| {
        ApiError::not_found(format!("no node {id} is registered or was ever heard from: see /api/v1/overview"))
    })?;
    if let Some(fibre) = &web.fibre {
        fibre.mark(std::slice::from_mut(&mut node)).await;
    }
    Ok(Json(node))
}

/// Service records, for export and for comparing by key.
#[utoipa::path(get, path = "/api/v1/service-records", tag = "records",
    params(("node" = Option<String>, Query, description = "Only this node"),
        ("cursor" = Option<i64>, Query, description = "next_cursor of the page before"),
        ("limit" = Option<i64>, Query, description = "Rows, 1 to 1000; default 100"),
        ("order" = Option<String>, Query, description = "oldest_first (default) or newest_first")),
    responses((status = 200, body = Rows<ServiceRecordView>), (status = 400, body = ErrorView)))]
pub async fn service_records(State(web): State<Arc<Web>>, uri: Uri) -> Result<Json<Rows<ServiceRecordView>>, ApiError> {
    let page = Params::new(&uri, Params::PAGE)?.page()?;
    Ok(Json(web.view.service_records(page).await?))
}

/// Events.
#[utoipa::path(get, path = "/api/v1/events", tag = "records",
    params(("node" = Option<String>, Query, description = "Only this node"),
        ("cursor" = Option<i64>, Query, description = "next_cursor of the page before"),
        ("limit" = Option<i64>, Query, description = "Rows, 1 to 1000; default 100"),
        ("order" = Option<String>, Query, description = "oldest_first (default) or newest_first")),
    responses((status = 200, body = Rows<EventView>), (status = 400, body = ErrorView)))]
pub async fn events(State(web): State<Arc<Web>>, uri: Uri) -> Result<Json<Rows<EventView>>, ApiError> {
    let page = Params::new(&uri, Params::PAGE)?.page()?;
    Ok(Json(web.view.events(page).await?))
}

/// Snapshots, without their bytes.
#[utoipa::path(get, path = "/api/v1/snapshots", tag = "records",
    params(("node" = Option<String>, Query, description = "Only this node"),
        ("cursor" = Option<i64>, Query, description = "next_cursor of the page before"),
        ("limit" = Option<i64>, Query, description = "Rows, 1 to 1000; default 100"),
        ("order" = Option<String>, Query, description = "oldest_first (default) or newest_first")),
    responses((status = 200, body = Rows<SnapshotView>), (status = 400, body = ErrorView)))]
pub async fn snapshots(State(web): State<Arc<Web>>, uri: Uri) -> Result<Json<Rows<SnapshotView>>, ApiError> {
    let page = Params::new(&uri, Params::PAGE)?.page()?;
    Ok(Json(web.view.snapshots(page).await?))
}

/// A series of one metric at one node; without times the last day (minute), month (hour) or year (day).
#[utoipa::path(get, path = "/api/v1/readings", tag = "records",
    params(("node" = String, Query, description = "The node"),
        ("metric" = String, Query, description = "The metric, such as cpu_used"),
        ("step" = Option<String>, Query, description = "minute (default), hour or day"),
        ("from_ms" = Option<i64>, Query, description = "Start, Unix milliseconds"),
        ("to_ms" = Option<i64>, Query, description = "End, exclusive; at most 10080 steps after the start")),
    responses((status = 200, body = SeriesView), (status = 400, body = ErrorView)))]
pub async fn readings(State(web): State<Arc<Web>>, uri: Uri) -> Result<Json<SeriesView>, ApiError> {
    let params = Params::new(&uri, &["node", "metric", "step", "from_ms", "to_ms"])?;
    let node = Params::required("node", "35.12.07.2003-01", params.node()?)?;
    let metric = Params::required("metric", "cpu_used", params.text("metric"))?.to_owned();
    let steps = [("minute", Step::Minute), ("hour", Step::Hour), ("day", Step::Day)];
    let step = params.one_of("step", &steps)?.unwrap_or(Step::Minute);
    let step_ms = i64::from(step_s(step)) * 1_000;
    let span_ms = match step {
        Step::Minute => 86_400_000,
        Step::Hour => 30 * 86_400_000,
        Step::Day => 366 * 86_400_000,
    };
    let to_ms = params.whole("to_ms", 0, TIME_MAX_MS)?.unwrap_or_else(|| web.view.now_ms());
    let from_ms = params.whole("from_ms", 0, TIME_MAX_MS)?.unwrap_or(to_ms - span_ms);
    if from_ms >= to_ms {
        return Err(ApiError::parameter(format!("from_ms = {from_ms}: less than to_ms = {to_ms} is allowed")));
    }
    if (to_ms - from_ms) / step_ms > POINTS_MAX {
        return Err(ApiError::parameter(format!(
            "from_ms = {from_ms}, to_ms = {to_ms}: at most {POINTS_MAX} steps are allowed; take a larger step, or ask in parts"
        )));
    }
    Ok(Json(web.view.series(node, metric, step, from_ms, to_ms).await?))
}

/// The newest reading of every metric.
#[utoipa::path(get, path = "/api/v1/readings/latest", tag = "records",
    params(("node" = Option<String>, Query, description = "Only this node")),
    responses((status = 200, body = Vec<NodeReadingsView>), (status = 400, body = ErrorView)))]
pub async fn latest_readings(State(web): State<Arc<Web>>, uri: Uri) -> Result<Json<Vec<NodeReadingsView>>, ApiError> {
    let node = Params::new(&uri, &["node"])?.node()?;
    Ok(Json(web.view.latest_readings(node).await?))
}

/// What the hub has and lacks of every stream, range by range: for auditors.
#[utoipa::path(get, path = "/api/v1/streams", tag = "records",
    params(("node" = Option<String>, Query, description = "Only this node")),
    responses((status = 200, body = Vec<StreamRangesView>), (status = 400, body = ErrorView)))]
pub async fn streams(State(web): State<Arc<Web>>, uri: Uri) -> Result<Json<Vec<StreamRangesView>>, ApiError> {
    let node = Params::new(&uri, &["node"])?.node()?;
    Ok(Json(web.view.streams(node).await?))
}

/// Payloads that could not be read and were kept aside, newest first.
#[utoipa::path(get, path = "/api/v1/aside", tag = "hub",
    params(("limit" = Option<i64>, Query, description = "Rows, 1 to 1000; default 100")),
    responses((status = 200, body = Vec<AsideView>), (status = 400, body = ErrorView)))]
pub async fn aside(State(web): State<Arc<Web>>, uri: Uri) -> Result<Json<Vec<AsideView>>, ApiError> {
    let limit = Params::new(&uri, &["limit"])?.page()?.limit;
    Ok(Json(web.view.aside(limit).await?))
}

/// How full the hub's disk is.
#[utoipa::path(get, path = "/api/v1/usage", tag = "hub", responses((status = 200, body = UsageView)))]
pub async fn usage(State(web): State<Arc<Web>>, uri: Uri) -> Result<Json<UsageView>, ApiError> {
    Params::new(&uri, &[])?;
    Ok(Json(web.view.usage().await?))
}
