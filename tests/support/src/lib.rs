//! What tests, benches and the demo share: a demo CA, a runner of real processes, a proxy that cuts links, synthetic
//! cameras and visitors, reports. Nothing in here ships; nothing in here talks to anything but loopback.

pub mod board;
pub mod broker;
pub mod camera;
pub mod font;
pub mod http;
pub mod hub;
pub mod loop_disk;
pub mod machine;
pub mod memory;
pub mod namespace;
pub mod node;
pub mod pki;
pub mod ports;
pub mod process;
pub mod proxy;
pub mod report;
pub mod scene;
pub mod terminal;
pub mod visitors;
pub mod wait;

/// Make `ring` the process's TLS provider. Idempotent; every program that builds a `reqwest` client needs it once.
pub fn install_crypto() {
    // An error only says that a provider is there already, which is the state that is wanted.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
