//! The agent's program as technicians meet it: exit codes, status, a stop in order.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test against a real process: deadlines, and helpers that fail loudly"
)]

mod fake;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use simpul_testkit::pki::Authority;
use simpul_testkit::process::{Launch, Process};
use simpul_testkit::{ports, wait};

const PATIENCE: Duration = Duration::from_secs(60);

fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_simpul-agent"))
}

fn agent(directory: &Path, arguments: &[&str]) -> Output {
    Command::new(program()).current_dir(directory).args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A configuration whose hub is not there, and its certificates.
fn prepare(directory: &Path) -> PathBuf {
    let id = "35.12.07.2003-01";
    let authority = Authority::new("district").unwrap();
    authority.write_certificate(&directory.join("ca.pem")).unwrap();
    let identity = authority.node(id).unwrap().write(directory, "node").unwrap();
    std::fs::rename(identity.certificate, directory.join("node.pem")).unwrap();
    let nobody = ports::free().unwrap();
    let config = directory.join("agent.toml");
    let toml = format!(
        "node = \"{id}\"\n[spool]\ndirectory = \"spool\"\nhardware_serial = \"test\"\n\
         [uplink]\nhubs = [\"127.0.0.1:{nobody}\"]\nreconnect_max = \"500 ms\"\n[host]\nenabled = false\n"
    );
    std::fs::write(&config, toml).unwrap();
    config
}

async fn run(directory: &Path, config: &Path) -> Process {
    let launch = Launch::new("agent", program(), &directory.join("agent.log"))
        .argument("run")
        .argument("--config")
        .argument(config.display().to_string());
    let mut process = launch.start().unwrap();
    process.wait_for_line("the agent runs", PATIENCE).await.unwrap();
    process
}

#[test]
fn every_failure_has_its_exit_code_and_says_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    prepare(directory.path());
    std::fs::write(directory.path().join("bad.toml"), "node = \"x\"\n[uplink]\nhub = [\"a:1\"]\n").unwrap();
    for (arguments, code, said) in [
        (&["--help"][..], 0, "config print-defaults"),
        (&["config", "print-defaults"], 0, "state_interval"),
        (&["config", "check", "agent.toml"], 0, "good (node 35.12.07.2003-01)"),
        (&["config", "check", "missing.toml"], 3, "missing.toml"),
        (&["config", "check", "bad.toml"], 3, "hubs"),
        (&["run", "--config", "bad.toml"], 3, "hubs"),
        (&["status", "--config", "agent.toml"], 4, "no agent runs"),
        (&["start"], 2, "unrecognized subcommand"),
        (&["board", "status", "--config", "agent.toml"], 4, "no agent runs"),
        (&["board", "monitor", "agent.toml"], 1, "agent.toml: is no serial port"),
        (&["board", "monitor", "nowhere"], 1, "No such file"),
        (&["spool", "inspect", "nowhere"], 1, "is no spool"),
    ] {
        let output = agent(directory.path(), arguments);
        let all = text(&output.stdout) + &text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {all}");
        assert!(all.contains(said), "{arguments:?} does not say {said:?}: {all}");
    }
}

#[tokio::test]
async fn an_agent_without_a_hub_buffers_tells_and_stops_in_order() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let config = prepare(path);
    let mut process = run(path, &config).await;

    let status = wait::until("the refused connection in the status", PATIENCE, || async {
        let output = agent(path, &["status", "--json", "--config", "agent.toml"]);
        let status: serde_json::Value = serde_json::from_slice(&output.stdout).ok()?;
        status["uplink"]["last_error"].is_string().then_some(status)
    });
    let status = status.await.unwrap();
    assert_eq!(status["uplink"]["up"], false, "{status}");
    assert!(status["uplink"]["last_error"].as_str().unwrap().contains("refused"), "{status}");
    assert_eq!(status["streams"][0]["stream"], "event");
    let people = text(&agent(path, &["status", "--config", "agent.toml"]).stdout);
    assert!(people.contains("not connected"), "{people}");

    let asked = Instant::now();
    process.terminate();
    let ended = process.wait_for_end(Duration::from_secs(10)).await.unwrap();
    assert!(ended.success(), "{}", process.log_tail());
    println!("stopped in {:?}", asked.elapsed());
    assert_eq!(process.complaints(), Vec::<String>::new());
    assert_eq!(agent(path, &["status", "--config", "agent.toml"]).status.code(), Some(4));

    // The next run knows that the last one ended in order, and one that is killed is known too.
    let mut process = run(path, &config).await;
    process.kill();
    let mut process = run(path, &config).await;
    process.terminate();
    process.wait_for_end(Duration::from_secs(10)).await.unwrap();
    assert_eq!(agent(path, &["spool", "verify", "spool"]).status.code(), Some(0));
    let exported = agent(path, &["spool", "export", "spool", "out"]);
    assert!(exported.status.success(), "{}", text(&exported.stderr));
    let records = std::fs::read_to_string(path.join("out/records.jsonl")).unwrap();
    let started: Vec<bool> =
        records.lines().filter(|line| line.contains("Started")).map(|line| line.contains("clean: true")).collect();
    assert_eq!(started, [true, true, false], "{records}");
    assert_eq!(records.matches("Stopping").count(), 2, "{records}");
}

