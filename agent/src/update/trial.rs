//! From the start to the end of a trial: what the launch file says is made true, proved or taken back, and told.

use std::time::Duration;

use simpul_wire::update::{Part, Step};
use simpul_wire::{Label, Stream};

use super::core::Told;
use super::in_force::Origin;
use super::launch::Candidate;
use super::notes::Notes;
use super::proof::{Proof, Seen, Verdict};
use super::{TICK, Updates, in_force, launcher};

impl Updates {
    /// What the launch file says and is not so: told, and set right.
    pub(super) fn settle_start(&mut self) {
        let before = self.launch.clone();
        let candidate = self.launch.trial.as_ref().map(|trial| trial.candidate);
        if let Some(why) = &self.parts.in_force.set_aside {
            tracing::error!(why, "the hub's configuration is not in force");
            let edited = in_force::wanted(&self.launch)
                .is_some_and(|(remote, _)| remote.beside != self.parts.in_force.file_sha256);
            match candidate {
                Some(Candidate::Configuration(_)) if !edited => self.launch.roll_back(why),
                _ => self.launch.drop_configuration(why),
            }
        }
        if let Some(Candidate::Program(place)) = candidate
            && place != self.parts.place
        {
            self.launch.roll_back("the card could not be written at the start");
        }
        if let Some(Candidate::Configuration(_)) = candidate {
            match self.parts.in_force.origin {
                Origin::Hub { on_trial: true, .. } => {}
                Origin::LastGood(_) => self.launch.roll_back("the file on the node is refused"),
                _ => self.launch.roll_back("the card could not be written at the start"),
            }
        }
        if self.launch.trial.is_none() {
            launcher::cancel_alarm();
        }
        if before != self.launch {
            self.save_launch();
        }
    }

    /// Tell what came of trials; each is told again after a cut, never not.
    pub(super) async fn tell_ended(&mut self, notes: &mut Notes) {
        if self.launch.ended.is_empty() {
            return;
        }
        for ended in self.launch.ended.clone() {
            let step = if ended.confirmed { Step::Confirmed } else { Step::RolledBack };
            notes.ended(&ended);
            notes.told(&ended.rollout, ended.part, step);
            let why = ended.why.to_string();
            let (rollout, part, to, from) = (ended.rollout, ended.part, ended.to, ended.from);
            if !self.parts.say(Told { rollout, part, to, from, step, why }).await {
                return;
            }
        }
        if let Err(error) = notes.save(&self.parts.updates) {
            tracing::error!(%error, "what is remembered of updates cannot be written");
            return;
        }
        self.launch.ended.clear();
        self.save_launch();
    }

    /// Run on trial. True: it stays, or there is none; false: it was taken back, and the former one is to be started.
    pub(super) async fn prove(&mut self) -> bool {
        let Some(trial) = self.launch.trial.clone() else { return true };
        let limit = Duration::from_secs(u64::from(trial.limit_s));
        let proof = Proof { since: self.parts.clock.now(), limit };
        let part = match trial.candidate {
            Candidate::Program(_) => Part::Agent,
            Candidate::Configuration(_) => Part::Configuration,
        };
        tracing::info!(to = %trial.to, limit_s = trial.limit_s, "on trial: the {}", part.name());
        let mut witness = None;
        loop {
            if witness.is_none() {
                let told = Told {
                    rollout: trial.rollout,
                    part,
                    to: trial.to.clone(),
                    from: trial.from.clone(),
                    step: Step::Trial,
                    why: String::new(),
                };
                let epoch = self.parts.spool.state().borrow().epoch;
                witness = self.parts.append(told).await.map(|seq| (epoch, seq));
            }
            let acknowledged = witness.is_some_and(|(epoch, seq)| {
                let state = self.parts.spool.state();
                let state = state.borrow();
                // Another epoch: the hub has spoken, too, for it alone tells of one.
                let gone = state.epoch != epoch || !state.stream(Stream::Event).owed.contains(seq);
                gone && self.parts.uplink.borrow().last_ack_at.is_some()
            });
            let ailing = self.parts.health.ailing();
            let ailing: Vec<Label> = ailing.into_iter().filter(|part| !trial.ailing.contains(part)).collect();
            match proof.poll(self.parts.clock.now(), Seen { acknowledged, ailing: &ailing }) {
                Verdict::Wait => {}
                Verdict::Confirm => {
                    let before = self.launch.clone();
                    self.launch.confirm();
                    if self.save_launch() {
                        launcher::cancel_alarm();
                        return true;
                    }
                    // Tried again: until it is on the card, nothing is confirmed.
                    self.launch = before;
                }
                Verdict::RollBack(why) => {
                    self.launch.roll_back(&why);
                    // If it cannot be written, the starts that are counted end the trial.
                    self.save_launch();
                    return false;
                }
            }
            tokio::time::sleep(TICK).await;
        }
    }
}
