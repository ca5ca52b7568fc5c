//! The command line: what can be asked of the agent, and what it answers with.
//!
//! Exit codes: 0 done; 1 failed; 2 the command line cannot be understood; 3 the configuration is refused; 4 no agent
//! runs; 5 the spool has problems; 6 it ended to be started anew with an update. `doctor` has its own: 0 all well; 1 warnings; 2 failures; 3 it cannot examine.

mod carry;
mod doctor;
mod print;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use simpul_clock::Clock;
use simpul_words::Language;
use tokio::signal::unix::{SignalKind, signal};

use crate::config::{BoardPort, Config, print_defaults};
use crate::doctor::network;
use crate::enrolment::access::Enrolment;
use crate::sources::board::image;
use crate::sources::board::port::Machine;
use crate::sources::board::{describe, monitor};
use crate::update::in_force::{self, InForce};
use crate::update::launch::Place;
use crate::update::{self, install, launcher};
use crate::{phone, run, spool, status};

/// Where the configuration is when nothing else is said.
const CONFIG: &str = "/etc/simpul/agent.toml";

/// The exit code that asks for a start anew; systemd's unit knows it.
const RESTART: u8 = 6;

const AFTER_HELP: &str = "\
Begin with a configuration:
  simpul-agent config print-defaults > agent.toml     every key with its meaning and default
  simpul-agent config check agent.toml                what is wrong with it, all at once
  simpul-agent config print                           the one in force: the file's, or the hub's, and why
  simpul-agent run --config agent.toml
  simpul-agent status --config agent.toml             is it connected, what waits for the hub
  simpul-agent doctor                                 what is wrong, why, and what to do
  sudo simpul-agent spool carry /media/stick          what waits for the hub, onto a stick
  sudo simpul-agent phone-code                        a new code for the page that a phone opens
  simpul-agent board status --config agent.toml       does the I/O board talk, what does it count and measure
  simpul-agent board monitor /dev/ttyACM0             what a board says, live, while no agent runs
  simpul-agent board update pico.img --check          is an image whole, and would the board get it

Exit codes: 0 done, 1 failed, 2 the command line cannot be understood, 3 the configuration is refused,
4 no agent runs, 5 the spool has problems, 6 it ended to be started anew, with an update that is then on trial (or was
taken back). Those of doctor are in its own help.";

const AFTER_DOCTOR: &str = "\
Works whether the agent runs or not, changes nothing, and ends within 30 seconds. With sudo it sees more.

Exit codes: 0 all that was examined is well; 1 there are warnings, or something could not be found out;
2 something does not work; 3 it cannot examine (the configuration is refused, for example).";

/// The village daemon of Simpul: buffers camera snapshots and service counters through power and fibre cuts, and syncs
/// them to the district's hub.
#[derive(Debug, Parser)]
#[command(name = "simpul-agent", version, after_help = AFTER_HELP)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run until SIGTERM or SIGINT, then close in order (10 s at most).
    Run {
        /// The configuration.
        #[arg(long, default_value = CONFIG)]
        config: PathBuf,
        /// The folder of updates from afar. Left out: /var/lib/simpul/updates with the packaged configuration, else there
        /// are none.
        #[arg(long)]
        updates: Option<PathBuf>,
    },
    /// Ask the running agent how it is: connection, backlog by stream, losses.
    Status {
        /// The configuration that it runs with.
        #[arg(long, default_value = CONFIG)]
        config: PathBuf,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Examine this node: what is wrong, why, and what to do, the most likely cause first.
    #[command(after_help = AFTER_DOCTOR)]
    Doctor {
        /// The configuration that the agent runs with.
        #[arg(long, default_value = CONFIG)]
        config: PathBuf,
        /// As JSON (docs/doctor.md).
        #[arg(long)]
        json: bool,
        /// id or en. Left out: English where the locale is English, else Indonesian.
        #[arg(long)]
        language: Option<Language>,
    },
    /// Enrol this node with a token, and say how that went; `run` does the same by itself when it finds the token.
    Enrol {
        /// The file with the token. Left out: the configuration's.
        #[arg(long)]
        token_file: Option<PathBuf>,
        /// The configuration that the agent runs with.
        #[arg(long, default_value = CONFIG)]
        config: PathBuf,
    },
    /// Say which program this is, for the agent that is about to put it on trial.
    #[command(hide = true)]
    Introduce,
    /// Make a new code for the phone page, and print the addresses that open it; an older code and its session end.
    PhoneCode {
        /// The configuration that the agent runs with.
        #[arg(long, default_value = CONFIG)]
        config: PathBuf,
    },
    /// Check a configuration, print the one in force, or one with every default.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Look at the I/O board.
    #[command(subcommand)]
    Board(BoardCommand),
    /// Carry the backlog away on a stick; look into a spool's folder while no agent runs on it.
    #[command(subcommand)]
    Spool(SpoolCommand),
}

