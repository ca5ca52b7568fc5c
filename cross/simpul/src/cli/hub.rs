//! The commands that ask the hub: what can be said to them.

use std::path::PathBuf;

use clap::{Arg, ArgMatches, Command, value_parser};
use simpul_clock::Clock;
use simpul_words::{Help, Language};

use super::Grammar;
use crate::exit::Exit;
use crate::{doctor, login, watch};

impl Grammar {
    fn node(&self) -> Arg {
        let heading = self.say(Help::Arguments);
        Arg::new("node")
            .value_name("NODE")
            .value_parser(value_parser!(String))
            .help(self.say(Help::DoctorNode))
            .help_heading(heading)
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
