//! Planes that were made, as files in the user's cache folder: one worker reads the checkpoints of a path, and all others,
//! on this machine or on those that see the folder, read the plane.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::run::contains::resolved;
use crate::run::scan::fingerprint_of;
use crate::run::{Checkpoint, Dtype, StateDict, regular, unicode};

use super::WeightsError;
use super::plane_spec::{Directions, Plane, PlaneSpec};

/// A plane of fewer checkpoints is made as quickly as it is read.
const FEW: usize = 4;
/// Time between two looks at whether another one has made the plane.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Bytes of a header at most.
const HEADER: u64 = 1 << 16;
/// Names under which a header tells the hash of the vectors, and the run.
const CONTENT: &str = "content";
const RUN: &str = "run";
/// The vectors of a file, in their order.
const VECTORS: [&str; 3] = ["origin", "x", "y"];

/// A folder of planes, and the bytes that they may take.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlaneFiles {
    /// The folder.
    #[serde(serialize_with = "unicode::path")]
    pub folder: PathBuf,
    /// Bytes at most; those that were written longest ago make room.
    pub room: u64,
}

/// The planes of a folder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PlanesKept {
    /// Number of files.
    pub files: u64,
    /// Bytes that they take.
    pub bytes: u64,
}

impl PlaneFiles {
    /// Returns the plane of a spec: as another one has made it, or made now and kept for others. While another one makes
    /// it, this waits as long as `go_on` says.
    ///
    /// # Errors
    /// It is not there and cannot be made.
    pub fn plane(&self, spec: &PlaneSpec, go_on: &dyn Fn() -> bool) -> Result<Plane, WeightsError> {
        let Some(key) = key(spec).filter(|_| size(spec) <= self.room) else {
            return spec.make();
        };
        let file = self.folder.join(format!("{key}.safetensors"));
        // It is held until the plane is there. Where files cannot be locked each makes its own.
        let _lock = self.lock(&file, go_on);
        if let Some(plane) = read(&file, spec) {
            return Ok(plane);
        }
        let plane = spec.make()?;
        if let Err(error) = self.keep(&file, spec, &plane) {
            tracing::info!("{}: the plane was not kept: {error}", file.display());
        }
        Ok(plane)
    }

    /// Waits until nobody else makes a plane; `None` if files cannot be locked, or nobody wants to wait any more.
    fn lock(&self, file: &Path, go_on: &dyn Fn() -> bool) -> Option<File> {
        fs::create_dir_all(&self.folder).ok()?;
        let lock = File::create(file.with_extension("lock")).ok()?;
        loop {
            match lock.try_lock() {
                Ok(()) => return Some(lock),
                Err(fs::TryLockError::WouldBlock) if go_on() => std::thread::sleep(LOOK_EVERY),
                Err(_) => return None,
            }
        }
    }

    /// Writes a plane, whole or not at all, and makes room for it.
    fn keep(&self, file: &Path, spec: &PlaneSpec, plane: &Plane) -> io::Result<()> {
        self.make_room(size(spec));
        let vectors = vectors(plane);
        let mut header = json!({ "__metadata__": {
            CONTENT: content(&vectors),
            RUN: resolved(spec.origin.path.parent().unwrap_or(Path::new(""))).to_string_lossy(),
        }});
        let mut end = 0;
        for (name, vector) in VECTORS.iter().zip(vectors) {
            let start = end;
            end += size_of_val(vector);
            header[name] = json!({
                "dtype": "F32", "shape": [vector.len()], "data_offsets": [start, end],
            });
        }
        let header = header.to_string();
        let mut written = tempfile::Builder::new()
            .suffix(".partial")
            .tempfile_in(&self.folder)?;
        written.write_all(&(header.len() as u64).to_le_bytes())?;
        written.write_all(header.as_bytes())?;
        for vector in vectors {
            written.write_all(bytemuck::cast_slice(vector))?;
        }
        written.persist(file).map_err(|error| error.error)?;
        Ok(())
    }

    /// Removes those that were written longest ago until so many bytes have room.
    fn make_room(&self, bytes: u64) {
        let mut all = self.all();
        all.sort_by_key(|(_, _, written)| *written);
        let mut taken: u64 = all.iter().map(|(_, bytes, _)| bytes).sum();
        for (file, size, _) in all {
            if taken + bytes <= self.room {
                return;
            }
            remove(&file);
            taken -= size;
        }
    }

    /// Returns the files with their bytes and when they were written.
    fn all(&self) -> Vec<(PathBuf, u64, SystemTime)> {
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let of = |entry: fs::DirEntry| {
            let is_plane = entry.path().extension() == Some("safetensors".as_ref());
            let there = entry.metadata().ok().filter(|_| is_plane)?;
            Some((entry.path(), there.len(), there.modified().ok()?))
        };
        entries.filter_map(of).collect()
    }

