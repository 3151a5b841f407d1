//! The database of measured values.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use directories::ProjectDirs;
use rusqlite::{Connection, ErrorCode, OptionalExtension, TransactionBehavior, params};

use crate::host;
use crate::run::{Fingerprint, filesystem};

use super::trim::trim;
use super::{Digest, StoreError};

/// Marks the file as ours, as `file` shows it.
const APPLICATION: i32 = 0x6973_6f6c;
/// The version of the tables. A cache is never carried over to others: it is begun anew.
const VERSION: i32 = 3;
/// Time that a write waits for another process.
const PATIENCE: Duration = Duration::from_secs(2);
/// Longest time for which opening is tried while others open the database, and the pause between.
const OPENING: Duration = Duration::from_secs(10);
const AGAIN: Duration = Duration::from_millis(20);
/// Time after which the use of a value is noted anew, so that looking it up is seldom a write.
const USE: i64 = 24 * 60 * 60;
/// Time between two commits on a network file system, where each costs many times a point.
const COMMIT_EVERY: Duration = Duration::from_secs(1);

const TABLES: &str = "
CREATE TABLE file  (path TEXT, key TEXT, size INT, modified INT, inode INT, content BLOB,
                    PRIMARY KEY (path, key)) WITHOUT ROWID;
CREATE TABLE scene (id INTEGER PRIMARY KEY AUTOINCREMENT, key BLOB UNIQUE, run BLOB, about TEXT, used INT);
CREATE TABLE point (scene INT, samples INT, x INT, y INT, loss INT, score INT, device TEXT, sum INT,
                    PRIMARY KEY (scene, samples, x, y)) WITHOUT ROWID;
CREATE TABLE spot  (key BLOB PRIMARY KEY, value BLOB, run BLOB, device TEXT, used INT, sum INT) WITHOUT ROWID;
";

/// A place of a scene.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PointPlace {
    /// (α, β).
    pub at: [f64; 2],
    /// Number of samples where they were few; `None` if they were all.
    pub samples: Option<usize>,
}

/// A value at a place of a scene.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct KeptPoint {
    /// The place.
    pub place: PointPlace,
    /// The loss, which may be NaN.
    pub loss: f64,
    /// The score beside it; NaN if there is none.
    pub score: f64,
}

/// A scene of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SceneId(i64);

/// The open database.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    connection: Connection,
    /// True if the file system is a network's: one process then has the database for itself.
    is_shared: bool,
    /// The beginning of the transaction that is open there.
    open_since: Option<Instant>,
}

impl Store {
    /// Returns the user's database; `None` if the user has no cache folder.
    #[must_use]
    pub fn path() -> Option<PathBuf> {
        let folders = ProjectDirs::from("", "", "isoloss")?;
        Some(file_in(folders.cache_dir()))
    }

