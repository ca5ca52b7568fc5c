//! The hub, as offers and contents come from it: HTTPS with the node's identity.

use bytes::Bytes;
use simpul_wire::update::Offers;

use super::fetch::{Body, Head, Source};
use crate::enrolment::access::Enrolment;
use crate::enrolment::store::Kept;
use crate::enrolment::{EnrolmentError, client};

fn identity(enrolment: &Enrolment) -> Result<Kept, String> {
    let kept = enrolment.load().map_err(|error| error.to_string())?;
    kept.ok_or_else(|| "this node is not enrolled: only an enrolled one can ask for updates".to_owned())
}

/// What the hub offers this node.
pub(super) async fn look(enrolment: &Enrolment) -> Result<Box<Offers>, String> {
    let kept = identity(enrolment)?;
    client::offers(&kept, enrolment.time()).await.map(Box::new).map_err(|error| error.to_string())
}

/// Where contents come from.
pub(super) struct Hub(pub(super) Enrolment);

/// A content under way.
pub(super) struct Response(reqwest::Response);

impl Source for Hub {
    type Body = Response;

    async fn get(&self, path: &str, from: u64) -> Result<(Head, Response), String> {
        let kept = identity(&self.0)?;
        let asked = client::content(&kept, self.0.time(), path, from).await;
        let response = asked.map_err(|error: EnrolmentError| error.to_string())?;
        let range = response.headers().get("content-range").and_then(|value| value.to_str().ok()).map(str::to_owned);
        Ok((Head { status: response.status().as_u16(), range }, Response(response)))
    }
}

impl Body for Response {
    async fn next(&mut self) -> Result<Option<Bytes>, String> {
        self.0.chunk().await.map_err(|error| client::words(&error))
    }
}