#[derive(Debug, Subcommand)]
enum BoardCommand {
    /// Ask the running agent how its board is: condition, totals, measurements.
    Status {
        /// The configuration that the agent runs with.
        #[arg(long, default_value = CONFIG)]
        config: PathBuf,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Print what the board says, live, until interrupted; for a bench, or while no agent runs.
    ///
    /// The board is greeted, so that it talks, and nothing is acknowledged: all it has is still there for the agent.
    /// Numbered messages therefore come again twice a second.
    Monitor {
        /// The serial port. Left out: the configuration's, or the USB serial device of Raspberry Pi's (2e8a).
        port: Option<PathBuf>,
        /// The configuration to take the port from.
        #[arg(long, default_value = CONFIG)]
        config: PathBuf,
    },
    /// Check an image file, and say what would happen with it. Writes nothing; exit code 1: it would not be sent.
    ///
    /// The agent itself sends it: name it as board.firmware in the configuration.
    Update {
        /// The file (pico.img of the firmware's build).
        image: PathBuf,
        /// Check only.
        #[arg(long, required = true)]
        check: bool,
        /// The configuration that the agent runs with: its board is asked.
        #[arg(long, default_value = CONFIG)]
        config: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Say everything that is wrong with a configuration, each with its line.
    Check {
        /// The configuration.
        #[arg(default_value = CONFIG)]
        file: PathBuf,
        /// The folder of updates, as of `run`.
        #[arg(long)]
        updates: Option<PathBuf>,
    },
    /// Print the configuration that is in force: the file's, or the hub's; its first line says which, and why.
    Print {
        /// The configuration.
        #[arg(default_value = CONFIG)]
        file: PathBuf,
        /// The folder of updates, as of `run`.
        #[arg(long)]
        updates: Option<PathBuf>,
    },
    /// Print every key with its meaning, default and example.
    PrintDefaults,
}

#[derive(Debug, Subcommand)]
enum SpoolCommand {
    /// Put everything that waits for the hub onto a stick, sealed so that the hub alone can read it.
    ///
    /// Works while the agent runs, while it is stopped, and for a dead node's card in a reader (--root). Nothing is freed:
    /// the node keeps all of it until the hub has it.
    Carry(carry::Arguments),
    /// What is in it, by its own books.
    Inspect {
        /// The spool's folder.
        directory: PathBuf,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Read every database and compare it with the books. Exit code 5 when something does not fit.
    Verify {
        /// The spool's folder.
        directory: PathBuf,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Write every record as a line of JSON, and copy the images: for a card that comes by post.
    Export {
        /// The spool's folder.
        directory: PathBuf,
        /// Where to; must not hold an export yet.
        out: PathBuf,
    },
}

/// How a command ended other than well.
enum Failure {
    Failed(String),
    Config(String),
    NotRunning(String),
    Problems,
    /// The doctor could not examine.
    CannotExamine(String),
    /// The doctor found something; with its exit code.
    Found(u8),
}

impl Failure {
    fn failed(error: impl ToString) -> Self {
        Failure::Failed(error.to_string())
    }
}

/// Do what the command line says.
pub fn main(cli: Cli) -> ExitCode {
    let done = match cli.command {
        Command::Run { config, updates } => match run_agent(&config, updates) {
            Ok(run::End::Stopped) => Ok(()),
            Ok(run::End::Restart) => return ExitCode::from(RESTART),
            Err(failure) => Err(failure),
        },
        Command::Introduce => out(&install::introduction()),
        Command::Status { config, json } => show_status(&config, json),
        Command::Doctor { config, json, language } => doctor::run(&config, json, language),
        Command::Enrol { token_file, config } => enrol(&config, token_file),
        Command::PhoneCode { config } => phone_code(&config),
        Command::Config(ConfigCommand::Check { file, updates }) => check(&file, updates),
        Command::Config(ConfigCommand::Print { file, updates }) => print_in_force(&file, updates),
        Command::Config(ConfigCommand::PrintDefaults) => out(&print_defaults()),
        Command::Board(BoardCommand::Status { config, json }) => show_board(&config, json),
        Command::Board(BoardCommand::Monitor { port, config }) => monitor(port, &config),
        Command::Board(BoardCommand::Update { image, config, .. }) => check_image(&image, &config),
        Command::Spool(SpoolCommand::Carry(asked)) => carry::run(asked),
        Command::Spool(SpoolCommand::Inspect { directory, json }) => show_spool(spool::inspect(&directory), json),
        Command::Spool(SpoolCommand::Verify { directory, json }) => show_spool(spool::verify(&directory), json),
        Command::Spool(SpoolCommand::Export { directory, out: to }) => export(&directory, &to),
    };
    let (code, message) = match done {
        Ok(()) => return ExitCode::SUCCESS,
        Err(Failure::Failed(message)) => (1, message),
        Err(Failure::Config(message) | Failure::CannotExamine(message)) => (3, message),
        Err(Failure::NotRunning(message)) => (4, message),
        Err(Failure::Problems) => return ExitCode::from(5),
        Err(Failure::Found(code)) => return ExitCode::from(code),
    };
    eprintln!("simpul-agent: {message}");
    ExitCode::from(code)
}

/// Print; a closed pipe (`| head`) is no failure.
fn out(text: &str) -> Result<(), Failure> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::failed(error)),
        _ => Ok(()),
    }
}

fn json(value: &impl serde::Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value).map_err(Failure::failed)?;
    out(&format!("{text}\n"))
}

