//! The web part over real HTTP on loopback, with a store in memory.
#![expect(clippy::unwrap_used, reason = "a stage that cannot be set up fails its test")]

mod access;
mod bad_input;
mod board;
mod commands;
mod demo;
mod documents;
mod fake;
mod hub;
mod live;
mod operations;
mod reads;
mod rollouts;
