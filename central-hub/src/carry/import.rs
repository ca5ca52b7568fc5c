//! A carry file's bytes in, its payloads to intake, a report out. Bounded: a chunk and a frame of the file, and so many
//! payloads that wait for their commit.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::FuturesOrdered;
use futures_util::{Stream, StreamExt};
use simpul_carry::{Header, Item, OpenError, Opener, Opening};
use simpul_wire::ack::RejectReason;
use simpul_wire::batch::{Batch, Refused};
use simpul_wire::topic::Topic;
use tokio::sync::{mpsc, oneshot};

use super::Judge;
use super::report::CarryView;
use super::tally::Tally;
use crate::intake::Carried;
use crate::store::{Outcome, Store};

/// Payloads that wait for their commit: enough that they share its fsync, few enough that what comes by fibre meanwhile
/// finds its place in each group.
const IN_FLIGHT_MAX: usize = 64;

/// Why nothing of a file was taken.
#[derive(Debug, thiserror::Error)]
pub enum CarryError {
    /// The file itself.
    #[error(transparent)]
    File(#[from] OpenError),
    /// This hub opens nothing.
    #[error("this hub has no carry key, so nothing can have been sealed for it: `simpul-hub carry key` makes one")]
    NoKey,
    /// A certificate of nobody here.
    #[error(
        "the file says that it is of {node}, and its certificate is not one of this district ({reason}): nothing is taken"
    )]
    Stranger {
        /// Whose the file says it is.
        node: String,
        /// Why not.
        reason: String,
    },
    /// Another node's certificate.
    #[error("the file says that it is of {node}, and was sealed by {certificate}: nothing is taken")]
    OtherNode {
        /// Whose the file says it is.
        node: String,
        /// Whose the certificate is.
        certificate: String,
    },
    /// The node was revoked.
    #[error("the certificate with which {node} sealed the file was revoked: nothing is taken")]
    Revoked {
        /// Whose.
        node: String,
    },
    /// Not sealed by the certificate's holder.
    #[error("the signature in the file is not one of {node}: nothing is taken")]
    BadSignature {
        /// Whose the file says it is.
        node: String,
    },
    /// The file did not come.
    #[error("the file could not be read to its end: {0}")]
    Read(String),
    /// The hub's own trouble.
    #[error("the hub cannot take files now: {0}")]
    Hub(String),
}

impl CarryError {
    /// A stable code.
    pub fn code(&self) -> &'static str {
        use simpul_carry::HeaderError;
        match self {
            CarryError::File(OpenError::Header(HeaderError::NotCarry)) => "not_a_carry_file",
            CarryError::File(OpenError::Header(HeaderError::OtherVersion(_))) => "other_version",
            CarryError::File(OpenError::OtherHub { .. }) => "other_hub",
            CarryError::File(OpenError::CutShort { .. }) => "cut_short",
            CarryError::File(_) => "damaged",
            CarryError::NoKey => "no_key",
            CarryError::Stranger { .. } => "unknown_node",
            CarryError::OtherNode { .. } => "other_node",
            CarryError::Revoked { .. } => "revoked",
            CarryError::BadSignature { .. } => "bad_signature",
            CarryError::Read(_) => "not_read",
            CarryError::Hub(_) => "unavailable",
        }
    }
}

/// Takes carry files.
#[derive(Clone)]
pub struct Importer {
    judge: Judge,
    store: Arc<dyn Store>,
    intake: mpsc::Sender<Carried>,
}

type Waiting = FuturesOrdered<oneshot::Receiver<Outcome>>;

impl Importer {
    /// Towards this intake.
    pub fn new(judge: Judge, store: Arc<dyn Store>, intake: mpsc::Sender<Carried>) -> Importer {
        Importer { judge, store, intake }
    }

