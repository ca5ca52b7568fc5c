//! A small district of real processes for end-to-end tests, fault runs and the demo: [`district`].
//!
//! The tests themselves are in `e2e/`, the kills and cuts in `faults/`, the demo's runner in `demo/`, benches in
//! `bench_*.rs`; what any of them may need is in `support/`.

pub mod district;
