//! `simpul-agent spool carry`: the backlog onto a stick.

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use simpul_carry::HubKey;
use simpul_clock::Clock;
use simpul_wire::Stream;

use super::{Failure, json, load, out};
use crate::carry::stick::{FILE_BYTES_MAX, Stick, is_same_disk, needs_bytes};
use crate::carry::{Carried, CarryError, Wish, dead, live};
use crate::config::Config;
use crate::status;

/// What was asked.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The stick: a folder on it, for example /media/stick
    directory: PathBuf,
    /// The configuration of the agent
    #[arg(long, default_value = super::CONFIG)]
    config: PathBuf,
    /// A dead node's card, mounted here: configuration, identity and buffer are read from it
    #[arg(long)]
    root: Option<PathBuf>,
    /// Leave the images here: for a small stick
    #[arg(long)]
    without_images: bool,
    /// For this carry key (age1...), when the node was not told its hub's
    #[arg(long)]
    to: Option<String>,
    /// What was carried, as JSON
    #[arg(long)]
    json: bool,
}

#[derive(serde::Serialize)]
struct Done<'d> {
    file: &'d Path,
    bytes: u64,
    carried: &'d Carried,
}

pub(super) fn run(asked: Arguments) -> Result<(), Failure> {
    let to = asked.to.as_deref().map(str::parse::<HubKey>).transpose();
    let wish = Wish {
        images: !asked.without_images,
        bytes_max: FILE_BYTES_MAX,
        to: to.map_err(|error| Failure::failed(CarryError::Key(error)))?,
    };
    let config = match &asked.root {
        None => load(&asked.config)?,
        Some(root) => dead::rooted(load(&dead::config_path(root, &asked.config))?, root),
    };
    if is_same_disk(&asked.directory, &config.spool.directory) {
        eprintln!("note: {} is on the same disk as the buffer: is a stick mounted there?", asked.directory.display());
    }
    let waiting = waiting_bytes(&config, &wish, asked.root.is_some()).map_err(Failure::failed)?;
    let needs = needs_bytes(waiting).min(FILE_BYTES_MAX);
    let mut stick = Stick::begin(&asked.directory, &config.node, needs).map_err(Failure::failed)?;
    let carried = match fill(&mut stick, &config, &wish, (asked.root.is_some(), needs)) {
        Ok(carried) => carried,
        Err(error) => {
            stick.give_up();
            return Err(Failure::failed(error));
        }
    };
    let bytes = stick.written;
    let file = stick.finish().map_err(Failure::failed)?;
    if asked.json {
        json(&Done { file: &file, bytes, carried: &carried })?;
    } else {
        out(&describe(&file, bytes, &carried))?;
    }
    if carried.unreadable > 0 { Err(Failure::Problems) } else { Ok(()) }
}

/// Ask the running agent, else read the card.
fn waiting_bytes(config: &Config, wish: &Wish, dead_card: bool) -> Result<u64, CarryError> {
    if !dead_card && let Ok(status) = status::ask(&status::socket_path(&config.state_directory)) {
        let carried = |stream: &str| wish.images || stream != Stream::Snapshot.name();
        let streams = status.streams.iter().filter(|line| carried(&line.stream));
        return Ok(streams.map(|line| line.backlog_bytes).sum());
    }
    dead::waiting_bytes(config, wish.images)
}

fn fill(
    stick: &mut Stick,
    config: &Config,
    wish: &Wish,
    (dead_card, needs): (bool, u64),
) -> Result<Carried, CarryError> {
    let terminal = io::stderr().is_terminal();
    let mut shown = 0;
    let mut write = |bytes: &[u8]| {
        stick.write(bytes)?;
        let percent = (stick.written.saturating_mul(100) / needs.max(1)).min(99);
        if terminal && percent != shown {
            shown = percent;
            eprint!("\r{percent} %, {} MB", stick.written / 1_000_000);
        }
        Ok(())
    };
    let carried = if dead_card { None } else { live::ask(&config.state_directory, wish, &mut write)? };
    let carried = match carried {
        Some(carried) => carried,
        None => dead::export(config, wish, Clock::machine().wall_ms(), &mut write)?,
    };
    if terminal {
        eprint!("\rreading back ...        ");
        let _ = io::stderr().flush();
        eprintln!();
    }
    Ok(carried)
}

fn describe(file: &Path, bytes: u64, carried: &Carried) -> String {
    let [service, event, reading, images] = carried.records;
    let mut text = format!(
        "{}: {:.1} MB, read back and equal\n{service} service records, {event} events, {reading} readings, {images} \
         images\n",
        file.display(),
        bytes as f64 / 1e6
    );
    if carried.images_left > 0 {
        text += &format!("{} images did not fit into one file and stay here\n", carried.images_left);
    }
    if carried.unreadable > 0 {
        text +=
            &format!("{} records or databases could not be read: `simpul-agent spool verify`\n", carried.unreadable);
    }
    text += "The node keeps all of it until the hub has it. At the hub: simpul-hub carry import FILE\n";
    text
}
