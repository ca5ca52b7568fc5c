//! A district of 1,000 nodes with power cuts, lost and repeated events and a hub that is killed: a bad version reaches
//! no more nodes than its ring has, and a good one ends everywhere. Seeded; the seed is printed.

use std::collections::BTreeSet;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::*;

const NODES: usize = 1_000;
const LOOK_MS: i64 = 10 * 60_000;
const PLATFORMS: [&str; 3] = ["aarch64-linux", "armv7-linux", "x86_64-linux"];

/// A node as it is, which the hub only hears of.
#[derive(Debug, Clone)]
struct Village {
    platform: &'static str,
    online: bool,
    heard_ms: i64,
    version: &'static str,
    /// When its trial ends.
    trial_until_ms: Option<i64>,
    /// Events that are on their way.
    outbox: Vec<Step>,
}

struct District {
    random: StdRng,
    villages: BTreeMap<NodeId, Village>,
    rollout: Rollout,
    /// All that was ever delivered: a restored hub hears it again.
    heard: Vec<(NodeId, Step)>,
    /// Who is through with it.
    done: BTreeSet<NodeId>,
    /// Who ever ran the new version.
    exposed: BTreeSet<NodeId>,
}

impl District {
    fn new(seed: u64) -> District {
        let mut random = StdRng::seed_from_u64(seed);
        let mut villages = BTreeMap::new();
        for number in 0..NODES {
            let platform = PLATFORMS[random.random_range(0..PLATFORMS.len())];
            let online = random.random_bool(0.9);
            let village =
                Village { platform, online, heard_ms: 0, version: "0.1.0", trial_until_ms: None, outbox: Vec::new() };
            villages.insert(format!("n-{number:04}").parse().unwrap(), village);
        }
        let rollout = Rollout {
            part: Part::Agent,
            version: "0.2.0".into(),
            platforms: Some(PLATFORMS.map(str::to_owned).to_vec()),
            rings: "1,10,all".parse().unwrap(),
            soak_ms: HOUR_MS,
            pause_on: 3,
            made_ms: 0,
            state: State::Running,
            reason: String::new(),
            forgiven: [0, 0],
            lanes: BTreeMap::new(),
            nodes: villages.keys().map(|node: &NodeId| (node.clone(), Progress::default())).collect(),
        };
        District { random, villages, rollout, heard: Vec::new(), done: BTreeSet::new(), exposed: BTreeSet::new() }
    }

    fn fleet(&self) -> Fleet {
        let seen = |village: &Village| Seen {
            online: village.online,
            healthy: village.online,
            heard_ms: village.heard_ms,
            platform: Some(village.platform.into()),
            version: Some(village.version.into()),
        };
        self.villages.iter().map(|(node, village)| (node.clone(), seen(village))).collect()
    }

    /// Ten minutes at every node; `is_bad`: whether this platform's program is.
    fn live(&mut self, now_ms: i64, is_bad: fn(&str) -> bool) {
        for (node, village) in &mut self.villages {
            let random = &mut self.random;
            // Fibre and mains come and go: away for half an hour on average, and a tenth of the time in all.
            let flips = if village.online { 0.02 } else { 0.2 };
            if random.random_bool(flips) {
                village.online = !village.online;
            }
            if village.trial_until_ms.is_some_and(|until_ms| until_ms <= now_ms) {
                village.trial_until_ms = None;
                let good = !is_bad(village.platform);
                village.version = if good { "0.2.0" } else { "0.1.0" };
                village.outbox.push(if good { Step::Confirmed } else { Step::RolledBack });
            }
            if !village.online {
                continue;
            }
            village.heard_ms = now_ms;
            let offered = self.rollout.nodes[node].is_offered(self.rollout.state);
            if offered
                && !self.done.contains(node)
                && village.trial_until_ms.is_none()
                && village.version == "0.1.0"
                && !village.outbox.iter().any(|step| step.is_final())
            {
                if random.random_bool(0.3) {
                    village.outbox.push(Step::FetchFailed);
                } else {
                    village.outbox.extend([Step::Fetched, Step::Trial]);
                    village.trial_until_ms = Some(now_ms + 15 * 60_000);
                    self.exposed.insert(node.clone());
                }
            }
        }
    }

