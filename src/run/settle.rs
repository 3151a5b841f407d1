//! When a file counts as a checkpoint: pure rules over scans, so that each can be tested.
//!
//! A file counts once its size and time of change were equal on two scans, or it arrived by rename, or
//! it had been at rest for long when it was first seen; and its own header agrees with its size.
//! Until then it waits. One that cannot be read is reported and tried again, less and less often.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::Checkpoint;
use super::log::News;
use super::scan::{self, Found};
use super::stamp::Stamp;

/// What the scanner tells.
#[derive(Clone, Debug, PartialEq)]
pub enum RunEvent {
    /// A checkpoint is being written.
    Waiting(PathBuf),
    /// A checkpoint is whole: a new one, or new contents of an old one.
    Settled(Checkpoint),
    /// A checkpoint cannot be read, or does not count; one sentence says why. It is tried again.
    Unreadable {
        /// The checkpoint.
        path: PathBuf,
        /// The reason.
        reason: String,
    },
    /// A checkpoint is gone.
    Vanished(PathBuf),
    /// Training's own log has changed.
    Logged(News),
    /// A scan is complete: all that it found has been told.
    Scanned,
    /// The run folder itself cannot be looked at; one sentence says why.
    Failed(String),
}

/// First pause before an unreadable file is tried again; doubled each time.
const RETRY: Duration = Duration::from_secs(2);
/// Longest pause.
const LONGEST_RETRY: Duration = Duration::from_secs(60);

#[derive(Clone, Debug, PartialEq)]
enum State {
    /// Seen with a stamp that may still change.
    Waiting,
    Settled {
        step: u64,
        named: bool,
    },
    Unreadable {
        reason: String,
        again: SystemTime,
        pause: Duration,
    },
}

/// The files of a run and how far each has come.
#[derive(Clone, Debug, Default)]
pub struct Settler {
    files: BTreeMap<PathBuf, (Stamp, State)>,
}

/// What a checkpoint says of itself when it is opened: its step, if it has one, or why it cannot be.
pub type Opening = Result<Option<u64>, String>;

impl Settler {
    /// Compares a scan with the one before. `renamed` are files that arrived by rename since then;
    /// `open` reads a checkpoint's header.
    pub fn scan(
        &mut self,
        found: &[Found],
        renamed: &HashSet<PathBuf>,
        now: SystemTime,
        mut open: impl FnMut(&Path) -> Opening,
    ) -> Vec<RunEvent> {
        let mut events = self.vanished(found);
        let mut ready = Vec::new();
        for found in found {
            if self.is_ready(found, renamed, now, &mut events) {
                ready.push((found, open(&found.path)));
            }
        }
        self.number_where_none_tells(&mut ready);
        ready
            .sort_by_key(|(found, opening)| (found.step.is_none(), opening.clone().ok().flatten()));
        for (found, opening) in ready {
            self.settle(found, opening, now, &mut events);
        }
        events
    }

