//! `carry import` and `carry key`: through the running hub if there is one, else on its folder.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, bail};
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use hyper::StatusCode;
use simpul_carry::{EXTENSION, HEADER_BYTES_MAX, Header};
use simpul_clock::Clock;
use tokio::sync::{broadcast, mpsc, watch};

use super::{BACKUP_TIME_MAX, console};
use crate::carry::{CarryView, Importer, Judge};
use crate::config::Config;
use crate::data::{self, DataDirectory, store_directory};
use crate::identity::{Places, carry};
use crate::intake::{Counters, Intake};
use crate::mqtt::{Outbox, Transport};
use crate::run::{CARRIED_MAX, store_config};
use crate::store::SqliteStore;
use crate::view::model::ErrorView;
use crate::web::client::{ClientError, upload};

/// Read from a stick at a time.
const PIECE_BYTES: usize = 64 * 1024;

/// `carry key`.
pub fn key(config: &Config) -> anyhow::Result<()> {
    data::prepare(&config.data_directory)?;
    let pki = Places::of(&config.data_directory).pki;
    println!("{}", carry::ensure(&pki)?);
    eprintln!(
        "Keep a copy of {} elsewhere, encrypted: sticks open with nothing else.",
        carry::key_file(&pki).display()
    );
    Ok(())
}

/// `carry import`: 0 when all files were whole and taken.
pub async fn import(config: &Config, files: &[PathBuf], json: bool, clock: Clock) -> anyhow::Result<ExitCode> {
    let files = listed(files)?;
    let mut offline = None;
    let mut good = true;
    for file in &files {
        let taken = match &offline {
            None => match online(config, file).await {
                // Nobody listens: the hub is stopped, or it was killed and left its socket.
                Err(Failed::Stopped) => {
                    let hub = Offline::open(config, clock.clone())?;
                    let taken = hub.import(file).await;
                    offline = Some(hub);
                    taken
                }
                Err(Failed::Other(error)) => Err(error),
                Ok(view) => Ok(view),
            },
            Some(hub) => hub.import(file).await,
        };
        match taken {
            Ok(view) => {
                good &= view.whole;
                if json {
                    println!("{}", serde_json::to_string(&view)?);
                } else {
                    print!("{}", describe(file, &view));
                }
            }
            Err(error) => {
                good = false;
                eprintln!("{}: {error:#}", file.display());
            }
        }
    }
    if let Some(hub) = offline {
        hub.close().await;
    }
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Files as they are named; of folders, the carry files in them.
fn listed(named: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in named {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let entries = std::fs::read_dir(path).with_context(|| path.display().to_string())?;
        let mut found = Vec::new();
        for entry in entries {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == EXTENSION) {
                found.push(path);
            }
        }
        if found.is_empty() {
            bail!("{}: there is no carry file in it (NODE-EPOCH-DATE.carry)", path.display());
        }
        found.sort();
        files.extend(found);
    }
    Ok(files)
}

enum Failed {
    Stopped,
    Other(anyhow::Error),
}

/// A file in pieces, looked at first: what is no carry file at all is not sent.
fn pieces(path: &Path) -> anyhow::Result<impl Stream<Item = std::io::Result<Bytes>> + Send + Unpin + use<>> {
    use std::io::Read;
    let mut file = std::fs::File::open(path)?;
    let mut begin = Vec::new();
    file.by_ref().take(HEADER_BYTES_MAX as u64).read_to_end(&mut begin)?;
    Header::peek(&begin)?;
    let first = stream::iter([Ok(Bytes::from(begin))]);
    let rest = stream::unfold(Some(file), |file| async move {
        let mut file = file?;
        let read = tokio::task::spawn_blocking(move || {
            let mut piece = vec![0; PIECE_BYTES];
            let length = file.read(&mut piece)?;
            piece.truncate(length);
            Ok::<_, std::io::Error>((piece, file))
        });
        match read.await.unwrap_or_else(|error| Err(std::io::Error::other(error))) {
            Ok((piece, _)) if piece.is_empty() => None,
            Ok((piece, file)) => Some((Ok(Bytes::from(piece)), Some(file))),
            Err(error) => Some((Err(error), None)),
        }
    });
    Ok(Box::pin(first.chain(rest)))
}

