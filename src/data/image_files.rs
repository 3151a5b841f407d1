//! Loads sets of images with a class each: those that people train on, and images or tables in arrays of a file.

use std::path::Path;

use super::column::Column;
use super::images::{Chosen, Images};
use super::{DIGITS, DataError, DataRequest, Dataset, Split};
use super::{arrays, cifar, cifar_pickle, digits, idx, normalize, pairs, select};

/// Loads images and normalizes them.
pub(super) fn load(request: &DataRequest) -> Result<Dataset, DataError> {
    let (mut images, chosen) = read(request)?;
    let len = images.image_len().max(1);
    if let Some(at) = images.pixels.iter().position(|pixel| !pixel.is_finite()) {
        return Err(DataError::NotFinite {
            path: request.source.clone(),
            sample: chosen.indices.get(at / len).copied().unwrap_or_default(),
            found: images.pixels[at],
        });
    }
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
        target: Some(Column::labels(&images.labels)),
        inputs: vec![Column::images(images.shape, images.pixels)],
        classes: chosen.classes,
        normalization: normalizer.words,
        scale: normalizer.scale,
        scales: scales.unwrap_or(normalizer.others),
    })
}

const KNOWN: &str =
    "idx files, CIFAR batches (binary or Python), an .npz or .safetensors file, or the word digits";

/// Reads the samples that were asked for. Files that are read whole have them taken out.
fn read(request: &DataRequest) -> Result<(Images, Chosen), DataError> {
    let source = request.source.as_path();
    if let Some(mut arrays) = arrays::open(source)? {
        return pairs::read(source, arrays.as_mut(), request);
    }
    if source.is_dir()
        && let Some((folder, files)) = idx::find(source, request.split)?
    {
        return idx::read(&folder, &files, request);
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
            if let Some(images) = cifar::read(source, split)? {
                return Ok(images);
            }
            cifar_pickle::read(source, split)?.ok_or_else(|| unknown(listing(source)))
        }
        _ if source.exists() => Err(unknown("a file of another kind".into())),
        _ => Err(unknown("nothing there".into())),
    }
}

/// Returns the first few names of a folder, for an error message.
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
