//! The decisions of [`super`].

use simpul_wire::NodeId;
use simpul_wire::update::Step;

use super::{
    Action, Aside, Event, Fleet, LAST_RING_MS, Lane, PATIENCE_MS, Progress, Rollout, SILENT_MS, Seen, Size, State,
};

/// How far a step is: what a node reports may come twice and in any order, and the furthest of it holds.
fn rank(step: Step) -> u8 {
    match step {
        Step::FetchFailed => 1,
        Step::Fetched => 2,
        Step::Waiting => 3,
        Step::Trial => 4,
        Step::Confirmed => 5,
        // Bad news beats good: a card in two machines reports both.
        Step::Refused => 6,
        Step::RolledBack => 7,
    }
}

/// Nobody: for nodes that were never heard.
static UNSEEN: Seen = Seen { online: false, healthy: false, heard_ms: i64::MIN, platform: None, version: None };

impl Rollout {
    /// Take an event in.
    pub fn on(&mut self, now_ms: i64, event: Event<'_>) -> Vec<Action> {
        let mut actions = Vec::new();
        match event {
            Event::Reported(node, step, detail) => self.reported(now_ms, node, step, detail, &mut actions),
            Event::Look(fleet) => self.look(now_ms, fleet, &mut actions),
            Event::Pause(reason) if self.state == State::Running => self.turn(State::Paused, reason, &mut actions),
            Event::Resume if self.state == State::Paused => {
                self.forgiven = self.failures();
                // The time of the pause was nobody's fault.
                for progress in self.nodes.values_mut().filter(|it| it.ring.is_some() && !it.is_done()) {
                    progress.since_ms = now_ms;
                }
                self.turn(State::Running, "", &mut actions);
            }
            Event::Cancel if self.state.is_open() => self.turn(State::Cancelled, "", &mut actions),
            Event::Pause(_) | Event::Resume | Event::Cancel => {}
        }
        actions
    }

    fn turn(&mut self, state: State, reason: &str, actions: &mut Vec<Action>) {
        self.state = state;
        self.reason = reason.to_owned();
        let colon = if reason.is_empty() { "" } else { ": " };
        actions.push(Action::Note(format!("{}{colon}{reason}", state.name())));
    }

    fn reported(&mut self, now_ms: i64, node: &NodeId, step: Step, detail: &str, actions: &mut Vec<Action>) {
        let lanes = &self.lanes;
        let Some(progress) = self.nodes.get_mut(node) else { return };
        if progress.reported.is_some_and(|before| rank(before) >= rank(step)) {
            return;
        }
        progress.reported = Some(step);
        progress.since_ms = now_ms;
        progress.detail = detail.to_owned();
        progress.aside = Aside::No;
        if progress.ring.is_none() {
            // It was set aside and came after all: it counts where its lane is.
            let lane = progress.platform.as_ref().and_then(|platform| lanes.get(platform));
            progress.ring = Some(lane.map_or(0, |lane| lane.ring));
        }
        if step.is_final() {
            let colon = if detail.is_empty() { "" } else { ": " };
            actions.push(Action::Note(format!("{node} {}{colon}{detail}", step.name())));
        }
        self.judge(actions);
    }

    /// Failures in the first ring, and behind it.
    fn failures(&self) -> [u32; 2] {
        let mut failures = [0, 0];
        for progress in self.nodes.values().filter(|progress| progress.has_failed()) {
            let [first, later] = &mut failures;
            *(if progress.ring.unwrap_or(0) == 0 { first } else { later }) += 1;
        }
        failures
    }

    fn judge(&mut self, actions: &mut Vec<Action>) {
        if self.state != State::Running {
            return;
        }
        let [first, later] = self.failures();
        let [forgiven_first, forgiven_later] = self.forgiven;
        // One that was silent and speaks again is not forgiven in advance for the next time.
        self.forgiven = [forgiven_first.min(first), forgiven_later.min(later)];
        let [forgiven_first, forgiven_later] = self.forgiven;
        let reason = if first > forgiven_first {
            let failed = self.nodes.iter().find(|(_, it)| it.has_failed() && it.ring.unwrap_or(0) == 0);
            let (node, standing, detail) =
                failed.map(|(node, it)| (node.to_string(), it.standing(), it.detail.as_str())).unwrap_or_default();
            let colon = if detail.is_empty() { "" } else { ": " };
            format!("{node} of the first ring: {standing}{colon}{detail}")
        } else if later >= forgiven_later.saturating_add(self.pause_on.max(1)) {
            format!("{} nodes failed behind the first ring", later - forgiven_later)
        } else {
            return;
        };
        self.state = State::Paused;
        self.reason.clone_from(&reason);
        actions.push(Action::Alarm(format!("paused: {reason}")));
    }

