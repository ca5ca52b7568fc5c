//! A camera asked once, beside its task or without one: for the examination of a node. Nothing is stored.

use std::net::IpAddr;
use std::time::Duration;

use reqwest::Url;
use simpul_clock::Clock;

use super::http::Failed;
use super::view_file::ViewFile;
use super::{CameraError, DECODER, blocking, judge, look, masks, onvif, peer};
use crate::config::{CameraAddress, CameraConfig};

/// A name server in a village's network answers at once or not at all.
const NAME_MAX: Duration = Duration::from_secs(3);

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trial {
    /// A good picture.
    Good,
    /// The password's file was refused.
    Secret(String),
    /// The host's name has no address.
    Name(String),
    /// No connection, or silence.
    NoAnswer(String),
    /// User or password refused.
    Refused,
    /// A login is asked for that cannot be given.
    Login(String),
    /// An answer that is no whole picture.
    Unusable(String),
    /// Black.
    Black,
    /// Everything is masked until someone confirms the view.
    Awaiting,
    /// It could not be asked.
    Impossible(String),
}

/// Host and port of a camera, for people: never what else is in its address.
pub fn place(config: &CameraConfig) -> String {
    let (CameraAddress::Snapshot(url) | CameraAddress::Onvif { device: url, .. }) = &config.address;
    let url = Url::parse(url).ok();
    let host = url.as_ref().and_then(Url::host_str).unwrap_or("–");
    match url.as_ref().and_then(Url::port_or_known_default) {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

/// Ask a camera for one picture and look at it, with its password at most once.
pub async fn try_once(config: &CameraConfig, clock: &Clock, within: Duration) -> Trial {
    let silent = Trial::NoAnswer(format!("no answer within {} s", within.as_secs()));
    tokio::time::timeout(within, ask(config, clock)).await.unwrap_or(silent)
}

async fn ask(config: &CameraConfig, clock: &Clock) -> Trial {
    let config = &masks::in_force(config.clone());
    let (address, mut peer) = match peer(config) {
        Ok(pair) => pair,
        Err(CameraError::Password { source, .. }) => return Trial::Secret(source.to_string()),
        Err(CameraError::Address { what, .. }) => return Trial::Impossible(what),
    };
    if let Some(host) = address.host_str().filter(|host| host.trim_matches(['[', ']']).parse::<IpAddr>().is_err()) {
        let found = tokio::time::timeout(NAME_MAX, tokio::net::lookup_host((host, 80))).await;
        if !found.is_ok_and(|found| found.is_ok_and(|mut found| found.next().is_some())) {
            return Trial::Name(host.to_owned());
        }
    }
    let url = match &config.address {
        CameraAddress::Snapshot(_) => Ok(address),
        CameraAddress::Onvif { profile, .. } => {
            onvif::snapshot_url(&mut peer, &address, profile.as_deref(), clock).await
        }
    };
    let limit = usize::try_from(config.image_bytes_max).unwrap_or(usize::MAX);
    let body = match url {
        Ok(url) => peer.get(&url, limit).await,
        Err(failed) => Err(failed),
    };
    let body = match body {
        Ok(body) => body,
        Err(Failed::NoAnswer(what)) => return Trial::NoAnswer(what),
        Err(Failed::Refused { .. }) => return Trial::Refused,
        Err(Failed::Impossible(what)) => return Trial::Login(what),
        Err(Failed::Unusable(what)) => return Trial::Unusable(what),
    };
    // An error means that the semaphore was closed: nobody does.
    let _turn = DECODER.acquire().await;
    let masks = config.masks.clone();
    match blocking(move || look(body, &masks)).await {
        Err(what) => Trial::Unusable(what),
        Ok(looked) if judge::is_black(&looked.seen.measures) => Trial::Black,
        Ok(_) if !config.masks.is_empty() && ViewFile::new(config).load(config.mask_resolution).awaiting => {
            Trial::Awaiting
        }
        Ok(_) => Trial::Good,
    }
}
