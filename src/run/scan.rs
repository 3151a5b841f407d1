//! Scans a folder for files that may be checkpoints at this moment. This is the truth; notifications only hint
//! at it.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::fingerprint::Fingerprint;
use super::format::{Content, Thing, listed, sharded_weight_files, sniff};
use super::{RunChoice, RunError, log};

/// Folders below the run that are looked into: frameworks nest steps, ranks and networks.
const DEPTH: usize = 8;
/// Files that are listed: far more than any run has.
const MOST_FILES: usize = 200_000;
/// Endings of checkpoints: a file with one of these that holds none is named, others are only counted.
const ENDINGS: [&str; 9] = [
    "pt",
    "pth",
    "bin",
    "ckpt",
    "safetensors",
    "tar",
    "t7",
    "th",
    "pkl",
];

/// Something in the run folder that may be a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundFile {
    /// Path below the run of the file by which names know it.
    pub name: PathBuf,
    /// The file, or the HF-style folder, that is read.
    pub path: PathBuf,
    /// Its state.
    pub fingerprint: Fingerprint,
}

/// Files of one ending that are no checkpoints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Passed {
    /// Their number.
    pub count: usize,
    /// The first of them that may hold a model in a form that is not read.
    pub thing: Option<Thing>,
}

/// Every candidate of a run, and what else lies there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scan {
    /// By path.
    pub found: Vec<FoundFile>,
    /// Other files by ending, or by kind where the ending says nothing.
    pub others: BTreeMap<String, Passed>,
    /// Training's own logs, in any folder of the run; they count among the others too.
    pub logs: Vec<PathBuf>,
}

/// Looks at folders, and remembers what kind each file is as long as it does not change.
#[derive(Debug, Default)]
pub struct FolderScanner {
    choice: RunChoice,
    contents: KnownContents,
    /// Contents of the scan before, which move over if the files are the same.
    before: KnownContents,
}

/// The kind of each file that was looked at, as it was then.
type KnownContents = HashMap<PathBuf, (Fingerprint, Content)>;

impl FolderScanner {
    /// Returns a scanner for the files that count.
    #[must_use]
    pub fn new(choice: &RunChoice) -> Self {
        Self {
            choice: choice.clone(),
            ..Self::default()
        }
    }

    /// Lists the candidates of a run: files in it and its sub-folders that begin like a checkpoint, whatever
    /// their ending, and HF-style folders. Hidden folders are passed over and links to folders are not
    /// followed.
    ///
    /// # Errors
    /// The run folder is not there or cannot be listed; sub-folders that cannot are passed over.
    pub fn scan(&mut self, run: &Path) -> Result<Scan, RunError> {
        let metadata = fs::metadata(run).map_err(|source| match source.kind() {
            ErrorKind::NotFound => RunError::Missing(run.to_path_buf()),
            _ => RunError::List {
                path: run.to_path_buf(),
                source,
            },
        })?;
        let mut scan = Scan::default();
        if metadata.is_file() {
            scan.found.push(FoundFile {
                name: run.file_name().map(PathBuf::from).unwrap_or_default(),
                path: run.to_path_buf(),
                fingerprint: Fingerprint::from(&metadata),
            });
            return Ok(scan);
        }
        if !metadata.is_dir() {
            return Err(RunError::NotRegular(run.to_path_buf()));
        }
        self.before = std::mem::take(&mut self.contents);
        let mut left = MOST_FILES;
        self.list(run, run, 0, &mut left, &mut scan)
            .map_err(|source| RunError::List {
                path: run.to_path_buf(),
                source,
            })?;
        scan.found.sort_by(|a, b| a.path.cmp(&b.path));
        self.before = KnownContents::new();
        Ok(scan)
    }

    fn list(
        &mut self,
        run: &Path,
        folder: &Path,
        depth: usize,
        left: &mut usize,
        scan: &mut Scan,
    ) -> std::io::Result<()> {
        let entries: Vec<fs::DirEntry> = fs::read_dir(folder)?.flatten().take(*left).collect();
        *left -= entries.len();
        let paths: Vec<PathBuf> = entries.iter().map(fs::DirEntry::path).collect();
        // A folder that is one checkpoint: its parts are no checkpoints of their own.
        let parts = self.weights_folder(run, folder, &paths, scan);
        for (entry, path) in entries.into_iter().zip(paths) {
            let Ok(kind) = entry.file_type() else {
                continue;
            };
            if kind.is_dir() {
                let hidden = entry.file_name().to_string_lossy().starts_with('.');
                if !hidden && depth < DEPTH {
                    let _ = self.list(run, &path, depth + 1, left, scan);
                }
            } else if !parts.contains(&path) {
                self.file(run, path, scan);
            }
        }
        Ok(())
    }