/// What the agent runs with.
fn load(path: &Path) -> Result<Config, Failure> {
    load_in_force(path, None, true).map(|in_force| in_force.config)
}

/// The folder of updates: only the packaged configuration has one unasked.
fn updates_of(path: &Path, updates: Option<PathBuf>) -> Option<PathBuf> {
    updates.or_else(|| (path == Path::new(CONFIG)).then(|| PathBuf::from(update::UPDATES)))
}

fn load_in_force(path: &Path, updates: Option<PathBuf>, trial: bool) -> Result<InForce, Failure> {
    let updates = updates_of(path, updates);
    in_force::load(path, updates.as_deref(), trial).map_err(|error| Failure::Config(error.to_string()))
}

fn check(path: &Path, updates: Option<PathBuf>) -> Result<(), Failure> {
    let config = Config::load(path).map_err(|error| Failure::Config(error.to_string()))?;
    out(&format!("{}: good (node {})\n", path.display(), config.node))?;
    let in_force = load_in_force(path, updates, true)?;
    if in_force.origin == in_force::Origin::File && in_force.set_aside.is_none() {
        return Ok(());
    }
    out(&format!("{}\n", in_force.why(path)))
}

fn print_in_force(path: &Path, updates: Option<PathBuf>) -> Result<(), Failure> {
    let in_force = load_in_force(path, updates, true)?;
    // A refused file's words take several lines.
    let why = in_force.why(path).replace('\n', "\n# ");
    out(&format!("# {why}\n{}", in_force.text))
}

/// Out of line: it is large, and built in two places.
#[inline(never)]
fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::failed)
}

fn run_agent(path: &Path, updates: Option<PathBuf>) -> Result<run::End, Failure> {
    let updates = updates_of(path, updates);
    // First of all: a program on trial, and its configuration, may be such that nothing else comes about.
    let place =
        updates.as_deref().map_or(Place::Packaged, |updates| launcher::start(updates, std::env::args_os().skip(1)));
    let in_force = load_in_force(path, updates.clone(), launcher::is_counted())?;
    // A log that cannot be written (its disk is full too) must not matter: to say so on standard error would panic.
    let log = tracing_subscriber::fmt().with_max_level(tracing::Level::INFO).with_writer(io::stderr);
    log.log_internal_errors(false).init();
    match &in_force.origin {
        in_force::Origin::File if in_force.set_aside.is_none() => {}
        in_force::Origin::Hub { .. } => tracing::info!("{}", in_force.why(path)),
        _ => tracing::error!("{}", in_force.why(path)),
    }
    let start = run::Start { updates, path: path.to_owned(), in_force, place };
    let runtime = runtime()?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate()).map_err(Failure::failed)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(Failure::failed)?;
        let stop = async {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        run::run(start, Clock::machine(), stop).await.map_err(Failure::failed)
    })
}

fn enrol(path: &Path, token_file: Option<PathBuf>) -> Result<(), Failure> {
    let config = load(path)?;
    let time = run::judging_time(&config.state_directory, Clock::machine(), config.clock);
    let mut settings = config.enrolment;
    settings.token_file = token_file.unwrap_or(settings.token_file);
    let token_file = settings.token_file.clone();
    let enrolment = Enrolment::new(config.node.clone(), settings, config.uplink, time);
    match runtime()?.block_on(enrolment.enrol_if_new()).map_err(Failure::failed)? {
        Some(_) => out(&format!("{} is enrolled: it has its own certificate\n", config.node)),
        None if token_file.exists() => out(&format!("{} is enrolled already, with this token\n", config.node)),
        None => Err(Failure::Failed(format!("{}: there is no token", token_file.display()))),
    }
}

