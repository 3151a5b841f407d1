//! Settings that must precede any other thread: environment, priority, log.

use std::backtrace::Backtrace;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::panic::Location;
use std::path::PathBuf;
use std::sync::Mutex;

use directories::ProjectDirs;
use tracing_subscriber::EnvFilter;

use crate::landscape::curvature::product::KEEP_GRAPH;
use crate::landscape::worker::message;
use crate::report::visible;

use super::warn;

/// candle asks for the number of threads at every matrix product; when this is unset it parses
/// /proc/cpuinfo each time: 15.7 µs a product instead of 0.43 µs.
pub(super) const THREADS: &str = "RAYON_NUM_THREADS";
/// candle's own pool spins while it waits. Whole batches run beside one another instead, so it gets one thread.
const POOL: &str = "CANDLE_NUM_THREADS";
/// glibc gives large blocks back to the system at once and has each thread's apart; a forward pass asks for the same
/// blocks again and again, and getting them anew took a third of a transformer's time. Other systems do not read these.
const ALLOCATOR: [(&str, &str); 4] = [
    ("MALLOC_ARENA_MAX", "1"),
    ("MALLOC_MMAP_THRESHOLD_", "33554432"),
    ("MALLOC_TRIM_THRESHOLD_", "536870912"),
    ("MALLOC_TOP_PAD_", "67108864"),
];
/// NVIDIA's libraries compute products of f32 with 11 bits where they are let (cuDNN does unless it is told not to), and
/// Metal's compiler takes it that there are no NaNs.
const ALL_DIGITS: [(&str, &str); 2] = [
    ("NVIDIA_TF32_OVERRIDE", "0"),
    ("CANDLE_METAL_ENABLE_FAST_MATH", "0"),
];
/// Names the log's levels, e.g. `debug` or `isoloss::run=trace`.
const LOG_LEVEL: &str = "ISOLOSS_LOG";

/// Starts the program anew with the environment that candle needs, where it is not set. Changing the
/// environment of a running process is unsafe, starting a process with another one is not. When the
/// start fails the program goes on as it is, only slower.
pub(super) fn set_environment() {
    // The demo's training takes first derivatives alone, which are cheaper without their graphs.
    let trains = std::env::args_os()
        .nth(1)
        .is_some_and(|command| command == "demo-train");
    let mut wanted = vec![(THREADS, cores().to_string()), (POOL, "1".into())];
    wanted.extend(ALLOCATOR.map(|(name, value)| (name, value.to_owned())));
    wanted.extend(ALL_DIGITS.map(|(name, value)| (name, value.to_owned())));
    if !trains {
        wanted.push((KEEP_GRAPH, "1".into()));
    }
    wanted.retain(|(name, _)| std::env::var_os(name).is_none());
    if wanted.is_empty() {
        return;
    }
    // Without it the program goes on as it is.
    let _ = start_again(wanted);
}

/// Stacks of a worker's threads, in bytes: the graph of a deep network is taken down by recursion.
const STACKS: (&str, u64) = ("RUST_MIN_STACK", 64 << 20);

/// Returns the environment of a worker process beside that of this one, so that it need not start anew.
pub(super) fn of_worker() -> Vec<(String, OsString)> {
    let stacks = (STACKS.0.to_owned(), STACKS.1.to_string().into());
    let keep_graph = (KEEP_GRAPH.to_owned(), "1".into());
    let mut environment = vec![stacks, keep_graph];
    environment.extend(ALL_DIGITS.map(|(name, value)| (name.to_owned(), value.into())));
    environment
}

/// Returns the threads of computations that the user or [`set_environment`] has chosen.
pub(super) fn threads() -> usize {
    let chosen = std::env::var(THREADS).ok();
    let chosen = chosen.and_then(|chosen| chosen.parse().ok());
    chosen.filter(|threads| *threads > 0).unwrap_or_else(cores)
}

