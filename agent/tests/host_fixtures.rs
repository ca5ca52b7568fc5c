//! The machine's readings from trees of files: right values, and reasons where there is none.
#![allow(clippy::unwrap_used, reason = "tests")]

mod fake;

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use fake::{DEADLINE, FakeSink};
use simpul_agent::config::HostConfig;
use simpul_agent::sources::host::{Machine, run};
use simpul_agent::spool::NewRecord;
use simpul_agent::stamper::Stamper;
use simpul_clock::Clock;
use simpul_wire::Missing;
use simpul_wire::event::{EventBody, PowerCondition};
use simpul_wire::reading::{ReadingBlock, Value};
use tokio::sync::watch;

fn write(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

/// A Raspberry Pi whose spool lies on a partition of its card.
fn raspberry(root: &Path) {
    write(root, "proc/stat", "cpu  100 0 100 700 100 0 0 0 0 0\ncpu0 100 0 100 700 100 0 0 0 0 0\nintr 5\n");
    write(root, "proc/meminfo", "MemTotal:        1000 kB\nMemFree: 10 kB\nMemAvailable:    250 kB\n");
    write(root, "proc/net/route", "Iface\tDestination\tGateway\neth0\t0000A8C0\t0\neth0\t00000000\t0100A8C0\n");
    write(root, "sys/class/net/eth0/statistics/rx_bytes", "123456789012\n");
    write(root, "sys/class/net/eth0/statistics/tx_bytes", "7\n");
    write(root, "sys/class/net/eth0/carrier", "1\n");
    write(root, "sys/class/thermal/thermal_zone0/temp", "48312\n");
    write(root, "sys/class/hwmon/hwmon0/name", "cpu_thermal\n");
    write(root, "sys/class/hwmon/hwmon1/name", "rpi_volt\n");
    write(root, "sys/class/hwmon/hwmon1/in0_lcrit_alarm", "0\n");
    let device = std::fs::metadata(root).unwrap().dev();
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    // As in /sys: the entry is a link into the whole device's folder.
    write(root, "sys/devices/mmcblk0/stat", "1 2 3 4 5 6 2000 8 9 10 11\n");
    write(root, "sys/devices/mmcblk0/mmcblk0p2/stat", "1 2 3 4 5 6 7 8 9 10 11\n");
    write(root, "sys/devices/mmcblk0/mmcblk0p2/partition", "2\n");
    std::fs::create_dir_all(root.join("sys/dev/block")).unwrap();
    let entry = root.join(format!("sys/dev/block/{major}:{minor}"));
    std::os::unix::fs::symlink(root.join("sys/devices/mmcblk0/mmcblk0p2"), entry).unwrap();
    std::fs::create_dir_all(root.join("spool")).unwrap();
}

/// The block of two samples, 10 s apart; `between` changes the machine.
async fn sampled(root: &Path, between: impl FnOnce()) -> (ReadingBlock, Vec<NewRecord>) {
    let machine = Machine {
        proc: root.join("proc"),
        sys: root.join("sys"),
        spool: root.join("spool"),
        state: root.join("state"),
    };
    let (sink, clock) = (FakeSink::new(), Clock::held(1_700_000_000_000));
    let (stop, shutdown) = watch::channel(false);
    let stamper = Stamper::new(1, clock.clone());
    let config = HostConfig { interval: Duration::from_millis(20) };
    let (own_sink, own_clock) = (sink.clone(), clock.clone());
    let task = tokio::spawn(async move { run(&config, machine, own_sink, stamper, own_clock, shutdown).await });
    // The probe's file says that the first sample was taken.
    let deadline = tokio::time::Instant::now() + DEADLINE;
    while !root.join("state/sync-probe").exists() && root.join("spool").exists() {
        assert!(tokio::time::Instant::now() < deadline, "no sample");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    between();
    // Time stands still but for here.
    first_block(&sink, &clock, Duration::from_millis(500)).await;
    stop.send_replace(true);
    tokio::time::timeout(DEADLINE, task).await.expect("it stops").unwrap();
    let records = sink.records();
    let block = records.iter().find_map(|record| match record {
        NewRecord::Readings(block) => Some(block.clone()),
        _ => None,
    });
    (block.unwrap(), records)
}

/// Let time pass in steps until the minute is over.
async fn first_block(sink: &FakeSink, clock: &Clock, step: Duration) {
    let deadline = tokio::time::Instant::now() + DEADLINE;
    while !sink.records().iter().any(|record| matches!(record, NewRecord::Readings(_))) {
        assert!(tokio::time::Instant::now() < deadline, "no block");
        clock.advance(step);
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

fn values(block: &ReadingBlock) -> BTreeMap<&str, Vec<Value>> {
    let series = block.series.iter();
    series.map(|series| (series.metric.as_str(), series.points.iter().map(|point| point.value).collect())).collect()
}

#[tokio::test]
async fn a_raspberry_is_read_whole() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    raspberry(root);
    let (block, records) = sampled(root, || {
        write(root, "proc/stat", "cpu  130 0 110 740 120 0 0 0 0 0\n");
        write(root, "sys/class/hwmon/hwmon1/in0_lcrit_alarm", "1\n");
    })
    .await;
    let values = values(&block);
    let number = Value::Number;
    assert_eq!(values["cpu_used"][..2], [Value::Missing(Missing::NotYet), number(40.0)]);
    assert_eq!(values["memory_used"][0], number(75.0));
    assert_eq!(values["card_written"][0], number(2_000.0 * 512.0));
    assert_eq!(values["temperature"][0], number(48.3));
    assert_eq!(values["undervoltage"][..2], [number(0.0), number(1.0)]);
    assert_eq!(values["link_received"][0], number(123_456_789_012.0));
    assert_eq!((values["link_sent"][0], values["link_carrier"][0]), (number(7.0), number(1.0)));
    assert!(matches!(values["disk_free"][0], Value::Number(free) if free > 0.0));
    assert_eq!(values["card_sync"].len(), 1, "measured at a low rate");
    assert!(matches!(values["card_sync"][0], Value::Number(milliseconds) if milliseconds >= 0.0));
    let power = records.iter().filter(|record| {
        let expected = EventBody::Power { condition: PowerCondition::Undervoltage, outage_ms: None };
        matches!(record, NewRecord::Event(event) if event.body == expected)
    });
    assert_eq!(power.count(), 1, "undervoltage is an event when it begins");
}

#[tokio::test]
async fn what_cannot_be_read_is_missing_with_its_reason_and_never_zero() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    std::fs::create_dir_all(root.join("spool")).unwrap();
    std::fs::create_dir_all(root.join("sys/class/hwmon")).unwrap();
    write(root, "proc/stat", "cpu  a b c\n");
    write(root, "proc/meminfo", "MemTotal: 1000 kB\nMemAvailable: 2000 kB\n");
    write(root, "sys/class/thermal/thermal_zone0/temp", "-273000\n");
    // The probe's place is a file, so that the fsync fails.
    write(root, "state", "");
    let machine = Machine {
        proc: root.join("proc"),
        sys: root.join("sys"),
        spool: root.join("spool"),
        state: root.join("state"),
    };
    let (sink, clock) = (FakeSink::new(), Clock::held(0));
    let (stop, shutdown) = watch::channel(false);
    let stamper = Stamper::new(1, clock.clone());
    let config = HostConfig { interval: Duration::from_millis(20) };
    let (own_sink, own_clock) = (sink.clone(), clock.clone());
    let task = tokio::spawn(async move { run(&config, machine, own_sink, stamper, own_clock, shutdown).await });
    first_block(&sink, &clock, Duration::from_millis(500)).await;
    stop.send_replace(true);
    tokio::time::timeout(DEADLINE, task).await.expect("it stops").unwrap();
    let NewRecord::Readings(block) = &sink.records()[0] else { panic!() };
    let values = values(block);
    for (metric, reason) in [
        ("cpu_used", Missing::Unreadable),
        ("memory_used", Missing::OutOfRange),
        ("card_written", Missing::NotSupported),
        ("card_sync", Missing::Unreadable),
        ("temperature", Missing::OutOfRange),
        ("undervoltage", Missing::NotSupported),
        ("link_received", Missing::NotYet),
        ("link_carrier", Missing::NotYet),
    ] {
        let found = &values[metric];
        assert!(found.iter().all(|value| *value == Value::Missing(reason)), "{metric}: {found:?}");
    }
}

#[tokio::test]
async fn this_machine_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let machine = Machine::this(folder.path(), folder.path());
    let (sink, clock) = (FakeSink::new(), Clock::machine());
    let (stop, shutdown) = watch::channel(false);
    let stamper = Stamper::new(1, clock.clone());
    let config = HostConfig { interval: Duration::from_millis(50) };
    let own_sink = sink.clone();
    let task = tokio::spawn(async move { run(&config, machine, own_sink, stamper, clock, shutdown).await });
    let deadline = tokio::time::Instant::now() + DEADLINE;
    while !folder.path().join("sync-probe").exists() {
        assert!(tokio::time::Instant::now() < deadline, "no sample");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    // A stop in order keeps the open minute.
    stop.send_replace(true);
    tokio::time::timeout(DEADLINE, task).await.expect("it stops").unwrap();
    let NewRecord::Readings(block) = &sink.records()[0] else { panic!() };
    let values = values(block);
    assert!(matches!(values["memory_used"][0], Value::Number(used) if used > 0.0 && used < 100.0));
    assert_eq!(values["cpu_used"][0], Value::Missing(Missing::NotYet));
}
