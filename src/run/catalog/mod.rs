//! The path of a run from the names of its files and what is known of their contents.
//!
//! Names decide where they tell ([`names`](super::names)); the counters inside decide where names do not;
//! times decide only where nothing else does, and then that is said. Nothing here looks at a file.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

mod by_contents;
mod by_names;
#[cfg(test)]
mod tests;

use super::format::InnerCounters;
use super::names::{
    Family, FamilyKind, FileArrangement, LeftOut, NameEvidence, NamedPoint, StepUnit, arrange_with,
};

/// Facts from a checkpoint's header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CheckpointFacts {
    /// Its own counters.
    pub counters: InnerCounters,
    /// Hash of the names and shapes of the model's tensors.
    pub signature: u64,
    /// Numbers of the model.
    pub numbers: usize,
    /// Hash of the weights; `None` until they were read.
    pub content: Option<[u8; 32]>,
}

/// A file that was seen in the run, perhaps one of several versions of it.
///
/// Files that turned out to hold no weights are not given: their families would be named as networks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CatalogEntry {
    /// Its path below the run.
    pub path: PathBuf,
    /// The time of its last change.
    pub modified: SystemTime,
    /// Facts from its header; `None` until that was read.
    pub facts: Option<CheckpointFacts>,
}

/// The source of a point's step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepOrigin {
    /// The name.
    Name,
    /// The place in the order that names tell, where their numbers start again.
    NameOrder,
    /// The counter inside.
    Counter,
    /// The place in the order of time.
    Time,
}

/// A point of the run's path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CatalogPoint {
    /// Its path below the run.
    pub path: PathBuf,
    /// Index of its entry.
    pub entry: usize,
    /// Its step; `None` where only the contents can tell, which were not read yet.
    pub step: Option<u64>,
    /// Its epoch, where it is known beside the step.
    pub epoch: Option<u64>,
    /// Origin of the step.
    pub origin: StepOrigin,
}

/// The path of a run, and what each other file is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Catalog {
    /// The points in order; those without a step come last.
    pub points: Vec<CatalogPoint>,
    /// The other files, each with the reason.
    pub left_out: Vec<(PathBuf, LeftOut)>,
    /// Unit of the steps.
    pub unit: StepUnit,
    /// Choices and assumptions, one sentence each.
    pub remarks: Vec<String>,
    /// Families that could be followed instead.
    pub alternatives: Vec<Family>,
    undecided: Vec<PathBuf>,
}

impl Catalog {
    /// Returns the files whose contents would decide whether they are points: those that may be copies, and the points
    /// that they may be copies of.
    #[must_use]
    pub fn undecided(&self) -> Vec<PathBuf> {
        self.undecided.clone()
    }
}

/// Finds the path of a run.
///
/// One family of names is followed: see [`arrange`](super::names::arrange); of runs in several folders the
/// newest. A file that names leave open (`last`, `best`, `final`, no number) is folded into the point
/// whose weights it has; with other weights it is a point if its own counter counts in the path's unit and
/// that step is free, else it is left out with a sentence. Of two files with one step the later counts.
#[must_use]
pub fn catalog(entries: &[CatalogEntry]) -> Catalog {
    let mut builder = CatalogBuilder::new(entries);
    if builder.arrangement.points.len() < 2
        && let Some(arrangement) = builder.by_folders()
    {
        builder.arrangement = arrangement;
    }
    if builder
        .arrangement
        .points
        .iter()
        .any(|point| point.step.is_some())
    {
        builder.by_names();
    } else {
        builder.by_contents();
    }
    builder.finish()
}

struct CatalogBuilder<'a> {
    entries: &'a [CatalogEntry],
    /// The entries of each path, the newest last.
    versions: HashMap<&'a Path, Vec<usize>>,
    arrangement: FileArrangement,
    catalog: Catalog,
    /// Sentences about single files, with the path that each is about.
    told: Vec<String>,
}

impl<'a> CatalogBuilder<'a> {
    /// Returns one file of the same network in each of several folders that are called by a number: the folder has the
    /// step, whatever the files are called.
    fn by_folders(&self) -> Option<FileArrangement> {
        let mut numbers: BTreeMap<u64, PathBuf> = BTreeMap::new();
        let mut signatures = HashSet::new();
        for path in self.versions.keys() {
            let number = path.parent()?.file_name()?.to_str()?.parse().ok()?;
            signatures.insert(self.facts(self.newest(path)?)?.signature);
            if numbers.insert(number, path.to_path_buf()).is_some() {
                return None;
            }
        }
        let points = numbers.into_iter().map(|(step, path)| NamedPoint {
            path,
            step: Some(step),
            epoch: None,
        });
        (signatures.len() == 1 && points.len() > 1).then(|| FileArrangement {
            points: points.collect(),
            pattern: "*".into(),
            ..FileArrangement::default()
        })
    }

