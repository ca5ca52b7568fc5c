//! The exact bytes and numbers of version 1. A change that turns one of these red breaks fleets in the field: add a new
//! field or variant with a new number instead.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use simpul_wire::ack::*;
use simpul_wire::batch::{Encoding, seal, seal_image_part};
use simpul_wire::command::{Action, Command};
use simpul_wire::doctor::{Code, Finding, Report, Verdict};
use simpul_wire::enrolment::*;
use simpul_wire::error::to_vec;
use simpul_wire::event::*;
use simpul_wire::image::{ImageMeta, ImagePart};
use simpul_wire::reading::{Point, ReadingBlock, Series, Value};
use simpul_wire::service::{Origin, ServiceBody, ServiceRecord, VisitOutcome};
use simpul_wire::state::{AgentState, StreamState};
use simpul_wire::update::*;
use simpul_wire::*;

const EPOCH: Epoch = Epoch::from_bytes([0xe0; 16]);
const GENERATION: Generation = Generation::from_bytes([0x9e; 16]);
const STAMP: Stamp = Stamp { boot: 3, uptime_ms: 61_000, wall_ms: Some(1_795_000_000_000) };

fn node() -> NodeId {
    "35.12.07.2003-01".parse().unwrap()
}

fn text<const MAX: usize>(text: &str) -> label::BoundedText<MAX> {
    text.parse().unwrap()
}

fn check(bytes: Vec<u8>, expected: &str) {
    assert_eq!(hex::encode(bytes), expected);
}

fn event(body: EventBody) -> Vec<u8> {
    to_vec(&EventRecord { stamp: STAMP, body })
}

#[test]
fn a_count() {
    let record = ServiceRecord {
        stamp: STAMP,
        key: text("k-1"),
        origin: Origin::Api,
        simulated: true,
        body: ServiceBody::Count { service: text("ktp"), desk: Some(text("2")), delta: -1, total: Some(17) },
    };
    check(to_vec(&record), "a500830319ee481b000001a1ee565e0001636b2d31020103f5048201a400636b747001613202200311");
}

#[test]
fn a_visit() {
    let record = ServiceRecord {
        stamp: Stamp { wall_ms: None, ..STAMP },
        key: text("k-2"),
        origin: Origin::Board,
        simulated: false,
        body: ServiceBody::Visit {
            service: text("kk"),
            desk: None,
            ticket: Some(text("A012")),
            waited_s: Some(300),
            served_s: None,
            outcome: VisitOutcome::NoShow,
        },
    };
    check(to_vec(&record), "a500820319ee4801636b2d32020203f4048202a400626b6b0264413031320319012c0502");
}

