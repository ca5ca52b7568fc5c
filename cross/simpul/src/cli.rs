//! The command line, in the language that is asked for: what can be said to `simpul`, and what each word means.
//!
//! Exit codes: 0 done; 1 failed on the way; 2 the command is not understood; 3 refused (image, card, board or bundle as they
//! are; nothing was finished); 4 stopped at the question, or nobody could answer it; 5 a bundle or a list is wrong; 6 the
//! hub cannot be asked, or refuses. `doctor` has the agent's own: 0 well; 1 warnings; 2 failures; 3 it cannot examine.

mod hub;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::builder::ValueParser;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use simpul_clock::Clock;
use simpul_words::{Bundle, Help, Language, Words};

use crate::exit::Exit;
use crate::{batch, board, bundle, card, label};

/// Run the command line `arguments` (with the program's name first).
pub fn run(arguments: &[std::ffi::OsString], clock: &Clock) -> ExitCode {
    let language = spoken(arguments);
    let matches = match command(language).try_get_matches_from(arguments) {
        Ok(matches) => matches,
        Err(error) => return not_understood(&error, language),
    };
    match dispatch(&matches, language, clock) {
        Ok(()) => ExitCode::SUCCESS,
        Err(exit) => {
            if matches!(exit, Exit::Usage) {
                eprintln!("{}", Help::SomethingMissing.text(language));
                let name = matches.subcommand_name().unwrap_or_default();
                eprintln!("{}", Help::MoreHelp { command: &format!("simpul {name}") }.text(language));
            }
            exit.end(language)
        }
    }
}

/// The language has to be known before the command line is read: help is in it too.
fn spoken(arguments: &[std::ffi::OsString]) -> Language {
    let mut words = arguments.iter().filter_map(|argument| argument.to_str());
    while let Some(word) = words.next() {
        let named = match word.strip_prefix("--language") {
            Some("") => words.next(),
            Some(rest) => rest.strip_prefix('='),
            None => None,
        };
        if let Some(language) = named.and_then(|named| named.parse().ok()) {
            return language;
        }
    }
    Language::from_environment(|name| std::env::var(name).ok())
}

fn not_understood(error: &clap::Error, language: Language) -> ExitCode {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        print!("{error}");
        return ExitCode::SUCCESS;
    }
    let context = |kind: ContextKind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        Some(ContextValue::Strings(texts)) => Some(texts.join(" ")),
        _ => None,
    };
    match context(ContextKind::InvalidArg).or_else(|| context(ContextKind::InvalidSubcommand)) {
        Some(what) if error.kind() != ErrorKind::MissingRequiredArgument => {
            let value = context(ContextKind::InvalidValue).map(|value| format!(" {value}")).unwrap_or_default();
            eprintln!("{}", Help::NotUnderstood { what: &format!("{what}{value}") }.text(language));
        }
        Some(what) => eprintln!("{} {what}", Help::SomethingMissing.text(language)),
        None => eprintln!("{}", Help::SomethingMissing.text(language)),
    }
    if let Some(what) = context(ContextKind::SuggestedArg).or_else(|| context(ContextKind::SuggestedSubcommand)) {
        eprintln!("{}", Help::DidYouMean { what: &what }.text(language));
    }
    eprintln!("{}", Help::MoreHelp { command: &"simpul" }.text(language));
    ExitCode::from(2)
}

/// Clap keeps only texts that live as long as the program; these are said once in its life.
fn lasting(text: String) -> &'static str {
    text.leak()
}

struct Grammar {
    language: Language,
}