    fn look(&mut self, now_ms: i64, fleet: &Fleet, actions: &mut Vec<Action>) {
        if !self.state.is_open() {
            return;
        }
        self.see(now_ms, fleet);
        self.set_aside(now_ms, fleet, actions);
        self.judge(actions);
        if self.state != State::Running {
            return;
        }
        for platform in self.lanes.keys().cloned().collect::<Vec<_>>() {
            // More than one ring in a look only over rings that have nobody: each fills the places that it has.
            self.step_lane(now_ms, &platform, fleet, actions);
        }
        self.finish(now_ms, actions);
    }

    /// Take in what is new about nodes: their platform, and whether they have it already.
    fn see(&mut self, now_ms: i64, fleet: &Fleet) {
        for (node, progress) in &mut self.nodes {
            let Some(seen) = fleet.get(node) else { continue };
            if progress.platform.is_none() {
                let platform = match (&self.platforms, &seen.platform) {
                    (Some(ours), Some(platform)) => ours.contains(platform).then(|| platform.clone()),
                    (Some(_), None) => None,
                    // An agent of before platforms does not say it; one that is away may.
                    (None, None) if !seen.online => None,
                    (None, platform) => Some(platform.clone().unwrap_or_default()),
                };
                if let Some(platform) = platform {
                    self.lanes.entry(platform.clone()).or_insert(Lane { ring: 0, since_ms: now_ms });
                    progress.platform = Some(platform);
                }
            }
            let untouched = progress.ring.is_none() && progress.reported.is_none();
            if untouched
                && progress.aside != Aside::Already
                && !self.version.is_empty()
                && seen.version.as_ref() == Some(&self.version)
            {
                (progress.aside, progress.since_ms) = (Aside::Already, now_ms);
            }
        }
    }

    fn is_last(&self, ring: u32) -> bool {
        self.rings.get(ring) == Some(Size::All)
    }

    fn set_aside(&mut self, now_ms: i64, fleet: &Fleet, actions: &mut Vec<Action>) {
        let running = self.state == State::Running;
        let rings = self.rings.clone();
        for (node, progress) in &mut self.nodes {
            let Some(ring) = progress.ring else { continue };
            if progress.is_done() || progress.aside != Aside::No {
                continue;
            }
            let seen = fleet.get(node).unwrap_or(&UNSEEN);
            let quiet_ms = now_ms.saturating_sub(progress.since_ms.max(seen.heard_ms));
            if progress.holds_it() && !seen.online && quiet_ms >= SILENT_MS {
                progress.aside = Aside::Silent;
                let hours = quiet_ms / 3_600_000;
                actions.push(Action::Note(format!("{node} has been silent for {hours} h since it had the update")));
                continue;
            }
            // While the rollout is paused nobody can get further.
            if running && now_ms.saturating_sub(progress.since_ms) >= PATIENCE_MS {
                progress.aside = Aside::Behind;
                progress.tries = progress.tries.saturating_add(1);
                if progress.reported != Some(Step::Trial) && rings.get(ring) != Some(Size::All) {
                    // Another one takes its place; its own turn comes again.
                    progress.ring = None;
                    progress.since_ms = now_ms;
                }
            }
        }
    }

