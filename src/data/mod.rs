//! The fixed samples on which every loss is measured.

mod arguments;
mod array;
mod arrays;
mod cifar;
mod cifar_pickle;
pub mod column;
mod columns;
mod dataset;
pub mod digits;
mod idx;
mod image_files;
mod images;
mod normalize;
mod npy;
mod pairs;
pub mod scale;
mod select;
mod table;
mod tokens;

use std::io;
use std::path::{Path, PathBuf};

pub use self::arguments::Argument;
pub use self::dataset::Dataset;

/// Name of the data set that is packed into the program.
pub const DIGITS: &str = "digits";

/// A part of a data set.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Hash,
    clap::ValueEnum,
    serde::Serialize,
    serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// The samples that training saw.
    #[default]
    Train,
    /// The held-out samples.
    Test,
}

/// Number of samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Count {
    /// At most this number.
    At(usize),
    /// Every one there is.
    All,
}

/// Choice of the samples, when not all.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    clap::ValueEnum,
    serde::Serialize,
    serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum SampleOrder {
    /// Drawn without replacement, by the seed.
    #[default]
    Random,
    /// The first ones of the file.
    First,
}

/// Data to load: the options `--data --split --samples --order --mean --std --seed`.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct DataRequest {
    /// A folder, a file, or the word `digits` for the embedded set.
    pub source: PathBuf,
    /// Train or test.
    pub split: Split,
    /// Split of a file that names none.
    #[serde(default)]
    pub own: Split,
    /// Number of samples.
    pub count: Count,
    /// Choice of the samples.
    pub order: SampleOrder,
    /// Seed of the random order.
    pub seed: u64,
    /// Mean of the pixels after /255: one value or one per channel; the known set's when absent.
    pub mean: Option<Vec<f32>>,
    /// Standard deviation of the pixels after /255, likewise.
    pub std: Option<Vec<f32>>,
    /// The columns that the model takes; `None` for a built-in architecture, which takes images or a table with
    /// a class each.
    pub columns: Option<Columns>,
}

/// Columns that a model of any kind takes. Nothing of them is guessed, and only images are normalized.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Columns {
    /// Names of forward's arguments; empty if they are not known.
    pub inputs: Vec<String>,
    /// Name of the array that the model should give; `None` for the usual ones.
    pub target: Option<String>,
    /// Ids of a sample that is cut out of a file of tokens; `None` for 256.
    pub block: Option<usize>,
    /// Type of the ids in a file of tokens.
    pub token: TokenType,
}

/// Type of the ids in a file of tokens.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    clap::ValueEnum,
    serde::Serialize,
    serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum TokenType {
    /// Two bytes each, as nanoGPT writes them.
    #[default]
    U16,
    /// Four bytes each, for vocabularies of more than 65536.
    U32,
}

impl DataRequest {
    /// Returns all training samples of a source, in the order of the file.
    #[must_use]
    pub fn whole(source: impl Into<PathBuf>) -> Self {
        Self {
            source: source.into(),
            split: Split::Train,
            own: Split::Train,
            count: Count::All,
            order: SampleOrder::First,
            seed: 0,
            mean: None,
            std: None,
            columns: None,
        }
    }
}