    /// True while a file may settle on a next scan soon.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.files
            .values()
            .any(|(_, state)| *state == State::Waiting)
    }

    fn vanished(&mut self, found: &[Found]) -> Vec<RunEvent> {
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

    /// Whether a file should be opened now.
    fn is_ready(
        &mut self,
        found: &Found,
        renamed: &HashSet<PathBuf>,
        now: SystemTime,
        events: &mut Vec<RunEvent>,
    ) -> bool {
        let known = self.files.get(&found.path);
        let still = match known {
            Some((stamp, State::Settled { .. })) if *stamp == found.stamp => return false,
            Some((stamp, State::Unreadable { again, .. })) if *stamp == found.stamp => {
                return now >= *again;
            }
            Some((stamp, State::Waiting)) => *stamp == found.stamp,
            Some(_) => false,
            None => scan::is_at_rest(found.stamp, now),
        };
        if still || renamed.contains(&found.path) {
            return true;
        }
        if !matches!(known, Some((_, State::Waiting))) {
            events.push(RunEvent::Waiting(found.path.clone()));
        }
        self.files
            .insert(found.path.clone(), (found.stamp, State::Waiting));
        false
    }

    /// In a run where no checkpoint tells a step they are numbered in the order in which they came.
    fn number_where_none_tells(&self, ready: &mut [(&Found, Opening)]) {
        let mut known = self.files.values().filter_map(|(_, state)| match state {
            State::Settled { step, named } => Some((*step, *named)),
            _ => None,
        });
        let told =
            known.any(|(_, named)| named) || ready.iter().any(|(found, _)| found.step.is_some());
        if told
            || ready
                .iter()
                .any(|(_, opening)| matches!(opening, Ok(Some(_))))
        {
            return;
        }
        let settled = |(_, state): &&(Stamp, State)| matches!(state, State::Settled { .. });
        let first = self.files.values().filter(settled).count() as u64;
        ready.sort_by_key(|(found, _)| found.stamp.modified);
        let openings = ready
            .iter_mut()
            .filter_map(|(_, opening)| opening.as_mut().ok());
        for (number, step) in openings.enumerate() {
            *step = Some(first + number as u64);
        }
    }

    fn settle(
        &mut self,
        found: &Found,
        opening: Opening,
        now: SystemTime,
        events: &mut Vec<RunEvent>,
    ) {
        let path = &found.path;
        let step = match opening {
            Err(reason) => return self.refuse(found, reason, now, events),
            Ok(step) => found.step.or(step),
        };
        let Some(step) = step else {
            return self.refuse(found, scan::no_step(path), now, events);
        };
        let rival = self
            .files
            .iter()
            .find_map(|(other, (_, state))| match state {
                State::Settled {
                    step: theirs,
                    named,
                } if *theirs == step && other != path => Some((other.clone(), *named)),
                _ => None,
            });
        match rival {
            // A copy like `last.ckpt` makes room for the checkpoint that has the step in its name.
            Some((other, false)) if found.step.is_some() => {
                if let Some((_, state)) = self.files.get_mut(&other) {
                    let reason = scan::same_step(&other, step, path);
                    *state = unreadable(&reason, None, now);
                    events.push(RunEvent::Vanished(other.clone()));
                    events.push(RunEvent::Unreadable {
                        path: other,
                        reason,
                    });
                }
            }
            Some((other, _)) => {
                return self.refuse(found, scan::same_step(path, step, &other), now, events);
            }
            None => {}
        }
        let state = State::Settled {
            step,
            named: found.step.is_some(),
        };
        self.files.insert(path.clone(), (found.stamp, state));
        events.push(RunEvent::Settled(Checkpoint {
            step,
            path: path.clone(),
        }));
    }

    /// Reports a reason once, and plans the next try.
    fn refuse(
        &mut self,
        found: &Found,
        reason: String,
        now: SystemTime,
        events: &mut Vec<RunEvent>,
    ) {
        let before = match self.files.get(&found.path) {
            Some((
                stamp,
                State::Unreadable {
                    reason: before,
                    pause,
                    ..
                },
            )) if *stamp == found.stamp => Some((before == &reason, *pause)),
            _ => None,
        };
        let state = unreadable(&reason, before.map(|(_, pause)| pause), now);
        self.files.insert(found.path.clone(), (found.stamp, state));
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

    /// Seconds since an arbitrary start.
    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000 + seconds)
    }

    fn file(name: &str, size: u64, modified: u64) -> Found {
        Found {
            path: name.into(),
            step: super::super::step::of(Path::new(name), Path::new("")),
            stamp: Stamp {
                size,
                modified: at(modified),
                inode: 7,
            },
        }
    }

    /// Scans at a time, with every file opening well but those of no bytes.
    fn scan(settler: &mut Settler, files: &[Found], now: u64) -> Vec<RunEvent> {
        let sizes: BTreeMap<PathBuf, u64> = files
            .iter()
            .map(|f| (f.path.clone(), f.stamp.size))
            .collect();
        settler.scan(files, &HashSet::new(), at(now), |path| match sizes[path] {
            0 => Err("cut short".into()),
            _ => Ok(path
                .to_str()
                .filter(|name| name.contains("last"))
                .map(|_| 500)),
        })
    }

    fn settled(step: u64, path: &str) -> RunEvent {
        RunEvent::Settled(Checkpoint {
            step,
            path: path.into(),
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
        assert_eq!(scan(&mut settler, &[file("model_1.pt", 20, 2)], 2), []);
        assert!(settler.is_waiting());
        assert_eq!(
            scan(&mut settler, &[file("model_1.pt", 20, 2)], 4),
            [settled(1, "model_1.pt")]
        );
        assert_eq!(scan(&mut settler, &[file("model_1.pt", 20, 2)], 6), []);
        assert!(!settler.is_waiting());
    }

    #[test]
    fn a_file_at_rest_when_it_is_first_seen_counts_at_once() {
        let mut settler = Settler::default();
        assert_eq!(
            scan(&mut settler, &[file("model_1.pt", 10, 0)], 60),
            [settled(1, "model_1.pt")]
        );
    }

    #[test]
    fn a_renamed_file_counts_at_once() {
        let mut settler = Settler::default();
        let renamed = HashSet::from([PathBuf::from("model_1.pt")]);
        let events = settler.scan(&[file("model_1.pt", 10, 0)], &renamed, at(0), |_| Ok(None));
        assert_eq!(events, [settled(1, "model_1.pt")]);
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
        assert_eq!(
            scan(&mut settler, &[file("model_1.pt", 9, 150)], 150),
            [RunEvent::Waiting("model_1.pt".into())]
        );
        assert_eq!(
            scan(&mut settler, &[file("model_1.pt", 9, 150)], 152),
            [settled(1, "model_1.pt")]
        );
    }

    #[test]
    fn new_contents_are_reported_again_and_a_lost_file_once() {
        let mut settler = Settler::default();
        scan(&mut settler, &[file("model_1.pt", 10, 0)], 60);
        assert_eq!(
            scan(&mut settler, &[file("model_1.pt", 11, 61)], 62),
            [RunEvent::Waiting("model_1.pt".into())]
        );
        assert_eq!(
            scan(&mut settler, &[file("model_1.pt", 11, 61)], 64),
            [settled(1, "model_1.pt")]
        );
        assert_eq!(
            scan(&mut settler, &[], 66),
            [RunEvent::Vanished("model_1.pt".into())]
        );
        assert_eq!(scan(&mut settler, &[], 68), []);
    }

    #[test]
    fn a_copy_of_the_last_checkpoint_makes_room_for_the_one_with_the_step_in_its_name() {
        let mut settler = Settler::default();
        assert_eq!(
            scan(&mut settler, &[file("last.ckpt", 10, 0)], 60),
            [settled(500, "last.ckpt")]
        );
        let both = [file("last.ckpt", 10, 0), file("step=500.ckpt", 10, 0)];
        let events = scan(&mut settler, &both, 70);
        assert_eq!(events[0], RunEvent::Vanished("last.ckpt".into()));
        assert!(
            matches!(&events[1], RunEvent::Unreadable { reason, .. } if reason.contains("step 500 is already"))
        );
        assert_eq!(events[2], settled(500, "step=500.ckpt"));
        assert_eq!(scan(&mut settler, &both, 71), []);
    }

    #[test]
    fn without_any_step_the_order_is_that_of_time() {
        let mut settler = Settler::default();
        let files = [file("b.pt", 1, 3), file("a.pt", 1, 9)];
        assert_eq!(
            scan(&mut settler, &files, 60),
            [settled(0, "b.pt"), settled(1, "a.pt")]
        );
        let more = [files[0].clone(), files[1].clone(), file("c.pt", 1, 11)];
        assert_eq!(scan(&mut settler, &more, 70), [settled(2, "c.pt")]);
    }

    #[test]
    fn beside_steps_a_checkpoint_without_one_is_left_out() {
        let mut settler = Settler::default();
        let events = scan(
            &mut settler,
            &[file("best.pt", 1, 0), file("model_3.pt", 1, 0)],
            60,
        );
        assert_eq!(events[0], settled(3, "model_3.pt"));
        assert!(
            matches!(&events[1], RunEvent::Unreadable { reason, .. } if reason.contains("expected a step"))
        );
    }
}
