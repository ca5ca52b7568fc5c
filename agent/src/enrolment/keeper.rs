//! Keeps the identity fresh: renews it before it ends, after it has ended, and when the hub wants it; asks once a day
//! whom to trust; deletes the token once it has done its work. [`Plan`] decides, purely; [`run`] does.

use std::time::Duration;

use sha2::{Digest, Sha256};
use simpul_clock::Moment;
use tokio::sync::watch;

use super::access::Enrolment;
use super::store::{Kept, delete_token};
use super::{EnrolmentError, client};
use crate::uplink::driver::UplinkStatus;

/// How often the plan is looked at when nothing happens.
const LOOK: Duration = Duration::from_secs(5);

/// Pause after an attempt that failed, doubled each time: a hub that comes back is not overrun, and a node on a bad link
/// has hundreds of attempts in the last third of its certificate's life.
const RETRY_MIN: Duration = Duration::from_secs(5);
const RETRY_MAX: Duration = Duration::from_secs(3_600);

/// After a renewal the uplink's refusal is the old certificate's, until it has connected again: it pauses for up to
/// minutes, and a renewal each few seconds would be taken for a copied card.
const DEAF_AFTER_RENEWAL: Duration = Duration::from_secs(900);

/// What to ask for now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// The next certificate.
    Renew,
    /// CAs and addresses.
    Trust,
}

/// When to ask for what: pure.
#[derive(Debug)]
pub struct Plan {
    check_interval: Duration,
    next_check: Moment,
    not_before: Moment,
    deaf_until: Moment,
    pause: Duration,
    wanted: bool,
    draw: u64,
}

impl Plan {
    /// Begins with a check at once: a node that was away for months learns first what has changed. `seed`: for the
    /// jitter, so that nodes of one image do not ask together.
    pub fn new(check_interval: Duration, seed: u64) -> Plan {
        Plan {
            check_interval,
            next_check: Moment::ZERO,
            not_before: Moment::ZERO,
            deaf_until: Moment::ZERO,
            pause: RETRY_MIN,
            wanted: false,
            draw: seed,
        }
    }

    /// What is due. `wall_s` is the time at which certificates are judged; `refused`: the hub closes the uplink's
    /// connections because of the certificate, whatever this machine's clock says.
    pub fn due(&self, now: Moment, wall_s: u64, kept: &Kept, refused: bool) -> Option<Ask> {
        if now < self.not_before {
            return None;
        }
        let refused = refused && now >= self.deaf_until;
        if self.wanted || refused || wall_s >= renew_at_s(kept) {
            return Some(Ask::Renew);
        }
        (now >= self.next_check).then_some(Ask::Trust)
    }

    /// It was done; `renew`: the hub wants a renewal soon.
    pub fn done(&mut self, now: Moment, ask: Ask, renew: bool) {
        self.wanted = renew;
        if ask == Ask::Renew {
            self.deaf_until = now + DEAF_AFTER_RENEWAL;
        }
        self.pause = RETRY_MIN;
        // The interval with a fifth of jitter.
        self.next_check = now + self.check_interval.mul_f64(0.9 + 0.2 * self.random());
        // After a renewal too: a hub that always says "renew" must not be asked without end.
        self.not_before = now + self.check_interval.min(RETRY_MIN);
    }

    /// It failed.
    pub fn failed(&mut self, now: Moment, passes: bool) {
        // What does not pass by itself (revoked) is asked seldom, in case somebody changes it at the hub.
        let pause = if passes { self.pause } else { RETRY_MAX };
        self.pause = (self.pause * 2).min(RETRY_MAX);
        self.not_before = now + pause.mul_f64(0.5 + 0.5 * self.random());
    }

    /// From 0 to 1. SplitMix64: enough to spread nodes, and the same for the same seed.
    fn random(&mut self) -> f64 {
        self.draw = self.draw.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.draw;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) as f64 / u64::MAX as f64
    }
}

/// At two thirds of a certificate's life, up to a tenth of it earlier: by the certificate's own hash, so that a whole
/// district that was enrolled in one week does not renew in one night, and a reboot does not draw again.
fn renew_at_s(kept: &Kept) -> u64 {
    let validity = kept.identity.validity;
    let life_s = validity.to_s.saturating_sub(validity.from_s);
    let jitter = u64::from(Sha256::digest(&kept.identity.certificate[..])[0]);
    validity.from_s + life_s / 3 * 2 - life_s / 10 / 256 * jitter
}

/// Whether the hub refuses this node's certificate, by what the uplink's connection ended with.
fn refuses(status: &UplinkStatus) -> bool {
    // Names of TLS alerts, as rustls writes them.
    let alerts = ["CertificateExpired", "CertificateUnknown", "UnknownCA", "BadCertificate"];
    !status.up && status.last_error.as_ref().is_some_and(|error| alerts.iter().any(|alert| error.contains(alert)))
}

