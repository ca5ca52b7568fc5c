//! The I/O board from a node's MQTT client to the API, and an order from the API to the node and back.

use std::time::Duration;

use serde_json::{Value, json};
use simpul_clock::Clock;
use simpul_wire::command::Action;
use simpul_wire::event::{BoardCondition, BoardReset, EventBody, OpticsLimits, OpticsModule};
use simpul_wire::reading::{Point, ReadingBlock, Series, Value as Reading};
use simpul_wire::service::Origin;
use simpul_wire::{Missing, Stamp, Unit};

use super::hub::{Home, Hub, STOP_MAX};
use super::node::Node;

const NODE: &str = "35.12.07.2003-01";

/// The overview is shared for a second, and a debug build is slow.
const SHOWN_MAX: Duration = Duration::from_secs(30);

/// The node as shown, once `ready` says so.
async fn shown(hub: &Hub, ready: impl Fn(&Value) -> bool) -> Value {
    let wait = async {
        loop {
            let url = format!("{}/api/v1/nodes/{NODE}", hub.web);
            let node: Value = reqwest::get(url).await.unwrap().json().await.unwrap();
            if ready(&node) {
                return node;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(SHOWN_MAX, wait).await.expect("the hub shows it")
}

async fn order(hub: &Hub) -> (u16, Value) {
    let url = format!("{}/api/v1/nodes/{NODE}/commands/power-cycle", hub.web);
    let answer = reqwest::Client::new().post(url).json(&json!({ "off_ms": 5_000 })).send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

async fn stop(mut hub: Hub) {
    hub.process.terminate();
    assert_eq!(hub.process.wait_for_end(STOP_MAX).await.unwrap().code(), Some(0), "{}", hub.process.log_tail());
    assert_eq!(hub.process.complaints(), Vec::<String>::new(), "a healthy run logs no warning");
}

/// A block of both cages, as an agent sends it: the same times for every metric.
fn block(at_ms: i64, received_dbm: f64) -> ReadingBlock {
    let base = Stamp { boot: 1, uptime_ms: 1_000_000, wall_ms: Some(at_ms) };
    let series = |metric: &str, unit, value| Series {
        metric: metric.parse().unwrap(),
        unit,
        points: vec![Point { uptime_ms: base.uptime_ms, value }],
    };
    ReadingBlock {
        base,
        series: vec![
            series("supply_voltage", Unit::Volts, Reading::Number(12.1)),
            series("battery_voltage", Unit::Volts, Reading::Missing(Missing::NotSupported)),
            series("optics.0.rx_power", Unit::DecibelMilliwatts, Reading::Number(received_dbm)),
            series("optics.1.rx_power", Unit::DecibelMilliwatts, Reading::Missing(Missing::NoModule)),
        ],
    }
}

#[tokio::test]
async fn a_board_is_shown_and_judged_the_same_after_a_restart_and_an_order_comes_back_with_its_result() {
    let home = Home::new("127.0.0.1:0", "");
    let hub = home.start().await;
    let mut node = Node::connect(&home.authority, NODE, hub.mqtt_port).await;
    node.listen().await;
    let now_ms = Clock::machine().wall_ms();
    let serial: simpul_wire::Label = "e66118c4e3".parse().unwrap();
    let module = OpticsModule {
        vendor: "ACME".parse().unwrap(),
        part: "GPON-B".parse().unwrap(),
        serial: "S1".parse().unwrap(),
        wavelength_nm: 1_490,
        measures: true,
        receive_limits: Some(OpticsLimits {
            low_alarm_cdbm: -2_800,
            low_warning_cdbm: -2_600,
            high_warning_cdbm: -900,
            high_alarm_cdbm: -800,
        }),
    };
    let good =
        EventBody::Board { serial: Some(serial.clone()), condition: BoardCondition::Good, detail: "".parse().unwrap() };
    let (reset, version) = (BoardReset::PowerOn, "0.1.0 pico".parse().unwrap());
    let hour_ms = now_ms - 3_600_000;
    node.event(0, hour_ms, good).await;
    node.event(1, hour_ms, EventBody::BoardStarted { serial, boot: 3, reset, version }).await;
    node.event(2, hour_ms, EventBody::Optics { cage: 0, module: Some(module), missing: None }).await;
    // Critical, then back within the hysteresis: still critical.
    node.readings(0, &block(now_ms - 180_000, -28.1)).await;
    node.readings(4, &block(now_ms - 60_000, -27.2)).await;
    node.count_at(0, now_ms, Origin::Board, 3).await;
    node.count_at(1, now_ms, Origin::Api, 2).await;

    let judged = |node: &Value| node["board"]["cages"][0]["judgement"]["state"] == "critical";
    let before = shown(&hub, judged).await["board"].clone();
    assert_eq!((&before["started"]["firmware"], &before["started"]["hardware"]), (&json!("0.1.0"), &json!("pico")));
    assert_eq!(before["cages"][0]["rx_power"]["value"], -27.2);
    assert_eq!(before["cages"][0]["judgement"]["limits"]["own"], true);
    assert_eq!(before["cages"][1]["rx_power"]["missing"], "no module");
    assert_eq!((&before["supply_voltage"]["value"], &before["battery_voltage"]["value"]), (&json!(12.1), &Value::Null));
    let overview: Value = reqwest::get(format!("{}/api/v1/overview", hub.web)).await.unwrap().json().await.unwrap();
    let counted = &overview["services"][0];
    let told = (&counted["counted"], &counted["counted_by_button"], &counted["counted_by_api"]);
    assert_eq!(told, (&json!(5), &json!(3), &json!(2)));

    let (status, sent) = order(&hub).await;
    assert_eq!(status, 202, "{sent}");
    let command = node.command().await;
    assert_eq!(
        (command.action, json!(hex::encode(command.id))),
        (Action::PowerCycle { off_ms: 5_000 }, sent["id"].clone())
    );
    let result = EventBody::CommandResult { id: command.id, done: true, detail: "off for 5 s".parse().unwrap() };
    node.event(3, now_ms, result).await;
    let done = shown(&hub, |node| node["last_command"] != Value::Null).await["last_command"].clone();
    assert_eq!((&done["id"], &done["done"], &done["detail"]), (&sent["id"], &json!(true), &json!("off for 5 s")));

    drop(node);
    let gone = shown(&hub, |node| node["connected"] == false).await;
    assert_eq!(gone["board"]["condition"], "good", "the last word stays, with its age");
    let (status, refused) = order(&hub).await;
    assert_eq!((status, &refused["code"]), (409, &json!("node_offline")));
    stop(hub).await;

    let hub = home.start().await;
    let after = shown(&hub, judged).await["board"]["cages"][0]["judgement"].clone();
    assert_eq!(after, before["cages"][0]["judgement"]);
    // What was refused did not wait for the node: nothing comes but the hub's own words.
    let mut node = Node::connect(&home.authority, NODE, hub.mqtt_port).await;
    node.listen().await;
    let (status, sent) = order(&hub).await;
    assert_eq!(status, 202, "{sent}");
    assert_eq!(json!(hex::encode(node.command().await.id)), sent["id"], "the first command is the new one");
    drop(node);
    stop(hub).await;
}
