//! What a configuration file is refused for, with the exact words; and that what is printed as default is the default.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use simpul_agent::config::{BoardPort, CameraAddress, ClockTrust, Config, LongPress, print_defaults};
use simpul_wire::board::Settings;

const LEAST: &str = "node = \"35.12.07.2003-01\"\n[uplink]\nhubs = [\"hub.example:8883\"]\n";

fn problems(text: &str) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    secret(folder.path(), "token", "0123456789abcdef", 0o600);
    secret(folder.path(), "short", "abc", 0o600);
    secret(folder.path(), "open", "hunter2-hunter2-hunter2", 0o644);
    secret(folder.path(), "password", "hunter2", 0o600);
    let error = Config::parse(text, folder.path()).expect_err(text);
    let root = folder.path().display().to_string();
    error.problems.iter().map(|problem| problem.to_string().replace(&root, "DIR")).collect()
}

fn secret(folder: &Path, name: &str, content: &str, mode: u32) {
    let path = folder.join(name);
    std::fs::write(&path, content).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
}

fn check(extra: &str, expected: &[&str]) {
    assert_eq!(problems(&format!("{LEAST}{extra}")), expected, "for:\n{extra}");
}

#[test]
fn the_least_file_is_enough() {
    let config = Config::parse(LEAST, Path::new("/etc/simpul")).unwrap();
    assert_eq!(config.node.as_str(), "35.12.07.2003-01");
    assert_eq!(config.clock, ClockTrust::Auto);
    assert_eq!(config.spool.service_bytes_max, 64 << 20);
    assert_eq!(config.spool.kept_for, Duration::from_secs(48 * 3_600));
    assert_eq!(config.uplink.ca_file, Path::new("/etc/simpul/ca.pem"), "relative paths are relative to the file");
    assert_eq!(config.state_directory, Path::new("/var/lib/simpul/sources"), "beside the spool");
    assert_eq!(config.host.unwrap().interval, Duration::from_secs(10));
    assert!(config.cameras.is_empty() && config.local_api.is_none());
}

#[test]
fn the_printed_defaults_parse_to_the_defaults() {
    let folder = tempfile::tempdir().unwrap();
    let printed = Config::parse(&print_defaults(), folder.path()).unwrap();
    let least = Config::parse("node = \"35.12.07.2003-01\"\n", folder.path()).unwrap();
    assert_eq!(format!("{printed:?}"), format!("{least:?}"));
}

/// The printed defaults with every table switched on; each key's line becomes `choose(default or example line, example)`.
fn switched_on(choose: impl Fn(&str, Option<&str>) -> String) -> String {
    let mut text = String::new();
    let mut example = None;
    for line in print_defaults().lines() {
        if let Some(comment) = line.strip_prefix("## ") {
            example = comment.split_once("Example: ").map(|(_, example)| example.to_owned());
            continue;
        }
        text.push_str(&choose(line.trim_start_matches("# "), example.take().as_deref()));
        text.push('\n');
    }
    text
}

#[test]
fn the_printed_defaults_hold_with_every_table_switched_on() {
    let folder = tempfile::tempdir().unwrap();
    secret(folder.path(), "local-api.token", "0123456789abcdef", 0o600);
    let kept = ["node", "hubs", "id", "snapshot_url", "token_file", "button", "service"];
    let text = switched_on(|line, example| {
        let name = line.split(" = ").next().unwrap_or_default();
        let keep = line.starts_with('[') || line.is_empty() || example.is_some() || kept.contains(&name);
        if keep { line.to_owned() } else { String::new() }
    });
    let printed = Config::parse(&text, folder.path()).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let least = format!(
        "{LEAST}[[cameras]]\nid = \"gate\"\n\
         snapshot_url = \"http://192.168.1.64/ISAPI/Streaming/channels/101/picture\"\n\
         [local_api]\ntoken_file = \"local-api.token\"\n\
         [phone]\n[led]\n[board]\n[[board.desk]]\nbutton = 1\nservice = \"ktp\"\n"
    );
    let least = Config::parse(&least, folder.path()).unwrap();
    assert_eq!(format!("{printed:?}"), format!("{least:?}"));
    assert_eq!(printed.cameras[0].image_bytes_max, 4 << 20);
    assert_eq!(printed.local_api.unwrap().listen.to_string(), "127.0.0.1:8480");
}

