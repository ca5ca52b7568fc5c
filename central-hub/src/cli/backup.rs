//! `backup` and `restore`: through the running hub if there is one, else on its folder.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use hyper::{Method, StatusCode};
use simpul_clock::Clock;

use super::{BACKUP_TIME_MAX, console};
use crate::config::Config;
use crate::data::{DataDirectory, store_directory};
use crate::run::store_config;
use crate::store::{SqliteStore, Store, restore as restore_store};
use crate::view::model::{BackupView, ErrorView};
use crate::web::BackupOrder;
use crate::web::client::{ClientError, request};

/// Back up the running hub, or the store of one that is stopped.
pub async fn backup(config: &Config, directory: PathBuf, clock: Clock) -> anyhow::Result<()> {
    let directory = std::path::absolute(&directory).context("the folder's path cannot be made absolute")?;
    let order = BackupOrder { directory: directory.to_str().context("the folder's path is not UTF-8")?.into() };
    let body = serde_json::to_vec(&order)?;
    match request(&console(config), Method::POST, "/api/v1/backup", Some(body), BACKUP_TIME_MAX).await {
        Ok((StatusCode::OK, body)) => {
            let view: BackupView = serde_json::from_slice(&body).context("the hub's answer cannot be read")?;
            println!("backed up the running hub into {}: {}", view.directory, amount(view.bytes, view.images));
            Ok(())
        }
        Ok((status, body)) => {
            let said: Option<ErrorView> = serde_json::from_slice(&body).ok();
            bail!("the hub made no backup ({status}): {}", said.map(|said| said.message).unwrap_or_default())
        }
        // Nobody listens: the hub is stopped, or it was killed and left its socket.
        Err(ClientError::Connect(_)) => offline(config, &directory, clock).await,
        Err(error) => bail!("the running hub did not answer: {error}; see its log"),
    }
}

async fn offline(config: &Config, directory: &Path, clock: Clock) -> anyhow::Result<()> {
    if !store_directory(&config.data_directory).exists() {
        bail!("there is no store in {}: is it the right --data or --config?", config.data_directory.display());
    }
    let _held = DataDirectory::hold(&config.data_directory)?;
    let store = SqliteStore::open(store_config(config), clock).context("the store does not open")?;
    let report = store.backup(directory.into()).await;
    store.close().await;
    let report = report.context("no backup was made")?;
    println!("backed up the stopped hub into {}: {}", directory.display(), amount(report.bytes, report.images));
    Ok(())
}

fn amount(bytes: u64, images: u64) -> String {
    format!("{:.1} MiB, {images} images copied", bytes as f64 / (1 << 20) as f64)
}

/// Make the store again from a backup.
pub fn restore(config: &Config, backup: &Path, force: bool, clock: &Clock) -> anyhow::Result<()> {
    let _held = DataDirectory::hold(&config.data_directory)?;
    let target = store_directory(&config.data_directory);
    let report = restore_store(backup, &target, force, clock.wall_ms()).context("nothing was restored")?;
    println!(
        "restored {} service records, {} events and {} of {} images from {} into {}",
        report.service_records,
        report.events,
        report.images.1,
        report.images.0,
        backup.display(),
        target.display()
    );
    if let Some(moved) = report.moved {
        println!("what was there before is in {}: delete it when all is well", moved.display());
    }
    println!("start the hub: agents send again what the backup lacks, and alarms say if anything is gone");
    Ok(())
}
