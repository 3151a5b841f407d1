//! Weights as files for an evaluator: safetensors of f32 by state-dict name, in memory where the system has such a
//! folder.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use safetensors::tensor::{Dtype, TensorView};
use tempfile::TempDir;

use crate::weights::{Layout, Plane, Slot};

/// Folder in memory on Linux: the evaluator reads what was just written.
const IN_MEMORY: &str = "/dev/shm";

/// A plane as an evaluator takes it; its files go with it.
#[derive(Debug)]
pub struct SentPlane {
    folder: TempDir,
    /// Number that distinguishes it from others.
    pub(super) id: u64,
    /// The newest checkpoint.
    pub(super) checkpoint: PathBuf,
}

impl SentPlane {
    /// Writes the plane's origin with all its tensors, and of each direction those that it moves.
    pub(super) fn write(plane: &Plane, id: u64, checkpoint: &Path) -> io::Result<Self> {
        let folder = folder(3 * size_of_val(&plane.origin[..]))?;
        let own = Self {
            folder,
            id,
            checkpoint: checkpoint.to_path_buf(),
        };
        let [x, y] = &plane.directions;
        let everything = |_: &[f32]| true;
        let moves = |values: &[f32]| values.iter().any(|value| *value != 0.0);
        write(
            &own.file("origin"),
            &plane.layout,
            &plane.origin,
            everything,
        )?;
        write(&own.file("x"), &plane.layout, x, moves)?;
        write(&own.file("y"), &plane.layout, y, moves)?;
        Ok(own)
    }

    /// Returns the path of the file of the origin, of `x` or of `y`.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        let name = format!("{}-{name}.safetensors", self.id);
        self.folder.path().join(name)
    }
}

/// Weights off every plane in a file, which goes with this.
#[derive(Debug)]
pub(super) struct SentWeights {
    folder: TempDir,
}

impl SentWeights {
    /// Writes all tensors of a flat vector.
    pub(super) fn write(layout: &Arc<Layout>, flat: &[f32]) -> io::Result<Self> {
        let own = Self {
            folder: folder(size_of_val(flat))?,
        };
        write(&own.file(), layout, flat, |_| true)?;
        Ok(own)
    }

    pub(super) fn file(&self) -> PathBuf {
        self.folder.path().join("weights.safetensors")
    }
}

/// Beginning of the names of folders, before the number of the process.
const PREFIX: &str = "isoloss-";

/// Returns a folder of its own with room for so many bytes, which nobody else can read.
fn folder(bytes: usize) -> io::Result<TempDir> {
    let prefix = format!("{PREFIX}{}-", std::process::id());
    let builder = || {
        let mut builder = tempfile::Builder::new();
        builder.prefix(&prefix);
        builder
    };
    if has_room(Path::new(IN_MEMORY), bytes) {
        // A container may have the folder and not let anybody write there.
        if let Ok(folder) = builder().tempdir_in(IN_MEMORY) {
            return Ok(folder);
        }
    }
    builder().tempdir()
}

/// Removes what killed processes have left in memory, which it would take until the system starts again.
pub(super) fn sweep_memory() {
    sweep(Path::new(IN_MEMORY));
}

