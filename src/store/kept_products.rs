//! Dot products of checkpoints in the database, by the contents of these.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::run::Checkpoint;
use crate::run::contains::resolved;
use crate::weights::{GramRow, KeptProducts, RunShape};

use super::{Digest, FileContents, Store, StoreError, digest};

/// The version of the sums: raised when they become others.
const SUMS: u32 = 1;

/// The dot products that a database has.
#[derive(Debug)]
pub(super) struct StoredProducts {
    store: Arc<Store>,
    /// The contents of checkpoints that were asked for, by path and number there.
    known: Mutex<HashMap<PathBuf, HashMap<u64, Digest>>>,
}

/// A row as it is kept: products with checkpoints by the first bytes of their contents, so that it serves a path that
/// lacks some of them.
#[derive(Serialize, Deserialize)]
struct RowRecord {
    squares: Vec<f64>,
    products: Vec<(u64, f64)>,
}

impl StoredProducts {
    /// Uses a database.
    pub(super) fn new(store: Arc<Store>) -> Self {
        Self {
            store,
            known: Mutex::default(),
        }
    }

    /// Returns the contents of checkpoints, of which those that were never read are read if `may_read`; `None` if one is
    /// not known, or another one lies in its place by now.
    fn contents(
        &self,
        shape: &RunShape,
        path: &[&Checkpoint],
        may_read: bool,
    ) -> Result<Option<Vec<Digest>>, StoreError> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let mut files = FileContents {
            store: &self.store,
            may_read: &|_| may_read,
            files: HashMap::new(),
        };
        let mut contents = Vec::with_capacity(path.len());
        for checkpoint in path {
            let of_path = known.get(&checkpoint.path);
            if let Some(content) = of_path.and_then(|of_path| of_path.get(&checkpoint.arrival)) {
                contents.push(*content);
                continue;
            }
            // Nothing would tell that another one lies there.
            if checkpoint.kept.is_none() && checkpoint.modified.is_none() {
                return Ok(None);
            }
            let found = files.of(checkpoint, shape.key.as_deref())?;
            // Looked at after it was read.
            let is_still_there = |_: &Digest| checkpoint.kept.is_some() || checkpoint.is_on_disk();
            let Some(content) = found.filter(is_still_there) else {
                return Ok(None);
            };
            let of_path = known.entry(checkpoint.path.clone()).or_default();
            of_path.insert(checkpoint.arrival, content);
            contents.push(content);
        }
        Ok(Some(contents))
    }

    fn find(&self, shape: &RunShape, path: &[&Checkpoint]) -> Result<Option<GramRow>, StoreError> {
        let Some(contents) = self.contents(shape, path, false)? else {
            return Ok(None);
        };
        let Some(key) = key(shape, &contents) else {
            return Ok(None);
        };
        let record = self.store.spot(key)?;
        let record: Option<RowRecord> = record.and_then(|it| ciborium::from_reader(&it[..]).ok());
        let Some(RowRecord { squares, products }) = record else {
            return Ok(None);
        };
        let products: HashMap<u64, f64> = products.into_iter().collect();
        let products = contents
            .iter()
            .map(|one| products.get(&short(*one)).copied());
        let products: Option<Vec<f64>> = products.collect();
        Ok(products.and_then(|products| GramRow::new(&shape.layout, squares, products)))
    }

    fn write(
        &self,
        shape: &RunShape,
        path: &[&Checkpoint],
        row: &GramRow,
    ) -> Result<(), StoreError> {
        let (Some(contents), Some(last)) = (self.contents(shape, path, true)?, path.last()) else {
            return Ok(());
        };
        let record = RowRecord {
            squares: row.squares().to_vec(),
            products: contents
                .iter()
                .map(|one| short(*one))
                .zip(row.products().iter().copied())
                .collect(),
        };
        let mut bytes = Vec::new();
        if let (Some(key), Ok(())) = (
            key(shape, &contents),
            ciborium::into_writer(&record, &mut bytes),
        ) {
            let run = last.path.parent().unwrap_or(&last.path);
            self.store.keep_spot(key, &bytes, &resolved(run), "cpu")?;
        }
        Ok(())
    }
}

impl KeptProducts for StoredProducts {
    fn row(&self, shape: &RunShape, path: &[&Checkpoint]) -> Option<GramRow> {
        or_logged(self.find(shape, path)).flatten()
    }

    fn keep(&self, shape: &RunShape, path: &[&Checkpoint], row: &GramRow) {
        or_logged(self.write(shape, path, row));
    }
}

/// Notes an error in the log: the workers tell the user of the same database.
fn or_logged<T>(done: Result<T, StoreError>) -> Option<T> {
    done.inspect_err(|error| tracing::info!("{error}")).ok()
}

/// Returns the key of the row of the last of these contents, whose differences are from the first.
fn key(shape: &RunShape, contents: &[Digest]) -> Option<Digest> {
    let ends = (contents.first()?, contents.last()?);
    digest(&("dot products", SUMS, shape.layout.slots(), ends))
}

/// Returns the first bytes of a content: enough to tell the checkpoints of a path apart.
fn short(content: Digest) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = content.0;
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}
