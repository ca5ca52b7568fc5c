//! `ca ...` and `nodes ...`: they write the registry; a running hub follows it within a second.

use std::path::PathBuf;

use anyhow::bail;
use clap::Subcommand;
use simpul_clock::Clock;
use simpul_wire::NodeId;
use simpul_wire::enrolment::{EnrolmentToken, Laptop, Secret};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::config::Config;
use crate::data;
use crate::identity::ledger::{Added, CaState, Ledger, NodeRow};
use crate::identity::{Places, carry, follow, villages};

/// A technician's round takes days; a token that was lost should not be good for months.
const TOKEN_DAYS: u32 = 14;

const DAY_MS: i64 = 86_400_000;

#[derive(Debug, Subcommand)]
pub enum CaCommand {
    /// Make the CA and the hub's certificate, once
    Init {
        /// The district's name, for people who look at a certificate
        #[arg(long, default_value = "")]
        district: String,
    },
    /// The CAs, what each is used for, and who does not know the next one yet
    Show,
    /// Make the next CA; nodes are told of it within a day
    Rotate {
        /// The district's name, for people who look at a certificate
        #[arg(long, default_value = "")]
        district: String,
    },
    /// Let the next CA sign; refused while a node does not know it
    Activate {
        /// Go on: nodes that do not know it need new tokens
        #[arg(long)]
        force: bool,
    },
    /// Trust the old CA no longer; refused while a node has nothing newer
    Retire {
        /// Go on: nodes that have nothing newer need new tokens
        #[arg(long)]
        force: bool,
    },
}

#[derive(Debug, Subcommand)]
pub enum NodesCommand {
    /// Take a list of villages in: a CSV file with the columns code and name. All of it, or nothing
    Import {
        /// The list
        file: PathBuf,
        /// Register a first node for each village of the list that has none
        #[arg(long)]
        register: bool,
    },
    /// Register one more node of a village; prints its id
    Add {
        /// The village's code, such as 35.12.07.2003
        village: String,
        /// What it stands in, such as "Kantor Desa Sumberanyar" [default: the village's name]
        #[arg(long, default_value = "")]
        name: String,
    },
    /// All nodes: certificate, token
    List,
    /// Make an enrolment token for a node and print it, for the only time; an unused older one is withdrawn
    Token {
        /// The node
        node: NodeId,
        /// Days until it expires
        #[arg(long, default_value_t = TOKEN_DAYS, value_parser = clap::value_parser!(u32).range(1..=365))]
        days: u32,
    },
    /// Revoke a node's certificates and tokens; a running hub closes its connections within a second
    Revoke {
        /// The node
        node: NodeId,
    },
    /// Make a node's identity before the node is there, for a place that has no uplink on the day
    ///
    /// It lies on a technician's laptop with its key, is good for 14 days, ends with the laptop, and is replaced by one of
    /// the node's own at its first contact with the hub.
    Bundle {
        /// The node
        node: NodeId,
        /// The laptop that takes it along, as `technicians list` shows it
        #[arg(long, value_name = "TECHNICIAN/LAPTOP")]
        laptop: Laptop,
        /// The identity file to write
        #[arg(long, value_name = "FILE")]
        to: PathBuf,
    },
    /// Who was refused a certificate lately, and why
    Events,
}

pub(super) fn open(config: &Config) -> anyhow::Result<(Places, Ledger)> {
    data::prepare(&config.data_directory)?;
    let places = Places::of(&config.data_directory);
    let ledger = Ledger::open(&places.registry)?;
    Ok((places, ledger))
}

/// Hosts of all addresses that nodes are told: for those who look a hub up by its name.
fn hosts(config: &Config) -> Vec<String> {
    let all = config.enrolment.addresses.iter().chain(&config.enrolment.hubs);
    let mut hosts: Vec<String> = all
        .filter_map(|address| address.as_str().rsplit_once(':'))
        .map(|(host, _)| host.trim_matches(['[', ']']).to_owned())
        .collect();
    hosts.sort();
    hosts.dedup();
    hosts
}

pub(super) fn date(ms: i64) -> String {
    let at = OffsetDateTime::from_unix_timestamp(ms.div_euclid(1_000)).ok();
    at.and_then(|at| at.format(&Rfc3339).ok()).unwrap_or_default()
}