    /// Takes an HF-style or distributed folder as one checkpoint, and returns the files that it is made of.
    fn weights_folder(
        &self,
        run: &Path,
        folder: &Path,
        paths: &[PathBuf],
        scan: &mut Scan,
    ) -> Vec<PathBuf> {
        let mut parts = sharded_weight_files(folder, paths);
        if parts.is_empty() {
            parts = distributed_parts(folder, paths);
        }
        let fingerprints = parts.iter().filter_map(|file| Fingerprint::of(file).ok());
        let Some((fingerprint, first)) = fingerprints.reduce(Fingerprint::and).zip(parts.first())
        else {
            return Vec::new();
        };
        let name = first.strip_prefix(run).unwrap_or(first).to_path_buf();
        if self.is_wanted(&name) {
            // The root's own file is one file beside others, not the run; an index is no file of weights.
            let whole = folder == run && parts.len() == 1 && ending(first) != "json";
            scan.found.push(FoundFile {
                name,
                path: if whole {
                    first.clone()
                } else {
                    folder.to_path_buf()
                },
                fingerprint,
            });
        }
        parts
    }

    fn file(&mut self, run: &Path, path: PathBuf, scan: &mut Scan) {
        if log::is_log(&path) {
            scan.logs.push(path.clone());
        }
        let hidden = path
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with('.'));
        // A link to a file is looked at through the link; one that leads nowhere is none.
        let Some(fingerprint) = Fingerprint::of(&path).ok().filter(|_| !hidden) else {
            return;
        };
        let name = path.strip_prefix(run).unwrap_or(&path).to_path_buf();
        let ending = ending(&path);
        let content = self.content(&path, fingerprint);
        let is_candidate = match content {
            Some(content) => content.is_readable() || ENDINGS.contains(&ending.as_str()),
            // What cannot be opened may be a checkpoint where its name says so; a pipe is none.
            None => path.is_file() && ENDINGS.contains(&ending.as_str()),
        };
        if is_candidate && self.is_wanted(&name) {
            scan.found.push(FoundFile {
                name,
                path,
                fingerprint,
            });
        } else {
            let known = if ending.is_empty() {
                "without an ending".to_owned()
            } else {
                format!(".{ending}")
            };
            let passed = scan.others.entry(known).or_default();
            passed.count += 1;
            if let Some(Content::Foreign(thing)) = content
                && thing.may_hold_model
            {
                passed.thing.get_or_insert(thing);
            }
        }
    }

    /// Returns the kind of a file's contents, read again when the file has changed; `None` if it cannot be opened.
    fn content(&mut self, path: &Path, fingerprint: Fingerprint) -> Option<Content> {
        let known = self.before.remove(path);
        let known = known.filter(|(before, _)| *before == fingerprint);
        let content = match known {
            Some((_, content)) => content,
            None => sniff(path).ok()?,
        };
        self.contents
            .insert(path.to_path_buf(), (fingerprint, content));
        Some(content)
    }

    fn is_wanted(&self, name: &Path) -> bool {
        self.choice.takes(name)
    }
}

/// Returns the ending of a name in small letters; that of `model.pth.tar` is `tar`.
fn ending(path: &Path) -> String {
    let ending = path.extension().and_then(|ending| ending.to_str());
    ending.unwrap_or_default().to_ascii_lowercase()
}

/// Returns the parts of a checkpoint that torch.distributed.checkpoint saved; empty for another folder.
fn distributed_parts(folder: &Path, paths: &[PathBuf]) -> Vec<PathBuf> {
    if !folder.join(".metadata").is_file() {
        return Vec::new();
    }
    let is_part = |path: &&PathBuf| ending(path) == "distcp";
    let mut parts: Vec<PathBuf> = paths.iter().filter(is_part).cloned().collect();
    parts.sort();
    parts
}

/// Returns the state of a checkpoint as a scan would see it; `None` if it is not there.
#[must_use]
pub fn fingerprint_of(path: &Path) -> Option<Fingerprint> {
    if path.is_dir() {
        let parts = sharded_weight_files(path, &listed(path));
        let fingerprints = parts.iter().filter_map(|file| Fingerprint::of(file).ok());
        return fingerprints.reduce(Fingerprint::and);
    }
    Fingerprint::of(path).ok()
}

