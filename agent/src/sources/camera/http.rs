//! Asking a camera over HTTP: time limits, body limit, Digest, and what a failure means.

use std::error::Error;
use std::time::Duration;

use reqwest::{Method, StatusCode, Url, header};

use super::digest::{Learned, Login};

/// A camera on the same LAN that does not accept a connection within this is not there.
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// No byte for so long: it hangs.
const SILENCE_MAX: Duration = Duration::from_secs(10);
/// A whole answer: 4 MiB over poor Wi-Fi.
const ANSWER_MAX: Duration = Duration::from_secs(30);
/// The connection is kept for the answer to a challenge, not until the next poll: cheap cameras have few.
const IDLE_MAX: Duration = Duration::from_secs(5);
/// Requests for one answer: without credentials, answered, and once more with a new nonce.
const REQUESTS_MAX: usize = 3;
/// Of a refusal's body so much is read, so that its connection can be used again.
const REFUSAL_BYTES_MAX: usize = 8 * 1024;

/// Why there is no answer to use. Texts are for people.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
pub enum Failed {
    /// No connection, or silence.
    #[error("{0}")]
    NoAnswer(String),
    /// It refused our password, so many times.
    #[error("{detail}")]
    Refused {
        /// Refused answers to challenges.
        times: u32,
        /// What it said.
        detail: String,
    },
    /// It cannot be asked until someone changes something.
    #[error("{0}")]
    Impossible(String),
    /// It answered with something unusable.
    #[error("{0}")]
    Unusable(String),
}

/// One camera's HTTP side.
#[derive(Debug)]
pub struct Peer {
    client: reqwest::Client,
    login: Option<Login>,
}

/// A request's body.
pub struct Content<'c> {
    /// Its type.
    pub kind: &'c str,
    /// Its bytes.
    pub bytes: &'c [u8],
}

impl Peer {
    /// For one camera. `tls`: its address is https, so the system's trusted certificates are needed.
    ///
    /// # Errors
    /// When the system has no trusted certificates and they are needed.
    pub fn new(login: Option<Login>, tls: bool) -> Result<Peer, String> {
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            // Someone else may have installed one in between, which is as good.
            let _ = rustls::crypto::ring::default_provider().install_default();
        }
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("simpul-agent/", env!("CARGO_PKG_VERSION")))
            .http1_only()
            // A camera that sends us elsewhere must not take our answers to challenges along.
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .connect_timeout(CONNECT_MAX)
            .read_timeout(SILENCE_MAX)
            .timeout(ANSWER_MAX)
            .pool_max_idle_per_host(1)
            .pool_idle_timeout(IDLE_MAX);
        if !tls {
            builder = builder.tls_certs_only([]);
        }
        let client = builder.build().map_err(|error| format!("no HTTPS here: {}", cause(&error)))?;
        Ok(Peer { client, login })
    }

    /// The login, if one is configured.
    pub fn login(&self) -> Option<&Login> {
        self.login.as_ref()
    }

    /// GET, 200 expected.
    ///
    /// # Errors
    /// As [`Failed`].
    pub async fn get(&mut self, url: &Url, bytes_max: usize) -> Result<Vec<u8>, Failed> {
        match self.ask(Method::GET, url, None, bytes_max).await? {
            (StatusCode::OK, body) => Ok(body),
            (status, _) => Err(Failed::Unusable(format!("HTTP {status}"))),
        }
    }

    /// POST; the status is the caller's to judge (SOAP faults come with 400 and 500), but for refusals.
    ///
    /// # Errors
    /// As [`Failed`].
    pub async fn post(
        &mut self,
        url: &Url,
        content: Content<'_>,
        bytes_max: usize,
    ) -> Result<(StatusCode, Vec<u8>), Failed> {
        self.ask(Method::POST, url, Some(content), bytes_max).await
    }

    async fn ask(
        &mut self,
        method: Method,
        url: &Url,
        content: Option<Content<'_>>,
        bytes_max: usize,
    ) -> Result<(StatusCode, Vec<u8>), Failed> {
        let uri = match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        };
        let mut times = 0;
        for _ in 0..REQUESTS_MAX {
            let body = content.as_ref().map(|content| content.bytes);
            let answer = self.login.as_mut().and_then(|login| login.answer(method.as_str(), &uri, body));
            let answered = answer.is_some();
            let mut request = self.client.request(method.clone(), url.clone());
            if let Some(answer) = answer {
                request = request.header(header::AUTHORIZATION, answer);
            }
            if let Some(content) = &content {
                request = request.header(header::CONTENT_TYPE, content.kind).body(content.bytes.to_vec());
            }
            let mut response = request.send().await.map_err(|error| no_answer(&error))?;
            let status = response.status();
            if !matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
                if let Some(login) = self.login.as_mut().filter(|_| answered) {
                    login.accepted();
                }
                return Ok((status, read_body(&mut response, bytes_max).await?));
            }
            let values = response.headers().get_all(header::WWW_AUTHENTICATE);
            let values: Vec<String> =
                values.iter().filter_map(|value| value.to_str().ok().map(str::to_owned)).collect();
            // The refusal's page is of no interest, whatever becomes of it.
            let _ = read_body(&mut response, REFUSAL_BYTES_MAX).await;
            let Some(login) = self.login.as_mut() else {
                let what = format!("HTTP {status}, and no username is configured");
                return Err(Failed::Impossible(what));
            };
            let learned = login.learn(values.iter().map(String::as_str));
            let refused = format!("HTTP {status}: user or password refused");
            match learned {
                Learned::OnlyBasic => {
                    let what = "offers only Basic, which sends the password in clear text; switch the camera to Digest";
                    return Err(Failed::Impossible(what.into()));
                }
                Learned::Stale => {}
                Learned::Fresh if !answered => {}
                Learned::WornOut => times += 1,
                // A refusal without a challenge (403 while locked out) counts, and so does one of a fresh answer.
                Learned::Fresh | Learned::Nothing => return Err(Failed::Refused { times: times + 1, detail: refused }),
            }
        }
        let detail = "the camera finds every nonce stale or worn out".to_owned();
        Err(Failed::Refused { times: times.max(1), detail })
    }
}

async fn read_body(response: &mut reqwest::Response, bytes_max: usize) -> Result<Vec<u8>, Failed> {
    let over = || Failed::Unusable(format!("over {bytes_max} bytes"));
    let declared = response.content_length().and_then(|length| usize::try_from(length).ok());
    if declared.is_some_and(|length| length > bytes_max) {
        return Err(over());
    }
    // What is declared may be a lie: no more than a picture's usual size is reserved for it.
    let mut body = Vec::with_capacity(declared.unwrap_or(0).min(256 * 1024));
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() > bytes_max => return Err(over()),
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => return Ok(body),
            Err(error) if error.is_timeout() => {
                return Err(Failed::NoAnswer(format!("silent after {} bytes", body.len())));
            }
            Err(_) => {
                let declared = declared.map_or("unknown".into(), |length| length.to_string());
                return Err(Failed::Unusable(format!("cut short: {} of {declared} bytes came", body.len())));
            }
        }
    }
}

fn no_answer(error: &reqwest::Error) -> Failed {
    let what = if error.is_timeout() {
        "no answer in time".to_owned()
    } else if error.is_connect() {
        format!("no connection: {}", cause(error))
    } else {
        format!("no HTTP answer: {}", cause(error))
    };
    Failed::NoAnswer(what)
}

/// The innermost cause; the outer ones repeat the address, which has no place in an event.
fn cause(error: &dyn Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