#[test]
fn events() {
    check(
        event(EventBody::ClockAnchor { wall_ms: 1_795_000_000_000, error_ms: 20 }),
        "a200830319ee481b000001a1ee565e00018201a2001b000001a1ee565e000114",
    );
    let loss = Loss {
        epoch: EPOCH,
        stream: Stream::Snapshot,
        range: SeqRange::new(7, 9).unwrap(),
        reason: LossReason::Evicted,
    };
    check(
        event(EventBody::Loss(loss)),
        "a200830319ee481b000001a1ee565e0001820281a40050e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e00104028207020302",
    );
    check(
        event(EventBody::Started { version: text("0.1.0"), clean: false, new_boot: true }),
        "a200830319ee481b000001a1ee565e00018203a30065302e312e3001f402f5",
    );
    check(event(EventBody::Stopping {}), "a200830319ee481b000001a1ee565e00018204a0");
    let camera = EventBody::Camera { camera: text("halaman"), condition: CameraCondition::Frozen, detail: text("5 x") };
    check(event(camera), "a200830319ee481b000001a1ee565e00018205a3006768616c616d616e01050263352078");
    let spool =
        EventBody::Spool { condition: SpoolCondition::AtLimit, stream: Some(Stream::Service), detail: text("64 MiB") };
    check(event(spool), "a200830319ee481b000001a1ee565e00018206a30004010102663634204d6942");
    check(
        event(EventBody::Link { up: true, detail: text("hub") }),
        "a200830319ee481b000001a1ee565e00018207a200f50163687562",
    );
    check(
        event(EventBody::Power { condition: PowerCondition::DyingGasp, outage_ms: None }),
        "a200830319ee481b000001a1ee565e00018208a10003",
    );
    check(
        event(EventBody::CommandResult { id: [5; 16], done: true, detail: text("ok") }),
        "a200830319ee481b000001a1ee565e00018209a300500505050505050505050505050505050501f502626f6b",
    );
    check(
        event(EventBody::Power { condition: PowerCondition::Mains, outage_ms: Some(61_000) }),
        "a200830319ee481b000001a1ee565e00018208a200010119ee48",
    );
    check(
        event(EventBody::Board {
            serial: Some(text("e6614103e7452d2f")),
            condition: BoardCondition::Silent,
            detail: text("30 s"),
        }),
        "a200830319ee481b000001a1ee565e0001820aa30070653636313431303365373435326432660102026433302073",
    );
    check(
        event(EventBody::BoardStarted {
            serial: text("e6614103e7452d2f"),
            boot: 7,
            reset: BoardReset::Watchdog,
            version: text("0.1.0 pico"),
        }),
        "a200830319ee481b000001a1ee565e0001820ba400706536363134313033653734353264326601070203036a302e312e30207069636f",
    );
    check(
        event(EventBody::Site {
            act: SiteAct::Looked,
            camera: Some(text("gate")),
            who: text("10.0.0.7"),
            detail: text("12"),
        }),
        "a200830319ee481b000001a1ee565e00018211a40003016467617465026831302e302e302e3703623132",
    );
    check(event(EventBody::Tamper { open: true }), "a200830319ee481b000001a1ee565e0001820ca100f5");
    check(
        event(EventBody::ButtonStuck { desk: text("1"), stuck: true }),
        "a200830319ee481b000001a1ee565e0001820da200613101f5",
    );
    let limits = OpticsLimits {
        low_alarm_cdbm: -2_900,
        low_warning_cdbm: -2_700,
        high_warning_cdbm: -800,
        high_alarm_cdbm: -600,
    };
    let module = OpticsModule {
        vendor: text("ACME"),
        part: text("GE-BX-D"),
        serial: text("X1"),
        wavelength_nm: 1_490,
        measures: true,
        receive_limits: Some(limits),
    };
    check(
        event(EventBody::Optics { cage: 0, module: Some(module), missing: None }),
        "a200830319ee481b000001a1ee565e0001820ea2000001a6006441434d45016747452d42582d4402625831031905d204f505a400390b5301390a8b0239031f03390257",
    );
    check(
        event(EventBody::Optics { cage: 1, module: None, missing: Some(Missing::NoModule) }),
        "a200830319ee481b000001a1ee565e0001820ea200010205",
    );
}

#[test]
fn a_block_of_readings() {
    let points = [Value::Number(21.37), Value::Missing(Missing::Timeout), Value::Number(21.4)];
    let points = points.into_iter().zip([61_000, 71_000, 81_000]).map(|(value, uptime_ms)| Point { uptime_ms, value });
    let raw = Point { uptime_ms: 61_500, value: Value::Number(core::f64::consts::PI) };
    let block = ReadingBlock {
        base: STAMP,
        series: vec![
            Series { metric: text("temperature"), unit: Unit::Celsius, points: points.collect() },
            Series { metric: text("humidity"), unit: Unit::DecibelMilliwatts, points: vec![raw] },
        ],
    };
    check(
        block.to_vec(),
        "82830319ee481b000001a1ee565e0082870503034500a09c01000243b22106420103866868756d6964697479060142e80718ff48182d4454fb210940",
    );
}

#[test]
fn a_batch_with_its_checksum() {
    let record = event(EventBody::Stopping {});
    check(
        seal(&node(), EPOCH, Stream::Event, SeqRange::one(300), &[record]),
        "89017033352e31322e30372e323030332d303150e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e00219012c011ae7481660015581a200830319ee481b000001a1ee565e00018204a0",
    );
}

#[test]
fn an_image_part() {
    let meta = ImageMeta {
        stamp: STAMP,
        camera: text("halaman"),
        length: 5_000,
        sha256: [4; 32],
        width: 640,
        height: 480,
        dhash: u64::MAX,
        masked_percent: 3,
        changed: true,
        simulated: false,
    };
    check(
        seal_image_part(&node(), EPOCH, 8, &ImagePart { meta, offset: 100, bytes: vec![1, 2, 3] }),
        "89017033352e31322e30372e323030332d303150e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e00408011a9f8d6e8a035862a300aa00830319ee481b000001a1ee565e00016768616c616d616e02191388035820040404040404040404040404040404040404040404040404040404040404040404190280051901e0061bffffffffffffffff070308f509f40118640243010203",
    );
}