/// `ca ...`.
pub fn ca(config: &Config, command: CaCommand, clock: &Clock) -> anyhow::Result<()> {
    let (places, ledger) = open(config)?;
    let now_ms = clock.wall_ms();
    match command {
        CaCommand::Init { district } => {
            let made = ledger.make_first(&places, &district, &hosts(config), now_ms)?;
            carry::ensure(&places.pki)?;
            println!("CA {} is made; SHA-256 {}", made.number, hex::encode(made.fingerprint));
            eprintln!(
                "Keep a copy of {} and {} elsewhere, encrypted: without the key no node is ever signed again.",
                places.pki.display(),
                places.registry.display()
            );
        }
        CaCommand::Show => show(&ledger)?,
        CaCommand::Rotate { district } => {
            let made = ledger.rotate(&places.pki, &district, &hosts(config), now_ms)?;
            println!("CA {} is made; SHA-256 {}", made.number, hex::encode(made.fingerprint));
            println!("Nodes are told of it within a day. `simpul-hub ca activate` lets it sign.");
        }
        CaCommand::Activate { force } => {
            let active = ledger.activate(now_ms, force)?;
            println!("CA {} signs from now on. When all nodes have renewed: `simpul-hub ca retire`.", active.number);
        }
        CaCommand::Retire { force } => {
            println!("CA {} is trusted no longer.", ledger.retire(force)?.number);
        }
    }
    follow::write_pki(&places, &ledger)?;
    Ok(())
}

fn show(ledger: &Ledger) -> anyhow::Result<()> {
    let (authorities, nodes) = (ledger.authorities()?, ledger.nodes()?);
    if authorities.is_empty() {
        bail!("there is no CA yet: run `simpul-hub ca init`");
    }
    for row in &authorities {
        let fingerprint = hex::encode(row.fingerprint);
        println!("CA {}  {:<8} made {}  SHA-256 {fingerprint}", row.number, row.state.name(), date(row.made_ms));
        if row.state == CaState::Next {
            let lacking = nodes.iter().filter(|node| node.certificate_to_s.is_some() && node.knows < row.number);
            println!("      {} nodes do not know it yet", lacking.count());
        }
    }
    Ok(())
}

/// `nodes ...`.
pub fn nodes(config: &Config, command: NodesCommand, clock: &Clock) -> anyhow::Result<()> {
    if let NodesCommand::Bundle { node, laptop, to } = command {
        return super::technicians::bundle(config, &node, laptop, &to, clock);
    }
    let (_, ledger) = open(config)?;
    let now_ms = clock.wall_ms();
    match command {
        NodesCommand::Import { file, register } => {
            let villages = villages::read(&file)?;
            for Added { id, village_name } in ledger.import(&villages, register, now_ms)? {
                println!("{id}  {village_name}");
            }
            eprintln!("{} villages are known from this list.", villages.len());
        }
        NodesCommand::Add { village, name } => {
            let Added { id, village_name } = ledger.add(&village, &name, now_ms)?;
            println!("{id}");
            eprintln!("{id} is registered in {village_name}. Next: `simpul-hub nodes token {id}`");
        }
        NodesCommand::List => {
            for row in ledger.nodes()? {
                println!("{}", line(&row, now_ms));
            }
        }
        NodesCommand::Token { node, days } => println!("{}", token(config, &ledger, node, days, now_ms)?),
        NodesCommand::Revoke { node } => {
            let (certificates, tokens) = ledger.revoke(&node, now_ms)?;
            println!("{node}: {certificates} certificates revoked, {tokens} tokens withdrawn.");
        }
        NodesCommand::Bundle { .. } => {}
        NodesCommand::Events => {
            for row in ledger.refusals()? {
                println!("{}  {:<14} {:<20} {:<15} {}", date(row.at_ms), row.reason, row.node, row.peer, row.text);
            }
        }
    }
    Ok(())
}

fn line(row: &NodeRow, now_ms: i64) -> String {
    let certificate = match row.certificate_to_s {
        Some(to_s) => {
            let to_ms = i64::try_from(to_s).unwrap_or_default().saturating_mul(1_000);
            let verb = if to_ms > now_ms { "certificate to" } else { "certificate EXPIRED" };
            format!("{verb} {}", date(to_ms))
        }
        None if row.revoked => "REVOKED".to_owned(),
        None => "not enrolled".to_owned(),
    };
    let bundle = row.bundle_on.as_ref().map(|laptop| format!("; unused bundle on {laptop}")).unwrap_or_default();
    let token = match row.token_expires_ms {
        Some(expires_ms) if expires_ms > now_ms => format!("; unused token to {}", date(expires_ms)),
        _ => String::new(),
    };
    format!("{:<20} {:<28} {certificate}{token}{bundle}", row.id, row.name)
}

fn token(config: &Config, ledger: &Ledger, node: NodeId, days: u32, now_ms: i64) -> anyhow::Result<EnrolmentToken> {
    let addresses = config.enrolment.addresses.clone();
    if addresses.is_empty() {
        bail!("enrolment.addresses is empty: write where nodes find this hub, such as [\"hub.example:8884\"]");
    }
    let mut secret = [0; 16];
    getrandom::fill(&mut secret)?;
    let expires_ms = now_ms + i64::from(days) * DAY_MS;
    let authority = ledger.issue_token(&node, None, &secret, now_ms, expires_ms)?;
    eprintln!(
        "This is the enrolment token of {node}: it is not shown again, is good once and until {}.",
        date(expires_ms)
    );
    let expires_s = u64::try_from(expires_ms / 1_000).unwrap_or_default();
    Ok(EnrolmentToken { node, secret: Secret::from_bytes(secret), authority, addresses, expires_s })
}
