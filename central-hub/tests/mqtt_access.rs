//! Who gets in and who may use which topic, over the wire; Debian's mosquitto clients as operators; the external
//! broker (Debian's mosquitto) as the hub's other door.
#![allow(clippy::unwrap_used, reason = "a test may end where it fails")]

mod mqtt_support;
use std::io::Write;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mqtt_support::*;
use simpul_hub::mqtt::{ExternalConfig, Incoming, Outgoing, connect_external};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::time::timeout;
use tracing_subscriber::fmt::MakeWriter;

const A: &str = "35.12.07.2003-01";
const B: &str = "35.12.07.2003-010";

#[tokio::test]
async fn node_a_cannot_reach_under_node_b() {
    let (rig, kept) = Rig::start(|_| {}).await;
    let mut b = rig.client(B, "agent", true).await;
    b.send(&subscribe(1, &[(&format!("simpul/v1/{B}/#"), 1)])).await;
    b.expect(&suback(1, &[1])).await;
    let mut a = rig.client(A, "agent", true).await;
    let filters = [
        (format!("simpul/v1/{A}/#"), 1),
        (format!("simpul/v1/{A}/ack"), 1),
        (format!("simpul/v1/{B}/#"), 0x80),
        (format!("simpul/v1/{B}/ack"), 0x80),
        ("simpul/v1/+/ack".to_owned(), 0x80),
        ("simpul/v1/#".to_owned(), 0x80),
        ("#".to_owned(), 0x80),
    ];
    let asked: Vec<(&str, u8)> = filters.iter().map(|(filter, _)| (filter.as_str(), 1)).collect();
    let codes: Vec<u8> = filters.iter().map(|(_, code)| *code).collect();
    a.send(&subscribe(2, &asked)).await;
    a.expect(&suback(2, &codes)).await;
    // Refused publishes are acknowledged, dropped and counted: the client does not send them for ever.
    let refused = [
        format!("simpul/v1/{B}/up/service"),
        format!("simpul/v1/{B}/state"),
        format!("simpul/v1/{A}/ack"),
        format!("simpul/v1/{A}/cmd"),
        "elsewhere".to_owned(),
    ];
    for (index, topic) in refused.iter().enumerate() {
        a.send(&publish(topic, b"forged", 1, index as u16 + 1, 0)).await;
        a.expect(&acknowledgement(0x40, index as u16 + 1)).await;
    }
    a.send(&publish(&refused[0], b"forged", 2, 50, 0)).await;
    a.expect(&acknowledgement(0x50, 50)).await;
    a.send(&acknowledgement(0x62, 50)).await;
    a.expect(&acknowledgement(0x70, 50)).await;
    rig.publish(&format!("simpul/v1/{B}/ack"), "for b", 0, false).await;
    b.expect(&publish(&format!("simpul/v1/{B}/ack"), b"for b", 0, 0, 0)).await;
    a.expect_silence().await;
    b.expect_silence().await;
    assert_eq!(kept.payloads(), Vec::<Vec<u8>>::new());
    assert_eq!(rig.handle.stats().publishes_refused, 6);
}

/// Log lines of this thread.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'w> MakeWriter<'w> for Log {
    type Writer = Log;
    fn make_writer(&'w self) -> Log {
        self.clone()
    }
}

impl Log {
    fn lines(&self, needle: &str) -> Vec<String> {
        let text = String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned();
        text.lines().filter(|line| line.contains(needle)).map(str::to_owned).collect()
    }
}

#[tokio::test]
async fn each_bad_certificate_is_refused_with_one_line_that_says_which() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt().with_writer(log.clone()).with_ansi(false).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let (rig, kept) = Rig::start(|_| {}).await;
    let foreign = Pki::new();
    let revoked = rig.pki.client(A);
    rig.handle.revoke(&revoked.serial);
    let early = rig.pki.issue(A, |params| params.not_before = rcgen::date_time_ymd(2200, 1, 1));
    let table = [
        ("no_certificate", None),
        ("expired_certificate", Some(rig.pki.expired(A))),
        ("certificate_not_yet_valid", Some(early)),
        ("foreign_certificate", Some(foreign.client(A))),
        ("revoked_certificate", Some(revoked)),
        ("unusable_common_name", Some(rig.pki.client("no/such name"))),
    ];
    for (label, credentials) in &table {
        if let Ok(mut raw) = Raw::open(rig.address, &rig.pki.ca_file(), credentials.as_ref()).await {
            // In TLS 1.3 the client learns of the refusal when it reads.
            let _ = tokio::io::AsyncWriteExt::write_all(&mut raw.stream, &connect("x", true, 60)).await;
            assert_eq!(raw.rest().await, b"", "{label}");
        }
        let count = || {
            let refused = rig.handle.stats().refused;
            refused.into_iter().find(|(reason, _)| reason.label() == *label).map(|(_, count)| count)
        };
        eventually("counted", || count() == Some(1)).await;
        let lines = log.lines(label);
        assert_eq!(lines.len(), 1, "{label}: {lines:?}");
        assert!(lines[0].contains("MQTT connection refused") && lines[0].contains("127.0.0.1"), "{lines:?}");
    }
    assert_eq!(log.lines("MQTT connection refused").len(), table.len());
    assert!(kept.all().is_empty());
}

