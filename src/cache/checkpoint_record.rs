//! Facts about a kept checkpoint beside its weights.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::run::{CheckpointFacts, Hyper, InnerCounters, Seen};

/// The part that a kept checkpoint has in its run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeptStanding {
    /// A point of the path.
    #[default]
    OnPath,
    /// A point of the path that a live session does without, because the path is long.
    Thinned,
    /// A point of a branch that a resumed run has left.
    OldBranch,
    /// A checkpoint of another run in the same folder.
    AnotherRun,
    /// A checkpoint of a model with other shapes.
    AnotherModel,
}

/// A kept checkpoint: one small JSON file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KeptRecord {
    /// Path below the run of the file, or the HF-style folder, that was read.
    pub path: PathBuf,
    /// Path below the run of the file by which names know it.
    pub name: PathBuf,
    /// Step that it had on the path.
    pub step: u64,
    /// Hash of the weights, in hexadecimal; names the copy.
    pub content: String,
    /// Number in the order of arrival.
    pub arrival: u64,
    /// Seconds since 1970 at which the file in the run was changed, and nanoseconds.
    pub modified: (u64, u32),
    /// Bytes of the file in the run.
    pub size: u64,
    /// Bytes of the copy.
    pub bytes: u64,
    /// The checkpoint's own count of steps.
    #[serde(default)]
    pub inner_step: Option<u64>,
    /// The checkpoint's own count of epochs.
    #[serde(default)]
    pub inner_epoch: Option<u64>,
    /// Nested key of the state dict, when the user named one.
    #[serde(default)]
    pub key: Option<String>,
    /// Settings of training that the file in the run told; `None` in records of earlier versions.
    #[serde(default)]
    pub hyper: Option<Hyper>,
    /// Hash of names and shapes.
    pub signature: u64,
    /// Numbers of the model.
    pub numbers: usize,
    /// The part that it has in the run.
    #[serde(default)]
    pub standing: KeptStanding,
}

impl KeptRecord {
    /// Returns the time at which the file in the run was changed.
    #[must_use]
    pub fn modified(&self) -> SystemTime {
        let (seconds, nanos) = self.modified;
        let since = Duration::from_secs(seconds).saturating_add(Duration::from_nanos(nanos.into()));
        SystemTime::UNIX_EPOCH
            .checked_add(since)
            .unwrap_or(SystemTime::UNIX_EPOCH)
    }

    /// Returns true for a record that names a path below the run and a hash; others were not written by this
    /// program.
    pub(super) fn is_valid(&self) -> bool {
        use std::path::Component;
        let below = |path: &Path| {
            let normal = |part: Component<'_>| matches!(part, Component::Normal(_));
            !path.as_os_str().is_empty() && path.components().all(normal)
        };
        below(&self.path)
            && below(&self.name)
            && self.content.len() == 64
            && self.content.bytes().all(|c| c.is_ascii_hexdigit())
    }

    /// Returns the name of the copy's file.
    pub(super) fn copy_name(&self) -> String {
        format!("{}.safetensors", self.content)
    }

    /// Returns the name of the record's file: one content may be saved under several paths.
    pub(super) fn name(&self) -> String {
        let path = blake3::hash(self.path.as_os_str().as_encoded_bytes()).to_hex();
        let short = |text: &str| text.get(..16).unwrap_or_default().to_owned();
        format!("{}-{}.json", short(&path), short(&self.content))
    }

    /// Returns the content as a run's history knows it; `copy` is its file in the cache.
    #[must_use]
    pub fn seen(&self, run: &Path, copy: PathBuf) -> Seen {
        Seen {
            name: self.name.clone(),
            path: if run.is_file() {
                run.to_path_buf()
            } else {
                run.join(&self.path)
            },
            arrival: self.arrival,
            modified: self.modified(),
            size: self.size,
            facts: CheckpointFacts {
                counters: InnerCounters {
                    step: self.inner_step,
                    epoch: self.inner_epoch,
                },
                signature: self.signature,
                numbers: self.numbers,
                content: blake3::Hash::from_hex(&self.content)
                    .ok()
                    .map(|hash| *hash.as_bytes()),
            },
            hyper: self.hyper,
            kept: Some(copy),
            on_disk: false,
            is_left: self.standing != KeptStanding::OnPath,
        }
    }

    /// Returns the record of a content that was seen, at its step; `None` until its weights were read. `key` names
    /// the state dict that was taken.
    #[must_use]
    pub fn of(seen: &Seen, step: u64, run: &Path, key: Option<&str>) -> Option<Self> {
        let content = seen.facts.content?;
        let path = match seen.path.strip_prefix(run) {
            Ok(path) if !path.as_os_str().is_empty() => path,
            _ => seen.name.as_path(),
        };
        Some(Self {
            path: path.to_path_buf(),
            name: seen.name.clone(),
            step,
            content: blake3::Hash::from_bytes(content).to_hex().to_string(),
            arrival: seen.arrival,
            modified: since_1970(seen.modified),
            size: seen.size,
            bytes: 0,
            inner_step: seen.facts.counters.step,
            inner_epoch: seen.facts.counters.epoch,
            key: key.map(str::to_owned),
            hyper: seen.hyper,
            signature: seen.facts.signature,
            numbers: seen.facts.numbers,
            standing: KeptStanding::OnPath,
        })
    }
}

/// Returns the seconds and nanoseconds since 1970, as they are recorded.
fn since_1970(time: SystemTime) -> (u64, u32) {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    since.map_or((0, 0), |since| (since.as_secs(), since.subsec_nanos()))
}