#[tokio::test]
async fn an_agent_with_a_board_shows_it_and_keeps_its_port_from_the_monitor() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let config = prepare(path);
    let board = fake::board::FakeBoard::new(3);
    let port = path.join("port");
    let _plug = board.plug(&port);
    let mut toml = std::fs::read_to_string(&config).unwrap();
    toml.push_str("[board]\nport = \"port\"\n[[board.desk]]\nbutton = 1\nservice = \"ktp\"\n");
    std::fs::write(&config, toml).unwrap();
    let mut process = run(path, &config).await;
    board.press(0, 7, 0);
    board.until_acknowledged().await;
    let shown = wait::until("the press in the status", PATIENCE, || async {
        let shown = text(&agent(path, &["board", "status", "--config", "agent.toml"]).stdout);
        shown.contains("ktp                              7         0").then_some(shown)
    });
    let shown = shown.await.unwrap();
    assert!(shown.contains("serial 0303030303030303"), "{shown}");
    let whole = text(&agent(path, &["status", "--config", "agent.toml"]).stdout);
    assert!(whole.contains("board     good"), "{whole}");
    let json = agent(path, &["board", "status", "--json", "--config", "agent.toml"]);
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(json["board"]["boot"], 1, "{json}");
    // The algorithm's own check value, for a board without a loader.
    let file = b"SIMPULFW\x01\x01\x02\x03\x09\0\0\0\x26\x39\xF4\xCB123456789";
    let check = ["board", "update", "pico.img", "--check", "--config", "agent.toml"];
    std::fs::write(path.join("pico.img"), &file[..20]).unwrap();
    let checked = agent(path, &check);
    assert_eq!((checked.status.code(), text(&checked.stdout)), (Some(1), String::new()));
    assert!(text(&checked.stderr).contains("pico.img: 0 bytes of image where its header says 9"));
    std::fs::write(path.join("pico.img"), file).unwrap();
    let checked = agent(path, &check);
    assert_eq!(text(&checked.stdout), "pico.img: whole: 1.2.3 pico, 9 bytes, CRC-32 cbf43926\n");
    assert_eq!(checked.status.code(), Some(1));
    assert!(text(&checked.stderr).contains("no loader: update it by hand"), "{}", text(&checked.stderr));
    let alone = agent(path, &["board", "update", "pico.img", "--check", "--config", "none.toml"]);
    assert_eq!(alone.status.code(), Some(0));
    assert_eq!(agent(path, &["board", "update", "pico.img"]).status.code(), Some(2), "--check is needed");
    let refused = agent(path, &["board", "monitor", "--config", "agent.toml"]);
    let said = text(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(said.contains("another program holds the port") && said.contains("simpul-agent board status"), "{said}");
    process.terminate();
    process.wait_for_end(Duration::from_secs(10)).await.unwrap();
    assert_eq!(process.complaints(), Vec::<String>::new());
}

#[test]
fn the_boards_commands_are_in_the_help() {
    let help = agent(Path::new("."), &["board", "--help"]);
    let help = text(&help.stdout);
    assert!(help.contains("status") && help.contains("monitor") && help.contains("update"), "{help}");
}
