//! HF-style folders: one weight file, an index that says which shard holds which tensor, or numbered shards.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::run::log::trainer_state::{self, TrainerState};

use super::super::natural_order::natural;
use super::numbered::Numbered;
use super::tree::Item;
use super::{FormatError, OpenFile, TensorPlace};
use crate::run::regular;

/// Files, where each tensor is, and the names as one dict.
pub(super) type Opened = (Vec<OpenFile>, Vec<TensorPlace>, Option<Item>);

/// Weight files and indices of a folder, the first that is there counts.
const WHOLE: [&str; 2] = ["model.safetensors", "pytorch_model.bin"];
const INDICES: [&str; 2] = [
    "model.safetensors.index.json",
    "pytorch_model.bin.index.json",
];
/// An index is a name a tensor; this is far more than any has.
const LARGEST_INDEX: u64 = 64 << 20;
/// Bytes at the front of an index in which its map begins.
const FRONT: u64 = 4 << 10;
const MAP: &[u8] = b"\"weight_map\"";

#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

/// The way in which the weights of a folder lie in it.
#[derive(Debug, PartialEq)]
enum Weights {
    /// In one file.
    Whole(PathBuf),
    /// In the shards of an index.
    Indexed(PathBuf),
    /// In shards without an index, by number.
    Numbered(Numbered, BTreeMap<usize, PathBuf>),
    /// In the shards of one of several indices.
    Several(Vec<PathBuf>),
}

impl Weights {
    /// Tells it by the files that lie there.
    fn of(folder: &Path, paths: &[PathBuf]) -> Option<Self> {
        let there = |names: &[&str]| {
            let mut paths = names.iter().map(|name| folder.join(name));
            paths.find(|path| path.is_file())
        };
        if let Some(whole) = there(&WHOLE) {
            return Some(Self::Whole(whole));
        }
        if let Some(index) = there(&INDICES) {
            return Some(Self::Indexed(index));
        }
        let (mut indices, mut sets) = (Vec::new(), BTreeMap::new());
        for path in paths {
            let name = path.file_name().and_then(|name| name.to_str());
            let Some(name) = name else { continue };
            if let Some(part) = Numbered::of(name) {
                let set = (part.around.clone(), part.count);
                let (_, paths) = sets
                    .entry(set)
                    .or_insert_with(|| (part.clone(), BTreeMap::new()));
                paths.insert(part.number, path.clone());
            } else if is_index(name, path) {
                indices.push(path.clone());
            }
        }
        if indices.is_empty() {
            let mut sets = sets.into_values();
            let (part, paths) = sets.next()?;
            // Several checkpoints in one folder are files, each of which is refused by its name.
            return sets.next().is_none().then_some(Self::Numbered(part, paths));
        }
        // One network may lie there in several types, as diffusers' variants do.
        let fronts: BTreeSet<&str> = indices.iter().filter_map(|path| front(path)).collect();
        if fronts.len() > 1 {
            return Some(Self::Several(indices));
        }
        let order = |path: &PathBuf| {
            let name = path.to_string_lossy().into_owned();
            (!name.contains(".safetensors."), name.len(), name)
        };
        indices.into_iter().min_by_key(order).map(Self::Indexed)
    }
}

/// Returns true for a file that maps tensors to shards.
fn is_index(name: &str, path: &Path) -> bool {
    let begins_with_map = || {
        let mut front = Vec::new();
        let file = regular::open(path)?;
        file.take(FRONT).read_to_end(&mut front)?;
        Ok::<_, io::Error>(front.windows(MAP.len()).any(|window| window == MAP))
    };
    let named = name.contains(".index.") && path.extension().is_some_and(|ending| ending == "json");
    named && begins_with_map().unwrap_or(false)
}

/// Returns the name of an index up to its first dot, with which those of its shards begin.
fn front(index: &Path) -> Option<&str> {
    index.file_name()?.to_str()?.split('.').next()
}

/// Opens the weights of a folder.
pub(super) fn open(folder: &Path) -> Result<Opened, FormatError> {
    let wrong = |reason: String| FormatError::Shards {
        path: folder.to_path_buf(),
        reason,
    };
    match Weights::of(folder, &listed(folder)) {
        Some(Weights::Whole(whole)) => {
            let mut file = OpenFile::open(&whole)?;
            let places = (0..file.tensors.len())
                .map(|tensor| TensorPlace { file: 0, tensor })
                .collect();
            let root = file.root.take();
            Ok((vec![file], places, root))
        }
        Some(Weights::Indexed(index)) => open_shards(folder, &index),
        Some(Weights::Numbered(part, paths)) => open_numbered(folder, &part, paths),
        Some(Weights::Several(indices)) => Err(wrong(format!(
            "expected one index of shards, found {}: put each checkpoint into a folder of its own",
            indices.len()
        ))),
        None => Err(wrong(format!(
            "expected one of {} or {}, found neither",
            WHOLE.join(", "),
            INDICES.join(", ")
        ))),
    }
}

