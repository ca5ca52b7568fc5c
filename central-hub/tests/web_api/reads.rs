//! What the API says: ages, coverage, unknown that is not zero, pages, export.

use std::sync::atomic::Ordering;
use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::fake::NOW_MS;
use super::hub::Hub;

#[tokio::test]
async fn the_overview_shows_every_node_with_state_and_age() {
    let hub = Hub::open().await;
    let (status, overview) = hub.get("/api/v1/overview").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(overview["today_start_ms"], NOW_MS - (5 * 3_600 + 13 * 60 + 20) * 1_000);
    let nodes = overview["nodes"].as_array().unwrap();
    let seen: Vec<_> = nodes.iter().map(|node| (&node["id"], &node["liveness"], &node["age_s"])).collect();
    let (live, never) = (json!("live"), json!("never"));
    let (first, second) = (json!("35.12.07.2003-01"), json!("35.12.07.2004-01"));
    assert_eq!(seen, [(&first, &live, &json!(5)), (&second, &never, &Value::Null)]);
}

#[tokio::test]
async fn unknown_is_null_and_not_zero() {
    let hub = Hub::open().await;
    let never = hub.get("/api/v1/nodes/35.12.07.2004-01").await.1;
    for field in ["last_heard_ms", "age_s", "interval_s", "version", "epoch", "last_event", "fibre_cut"] {
        assert_eq!(never[field], Value::Null, "{field}");
    }
    assert_eq!(never["streams"][0]["backlog_records"], Value::Null);
    let node = hub.get("/api/v1/nodes/35.12.07.2003-01").await.1;
    let (dark, lit) = (&node["readings"][0], &node["readings"][1]);
    assert_eq!((&dark["value"], &dark["missing"]), (&Value::Null, &json!("no light")));
    assert_eq!((&lit["value"], &lit["missing"]), (&json!(0.0), &Value::Null));
}

#[tokio::test]
async fn a_node_goes_late_and_silent_as_time_passes_without_a_word() {
    let hub = Hub::open().await;
    for (advance_s, expected) in [(0, "live"), (60, "late"), (90, "silent")] {
        hub.clock.advance(Duration::from_secs(advance_s));
        let node = hub.get("/api/v1/nodes/35.12.07.2003-01").await.1;
        assert_eq!(node["liveness"], expected);
    }
}

#[tokio::test]
async fn losses_backlog_and_camera_conditions_are_visible() {
    let hub = Hub::open().await;
    let node = hub.get("/api/v1/nodes/35.12.07.2003-01").await.1;
    let service = node["streams"].as_array().unwrap().iter().find(|stream| stream["stream"] == "service").unwrap();
    assert_eq!((&service["have_records"], &service["backlog_records"]), (&json!(7), &json!(4)));
    assert_eq!(service["lost_records"], 3);
    assert_eq!(service["losses"][0]["reason"], "damaged");
    let cameras: Vec<_> =
        node["cameras"].as_array().unwrap().iter().map(|camera| (&camera["camera"], &camera["condition"])).collect();
    assert_eq!(cameras, [(&json!("front"), &Value::Null), (&json!("gate"), &json!("frozen"))]);
    assert_eq!(node["last_event"]["detail"], "camera=gate condition=frozen");
}

#[tokio::test]
async fn simulated_counts_stand_apart_and_carry_coverage_and_source() {
    let hub = Hub::open().await;
    let services = hub.get("/api/v1/overview").await.1["services"].clone();
    let seen: Vec<_> = services.as_array().unwrap().iter().map(|row| (&row["simulated"], &row["counted"])).collect();
    assert_eq!(seen, [(&json!(false), &json!(5)), (&json!(true), &json!(5))]);
    assert_eq!((&services[0]["nodes_live"], &services[0]["nodes_total"]), (&json!(1), &json!(1)));
    assert_eq!(services[0]["backlog_records"], 4);
    assert_eq!(services[0]["nodes"], json!(["35.12.07.2003-01"]));
}

#[tokio::test]
async fn what_waits_in_a_village_is_unknown_while_its_node_does_not_speak() {
    let hub = Hub::open().await;
    hub.clock.advance(Duration::from_secs(150));
    let overview = hub.get("/api/v1/overview").await.1;
    assert_eq!(overview["nodes"][0]["liveness"], "silent");
    assert_eq!(overview["services"][0]["counted"], 5);
    assert_eq!(overview["services"][0]["backlog_records"], Value::Null);
}

