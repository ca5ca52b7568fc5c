//! The demo's fibre switch: forwarded to the demo's proxy, which is on this machine. Absent anywhere else.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use hyper::Method;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Web;
use super::body::JsonBody;
use super::client::{Peer, request};
use super::error::ApiError;
use crate::view::model::{ErrorView, NodeView};

/// The proxy is on this machine: more than this and it hangs.
const TIME_MAX: Duration = Duration::from_secs(2);

/// The demo's proxy.
#[derive(Debug)]
pub struct Fibre {
    control: Peer,
}

/// A position of the switch.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FibreSwitch {
    /// The node.
    pub node: String,
    /// Whether its fibre is cut.
    pub cut: bool,
}

#[derive(Serialize)]
struct Cut {
    cut: bool,
}

impl Fibre {
    /// The proxy's control at this loopback address.
    pub fn new(control: SocketAddr) -> Fibre {
        Fibre { control: Peer::Loopback(control) }
    }

    /// Write the switch's positions into nodes; unknown (null) where the proxy does not answer.
    pub async fn mark(&self, nodes: &mut [NodeView]) {
        let links: Vec<FibreSwitch> = match request(&self.control, Method::GET, "/links", None, TIME_MAX).await {
            Ok((StatusCode::OK, body)) => serde_json::from_slice(&body).unwrap_or_default(),
            _ => Vec::new(),
        };
        for node in nodes {
            node.fibre_cut = links.iter().find(|link| link.node == node.id).map(|link| link.cut);
        }
    }

    async fn set(&self, switch: &FibreSwitch) -> Result<(), ApiError> {
        let node: simpul_wire::NodeId = switch.node.parse().map_err(|_| {
            ApiError::parameter(format!("node = {:?}: a node's id such as 35.12.07.2003-01 is allowed", switch.node))
        })?;
        let body = serde_json::to_vec(&Cut { cut: switch.cut }).unwrap_or_default();
        match request(&self.control, Method::POST, &format!("/links/{node}"), Some(body), TIME_MAX).await {
            Ok((status, _)) if status.is_success() => Ok(()),
            Ok((StatusCode::NOT_FOUND, _)) => Err(ApiError::not_found(format!("the demo has no fibre to node {node}"))),
            Ok((status, _)) => Err(unavailable(&format!("it answered {status}"))),
            Err(error) => Err(unavailable(&error.to_string())),
        }
    }
}

fn unavailable(why: &str) -> ApiError {
    let message = format!("the demo's proxy did not switch: {why}; start the demo again");
    ApiError::new(StatusCode::BAD_GATEWAY, "demo_proxy", message)
}

/// Cut or mend a node's fibre. Only in the demo; 404 anywhere else.
#[utoipa::path(post, path = "/api/v1/demo/fibre", tag = "demo", request_body = FibreSwitch,
    responses((status = 200, body = FibreSwitch), (status = 404, body = ErrorView), (status = 502, body = ErrorView)))]
pub async fn fibre(
    State(web): State<Arc<Web>>,
    JsonBody(switch): JsonBody<FibreSwitch>,
) -> Result<Json<FibreSwitch>, ApiError> {
    let fibre = web.fibre.as_ref().ok_or_else(|| ApiError::not_found("this hub is no demo: it has no fibre switch"))?;
    fibre.set(&switch).await?;
    Ok(Json(switch))
}
