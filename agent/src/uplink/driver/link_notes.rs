//! Tells the hub, by events, when the link came and went. A flapping link must not fill the buffer: one pair a minute,
//! the rest is counted in the next.

use std::time::Duration;

use futures_util::future::BoxFuture;
use simpul_clock::Moment;
use simpul_wire::Text;
use simpul_wire::event::{EventBody, EventRecord};

use crate::spool::NewRecord;
use crate::stamper::Stamper;
use crate::uplink::buffer::Buffer;

/// Between two of the same kind.
const INTERVAL: Duration = Duration::from_secs(60);

/// Comings and goings that are to be appended.
#[derive(Default)]
pub struct LinkNotes {
    up: Note,
    down: Note,
    /// The append that runs.
    pub appending: Option<BoxFuture<'static, ()>>,
}

#[derive(Default)]
struct Note {
    said_at: Option<Moment>,
    unsaid: u32,
    pending: Option<String>,
}

impl Note {
    fn happened(&mut self, now: Moment, detail: String) {
        if self.said_at.is_some_and(|at| now.since(at) < INTERVAL) {
            self.unsaid += 1;
            return;
        }
        self.said_at = Some(now);
        let more = std::mem::take(&mut self.unsaid);
        self.pending = Some(if more > 0 { format!("{detail} ({more} more before it)") } else { detail });
    }
}

impl LinkNotes {
    /// A session began.
    pub fn up(&mut self, now: Moment, hub: &str) {
        self.up.happened(now, format!("connected to {hub}"));
    }

    /// A session ended.
    pub fn down(&mut self, now: Moment, why: &str) {
        self.down.happened(now, why.to_string());
    }

    /// Begin to append what there is to say, unless an append runs.
    pub fn start<B: Buffer>(&mut self, buffer: &B, stamper: &Stamper) {
        if self.appending.is_some() {
            return;
        }
        // The going before the coming: that is the order in which they wait.
        let next = self.down.pending.take().map(|detail| (false, detail));
        let Some((up, detail)) = next.or_else(|| self.up.pending.take().map(|detail| (true, detail))) else { return };
        let body = EventBody::Link { up, detail: Text::clipped(&detail) };
        let record = NewRecord::Event(EventRecord { stamp: stamper.now(), body });
        let buffer = buffer.clone();
        self.appending = Some(Box::pin(async move {
            if let Err(error) = buffer.append(record).await {
                tracing::warn!(%error, "the change of the link could not be recorded");
            }
        }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flapping_link_is_told_once_a_minute_with_the_number() {
        let mut note = Note::default();
        let mut said = Vec::new();
        for second in 0..=60 {
            note.happened(Moment::from_millis(second * 1000), "reset".to_string());
            said.extend(note.pending.take());
        }
        assert_eq!(said, ["reset", "reset (59 more before it)"]);
    }
}
