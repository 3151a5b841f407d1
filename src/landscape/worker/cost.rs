//! The cost of measuring to the machine: processor time and memory of this process and of its workers.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::budget::{Budget, are_others_busy};
use super::load::{TICKS, idle_time};
use super::nvidia;
use crate::landscape::device::Place;

/// Time between two readings.
pub(super) const EVERY: Duration = Duration::from_secs(2);
/// Change of the number of cores that is worth a report: to draw a number that trembles costs something itself.
const CORES: f64 = 0.05;
/// Change of the memory that is worth a report.
const MEMORY: u64 = 32 << 20;
/// Change of the share of a GPU that is worth a report.
const SHARE: f64 = 0.05;

/// The cost of measuring to the machine it runs on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct OwnCost {
    /// Processor time of isoloss and its workers over the last seconds, in cores.
    pub cores: f64,
    /// Bytes that they have in memory.
    pub memory: u64,
    /// Part of the GPU; `None` if none is used, or it does not tell.
    pub gpu: Option<f64>,
    /// Other programs keep the processors busy, and measuring yields to them, so that hardly any is left for it.
    pub is_beside_others: bool,
}

impl OwnCost {
    /// Returns true if the difference is worth a report.
    fn differs(&self, other: &Self) -> bool {
        let [share, other_share] = [self, other].map(|cost| cost.gpu.unwrap_or(-1.0));
        (self.cores - other.cores).abs() >= CORES
            || self.memory.abs_diff(other.memory) >= MEMORY
            || (share - other_share).abs() >= SHARE
            || self.is_beside_others != other.is_beside_others
    }
}

/// A worker process as those see it who read the cost.
#[derive(Debug, Default)]
pub(super) struct Metered {
    /// 0 while there is none.
    process: AtomicU32,
    place: Mutex<Option<Place>>,
}

impl Metered {
    /// Takes the id of the process that works from now on.
    pub(super) fn set_process(&self, process: u32) {
        self.process.store(process, Ordering::Relaxed);
    }

    /// Takes the device that it has opened.
    pub(super) fn set_place(&self, place: Place) {
        *self.place.lock().unwrap_or_else(PoisonError::into_inner) = Some(place);
    }

    /// Returns the id of the process; `None` while there is none.
    pub(super) fn process(&self) -> Option<u32> {
        Some(self.process.load(Ordering::Relaxed)).filter(|id| *id > 0)
    }

    /// Returns the share of a GPU's time that it takes; `None` on another device, or if nobody tells.
    fn gpu(&self) -> Option<f64> {
        let place = (*self.place.lock().unwrap_or_else(PoisonError::into_inner))?;
        Some(nvidia::shares(place, self.process()?)?.own)
    }
}

/// Reads the cost again and again.
#[derive(Debug)]
pub(super) struct Meter {
    workers: Vec<Arc<Metered>>,
    /// Time of the last reading, and the processor time of each process then.
    last: (Instant, BTreeMap<u32, f64>),
    /// False under a budget that takes all.
    yields: bool,
    /// Time in which the processors were idle until then; `None` if the system does not tell.
    idle: Option<Duration>,
    /// The cost as reported last.
    told: Option<OwnCost>,
}

impl Meter {
    /// Begins now.
    pub(super) fn of(workers: Vec<Arc<Metered>>, budget: Budget) -> Self {
        let mut meter = Self {
            workers,
            yields: budget != Budget::All,
            last: (Instant::now(), BTreeMap::new()),
            idle: idle_time(),
            told: None,
        };
        meter.last.1 = meter.seconds();
        meter
    }

    fn processes(&self) -> impl Iterator<Item = u32> {
        let workers = self.workers.iter().filter_map(|worker| worker.process());
        std::iter::once(std::process::id()).chain(workers)
    }

    fn seconds(&self) -> BTreeMap<u32, f64> {
        let read = |id| Some((id, seconds(&stat(id)?)?));
        self.processes().filter_map(read).collect()
    }

    /// Reads the cost since the last reading; `None` if the system does not tell, or nothing has changed.
    pub(super) fn read(&mut self) -> Option<OwnCost> {
        let (now, seconds) = (Instant::now(), self.seconds());
        let memory = self.processes().filter_map(memory).sum();
        let (then, before) = std::mem::replace(&mut self.last, (now, seconds));
        let taken = |(id, seconds): (&u32, &f64)| seconds - before.get(id).unwrap_or(&0.0);
        let taken = self.last.1.iter().map(taken).sum::<f64>().max(0.0);
        let time = (now - then).max(Duration::from_millis(1));
        let idle = idle_time();
        let was_idle = std::mem::replace(&mut self.idle, idle);
        // Of several the one that is taken most.
        let gpu = self.workers.iter().filter_map(|worker| worker.gpu());
        let cost = OwnCost {
            cores: taken / time.as_secs_f64(),
            memory,
            gpu: gpu.max_by(f64::total_cmp),
            is_beside_others: idle.zip(was_idle).filter(|_| self.yields).is_some_and(
                |(idle, was)| {
                    are_others_busy(
                        time,
                        Duration::from_secs_f64(taken),
                        idle.saturating_sub(was),
                    )
                },
            ),
        };
        let is_known = self.told.is_some_and(|told| !cost.differs(&told));
        if is_known || self.last.1.is_empty() {
            return None;
        }
        self.told = Some(cost);
        Some(cost)
    }
}

fn stat(process: u32) -> Option<String> {
    std::fs::read_to_string(format!("/proc/{process}/stat")).ok()
}

/// Returns the seconds of processor time of all threads of a process, from its `/proc/PID/stat`.
fn seconds(stat: &str) -> Option<f64> {
    // The name in parentheses may hold anything.
    let fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    let ticks: Vec<u64> = (fields.skip(11).take(2))
        .map_while(|field| field.parse().ok())
        .collect();
    (ticks.len() == 2).then(|| ticks.iter().sum::<u64>() as f64 / f64::from(TICKS))
}

/// Returns the bytes that a process has in memory.
#[cfg(target_os = "linux")]
pub(crate) fn memory(process: u32) -> Option<u64> {
    let statm = std::fs::read_to_string(format!("/proc/{process}/statm")).ok()?;
    let pages: u64 = statm.split_ascii_whitespace().nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn memory(_process: u32) -> Option<u64> {
    None
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use super::*;

    #[test]
    fn the_time_of_a_process_is_read_behind_its_name() {
        let stat = "77 (a) b (c) S 1 77 77 0 -1 4194560 100 0 0 0 250 50 9 9 20 0 3 0 5 1 1";
        assert_eq!(seconds(stat), Some(3.0));
        assert_eq!(seconds("77 (a) S 1 2"), None);
        assert_eq!(seconds(""), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_busy_process_costs_a_core_and_what_does_not_change_is_told_once() {
        let mut meter = Meter::of(Vec::new(), Budget::Auto);
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_millis(300) {
            std::hint::spin_loop();
        }
        let Some(cost) = meter.read() else {
            panic!("nothing is told");
        };
        // Other tests run beside it, and other programs.
        assert!(cost.cores > 0.05, "{cost:?}");
        assert!(cost.memory > 1 << 20, "{cost:?}");
        assert!(!cost.differs(&cost));
        let is_beside_others = !cost.is_beside_others;
        assert!(cost.differs(&OwnCost {
            is_beside_others,
            ..cost
        }));
        meter.told = Some(OwnCost { memory: 1, ..cost });
        assert!(meter.read().is_some());
    }
}
