//! Drivers: one chip a file, and what they share of the bus. A driver says in a typed reason why it has no value; it
//! keeps no state, reads no clock, and does a bounded number of transfers.

pub mod bus;
pub mod sff8472;
