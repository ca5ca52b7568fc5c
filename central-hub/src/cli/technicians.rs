//! `technicians ...` and `acceptances ...`: who may work on nodes from a laptop, what was done, what was accepted.

use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Subcommand;
use serde_json::{Value as Json, json};
use simpul_clock::Clock;
use simpul_wire::NodeId;
use simpul_wire::enrolment::{KeptIdentity, Laptop, Name, Secret, TechnicianToken};
use simpul_wire::technician::Acceptance;

use super::identity::{date, open};
use crate::config::Config;
use crate::identity::authority;
use crate::identity::issue::{Issuing, Visitor};
use crate::identity::ledger::{AcceptanceRow, Ended, LaptopRow, Ledger};
use crate::technicians::acceptance::is_signed_by;

/// A technician's credentials end after a week, whatever happens to the laptop.
const DAYS_MAX: i64 = 7;

const DAY_MS: i64 = 86_400_000;

/// Deeds that are printed: what fits a few screens.
const DEEDS_SHOWN: u32 = 1_000;

#[derive(Debug, Subcommand)]
pub enum TechniciansCommand {
    /// Make a token for a technician and print it, for the only time; `simpul login` takes it, once, for one laptop
    ///
    /// What the laptop gets ends after these days too, counted from now. An unused older token is withdrawn.
    Add {
        /// The technician's name: letters, digits, `.`, `_`, `-`
        name: Name,
        /// Days until token and credentials end
        #[arg(long, default_value_t = DAYS_MAX, value_parser = clap::value_parser!(i64).range(1..=DAYS_MAX))]
        days: i64,
    },
    /// All laptops: until when, and what of theirs nobody has used yet
    List,
    /// End a laptop: its certificate, the tokens that it asked for, the bundles on it; open connections are closed
    Revoke {
        /// TECHNICIAN/LAPTOP, or LAPTOP where only one technician has one of that name
        laptop: String,
    },
    /// What technicians' laptops did, newest first
    Events,
}

#[derive(Debug, Subcommand)]
pub enum AcceptancesCommand {
    /// All acceptances, newest first
    List {
        /// Of one node
        #[arg(long)]
        node: Option<NodeId>,
    },
    /// One acceptance as JSON, whether its signature holds, and its pictures
    Show {
        /// Its number
        number: u64,
        /// Write its pictures into this folder
        #[arg(long, value_name = "DIR")]
        pictures: Option<PathBuf>,
    },
}

/// `technicians ...`.
pub fn technicians(config: &Config, command: TechniciansCommand, clock: &Clock) -> anyhow::Result<()> {
    let (_, ledger) = open(config)?;
    let now_ms = clock.wall_ms();
    match command {
        TechniciansCommand::Add { name, days } => println!("{}", add(config, &ledger, name, days, now_ms)?),
        TechniciansCommand::List => {
            for row in ledger.laptops()? {
                println!("{}", line(&row, now_ms));
            }
        }
        TechniciansCommand::Revoke { laptop } => report(&ledger.revoke_laptop(&laptop, now_ms)?),
        TechniciansCommand::Events => {
            for row in ledger.deeds(DEEDS_SHOWN)? {
                let (at, node) = (date(row.at_ms), &row.node);
                println!("{at}  {:<24} {:<11} {node:<20} {:<15} {}", row.laptop, row.what, row.peer, row.detail);
            }
        }
    }
    Ok(())
}

fn add(config: &Config, ledger: &Ledger, technician: Name, days: i64, now_ms: i64) -> anyhow::Result<TechnicianToken> {
    let addresses = config.enrolment.addresses.clone();
    if addresses.is_empty() {
        bail!("enrolment.addresses is empty: write where laptops find this hub, such as [\"hub.example:8884\"]");
    }
    let mut secret = [0; 16];
    getrandom::fill(&mut secret)?;
    let expires_ms = now_ms + days * DAY_MS;
    let authority = ledger.issue_login_token(&technician, &secret, now_ms, expires_ms)?;
    eprintln!(
        "This is the token of {technician}: it is not shown again, is good once, and ends with all that is got by it on {}.",
        date(expires_ms)
    );
    let expires_s = u64::try_from(expires_ms / 1_000).unwrap_or_default();
    Ok(TechnicianToken { technician, secret: Secret::from_bytes(secret), authority, addresses, expires_s })
}

fn line(row: &LaptopRow, now_ms: i64) -> String {
    let until = match row.certificate_to_s {
        Some(to_s) => {
            let to_ms = i64::try_from(to_s).unwrap_or_default().saturating_mul(1_000);
            let verb = if to_ms > now_ms { "to" } else { "EXPIRED" };
            format!("{verb} {}", date(to_ms))
        }
        None => "REVOKED".to_owned(),
    };
    format!("{:<32} {until}; unused: tokens {}, bundles {}", row.laptop, row.tokens, row.bundles)
}

