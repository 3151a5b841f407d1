//! A run as it lies in its folder, opened at once: for the commands that are not live.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use super::catalog::CheckpointFacts;
use super::format::{FormatError, StateDict};
use super::history::{History, Seen};
use super::names::{LeftOut, arrange, glob_matches};
use super::scan::{FolderScanner, FoundFile, Scan, in_words};
use super::settle::Header;
use super::{Checkpoint, RunError, older_tail};

/// A run that was opened at once.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Opened {
    /// The checkpoints of its path, by step.
    pub checkpoints: Vec<Checkpoint>,
    /// Checkpoints that the path left in an earlier session: of an old branch, another run or another model.
    pub left: Vec<Checkpoint>,
    /// Files that cannot be read, each with a sentence that names it.
    pub unreadable: Vec<(PathBuf, String)>,
    /// Choices and assumptions, one sentence each.
    pub remarks: Vec<String>,
}

impl Opened {
    /// Returns the checkpoint that was written last, as far as steps and times tell it without reading weights.
    #[must_use]
    pub fn newest(&self) -> Option<&Checkpoint> {
        let path = &self.checkpoints;
        let older = older_tail(path.iter()).filter(|end| {
            // A training saves step after step.
            path[..*end].is_sorted_by_key(|one| one.modified) && !is_in_order_of_names(path)
        });
        path[..older.unwrap_or(path.len())].last()
    }
}

/// Returns true if the files were written in the order of their names, as a copy is, where `10` comes before `9`.
fn is_in_order_of_names(path: &[Checkpoint]) -> bool {
    let mut by_name: Vec<&Checkpoint> = path.iter().collect();
    by_name.sort_by_key(|one| &one.path);
    by_name.is_sorted_by_key(|one| one.modified)
}

/// The files that are a run, and the state dict of each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunChoice {
    /// Nested key of the state dict, when the user named one.
    pub key: Option<String>,
    /// Globs of the files that count; all where there is none.
    pub only: Vec<String>,
}

impl RunChoice {
    /// Returns true if a file of this path below the run counts.
    #[must_use]
    pub fn takes(&self, name: &Path) -> bool {
        self.only.is_empty() || self.only.iter().any(|glob| glob_matches(glob, name))
    }
}

/// Opens a run as it is now: every checkpoint whose own header agrees with its size, and the contents of
/// `before` that were kept. `run` may also be one checkpoint.
///
/// # Errors
/// Nothing is there, or no candidate, or the one checkpoint that was named cannot be read.
pub fn open(run: &Path, choice: &RunChoice, before: Vec<Seen>) -> Result<Opened, RunError> {
    let scan = match FolderScanner::new(choice).scan(run) {
        Ok(scan) => scan,
        // A run whose folder is gone is still there as far as it was kept.
        Err(RunError::Missing(_)) if !before.is_empty() => Scan::default(),
        Err(error) => return Err(error),
    };
    if scan.found.is_empty() && before.is_empty() {
        return Err(no_checkpoint(run, &choice.only, &scan));
    }
    let single = scan.found.len() == 1 && scan.found[0].path == run;
    let mut opened = Opened::default();
    let mut history = History::default();
    history.restore(before);
    let mut notes: Vec<(PathBuf, String)> = Vec::new();
    let arrival = history.next_arrival();
    for found in worth_opening(&scan.found) {
        match header(&found.path, choice.key.as_deref()) {
            Ok(header) => {
                notes.extend(header.note.map(|note| (found.path.clone(), note)));
                history.take(found.clone(), header.facts, arrival, choice.key.as_deref());
            }
            Err(error) if single => return Err(error.into()),
            Err(error) => opened
                .unreadable
                .push((found.path.clone(), error.to_string())),
        }
    }
    let (mut checkpoints, remarks) = arranged(&mut history, choice.key.as_deref());
    // Copies are for what the run no longer has.
    for checkpoint in checkpoints.iter_mut().filter(|one| one.kept.is_some()) {
        let on_disk = |seen: &Seen| seen.is(checkpoint) && seen.on_disk;
        if history.seen().iter().any(on_disk) {
            checkpoint.kept = None;
        }
    }
    opened.remarks.extend(told_once(&notes, &checkpoints));
    opened.remarks.extend(remarks);
    opened.checkpoints = checkpoints;
    opened.left = arranged(&mut history.left(), choice.key.as_deref()).0;
    Ok(opened)
}

/// Returns the error of a folder in which nothing looks like a checkpoint, or nothing that was asked for.
fn no_checkpoint(run: &Path, only: &[String], scan: &Scan) -> RunError {
    let path = run.to_path_buf();
    let others = in_words(&scan.others);
    if only.is_empty() || others.is_empty() {
        RunError::NoCheckpoint { path, others }
    } else {
        let only = only.join(" or ");
        RunError::NoneChosen { path, only, others }
    }
}