/// Run until `stop` becomes true.
pub async fn run(
    enrolment: Enrolment,
    clock: simpul_clock::Clock,
    mut uplink: watch::Receiver<UplinkStatus>,
    seed: u64,
    mut stop: watch::Receiver<bool>,
) {
    let mut plan = Plan::new(enrolment.config().check_interval, seed);
    loop {
        let (connected, refused) = {
            let status = uplink.borrow_and_update();
            (status.up, refuses(&status))
        };
        // Unreadable, or none: the uplink says so.
        if let Ok(Some(kept)) = enrolment.load() {
            if connected {
                finish_token(&enrolment, &kept);
            }
            let wall_s = u64::try_from(enrolment.time().wall_ms() / 1_000).unwrap_or_default();
            if let Some(ask) = plan.due(clock.now(), wall_s, &kept, refused) {
                let asked = tokio::select! {
                    _ = stop.wait_for(|stop| *stop) => return,
                    asked = perform(&enrolment, &kept, ask) => asked,
                };
                match asked {
                    Ok(renew) => plan.done(clock.now(), ask, renew),
                    Err(error) => {
                        if error.passes() {
                            tracing::info!(%error, ?ask, "the hub could not be asked; it is asked again");
                        } else {
                            tracing::error!(%error, ?ask, "this node's certificate is not renewed");
                        }
                        plan.failed(clock.now(), error.passes());
                    }
                }
            }
        }
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            // A refusal is looked at at once, and a first session too.
            Ok(_) = uplink.wait_for(|status| status.up != connected || refuses(status) != refused) => {}
            () = tokio::time::sleep(LOOK.min(enrolment.config().check_interval)) => {}
        }
    }
}

/// True: the hub wants a renewal soon.
async fn perform(enrolment: &Enrolment, kept: &Kept, ask: Ask) -> Result<bool, EnrolmentError> {
    match ask {
        Ask::Renew => {
            let key = enrolment.store().pending_key()?;
            let identity = client::renew(kept, &key, enrolment.time()).await?;
            let token = kept.token.map(Into::into);
            enrolment.keep(&Kept::new(kept.node.clone(), &key, identity, token))?;
            tracing::info!("this node's certificate was renewed; it is shown at the next connection");
            Ok(false)
        }
        Ask::Trust => {
            let trust = client::trust(kept, enrolment.time()).await?;
            let renew = trust.renew;
            let trust = simpul_wire::enrolment::Trust { renew: false, ..trust };
            if trust != kept.identity.trust {
                let mut next = kept.clone();
                next.identity.trust = trust;
                enrolment.keep(&next)?;
                tracing::info!(
                    authorities = next.identity.trust.authorities.len(),
                    "the hub told of new CAs or addresses"
                );
            }
            Ok(renew)
        }
    }
}

/// The first session has shown that the identity works: the token has done its work.
fn finish_token(enrolment: &Enrolment, kept: &Kept) {
    let path = &enrolment.config().token_file;
    let used = super::store::read_token(path, &kept.node).ok().flatten().is_some_and(|token| kept.came_from(&token));
    if used {
        match delete_token(path) {
            Ok(()) => tracing::info!(path = %path.display(), "the enrolment token is used up: deleted"),
            Err(error) => tracing::warn!(%error, path = %path.display(), "the used enrolment token cannot be deleted"),
        }
    }
}

#[cfg(test)]
mod tests {
    use rcgen::KeyPair;
    use simpul_wire::enrolment::{Identity, Trust, Validity};

    use super::*;

    const DAY_S: u64 = 86_400;

    fn kept() -> Kept {
        let validity = Validity { from_s: 1_000 * DAY_S, to_s: 1_300 * DAY_S };
        let identity = Identity { certificate: vec![0x30].into(), validity, trust: Trust::default() };
        Kept::new("a-01".parse().unwrap(), &KeyPair::generate().unwrap(), identity, None)
    }

    #[test]
    fn a_certificate_is_renewed_at_two_thirds_of_its_life_and_long_after_its_end() {
        let mut plan = Plan::new(Duration::from_secs(DAY_S), 1);
        let now = Moment::from_millis(1);
        assert_eq!(plan.due(now, 1_001 * DAY_S, &kept(), false), Some(Ask::Trust), "the first look");
        plan.done(now, Ask::Trust, false);
        let now = now + Duration::from_secs(60);
        assert_eq!(plan.due(now, 1_001 * DAY_S, &kept(), false), None);
        assert_eq!(plan.due(now, 1_169 * DAY_S, &kept(), false), None);
        assert_eq!(plan.due(now, 1_200 * DAY_S, &kept(), false), Some(Ask::Renew));
        assert_eq!(plan.due(now, 5_000 * DAY_S, &kept(), false), Some(Ask::Renew));
        assert_eq!(plan.due(now, 0, &kept(), true), Some(Ask::Renew), "refused, whatever this clock says");
        assert_eq!(plan.due(now + Duration::from_secs(2 * DAY_S), 0, &kept(), false), Some(Ask::Trust));
        plan.done(now, Ask::Trust, true);
        assert_eq!(plan.due(now + RETRY_MIN, 0, &kept(), false), Some(Ask::Renew), "the hub wants it");
        plan.done(now, Ask::Renew, false);
        assert_eq!(plan.due(now + RETRY_MIN, 0, &kept(), true), None, "that refusal is the old certificate's");
    }

    #[test]
    fn failures_space_themselves_out_to_an_hour_and_what_does_not_pass_waits_at_once() {
        let mut plan = Plan::new(Duration::from_secs(DAY_S), 7);
        let mut now = Moment::from_millis(1);
        let mut pauses = Vec::new();
        for _ in 0..20 {
            plan.failed(now, true);
            pauses.push(plan.not_before.since(now));
            now = plan.not_before;
        }
        assert!(pauses[0] <= RETRY_MIN && pauses[19] <= RETRY_MAX && pauses[19] >= RETRY_MAX / 2, "{pauses:?}");
        plan.done(now, Ask::Renew, false);
        plan.failed(now, false);
        assert!(plan.not_before.since(now) >= RETRY_MAX / 2);
    }
}
