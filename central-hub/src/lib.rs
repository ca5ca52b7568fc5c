//! The district's hub. Data flows one way: [`mqtt`] -> [`intake`] -> [`store`] -> [`view`] -> [`web`] -> room;
//! acknowledgements and commands are the only two things that return.
//!
//! `web` reads only `view`; only `store` writes state; only `web` knows HTTP; only `mqtt` knows MQTT.
#![forbid(unsafe_code)]

pub mod carry;
pub mod cli;
pub mod config;
pub mod data;
pub mod identity;
pub mod intake;
pub mod mqtt;
pub mod run;
pub mod store;
pub mod updates;
pub mod view;
pub mod web;
