//! A small district of real processes for end-to-end tests, fault runs and the demo ([`district`]), what its hub shows of
//! what was accepted ([`outcome`]), one village behind a shaped line ([`mod@line`]), and one whose node boots from a card in an
//! emulated machine ([`card_office`]).
//!
//! The tests themselves are in `e2e/`, the kills in `faults/`, the power cuts in `power/`, full disks in `full_disk/`,
//! power cuts of a whole machine in `machine/`,
//! agents for other machines in `foreign/`, the demo's runner in `demo/`, benches in `bench_*.rs`; what any of them may need is in `support/`.

pub mod card_office;
pub mod district;
pub mod line;
pub mod outcome;
#[cfg(test)]
mod packaged;
pub mod village_board;
