//! HTTP Digest against a peer of our own (nonces, stale, qop, lock-out), against Apache's mod_auth_digest, and ONVIF.
#![allow(clippy::unwrap_used, reason = "tests")]

mod fake;

use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use digest_auth::{AuthContext, AuthorizationHeader, HttpMethod};
use fake::camera::{Request, Server, Task, answer, config, photographs, picture, scene, with_login};
use simpul_agent::config::CameraAddress;
use simpul_wire::event::CameraCondition::{Good, Unauthorized};

const PASSWORD: &str = "rahasia \"7\"";

fn refuse(challenges: &[String]) -> Vec<u8> {
    let headers: Vec<String> = challenges.iter().map(|value| format!("WWW-Authenticate: {value}")).collect();
    answer("401 Unauthorized", &headers.iter().map(String::as_str).collect::<Vec<_>>(), b"<html>no</html>")
}

/// Whether a request's answer to a challenge is right for our password.
fn is_right(request: &Request, nonce: &str) -> bool {
    let Some(Ok(given)) = request.authorization.as_deref().map(AuthorizationHeader::parse) else { return false };
    let method = HttpMethod::from(request.method.as_str());
    let body = Some(request.body.as_bytes());
    let mut context = AuthContext::new_with_method("viewer", PASSWORD, request.uri.as_str(), body, method);
    if let Some(cnonce) = &given.cnonce {
        context.set_custom_cnonce(cnonce.clone());
    }
    let mut expected = given.clone();
    expected.digest(&context);
    given.nonce == nonce && given.uri == request.uri && given.response == expected.response
}

#[tokio::test]
async fn every_kind_of_challenge_is_answered_and_the_nonce_used_again() {
    for challenge in [
        "Digest realm=\"cam\", nonce=\"n1\"",
        "Digest realm=\"cam\", nonce=\"n1\", algorithm=MD5, qop=\"auth\"",
        "Digest realm=\"cam\", nonce=\"n1\", algorithm=MD5-sess, qop=\"auth\", opaque=\"o\"",
        "Digest realm=\"a \\\"b\\\", c\", nonce=\"n1\", algorithm=SHA-256, qop=\"auth\"",
        "Digest realm=\"cam\", nonce=\"n1\", qop=\"auth,auth-int\"",
        "Digest realm=\"cam\", nonce=\"n1\", qop=\"auth-int\"",
        "digest realm=\"cam\",nonce=\"n1\",stale=false,algorithm=\"MD5\",qop=\"auth\"",
        "Basic realm=\"cam\", Digest realm=\"cam\", nonce=\"n1\", qop=\"auth\"",
    ] {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start(move |request| match is_right(request, "n1") {
            true => picture(&scene(160, 120, 1, 0)),
            false => refuse(&[challenge.to_owned()]),
        })
        .await;
        let config = config(&server.url("/cgi-bin/snapshot.cgi?channel=1&a=%20"), folder.path());
        let task = Task::start(with_login(config, folder.path(), "viewer", PASSWORD));
        for _ in 0..3 {
            task.snapshot().await.unwrap_or_else(|error| panic!("{challenge}: {error}"));
        }
        let requests = server.requests();
        assert_eq!(requests.len(), 4, "{challenge}: one challenge, three answers");
        assert!(requests[0].authorization.is_none());
        for (index, request) in requests.iter().enumerate().skip(1) {
            let given = request.authorization.as_deref().unwrap();
            assert!(!given.contains("rahasia") && given.starts_with("Digest "));
            if challenge.contains("qop") {
                assert!(given.contains(&format!("nc={index:08x}")), "{given}");
            }
        }
    }
}

