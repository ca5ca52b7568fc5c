//! Cameras: poll, check, judge, mask, store.
//!
//! `schedule` says when, `http` and `onvif` ask, `jpeg` and `picture` look at what came, `judge` says what it
//! means; this file carries things between them. A picture is masked before its hash is taken, before it is stored, and
//! before anyone can ask for it (promise 7); nothing unmasked leaves `look`.

use std::future::Future;

use reqwest::Url;
use sha2::{Digest, Sha256};
use simpul_clock::{Clock, Moment};
use simpul_wire::Text;
use simpul_wire::event::{CameraCondition, EventBody, EventRecord};
use simpul_wire::image::ImageMeta;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};

use self::digest::Login;
use self::http::{Failed, Peer};
use self::judge::{Judge, Seen, View};
use self::picture::{EVERYTHING, Measures, Picture};
use self::schedule::{Ended, Schedule};
use self::view_file::ViewFile;
use super::{CameraAction, CameraCommand, Sink, told};
use crate::config::{CameraAddress, CameraConfig, Mask, read_secret};
use crate::spool::NewRecord;
use crate::stamper::Stamper;

mod digest;
mod entropy;
mod http;
mod jpeg;
mod judge;
pub(crate) mod masks;
mod onvif;
mod picture;
mod schedule;
pub mod trial;
mod view_file;

pub(crate) use onvif::iso_time;

/// One decoded picture in the process at a time, over all cameras: they are what memory peaks are made of.
static DECODER: Semaphore = Semaphore::const_new(1);

/// Why a camera's task could not start.
#[derive(Debug, thiserror::Error)]
pub enum CameraError {
    /// The password's file was refused.
    #[error("camera {camera}: {source}")]
    Password {
        /// The camera.
        camera: String,
        /// Why.
        source: crate::config::SecretError,
    },
    /// Its address cannot be used.
    #[error("camera {camera}: {what}")]
    Address {
        /// The camera.
        camera: String,
        /// Why.
        what: String,
    },
}

/// Poll one camera until `shutdown` becomes true; commands for other cameras are refused.
///
/// # Errors
/// When it cannot start; never for what the camera does.
pub async fn run<S: Sink>(
    config: CameraConfig,
    sink: S,
    stamper: Stamper,
    clock: Clock,
    mut commands: mpsc::Receiver<CameraCommand>,
    shown: watch::Sender<CameraShown>,
    mut shutdown: watch::Receiver<bool>,
) -> Result<(), CameraError> {
    let mut camera = Camera::new(config, sink, stamper, clock, shown)?;
    let mut commanded = true;
    loop {
        let wait = camera.schedule.next().since(camera.clock.now());
        let command = tokio::select! {
            () = told(&mut shutdown) => return Ok(()),
            () = tokio::time::sleep(wait) => None,
            command = commands.recv(), if commanded => match command {
                Some(command) => Some(command),
                None => {
                    commanded = false;
                    continue;
                }
            },
        };
        tokio::select! {
            () = told(&mut shutdown) => return Ok(()),
            () = camera.act(command) => {}
        }
    }
}

/// A camera's address, and the way to ask it.
fn peer(config: &CameraConfig) -> Result<(Url, Peer), CameraError> {
    let camera = || config.id.to_string();
    let address = match &config.address {
        CameraAddress::Snapshot(url) => url,
        CameraAddress::Onvif { device, .. } => device,
    };
    let address = Url::parse(address)
        .map_err(|error| CameraError::Address { camera: camera(), what: format!("address: {error}") })?;
    let login = match (&config.username, &config.password_file) {
        (Some(username), Some(path)) => {
            let password = read_secret(path).map_err(|source| CameraError::Password { camera: camera(), source })?;
            Some(Login::new(username.clone(), password))
        }
        _ => None,
    };
    let peer = Peer::new(login, address.scheme() == "https")
        .map_err(|what| CameraError::Address { camera: camera(), what })?;
    Ok((address, peer))
}

struct Camera<S> {
    /// As configured; its masks are those in force: the configured and the drawn ones.
    config: CameraConfig,
    /// The configured masks alone.
    configured: Vec<Mask>,
    /// Resolution of the picture that was last looked at to aim: masks are drawn over it.
    aimed: Option<(u16, u16)>,
    sink: S,
    stamper: Stamper,
    clock: Clock,
    peer: Peer,
    /// The configured address.
    address: Url,
    /// The snapshot's address, if it had to be asked for.
    asked_address: Option<Url>,
    schedule: Schedule,
    judge: Judge,
    view_file: Option<ViewFile>,
    kept_view: View,
    /// The condition that was last reported, durably.
    reported: Option<CameraCondition>,
    shown: watch::Sender<CameraShown>,
}

