//! Requests to the hub's enrolment listener over HTTPS, at the first of its addresses that answers.

use std::error::Error;
use std::time::Duration;

use reqwest::StatusCode;
use rustls::ClientConfig;
use simpul_wire::enrolment::{Address, Refusal};
use simpul_wire::technician::PICTURE_BYTES_MAX;
use tokio::runtime::Runtime;

use super::problem::Problem;

/// For DNS, TCP and TLS on a village's uplink.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(20);

/// For all of a request: the hub holds one for 20 s, and a picture of 200 kB takes its time at 32 kbit/s.
const REQUEST_TIME_MAX: Duration = Duration::from_secs(90);

/// Moves bytes; blocks until they are there.
pub struct Client {
    runtime: Runtime,
    http: reqwest::Client,
    addresses: Vec<Address>,
}

impl Client {
    /// With this TLS, for these addresses.
    ///
    /// # Errors
    /// This computer gives no sockets or threads.
    pub fn new(tls: ClientConfig, addresses: Vec<Address>) -> Result<Client, Problem> {
        let system = |error: &dyn std::fmt::Display| Problem::System { what: error.to_string() };
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| system(&error))?;
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_TIME_MAX)
            .timeout(REQUEST_TIME_MAX)
            .build()
            .map_err(|error| system(&words(&error)))?;
        Ok(Client { runtime, http, addresses })
    }

    /// GET.
    pub fn get(&self, path: &str) -> Result<Vec<u8>, Problem> {
        self.runtime.block_on(self.ask(path, None))
    }

    /// POST, as CBOR.
    pub fn post(&self, path: &str, body: Vec<u8>) -> Result<Vec<u8>, Problem> {
        self.runtime.block_on(self.ask(path, Some(body)))
    }

    /// The answer of the first address that gives one. A refusal is an answer, unless it may pass.
    async fn ask(&self, path: &str, body: Option<Vec<u8>>) -> Result<Vec<u8>, Problem> {
        let mut last = Problem::NoAddress;
        for address in &self.addresses {
            let url = format!("https://{address}{path}");
            let request = match &body {
                Some(body) => self.http.post(&url).header("content-type", "application/cbor").body(body.clone()),
                None => self.http.get(&url),
            };
            match answer(request).await {
                Err(Failed::NoAnswer(why)) if why.contains("another district") => last = Problem::ForeignHub,
                Err(Failed::NoAnswer(why)) => last = Problem::NoHub { address: address.to_string(), why },
                Err(Failed::Refused(refusal)) if refusal.reason.passes() => last = Problem::Refused(refusal),
                Err(Failed::Refused(refusal)) => return Err(Problem::Refused(refusal)),
                Err(Failed::TooLarge) => return Err(Problem::BadAnswer { what: "too large".into() }),
                Ok(bytes) => return Ok(bytes),
            }
        }
        Err(last)
    }
}

enum Failed {
    NoAnswer(String),
    Refused(Refusal),
    TooLarge,
}

async fn answer(request: reqwest::RequestBuilder) -> Result<Vec<u8>, Failed> {
    let no_answer = |error: reqwest::Error| Failed::NoAnswer(words(&error));
    let mut response = request.send().await.map_err(no_answer)?;
    let status = response.status();
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(no_answer)? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > PICTURE_BYTES_MAX {
            return Err(Failed::TooLarge);
        }
    }
    if status == StatusCode::OK {
        return Ok(bytes);
    }
    match Refusal::from_slice(&bytes) {
        Ok(refusal) => Err(Failed::Refused(refusal)),
        // A portal of the network in between, or another program at this address.
        Err(_) => Err(Failed::NoAnswer(format!("{status}"))),
    }
}

/// An error with its causes: reqwest's own text says nothing of TLS.
fn words(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = error.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        cause = error.source();
    }
    text
}