    /// Opens a database, and makes it where there is none. One of another version, or that is damaged, is set aside; what
    /// was used longest ago makes room where it takes more than `room` bytes.
    ///
    /// # Errors
    /// The file cannot be made or opened, or on a network file system another process has it.
    pub fn open(path: &Path, room: u64) -> Result<Self, StoreError> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(StoreError::of(path))?;
        }
        let is_shared = is_shared(path);
        let connection = match connect(path, is_shared) {
            Ok(connection) => connection,
            Err(error) if is_damaged(&error) => {
                set_aside(path).map_err(StoreError::of(path))?;
                connect(path, is_shared).map_err(StoreError::of(path))?
            }
            Err(error) => return Err(StoreError::of(path)(error)),
        };
        trim(&connection, room).map_err(StoreError::of(path))?;
        Ok(Self::over(path, connection, is_shared))
    }

    /// Removes the user's database with what belongs to it.
    ///
    /// # Errors
    /// A file cannot be removed.
    pub fn remove() -> std::io::Result<()> {
        let Some(path) = Self::path() else {
            return Ok(());
        };
        for end in ["-wal", "-shm", "-journal", ".old"] {
            let _ = fs::remove_file(with_end(&path, end));
        }
        fs::remove_file(path)
    }

    /// Does something with the connection when what was written before is committed.
    pub(super) fn with<T>(
        &self,
        act: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let mut state = self.state();
        let done = state.commit().and_then(|()| act(&state.connection));
        done.map_err(self.error())
    }

    fn over(path: &Path, connection: Connection, is_shared: bool) -> Self {
        Self {
            path: path.to_path_buf(),
            state: Mutex::new(State {
                connection,
                is_shared,
                open_since: None,
            }),
        }
    }

    /// Returns the content of a checkpoint whose file is as it was then, by `key` inside it, where that was read before.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn content(
        &self,
        path: &Path,
        key: &str,
        file: Fingerprint,
    ) -> Result<Option<Digest>, StoreError> {
        let sql = "SELECT content FROM file WHERE path = ? AND key = ? AND size = ? AND modified = ? AND inode = ?";
        let state = self.state();
        let found = state.connection.prepare_cached(sql).and_then(|mut known| {
            let row = params![
                name(path),
                key,
                file.size.cast_signed(),
                nanoseconds(file.modified),
                file.inode.cast_signed()
            ];
            known.query_row(row, |row| row.get(0)).optional()
        });
        Ok(found.map_err(self.error())?.map(Digest))
    }

    /// Keeps the content of a checkpoint whose file is as it was then.
    ///
    /// # Errors
    /// The database cannot be written.
    pub fn keep_content(
        &self,
        path: &Path,
        key: &str,
        file: Fingerprint,
        content: Digest,
    ) -> Result<(), StoreError> {
        let row = params![
            name(path),
            key,
            file.size.cast_signed(),
            nanoseconds(file.modified),
            file.inode.cast_signed(),
            content.0
        ];
        self.write("INSERT OR REPLACE INTO file VALUES (?, ?, ?, ?, ?, ?)", row)
    }

    /// Returns the scene of this key, made where it is new: of checkpoints in the folder `run`, and in words.
    ///
    /// # Errors
    /// The database cannot be written.
    pub fn scene(&self, key: Digest, run: &Path, about: &str) -> Result<SceneId, StoreError> {
        let sql = "INSERT INTO scene (key, run, about, used) VALUES (?, ?, ?, ?)
                   ON CONFLICT (key) DO UPDATE SET used = excluded.used RETURNING id";
        let mut state = self.state();
        let found = state.begin().and_then(|()| {
            let row = params![key.0, name(run), about, now()];
            state
                .connection
                .prepare_cached(sql)?
                .query_row(row, |row| row.get(0))
        });
        found
            .and_then(|id| state.commit_if_due().map(|()| SceneId(id)))
            .map_err(self.error())
    }

    /// Returns all values of a scene. Those that are not as they were written are none.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn points(&self, scene: SceneId) -> Result<Vec<KeptPoint>, StoreError> {
        let sql = "SELECT samples, x, y, loss, score, sum FROM point WHERE scene = ?";
        let read = |connection: &Connection| -> rusqlite::Result<Vec<(PointRow, i64)>> {
            let mut all = connection.prepare_cached(sql)?;
            let rows = all.query_map([scene.0], |row| {
                let mut numbers = [0; 5];
                for (index, number) in numbers.iter_mut().enumerate() {
                    *number = row.get(index)?;
                }
                Ok((PointRow(numbers), row.get(5)?))
            })?;
            rows.collect()
        };
        let rows = read(&self.state().connection).map_err(self.error())?;
        let is_whole = |(row, sum): &(PointRow, i64)| row.sum(scene) == *sum;
        let (whole, damaged): (Vec<_>, Vec<_>) = rows.into_iter().partition(is_whole);
        for (PointRow([samples, x, y, ..]), _) in damaged {
            // A value that is there stays, so that it goes for the next one.
            let sql = "DELETE FROM point WHERE scene = ? AND samples = ? AND x = ? AND y = ?";
            self.write(sql, params![scene.0, samples, x, y])?;
        }
        Ok(whole.into_iter().map(|(row, _)| row.kept()).collect())
    }

    /// Keeps a value of a scene, measured on this device. A value that is there already stays.
    ///
    /// # Errors
    /// The database cannot be written.
    pub fn keep_point(
        &self,
        scene: SceneId,
        kept: &KeptPoint,
        device: &str,
    ) -> Result<(), StoreError> {
        let row = PointRow::of(kept);
        let PointRow([samples, x, y, loss, score]) = row;
        self.write(
            // Another one may have removed the scene.
            "INSERT OR IGNORE INTO point SELECT ?, ?, ?, ?, ?, ?, ?, ?
             WHERE EXISTS (SELECT 1 FROM scene WHERE id = ?1)",
            params![scene.0, samples, x, y, loss, score, device, row.sum(scene)],
        )
    }

    /// Returns the value of this key that belongs to no scene. One that is not as it was written is none.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn spot(&self, key: Digest) -> Result<Option<Vec<u8>>, StoreError> {
        let sql = "SELECT value, sum, used FROM spot WHERE key = ?";
        let read = |connection: &Connection| {
            let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
            let mut known = connection.prepare_cached(sql)?;
            known.query_row([key.0], row).optional()
        };
        let found = read(&self.state().connection).map_err(self.error())?;
        let is_whole = |(value, sum, _): &(Vec<u8>, i64, i64)| sum_of(key, value) == *sum;
        let Some((value, _, used)) = found.filter(is_whole) else {
            return Ok(None);
        };
        if used < now() - USE {
            let sql = "UPDATE spot SET used = ? WHERE key = ?";
            self.write(sql, params![now(), key.0])?;
        }
        Ok(Some(value))
    }

    /// Keeps a value that belongs to no scene, of checkpoints in the folder `run`, measured on this device.
    ///
    /// # Errors
    /// The database cannot be written.
    pub fn keep_spot(
        &self,
        key: Digest,
        value: &[u8],
        run: &Path,
        device: &str,
    ) -> Result<(), StoreError> {
        let row = params![key.0, value, name(run), device, now(), sum_of(key, value)];
        self.write("INSERT OR REPLACE INTO spot VALUES (?, ?, ?, ?, ?, ?)", row)
    }

    /// Commits what is written but not yet safe, which is so on a network file system alone.
    ///
    /// # Errors
    /// The database cannot be written.
    pub fn flush(&self) -> Result<(), StoreError> {
        self.state().commit().map_err(self.error())
    }

    fn write(&self, sql: &str, row: impl rusqlite::Params) -> Result<(), StoreError> {
        let mut state = self.state();
        let written = state.begin().and_then(|()| {
            state
                .connection
                .prepare_cached(sql)?
                .execute(row)
                .map(|_| ())
        });
        written
            .and_then(|()| state.commit_if_due())
            .map_err(self.error())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn error(&self) -> impl Fn(rusqlite::Error) -> StoreError {
        |error| {
            // The next one begins anew.
            if is_damaged(&error) && set_aside(&self.path).is_ok() {
                tracing::info!("{}: {error}", self.path.display());
            }
            StoreError::of(&self.path)(error)
        }
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // Nothing can be reported any more.
        let _ = self.flush();
    }
}

