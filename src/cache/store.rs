//! The copies of one run.

use std::fs;
use std::path::{Path, PathBuf};

use crate::run::Checkpoint;
use crate::run::format::StateDict;
use crate::run::history::Seen;
use crate::run::regular;

use super::copy;
use super::list::{RUN, RunFile};
use super::record::{KeptRecord, Standing};
use super::room::KeepLimit;
use super::thin::{OnPath, removals};
use super::{CacheError, folder_of, real};

/// A record is a few hundred bytes.
const LARGEST_RECORD: u64 = 64 << 10;
/// Records that are read of one run: a hundred thousand checkpoints.
const MOST_RECORDS: usize = 100_000;

/// The end of an attempt to keep a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeepOutcome {
    /// The copy that is there now.
    Kept(PathBuf),
    /// The checkpoint alone is larger than the room for all.
    TooLarge,
}

/// The kept checkpoints of one run.
#[derive(Debug)]
pub struct RunCache {
    run: PathBuf,
    folder: PathBuf,
    room: u64,
    records: Vec<KeptRecord>,
}

impl RunCache {
    /// Reads what is kept of a run; `None` if the user has no cache folder. Nothing is written yet.
    #[must_use]
    pub fn open(run: &Path, limit: KeepLimit) -> Option<Self> {
        let folder = folder_of(run)?;
        Some(Self {
            run: real(run),
            room: limit.bytes(&folder),
            records: records(&folder),
            folder,
        })
    }

    /// What is kept, in order of arrival.
    #[must_use]
    pub fn records(&self) -> &[KeptRecord] {
        &self.records
    }

    /// The contents that were kept, as a run's history knows them.
    #[must_use]
    pub fn seen(&self, run: &Path) -> Vec<Seen> {
        let seen = |record: &KeptRecord| record.seen(run, self.copy_of(record));
        self.records.iter().map(seen).collect()
    }

    /// The folder of the copies.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Bytes that may be kept.
    #[must_use]
    pub fn room(&self) -> u64 {
        self.room
    }

