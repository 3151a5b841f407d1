//! Times on the command line.

use std::time::Duration;

/// Returns a time such as 30s or 2m, or in seconds, from the least to the most that it may be; `None` if it is no such
/// one.
pub(super) fn time_within(text: &str, [least, most]: [Duration; 2]) -> Option<Duration> {
    let seconds = text.parse().ok().map(Duration::from_secs);
    let time = seconds.or_else(|| humantime::parse_duration(text).ok());
    time.filter(|time| (least..=most).contains(time))
}
