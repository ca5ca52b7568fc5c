//! `updates ...`: keys and signing need no hub; the rest writes the database of updates, which a running hub follows
//! within seconds.

mod text;

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::{Args, Subcommand, ValueEnum};
use simpul_clock::Clock;
use simpul_wire::update::{Part, Version};
use simpul_wire::{Label, NodeId};

use crate::config::Config;
use crate::data;
use crate::identity::ledger::Ledger as Registry;
use crate::identity::villages::nearest;
use crate::updates::configuration::Source;
use crate::updates::content::Contents;
use crate::updates::file::{self, Claim};
use crate::updates::key::SigningKey;
use crate::updates::ledger::{Content, Ledger, NewRollout, Order};
use crate::updates::plan::Rings;
use crate::updates::platform::{AGENT_PLATFORMS, BOARD_PLATFORM};
use crate::updates::{Places, read_bounded};

#[derive(Debug, Subcommand)]
pub enum UpdatesCommand {
    /// Keys that sign programs: kept on another machine than the hub
    #[command(subcommand)]
    Key(KeyCommand),
    /// Sign a program; the update file goes to standard output. Needs no hub
    Sign(SignArguments),
    /// Take an update file in: signature, hash and platform are checked. Nothing is rolled out yet
    Add {
        /// The update file
        file: PathBuf,
    },
    /// Programs that were added, and rollouts
    List,
    /// Begin a rollout: ring by ring, each only after the one before has proved it
    Start(StartArguments),
    /// Stop a rollout for now: nobody gets it any more; who tries it finishes that
    Pause {
        /// The rollout's number
        number: i64,
    },
    /// Let a paused rollout go on; those who failed are not asked again
    Resume {
        /// The rollout's number
        number: i64,
    },
    /// End a rollout; who has it keeps it
    Cancel {
        /// The rollout's number
        number: i64,
    },
    /// A rollout, node by node
    Show {
        /// The rollout's number
        number: i64,
    },
    /// Who did what, newest first
    Events {
        /// Only this rollout
        number: Option<i64>,
    },
}

