//! `/metrics` in Prometheus' text format, written by hand: names end in their unit or `_total`, unknown is absent.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;

use super::Web;
use super::error::ApiError;
use crate::view::model::{Liveness, Overview};
use crate::view::vitals::Sample;

/// The metrics. By stream and state only: a node as a label would make as many series as there are villages.
#[utoipa::path(get, path = "/metrics", tag = "operations",
    responses((status = 200, content_type = "text/plain", body = String)))]
pub async fn metrics(State(web): State<Arc<Web>>) -> Result<impl IntoResponse, ApiError> {
    let shot = web.view.overview().await?;
    let mut samples = of_overview(&shot.overview);
    samples.extend(web.view.vitals().samples());
    samples.extend(web.counters.samples());
    samples.push(gauge("live_clients", "Pages that watch live events.", web.feed.clients() as f64));
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text(&samples)))
}

fn gauge(name: &'static str, help: &'static str, value: f64) -> Sample {
    Sample { name, help, labels: Vec::new(), value }
}

fn of_overview(overview: &Overview) -> Vec<Sample> {
    let hub = &overview.hub;
    let version = vec![("version", hub.version.clone()), ("generation", hub.generation.clone())];
    let mut samples = vec![
        Sample { name: "info", help: "Version and generation of the store.", labels: version, value: 1.0 },
        gauge("uptime_seconds", "Since the hub started.", hub.uptime_s as f64),
        gauge("database_bytes", "Bytes of the database.", hub.database_bytes as f64),
        gauge("snapshot_bytes", "Bytes of the images.", hub.snapshot_bytes as f64),
        gauge("budget_bytes", "The disk budget.", hub.budget_bytes as f64),
        gauge("disk_free_bytes", "Free bytes on the hub's file system.", hub.free_bytes as f64),
        gauge("withholding", "1 while acknowledgements are withheld.", f64::from(u8::from(hub.withholding))),
        gauge(
            "quarantined",
            "1 when a damaged store was set aside at the start.",
            f64::from(u8::from(hub.quarantined.is_some())),
        ),
        gauge("restored", "1 from a restore until the next backup.", f64::from(u8::from(hub.restored.is_some()))),
        gauge("aside_total", "Payloads kept aside because they could not be read.", hub.aside_count as f64),
        gauge("incoming_images_dropped_total", "Incomplete images dropped at the limit.", hub.incoming_dropped as f64),
        gauge("rollup_lag_batches", "Batches of readings not rolled up yet.", hub.rollup_lag_batches as f64),
    ];
    samples.extend(hub.days_left.map(|days| gauge("disk_days_left", "Days until the budget is spent.", days)));
    samples.extend(hub.last_backup_ms.map(|at_ms| {
        gauge("last_backup_timestamp_seconds", "When the newest backup was begun.", at_ms as f64 / 1_000.0)
    }));
    samples.extend(hub.sessions.map(|sessions| gauge("mqtt_sessions", "Open MQTT sessions.", f64::from(sessions))));
    for (liveness, name) in
        [(Liveness::Live, "live"), (Liveness::Late, "late"), (Liveness::Silent, "silent"), (Liveness::Never, "never")]
    {
        let count = overview.nodes.iter().filter(|node| node.liveness == liveness).count();
        let labels = vec![("liveness", name.into())];
        samples.push(Sample { name: "nodes", help: "Nodes by liveness.", labels, value: count as f64 });
    }
    samples.extend(by_stream(overview));
    samples
}

#[derive(Default)]
struct Streams {
    have: u64,
    lost: u64,
    backlog: u64,
}

fn by_stream(overview: &Overview) -> Vec<Sample> {
    let mut streams: BTreeMap<&str, Streams> = BTreeMap::new();
    for view in overview.nodes.iter().flat_map(|node| &node.streams) {
        let stream = streams.entry(&view.stream).or_default();
        stream.have += view.have_records;
        stream.lost += view.lost_records;
        stream.backlog += view.backlog_records.unwrap_or(0);
    }
    let sample = |name, help, stream: &str, value: u64| Sample {
        name,
        help,
        labels: vec![("stream", stream.to_owned())],
        value: value as f64,
    };
    let samples = streams.iter().flat_map(|(stream, counts)| {
        [
            sample("records_have", "Records that the hub has.", stream, counts.have),
            sample("records_lost", "Records declared lost for ever.", stream, counts.lost),
            sample(
                "backlog_records",
                "Records at the nodes, by their last word (nodes that never said are left out).",
                stream,
                counts.backlog,
            ),
        ]
    });
    samples.collect()
}

/// The exposition: samples of one name together, under one HELP and TYPE.
fn text(samples: &[Sample]) -> String {
    let mut names: BTreeMap<&str, Vec<&Sample>> = BTreeMap::new();
    for sample in samples {
        names.entry(sample.name).or_default().push(sample);
    }
    let mut text = String::new();
    for (name, samples) in names {
        let kind = if name.ends_with("_total") { "counter" } else { "gauge" };
        let help = samples.first().map_or("", |sample| sample.help);
        // Writing to a String cannot fail.
        let _ = writeln!(text, "# HELP simpul_hub_{name} {help}\n# TYPE simpul_hub_{name} {kind}");
        for sample in samples {
            let labels: Vec<String> =
                sample.labels.iter().map(|(key, value)| format!("{key}=\"{}\"", escape(value))).collect();
            let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
            let _ = writeln!(text, "simpul_hub_{name}{labels} {}", sample.value);
        }
    }
    text
}

fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_of_one_name_stand_under_one_help_and_labels_are_escaped() {
        let sample =
            |value: &str| Sample { name: "x_total", help: "X.", labels: vec![("a", value.into())], value: 1.5 };
        let expected = "# HELP simpul_hub_x_total X.\n# TYPE simpul_hub_x_total counter\n\
                        simpul_hub_x_total{a=\"1\"} 1.5\nsimpul_hub_x_total{a=\"\\\"\\\\\\n\"} 1.5\n";
        assert_eq!(text(&[sample("1"), sample("\"\\\n")]), expected);
    }
}
