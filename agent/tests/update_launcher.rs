//! Which program starts, with real processes: programs of the slots are scripts that say who they are; the package is the
//! agent's own program. And power cuts at each step of an update, with what a card may then hold.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test against real processes: deadlines, and helpers that fail loudly"
)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use sha2::{Digest, Sha256};
use simpul_agent::update::in_force::{self, Origin};
use simpul_agent::update::launch::{Candidate, Launch, Packaged, Place, Program, Remote, STARTS_MAX, Trial, label};
use simpul_wire::update::Version;

const OWN: &str = "node = \"a-01\"\n[uplink]\nhubs = [\"own:1\"]\n";
const HUBS: &str = "node = \"a-01\"\n[uplink]\nhubs = [\"remote:1\"]\n";

fn version(minor: u16) -> Version {
    Version { major: 0, minor, patch: 0 }
}

fn agent() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_simpul-agent"))
}

/// As the launcher sees its own program.
fn packaged() -> Packaged {
    use std::os::unix::fs::MetadataExt;
    let metadata = fs::metadata(agent()).unwrap();
    Packaged {
        version: env!("CARGO_PKG_VERSION").parse().unwrap(),
        bytes: metadata.size(),
        modified_s: metadata.mtime(),
        spool_format: simpul_agent::spool::FORMAT,
    }
}

fn script(body: &str) -> Vec<u8> {
    format!("#!/bin/sh\n{body}\n").into_bytes()
}

struct Card {
    folder: tempfile::TempDir,
}

impl Card {
    fn new() -> Card {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("updates")).unwrap();
        // The package then ends at once, with code 3: nobody needs a spool here.
        fs::write(folder.path().join("agent.toml"), "node = 7\n").unwrap();
        Card { folder }
    }

    fn updates(&self) -> PathBuf {
        self.folder.path().join("updates")
    }

    fn program(&self, place: Place, minor: u16, bytes: &[u8]) -> Program {
        let folder = self.updates().join(place.folder().unwrap());
        fs::create_dir_all(&folder).unwrap();
        let file = folder.join("simpul-agent");
        let _ = fs::remove_file(&file);
        fs::write(&file, bytes).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        Program { version: version(minor), sha256: Sha256::digest(bytes).into() }
    }

    fn start(&self) -> Output {
        let config = self.folder.path().join("agent.toml");
        let mut command = Command::new(agent());
        command.args(["run", "--config"]).arg(config).arg("--updates").arg(self.updates()).env("LC_ALL", "C");
        command.output().unwrap()
    }

    /// Who runs.
    fn who(&self) -> String {
        let output = self.start();
        let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        if output.status.code() == Some(3) { "package".into() } else { said }
    }

    fn launch(&self) -> Launch {
        Launch::load(&self.updates()).unwrap().unwrap()
    }
}

fn trial(candidate: Candidate, limit_s: u32) -> Option<Trial> {
    Some(Trial {
        rollout: [7; 16],
        candidate,
        from: label(1),
        to: label(2),
        starts_left: STARTS_MAX,
        limit_s,
        floor: version(0),
        ailing: Vec::new(),
    })
}

/// Slot A runs and is good; `bytes` in slot B is on trial.
fn on_trial(bytes: &[u8], limit_s: u32) -> Card {
    let place = Card::new();
    let a = Some(place.program(Place::A, 2, &script("echo old")));
    let b = Some(place.program(Place::B, 3, bytes));
    let trial = trial(Candidate::Program(Place::B), limit_s);
    Launch { running: Place::A, a, b, trial, ..Launch::new(packaged()) }.save(&place.updates()).unwrap();
    place
}

#[test]
fn without_updates_the_package_runs_and_nothing_is_written() {
    let place = Card::new();
    assert_eq!(place.who(), "package");
    fs::remove_dir_all(place.updates()).unwrap();
    assert_eq!(place.who(), "package");
    assert!(!place.updates().exists());
}

#[test]
fn a_good_program_gets_the_arguments_and_runs_on_trial_until_it_says_so() {
    let place = on_trial(&script("echo new $1 $2"), 900);
    for left in (0..STARTS_MAX).rev() {
        assert_eq!(place.who(), "new run --config");
        assert_eq!(place.launch().trial.unwrap().starts_left, left, "counted before it was made");
    }
    assert_eq!(place.who(), "old");
    let launch = place.launch();
    assert_eq!((launch.trial.is_none(), launch.b, launch.running), (true, None, Place::A));
    assert_eq!(launch.ended[0].why.as_str(), "started 3 times, and not proved");
    assert_eq!(place.who(), "old", "and so it stays");
}