#[tokio::test]
async fn a_revoked_certificate_is_cut_off_at_once_and_its_node_can_come_back_with_another() {
    let (rig, kept) = Rig::start(|_| {}).await;
    let stolen = rig.pki.client(A);
    let mut node = rig.raw_with(Some(&stolen)).await;
    node.send(&connect("agent", false, 60)).await;
    node.expect(&[0x20, 2, 0, 0]).await;
    node.send(&subscribe(1, &[(&format!("simpul/v1/{A}/ack"), 0)])).await;
    node.expect(&suback(1, &[0])).await;
    let mut other = rig.client(B, "agent", false).await;
    // Through TLS (in 1.2 the client knows), not yet through CONNECT.
    let mut waiting = Raw::open_with(rig.address, client_config_tls12(&rig.pki.ca_file(), &stolen)).await.unwrap();
    rig.handle.revoke(&stolen.serial);
    assert_eq!(node.rest().await, b"");
    let why = "its certificate was revoked".to_owned();
    kept.until("intake is told", |seen| seen.contains(&Seen::Disconnected(A.into(), why.clone()))).await;
    waiting.send(&connect("agent", false, 60)).await;
    assert_eq!(waiting.rest().await, [0x20, 2, 0, 5]);
    other.expect_silence().await;
    let mut again = rig.raw(A).await;
    again.send(&connect("agent", false, 60)).await;
    again.expect(&[0x20, 2, 1, 0]).await;
}

