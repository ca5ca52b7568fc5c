//! End to end: real agents and a real hub over real sockets on loopback. Each test has a district of its own.
#![allow(clippy::unwrap_used, reason = "a test's helpers may panic like the test itself")]

mod board;
mod broker;
mod cards;
mod carry;
mod damage;
mod demo;
mod doctor;
mod enrolment;
mod fibre;
mod garbage;
mod kills;
mod order;
mod phone;
mod pico;
mod present;
mod restored;