fn phone_code(path: &Path) -> Result<(), Failure> {
    let config = load(path)?;
    let Some(phone) = config.phone else {
        return Err(Failure::Failed(format!("the phone page is off; write [phone] in {}", path.display())));
    };
    let code = phone::code::random().map_err(Failure::failed)?;
    let directory = &phone.state_directory;
    phone::book::Book::new(directory)
        .hand(&phone::code::hash(&code))
        .map_err(|error| Failure::Failed(format!("{}: {error}; try it with sudo", directory.display())))?;
    let (node, port) = (&config.node, phone.listen.port());
    let code = format!("SIMPUL:1:{node}:{code}");
    let trie = std::fs::read_to_string("/proc/net/fib_trie").unwrap_or_default();
    let hosts = std::iter::once(format!("{}.local", node.host_name()))
        .chain(network::addresses(&trie).into_iter().map(|address| address.to_string()));
    let links: String = hosts.map(|host| format!("  http://{host}:{port}/#{code}\n")).collect();
    let within = show_days(phone.open_for);
    out(&format!(
        "Open one of these on a phone in this network within {within}; the agent takes it within seconds:\n{links}"
    ))
}

fn show_days(duration: std::time::Duration) -> String {
    let hours = duration.as_secs() / 3_600;
    if hours >= 48 { format!("{} days", hours / 24) } else { format!("{} minutes", duration.as_secs() / 60) }
}

fn ask(path: &Path) -> Result<status::Status<serde_json::Value>, Failure> {
    let socket = status::socket_path(&load(path)?.state_directory);
    status::ask(&socket).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            Failure::NotRunning(format!("no agent runs with {} ({}: {error})", path.display(), socket.display()))
        }
        _ => Failure::Failed(format!("{}: {error}", socket.display())),
    })
}

fn show_status(path: &Path, as_json: bool) -> Result<(), Failure> {
    let status = ask(path)?;
    if as_json { json(&status) } else { out(&print::status(&status)) }
}

fn show_board(path: &Path, as_json: bool) -> Result<(), Failure> {
    let Some(board) = ask(path)?.board else {
        return Err(Failure::Failed(format!("no board is configured; write [board] in {}", path.display())));
    };
    if as_json { json(&board) } else { out(&print::board(&board)) }
}

fn check_image(path: &Path, config: &Path) -> Result<(), Failure> {
    let bad = |why: String| Failure::Failed(format!("{}: {why}", path.display()));
    let begin = image::read(path).map_err(|error| bad(error.to_string()))?.begin;
    let what = describe::firmware(begin.version, begin.hardware);
    out(&format!("{}: whole: {what}, {} bytes, CRC-32 {:08x}\n", path.display(), begin.image_bytes, begin.crc32))?;
    // On a bench there is no configuration, and in a workshop no agent.
    let status = match config.exists().then(|| ask(config)) {
        None | Some(Err(Failure::NotRunning(_))) => None,
        Some(Ok(status)) => status.board,
        Some(Err(error)) => return Err(error),
    };
    out(&format!("{}\n", print::image(&begin, status.as_ref()).map_err(bad)?))
}

fn monitor(port: Option<PathBuf>, config: &Path) -> Result<(), Failure> {
    let port = match port {
        Some(port) => port,
        None => {
            // Without a configuration (on a bench) the board is looked for.
            let configured = if config.exists() { load(config)?.board.map(|board| board.port) } else { None };
            let machine = Machine::default();
            machine.find(&configured.unwrap_or(BoardPort::Auto)).ok_or_else(|| {
                Failure::Failed("no board's port found; name it: simpul-agent board monitor /dev/...".to_string())
            })?
        }
    };
    let runtime = runtime()?;
    let mut printed = Ok(());
    let watched = runtime.block_on(monitor::run(&port, |line| {
        printed = writeln!(io::stdout(), "{line}");
        printed.is_ok()
    }));
    match (watched, printed) {
        (Err(error), _) if error.kind() == io::ErrorKind::ResourceBusy => Err(Failure::Failed(format!(
            "{}: {error}. If that is the agent, ask it instead (simpul-agent board status), or stop it first \
             (systemctl stop simpul-agent); nothing is lost by that, the board keeps what it counts",
            port.display()
        ))),
        (Err(error), _) => Err(Failure::Failed(format!("{}: {error}", port.display()))),
        (_, Err(error)) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::failed(error)),
        _ => Ok(()),
    }
}

fn show_spool(report: Result<spool::Report, spool::SpoolError>, as_json: bool) -> Result<(), Failure> {
    let report = report.map_err(Failure::failed)?;
    if as_json {
        json(&report)?
    } else {
        out(&print::spool(&report))?
    }
    if report.problems.is_empty() { Ok(()) } else { Err(Failure::Problems) }
}

fn export(directory: &Path, to: &Path) -> Result<(), Failure> {
    let done = spool::export(directory, to).map_err(Failure::failed)?;
    out(&format!("{} records and {} images in {}\n", done.records, done.images, to.display()))?;
    if done.unreadable > 0 {
        eprintln!("simpul-agent: {} databases could not be read; `spool verify` names them", done.unreadable);
        return Err(Failure::Problems);
    }
    Ok(())
}
