//! Service records as CSV, streamed page by page: a year of a district passes through a few kilobytes of memory.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{Uri, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use simpul_wire::NodeId;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::Web;
use super::error::ApiError;
use super::query::Params;
use crate::store::{Page, StoreError};
use crate::view::model::{ErrorView, ServiceRecordView};

/// Rows read at a time.
const PAGE: usize = 1_000;

const HEADER: &str = "id,node,epoch,seq,key,at,at_ms,dating,received_ms,origin,simulated,kind,service,desk,delta,total,\
                      ticket,waited_s,served_s,outcome\r\n";

enum Progress {
    Header,
    Rows(Option<i64>),
    End,
}

/// Service records as CSV, oldest first. A file that ends early is cut off (the connection breaks), never short.
#[utoipa::path(get, path = "/api/v1/service-records.csv", tag = "records",
    params(("node" = Option<String>, Query, description = "Only this node")),
    responses((status = 200, content_type = "text/csv", body = String), (status = 400, body = ErrorView)))]
pub async fn service_records_csv(State(web): State<Arc<Web>>, uri: Uri) -> Result<Response, ApiError> {
    let node = Params::new(&uri, &["node"])?.node()?;
    let rows = stream::try_unfold(Progress::Header, move |progress| next(web.clone(), node.clone(), progress));
    let headers = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8; header=present"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"service-records.csv\""),
        (header::CACHE_CONTROL, "no-store"),
    ];
    Ok((headers, Body::from_stream(rows)).into_response())
}

async fn next(
    web: Arc<Web>,
    node: Option<NodeId>,
    progress: Progress,
) -> Result<Option<(Bytes, Progress)>, StoreError> {
    let cursor = match progress {
        Progress::Header => return Ok(Some((HEADER.into(), Progress::Rows(None)))),
        Progress::Rows(cursor) => cursor,
        Progress::End => return Ok(None),
    };
    let page = web.view.service_records(Page { node, cursor, newest_first: false, limit: PAGE }).await?;
    let offset_s = web.view.utc_offset_minutes() * 60;
    let text: String = page.rows.iter().map(|row| line(row, offset_s)).collect();
    let after = page.next_cursor.map_or(Progress::End, |cursor| Progress::Rows(Some(cursor)));
    Ok(Some((text.into(), after)))
}

fn line(row: &ServiceRecordView, offset_s: i32) -> String {
    let optional = |value: Option<String>| value.unwrap_or_default();
    let dating = format!("{:?}", row.dating).to_lowercase();
    let fields = [
        row.id.to_string(),
        cell(&row.node),
        row.epoch.clone(),
        row.seq.to_string(),
        cell(&row.key),
        local_time(row.at_ms, offset_s),
        row.at_ms.to_string(),
        dating,
        row.received_ms.to_string(),
        row.origin.clone(),
        row.simulated.to_string(),
        row.kind.clone(),
        cell(&row.service),
        optional(row.desk.as_deref().map(cell)),
        optional(row.delta.map(|delta| delta.to_string())),
        optional(row.total.map(|total| total.to_string())),
        optional(row.ticket.as_deref().map(cell)),
        optional(row.waited_s.map(|seconds| seconds.to_string())),
        optional(row.served_s.map(|seconds| seconds.to_string())),
        optional(row.outcome.as_deref().map(cell)),
    ];
    fields.join(",") + "\r\n"
}

/// A text that came from elsewhere: quoted where it must be, and never a spreadsheet's formula.
fn cell(text: &str) -> String {
    let formula = text.starts_with(['=', '+', '-', '@']);
    let text = if formula { format!("'{text}") } else { text.to_owned() };
    if text.contains([',', '"', '\r', '\n']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

fn local_time(at_ms: i64, offset_s: i32) -> String {
    let offset = time::UtcOffset::from_whole_seconds(offset_s).unwrap_or(time::UtcOffset::UTC);
    let at = OffsetDateTime::from_unix_timestamp(at_ms.div_euclid(1_000)).ok();
    // Years beyond the calendar stay empty: at_ms beside it has the number.
    at.and_then(|at| at.checked_to_offset(offset)?.format(&Rfc3339).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_never_a_formula_and_quotes_are_doubled() {
        assert_eq!(cell("=cmd|x"), "'=cmd|x");
        assert_eq!(cell("a,\"b\""), "\"a,\"\"b\"\"\"");
        assert_eq!(cell("ktp"), "ktp");
    }

    #[test]
    fn times_are_the_districts_own() {
        assert_eq!(local_time(1_700_000_000_000, 7 * 3_600), "2023-11-15T05:13:20+07:00");
        assert_eq!(local_time(i64::MAX, 0), "");
    }
}
