//! A village behind a narrow link: a network namespace with two veth pairs, one of them shaped by `tc tbf`.
//!
//! The *link* (10.77.1.1 here, 10.77.1.2 in the village) carries MQTT at a set rate in both directions; the *LAN*
//! (10.77.2.x) is unshaped and carries the callers of the local API. Addresses exist in these namespaces only. Needs
//! root and iproute2; fails loudly without them.

use std::net::Ipv4Addr;
use std::process::Command;

use anyhow::{Context, Result, bail};

/// This side of the link: where the hub listens.
pub const HUB: Ipv4Addr = Ipv4Addr::new(10, 77, 1, 1);
/// The village's side of its LAN: where the local API listens.
pub const VILLAGE_LAN: Ipv4Addr = Ipv4Addr::new(10, 77, 2, 2);

/// Ethernet's: what a village's line carries.
const MTU: &str = "1500";

/// This side's end of the link.
const LINK: &str = "simpul-wan";

/// The namespace with its links. Deleted when dropped.
#[derive(Debug)]
pub struct Village {
    name: String,
}

impl Village {
    /// Make it, with a link of so many kbit/s each way.
    pub fn create(kilobits_per_second: u32) -> Result<Self> {
        let village = Village { name: format!("simpul-{}", std::process::id()) };
        let name = village.name.as_str();
        ip(&["netns", "add", name])?;
        pair(name, LINK, "wan0", "10.77.1.1/30", "10.77.1.2/30")?;
        pair(name, "simpul-lan", "lan0", "10.77.2.1/30", "10.77.2.2/30")?;
        ip(&["-n", name, "link", "set", "lo", "up"])?;
        let rate = format!("{kilobits_per_second}kbit");
        // 32 KiB of burst, and a queue of 50 ms behind it, as a provider's shaper has.
        let shape = ["root", "tbf", "rate", &rate, "burst", "32kb", "latency", "50ms"];
        run("tc", &[&["qdisc", "add", "dev", LINK], &shape[..]].concat())?;
        run("tc", &[&["-n", name, "qdisc", "add", "dev", "wan0"], &shape[..]].concat())?;
        Ok(village)
    }

    /// Words to put before a command so that it runs in the village.
    pub fn prefix(&self) -> [String; 4] {
        ["ip", "netns", "exec", &self.name].map(str::to_owned)
    }

    /// What has crossed the link, by the kernel's counters: whole Ethernet frames.
    pub fn traffic(&self) -> Result<Traffic> {
        let counter = |name: &str| -> Result<u64> {
            let path = format!("/sys/class/net/{LINK}/statistics/{name}");
            let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
            Ok(text.trim().parse()?)
        };
        Ok(Traffic { up: counter("rx_bytes")?, down: counter("tx_bytes")? })
    }
}

/// Bytes that crossed the link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Traffic {
    /// From the village to the hub.
    pub up: u64,
    /// From the hub to the village.
    pub down: u64,
}

impl Drop for Village {
    fn drop(&mut self) {
        // Takes its ends of the pairs along, and with them ours.
        let _ = ip(&["netns", "del", &self.name]);
    }
}

fn pair(namespace: &str, here: &str, there: &str, address: &str, their_address: &str) -> Result<()> {
    // Left behind by a run that was killed.
    let _ = ip(&["link", "del", here]);
    ip(&["link", "add", here, "mtu", MTU, "type", "veth", "peer", "name", there, "mtu", MTU, "netns", namespace])?;
    ip(&["addr", "add", address, "dev", here])?;
    ip(&["-n", namespace, "addr", "add", their_address, "dev", there])?;
    // One packet, one frame: else the kernel hands over bundles of 64 KiB, and counts one header for each.
    ip(&["link", "set", here, "gso_max_segs", "1"])?;
    ip(&["-n", namespace, "link", "set", there, "gso_max_segs", "1"])?;
    ip(&["link", "set", here, "up"])?;
    ip(&["-n", namespace, "link", "set", there, "up"])
}

fn ip(arguments: &[&str]) -> Result<()> {
    run("ip", arguments)
}

fn run(program: &str, arguments: &[&str]) -> Result<()> {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .with_context(|| format!("{program} (needs root and iproute2)"))?;
    if !output.status.success() {
        bail!("{program} {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