/// What the agent shows of a camera on site.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CameraShown {
    /// Its condition; nothing: not known since the start.
    pub condition: Option<CameraCondition>,
    /// More about it, for people.
    pub detail: String,
    /// Until then it is not asked, so that it does not lock us out.
    pub paused_until: Option<Moment>,
}

/// Why a picture is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Due,
    Asked,
    Confirm,
}

impl<S: Sink> Camera<S> {
    fn new(
        config: CameraConfig,
        sink: S,
        stamper: Stamper,
        clock: Clock,
        shown: watch::Sender<CameraShown>,
    ) -> Result<Self, CameraError> {
        let (address, peer) = peer(&config)?;
        let configured = config.masks.clone();
        let config = masks::in_force(config);
        let (view_file, judge) = judge_of(&config);
        let view = judge.view().clone();
        let schedule = Schedule::new(clock.now(), config.interval, random());
        Ok(Camera {
            config,
            configured,
            aimed: None,
            sink,
            stamper,
            clock,
            peer,
            address,
            asked_address: None,
            schedule,
            judge,
            view_file,
            kept_view: view,
            reported: None,
            shown,
        })
    }

    /// Do what a command says, or what is due.
    async fn act(&mut self, command: Option<CameraCommand>) {
        let Some(command) = command else {
            if let Err(what) = self.poll(Purpose::Due).await {
                tracing::debug!(camera = %self.config.id, what, "no picture");
            }
            return;
        };
        let result = if command.camera != self.config.id {
            Err(format!("{} is not a camera of this task", command.camera))
        } else if let Some(left) = self.schedule.paused_for(self.clock.now()) {
            let minutes = left.as_secs().div_ceil(60);
            Err(format!(
                "the camera refused our password: not asked for {minutes} min, so that it does not lock us out"
            ))
        } else {
            match command.action {
                CameraAction::SnapshotNow => self.poll(Purpose::Asked).await,
                CameraAction::ConfirmView if self.view_file.is_none() => Ok("no masks: nothing to confirm".into()),
                CameraAction::ConfirmView => self.poll(Purpose::Confirm).await,
                CameraAction::Aim(picture) => self.aim(picture).await,
                CameraAction::Mask(drawn) => self.mask(drawn).await,
            }
        };
        // Whoever asked may have gone.
        let _ = command.reply.send(result);
    }

    /// Take a picture and do everything that follows from it. The result is text for whoever asked.
    async fn poll(&mut self, purpose: Purpose) -> Result<String, String> {
        let fetched = self.fetch().await;
        let ended = match &fetched {
            Ok(_) => Ended::Admitted,
            // An error page says nothing about the password.
            Err(Failed::NoAnswer(_) | Failed::Unusable(_)) => Ended::NoAnswer,
            Err(Failed::Refused { times, .. }) => Ended::Refused(*times),
            Err(Failed::Impossible(_)) => Ended::Impossible,
        };
        let paused = self.schedule.ended(self.clock.now(), ended, random());
        let paused_until = paused.then(|| self.schedule.next());
        self.shown.send_modify(|shown| shown.paused_until = paused_until);
        let failed = match fetched {
            Ok(body) => return self.see(body, purpose).await,
            Err(failed) => failed,
        };
        // Where the snapshot is may have changed with the camera's settings: ask again next time.
        self.asked_address = None;
        let what = failed.to_string();
        match failed {
            Failed::NoAnswer(_) => self.report(CameraCondition::Unreachable, &what).await,
            Failed::Unusable(_) => self.report(CameraCondition::BadImage, &what).await,
            Failed::Refused { .. } | Failed::Impossible(_) if paused => {
                let minutes = schedule::PAUSE.as_secs() / 60;
                let detail = format!("{what}; not asked for {minutes} min, so that it does not lock us out");
                self.report(CameraCondition::Unauthorized, &detail).await;
            }
            // The first refusals may be a camera that ran out of connections: waited out.
            Failed::Refused { .. } | Failed::Impossible(_) => {}
        }
        Err(what)
    }

