//! Reports as text, for a technician's terminal.

use std::fmt::Write;

use serde_json::Value;
use simpul_wire::board::{ImageState, UpdateBegin};

use crate::sources::board::describe;
use crate::spool::Report;
use crate::status::Status;

/// Seconds as people say them.
fn age(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

fn size(bytes: u64) -> String {
    const KIB: u64 = 1024;
    match bytes {
        0..KIB => format!("{bytes} B"),
        KIB..0x10_0000 => format!("{} KiB", bytes / KIB),
        _ => format!("{} MiB", bytes / KIB / KIB),
    }
}

/// What a running agent says.
pub fn status(status: &Status<Value>) -> String {
    let mut text = String::new();
    let link = &status.uplink;
    // Writing into a String cannot fail.
    let _ = writeln!(text, "node      {} (version {})", status.node, status.version);
    let condition = match (link.up, link.hub.is_empty()) {
        (true, _) => format!("connected to {} for {}", link.hub, age(link.since_s)),
        (false, true) => "no connection tried yet".to_string(),
        (false, false) => format!("not connected for {}; last tried {}", age(link.since_s), link.hub),
    };
    let _ = writeln!(text, "hub       {condition}");
    if let Some(error) = link.last_error.as_ref().filter(|_| !link.up) {
        let _ = writeln!(text, "          {error}");
    }
    let ack = link.last_ack_s.map_or_else(|| "none since the start".to_string(), |s| format!("{} ago", age(s)));
    let _ = writeln!(text, "last ack  {ack}");
    if let Some(rate) = link.bytes_per_second {
        let _ = writeln!(text, "link      {}/s measured", size(rate));
    }
    if status.disk_full {
        let _ = writeln!(text, "DISK FULL free space on the card; service records are still kept while there is room");
    }
    if link.refused_records > 0 {
        let _ = writeln!(text, "REFUSED   {} records by the hub; its log says why", link.refused_records);
    }
    if let Some(status) = &status.board {
        text.push_str(&board_head(status));
    }
    let _ = writeln!(text, "\n{:<10}{:>12}{:>12}{:>12}{:>10}", "stream", "waiting", "size", "limit", "lost");
    for stream in &status.streams {
        let _ = writeln!(
            text,
            "{:<10}{:>12}{:>12}{:>12}{:>10}",
            stream.stream,
            stream.backlog_records,
            size(stream.backlog_bytes),
            size(stream.limit_bytes),
            stream.lost_records,
        );
    }
    text
}

/// The board in two lines.
fn board_head(status: &Value) -> String {
    let mut text = String::new();
    let condition = status["condition"].as_str().unwrap_or("not heard yet").replace('_', " ");
    let port = status["port"].as_str().unwrap_or("no port");
    let detail = status["detail"].as_str().filter(|detail| !detail.is_empty());
    let detail = detail.map_or_else(String::new, |detail| format!(": {detail}"));
    let _ = writeln!(text, "board     {condition} ({port}){detail}");
    if let Some(board) = status["board"].as_object() {
        let heard = status["heard_ms"].as_u64();
        let heard = heard.map_or_else(|| "never".to_string(), |ms| format!("{} ago", age(ms / 1_000)));
        let _ = writeln!(
            text,
            "          {}, serial {}, last heard {heard}",
            plain(&board["version"]),
            plain(&board["serial"])
        );
    }
    if let Some(why) = status["refused"].as_str() {
        let _ = writeln!(text, "REFUSED   what the board counts cannot be kept and stays there: {why}");
    }
    text
}

/// What a running agent says of its board ([`crate::sources::board::status::BoardStatus`]).
pub fn board(status: &Value) -> String {
    let mut text = board_head(status);
    let board = &status["board"];
    if board.is_object() {
        let up = age(board["uptime_ms"].as_u64().unwrap_or_default() / 1_000);
        let reset = plain(&board["reset"]).replace('_', " ");
        let _ = writeln!(text, "start     number {}, {reset}, up {up} at its last hello", plain(&board["boot"]));
        let configured = if board["configured"] == true { "as configured" } else { "NOT AS CONFIGURED YET" };
        let _ = writeln!(text, "settings  {configured}");
        let _ = writeln!(text, "image     {}", plain(&board["image"]));
        let (here, there) = (plain(&status["frames_refused"]), plain(&board["frames_refused"]));
        let (dropped, lost) = (plain(&board["events_dropped"]), plain(&status["events_lost"]));
        let _ = writeln!(
            text,
            "faults    {here} frames refused here, {there} there; {dropped} events dropped there, {lost} here"
        );
    }
    if let Some(update) = status["update"].as_str() {
        let _ = writeln!(text, "update    {update}");
    }
    let rows = |name: &str| status[name].as_array().into_iter().flatten();
    if rows("desks").next().is_some() {
        let _ = writeln!(text, "\n{:<8}{:<24}{:>10}{:>10}", "button", "desk", "short", "long");
    }
    for desk in rows("desks") {
        let [button, name, short, long] = ["button", "name", "short", "long"].map(|key| plain(&desk[key]));
        let _ = writeln!(text, "{button:<8}{name:<24}{short:>10}{long:>10}");
    }
    if rows("readings").next().is_some() {
        let _ = writeln!(text, "\n{:<24}{:>18}", "measured", "value");
    }
    for reading in rows("readings") {
        let _ = writeln!(text, "{:<24}{:>18}", plain(&reading["metric"]), plain(&reading["value"]));
    }
    text
}

/// A value without JSON's quotes.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// What a spool's folder holds.
pub fn spool(report: &Report) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "spool     {}", report.directory.display());
    let running = if report.running { "; an agent runs on it" } else { "" };
    let closed = if report.clean { "closed in order" } else { "not closed in order" };
    let _ = writeln!(text, "state     boot {}, {closed}{running}", report.boot);
    let _ = writeln!(text, "hub       {}", report.generation.as_deref().unwrap_or("never heard"));
    let _ = writeln!(text, "images    {} files, {}", report.image_files, size(report.image_bytes));
    for name in &report.quarantined {
        let _ = writeln!(text, "DAMAGED   {name} was set aside");
    }
    for epoch in &report.epochs {
        let _ = writeln!(text, "\nepoch {}", epoch.epoch);
        let _ =
            writeln!(text, "{:<10}{:>12}{:>14}{:>10}{:>12}", "stream", "waiting", "acknowledged", "lost", "databases");
        for row in &epoch.rows {
            let _ = writeln!(
                text,
                "{:<10}{:>12}{:>14}{:>10}{:>12}",
                row.stream,
                row.owed_records,
                row.acknowledged,
                row.lost_records,
                row.databases.len(),
            );
        }
    }
    for problem in &report.problems {
        let _ = writeln!(text, "PROBLEM   {problem}");
    }
    text
}

