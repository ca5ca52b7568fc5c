//! `simpul board` against boards: the shipped image on emulated chips (rp2040js), each behind a terminal of its own and,
//! while it is in its boot loader, a folder that stands for its drive.
//!
//! An emulated drive takes its file through a named pipe: the test reads what a boot loader would be written, as it is
//! written, and can stop reading anywhere.

#![cfg(target_os = "linux")]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use simpul_testkit::board::{PicoBoard, pico_image};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};
use tokio::process::Command;

mod support;

use support::{said, shown, tool};

/// An emulator beside nine others and a compiler takes many times what a board does.
const WAIT_S: &str = "120";
/// The whole of a test.
const TEST_MAX: Duration = Duration::from_secs(400);

const FLASH: u32 = 0x1000_0000;
const ACTIVE: usize = 64 * 1024;
const HEADER_BYTES: usize = 20;

/// A build of the firmware, and the flash of a board that has it.
#[derive(Clone)]
struct Build {
    uf2: Vec<u8>,
    img: Vec<u8>,
}

impl Build {
    /// As it is shipped.
    fn shipped() -> Build {
        let read = |name: &str| fs::read(pico_image(name).expect("cargo xtask firmware")).expect("an image");
        Build { uf2: read("pico.uf2"), img: read("pico.img") }
    }

    /// The one after it, as version 9.8.7.
    fn next() -> Build {
        let img = fs::read(pico_image("pico-next.img").expect("cargo xtask test")).expect("an image");
        let mut uf2 = Build::shipped().uf2;
        let image = &img[HEADER_BYTES..];
        for block in uf2.as_chunks_mut::<512>().0 {
            let address = (word(block, 12) - FLASH) as usize;
            if address >= ACTIVE {
                let at = address - ACTIVE;
                for (index, byte) in block[32..288].iter_mut().enumerate() {
                    *byte = image.get(at + index).copied().unwrap_or(0xFF);
                }
            }
        }
        Build { uf2, img }
    }

    /// Both files in a folder; the one to name.
    fn put(&self, folder: &Path) -> PathBuf {
        fs::write(folder.join("pico.img"), &self.img).expect("a file");
        fs::write(folder.join("pico.uf2"), &self.uf2).expect("a file");
        folder.join("pico.uf2")
    }
}

fn word(block: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(block[at..at + 4].try_into().expect("four bytes"))
}

/// What a boot loader makes of a file's blocks: every one of them, each once, or nothing.
fn flashed(file: &[u8]) -> Result<Vec<u8>, String> {
    let (blocks, rest) = file.as_chunks::<512>();
    let mut written = BTreeMap::new();
    for block in blocks {
        let whole = word(block, 0) == 0x0A32_4655 && word(block, 508) == 0x0AB1_6F30 && word(block, 28) == 0xE48B_FF56;
        if !whole || word(block, 24) as usize != blocks.len() {
            return Err(format!("block {}", written.len()));
        }
        written.insert(word(block, 20), (word(block, 12), &block[32..288]));
    }
    if !rest.is_empty() || written.len() != blocks.len() {
        return Err(format!("{} of {} blocks", written.len(), blocks.len()));
    }
    let mut flash = vec![0xFF; 256 * 1024];
    for (address, bytes) in written.values() {
        let at = (address - FLASH) as usize;
        flash[at..at + 256].copy_from_slice(bytes);
    }
    Ok(flash)
}

/// A board on the bench.
struct Bench {
    folder: PathBuf,
    board: PicoBoard,
}

/// What an emulated boot loader does with its file.
#[derive(Clone, Copy, PartialEq)]
enum Loader {
    /// Takes it, takes its drive away, starts the board.
    Starts,
    /// Is unplugged in the middle.
    Unplugged,
    /// Takes it, takes its drive away, and the board is not heard again.
    Dies,
}

impl Bench {
    /// A board without power.
    fn new(folder: &Path, number: u32) -> Bench {
        let folder = folder.join(format!("board{number}"));
        let board = PicoBoard::without_power(&folder, 100 + number).expect("a board");
        Bench { folder, board }
    }

    fn port(&self) -> String {
        shown(&self.board.tty())
    }

    /// In its boot loader, as this kind of board.
    fn drive(&self, board_id: &str) -> String {
        let drive = self.folder.join("RPI-RP2");
        fs::create_dir_all(&drive).expect("a drive");
        let info = format!("UF2 Bootloader v3.0\r\nModel: Raspberry Pi RP2\r\nBoard-ID: {board_id}\r\n");
        fs::write(drive.join("INFO_UF2.TXT"), info).expect("what it says of itself");
        tool("mkfifo", &[&shown(&drive.join("simpul.uf2"))]);
        shown(&drive)
    }

