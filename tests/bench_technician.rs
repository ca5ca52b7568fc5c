//! What a technician does from an empty card to a node that the hub shows as verified, counted in keys and seconds.
//!
//! The district's office has prepared a folder: the list of nodes, their bundles, an image. The technician types one line
//! at a terminal (here a pseudo-terminal, each key counted), answers the one question, and puts the card into the board.
//! The card is a loop device; the board's computer is an emulated machine that boots from it; the I/O board is the Pico's
//! image on an emulated chip, wired to the machine's second UART as pins 1 and 2 of a Pico are.
//!
//! Verified is: the hub's API, which its page shows, has the node live, with a session, a reading, a picture, and a good
//! I/O board. A press of the board's first button is then counted at the hub; that is not in the time.
//!
//! `cargo xtask bench technician` builds what this needs: the agent's package and the image.
#![expect(clippy::disallowed_methods, reason = "a bench measures the machine's own time")]

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use simpul_testkit::board::PicoBoard;
use simpul_testkit::process::{binary, target_directory};
use simpul_testkit::report::Report;
use simpul_testkit::terminal::Terminal;
use simpul_tests::card_office::{Office, Plan};

/// A small card.
const CARD_BYTES: u64 = 2 << 30;
/// The question comes once list, bundles and image are read.
const QUESTION_MAX: Duration = Duration::from_secs(60);
/// Writing and reading back 0.6 GB on a busy machine.
const COPY_MAX: Duration = Duration::from_secs(600);
/// From the hub's knowing the node to its board's first hello.
const BOARD_MAX: Duration = Duration::from_secs(120);
/// A press as people do it.
const HOLD: Duration = Duration::from_millis(100);
/// Besides the image's copy.
const GOAL_SECONDS: f64 = 180.0;

/// The agent is told of its board and of one desk.
const BOARD: &str =
    "[board]\nport = \"/dev/ttyS1\"\nsimulated = true\n\n[[board.desk]]\nbutton = 1\nservice = \"ktp\"\n";

/// A card in a reader: a loop device over a sparse file. Detached when dropped.
struct Card {
    device: PathBuf,
}

impl Card {
    fn insert(file: &Path) -> Result<Card> {
        File::create(file)?.set_len(CARD_BYTES)?;
        let output = Command::new("losetup").args(["--find", "--show"]).arg(file).output().context("losetup")?;
        ensure!(output.status.success(), "losetup: {}", String::from_utf8_lossy(&output.stderr));
        Ok(Card { device: PathBuf::from(String::from_utf8(output.stdout)?.trim()) })
    }
}

impl Drop for Card {
    fn drop(&mut self) {
        let _ = Command::new("losetup").arg("--detach").arg(&self.device).status();
    }
}

/// The one file of `folder` whose name begins and ends so.
fn the_one(folder: &Path, begins: &str, ends: &str, made_by: &str) -> Result<PathBuf> {
    let entries = fs::read_dir(folder).with_context(|| format!("{}: {made_by}", folder.display()))?;
    let named = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        name.starts_with(begins) && name.ends_with(ends)
    };
    let mut found = entries.flatten().map(|entry| entry.path()).filter(named);
    match (found.next(), found.next()) {
        (Some(path), None) => Ok(path),
        _ => bail!("not one {begins}*{ends} in {}: {made_by}", folder.display()),
    }
}

async fn bench() -> Result<()> {
    let target = target_directory()?;
    let made_by = "`cargo xtask bench technician` makes it";
    let image = the_one(&target.join("downloads"), "card-debian-", ".img", made_by)?;
    let package = the_one(&target.join("machine"), "simpul-agent_", "_amd64.deb", made_by)?;
    let scratch = tempfile::Builder::new().prefix("simpul-technician-").tempdir()?;
    let card = Card::insert(&scratch.path().join("card"))?;
    let board = PicoBoard::start(&scratch.path().join("board")).await?;
    let plan = Plan {
        package,
        config_more: BOARD.to_owned(),
        serial: Some(board.tty()),
        card: Some(card.device.clone()),
        ..Plan::default()
    };
    let mut office = Office::prepare(&plan).await?;
    let folder = office.folder().to_owned();
    fs::write(folder.join("box.csv"), format!("node,village,serial\n{},Pategalan,\n", Office::id()))?;
    std::os::unix::fs::symlink(&image, folder.join("debian.img"))?;

    // `simpul` is installed on the technician's computer: the shell finds it.
    let programs = binary("simpul")?.parent().context("a program's folder")?.to_owned();
    let line = format!("simpul batch box.csv --image debian.img --to {}", card.device.display());
    let begun = Instant::now();
    let mut terminal = Terminal::type_line(&line, |command| {
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{}:{path}", programs.display())).env("LANG", "en_GB.UTF-8").current_dir(&folder);
    })?;
    terminal.wait_for(Office::id(), QUESTION_MAX).await?;
    let asked = begun.elapsed();
    terminal.press('y')?;
    let copying = Instant::now();
    let status = terminal.wait_for_end(COPY_MAX).await?;
    ensure!(status.success(), "simpul ended with {status}:\n{}", terminal.said());
    let copy = copying.elapsed();
    for line in terminal.said().lines() {
        // Progress is drawn over and over in one line.
        println!("| {}", line.rsplit("\x1b[2K").next().unwrap_or_default());
    }
    println!("the card is done after {:.1} s; into the board", copy.as_secs_f64());

    let plugged = Instant::now();
    office.first_boot().await?;
    println!("installed after {:.0} s", plugged.elapsed().as_secs_f64());
    office.machine.start()?;
    office.verified().await?;
    office.board_is_good(BOARD_MAX).await?;
    let verified = plugged.elapsed();

    // It counts: not in the time, and no key of the technician's computer.
    board.press(0, HOLD).await?;
    office.counted("ktp", 1, BOARD_MAX).await?;

    let typed = terminal.typed();
    let secrets = office.secrets()?;
    let typed_secrets = secrets.iter().filter(|secret| typed.contains(secret.as_str())).count();
    let mut report = Report::new("technician", "cargo xtask bench technician", None);
    let seconds = asked.as_secs_f64() + verified.as_secs_f64();
    report.figure("card_to_verified_seconds", seconds, "s", 1).goal(&format!("<= {GOAL_SECONDS}"));
    report.figure("card_image_copy_seconds", copy.as_secs_f64(), "s", 1);
    report.figure("keystrokes", typed.chars().count() as f64, "keys", 1);
    report.figure("typed_secrets", typed_secrets as f64, "secrets", secrets.len() as u64).goal("= 0");
    println!("typed: {typed:?}");
    report.finish()?;
    ensure!(typed_secrets == 0, "{typed_secrets} secrets were typed");
    Ok(())
}

fn main() -> Result<()> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(bench())
}