    /// Bytes that are kept: a content that several records name counts once.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let mut contents: Vec<(&str, u64)> = self
            .records
            .iter()
            .map(|record| (record.content.as_str(), record.bytes))
            .collect();
        contents.sort_unstable();
        contents.dedup();
        contents.iter().map(|content| content.1).sum()
    }

    /// The copy of a record.
    #[must_use]
    pub fn copy_of(&self, record: &KeptRecord) -> PathBuf {
        self.folder.join(record.copy_name())
    }

    /// Keeps a checkpoint that lies at `original`; its record says which it is, but for the size of the
    /// copy.
    ///
    /// # Errors
    /// It can no longer be read, or the cache cannot be written.
    pub fn keep(
        &mut self,
        mut record: KeptRecord,
        dict: &StateDict,
        original: &Path,
    ) -> Result<KeepOutcome, CacheError> {
        let path = self.copy_of(&record);
        let known = fs::metadata(&path).ok().filter(fs::Metadata::is_file);
        record.bytes = match known {
            Some(known) => known.len(),
            None => {
                self.say_where()?;
                match copy::write(dict, original, &path, self.room)? {
                    Some(bytes) => bytes,
                    None => return Ok(KeepOutcome::TooLarge),
                }
            }
        };
        self.write(&record)?;
        let same = |other: &KeptRecord| {
            (&other.path, &other.content) == (&record.path, &record.content)
        };
        self.records.retain(|other| !same(other));
        self.records.push(record);
        Ok(KeepOutcome::Kept(path))
    }

    /// Takes down the part that a checkpoint has in the run, and its step there.
    ///
    /// # Errors
    /// The record cannot be written.
    pub fn set(
        &mut self,
        checkpoint: &Checkpoint,
        standing: Standing,
    ) -> Result<(), CacheError> {
        let step = checkpoint.step;
        let at = self.position(checkpoint);
        let found = at.and_then(|at| self.records.get_mut(at));
        let Some(record) = found.filter(|r| (r.step, r.standing) != (step, standing)) else {
            return Ok(());
        };
        (record.step, record.standing) = (step, standing);
        let record = record.clone();
        self.write(&record)
    }

    /// Makes room where more is kept than may be: first of what is no longer on the path, then evenly along
    /// it. `path` has its checkpoints and the length of the path up to each. Returns the checkpoints whose
    /// copies went.
    pub fn make_room(&mut self, path: &[(Checkpoint, f64)]) -> Vec<Checkpoint> {
        let surplus = self.bytes().saturating_sub(self.room);
        if surplus == 0 {
            return Vec::new();
        }
        let on_path: Vec<(usize, usize)> = path
            .iter()
            .enumerate()
            .filter_map(|(i, (checkpoint, _))| Some((i, self.position(checkpoint)?)))
            .collect();
        let mut free = 0;
        let mut gone: Vec<usize> = Vec::new();
        for (at, record) in self.records.iter().enumerate() {
            if free < surplus && on_path.iter().all(|on| on.1 != at) {
                free += record.bytes;
                gone.push(at);
            }
        }
        let lengths = on_path.iter().map(|&(i, at)| OnPath {
            at: path[i].1,
            bytes: self.records[at].bytes,
        });
        let removed = removals(&lengths.collect::<Vec<_>>(), surplus.saturating_sub(free));
        let mut lost: Vec<usize> = removed.into_iter().map(|index| on_path[index].0).collect();
        gone.extend(on_path.iter().filter(|on| lost.contains(&on.0)).map(|on| on.1));
        gone.sort_unstable();
        for at in gone.into_iter().rev() {
            self.remove(at);
        }
        // Both ends may be too much as well: the newest is what training goes on from.
        if self.bytes() > self.room
            && let [(first, _), _, ..] = on_path[..]
            && let Some(at) = self.position(&path[first].0)
        {
            self.remove(at);
            lost.push(first);
        }
        lost.into_iter().map(|i| path[i].0.clone()).collect()
    }

    /// Index of the record of a checkpoint.
    fn position(&self, checkpoint: &Checkpoint) -> Option<usize> {
        self.records.iter().position(|record| {
            let path = &checkpoint.path;
            record.arrival == checkpoint.arrival
                && (path.ends_with(&record.path) || record.path.ends_with(path))
        })
    }

    fn remove(&mut self, at: usize) {
        let record = self.records.remove(at);
        let _ = fs::remove_file(self.folder.join(record.name()));
        if self.records.iter().all(|r| r.content != record.content) {
            let _ = fs::remove_file(self.copy_of(&record));
        }
    }

    /// Writes down which run this folder is of, once.
    fn say_where(&self) -> Result<(), CacheError> {
        let path = self.folder.join(RUN);
        if path.is_file() {
            return Ok(());
        }
        let file = RunFile {
            run: self.run.clone(),
        };
        copy::write_small(&path, &serde_json::to_vec(&file).unwrap_or_default())
    }

    fn write(&self, record: &KeptRecord) -> Result<(), CacheError> {
        let path = self.folder.join(record.name());
        copy::write_small(&path, &serde_json::to_vec(record).unwrap_or_default())
    }
}

/// The records of a folder that name copies which are there, in order of arrival.
fn records(folder: &Path) -> Vec<KeptRecord> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let paths = entries.map(|entry| entry.path());
    let mut records: Vec<KeptRecord> = paths
        .filter(|path| path.extension().is_some_and(|ending| ending == "json"))
        .take(MOST_RECORDS)
        .filter_map(|path| {
            let text = regular::read_text(&path, LARGEST_RECORD).ok()?;
            let record: KeptRecord = serde_json::from_str(&text).ok()?;
            let there = || folder.join(record.copy_name()).is_file();
            (record.is_valid() && there()).then_some(record)
        })
        .collect();
    records.sort_by(|a, b| (a.arrival, &a.path).cmp(&(b.arrival, &b.path)));
    records
}