    /// Take a file. What is whole of it is committed when this returns; the report says what is wrong with the rest.
    ///
    /// # Errors
    /// Nothing of the file was taken; or the hub stopped in between, and the file is to be brought again.
    pub async fn import(
        &self,
        file: impl Stream<Item = Result<Bytes, String>> + Unpin,
    ) -> Result<CarryView, CarryError> {
        let mut source = Source { opener: Opener::new(self.judge.keys()?), file, piece: Bytes::new(), ended: false };
        let Some(Item::Head(header, head)) = source.next().await? else { return Err(unordered()) };
        let Some(Item::Opening(opening)) = source.next().await? else { return Err(unordered()) };
        self.judge(&header, head, &opening).await?;
        let mut tally = Tally::default();
        tally.promise(&opening.promises);
        let rows = self.store.streams(Some(header.node.clone())).await;
        tally.before(&rows.map_err(|error| CarryError::Hub(error.to_string()))?);
        let mut waiting = Waiting::new();
        let problem = loop {
            match source.next().await {
                Ok(Some(Item::Publish(payload))) => {
                    self.submit(&header, payload, &mut waiting, &mut tally).await?;
                }
                Ok(Some(Item::Head(..) | Item::Opening(_))) => break Some(unordered().to_string()),
                Ok(None) => break None,
                Err(error) => break Some(error.to_string()),
            }
        };
        while let Some(outcome) = waiting.next().await {
            tally.add(&outcome.map_err(|_| stopping())?);
        }
        let (streams, rejected, missing) = tally.finish();
        let view = CarryView {
            node: header.node.to_string(),
            epoch: header.epoch.to_string(),
            created_ms: header.created_ms,
            whole: problem.is_none(),
            problem,
            streams,
            rejected,
            missing,
        };
        let new: u64 = view.streams.iter().map(|row| row.new).sum();
        tracing::info!(node = view.node, new, whole = view.whole, "a carry file was taken");
        Ok(view)
    }

    async fn judge(&self, header: &Header, head: Vec<u8>, opening: &Opening) -> Result<(), CarryError> {
        let (judge, header, opening) = (self.judge.clone(), header.clone(), opening.clone());
        // It reads files and the registry.
        let judged = tokio::task::spawn_blocking(move || judge.judge(&header, &head, &opening)).await;
        judged.map_err(|error| CarryError::Hub(error.to_string()))?
    }

    async fn submit(
        &self,
        header: &Header,
        payload: Vec<u8>,
        waiting: &mut Waiting,
        tally: &mut Tally,
    ) -> Result<(), CarryError> {
        if waiting.len() >= IN_FLIGHT_MAX
            && let Some(outcome) = waiting.next().await
        {
            tally.add(&outcome.map_err(|_| stopping())?);
        }
        let stream = match Batch::open(&payload) {
            Ok(batch) => batch.header.stream,
            Err(Refused { placed: Some((_, stream, _)), .. }) => stream,
            Err(_) => {
                tally.refuse(None, RejectReason::Malformed);
                return Ok(());
            }
        };
        let topic = Topic::Up(header.node.clone(), stream).to_string();
        let (answer, outcome) = oneshot::channel();
        let carried = Carried { node: header.node.clone(), topic, payload: payload.into(), answer };
        self.intake.send(carried).await.map_err(|_| stopping())?;
        waiting.push_back(outcome);
        Ok(())
    }
}

fn unordered() -> CarryError {
    CarryError::File(OpenError::BadFrame("its parts are out of order".to_string()))
}

fn stopping() -> CarryError {
    CarryError::Hub("it is stopping; import the file again, what was taken is not taken twice".to_string())
}

/// The items of a file that arrives in pieces.
struct Source<F> {
    opener: Opener,
    file: F,
    /// What the opener had no room for.
    piece: Bytes,
    ended: bool,
}

impl<F: Stream<Item = Result<Bytes, String>> + Unpin> Source<F> {
    async fn next(&mut self) -> Result<Option<Item>, CarryError> {
        loop {
            let item = self.opener.next()?;
            if item.is_some() || self.ended {
                return Ok(item);
            }
            if self.piece.is_empty() {
                match self.file.next().await {
                    Some(piece) => self.piece = piece.map_err(CarryError::Read)?,
                    None => {
                        self.opener.close();
                        self.ended = true;
                        continue;
                    }
                }
            }
            let taken = self.opener.feed(&self.piece);
            self.piece = self.piece.split_off(taken);
        }
    }
}
