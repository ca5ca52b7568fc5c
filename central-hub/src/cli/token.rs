//! `token add|list|revoke`.

use simpul_clock::Clock;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::TokenCommand;
use crate::config::Config;
use crate::data;
use crate::web::tokens;

/// Change or show the tokens file; a running hub follows it.
pub fn token(config: &Config, command: TokenCommand, clock: &Clock) -> anyhow::Result<()> {
    data::prepare(&config.data_directory)?;
    let file = &config.web.tokens_file;
    match command {
        TokenCommand::Add { name } => {
            let first = tokens::read(file)?.is_none();
            let token = tokens::add(file, &name, clock.wall_ms())?;
            println!("{token}");
            eprintln!("This is the token of {name}: keep it now, it is not shown again.");
            if first {
                eprintln!("From now on everybody needs a token, also on this machine (the page asks for it).");
            }
        }
        TokenCommand::List => match tokens::read(file)? {
            None => println!("There are no tokens: the hub is open to this machine, on loopback only."),
            Some(entries) if entries.is_empty() => println!("There are no tokens left: nobody gets in."),
            Some(entries) => {
                for entry in entries {
                    let at = OffsetDateTime::from_unix_timestamp(entry.created_ms.div_euclid(1_000)).ok();
                    let at = at.and_then(|at| at.format(&Rfc3339).ok()).unwrap_or_default();
                    println!("{:<32} made {at}", entry.name);
                }
            }
        },
        TokenCommand::Revoke { name } => {
            tokens::revoke(file, &name)?;
            println!("{name} is revoked: a running hub refuses it within a second.");
        }
    }
    Ok(())
}
