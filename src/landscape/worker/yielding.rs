//! Steps back behind other work of the machine in a way that the kernel honours, and measures whether it does.
//!
//! With `sched_autogroup_enabled`, the default of most kernels, priorities count only among the processes of one
//! session: neither niceness nor `SCHED_IDLE` makes a terminal's process yield to that of another one. The niceness of
//! the session itself, in `/proc/self/autogroup`, does; where sessions do not count, the process's own.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Part of a core below which a loop that steps back has yielded to an ordinary one, and that below which it has only in
/// part: the niceness of `auto` leaves it 3 %.
const YIELDED: [f64; 2] = [0.06, 0.25];
/// Part of a core that two loops have together if nothing else runs there.
const ALONE: f64 = 0.9;
/// Niceness of the process itself, for kernels on which sessions do not count.
const NICE: i32 = 19;

/// The extent to which the kernel honours that a process steps back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Honoured {
    /// Others get nearly all.
    Fully,
    /// Others get most.
    Partly,
    /// It makes no difference, or hardly.
    Not,
}

/// Processor time of two loops on one core, one of which stepped back.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Contest {
    /// Seconds of the ordinary loop.
    pub ordinary: f64,
    /// Seconds of the one that stepped back.
    pub polite: f64,
    /// Seconds that they took by the clock.
    #[serde(default)]
    pub seconds: f64,
}

impl Contest {
    /// Returns the part of the core that the polite loop took of what both had.
    #[must_use]
    pub fn share(&self) -> f64 {
        self.polite / (self.ordinary + self.polite)
    }

    /// Says how far the kernel honours it.
    #[must_use]
    pub fn honoured(&self) -> Honoured {
        let [fully, partly] = YIELDED;
        match self.share() {
            share if share < fully => Honoured::Fully,
            share if share < partly => Honoured::Partly,
            _ => Honoured::Not,
        }
    }

    /// Returns the part of the core that both had together; what is missing, others took.
    #[must_use]
    pub fn of_core(&self) -> f64 {
        (self.ordinary + self.polite) / self.seconds
    }

    /// Returns true if nothing else took of the core, so that the shares are those of the two.
    #[must_use]
    pub fn is_alone(&self) -> bool {
        self.of_core() >= ALONE
    }
}

/// Steps back with this process and its session, which it must lead, as far as the system allows. Threads that are
/// started from now on inherit it.
#[cfg(target_os = "linux")]
pub fn step_back(niceness: i32) {
    use ioprio::{Class, Pid, Priority, Target};
    use rustix::process::{getpid, getpriority_process, getsid, nice};
    // Another's session is not this program's to change.
    if getsid(None).is_ok_and(|session| session == getpid()) {
        set_autogroup(niceness);
    }
    let left = getpriority_process(None).map_or(NICE, |now| NICE - now);
    if let Err(error) = nice(left.max(0)) {
        tracing::info!("priority stays: {error}");
    }
    let idle = Priority::new(Class::Idle);
    if let Err(error) = ioprio::set_priority(Target::Process(Pid::this()), idle) {
        tracing::info!("priority of reads stays: {error}");
    }
}

#[cfg(target_os = "linux")]
fn set_autogroup(niceness: i32) {
    // The kernel takes one change in a tenth of a second.
    for _ in 0..3 {
        match std::fs::write("/proc/self/autogroup", niceness.to_string()) {
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                std::thread::sleep(Duration::from_millis(110));
            }
            Err(error) => return tracing::info!("priority of the session stays: {error}"),
            Ok(()) => return,
        }
    }
}

/// Steps back with this process.
#[cfg(all(unix, not(target_os = "linux")))]
pub fn step_back(_niceness: i32) {
    if let Err(error) = rustix::process::nice(NICE) {
        tracing::info!("priority stays: {error}");
    }
}

#[cfg(not(unix))]
pub fn step_back(_niceness: i32) {}

/// Makes this process the leader of a session of its own, so that Ctrl-C at the terminal does not reach it. One that
/// leads a group already stays where it is.
pub fn leave_session() {
    #[cfg(unix)]
    if let Err(error) = rustix::process::setsid() {
        tracing::info!("the session stays: {error}");
    }
}

/// Computes for a time on the first core that this process may use, and returns the seconds of processor time that it got.
#[cfg(target_os = "linux")]
#[must_use]
pub fn busy(length: Duration) -> f64 {
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
    use rustix::time::{ClockId, clock_gettime};
    if let Ok(all) = sched_getaffinity(None)
        && let Some(core) = (0..CpuSet::MAX_CPU).find(|core| all.is_set(*core))
    {
        let mut one = CpuSet::new();
        one.set(core);
        // Two loops on two cores would both have one.
        let _ = sched_setaffinity(None, &one);
    }
    let now = || {
        let now = clock_gettime(ClockId::ThreadCPUTime);
        now.tv_sec as f64 + now.tv_nsec as f64 * 1e-9
    };
    let (begin, end) = (now(), std::time::Instant::now() + length);
    while std::time::Instant::now() < end {
        std::hint::spin_loop();
    }
    now() - begin
}

/// Computes for a time; the processor time that it got is not known here.
#[cfg(not(target_os = "linux"))]
#[must_use]
pub fn busy(_length: Duration) -> f64 {
    f64::NAN
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loop_that_gets_a_few_hundredths_of_a_core_has_yielded() {
        let contest = |ordinary, polite| Contest {
            ordinary,
            polite,
            seconds: 0.1,
        };
        // The figures of a kernel with autogroups: by the autogroup 15, and by SCHED_IDLE alone.
        assert_eq!(contest(0.097, 0.003).honoured(), Honoured::Fully);
        assert_eq!(contest(0.09, 0.009).honoured(), Honoured::Partly);
        assert_eq!(contest(0.0505, 0.0495).honoured(), Honoured::Not);
        assert_eq!(contest(0.0, 0.0).honoured(), Honoured::Not);
        assert_eq!(contest(0.75, 0.25).share(), 0.25);
        assert!(contest(0.09, 0.009).is_alone() && !contest(0.05, 0.002).is_alone());
    }
}