    /// What the hub hears, some of it twice, some of it out of order.
    fn deliver(&mut self, now_ms: i64) {
        for node in self.villages.keys().cloned().collect::<Vec<_>>() {
            let village = self.villages.get_mut(&node).unwrap();
            if !village.online || village.outbox.is_empty() {
                continue;
            }
            let mut steps = std::mem::take(&mut village.outbox);
            if self.random.random_bool(0.3) {
                steps.reverse();
            }
            for step in steps {
                self.heard.push((node.clone(), step));
                if step.is_final() {
                    self.done.insert(node.clone());
                }
                let times = self.random.random_range(1..=2);
                for _ in 0..times {
                    self.rollout.on(now_ms, Event::Reported(&node, step, ""));
                }
            }
        }
    }

    /// Hours until it is over or `hours` have passed.
    fn run(&mut self, hours: i64, is_bad: fn(&str) -> bool, mut each: impl FnMut(&mut District, i64)) {
        for look in 0..hours * HOUR_MS / LOOK_MS {
            let now_ms = look * LOOK_MS;
            self.live(now_ms, is_bad);
            self.deliver(now_ms);
            // A kill: what was not committed is as if it had not been; the store's events come again.
            if self.random.random_bool(0.05) {
                let (before, fleet) = (self.rollout.clone(), self.fleet());
                self.rollout.on(now_ms, Event::Look(&fleet));
                self.rollout = before;
                for (node, step) in self.heard.clone() {
                    self.rollout.on(now_ms, Event::Reported(&node, step, ""));
                }
            }
            let fleet = self.fleet();
            self.rollout.on(now_ms, Event::Look(&fleet));
            each(self, now_ms);
            if !self.rollout.state.is_open() {
                return;
            }
        }
    }
}

#[test]
fn a_good_version_ends_everywhere() {
    for seed in 0..4 {
        println!("seed {seed}");
        let mut district = District::new(seed);
        district.run(
            40 * 24,
            |_| false,
            |district, now_ms| {
                // A cut mains in the first ring may look like a dead program: a person looks, and goes on.
                if district.rollout.state == State::Paused {
                    assert!(district.rollout.reason.contains("silent"), "{}", district.rollout.reason);
                    district.rollout.on(now_ms, Event::Resume);
                }
            },
        );
        assert_eq!(district.rollout.state, State::Finished, "seed {seed}: {:?}", district.rollout.lanes);
        let has = district.villages.values().filter(|village| village.version == "0.2.0").count();
        assert_eq!(has, NODES, "seed {seed}: {}", district.rollout.reason);
    }
}

#[test]
fn a_bad_version_reaches_no_more_nodes_than_the_first_ring_has() {
    for seed in 0..4 {
        println!("seed {seed}");
        let mut district = District::new(seed);
        district.run(3 * 24, |_| true, |_, _| {});
        assert_eq!(district.rollout.state, State::Paused, "seed {seed}");
        assert!(district.exposed.len() <= PLATFORMS.len(), "seed {seed}: {:?}", district.exposed);
        assert!(!district.exposed.is_empty());
    }
}

#[test]
fn a_version_that_is_bad_on_one_platform_stays_in_the_rings_that_were_open_when_that_showed() {
    for seed in 0..4 {
        println!("seed {seed}");
        let mut district = District::new(seed);
        let is_bad = |platform: &str| platform == "armv7-linux";
        district.run(3 * 24, is_bad, |_, _| {});
        assert_eq!(district.rollout.state, State::Paused, "seed {seed}");
        let bad = district.exposed.iter().filter(|node| is_bad(district.villages[*node].platform)).count();
        assert!(bad <= 1, "seed {seed}: {bad} nodes of the bad platform ran it");
    }
}
