//! Decides which checkpoints of a live run are kept, and tells how much that is.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::cache::{KeepLimit, KeepOutcome, KeptRecord, KeptStanding, RunCache};
use crate::run::scan::fingerprint_of;
use crate::run::{Checkpoint, RunChoice, Seen, StateDict, content, unicode};
use crate::weights::{PathChange, PathMemory};

/// The copies of the run's checkpoints in the user's cache folder.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct KeptLine {
    /// The folder in which they lie.
    #[serde(serialize_with = "unicode::path")]
    pub folder: PathBuf,
    /// Number of them.
    pub checkpoints: usize,
    /// Bytes that they take.
    pub bytes: u64,
    /// Bytes that they may take; `None` without a limit.
    pub room: Option<u64>,
    /// Points of files that are gone which left the path, because the room was full or the path too long.
    pub thinned: usize,
}

impl KeptLine {
    /// Returns the line about a cache of a run.
    #[must_use]
    pub fn of(cache: &RunCache) -> Self {
        Self {
            folder: cache.folder().to_path_buf(),
            checkpoints: cache.records().len(),
            bytes: cache.bytes(),
            room: Some(cache.room()).filter(|room| *room < u64::MAX),
            thinned: 0,
        }
    }
}

/// Kept checkpoints of the run, or none if the user wants none.
pub(super) struct Keeper {
    cache: Option<RunCache>,
    is_on: bool,
    thinned: usize,
    /// True once one could not be kept: what lies on disk is then not tried one after the other.
    is_blocked: bool,
}

/// The outcome of keeping one more.
#[derive(Debug, Default)]
pub(super) struct NowKept {
    /// Checkpoints whose copies had to go.
    pub(super) lost: Vec<Checkpoint>,
    /// Reason why nothing was kept, in one sentence.
    pub(super) trouble: Option<String>,
}

impl Keeper {
    pub(super) fn open(run: &Path, limit: KeepLimit) -> Self {
        let cache = RunCache::open(run, limit);
        let is_thinned = |record: &&KeptRecord| record.standing == KeptStanding::Thinned;
        let records = cache.as_ref().map_or(&[][..], RunCache::records);
        Self {
            thinned: records.iter().filter(is_thinned).count(),
            cache,
            is_on: limit != KeepLimit::Nothing,
            is_blocked: false,
        }
    }

    /// Returns the contents that earlier sessions kept, and the path as it was drawn. Checkpoints of old branches are
    /// seen again if it says where they branched off.
    pub(super) fn before(&self, run: &Path, choice: &RunChoice) -> (Vec<Seen>, PathMemory) {
        let Some(cache) = &self.cache else {
            return Default::default();
        };
        let memory = cache.memory(choice).unwrap_or_default();
        let mut seen = cache.seen(run, choice);
        for seen in &mut seen {
            seen.is_left &= !memory.left.iter().any(|(left, _)| seen.is(left));
        }
        (seen, memory)
    }

    /// Looks anew at what is kept, because a copy is gone.
    pub(super) fn refresh(&mut self) {
        if let Some(cache) = &mut self.cache {
            cache.refresh();
        }
    }

    /// Writes down how the path is drawn.
    pub(super) fn remember(&self, memory: &PathMemory, choice: &RunChoice) {
        if let Some(cache) = self.cache.as_ref().filter(|_| self.is_on)
            && let Err(error) = cache.remember(memory, choice)
        {
            tracing::warn!("{error}");
        }
    }

    /// Returns the reason why nothing can be kept, in one sentence; `None` if something can, or nothing is to be.
    pub(super) fn trouble(&self) -> Option<String> {
        (self.is_on && self.cache.is_none()).then(|| {
            "no checkpoint is kept: there is no cache folder outside the run; XDG_CACHE_HOME names one".into()
        })
    }

    /// Returns the amount that is kept; `None` if nothing is to be.
    pub(super) fn line(&self) -> Option<KeptLine> {
        let cache = self.cache.as_ref()?;
        let is_there = !cache.records().is_empty();
        (self.is_on || is_there).then(|| KeptLine {
            thinned: self.thinned,
            ..KeptLine::of(cache)
        })
    }

    /// Returns true if a checkpoint that lies on disk is not kept and there is room for it.
    pub(super) fn wants(&self, seen: &Seen) -> bool {
        let fits = |cache: &RunCache| {
            // Four bytes a number is what most models take.
            let bytes = (seen.facts.numbers as u64).saturating_mul(4).min(seen.size);
            // One that is too large for the room is tried, so that this is reported.
            bytes > cache.room() || cache.bytes().saturating_add(bytes) <= cache.room()
        };
        self.is_on
            && !self.is_blocked
            && seen.on_disk
            && seen.kept.is_none()
            && !seen.is_left
            && self.cache.as_ref().is_some_and(fits)
    }

