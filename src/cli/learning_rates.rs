//! The learning rates of checkpoints and what training's log tells of them.

use std::path::Path;

use crate::run::hyper::Hyper;
use crate::run::log::{Clock, Logged};
use crate::run::{Checkpoint, scan};

use super::options::KeyOption;
use super::warn;

/// The rate at each of these checkpoints of a run; what is wrong with its log is said on stderr.
pub(super) fn of(run: &Path, key: &KeyOption, members: &[Checkpoint]) -> Vec<Option<f64>> {
    let own = members.iter().map(|member| Hyper::of(member).learning_rate);
    let own: Vec<Option<f64>> = own.collect();
    if own.iter().all(Option::is_some) {
        return own;
    }
    let Some(logged) = logged(run, key, members) else {
        return own;
    };
    let rates = own.into_iter().zip(logged);
    rates.map(|(own, logged)| own.or(logged.rate)).collect()
}

/// What the log of the run tells. All checkpoints of the run tell what their numbers count, not only
/// those that were asked for.
pub(super) fn logged(run: &Path, key: &KeyOption, members: &[Checkpoint]) -> Option<Vec<Logged>> {
    let news = scan::training_log(run);
    for trouble in &news.warnings {
        // The result counts even where nobody reads what it lacks.
        let _ = warn::say(trouble);
    }
    let log = news.log?;
    let all = key.open(run).ok()?.checkpoints;
    Some(Clock::of(&log, &all, run)?.logged(&log, members))
}
