//! `status`: the running hub in a few lines.

use std::fmt::Write;
use std::process::ExitCode;

use anyhow::{Context, bail};
use hyper::{Method, StatusCode};
use serde_json::Value;

use super::{CONSOLE_TIME_MAX, console};
use crate::config::Config;
use crate::web::client::{ClientError, request};

/// Ask the running hub and print; 0 when it takes records.
pub async fn status(config: &Config, json: bool) -> anyhow::Result<ExitCode> {
    let ask = |path| {
        let console = console(config);
        async move { request(&console, Method::GET, path, None, CONSOLE_TIME_MAX).await }
    };
    let (status, body) = match ask("/api/v1/overview").await {
        Err(ClientError::Connect(_)) => {
            println!("no hub is running on {}", config.data_directory.display());
            return Ok(ExitCode::FAILURE);
        }
        answer => answer.context("the running hub did not answer; see its log")?,
    };
    if status != StatusCode::OK {
        bail!("the running hub cannot say how it is ({status}); see its log");
    }
    let (ready, reasons) = ask("/readyz").await.context("the running hub did not answer; see its log")?;
    if json {
        println!("{}", String::from_utf8_lossy(&body));
    } else {
        let overview = serde_json::from_slice(&body).context("the hub's answer cannot be read")?;
        let reasons = serde_json::from_slice(&reasons).unwrap_or(Value::Null);
        print!("{}", describe(&overview, &reasons));
    }
    Ok(if ready == StatusCode::OK { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A few lines; what is unknown is said to be.
fn describe(overview: &Value, readiness: &Value) -> String {
    let (hub, now_ms) = (&overview["hub"], overview["now_ms"].as_i64().unwrap_or(0));
    let number = |value: &Value| value.as_u64().map_or("unknown".into(), |number| number.to_string());
    let gib = |value: &Value| {
        value.as_f64().map_or("unknown".into(), |bytes| format!("{:.2} GiB", bytes / (1u64 << 30) as f64))
    };
    let nodes = overview["nodes"].as_array().map(Vec::as_slice).unwrap_or_default();
    let how = |liveness: &str| nodes.iter().filter(|node| node["liveness"] == liveness).count();
    let streams = || nodes.iter().flat_map(|node| node["streams"].as_array().into_iter().flatten());
    let sum = |field: &str| streams().filter_map(|stream| stream[field].as_u64()).sum::<u64>();
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(text, "hub {}, up {} s", hub["version"].as_str().unwrap_or("?"), number(&hub["uptime_s"]));
    match readiness["reasons"].as_array().map(Vec::as_slice) {
        Some([]) => text += "takes records\n",
        Some(reasons) => reasons.iter().for_each(|reason| {
            let _ = writeln!(text, "NOT READY: {}", reason.as_str().unwrap_or("?"));
        }),
        None => text += "NOT READY\n",
    }
    let _ = writeln!(
        text,
        "nodes    {} live, {} late, {} silent, {} never heard; {} sessions",
        how("live"),
        how("late"),
        how("silent"),
        how("never"),
        number(&hub["sessions"])
    );
    let _ = writeln!(
        text,
        "records  {} here, {} still at the nodes, {} lost for ever",
        sum("have_records"),
        sum("backlog_records"),
        sum("lost_records")
    );
    let days = hub["days_left"].as_f64().map_or("not known when full".into(), |days| format!("full in {days:.0} days"));
    let _ = writeln!(
        text,
        "disk     {} database, {} images, of {}; {}",
        gib(&hub["database_bytes"]),
        gib(&hub["snapshot_bytes"]),
        gib(&hub["budget_bytes"]),
        days
    );
    let backup = hub["last_backup_ms"].as_i64().map_or("never: run `simpul-hub backup DIR`".into(), |at_ms| {
        format!("{} h ago", (now_ms - at_ms).max(0) / 3_600_000)
    });
    let _ = writeln!(text, "backup   {backup}");
    if let Some(at_ms) = hub["restored"]["at_ms"].as_i64() {
        let hours = (now_ms - at_ms).max(0) / 3_600_000;
        let _ =
            writeln!(text, "RESTORED {hours} h ago: the nodes send again what the backup lacked; make a backup then");
    }
    if let Some(aside @ 1..) = hub["aside_count"].as_u64() {
        let _ = writeln!(text, "aside    {aside} payloads could not be read: see /api/v1/aside");
    }
    if let Some(done) = hub["quarantined"].as_str() {
        let _ = writeln!(text, "DAMAGED  the store was set aside at the start: {done}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn status_says_what_is_unknown_and_what_is_wrong() {
        let overview = json!({
            "now_ms": 7_200_000,
            "hub": { "version": "1", "uptime_s": 5, "sessions": null, "database_bytes": 1u64 << 30, "snapshot_bytes": 0,
                "budget_bytes": 1u64 << 31, "days_left": null, "last_backup_ms": 0, "restored": { "at_ms": 3_600_000, "backup_ms": 0 },
                "aside_count": 2, "quarantined": null },
            "nodes": [{ "liveness": "live", "streams": [{ "have_records": 3, "backlog_records": null, "lost_records": 1 }] }],
        });
        let expected = "hub 1, up 5 s\n\
                        NOT READY: disk\n\
                        nodes    1 live, 0 late, 0 silent, 0 never heard; unknown sessions\n\
                        records  3 here, 0 still at the nodes, 1 lost for ever\n\
                        disk     1.00 GiB database, 0.00 GiB images, of 2.00 GiB; not known when full\n\
                        backup   2 h ago\n\
                        RESTORED 1 h ago: the nodes send again what the backup lacked; make a backup then\n\
                        aside    2 payloads could not be read: see /api/v1/aside\n";
        assert_eq!(describe(&overview, &json!({ "reasons": ["disk"] })), expected);
    }
}