#[test]
fn what_returns_from_the_hub() {
    let have: RangeSet = [SeqRange::new(1, 9).unwrap(), SeqRange::new(12, 40).unwrap()].into_iter().collect();
    let ack = Ack {
        generation: GENERATION,
        epoch: EPOCH,
        stream: Stream::Snapshot,
        have: have.clone(),
        rejected: vec![Rejected { range: SeqRange::one(50), reason: RejectReason::BadImageHash }],
        partial: vec![PartialImage { seq: 51, missing: have.clone() }],
        slow_down_ms: 500,
    };
    check(
        Downlink::Ack(ack).to_vec(),
        "820181a700509e9e9e9e9e9e9e9e9e9e9e9e9e9e9e9e0150e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e002040384010803181c0481a2008218320001070581a20018330184010803181c061901f4",
    );
    let backed_up = vec![BackedUp { epoch: EPOCH, stream: Stream::Event, ranges: have }];
    check(
        Downlink::Hub(HubState { generation: GENERATION, backed_up, wall_ms: None }).to_vec(),
        "820281a200509e9e9e9e9e9e9e9e9e9e9e9e9e9e9e9e0181a30050e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e001020284010803181c",
    );
}

#[test]
fn an_agents_state() {
    let stream = StreamState {
        stream: Stream::Event,
        next_seq: 10,
        backlog_records: 3,
        backlog_bytes: 400,
        limit_bytes: 16 << 20,
        lost_records: 0,
        oldest_uptime_ms: Some(7),
    };
    let state = AgentState {
        online: true,
        epoch: EPOCH,
        stamp: STAMP,
        version: text("0.1.0"),
        interval_s: 30,
        generation: Some(GENERATION),
        streams: vec![stream],
        hardware: None,
        platform: None,
    };
    check(
        state.to_vec(),
        "a700f50150e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e002830319ee481b000001a1ee565e000365302e312e3004181e05509e9e9e9e9e9e9e9e9e9e9e9e9e9e9e9e0681a70002010a020303190190041a0100000005000607",
    );
}

#[test]
fn commands() {
    let camera: Label = text("halaman");
    let command = |action| Command { id: [6; 16], ttl_ms: 60_000, action }.to_vec();
    check(
        command(Action::SnapshotNow { camera: camera.clone() }),
        "a30050060606060606060606060606060606060119ea60028201a1006768616c616d616e",
    );
    check(
        command(Action::ConfirmView { camera }),
        "a30050060606060606060606060606060606060119ea60028202a1006768616c616d616e",
    );
    check(
        command(Action::PowerCycle { off_ms: 5_000 }),
        "a30050060606060606060606060606060606060119ea60028203a100191388",
    );
    check(command(Action::Examine {}), "a30050060606060606060606060606060606060119ea60028204a0");
    check(command(Action::LookForUpdates {}), "a30050060606060606060606060606060606060119ea60028205a0");
}

fn manifest() -> Manifest {
    Manifest {
        part: Part::Agent,
        version: Version { major: 0, minor: 2, patch: 300 },
        platform: text("aarch64-linux"),
        content_bytes: 2_500_000,
        content_sha256: [0xc5; 32],
        installed_bytes: 5_900_000,
        installed_sha256: [0x15; 32],
        floor: Version { major: 0, minor: 1, patch: 9 },
        downgrade: false,
    }
}

#[test]
fn a_manifest_and_what_is_signed_of_it() {
    let bytes = manifest().to_vec();
    check(
        bytes.clone(),
        "a900010183000219012c026d616172636836342d6c696e7578031a002625a0045820c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5051a005a06e00658201515151515151515151515151515151515151515151515151515151515151515078300010908f4",
    );
    assert_eq!(Manifest::from_slice(&bytes).unwrap(), manifest());
    assert_eq!(SIGNED_PREFIX, b"simpul update 1\0");
    let mut down = manifest();
    (down.part, down.platform, down.downgrade) = (Part::Board, text("rp2040"), true);
    check(
        down.to_vec(),
        "a900020183000219012c0266727032303430031a002625a0045820c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5051a005a06e00658201515151515151515151515151515151515151515151515151515151515151515078300010908f5",
    );
    // A signer of before the field: no downgrade.
    let short = [&[0xa8], &bytes[1..bytes.len() - 2]].concat();
    assert_eq!(Manifest::from_slice(&short).unwrap(), manifest());
}

