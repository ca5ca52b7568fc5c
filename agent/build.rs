//! Passes the build's time on: certificates are never judged at an earlier one (`src/uplink/tls.rs`).

use std::time::{SystemTime, UNIX_EPOCH};

#[expect(clippy::disallowed_methods, reason = "the build's own clock; a reproducible build sets SOURCE_DATE_EPOCH")]
fn main() {
    println!("cargo:rerun-if-env-changed=SOURCE_DATE_EPOCH");
    println!("cargo:rerun-if-changed=Cargo.toml");
    let given = std::env::var("SOURCE_DATE_EPOCH").ok().and_then(|text| text.parse::<u64>().ok());
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    println!("cargo:rustc-env=SIMPUL_BUILD_UNIX_S={}", given.unwrap_or(now));
}
