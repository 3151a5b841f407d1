//! The copies of one run.

use std::fs;
use std::path::{Path, PathBuf};

use crate::run::{Checkpoint, Hyper, RunChoice, Seen, StateDict, regular};
use crate::weights::PathMemory;

use super::checkpoint_record::{KeptRecord, KeptStanding};
use super::copy;
use super::list::{RUN, RunFile};
use super::room::KeepLimit;
use super::thin::{OnPath, removals};
use super::{CacheError, folder_of, real};

/// Far more bytes than a path as it was drawn takes.
const LARGEST_PATH: u64 = 16 << 20;
/// A record is a few hundred bytes.
const LARGEST_RECORD: u64 = 64 << 10;
/// Records that are read of one run: a hundred thousand checkpoints.
const MOST_RECORDS: usize = 100_000;

/// The end of an attempt to keep a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeepOutcome {
    /// The copy that is there now.
    Kept(PathBuf),
    /// The checkpoint alone is larger than the room for all.
    TooLarge,
}

/// The kept checkpoints of one run.
#[derive(Debug)]
pub struct RunCache {
    run: PathBuf,
    folder: PathBuf,
    room: u64,
    records: Vec<KeptRecord>,
}

impl RunCache {
    /// Reads what is kept of a run; `None` if the user has no cache folder. Nothing is written yet.
    #[must_use]
    pub fn open(run: &Path, limit: KeepLimit) -> Option<Self> {
        Some(Self::at(folder_of(run)?, run, limit))
    }

    /// Reads what is kept of a run in this folder.
    #[must_use]
    pub fn at(folder: PathBuf, run: &Path, limit: KeepLimit) -> Self {
        Self {
            run: real(run),
            room: limit.bytes(&folder),
            records: records(&folder),
            folder,
        }
    }

    /// Returns the kept records, in order of arrival.
    #[must_use]
    pub fn records(&self) -> &[KeptRecord] {
        &self.records
    }

    /// Returns the contents that were kept of the files and the state dict of a choice, as a run's history knows
    /// them.
    #[must_use]
    pub fn seen(&self, run: &Path, choice: &RunChoice) -> Vec<Seen> {
        let seen = |record: &KeptRecord| record.seen(run, self.copy_of(record));
        self.chosen(choice).map(seen).collect()
    }

    /// Returns the same, with the points on the path that live sessions thinned out of it.
    #[must_use]
    pub fn seen_unthinned(&self, run: &Path, choice: &RunChoice) -> Vec<Seen> {
        let seen = |record: &KeptRecord| {
            let seen = record.seen(run, self.copy_of(record));
            Seen {
                is_left: seen.is_left && record.standing != KeptStanding::Thinned,
                ..seen
            }
        };
        self.chosen(choice).map(seen).collect()
    }

    fn chosen(&self, choice: &RunChoice) -> impl Iterator<Item = &KeptRecord> {
        let takes = |record: &&KeptRecord| record.key == choice.key && choice.takes(&record.name);
        self.records.iter().filter(takes)
    }

    /// Reads anew what is kept, since other sessions and `isoloss cache clear` change it.
    pub fn refresh(&mut self) {
        self.records = records(&self.folder);
    }

    /// Returns the folder of the copies.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns the bytes that may be kept.
    #[must_use]
    pub fn room(&self) -> u64 {
        self.room
    }