/// Returns the files that may hold a model by their names: an optimizer's state is not even opened.
#[must_use]
pub fn worth_opening(found: &[FoundFile]) -> Vec<&FoundFile> {
    let names: Vec<PathBuf> = found.iter().map(|found| found.name.clone()).collect();
    let passed: HashSet<PathBuf> = arrange(&names)
        .left_out
        .into_iter()
        .filter(|(_, why)| {
            matches!(
                why,
                LeftOut::Optimizer | LeftOut::TrainingState | LeftOut::Metadata
            )
        })
        .map(|(name, _)| name)
        .collect();
    // A single file is what the user named.
    let is_only_one = found.len() == 1;
    found
        .iter()
        .filter(|found| is_only_one || !passed.contains(&found.name))
        .collect()
}

/// Reads the header of a checkpoint.
///
/// # Errors
/// The checkpoint cannot be read or holds no model.
pub fn header(path: &Path, key: Option<&str>) -> Result<Header, FormatError> {
    let dict = StateDict::open(path, key)?;
    let tensors = dict.tensors();
    let mut hash = blake3::Hasher::new();
    for tensor in tensors {
        hash.update(tensor.name.as_bytes());
        for extent in &tensor.shape {
            hash.update(&extent.to_le_bytes());
        }
    }
    let hash = hash.finalize();
    let (signature, _) = hash.as_bytes().split_at(8);
    let numbers = tensors
        .iter()
        .map(|tensor| tensor.shape.iter().product::<usize>());
    Ok(Header {
        facts: CheckpointFacts {
            counters: dict.counters(),
            signature: u64::from_le_bytes(signature.try_into().unwrap_or_default()),
            numbers: numbers.fold(0, usize::saturating_add),
            content: None,
        },
        note: dict.note(),
    })
}

/// Returns the checkpoints of a history by step, and what was chosen. The weights of files that may be copies are
/// read for that.
pub fn arranged(history: &mut History, key: Option<&str>) -> (Vec<Checkpoint>, Vec<String>) {
    let mut catalog = history.catalog();
    // Twice: a file that turns out to be no copy may be compared with others then.
    for _ in 0..2 {
        let undecided: HashSet<PathBuf> = catalog.undecided().into_iter().collect();
        if undecided.is_empty() || !history.read_contents(&undecided, key) {
            break;
        }
        catalog = history.catalog();
    }
    let mut checkpoints = history.checkpoints(&catalog);
    checkpoints.sort_by_key(|checkpoint| (checkpoint.step, checkpoint.arrival));
    (checkpoints, catalog.remarks)
}

/// Returns the sentence that most checkpoints of the path share, once: each file of a run says the same.
fn told_once(notes: &[(PathBuf, String)], checkpoints: &[Checkpoint]) -> Option<String> {
    let mut counts: HashMap<&str, usize> = HashMap::new();
    let on_path = |path: &Path| checkpoints.iter().any(|checkpoint| checkpoint.path == path);
    for (_, note) in notes.iter().filter(|(path, _)| on_path(path)) {
        *counts.entry(note).or_default() += 1;
    }
    let (note, _) = counts
        .into_iter()
        .max_by_key(|(note, count)| (*count, *note))?;
    Some(note.to_owned())
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;

    /// Returns the step of the newest of these, each with its step, its name and the second at which it was written.
    fn newest(files: &[(u64, &str, u64)]) -> Option<u64> {
        let checkpoint = |&(step, name, second): &(u64, &str, u64)| Checkpoint {
            modified: Some(SystemTime::UNIX_EPOCH + Duration::from_secs(second)),
            ..Checkpoint::new(step, name)
        };
        let opened = Opened {
            checkpoints: files.iter().map(checkpoint).collect(),
            ..Opened::default()
        };
        opened.newest().map(|checkpoint| checkpoint.step)
    }

    #[test]
    fn a_shorter_run_in_an_old_folder_has_the_newest_checkpoint() {
        let shorter = [
            (1, "m01", 50),
            (2, "m02", 60),
            (3, "m03", 30),
            (4, "m04", 40),
        ];
        assert_eq!(newest(&shorter), Some(2));
    }

    #[test]
    fn copies_have_their_newest_by_the_step() {
        // In the order of the names, and in that of a folder.
        let by_name = [
            (8, "m8", 12),
            (9, "m9", 13),
            (10, "m10", 10),
            (11, "m11", 11),
        ];
        assert_eq!(newest(&by_name), Some(11));
        let by_folder = [
            (8, "m8", 12),
            (9, "m9", 10),
            (10, "m10", 13),
            (11, "m11", 11),
        ];
        assert_eq!(newest(&by_folder), Some(11));
    }
}
