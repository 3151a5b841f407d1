//! The means that the system must give before work begins: threads, descriptors, and writes that fail instead of ending the
//! process.

use std::io;
use std::sync::mpsc::{Sender, channel};
use std::thread::{self, JoinHandle};

use anyhow::{Context, bail};
use rayon::{ThreadBuilder, ThreadPoolBuilder};

/// Threads beside the pool's that a session and its screen start.
const SESSION_THREADS: usize = 18;
/// Descriptors that they open, those of a checkpoint included.
const SESSION_FILES: usize = 24;
/// Descriptors of any other command.
const FILES: usize = 8;

/// Lets a write over the limit of a file's size fail, as on a full disk. The signal that the system sends besides
/// would end the process.
#[cfg(unix)]
pub(super) fn outlive_large_files() {
    // Nobody looks at the flag. Without a handler the process ends, as before.
    let _ = signal_hook::flag::register(signal_hook::consts::SIGXFSZ, std::sync::Arc::default());
}

#[cfg(not(unix))]
pub(super) fn outlive_large_files() {}

/// Starts so many threads of computations, and makes sure that `sessions` sessions have theirs, which they would
/// miss where nothing can be said any more.
///
/// # Errors
/// The system gives too little; the sentence says of what.
pub(super) fn reserve(sessions: usize, threads: usize) -> anyhow::Result<()> {
    let files = FILES + sessions * SESSION_FILES;
    if !has_descriptors(files) {
        bail!("the system gives no {files} more file descriptors: raise the limit (ulimit -n)");
    }
    let beside = sessions * SESSION_THREADS;
    let (mut pool, trouble) = start(threads + beside);
    let count = pool.len().saturating_sub(beside);
    if count == 0 {
        let trouble = trouble.map_or(String::new(), |error| format!(", {error}"));
        bail!("the system gives no more threads{trouble}: raise the limit (ulimit -u)");
    }
    let others = pool.split_off(count);
    let mut pool = pool.into_iter();
    let hand_over = |work: ThreadBuilder| {
        let idle = pool.next().ok_or(io::ErrorKind::WouldBlock)?;
        let gone = |_| io::Error::from(io::ErrorKind::BrokenPipe);
        idle.work.send(work).map_err(gone)
    };
    let builder = ThreadPoolBuilder::new().num_threads(count);
    builder
        .spawn_handler(hand_over)
        .build_global()
        .context("the threads of computations cannot be started")?;
    others.into_iter().for_each(Idle::end);
    Ok(())
}

/// A thread that waits for work of the pool.
struct Idle {
    work: Sender<ThreadBuilder>,
    thread: JoinHandle<()>,
}

impl Idle {
    fn start(name: String) -> io::Result<Self> {
        let (work, given) = channel::<ThreadBuilder>();
        let body = move || {
            if let Ok(work) = given.recv() {
                work.run();
            }
        };
        let thread = thread::Builder::new().name(name).spawn(body)?;
        Ok(Self { work, thread })
    }

    /// Gives its place back to the system.
    fn end(self) {
        drop(self.work);
        // It ran nothing that could panic.
        let _ = self.thread.join();
    }
}

/// Starts `count` threads, or as many as the system gives, and returns why it gives no more.
fn start(count: usize) -> (Vec<Idle>, Option<io::Error>) {
    let mut started = Vec::with_capacity(count);
    for index in 0..count {
        match Idle::start(format!("pool {index}")) {
            Ok(idle) => started.push(idle),
            Err(error) => return (started, Some(error)),
        }
    }
    (started, None)
}

/// Returns true if `count` more descriptors can be had.
#[cfg(unix)]
fn has_descriptors(count: usize) -> bool {
    let stdin = rustix::stdio::stdin();
    let spare = || rustix::io::fcntl_dupfd_cloexec(stdin, 0);
    let all: Result<Vec<_>, _> = std::iter::repeat_with(spare).take(count).collect();
    all.is_ok()
}

#[cfg(not(unix))]
fn has_descriptors(_: usize) -> bool {
    true
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use super::*;

    #[test]
    fn threads_wait_for_work_and_end_without_it() {
        let (mut started, trouble) = start(3);
        assert!(started.len() == 3 && trouble.is_none());
        started.drain(1..).for_each(Idle::end);
        let mut idle = started.into_iter();
        let builder = ThreadPoolBuilder::new().num_threads(1);
        let pool = builder.spawn_handler(|work| {
            let gone = |_| io::Error::from(io::ErrorKind::BrokenPipe);
            idle.next().unwrap().work.send(work).map_err(gone)
        });
        let name = || thread::current().name().map(str::to_owned);
        let name = pool.build().unwrap().install(name);
        assert_eq!(name.as_deref(), Some("pool 0"));
    }

    #[cfg(unix)]
    #[test]
    fn descriptors_are_counted_up_to_the_limit() {
        assert!(has_descriptors(FILES));
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
        let limit = limit.current.unwrap_or(u64::MAX);
        if limit <= 1 << 16 {
            assert!(!has_descriptors(limit as usize));
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_signal_about_a_large_file_ends_nothing() {
        outlive_large_files();
        signal_hook::low_level::raise(signal_hook::consts::SIGXFSZ).unwrap();
    }
}
