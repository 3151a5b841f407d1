//! Every content that was seen in a run, also of files that were overwritten or are gone: what the path is
//! made of.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::Checkpoint;
use super::catalog::{Catalog, CatalogEntry, CheckpointFacts, StepOrigin, catalog};
use super::format::InnerCounters;
use super::hyper::Hyper;
use super::scan::FoundFile;
use super::weights_hash::content;

/// One content that lay at one path.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    /// Path below the run, of the file by which names know it.
    pub name: PathBuf,
    /// The file, or the HF-style folder, that is read.
    pub path: PathBuf,
    /// Number of the scan that brought it: later contents of one path have higher ones.
    pub arrival: u64,
    /// Time of the last change of its file.
    pub modified: SystemTime,
    /// Bytes of its file.
    pub size: u64,
    /// Facts from its header.
    pub facts: CheckpointFacts,
    /// Settings of training that its file tells; `None` until they are read.
    pub hyper: Option<Hyper>,
    /// The copy in the user's cache.
    pub kept: Option<PathBuf>,
    /// True while the run has it.
    pub on_disk: bool,
    /// True if the path left it: of an old branch, another run or another model, or thinned out of a long one.
    pub is_left: bool,
}

impl Seen {
    /// Returns the checkpoint that it is at a step. What was kept is read from its copy, because the run's own file
    /// may go at any moment.
    #[must_use]
    pub fn at(&self, step: u64) -> Checkpoint {
        Checkpoint {
            step,
            path: self.path.clone(),
            kept: self.kept.clone(),
            arrival: self.arrival,
            modified: Some(self.modified),
        }
    }

    /// Returns true if it is this checkpoint.
    #[must_use]
    pub fn is(&self, checkpoint: &Checkpoint) -> bool {
        (self.arrival, &self.path) == (checkpoint.arrival, &checkpoint.path)
    }

    /// Returns true if it can still be read.
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.on_disk || self.kept.is_some()
    }
}

/// The contents of a run, in order of arrival.
#[derive(Clone, Debug, Default)]
pub struct History {
    seen: Vec<Seen>,
}

impl History {
    /// Takes over what is known from before.
    pub fn restore(&mut self, seen: impl IntoIterator<Item = Seen>) {
        self.seen.extend(seen);
        self.seen.sort_by_key(|seen| seen.arrival);
    }

    /// Returns the contents that the path left, as a history of their own.
    #[must_use]
    pub fn left(&self) -> Self {
        let mut seen = self.seen.clone();
        seen.retain(|seen| seen.is_left && seen.is_there());
        for seen in &mut seen {
            seen.is_left = false;
        }
        Self { seen }
    }

    /// Returns every content, in order of arrival.
    #[must_use]
    pub fn seen(&self) -> &[Seen] {
        &self.seen
    }

    /// Returns the contents that the run has, by path and arrival.
    #[must_use]
    pub fn on_disk(&self) -> HashSet<(&Path, u64)> {
        let on_disk = self.seen.iter().filter(|seen| seen.on_disk);
        on_disk
            .map(|seen| (seen.path.as_path(), seen.arrival))
            .collect()
    }

    /// Returns the content that the run has at a path now.
    pub fn on_disk_at(&mut self, path: &Path) -> Option<&mut Seen> {
        let mut newest_first = self.seen.iter_mut().rev();
        newest_first.find(|seen| seen.on_disk && seen.path == path)
    }

    /// Returns the content of a checkpoint.
    #[must_use]
    pub fn find(&self, checkpoint: &Checkpoint) -> Option<&Seen> {
        self.seen.iter().find(|seen| seen.is(checkpoint))
    }

    /// Returns the same, to note something of it.
    pub fn find_mut(&mut self, checkpoint: &Checkpoint) -> Option<&mut Seen> {
        self.seen.iter_mut().find(|seen| seen.is(checkpoint))
    }

    /// Returns the number for contents that arrive now.
    #[must_use]
    pub fn next_arrival(&self) -> u64 {
        self.seen
            .iter()
            .map(|seen| seen.arrival)
            .max()
            .unwrap_or_default()
            .saturating_add(1)
    }

    /// Returns the content that the run has, or had last, at a path.
    fn newest_mut(&mut self, path: &Path) -> Option<&mut Seen> {
        self.seen.iter_mut().rev().find(|seen| seen.path == path)
    }