#[test]
fn offers() {
    check(Offers::default().to_vec(), "a0");
    let signed = SignedManifest { manifest: vec![0xa0].into(), key_id: [0x1d; 8], signature: [0x51; 64] };
    let all = Offers {
        agent: Some(ProgramOffer { rollout: [1; 16], signed: signed.clone() }),
        board: Some(ProgramOffer { rollout: [2; 16], signed }),
        configuration: Some(ConfigurationOffer {
            rollout: [3; 16],
            revision: 7,
            content_bytes: 900,
            content_sha256: [0xc0; 32],
        }),
    };
    check(
        all.to_vec(),
        "a300a200500101010101010101010101010101010101a30041a001481d1d1d1d1d1d1d1d0258405151515151515151515151515151515151515151515151515151515151515151515151515151515151515151515151515151515151515151515151515151515101a200500202020202020202020202020202020201a30041a001481d1d1d1d1d1d1d1d0258405151515151515151515151515151515151515151515151515151515151515151515151515151515151515151515151515151515151515151515151515151515102a4005003030303030303030303030303030303010702190384035820c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0",
    );
    assert_eq!(Offers::from_slice(&all.to_vec()).unwrap(), all);
}

#[test]
fn the_steps_of_an_update() {
    let body = EventBody::Update {
        rollout: [1; 16],
        part: Part::Configuration,
        to: text("8"),
        from: text("7"),
        step: Step::RolledBack,
        detail: text("no hub"),
    };
    check(
        event(body),
        "a200830319ee481b000001a1ee565e00018210a60050010101010101010101010101010101010103026138036137040505666e6f20687562",
    );
    for (number, step) in [
        (1, Step::Fetched),
        (2, Step::Waiting),
        (3, Step::Trial),
        (4, Step::Confirmed),
        (5, Step::RolledBack),
        (6, Step::Refused),
        (7, Step::FetchFailed),
    ] {
        assert_eq!(to_vec(&step), [number]);
    }
    for (number, part) in [(1, Part::Agent), (2, Part::Board), (3, Part::Configuration)] {
        assert_eq!(to_vec(&part), [number]);
    }
}

#[test]
fn a_manifest_beyond_its_limits_is_refused() {
    let refused = |manifest: Manifest| Manifest::from_slice(&manifest.to_vec()).unwrap_err().to_string();
    let program = PROGRAM_BYTES_MAX;
    let text = refused(Manifest { content_bytes: program + 1, ..manifest() });
    assert_eq!(text, "program is too large: 16777217, limit 16777216");
    let text = refused(Manifest { installed_bytes: u32::MAX, ..manifest() });
    assert_eq!(text, "program is too large: 4294967295, limit 16777216");
    let text = refused(Manifest { part: Part::Configuration, ..manifest() });
    assert_eq!(text, "invalid: a configuration has no manifest");
    assert!(Manifest::from_slice(&Manifest { content_bytes: program, ..manifest() }.to_vec()).is_ok());
    assert!(Offers::from_slice(&[0; OFFERS_BYTES_MAX + 1]).unwrap_err().to_string().contains("offers"));
}

#[test]
fn versions_are_three_numbers_and_compared_as_numbers() {
    let version = |text: &str| text.parse::<Version>();
    assert!(version("0.10.0").unwrap() > version("0.9.65535").unwrap());
    assert_eq!(version("1.2.3").unwrap().to_string(), "1.2.3");
    for bad in ["", "1.2", "1.2.3.4", "1.2.x", "1.2.-3", "1.2.65536", "1.2.3-rc1", " 1.2.3"] {
        assert!(version(bad).is_err(), "{bad}");
    }
}

#[test]
fn an_examination() {
    let findings = vec![
        Code::HubWrongAuthority
            .finding(Verdict::Fail)
            .with_text("address", "hub:8883")
            .with("at", doctor::Value::UnixS(1_795_000_000)),
        Finding { follows: Some(105), ..Code::HubBacklog.finding(Verdict::Warn) }
            .with("records", doctor::Value::Count(12))
            .with("bytes", doctor::Value::Bytes(4_096))
            .with("age", doctor::Value::DurationMs(61_000))
            .with("supply", doctor::Value::Millivolts(11_900)),
    ];
    let report = Report::clipped(Some([7; 16]), text("0.1.0"), 1_200, findings);
    assert_eq!((report.worst(), report.omitted), (Verdict::Fail, 0));
    let event = event(EventBody::Examination { verdict: report.worst(), report: report.seal() });
    check(
        event.clone(),
        "a200830319ee481b000001a1ee565e0001820fa200030158b7a50050070707070707070707070707070707070165302e312e30021904b00382a400186901736875622e77726f6e675f617574686f7269747902030382a200676164647265737301820181686875623a38383833a200626174018205811a6afd86c0a5001872016b6875622e6261636b6c6f6702020384a200677265636f726473018202810ca20065627974657301820381191000a200636167650182048119ee48a20066737570706c7901820681192e7c0418690400",
    );
    let EventBody::Examination { report: sealed, .. } = minicbor::decode::<EventRecord>(&event).unwrap().body else {
        panic!("an examination");
    };
    assert_eq!(sealed.open().unwrap(), report);
}

