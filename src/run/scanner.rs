//! The scanner thread: looks at the run folder again and again; notifications only wake it.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use notify::event::{ModifyKind, RenameMode};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};

use super::log::LogFollower;
use super::scan::{FolderScanner, FoundFile, in_words};
use super::settle::{RunEvent, Settler};
use super::{RunChoice, RunError, header, worth_opening};

/// Time between scans while the run is alive.
const POLL: Duration = Duration::from_secs(2);
/// Time between scans of a run that has been quiet for long.
const QUIET_POLL: Duration = Duration::from_secs(15);
/// Time without news after which a run is quiet.
const QUIET_AFTER: Duration = Duration::from_secs(120);
/// Time between two scans while a file is being written, and the least between any two.
const SETTLE: Duration = Duration::from_millis(300);

/// A running scanner; dropping it stops the thread.
#[derive(Debug)]
pub struct Watcher {
    wake: Sender<Wake>,
    notified: bool,
}

#[derive(Debug)]
enum Wake {
    /// Something happened in the folder; these files arrived by rename.
    Notified(Vec<PathBuf>),
    /// The user asks.
    Rescan,
    Stop,
}

impl Watcher {
    /// A watcher of nothing.
    #[cfg(test)]
    pub(crate) fn idle() -> Self {
        Self {
            wake: channel().0,
            notified: false,
        }
    }

    /// Scans now.
    pub fn rescan(&self) {
        let _ = self.wake.send(Wake::Rescan);
    }

    /// Names the means by which the folder is watched, for the screen. Notifications never come from most
    /// network file systems, without an error, so polling goes on beside them.
    #[must_use]
    pub fn mode(&self) -> String {
        name(self.notified)
    }
}

/// Names the means by which a folder would be watched.
#[must_use]
pub fn mode(run: &Path) -> String {
    name(notifier(run, channel().0).is_some())
}

fn name(notified: bool) -> String {
    let notified = if notified { "file events and " } else { "" };
    format!("{notified}a scan every {} s", POLL.as_secs())
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let _ = self.wake.send(Wake::Stop);
    }
}

/// Starts scanning `run`, which need not be there yet. `send` gets every event; when it returns false
/// the thread stops.
///
/// # Errors
/// The system has no thread to give.
pub fn spawn(
    run: PathBuf,
    choice: RunChoice,
    mut send: impl FnMut(RunEvent) -> bool + Send + 'static,
) -> std::io::Result<Watcher> {
    let (wake, wakes) = channel();
    let notifier = notifier(&run, wake.clone());
    let notified = notifier.is_some();
    thread::Builder::new()
        .name("scanner".into())
        .spawn(move || {
            // Notifications end when this is dropped.
            let _notifier = notifier;
            let mut scanner = Scanner {
                run,
                folder: FolderScanner::new(&choice),
                key: choice.key,
                settler: Settler::default(),
                renamed: HashSet::new(),
                logs: LogFollower::default(),
                last_news: Instant::now(),
                was_there: false,
            };
            while scanner.scan(&mut send) && scanner.wait(&wakes) {}
        })?;
    Ok(Watcher { wake, notified })
}

fn notifier(run: &Path, wake: Sender<Wake>) -> Option<RecommendedWatcher> {
    let handler = move |event: notify::Result<notify::Event>| {
        let Ok(event) = event else { return };
        let _ = wake.send(match event.kind {
            EventKind::Access(_) => return,
            EventKind::Modify(ModifyKind::Name(RenameMode::To)) => Wake::Notified(event.paths),
            EventKind::Modify(ModifyKind::Name(RenameMode::Both)) => {
                Wake::Notified(event.paths.into_iter().skip(1).collect())
            }
            _ => Wake::Notified(Vec::new()),
        });
    };
    // A link to a large tree would take thousands of watches; what it points to is polled.
    let config = notify::Config::default().with_follow_symlinks(false);
    let watcher = RecommendedWatcher::new(handler, config).and_then(|mut watcher| {
        watcher.watch(run, RecursiveMode::Recursive)?;
        Ok(watcher)
    });
    watcher
        .inspect_err(|error| tracing::info!("polling only: {error}"))
        .ok()
}

struct Scanner {
    run: PathBuf,
    folder: FolderScanner,
    key: Option<String>,
    settler: Settler,
    /// Files that arrived by rename since the last scan.
    renamed: HashSet<PathBuf>,
    /// Training's own logs.
    logs: LogFollower,
    last_news: Instant,
    /// True once the run folder could be looked at.
    was_there: bool,
}

