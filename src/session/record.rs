//! A session in one small file: what each snapshot changed, and when, to be shown again anywhere.
//!
//! The file is gzip of CBOR items (RFC 8949): a header, then records. Each record holds what has changed since
//! the one before, and is whole in the file once it is written: a file that was cut off can be read up to
//! there. CBOR keeps what is not finite, and names its fields.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Take, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ciborium::Value;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};

use super::patch::{Patch, weight};
use super::snapshot::Snapshot;

const MAGIC: &str = "isoloss recording";
/// Changes when an older isoloss cannot read what this one writes.
const VERSION: u32 = 1;
/// Bytes of one record at most, unpacked: a hundred times those of a long run.
const RECORD: u64 = 64 << 20;
/// What a snapshot may weigh in memory at most, in numbers.
const SNAPSHOT: usize = 16 << 20;

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

/// Why a recording cannot be read, or not further.
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
        /// What wrote it.
        isoloss: String,
    },
    /// From here on it is not whole.
    #[error("{}: {what} after {seconds:.0} s; what came before is shown", path.display())]
    Broken {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: &'static str,
        /// When the last whole record was written, since the recording began.
        seconds: f64,
    },
}

/// Writes a recording.
#[derive(Debug)]
pub struct Recorder<W: Write> {
    to: GzEncoder<W>,
    last: Value,
}

impl<W: Write> Recorder<W> {
    /// Begins a recording.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn begin(to: W) -> io::Result<Self> {
        let mut to = GzEncoder::new(to, Compression::default());
        let header = Header {
            magic: MAGIC.into(),
            version: VERSION,
            isoloss: env!("CARGO_PKG_VERSION").into(),
        };
        ciborium::into_writer(&header, &mut to).map_err(io_error)?;
        to.flush()?;
        let last = Value::Null;
        Ok(Self { to, last })
    }

    /// Writes what has changed in a snapshot; nothing where nothing has. `at` is the time since the recording
    /// began.
    ///
    /// # Errors
    /// Those of the writer, which then holds what cannot be gone on with.
    pub fn record(&mut self, at: Duration, snapshot: &Snapshot) -> io::Result<()> {
        let value = Value::serialized(snapshot).map_err(io::Error::other)?;
        let Some(change) = Patch::between(&self.last, &value) else {
            return Ok(());
        };
        let at = at.as_secs_f64();
        ciborium::into_writer(&Record { at, change }, &mut self.to).map_err(io_error)?;
        self.last = value;
        self.to.flush()
    }

    /// Ends the recording, and returns the writer.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn finish(self) -> io::Result<W> {
        self.to.finish()
    }
}

fn io_error(error: ciborium::ser::Error<io::Error>) -> io::Error {
    match error {
        ciborium::ser::Error::Io(error) => error,
        ciborium::ser::Error::Value(sentence) => io::Error::other(sentence),
    }
}

/// What was known at a moment of a recording.
#[derive(Clone, Debug)]
pub struct Moment {
    /// Since the recording began.
    pub at: Duration,
    /// What was known.
    pub snapshot: Arc<Snapshot>,
}

/// Reads a recording moment by moment. It ends at its first error.
#[derive(Debug)]
pub struct Recording {
    path: PathBuf,
    from: Take<BufReader<GzDecoder<File>>>,
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
        let file = File::open(path).map_err(|source| RecordError::Open {
            path: path.to_owned(),
            source,
        })?;
        let mut from = BufReader::new(GzDecoder::new(file)).take(RECORD);
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

    /// The next moment; none at the end.
    fn read(&mut self) -> Result<Option<Moment>, &'static str> {
        const CUT: &str = "is cut off";
        const DAMAGED: &str = "is damaged";
        self.from.set_limit(RECORD);
        if self.from.fill_buf().map_err(|_| CUT)?.is_empty() {
            return Ok(None);
        }
        let record: Record =
            ciborium::from_reader(&mut self.from).map_err(|error| match error {
                ciborium::de::Error::Io(_) if self.from.limit() > 0 => CUT,
                ciborium::de::Error::Io(_) => "has a record of more than 64 MiB",
                _ => DAMAGED,
            })?;
        let at = Duration::try_from_secs_f64(record.at).map_err(|_| DAMAGED)?;
        record.change.apply(&mut self.last).ok_or(DAMAGED)?;
        if weight(&self.last) > SNAPSHOT {
            return Err("has more in it than a session can know");
        }
        let snapshot: Snapshot = self.last.deserialized().map_err(|_| DAMAGED)?;
        if !snapshot.is_sound() {
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