#[test]
fn every_example_is_allowed() {
    let folder = tempfile::tempdir().unwrap();
    secret(folder.path(), "gate.password", "hunter2", 0o600);
    secret(folder.path(), "local-api.token", "0123456789abcdef", 0o600);
    let text = switched_on(|line, example| match (line.split_once(" = "), example) {
        (Some((name, _)), _) if name.starts_with("onvif") => String::new(),
        (Some((name, _)), Some(example)) => format!("{name} = {example}"),
        _ => line.to_owned(),
    });
    let config = Config::parse(&text, folder.path()).unwrap_or_else(|error| panic!("{error}\n{text}"));
    assert_eq!(config.clock, ClockTrust::Trust);
    assert!(config.host.is_none() && config.cameras[0].simulated);
    assert_eq!(config.uplink.daily_bytes_max, Some(150_000_000));
}

#[test]
fn unknown_keys_are_refused_with_the_nearest_name_and_their_place() {
    check("no_progres = \"60 s\"\n", &["line 4: uplink.no_progres: unknown key; did you mean no_progress?"]);
    check("[spol]\n", &["line 4: spol: unknown key; did you mean spool?"]);
    check("[host]\nInterval = \"10 s\"\n", &["line 5: host.Interval: unknown key; did you mean interval?"]);
    check(
        "[[cameras]]\nid = \"gate\"\nsnapshot_url = \"http://c/p\"\npassword = \"hunter2\"\n",
        &["line 7: cameras[0].password: unknown key; did you mean password_file?"],
    );
    check("[host]\nxyzzy = 1\n", &["line 5: host.xyzzy: unknown key; allowed here: enabled, interval"]);
}

#[test]
fn a_board_is_read_with_its_desks() {
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        "{LEAST}[board]\nport = \"/dev/ttyAMA0\"\nlong_press_ms = 2000\ncages = [1]\nbattery_low_mv = 11500\nrelay = true\n\
         firmware = \"pico.img\"\n\
         [[board.desk]]\nbutton = 1\nservice = \"ktp\"\ndesk = \"1\"\nlong_press = \"undo\"\n\
         [[board.desk]]\nbutton = 8\nservice = \"kk\"\n"
    );
    let board = Config::parse(&text, folder.path()).unwrap().board.unwrap();
    assert_eq!(board.port, BoardPort::Path("/dev/ttyAMA0".into()));
    assert_eq!(board.firmware, Some(folder.path().join("pico.img")));
    let settings =
        Settings { long_press_ms: 2_000, desks: 0b1000_0001, cages: 0b10, battery_low_mv: 11_500, relay: true };
    assert_eq!(board.settings, settings);
    let desks: Vec<_> = board.desks.iter().map(|desk| (desk.button, desk.service.as_str(), desk.long_press)).collect();
    assert_eq!(desks, [(0, "ktp", LongPress::Undo), (7, "kk", LongPress::NoShow)]);
    assert!(Config::parse(LEAST, folder.path()).unwrap().board.is_none(), "no section, no board");
    let bare = Config::parse(&format!("{LEAST}[board]\n"), folder.path()).unwrap().board.unwrap();
    assert_eq!((bare.port, bare.settings.desks), (BoardPort::Auto, 0));
}

