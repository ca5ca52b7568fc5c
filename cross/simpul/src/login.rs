//! `simpul login`: a technician's token becomes this laptop's certificate, for a week.
//!
//! The token comes from a file or from standard input, is good once, and is in no message. There is no renewal: a week
//! is how long a laptop that was lost and not reported is worth anything.

use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::path::{Path, PathBuf};

use simpul_wire::enrolment::{Laptop, Name, TechnicianToken};
use simpul_words::{Hub, Language, Words};
use zeroize::Zeroizing;

use crate::exit::Exit;
use crate::hub;
use crate::hub::problem::Problem;

/// A token has some 230 characters, and at most 4096.
const TOKEN_BYTES_MAX: u64 = 16 * 1024;

/// What was asked for.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// The token's file.
    pub token: Option<PathBuf>,
    /// The laptop's name.
    pub laptop: Option<String>,
}

/// Run `simpul login`.
pub fn run(request: &Request, language: Language) -> Result<(), Exit> {
    let text = token_text(request.token.as_deref(), language)?;
    let token: TechnicianToken = text.trim().parse().map_err(Problem::Token)?;
    let name = match &request.laptop {
        Some(name) => name.parse().map_err(|_| Problem::NoName { name: name.clone() })?,
        None => {
            let name = computer_name();
            Name::clipped(&name).ok_or(Problem::NoName { name })?
        }
    };
    let laptop = Laptop { technician: token.technician.clone(), name };
    let hub = hub::Hub::login(&token, laptop)?;
    let until = language.moment(i64::try_from(hub.ends_s()).unwrap_or(i64::MAX));
    println!("{}", Hub::LoggedIn { laptop: &hub.laptop(), until: &until }.text(language));
    Ok(())
}

fn token_text(path: Option<&Path>, language: Language) -> Result<Zeroizing<String>, Problem> {
    let mut text = Zeroizing::new(String::new());
    match path {
        Some(path) => {
            let read = File::open(path).and_then(|file| file.take(TOKEN_BYTES_MAX).read_to_string(&mut text));
            read.map_err(|error| Problem::File { path: path.display().to_string(), error })?;
        }
        None => {
            if io::stdin().is_terminal() {
                eprintln!("{}", Hub::AskToken.text(language));
            }
            let read = io::stdin().lock().take(TOKEN_BYTES_MAX).read_to_string(&mut text);
            read.map_err(|error| Problem::File { path: "stdin".into(), error })?;
        }
    }
    Ok(text)
}

#[cfg(target_os = "linux")]
fn computer_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

#[cfg(not(target_os = "linux"))]
fn computer_name() -> String {
    // Windows sets the first for every program; other systems' shells the second.
    ["COMPUTERNAME", "HOSTNAME"].into_iter().find_map(|name| std::env::var(name).ok()).unwrap_or_default()
}
