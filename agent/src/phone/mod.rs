//! The page that a technician opens with a phone on the village LAN: how the node is, its examination, its cameras live,
//! their masks, its acceptance (docs/adr/0010-phone-page.md).
//!
//! It listens only while a code is open. `door` says who may come in, `book` keeps that over a restart, `code` is what the
//! label says, `desk` does what is asked, `page` is what a phone gets. Leaves to others: sockets (`sources::connections`),
//! cameras and masks (`sources::camera`), the examination (`doctor`).

pub mod book;
pub mod code;
mod desk;
pub mod door;
mod page;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use simpul_clock::{Clock, Moment};
use simpul_wire::doctor::Verdict;
use simpul_wire::event::{EventBody, EventRecord, SiteAct};
use simpul_wire::{Label, Text};
use tokio::net::TcpListener;
use tokio::sync::{Notify, Semaphore, mpsc, watch};

use self::book::Book;
use self::door::{Door, Kept};
use crate::config::{CameraConfig, PhoneConfig};
use crate::doctor::Examiner;
use crate::sources::connections::{self, Answer};
use crate::sources::{CameraCommand, Sink, told};
use crate::spool::{AppendError, NewRecord};
use crate::stamper::Stamper;
use crate::status::Shown;

/// How often a new code is looked for, and whether the open one is over.
const LOOK: Duration = Duration::from_secs(5);
/// The running time is saved this often while a code is open: 96 small writes a day for two weeks.
const SAVE: Duration = Duration::from_secs(15 * 60);
/// Pictures on their way to a phone at a time; each may be megabytes.
const PICTURES_MAX: usize = 2;

/// What the page works with.
pub struct Parts<S> {
    /// Its configuration.
    pub config: PhoneConfig,
    /// Where events go.
    pub sink: S,
    /// Stamps them.
    pub stamper: Stamper,
    /// Time.
    pub clock: Clock,
    /// How the node is.
    pub shown: Shown,
    /// Examines it.
    pub examiner: Examiner,
    /// The cameras as configured.
    pub cameras: Vec<CameraConfig>,
    /// The ways to them.
    pub ways: HashMap<Label, mpsc::Sender<CameraCommand>>,
    /// Hash of the newest enrolment token.
    pub token: Box<dyn Fn() -> Option<[u8; 32]> + Send + Sync>,
    /// Says whether a code is open: somebody is expected.
    pub expecting: watch::Sender<bool>,
}

/// The page's state while it is open.
struct Phone<S> {
    parts: Parts<S>,
    book: Book,
    door: Mutex<Door>,
    /// What was found in this session.
    examined: Mutex<Option<Verdict>>,
    /// When each camera's looks were last told of, and pictures shown since.
    looks: Mutex<HashMap<Label, (Moment, u32)>>,
    pictures: Arc<Semaphore>,
    closed: Notify,
}

/// Open the page whenever there is an open code, until `shutdown`.
///
/// # Errors
/// The port cannot be listened on.
pub async fn run<S: Sink>(parts: Parts<S>, mut shutdown: watch::Receiver<bool>) -> std::io::Result<()> {
    let book = Book::new(&parts.config.state_directory);
    let door = Door::new(book.load(), parts.config.open_for, parts.clock.now());
    let phone = Arc::new(Phone {
        book,
        door: Mutex::new(door),
        examined: Mutex::default(),
        looks: Mutex::default(),
        pictures: Arc::new(Semaphore::new(PICTURES_MAX)),
        closed: Notify::new(),
        parts,
    });
    loop {
        let open = phone.look_for_codes().await;
        phone.parts.expecting.send_replace(open);
        if open {
            let listener = TcpListener::bind(phone.parts.config.listen).await?;
            tracing::info!(address = %phone.parts.config.listen, "the phone page listens: a code is open");
            phone.serve(listener, &mut shutdown).await;
            tracing::info!("the phone page is closed");
        }
        tokio::select! {
            () = told(&mut shutdown) => return Ok(()),
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}

impl<S: Sink> Phone<S> {
    fn door(&self) -> MutexGuard<'_, Door> {
        self.door.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Serve until the code is over or `shutdown`.
    async fn serve(self: &Arc<Self>, listener: TcpListener, shutdown: &mut watch::Receiver<bool>) {
        let (close, closing) = watch::channel(false);
        let phone = self.clone();
        let answer: Answer = Arc::new(move |address: IpAddr, request| {
            let phone = phone.clone();
            async move { Ok(phone.answer(address, request).await) }.boxed()
        });
        let watching = async {
            let mut saved = self.parts.clock.now();
            loop {
                let stop = tokio::select! {
                    () = told(shutdown) => true,
                    () = self.closed.notified() => false,
                    () = tokio::time::sleep(LOOK) => false,
                };
                let now = self.parts.clock.now();
                let open = !stop && self.look_for_codes().await;
                if !open || now.since(saved) >= SAVE {
                    let kept = self.door().kept(now).clone();
                    self.note(kept).await;
                    saved = now;
                }
                if !open {
                    break;
                }
            }
            close.send_replace(true);
        };
        tokio::join!(connections::serve(listener, answer, closing), watching);
        self.parts.expecting.send_replace(false);
    }

    /// Take in a code that was made on site or came with a token; whether anybody may come now.
    async fn look_for_codes(&self) -> bool {
        let now = self.parts.clock.now();
        let before = self.door().kept(now).clone();
        let handed = self.book.handed();
        if let Some(hash) = handed {
            self.door().new_code(now, hash);
        }
        if let Some(token) = (self.parts.token)() {
            let hash = code::hash(&code::of_token(&token));
            let mut door = self.door();
            // One that was made on site is newer than the token that lay there before.
            if before.of_token != Some(hash) {
                door.token_code(now, hash);
            }
        }
        let after = self.door().kept(now).clone();
        if (after.code, after.of_token) == (before.code, before.of_token) {
            return self.door().is_open(now);
        }
        if let Err(error) = self.keep(after).await {
            tracing::error!(%error, "a new code of the phone page cannot be kept, and does not open");
            self.door().undo(before);
        } else if handed.is_some() {
            // Told before it is forgotten; cut off in between it is told twice.
            if self.tell(SiteAct::CodeMade, None, "-", "").await.is_ok()
                && let Err(error) = self.book.forget_handed()
            {
                tracing::error!(%error, "the file with a new code's hash cannot be deleted");
            }
        }
        self.door().is_open(now)
    }

    async fn keep(&self, kept: Kept) -> std::io::Result<()> {
        let book = self.book.clone();
        tokio::task::spawn_blocking(move || book.save(&kept)).await.map_err(std::io::Error::other)?
    }

    async fn note(&self, kept: Kept) {
        if let Err(error) = self.keep(kept).await {
            tracing::warn!(%error, "the running time of the phone page's code cannot be kept");
        }
    }

    /// Append an event; durable when this returns.
    async fn tell(&self, act: SiteAct, camera: Option<Label>, who: &str, detail: &str) -> Result<(), AppendError> {
        let body = EventBody::Site { act, camera, who: Label::clipped(who), detail: Text::clipped(detail) };
        let record = NewRecord::Event(EventRecord { stamp: self.parts.stamper.now(), body });
        self.parts.sink.append(record).await.map(|_| ())
    }
}