fn report(ended: &Ended) {
    println!("{}: {} certificates revoked.", ended.laptop, ended.certificates);
    for (what, nodes) in [("token withdrawn", &ended.tokens), ("bundle revoked", &ended.bundles)] {
        for node in nodes {
            println!("{what}: {node}");
        }
    }
    for (node, used_ms) in &ended.used {
        println!("bundle USED on {}: {node}", date(*used_ms));
    }
    if !ended.used.is_empty() {
        eprintln!(
            "Where a bundle was used, look whether that was the node itself (`simpul doctor NODE`, its picture); if it \
             was not: `simpul-hub nodes revoke NODE`."
        );
    }
}

/// `nodes bundle`: a node's identity for a place without an uplink, on a technician's laptop.
pub fn bundle(
    config: &Config,
    node: &NodeId,
    laptop: Laptop,
    to: &std::path::Path,
    clock: &Clock,
) -> anyhow::Result<()> {
    let (places, ledger) = open(config)?;
    if !ledger.laptops()?.iter().any(|row| row.laptop == laptop.to_string() && row.certificate_to_s.is_some()) {
        bail!("there is no laptop {laptop}, or it was revoked: `simpul-hub technicians list` shows all");
    }
    if to.exists() {
        bail!("{}: there is such a file already; name another", to.display());
    }
    let enrolment = &config.enrolment;
    let (hubs, addresses) = (enrolment.hubs.clone(), enrolment.addresses.clone());
    let issuing = Issuing::new(ledger, places.pki, enrolment.certificate_seconds, hubs, addresses);
    let key = rcgen::KeyPair::generate().context("a node's key")?;
    let request = rcgen::CertificateParams::default().serialize_request(&key).context("a signing request")?;
    let visitor = Visitor { laptop, serial: Vec::new(), peer: "console".into() };
    let identity = issuing
        .ahead_for(&visitor, node, request.der(), clock.wall_ms())
        .map_err(|not| anyhow::anyhow!("{}", not.refusal))?;
    let until = date(i64::try_from(identity.validity.to_s).unwrap_or_default().saturating_mul(1_000));
    let kept = KeptIdentity { node: node.clone(), key: key.serialize_der().into(), identity, token: None };
    authority::write_secret(to, &kept.to_file())?;
    eprintln!(
        "{}: the identity of {node}, on the laptop {}; good until {until}. At its first contact the node takes a key of \
         its own.",
        to.display(),
        visitor.laptop
    );
    Ok(())
}

/// `acceptances ...`.
pub fn acceptances(config: &Config, command: AcceptancesCommand) -> anyhow::Result<()> {
    let (_, ledger) = open(config)?;
    match command {
        AcceptancesCommand::List { node } => {
            for row in ledger.acceptances(node.as_ref().map(NodeId::as_str))? {
                println!("{:>6}  {}  {:<20} {}", row.number, date(row.at_ms), row.node, row.laptop);
            }
        }
        AcceptancesCommand::Show { number, pictures } => {
            let found = ledger.acceptance(number)?;
            let Some((row, images)) = found else {
                bail!("there is no acceptance {number}: `simpul-hub acceptances list` shows all")
            };
            println!("{:#}", document(&row)?);
            if let Some(folder) = pictures {
                std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
                for (sha256, jpeg) in images {
                    let path = folder.join(format!("{}.jpg", hex::encode(sha256)));
                    std::fs::write(&path, jpeg).with_context(|| format!("cannot write {}", path.display()))?;
                }
            }
        }
    }
    Ok(())
}

/// For people and programs; the signature is judged anew, by the bytes that were signed.
fn document(row: &AcceptanceRow) -> anyhow::Result<Json> {
    use base64::Engine;
    let base64 = |bytes: &[u8]| base64::engine::general_purpose::STANDARD.encode(bytes);
    let said = Acceptance::from_slice(&row.record).context("the record cannot be read by this version")?;
    let pictures: Vec<Json> = said
        .pictures
        .iter()
        .map(|it| {
            json!({"camera": it.camera.as_str(), "sha256": hex::encode(it.sha256), "at_ms": it.at_ms,
                "width": it.width, "height": it.height})
        })
        .collect();
    Ok(json!({
        "number": row.number, "at_ms": row.at_ms, "node": row.node, "laptop": row.laptop,
        "name": said.name.as_str(), "village_code": said.village_code.as_str(), "village": said.village.as_str(),
        "hardware": said.hardware.as_deref(), "board": said.board.as_deref(), "version": said.version.as_str(),
        "first_heard_ms": said.first_heard_ms, "reading_ms": said.reading_ms, "pictures": pictures,
        "verdict": said.verdict.text(), "examined_ms": said.examined_ms, "made_ms": said.made_ms,
        "note": said.note.as_str(),
        "signature_holds": is_signed_by(&row.certificate, &row.record, &row.signature),
        "record": base64(&row.record), "signature": base64(&row.signature), "certificate": base64(&row.certificate),
    }))
}
