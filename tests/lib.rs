//! A small district of real processes for end-to-end tests, fault runs and the demo ([`district`]), what its hub shows of
//! what was accepted ([`outcome`]), and one village behind a shaped line ([`mod@line`]).
//!
//! The tests themselves are in `e2e/`, the kills in `faults/`, the power cuts in `power/`, full disks in `full_disk/`,
//! agents for other machines in `foreign/`, the demo's runner in `demo/`, benches in `bench_*.rs`; what any of them may need is in `support/`.

pub mod district;
pub mod line;
pub mod outcome;
#[cfg(test)]
mod packaged;
pub mod village_board;