#[tokio::test]
async fn a_browser_that_understands_zstd_gets_the_overview_packed() {
    let hub = Hub::open().await;
    let plain = hub.request(Method::GET, "/api/v1/overview").header("accept-encoding", "gzip, zstd;q=0");
    let plain = plain.send().await.unwrap();
    assert!(plain.headers().get("content-encoding").is_none());
    let plain = plain.bytes().await.unwrap();
    let packed = hub.request(Method::GET, "/api/v1/overview").header("accept-encoding", "gzip, zstd");
    let packed = packed.send().await.unwrap();
    assert_eq!(
        (&packed.headers()["content-encoding"], &packed.headers()["vary"]),
        (&"zstd".parse().unwrap(), &"accept-encoding".parse().unwrap())
    );
    let packed = packed.bytes().await.unwrap();
    assert!(packed.len() < plain.len() / 2, "{} of {}", packed.len(), plain.len());
    let mut unpacked = vec![0; plain.len()];
    zstd_safe::decompress(unpacked.as_mut_slice(), &packed).unwrap();
    assert_eq!(unpacked, plain);
}

#[tokio::test]
async fn many_walls_share_one_read_a_second() {
    let hub = Hub::open().await;
    let ask = || async { hub.get("/api/v1/overview").await.0 };
    let answers = futures_util::future::join_all((0..20).map(|_| ask())).await;
    assert!(answers.iter().all(|status| *status == StatusCode::OK));
    assert_eq!(hub.store.overview_reads.load(Ordering::SeqCst), 1);
    hub.clock.advance(Duration::from_secs(1));
    ask().await;
    assert_eq!(hub.store.overview_reads.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn pages_follow_one_another_without_a_gap_in_both_orders() {
    let hub = Hub::open().await;
    for (order, expected) in [("oldest_first", [1, 2, 3, 4, 5, 6, 7]), ("newest_first", [7, 6, 5, 4, 3, 2, 1])] {
        let (mut ids, mut cursor) = (Vec::new(), String::new());
        loop {
            let path = format!("/api/v1/service-records?node=35.12.07.2003-01&limit=3&order={order}{cursor}");
            let page = hub.get(&path).await.1;
            ids.extend(page["rows"].as_array().unwrap().iter().map(|row| row["id"].as_i64().unwrap()));
            match page["next_cursor"].as_i64() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        assert_eq!(ids, expected, "{order}");
    }
    assert_eq!(hub.get("/api/v1/service-records?node=other").await.1, json!({ "rows": [], "next_cursor": null }));
}

#[tokio::test]
async fn a_span_without_a_value_has_no_mean() {
    let hub = Hub::open().await;
    let path = "/api/v1/readings?node=35.12.07.2003-01&metric=optics.0.rx_power&step=hour&from_ms=0&to_ms=3600000";
    let series = hub.get(path).await.1;
    assert_eq!((&series["unit"], &series["step_s"]), (&json!("dBm"), &json!(3_600)));
    assert_eq!(series["points"][0]["mean"], 2.0);
    let dark = json!({ "at_ms": 0, "min": null, "mean": null, "max": null, "count": 0, "missing": 5 });
    assert_eq!(series["points"][1], dark);
}

#[tokio::test]
async fn auditors_see_ranges_and_losses_of_every_stream() {
    let hub = Hub::open().await;
    let streams = hub.get("/api/v1/streams?node=35.12.07.2003-01").await.1;
    let have = json!([{ "first_seq": 0, "last_seq": 2 }, { "first_seq": 6, "last_seq": 9 }]);
    assert_eq!(streams[0]["have"], have);
    assert_eq!((&streams[0]["have_records"], &streams[0]["lost_records"]), (&json!(7), &json!(3)));
    assert_eq!(hub.get("/api/v1/streams?node=other").await.1, json!([]));
    assert_eq!(hub.get("/api/v1/aside?limit=1").await.1[0]["reason"], "malformed");
    let latest = hub.get("/api/v1/readings/latest").await.1;
    assert_eq!(latest[0]["readings"][0]["metric"], "optics.0.rx_power");
}

#[tokio::test]
async fn the_export_has_every_record_and_no_formulas() {
    let hub = Hub::open().await;
    let response = hub.request(Method::GET, "/api/v1/service-records.csv").send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/csv; charset=utf-8; header=present");
    let text = response.text().await.unwrap();
    let lines: Vec<&str> = text.split_terminator("\r\n").collect();
    assert_eq!(lines.len(), 8);
    let expected = "1,35.12.07.2003-01,abababababababababababababababab,1,key-1,2023-11-15T05:13:20+07:00,1700000000001,\
                    clock,1700000000000,api,false,visit,ktp,,,,\"'=A,1\",60,,no show";
    assert_eq!(lines[1], expected);
}
