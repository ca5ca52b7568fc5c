//! The I/O board over the API: what is said, what is unknown, and where counts come from.

use serde_json::{Value, json};
use simpul_hub::store::{Dating, EventRow};
use simpul_wire::event::{BoardCondition, EventBody, EventRecord};

use super::fake::{EPOCH, NOW_MS, STAMP, node};
use super::hub::Hub;

const NODE: &str = "35.12.07.2003-01";

fn event(id: i64, body: EventBody) -> EventRow {
    EventRow {
        id,
        node: node(NODE),
        epoch: EPOCH,
        seq: id.unsigned_abs(),
        at_ms: NOW_MS - 60_000 + id,
        dating: Dating::Clock,
        received_ms: NOW_MS,
        record: EventRecord { stamp: STAMP, body },
    }
}

#[tokio::test]
async fn a_board_and_its_optics_are_in_the_overview_and_its_faults_say_why() {
    let hub = Hub::open().await;
    let never = &hub.get("/api/v1/nodes/35.12.07.2004-01").await.1;
    assert_eq!((&never["board"], &never["last_command"]), (&Value::Null, &Value::Null));
    let board = |condition, detail: &str| EventBody::Board {
        serial: Some("e66118".parse().unwrap()),
        condition,
        detail: detail.parse().unwrap(),
    };
    hub.store.events.lock().unwrap().extend([
        event(2, board(BoardCondition::WrongProtocol, "speaks 2, 1 is understood")),
        event(3, EventBody::Tamper { open: true }),
        event(4, EventBody::CommandResult { id: [7; 16], done: true, detail: "".parse().unwrap() }),
    ]);
    hub.clock.advance(std::time::Duration::from_secs(1));
    let shown = hub.get(&format!("/api/v1/nodes/{NODE}")).await.1;
    let board = &shown["board"];
    assert_eq!((&board["serial"], &board["condition"]), (&json!("e66118"), &json!("wrong_protocol")));
    assert_eq!((&board["detail"], &board["since_ms"]), (&json!("speaks 2, 1 is understood"), &json!(NOW_MS - 59_998)));
    assert_eq!(board["tamper"], json!({ "open": true, "since_ms": NOW_MS - 59_997 }));
    assert_eq!(
        (&board["power"], &board["supply_voltage"], &board["started"]),
        (&Value::Null, &Value::Null, &Value::Null)
    );
    let cage = &board["cages"][0];
    assert_eq!((&cage["rx_power"]["value"], &cage["rx_power"]["missing"]), (&Value::Null, &json!("no light")));
    assert_eq!((&cage["judgement"]["state"], &cage["tx_bias"]), (&json!("no_light"), &Value::Null));
    assert_eq!(cage["judgement"]["limits"]["critical_below_dbm"], -27.0);
    assert_eq!(board["stale_after_s"], 180);
    let result = &shown["last_command"];
    assert_eq!((&result["id"], &result["done"]), (&json!("07".repeat(16)), &json!(true)));
}

#[tokio::test]
async fn counts_are_told_by_their_source() {
    let hub = Hub::open().await;
    let services = hub.get("/api/v1/overview").await.1["services"].clone();
    for row in services.as_array().unwrap() {
        let told = (&row["counted"], &row["counted_by_button"], &row["counted_by_api"]);
        assert_eq!(told, (&json!(5), &json!(3), &json!(2)), "simulated: {}", row["simulated"]);
    }
}