impl Scanner {
    /// Returns one scan; false when nobody listens any more.
    fn scan(&mut self, send: &mut impl FnMut(RunEvent) -> bool) -> bool {
        let scan = match self.folder.scan(&self.run) {
            Ok(scan) => scan,
            Err(RunError::Missing(run)) => {
                let run = run.display();
                let since = if self.was_there { "any more" } else { "yet" };
                return self.failed(format!("{run}: not there {since}, waited for"), send);
            }
            Err(error) => return self.failed(error.to_string(), send),
        };
        self.was_there = true;
        let renamed = std::mem::take(&mut self.renamed);
        let key = self.key.as_deref();
        let found: Vec<FoundFile> = worth_opening(&scan.found).into_iter().cloned().collect();
        let events = self
            .settler
            .scan(&found, &renamed, SystemTime::now(), |path| {
                header(path, key).map_err(|error| error.to_string())
            });
        let others = in_words(&scan.others);
        let logged = self.logs.look(&self.run, &scan.logs).map(RunEvent::Logged);
        let mut events = events.into_iter().chain(logged).peekable();
        if events.peek().is_some() {
            self.last_news = Instant::now();
        }
        let others = Some(others).filter(|others| !others.is_empty());
        events.chain([RunEvent::Scanned { others }]).all(send)
    }

    /// Tells that the folder cannot be looked at: what lay in it is gone as far as anybody can see.
    fn failed(&mut self, reason: String, send: &mut impl FnMut(RunEvent) -> bool) -> bool {
        let nothing = |_: &Path| Err(String::new());
        let gone = (self.settler).scan(&[], &HashSet::new(), SystemTime::now(), nothing);
        let told = gone.into_iter().all(&mut *send);
        told && send(RunEvent::Failed(reason))
    }

    /// Waits for the next scan's time or a reason to scan before; false when it is time to stop.
    fn wait(&mut self, wakes: &Receiver<Wake>) -> bool {
        let scanned = Instant::now();
        let pause = if self.settler.is_waiting() {
            SETTLE
        } else if self.last_news.elapsed() > QUIET_AFTER {
            QUIET_POLL
        } else {
            POLL
        };
        let mut until = scanned + pause;
        loop {
            match wakes.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(Wake::Notified(renamed)) => {
                    self.renamed.extend(renamed);
                    // A writer causes a notification a write: they must not become a scan each.
                    until = until.min(scanned + SETTLE);
                }
                Ok(Wake::Stop) | Err(RecvTimeoutError::Disconnected) => return false,
                Ok(Wake::Rescan) | Err(RecvTimeoutError::Timeout) => return true,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use super::*;
    use std::fs;

    /// Returns a safetensors file with one tensor.
    fn bytes() -> Vec<u8> {
        let header = br#"{"w":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}"#;
        [
            &(header.len() as u64).to_le_bytes(),
            header.as_slice(),
            &[0; 16],
        ]
        .concat()
    }

    /// Returns the next event that is about a file.
    fn next(events: &Receiver<RunEvent>) -> RunEvent {
        loop {
            let event = events.recv_timeout(Duration::from_secs(10)).unwrap();
            if !matches!(event, RunEvent::Scanned { .. }) {
                return event;
            }
        }
    }

    #[test]
    fn a_file_written_in_halves_waits_and_then_counts() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model_3.safetensors");
        let (send, events) = channel();
        let watcher = spawn(folder.path().into(), RunChoice::default(), move |event| {
            send.send(event).is_ok()
        })
        .unwrap();
        fs::write(&path, &bytes()[..40]).unwrap();
        assert_eq!(next(&events), RunEvent::Waiting(path.clone()));
        assert!(
            matches!(next(&events), RunEvent::Unreadable { reason, .. } if reason.contains("expected"))
        );
        fs::write(&path, bytes()).unwrap();
        assert_eq!(next(&events), RunEvent::Waiting(path.clone()));
        assert!(matches!(next(&events), RunEvent::Settled(settled) if settled.found.path == path));
        fs::remove_file(&path).unwrap();
        assert_eq!(next(&events), RunEvent::Vanished(path));
        drop(watcher);
    }

    #[test]
    fn a_folder_that_is_not_there_yet_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path().join("run");
        let (send, events) = channel();
        let watcher = spawn(run.clone(), RunChoice::default(), move |event| {
            send.send(event).is_ok()
        })
        .unwrap();
        assert!(
            matches!(next(&events), RunEvent::Failed(why) if why.ends_with("run: not there yet, waited for"))
        );
        fs::create_dir(&run).unwrap();
        fs::write(run.join("model_1.safetensors"), bytes()).unwrap();
        watcher.rescan();
        let settled = loop {
            if let RunEvent::Settled(settled) = next(&events) {
                break settled;
            }
        };
        assert_eq!(settled.found.name, Path::new("model_1.safetensors"));
    }
}