    /// Running this build already.
    async fn running(mut self, build: &Build) -> Bench {
        self.board.flash(&flashed(&build.uf2).expect("a whole file")).expect("a flash");
        self.board.power_on().await.expect("the board starts");
        self
    }

    /// Be the boot loader until its file has come.
    async fn load(&mut self, loader: Loader) {
        let drive = self.folder.join("RPI-RP2");
        let pipe = drive.join("simpul.uf2");
        let take = move || -> std::io::Result<Vec<u8>> {
            let mut file = File::open(pipe)?;
            let mut bytes = Vec::new();
            if loader == Loader::Unplugged {
                file.by_ref().take(40_000).read_to_end(&mut bytes)?;
            } else {
                file.read_to_end(&mut bytes)?;
            }
            // Before the pipe is closed: so it is with a plug.
            fs::remove_dir_all(drive)?;
            Ok(bytes)
        };
        let file = tokio::task::spawn_blocking(take).await.expect("a boot loader").expect("a file");
        if loader == Loader::Starts {
            self.board.flash(&flashed(&file).expect("every block, each once")).expect("a flash");
            self.board.power_on().await.expect("the board starts");
        }
    }
}

fn board_command(arguments: &[&str]) -> Command {
    let mut all = vec!["board"];
    all.extend(arguments);
    let mut command = Command::from(support::command(&all));
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

/// The command's end: exit code, standard output, everything said on the way.
async fn ended(command: &mut Command) -> (i32, String, String) {
    let output = tokio::time::timeout(TEST_MAX, command.output()).await.expect("it ends").expect("simpul runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
}

fn row<'a>(result: &'a Value, place: &str) -> &'a Value {
    let rows = result["boards"].as_array().expect("boards");
    rows.iter().find(|row| row["place"] == place).unwrap_or_else(|| panic!("{place} in {result}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ten_boards_at_once_and_each_failure_is_its_own() {
    let folder = tempfile::tempdir().expect("a folder");
    let (old, new) = (Build::shipped(), Build::next());
    let image = new.put(folder.path());
    // 0-5 are empty, 6 is unplugged while it is written, 7 is another chip's drive, 8 never comes back, 9 has the firmware,
    // 10 runs the one before it: eleven, ten of them boards.
    let mut benches: Vec<Bench> = (0..=8).map(|number| Bench::new(folder.path(), number)).collect();
    let done = Bench::new(folder.path(), 9).running(&new).await;
    let older = Bench::new(folder.path(), 10).running(&old).await;
    let mut arguments = vec!["--image".to_owned(), shown(&image), "--no-self-test".to_owned(), "--json".to_owned()];
    let report = folder.path().join("boards.csv");
    arguments.extend(["--wait".to_owned(), WAIT_S.to_owned(), "--report".to_owned(), shown(&report)]);
    for (number, bench) in benches.iter().enumerate() {
        let id = if number == 7 { "SAMD21G18A-Feather-v0" } else { "RPI-RP2" };
        arguments.extend(["--drive".to_owned(), bench.drive(id), "--port".to_owned(), bench.port()]);
    }
    // Without drives.
    arguments.extend([&done, &older].iter().flat_map(|bench| ["--port".to_owned(), bench.port()]));
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let loaders = benches.iter_mut().enumerate().filter(|(number, _)| *number != 7).map(|(number, bench)| {
        let loader = match number {
            6 => Loader::Unplugged,
            8 => Loader::Dies,
            _ => Loader::Starts,
        };
        bench.load(loader)
    });
    let clock = simpul_clock::Clock::machine();
    let mut command = board_command(&arguments);
    let (ended, _) = tokio::join!(ended(&mut command), futures(loaders));
    println!("eleven boards in {:.1} s", clock.now().since(simpul_clock::Moment::ZERO).as_secs_f64());
    let (code, json, way) = ended;
    assert_eq!(code, 1, "{way}");
    let result: Value = serde_json::from_str(&json).unwrap_or_else(|error| panic!("{error}: {json}\n{way}"));
    let mut serials = std::collections::BTreeSet::new();
    for number in [0, 1, 2, 3, 4, 5, 9, 10] {
        let port = match number {
            9 => done.port(),
            10 => older.port(),
            number => benches[number].port(),
        };
        let row = row(&result, &port);
        let how = ["bootsel", "already", "uart"][number.saturating_sub(8)];
        assert_eq!(
            (&row["result"], &row["firmware"], &row["installed"]),
            (&"done".into(), &"9.8.7".into(), &how.into()),
            "{row}\n{way}"
        );
        assert!(serials.insert(row["serial"].to_string()), "{row}: somebody else's serial");
    }
    for (number, reason) in [
        (6, "unplugged while it was written"),
        (7, "calls itself SAMD21G18A-Feather-v0"),
        (8, "nobody answered at the port"),
    ] {
        let row = row(&result, &benches[number].port());
        assert!(row["result"] == "failed" && row["reason"].to_string().contains(reason), "{row}");
        assert_eq!(row["serial"], Value::Null, "{row}: another board's words");
    }
    // Nothing was written onto what is no Pico: its pipe has nobody at the other end.
    assert!(benches[7].folder.join("RPI-RP2/INFO_UF2.TXT").is_file());
    let csv = fs::read_to_string(&report).expect("a report");
    assert_eq!(csv.lines().count(), 12, "{csv}");
    assert_eq!(csv.lines().filter(|line| line.contains(",done,")).count(), 8, "{csv}");
    for bench in benches.iter().chain([&done, &older]) {
        assert_eq!(bench.board.log(), "");
    }
}

/// All of them, at once.
async fn futures<F: Future<Output = ()>>(all: impl Iterator<Item = F>) {
    let mut all: Vec<_> = all.map(Box::pin).collect();
    std::future::poll_fn(|context| {
        all.retain_mut(|one| one.as_mut().poll(context).is_pending());
        if all.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
}

/// The command's words on the way, as they come.
struct Way<R> {
    lines: tokio::io::Lines<BufReader<R>>,
    all: String,
}

impl<R: AsyncRead + Unpin> Way<R> {
    async fn until(&mut self, wanted: &str) {
        let found = tokio::time::timeout(TEST_MAX, async {
            while let Some(line) = self.lines.next_line().await.expect("a line") {
                self.all.push_str(&line);
                self.all.push('\n');
                if line.contains(wanted) {
                    return true;
                }
            }
            false
        });
        assert!(found.await.expect("a line in time"), "{wanted} did not come:\n{}", self.all);
    }
}

/// Run a self-test with somebody's hands.
async fn tested(
    image: &Path,
    bench: &Bench,
    more: &[&str],
    hands: impl AsyncFnOnce(&mut Way<tokio::process::ChildStderr>),
) -> (Value, String) {
    let (image, port) = (shown(image), bench.port());
    let mut arguments = vec!["--image", &image, "--port", &port, "--json"];
    arguments.extend(more);
    if !more.contains(&"--wait") {
        arguments.extend(["--wait", WAIT_S]);
    }
    let mut child = board_command(&arguments).spawn().expect("simpul runs");
    let mut way = Way { lines: BufReader::new(child.stderr.take().expect("a pipe")).lines(), all: String::new() };
    hands(&mut way).await;
    way.until("Done: ").await;
    let mut json = String::new();
    child.stdout.take().expect("a pipe").read_to_string(&mut json).await.expect("a result");
    child.wait().await.expect("it ends");
    let result: Value = serde_json::from_str(&json).unwrap_or_else(|error| panic!("{error}: {json}\n{}", way.all));
    (result["boards"][0].clone(), way.all)
}

fn verdicts(row: &Value) -> Vec<String> {
    let checks = row["checks"].as_array().expect("checks");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    checks.iter().map(|check| format!("{} {}", text(&check["what"]), text(&check["verdict"]))).collect()
}

const PRESS: Duration = Duration::from_millis(80);

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_new_board_is_started_anew_and_each_part_is_tested_once_by_hand() {
    let folder = tempfile::tempdir().expect("a folder");
    let build = Build::shipped();
    let image = build.put(folder.path());
    let bench = Bench::new(folder.path(), 0).running(&build).await;
    bench.board.set_module("light").await.expect("a module");
    let wired = ["--expect", "buttons=3,sfp,relay,tamper,supply,battery"];
    let (row, way) = tested(&image, &bench, &wired, async |way| {
        way.until("installing once more").await;
        way.until("OPEN the lid").await;
        for open in [true, false] {
            bench.board.set_lid(open).await.expect("a lid");
            bench.board.let_pass(200).await.expect("time");
        }
        way.until("PRESS button 1").await;
        bench.board.press(0, PRESS).await.expect("a press");
        // Crossed.
        way.until("PRESS button 2").await;
        bench.board.press(2, PRESS).await.expect("a press");
        way.until("PRESS button 3").await;
        bench.board.press(2, PRESS).await.expect("a press");
    })
    .await;
    let wanted = [
        "supply present",
        "battery present",
        "sfp0 present",
        "relay present",
        "tamper present",
        "button1 present",
        "button2 wrong",
        "button3 present",
    ];
    assert_eq!(verdicts(&row), wanted, "{row:#}\n{way}");
    assert!(row["checks"][6]["detail"].to_string().contains("button 3 was seen"), "{row:#}");
    assert!(row["checks"][2]["detail"].to_string().contains("SIMPUL TEST ST-1310-20 −18.2 dBm"), "{row:#}");
    assert_eq!(row["settings"]["desks"], serde_json::json!([1, 2, 3]), "{row:#}");
    assert_eq!((&row["result"], &row["installed"]), (&"failed".into(), &"already".into()), "{row:#}");
    // Once for the proof, and no more.
    assert_eq!(bench.board.let_pass(0).await.expect("a board").restarts, 1);

    // It is not new any more: no button is asked for, and nothing is wrong with that.
    let (row, way) = tested(&image, &bench, &["--expect", "buttons=3,supply"], async |_| ()).await;
    assert_eq!(verdicts(&row), ["supply present", "button1 skipped", "button2 skipped", "button3 skipped"], "{way}");
    assert_eq!(row["result"], "done", "{row:#}");
    assert!(!way.contains("PRESS"), "{way}");
    let again = ["--expect", "buttons=1", "--press-again"];
    let press = async |way: &mut Way<_>| {
        way.until("PRESS button 1").await;
        bench.board.press(0, PRESS).await.expect("a press");
    };
    let (row, way) = tested(&image, &bench, &again, press).await;
    assert_eq!(verdicts(&row), ["button1 present"], "{way}");
    assert_eq!(bench.board.let_pass(0).await.expect("a board").restarts, 1, "a known board is not started anew");
    assert_eq!(bench.board.log(), "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_is_not_there_is_told_with_its_own_reason() {
    let folder = tempfile::tempdir().expect("a folder");
    let build = Build::shipped();
    let image = build.put(folder.path());
    let bench = Bench::new(folder.path(), 0).running(&build).await;
    bench.board.set_volts(0.0, 12.6).await.expect("volts");
    for (module, reason) in [
        ("none", "no module in the cage"),
        ("dark", "there is no light"),
        ("blind", "measures nothing (no DDM)"),
        ("stuck", "SDA or SCL is held low"),
    ] {
        bench.board.set_module(module).await.expect("a module");
        let (row, way) = tested(&image, &bench, &["--expect", "sfp,supply"], async |_| ()).await;
        assert_eq!(verdicts(&row), ["supply wrong", "sfp0 wrong"], "{module}: {way}");
        assert!(row["checks"][1]["detail"].to_string().contains(reason), "{module}: {row:#}");
        assert!(row["checks"][0]["detail"].to_string().contains("not 12 V"), "{row:#}");
    }
    // Nobody opens, nobody presses; the relay was not named, so it is not switched.
    let (row, way) =
        tested(&image, &bench, &["--expect", "buttons=2,tamper", "--wait", "2", "--press-again"], async |_| ()).await;
    assert_eq!(verdicts(&row), ["tamper timeout", "button1 timeout", "button2 timeout"], "{way}");
    assert_eq!(row["result"], "failed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_wrong_pair_is_told_and_a_port_without_a_drive_is_a_board_that_runs() {
    let folder = tempfile::tempdir().expect("a folder");
    let build = Build::shipped();
    let image = shown(&build.put(folder.path()));
    let running = Bench::new(folder.path(), 0).running(&build).await;
    let mut empty = Bench::new(folder.path(), 1);
    let (drive, ports) = (empty.drive("RPI-RP2"), [running.port(), empty.port()]);
    let wrong = ["--image", &image, "--drive", &drive, "--port", &ports[0]];
    let (code, table, _) = ended(&mut board_command(&wrong)).await;
    assert!(code == 1 && table.contains("that drive is another board's"), "{table}");

    let more = ["--image", &image, "--no-self-test", "--json", "--wait", WAIT_S];
    let places = ["--drive", &drive, "--port", &ports[1], "--port", &ports[0]];
    let mut command = board_command(&[&more[..], &places].concat());
    let ((code, json, way), ()) = tokio::join!(ended(&mut command), empty.load(Loader::Starts));
    assert_eq!(code, 0, "{way}");
    let result: Value = serde_json::from_str(&json).unwrap_or_else(|error| panic!("{error}: {json}\n{way}"));
    for (place, how) in [(&ports[0], "already"), (&ports[1], "bootsel")] {
        let row = row(&result, place);
        assert_eq!((&row["result"], &row["installed"]), (&"done".into(), &how.into()), "{row}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_that_are_not_this_firmware_are_refused_before_any_board() {
    let folder = tempfile::tempdir().expect("a folder");
    let build = Build::shipped();
    build.put(folder.path());
    let bench = Bench::new(folder.path(), 0);
    let drive = bench.drive("RPI-RP2");
    let (uf2, bytes) = (folder.path().join("pico.uf2"), &build.uf2);
    let with = |at: usize, value: u32| {
        let mut file = bytes.clone();
        file[at..at + 4].copy_from_slice(&value.to_le_bytes());
        file
    };
    let elf = fs::read(pico_image("simpul-pico.elf").expect("an image")).expect("an image");
    let missing = [&bytes[..5 * 512], &bytes[6 * 512..]].concat();
    let count = (bytes.len() / 512 - 1) as u32;
    let mut renumbered = missing.clone();
    for block in renumbered.as_chunks_mut::<512>().0 {
        block[24..28].copy_from_slice(&count.to_le_bytes());
    }
    for (file, english, indonesian) in [
        (bytes[..bytes.len() - 100].to_vec(), "is not whole", "tidak utuh"),
        (bytes[..bytes.len() - 512].to_vec(), "is not whole", "tidak utuh"),
        (missing, "is not whole", "tidak utuh"),
        (renumbered, "lacks block 5", "kehilangan blok 5"),
        (with(24, 7), "it says 7 blocks", "seharusnya 7 blok"),
        (with(28, 0x1234_5678), "for another chip", "untuk cip lain"),
        (with(12, 0x2000_0000), "outside of the firmware's place", "di luar tempat firmware"),
        (with(512 + 508, 0), "damaged in block 1", "rusak di blok 1"),
        (elf, "is an ELF", "adalah ELF"),
        (Vec::new(), "is empty", "kosong"),
        (b"PK\x03\x04 a zip".to_vec(), "is no UF2 file", "bukan berkas UF2"),
        (Build::next().uf2, "not of the same build", "bukan dari pembuatan yang sama"),
    ] {
        fs::write(&uf2, file).expect("a file");
        for (language, what) in [("en", english), ("id", indonesian)] {
            let image = shown(&uf2);
            let output = support::simpul(&["board", "--image", &image, "--drive", &drive, "--language", language]);
            assert!(output.status.code() == Some(3) && said(&output).contains(what), "{what}: {}", said(&output));
        }
    }
    fs::remove_file(&uf2).expect("a file");
    fs::create_dir(&uf2).expect("a folder");
    for (arguments, code, what) in [
        (vec!["--image".to_owned(), shown(&uf2)], 3, "is a folder"),
        (vec!["--image".to_owned(), shown(&folder.path().join("none.uf2"))], 3, "cannot be read"),
        (vec!["--expect".to_owned(), "buttons=9".to_owned()], 2, "\"buttons=9\" is not known"),
    ] {
        let arguments: Vec<&str> =
            ["board", "--drive", &drive].into_iter().chain(arguments.iter().map(String::as_str)).collect();
        let output = support::simpul(&arguments);
        assert!(output.status.code() == Some(code) && said(&output).contains(what), "{what}: {}", said(&output));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_port_without_a_board_and_a_drive_without_a_port_are_told_what_to_do() {
    let folder = tempfile::tempdir().expect("a folder");
    let image = shown(&Build::shipped().put(folder.path()));
    let bench = Bench::new(folder.path(), 0);
    let port = bench.port();
    let (code, table, _) = ended(&mut board_command(&["--image", &image, "--port", &port])).await;
    assert!(code == 1 && table.contains("no board answers"), "{table}");
    let missing = shown(&folder.path().join("no port"));
    let (code, table, _) = ended(&mut board_command(&["--image", &image, "--port", &missing])).await;
    assert!(code == 1 && table.contains("the port cannot be opened"), "{table}");
    let mut bench = bench;
    let drive = bench.drive("RPI-RP2");
    let mut command = board_command(&["--image", &image, "--drive", &drive]);
    let ((code, table, _), ()) = tokio::join!(ended(&mut command), bench.load(Loader::Dies));
    assert!(code == 1 && table.contains("written, but not verified"), "{table}");
    let (code, table, way) = ended(&mut board_command(&["--image", &image, "--port", &port, "--port", &port])).await;
    assert!(code == 3 && way.contains("is named twice"), "{table}{way}");
}