    /// Takes a file that is whole. Its content is a new one, which replaces the one that its path had
    /// before, unless size and time of change are the same, or the path had these weights at any time.
    /// Returns a new one.
    pub fn take(
        &mut self,
        found: FoundFile,
        mut facts: CheckpointFacts,
        arrival: u64,
        key: Option<&str>,
    ) -> Option<&Seen> {
        if let Some(known) = self.newest_mut(&found.path) {
            let is_untouched = (known.size, known.modified)
                == (found.fingerprint.size, found.fingerprint.modified);
            if is_untouched {
                known.on_disk = true;
                return None;
            }
            facts.content = content(&found.path, key);
        }
        if let Some(at) = self.position(&found.path, facts.content) {
            self.vanish(&found.path);
            let known = &mut self.seen[at];
            known.on_disk = true;
            known.modified = found.fingerprint.modified;
            known.size = found.fingerprint.size;
            return None;
        }
        self.vanish(&found.path);
        self.seen.push(Seen {
            name: found.name,
            path: found.path,
            arrival,
            modified: found.fingerprint.modified,
            size: found.fingerprint.size,
            facts,
            hyper: None,
            kept: None,
            on_disk: true,
            is_left: false,
        });
        self.seen.last()
    }

    /// Returns the index of the last content of a path that has these weights.
    fn position(&self, path: &Path, content: Option<[u8; 32]>) -> Option<usize> {
        let content = content?;
        let is = |seen: &Seen| seen.path == path && seen.facts.content == Some(content);
        self.seen.iter().rposition(is)
    }

    /// Notes that the run holds a path no longer.
    pub fn vanish(&mut self, path: &Path) {
        for seen in self.seen.iter_mut().filter(|seen| seen.path == path) {
            seen.on_disk = false;
        }
    }

    /// Forgets copies that are gone, and returns the paths and numbers of their contents.
    pub fn forget_copies(&mut self) -> Vec<(PathBuf, u64)> {
        let is_gone = |seen: &&mut Seen| seen.kept.as_ref().is_some_and(|copy| !copy.is_file());
        let mut gone = Vec::new();
        for seen in self.seen.iter_mut().filter(is_gone) {
            seen.kept = None;
            gone.push((seen.path.clone(), seen.arrival));
        }
        gone
    }

    /// Forgets the contents that can be read nowhere any more, and returns them.
    pub fn forget_lost(&mut self) -> Vec<Seen> {
        let (there, lost) = self.seen.drain(..).partition(Seen::is_there);
        self.seen = there;
        lost
    }

    /// Returns the path as names, counters and times tell it.
    #[must_use]
    pub fn catalog(&self) -> Catalog {
        let entries: Vec<CatalogEntry> = self
            .current()
            .map(|seen| CatalogEntry {
                path: seen.name.clone(),
                modified: seen.modified,
                facts: Some(seen.facts),
            })
            .collect();
        catalog(&entries)
    }

    /// Returns the points of a catalog of this history. A content that was overwritten under a name with a step, or
    /// under the same count of steps, has that step too: what came after it tells whether the path goes on
    /// from it.
    #[must_use]
    pub fn checkpoints(&self, catalog: &Catalog) -> Vec<Checkpoint> {
        let current: Vec<&Seen> = self.current().collect();
        let mut found = Vec::new();
        for point in &catalog.points {
            let (Some(step), Some(seen)) = (point.step, current.get(point.entry)) else {
                continue;
            };
            found.push(seen.at(step));
            let by_name = matches!(point.origin, StepOrigin::Name | StepOrigin::NameOrder);
            let older = current.iter().filter(|old| {
                let counted = || {
                    let counters = old.facts.counters;
                    counters == seen.facts.counters && counters != InnerCounters::default()
                };
                old.name == seen.name && old.arrival < seen.arrival && (by_name || counted())
            });
            found.extend(older.map(|old| old.at(step)));
        }
        found
    }

    /// Reads the weights of these files, as names know them, where that was not done yet. False if nothing
    /// new was learned.
    pub fn read_contents(&mut self, names: &HashSet<PathBuf>, key: Option<&str>) -> bool {
        let mut learned = false;
        for seen in &mut self.seen {
            if seen.facts.content.is_none() && names.contains(&seen.name) {
                // A copy holds the chosen state dict alone.
                let (path, key) = match &seen.kept {
                    Some(copy) => (copy, None),
                    None => (&seen.path, key),
                };
                if seen.is_there() {
                    seen.facts.content = content(path, key);
                    learned |= seen.facts.content.is_some();
                }
            }
        }
        learned
    }

    fn current(&self) -> impl Iterator<Item = &Seen> {
        self.seen
            .iter()
            .filter(|seen| !seen.is_left && seen.is_there())
    }
}
