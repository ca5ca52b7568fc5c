//! Read-only projections of the store for the room. Every number carries its age, its coverage and its source.

pub mod model;