    fn new(entries: &'a [CatalogEntry]) -> Self {
        let mut versions: HashMap<&Path, Vec<usize>> = HashMap::new();
        for (at, entry) in entries.iter().enumerate() {
            versions.entry(entry.path.as_path()).or_default().push(at);
        }
        for of_path in versions.values_mut() {
            of_path.sort_by_key(|at| (entries[*at].modified, *at));
        }
        let paths: Vec<PathBuf> = versions.keys().map(|path| path.to_path_buf()).collect();
        let newest = |path: &Path| Some(&entries[*versions.get(path)?.last()?]);
        let evidence = |path: &Path| {
            let entry = newest(path);
            let facts = entry.and_then(|entry| entry.facts);
            NameEvidence {
                modified: entry.map(|entry| entry.modified),
                signature: facts.map(|facts| facts.signature),
                numbers: facts.map_or(0, |facts| facts.numbers),
            }
        };
        let arrangement = arrange_with(&paths, &evidence);
        Self {
            entries,
            arrangement,
            versions,
            catalog: Catalog::default(),
            told: Vec::new(),
        }
    }

    fn newest(&self, path: &Path) -> Option<usize> {
        self.versions.get(path)?.last().copied()
    }

    fn facts(&self, entry: usize) -> Option<CheckpointFacts> {
        self.entries.get(entry)?.facts
    }

    fn content(&self, entry: usize) -> Option<[u8; 32]> {
        self.facts(entry)?.content
    }

    fn leave_out(&mut self, path: &Path, why: LeftOut) {
        self.catalog.left_out.push((path.to_path_buf(), why));
    }

    /// Adds one sentence for each kind of family that is not followed.
    fn remark_families(&mut self, followed: &str) {
        let mut by_kind: BTreeMap<FamilyKind, Vec<&Family>> = BTreeMap::new();
        for family in &self.catalog.alternatives {
            by_kind.entry(family.why).or_default().push(family);
        }
        let mut remarks = Vec::new();
        for (kind, families) in by_kind {
            let what = match kind {
                FamilyKind::Network => "several networks lie here",
                FamilyKind::Average => "an average lies beside the model",
                FamilyKind::Run => "several runs lie here",
                FamilyKind::Unit => "checkpoints are counted in two units",
            };
            let shown = families.iter().take(SHOWN);
            let shown: Vec<String> = shown
                .map(|family| format!("--only '{}' ({})", family.pattern, files(family.files)))
                .collect();
            let more = match families.len().saturating_sub(SHOWN) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            let folder = if kind == FamilyKind::Run {
                "; or give the folder of one"
            } else {
                ""
            };
            remarks.push(format!(
                "{what}: {followed} ({}) is followed, the others are {}{more}{folder}",
                files(self.catalog.points.len()),
                shown.join(", "),
            ));
        }
        self.catalog.remarks.extend(remarks);
    }

    fn finish(mut self) -> Catalog {
        let more = self.told.len().saturating_sub(SHOWN);
        self.told.truncate(SHOWN);
        self.catalog.remarks.append(&mut self.told);
        if more > 0 {
            self.catalog
                .remarks
                .push(format!("{more} more files are left out for such reasons"));
        }
        self.catalog.left_out.sort();
        self.catalog.left_out.dedup();
        let unread = |path: &PathBuf| {
            let entry = self.newest(path);
            entry.is_some_and(|entry| self.content(entry).is_none())
        };
        let mut undecided: Vec<PathBuf> = self
            .catalog
            .undecided
            .iter()
            .filter(|p| unread(p))
            .cloned()
            .collect();
        undecided.sort();
        undecided.dedup();
        self.catalog.undecided = undecided;
        self.catalog
    }
}

/// Families and files that a sentence names before it counts the rest.
const SHOWN: usize = 4;

fn files(count: usize) -> String {
    match count {
        1 => "1 file".to_owned(),
        count => format!("{count} files"),
    }
}