#[test]
fn a_boards_mistakes_are_refused_with_their_place() {
    check("[board]\nprot = \"auto\"\n", &["line 5: board.prot: unknown key; did you mean port?"]);
    check("[board]\n[[board.desks]]\nbutton = 1\n", &["line 5: board.desks: unknown key; did you mean desk?"]);
    check("[boad]\n", &["line 4: boad: unknown key; did you mean board?"]);
    check("[board]\ndesk = 3\n", &["line 5: board.desk: must be tables: [[board.desk]]"]);
    check(
        "[board]\ncages = [2]\n",
        &["line 5: board.cages: [2] is not allowed; a list of cages, each 0 or 1, such as [0, 1]"],
    );
    check(
        "[[board.desk]]\nbutton = 9\nservice = \"k t p\"\nlong_press = \"none\"\n",
        &[
            "line 5: board.desk[0].button: 9 is not allowed; a whole number from 1 to 8, such as 1",
            "line 6: board.desk[0].service: \"k t p\" is not allowed; 1 to 64 letters, digits, '.', '_' or '-', such as \"ktp\"",
            "line 7: board.desk[0].long_press: \"none\" is not allowed; \"no_show\", \"undo\" or \"ignore\", such as \"undo\"",
        ],
    );
    check(
        "[[board.desk]]\nbutton = 1\nservice = \"a\"\n[[board.desk]]\nbutton = 1\nservise = \"b\"\n",
        &[
            "line 7: board.desk[1].service: missing; write for example service = \"ktp\"",
            "line 9: board.desk[1].servise: unknown key; did you mean service?",
        ],
    );
    check(
        "[[board.desk]]\nbutton = 1\nservice = \"a\"\n[[board.desk]]\nbutton = 1\nservice = \"b\"\n",
        &["line 8: board.desk[1].button: 1 is another desk's already"],
    );
}

#[test]
fn bad_values_of_the_agent_itself_say_key_value_what_is_allowed_and_an_example() {
    for (extra, expected) in [
        (
            "state_interval = \"30 sec\"\n",
            "line 4: uplink.state_interval: \"30 sec\" is not allowed; a duration from 1 s to 1 h, such as \"60 s\"",
        ),
        (
            "state_interval = 30\n",
            "line 4: uplink.state_interval: 30 is not allowed; a duration from 1 s to 1 h, such as \"60 s\"",
        ),
        (
            "[spool]\nservice_bytes_max = \"64 mib\"\n",
            "line 5: spool.service_bytes_max: \"64 mib\" is not allowed; a size from 64 KiB to 64 GiB, such as \"128 MiB\"",
        ),
        (
            "[spool]\nballast_bytes = \"1 B\"\n",
            "line 5: spool.ballast_bytes: \"1 B\" is not allowed; a size from 64 KiB to 1 GiB, such as \"8 MiB\"",
        ),
        ("[host]\nenabled = \"yes\"\n", "line 5: host.enabled: \"yes\" is not allowed; true or false, such as false"),
        ("[[host]]\n", "line 4: host: must be a table: [host]"),
        ("[cameras]\n", "line 4: cameras: must be tables: [[cameras]]"),
        ("[local_api]\n", "line 4: local_api.token_file: missing; write for example token_file = \"local-api.token\""),
        (
            "[local_api]\ntoken_file = \"token\"\nlisten = \"localhost\"\n",
            "line 6: local_api.listen: \"localhost\" is not allowed; an address and a port, such as \"192.168.1.10:8480\"",
        ),
        (
            "[local_api]\ntoken_file = \"short\"\n",
            "line 5: local_api.token_file: DIR/short: at least 16 characters are expected",
        ),
        (
            "[local_api]\ntoken_file = \"open\"\n",
            "line 5: local_api.token_file: DIR/open: readable by everyone (mode 0644); run: chmod 600 DIR/open",
        ),
        (
            "[local_api]\ntoken_file = \"none\"\n",
            "line 5: local_api.token_file: DIR/none: No such file or directory (os error 2); create it with mode 0600",
        ),
        (
            "key_file = \"open\"\n",
            "line 4: uplink.key_file: DIR/open: readable by everyone (mode 0644); run: chmod 600 DIR/open",
        ),
    ] {
        check(extra, &[expected]);
    }
}

