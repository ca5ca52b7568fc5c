//! What the launch file comes to, step by step, and its frozen bytes.

use super::*;

fn version(minor: u16) -> Version {
    Version { major: 0, minor, patch: 0 }
}

fn packaged(minor: u16) -> Packaged {
    Packaged { version: version(minor), bytes: 6_000_000, modified_s: i64::from(minor), spool_format: 1 }
}

fn trial(candidate: Candidate) -> Trial {
    Trial {
        rollout: [7; 16],
        candidate,
        from: label(1),
        to: label(2),
        starts_left: STARTS_MAX,
        limit_s: 900,
        floor: version(1),
        ailing: Vec::new(),
    }
}

/// Slot A runs 0.2.0, slot B is on trial with 0.3.0.
fn launch() -> Launch {
    let program = |minor| Some(Program { version: version(minor), sha256: [minor as u8; 32] });
    let trial = Some(trial(Candidate::Program(Place::B)));
    Launch { running: Place::A, a: program(2), b: program(3), trial, ..Launch::new(packaged(1)) }
}

fn remote(revision: u64) -> Remote {
    Remote { revision, sha256: [1; 32], beside: [2; 32], rollout: [9; 16] }
}

#[test]
fn a_trial_is_started_three_times_and_then_the_former_program() {
    let mut launch = launch();
    for start in 0..STARTS_MAX {
        launch.count_start();
        assert_eq!(launch.next(), Place::B, "start {start}");
    }
    launch.count_start();
    assert_eq!((launch.next(), launch.b), (Place::A, None));
    let ended = &launch.ended[0];
    assert!(!ended.confirmed && ended.rollout == [7; 16], "{ended:?}");
    assert_eq!(ended.why.as_str(), "started 3 times, and not proved");
    launch.count_start();
    assert_eq!((launch.next(), launch.ended.len()), (Place::A, 1));
}

#[test]
fn what_has_proved_itself_stays_and_the_former_one_is_kept() {
    let mut launch = launch();
    launch.count_start();
    launch.confirm();
    assert_eq!((launch.next(), launch.free_slot()), (Place::B, Place::A));
    assert_eq!(launch.a.map(|program| program.version), Some(version(2)));
    assert!(launch.ended[0].confirmed && launch.ended[0].floor == version(1));
}

#[test]
fn a_program_that_cannot_be_started_is_followed_by_the_next_best_and_at_last_by_the_package() {
    let mut launch = launch();
    launch.broken(Place::B, "cut short");
    assert_eq!((launch.next(), launch.ended[0].why.as_str()), (Place::A, "cut short"));
    launch.broken(Place::A, "rotten");
    assert_eq!(launch.next(), Place::Packaged);
    assert_eq!((launch.ended[1].to.as_str(), launch.ended[1].from.as_str()), ("0.2.0", "0.1.0"));
    let mut kept = Launch { trial: None, running: Place::B, ..self::launch() };
    kept.broken(Place::B, "rotten");
    assert_eq!(kept.next(), Place::A, "the former one is better than the package");
}

#[test]
fn a_package_that_somebody_installs_wins_unless_the_slots_are_newer() {
    for (installed, wins) in [(1, false), (2, true), (9, true)] {
        let mut launch = Launch { trial: None, ..launch() };
        launch.see_package(Packaged { modified_s: 77, ..packaged(installed) });
        assert_eq!(launch.next(), if wins { Place::Packaged } else { Place::A }, "0.{installed}.0");
        assert_eq!(launch.a.is_none(), wins);
    }
    let mut launch = launch();
    launch.see_package(packaged(9));
    assert_eq!((launch.next(), launch.trial.is_none()), (Place::Packaged, true));
    assert!(launch.ended[0].why.as_str().contains("package 0.9.0 was installed"));
    let before = launch.clone();
    launch.see_package(packaged(9));
    assert_eq!(launch, before, "the same again says nothing");
}

#[test]
fn a_configuration_goes_on_trial_as_a_program_does() {
    let mut launch = Launch { trial: Some(trial(Candidate::Configuration(remote(8)))), ..launch() };
    launch.configuration = Some(remote(7));
    let mut back = launch.clone();
    assert_eq!(launch.next(), Place::A);
    launch.confirm();
    assert_eq!(launch.configuration, Some(remote(8)));
    assert_eq!(launch.ended[0].revision, 8);
    back.roll_back("no hub");
    assert_eq!((back.configuration, back.ended[0].part), (Some(remote(7)), Part::Configuration));
    back.drop_configuration("edited");
    assert_eq!((back.configuration, back.ended[1].rollout), (None, [9; 16]));
}

#[test]
fn damage_of_any_byte_is_seen_and_a_file_of_a_later_version_is_read() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(Launch::load(folder.path()).unwrap(), None);
    let mut launch = launch();
    launch.push(Ended {
        ..launch.ended.first().cloned().unwrap_or(Ended {
            rollout: [1; 16],
            part: Part::Agent,
            from: label(1),
            to: label(2),
            confirmed: true,
            why: Text::default(),
            floor: version(1),
            revision: 0,
        })
    });
    launch.save(folder.path()).unwrap();
    assert_eq!(Launch::load(folder.path()).unwrap(), Some(launch));
    let path = folder.path().join("launch");
    let good = std::fs::read(&path).unwrap();
    for place in 0..good.len() {
        let mut bad = good.clone();
        bad[place] ^= 4;
        std::fs::write(&path, &bad).unwrap();
        assert!(Launch::load(folder.path()).is_err(), "byte {place}");
        std::fs::write(&path, &good[..place]).unwrap();
        assert!(Launch::load(folder.path()).is_err(), "cut at {place}");
    }
}

#[test]
fn the_format_is_frozen() {
    // A package of today starts programs of ten years on: these bytes must be read then, and now.
    let mut launch = launch();
    launch.configuration = Some(remote(7));
    launch.roll_back("x");
    launch.trial = Some(trial(Candidate::Configuration(remote(8))));
    assert_eq!(hex::encode(to_vec(&launch)), FROZEN);
}

const FROZEN: &str = "a6000101a20083000200015820020202020202020202020202020202020202020202020202020202020202020203a4000701\
    5820010101010101010101010101010101010101010101010101010101010101010102582002020202020202020202020202\
    0202020202020202020202020202020202020203500909090909090909090909090909090904a80050070707070707070707\
    0707070707070701820281a40008015820010101010101010101010101010101010101010101010101010101010101010102\
    5820020202020202020202020202020202020202020202020202020202020202020203500909090909090909090909090909\
    0909026131036132040305190384068300010007800581a80050070707070707070707070707070707070101026131036132\
    04f40561780683000100070006a40083000100011a005b8d8002010301";