impl State {
    /// Opens a transaction on a network file system; elsewhere each write is one.
    fn begin(&mut self) -> rusqlite::Result<()> {
        if self.is_shared && self.open_since.is_none() {
            self.connection.execute_batch("BEGIN IMMEDIATE")?;
            self.open_since = Some(Instant::now());
        }
        Ok(())
    }

    fn commit_if_due(&mut self) -> rusqlite::Result<()> {
        let is_due = self
            .open_since
            .is_some_and(|since| since.elapsed() >= COMMIT_EVERY);
        if is_due { self.commit() } else { Ok(()) }
    }

    fn commit(&mut self) -> rusqlite::Result<()> {
        match self.open_since.take() {
            Some(_) => self.connection.execute_batch("COMMIT"),
            None => Ok(()),
        }
    }
}

/// Returns the database in a cache folder. On a network file system each host has its own, because SQLite's locks are
/// not to be trusted between hosts.
fn file_in(folder: &Path) -> PathBuf {
    let host = if is_shared(&folder.join("measured.sqlite")) {
        host().map_or(String::new(), |host| format!("-{host}"))
    } else {
        String::new()
    };
    folder.join(format!("measured{host}.sqlite"))
}

/// Returns true if the file system of the nearest folder that is there is a network's.
fn is_shared(path: &Path) -> bool {
    let found = path.ancestors().skip(1).find_map(filesystem::of);
    found.is_some_and(|filesystem| filesystem.shared)
}

/// Returns the machine's name as part of a file's.
fn host() -> Option<String> {
    let plain = |c: &char| c.is_ascii_alphanumeric() || *c == '-';
    Some(host::name()?.chars().filter(plain).collect())
}

/// Opens a database, and tries again while others open it: SQLite does not wait for a change of the journal's mode.
fn connect(path: &Path, is_shared: bool) -> rusqlite::Result<Connection> {
    let start = Instant::now();
    loop {
        match try_to_connect(path, is_shared) {
            Err(error) if !is_shared && is_busy(&error) && start.elapsed() < OPENING => {
                thread::sleep(AGAIN);
            }
            result => return result,
        }
    }
}