    /// Counts the planes.
    #[must_use]
    pub fn kept(&self) -> PlanesKept {
        self.all()
            .iter()
            .fold(PlanesKept::default(), PlanesKept::with)
    }

    /// Removes the planes through checkpoints of a run, or all; returns what there was of them.
    #[must_use]
    pub fn clear(&self, run: Option<&Path>) -> PlanesKept {
        let mut removed = PlanesKept::default();
        for kept in self.all() {
            if run.is_none_or(|run| run_of(&kept.0).is_some_and(|own| own.starts_with(run))) {
                remove(&kept.0);
                removed = removed.with(&kept);
            }
        }
        removed
    }
}

impl PlanesKept {
    fn with(self, (_, bytes, _): &(PathBuf, u64, SystemTime)) -> Self {
        Self {
            files: self.files + 1,
            bytes: self.bytes + bytes,
        }
    }
}

/// Removes a plane and its lock; what cannot be removed stays.
fn remove(file: &Path) {
    let _ = fs::remove_file(file);
    let _ = fs::remove_file(file.with_extension("lock"));
}

/// Returns the text that the header of a file has under a name.
fn told(file: &Path, name: &str) -> Option<String> {
    let mut file = regular::open(file).ok()?;
    let mut length = [0; 8];
    file.read_exact(&mut length).ok()?;
    let mut header = Vec::new();
    file.take(u64::from_le_bytes(length).min(HEADER))
        .read_to_end(&mut header)
        .ok()?;
    let header: serde_json::Value = serde_json::from_slice(&header).ok()?;
    Some(header.get("__metadata__")?.get(name)?.as_str()?.to_owned())
}

/// Returns the folder of the checkpoint that a plane goes through.
fn run_of(file: &Path) -> Option<PathBuf> {
    told(file, RUN).map(PathBuf::from)
}

/// Returns the bytes of a plane's file, but for its header.
fn size(spec: &PlaneSpec) -> u64 {
    3 * (spec.shape.layout.len() * size_of::<f32>()) as u64
}

/// Returns the name of a plane by its spec and by its checkpoints as they are now; `None` if it is not worth a file, or one
/// of them is gone.
fn key(spec: &PlaneSpec) -> Option<String> {
    let Directions::Principal { members, .. } = &spec.directions else {
        return None;
    };
    if members.len() < FEW {
        return None;
    }
    let mut hasher = blake3::Hasher::new();
    let shape = &spec.shape;
    // Not the whole layout: its names stand in an order that is another one in each process.
    let shape = (
        shape.layout.slots(),
        &shape.key,
        &shape.roles,
        &shape.settings,
    );
    let plane = (&spec.origin, &spec.directions, spec.batch_norm);
    let record = (env!("CARGO_PKG_VERSION"), shape, plane);
    serde_json::to_writer(&mut hasher, &record).ok()?;
    for checkpoint in std::iter::once(&spec.origin).chain(members) {
        let (file, _): (&Path, _) = Checkpoint::source(checkpoint, None);
        let fingerprint = fingerprint_of(file)?;
        let since = fingerprint.modified.duration_since(SystemTime::UNIX_EPOCH);
        let modified = since.map_or(0, |since| since.as_nanos());
        serde_json::to_writer(
            &mut hasher,
            &(fingerprint.size, modified, fingerprint.inode),
        )
        .ok()?;
    }
    Some(hasher.finalize().to_hex().to_string())
}

fn vectors(plane: &Plane) -> [&[f32]; 3] {
    let [x, y] = &plane.directions;
    [&plane.origin, x, y]
}

fn content(vectors: &[&[f32]; 3]) -> String {
    let mut hasher = blake3::Hasher::new();
    for vector in vectors {
        hasher.update(bytemuck::cast_slice(vector));
    }
    hasher.finalize().to_hex().to_string()
}

