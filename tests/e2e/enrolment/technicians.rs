//! Technicians' laptops: let in by a token of their own kind for a week, ended in one action with all that is on them.

use std::path::PathBuf;
use std::process::Stdio;

use simpul_testkit::process::{Launch, Process, binary};
use simpul_wire::enrolment::{EnrolRequest, EnrolmentToken, LoginRequest, TechnicianToken};

use super::*;

/// `simpul` on a laptop of its own.
pub struct Laptop {
    pub folder: PathBuf,
}

/// How a command ended, and what it said.
#[derive(Debug)]
pub struct Said {
    pub code: i32,
    pub text: String,
}

impl Laptop {
    pub fn new(district: &Enrolling, name: &str) -> Laptop {
        let folder = district.folder.path().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        Laptop { folder }
    }

    /// One that is logged in.
    pub async fn logged_in(district: &Enrolling, technician: &str, name: &str) -> Laptop {
        let laptop = Laptop::new(district, name);
        let said = laptop.login(&technicians_token(district, technician).await, name).await;
        assert_eq!(said.code, 0, "{said:?}");
        laptop
    }

    pub async fn login(&self, token: &str, name: &str) -> Said {
        let file = self.folder.join("token.txt");
        std::fs::write(&file, token).unwrap();
        self.run(&["login", path(&file), "--laptop", name]).await
    }

    pub async fn run(&self, arguments: &[&str]) -> Said {
        let mut command = tokio::process::Command::new(binary("simpul").unwrap());
        command.args(arguments).args(["--language", "en"]).current_dir(&self.folder);
        command.env("XDG_CONFIG_HOME", &self.folder).stdin(Stdio::null()).kill_on_drop(true);
        let output = tokio::time::timeout(Duration::from_secs(200), command.output()).await.expect("it hangs").unwrap();
        let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        Said { code: output.status.code().unwrap(), text }
    }

    /// Begin a command and let it run.
    pub fn begin(&self, arguments: &[&str]) -> Process {
        let log = self.folder.join("simpul.log");
        let launch =
            Launch::new("simpul", &binary("simpul").unwrap(), &log).environment("XDG_CONFIG_HOME", path(&self.folder));
        let launch = arguments.iter().fold(launch, |launch, argument| launch.argument(*argument));
        launch.argument("--language").argument("en").start().unwrap()
    }

    fn identity(&self) -> PathBuf {
        self.folder.join("simpul/laptop.json")
    }
}

pub async fn technicians_token(district: &Enrolling, technician: &str) -> String {
    district.hub.command(&["technicians", "add", technician]).await.unwrap().trim().to_owned()
}

/// Change the registry behind everybody's back: time passes.
fn registry(district: &Enrolling, change: &str) {
    let database = district.hub.directory().join("data/identity/registry.db");
    let changed = rusqlite::Connection::open(database).unwrap().execute(change, []).unwrap();
    assert!(changed > 0, "{change}");
}

/// POST to the enrolment listener without any certificate; what a refusal says.
async fn post(district: &Enrolling, request_path: &str, body: Vec<u8>) -> String {
    let token: EnrolmentToken = district.token(NODE).await.parse().unwrap();
    let client = reqwest::Client::builder().tls_danger_accept_invalid_certs(true).build().unwrap();
    let url = format!("https://{}{request_path}", token.addresses[0]);
    let answer = client.post(url).body(body).send().await.unwrap();
    assert!(!answer.status().is_success());
    simpul_wire::enrolment::Refusal::from_slice(&answer.bytes().await.unwrap()).unwrap().to_string()
}