fn is_busy(error: &rusqlite::Error) -> bool {
    let codes = [ErrorCode::DatabaseBusy, ErrorCode::DatabaseLocked];
    let code = error.sqlite_error_code();
    code.is_some_and(|code| codes.contains(&code))
}

fn try_to_connect(path: &Path, is_shared: bool) -> rusqlite::Result<Connection> {
    let mut connection = Connection::open(path)?;
    connection.busy_timeout(PATIENCE)?;
    if is_shared {
        connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
        connection.pragma_update_and_check(None, "journal_mode", "TRUNCATE", |_| Ok(()))?;
    } else {
        // Freed pages go back to the system when values are removed.
        connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
        connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    }
    // What a process wrote survives its end; a loss of power may cost the last values.
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let version: i32 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let application: i32 =
        transaction.pragma_query_value(None, "application_id", |row| row.get(0))?;
    match (application, version) {
        (APPLICATION, VERSION) => {}
        (0, 0) => {
            transaction.execute_batch(TABLES)?;
            transaction.pragma_update(None, "application_id", APPLICATION)?;
            transaction.pragma_update(None, "user_version", VERSION)?;
        }
        _ => return Err(rusqlite::Error::InvalidQuery),
    }
    transaction.commit()?;
    Ok(connection)
}

/// Returns true if the file is no database, a damaged one, or one of another version.
fn is_damaged(error: &rusqlite::Error) -> bool {
    let codes = [ErrorCode::DatabaseCorrupt, ErrorCode::NotADatabase];
    let is_other = matches!(error, rusqlite::Error::InvalidQuery);
    is_other
        || error
            .sqlite_error_code()
            .is_some_and(|code| codes.contains(&code))
}

/// Renames a database with what belongs to it, in the place of one that was set aside before.
fn set_aside(path: &Path) -> std::io::Result<()> {
    tracing::info!(
        "{} is of another version or damaged, and was set aside",
        path.display()
    );
    for end in ["-wal", "-shm", "-journal"] {
        let _ = fs::remove_file(with_end(path, end));
    }
    fs::rename(path, with_end(path, ".old"))
}

fn with_end(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    PathBuf::from(name)
}

/// Returns a path as it is kept.
pub(super) fn name(path: &Path) -> &[u8] {
    path.as_os_str().as_encoded_bytes()
}

/// A point as it is stored: number of samples (0 for all), x, y, loss and score, floats by their bits.
struct PointRow([i64; 5]);

impl PointRow {
    fn of(kept: &KeptPoint) -> Self {
        let PointPlace {
            at: [x, y],
            samples,
        } = kept.place;
        let samples = samples.map_or(0, |samples| i64::try_from(samples).unwrap_or(i64::MAX));
        Self([samples, bits(x), bits(y), bits(kept.loss), bits(kept.score)])
    }

    fn kept(&self) -> KeptPoint {
        let Self([samples, x, y, loss, score]) = *self;
        KeptPoint {
            place: PointPlace {
                at: [float(x), float(y)],
                samples: usize::try_from(samples).ok().filter(|samples| *samples > 0),
            },
            loss: float(loss),
            score: float(score),
        }
    }

    /// Returns the checksum: SQLite has none of its own, and one bit is another loss.
    fn sum(&self, scene: SceneId) -> i64 {
        let numbers = std::iter::once(scene.0).chain(self.0);
        let append = |sum, number: i64| crc32c::crc32c_append(sum, &number.to_le_bytes());
        numbers.fold(0, append).into()
    }
}

/// Returns the checksum of a value with its key.
fn sum_of(key: Digest, value: &[u8]) -> i64 {
    crc32c::crc32c_append(crc32c::crc32c(&key.0), value).into()
}

/// Returns the bits of a float, as which it is stored, because SQLite stores NaN as NULL and −0 as 0.
fn bits(value: f64) -> i64 {
    value.to_bits().cast_signed()
}

fn float(bits: i64) -> f64 {
    f64::from_bits(bits.cast_unsigned())
}

/// Returns the nanoseconds since 1970.
fn nanoseconds(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_nanos() as i64)
}

/// Returns the seconds since 1970.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs().cast_signed())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests;
