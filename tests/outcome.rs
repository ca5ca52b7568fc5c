//! What the hub shows of what its nodes accepted: interval sets and losses by epoch and stream, and the wait until
//! everything that was accepted is there.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use simpul_testkit::hub::Hub;
use simpul_testkit::node::Node;
use simpul_testkit::visitors::{Desk, Ledger, compare};
use simpul_testkit::wait;
use simpul_wire::{RangeSet, SeqRange};
use tokio::task::JoinSet;

/// What the hub shows of one (epoch, stream) of a node, as its page for auditors has it (`/api/v1/streams`).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Shown {
    /// Committed.
    pub have: RangeSet,
    /// Declared lost, by reason. Numbers that were never records are not among them.
    pub lost: BTreeMap<String, RangeSet>,
}

impl Shown {
    /// Lost for whatever reason.
    pub fn all_lost(&self) -> RangeSet {
        let mut all = RangeSet::new();
        self.lost.values().for_each(|ranges| all.insert_all(ranges));
        all
    }
}

/// By (epoch, stream).
pub type ShownStreams = BTreeMap<(String, String), Shown>;

/// Fails if the hub shows a loss of a node.
pub async fn nothing_lost(hub: &Hub, node: &str) -> Result<()> {
    let streams = shown(hub, node).await?;
    ensure!(streams.values().all(|shown| shown.all_lost().is_empty()), "{node} lost something: {streams:?}");
    Ok(())
}

/// What the hub shows of a node.
pub async fn shown(hub: &Hub, node: &str) -> Result<ShownStreams> {
    let rows = hub.get(&format!("/api/v1/streams?node={node}")).await?;
    let mut streams = ShownStreams::new();
    for row in rows.as_array().context("a list of streams")? {
        let mut shown = Shown { have: ranges(&row["have"])?, ..Shown::default() };
        for loss in row["lost"].as_array().context("a list of losses")? {
            let reason = loss["reason"].as_str().context("a reason")?.to_owned();
            shown.lost.entry(reason).or_default().insert(range(loss)?);
        }
        let text = |field: &str| row[field].as_str().map(str::to_owned).with_context(|| format!("no {field} in {row}"));
        // Its counts are what people read: they must say the same as the ranges.
        if row["have_records"] != shown.have.count() || row["lost_records"] != shown.all_lost().count() {
            bail!("the counts do not fit the ranges: {row}");
        }
        streams.insert((text("epoch")?, text("stream")?), shown);
    }
    Ok(streams)
}

fn ranges(list: &Value) -> Result<RangeSet> {
    list.as_array().context("a list of ranges")?.iter().map(range).collect()
}

fn range(value: &Value) -> Result<SeqRange> {
    let number = |field: &str| value[field].as_u64().with_context(|| format!("no {field} in {value}"));
    SeqRange::new(number("first_seq")?, number("last_seq")?).with_context(|| format!("an empty range: {value}"))
}

/// So many records accepted by as many callers at once.
pub async fn accept(desk: &Desk, records: usize, callers: usize) -> Result<()> {
    let mut tasks = JoinSet::new();
    for caller in 0..callers {
        let desk = desk.clone();
        let share = records / callers + usize::from(caller < records % callers);
        tasks.spawn(async move {
            for number in 0..share {
                desk.count("ktp", i64::try_from(number % 7)? + 1).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.context("a caller panicked")??;
    }
    Ok(())
}

/// Wait until all that was accepted is at the hub; its service records.
pub async fn everything(hub: &Hub, ledger: &Ledger, within: Duration) -> Result<Vec<Value>> {
    let found = wait::until("everything that was accepted at the hub", within, || async {
        let (rows, missing) = look(hub, ledger).await.ok()?;
        missing.is_empty().then_some(rows)
    });
    match found.await {
        Ok(rows) => Ok(rows),
        Err(error) => {
            let (_, missing) = look(hub, ledger).await?;
            Err(error.context(format!("{} are missing, such as {:?}", missing.len(), missing.first())))
        }
    }
}

async fn look(hub: &Hub, ledger: &Ledger) -> Result<(Vec<Value>, Vec<String>)> {
    let (rows, _) = hub.rows("/api/v1/service-records", None).await?;
    let missing = compare(&ledger.entries(), &rows).missing;
    Ok((rows, missing))
}

/// Wait until a node owes the hub nothing, of any stream and epoch that it shows.
pub async fn drained(node: &Node, within: Duration) -> Result<()> {
    let what = format!("{} to owe nothing", node.id());
    wait::until(&what, within, || async {
        let status = node.status().await.ok()?;
        let streams = status["streams"].as_object()?;
        streams.values().all(|stream| stream["backlog_records"] == 0).then_some(())
    })
    .await
}

/// A node's events at the hub, oldest first.
pub async fn events(hub: &Hub, node: &str) -> Result<Vec<Value>> {
    Ok(hub.rows(&format!("/api/v1/events?node={node}"), None).await?.0)
}

/// Wait for an event of a node whose detail contains `text`; it.
pub async fn event(hub: &Hub, node: &str, text: &str, within: Duration) -> Result<Value> {
    let what = format!("an event of {node} with {text:?}");
    wait::until(&what, within, || async {
        let rows = events(hub, node).await.ok()?;
        rows.into_iter().find(|row| row["detail"].as_str().is_some_and(|detail| detail.contains(text)))
    })
    .await
}