    /// A picture for somebody who aims the camera. No poll: it moves no schedule and is not judged; only a refused
    /// password counts, so that aiming cannot lock us out.
    async fn aim(&mut self, picture: oneshot::Sender<Vec<u8>>) -> Result<String, String> {
        let body = match self.fetch().await {
            Ok(body) => body,
            Err(failed) => {
                self.asked_address = None;
                let what = failed.to_string();
                let ended = match failed {
                    Failed::Refused { times, .. } => Some(Ended::Refused(times)),
                    Failed::Impossible(_) => Some(Ended::Impossible),
                    Failed::NoAnswer(_) | Failed::Unusable(_) => None,
                };
                if let Some(ended) = ended
                    && self.schedule.ended(self.clock.now(), ended, random())
                {
                    let until = self.schedule.next();
                    self.shown.send_modify(|shown| shown.paused_until = Some(until));
                    self.report(CameraCondition::Unauthorized, &what).await;
                }
                return Err(what);
            }
        };
        let structure = jpeg::check(&body).map_err(|error| error.to_string())?;
        self.aimed = Some((structure.width, structure.height));
        // Whoever asked may have gone.
        let _ = picture.send(structure.stripped(&body));
        Ok(String::new())
    }

    /// Keep drawn masks, then use them from the next picture on.
    async fn mask(&mut self, drawn: Vec<Mask>) -> Result<String, String> {
        let file = masks::MaskFile::new(&self.config);
        let count = drawn.len();
        let kept = masks::Drawn { masks: drawn, resolution: self.aimed };
        blocking(move || file.save(&kept).map(|()| kept))
            .await
            .map(|kept| {
                self.config.masks.clone_from(&self.configured);
                masks::add(&mut self.config, kept);
            })
            .map_err(|error| format!("the masks cannot be kept: {error}"))?;
        (self.view_file, self.judge) = judge_of(&self.config);
        self.kept_view = self.judge.view().clone();
        Ok(format!("{count} drawn, {} in force", self.config.masks.len()))
    }

    async fn fetch(&mut self) -> Result<Vec<u8>, Failed> {
        let url = match (&self.config.address, &self.asked_address) {
            (CameraAddress::Snapshot(_), _) => self.address.clone(),
            (CameraAddress::Onvif { .. }, Some(url)) => url.clone(),
            (CameraAddress::Onvif { profile, .. }, None) => {
                let profile = profile.as_deref();
                let url = onvif::snapshot_url(&mut self.peer, &self.address, profile, &self.clock).await?;
                self.asked_address.insert(url).clone()
            }
        };
        let limit = usize::try_from(self.config.image_bytes_max).unwrap_or(usize::MAX);
        self.peer.get(&url, limit).await
    }

    async fn see(&mut self, body: Vec<u8>, purpose: Purpose) -> Result<String, String> {
        // An error means that the semaphore was closed: nobody does.
        let _turn = DECODER.acquire().await;
        let masks = self.config.masks.clone();
        let looked = blocking(move || look(body, &masks)).await;
        let looked = match looked {
            Ok(looked) => looked,
            Err(what) => {
                self.report(CameraCondition::BadImage, &what).await;
                return Err(what);
            }
        };
        if purpose == Purpose::Confirm {
            let mut judge = self.judge.clone();
            judge.confirm(&looked.seen);
            // Unmasked only after it is certain that a restart remembers it.
            self.keep_view(judge.view()).await.map_err(|error| format!("the confirmation cannot be kept: {error}"))?;
            self.judge = judge;
        }
        let verdict = self.judge.judge(self.clock.now(), &looked.seen, purpose != Purpose::Due);
        let view = self.judge.view().clone();
        if view != self.kept_view
            && let Err(error) = self.keep_view(&view).await
        {
            tracing::error!(camera = %self.config.id, %error, "a camera's view cannot be kept over a restart");
        }
        self.report(verdict.condition, &verdict.detail).await;
        if !verdict.store {
            return Ok("unchanged: not stored".into());
        }
        let seen = looked.seen;
        let (jpeg, measures) = blocking(move || looked.finish(verdict.mask_all)).await?;
        let meta = self.meta(&jpeg, &seen, &measures, verdict.changed);
        let appended = self.sink.append(NewRecord::Snapshot { meta, jpeg }).await;
        match appended {
            Ok(appended) => {
                self.judge.stored(self.clock.now(), measures.dhash);
                let masked = measures.masked_percent;
                Ok(format!("stored as snapshot {}, {masked} % masked", appended.range.first()))
            }
            Err(error) => {
                tracing::error!(camera = %self.config.id, %error, "a snapshot was lost");
                Err(error.to_string())
            }
        }
    }