/// Reads a plane; `None` if it is not there, or not as it was written.
fn read(file: &Path, spec: &PlaneSpec) -> Option<Plane> {
    let dict = StateDict::open(file, None).ok()?;
    let count = spec.shape.layout.len();
    let vector = |name: &str| {
        let found = dict
            .tensors()
            .iter()
            .position(|tensor| tensor.name == name)?;
        let tensor = dict.tensors().get(found)?;
        let is_whole = tensor.dtype == Dtype::F32 && tensor.shape == [count];
        dict.read(found, 0..count).ok().filter(|_| is_whole)
    };
    let [origin, x, y] = VECTORS.map(vector);
    let plane = Plane {
        layout: Arc::clone(&spec.shape.layout),
        origin: origin?,
        directions: [x?, y?],
        batch_norm: spec.batch_norm,
    };
    (told(file, CONTENT)? == content(&vectors(&plane))).then_some(plane)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use super::*;
    use crate::weights::plane_spec::BatchNorm;
    use crate::weights::run_checkpoint::RunShape;
    use std::thread;

    fn spec(run: &Path) -> PlaneSpec {
        let copy = |step: u64| {
            let name = format!("step_{step:04}.safetensors");
            let path = run.join(&name);
            fs::copy(format!("tests/fixtures/digits-run/{name}"), &path).unwrap();
            Checkpoint::new(step, path)
        };
        let members: Vec<Checkpoint> = [0, 10, 20, 30, 240].map(copy).into();
        PlaneSpec {
            shape: RunShape::of(&members[4], None).unwrap(),
            origin: members[4].clone(),
            directions: Directions::Principal {
                members,
                combinations: [
                    vec![0.1, 0.2, -0.7, 0.3, 0.1],
                    vec![1.0, -0.5, 0.0, -0.5, 1e-30],
                ],
            },
            batch_norm: BatchNorm::States,
        }
    }

    fn is_same(plane: &Plane, other: &Plane) -> bool {
        let bits = |plane: &Plane| content(&vectors(plane));
        bits(plane) == bits(other)
    }

    fn files(folder: &Path) -> PlaneFiles {
        PlaneFiles {
            folder: folder.join("planes"),
            room: 1 << 20,
        }
    }

    #[test]
    fn a_plane_is_made_once_and_read_to_the_bit_where_its_checkpoints_are_gone() {
        let folder = tempfile::tempdir().unwrap();
        let (spec, files) = (spec(folder.path()), files(folder.path()));
        let made = spec.make().unwrap();
        let all = thread::scope(|scope| {
            let read = || files.plane(&spec, &|| true).unwrap();
            let all: Vec<_> = (0..4).map(|_| scope.spawn(read)).collect();
            all.into_iter()
                .map(|one| one.join().unwrap())
                .collect::<Vec<_>>()
        });
        assert!(all.iter().all(|plane| is_same(plane, &made)));
        assert_eq!(files.kept().files, 1);
        // What is read is the file: its second direction is another one, with a content of its own.
        let (file, ..) = files.all().remove(0);
        let mut other = made.clone();
        other.directions[1][0] = 7.0;
        files.keep(&file, &spec, &other).unwrap();
        assert!(is_same(&files.plane(&spec, &|| true).unwrap(), &other));
    }

    #[test]
    fn a_damaged_file_and_changed_checkpoints_are_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let (spec, files) = (spec(folder.path()), files(folder.path()));
        let made = files.plane(&spec, &|| true).unwrap();
        let (file, ..) = files.all().remove(0);
        let whole = fs::read(&file).unwrap();
        for damage in [10, 400, whole.len() - 3] {
            let mut bytes = whole.clone();
            bytes[damage] ^= 1;
            fs::write(&file, &bytes).unwrap();
            assert!(is_same(&files.plane(&spec, &|| true).unwrap(), &made));
            assert_eq!(fs::read(&file).unwrap(), whole, "{damage}");
        }
        let run = folder.path();
        fs::copy(
            run.join("step_0000.safetensors"),
            run.join("step_0020.safetensors"),
        )
        .unwrap();
        let found = files.plane(&spec, &|| true).unwrap();
        assert!(is_same(&found, &spec.make().unwrap()) && !is_same(&found, &made));
        assert_eq!(files.kept().files, 2);
    }

    #[test]
    fn planes_make_room_and_go_with_their_run() {
        let folder = tempfile::tempdir().unwrap();
        let (spec, mut files) = (spec(folder.path()), files(folder.path()));
        files.plane(&spec, &|| true).unwrap();
        let one = files.kept().bytes;
        files.room = one + one / 2;
        let other = PlaneSpec {
            batch_norm: BatchNorm::Frozen,
            ..spec.clone()
        };
        files.plane(&other, &|| true).unwrap();
        assert_eq!(files.kept().files, 1);
        assert_eq!(files.clear(Some(Path::new("/elsewhere"))).files, 0);
        assert_eq!(files.clear(Some(folder.path())).files, 1);
        assert_eq!(files.kept(), PlanesKept::default());
        // One that has no room is made and not kept.
        files.room = one / 2;
        files.plane(&spec, &|| true).unwrap();
        assert_eq!(files.kept(), PlanesKept::default());
    }
}
