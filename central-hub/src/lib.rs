//! The district's hub. Data flows one way: [`mqtt`] -> [`intake`] -> [`store`] -> [`view`] -> [`web`] -> room;
//! acknowledgements and commands are the only two things that return.
//!
//! `web` and `technicians` read only `view`; only `store` (records) and `identity` (the registry) write state; only `web` and
//! `identity`'s listener know HTTP; only `mqtt` knows MQTT.
#![forbid(unsafe_code)]

pub mod carry;
pub mod cli;
pub mod config;
pub mod data;
mod database;
pub mod identity;
pub mod intake;
pub mod mqtt;
pub mod run;
pub mod store;
pub mod technicians;
pub mod updates;
pub mod view;
pub mod web;
