//! Writes one copy: under a temporary name, renamed when it is whole, when the disk has nothing else to do.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;

use crate::run::{StateDict, regular};

use super::CacheError;

/// Bytes that are handed to the system at once.
const PIECE: usize = 1 << 20;

/// Writes the model's tensors of a checkpoint to `path` and returns the size; `None` if that would be more
/// than `room` bytes.
pub(super) fn write(
    dict: &StateDict,
    original: &Path,
    path: &Path,
    room: u64,
) -> Result<Option<u64>, CacheError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let partial = tempfile::NamedTempFile::new_in(folder).map_err(CacheError::io(folder))?;
    let _idle = IdleDisk::enter();
    let bytes = if let Some(bytes) = share(dict, original, partial.as_file(), room) {
        bytes
    } else {
        let limited = Limited {
            file: partial.as_file(),
            left: room,
            is_full: false,
        };
        let mut writer = BufWriter::with_capacity(PIECE, limited);
        let written = dict.write_safetensors(&mut writer);
        let flushed = writer.flush();
        if writer.get_ref().is_full {
            return Ok(None);
        }
        written?;
        flushed.map_err(CacheError::io(path))?;
        let metadata = partial.as_file().metadata();
        metadata.map_err(CacheError::io(path))?.len()
    };
    // A name without its bytes is what a crash would leave.
    let synced = partial.as_file().sync_data();
    synced.map_err(CacheError::io(path))?;
    partial
        .persist(path)
        .map_err(|error| CacheError::io(path)(error.error))?;
    Ok(Some(bytes))
}

/// Writes a small file whole or not at all.
pub(super) fn write_small(path: &Path, bytes: &[u8]) -> Result<(), CacheError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(CacheError::io(folder))?;
    let mut partial = tempfile::NamedTempFile::new_in(folder).map_err(CacheError::io(folder))?;
    partial.write_all(bytes).map_err(CacheError::io(path))?;
    partial
        .persist(path)
        .map_err(|error| CacheError::io(path)(error.error))?;
    Ok(())
}

/// Shares the blocks of a file that holds nothing but the model, where the file system can: that takes no
/// room and no time. The size then; `None` where it cannot.
#[cfg(target_os = "linux")]
fn share(dict: &StateDict, original: &Path, to: &File, room: u64) -> Option<u64> {
    if !dict.is_nothing_else() {
        return None;
    }
    let from = regular::open(original).ok()?;
    let size = from
        .metadata()
        .ok()
        .filter(|found| found.len() <= room)?
        .len();
    rustix::fs::ioctl_ficlone(to, &from).ok()?;
    Some(size)
}

#[cfg(not(target_os = "linux"))]
fn share(_: &StateDict, _: &Path, _: &File, _: u64) -> Option<u64> {
    None
}

/// A file that takes a number of bytes and no more.
struct Limited<'a> {
    file: &'a File,
    left: u64,
    is_full: bool,
}

impl Write for Limited<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.len() as u64 > self.left {
            self.is_full = true;
            return Err(io::ErrorKind::StorageFull.into());
        }
        let written = self.file.write(bytes)?;
        self.left = self.left.saturating_sub(written as u64);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// The disk's idle class for this thread, until it is dropped: the trainer's reads and writes go first.
struct IdleDisk {
    #[cfg(target_os = "linux")]
    before: Option<ioprio::Priority>,
}

impl IdleDisk {
    #[cfg(target_os = "linux")]
    fn enter() -> Self {
        use ioprio::{Class, Pid, Priority, Target, get_priority, set_priority};
        // Zero is the calling thread.
        let own = Target::Process(Pid::from_raw(0));
        let before = get_priority(own).ok();
        let _ = set_priority(own, Priority::new(Class::Idle));
        Self { before }
    }

    #[cfg(not(target_os = "linux"))]
    fn enter() -> Self {
        Self {}
    }
}

#[cfg(target_os = "linux")]
impl Drop for IdleDisk {
    fn drop(&mut self) {
        use ioprio::{Pid, Target, set_priority};
        if let Some(before) = self.before {
            let _ = set_priority(Target::Process(Pid::from_raw(0)), before);
        }
    }
}