/// Returns the cores that this process may use.
pub(super) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// Starts this program in its own place, with the arguments that it had and more in its environment. Returns only
/// when that fails.
///
/// # Errors
/// The system refuses.
pub(super) fn start_again(
    environment: impl IntoIterator<Item = (&'static str, String)>,
) -> io::Result<()> {
    let mut command = std::process::Command::new(std::env::current_exe()?);
    command.args(std::env::args_os().skip(1)).envs(environment);
    start_instead(command)
}

#[cfg(unix)]
fn start_instead(mut command: std::process::Command) -> io::Result<()> {
    Err(std::os::unix::process::CommandExt::exec(&mut command))
}

#[cfg(not(unix))]
fn start_instead(mut command: std::process::Command) -> io::Result<()> {
    let status = command.status()?;
    std::process::exit(status.code().unwrap_or(1))
}

/// The niceness of a process that steps back.
const NICE: i32 = 10;

/// Steps back behind the training job, and whatever else the machine is for. Threads that are started
/// from now on inherit it.
pub(super) fn be_nice() {
    #[cfg(unix)]
    {
        use rustix::process::{getpriority_process, nice};
        // What starts again is nice already.
        let left = getpriority_process(None).map_or(NICE, |now| NICE - now);
        if let Err(error) = nice(left.max(0)) {
            tracing::info!("priority stays: {error}");
        }
    }
}

/// Reports a panic as one sentence; the log has its place.
pub(super) fn tell_panics() {
    std::panic::set_hook(Box::new(|info| {
        let sentence = mistake(message(info.payload()), info.location());
        tracing::error!("{sentence}\n{}", Backtrace::capture());
        // Where nobody reads it, the log has it.
        let _ = warn::say(sentence);
    }));
}

/// Returns the sentence about a panic, in which what is hidden is written out.
fn mistake(message: &str, place: Option<&Location<'_>>) -> String {
    let place = place.map_or(String::new(), |place| format!(" ({place})"));
    visible::line(&format!("stopped by a mistake: {message}{place}")).into_owned()
}

/// Sends log lines to a file of the user's state folder; without one there is no log. The screen
/// belongs to the picture and the run folder to the trainer.
pub(super) fn start_log() {
    let Some(file) = open_log() else { return };
    let filter =
        EnvFilter::try_from_env(LOG_LEVEL).unwrap_or_else(|_| EnvFilter::new("isoloss=info"));
    let log = tracing_subscriber::fmt()
        .with_writer(Mutex::new(OneLine(file)))
        .with_ansi(false)
        .with_env_filter(filter);
    let _ = log.try_init();
}

/// Writes each event as one line, whatever its fields hold: the log's formatter gives an event at once.
struct OneLine(File);

impl Write for OneLine {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        let line = visible::line(text.trim_end_matches('\n'));
        self.0.write_all(format!("{line}\n").as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Returns the log's file, to write on at its end.
pub(super) fn open_log() -> Option<File> {
    let path = log_path()?;
    let mut options = File::options();
    options.create(true).append(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        // A pipe in its place would be waited for without end.
        options.custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed());
    }
    let file = options.open(path).ok()?;
    file.metadata().ok()?.is_file().then_some(file)
}

/// Returns the file of the log, in a folder that is there.
pub(super) fn log_path() -> Option<PathBuf> {
    Some(state_folder()?.join("isoloss.log"))
}

/// Returns true if this user has never seen the screen; asked a second time they have.
pub(super) fn is_first_time() -> bool {
    let mark = state_folder().map(|folder| folder.join("welcomed"));
    // Where nothing can be remembered, the hint would come every time.
    mark.is_some_and(|mark| File::create_new(mark).is_ok())
}

/// Returns the user's state folder, which is there.
fn state_folder() -> Option<PathBuf> {
    let folders = ProjectDirs::from("", "", "isoloss")?;
    let folder = folders.state_dir().unwrap_or_else(|| folders.cache_dir());
    fs::create_dir_all(folder).ok()?;
    Some(folder.to_path_buf())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_told_in_one_line() {
        let told = mistake("no \u{1b}[2J\nerror: x", None);
        assert_eq!(told, "stopped by a mistake: no \\u{1b}[2J\\u{a}error: x");
        let place = mistake("no", Some(Location::caller()));
        assert!(place.starts_with("stopped by a mistake: no (src/cli/startup.rs:"));
    }
}