#[test]
fn what_only_a_newer_agent_finds_keeps_its_number_and_its_name() {
    let newer = Finding { code: 999, id: text("roof.leaks"), ..Code::StorageGood.finding(Verdict::Warn) };
    let report = Report::clipped(None, text("9.0.0"), 1, vec![newer.clone()]).seal().open().unwrap();
    assert_eq!(&report.findings[..], &[newer]);
    assert_eq!(report.findings[0].known(), None);
}

#[test]
fn a_report_that_is_too_long_loses_its_end_and_says_how_much() {
    let long = "x".repeat(500);
    let findings: Vec<_> =
        (0..100).map(|_| Code::CameraHttp.finding(Verdict::Fail).with_text("error", &long)).collect();
    let report = Report::clipped(Some([1; 16]), text("0.1.0"), u32::MAX, findings);
    assert!(to_vec(&report).len() <= doctor::REPORT_BYTES_MAX && report.findings.len() > 20);
    assert_eq!(report.findings.len() + report.omitted as usize, 100);
    let short = vec![Code::CameraGood.finding(Verdict::Ok); 100];
    let report = Report::clipped(None, text("0.1.0"), 1, short);
    assert_eq!((report.findings.len(), report.omitted), (doctor::FINDINGS_MAX, 36));
    assert_eq!(report.seal().open().unwrap(), report);
    let mut many = to_vec(&vec![Code::CameraGood.finding(Verdict::Ok); 65]);
    assert!(minicbor::decode::<doctor::Findings>(&many).is_err());
    many = to_vec(&vec![Code::CameraGood.finding(Verdict::Ok); 64]);
    assert!(minicbor::decode::<doctor::Findings>(&many).is_ok());
    assert!(
        minicbor::decode::<doctor::SealedReport>(&to_vec(&minicbor::bytes::ByteVec::from(vec![0; 12_289]))).is_err()
    );
}

#[test]
fn topics() {
    assert_eq!(topic::Topic::Up(node(), Stream::Service).to_string(), "simpul/v1/35.12.07.2003-01/up/service");
    assert_eq!(topic::Topic::Ack(node()).to_string(), "simpul/v1/35.12.07.2003-01/ack");
    assert_eq!(topic::Topic::Command(node()).to_string(), "simpul/v1/35.12.07.2003-01/cmd");
    assert_eq!(topic::Topic::State(node()).to_string(), "simpul/v1/35.12.07.2003-01/state");
    for text in
        ["simpul/v1//ack", "simpul/v1/a/b/ack", "simpul/v1/a/up/", "simpul/v2/a/ack", "simpul/v1/+/ack", "simpul/v1/a"]
    {
        assert_eq!(topic::Topic::parse(text), None, "{text}");
    }
}