/// Returns the training's own log as it is now, and a sentence for each one that could not be read to its end.
#[must_use]
pub fn training_log(run: &Path) -> log::LogUpdate {
    let scan = FolderScanner::default().scan(run);
    log::read(run, &scan.map_or_else(|_| Vec::new(), |scan| scan.logs))
}

/// Returns the counts by ending with what they are where a model may be in them, those first, then the most, e.g.
/// `2 .h5 (an HDF5 file: save its arrays), 1 .json`.
#[must_use]
pub fn in_words(others: &BTreeMap<String, Passed>) -> String {
    const TOLD: usize = 4;
    let mut counts: Vec<(&String, &Passed)> = others.iter().collect();
    counts.sort_by_key(|(_, passed)| (passed.thing.is_none(), std::cmp::Reverse(passed.count)));
    let rest: usize = counts
        .iter()
        .skip(TOLD)
        .map(|(_, passed)| passed.count)
        .sum();
    let told = counts.iter().take(TOLD).map(|(ending, passed)| {
        let thing = passed.thing.map_or_else(String::new, |thing| {
            format!(" ({}: {})", thing.name, thing.remedy)
        });
        format!("{} {ending}{thing}", passed.count)
    });
    let mut told: Vec<String> = told.collect();
    if rest > 0 {
        told.push(format!("{rest} others"));
    }
    told.join(", ")
}

/// Returns true for a file that has not been touched for a while: nobody is writing it.
#[must_use]
pub fn is_at_rest(fingerprint: Fingerprint, now: SystemTime) -> bool {
    const REST: std::time::Duration = std::time::Duration::from_secs(5);
    now.duration_since(fingerprint.modified)
        .is_ok_and(|age| age > REST)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use super::super::format::StateDict;
    use super::*;

    fn scan(run: &Path) -> Result<Scan, RunError> {
        FolderScanner::default().scan(run)
    }

    #[test]
    fn what_is_passed_over_is_named_with_its_remedy() {
        let folder = tempfile::tempdir().unwrap();
        for at in 0..9 {
            fs::write(folder.path().join(format!("{at}.json")), "{}").unwrap();
        }
        fs::write(folder.path().join("a.npy"), b"\x93NUMPY\x01\0").unwrap();
        fs::write(folder.path().join("b.npy"), b"\x93NUMPY\x01\0").unwrap();
        fs::write(folder.path().join("m.h5"), b"\x89HDF\r\n").unwrap();
        let told = in_words(&scan(folder.path()).unwrap().others);
        let numpy =
            "2 .npy (arrays of numpy: save them with safetensors.numpy.save_file), 1 .h5 (an HDF5";
        assert!(told.starts_with(numpy), "{told}");
        assert!(told.ends_with(", 9 .json"), "{told}");
    }

    #[test]
    fn files_that_stay_as_they_are_are_looked_into_once_however_many_there_are() {
        let folder = tempfile::tempdir().unwrap();
        let count = 1500;
        for at in 0..count {
            fs::write(folder.path().join(format!("{at}.json")), "{}").unwrap();
        }
        let mut scanner = FolderScanner::default();
        for gone in 0..3 {
            scanner.scan(folder.path()).unwrap();
            assert_eq!(scanner.contents.len(), count - gone);
            fs::remove_file(folder.path().join(format!("{gone}.json"))).unwrap();
        }
    }

    #[test]
    fn an_index_alone_is_a_folder_without_its_shards_wherever_it_is_looked_at() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("checkpoint-10");
        fs::create_dir(&inner).unwrap();
        let map = r#"{"weight_map":{"a":"model-00001-of-00002.safetensors"}}"#;
        fs::write(inner.join("model.safetensors.index.json"), map).unwrap();
        for run in [folder.path(), &inner] {
            let found = scan(run).unwrap().found;
            assert_eq!(found[0].path, inner);
            let error = StateDict::open(&found[0].path, None)
                .unwrap_err()
                .to_string();
            assert!(
                error.contains("expected the shard model-00001-of-00002"),
                "{error}"
            );
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_device_is_no_run() {
        let error = scan(Path::new("/dev/null")).unwrap_err().to_string();
        assert!(error.contains("not a regular file"), "{error}");
    }
}