#[test]
fn whatever_is_wrong_with_a_program_on_trial_the_former_one_is_back_without_a_visit() {
    let mut damaged = script("echo new");
    let good_hash = Sha256::digest(&damaged);
    damaged[12] ^= 1;
    for (name, bytes, starts, why) in [
        ("crashes at once", script("exit 1"), 4, "started 3 times"),
        ("kills itself", script("kill -SEGV $$"), 4, "started 3 times"),
        (
            "of another machine",
            b"\x7fELF\x02\x01\x01 another machine's".to_vec(),
            1,
            "cannot be started: Exec format error",
        ),
        ("empty", Vec::new(), 1, "cannot be started: Exec format error"),
        ("without its interpreter", b"#!/nowhere/sh\n".to_vec(), 1, "cannot be started: No such file"),
    ] {
        let place = on_trial(&bytes, 900);
        let said: Vec<String> = (0..starts).map(|_| place.who()).collect();
        assert_eq!(said.last().unwrap(), "old", "{name}: {said:?}");
        assert!(place.launch().ended[0].why.as_str().starts_with(why), "{name}: {:?}", place.launch().ended);
    }
    for (name, spoil) in [
        ("changed on the card", &(|file: &Path| fs::write(file, &damaged).unwrap()) as &dyn Fn(&Path)),
        ("cut short", &|file| fs::write(file, "#!/bin/sh").unwrap()),
        ("gone", &|file| fs::remove_file(file).unwrap()),
        ("not to be executed", &|file| fs::set_permissions(file, fs::Permissions::from_mode(0o644)).unwrap()),
    ] {
        let place = on_trial(&script("echo new"), 900);
        assert_eq!(place.launch().b.unwrap().sha256[..], good_hash[..]);
        spoil(&place.updates().join("b/simpul-agent"));
        let said = place.who();
        assert_eq!(said, "old", "{name}");
        assert!(place.launch().ended[0].why.as_str().starts_with("cannot be started: "), "{name}");
    }
}

#[test]
fn a_program_that_hangs_and_does_nothing_is_ended_by_the_alarm() {
    let place = on_trial(&script("echo new; exec sleep 25"), 1);
    let began = Instant::now();
    let said: Vec<String> = (0..4).map(|_| place.who()).collect();
    assert_eq!(said, ["new", "new", "new", "old"]);
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
}

#[test]
fn a_program_that_rots_after_it_was_proved_is_followed_by_the_other_slot_then_by_the_package() {
    let place = Card::new();
    let a = Some(place.program(Place::A, 2, &script("echo former")));
    let b = Some(place.program(Place::B, 3, &script("echo present")));
    Launch { running: Place::B, a, b, ..Launch::new(packaged()) }.save(&place.updates()).unwrap();
    assert_eq!(place.who(), "present");
    fs::write(place.updates().join("b/simpul-agent"), "rotten").unwrap();
    assert_eq!(place.who(), "former");
    fs::remove_file(place.updates().join("a/simpul-agent")).unwrap();
    assert_eq!(place.who(), "package");
    let launch = place.launch();
    assert_eq!((launch.running, launch.ended.len()), (Place::Packaged, 2));
    fs::write(place.updates().join("launch"), "rotten too").unwrap();
    let output = place.start();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("the packaged program runs, and updates begin anew"), "{said}");
    assert_eq!(place.who(), "package");
}

#[test]
fn a_card_that_cannot_be_written_makes_no_trial_and_no_loop() {
    let place = on_trial(&script("echo new"), 900);
    // Root writes anywhere: a folder in the way of the file that is renamed stops it all the same.
    fs::create_dir(place.updates().join("launch.new")).unwrap();
    assert_eq!((place.who(), place.who()), ("old".into(), "old".into()));
    assert_eq!(place.launch().trial.unwrap().starts_left, STARTS_MAX);
    fs::remove_dir(place.updates().join("launch.new")).unwrap();
    assert_eq!(place.who(), "new");
}

/// What a card may hold of a file that is replaced by rename when the power goes: nothing of it, any part of the new one
/// beside the old one, or the new one.
fn cut_replacement(random: &mut StdRng, path: &Path, new: &[u8]) -> bool {
    match random.random_range(0..3) {
        0 => false,
        1 => {
            let mut part = new[..random.random_range(0..=new.len())].to_vec();
            if random.random_bool(0.3) {
                part.fill(0);
            }
            fs::write(path.with_extension("new"), part).unwrap();
            false
        }
        _ => {
            fs::write(path, new).unwrap();
            true
        }
    }
}

fn bytes_of(launch: &Launch) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    launch.save(folder.path()).unwrap();
    fs::read(folder.path().join("launch")).unwrap()
}