fn sweep(parent: &Path) {
    let entries = std::fs::read_dir(parent).into_iter().flatten().flatten();
    for entry in entries {
        let name = entry.file_name();
        let process = name.to_str().and_then(|name| {
            let (number, _) = name.strip_prefix(PREFIX)?.split_once('-')?;
            number.parse::<u32>().ok()
        });
        let is_dead = |number: u32| !Path::new(&format!("/proc/{number}")).exists();
        if process.is_some_and(is_dead) && Path::new("/proc/self").exists() {
            // Those of other users stay: nobody else may remove them.
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

/// Returns true if a folder in memory has twice the room: the evaluator needs memory too.
#[cfg(unix)]
fn has_room(folder: &Path, bytes: usize) -> bool {
    let Ok(found) = rustix::fs::statvfs(folder) else {
        return false;
    };
    let free = found.f_bavail.saturating_mul(found.f_frsize);
    free / 2 > bytes as u64
}

#[cfg(not(unix))]
fn has_room(_: &Path, _: usize) -> bool {
    false
}

fn write(
    path: &Path,
    layout: &Layout,
    flat: &[f32],
    counts: impl Fn(&[f32]) -> bool,
) -> io::Result<()> {
    let values = |slot: &Slot| flat.get(slot.offset..slot.offset + slot.len());
    let slots = layout.slots().iter();
    let tensors = slots.filter_map(|slot| Some((slot, values(slot)?)));
    let views = tensors
        .filter(|(_, values)| counts(values))
        .map(|(slot, values)| {
            let bytes = bytemuck::cast_slice(values);
            let view = TensorView::new(Dtype::F32, slot.shape.clone(), bytes);
            view.map(|view| (slot.name.as_str(), view))
        });
    let views = views.collect::<Result<Vec<_>, _>>();
    let written = views.and_then(|views| safetensors::serialize_to_file(views, None, path));
    written.map_err(|error| io::Error::other(format!("{}: {error}", path.display())))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use safetensors::SafeTensors;

    use super::*;
    use crate::run::TensorInfo;
    use crate::run::format::Dtype as Kind;
    use crate::weights::BatchNorm;

    #[cfg(target_os = "linux")]
    #[test]
    fn folders_of_processes_that_are_gone_are_removed() {
        let parent = tempfile::tempdir().unwrap();
        // Larger than any process number.
        let [gone, own, other] = [
            format!("{PREFIX}4294967295-a"),
            format!("{PREFIX}{}-b", std::process::id()),
            "isoloss-demo-x".into(),
        ]
        .map(|name: String| parent.path().join(name));
        for folder in [&gone, &own, &other] {
            std::fs::create_dir(folder).unwrap();
            std::fs::write(folder.join("x.safetensors"), "x").unwrap();
        }
        sweep(parent.path());
        assert!(!gone.exists() && own.exists() && other.exists());
    }

    #[test]
    fn a_plane_is_three_files_of_which_directions_hold_what_they_move() {
        let tensor = |name: &str, shape: &[usize]| TensorInfo {
            name: name.into(),
            shape: shape.into(),
            dtype: Kind::F32,
        };
        let tensors = [
            tensor("fc.weight", &[2, 2]),
            tensor("fc.bias", &[2]),
            tensor("bn.running_mean", &[1]),
        ];
        let plane = Plane {
            layout: Arc::new(Layout::of(&tensors)),
            origin: vec![1., 2., 3., 4., 5., 6., 7.],
            directions: [vec![0., 0., 0.5, 0., 0., 0., 0.], vec![0.; 7]],
            batch_norm: BatchNorm::Frozen,
        };
        let sent = SentPlane::write(&plane, 3, Path::new("a.pt")).unwrap();
        let names = |file: &str| -> Vec<(String, Vec<usize>, Vec<f32>)> {
            let bytes = std::fs::read(sent.file(file)).unwrap();
            let held = SafeTensors::deserialize(&bytes).unwrap();
            let mut tensors: Vec<_> = held
                .iter()
                .map(|(name, view)| {
                    let numbers = view.data().chunks_exact(4);
                    let values = numbers
                        .map(|four| f32::from_le_bytes(four.try_into().unwrap()))
                        .collect();
                    (name.to_owned(), view.shape().to_vec(), values)
                })
                .collect();
            tensors.sort_by(|a, b| a.0.cmp(&b.0));
            tensors
        };
        let origin = [
            ("bn.running_mean".to_owned(), vec![1], vec![7.]),
            ("fc.bias".to_owned(), vec![2], vec![5., 6.]),
            ("fc.weight".to_owned(), vec![2, 2], vec![1., 2., 3., 4.]),
        ];
        assert_eq!(names("origin"), origin);
        let moved = [("fc.weight".to_owned(), vec![2, 2], vec![0., 0., 0.5, 0.])];
        assert_eq!(names("x"), moved);
        assert_eq!(names("y"), []);
        let folder = sent.file("x").parent().unwrap().to_path_buf();
        drop(sent);
        assert!(!folder.exists());
    }
}
