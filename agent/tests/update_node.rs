//! Updates of a real agent, by real processes: mosquitto and a hub behind it that acknowledges, an HTTPS listener that
//! offers as a hub does, and a service manager that starts the agent again whenever it ends.
//!
//! The new program is a script that says that it is 0.2.0 and becomes the agent's own program in the slot's folder: what
//! is tested is everything around it.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test against real processes: deadlines, and helpers that fail loudly"
)]

#[allow(dead_code, reason = "shared with the uplink's tests, which use more of it")]
#[path = "uplink_mosquitto/district.rs"]
mod district;
#[path = "update_node/offering.rs"]
mod offering;
#[path = "update_node/service.rs"]
mod service;

use std::time::Duration;

use offering::{agent_offer, configuration_offer, script};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use service::Village;
use simpul_wire::command::{Action, Command};
use simpul_wire::event::EventBody;
use simpul_wire::update::{Manifest, Offers, Part, Step};

/// The agent's own program, as version 0.2.0.
const GOOD: &str = "exec \"${0%/*}/real\" \"$@\"";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_comes_over_a_bad_link_runs_on_trial_and_stays() {
    let village = Village::start("").await;
    let program = script(GOOD);
    village.offering.cut_after(2_000_000);
    village.offering.offer(agent_offer(1, &program, |_| {}));
    village.until_step(1, Step::FetchFailed).await;
    village.until_step(1, Step::Confirmed).await;
    let steps = village.steps(1);
    assert_eq!(steps, [Step::FetchFailed, Step::Fetched, Step::Trial, Step::Confirmed]);
    assert!(village.offering.requests().iter().any(|request| request.contains("range: bytes=")));
    assert_eq!(village.codes(), [Some(6)], "one restart, asked for");
    // It stays over a power cut, and runs from its slot.
    village.kill();
    village.until_running("/updates/a/real").await;
    assert_eq!(village.launch().trial, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_that_does_not_reach_the_hub_or_does_not_start_is_taken_back_and_told() {
    let village = Village::start("").await;
    village.offering.offer(agent_offer(1, &script("exit 1"), |_| {}));
    village.until_step(1, Step::RolledBack).await;
    assert!(village.why(1).starts_with("started 3 times, and not proved"), "{}", village.why(1));
    // It runs, and believes that the hub is elsewhere.
    let lost = script("shift 3; exec \"${0%/*}/real\" run --config \"${0%/*}/../../lost.toml\" \"$@\"");
    village.offering.offer(agent_offer(2, &lost, |_| {}));
    village.until_step(2, Step::RolledBack).await;
    assert_eq!(village.why(2), "no acknowledgement of the hub within 8 s");
    // And one that is not what it says: it never goes on trial.
    village.offering.offer(agent_offer(3, &script("exit 1"), |manifest| manifest.version.minor = 3));
    village.until_step(3, Step::Refused).await;
    assert_eq!(village.why(3), "signed as 0.3.0, and it says that it is 0.2.0");
    assert_eq!(village.steps(3), [Step::Fetched, Step::Refused]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forged_and_replayed_offers_are_refused_each_in_its_own_words() {
    let village = Village::start("").await;
    let program = script(GOOD);
    let mut forged = agent_offer(1, &program, |_| {});
    forged.0.agent.as_mut().unwrap().signed.signature[5] ^= 1;
    let replayed = agent_offer(2, &program, |manifest| manifest.version.minor = 0);
    let elsewhere = agent_offer(3, &program, |manifest| manifest.platform = "riscv64-linux".parse().unwrap());
    let of_a_board = agent_offer(4, &program, |manifest: &mut Manifest| manifest.part = Part::Board);
    let expected = [
        "the signature does not fit: the offer is forged, or was changed after it was signed",
        "0.0.0 is older than 0.1.0, which runs, and is not signed as a downgrade",
        "it is for riscv64-linux, and this is",
        "offered as agent, and signed as board",
    ];
    for (rollout, offer) in [forged, replayed, elsewhere, of_a_board].into_iter().enumerate() {
        let rollout = rollout as u8 + 1;
        village.offering.offer(offer);
        village.until_step(rollout, Step::Refused).await;
        assert!(village.why(rollout).starts_with(expected[usize::from(rollout) - 1]), "{}", village.why(rollout));
        assert_eq!(village.steps(rollout), [Step::Refused]);
    }
    let requests = village.offering.requests();
    assert!(!requests.iter().any(|request| request.contains("/content/")), "nothing was fetched");
    assert_eq!(village.codes(), [], "and nothing was restarted");
    // An order to look is answered.
    village.offering.offer((Offers::default(), Vec::new()));
    let command = Command { id: [9; 16], ttl_ms: 60_000, action: Action::LookForUpdates {} };
    village.district.hub().command(&command).await;
    let said = village
        .until("the answer", |event| match event {
            EventBody::CommandResult { id, done, detail } if *id == [9; 16] => Some((*done, detail.to_string())),
            _ => None,
        })
        .await;
    assert!(said.0 && (said.1 == "nothing new" || said.1 == "an update is under way"), "{said:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_configuration_stays_or_goes_back_and_an_edit_on_site_ends_it() {
    let village = Village::start("").await;
    let own = village.configuration();
    let better = own.replace("[host]", "[host]\ninterval = \"30 s\"");
    village.offering.offer(configuration_offer(1, 1, &better));
    village.until_step(1, Step::Confirmed).await;
    assert_eq!(village.steps(1), [Step::Fetched, Step::Trial, Step::Confirmed]);
    let printed = village.command(&["config", "print"]).await;
    assert!(printed.starts_with("# revision 1 of the hub is in force") && printed.ends_with(&better), "{printed}");
    // Refused in the validator's own words; never on trial.
    village.offering.offer(configuration_offer(2, 2, &own.replace("[host]", "[host]\nintervall = \"30 s\"")));
    village.until_step(2, Step::Refused).await;
    assert!(village.why(2).contains("host.intervall: unknown key; did you mean interval?"), "{}", village.why(2));
    village.offering.offer(configuration_offer(3, 3, &own.replace("node = \"", "node = \"x")));
    village.until_step(3, Step::Refused).await;
    assert_eq!(village.why(3), "it changes node: that is done on the node");
    // Valid, and takes the node away.
    village.offering.offer(configuration_offer(4, 4, &village.lost_configuration()));
    village.until_step(4, Step::RolledBack).await;
    assert_eq!(village.why(4), "no acknowledgement of the hub within 8 s");
    let printed = village.command(&["config", "print"]).await;
    assert!(printed.starts_with("# revision 1 of the hub is in force"), "{printed}");
    // Replayed.
    village.offering.offer(configuration_offer(5, 3, &better.replace("30 s", "40 s")));
    village.until_step(5, Step::Refused).await;
    assert_eq!(village.why(5), "revision 3 is not newer than 4, the last that this node judged");
    // Somebody edits the file on the node.
    village.edit(&own.replace("[host]", "# by hand\n[host]"));
    village.kill();
    village.until_step(1, Step::RolledBack).await;
    assert!(village.why(1).ends_with("was edited on the node, and wins"), "{}", village.why(1));
    village.until_kept("# by hand").await;
    // And edits it badly: the last good one runs.
    village.edit("node = 7\n");
    village.kill();
    village.until_step(0, Step::RolledBack).await;
    let printed = village.command(&["config", "print"]).await;
    assert!(printed.starts_with("# the last good one is in force") && printed.contains("# by hand"), "{printed}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_kills_at_random_during_updates_end_in_the_old_or_the_new_one() {
    let seed = std::env::var("SIMPUL_CUT_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(20_261_124);
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let village = Village::start("").await;
    let own = village.configuration();
    let (mut kills, mut stayed, mut rollout) = (0, 0, 0u8);
    while kills < 100 {
        rollout += 1;
        if rollout % 2 == 1 {
            let text = own.replace("[host]", &format!("[host]\ninterval = \"{} s\"", u32::from(rollout) + 1));
            village.offering.offer(configuration_offer(rollout, u64::from(rollout), &text));
        } else {
            let minor = u16::from(rollout) + 1;
            let program = offering::script_of(minor, GOOD);
            village.offering.offer(agent_offer(rollout, &program, |manifest| manifest.version.minor = minor));
        }
        for _ in 0..random.random_range(1..7) {
            tokio::time::sleep(Duration::from_millis(random.random_range(0..2_500))).await;
            village.kill();
            kills += 1;
        }
        // Left alone it comes to an end, one way or the other.
        let step = village
            .until("the end of an update", |event| match event {
                EventBody::Update { rollout: of, step, .. } if *of == [rollout; 16] && step.is_final() => Some(*step),
                _ => None,
            })
            .await;
        stayed += u32::from(step == Step::Confirmed);
        println!("rollout {rollout}: {} after {kills} kills", step.name());
    }
    assert!(stayed > 0, "an update can succeed at all");
    village.offering.offer((Offers::default(), Vec::new()));
    let launch = village.launch();
    assert_eq!((launch.trial, launch.ended), (None, Vec::new()));
}