fn open_shards(folder: &Path, index_path: &Path) -> Result<Opened, FormatError> {
    let wrong = |reason: String| FormatError::Shards {
        path: index_path.to_path_buf(),
        reason,
    };
    let index = read_index(index_path)?;
    let names: BTreeSet<&str> = index.weight_map.values().map(String::as_str).collect();
    let names: Vec<&str> = names.into_iter().collect();
    let mut files = Vec::new();
    for name in &names {
        // A name with a path in it could point anywhere.
        if Path::new(name).file_name().is_none_or(|file| file != *name) {
            return Err(wrong(format!(
                "expected the name of a shard in this folder, found {name}"
            )));
        }
        if !folder.join(name).is_file() {
            return Err(wrong(missing(name)));
        }
        files.push(OpenFile::open(&folder.join(name))?);
    }
    let mut places: HashMap<&str, Vec<(&str, TensorPlace)>> = HashMap::new();
    for (file, opened) in files.iter().enumerate() {
        for (name, tensor) in opened.outermost() {
            let place = (names[file], TensorPlace { file, tensor });
            places.entry(name).or_default().push(place);
        }
    }
    let mut tensors: Vec<(String, TensorPlace)> = Vec::new();
    for (tensor, shard) in &index.weight_map {
        let found = places.get(tensor.as_str()).and_then(|places| {
            let found = places.iter().find(|(name, _)| name == shard);
            found.map(|(_, place)| *place)
        });
        let place = found.ok_or_else(|| {
            wrong(format!(
                "expected tensor {tensor} in {shard}, found none there"
            ))
        })?;
        tensors.push((tensor.clone(), place));
    }
    Ok(together(files, tensors))
}

/// Reads shards without an index together, where none is missing.
fn open_numbered(
    folder: &Path,
    part: &Numbered,
    paths: BTreeMap<usize, PathBuf>,
) -> Result<Opened, FormatError> {
    let wrong = |reason: String| FormatError::Shards {
        path: folder.to_path_buf(),
        reason,
    };
    // Most writers count from one.
    let first = usize::from(!paths.contains_key(&0));
    let absent = (first..first + part.count).find(|number| !paths.contains_key(number));
    if let Some(number) = absent {
        return Err(wrong(missing(&part.name(number))));
    }
    let mut files = Vec::new();
    let mut tensors: BTreeMap<String, TensorPlace> = BTreeMap::new();
    for (file, path) in paths.into_values().enumerate() {
        let opened = OpenFile::open(&path)?;
        let before = tensors.len();
        for (name, tensor) in opened.outermost() {
            let place = TensorPlace { file, tensor };
            if tensors.insert(name.to_owned(), place).is_some() {
                return Err(wrong(format!(
                    "expected each tensor in one of the shards, found {name} in several"
                )));
            }
        }
        if tensors.len() == before {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            return Err(wrong(format!(
                "expected tensors in the shard {name}, found none"
            )));
        }
        files.push(opened);
    }
    Ok(together(files, tensors.into_iter().collect()))
}

fn missing(shard: &str) -> String {
    format!("expected the shard {shard} beside it, found no such file")
}

/// Returns the tensors of several files as one dict, in natural order.
fn together(files: Vec<OpenFile>, mut tensors: Vec<(String, TensorPlace)>) -> Opened {
    tensors.sort_by(|a, b| natural(&a.0, &b.0));
    let fields = tensors.iter().enumerate();
    let fields = fields.map(|(at, (name, _))| (name.as_str().into(), Item::Tensor(at)));
    let root = Item::Dict(None, fields.collect());
    let places = tensors.into_iter().map(|(_, place)| place).collect();
    (files, places, Some(root))
}

fn read_index(path: &Path) -> Result<Index, FormatError> {
    let text = read_bounded(path, LARGEST_INDEX)?;
    serde_json::from_str(&text).map_err(|e| FormatError::Shards {
        path: path.to_path_buf(),
        reason: format!("expected a JSON object with a weight_map: {e}"),
    })
}

fn read_bounded(path: &Path, limit: u64) -> Result<String, FormatError> {
    regular::read_text(path, limit).map_err(|source| FormatError::Io {
        path: path.to_path_buf(),
        source,
    })
}

