//! Rules by which a file counts as a checkpoint: pure functions of scans, so that each can be tested.
//!
//! A file counts once its size and time of change were equal on two scans, or it arrived by rename, or
//! it had been at rest for long when it was first seen; and its own header agrees with its size.
//! Until then it waits. One that cannot be read is reported and tried again, less and less often.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::catalog::CheckpointFacts;
use super::fingerprint::Fingerprint;
use super::log::LogUpdate;
use super::scan::{self, FoundFile};

/// An event of the scanner.
#[derive(Clone, Debug, PartialEq)]
pub enum RunEvent {
    /// A checkpoint is being written.
    Waiting(PathBuf),
    /// A checkpoint is whole: a new one, or new contents of an old one.
    Settled(Settled),
    /// A checkpoint cannot be read; one sentence says why. It is tried again.
    Unreadable {
        /// The checkpoint.
        path: PathBuf,
        /// The reason.
        reason: String,
    },
    /// A checkpoint is gone.
    Vanished(PathBuf),
    /// Training's own log has changed.
    Logged(LogUpdate),
    /// A scan is complete: everything that it found was reported.
    Scanned {
        /// Files that are no checkpoints by their contents, in words; `None` if there are none.
        others: Option<String>,
    },
    /// The run folder itself cannot be looked at; one sentence says why.
    Failed(String),
}

/// A checkpoint that is whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled {
    /// Its place.
    pub found: FoundFile,
    /// Its header.
    pub header: Header,
}

/// Facts from the header of a checkpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// Counters and shapes.
    pub facts: CheckpointFacts,
    /// A sentence about what was chosen among its contents; `None` if there was no choice.
    pub note: Option<String>,
}

/// First pause before an unreadable file is tried again; doubled each time.
const RETRY: Duration = Duration::from_secs(2);
/// Longest pause.
const LONGEST_RETRY: Duration = Duration::from_secs(60);

#[derive(Clone, Debug, PartialEq)]
enum State {
    /// Seen with a fingerprint that may still change.
    Waiting,
    Settled,
    Unreadable {
        reason: String,
        again: SystemTime,
        pause: Duration,
    },
}

/// The files of a run and how far each has come.
#[derive(Clone, Debug, Default)]
pub struct Settler {
    files: BTreeMap<PathBuf, (Fingerprint, State)>,
}

impl Settler {
    /// Compares a scan with the one before. `renamed` are files that arrived by rename since then;
    /// `open` reads a checkpoint's header, or says why it cannot be.
    pub fn scan(
        &mut self,
        found: &[FoundFile],
        renamed: &HashSet<PathBuf>,
        now: SystemTime,
        mut open: impl FnMut(&Path) -> Result<Header, String>,
    ) -> Vec<RunEvent> {
        let mut events = self.vanished(found);
        for found in found {
            if !self.is_ready(found, renamed, now, &mut events) {
                continue;
            }
            match open(&found.path) {
                Ok(header) => {
                    let state = (found.fingerprint, State::Settled);
                    self.files.insert(found.path.clone(), state);
                    let found = found.clone();
                    events.push(RunEvent::Settled(Settled { found, header }));
                }
                Err(reason) => self.refuse(found, reason, now, &mut events),
            }
        }
        events
    }

    /// Returns true while a file may settle on a next scan soon.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.files
            .values()
            .any(|(_, state)| *state == State::Waiting)
    }

    fn vanished(&mut self, found: &[FoundFile]) -> Vec<RunEvent> {
        let there: HashSet<&PathBuf> = found.iter().map(|found| &found.path).collect();
        let gone: Vec<PathBuf> = self
            .files
            .keys()
            .filter(|path| !there.contains(path))
            .cloned()
            .collect();
        for path in &gone {
            self.files.remove(path);
        }
        gone.into_iter().map(RunEvent::Vanished).collect()
    }

    /// Tells if a file should be opened now.
    fn is_ready(
        &mut self,
        found: &FoundFile,
        renamed: &HashSet<PathBuf>,
        now: SystemTime,
        events: &mut Vec<RunEvent>,
    ) -> bool {
        let known = self.files.get(&found.path);
        let still = match known {
            Some((fingerprint, State::Settled)) if *fingerprint == found.fingerprint => {
                return false;
            }
            Some((fingerprint, State::Unreadable { again, .. }))
                if *fingerprint == found.fingerprint =>
            {
                return now >= *again;
            }
            Some((fingerprint, State::Waiting)) => *fingerprint == found.fingerprint,
            Some(_) => false,
            None => scan::is_at_rest(found.fingerprint, now),
        };
        if still || renamed.contains(&found.path) {
            return true;
        }
        if !matches!(known, Some((_, State::Waiting))) {
            events.push(RunEvent::Waiting(found.path.clone()));
        }
        self.files
            .insert(found.path.clone(), (found.fingerprint, State::Waiting));
        false
    }

    /// Reports a reason once, and plans the next try.
    fn refuse(
        &mut self,
        found: &FoundFile,
        reason: String,
        now: SystemTime,
        events: &mut Vec<RunEvent>,
    ) {
        let before = match self.files.get(&found.path) {
            Some((
                fingerprint,
                State::Unreadable {
                    reason: before,
                    pause,
                    ..
                },
            )) if *fingerprint == found.fingerprint => Some((before == &reason, *pause)),
            _ => None,
        };
        let state = unreadable(&reason, before.map(|(_, pause)| pause), now);
        self.files
            .insert(found.path.clone(), (found.fingerprint, state));
        if before.is_none_or(|(same, _)| !same) {
            events.push(RunEvent::Unreadable {
                path: found.path.clone(),
                reason,
            });
        }
    }
}

