//! A session in one small file: what each snapshot changed, and when, to be shown again anywhere.
//!
//! The file is gzip of CBOR items (RFC 8949): a header, then records. Each record holds what has changed since
//! the one before, and is whole in the file once it is written: a file that was cut off can be read up to
//! there. CBOR keeps what is not finite, and names its fields.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Take, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ciborium::Value;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use flate2::{Compression, Crc};
use serde::{Deserialize, Serialize};

use crate::run::regular;

use super::item::{self, Trouble};
use super::patch::{Patch, weight};
use super::snapshot::Snapshot;

/// The word for how the run of a recording is followed: its folder is not looked at.
pub const WATCHING: &str = "recording";

const MAGIC: &str = "isoloss recording";
/// Changes when an older isoloss cannot read what this one writes.
const VERSION: u32 = 1;
/// Bytes of one record at most, unpacked: a hundred times those of a long run.
const RECORD: u64 = 64 << 20;
/// Maximum weight of a snapshot in memory, in numbers.
const SNAPSHOT: usize = 4 << 20;

#[derive(Debug, Serialize, Deserialize)]
struct Header {
    magic: String,
    version: u32,
    /// Version of the isoloss that wrote it.
    isoloss: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct Record {
    /// Seconds since the recording began.
    at: f64,
    change: Patch,
}

/// Reasons why a recording cannot be read, or not further.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// It cannot be opened.
    #[error("{}: cannot be opened: {source}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// It does not begin as a recording does.
    #[error("{}: expected a recording (isoloss watch --record), found something else", .0.display())]
    Stranger(PathBuf),
    /// It was written by a later isoloss.
    #[error("{}: is a recording of version {version}, written by isoloss {isoloss}; this isoloss reads version {VERSION}", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: u32,
        /// Version of the program that wrote it.
        isoloss: String,
    },
    /// From here on it is not whole.
    #[error("{}: {what} after {seconds:.0} s; what came before is shown", path.display())]
    Broken {
        /// The file.
        path: PathBuf,
        /// The defect.
        what: &'static str,
        /// Time of the last whole record, since the recording began.
        seconds: f64,
    },
}

/// A place for bytes from whose end some can be taken back.
pub trait Cut: Write {
    /// Keeps the first `length` bytes.
    ///
    /// # Errors
    /// The system's.
    fn cut(&mut self, length: u64) -> io::Result<()>;
}

impl Cut for File {
    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.set_len(length)?;
        self.seek(SeekFrom::Start(length)).map(drop)
    }
}

impl Cut for Vec<u8> {
    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.truncate(length as usize);
        Ok(())
    }
}

/// Writes a recording. What cannot be written is taken back whole, so that the recording can be read, and gone
/// on with when there is room again.
#[derive(Debug)]
pub struct Recorder<W: Cut> {
    to: W,
    /// Bytes of whole records.
    length: u64,
    /// Packs into memory first: how much of it a full disk takes is known only afterwards.
    packer: GzEncoder<Vec<u8>>,
    /// Checksum of what the packer's stream has whole in the file.
    checksum: Crc,
    /// A write failed: the packer's stream is to be ended, and another one begun.
    failed: bool,
    last: Value,
}

fn packer() -> GzEncoder<Vec<u8>> {
    GzEncoder::new(Vec::new(), Compression::default())
}

impl<W: Cut> Recorder<W> {
    /// Begins a recording.
    ///
    /// # Errors
    /// The writer's.
    pub fn begin(to: W) -> io::Result<Self> {
        let header = Header {
            magic: MAGIC.into(),
            version: VERSION,
            isoloss: env!("CARGO_PKG_VERSION").into(),
        };
        let mut recorder = Self {
            to,
            length: 0,
            packer: packer(),
            checksum: Crc::new(),
            failed: false,
            last: Value::Null,
        };
        recorder.append(&header)?;
        Ok(recorder)
    }

    /// Writes what has changed in a snapshot, if anything has. `at` is the time since the recording began.
    ///
    /// # Errors
    /// The writer's; the next record then holds what this one would have.
    pub fn record(&mut self, at: Duration, snapshot: &Snapshot) -> io::Result<()> {
        let value = Value::serialized(snapshot).map_err(io::Error::other)?;
        let Some(change) = Patch::between(&self.last, &value) else {
            return Ok(());
        };
        let at = at.as_secs_f64();
        self.append(&Record { at, change })?;
        self.last = value;
        Ok(())
    }

