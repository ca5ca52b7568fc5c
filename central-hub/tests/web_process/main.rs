//! The hub as a process: start, stop, refusals, commands, and one record all the way from MQTT to the API.
#![expect(clippy::unwrap_used, reason = "a stage that cannot be set up fails its test")]

mod board;
mod commands;
mod hub;
mod lifecycle;
mod node;
mod spine;
