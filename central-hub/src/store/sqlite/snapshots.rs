//! Whole images: their rows, retention and thinning. A row goes first and leaves the object's name among the
//! *doomed*; the object goes after that commit, so that a crash in between leaves neither a row without an image nor
//! an image without a name.

use rusqlite::{Connection, OptionalExtension, Row, params};
use simpul_wire::image::ImageMeta;

use super::dating::{self, dating_from};
use super::images::WholeImage;
use crate::store::{Page, SnapshotRow, StoreError};

/// Images removed in one piece of maintenance: some milliseconds of the writer's time.
pub(super) const REMOVED_MAX: usize = 128;

const COLUMNS: &str = "snapshot.id, node.name, snapshot.at_ms, snapshot.dating, snapshot.error_ms,
                       snapshot.received_ms, snapshot.body";

pub(super) fn insert(connection: &Connection, node: i64, stream: i64, image: &WholeImage) -> Result<(), StoreError> {
    let dated = dating::date(connection, node, image.epoch, &image.meta.stamp, image.received_ms)?;
    let (dating, error_ms) = dated.columns();
    connection
        .prepare_cached(
            "INSERT INTO snapshot (node, stream, seq, boot, at_ms, dating, error_ms, received_ms, camera, length,
             changed, object, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
        )?
        .execute(params![
            node,
            stream,
            image.seq as i64,
            image.meta.stamp.boot,
            dated.at_ms,
            dating,
            error_ms,
            image.received_ms,
            image.meta.camera.as_str(),
            image.meta.length,
            image.meta.changed,
            image.object,
            simpul_wire::error::to_vec(&image.meta)
        ])?;
    connection
        .prepare_cached("INSERT OR IGNORE INTO camera VALUES (?1, ?2)")?
        .execute(params![node, image.meta.camera.as_str()])?;
    // The object of this name is the image that has just come: it is not to be removed any more.
    connection.prepare_cached("DELETE FROM doomed WHERE object = ?1")?.execute([&image.object])?;
    Ok(())
}

/// Bytes of all images that have a row.
pub(super) fn bytes(connection: &Connection) -> Result<u64, StoreError> {
    let bytes: i64 = connection.query_row("SELECT coalesce(sum(length), 0) FROM snapshot", [], |row| row.get(0))?;
    Ok(bytes.unsigned_abs())
}

/// Remove images older than `cutoff_ms`, oldest first. Returns their bytes.
pub(super) fn retire(connection: &Connection, cutoff_ms: i64) -> Result<u64, StoreError> {
    let mut statement = connection
        .prepare_cached("SELECT id, length, object FROM snapshot WHERE at_ms < ?1 ORDER BY at_ms LIMIT ?2")?;
    let rows =
        statement.query_map(params![cutoff_ms, REMOVED_MAX as i64], removable)?.collect::<Result<Vec<_>, _>>()?;
    doom(connection, &rows)
}

/// Make room: every second image of a camera goes, oldest first, changed scenes stay; when all are thinned, the oldest
/// go. Returns the bytes freed and whether there was any image left to look at.
pub(super) fn thin(connection: &Connection) -> Result<(u64, bool), StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT id, length, object, node, camera, changed FROM snapshot WHERE thinned = 0 ORDER BY at_ms LIMIT ?1",
    )?;
    let rows = statement
        .query_map([REMOVED_MAX as i64], |row| {
            let camera: (i64, String) = (row.get(3)?, row.get(4)?);
            Ok((removable(row)?, camera, row.get::<_, bool>(5)?))
        })?
        .collect::<Result<Vec<_>, _>>()?;
    if rows.is_empty() {
        let mut oldest =
            connection.prepare_cached("SELECT id, length, object FROM snapshot ORDER BY at_ms LIMIT ?1")?;
        let rows = oldest.query_map([REMOVED_MAX as i64], removable)?.collect::<Result<Vec<_>, _>>()?;
        return Ok((doom(connection, &rows)?, !rows.is_empty()));
    }
    let mut kept_before = std::collections::HashMap::new();
    let mut out = Vec::new();
    for (image, camera, changed) in rows {
        let kept_before: &mut bool = kept_before.entry(camera).or_insert(false);
        if *kept_before && !changed {
            *kept_before = false;
            out.push(image);
        } else {
            *kept_before = true;
            connection.prepare_cached("UPDATE snapshot SET thinned = 1 WHERE id = ?1")?.execute([image.0])?;
        }
    }
    Ok((doom(connection, &out)?, true))
}

type Removable = (i64, i64, String);

fn removable(row: &Row<'_>) -> rusqlite::Result<Removable> {
    Ok((row.get(0)?, row.get(1)?, row.get(2)?))
}

fn doom(connection: &Connection, rows: &[Removable]) -> Result<u64, StoreError> {
    let mut bytes = 0;
    for (id, length, object) in rows {
        connection.prepare_cached("DELETE FROM snapshot WHERE id = ?1")?.execute([id])?;
        connection.prepare_cached("INSERT OR IGNORE INTO doomed VALUES (?1)")?.execute([object])?;
        bytes += length.unsigned_abs();
    }
    Ok(bytes)
}

/// Objects whose rows are gone.
pub(super) fn doomed(connection: &Connection) -> Result<Vec<String>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT object FROM doomed LIMIT ?1")?;
    Ok(statement.query_map([REMOVED_MAX as i64], |row| row.get(0))?.collect::<Result<_, _>>()?)
}

/// The objects are removed.
pub(super) fn redeemed(connection: &Connection, objects: &[String]) -> Result<(), StoreError> {
    for object in objects {
        connection.prepare_cached("DELETE FROM doomed WHERE object = ?1")?.execute([object])?;
    }
    Ok(())
}

/// The object of a snapshot.
pub(super) fn object_of(connection: &Connection, id: i64) -> Result<Option<String>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT object FROM snapshot WHERE id = ?1")?;
    Ok(statement.query_row([id], |row| row.get(0)).optional()?)
}

/// Snapshots by id.
pub(super) fn page(connection: &Connection, page: &Page) -> Result<Vec<SnapshotRow>, StoreError> {
    super::reads::paged(connection, "snapshot", COLUMNS, page, row)
}

/// The newest of every camera.
pub(super) fn latest(connection: &Connection) -> Result<Vec<SnapshotRow>, StoreError> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM camera JOIN node ON node.id = camera.node JOIN snapshot ON snapshot.id =
           (SELECT id FROM snapshot WHERE node = camera.node AND camera = camera.name ORDER BY at_ms DESC, id DESC LIMIT 1)
         ORDER BY node.name, camera.name"
    ))?;
    let mut rows = statement.query([])?;
    let mut out = Vec::new();
    while let Some(one) = rows.next()? {
        out.push(row(one)?);
    }
    Ok(out)
}

fn row(row: &Row<'_>) -> Result<SnapshotRow, StoreError> {
    let meta: ImageMeta = minicbor::decode(row.get_ref(6)?.as_blob()?)?;
    Ok(SnapshotRow {
        id: row.get(0)?,
        node: row.get::<_, String>(1)?.parse()?,
        at_ms: row.get(2)?,
        dating: dating_from(row.get(3)?, row.get(4)?),
        received_ms: row.get(5)?,
        meta,
    })
}
