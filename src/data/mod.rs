//! The fixed samples on which every loss is measured.

use std::path::PathBuf;

/// Which part of a data set.
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
pub enum Split {
    /// The samples that training saw.
    #[default]
    Train,
    /// The held-out samples.
    Test,
}

/// How many samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Count {
    /// At most so many.
    At(usize),
    /// Every one there is.
    All,
}

/// Which samples, when not all.
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
pub enum Order {
    /// Drawn without replacement, by the seed.
    #[default]
    Random,
    /// The first ones of the file.
    First,
}

/// What to load: the options `--data --split --samples --order --mean --std --seed`.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Request {
    /// A folder, a file, or the word `digits` for the embedded set.
    pub source: PathBuf,
    /// Train or test.
    pub split: Split,
    /// How many samples.
    pub count: Count,
    /// Which samples.
    pub order: Order,
    /// Seed of the random order.
    pub seed: u64,
    /// Mean of the pixels after /255: one value or one per channel; the known set's when absent.
    pub mean: Option<Vec<f32>>,
    /// Standard deviation of the pixels after /255, likewise.
    pub std: Option<Vec<f32>>,
}

/// Samples in memory, normalized, ready to be copied to a device.
#[derive(Clone, Debug, PartialEq)]
pub struct Dataset {
    /// What it is, e.g. `fashion-mnist`, or the folder's name for an unknown set.
    pub name: String,
    /// Train or test.
    pub split: Split,
    /// Channels, height, width.
    pub shape: [usize; 3],
    /// Pixels of shape (N, C, H, W), row-major.
    pub pixels: Vec<f32>,
    /// N labels, each below `classes`.
    pub labels: Vec<u32>,
    /// Number of classes: one more than the largest label in the file.
    pub classes: usize,
    /// How pixels were normalized, in words, for the screen (e.g. `mean 0.286 std 0.353 (fashion-mnist)`).
    pub normalization: String,
}

/// Why samples could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum DataError {}

/// Loads the samples.
///
/// # Errors
/// The source is not there, is of no known format, or its files disagree.
pub fn load(_request: &Request) -> Result<Dataset, DataError> {
    todo!()
}
