//! Hands on an emulated board: what a page orders over HTTP is done one after the other, as one person would.
//!
//! [`Hand::answer`] takes an order and says at once whether it is one; [`Orders::carry_out`] does what was taken. Between
//! them are few orders: a page that is pressed faster than a person could is told so.

use std::time::Duration;

use serde::Deserialize;
use serde_json::json;
use tokio::sync::mpsc;

use super::EmulatedBoard;
use crate::http::{Request, Response};

/// Orders that wait: somebody who drums on a button for two seconds is still obeyed.
const ORDERS_MAX: usize = 16;
/// People hold a button for 100 to 250 ms.
const SHORT: Duration = Duration::from_millis(100);
/// Well above 1.5 s, from where on a press is a long one unless an agent says otherwise.
const LONG: Duration = Duration::from_millis(1_700);
/// Received power of a fibre that is well, in dBm.
pub const LIGHT_DBM: f64 = -18.0;
/// Received power of one that is bent: below a class B+ receiver's sensitivity of -28 dBm (ITU-T G.984.2 Amd 1).
pub const FADED_DBM: f64 = -29.0;

/// What is done to a board.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
enum Order {
    /// Press a desk's button.
    Press {
        /// The desk, from 1.
        desk: u8,
    },
    /// Hold it down for long.
    LongPress {
        /// The desk, from 1.
        desk: u8,
    },
    /// Open the lid.
    OpenLid,
    /// Close it.
    CloseLid,
    /// Have the mains gone.
    MainsOff,
    /// Have them back.
    MainsOn,
    /// Let the light fade to [`FADED_DBM`].
    FadeLight,
    /// Have it at [`LIGHT_DBM`] again.
    RestoreLight,
}

/// The end that orders. Clones order from the same board.
#[derive(Debug, Clone)]
pub struct Hand {
    node: String,
    desks: u8,
    orders: mpsc::Sender<Order>,
}

/// The end that obeys.
#[derive(Debug)]
pub struct Orders(mpsc::Receiver<Order>);

/// Both ends, for the board of `node`, which has buttons at desks 1 to `desks`.
pub fn hand(node: &str, desks: u8) -> (Hand, Orders) {
    let (orders, receiver) = mpsc::channel(ORDERS_MAX);
    (Hand { node: node.to_owned(), desks, orders }, Orders(receiver))
}

impl Hand {
    /// The answer to `POST /boards/{node}` with an order, such as `{"action":"press","desk":1}`: 202 once it is taken.
    /// `None`: the request is for something else.
    pub fn answer(&self, request: &Request) -> Option<Response> {
        let node = request.path.strip_prefix("/boards/").filter(|_| request.method == "POST")?;
        let refuse = |status, message: String| Some(Response::json(status, &json!({ "message": message })));
        if node != self.node {
            return refuse(404, format!("node {node} has no emulated board"));
        }
        let order = match serde_json::from_slice(&request.body) {
            Ok(order) => order,
            Err(error) => return refuse(400, format!("no order: {error}")),
        };
        if let Order::Press { desk } | Order::LongPress { desk } = order
            && !(1..=self.desks).contains(&desk)
        {
            return refuse(400, format!("desk = {desk}: 1 to {} have a button", self.desks));
        }
        match self.orders.try_send(order) {
            Ok(()) => Some(Response::json(202, &json!({}))),
            Err(_) => refuse(503, format!("{ORDERS_MAX} orders wait already")),
        }
    }
}

impl Orders {
    /// Do what is ordered, until nobody can order any more. Fails when the board does not obey.
    pub async fn carry_out(&mut self, board: &EmulatedBoard) -> anyhow::Result<()> {
        while let Some(order) = self.0.recv().await {
            match order {
                // Desks are numbered from 1 on the case and from 0 on the wire.
                Order::Press { desk } => board.press(desk.saturating_sub(1), SHORT).await?,
                Order::LongPress { desk } => board.press(desk.saturating_sub(1), LONG).await?,
                Order::OpenLid => board.set_tamper(true).await?,
                Order::CloseLid => board.set_tamper(false).await?,
                Order::MainsOff => board.set_power_good(false).await?,
                Order::MainsOn => board.set_power_good(true).await?,
                Order::FadeLight => board.set_rx_power(FADED_DBM).await?,
                Order::RestoreLight => board.set_rx_power(LIGHT_DBM).await?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_taken_and_what_is_none_is_refused_by_name() {
        let (hand, mut orders) = hand("a-01", 2);
        let ask = |path: &str, body: &str| {
            let (method, path) = ("POST".to_owned(), path.to_owned());
            let request = Request { method, path, headers: Vec::new(), body: body.as_bytes().to_vec() };
            hand.answer(&request).map(|response| (response.status, String::from_utf8(response.body).unwrap()))
        };
        assert_eq!(ask("/links/a-01", "{}"), None);
        for (path, body, status, said) in [
            ("/boards/b-01", r#"{"action":"press","desk":1}"#, 404, "node b-01 has no emulated board"),
            ("/boards/a-01", r#"{"action":"kick"}"#, 400, "unknown variant `kick`"),
            ("/boards/a-01", r#"{"action":"press"}"#, 400, "missing field `desk`"),
            ("/boards/a-01", r#"{"action":"press","desk":0}"#, 400, "desk = 0: 1 to 2 have a button"),
            ("/boards/a-01", r#"{"action":"long_press","desk":3}"#, 400, "desk = 3: 1 to 2 have a button"),
        ] {
            let (was, message) = ask(path, body).unwrap();
            assert!(was == status && message.contains(said), "{body}: {was} {message}");
        }
        assert!(orders.0.try_recv().is_err(), "nothing of that was taken");
        for _ in 0..ORDERS_MAX {
            assert_eq!(ask("/boards/a-01", r#"{"action":"press","desk":2}"#).unwrap().0, 202);
        }
        assert_eq!(ask("/boards/a-01", r#"{"action":"open_lid"}"#).unwrap().0, 503);
        assert_eq!(orders.0.try_recv(), Ok(Order::Press { desk: 2 }));
    }
}