#[tokio::test]
async fn a_technicians_token_is_good_once_for_one_laptop_and_for_a_week() {
    use std::os::unix::fs::PermissionsExt;
    let district = Enrolling::start(LIFE_SECONDS).await;
    let token = technicians_token(&district, "budi").await;
    let laptop = Laptop::new(&district, "thinkpad");
    let said = laptop.run(&["doctor", NODE]).await;
    assert!(said.code == 3 && said.text.contains("This laptop is not logged in"), "{said:?}");
    let said = laptop.login(&token[..80], "thinkpad").await;
    assert!(said.code == 6 && said.text.contains("cut short"), "{said:?}");
    let said = laptop.login(&token, "thinkpad").await;
    assert!(said.code == 0 && said.text.contains("logged in as budi/thinkpad, until 20"), "{said:?}");
    assert_eq!(std::fs::metadata(laptop.identity()).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!laptop.folder.join("simpul/login.json").exists(), "the pending key is done with");

    let thief = Laptop::new(&district, "thief");
    let said = thief.login(&token, "thief").await;
    assert!(said.code == 6 && said.text.contains("has been used by another laptop"), "{said:?}");
    let older = technicians_token(&district, "budi").await;
    let newer = technicians_token(&district, "budi").await;
    let said = thief.login(&older, "thief").await;
    assert!(said.code == 6 && said.text.contains("withdrawn, as a newer one was made"), "{said:?}");
    registry(&district, "UPDATE login_token SET expires_ms = 1 WHERE withdrawn_ms IS NULL AND used_ms IS NULL");
    let said = thief.login(&newer, "thief").await;
    assert!(said.code == 6 && said.text.contains("This token has expired"), "{said:?}");
    assert!(!thief.identity().exists());

    // The week is over.
    registry(&district, "UPDATE laptop SET to_s = 1");
    let said = laptop.run(&["doctor", NODE]).await;
    assert!(said.code == 3 && said.text.contains("This laptop's week is over"), "{said:?}");
    let listed = district.hub.command(&["technicians", "list"]).await.unwrap();
    assert!(listed.contains("budi/thinkpad") && listed.contains("EXPIRED"), "{listed}");
    let log = std::fs::read_to_string(district.hub.directory().join("hub.log")).unwrap();
    for secret in [&token, &older, &newer] {
        assert!(!log.contains(&secret[20..60]), "a token stands in the log");
    }
    std::fs::set_permissions(laptop.identity(), std::fs::Permissions::from_mode(0o644)).unwrap();
    let said = laptop.run(&["doctor", NODE]).await;
    assert!(said.code == 3 && said.text.contains("can be read by others"), "{said:?}");
}

#[tokio::test]
async fn a_nodes_token_is_no_technicians_and_the_other_way_round_nor_do_their_secrets_pass() {
    let district = Enrolling::start(LIFE_SECONDS).await;
    let (nodes, technicians) = (district.token(NODE).await, technicians_token(&district, "budi").await);
    let laptop = Laptop::new(&district, "thinkpad");
    let said = laptop.login(&nodes, "thinkpad").await;
    assert!(said.code == 6 && said.text.contains("This is a node's token"), "{said:?}");
    let node = district.bare(NODE);
    node.give_token(&technicians).unwrap();
    let said = node.command(&["enrol"]).await.unwrap_err().to_string();
    assert!(said.contains("this is a technician's token, for `simpul login`"), "{said}");

    // Past the text forms: the bare secret, sent to the other's door.
    let technicians: TechnicianToken = technicians.parse().unwrap();
    let key = rcgen_request();
    let request = EnrolRequest { node: NODE.parse().unwrap(), secret: technicians.secret, request: key.clone().into() };
    let said = post(&district, "/v1/enrol", request.to_vec()).await;
    assert!(said.contains("does not know this enrolment token"), "{said}");
    let secret = district.token(NODE).await.parse::<EnrolmentToken>().unwrap().secret;
    let request = LoginRequest { laptop: "budi/thinkpad".parse().unwrap(), secret, request: key.into() };
    let said = post(&district, "/v1/technician/login", request.to_vec()).await;
    assert!(said.contains("does not know this technician's token"), "{said}");
    let said = post(&district, "/v1/technician/nodes/x/token", Vec::new()).await;
    assert!(said.contains("no certificate was shown"), "{said}");
    // And a technician's token is that technician's alone.
    let secret = technicians_token(&district, "sri").await.parse::<TechnicianToken>().unwrap().secret;
    let request = LoginRequest { laptop: "budi/thinkpad".parse().unwrap(), secret, request: rcgen_request().into() };
    let said = post(&district, "/v1/technician/login", request.to_vec()).await;
    assert!(said.contains("the token of another technician (sri)"), "{said}");
}

