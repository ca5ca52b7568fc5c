//! End to end: real agents and a real hub over real sockets on loopback. Each test has a district of its own.

mod demo;
mod fibre;
mod kills;
mod order;
mod present;
