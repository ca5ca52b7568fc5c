//! What an import says of itself.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What came of a carry file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CarryView {
    /// Whose records.
    pub node: String,
    /// The epoch of the node's store when the file was made.
    pub epoch: String,
    /// When it was made, Unix milliseconds by the node's clock, which may be wrong.
    pub created_ms: i64,
    /// The file was whole. If not, what stands before the damage was taken, and `problem` says what is wrong.
    pub whole: bool,
    /// What is wrong with it; null: nothing.
    pub problem: Option<String>,
    /// What came, by stream.
    pub streams: Vec<CarryStream>,
    /// What the hub refused, and why; at most 100 ranges.
    pub rejected: Vec<RejectedRange>,
    /// What the file promised and did not bring, at most 100 ranges: the node still has it, or has sent it by fibre.
    pub missing: Vec<MissingRange>,
}

/// What came of one stream.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CarryStream {
    /// The stream.
    pub stream: String,
    /// Records (readings, images) that are new.
    pub new: u64,
    /// Of those: records that had been declared lost.
    pub found_again: u64,
    /// Records that the hub had already.
    pub had: u64,
    /// Records that it refused.
    pub rejected: u64,
    /// Records that the file promised and did not bring.
    pub missing: u64,
}

/// A refused range.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RejectedRange {
    /// The stream; empty: it could not be read.
    pub stream: String,
    /// First sequence number.
    pub first: u64,
    /// Last sequence number.
    pub last: u64,
    /// Why.
    pub reason: String,
}

/// A range that did not come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MissingRange {
    /// The stream.
    pub stream: String,
    /// The epoch.
    pub epoch: String,
    /// First sequence number.
    pub first: u64,
    /// Last sequence number.
    pub last: u64,
}