/// Every number of every enumeration, so that a new variant shows up here and an old one cannot move.
#[test]
fn numbers_never_move() {
    macro_rules! list {
        ($name:ident) => {
            $name::ALL
                .iter()
                .map(|variant| format!("{} {}", variant.number(), variant.text()))
                .collect::<Vec<_>>()
                .join(", ")
        };
    }
    assert_eq!(list!(Unit), "1 count, 2 %, 3 °C, 4 V, 5 mA, 6 dBm, 7 B, 8 B/s, 9 ms, 10 s, 11 flag, 12 nm");
    assert_eq!(
        list!(Missing),
        "1 not supported, 2 device off, 3 timeout, 4 no light, 5 no module, 6 bad checksum, 7 out of range, 8 bus stuck, \
         9 forbidden, 10 unreadable, 11 not yet, 12 no diagnostics"
    );
    assert_eq!(list!(Verdict), "1 ok, 2 warn, 3 fail, 4 unknown, 5 absent");
    assert_eq!(
        list!(Code),
        "1 storage.good, 2 storage.low, 3 storage.full, 4 storage.read_only, 5 storage.write_error, 6 \
         storage.slow, 7 storage.worn, 8 storage.unknown, 10 spool.good, 11 spool.quarantined, 12 spool.damaged, \
         13 spool.at_limit, 14 spool.lost, 15 spool.missing, 20 clock.good, 21 clock.unsynchronised, 22 \
         clock.behind, 23 clock.ahead, 30 power.good, 31 power.undervoltage, 32 power.board_low, 34 power.unknown, 35 power.absent, 40 board.good, 41 board.unplugged, 42 board.silent, 43 \
         board.boot_loader, 44 board.wrong_protocol, 45 board.journal, 46 board.noise, 47 board.impossible, 48 \
         board.refused, 49 board.unknown, 50 board.absent, 60 camera.good, 61 camera.name, 62 camera.unreachable, \
         63 camera.http, 64 camera.password, 65 camera.paused, 66 camera.login, 67 camera.no_picture, 68 \
         camera.short, 69 camera.frozen, 70 camera.black, 71 camera.view, 72 camera.secret, 73 camera.unknown, 74 \
         camera.absent, 80 network.good, 81 network.no_link, 82 network.no_address, 83 network.no_route, 84 \
         network.unknown, 90 name.good, 91 name.not_found, 92 name.timeout, 100 hub.good, 101 hub.closed, 102 \
         hub.timeout, 103 hub.unreachable, 104 hub.no_tls, 105 hub.wrong_authority, 106 hub.wrong_name, 107 \
         hub.expired, 108 hub.not_yet_valid, 109 hub.refuses_certificate, 110 hub.refuses_session, 111 \
         hub.silent, 112 hub.disconnected, 113 hub.no_acknowledgement, 114 hub.backlog, 115 hub.refuses_records, \
         116 hub.unknown, 120 certificate.good, 121 certificate.file, 122 certificate.expired, 123 \
         certificate.expires_soon, 124 certificate.not_yet_valid, 125 certificate.wrong_node, 126 \
         certificate.wrong_key, 127 certificate.wrong_authority, 140 agent.good, 141 agent.not_running, 142 \
         agent.silent, 150 check.timeout"
    );
    assert_eq!(list!(Origin), "1 api, 2 board");
    assert_eq!(list!(VisitOutcome), "1 served, 2 no show, 3 cancelled, 4 referred");
    assert_eq!(
        list!(LossReason),
        "1 unused, 2 evicted, 3 thinned, 4 damaged, 5 hub_rewound, 6 rejected, 7 replaced, 8 rolled_up"
    );
    assert_eq!(
        list!(CameraCondition),
        "1 good, 2 unreachable, 3 unauthorized, 4 bad_image, 5 frozen, 6 black, 7 view_changed"
    );
    assert_eq!(list!(SpoolCondition), "1 good, 2 quarantined, 3 disk_full, 4 at_limit, 5 new_epoch");
    assert_eq!(list!(PowerCondition), "1 mains, 2 battery, 3 dying_gasp, 4 undervoltage, 5 battery_low");
    assert_eq!(
        list!(BoardCondition),
        "1 good, 2 silent, 3 unplugged, 4 wrong_protocol, 5 boot_loader, 6 frame_too_long, 7 unknown_message, 8 bad_frame, \
         9 journal_damaged, 10 journal_failed, 11 impossible_value"
    );
    assert_eq!(list!(BoardReset), "1 power_on, 2 brownout, 3 watchdog, 4 pin, 5 software, 6 unknown");
    assert_eq!(list!(SiteAct), "1 opened, 2 refused, 3 looked, 4 masked, 5 confirmed, 6 accepted, 7 code_made");
    assert_eq!(
        list!(RejectReason),
        "1 bad_checksum, 2 unsupported, 3 malformed, 4 too_large, 5 wrong_node, 6 too_many_intervals, 7 bad_image_hash"
    );
    assert_eq!(list!(Encoding), "1 plain, 2 zstd, 3 image part");
    let metrics = metrics::KNOWN.iter().map(|(number, name)| format!("{number} {name}")).collect::<Vec<_>>().join(", ");
    assert_eq!(
        metrics,
        "0 cpu_used, 1 memory_used, 2 disk_free, 3 card_written, 4 card_sync, 5 temperature, 6 undervoltage, \
         7 link_received, 8 link_sent, 9 link_carrier, 10 supply_voltage, 11 battery_voltage, 12 optics.0.rx_power, \
         13 optics.0.tx_power, 14 optics.0.tx_bias, 15 optics.0.temperature, 16 optics.0.supply, 17 optics.1.rx_power, \
         18 optics.1.tx_power, 19 optics.1.tx_bias, 20 optics.1.temperature, 21 optics.1.supply"
    );
    let streams = Stream::ALL.map(|stream| format!("{} {stream}", stream.number()));
    assert_eq!(streams, ["2 event", "1 service", "3 reading", "4 snapshot"]);
}

#[test]
fn a_field_of_a_later_version_is_skipped() {
    // The count above with a field 9 (text) in the record's map, as a newer agent might send it.
    let mut bytes = to_vec(&ServiceRecord {
        stamp: STAMP,
        key: text("k"),
        origin: Origin::Api,
        simulated: false,
        body: ServiceBody::Count { service: text("ktp"), desk: None, delta: 1, total: None },
    });
    let fields = bytes[0];
    assert_eq!(fields & 0xe0, 0xa0, "a map");
    bytes[0] = fields + 1;
    bytes.extend([0x09, 0x62, b'h', b'i']);
    let decoded: ServiceRecord = minicbor::decode(&bytes).unwrap();
    assert_eq!(decoded.key, text("k"));
}