/// What an image would do to the board that a running agent talks of; an error: it would not be sent.
pub fn image(begin: &UpdateBegin, status: Option<&Value>) -> Result<String, String> {
    let [version, hardware] = [0, 1].map(|part| {
        let firmware = describe::firmware(begin.version, begin.hardware);
        firmware.split(' ').nth(part).unwrap_or_default().to_owned()
    });
    let board = status.map(|status| &status["board"]).filter(|board| board.is_object());
    let Some(board) = board else {
        return Ok("no agent was asked that has a board: nothing can be said of where it would run".to_owned());
    };
    let runs = plain(&board["version"]);
    let crc32 = format!("{:08x}", begin.crc32);
    if runs == format!("{version} {hardware}") {
        Ok(format!("the board runs {version} already: it would not be sent"))
    } else if !runs.ends_with(&format!(" {hardware}")) {
        Err(format!("it is for {hardware}, and the board is {runs}"))
    } else if board["image"] == describe::image(ImageState::NoLoader) {
        Err("the board has no loader: update it by hand".to_owned())
    } else if board["given_back"] == crc32.as_str() {
        Err("the board gave this image back: it did not confirm itself there, and is not sent again".to_owned())
    } else {
        Ok(format!("it would be installed over {runs}, with board.firmware = its path in the configuration"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::board::status::{BoardLine, BoardStatus, DeskLine, ReadingLine};
    use crate::status::{Link, StreamLine};

    #[test]
    fn the_status_says_what_waits_and_why_there_is_no_connection() {
        let document = Status {
            node: "35.12.07.2003-01".to_string(),
            version: "0.1.0".to_string(),
            epoch: "00".to_string(),
            generation: None,
            disk_full: true,
            uplink: Link {
                up: false,
                hub: "hub:8883".to_string(),
                since_s: 7_300,
                last_ack_s: None,
                sessions: 0,
                last_error: Some("connection refused".to_string()),
                refused_records: 2,
                commands_dropped: 0,
                bytes_per_second: None,
            },
            streams: vec![StreamLine {
                stream: "service".to_string(),
                backlog_records: 12,
                backlog_bytes: 3 << 20,
                limit_bytes: 64 << 20,
                lost_records: 0,
                next_seq: 13,
            }],
            board: None,
            cameras: Vec::new(),
            clock_believed: None,
        };
        let text = status(&document);
        for part in [
            "not connected for 2 h; last tried hub:8883",
            "connection refused",
            "none since the start",
            "DISK FULL",
            "REFUSED   2 records",
            "service             12       3 MiB      64 MiB         0",
        ] {
            assert!(text.contains(part), "{part:?} is not in:\n{text}");
        }
    }

    #[test]
    fn the_board_is_shown_with_its_condition_totals_and_units() {
        let status = BoardStatus {
            port: Some("/dev/ttyACM0".to_string()),
            condition: Some("journal_damaged".to_string()),
            detail: "its totals began again".to_string(),
            board: Some(BoardLine {
                serial: "e66038b713".to_string(),
                version: "0.1.0 pico".to_string(),
                image: "confirmed".to_string(),
                given_back: None,
                boot: 7,
                reset: "power_on".to_string(),
                uptime_ms: 7_200_000,
                configured: false,
                events_dropped: 3,
                frames_refused: 1,
            }),
            readings: vec![ReadingLine { metric: "optics.0.rx_power".to_string(), value: "-18.20 dBm".to_string() }],
            desks: vec![DeskLine { button: 1, name: "ktp 1".to_string(), short: 120, long: 4 }],
            heard_ms: Some(2_500),
            frames_refused: 2,
            events_lost: 0,
            refused: Some("the service buffer is full".to_string()),
            update: Some("0.2.0 is sent, 45 %".to_string()),
            update_refused: false,
        };
        let text = board(&serde_json::to_value(&status).unwrap());
        for part in [
            "board     journal damaged (/dev/ttyACM0): its totals began again",
            "0.1.0 pico, serial e66038b713, last heard 2 s ago",
            "stays there: the service buffer is full",
            "number 7, power on, up 2 h",
            "NOT AS CONFIGURED YET",
            "image     confirmed\n",
            "update    0.2.0 is sent, 45 %\n",
            "2 frames refused here, 1 there; 3 events dropped there, 0 here",
            "1       ktp 1                          120         4",
            "optics.0.rx_power               -18.20 dBm",
        ] {
            assert!(text.contains(part), "{part:?} is not in:\n{text}");
        }
        let nothing = serde_json::to_value(BoardStatus::default()).unwrap();
        assert!(board(&nothing).starts_with("board     not heard yet (no port)"));
    }

    #[test]
    fn an_image_is_judged_by_what_the_board_runs() {
        use simpul_wire::board::Hardware;
        let begin = |hardware, version| UpdateBegin { hardware, version, image_bytes: 1, crc32: 0x0A0B_0C0D };
        let status = |state: &str, given_back: Option<&str>| serde_json::json!({"board": {"version": "0.1.0 pico", "image": state, "given_back": given_back}});
        let good = status("confirmed", Some("0a0b0c0e"));
        let said = |begin, status: &Value| image(&begin, Some(status)).map_err(|why| format!("no: {why}"));
        let (Ok(text) | Err(text)) = said(begin(Hardware::Pico, [0, 2, 0]), &good);
        assert!(text.starts_with("it would be installed over 0.1.0 pico"), "{text}");
        let (Ok(text) | Err(text)) = said(begin(Hardware::Pico, [0, 1, 0]), &good);
        assert!(text.starts_with("the board runs 0.1.0 already"), "{text}");
        let (Ok(text) | Err(text)) = said(begin(Hardware::Lm3s6965, [0, 2, 0]), &good);
        assert_eq!(text, "no: it is for lm3s6965, and the board is 0.1.0 pico");
        let (Ok(text) | Err(text)) = said(begin(Hardware::Pico, [0, 2, 0]), &status("confirmed", Some("0a0b0c0d")));
        assert!(text.starts_with("no: the board gave this image back"), "{text}");
        let by_hand = status(describe::image(ImageState::NoLoader), None);
        let (Ok(text) | Err(text)) = said(begin(Hardware::Pico, [0, 2, 0]), &by_hand);
        assert!(text.starts_with("no: the board has no loader"), "{text}");
        assert!(image(&begin(Hardware::Pico, [0, 2, 0]), None).is_ok());
    }
}