impl Grammar {
    fn say(&self, help: Help<'_>) -> &'static str {
        lasting(help.text(self.language))
    }

    fn command(
        &self,
        name: &'static str,
        about: Help<'_>,
        long: Help<'_>,
        examples: &[(&str, Option<Help<'_>>)],
    ) -> Command {
        let lines: String = examples
            .iter()
            .map(|(line, meaning)| match meaning {
                Some(meaning) => format!("\n  {line}\n      {}", meaning.text(self.language)),
                None => format!("\n  {line}"),
            })
            .collect();
        let after = format!("{}{lines}\n\n{}", Help::Examples.text(self.language), Help::ExitCodes.text(self.language));
        Command::new(name)
            .about(self.say(about))
            .long_about(self.say(long))
            .after_help(lasting(after))
            .help_template(lasting(format!(
                "{{about-with-newline}}\n{} {{usage}}\n\n{{all-args}}\n\n{{after-help}}\n",
                Help::Usage.text(self.language)
            )))
            .subcommand_help_heading(self.say(Help::Commands))
            .disable_help_flag(true)
            .disable_help_subcommand(true)
            .arg(self.flag("help", Help::ShowHelp).short('h').action(ArgAction::Help))
            .arg(self.option("language", "id|en", Help::LanguageOption, value_parser!(Language)))
    }

    fn flag(&self, name: &'static str, help: Help<'_>) -> Arg {
        Arg::new(name).long(name).action(ArgAction::SetTrue).help(self.say(help)).help_heading(self.say(Help::Options))
    }

    fn option(&self, name: &'static str, value: &'static str, help: Help<'_>, parser: impl Into<ValueParser>) -> Arg {
        let heading = self.say(Help::Options);
        Arg::new(name)
            .long(name)
            .value_name(value)
            .value_parser(parser.into())
            .help(self.say(help))
            .help_heading(heading)
    }

    fn path(&self, name: &'static str, value: &'static str, help: Help<'_>) -> Arg {
        self.option(name, value, help, value_parser!(PathBuf))
    }

    fn argument(&self, name: &'static str, value: &'static str, help: Help<'_>) -> Arg {
        let heading = self.say(Help::Arguments);
        Arg::new(name).value_name(value).value_parser(value_parser!(PathBuf)).help(self.say(help)).help_heading(heading)
    }

    fn card(&self) -> Command {
        let examples = [
            ("simpul card raspios-lite.img.xz", Some(Help::CardExampleList)),
            (
                "sudo simpul card raspios-lite.img.xz --to /dev/sdX --node 35.12.07.2003-01.tar",
                Some(Help::CardExampleWrite),
            ),
            ("sudo simpul card --only-node --to /dev/sdX --node 35.12.07.2003-01.tar", Some(Help::CardExampleOnlyNode)),
        ];
        self.command("card", Help::Card, Help::CardLong, &examples)
            .arg(self.argument("image", "IMAGE", Help::CardImage).required_unless_present("only-node"))
            .arg(self.path("to", "DEVICE", Help::CardTo))
            .arg(self.path("node", "BUNDLE", Help::CardNode))
            .arg(self.flag("only-node", Help::CardOnlyNode).requires("node").requires("to").conflicts_with("image"))
            .arg(self.flag("allow-large", Help::AllowLarge))
            .arg(self.flag("yes", Help::Yes))
    }

    fn board(&self) -> Command {
        let examples = [
            ("simpul board --image pico.uf2", Some(Help::BoardExampleAll)),
            (
                "simpul board --port /dev/ttyUSB0 --expect buttons=4,sfp,relay,tamper,supply",
                Some(Help::BoardExampleWired),
            ),
            (
                "simpul board --drive E: --port COM5 --drive F: --port COM6 --report boards.csv",
                Some(Help::BoardExamplePairs),
            ),
        ];
        self.command("board", Help::Board, Help::BoardLong, &examples)
            .arg(self.path("image", "FILE", Help::BoardImage))
            .arg(self.path("drive", "DRIVE", Help::BoardDrive).action(ArgAction::Append))
            .arg(self.path("port", "PORT", Help::BoardPort).action(ArgAction::Append))
            .arg(self.option("expect", "LIST", Help::BoardExpect, value_parser!(String)))
            .arg(self.flag("no-self-test", Help::BoardNoSelfTest))
            .arg(self.flag("press-again", Help::BoardPressAgain))
            .arg(self.option("wait", "SECONDS", Help::BoardWait, value_parser!(u16).range(1..)))
            .arg(self.flag("json", Help::BoardJson))
            .arg(self.path("report", "FILE.csv", Help::BoardReport))
    }

    fn bundle(&self) -> Command {
        const MAKE: &str = "simpul bundle make --node 35.12.07.2003-01 --village Banyuglugur --config agent.toml \
                            --token-file token.txt --agent simpul-agent_arm64.deb --to 35.12.07.2003-01.tar";
        const CHECK: &str = "simpul bundle check 35.12.07.2003-01.tar";
        self.command("bundle", Help::Bundle, Help::BundleLong, &[(MAKE, None), (CHECK, None)])
            .subcommand_required(true)
            .subcommand(
                self.command("make", Help::BundleMake, Help::BundleLong, &[(MAKE, None)])
                    .arg(self.option("node", "ID", Help::NodeId, value_parser!(String)).required(true))
                    .arg(self.option("village", "NAME", Help::Village, value_parser!(String)).required(true))
                    .arg(self.path("config", "FILE", Help::BundleConfig).required(true))
                    .arg(self.path("token-file", "FILE", Help::BundleToken).required_unless_present("identity-file"))
                    .arg(self.path("identity-file", "FILE", Help::BundleIdentity).conflicts_with("token-file"))
                    .arg(self.path("agent", "FILE", Help::BundleAgent).required(true))
                    .arg(self.path("secret", "FILE", Help::BundleSecret).action(ArgAction::Append))
                    .arg(self.path("to", "BUNDLE", Help::BundleTo).required(true)),
            )
            .subcommand(
                self.command("check", Help::BundleCheck, Help::BundleLong, &[(CHECK, None)])
                    .arg(self.argument("bundle", "BUNDLE", Help::BundlePath).required(true)),
            )
            .subcommands(self.fetches())
    }

    fn label(&self) -> Command {
        let examples = [
            ("simpul label box.csv --to labels.pdf --skip 3", Some(Help::LabelExampleSheet)),
            ("simpul label --node 35.12.07.2003-01 --village Banyuglugur --to label.png", Some(Help::LabelExampleOne)),
        ];
        self.command("label", Help::Label, Help::LabelLong, &examples)
            .arg(self.argument("list", "LIST.csv", Help::LabelList).required_unless_present("node"))
            .arg(self.path("to", "FILE", Help::LabelTo).required(true))
            .arg(
                self.option("node", "ID", Help::NodeId, value_parser!(String))
                    .requires("village")
                    .conflicts_with("list"),
            )
            .arg(self.option("village", "NAME", Help::Village, value_parser!(String)).requires("node"))
            .arg(self.option("serial", "SERIAL", Help::Serial, value_parser!(String)).requires("node"))
            .arg(self.path("bundle", "BUNDLE", Help::LabelBundle).requires("node"))
            .arg(self.path("known", "CODES.csv", Help::Known))
            .arg(self.option("skip", "N", Help::LabelSkip, value_parser!(u16)))
    }

    fn batch(&self) -> Command {
        let examples = [(
            "sudo simpul batch box.csv --image raspios-lite.img.xz --to /dev/sdX --known villages.csv",
            Some(Help::BatchExample),
        )];
        self.command("batch", Help::Batch, Help::BatchLong, &examples)
            .arg(self.argument("list", "LIST.csv", Help::LabelList).required(true))
            .arg(self.path("image", "IMAGE", Help::CardImage).required(true))
            .arg(self.path("to", "DEVICE", Help::CardTo).required(true))
            .arg(self.path("known", "CODES.csv", Help::Known))
            .arg(self.flag("allow-large", Help::AllowLarge))
            .arg(self.flag("yes", Help::Yes))
    }
}

fn command(language: Language) -> Command {
    let grammar = Grammar { language };
    let examples = [
        ("simpul card raspios-lite.img.xz", Some(Help::CardExampleList)),
        ("simpul label box.csv --to labels.pdf", Some(Help::LabelExampleSheet)),
        ("simpul card --help", None),
    ];
    grammar
        .command("simpul", Help::About, Help::About, &examples)
        .version(env!("CARGO_PKG_VERSION"))
        .disable_version_flag(true)
        .arg(grammar.flag("version", Help::ShowVersion).short('V').action(ArgAction::Version))
        .subcommand_required(true)
        .subcommands([
            grammar.card(),
            grammar.board(),
            grammar.bundle(),
            grammar.label(),
            grammar.batch(),
            grammar.login(),
            grammar.doctor(),
            grammar.watch(),
        ])
}

fn dispatch(matches: &ArgMatches, language: Language, clock: &Clock) -> Result<(), Exit> {
    let path = |matches: &ArgMatches, name: &str| matches.get_one::<PathBuf>(name).cloned();
    let text = |matches: &ArgMatches, name: &str| matches.get_one::<String>(name).cloned();
    match matches.subcommand() {
        Some(("card", matches)) => {
            let request = card::Request {
                image: path(matches, "image"),
                to: path(matches, "to"),
                node: path(matches, "node"),
                only_node: matches.get_flag("only-node"),
                allow_large: matches.get_flag("allow-large"),
                yes: matches.get_flag("yes"),
            };
            card::run(&request, language, clock)
        }
        Some(("board", matches)) => {
            let paths = |name: &str| matches.get_many::<PathBuf>(name).into_iter().flatten().cloned().collect();
            let request = board::Request {
                image: path(matches, "image"),
                drives: paths("drive"),
                ports: paths("port"),
                expect: text(matches, "expect"),
                self_test: !matches.get_flag("no-self-test"),
                press_again: matches.get_flag("press-again"),
                wait_s: matches.get_one::<u16>("wait").copied().unwrap_or(60),
                json: matches.get_flag("json"),
                report: path(matches, "report"),
            };
            board::run(&request, language, clock)
        }
        Some(("bundle", matches)) if matches.subcommand().is_some_and(|(name, _)| hub::is_from_hub(name)) => {
            hub::fetch(matches, language)
        }
        Some(("bundle", matches)) => {
            let checked = match matches.subcommand() {
                Some(("make", matches)) => {
                    let credential = match (path(matches, "identity-file"), path(matches, "token-file")) {
                        (Some(identity), _) => (bundle::Role::Identity, identity),
                        (None, Some(token)) => (bundle::Role::Token, token),
                        (None, None) => return Err(Exit::Usage),
                    };
                    let sources = bundle::Sources {
                        node: text(matches, "node").ok_or(Exit::Usage)?,
                        village: text(matches, "village").ok_or(Exit::Usage)?,
                        config: path(matches, "config").ok_or(Exit::Usage)?,
                        credential,
                        agent: path(matches, "agent").ok_or(Exit::Usage)?,
                        secrets: matches.get_many("secret").unwrap_or_default().cloned().collect(),
                    };
                    bundle::make(&sources, &path(matches, "to").ok_or(Exit::Usage)?)?
                }
                Some(("check", matches)) => bundle::Bundle::read(&path(matches, "bundle").ok_or(Exit::Usage)?)?,
                _ => return Err(Exit::Usage),
            };
            let unknown = Bundle::MachineUnknown.text(language);
            let machine = bundle::machine_of(&checked.agent_name, &checked.agent).unwrap_or(&unknown);
            let said = Bundle::Whole {
                node: &checked.manifest.node,
                village: &checked.manifest.village,
                agent: &checked.agent_name,
                bytes: &language.bytes(checked.agent.len() as u64),
                machine: &machine,
            };
            println!("{}", said.text(language));
            Ok(())
        }
        Some(("label", matches)) => {
            let single = text(matches, "node").zip(text(matches, "village"));
            let request = label::Request {
                list: path(matches, "list"),
                single: single.map(|(node, village)| (node, village, text(matches, "serial"))),
                bundle: path(matches, "bundle"),
                known: path(matches, "known"),
                skip: matches.get_one::<u16>("skip").copied().unwrap_or(0).into(),
                to: path(matches, "to").ok_or(Exit::Usage)?,
            };
            label::run(&request, language)
        }
        Some(("batch", matches)) => {
            let request = batch::Request {
                list: path(matches, "list").ok_or(Exit::Usage)?,
                known: path(matches, "known"),
                image: path(matches, "image").ok_or(Exit::Usage)?,
                to: path(matches, "to").ok_or(Exit::Usage)?,
                allow_large: matches.get_flag("allow-large"),
                yes: matches.get_flag("yes"),
            };
            batch::run(&request, language, clock)
        }
        Some((name, matches)) => hub::dispatch(name, matches, language, clock).unwrap_or(Err(Exit::Usage)),
        None => Err(Exit::Usage),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grammar_holds_in_both_languages() {
        for language in Language::ALL {
            command(language).debug_assert();
        }
    }

    #[test]
    fn every_subcommand_has_an_example_of_itself() {
        fn walk(command: &Command, path: &str) {
            for child in command.get_subcommands() {
                let path = format!("{path} {}", child.get_name());
                let after = child.get_after_help().map(ToString::to_string).unwrap_or_default();
                assert!(after.contains(&format!("{path} ")), "{path}: {after}");
                walk(child, &path);
            }
        }
        walk(&command(Language::English), "simpul");
    }

    #[test]
    fn the_language_is_heard_wherever_it_stands() {
        let spoken = |words: &[&str]| super::spoken(&words.iter().map(std::ffi::OsString::from).collect::<Vec<_>>());
        assert_eq!(spoken(&["simpul", "card", "--language", "en"]), Language::English);
        assert_eq!(spoken(&["simpul", "--language=en", "card"]), Language::English);
    }
}
