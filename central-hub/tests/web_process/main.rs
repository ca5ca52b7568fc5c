//! The hub as a process: start, stop, refusals, commands, and one record all the way from MQTT to the API.

mod commands;
mod hub;
mod lifecycle;
mod node;
mod spine;