#[tokio::test]
async fn a_stale_nonce_is_renewed_at_once_and_is_no_refusal() {
    let folder = tempfile::tempdir().unwrap();
    let answered = AtomicUsize::new(0);
    let server = Server::start(move |request| {
        // Each nonce is good for two answers.
        let nonce = format!("n{}", answered.load(Ordering::SeqCst) / 2);
        if is_right(request, &nonce) {
            let noise = answered.fetch_add(1, Ordering::SeqCst);
            return picture(&scene(160, 120, 1, noise as u8));
        }
        let stale = if request.authorization.is_some() { ", stale=TRUE" } else { "" };
        refuse(&[format!("Digest realm=\"cam\", nonce=\"{nonce}\", qop=\"auth\"{stale}")])
    })
    .await;
    let config = config(&server.url("/"), folder.path());
    let task = Task::start(with_login(config, folder.path(), "viewer", PASSWORD));
    for _ in 0..6 {
        task.snapshot().await.unwrap();
    }
    assert_eq!(task.conditions(), [(Good, String::new())]);
}

#[tokio::test]
async fn a_wrong_password_is_tried_three_times_and_then_not_for_35_minutes() {
    let folder = tempfile::tempdir().unwrap();
    let server =
        Server::start(|_| refuse(&["Digest realm=\"cam\", nonce=\"n\", algorithm=MD5, qop=\"auth\"".into()])).await;
    let config = config(&server.url("/"), folder.path());
    let task = Task::start(with_login(config, folder.path(), "viewer", "wrong"));
    let tries = || server.requests().iter().filter(|request| request.authorization.is_some()).count();
    for _ in 0..2 {
        assert_eq!(task.snapshot().await, Err("HTTP 401 Unauthorized: user or password refused".into()));
    }
    assert!(task.conditions().is_empty(), "a camera out of connections says 401 too: no alarm yet");
    task.snapshot().await.unwrap_err();
    let detail =
        "HTTP 401 Unauthorized: user or password refused; not asked for 35 min, so that it does not lock us out";
    assert_eq!(task.conditions(), [(Unauthorized, detail.to_owned())]);
    for minute in 0..35 {
        let refused = task.snapshot().await.unwrap_err();
        assert!(refused.contains("not asked for"), "minute {minute}: {refused}");
        assert_eq!(tries(), 3, "minute {minute}");
        task.clock.advance(Duration::from_secs(60));
    }
    // The pause has up to 30 s of jitter on top.
    task.clock.advance(Duration::from_secs(31));
    assert_eq!(task.snapshot().await, Err("HTTP 401 Unauthorized: user or password refused".into()));
    assert_eq!(tries(), 4);
}

#[tokio::test]
async fn a_camera_that_offers_only_basic_gets_no_password() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(|_| refuse(&["Basic realm=\"cam\"".into()])).await;
    let config = config(&server.url("/"), folder.path());
    let task = Task::start(with_login(config, folder.path(), "viewer", PASSWORD));
    let refused = task.snapshot().await.unwrap_err();
    assert_eq!(refused, "offers only Basic, which sends the password in clear text; switch the camera to Digest");
    assert_eq!(task.conditions()[0].0, Unauthorized);
    assert!(task.snapshot().await.unwrap_err().contains("not asked for "));
    let requests = server.requests();
    assert!(requests.len() == 1 && requests[0].authorization.is_none(), "{requests:?}");
}

#[tokio::test]
async fn a_camera_that_wants_a_password_where_none_is_configured_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(|_| refuse(&["Digest realm=\"cam\", nonce=\"n\"".into()])).await;
    let task = Task::start(config(&server.url("/"), folder.path()));
    assert_eq!(task.snapshot().await.unwrap_err(), "HTTP 401 Unauthorized, and no username is configured");
    assert_eq!(task.conditions()[0].0, Unauthorized);
}

#[tokio::test]
async fn one_401_between_pictures_is_waited_out() {
    let folder = tempfile::tempdir().unwrap();
    let count = AtomicUsize::new(0);
    let server = Server::start(move |request| {
        let busy = count.fetch_add(1, Ordering::SeqCst) == 2;
        match is_right(request, "n") && !busy {
            true => picture(&scene(160, 120, 1, 0)),
            false => refuse(&["Digest realm=\"cam\", nonce=\"n\", qop=\"auth\"".into()]),
        }
    })
    .await;
    let config = config(&server.url("/"), folder.path());
    let task = Task::start(with_login(config, folder.path(), "viewer", PASSWORD));
    for _ in 0..3 {
        task.snapshot().await.unwrap();
    }
    assert_eq!(task.conditions(), [(Good, String::new())]);
}