    /// Returns the bytes that are kept: a content that several records name counts once.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let mut contents: Vec<(&str, u64)> = self
            .records
            .iter()
            .map(|record| (record.content.as_str(), record.bytes))
            .collect();
        contents.sort_unstable();
        contents.dedup();
        let bytes = contents.iter().map(|content| content.1);
        bytes.fold(0, u64::saturating_add)
    }

    /// Returns the copy of a record.
    #[must_use]
    pub fn copy_of(&self, record: &KeptRecord) -> PathBuf {
        self.folder.join(record.copy_name())
    }

    /// Keeps a checkpoint that lies at `original`; its record says which it is, but for the size of the
    /// copy.
    ///
    /// # Errors
    /// It can no longer be read, or the cache cannot be written.
    pub fn keep(
        &mut self,
        mut record: KeptRecord,
        dict: &StateDict,
        original: &Path,
    ) -> Result<KeepOutcome, CacheError> {
        let path = self.copy_of(&record);
        let known = fs::metadata(&path).ok().filter(fs::Metadata::is_file);
        let is_whole = |known: &fs::Metadata| {
            let others = &mut self.records.iter();
            others.any(|other| other.content == record.content && other.bytes == known.len())
        };
        record.bytes = if let Some(known) = known.filter(is_whole) {
            known.len()
        } else {
            fs::create_dir_all(&self.folder).map_err(CacheError::io(&self.folder))?;
            match copy::write(dict, original, &path, self.room)? {
                Some(bytes) => bytes,
                None => return Ok(KeepOutcome::TooLarge),
            }
        };
        self.say_where()?;
        self.write(&record)?;
        let same =
            |other: &KeptRecord| (&other.path, &other.content) == (&record.path, &record.content);
        self.records.retain(|other| !same(other));
        self.records.push(record);
        Ok(KeepOutcome::Kept(path))
    }

    /// Takes down the part that a checkpoint has in the run, and its step there.
    ///
    /// # Errors
    /// The record cannot be written.
    pub fn set(
        &mut self,
        checkpoint: &Checkpoint,
        standing: KeptStanding,
    ) -> Result<(), CacheError> {
        let step = checkpoint.step;
        let at = self.position(checkpoint);
        let found = at.and_then(|at| self.records.get_mut(at));
        let Some(record) = found.filter(|r| (r.step, r.standing) != (step, standing)) else {
            return Ok(());
        };
        (record.step, record.standing) = (step, standing);
        let record = record.clone();
        self.write(&record)
    }

    /// Takes down the part of what was thinned out of the path before a checkpoint came that the path follows from a step
    /// on, or from its start: what lies behind that step is of the path that was left.
    ///
    /// # Errors
    /// A record cannot be written.
    pub fn leave_thinned(
        &mut self,
        first: &Checkpoint,
        from: Option<u64>,
        standing: KeptStanding,
    ) -> Result<(), CacheError> {
        let is_left = |record: &&mut KeptRecord| {
            record.standing == KeptStanding::Thinned
                && record.arrival < first.arrival
                && from.is_none_or(|from| record.step > from)
        };
        let mut left = Vec::new();
        for record in self.records.iter_mut().filter(is_left) {
            record.standing = standing;
            left.push(record.clone());
        }
        left.iter().try_for_each(|record| self.write(record))
    }

    /// Writes down the path of a choice as it was drawn, where something is kept of the run.
    ///
    /// # Errors
    /// The cache cannot be written.
    pub fn remember(&self, memory: &PathMemory, choice: &RunChoice) -> Result<(), CacheError> {
        if self.records.is_empty() {
            return Ok(());
        }
        let path = self.folder.join(memory_name(choice));
        copy::write_small(&path, &serde_json::to_vec(memory).unwrap_or_default())
    }

    /// Returns the path of a choice as it was drawn last; `None` if nobody wrote that down.
    #[must_use]
    pub fn memory(&self, choice: &RunChoice) -> Option<PathMemory> {
        let path = self.folder.join(memory_name(choice));
        let text = regular::read_text(&path, LARGEST_PATH).ok()?;
        serde_json::from_str(&text).ok()
    }

    /// Makes room where more is kept than may be: first of what is no longer on the path, then evenly along
    /// it. `path` has its checkpoints and the length of the path up to each. Returns the checkpoints whose
    /// copies went.
    pub fn make_room(&mut self, path: &[(Checkpoint, f64)]) -> Vec<Checkpoint> {
        let surplus = self.bytes().saturating_sub(self.room);
        if surplus == 0 {
            return Vec::new();
        }
        let on_path: Vec<(usize, usize)> = path
            .iter()
            .enumerate()
            .filter_map(|(i, (checkpoint, _))| Some((i, self.position(checkpoint)?)))
            .collect();
        let mut free = 0;
        let mut gone: Vec<usize> = Vec::new();
        for (at, record) in self.records.iter().enumerate() {
            if free < surplus && on_path.iter().all(|on| on.1 != at) {
                free += record.bytes;
                gone.push(at);
            }
        }
        let lengths = on_path.iter().map(|&(i, at)| OnPath {
            at: path[i].1,
            bytes: self.records[at].bytes,
        });
        let removed = removals(&lengths.collect::<Vec<_>>(), surplus.saturating_sub(free));
        let mut lost: Vec<usize> = removed.into_iter().map(|index| on_path[index].0).collect();
        gone.extend(
            on_path
                .iter()
                .filter(|on| lost.contains(&on.0))
                .map(|on| on.1),
        );
        gone.sort_unstable();
        for at in gone.into_iter().rev() {
            self.remove(at);
        }
        // Both ends may be too much as well: the newest is what training goes on from.
        if self.bytes() > self.room
            && let [(first, _), _, ..] = on_path[..]
            && let Some(at) = self.position(&path[first].0)
        {
            self.remove(at);
            lost.push(first);
        }
        lost.into_iter().map(|i| path[i].0.clone()).collect()
    }

    /// Returns the settings of training that a kept checkpoint told.
    #[must_use]
    pub fn hyper(&self, checkpoint: &Checkpoint) -> Option<Hyper> {
        self.records.get(self.position(checkpoint)?)?.hyper
    }

    /// Returns the index of the record of a checkpoint.
    fn position(&self, checkpoint: &Checkpoint) -> Option<usize> {
        self.records.iter().position(|record| {
            let path = &checkpoint.path;
            record.arrival == checkpoint.arrival
                && (path.ends_with(&record.path) || record.path.ends_with(path))
        })
    }

    fn remove(&mut self, at: usize) {
        let record = self.records.remove(at);
        let _ = fs::remove_file(self.folder.join(record.name()));
        if self.records.iter().all(|r| r.content != record.content) {
            let _ = fs::remove_file(self.copy_of(&record));
        }
    }

    /// Writes down which run this folder is of, once.
    fn say_where(&self) -> Result<(), CacheError> {
        let path = self.folder.join(RUN);
        if path.is_file() {
            return Ok(());
        }
        let file = RunFile {
            run: self.run.clone(),
        };
        copy::write_small(&path, &serde_json::to_vec(&file).unwrap_or_default())
    }

    fn write(&self, record: &KeptRecord) -> Result<(), CacheError> {
        let path = self.folder.join(record.name());
        copy::write_small(&path, &serde_json::to_vec(record).unwrap_or_default())
    }
}