#[test]
fn a_kind_of_a_later_version_is_unsupported_not_malformed() {
    let unknown = to_vec(&Command { id: [6; 16], ttl_ms: 1, action: Action::SnapshotNow { camera: text("a") } });
    let at = unknown.len() - 5;
    let mut bytes = unknown;
    assert_eq!(bytes[at], 1, "the action's number");
    bytes[at] = 23;
    assert!(matches!(Command::from_slice(&bytes), Err(WireError::Unsupported(_))));
}

fn token() -> EnrolmentToken {
    EnrolmentToken {
        node: node(),
        secret: Secret::from_bytes([0x5e; 16]),
        authority: [0xca; 32],
        addresses: vec![text("hub.example:8884"), text("192.0.2.7:8884")],
        expires_s: 1_796_000_000,
    }
}

#[test]
fn an_enrolment_token() {
    let carried = "simpul101rdb980e0skabhh68q30dse68r30csd60rg2m2ybsf5wqjybsf5wqjybsf5wqjy09c21jpasb5cnjpasb5cnjpasb5cnjpasb5cnjpasb5cnjpasb5cnjpa0e170t3nc8q6ay31dnr6rs9t70w3gd3e64wk4bhg5rs2wdst70w3gd0439ngsj80fbqex68";
    assert_eq!(token().to_string(), carried);
    assert_eq!(carried.parse(), Ok(token()));
}

fn laptop() -> Laptop {
    "budi/thinkpad".parse().unwrap()
}

#[test]
fn a_technicians_token_and_login() {
    let token = TechnicianToken {
        technician: laptop().technician,
        secret: token().secret,
        authority: [0xca; 32],
        addresses: vec![text("hub.example:8884")],
        expires_s: 1_796_000_000,
    };
    let carried = "simpult101az1981a1f5wqjybsf5wqjybsf5wqjybsf04p10sb5cnjpasb5cnjpasb5cnjpasb5cnjpasb5cnjpasb5cnjpasb5070bgd1tp4bk5f1gptw3ccmx3ge1r6g21mtrcs400as32enj6jjb6zzhg";
    assert_eq!(token.to_string(), carried);
    assert_eq!(carried.parse(), Ok(token.clone()));
    let request = LoginRequest { laptop: laptop(), secret: token.secret, request: vec![0x30, 0x00].into() };
    check(request.to_vec(), "a300a200646275646901687468696e6b70616401505e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e02423000");
    assert_eq!(LoginRequest::from_slice(&request.to_vec()), Ok(request));
}

#[test]
fn an_identity_as_it_lies_on_a_card() {
    let trust = Trust { authorities: vec![vec![0x31].into()], ..Trust::default() };
    let identity = Identity { certificate: vec![0x30].into(), validity: Validity { from_s: 1, to_s: 2 }, trust };
    let kept = KeptIdentity { node: node(), key: vec![0x33].into(), identity, token: None };
    check(
        kept.to_file(),
        "a3007033352e31322e30372e323030332d303101413302a300413001a20001010202a4008141310180028003f475e4b266",
    );
    assert_eq!(KeptIdentity::from_file(&kept.to_file()), Ok(kept.clone()));
    let mut bad = kept.to_file();
    bad[9] ^= 1;
    assert_eq!(KeptIdentity::from_file(&bad), Err(WireError::BadChecksum));
}

