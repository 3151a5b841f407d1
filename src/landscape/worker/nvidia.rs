//! Memory and use of a GPU, as NVIDIA's library tells them (NVML), which is looked for at run time.
//!
//! What it tells was never read beside a training on a card; the rules that follow from it are tried on simulated
//! readings.

use std::collections::BTreeMap;
use std::fmt;

use crate::landscape::device::Place;

/// Bytes of a GiB.
const GIB: f64 = (1u64 << 30) as f64;

/// Bytes of a GPU's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Room {
    pub(super) total: u64,
    pub(super) free: u64,
}

impl fmt::Display for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [free, total] = [self.free, self.total].map(|bytes| bytes as f64 / GIB);
        write!(f, "{free:.1} of {total:.1} GiB of memory")
    }
}

impl Room {
    /// Returns the share that is free, 0 to 1.
    pub(super) fn share(self) -> f64 {
        self.free as f64 / self.total.max(1) as f64
    }
}

/// Shares of a GPU's time over the last seconds, 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Use {
    /// The share of one process.
    pub(super) own: f64,
    /// That of all others together.
    pub(super) others: f64,
}

impl Use {
    /// Returns the use by `own` and by others, from percentages by process. `None` if the process is not among those
    /// that the GPU knows: then it is known there by a number of another name space, and its own use would be taken for
    /// others'.
    fn of(own: u32, known: &[u32], samples: &[(u32, u32)]) -> Option<Self> {
        if !known.contains(&own) {
            return None;
        }
        let mut by_process: BTreeMap<u32, (f64, f64)> = BTreeMap::new();
        for &(process, percent) in samples {
            let (sum, count) = by_process.entry(process).or_default();
            *sum += f64::from(percent.min(100)) / 100.0;
            *count += 1.0;
        }
        let mean = |(sum, count): (f64, f64)| sum / count;
        let own_share = by_process.remove(&own).map_or(0.0, mean);
        let others = by_process.into_values().map(mean).sum::<f64>();
        Some(Self {
            own: own_share,
            others: others.min(1.0),
        })
    }
}

/// The entry of `CUDA_VISIBLE_DEVICES` at an ordinal: where others are hidden, CUDA counts those that are left.
#[derive(Debug, PartialEq)]
enum Entry<'a> {
    Index(u32),
    Uuid(&'a str),
}

fn entry(visible: Option<&str>, ordinal: usize) -> Option<Entry<'_>> {
    let Some(visible) = visible else {
        return Some(Entry::Index(u32::try_from(ordinal).ok()?));
    };
    let word = visible.split(',').nth(ordinal)?.trim();
    if word.starts_with("GPU-") {
        return Some(Entry::Uuid(word));
    }
    // A part of a card (MIG) does not report memory of its own in this way.
    word.parse().ok().map(Entry::Index)
}

/// Returns the room on a GPU; `None` for another device, or if nobody tells.
pub(super) fn room(place: Place) -> Option<Room> {
    card::room(place)
}

/// Returns the use of a GPU by a process and by others; `None` for another device, or if nobody tells.
pub(super) fn shares(place: Place, own: u32) -> Option<Use> {
    card::shares(place, own)
}

#[cfg(target_os = "linux")]
mod card {
    use std::sync::OnceLock;
    use std::time::{Duration, SystemTime};

    use nvml_wrapper::error::NvmlError;
    use nvml_wrapper::{Device, Nvml};

    use super::{Entry, Place, Room, Use, entry};

    /// Time over which the use is averaged.
    const OVER: Duration = Duration::from_secs(3);

    fn device(place: Place) -> Option<Device<'static>> {
        static NVML: OnceLock<Option<Nvml>> = OnceLock::new();
        let Place::Cuda(ordinal) = place else {
            return None;
        };
        let nvml = NVML.get_or_init(|| {
            let found = Nvml::init();
            let told =
                found.inspect_err(|error| tracing::info!("the GPU's state is not known: {error}"));
            told.ok()
        });
        let nvml = nvml.as_ref()?;
        let visible = std::env::var("CUDA_VISIBLE_DEVICES").ok();
        match entry(visible.as_deref(), ordinal)? {
            Entry::Index(index) => nvml.device_by_index(index).ok(),
            Entry::Uuid(uuid) => nvml.device_by_uuid(uuid).ok(),
        }
    }

    pub(super) fn room(place: Place) -> Option<Room> {
        let memory = device(place)?.memory_info().ok()?;
        Some(Room {
            total: memory.total,
            free: memory.free,
        })
    }

    pub(super) fn shares(place: Place, own: u32) -> Option<Use> {
        let device = device(place)?;
        let known = device.running_compute_processes().ok()?;
        let known: Vec<u32> = known.iter().map(|process| process.pid).collect();
        let since = SystemTime::now() - OVER;
        let since = since.duration_since(SystemTime::UNIX_EPOCH).ok()?;
        let samples = match device.process_utilization_stats(since.as_micros() as u64) {
            Ok(samples) => samples,
            // Nobody has used it.
            Err(NvmlError::NotFound) => Vec::new(),
            Err(_) => return None,
        };
        let samples = samples.iter().map(|sample| (sample.pid, sample.sm_util));
        Use::of(own, &known, &samples.collect::<Vec<_>>())
    }
}

#[cfg(not(target_os = "linux"))]
mod card {
    use super::{Place, Room, Use};

    pub(super) fn room(_place: Place) -> Option<Room> {
        None
    }

    pub(super) fn shares(_place: Place, _own: u32) -> Option<Use> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn use_is_told_apart_by_process_and_averaged_over_its_samples() {
        let samples = [(7, 10), (7, 30), (8, 90), (9, 60)];
        let shares = Use::of(7, &[7, 8], &samples);
        assert_eq!(
            shares,
            Some(Use {
                own: 0.2,
                others: 1.0
            })
        );
        let idle = Use::of(7, &[7], &[]);
        assert_eq!(
            idle,
            Some(Use {
                own: 0.0,
                others: 0.0
            })
        );
        assert_eq!(Use::of(7, &[8], &samples), None);
    }

    #[test]
    fn an_ordinal_counts_the_cards_that_are_visible() {
        assert_eq!(entry(None, 1), Some(Entry::Index(1)));
        assert_eq!(entry(Some("3, 5"), 1), Some(Entry::Index(5)));
        assert_eq!(entry(Some("3,5"), 2), None);
        assert_eq!(entry(Some("GPU-ab12,0"), 0), Some(Entry::Uuid("GPU-ab12")));
        assert_eq!(entry(Some("MIG-ab12"), 0), None);
        assert_eq!(entry(Some(""), 0), None);
    }

    #[test]
    fn room_is_told_in_words() {
        let room = Room {
            total: 40 << 30,
            free: 2 << 30,
        };
        assert_eq!(room.to_string(), "2.0 of 40.0 GiB of memory");
    }

    #[test]
    fn no_other_device_has_a_state() {
        assert_eq!(room(Place::Cpu), None);
        assert_eq!(shares(Place::Cpu, 1), None);
    }
}
