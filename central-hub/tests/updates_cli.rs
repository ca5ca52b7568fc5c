//! `simpul-hub updates ...` as operators type it: the real program, from a key to a rollout, and what it refuses.
#![expect(clippy::unwrap_used, reason = "a stage that cannot be set up fails its test")]

use std::path::PathBuf;
use std::process::{Command, Output};

use simpul_wire::update::THIS_PLATFORM;

/// A hub's folder with a CA and two nodes, and another folder where the key is.
struct Desk {
    folder: tempfile::TempDir,
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

impl Desk {
    fn new() -> Desk {
        let desk = Desk { folder: tempfile::tempdir().unwrap() };
        desk.configure("");
        desk.done(&["ca", "init"]);
        std::fs::write(desk.path("villages.csv"), "code,name\n35.12.01.2001,Pategalan\n35.12.01.2002,Semambung\n")
            .unwrap();
        desk.done(&["nodes", "import", "--register", &desk.name("villages.csv")]);
        desk
    }

    fn configure(&self, updates: &str) {
        let listen = "[enrolment]\nlisten = \"127.0.0.1:1\"\naddresses = [\"a:1\"]\nhubs = [\"a:2\"]\n";
        std::fs::write(self.path("hub.toml"), format!("data_directory = \"data\"\n{listen}{updates}")).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn name(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_simpul-hub"));
        command.arg("--config").arg(self.path("hub.toml")).args(arguments).env_remove("SUDO_USER");
        command.output().unwrap()
    }

    fn done(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    fn refused(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(!output.status.success(), "{arguments:?}: {}", text(&output.stdout));
        let said = text(&output.stderr).trim_end().to_owned();
        said.strip_prefix("simpul-hub: ")
            .map_or(said.clone(), str::to_owned)
            .replace(self.folder.path().to_str().unwrap(), "DIR")
    }

    fn sign(&self, version: &str, program: &str) -> Output {
        let key = self.name("stick/update.key");
        let platform = ["--platform", THIS_PLATFORM];
        let mut arguments = vec!["updates", "sign", "--key", &key, "--part", "agent", "--version", version];
        arguments.extend(platform);
        arguments.push(program);
        self.run(&arguments)
    }

    /// A key, its public half in the configuration, and a signed program that was added.
    fn with_program(version: &str) -> Desk {
        let desk = Desk::new();
        let public = desk.done(&["updates", "key", "generate", &desk.name("stick")]);
        desk.configure(&format!("[updates]\nkeys = [\"{}\"]\n", public.trim()));
        let signed = desk.sign(version, "/bin/true");
        assert!(signed.status.success(), "{}", text(&signed.stderr));
        std::fs::write(desk.path("agent.update"), signed.stdout).unwrap();
        desk.done(&["updates", "add", &desk.name("agent.update")]);
        desk
    }
}

const NODE: &str = "35.12.01.2001-01";

#[test]
fn from_a_key_to_a_rollout_and_its_end() {
    let desk = Desk::with_program("0.2.0");
    let list = desk.done(&["updates", "list"]);
    assert!(list.starts_with("program    agent         0.2.0 ") && list.contains(THIS_PLATFORM), "{list}");
    assert_eq!(desk.done(&["updates", "start", "0.2.0", "--nodes", NODE]), "1\n");
    let show = desk.done(&["updates", "show", "1"]);
    assert!(show.contains("ring 1 of 3 (1,10,all)  0 of 1 nodes have it, 0 failed  running"), "{show}");
    assert!(show.contains("soak 3600 s, pause on 3") && show.contains(&format!("{NODE:<20} not known")), "{show}");
    assert!(desk.done(&["updates", "pause", "1"]).contains("paused: by cli:"));
    assert!(desk.done(&["updates", "resume", "1"]).contains("  running"));
    assert!(desk.done(&["updates", "cancel", "1"]).contains("  cancelled"));
    let events = desk.done(&["updates", "events", "1"]);
    let orders: Vec<&str> = events.lines().filter_map(|line| line.split("cli:").nth(1)).collect();
    assert_eq!(orders.len(), 4, "{events}");
    for (order, expected) in
        orders.iter().zip(["cancel ordered", "resume ordered", "pause ordered", "started agent 0.2.0"])
    {
        assert!(order.contains(expected), "{events}");
    }
    assert!(desk.done(&["updates", "events"]).contains("added agent 0.2.0"));
}

#[test]
fn configurations_come_from_one_file_or_from_one_for_each() {
    let desk = Desk::new();
    std::fs::write(desk.path("all.toml"), "node = \"@NODE@\"\n").unwrap();
    let start = |file: &str, nodes: &str| {
        desk.run(&["updates", "start", "--configuration", &desk.name(file), "--nodes", nodes, "--rings", "all"])
    };
    assert!(start("all.toml", NODE).status.success());
    std::fs::create_dir(desk.path("each")).unwrap();
    std::fs::write(desk.path("each/35.12.01.2002-01.toml"), "node = \"35.12.01.2002-01\"\n").unwrap();
    std::fs::write(desk.path("nodes.txt"), "# the second\n35.12.01.2002-01\n").unwrap();
    assert!(start("each", &format!("@{}", desk.name("nodes.txt"))).status.success());
    let contents = std::fs::read_dir(desk.path("data/updates/content")).unwrap();
    let mut texts: Vec<String> =
        contents.map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap()).collect();
    texts.sort();
    assert_eq!(texts, ["node = \"35.12.01.2001-01\"\n", "node = \"35.12.01.2002-01\"\n"]);
}

#[test]
fn each_bad_input_is_refused_with_its_exact_error() {
    let desk = Desk::with_program("0.2.0");
    let cases: &[(&[&str], &str)] = &[
        (
            &["updates", "start", "0.2.1", "--nodes", NODE],
            "there is no agent 0.2.1: `simpul-hub updates add FILE.update` first; `simpul-hub updates list` shows all",
        ),
        (
            &["updates", "start", "0.2.0", "--nodes", "35.12.01.2001-02"],
            "there is no node 35.12.01.2001-02: did you mean 35.12.01.2001-01?",
        ),
        (
            &["updates", "start", "0.2.0", "--nodes", "all"],
            "2 nodes are left out: they have no certificate, or it was revoked.\nsimpul-hub: no node is chosen: `simpul-hub nodes list` shows all",
        ),
        (&["updates", "pause", "7"], "there is no rollout 7: `simpul-hub updates list` shows all"),
        (&["updates", "show", "7"], "there is no rollout 7: `simpul-hub updates list` shows all"),
        (
            &["updates", "add", &desk.name("hub.toml")],
            "DIR/hub.toml: this is no update file: `simpul-hub updates sign` makes one",
        ),
        (
            &["updates", "key", "generate", &desk.name("stick")],
            "DIR/stick/update.key is there already: it is not replaced; name another folder",
        ),
        (
            &[
                "updates",
                "sign",
                "--key",
                &desk.name("hub.toml"),
                "--part",
                "board",
                "--version",
                "0.2.0",
                "--platform",
                "rp2350",
                "/bin/true",
            ],
            "--platform rp2350: rp2040 is allowed for board",
        ),
        (
            &[
                "updates",
                "sign",
                "--key",
                &desk.name("stick/update.key"),
                "--part",
                "board",
                "--version",
                "0.2.0",
                "--platform",
                "rp2040",
                "/bin/true",
            ],
            "/bin/true is not signed: this is no update file of a board: take pico.img of `cargo xtask firmware`",
        ),
    ];
    for (arguments, expected) in cases {
        assert_eq!(&desk.refused(arguments), expected, "{arguments:?}");
    }
    // What the command line's own words are around is told in part.
    let parts: &[(&[&str], &str)] = &[
        (&["updates", "start", "0.2", "--nodes", NODE], "a version is three numbers, as 1.2.3"),
        (&["updates", "start", "0.2.0"], "--nodes <NODES>"),
        (&["updates", "start", "--nodes", NODE], "<VERSION>"),
        (
            &["updates", "start", "0.2.0", "--nodes", NODE, "--rings", "10,1"],
            "at most 8 growing numbers, and `all` at the end",
        ),
        (&["updates", "start", "0.2.0", "--nodes", NODE, "--soak", "1"], "a whole number with s, m, h or d is allowed"),
        (&["updates", "start", "0.2.0", "--nodes", NODE, "--pause-on", "0"], "0 is not in 1..=100000"),
        (&["updates", "start", "0.2.0", "--nodes", NODE, "--configuration", "x.toml"], "cannot be used with"),
    ];
    for (arguments, expected) in parts {
        let said = desk.refused(arguments);
        assert!(said.contains(expected), "{arguments:?}: {said}");
    }
    assert_eq!(desk.done(&["updates", "list"]).lines().count(), 1, "nothing was begun");
}

#[test]
fn a_hub_that_does_not_know_the_key_takes_nothing() {
    let desk = Desk::with_program("0.2.0");
    desk.configure("");
    let update = desk.name("agent.update");
    assert_eq!(
        desk.refused(&["updates", "add", &update]),
        "updates.keys is empty: write the public key there that `simpul-hub updates key generate` printed"
    );
    desk.configure(&format!(
        "[updates]\nkeys = [\"{}\"]\n",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
    ));
    let said = desk.refused(&["updates", "add", &update]);
    assert!(said.contains("which is not among updates.keys"), "{said}");
    desk.configure("[updates]\nkeys = [\"d75a\"]\n");
    let said = desk.refused(&["updates", "list"]);
    assert!(
        said.contains("updates.keys = [\"d75a\"]: a list of at most 4 keys of 64 hexadecimal digits is allowed"),
        "{said}"
    );
}

#[test]
fn keys_and_signing_need_no_hub_and_no_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_simpul-hub"));
    command.args(["--config", "/nowhere/hub.toml", "updates", "key", "generate"]).arg(folder.path().join("stick"));
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(output.stdout.len(), 65, "64 digits and a line's end");
    assert!(text(&output.stderr).contains("updates.keys"));
}
