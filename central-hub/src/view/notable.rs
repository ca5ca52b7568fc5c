//! The newest notable event of every node, the condition of every camera and of every board, followed from the store's events by id,
//! so that the overview does not read them all again each second.

use std::collections::BTreeMap;

use simpul_wire::NodeId;
use simpul_wire::event::EventBody;

use super::board;
use super::event::describe;
use super::examination::Examined;
use crate::store::{EventRow, Page, Store, StoreError};

/// Events read at a time, and at most how many pages back from the newest at the start: 100,000 events are months of a
/// median district. A camera whose last word is older reads as unknown until it speaks again.
const PAGE: usize = 10_000;
const PAGES_BACK_MAX: usize = 10;

/// Cameras kept for one node: a village has a handful; more is a fault that must not grow memory.
const CAMERAS_MAX: usize = 64;

/// What events last said.
#[derive(Debug, Default)]
pub struct Notable {
    cursor: Option<i64>,
    nodes: BTreeMap<NodeId, Said>,
}

/// What one node's events last said.
#[derive(Debug, Default)]
pub struct Said {
    /// The newest notable event.
    pub event: Option<EventRow>,
    /// Camera -> when, condition.
    pub cameras: BTreeMap<String, (i64, String)>,
    /// The I/O board and the newest command.
    pub board: board::Said,
    /// The newest examination.
    pub examined: Option<Examined>,
}

impl Notable {
    /// What is known of a node.
    pub fn of(&self, node: &NodeId) -> Option<&Said> {
        self.nodes.get(node)
    }

    /// Read what came since the last call; the first call reads back from the newest.
    pub async fn follow(&mut self, store: &dyn Store) -> Result<(), StoreError> {
        match self.cursor {
            None => self.look_back(store).await,
            Some(_) => self.catch_up(store).await,
        }
    }

    async fn look_back(&mut self, store: &dyn Store) -> Result<(), StoreError> {
        let (mut before, mut newest) = (None, 0);
        for _ in 0..PAGES_BACK_MAX {
            let page = Page { node: None, cursor: before, newest_first: true, limit: PAGE };
            let rows = store.events(page).await?;
            let full = rows.len() >= PAGE;
            before = rows.last().map(|row| row.id);
            for row in rows {
                newest = newest.max(row.id);
                self.note(row);
            }
            if !full {
                break;
            }
        }
        self.cursor = Some(newest);
        Ok(())
    }

    async fn catch_up(&mut self, store: &dyn Store) -> Result<(), StoreError> {
        // As much at most as the first look back: a flood of events is caught up with over several calls.
        for _ in 0..PAGES_BACK_MAX {
            let page = Page { node: None, cursor: self.cursor, newest_first: false, limit: PAGE };
            let rows = store.events(page).await?;
            let full = rows.len() >= PAGE;
            for row in rows {
                self.cursor = Some(row.id);
                self.note(row);
            }
            if !full {
                break;
            }
        }
        Ok(())
    }

    fn note(&mut self, row: EventRow) {
        let said = self.nodes.entry(row.node.clone()).or_default();
        if let EventBody::Camera { camera, condition, .. } = &row.record.body {
            let known = said.cameras.get(camera.as_str());
            let newer = known.is_none_or(|(at_ms, _)| *at_ms <= row.at_ms);
            if newer && (known.is_some() || said.cameras.len() < CAMERAS_MAX) {
                said.cameras.insert(camera.to_string(), (row.at_ms, condition.to_string()));
            }
        }
        if let EventBody::Examination { verdict, report } = &row.record.body
            && said.examined.as_ref().is_none_or(|known| known.at_ms <= row.at_ms)
        {
            said.examined = Some(Examined { at_ms: row.at_ms, verdict: *verdict, report: report.clone() });
        }
        said.board.note((row.at_ms, row.id), &row.record.body);
        // By when it happened, not by arrival: a backlog drains behind the present.
        let newer = said.event.as_ref().is_none_or(|event| (event.at_ms, event.id) <= (row.at_ms, row.id));
        if newer && describe(&row.record.body).notable {
            said.event = Some(row);
        }
    }
}
