//! The command line: what an operator types, and what it says back. `--help` is the manual.

mod backup;
mod carry;
mod identity;
mod status;
mod technicians;
mod token;
mod updates;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::{Parser, Subcommand, ValueEnum};
use simpul_clock::Clock;
use tokio::sync::watch;

use crate::config::{Config, DEFAULT_FILE, Overrides, print_defaults};
use crate::web::openapi;
use crate::{data, run};

/// The district's hub of Simpul.
///
/// Takes what village nodes count and see, keeps it, and shows it to the district room. Alone it serves a whole
/// district: its own MQTT server, database, API and page in one process.
#[derive(Debug, Parser)]
#[command(name = "simpul-hub", version, after_help = AFTER_HELP)]
pub struct Cli {
    /// Configuration file [default: /etc/simpul/hub.toml if it is there, else the built-in defaults]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Data directory, instead of the file's `data_directory`
    #[arg(long, global = true, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Use this broker instead of the hub's own MQTT server
    #[arg(long, global = true, value_name = "mqtts://HOST[:PORT]")]
    mqtt: Option<String>,
    /// How much to log (to standard error)
    #[arg(long, global = true, value_name = "LEVEL", default_value = "info")]
    log: Level,
    #[command(subcommand)]
    command: Option<Command>,
}

const AFTER_HELP: &str = "\
First steps:
  simpul-hub config print-defaults > hub.toml    every key with its meaning and default
  simpul-hub --config hub.toml config check      says what is wrong, key by key
  simpul-hub --config hub.toml                   runs the hub; the page is at http://127.0.0.1:8470/
Beyond this machine:
  set web.listen, web.certificate_file and web.key_file, then
  simpul-hub token add ruang-kendali             prints a token, once
Nodes:
  simpul-hub ca init --district Situbondo        the district's CA, once
  simpul-hub nodes import villages.csv           the list of villages
  simpul-hub nodes add 35.12.07.2003             one more node there
  simpul-hub nodes token 35.12.07.2003-01        what the technician carries to it
Updates (the key stays off the hub; docs/updates.md):
  simpul-hub updates key generate /media/stick   the key that signs; prints its public half, for updates.keys
  simpul-hub updates sign --key ... > X.update   there, where the key is
  simpul-hub updates add X.update                on the hub
  simpul-hub updates start 0.2.0 --nodes all     one node, then ten, then all
Technicians:
  simpul-hub technicians add budi                a token for `simpul login`, good for a week
  simpul-hub technicians revoke budi/thinkpad    a laptop is lost: all that is on it ends
Every day:
  simpul-hub status                              how the running hub is
  simpul-hub backup /mnt/backup/simpul           while it runs, or while it is stopped
  simpul-hub carry import /media/stick/simpul-carry   what nodes put on a stick while their fibre was down";

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Level {
    Error,
    Warn,
    Info,
    Debug,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the hub (also without a command); ends in order on SIGTERM or Ctrl-C
    Run,
    /// Check the configuration, or print it with all defaults
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Write a consistent copy of database and images into DIR, while the hub runs or while it is stopped
    ///
    /// DIR is empty, or holds an earlier backup of this hub: then only what is new is copied. Agents keep their newest
    /// records until a backup has them, so a hub that burns down loses nothing that its agents still hold. Tokens,
    /// certificates and the configuration are not in it: keep copies of those elsewhere.
    Backup {
        /// Where to, on this machine
        dir: PathBuf,
    },
    /// Make the store again from the backup in DIR; the hub must be stopped
    ///
    /// The store gets a new generation: agents notice, and send again what the backup lacks.
    Restore {
        /// The backup
        dir: PathBuf,
        /// A store that is there already is moved aside instead of being refused
        #[arg(long)]
        force: bool,
    },
    /// Backlogs that come on sticks (docs/carry.md)
    #[command(subcommand)]
    Carry(CarryCommand),
    /// The district's CA, which signs the certificates of its nodes and of this hub
    #[command(subcommand)]
    Ca(identity::CaCommand),
    /// The district's nodes: register, enrol, revoke
    #[command(subcommand)]
    Nodes(identity::NodesCommand),
    /// Remote updates: sign programs, roll them and configurations out to nodes
    #[command(subcommand)]
    Updates(updates::UpdatesCommand),
    /// Technicians and their laptops: let in for a week, end in one action
    #[command(subcommand)]
    Technicians(technicians::TechniciansCommand),
    /// What technicians accepted, signed
    #[command(subcommand)]
    Acceptances(technicians::AcceptancesCommand),
    /// Named tokens for everybody who is not on this machine
    #[command(subcommand)]
    Token(TokenCommand),
    /// How the running hub is: nodes, records, losses, disk. Ends with 0 when it takes records, else with 1
    Status {
        /// The whole overview as JSON, as the API gives it
        #[arg(long)]
        json: bool,
    },
    /// Print the API's OpenAPI document
    Openapi,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Check the configuration: every key, and every file that it names
    Check,
    /// Print all keys with meaning, unit and default: a valid file to begin with
    PrintDefaults,
}

#[derive(Debug, Subcommand)]
enum CarryCommand {
    /// Take carry files, while the hub runs or while it is stopped; a second time changes nothing
    ///
    /// Ends with 0 when all were whole and taken, else with 1; what was whole of a damaged one was taken.
    Import {
        /// The files, or folders with them (a stick's simpul-carry)
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// The reports as JSON, one a line
        #[arg(long)]
        json: bool,
    },
    /// The public key that nodes seal for, made if there is none; enrolled nodes learn it by themselves
    Key,
}

