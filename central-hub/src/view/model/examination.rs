//! Examinations of nodes, as the API says them.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

/// A node's newest examination.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct NodeExaminationView {
    /// The node.
    pub node: String,
    /// The examination; null if the hub has none.
    pub examination: Option<ExaminationView>,
}

/// An examination.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ExaminationView {
    /// The order's id; null if someone on site asked, or if this hub cannot read the report.
    pub id: Option<String>,
    /// When it was made.
    pub at_ms: i64,
    /// Seconds since then.
    pub age_s: i64,
    /// The worst of what was found: ok, warn, fail or unknown.
    pub verdict: String,
    /// The examining agent's version; null if this hub cannot read the report.
    pub version: Option<String>,
    /// Milliseconds that it took.
    pub took_ms: Option<u32>,
    /// The findings, the most likely cause first, what follows from it behind it; null if this hub cannot read the
    /// report: update it.
    pub findings: Option<Vec<FindingView>>,
    /// Findings that did not fit into the report.
    pub omitted: Option<u32>,
}

/// A finding.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct FindingView {
    /// The code's number.
    pub code: u16,
    /// The code's text id, such as `hub.wrong_authority`.
    pub id: String,
    /// ok, warn, fail, unknown, or absent (nothing of the kind is there).
    pub verdict: String,
    /// The verdict in the language that was asked for.
    pub verdict_text: String,
    /// The text id of the finding that it probably follows from.
    pub follows: Option<String>,
    /// What the sentences were filled with.
    pub parameters: BTreeMap<String, ParameterView>,
    /// What is so, in the language that was asked for.
    pub what: String,
    /// Why that probably is.
    pub why: Option<String>,
    /// What to do.
    pub act: Option<String>,
}

/// A value with its kind.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(tag = "kind", content = "value", rename_all = "snake_case")]
pub enum ParameterView {
    /// Text as it is.
    Text(String),
    /// A number of things.
    Count(u64),
    /// An amount of data.
    Bytes(u64),
    /// A duration in milliseconds.
    DurationMs(u64),
    /// A moment in Unix seconds.
    UnixS(i64),
    /// Thousandths of a volt.
    Millivolts(u64),
}