#[test]
fn bad_values_of_a_camera_say_key_value_what_is_allowed_and_an_example() {
    let gate = "[[cameras]]\nid = \"gate\"\nsnapshot_url = \"http://c/p\"\n";
    for (extra, expected) in [
        (
            format!("{gate}frozen_after = 1\n"),
            "line 7: cameras[0].frozen_after: 1 is not allowed; a whole number from 2 to 1000, such as 10",
        ),
        (
            format!("{gate}heartbeat = \"30 s\"\n"),
            "line 7: cameras[0].heartbeat: 30 s is shorter than the interval (1 min); write at least that",
        ),
        (
            format!("{gate}masks = [{{ x = 900, y = 0, width = 101, height = 10 }}]\n"),
            "line 7: cameras[0].masks: [{ x = 900, y = 0, width = 101, height = 10 }] is not allowed; at most 32 \
             rectangles within 0 to 1000, such as [{ x = 0, y = 600, width = 250, height = 400 }]",
        ),
        (
            format!("{gate}mask_resolution = \"1920x1080\"\n"),
            "line 7: cameras[0].mask_resolution: given without masks; add masks or leave it out",
        ),
        (format!("{gate}{gate}"), "line 8: cameras[1].id: \"gate\" is the id of another camera already"),
        (format!("{gate}username = \"viewer\"\n"), "line 4: cameras[0].password_file: missing beside username"),
        (format!("{gate}password_file = \"password\"\n"), "line 4: cameras[0].username: missing beside password_file"),
        (
            format!("{gate}onvif_url = \"http://c/onvif\"\n"),
            "line 7: cameras[0].onvif_url: given beside snapshot_url; keep one of them",
        ),
        (
            "[[cameras]]\nid = \"gate\"\n".to_owned(),
            "line 4: cameras[0].snapshot_url: missing; write snapshot_url = \"http://...\" or onvif_url = \"http://...\"",
        ),
        (
            "[[cameras]]\nid = \"../x\"\nsnapshot_url = \"http://c/p\"\n".to_owned(),
            "line 5: cameras[0].id: \"../x\" is not allowed; 1 to 64 letters, digits, '.', '_' or '-', such as \"gate\"",
        ),
        (
            "[[cameras]]\nid = \"gate\"\nsnapshot_url = \"http://admin:hunter2@c/p\"\n".to_owned(),
            "line 6: cameras[0].snapshot_url: a URL with a user or password in it is not allowed; an http:// or https:// \
             address without user or password (they go to username and password_file), such as \
             \"http://192.168.1.64/ISAPI/Streaming/channels/101/picture\"",
        ),
    ] {
        check(&extra, &[expected]);
    }
}

#[test]
fn several_problems_are_reported_together_in_the_order_of_the_file() {
    let found = problems("nod = \"x\"\nclock = \"always\"\n[uplink]\nhubs = [\"hub\"]\nno_progress = \"0 s\"\n");
    assert_eq!(
        found,
        [
            "line 1: nod: unknown key; did you mean node?",
            "line 2: clock: \"always\" is not allowed; \"auto\" or \"trust\", such as \"trust\"",
            "line 4: uplink.hubs: [\"hub\"] is not allowed; 1 to 8 addresses host:port, such as [\"hub.example:8883\"]",
            "line 5: uplink.no_progress: \"0 s\" is not allowed; a duration from 1 s to 1 h, such as \"2 min\"",
            "node: missing; write for example node = \"35.12.07.2003-01\"",
        ]
    );
    let error = Config::parse("node = 1\nclock = 2\n", Path::new(".")).unwrap_err().to_string();
    assert!(error.starts_with("configuration: 2 problems\n  line 1: node: 1 is not allowed;"), "{error}");
}

#[test]
fn what_is_no_toml_is_refused_by_line_without_repeating_it() {
    let error = Config::parse("node = \"a\"\npassword = hunter2 hunter2\n", Path::new(".")).unwrap_err().to_string();
    assert!(error.contains("line 2: not TOML: "), "{error}");
    assert!(!error.contains("hunter2"), "{error}");
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("agent.toml");
    let error = Config::load(&path).unwrap_err().to_string();
    assert_eq!(
        error,
        format!("configuration {}: cannot be read: No such file or directory (os error 2)", path.display())
    );
    std::fs::write(&path, vec![b'#'; 300_000]).unwrap();
    let error = Config::load(&path).unwrap_err().to_string();
    assert!(error.ends_with("300000 bytes, at most 262144: this is no configuration"), "{error}");
}

