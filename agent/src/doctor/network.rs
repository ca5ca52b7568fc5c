//! The local network: a link, an address, a way out.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::path::Path;

use simpul_wire::doctor::{Code, Finding, Verdict};

use super::Patient;
use crate::uplink::mqtt::split_address;

/// Longest list of interfaces that is looked at; a machine with containers has a few dozen.
const INTERFACES_MAX: usize = 64;

/// What was seen of the network.
#[derive(Debug, Clone)]
pub(super) struct Facts {
    /// Every interface but the loopback, and whether it has a carrier.
    pub interfaces: Result<Vec<(String, bool)>, String>,
    /// This machine has an address that is not a loopback one.
    pub address: bool,
    /// The interface of a default route.
    pub default_route: Option<String>,
    /// The system knows a way to a hub that is written as a number: in the same building there may be no default route.
    pub way_to_hub: bool,
}

pub(super) fn gather(patient: &Patient) -> Facts {
    let read = |path: &str| fs::read_to_string(patient.proc.join(path)).unwrap_or_default();
    let hubs = patient.hubs();
    let hubs = hubs.iter().filter_map(|hub| split_address(hub));
    let mut numbers = hubs.filter_map(|(host, port)| Some(SocketAddr::new(host.parse().ok()?, port)));
    Facts {
        interfaces: interfaces(&patient.sys.join("class/net")),
        address: has_address(&read("net/fib_trie"), &read("net/if_inet6")),
        default_route: default_route(&read("net/route"), &read("net/ipv6_route")),
        way_to_hub: numbers.any(knows_a_way),
    }
}

fn interfaces(folder: &Path) -> Result<Vec<(String, bool)>, String> {
    let entries = fs::read_dir(folder).map_err(|error| error.to_string())?.flatten().take(INTERFACES_MAX);
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok()).filter(|name| name != "lo");
    let carrier = |name: &str| fs::read_to_string(folder.join(name).join("carrier")).is_ok_and(|it| it.trim() == "1");
    let mut all: Vec<_> = names.map(|name| (name.clone(), carrier(&name))).collect();
    all.sort();
    Ok(all)
}

/// Addresses of this machine but the loopback's: in `/proc/net/fib_trie` each `|-- ADDRESS` is followed by what it is.
pub(crate) fn addresses(fib_trie: &str) -> Vec<Ipv4Addr> {
    let (mut last, mut found) = (None, Vec::new());
    for line in fib_trie.lines() {
        if let Some(address) = line.trim().strip_prefix("|-- ") {
            last = address.parse::<Ipv4Addr>().ok();
        } else if line.contains("host LOCAL")
            && let Some(address) = last.filter(|address| !address.is_loopback() && !found.contains(address))
        {
            found.push(address);
        }
    }
    found
}

/// Whether this machine has an address; each line of `if_inet6` ends with a name.
fn has_address(fib_trie: &str, if_inet6: &str) -> bool {
    let ours = !addresses(fib_trie).is_empty();
    // Scope 20 is the link's own address, which every interface has.
    let fields = if_inet6.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    ours || fields.into_iter().any(|fields| matches!(fields[..], [_, _, _, "00", ..]))
}

/// The interface of the default route: destination (and in version 4 mask) all zero.
fn default_route(route: &str, ipv6_route: &str) -> Option<String> {
    let version4 = route.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        (fields.get(1) == Some(&"00000000") && fields.get(7) == Some(&"00000000")).then(|| fields[0].to_owned())
    });
    version4.or_else(|| {
        ipv6_route.lines().find_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let zero = fields.first().is_some_and(|it| it.bytes().all(|digit| digit == b'0'));
            let name = fields.last().filter(|name| **name != "lo")?;
            (zero && fields.get(1) == Some(&"00")).then(|| (*name).to_owned())
        })
    })
}