fn rcgen_request() -> Vec<u8> {
    let key = rcgen::KeyPair::generate().unwrap();
    rcgen::CertificateParams::default().serialize_request(&key).unwrap().der().to_vec()
}

#[tokio::test]
async fn a_hub_of_another_district_gets_neither_the_secret_nor_the_trust_of_a_laptop() {
    let (ours, theirs) = (Enrolling::start(LIFE_SECONDS).await, Enrolling::start(LIFE_SECONDS).await);
    let mut token: TechnicianToken = technicians_token(&ours, "budi").await.parse().unwrap();
    let foreign: TechnicianToken = technicians_token(&theirs, "budi").await.parse().unwrap();
    token.addresses.clone_from(&foreign.addresses);
    let laptop = Laptop::new(&ours, "thinkpad");
    let said = laptop.login(&token.to_string(), "thinkpad").await;
    assert!(said.code == 6 && said.text.contains("not the hub of the district that made this token"), "{said:?}");
    assert!(!laptop.identity().exists());
    assert!(!theirs.hub.command(&["nodes", "events"]).await.unwrap().contains("budi"), "the secret was not sent");
}

#[tokio::test]
async fn a_laptop_ends_in_one_action_with_its_tokens_its_bundles_and_its_open_connection() {
    let mut district = Enrolling::start(LIFE_SECONDS).await;
    let laptop = Laptop::logged_in(&district, "budi", "thinkpad").await;
    let other = Laptop::logged_in(&district, "sri", "toughbook").await;
    // A token that it asked for, one of the console's, and a bundle.
    let asked = laptop.run(&["bundle", "token", NODE, "--to", "node.token"]).await;
    assert_eq!(asked.code, 0, "{asked:?}");
    let token = std::fs::read_to_string(laptop.folder.join("node.token")).unwrap();
    let second = "35.12.01.2002-01";
    let bundle = laptop.folder.join("identity.cbor");
    let made = laptop.run(&["bundle", "ahead", second, "--to", path(&bundle)]).await;
    assert_eq!(made.code, 0, "{made:?}");
    let listed = district.hub.command(&["technicians", "list"]).await.unwrap();
    assert!(listed.contains("unused: tokens 1, bundles 1"), "{listed}");
    let listed = district.hub.command(&["nodes", "list"]).await.unwrap();
    assert!(listed.contains("unused bundle on budi/thinkpad"), "{listed}");

    let mut watching = laptop.begin(&["watch", NODE]);
    watching.wait_for_line("Waiting for the first hello", SOON).await.unwrap();
    let mut others = other.begin(&["watch", NODE]);
    others.wait_for_line("Waiting for the first hello", SOON).await.unwrap();
    let said = district.hub.command(&["technicians", "revoke", "thinkpad"]).await.unwrap();
    for part in [
        "budi/thinkpad: 1 certificates revoked",
        &format!("token withdrawn: {NODE}"),
        &format!("bundle revoked: {second}"),
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let hub = district.hub.process().unwrap();
    hub.wait_for_line("a connection was closed: its certificate was revoked", SOON).await.unwrap();
    let ended = watching.wait_for_end(SOON).await.unwrap();
    assert_eq!(ended.code(), Some(6), "{}", watching.log_text());
    assert!(watching.log_text().contains("The hub has revoked it"), "{}", watching.log_text());
    assert!(others.poll_ended().is_none(), "another's laptop stays: {}", others.log_text());
    let said = laptop.run(&["doctor", NODE]).await;
    assert!(said.code == 3 && said.text.contains("The hub has revoked it"), "{said:?}");

    let node = district.bare(NODE);
    node.give_token(&token).unwrap();
    let said = node.command(&["enrol"]).await.unwrap_err().to_string();
    assert!(said.contains("the laptop budi/thinkpad that asked for this enrolment token was revoked"), "{said}");
    let mut bundled = district.bare(second);
    install(&bundled, &bundle);
    bundled.launch().unwrap();
    bundled.process().unwrap().wait_for_line("lay on the laptop budi/thinkpad, which was revoked", SOON).await.unwrap();
    assert!(!is_up(&bundled).await);
    let events = district.hub.command(&["technicians", "events"]).await.unwrap();
    for what in ["login", "token", "bundle", "revoked"] {
        assert!(events.lines().any(|line| line.contains("budi/thinkpad") && line.contains(what)), "{what}: {events}");
    }
    let said = district.hub.command(&["technicians", "revoke", "thinkpat"]).await.unwrap_err().to_string();
    assert!(said.contains("there is no laptop thinkpat"), "{said}");
    // Another technician may have a laptop of the same name: then it has to be said whose.
    Laptop::logged_in(&district, "sri", "thinkpad").await;
    let said = district.hub.command(&["technicians", "revoke", "thinkpad"]).await.unwrap_err().to_string();
    assert!(said.contains("several laptops: say which: budi/thinkpad, sri/thinkpad"), "{said}");
}

/// Put an identity where the agent keeps its own.
pub fn install(node: &Node, identity: &Path) {
    let folder = node.directory().join("identity");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::copy(identity, folder.join("identity.cbor")).unwrap();
}

#[tokio::test]
async fn a_node_installed_without_an_uplink_takes_a_key_of_its_own_at_first_contact() {
    let mut district = Enrolling::start(LIFE_SECONDS).await;
    Laptop::logged_in(&district, "budi", "thinkpad").await;
    let bundle = district.folder.path().join("made-ahead.cbor");
    let make = ["nodes", "bundle", NODE, "--laptop", "budi/thinkpad", "--to", path(&bundle)];
    district.hub.command(&make).await.unwrap();
    assert!(district.hub.command(&make).await.unwrap_err().to_string().contains("there is such a file already"));
    // No uplink on the day: it starts and takes records all the same.
    district.hub.stop().await.unwrap();
    let mut node = district.bare(NODE);
    install(&node, &bundle);
    node.start().await.unwrap();
    let before = std::fs::read(&bundle).unwrap();
    district.hub.start().await.unwrap();
    node.process().unwrap().wait_for_line("this node's certificate was renewed", SOON).await.unwrap();
    wait::until("a session with a certificate of its own", SOON, || async {
        let own = std::fs::read(node.directory().join("identity/identity.cbor")).ok()? != before;
        (own && is_up(&node).await).then_some(())
    })
    .await
    .unwrap();
    record_arrives(&district.hub, &node, "first").await;
    let listed = district.hub.command(&["nodes", "list"]).await.unwrap();
    assert!(listed.lines().any(|line| line.starts_with(NODE) && line.contains("certificate to")), "{listed}");

    // The copy that stayed on the laptop is worth nothing: neither to connect nor to renew.
    let mut thief = Node::prepare_bare(&district.folder.path().join("thief"), NODE).unwrap();
    install(&thief, &bundle);
    thief.launch().unwrap();
    thief.process().unwrap().wait_for_line("bundle has been used already, with another key", SOON).await.unwrap();
    // The session by the bundle's certificate may have been closed only now.
    connected(&node).await;
    assert!(!is_up(&thief).await);
    let said = district.hub.command(&["technicians", "revoke", "budi/thinkpad"]).await.unwrap();
    assert!(said.contains("bundle USED on") && said.contains(NODE), "{said}");
    // The node's own certificate is not the laptop's.
    connected(&node).await;
}

#[tokio::test]
async fn a_node_that_is_added_while_the_hub_runs_is_in_the_room_with_its_village() {
    let district = Enrolling::start(LIFE_SECONDS).await;
    let id = district.hub.command(&["nodes", "add", "35.12.01.2002", "--name", "Pasar"]).await.unwrap();
    let node = wait::until("the node in the room", SOON, || async { district.hub.node(id.trim()).await.ok()? });
    let node = node.await.unwrap();
    assert_eq!((&node["name"], &node["village_name"]), (&"Pasar".into(), &"Semambung".into()), "{node:#}");
    assert_eq!(node["liveness"], "never");
}