#[test]
fn a_hundred_power_cuts_during_a_programs_update_end_in_the_old_or_the_new_one() {
    let seed = std::env::var("SIMPUL_CUT_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(20_261_124);
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let (mut old, mut new) = (0, 0);
    for round in 0..100 {
        let place = Card::new();
        let updates = place.updates();
        let a = Some(place.program(Place::A, 2, &script("echo old")));
        // What an earlier update left there.
        let b = random.random_bool(0.5).then(|| place.program(Place::B, 1, &script("echo older")));
        let mut launch = Launch { running: Place::A, a, b, ..Launch::new(packaged()) };
        launch.save(&updates).unwrap();
        let program = script("echo new");
        let good = random.random_bool(0.7);
        // The steps in their order on the card; the power goes within one of them.
        let cut = random.random_range(0..5);
        let mut taken = false;
        'cut: {
            launch.empty(Place::B);
            if cut == 0 {
                cut_replacement(&mut random, &updates.join("launch"), &bytes_of(&launch));
                break 'cut;
            }
            launch.save(&updates).unwrap();
            let slot = updates.join("b");
            fs::create_dir_all(&slot).unwrap();
            let _ = fs::remove_file(slot.join("simpul-agent"));
            if cut == 1 {
                fs::write(slot.join("simpul-agent.new"), &program[..random.random_range(0..program.len())]).unwrap();
                break 'cut;
            }
            let bytes = if good { program.clone() } else { script("exit 9") };
            launch.b = Some(place.program(Place::B, 3, &bytes));
            launch.trial = trial(Candidate::Program(Place::B), 900);
            if cut == 2 {
                taken = cut_replacement(&mut random, &updates.join("launch"), &bytes_of(&launch));
                break 'cut;
            }
            launch.save(&updates).unwrap();
            taken = true;
            // On trial: cut before, in and after starts.
            for _ in 0..random.random_range(0..STARTS_MAX) {
                let said = place.who();
                assert!(said == "new" || !good, "round {round}: {said}");
            }
            launch = place.launch();
            if cut == 3 {
                // In the middle of the launcher's own counting.
                let mut counted = launch.clone();
                counted.count_start();
                cut_replacement(&mut random, &updates.join("launch"), &bytes_of(&counted));
                break 'cut;
            }
            if good {
                launch.confirm();
                cut_replacement(&mut random, &updates.join("launch"), &bytes_of(&launch));
            }
        }
        // From here on: power is back, and systemd starts it until it stays.
        let said: Vec<String> = (0..5).map(|_| place.who()).collect();
        let stays = said.last().unwrap();
        match stays.as_str() {
            "old" => old += 1,
            "new" if taken && good => new += 1,
            _ => panic!("round {round}, cut {cut}, good {good}: {said:?}"),
        }
        assert!(said.iter().all(|said| said == "old" || said == "new" || (said.is_empty() && !good)), "{said:?}");
        assert_eq!(Launch::load(&updates).unwrap().unwrap().trial, None, "round {round}: settled");
    }
    println!("{old} ended in the old one, {new} in the new one");
    assert!(old > 10 && new > 5, "{old} {new}: the cuts do not reach both sides");
}

#[test]
fn a_hundred_power_cuts_during_a_change_of_the_configuration_end_in_the_old_or_the_new_one() {
    let seed = std::env::var("SIMPUL_CUT_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(20_261_124);
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let (mut old, mut new) = (0, 0);
    for round in 0..100 {
        let folder = tempfile::tempdir().unwrap();
        let (path, updates) = (folder.path().join("agent.toml"), folder.path().join("updates"));
        fs::write(&path, OWN).unwrap();
        fs::create_dir(&updates).unwrap();
        let mut launch = Launch::new(packaged());
        launch.save(&updates).unwrap();
        let cut = random.random_range(0..4);
        'cut: {
            let sha256: [u8; 32] = Sha256::digest(HUBS).into();
            if cut == 0 {
                fs::create_dir(updates.join("configuration")).unwrap();
                let file = updates.join("configuration").join(format!("{}.toml", hex::encode(&sha256[..8])));
                cut_replacement(&mut random, &file, HUBS.as_bytes());
                break 'cut;
            }
            let kept = in_force::keep(&updates, HUBS).unwrap();
            assert_eq!(kept, sha256);
            let remote = Remote { revision: 8, sha256, beside: Sha256::digest(OWN).into(), rollout: [7; 16] };
            launch.trial = trial(Candidate::Configuration(remote), 900);
            if cut == 1 {
                cut_replacement(&mut random, &updates.join("launch"), &bytes_of(&launch));
                break 'cut;
            }
            launch.save(&updates).unwrap();
            for _ in 0..random.random_range(0..=STARTS_MAX) {
                let mut next = launch.clone();
                next.count_start();
                let counted = cut_replacement(&mut random, &updates.join("launch"), &bytes_of(&next));
                launch = if counted { next } else { launch };
            }
            match random.random_range(0..3) {
                0 => launch.confirm(),
                1 => launch.roll_back("no hub"),
                _ => {}
            }
            cut_replacement(&mut random, &updates.join("launch"), &bytes_of(&launch));
        }
        let in_force = in_force::load(&path, Some(&updates), true).unwrap();
        match (&in_force.origin, in_force.text.as_str()) {
            (Origin::File, OWN) => old += 1,
            (Origin::Hub { revision: 8, .. }, HUBS) => new += 1,
            other => panic!("round {round}, cut {cut}: {other:?}"),
        }
        assert_eq!(in_force.set_aside, None, "round {round}");
        let printed =
            Command::new(agent()).args(["config", "print"]).arg(&path).arg("--updates").arg(&updates).output().unwrap();
        assert!(printed.status.success() && String::from_utf8_lossy(&printed.stdout).ends_with(&in_force.text));
    }
    println!("{old} ended in the old one, {new} in the new one");
    assert!(old > 10 && new > 10, "{old} {new}: the cuts do not reach both sides");
}