/// Whether the system would send there. Nothing is sent: a datagram socket only remembers its peer.
fn knows_a_way(to: SocketAddr) -> bool {
    let any: IpAddr = if to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    UdpSocket::bind((any, 0)).and_then(|socket| socket.connect(to)).is_ok()
}

pub(super) fn judge(facts: &Facts) -> Vec<Finding> {
    let interfaces = match &facts.interfaces {
        Ok(interfaces) => interfaces,
        Err(error) => return vec![Code::NetworkUnknown.finding(Verdict::Unknown).with_text("error", error)],
    };
    let names = |wanted: bool| -> String {
        let names: Vec<&str> =
            interfaces.iter().filter(|(_, carrier)| !wanted || *carrier).map(|(name, _)| name.as_str()).collect();
        if names.is_empty() { "–".to_owned() } else { names.join(", ") }
    };
    let connected = interfaces.iter().any(|(_, carrier)| *carrier);
    vec![if facts.way_to_hub || (connected && facts.address && facts.default_route.is_some()) {
        let by = facts.default_route.clone().unwrap_or_else(|| if connected { names(true) } else { "lo".to_owned() });
        Code::NetworkGood.finding(Verdict::Ok).with_text("interface", by)
    } else if !connected {
        Code::NetworkNoLink.finding(Verdict::Fail).with_text("interface", names(false))
    } else if !facts.address {
        Code::NetworkNoAddress.finding(Verdict::Fail).with_text("interface", names(true))
    } else {
        Code::NetworkNoRoute.finding(Verdict::Fail)
    }]
}

#[cfg(test)]
mod tests {
    use super::super::testing::told;
    use super::*;

    #[test]
    fn a_network_is_judged_from_its_cable_outwards() {
        let facts = |carrier, address, route: bool, way_to_hub| Facts {
            interfaces: Ok(vec![("eth0".to_owned(), carrier)]),
            address,
            default_route: route.then(|| "eth0".to_owned()),
            way_to_hub,
        };
        for (facts, expected) in [
            (facts(true, true, true, false), "network.good ok"),
            (facts(true, true, false, true), "network.good ok"),
            (facts(false, true, false, false), "network.no_link fail"),
            (facts(false, true, true, false), "network.no_link fail"),
            (facts(true, false, false, false), "network.no_address fail"),
            (facts(true, true, false, false), "network.no_route fail"),
            (Facts { interfaces: Err("denied".into()), ..facts(true, true, true, false) }, "network.unknown unknown"),
            (Facts { interfaces: Ok(Vec::new()), ..facts(true, false, false, false) }, "network.no_link fail"),
        ] {
            assert_eq!(told(&judge(&facts)), [expected], "{facts:?}");
        }
    }

    #[test]
    fn the_kernels_tables_are_read() {
        let trie = "  +-- 0.0.0.0/0 3 0 5\n     |-- 127.0.0.1\n        /32 host LOCAL\n";
        assert!(!has_address(trie, ""));
        assert!(has_address(&format!("{trie}     |-- 192.168.1.7\n        /32 host LOCAL\n"), ""));
        let link = "fe80000000000000021122fffe334455 02 40 20 80 eth0\n";
        assert!(!has_address(trie, link));
        assert!(has_address(trie, &format!("{link}20010db8000000000000000000000001 02 40 00 80 eth0\n")));
        let head = "Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT\n";
        let one = format!("{head}eth0 0001A8C0 00000000 0001 0 0 100 00FFFFFF 0 0 0\n");
        assert_eq!(default_route(&one, ""), None);
        let two = format!("{one}wlan0 00000000 0101A8C0 0003 0 0 100 00000000 0 0 0\n");
        assert_eq!(default_route(&two, "").as_deref(), Some("wlan0"));
        let zero = "0".repeat(32);
        let six = format!("{zero} 00 {zero} 00 {zero} 00000400 00000001 00000000 00000003 eth1\n");
        assert_eq!(default_route(&one, &six).as_deref(), Some("eth1"));
    }
}
