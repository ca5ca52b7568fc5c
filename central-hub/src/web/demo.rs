//! The demo's fibre switch, and hands on its emulated I/O board: forwarded to the demo's runner, which is on this machine.
//! Absent anywhere else.

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

/// Desks with a button at the demo's board.
const DESKS: u8 = 2;

/// What is done to the demo's board.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum BoardAction {
    /// Press a desk's button.
    Press,
    /// Hold it down for long.
    LongPress,
    /// Open the lid.
    OpenLid,
    /// Close it.
    CloseLid,
    /// Have the mains gone.
    MainsOff,
    /// Have them back.
    MainsOn,
    /// Let the fibre's light fade from -18 to -29 dBm.
    FadeLight,
    /// Have it at -18 dBm again.
    RestoreLight,
}

/// An order to the demo's board.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BoardOrder {
    /// The node that it is at.
    pub node: String,
    /// What to do.
    pub action: BoardAction,
    /// Whose button, from 1; for `press` and `long_press` only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub desk: Option<u8>,
}

impl BoardOrder {
    fn check_desk(&self) -> Result<(), ApiError> {
        let pressed = matches!(self.action, BoardAction::Press | BoardAction::LongPress);
        match self.desk {
            Some(desk) if pressed && (1..=DESKS).contains(&desk) => Ok(()),
            None if !pressed => Ok(()),
            Some(desk) if pressed => Err(ApiError::parameter(format!("desk = {desk}: 1 to {DESKS} is allowed"))),
            None => Err(ApiError::parameter(format!("desk is missing: 1 to {DESKS} is allowed"))),
            Some(desk) => Err(ApiError::parameter(format!("desk = {desk}: only a press has a desk"))),
        }
    }
}

/// The order as the demo's runner takes it.
#[derive(Serialize)]
struct Order {
    action: BoardAction,
    #[serde(skip_serializing_if = "Option::is_none")]
    desk: Option<u8>,
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
        let node = node_id(&switch.node)?;
        let body = serde_json::to_vec(&Cut { cut: switch.cut }).unwrap_or_default();
        match request(&self.control, Method::POST, &format!("/links/{node}"), Some(body), TIME_MAX).await {
            Ok((status, _)) if status.is_success() => Ok(()),
            Ok((StatusCode::NOT_FOUND, _)) => Err(ApiError::not_found(format!("the demo has no fibre to node {node}"))),
            Ok((status, _)) => Err(unavailable(&format!("it answered {status}"))),
            Err(error) => Err(unavailable(&error.to_string())),
        }
    }

    async fn order(&self, order: &BoardOrder) -> Result<(), ApiError> {
        let node = node_id(&order.node)?;
        order.check_desk()?;
        let body = serde_json::to_vec(&Order { action: order.action, desk: order.desk }).unwrap_or_default();
        match request(&self.control, Method::POST, &format!("/boards/{node}"), Some(body), TIME_MAX).await {
            Ok((status, _)) if status.is_success() => Ok(()),
            Ok((StatusCode::NOT_FOUND, _)) => Err(ApiError::not_found(format!("the demo has no board at node {node}"))),
            Ok((StatusCode::SERVICE_UNAVAILABLE, _)) => Err(ApiError::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "demo_busy",
                "the demo's board is still busy with what was ordered before; wait a few seconds",
            )),
            Ok((status, _)) => Err(unavailable(&format!("it answered {status}"))),
            Err(error) => Err(unavailable(&error.to_string())),
        }
    }
}

fn node_id(text: &str) -> Result<simpul_wire::NodeId, ApiError> {
    text.parse()
        .map_err(|_| ApiError::parameter(format!("node = {text:?}: a node's id such as 35.12.07.2003-01 is allowed")))
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

/// Do something to the demo's emulated I/O board. Only in the demo; 404 anywhere else. 200 means that it is being done.
#[utoipa::path(post, path = "/api/v1/demo/board", tag = "demo", request_body = BoardOrder,
    responses((status = 200, body = BoardOrder), (status = 400, body = ErrorView), (status = 404, body = ErrorView),
        (status = 502, body = ErrorView), (status = 503, body = ErrorView)))]
pub async fn board(
    State(web): State<Arc<Web>>,
    JsonBody(order): JsonBody<BoardOrder>,
) -> Result<Json<BoardOrder>, ApiError> {
    let fibre =
        web.fibre.as_ref().ok_or_else(|| ApiError::not_found("this hub is no demo: it has no emulated board"))?;
    fibre.order(&order).await?;
    Ok(Json(order))
}
