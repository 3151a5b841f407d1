//! The grammar of names: from the paths of a run folder to the path of training in order, and what each
//! file is that is no point of it.
//!
//! Names are taken apart into words and numbers (`token`, `parsed`). Files that share all words are a
//! family; the number that tells its files apart is their step (`series`, `counting`). One family is the path, the
//! others are named (`choose`). Words decide as little as possible (`word`, `file_role`): a family's numbers tell
//! by their values which of them counts and which is a score, a seed or a rank.
//!
//! Nothing here looks at a file: the same paths give the same answer, in whatever order they come.

mod choose;
mod counting;
mod family_numbers;
mod file_role;
mod left_out;
mod parsed;
mod pattern;
mod series;
mod token;
mod word;

#[cfg(test)]
mod frameworks;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::time::SystemTime;

pub use left_out::LeftOut;
pub use pattern::glob_matches;

/// The quantity that the steps of a path count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StepUnit {
    /// Updates of the weights.
    Step,
    /// Passes over the data.
    Epoch,
    /// Thousands of images.
    Kimg,
    /// Samples, tokens or frames.
    Samples,
    /// A number that no word explains.
    #[default]
    Unspecified,
    /// Nothing: the order alone is known, and steps are places in it.
    Order,
}

/// A point of the path as names tell it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedPoint {
    /// The relative path of the file.
    pub path: PathBuf,
    /// Its step in the unit of the path; `None` if names tell none, so that the contents must.
    pub step: Option<u64>,
    /// The epoch, where the name has one beside the step.
    pub epoch: Option<u64>,
}

/// The relation of files that were left out to those that are followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FamilyKind {
    /// Another network of the same run.
    Network,
    /// An average of the model.
    Average,
    /// Another run.
    Run,
    /// Checkpoints that are counted in another unit.
    Unit,
}

/// Files that make a path of their own and are not followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Family {
    /// Glob for `--only` that takes them.
    pub pattern: String,
    /// Number of files.
    pub files: usize,
    /// Their kind.
    pub why: FamilyKind,
}

/// The path in order, and what each file is that is no point of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileArrangement {
    /// The points, by step.
    pub points: Vec<NamedPoint>,
    /// The other files, each with the reason, by path.
    pub left_out: Vec<(PathBuf, LeftOut)>,
    /// Unit of the steps.
    pub unit: StepUnit,
    /// Glob that takes the files of the path; empty if there are none.
    pub pattern: String,
    /// Families that could be followed instead.
    pub alternatives: Vec<Family>,
}

/// Facts about a file that help to choose between families.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct NameEvidence {
    /// Time of its last change.
    pub(crate) modified: Option<SystemTime>,
    /// Hash of the names and shapes of its tensors.
    pub(crate) signature: Option<u64>,
    /// Numbers of its model.
    pub(crate) numbers: usize,
}

/// Arranges the files of one run folder by their names alone. Paths are relative to the folder.
///
/// ```
/// use isoloss::run::names::arrange;
///
/// let files = ["epoch_2.pt", "epoch_10.pt", "epoch_1.pt", "notes.txt"].map(Into::into);
/// let steps: Vec<Option<u64>> = arrange(&files).points.iter().map(|point| point.step).collect();
/// assert_eq!(steps, [Some(1), Some(2), Some(10)]);
/// ```
#[must_use]
pub fn arrange(paths: &[PathBuf]) -> FileArrangement {
    arrange_with(paths, &|_| NameEvidence::default())
}

/// Arranges files by their names; where families are as good as each other, what is known of the files
/// decides.
pub(crate) fn arrange_with(
    paths: &[PathBuf],
    evidence: &dyn Fn(&Path) -> NameEvidence,
) -> FileArrangement {
    let mut sorted: Vec<(String, &PathBuf)> = paths
        .iter()
        .map(|path| (path.to_string_lossy().into_owned(), path))
        .collect();
    sorted.sort_by(|a, b| super::natural_order::natural(&a.0, &b.0).then_with(|| a.1.cmp(b.1)));
    sorted.dedup_by(|a, b| a.1 == b.1);
    let paths: Vec<&PathBuf> = sorted.into_iter().map(|(_, path)| path).collect();
    choose::Choice::new(&paths, evidence).arrangement()
}