    fn meta(&self, jpeg: &[u8], seen: &Seen, measures: &Measures, changed: bool) -> ImageMeta {
        ImageMeta {
            stamp: self.stamper.now(),
            camera: self.config.id.clone(),
            // `image_bytes_max` is a `u32`, and re-encoding a picture within it at quality 85 stays near it; if not,
            // the spool refuses the mismatch.
            length: u32::try_from(jpeg.len()).unwrap_or(u32::MAX),
            sha256: Sha256::digest(jpeg).into(),
            width: seen.resolution.0,
            height: seen.resolution.1,
            dhash: measures.dhash,
            masked_percent: measures.masked_percent,
            changed,
            simulated: self.config.simulated,
        }
    }

    async fn keep_view(&mut self, view: &View) -> std::io::Result<()> {
        let Some(file) = self.view_file.clone() else { return Ok(()) };
        let kept = view.clone();
        blocking(move || file.save(&kept)).await?;
        self.kept_view = view.clone();
        Ok(())
    }

    /// Report a condition, if it is another than the last one that was reported.
    async fn report(&mut self, condition: CameraCondition, detail: &str) {
        self.shown.send_modify(|shown| {
            shown.condition = Some(condition);
            detail.clone_into(&mut shown.detail);
        });
        if self.reported == Some(condition) {
            return;
        }
        let body = EventBody::Camera { camera: self.config.id.clone(), condition, detail: Text::clipped(detail) };
        match self.sink.append(NewRecord::Event(EventRecord { stamp: self.stamper.now(), body })).await {
            Ok(_) => self.reported = Some(condition),
            // Tried again with the next poll.
            Err(error) => {
                tracing::warn!(camera = %self.config.id, %condition, %error, "a condition could not be stored")
            }
        }
    }
}

/// The judge of a camera's pictures, and the file of its view if it has masks.
fn judge_of(config: &CameraConfig) -> (Option<ViewFile>, Judge) {
    let has_masks = !config.masks.is_empty();
    let view_file = has_masks.then(|| ViewFile::new(config));
    let view = view_file.as_ref().map(|file| file.load(config.mask_resolution)).unwrap_or_default();
    let due_after = judge::due_after(config.heartbeat, config.interval);
    (view_file, Judge::new(has_masks, config.frozen_after, due_after, view))
}

/// A picture that was looked at, masked as configured.
struct Looked {
    seen: Seen,
    /// Pixels with the configured masks burnt in; dropped when there are none, so that the next picture finds room.
    masked: Option<Picture>,
    /// Without masks: the camera's own bytes, without private segments.
    own: Vec<u8>,
}

/// Check, decode, mask, measure. CPU-bound.
fn look(body: Vec<u8>, masks: &[Mask]) -> Result<Looked, String> {
    let structure = jpeg::check(&body).map_err(|error| error.to_string())?;
    let mut picture = Picture::decode(&body, !masks.is_empty()).map_err(|error| error.to_string())?;
    picture.paint(masks);
    let measures = picture.measure(masks);
    let seen =
        Seen { body_sha256: Sha256::digest(&body).into(), resolution: (structure.width, structure.height), measures };
    if masks.is_empty() {
        return Ok(Looked { seen, masked: None, own: structure.stripped(&body) });
    }
    Ok(Looked { seen, masked: Some(picture), own: Vec::new() })
}

impl Looked {
    /// The JPEG to store, and its measures.
    fn finish(self, mask_all: bool) -> Result<(Vec<u8>, Measures), String> {
        let Some(mut picture) = self.masked else { return Ok((self.own, self.seen.measures)) };
        let mut measures = self.seen.measures;
        if mask_all {
            picture.paint(&EVERYTHING);
            measures = picture.measure(&EVERYTHING);
        }
        Ok((picture.encode().map_err(|error| error.to_string())?, measures))
    }
}

/// Run CPU or disk work off the event loop.
fn blocking<T: Send + 'static, E: From<Broken> + Send + 'static>(
    work: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> impl Future<Output = Result<T, E>> {
    let task = tokio::task::spawn_blocking(work);
    async move { task.await.unwrap_or_else(|error| Err(Broken(error.to_string()).into())) }
}

/// Work that was broken off: a panic in a decoder, or the end of the program.
struct Broken(String);

impl From<Broken> for String {
    fn from(broken: Broken) -> String {
        format!("broken off: {}", broken.0)
    }
}

impl From<Broken> for std::io::Error {
    fn from(broken: Broken) -> std::io::Error {
        std::io::Error::other(broken.0)
    }
}

/// For spreading polls only.
fn random() -> u32 {
    // Without random numbers polls are less spread, nothing more.
    getrandom::u32().unwrap_or(u32::MAX / 2)
}
