//! What tests, benches and the demo share.