/// Apache with mod_auth_digest on a port of its own, serving a folder under one user.
struct Apache {
    process: Child,
    address: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Apache {
    fn start(pictures: &[(&str, &[u8])]) -> Apache {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        // Apache's workers run as another user when the test runs as root.
        std::fs::set_permissions(root, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        std::fs::create_dir(root.join("pictures")).unwrap();
        for (name, jpeg) in pictures {
            std::fs::write(root.join("pictures").join(name), jpeg).unwrap();
        }
        let hash = {
            let algorithm = digest_auth::Algorithm::new(digest_auth::AlgorithmType::MD5, false);
            algorithm.hash_str("viewer:balai desa:rahasia")
        };
        std::fs::write(root.join("users"), format!("viewer:balai desa:{hash}\n")).unwrap();
        let modules = Path::new("/usr/lib/apache2/modules");
        let loads: String =
            ["mpm_event", "authn_core", "authn_file", "authz_core", "authz_user", "auth_digest", "unixd"]
                .iter()
                .filter(|module| modules.join(format!("mod_{module}.so")).exists())
                .map(|module| format!("LoadModule {module}_module {}/mod_{module}.so\n", modules.display()))
                .collect();
        // A free port: bound, remembered, given up. If someone takes it in between, Apache fails and the next is tried.
        for _ in 0..5 {
            let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
            let dir = root.display();
            let text = format!(
                "{loads}ServerRoot {dir}\nServerName localhost\nListen {address}\nPidFile {dir}/pid\nErrorLog {dir}/log\n\
                 DefaultRuntimeDir {dir}\nMutex file:{dir}\nDocumentRoot {dir}/pictures\nStartServers 1\n\
                 <Location />\nAuthType Digest\nAuthName \"balai desa\"\nAuthDigestProvider file\n\
                 AuthUserFile {dir}/users\nAuthDigestNonceLifetime 2\nRequire valid-user\n</Location>\n"
            );
            let mut file = std::fs::File::create(root.join("apache.conf")).unwrap();
            file.write_all(text.as_bytes()).unwrap();
            let mut process = Command::new("/usr/sbin/apache2")
                .arg("-DFOREGROUND")
                .arg("-f")
                .arg(root.join("apache.conf"))
                .spawn()
                .expect("Apache must be installed: apt-get install apache2");
            let deadline = std::time::Duration::from_secs(15);
            #[expect(clippy::disallowed_methods, reason = "waiting for another process")]
            let begin = std::time::Instant::now();
            while begin.elapsed() < deadline {
                if std::net::TcpStream::connect(address).is_ok() {
                    return Apache { process, address, _folder: folder };
                }
                if process.try_wait().unwrap().is_some() {
                    break;
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            let _ = process.kill();
            let _ = process.wait();
        }
        let log = std::fs::read_to_string(root.join("log")).unwrap_or_default();
        panic!("Apache did not start: {log}");
    }
}

impl Drop for Apache {
    fn drop(&mut self) {
        // SIGTERM lets Apache's parent stop its workers; a SIGKILL would leave them.
        let id = self.process.id().to_string();
        let _ = Command::new("kill").arg(id).status();
        let _ = self.process.wait();
    }
}

#[tokio::test]
async fn photographs_come_from_apaches_mod_auth_digest_also_past_its_nonce_lifetime() {
    let [china, flower] = photographs();
    let apache = Apache::start(&[("china.jpg", &china), ("flower.jpg", &flower)]);
    for (name, photograph) in [("china.jpg", &china), ("flower.jpg", &flower)] {
        let folder = tempfile::tempdir().unwrap();
        let config = config(&format!("http://{}/{name}", apache.address), folder.path());
        let task = Task::start(with_login(config, folder.path(), "viewer", "rahasia"));
        task.snapshot().await.unwrap();
        // Longer than the nonce's lifetime of 2 s: Apache says stale, and the answer to that is right.
        tokio::time::sleep(Duration::from_millis(3_100)).await;
        task.snapshot().await.unwrap();
        assert_eq!(task.conditions(), [(Good, String::new())]);
        for (meta, stored) in task.images() {
            assert_eq!((meta.width, meta.height), (640, 427));
            assert_eq!(fake::camera::luma(&stored), fake::camera::luma(photograph), "pixel by pixel");
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let config = config(&format!("http://{}/china.jpg", apache.address), folder.path());
    let task = Task::start(with_login(config, folder.path(), "viewer", "salah"));
    assert_eq!(task.snapshot().await, Err("HTTP 401 Unauthorized: user or password refused".into()));
}

/// An ONVIF camera whose clock stands in 2010 and that believes in an address of its own.
async fn onvif(right_password: bool) -> (Server, Task, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let soap = |body: &str| {
        let xml = format!("<?xml version=\"1.0\"?><e:Envelope xmlns:e=\"e\"><e:Body>{body}</e:Body></e:Envelope>");
        answer("200 OK", &["Content-Type: application/soap+xml"], xml.as_bytes())
    };
    let server = Server::start(move |request| {
        let dated =
            request.body.contains("2010-09-16T07:50:45Z</u:Created>") && request.body.contains("PasswordDigest");
        let fault = "<e:Fault><e:Code><e:Subcode><e:Value>ter:NotAuthorized</e:Value></e:Subcode></e:Code>\
                     <e:Reason><e:Text>Sender not Authorized</e:Text></e:Reason></e:Fault>";
        match request.uri.as_str() {
            "/snap?channel=1&q=2" => picture(&scene(160, 120, 1, 0)),
            _ if request.body.contains("GetSystemDateAndTime") => soap(
                "<t:UTCDateTime><t:Time><t:Hour>7</t:Hour><t:Minute>50</t:Minute><t:Second>45</t:Second></t:Time>\
                 <t:Date><t:Year>2010</t:Year><t:Month>9</t:Month><t:Day>16</t:Day></t:Date></t:UTCDateTime>",
            ),
            _ if !dated || !right_password => answer("400 Bad Request", &[], fault.as_bytes()),
            "/onvif/device" => soap("<t:Media><t:XAddr>http://10.9.9.9:99999/onvif/media</t:XAddr></t:Media>"),
            "/onvif/media" if request.body.contains("GetProfiles") => soap("<Profiles token=\"P1\"/>"),
            "/onvif/media" if request.body.contains("<trt:ProfileToken>P1<") => {
                soap("<MediaUri><t:Uri>http://10.9.9.9:99999/snap?channel=1&amp;q=2</t:Uri></MediaUri>")
            }
            _ => answer("500 Internal Server Error", &[], b""),
        }
    })
    .await;
    let mut config = config("http://127.0.0.1/", folder.path());
    config.address = CameraAddress::Onvif { device: server.url("/onvif/device"), profile: None };
    let task = Task::start(with_login(config, folder.path(), "viewer", PASSWORD));
    (server, task, folder)
}

#[tokio::test]
async fn an_onvif_camera_is_asked_for_its_snapshot_at_the_configured_host() {
    let (server, task, _folder) = onvif(true).await;
    for _ in 0..2 {
        task.snapshot().await.unwrap();
    }
    let requests = server.requests();
    let asked: Vec<&str> = requests.iter().map(|request| request.uri.as_str()).collect();
    let snap = "/snap?channel=1&q=2";
    assert_eq!(asked, ["/onvif/device", "/onvif/device", "/onvif/media", "/onvif/media", snap, snap]);
    assert!(requests.iter().all(|request| !request.body.contains("rahasia")));
}

#[tokio::test]
async fn an_onvif_camera_that_refuses_counts_towards_the_lock_out() {
    let (_server, task, _folder) = onvif(false).await;
    for _ in 0..3 {
        assert_eq!(task.snapshot().await, Err("ONVIF: user or password refused".into()));
    }
    assert_eq!(task.conditions()[0].0, Unauthorized);
    assert!(task.snapshot().await.unwrap_err().contains("not asked for "));
}