#[test]
fn what_a_laptop_is_told_and_what_it_signs() {
    use simpul_wire::technician::*;
    let picture =
        PictureFact { snapshot: 7, camera: text("halaman"), sha256: [0xab; 32], at_ms: 9, width: 640, height: 360 };
    let facts = NodeFacts {
        node: node(),
        seen: 5,
        now_ms: 10,
        name: text("Kantor"),
        village_code: text("35.12.07.2003"),
        village: text("Sumberanyar"),
        liveness: Liveness::Live,
        connected: Some(true),
        first_heard_ms: Some(1),
        last_heard_ms: Some(2),
        version: Some(text("0.1.0")),
        hardware: Some(text("10000000abc")),
        board: Some(text("E66")),
        reading: Some(ReadingFact { metric: text("cpu"), unit: text("%"), value: 1.5, at_ms: 3 }),
        cameras: vec![CameraFacts {
            camera: text("halaman"),
            condition: Some(text("good")),
            picture: Some(picture.clone()),
        }],
        examination: None,
        certificate_to_s: Some(4),
        refusal: Some(RefusalFact { at_ms: 6, text: text("used") }),
        utc_offset_minutes: 420,
    };
    check(
        facts.to_vec(),
        "b2007033352e31322e30372e323030332d30310105020a03664b616e746f72046d33352e31322e30372e32303033056b53756d626572616e796172060107f5080109020a65302e312e300b6b31303030303030306162630c634536360da4006363707501612502fb3ff800000000000003030e81a3006768616c616d616e0164676f6f6402a60007016768616c616d616e025820abababababababababababababababababababababababababababababababab03090419028005190168100411a20006016475736564121901a4",
    );
    assert_eq!(NodeFacts::from_slice(&facts.to_vec()), Ok(facts));
    let listed = ListedNode {
        node: node(),
        name: text("K"),
        village: text("S"),
        liveness: Liveness::Never,
        last_heard_ms: None,
    };
    check(
        NodeList { nodes: vec![listed.clone()], more: true }.to_vec(),
        "a20081a4007033352e31322e30372e323030332d303101614b026153030401f5",
    );
    let crowded = NodeList { nodes: vec![listed; LISTED_MAX + 1], more: false };
    assert!(NodeList::from_slice(&crowded.to_vec()).is_err());
    let acceptance = Acceptance {
        node: node(),
        name: text("Kantor"),
        village_code: text("35.12.07.2003"),
        village: text("Sumberanyar"),
        hardware: Some(text("10000000abc")),
        board: None,
        version: text("0.1.0"),
        first_heard_ms: 1,
        reading_ms: 3,
        pictures: vec![picture.clone()],
        verdict: Verdict::Ok,
        examined_ms: 8,
        laptop: laptop(),
        made_ms: 11,
        note: text("rak kiri"),
    };
    check(
        acceptance.to_vec(),
        "ae007033352e31322e30372e323030332d303101664b616e746f72026d33352e31322e30372e32303033036b53756d626572616e796172046b31303030303030306162630665302e312e30070108030981a60007016768616c616d616e025820abababababababababababababababababababababababababababababababab030904190280051901680a010b080ca200646275646901687468696e6b7061640d0b0e6872616b206b697269",
    );
    assert_eq!(Acceptance::from_slice(&acceptance.to_vec()), Ok(acceptance.clone()));
    let crowded = Acceptance { pictures: vec![picture; PICTURES_MAX + 1], ..acceptance };
    assert!(Acceptance::from_slice(&crowded.to_vec()).is_err());
    check(SignedAcceptance { acceptance: vec![0xa0].into(), signature: vec![0x30].into() }.to_vec(), "a20041a0014130");
    check(AcceptanceKept { number: 3, at_ms: 12 }.to_vec(), "a20003010c");
    check(
        ExaminationOrdered { id: [6; 16], ttl_ms: 30_000 }.to_vec(),
        "a200500606060606060606060606060606060601197530",
    );
    check(IssuedToken { text: "simpul1x".into(), expires_s: 13 }.to_vec(), "a2006873696d70756c3178010d");
}

#[test]
fn requests_and_answers_of_the_enrolment_api() {
    let request = EnrolRequest { node: node(), secret: token().secret, request: vec![0x30, 0x00].into() };
    check(request.to_vec(), "a3007033352e31322e30372e323030332d303101505e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e02423000");
    check(RenewRequest { request: vec![0x30, 0x00].into() }.to_vec(), "a100423000");
    let trust = Trust {
        authorities: vec![vec![0x31].into(), vec![0x32].into()],
        hubs: vec![text("hub.example:8883")],
        addresses: vec![text("hub.example:8884")],
        renew: true,
        carry: None,
    };
    check(
        trust.to_vec(),
        "a40082413141320181706875622e6578616d706c653a383838330281706875622e6578616d706c653a3838383403f5",
    );
    let with_key = Trust { authorities: vec![vec![0x31].into()], carry: Some([7; 32].into()), ..Trust::default() };
    check(with_key.to_vec(), &format!("a5008141310180028003f4045820{}", "07".repeat(32)));
    let validity = Validity { from_s: 1_795_000_000, to_s: 1_829_300_800 };
    check(
        Identity { certificate: vec![0x30].into(), validity, trust }.to_vec(),
        "a300413001a2001a6afd86c0011a6d08ea4002a40082413141320181706875622e6578616d706c653a383838330281706875622e6578616d706c653a3838383403f5",
    );
    check(Refusal { reason: RefusalReason::UsedToken, text: text("used") }.to_vec(), "a20002016475736564");
}