#[test]
fn an_onvif_camera_is_asked_for_its_address() {
    let text = format!("{LEAST}[[cameras]]\nid = \"gate\"\nonvif_url = \"http://c/onvif\"\nonvif_profile = \"P1\"\n");
    let config = Config::parse(&text, Path::new(".")).unwrap();
    let CameraAddress::Onvif { device, profile } = &config.cameras[0].address else { panic!("{config:?}") };
    assert_eq!((device.as_str(), profile.as_deref()), ("http://c/onvif", Some("P1")));
}

/// Everything that is logged while a file with secrets is loaded, refused and printed.
#[test]
fn secrets_are_never_logged_or_printed() {
    #[derive(Clone, Default)]
    struct Capture(Arc<Mutex<Vec<u8>>>);
    impl std::io::Write for Capture {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let folder = tempfile::tempdir().unwrap();
    secret(folder.path(), "token", "rahasia-rahasia-rahasia", 0o640);
    secret(folder.path(), "password", "rahasia-kamera", 0o600);
    let text = format!(
        "{LEAST}[local_api]\ntoken_file = \"token\"\n[[cameras]]\nid = \"gate\"\nsnapshot_url = \"http://c/p\"\n\
         username = \"viewer\"\npassword_file = \"password\"\n"
    );
    let capture = Capture::default();
    let writer = capture.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    let printed = tracing::subscriber::with_default(subscriber, || {
        let config = Config::parse(&text, folder.path()).unwrap();
        tracing::info!(?config, "loaded");
        let secret = simpul_agent::config::read_secret(config.cameras[0].password_file.as_ref().unwrap()).unwrap();
        tracing::info!(?secret, "read");
        assert_eq!(secret.expose(), "rahasia-kamera");
        let refused = Config::parse(&format!("{text}rahasia = \"rahasia-kamera\"\n"), folder.path()).unwrap_err();
        format!("{refused} {refused:?}")
    });
    let logged = String::from_utf8(capture.0.lock().unwrap().clone()).unwrap();
    assert!(logged.contains("the group can read this secret"), "{logged}");
    for text in [logged, printed] {
        assert!(!text.contains("rahasia-"), "{text}");
    }
}

#[test]
fn keys_and_times_of_updates_are_read_in_both_notations_and_refused_with_their_place() {
    let hex = "4cb5abf6ad79fbf5abbccafcc269d85cd2651ed4b885b5869f241aedf0a5ba29";
    let base64 = "TLWr9q15+/WrvMr8wmnYXNJlHtS4hbWGnyQa7fCluik=";
    let text = format!(
        "{LEAST}[update]\nkeys = [\"{hex}\", \"{base64}\"]\nnot_between = [\"07:30-12:00\", \"23:00-01:15\"]\nzone = \"WIT\"\n"
    );
    let update = Config::parse(&text, Path::new(".")).unwrap().update;
    assert_eq!(update.keys[0], update.keys[1]);
    assert_eq!(update.not_between, [(450, 720), (1_380, 75)]);
    assert_eq!((update.zone_minutes, update.trial.as_secs()), (540, 900));
    let short = &hex[2..];
    let key = format!("at most 4 public keys (Ed25519) in hexadecimal or base64, such as [\"{hex}\"]");
    let expected = format!("line 5: update.keys: [\"{}… is not allowed; {key}", &short[..58]);
    check(&format!("[update]\nkeys = [\"{short}\"]\n"), &[&expected]);
    for bad in ["\"7:30-12:00\"", "\"07:30\"", "\"24:00-25:00\"", "\"08:00-08:00\"", "\"08:60-09:00\"", "730"] {
        let allowed = "at most 8 times of day, such as [\"07:30-12:00\"]";
        let expected = format!("line 5: update.not_between: [{bad}] is not allowed; {allowed}");
        check(&format!("[update]\nnot_between = [{bad}]\n"), &[&expected]);
    }
    let zone = "line 5: update.zone: \"UTC\" is not allowed; \"WIB\", \"WITA\" or \"WIT\", such as \"WITA\"";
    check("[update]\nzone = \"UTC\"\n", &[zone]);
    let trial = "line 5: update.trial: \"2 h\" is not allowed; a duration from 5 s to 1 h, such as \"30 min\"";
    check("[update]\ntrial = \"2 h\"\n", &[trial]);
}