    /// Keeps a checkpoint; `path` has the checkpoints of the path and its length up to each.
    pub(super) fn keep(
        &mut self,
        seen: &mut Seen,
        path: &[(Checkpoint, f64)],
        key: Option<&str>,
        run: &Path,
    ) -> NowKept {
        let mut now = NowKept::default();
        let Some(cache) = self.cache.as_mut().filter(|_| self.is_on) else {
            return now;
        };
        // What is not on the path, because it holds NaN or does not fit, is not worth keeping.
        let Some((checkpoint, _)) = path.iter().find(|(checkpoint, _)| seen.is(checkpoint)) else {
            return now;
        };
        match keep(cache, seen, checkpoint.step, key, run) {
            // The next scan tells that the run overwrote it meanwhile; of one that is gone nothing is left.
            Ok(None) => {
                now.trouble = (!seen.path.exists()).then(|| {
                    format!(
                        "{} was deleted before its copy was whole, so that it leaves the path",
                        seen.path.display()
                    )
                });
            }
            Ok(Some(KeepOutcome::Kept(copy))) => seen.kept = Some(copy),
            Ok(Some(KeepOutcome::TooLarge)) => {
                self.is_blocked = true;
                now.trouble = Some(format!(
                    "a checkpoint is larger than the {} that may be kept, so that it leaves the path when the run deletes it: --keep SIZE",
                    super::size_in_words(cache.room())
                ));
            }
            Err(reason) => {
                // A full disk may have room again later; the sentence is reported once.
                self.is_blocked = true;
                now.trouble = Some(reason);
            }
        }
        let lost = cache.make_room(path);
        self.thinned += lost.len();
        now.lost = lost;
        now
    }

    /// Takes down that a point was thinned out of a long path, so that the next session leaves it off too. One of a
    /// branch that was left stays that: only where it branched off is not remembered.
    pub(super) fn thin(&mut self, checkpoint: &Checkpoint, is_left: bool) {
        self.thinned += 1;
        if !is_left {
            self.set(checkpoint, KeptStanding::Thinned);
        }
    }

    /// Takes down the part that a checkpoint has in the run.
    pub(super) fn set(&mut self, checkpoint: &Checkpoint, standing: KeptStanding) {
        if let Some(cache) = &mut self.cache
            && let Err(error) = cache.set(checkpoint, standing)
        {
            tracing::warn!("{error}");
        }
    }

    /// Takes down that a turn of the path leaves checkpoints, those that were thinned out before as well.
    pub(super) fn leave(&mut self, change: &PathChange) {
        let (first, from, left, standing) = match change {
            PathChange::Doubtful { .. } => return,
            PathChange::Resumed { first, from, left } => {
                (first, *from, left, KeptStanding::OldBranch)
            }
            PathChange::AnotherRun { first, left } | PathChange::SeveralRuns { first, left } => {
                (first, None, left, KeptStanding::AnotherRun)
            }
            PathChange::AnotherModel { newest, left } => {
                (newest, None, left, KeptStanding::AnotherModel)
            }
        };
        for checkpoint in left {
            self.set(checkpoint, standing);
        }
        if let Some(cache) = &mut self.cache
            && let Err(error) = cache.leave_thinned(first, from, standing)
        {
            tracing::warn!("{error}");
        }
    }
}

fn keep(
    cache: &mut RunCache,
    seen: &mut Seen,
    step: u64,
    key: Option<&str>,
    run: &Path,
) -> Result<Option<KeepOutcome>, String> {
    if !is_untouched(seen) {
        return Ok(None);
    }
    let sentence = |error: &dyn std::fmt::Display| {
        format!("{error}; what was not kept leaves the path when the run deletes it")
    };
    let dict = StateDict::open(&seen.path, key).map_err(|e| sentence(&e))?;
    if seen.facts.content.is_none() {
        let content = dict.content().map_err(|e| sentence(&e))?.0;
        // A file that was exchanged while it was read has the weights of nothing.
        if !is_untouched(seen) {
            return Ok(None);
        }
        seen.facts.content = Some(content);
    }
    let record = KeptRecord::of(seen, step, run, key);
    let record = record.ok_or_else(|| sentence(&seen.path.display()))?;
    let kept = cache.keep(record, &dict, &seen.path);
    kept.map(Some).map_err(|e| sentence(&e))
}

/// Returns true if the file of a content is still as it was seen.
fn is_untouched(seen: &Seen) -> bool {
    let fingerprint = fingerprint_of(&seen.path);
    fingerprint.is_some_and(|now| (now.size, now.modified) == (seen.size, seen.modified))
}

/// Reads the weights of a checkpoint that is not kept for their identity, so that a file that is written again with
/// the same weights is known. Nothing if it cannot be read, or was exchanged meanwhile.
pub(super) fn identify(seen: &mut Seen, key: Option<&str>) {
    let content = content(&seen.path, key);
    if is_untouched(seen) {
        seen.facts.content = content;
    }
}
