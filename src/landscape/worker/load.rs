//! The use of the processors by everybody, from `/proc/stat`.

use std::time::Duration;

/// Ticks of a second in `/proc`, on every Linux.
pub(super) const TICKS: u32 = 100;

/// Returns the time in which the processors that this process may use were idle, all together, since the machine started;
/// `None` if the system does not tell.
#[cfg(target_os = "linux")]
pub(super) fn idle_time() -> Option<Duration> {
    let may_use = rustix::thread::sched_getaffinity(None).ok()?;
    let stat = std::fs::read_to_string("/proc/stat").ok()?;
    idle(&stat, |core| may_use.is_set(core))
}

#[cfg(not(target_os = "linux"))]
pub(super) fn idle_time() -> Option<Duration> {
    None
}

/// Adds up the idle time of some processors in the text of `/proc/stat`, that in which they waited for a disk with it.
fn idle(stat: &str, may_use: impl Fn(usize) -> bool) -> Option<Duration> {
    let mut ticks = None;
    for line in stat.lines() {
        let mut words = line.split_ascii_whitespace();
        let core = words.next().and_then(|word| word.strip_prefix("cpu"));
        let core = core.and_then(|core| core.parse().ok());
        if core.is_some_and(&may_use) {
            // user, nice and system come before.
            let both: Vec<u32> = (words.skip(3).take(2))
                .map_while(|word| word.parse().ok())
                .collect();
            ticks = Some(ticks.unwrap_or(0) + both.iter().sum::<u32>());
        }
    }
    ticks.map(|ticks| Duration::from_secs(1) * ticks / TICKS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_time_is_that_of_the_processors_that_may_be_used() {
        let stat = "cpu  9 0 9 900 9 0 0 0 0 0\ncpu0 1 0 1 250 50 0 0 0 0 0\ncpu1 1 0 1 100 0 0 0 0 0 0\n\
            intr 9 9 9 9 9\nctxt 5\n";
        let seconds =
            |may_use: fn(usize) -> bool| idle(stat, may_use).map(|time| time.as_secs_f64());
        assert_eq!(seconds(|_| true), Some(4.0));
        assert_eq!(seconds(|core| core == 0), Some(3.0));
        assert_eq!(seconds(|_| false), None);
        assert_eq!(idle("", |_| true), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_machine_tells_it() {
        assert!(idle_time().is_some());
    }
}
