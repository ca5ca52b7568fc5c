//! What the uplink needs of the spool, as a trait: the driver then runs against the real spool and against a test's.

use std::future::Future;

use simpul_wire::ack::{Ack, HubState};
use simpul_wire::image::ImagePart;
use simpul_wire::{Epoch, SeqRange, Stream};
use tokio::sync::watch;

use crate::spool::{AppendError, Appended, NewRecord, Spool, SpoolError, SpoolState, Stored};

/// The spool as the uplink sees it; see [`Spool`] for what each call promises.
pub trait Buffer: Clone + Send + Sync + 'static {
    /// The state, and changes of it.
    fn state(&self) -> watch::Receiver<SpoolState>;

    /// Append; returns when durable.
    fn append(&self, record: NewRecord) -> impl Future<Output = Result<Appended, AppendError>> + Send;

    /// Stored records of `range` in that epoch.
    fn read(
        &self,
        epoch: Epoch,
        stream: Stream,
        range: SeqRange,
        bytes_max: usize,
        records_max: usize,
    ) -> impl Future<Output = Result<Vec<Stored>, SpoolError>> + Send;

    /// A part of an image of that epoch; `None` if it is gone.
    fn read_part(
        &self,
        epoch: Epoch,
        seq: u64,
        offset: u32,
        bytes_max: usize,
    ) -> impl Future<Output = Result<Option<ImagePart>, SpoolError>> + Send;

    /// The hub has committed or refused records.
    fn acknowledge(&self, ack: Ack) -> impl Future<Output = Result<(), SpoolError>> + Send;

    /// The hub said what it is.
    fn hub(&self, hub: HubState) -> impl Future<Output = Result<(), SpoolError>> + Send;
}

impl Buffer for Spool {
    fn state(&self) -> watch::Receiver<SpoolState> {
        Spool::state(self)
    }

    async fn append(&self, record: NewRecord) -> Result<Appended, AppendError> {
        Spool::append(self, record).await
    }

    async fn read(
        &self,
        epoch: Epoch,
        stream: Stream,
        range: SeqRange,
        bytes_max: usize,
        records_max: usize,
    ) -> Result<Vec<Stored>, SpoolError> {
        Spool::read(self, epoch, stream, range, bytes_max, records_max).await
    }

    async fn read_part(
        &self,
        epoch: Epoch,
        seq: u64,
        offset: u32,
        bytes_max: usize,
    ) -> Result<Option<ImagePart>, SpoolError> {
        Spool::read_part(self, epoch, seq, offset, bytes_max).await
    }

    async fn acknowledge(&self, ack: Ack) -> Result<(), SpoolError> {
        Spool::acknowledge(self, ack).await
    }

    async fn hub(&self, hub: HubState) -> Result<(), SpoolError> {
        Spool::hub(self, hub).await
    }
}
