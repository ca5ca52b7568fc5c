//! A synthetic camera: moving, time-stamped JPEGs over HTTP Digest (MD5, qop=auth), and every way in which cameras
//! fail, on request.
//!
//! Its Digest is computed here from RFC 7616, not by the agent's library: a peer, not a mirror.

use std::sync::{Arc, Mutex, PoisonError};

use md5::Md5;
use sha2::Sha256;
use simpul_clock::Clock;

use crate::http::{Request, Response, Server};
use crate::scene::{self, Scene};

/// The realm that a login is for.
const REALM: &str = "camera";
/// Hashes of served pictures that are kept: an hour at one a second.
const SERVED_MAX: usize = 3_600;

/// How it behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behaviour {
    /// A new picture on each request.
    Moving,
    /// The same bytes again and again.
    Frozen,
    /// Black pictures.
    Black,
    /// 401, whatever the password.
    Unauthorized,
    /// Announces the whole picture, sends all but the last 100 bytes, closes.
    CutShort,
    /// An HTML page with status 200, as cameras answer that do not know an address.
    Page,
}

#[derive(Debug)]
struct Inner {
    scene: Scene,
    username: String,
    password: String,
    clock: Clock,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    behaviour: Behaviour,
    frozen: Option<Vec<u8>>,
    nonces: u64,
    requests: u64,
    served: Vec<String>,
}

/// A camera that stops when dropped.
#[derive(Debug)]
pub struct Camera {
    inner: Arc<Inner>,
    server: Server,
}

impl Camera {
    /// Serve `scene` to whoever knows `username` and `password`.
    pub async fn start(scene: Scene, username: &str, password: &str) -> anyhow::Result<Self> {
        let inner = Arc::new(Inner {
            scene,
            username: username.to_owned(),
            password: password.to_owned(),
            clock: Clock::machine(),
            state: Mutex::new(State {
                behaviour: Behaviour::Moving,
                frozen: None,
                nonces: 0,
                requests: 0,
                served: Vec::new(),
            }),
        });
        let shared = Arc::clone(&inner);
        let server = Server::start(move |request| shared.answer(request)).await?;
        Ok(Camera { inner, server })
    }

    /// Where its snapshots are.
    pub fn url(&self) -> String {
        format!("http://{}/snapshot.jpg", self.server.address())
    }

    /// From now on.
    pub fn behave(&self, behaviour: Behaviour) {
        let mut state = self.inner.lock();
        state.behaviour = behaviour;
        state.frozen = None;
    }

    /// Requests so far, with and without a login.
    pub fn requests(&self) -> u64 {
        self.inner.lock().requests
    }

    /// SHA-256 (hexadecimal) of the pictures that were served whole, oldest first.
    pub fn served(&self) -> Vec<String> {
        self.inner.lock().served.clone()
    }
}

