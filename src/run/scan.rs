//! Which checkpoints a folder holds at this moment. This is the truth; notifications only hint at it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::format::StateDict;
use super::format::sharded_weight_files;
use super::stamp::Stamp;
use super::{Checkpoint, RunError, log, step};

/// Folders below the run that are looked into: as deep as Lightning's
/// `lightning_logs/version_0/checkpoints/`, and one more.
const DEPTH: usize = 4;
const ENDINGS: [&str; 5] = ["pt", "pth", "bin", "ckpt", "safetensors"];
/// Beginnings of files that trainers save beside the weights.
const NOT_WEIGHTS: [&str; 8] = [
    "optimizer",
    "optim",
    "scheduler",
    "scaler",
    "rng_state",
    "random_states",
    "training_args",
    "zero_pp_rank",
];

/// Something in the run folder that may be a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The file, or the HF-style folder.
    pub path: PathBuf,
    /// The step that its name tells.
    pub step: Option<u64>,
    /// Its state.
    pub stamp: Stamp,
}

/// Every candidate of a run, and how many other files there are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scan {
    /// By path.
    pub found: Vec<Found>,
    /// Files that are none.
    pub others: usize,
    /// Training's own logs, in any folder of the run; they count among the others too.
    pub logs: Vec<PathBuf>,
}

/// Lists the candidates of a run: files with a checkpoint's ending in it and its sub-folders, and
/// HF-style folders. Hidden folders are passed over and links to folders are not followed.
///
/// # Errors
/// The run folder is not there or cannot be listed; sub-folders that cannot are passed over.
pub fn scan(run: &Path) -> Result<Scan, RunError> {
    let metadata = fs::metadata(run).map_err(|_| RunError::Missing(run.to_path_buf()))?;
    let mut scan = Scan::default();
    if metadata.is_file() {
        scan.found.extend(single(run, run, Stamp::from(&metadata)));
    } else if let Some(folder) = weights_folder(run, run) {
        scan.found.push(folder);
        scan.logs.extend(log_of_folder(run));
    } else {
        list(run, run, 0, &mut scan).map_err(|source| RunError::List {
            path: run.to_path_buf(),
            source,
        })?;
    }
    scan.found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(scan)
}

/// The training's own log as it is now, and a sentence for each one that could not be read to its end.
#[must_use]
pub fn training_log(run: &Path) -> log::News {
    let logs = scan(run).map_or_else(|_| Vec::new(), |scan| scan.logs);
    log::read(run, &logs)
}

fn list(run: &Path, folder: &Path, depth: usize, scan: &mut Scan) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)?.flatten() {
        let path = entry.path();
        let Ok(kind) = entry.file_type() else {
            continue;
        };
        if kind.is_dir() {
            if entry.file_name().to_string_lossy().starts_with('.') {
                continue;
            }
            if let Some(found) = weights_folder(&path, run) {
                scan.found.push(found);
                scan.logs.extend(log_of_folder(&path));
            } else if depth < DEPTH {
                let _ = list(run, &path, depth + 1, scan);
            }
        } else if is_candidate(&path) {
            // A link to a file is looked at through the link; one that leads nowhere is none.
            if let Ok(stamp) = Stamp::of(&path) {
                scan.found.extend(single(&path, run, stamp));
            }
        } else {
            scan.others += 1;
            scan.logs
                .extend(Some(path).filter(|path| log::is_log(path)));
        }
    }
    Ok(())
}

fn single(path: &Path, run: &Path, stamp: Stamp) -> Option<Found> {
    let found = Found {
        path: path.to_path_buf(),
        step: step::of(path, run),
        stamp,
    };
    path.is_file().then_some(found)
}

/// The log that Hugging Face's trainer saves beside the weights.
fn log_of_folder(folder: &Path) -> Option<PathBuf> {
    let path = folder.join(log::trainer_state::NAME);
    path.is_file().then_some(path)
}

