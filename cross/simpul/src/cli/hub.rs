//! The commands that ask the hub: what can be said to them.

use std::io::Write;
use std::path::PathBuf;

use clap::{Arg, ArgMatches, Command, value_parser};
use simpul_clock::Clock;
use simpul_wire::NodeId;
use simpul_words::{Help, Hub, Language, Words};
use zeroize::Zeroizing;

use super::Grammar;
use crate::exit::Exit;
use crate::hub;
use crate::hub::problem::Problem;
use crate::{bundle, doctor, login, watch};

impl Grammar {
    fn node(&self) -> Arg {
        let heading = self.say(Help::Arguments);
        Arg::new("node")
            .value_name("NODE")
            .value_parser(value_parser!(String))
            .help(self.say(Help::DoctorNode))
            .help_heading(heading)
    }

    /// What `simpul bundle` asks the hub for.
    pub(super) fn fetches(&self) -> [Command; 2] {
        const TOKEN: &str = "simpul bundle token 35.12.07.2003-01 --to token.txt";
        const AHEAD: &str = "simpul bundle ahead 35.12.07.2003-01 --to identity.cbor";
        let with = |command: Command| {
            command.arg(self.node().required(true)).arg(self.path("to", "FILE", Help::BundleSecretTo).required(true))
        };
        [
            with(self.command("token", Help::BundleFetchToken, Help::BundleFetchTokenLong, &[(TOKEN, None)])),
            with(self.command("ahead", Help::BundleAhead, Help::BundleAheadLong, &[(AHEAD, None)])),
        ]
    }

    pub(super) fn login(&self) -> Command {
        self.command("login", Help::Login, Help::LoginLong, &[("simpul login token.txt", None)])
            .arg(self.argument("token", "FILE", Help::LoginToken))
            .arg(self.option("laptop", "NAME", Help::LoginLaptop, value_parser!(String)))
    }

    pub(super) fn doctor(&self) -> Command {
        let examples = [
            ("simpul doctor 35.12.07.2003-01", Some(Help::DoctorHelp)),
            ("sudo simpul doctor --here", Some(Help::DoctorHere)),
        ];
        self.command("doctor", Help::DoctorHelp, Help::DoctorLong, &examples)
            .arg(self.node().required_unless_present("here"))
            .arg(self.flag("here", Help::DoctorHere).conflicts_with("node"))
            .arg(self.path("agent", "FILE", Help::DoctorAgent).requires("here"))
            .arg(self.path("config", "FILE", Help::DoctorConfig).requires("here"))
            .arg(self.flag("json", Help::DoctorJson))
    }

    pub(super) fn watch(&self) -> Command {
        let examples = [("simpul watch 35.12.07.2003-01 --note \"rak server, lantai 1\"", None)];
        self.command("watch", Help::Watch, Help::WatchLong, &examples)
            .arg(self.node().required(true))
            .arg(self.path("bast", "FILE.pdf", Help::WatchBast))
            .arg(self.option("note", "TEXT", Help::WatchNote, value_parser!(String)))
            .arg(self.option("wait", "MINUTES", Help::WatchWait, value_parser!(u64).range(1..=1_440)))
            .arg(self.flag("once", Help::WatchOnce))
    }
}

/// Whether a subcommand of `simpul bundle` asks the hub.
pub(super) fn is_from_hub(name: &str) -> bool {
    matches!(name, "token" | "ahead")
}

/// A node's token or identity from the hub, into a file for this user alone.
pub(super) fn fetch(matches: &ArgMatches, language: Language) -> Result<(), Exit> {
    let Some((what, matches)) = matches.subcommand() else { return Err(Exit::Usage) };
    let node = matches.get_one::<String>("node").ok_or(Exit::Usage)?;
    let to = matches.get_one::<PathBuf>("to").ok_or(Exit::Usage)?;
    let node: NodeId = node.parse().map_err(|_| Problem::NoNode { node: node.clone() })?;
    // The file first: what is asked for and cannot be written would have withdrawn an older one for nothing.
    let failed = |error| Problem::File { path: to.display().to_string(), error };
    let mut file = bundle::private_file(to).map_err(failed)?;
    let fetched = hub::Hub::open().and_then(|hub| match what {
        "token" => hub.token(&node).map(|issued| (Zeroizing::new((issued.text + "\n").into_bytes()), issued.expires_s)),
        _ => hub.bundle(&node),
    });
    let (bytes, until_s) = match fetched {
        Ok(fetched) => fetched,
        Err(problem) => {
            // Ours, and empty.
            let _ = std::fs::remove_file(to);
            return Err(problem.into());
        }
    };
    file.write_all(&bytes).and_then(|()| file.sync_all()).map_err(failed)?;
    let until = language.moment(i64::try_from(until_s).unwrap_or(i64::MAX));
    let said = Hub::Fetched { node: &node, path: &to.display(), until: &until };
    println!("{}", said.text(language));
    Ok(())
}

/// Do it, if it is one of these.
pub(super) fn dispatch(
    name: &str,
    matches: &ArgMatches,
    language: Language,
    clock: &Clock,
) -> Option<Result<(), Exit>> {
    let path = |name: &str| matches.get_one::<PathBuf>(name).cloned();
    let text = |name: &str| matches.get_one::<String>(name).cloned();
    match name {
        "login" => Some(login::run(&login::Request { token: path("token"), laptop: text("laptop") }, language)),
        "doctor" => {
            let request = doctor::Request {
                node: text("node"),
                agent: path("agent"),
                config: path("config"),
                json: matches.get_flag("json"),
            };
            Some(doctor::run(&request, language, clock))
        }
        "watch" => {
            let request = watch::Request {
                node: text("node").unwrap_or_default(),
                bast: path("bast"),
                note: text("note").unwrap_or_default(),
                minutes_max: matches.get_one::<u64>("wait").copied(),
                once: matches.get_flag("once"),
            };
            Some(watch::run(&request, language, clock))
        }
        _ => None,
    }
}