#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// Make a key in DIR (update.key, mode 0600) and print its public half
    Generate {
        /// A folder that is not on the hub, such as one on a stick
        dir: PathBuf,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum PartName {
    Agent,
    Board,
}

impl PartName {
    fn part(self) -> Part {
        match self {
            PartName::Agent => Part::Agent,
            PartName::Board => Part::Board,
        }
    }
}

#[derive(Debug, Args)]
pub struct SignArguments {
    /// The key that `updates key generate` made
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// What the program is for
    #[arg(long)]
    part: PartName,
    /// Its version
    #[arg(long, value_name = "X.Y.Z")]
    version: Version,
    /// What it runs on: aarch64-linux, armv7-linux or x86_64-linux; rp2040 for a board
    #[arg(long)]
    platform: String,
    /// From this update on nodes take nothing below this version, however well it is signed
    #[arg(long, value_name = "X.Y.Z")]
    floor: Option<Version>,
    /// Nodes that run a newer version may go back to this one
    #[arg(long)]
    allow_downgrade: bool,
    /// The program: an agent's ELF file, or a board's pico.img
    program: PathBuf,
}

#[derive(Debug, Args)]
pub struct StartArguments {
    /// The version to come to, added before
    #[arg(required_unless_present = "configuration", conflicts_with = "configuration")]
    version: Option<Version>,
    /// What is updated
    #[arg(long, default_value = "agent", conflicts_with = "configuration")]
    part: PartName,
    /// Configure nodes instead: a TOML file with node = "@NODE@" for all of them, or a folder with NODE.toml for each
    #[arg(long, value_name = "FILE")]
    configuration: Option<PathBuf>,
    /// Which nodes: all, their ids with commas between, or @FILE with one a line
    #[arg(long, value_name = "NODES")]
    nodes: String,
    /// How many nodes of each platform have it after each ring
    #[arg(long, default_value = "1,10,all")]
    rings: Rings,
    /// From a ring's last proof until the next ring begins, such as 30m, 1h or 2d
    #[arg(long, default_value = "1h", value_parser = text::soak_ms)]
    soak: i64,
    /// So many failures behind the first ring pause the rollout; in the first ring one does
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pause_on: u32,
}

/// Those that need neither hub nor configuration; the others come back.
pub fn without_hub(command: UpdatesCommand) -> anyhow::Result<Option<UpdatesCommand>> {
    match command {
        UpdatesCommand::Key(KeyCommand::Generate { dir }) => {
            let (path, public) = SigningKey::generate(&dir)?;
            println!("{public}");
            eprintln!(
                "{} is made: keep it, and a copy, where no network reaches. The line above is its public half: it goes into updates.keys of the hub and of every node.",
                path.display()
            );
        }
        UpdatesCommand::Sign(arguments) => sign(&arguments)?,
        other => return Ok(Some(other)),
    }
    Ok(None)
}

fn sign(arguments: &SignArguments) -> anyhow::Result<()> {
    let part = arguments.part.part();
    let known: &[&str] = if part == Part::Agent { &AGENT_PLATFORMS } else { &[BOARD_PLATFORM] };
    if !known.contains(&arguments.platform.as_str()) {
        bail!("--platform {}: {} is allowed for {}", arguments.platform, known.join(", "), part.name());
    }
    let platform: Label = arguments.platform.parse()?;
    let key = SigningKey::read(&arguments.key)?;
    let program = read_bounded(&arguments.program, file::FILE_BYTES_MAX)?;
    let claim = Claim {
        part,
        version: arguments.version,
        platform,
        floor: arguments.floor.unwrap_or_default(),
        downgrade: arguments.allow_downgrade,
    };
    let bytes =
        file::sign(&key, &claim, &program).with_context(|| format!("{} is not signed", arguments.program.display()))?;
    let mut out = std::io::stdout();
    if out.is_terminal() {
        bail!("the update file goes to standard output: add > FILE.update");
    }
    out.write_all(&bytes).and_then(|()| out.flush()).context("the update file could not be written")
}

/// Where a command of the running hub's database works.
struct Place {
    ledger: Ledger,
    contents: Contents,
    who: String,
    now_ms: i64,
}

/// The others.
pub fn updates(config: &Config, command: UpdatesCommand, clock: &Clock) -> anyhow::Result<()> {
    data::prepare(&config.data_directory)?;
    let places = Places::of(&config.data_directory);
    let ledger = Ledger::open(&places.ledger)?;
    let contents = Contents::in_folder(places.content);
    let place = Place { ledger, contents, who: text::who(), now_ms: clock.wall_ms() };
    match command {
        UpdatesCommand::Key(_) | UpdatesCommand::Sign(_) => {}
        UpdatesCommand::Add { file } => place.add(config, &file)?,
        UpdatesCommand::List => {
            for row in place.ledger.programs()? {
                println!("{}", text::program(&row));
            }
            for row in place.ledger.rollouts(usize::MAX)?.iter().rev() {
                println!("{}", text::rollout(row));
            }
        }
        UpdatesCommand::Start(arguments) => place.start(config, &arguments)?,
        UpdatesCommand::Pause { number } => place.order(number, Order::Pause)?,
        UpdatesCommand::Resume { number } => place.order(number, Order::Resume)?,
        UpdatesCommand::Cancel { number } => place.order(number, Order::Cancel)?,
        UpdatesCommand::Show { number } => {
            let Some(row) = place.ledger.rollout(number)? else {
                bail!("there is no rollout {number}: `simpul-hub updates list` shows all");
            };
            print!("{}", text::show(&row));
        }
        UpdatesCommand::Events { number } => {
            for row in place.ledger.events(number)? {
                println!("{}", text::event(&row));
            }
        }
    }
    Ok(())
}

impl Place {
    fn add(&self, config: &Config, path: &Path) -> anyhow::Result<()> {
        if config.updates.keys.is_empty() {
            bail!("updates.keys is empty: write the public key there that `simpul-hub updates key generate` printed");
        }
        let update = file::read(path, &config.updates.keys)?;
        self.contents.keep(&update.content)?;
        self.ledger.add(&update, &self.who, self.now_ms)?;
        // A hub that started in between has tidied up.
        self.contents.keep(&update.content)?;
        let manifest = &update.manifest;
        println!("{} {} for {} is added.", manifest.part.name(), manifest.version, manifest.platform);
        eprintln!("Next: `simpul-hub updates start {} --nodes all`", manifest.version);
        Ok(())
    }

    fn order(&self, number: i64, order: Order) -> anyhow::Result<()> {
        println!("{}", text::rollout(&self.ledger.order(number, order, &self.who, self.now_ms)?));
        Ok(())
    }

    fn start(&self, config: &Config, arguments: &StartArguments) -> anyhow::Result<()> {
        if config.enrolment.listen.is_none() {
            bail!("enrolment.listen is not set: nodes fetch updates there, with certificates of this hub's CA");
        }
        let mut nodes = chosen(config, &arguments.nodes)?;
        let mut id = [0; 16];
        getrandom::fill(&mut id)?;
        let (part, version, contents) = match (&arguments.configuration, arguments.version) {
            (Some(path), _) => {
                let source = Source::read(path)?;
                let contents = self.configurations(path, &source, &mut nodes, arguments.nodes == "all")?;
                (Part::Configuration, String::new(), contents)
            }
            (None, Some(version)) => {
                (arguments.part.part(), version.to_string(), nodes.into_iter().map(|node| (node, None)).collect())
            }
            (None, None) => bail!("name a version, or --configuration FILE"),
        };
        let new = NewRollout {
            id,
            part,
            version,
            rings: arguments.rings.clone(),
            soak_ms: arguments.soak,
            pause_on: arguments.pause_on,
            nodes: contents,
        };
        let number = self.ledger.start(&new, &self.who, self.now_ms)?;
        println!("{number}");
        eprintln!(
            "Rollout {number} has begun on {} nodes. It goes on by itself while the hub runs: `simpul-hub updates show {number}`",
            new.nodes.len()
        );
        Ok(())
    }

    /// Keep each node's configuration; with `all`, nodes that the folder has none for are left out.
    fn configurations(
        &self,
        path: &Path,
        source: &Source,
        nodes: &mut Vec<NodeId>,
        all: bool,
    ) -> anyhow::Result<Vec<(NodeId, Option<Content>)>> {
        if all {
            nodes.retain(|node| source.text_for(node).is_some());
        }
        let mut contents = Vec::new();
        for node in nodes.iter() {
            let Some(text) = source.text_for(node) else {
                bail!("{}: there is no {node}.toml for {node}", path.display());
            };
            let bytes = u32::try_from(text.len()).unwrap_or(u32::MAX);
            if bytes > simpul_wire::update::CONFIGURATION_BYTES_MAX {
                bail!("{}: has too many bytes with the id of {node} put in", path.display());
            }
            let sha256 = self.contents.keep(text.as_bytes())?;
            contents.push((node.clone(), Some(Content { sha256, bytes })));
        }
        Ok(contents)
    }
}

/// The nodes that are meant, each once, in order.
fn chosen(config: &Config, said: &str) -> anyhow::Result<Vec<NodeId>> {
    let registry = Registry::open(&crate::identity::Places::of(&config.data_directory).registry)?;
    let known = registry.nodes()?;
    if said == "all" {
        let enrolled = known.iter().filter(|row| row.certificate_to_s.is_some());
        let nodes: Vec<NodeId> = enrolled.filter_map(|row| row.id.parse().ok()).collect();
        let others = known.len() - nodes.len();
        if others > 0 {
            eprintln!("{others} nodes are left out: they have no certificate, or it was revoked.");
        }
        return Ok(nodes);
    }
    let list = match said.strip_prefix('@') {
        Some(file) => {
            let bytes = read_bounded(Path::new(file), 16 << 20)?;
            String::from_utf8(bytes).with_context(|| format!("{file}: is not UTF-8 text"))?
        }
        None => said.to_owned(),
    };
    let names = list.split([',', '\n']).map(str::trim).filter(|name| !name.is_empty() && !name.starts_with('#'));
    let mut nodes = Vec::new();
    for name in names {
        match known.iter().find(|row| row.id == name) {
            Some(row) if row.revoked => bail!("node {name} was revoked: it gets no updates; leave it out"),
            Some(row) => nodes.push(row.id.parse().with_context(|| format!("node {name} cannot be named"))?),
            None => {
                let near = nearest(name, known.iter().map(|row| row.id.as_str()));
                let hint =
                    near.map_or("`simpul-hub nodes list` shows all".into(), |near| format!("did you mean {near}?"));
                bail!("there is no node {name}: {hint}");
            }
        }
    }
    nodes.sort();
    nodes.dedup();
    Ok(nodes)
}