fn unreadable(reason: &str, pause: Option<Duration>, now: SystemTime) -> State {
    let pause = pause.map_or(RETRY, |pause| (2 * pause).min(LONGEST_RETRY));
    State::Unreadable {
        reason: reason.to_owned(),
        again: now + pause,
        pause,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the seconds since an arbitrary start.
    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000 + seconds)
    }

    fn file(name: &str, size: u64, modified: u64) -> FoundFile {
        FoundFile {
            name: name.into(),
            path: name.into(),
            fingerprint: Fingerprint {
                size,
                modified: at(modified),
                inode: 7,
            },
        }
    }

    /// Scans at a time, with every file opening well but those of no bytes.
    fn scan(settler: &mut Settler, files: &[FoundFile], now: u64) -> Vec<RunEvent> {
        let sizes: BTreeMap<PathBuf, u64> = files
            .iter()
            .map(|f| (f.path.clone(), f.fingerprint.size))
            .collect();
        settler.scan(files, &HashSet::new(), at(now), |path| match sizes[path] {
            0 => Err("cut short".into()),
            _ => Ok(Header::default()),
        })
    }

    fn settled(found: &FoundFile) -> RunEvent {
        RunEvent::Settled(Settled {
            found: found.clone(),
            header: Header::default(),
        })
    }

    fn refused(path: &str, reason: &str) -> RunEvent {
        RunEvent::Unreadable {
            path: path.into(),
            reason: reason.into(),
        }
    }

    #[test]
    fn a_growing_file_waits_until_two_scans_agree() {
        let mut settler = Settler::default();
        assert_eq!(
            scan(&mut settler, &[file("model_1.pt", 10, 0)], 0),
            [RunEvent::Waiting("model_1.pt".into())]
        );
        let grown = [file("model_1.pt", 20, 2)];
        assert_eq!(scan(&mut settler, &grown, 2), []);
        assert!(settler.is_waiting());
        assert_eq!(scan(&mut settler, &grown, 4), [settled(&grown[0])]);
        assert_eq!(scan(&mut settler, &grown, 6), []);
        assert!(!settler.is_waiting());
    }

    #[test]
    fn a_file_at_rest_when_it_is_first_seen_counts_at_once() {
        let mut settler = Settler::default();
        let files = [file("model_1.pt", 10, 0)];
        assert_eq!(scan(&mut settler, &files, 60), [settled(&files[0])]);
    }

    #[test]
    fn a_renamed_file_counts_at_once() {
        let mut settler = Settler::default();
        let renamed = HashSet::from([PathBuf::from("model_1.pt")]);
        let files = [file("model_1.pt", 10, 0)];
        let events = settler.scan(&files, &renamed, at(0), |_| Ok(Header::default()));
        assert_eq!(events, [settled(&files[0])]);
    }

    #[test]
    fn an_unreadable_file_is_reported_once_and_tried_less_and_less_often() {
        let mut settler = Settler::default();
        let files = [file("model_1.pt", 0, 0)];
        assert_eq!(
            scan(&mut settler, &files, 100),
            [refused("model_1.pt", "cut short")]
        );
        let mut tries = Vec::new();
        for now in 101..140 {
            settler.scan(&files, &HashSet::new(), at(now), |_| {
                tries.push(now);
                Err("cut short".into())
            });
        }
        assert_eq!(tries, [102, 106, 114, 130]);
        let whole = [file("model_1.pt", 9, 150)];
        assert_eq!(
            scan(&mut settler, &whole, 150),
            [RunEvent::Waiting("model_1.pt".into())]
        );
        assert_eq!(scan(&mut settler, &whole, 152), [settled(&whole[0])]);
    }

    #[test]
    fn new_contents_are_reported_again_and_a_lost_file_once() {
        let mut settler = Settler::default();
        scan(&mut settler, &[file("model_1.pt", 10, 0)], 60);
        let new = [file("model_1.pt", 11, 61)];
        assert_eq!(
            scan(&mut settler, &new, 62),
            [RunEvent::Waiting("model_1.pt".into())]
        );
        assert_eq!(scan(&mut settler, &new, 64), [settled(&new[0])]);
        assert_eq!(
            scan(&mut settler, &[], 66),
            [RunEvent::Vanished("model_1.pt".into())]
        );
        assert_eq!(scan(&mut settler, &[], 68), []);
    }
}
