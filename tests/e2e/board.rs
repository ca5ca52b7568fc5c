//! The I/O board through the whole chain: real firmware in the emulator, real agent, real hub.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use simpul_testkit::board::Module;
use simpul_testkit::visitors::{Desk, Ledger};
use simpul_testkit::wait;
use simpul_tests::outcome;
use simpul_tests::village_board::Village;

/// A press as people do it.
const SHORT: Duration = Duration::from_millis(60);
const LONG: Duration = Duration::from_millis(1_700);
/// Seconds are promised; a debug build beside a compiler gets some more.
const SOON: Duration = Duration::from_secs(20);
/// Readings come in blocks of a minute.
const A_MINUTE_LATER: Duration = Duration::from_secs(150);

async fn counted(village: &Village, service: &str) -> i64 {
    village.service(service).await.ok().and_then(|row| row["counted_by_button"].as_i64()).unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_presses_are_a_hundred_at_the_hub_beside_what_came_by_the_api() {
    let village = Village::start(None).await.unwrap();
    let desk = Desk::new(&village.district.nodes[0], "api", &Ledger::default()).unwrap();
    // The visitors of the tests are simulated ones and stand in a row of their own.
    desk.count("ktp", 5).await.unwrap();
    for _ in 0..100 {
        village.board.press(0, SHORT).await.unwrap();
    }
    for _ in 0..3 {
        village.board.press(1, SHORT).await.unwrap();
    }
    village.board.press(0, LONG).await.unwrap();
    village.board.press(1, LONG).await.unwrap();
    wait::until("a no-show, and the undone press", SOON, || async {
        let ktp = village.service("ktp").await.ok()?;
        let kk = village.service("kk").await.ok()?;
        (ktp["visits_other"] == 1 && kk["counted"] == 2).then_some(())
    })
    .await
    .unwrap();
    let overview = village.district.hub.get("/api/v1/overview").await.unwrap();
    let rows = overview["services"].as_array().unwrap();
    let row = |service: &str, simulated: bool| {
        let found = rows.iter().find(|row| row["service"] == service && row["simulated"] == simulated);
        found.map(|row| [&row["counted"], &row["counted_by_button"], &row["counted_by_api"]].map(|n| n.as_i64()))
    };
    assert_eq!(row("ktp", false), Some([Some(100), Some(100), Some(0)]), "{overview:#}");
    assert_eq!(row("ktp", true), Some([Some(5), Some(0), Some(5)]), "{overview:#}");
    assert_eq!(row("kk", false), Some([Some(2), Some(2), Some(0)]), "{overview:#}");
    outcome::nothing_lost(&village.district.hub, village.district.nodes[0].id()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn light_that_fades_is_weak_then_critical_and_stays_so_until_it_is_clearly_better() {
    let village = Village::start(Some(Module::gpon(-18.0))).await.unwrap();
    let judged = |state: &'static str, dbm: f64| {
        move |board: &serde_json::Value| {
            let cage = &board["cages"][0];
            let measured = cage["rx_power"]["value"].as_f64().unwrap_or(f64::NAN);
            cage["judgement"]["state"] == state && (measured - dbm).abs() < 0.3
        }
    };
    let view = village.until("good light", A_MINUTE_LATER, judged("good", -18.0)).await.unwrap();
    assert_eq!(view["cages"][0]["module"]["vendor"], "SIMULASI", "{view:#}");
    // The module's own limits: weak below -27, critical below -28.
    village.board.set_rx_power(-27.5).await.unwrap();
    village.until("weak light", A_MINUTE_LATER, judged("weak", -27.5)).await.unwrap();
    village.board.set_rx_power(-29.0).await.unwrap();
    village.until("critical light", A_MINUTE_LATER, judged("critical", -29.0)).await.unwrap();
    village.board.set_rx_power(-27.5).await.unwrap();
    village.until("critical light still", A_MINUTE_LATER, judged("critical", -27.5)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_word_of_a_board_whose_supply_goes_is_in_the_room() {
    let mut village = Village::start(None).await.unwrap();
    village.until("mains", SOON, |board| board["power"]["condition"] == "mains").await.unwrap();
    village.board.set_power_good(false).await.unwrap();
    // As long as a capacitor of some 1,000 microfarads carries a board.
    village.board.let_pass(50).await.unwrap();
    village.board.kill();
    wait::until("the gasp", SOON, || async {
        let (rows, _) = village.district.hub.rows("/api/v1/events", None).await.ok()?;
        rows.iter().any(|row| row["kind"] == "power" && row["detail"] == "condition=dying_gasp").then_some(())
    })
    .await
    .unwrap();
    village.until("an unplugged board", SOON, |board| board["condition"] == "unplugged").await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_from_the_hub_switches_the_relay_and_its_result_returns() {
    let village = Village::start(None).await.unwrap();
    let hub = &village.district.hub;
    let node = village.district.nodes[0].id().to_owned();
    let path = format!("/api/v1/nodes/{node}/commands/power-cycle");
    let sent = hub.post(&path, &serde_json::json!({ "off_ms": 2_000 })).await.unwrap();
    wait::until("the load off", SOON, || async { village.board.relay_energised().await.ok()?.then_some(()) })
        .await
        .unwrap();
    wait::until("the load on", SOON, || async { (!village.board.relay_energised().await.ok()?).then_some(()) })
        .await
        .unwrap();
    let result = |id: serde_json::Value| {
        let node = node.clone();
        async move {
            wait::until("the order's result", SOON, || async {
                let view = hub.node(&node).await.ok()??;
                (view["last_command"]["id"] == id).then(|| view["last_command"].clone())
            })
            .await
            .unwrap()
        }
    };
    let done = result(sent["id"].clone()).await;
    assert_eq!(done["done"], true, "{done:#}");
    // The board's own interval: a hub that loses its mind must not pulse a village's fibre.
    let again = hub.post(&path, &serde_json::json!({ "off_ms": 2_000 })).await.unwrap();
    let refused = result(again["id"].clone()).await;
    assert_eq!(refused["done"], false, "{refused:#}");
    assert!(refused["detail"].as_str().unwrap().contains("too soon"), "{refused:#}");
    assert!(!village.board.relay_energised().await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn boards_and_agents_that_are_killed_while_people_press_neither_lose_nor_double_a_count() {
    const KILLS: usize = 12;
    let seed = std::env::var("SIMPUL_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(20_261_124);
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let mut village = Village::start(None).await.unwrap();
    let (mut whole, mut begun, mut shown) = (0i64, 0i64, 0i64);
    for _ in 0..KILLS {
        for _ in 0..random.random_range(1..8) {
            begun += 1;
            village.board.press(0, SHORT).await.unwrap();
            whole += 1;
        }
        if random.random_ratio(1, 3) {
            village.district.nodes[0].kill();
            village.board.press(0, SHORT).await.unwrap();
            begun += 1;
            whole += 1;
            village.district.nodes[0].start().await.unwrap();
        } else {
            // In the middle of a press or of what follows it.
            begun += 1;
            village.board.set_button(0, true).await.unwrap();
            village.board.let_pass(random.random_range(20..90)).await.unwrap();
            village.board.set_button(0, false).await.unwrap();
            village.board.let_pass(random.random_range(1..60)).await.unwrap();
            village.board.kill();
            village.board.power_on().await.unwrap();
            // A button that is down when the board first looks counts nothing: nobody saw that press begin.
            village.board.let_pass(100).await.unwrap();
        }
        let now = counted(&village, "ktp").await;
        assert!(now >= shown, "seed {seed}: {now} after {shown}");
        shown = now;
    }
    // One more, so that what was on its way is settled: totals come in order.
    village.board.press(0, SHORT).await.unwrap();
    (begun, whole) = (begun + 1, whole + 1);
    let last = std::sync::Mutex::new(String::new());
    let settled = wait::until("the board's own total at the hub", SOON, || async {
        let output = village.district.nodes[0].command(&["board", "status", "--json"]).await.ok()?;
        let status: serde_json::Value = serde_json::from_str(&output).ok()?;
        let (total, shown) = (status["desks"][0]["short"].as_i64()?, counted(&village, "ktp").await);
        *last.lock().unwrap() = format!("{whole} whole presses of {begun}, {shown} at the hub, the board: {status}");
        (total >= whole && shown == total).then_some(total)
    });
    let total = settled.await.unwrap_or_else(|error| panic!("seed {seed}: {error}: {}", last.lock().unwrap()));
    println!("{KILLS} kills: {whole} whole presses, {begun} begun, {total} counted");
    assert!((whole..=begun).contains(&total), "seed {seed}: {total} of {whole} to {begun}");
    outcome::nothing_lost(&village.district.hub, village.district.nodes[0].id()).await.unwrap();
}