impl Inner {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, request: &Request) -> Response {
        let mut state = self.lock();
        state.requests += 1;
        if state.behaviour == Behaviour::Unauthorized || !self.admits(request) {
            state.nonces += 1;
            let nonce = hex_digest(&format!("nonce {} of {}", state.nonces, self.scene.title));
            let challenge =
                format!("Digest realm=\"{REALM}\", qop=\"auth\", algorithm=MD5, nonce=\"{nonce}\", opaque=\"c1\"");
            return Response::new(401, "text/plain", b"login".to_vec()).header("WWW-Authenticate", challenge);
        }
        if state.behaviour == Behaviour::Page {
            return Response::new(200, "text/html", b"<html><body>Login</body></html>".to_vec());
        }
        let now_ms = self.clock.wall_ms();
        let picture = match state.behaviour {
            Behaviour::Black => scene::black(&self.scene),
            Behaviour::Frozen => match &state.frozen {
                Some(jpeg) => Ok(jpeg.clone()),
                None => scene::draw(&self.scene, now_ms),
            },
            _ => scene::draw(&self.scene, now_ms),
        };
        let jpeg = match picture {
            Ok(jpeg) => jpeg,
            Err(error) => return Response::new(500, "text/plain", error.to_string().into_bytes()),
        };
        if state.behaviour == Behaviour::CutShort {
            let cut_at = Some(jpeg.len().saturating_sub(100));
            return Response { cut_at, ..Response::new(200, "image/jpeg", jpeg) };
        }
        if state.behaviour == Behaviour::Frozen {
            state.frozen = Some(jpeg.clone());
        }
        if state.served.len() >= SERVED_MAX {
            state.served.remove(0);
        }
        state.served.push(hex::encode(<Sha256 as sha2::Digest>::digest(&jpeg)));
        Response::new(200, "image/jpeg", jpeg)
    }

    /// RFC 7616, section 3.4.1 with qop=auth.
    fn admits(&self, request: &Request) -> bool {
        let Some(credentials) = request.header("authorization").and_then(|value| value.strip_prefix("Digest ")) else {
            return false;
        };
        let field = |name: &str| directive(credentials, name).unwrap_or_default();
        let user = hex_digest(&format!("{}:{REALM}:{}", self.username, self.password));
        let action = hex_digest(&format!("{}:{}", request.method, request.path));
        let expected = hex_digest(&format!(
            "{user}:{}:{}:{}:{}:{action}",
            field("nonce"),
            field("nc"),
            field("cnonce"),
            field("qop")
        ));
        field("username") == self.username && field("uri") == request.path && field("response") == expected
    }
}

fn hex_digest(text: &str) -> String {
    hex::encode(<Md5 as md5::Digest>::digest(text.as_bytes()))
}

/// The value of `name` in a list of `name=value` and `name="value"`.
fn directive(list: &str, name: &str) -> Option<String> {
    list.split(',').find_map(|item| {
        let (key, value) = item.trim().split_once('=')?;
        (key == name).then(|| value.trim_matches('"').to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(authorization: Option<String>) -> Request {
        let headers = authorization.map(|value| ("authorization".to_owned(), value)).into_iter().collect();
        Request { method: "GET".to_owned(), path: "/snapshot.jpg".to_owned(), headers, body: Vec::new() }
    }

    fn login(password: &str) -> Request {
        let user = hex_digest(&format!("viewer:camera:{password}"));
        let action = hex_digest("GET:/snapshot.jpg");
        let response = hex_digest(&format!("{user}:n1:00000001:c1:auth:{action}"));
        request(Some(format!(
            "Digest username=\"viewer\", realm=\"camera\", nonce=\"n1\", uri=\"/snapshot.jpg\", nc=00000001, \
             cnonce=\"c1\", qop=auth, response=\"{response}\""
        )))
    }

    async fn camera() -> Camera {
        let scene = Scene { width: 320, height: 180, title: "TEST".to_owned(), seed: 1 };
        Camera::start(scene, "viewer", "right").await.unwrap()
    }

    #[tokio::test]
    async fn only_the_right_password_sees_a_picture() {
        let camera = camera().await;
        let anonymous = camera.inner.answer(&request(None));
        assert_eq!(anonymous.status, 401);
        assert!(
            anonymous.headers.iter().any(|(name, value)| name == "WWW-Authenticate" && value.contains("qop=\"auth\""))
        );
        assert_eq!(camera.inner.answer(&login("wrong")).status, 401);
        assert_eq!(camera.inner.answer(&login("right")).status, 200);
        camera.behave(Behaviour::Unauthorized);
        assert_eq!(camera.inner.answer(&login("right")).status, 401);
        assert_eq!((camera.requests(), camera.served().len()), (4, 1));
    }

    #[tokio::test]
    async fn a_frozen_camera_repeats_itself_and_a_cut_one_stops_short() {
        let camera = camera().await;
        camera.behave(Behaviour::Frozen);
        let first = camera.inner.answer(&login("right")).body;
        assert_eq!(first, camera.inner.answer(&login("right")).body);
        camera.behave(Behaviour::CutShort);
        let cut = camera.inner.answer(&login("right"));
        assert_eq!(cut.cut_at, Some(cut.body.len() - 100));
    }
}