/// Returns the name of the file that says how the path of a choice was drawn: other files or another state dict have a
/// path of their own.
fn memory_name(choice: &RunChoice) -> String {
    if *choice == RunChoice::default() {
        return "path.json".into();
    }
    let hash = blake3::hash(format!("{choice:?}").as_bytes()).to_hex();
    format!("path-{}.json", hash.get(..16).unwrap_or_default())
}

/// Returns the records of a folder that name copies which are there, in order of arrival.
fn records(folder: &Path) -> Vec<KeptRecord> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let paths = entries.map(|entry| entry.path());
    let mut records: Vec<KeptRecord> = paths
        .filter(|path| path.extension().is_some_and(|ending| ending == "json"))
        .take(MOST_RECORDS)
        .filter_map(|path| {
            let text = regular::read_text(&path, LARGEST_RECORD).ok()?;
            let record: KeptRecord = serde_json::from_str(&text).ok()?;
            // A copy of another size was cut, as by a crash: the file in the run may still be there.
            let is_whole = || {
                let copy = fs::symlink_metadata(folder.join(record.copy_name()));
                copy.is_ok_and(|copy| copy.is_file() && copy.len() == record.bytes)
            };
            (record.is_valid() && is_whole()).then_some(record)
        })
        .collect();
    records.sort_by(|a, b| (a.arrival, &a.path).cmp(&(b.arrival, &b.path)));
    records
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use super::*;
    use crate::run::{RunChoice, open};

    /// Names of the checkpoints of a run.
    const THREE: [&str; 3] = [
        "step_0.safetensors",
        "step_10.safetensors",
        "step_20.safetensors",
    ];

    /// Returns a run of checkpoints that are fixtures under names of their own.
    fn run(folder: &Path, names: &[&str]) -> Vec<Seen> {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/digits-run");
        let mut files: Vec<_> = fs::read_dir(fixtures)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|e| e == "safetensors"))
            .collect();
        files.sort();
        for (name, file) in names.iter().zip(files) {
            fs::copy(file, folder.join(name)).unwrap();
        }
        let opened = open(folder, &RunChoice::default(), Vec::new()).unwrap();
        let seen = |checkpoint: Checkpoint| Seen {
            name: checkpoint.path.strip_prefix(folder).unwrap().into(),
            path: checkpoint.path.clone(),
            arrival: 1,
            modified: checkpoint.modified.unwrap(),
            size: fs::metadata(&checkpoint.path).unwrap().len(),
            facts: crate::run::header(&checkpoint.path, None).unwrap().facts,
            hyper: None,
            kept: None,
            on_disk: true,
            is_left: false,
        };
        opened.checkpoints.into_iter().map(seen).collect()
    }

    fn keep(cache: &mut RunCache, seen: &Seen, step: u64, folder: &Path) -> KeepOutcome {
        let dict = StateDict::open(&seen.path, None).unwrap();
        let mut seen = seen.clone();
        seen.facts.content = Some(dict.content().unwrap().0);
        let record = KeptRecord::of(&seen, step, folder, None).unwrap();
        cache.keep(record, &dict, &seen.path).unwrap()
    }

    #[test]
    fn what_was_kept_is_there_for_the_next_session_and_reads_the_same() {
        let (folder, copies) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let seen = run(
            folder.path(),
            &["step_0.safetensors", "step_10.safetensors"],
        );
        let at = || RunCache::at(copies.path().join("run"), folder.path(), KeepLimit::All);
        let mut cache = at();
        assert!(cache.records().is_empty() && !copies.path().join("run").exists());
        for (step, seen) in [0, 10].into_iter().zip(&seen) {
            let KeepOutcome::Kept(copy) = keep(&mut cache, seen, step, folder.path()) else {
                panic!("there is room");
            };
            let [own, kept] = [&seen.path, &copy].map(|path| StateDict::open(path, None).unwrap());
            assert_eq!(own.tensors(), kept.tensors());
            assert_eq!(own.content().unwrap(), kept.content().unwrap());
        }
        fs::remove_file(&seen[0].path).unwrap();
        let restored = at().seen(folder.path(), &RunChoice::default());
        assert_eq!(restored.len(), 2);
        let opened = open(folder.path(), &RunChoice::default(), restored).unwrap();
        let steps: Vec<u64> = opened.checkpoints.iter().map(|one| one.step).collect();
        assert_eq!(steps, [0, 10]);
        assert!(opened.checkpoints[0].kept.is_some());
    }

    #[test]
    fn a_full_room_thins_the_path_and_keeps_both_ends() {
        let (folder, copies) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let seen = run(folder.path(), &THREE);
        let mut cache = RunCache::at(copies.path().join("run"), folder.path(), KeepLimit::All);
        let mut path = Vec::new();
        for (i, seen) in seen.iter().enumerate() {
            let step = 10 * i as u64;
            keep(&mut cache, seen, step, folder.path());
            path.push((seen.at(step), i as f64));
        }
        let each = cache.bytes() / 3;
        cache.room = 2 * each;
        let lost = cache.make_room(&path);
        assert_eq!(lost, [path[1].0.clone()]);
        assert!(cache.bytes() <= cache.room);
        // No room for two either: the newest stays.
        cache.room = each + each / 2;
        let lost = cache.make_room(&path);
        assert_eq!(lost, [path[0].0.clone()]);
        let left: Vec<u64> = cache.records().iter().map(|record| record.step).collect();
        assert_eq!(left, [20]);
    }

    #[test]
    fn what_was_thinned_off_a_path_is_of_the_branch_that_is_left() {
        let (folder, copies) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let seen = run(folder.path(), &THREE);
        let mut cache = RunCache::at(copies.path().join("run"), folder.path(), KeepLimit::All);
        for (i, seen) in seen.iter().enumerate() {
            keep(&mut cache, seen, 10 * i as u64, folder.path());
            cache
                .set(&seen.at(10 * i as u64), KeptStanding::Thinned)
                .unwrap();
        }
        let left = |cache: &RunCache| {
            let is_left = |seen: &Seen| seen.is_left;
            let all = |seen: Vec<Seen>| seen.iter().map(is_left).collect::<Vec<_>>();
            let choice = RunChoice::default();
            [
                all(cache.seen(folder.path(), &choice)),
                all(cache.seen_unthinned(folder.path(), &choice)),
            ]
        };
        assert_eq!(left(&cache), [vec![true; 3], vec![false; 3]]);
        // Training goes on from step 10; what came with its first checkpoint is none of the branch before.
        let first = |arrival: u64| Checkpoint {
            arrival,
            ..seen[1].at(11)
        };
        let standing = KeptStanding::OldBranch;
        cache.leave_thinned(&first(1), Some(10), standing).unwrap();
        assert_eq!(left(&cache), [vec![true; 3], vec![false; 3]]);
        cache.leave_thinned(&first(2), Some(10), standing).unwrap();
        let again = RunCache::at(copies.path().join("run"), folder.path(), KeepLimit::All);
        for cache in [cache, again] {
            assert_eq!(left(&cache), [vec![true; 3], vec![false, false, true]]);
        }
    }

    #[test]
    fn a_checkpoint_larger_than_the_room_is_not_kept() {
        let (folder, copies) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let seen = run(folder.path(), &["step_0.safetensors"]);
        let limit = KeepLimit::Bytes(1000);
        let mut cache = RunCache::at(copies.path().join("run"), folder.path(), limit);
        assert_eq!(
            keep(&mut cache, &seen[0], 0, folder.path()),
            KeepOutcome::TooLarge
        );
        let copy = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().path();
        let files = fs::read_dir(copies.path().join("run")).unwrap().map(copy);
        assert!(files.into_iter().all(|path| path.ends_with("run.json")));
    }

    #[test]
    fn a_record_that_points_out_of_the_folder_is_not_taken() {
        let copies = tempfile::tempdir().unwrap();
        let record = |path: &str| {
            serde_json::json!({
                "path": path, "name": path, "step": 1, "content": "0".repeat(64), "arrival": 1,
                "modified": [1, 0], "size": 1, "bytes": 1, "signature": 1, "numbers": 1,
            })
        };
        for (i, path) in ["a.pt", "../../etc/passwd", "/etc/passwd"]
            .into_iter()
            .enumerate()
        {
            let file = copies.path().join(format!("{i}.json"));
            fs::write(file, record(path).to_string()).unwrap();
        }
        fs::write(
            copies
                .path()
                .join(format!("{}.safetensors", "0".repeat(64))),
            "x",
        )
        .unwrap();
        let found = records(copies.path());
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].path, Path::new("a.pt"));
    }

    #[test]
    fn each_choice_has_a_path_of_its_own() {
        let [run_folder, copies] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let seen = run(run_folder.path(), &["step_1.safetensors"]);
        let mut cache = RunCache::at(copies.path().into(), run_folder.path(), KeepLimit::All);
        keep(&mut cache, &seen[0], 1, run_folder.path());
        let choices = [&[][..], &["netD*"], &["netG*"]].map(|only| RunChoice {
            key: None,
            only: only.iter().map(|glob| (*glob).to_owned()).collect(),
        });
        let memory = |step: usize| PathMemory {
            steps: vec![step as u64],
            ..PathMemory::default()
        };
        for (step, choice) in choices.iter().enumerate() {
            assert_eq!(cache.memory(choice), None);
            cache.remember(&memory(step), choice).unwrap();
        }
        for (step, choice) in choices.iter().enumerate() {
            assert_eq!(cache.memory(choice), Some(memory(step)));
        }
    }

    #[test]
    fn a_copy_that_was_cut_is_not_taken_and_written_anew() {
        let [run_folder, copies] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let seen = run(run_folder.path(), &["step_1.safetensors"]);
        let dict = StateDict::open(&seen[0].path, None).unwrap();
        let mut kept = seen[0].clone();
        kept.facts.content = Some(dict.content().unwrap().0);
        let record = KeptRecord::of(&kept, 1, run_folder.path(), None).unwrap();
        let at = || RunCache::at(copies.path().join("run"), run_folder.path(), KeepLimit::All);
        let mut cache = at();
        let copy = cache.keep(record.clone(), &dict, &kept.path).unwrap();
        let KeepOutcome::Kept(copy) = copy else {
            panic!("{copy:?}")
        };
        let whole = fs::read(&copy).unwrap();
        fs::write(&copy, &whole[..whole.len() / 2]).unwrap();
        let mut cache = at();
        assert!(cache.records().is_empty());
        cache.keep(record, &dict, &kept.path).unwrap();
        assert_eq!(fs::read(&copy).unwrap(), whole);
        assert_eq!(at().records().len(), 1);
    }
}
