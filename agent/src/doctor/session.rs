//! The session with the hub, by the agent's word: up, acknowledged, draining, refused.

use std::time::Duration;

use simpul_wire::doctor::{Code, Finding, Value, Verdict};

use super::{Word, duration};

/// Without an acknowledgement for so long while something waits, something is wrong: a batch takes a second.
const ACKNOWLEDGED_S: u64 = 180;
/// So much may wait on a healthy node: a minute of everything, and a picture.
const BACKLOG_RECORDS: u64 = 2_000;
const BACKLOG_BYTES: u64 = 8_000_000;

pub(super) fn judge(word: &Word) -> Vec<Finding> {
    let link = &word.uplink;
    let records: u64 = word.streams.iter().map(|stream| stream.backlog_records).sum();
    let bytes: u64 = word.streams.iter().map(|stream| stream.backlog_bytes).sum();
    let mut findings = Vec::new();
    if !link.up {
        let away =
            Code::HubDisconnected.finding(Verdict::Fail).with("since", duration(Duration::from_secs(link.since_s)));
        findings.push(away.with_text("error", link.last_error.as_deref().unwrap_or("–")));
    }
    let silent_s = link.last_ack_s.unwrap_or(u64::MAX).min(link.since_s);
    if link.up && records > 0 && silent_s > ACKNOWLEDGED_S {
        let age = duration(Duration::from_secs(silent_s));
        let silent = Code::HubNoAcknowledgement.finding(Verdict::Warn).with("age", age);
        findings.push(silent.with("records", Value::Count(records)));
    }
    if records >= BACKLOG_RECORDS || bytes >= BACKLOG_BYTES {
        let backlog = Code::HubBacklog.finding(Verdict::Warn);
        let backlog = backlog.with("records", Value::Count(records)).with("bytes", Value::Bytes(bytes));
        // Known only while it is sent, and at what rate.
        let drain_s = link.bytes_per_second.filter(|rate| link.up && *rate > 0).map(|rate| bytes / rate);
        findings.push(match drain_s {
            Some(drain_s) => backlog.with("drain", duration(Duration::from_secs(drain_s))),
            None => backlog,
        });
    }
    if link.refused_records > 0 {
        let refused = Code::HubRefusesRecords.finding(Verdict::Warn);
        findings.push(refused.with("records", Value::Count(link.refused_records)));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::testing::{told, word};
    use super::*;

    #[test]
    fn a_session_is_judged_by_the_agents_word() {
        type Change = fn(&mut serde_json::Value);
        let table: [(Change, &[&str]); 6] = [
            (|_| {}, &[]),
            (|word| word["uplink"]["up"] = false.into(), &["hub.disconnected fail"]),
            (|word| word["streams"][0]["backlog_records"] = 2_000.into(), &["hub.backlog warn"]),
            (|word| word["uplink"]["refused_records"] = 1.into(), &["hub.refuses_records warn"]),
            (
                |word| {
                    word["uplink"]["last_ack_s"] = 400.into();
                    word["streams"][0]["backlog_records"] = 1.into();
                },
                &["hub.no_acknowledgement warn"],
            ),
            // Nothing waits: nothing is to be acknowledged.
            (|word| word["uplink"]["last_ack_s"] = 4_000.into(), &[]),
        ];
        for (change, expected) in table {
            assert_eq!(told(&judge(&word(change))), expected);
        }
    }
}