#[derive(Debug, Subcommand)]
enum TokenCommand {
    /// Make a token and print it, for the only time: the hub keeps its hash
    Add {
        /// Whose it is: shown in the log of looks at images
        name: String,
    },
    /// The names of all tokens, and when they were made
    List,
    /// End a token; a running hub refuses it within a second
    Revoke {
        /// Its name
        name: String,
    },
}

/// Do what the command line says.
///
/// # Errors
/// What the operator is to read.
pub fn main(cli: Cli) -> anyhow::Result<ExitCode> {
    let clock = Clock::machine();
    let mut command = cli.command;
    match command {
        Some(Command::Config(ConfigCommand::PrintDefaults)) => {
            print!("{}", print_defaults());
            return Ok(ExitCode::SUCCESS);
        }
        Some(Command::Openapi) => {
            println!("{}", openapi().to_pretty_json()?);
            return Ok(ExitCode::SUCCESS);
        }
        Some(Command::Updates(asked)) => match updates::without_hub(asked)? {
            Some(asked) => command = Some(Command::Updates(asked)),
            None => return Ok(ExitCode::SUCCESS),
        },
        _ => {}
    }
    let overrides = Overrides { data_directory: cli.data, mqtt: cli.mqtt };
    let config = Config::load(cli.config.as_deref(), &overrides)?;
    match command {
        None | Some(Command::Run) => {
            log_to_stderr(cli.log);
            let runtime = runtime()?;
            let result = runtime.block_on(run_until_signal(config, clock));
            // A backup under way would keep its thread for as long as its bytes take; unfinished, it is none.
            runtime.shutdown_timeout(Duration::from_secs(1));
            result?;
        }
        Some(Command::Config(_)) => {
            let file = cli.config.unwrap_or_else(|| DEFAULT_FILE.into());
            check(&config, &clock)?;
            println!("{}: valid", file.display());
        }
        Some(Command::Backup { dir }) => runtime()?.block_on(backup::backup(&config, dir, clock))?,
        Some(Command::Restore { dir, force }) => backup::restore(&config, &dir, force, &clock)?,
        Some(Command::Carry(CarryCommand::Import { files, json })) => {
            return runtime()?.block_on(carry::import(&config, &files, json, clock));
        }
        Some(Command::Carry(CarryCommand::Key)) => carry::key(&config)?,
        Some(Command::Ca(command)) => identity::ca(&config, command, &clock)?,
        Some(Command::Nodes(command)) => identity::nodes(&config, command, &clock)?,
        Some(Command::Updates(command)) => updates::updates(&config, command, &clock)?,
        Some(Command::Technicians(command)) => technicians::technicians(&config, command, &clock)?,
        Some(Command::Acceptances(command)) => technicians::acceptances(&config, command)?,
        Some(Command::Token(command)) => token::token(&config, command, &clock)?,
        Some(Command::Status { json }) => return runtime()?.block_on(status::status(&config, json)),
        Some(Command::Openapi) => {}
    }
    Ok(ExitCode::SUCCESS)
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().context("the asynchronous runtime did not start")
}

fn log_to_stderr(level: Level) {
    let level = match level {
        Level::Error => tracing::Level::ERROR,
        Level::Warn => tracing::Level::WARN,
        Level::Info => tracing::Level::INFO,
        Level::Debug => tracing::Level::DEBUG,
    };
    // A log that cannot be written (its disk is full too) must not matter: to say so on standard error would panic.
    let log = tracing_subscriber::fmt().with_max_level(level).with_writer(std::io::stderr);
    log.log_internal_errors(false).init();
}

async fn run_until_signal(config: Config, clock: Clock) -> anyhow::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let (stop, stopped) = watch::channel(false);
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        // The hub may have ended by itself already.
        let _ = stop.send(true);
        // Whoever asks twice does not want to wait: what is under way was not acknowledged, so nothing is lost.
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        std::process::exit(130);
    });
    Ok(run::run(config, clock, stopped).await?)
}

fn check(config: &Config, clock: &Clock) -> anyhow::Result<()> {
    run::preflight(config, clock)?;
    let revoked = config.mqtt.revoked_file.as_ref().map(|file| ("mqtt.revoked_file", file));
    let files = [
        ("mqtt.ca_file", &config.mqtt.ca_file),
        ("mqtt.certificate_file", &config.mqtt.certificate_file),
        ("mqtt.key_file", &config.mqtt.key_file),
    ];
    for (key, file) in files.into_iter().chain(revoked) {
        std::fs::File::open(file).with_context(|| {
            format!("{key} = {}: cannot be read; put it there, or name another file", file.display())
        })?;
    }
    Ok(())
}

/// A day is longer than any backup of a hub takes.
const BACKUP_TIME_MAX: Duration = Duration::from_secs(24 * 3_600);

/// The console answers at once or not at all.
const CONSOLE_TIME_MAX: Duration = Duration::from_secs(30);

/// The running hub's console.
fn console(config: &Config) -> crate::web::client::Peer {
    crate::web::client::Peer::Console(data::console_socket(&config.data_directory))
}