fn mosquitto(program: &str, address: std::net::SocketAddr, ca_file: &Path, own: &Credentials) -> Command {
    let mut command = Command::new(program);
    command.args(["-V", "mqttv311", "-h", "localhost", "-p", &address.port().to_string()]);
    command.arg("--cafile").arg(ca_file).arg("--cert").arg(&own.certificate_file).arg("--key").arg(&own.key_file);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

#[tokio::test]
async fn mosquittos_own_clients_work_with_a_certificate() {
    let (rig, kept) = Rig::start(|_| {}).await;
    let (operator, node) = (rig.pki.client("ops.room"), rig.pki.client(A));
    let ca_file = rig.pki.ca_file();
    let mut reader = mosquitto("mosquitto_sub", rig.address, &ca_file, &operator)
        .args(["-t", "simpul/v1/#", "-q", "2", "-v", "-C", "4"])
        .spawn()
        .expect("mosquitto_sub (Debian: mosquitto-clients)");
    eventually("mosquitto_sub is there", || rig.handle.sessions() == 1).await;
    // Its SUBSCRIBE may still be on its way; a retained message waits for it.
    for (qos, topic) in [("0", "state"), ("1", "up/event"), ("2", "up/service"), ("1", "up/reading")] {
        let retain = if topic == "state" { vec!["-r"] } else { Vec::new() };
        let output = mosquitto("mosquitto_pub", rig.address, &ca_file, &node)
            .args(["-i", "tool", "-q", qos, "-m", &format!("quality {qos}"), "-t", &format!("simpul/v1/{A}/{topic}")])
            .args(retain)
            .output()
            .await
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        if topic == "state" {
            let mut lines = BufReader::new(reader.stdout.as_mut().unwrap()).lines();
            let line = timeout(PATIENCE, lines.next_line()).await.unwrap().unwrap().unwrap();
            assert_eq!(line, format!("simpul/v1/{A}/state quality 0"));
        }
    }
    let output = timeout(PATIENCE, reader.wait_with_output()).await.unwrap().unwrap();
    let seen = String::from_utf8_lossy(&output.stdout).into_owned();
    let wanted = ["up/event quality 1", "up/service quality 2", "up/reading quality 1"]
        .map(|rest| format!("simpul/v1/{A}/{rest}\n"))
        .concat();
    assert_eq!(seen, wanted);
    assert_eq!(kept.payloads().len(), 4);
    // An operator only reads.
    let output = mosquitto("mosquitto_pub", rig.address, &ca_file, &operator)
        .args(["-q", "1", "-m", "x", "-t", &format!("simpul/v1/{A}/cmd")])
        .output()
        .await
        .unwrap();
    assert!(output.status.success());
    assert_eq!(rig.handle.stats().publishes_refused, 1);
}

/// Debian's broker with TLS and client certificates, on a free port.
struct Broker {
    child: Child,
    port: u16,
}

impl Broker {
    async fn start(pki: &Pki, port: Option<u16>) -> Broker {
        let port = match port {
            Some(port) => port,
            None => TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port(),
        };
        let folder = pki.folder.path();
        let server = pki.server();
        let config = format!(
            "listener {port} 127.0.0.1\ncafile {}\ncertfile {}\nkeyfile {}\nrequire_certificate true\n\
             use_identity_as_username true\nallow_anonymous true\npersistence true\npersistence_location {}/\n\
             autosave_interval 1\nautosave_on_changes true\nmax_queued_messages 0\nuser root\n",
            pki.ca_file().display(),
            server.certificate_file.display(),
            server.key_file.display(),
            folder.display(),
        );
        let path = folder.join("mosquitto.conf");
        std::fs::write(&path, config).unwrap();
        let program = if Path::new("/usr/sbin/mosquitto").exists() { "/usr/sbin/mosquitto" } else { "mosquitto" };
        let child = Command::new(program)
            .arg("-c")
            .arg(path)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("mosquitto (Debian: mosquitto)");
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            assert!(tokio::time::Instant::now() < deadline, "mosquitto does not listen on {port}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Broker { child, port }
    }
}

#[tokio::test]
async fn behind_an_external_broker_nothing_is_acknowledged_before_its_commit() {
    let pki = Pki::new();
    let mut broker = Broker::start(&pki, None).await;
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], broker.port));
    let (hub, node) = (pki.client("hub-1"), pki.client(A));
    let ca_file = pki.ca_file();
    let config = ExternalConfig {
        url: format!("mqtts://localhost:{}", broker.port),
        ca_file: ca_file.clone(),
        certificate_file: hub.certificate_file,
        key_file: hub.key_file,
        share_group: "simpul".into(),
        client_id: "hub-1".into(),
    };
    let (shutdown, ended) = watch::channel(false);
    let (mut transport, there) = connect_external(config, ended).await.unwrap();
    let send = async |payload: &str| {
        let output = mosquitto("mosquitto_pub", address, &ca_file, &node)
            .args(["-q", "1", "-m", payload, "-t", &format!("simpul/v1/{A}/up/event")])
            .output()
            .await
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    let retained = mosquitto("mosquitto_pub", address, &ca_file, &node)
        .args(["-r", "-q", "1", "-m", "online", "-t", &format!("simpul/v1/{A}/state")])
        .output()
        .await
        .unwrap();
    assert!(retained.status.success());
    let next = async |transport: &mut simpul_hub::mqtt::Transport| match timeout(PATIENCE, transport.incoming.recv())
        .await
        .expect("nothing came")
    {
        Some(Incoming::Publish(publish)) => publish,
        other => panic!("{other:?}"),
    };
    // Retained, or live if the hub was there first: either way it says that the hub is subscribed now.
    let state = next(&mut transport).await;
    assert_eq!((state.node.as_str(), &state.payload[..]), (A, &b"online"[..]));
    state.receipt.done();
    assert!(there.get(), "the broker is there");
    send("first").await;
    send("second").await;
    let first = next(&mut transport).await;
    let second = next(&mut transport).await;
    assert_eq!((&first.payload[..], &second.payload[..]), (&b"first"[..], &b"second"[..]));
    first.receipt.done();
    // Never committed: the hub connects again, and the broker sends what was not acknowledged, and nothing else.
    drop(second.receipt);
    let again = loop {
        let publish = next(&mut transport).await;
        if publish.topic.ends_with("/state") {
            publish.receipt.done();
            continue;
        }
        break publish;
    };
    assert_eq!(&again.payload[..], b"second");
    again.receipt.done();
    // Towards nodes.
    let mut reader = mosquitto("mosquitto_sub", address, &ca_file, &node)
        .args(["-t", &format!("simpul/v1/{A}/ack"), "-C", "1"])
        .spawn()
        .unwrap();
    let message = Outgoing { topic: format!("simpul/v1/{A}/ack"), payload: "ack".into(), qos: 0, retain: false };
    let deadline = tokio::time::Instant::now() + PATIENCE;
    // Quality 0, and nobody says when the reader has subscribed: as the hub does, it is sent again.
    while reader.try_wait().unwrap().is_none() {
        assert!(tokio::time::Instant::now() < deadline, "the reader never got its message");
        assert!(transport.outbox.publish(message.clone()).await);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // A broker that comes back without its sessions: subscribed again, so what is sent then arrives.
    broker.child.kill().await.unwrap();
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while there.get() {
        assert!(tokio::time::Instant::now() < deadline, "the broker is gone and counts as there");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let _ = std::fs::remove_file(pki.folder.path().join("mosquitto.db"));
    let _broker = Broker::start(&pki, Some(broker.port)).await;
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        assert!(tokio::time::Instant::now() < deadline, "deaf after the broker came back");
        send("after").await;
        let came = timeout(Duration::from_millis(500), transport.incoming.recv()).await;
        if let Ok(Some(Incoming::Publish(publish))) = came {
            let after = publish.topic.ends_with("/up/event");
            assert!(!after || publish.payload == "after");
            publish.receipt.done();
            if after {
                break;
            }
        }
    }
    assert!(there.get(), "the broker is there again");
    shutdown.send(true).unwrap();
    while let Some(left) = timeout(PATIENCE, transport.incoming.recv()).await.expect("the client did not end") {
        drop(left);
    }
}
