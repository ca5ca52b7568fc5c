//! Request bodies: JSON -> checked values, with the exact text of what is wrong. Pure.

use axum::http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use simpul_wire::service::{ServiceBody, VisitOutcome};
use simpul_wire::{Label, Missing, Unit};

use super::reply::Refusal;
use crate::sources::readings::Sample;
use simpul_wire::reading::Value;

/// Largest change of a counter in one request: a busy day's worth; more is a mistake that the room could not undo.
const AMOUNT_MAX: u64 = 1_000;
/// Most readings in one request: two minutes of the load budget.
const READINGS_MAX: usize = 256;
/// Longest code of a service, in bytes: what fits a column.
const CODE_BYTES_MAX: usize = 64;
/// Longest wait or service time in seconds: a week; more is a mistake.
const SECONDS_MAX: u32 = 7 * 86_400;

/// The header that may carry the idempotency key.
pub(super) const KEY_HEADER: &str = "idempotency-key";

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Increment {
    pub(super) amount: Option<i64>,
    pub(super) desk: Option<String>,
    pub(super) key: Option<String>,
    #[serde(default)]
    pub(super) simulated: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Total {
    pub(super) total: u64,
    pub(super) source: String,
    pub(super) desk: Option<String>,
    pub(super) key: Option<String>,
    #[serde(default)]
    pub(super) simulated: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Visit {
    pub(super) service: String,
    pub(super) desk: Option<String>,
    pub(super) ticket: Option<String>,
    pub(super) waited_s: Option<u32>,
    pub(super) served_s: Option<u32>,
    pub(super) outcome: String,
    pub(super) key: Option<String>,
    #[serde(default)]
    pub(super) simulated: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Readings {
    pub(super) readings: Vec<Reading>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Reading {
    metric: String,
    unit: String,
    value: Option<f64>,
    missing: Option<String>,
}

/// A body as JSON. An empty one is `{}`: a button's script need not send any.
pub(super) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Refusal> {
    let bytes = if bytes.is_empty() { b"{}" } else { bytes };
    serde_json::from_slice(bytes).map_err(|error| match error.classify() {
        serde_json::error::Category::Data => Refusal::invalid(error.to_string()),
        _ => Refusal::new(StatusCode::BAD_REQUEST, "not_json", format!("the body is not JSON: {error}")),
    })
}

/// A service's code.
pub(super) fn code(text: &str) -> Result<Label, Refusal> {
    let fits = (1..=CODE_BYTES_MAX).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'));
    match text.parse() {
        Ok(label) if fits => Ok(label),
        _ => Err(Refusal::invalid("service: 1 to 64 letters, digits, '.', '_' or '-' are expected, such as ktp")),
    }
}

/// A short text that may be left out.
pub(super) fn label(name: &str, text: Option<String>) -> Result<Option<Label>, Refusal> {
    text.map(|text| named(name, &text)).transpose()
}

/// A short text.
pub(super) fn named(name: &str, text: &str) -> Result<Label, Refusal> {
    text.parse()
        .ok()
        .filter(|label: &Label| !label.is_empty())
        .ok_or_else(|| Refusal::invalid(format!("{name}: 1 to 96 bytes without control characters are expected")))
}

/// The caller's idempotency key, from header or body; both must say the same.
pub(super) fn key(headers: &HeaderMap, field: Option<String>) -> Result<Option<Label>, Refusal> {
    let wrong = || Refusal::invalid("key: 1 to 96 visible ASCII characters are expected, such as a UUID");
    let check = |text: &str| -> Result<Label, Refusal> {
        let fits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        text.parse().ok().filter(|_| fits).ok_or_else(wrong)
    };
    let header = match headers.get(KEY_HEADER) {
        // The draft standard writes it as a quoted string; most callers do not.
        Some(value) => Some(check(value.to_str().map_err(|_| wrong())?.trim_matches('"'))?),
        None => None,
    };
    let field = field.as_deref().map(check).transpose()?;
    match (header, field) {
        (Some(header), Some(field)) if header != field => {
            Err(Refusal::invalid("key: the header Idempotency-Key and the field key differ; send one of them"))
        }
        (header, field) => Ok(header.or(field)),
    }
}

/// How much a counter moves.
pub(super) fn amount(amount: Option<i64>) -> Result<i64, Refusal> {
    match amount.unwrap_or(1) {
        amount if amount != 0 && amount.unsigned_abs() <= AMOUNT_MAX => Ok(amount),
        amount => Err(Refusal::invalid(format!("amount: {amount} is not allowed; -1000 to 1000, not 0"))),
    }
}

/// A visit's record.
pub(super) fn visit(visit: &Visit) -> Result<ServiceBody, Refusal> {
    let outcomes = VisitOutcome::ALL.iter().map(|outcome| (name_of(outcome.text()), *outcome));
    let outcome = one_of("outcome", &visit.outcome, outcomes)?;
    let seconds = |name: &str, seconds: Option<u32>| match seconds {
        Some(seconds) if seconds > SECONDS_MAX => {
            Err(Refusal::invalid(format!("{name}: {seconds} is not allowed; 0 to {SECONDS_MAX} seconds")))
        }
        seconds => Ok(seconds),
    };
    Ok(ServiceBody::Visit {
        service: code(&visit.service)?,
        desk: label("desk", visit.desk.clone())?,
        ticket: label("ticket", visit.ticket.clone())?,
        waited_s: seconds("waited_s", visit.waited_s)?,
        served_s: seconds("served_s", visit.served_s)?,
        outcome,
    })
}

/// Samples of a batch of readings.
pub(super) fn samples(batch: Readings) -> Result<Vec<Sample>, Refusal> {
    let count = batch.readings.len();
    if !(1..=READINGS_MAX).contains(&count) {
        return Err(Refusal::invalid(format!("readings: {count} are not allowed; 1 to {READINGS_MAX} in one request")));
    }
    batch.readings.iter().enumerate().map(|(index, reading)| sample(index, reading)).collect()
}

fn sample(index: usize, reading: &Reading) -> Result<Sample, Refusal> {
    let place = |name: &str| format!("readings[{index}].{name}");
    let unit = one_of(&place("unit"), &reading.unit, Unit::ALL.iter().map(|unit| (unit.text().into(), *unit)))?;
    let value = match (reading.value, &reading.missing) {
        (Some(number), None) => Value::Number(number),
        (None, Some(reason)) => {
            let reasons = Missing::ALL.iter().map(|reason| (name_of(reason.text()), *reason));
            Value::Missing(one_of(&place("missing"), reason, reasons)?)
        }
        _ => {
            let message =
                "either value or missing is expected; a value that is not known is missing with a reason, not 0";
            return Err(Refusal::invalid(format!("readings[{index}]: {message}")));
        }
    };
    Ok(Sample { metric: named(&place("metric"), &reading.metric)?, unit, value })
}

/// A name in JSON: words joined by `_`.
fn name_of(text: &str) -> String {
    text.replace(' ', "_")
}

fn one_of<T>(place: &str, text: &str, choices: impl Iterator<Item = (String, T)>) -> Result<T, Refusal> {
    let mut names = Vec::new();
    for (name, value) in choices {
        if name == text {
            return Ok(value);
        }
        names.push(name);
    }
    Err(Refusal::invalid(format!("{place}: one of {} is expected", names.join(", "))))
}