    /// Writes an item whole, or takes back what was written of it.
    fn append(&mut self, item: &impl Serialize) -> io::Result<()> {
        let mut bytes = Vec::new();
        ciborium::into_writer(item, &mut bytes).map_err(io_error)?;
        let mut packed = Vec::new();
        if self.failed {
            // A packer that packed what is not in the file cannot go on. The stream in the file ends at a byte,
            // with an empty last block and the checksum of what is in it.
            packed.extend([3, 0]);
            packed.extend(self.checksum.sum().to_le_bytes());
            packed.extend(self.checksum.amount().to_le_bytes());
            self.packer = packer();
        }
        self.packer.write_all(&bytes)?;
        self.packer.flush()?;
        packed.append(self.packer.get_mut());
        if let Err(error) = self.put(&packed) {
            self.failed = true;
            return Err(error);
        }
        if self.failed {
            self.checksum = Crc::new();
            self.failed = false;
        }
        self.checksum.update(&bytes);
        Ok(())
    }

    fn put(&mut self, packed: &[u8]) -> io::Result<()> {
        let written = self.to.write_all(packed).and_then(|()| self.to.flush());
        if written.is_err() {
            // A cut makes room rather than needing it.
            self.to.cut(self.length)?;
        } else {
            self.length += packed.len() as u64;
        }
        written
    }

    /// Ends the recording, and returns the writer.
    ///
    /// # Errors
    /// The writer's.
    pub fn finish(mut self) -> io::Result<W> {
        if !self.failed {
            let packer = std::mem::replace(&mut self.packer, packer());
            let rest = packer.finish()?;
            self.put(&rest)?;
        }
        Ok(self.to)
    }
}

fn io_error(error: ciborium::ser::Error<io::Error>) -> io::Error {
    match error {
        ciborium::ser::Error::Io(error) => error,
        ciborium::ser::Error::Value(sentence) => io::Error::other(sentence),
    }
}

/// The snapshot at a moment of a recording.
#[derive(Clone, Debug)]
pub struct Moment {
    /// Since the recording began.
    pub at: Duration,
    /// The snapshot.
    pub snapshot: Arc<Snapshot>,
}

/// Reads a recording moment by moment. It ends at its first error.
#[derive(Debug)]
pub struct Recording {
    path: PathBuf,
    from: Take<BufReader<MultiGzDecoder<File>>>,
    last: Value,
    at: Duration,
    over: bool,
}

impl Recording {
    /// Opens a recording.
    ///
    /// # Errors
    /// The file cannot be opened, is no recording, or one of a newer version.
    pub fn open(path: &Path) -> Result<Self, RecordError> {
        let file = regular::open(path).map_err(|source| RecordError::Open {
            path: path.to_owned(),
            source,
        })?;
        let mut from = BufReader::new(MultiGzDecoder::new(file)).take(RECORD);
        let header: Option<Header> = ciborium::from_reader(&mut from).ok();
        match header.filter(|header| header.magic == MAGIC) {
            None => Err(RecordError::Stranger(path.to_owned())),
            Some(header) if header.version > VERSION => Err(RecordError::Newer {
                path: path.to_owned(),
                version: header.version,
                isoloss: header.isoloss,
            }),
            Some(_) => Ok(Self {
                path: path.to_owned(),
                from,
                last: Value::Null,
                at: Duration::ZERO,
                over: false,
            }),
        }
    }

    /// Reads the next moment; `None` at the end.
    fn read(&mut self) -> Result<Option<Moment>, &'static str> {
        const CUT: &str = "is cut off";
        const DAMAGED: &str = "is damaged";
        const HEAVY: &str = "has more in it than a session can know";
        self.from.set_limit(RECORD);
        if self.from.fill_buf().map_err(|_| CUT)?.is_empty() {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        let read = item::read(&mut self.from, &mut bytes, SNAPSHOT);
        read.map_err(|trouble| match trouble {
            Trouble::Cut if self.from.limit() > 0 => CUT,
            Trouble::Cut => "has a record of more than 64 MiB",
            Trouble::Damaged => DAMAGED,
            Trouble::Heavy => HEAVY,
        })?;
        let record: Record = ciborium::from_reader(&bytes[..]).map_err(|_| DAMAGED)?;
        drop(bytes);
        let at = Duration::try_from_secs_f64(record.at).map_err(|_| DAMAGED)?;
        record.change.apply(&mut self.last).ok_or(DAMAGED)?;
        if weight(&self.last) > SNAPSHOT {
            return Err(HEAVY);
        }
        let snapshot: Snapshot = self.last.deserialized().map_err(|_| DAMAGED)?;
        if !snapshot.is_valid() {
            return Err(DAMAGED);
        }
        // Time does not run backwards.
        self.at = self.at.max(at);
        Ok(Some(Moment {
            at: self.at,
            snapshot: Arc::new(snapshot),
        }))
    }
}

impl Iterator for Recording {
    type Item = Result<Moment, RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.over {
            return None;
        }
        let moment = self.read().map_err(|what| RecordError::Broken {
            path: self.path.clone(),
            what,
            seconds: self.at.as_secs_f64(),
        });
        self.over = !matches!(moment, Ok(Some(_)));
        moment.transpose()
    }
}
