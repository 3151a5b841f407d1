//! The learning rates of checkpoints and what training's log tells of them.

use std::iter::repeat;
use std::path::Path;

use crate::cache::{KeepLimit, RunCache};
use crate::run::hyper::{self};
use crate::run::{Checkpoint, Hyper, LogClock, Logged, scan};

use super::options::KeyOption;
use super::warn;

/// Returns the rate at each of these checkpoints of a run; what is wrong with its log is said on stderr.
pub(super) fn of(run: &Path, key: &KeyOption, members: &[Checkpoint]) -> Vec<Option<f64>> {
    let own = saved(run, members);
    if own.iter().all(Option::is_some) {
        return own;
    }
    let logged = logged(run, key, members).unwrap_or_default();
    with_logged(own, &logged)
}

/// Returns the rate of each update from one of these checkpoints to the next.
pub(super) fn of_updates(run: &Path, key: &KeyOption, members: &[Checkpoint]) -> Vec<Option<f64>> {
    hyper::of_updates(&of(run, key, members))
}

/// Returns the indices of the checkpoints of a run at which the rate fell.
pub(super) fn drops(run: &Path, key: &KeyOption, members: &[Checkpoint]) -> Vec<usize> {
    hyper::drops(&of(run, key, members))
}

/// Returns the same by a log that was read.
pub(super) fn drops_with(run: &Path, members: &[Checkpoint], logged: &[Logged]) -> Vec<usize> {
    hyper::drops(&with_logged(saved(run, members), logged))
}

/// Returns the rates that the checkpoints themselves hold.
fn saved(run: &Path, members: &[Checkpoint]) -> Vec<Option<f64>> {
    let own = settings(run, members).into_iter();
    own.map(|hyper| hyper.learning_rate).collect()
}

/// Returns the settings of training that checkpoints of a run tell, or told before they went.
pub(super) fn settings(run: &Path, members: &[Checkpoint]) -> Vec<Hyper> {
    let has_kept = members.iter().any(|member| member.kept.is_some());
    let cache = has_kept.then(|| RunCache::open(run, KeepLimit::Auto));
    let cache = cache.flatten();
    let kept = |member: &Checkpoint| cache.as_ref()?.hyper(member);
    let of = |member: &Checkpoint| match member.kept {
        Some(_) => kept(member).unwrap_or_default(),
        None => Hyper::of(member),
    };
    members.iter().map(of).collect()
}

/// Returns the rates that the checkpoints hold, and for the others what the log tells.
fn with_logged(own: Vec<Option<f64>>, logged: &[Logged]) -> Vec<Option<f64>> {
    let logged = logged.iter().map(|logged| logged.rate);
    let rates = own.into_iter().zip(logged.chain(repeat(None)));
    rates.map(|(own, logged)| own.or(logged)).collect()
}

/// Reads the log of the run. All checkpoints of the run tell what their numbers count, not only those that were
/// asked for.
pub(super) fn logged(run: &Path, key: &KeyOption, members: &[Checkpoint]) -> Option<Vec<Logged>> {
    let news = scan::training_log(run);
    for trouble in &news.warnings {
        // The result counts even where nobody reads what it lacks.
        let _ = warn::say(trouble);
    }
    let log = news.log?;
    let all = key.open(run).ok()?.checkpoints;
    Some(LogClock::of(&log, &all, run)?.logged(&log, members))
}