/// Returns the step that the trainer noted beside the weights.
pub(super) fn step(folder: &Path) -> Option<u64> {
    let state = TrainerState::read(&folder.join(trainer_state::NAME));
    state.ok()??.global_step
}

/// Returns the paths in a folder; none if it cannot be listed.
pub(in crate::run) fn listed(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

/// Returns the files of a folder, among its `paths`, whose change means another checkpoint; empty when it is none.
pub(in crate::run) fn weight_files(folder: &Path, paths: &[PathBuf]) -> Vec<PathBuf> {
    let fronts: Vec<String> = match Weights::of(folder, paths) {
        None => return Vec::new(),
        Some(Weights::Whole(whole)) => return vec![whole],
        Some(Weights::Numbered(_, paths)) => return paths.into_values().collect(),
        Some(Weights::Indexed(index)) => front(&index).map(str::to_owned).into_iter().collect(),
        Some(Weights::Several(indices)) => {
            let fronts = indices.iter().filter_map(|index| front(index));
            fronts.map(str::to_owned).collect()
        }
    };
    let is_part = |path: &&PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str());
        let name = name.unwrap_or_default();
        let known = ["model", "pytorch_model"].into_iter();
        let mut known = known.chain(fronts.iter().map(String::as_str));
        let shard = known.any(|front| {
            let rest = name.strip_prefix(front);
            rest.is_some_and(|rest| rest.starts_with('-') || rest.contains(".index."))
        });
        shard || Numbered::of(name).is_some()
    };
    let mut files: Vec<PathBuf> = paths.iter().filter(is_part).cloned().collect();
    files.sort();
    files
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use super::super::StateDict;
    use super::super::safetensors::tests::write;
    use super::*;

    fn names(path: &Path) -> Result<Vec<String>, String> {
        let dict = StateDict::open(path, None).map_err(|error| error.to_string())?;
        Ok(dict
            .tensors()
            .iter()
            .map(|tensor| tensor.name.clone())
            .collect())
    }

    #[test]
    fn any_index_with_a_map_is_followed() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let [one, two] =
            [1, 2].map(|n| format!("diffusion_pytorch_model-0000{n}-of-00002.safetensors"));
        write(&path(&one), &["a.weight"]);
        write(&path(&two), &["b.weight"]);
        let index = path("diffusion_pytorch_model.safetensors.index.json");
        let map = format!(
            r#"{{"metadata":{{}},"weight_map":{{"a.weight":"{one}","b.weight":"{two}"}}}}"#
        );
        fs::write(&index, map).unwrap();
        fs::write(path("other.index.json"), "{}").unwrap();
        assert_eq!(names(folder.path()).unwrap(), ["a.weight", "b.weight"]);
        assert_eq!(
            weight_files(folder.path(), &listed(folder.path())),
            [path(&one), path(&two), index]
        );
        fs::write(path("vae.safetensors.index.json"), r#"{"weight_map":{}}"#).unwrap();
        assert!(
            names(folder.path())
                .unwrap_err()
                .contains("expected one index")
        );
    }

    #[test]
    fn numbered_shards_without_an_index_are_read_together_or_missed_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        write(&path("model-00001-of-00003.safetensors"), &["a.weight"]);
        write(&path("model-00003-of-00003.safetensors"), &["c.weight"]);
        let error = names(folder.path()).unwrap_err();
        assert!(
            error.contains("expected the shard model-00002-of-00003.safetensors"),
            "{error}"
        );
        write(&path("model-00002-of-00003.safetensors"), &["b.weight"]);
        assert_eq!(
            names(folder.path()).unwrap(),
            ["a.weight", "b.weight", "c.weight"]
        );
        let error = names(&path("model-00002-of-00003.safetensors")).unwrap_err();
        assert!(error.contains("part 2 of 3 of a checkpoint"), "{error}");
        write(&path("model-00002-of-00003.safetensors"), &["a.weight"]);
        let error = names(folder.path()).unwrap_err();
        assert!(error.contains("found a.weight in several"), "{error}");
    }

    #[test]
    fn the_shards_of_several_checkpoints_are_refused_one_by_one() {
        let folder = tempfile::tempdir().unwrap();
        for step in [10, 20] {
            for part in [1, 2] {
                let name = format!("step{step}-0000{part}-of-00002.safetensors");
                write(&folder.path().join(name), &["a.weight"]);
            }
        }
        assert_eq!(
            weight_files(folder.path(), &listed(folder.path())),
            Vec::<PathBuf>::new()
        );
        let error = names(&folder.path().join("step10-00001-of-00002.safetensors")).unwrap_err();
        assert!(error.contains("a folder of its own"), "{error}");
    }
}
