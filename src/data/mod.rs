//! The fixed samples on which every loss is measured.

mod array;
mod arrays;
mod cifar;
mod cifar_pickle;
pub mod digits;
mod idx;
mod normalize;
mod npy;
pub mod scale;
mod select;
mod table;

use self::scale::Scale;
use std::io;
use std::path::{Path, PathBuf};

/// Name of the data set that is packed into the program.
pub const DIGITS: &str = "digits";

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

impl Request {
    /// All training samples of a source, in the order of the file.
    #[must_use]
    pub fn whole(source: impl Into<PathBuf>) -> Self {
        Self {
            source: source.into(),
            split: Split::Train,
            count: Count::All,
            order: Order::First,
            seed: 0,
            mean: None,
            std: None,
        }
    }
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
    /// The figures that they were normalized by.
    pub scale: Scale,
    /// What else training may have normalized them by; empty where the user says.
    pub scales: Vec<Scale>,
}

/// Why samples could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// Nothing is there, or nothing that is known.
    #[error("{}: expected data of the {split} split ({expected}), found {found}", path.display())]
    Unknown {
        /// The folder or file.
        path: PathBuf,
        /// The split that was asked for.
        split: &'static str,
        /// What would have been read.
        expected: &'static str,
        /// What is there.
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
        /// What the format asks for.
        expected: String,
        /// What is there.
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

/// Pixels before normalization, 0 to 1, with their labels: a whole split.
#[derive(Clone, Debug, PartialEq)]
struct Images {
    name: String,
    /// Channels, height, width.
    shape: [usize; 3],
    /// (N, C, H, W).
    pixels: Vec<f32>,
    labels: Vec<u32>,
}

/// Which samples of a split were taken, and what all of them are like.
#[derive(Clone, Debug, PartialEq)]
struct Chosen {
    /// Their places in the file, ascending.
    indices: Vec<usize>,
    /// Mean over the pixels of all.
    brightness: f32,
    /// One more than the largest label of all.
    classes: usize,
    /// Scales that training may have given the features of a table; none where they are pixels.
    scales: Option<Vec<Scale>>,
}

impl Images {
    fn image_len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Mean of all pixels.
    fn brightness(&self) -> f32 {
        let sum: f64 = self.pixels.iter().map(|&pixel| f64::from(pixel)).sum();
        (sum / self.pixels.len().max(1) as f64) as f32
    }
}

impl Split {
    /// The word that `--split` takes.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Test => "test",
        }
    }
}

/// Loads the samples.
///
/// # Errors
/// The source is not there, is of no known format, or its files disagree.
pub fn load(request: &Request) -> Result<Dataset, DataError> {
    let (mut images, chosen) = read(request)?;
    let len = images.image_len().max(1);
    if let Some(at) = images.pixels.iter().position(|pixel| !pixel.is_finite()) {
        return Err(DataError::NotFinite {
            path: request.source.clone(),
            sample: chosen.indices.get(at / len).copied().unwrap_or_default(),
            found: images.pixels[at],
        });
    }
    let classes = chosen.classes;
    let normalizer = {
        let brightness = Some(chosen.brightness).filter(|_| chosen.scales.is_none());
        normalize::Normalizer::choose(&images, brightness, request)?
    };
    normalizer.apply(&mut images);
    let given = request.mean.is_some() || request.std.is_some();
    let scales = chosen.scales.filter(|_| !given);
    Ok(Dataset {
        name: normalizer.name,
        split: request.split,
        shape: images.shape,
        pixels: images.pixels,
        labels: images.labels,
        classes,
        normalization: normalizer.words,
        scale: normalizer.scale,
        scales: scales.unwrap_or(normalizer.others),
    })
}

const KNOWN: &str =
    "idx files, CIFAR batches (binary or Python), an .npz or .safetensors file, or the word digits";

/// Reads the samples that were asked for. Files that are read whole have them taken out.
fn read(request: &Request) -> Result<(Images, Chosen), DataError> {
    let source = request.source.as_path();
    match source.extension().and_then(|ending| ending.to_str()) {
        Some("npz") => return arrays::read_npz(source, request),
        Some("safetensors") => return arrays::read_safetensors(source, request),
        _ => {}
    }
    let images = read_whole(source, request.split)?;
    let indices = select::chosen(images.labels.len(), request);
    let classes = images.labels.iter().max();
    let chosen = Chosen {
        brightness: images.brightness(),
        classes: classes.map_or(0, |label| *label as usize + 1),
        scales: None,
        indices,
    };
    Ok((select::take(images, &chosen.indices), chosen))
}

fn read_whole(source: &Path, split: Split) -> Result<Images, DataError> {
    let unknown = |found: String| DataError::Unknown {
        path: source.to_path_buf(),
        split: split.name(),
        expected: KNOWN,
        found,
    };
    match source {
        _ if source == Path::new(DIGITS) && !source.exists() => Ok(digits::read(split)),
        _ if source.is_dir() => {
            if let Some((folder, files)) = idx::find(source, split)? {
                return idx::read(&folder, &files);
            }
            if let Some(images) = cifar::read(source, split)? {
                return Ok(images);
            }
            cifar_pickle::read(source, split)?.ok_or_else(|| unknown(listing(source)))
        }
        _ if source.exists() => Err(unknown("a file of another kind".into())),
        _ => Err(unknown("nothing there".into())),
    }
}

/// The first few names of a folder, for an error message.
fn listing(folder: &Path) -> String {
    let entries = std::fs::read_dir(folder)
        .map(|entries| entries.flatten().collect::<Vec<_>>())
        .unwrap_or_default();
    let mut names: Vec<String> = entries
        .iter()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    match names.len() {
        0 => "an empty folder".into(),
        1..=4 => names.join(", "),
        count => format!("{} and {} more", names[..4].join(", "), count - 4),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use super::*;

    #[test]
    fn what_is_not_there_or_not_known_is_said_in_one_sentence() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("notes.txt"), "x").unwrap();
        let said = |path: &Path| load(&Request::whole(path)).unwrap_err().to_string();
        assert!(said(folder.path()).contains("found notes.txt"));
        assert!(said(&folder.path().join("none")).ends_with("found nothing there"));
        assert!(said(&folder.path().join("notes.txt")).ends_with("found a file of another kind"));
    }
}