    fn step_lane(&mut self, now_ms: i64, platform: &str, fleet: &Fleet, actions: &mut Vec<Action>) {
        let Some(lane) = self.lanes.get(platform).cloned() else { return };
        let Some(size) = self.rings.get(lane.ring) else { return };
        let last = self.is_last(lane.ring);
        let ours = |progress: &Progress| progress.platform.as_deref() == Some(platform);
        // Rings before this one count too: `1,10` are ten in all.
        let placed = |progress: &Progress| ours(progress) && progress.ring.is_some() && !progress.has_failed();
        let counts = |progress: &Progress| placed(progress) && progress.aside != Aside::Behind;
        let taken = self.nodes.values().filter(|progress| counts(progress)).count();
        let open = match size {
            Size::Nodes(count) => (count as usize).saturating_sub(taken),
            Size::All => usize::MAX,
        };
        let mut waiting: Vec<(u32, NodeId)> = self
            .nodes
            .iter()
            .filter(|(_, progress)| ours(progress) && progress.ring.is_none() && !progress.is_done())
            .map(|(node, progress)| (progress.tries, node.clone()))
            .collect();
        waiting.sort();
        let all_waiting = waiting.len();
        let mut given = 0;
        for (_, node) in waiting {
            if given >= open {
                break;
            }
            if !last && !fleet.get(&node).is_some_and(|seen| seen.online && seen.healthy) {
                continue;
            }
            if let Some(progress) = self.nodes.get_mut(&node) {
                (progress.ring, progress.aside, progress.since_ms) = (Some(lane.ring), Aside::No, now_ms);
                progress.detail.clear();
                given += 1;
                actions.push(Action::Tell(node));
            }
        }
        if given > 0 {
            let name = if platform.is_empty() { String::new() } else { format!(" ({platform})") };
            actions.push(Action::Note(format!("ring {}{name}: offered to {given} nodes", lane.ring + 1)));
            return;
        }
        let left = all_waiting;
        let busy = self.nodes.values().any(|progress| counts(progress) && !progress.is_done());
        let proofs = self.nodes.values().filter(|it| ours(it) && it.reported == Some(Step::Confirmed));
        let newest_ms = proofs.clone().map(|progress| progress.since_ms).max();
        let here = proofs.filter(|progress| progress.ring == Some(lane.ring)).count();
        let lasted_ms = now_ms.saturating_sub(lane.since_ms);
        if last {
            let undone = self.nodes.values().any(|progress| ours(progress) && !progress.is_done());
            if undone && lasted_ms < LAST_RING_MS {
                return;
            }
        } else {
            // Nobody is left to take an open place; or those who could are away, and somebody has proved it.
            let full = open == 0 || left == 0 || (lasted_ms >= PATIENCE_MS && here > 0);
            let soaked = newest_ms.is_none_or(|newest_ms| now_ms.saturating_sub(newest_ms) >= self.soak_ms);
            // With nobody left and nobody who proved it, there is nothing that a next ring could rest on.
            let proved = newest_ms.is_some() || left == 0;
            if busy || !full || !soaked || !proved {
                return;
            }
        }
        if let Some(lane) = self.lanes.get_mut(platform) {
            *lane = Lane { ring: lane.ring + 1, since_ms: now_ms };
        }
    }

    fn finish(&mut self, now_ms: i64, actions: &mut Vec<Action>) {
        let rings = self.rings.count();
        let lanes_done = self.lanes.values().all(|lane| lane.ring >= rings);
        // Nodes that never said what they run on, or that nothing was signed for.
        let strangers = self.nodes.values().any(|progress| progress.platform.is_none() && !progress.is_done());
        if !lanes_done || (strangers && now_ms.saturating_sub(self.made_ms) < LAST_RING_MS) {
            return;
        }
        let count = |wanted: &dyn Fn(&Progress) -> bool| self.nodes.values().filter(|it| wanted(it)).count();
        let proved = count(&|it| it.reported == Some(Step::Confirmed) || it.aside == Aside::Already);
        let failed = count(&|it| it.has_failed());
        let left = self.nodes.len() - proved - failed;
        let reason = format!("{proved} nodes have it, {failed} failed, {left} were left");
        self.turn(State::Finished, &reason, actions);
    }

    /// The ring that the rollout is in: that of the lane that is furthest behind.
    pub fn ring(&self) -> u32 {
        self.lanes.values().map(|lane| lane.ring).min().unwrap_or(0).min(self.rings.count().saturating_sub(1))
    }
}