/// Reasons why samples could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// Nothing is there, or nothing that is known.
    #[error("{}: expected data of the {split} split ({expected}), found {found}", path.display())]
    Unknown {
        /// The folder or file.
        path: PathBuf,
        /// The split that was asked for.
        split: &'static str,
        /// Data that would have been read.
        expected: &'static str,
        /// Data that are there.
        found: String,
    },
    /// The system refuses, or a compressed file is damaged.
    #[error("{}: cannot be read: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// A file is not what its format asks for.
    #[error("{}: expected {expected}, found {found}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Data for which the format asks.
        expected: String,
        /// Data that are there.
        found: String,
    },
    /// A sample cannot be measured with.
    #[error("{}: expected pixels that are finite, found {found} in sample {sample}, counted from 0; take it out of the data", path.display())]
    NotFinite {
        /// The folder or file.
        path: PathBuf,
        /// Its place in the split.
        sample: usize,
        /// The pixel.
        found: f32,
    },
    /// A column cannot be measured with.
    #[error("{}: expected numbers that are finite in float32, found {found} in {column} of sample {sample}, counted from 0; take it out of the data", path.display())]
    NotFiniteColumn {
        /// The file.
        path: PathBuf,
        /// The column.
        column: String,
        /// Its place in the file.
        sample: usize,
        /// The number.
        found: f32,
    },
    /// `--mean` or `--std` is given for columns, to which nothing is done.
    #[error("{option}: {} is read in columns, which the model takes as they are; leave {option} out, and save the numbers as training gives them to the model", path.display())]
    Unscaled {
        /// The option.
        option: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// Two arrays do not have the same samples.
    #[error("{}: expected as many rows in every array, found {} in {} and {} in {}", path.display(), rows[0], names[0], rows[1], names[1])]
    Rows {
        /// The file.
        path: PathBuf,
        /// The arrays.
        names: [String; 2],
        /// Their numbers of rows.
        rows: [usize; 2],
    },
    /// No column is what a model takes.
    #[error("{model} takes {argument}, {data} has {found}: {remedy}")]
    Argument {
        /// The model's file or name.
        model: String,
        /// The argument with its shape.
        argument: String,
        /// The data set.
        data: String,
        /// Its columns with their shapes.
        found: String,
        /// The advice.
        remedy: String,
    },
    /// `--mean` or `--std` does not fit the images.
    #[error("{option}: expected one value or one for each of {channels} channels, found {found}")]
    Channels {
        /// The option.
        option: &'static str,
        /// Channels of the images.
        channels: usize,
        /// Number of values given.
        found: usize,
    },
    /// `--mean` is not finite.
    #[error("--mean: expected finite values, found {0}")]
    Mean(f32),
    /// `--std` is not above 0.
    #[error("--std: expected values above 0, found {0}")]
    Std(f32),
}

impl DataError {
    fn io(path: &Path, source: io::Error) -> Self {
        Self::Io {
            path: path.to_path_buf(),
            source,
        }
    }

    fn invalid(path: &Path, expected: impl Into<String>, found: impl Into<String>) -> Self {
        Self::Invalid {
            path: path.to_path_buf(),
            expected: expected.into(),
            found: found.into(),
        }
    }
}

impl Split {
    /// Returns the word that `--split` takes.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Test => "test",
        }
    }

    /// Returns the other part.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::Train => Self::Test,
            Self::Test => Self::Train,
        }
    }
}

/// Returns true for a `.bin` file of tokens, or a folder that holds one for a split.
#[must_use]
pub fn is_of_tokens(source: &Path, split: Split) -> bool {
    let is_bin = source.extension().is_some_and(|ending| ending == "bin");
    is_bin && source.is_file() || tokens::find(source, split).is_some()
}

/// Loads the samples.
///
/// # Errors
/// The source is not there, is of no known format, or its files disagree.
///
/// ```
/// use isoloss::data::{self, DataRequest};
///
/// let digits = data::load(&DataRequest::whole("digits"))?;
/// assert_eq!(digits.image(), Some([1, 8, 8]));
/// # Ok::<(), data::DataError>(())
/// ```
pub fn load(request: &DataRequest) -> Result<Dataset, DataError> {
    if let Some(wanted) = &request.columns
        && let Some(found) = columns::load(request, wanted)?
    {
        return Ok(found);
    }
    image_files::load(request)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use super::*;

    #[test]
    fn what_is_not_there_or_not_known_is_said_in_one_sentence() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("notes.txt"), "x").unwrap();
        let said = |path: &Path| load(&DataRequest::whole(path)).unwrap_err().to_string();
        assert!(said(folder.path()).contains("found notes.txt"));
        assert!(said(&folder.path().join("none")).ends_with("found nothing there"));
        assert!(said(&folder.path().join("notes.txt")).ends_with("found a file of another kind"));
    }
}