async fn online(config: &Config, file: &Path) -> Result<CarryView, Failed> {
    let pieces = pieces(file).map_err(Failed::Other)?;
    let other = |error: anyhow::Error| Failed::Other(error);
    match upload(&console(config), "/api/v1/carry", pieces, BACKUP_TIME_MAX).await {
        Ok((StatusCode::OK, body)) => {
            serde_json::from_slice(&body).context("the hub's answer cannot be read").map_err(other)
        }
        Ok((status, body)) => {
            let said: Option<ErrorView> = serde_json::from_slice(&body).ok();
            let said = said.map_or_else(|| format!("the hub refuses it ({status})"), |said| said.message);
            Err(other(anyhow::anyhow!(said)))
        }
        Err(ClientError::Connect(_)) => Err(Failed::Stopped),
        Err(error) => Err(other(anyhow::anyhow!("the running hub did not answer: {error}; see its log"))),
    }
}

/// A stopped hub's store, with an intake of its own.
struct Offline {
    store: Arc<SqliteStore>,
    importer: Importer,
    intake: tokio::task::JoinHandle<()>,
    incoming: mpsc::Sender<crate::mqtt::Incoming>,
    stop: watch::Sender<bool>,
    _held: DataDirectory,
}

impl Offline {
    fn open(config: &Config, clock: Clock) -> anyhow::Result<Offline> {
        if !store_directory(&config.data_directory).exists() {
            bail!("there is no store in {}: is it the right --data or --config?", config.data_directory.display());
        }
        let held = DataDirectory::hold(&config.data_directory)?;
        let store =
            Arc::new(SqliteStore::open(store_config(config), clock.clone()).context("the store does not open")?);
        let (incoming, receiver) = mpsc::channel(1);
        // Nobody is in session: acknowledgements go with each node's next greeting.
        let (outbox, mut outgoing) = Outbox::new(CARRIED_MAX);
        tokio::spawn(async move { while outgoing.recv().await.is_some() {} });
        let (carry, carried) = mpsc::channel(CARRIED_MAX);
        let (stop, stopped) = watch::channel(false);
        let intake = Intake {
            store: store.clone(),
            clock: clock.clone(),
            live: broadcast::channel(1).0,
            counters: Arc::new(Counters::default()),
            clock_synchronised: false,
        };
        let intake = tokio::spawn(intake.run_with(Transport { incoming: receiver, outbox }, carried, stopped));
        let importer = Importer::new(Judge::new(config, clock), store.clone(), carry);
        Ok(Offline { store, importer, intake, incoming, stop, _held: held })
    }

    async fn import(&self, file: &Path) -> anyhow::Result<CarryView> {
        let pieces = pieces(file)?.map(|piece| piece.map_err(|error| error.to_string()));
        Ok(self.importer.import(pieces).await?)
    }

    async fn close(self) {
        drop(self.incoming);
        // The receiver is in the intake.
        let _ = self.stop.send(true);
        let _ = self.intake.await;
        self.store.close().await;
    }
}

/// A few lines for people.
fn describe(file: &Path, view: &CarryView) -> String {
    let mut text = format!("{}: {}\n", file.display(), view.node);
    for row in &view.streams {
        text += &format!("  {:<9} {} new", row.stream, row.new);
        if row.found_again > 0 {
            text += &format!(" ({} of them had been given up as lost)", row.found_again);
        }
        text += &format!(", {} were here already", row.had);
        if row.rejected > 0 {
            text += &format!(", {} refused", row.rejected);
        }
        if row.missing > 0 {
            text += &format!(", {} did not come", row.missing);
        }
        text += "\n";
    }
    for range in &view.rejected {
        text += &format!("  refused: {} {} to {}: {}\n", range.stream, range.first, range.last, range.reason);
    }
    for range in &view.missing {
        text += &format!("  not in the file: {} {} to {}\n", range.stream, range.first, range.last);
    }
    if let Some(problem) = &view.problem {
        text += &format!("  NOT WHOLE: {problem}\n");
    }
    text
}
