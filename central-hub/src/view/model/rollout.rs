//! What the API says of remote updates.

use serde::Serialize;
use utoipa::ToSchema;

/// How many nodes of a rollout are where.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct RolloutCountsView {
    /// Not their turn yet.
    pub planned: u32,
    /// Their turn: not there yet, or waiting for a better moment.
    pub waiting: u32,
    /// Running it on trial.
    pub trial: u32,
    /// It proved itself, or they ran it before.
    pub confirmed: u32,
    /// The former one is back.
    pub rolled_back: u32,
    /// They will not take it.
    pub refused: u32,
    /// Silent since they had it.
    pub silent: u32,
    /// Set aside: they did not get further for a day.
    pub behind: u32,
}

/// A rollout.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct RolloutView {
    /// Its number.
    pub number: i64,
    /// agent, board or configuration.
    pub part: String,
    /// The version to come to; null for a configuration.
    pub version: Option<String>,
    /// running, paused, finished or cancelled.
    pub state: String,
    /// Why it is as it is, in the hub's words; empty if there is nothing to say.
    pub reason: String,
    /// Its ring, from 1.
    pub ring: u32,
    /// How many nodes of each platform have it after each ring, such as 1,10,all.
    pub rings: String,
    /// Rings in all.
    pub rings_total: u32,
    /// Its nodes.
    pub nodes_total: u32,
    /// Where they are.
    pub counts: RolloutCountsView,
    /// When it was made.
    pub made_ms: i64,
    /// By whom.
    pub made_by: String,
}

/// A node in a rollout.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct RolloutNodeView {
    /// Its id.
    pub id: String,
    /// What this part of it runs on; null while that is not known, or nothing was signed for it.
    pub platform: Option<String>,
    /// The ring that it is offered the update in, from 1; null: it is not its turn.
    pub ring: Option<u32>,
    /// planned, offered, fetch_failed, fetched, waiting, trial, confirmed, rolled_back, refused, already, behind or silent.
    pub step: String,
    /// Since when.
    pub since_ms: i64,
    /// Why, in the node's words.
    pub detail: String,
}

/// A rollout, node by node.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct RolloutDetailView {
    /// The rollout.
    pub rollout: RolloutView,
    /// Its nodes, by id.
    pub nodes: Vec<RolloutNodeView>,
}