/// An HF-style folder, with the stamp of all its weight files.
fn weights_folder(folder: &Path, run: &Path) -> Option<Found> {
    let stamps = sharded_weight_files(folder)
        .into_iter()
        .filter_map(|file| Stamp::of(&file).ok());
    Some(Found {
        path: folder.to_path_buf(),
        step: step::of(folder, run),
        stamp: stamps.reduce(Stamp::and)?,
    })
}

fn is_candidate(path: &Path) -> bool {
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    let ending = path
        .extension()
        .and_then(|ending| ending.to_str())
        .unwrap_or_default();
    ENDINGS.contains(&ending.to_ascii_lowercase().as_str())
        && !name.starts_with('.')
        && !NOT_WEIGHTS.iter().any(|word| name.starts_with(word))
}

/// A run that was opened at once.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Opened {
    /// The checkpoints that can be read, by step.
    pub checkpoints: Vec<Checkpoint>,
    /// Those that cannot or do not count, each with a sentence that names it.
    pub unreadable: Vec<(PathBuf, String)>,
}

/// Opens a run as it is now: every checkpoint whose own header agrees with its size. `run` may also be
/// one checkpoint.
///
/// # Errors
/// Nothing is there, or no candidate.
pub fn open(run: &Path, key: Option<&str>) -> Result<Opened, RunError> {
    let scan = scan(run)?;
    if scan.found.is_empty() {
        return Err(RunError::NoCheckpoint {
            path: run.to_path_buf(),
            others: scan.others,
        });
    }
    let single = scan.found.len() == 1 && scan.found[0].path == run;
    let mut opened = Opened::default();
    let mut stepped: Vec<(Found, Option<u64>)> = Vec::new();
    for found in scan.found {
        match StateDict::open(&found.path, key) {
            Ok(dict) => {
                let step = found.step.or_else(|| dict.step());
                stepped.push((found, step));
            }
            Err(error) if single => return Err(error.into()),
            Err(error) => opened.unreadable.push((found.path, error.to_string())),
        }
    }
    if stepped.iter().all(|(_, step)| step.is_none()) {
        number_by_age(&mut stepped);
    }
    // The one whose name has the step counts before a copy like `last.ckpt`.
    stepped.sort_by_key(|(found, step)| (*step, found.step.is_none()));
    for (found, step) in stepped {
        match step {
            None => opened
                .unreadable
                .push((found.path.clone(), no_step(&found.path))),
            Some(step) => match opened.checkpoints.last().filter(|last| last.step == step) {
                Some(last) => opened
                    .unreadable
                    .push((found.path.clone(), same_step(&found.path, step, &last.path))),
                None => opened.checkpoints.push(Checkpoint {
                    step,
                    path: found.path,
                }),
            },
        }
    }
    Ok(opened)
}

/// Numbers checkpoints by the time of their last change, from 0, where none of them tells a step.
fn number_by_age(found: &mut [(Found, Option<u64>)]) {
    found.sort_by(|a, b| {
        a.0.stamp
            .modified
            .cmp(&b.0.stamp.modified)
            .then_with(|| a.0.path.cmp(&b.0.path))
    });
    for (number, (_, step)) in found.iter_mut().enumerate() {
        *step = Some(number as u64);
    }
}

/// Why a checkpoint without a step is left out.
#[must_use]
pub fn no_step(path: &Path) -> String {
    format!(
        "{}: expected a step in its name or inside, found none",
        path.display()
    )
}

/// Why a second checkpoint of one step is left out.
#[must_use]
pub fn same_step(path: &Path, step: u64, other: &Path) -> String {
    format!(
        "{}: step {step} is already {}",
        path.display(),
        other.display()
    )
}

/// True for a file that has not been touched for a while: nobody is writing it.
#[must_use]
pub fn is_at_rest(stamp: Stamp, now: SystemTime) -> bool {
    const REST: std::time::Duration = std::time::Duration::from_secs(5);
    now.duration_since(stamp.modified)
        .is_ok_and(|age| age > REST)
}
