//! The checkpoints of a run, read onto one path.

use std::sync::Arc;

use crate::run::Checkpoint;
use crate::weights::{Dynamics, Fit, KeptProducts, PathUpdate, Roles, RunPath, RunShape};

use super::options::KeyOption;
use super::{progress, warn};

/// A run that was read: its checkpoints and where they lie.
pub(super) struct ReadPath {
    pub(super) shape: RunShape,
    pub(super) parameters: usize,
    pub(super) members: Vec<Checkpoint>,
    pub(super) fit: Arc<Fit>,
    pub(super) dynamics: Dynamics,
}

/// Reads all checkpoints onto one path; those that do not fit are said on stderr and left out.
pub(super) fn read_path(
    checkpoints: Vec<Checkpoint>,
    key: &KeyOption,
    roles: Option<Arc<Roles>>,
    kept: Option<Arc<dyn KeptProducts>>,
) -> anyhow::Result<ReadPath> {
    let path = RunPath::new(key.key.clone()).with_roles(roles);
    read_onto(path, checkpoints, kept)
}

/// Reads all checkpoints of several runs onto one path.
pub(super) fn read_path_of_many(
    checkpoints: Vec<Checkpoint>,
    key: &KeyOption,
    roles: Option<Arc<Roles>>,
    kept: Option<Arc<dyn KeptProducts>>,
) -> anyhow::Result<ReadPath> {
    let path = RunPath::of_many_runs(key.key.clone()).with_roles(roles);
    read_onto(path, checkpoints, kept)
}

/// Reads checkpoints onto a path, with the dot products that are kept, and keeps those of the others.
fn read_onto(
    path: RunPath,
    checkpoints: Vec<Checkpoint>,
    kept: Option<Arc<dyn KeptProducts>>,
) -> anyhow::Result<ReadPath> {
    let mut path = path.with_kept_products(kept);
    let bar = progress::weights();
    let PathUpdate {
        mut rejected,
        changes,
        ..
    } = path.update(checkpoints, |read, all| {
        let bytes = |weights: usize| (weights * size_of::<f32>()) as u64;
        bar.set_length(bytes(all));
        bar.set_position(bytes(read));
    });
    bar.finish_and_clear();
    let (members, fit) = path.fit();
    let Some(shape) = path.shape().cloned().filter(|_| !members.is_empty()) else {
        let count = rejected.len();
        let first = rejected.drain(..).next();
        let first = first.ok_or_else(|| anyhow::anyhow!("no checkpoint was given"))?;
        return Err(match count {
            1 => first.error.into(),
            _ => anyhow::anyhow!("none of {count} checkpoints is usable: {}", first.error),
        });
    };
    let reasons: Vec<_> = rejected.iter().map(|rejected| &rejected.error).collect();
    warn::left_out(&reasons);
    for change in &changes {
        warn::say(change)?;
    }
    say_kept(&members)?;
    while path.keep_another() {}
    Ok(ReadPath {
        parameters: shape.layout.parameters(),
        shape,
        members,
        dynamics: path.dynamics(),
        fit,
    })
}

/// Says which checkpoints are copies.
fn say_kept(members: &[Checkpoint]) -> anyhow::Result<()> {
    let kept = members.iter().filter(|one| one.kept.is_some()).count();
    if kept > 0 {
        warn::say(format_args!(
            "{kept} of {} checkpoints are copies that were kept of files which are gone; --disk-only leaves them out",
            members.len()
        ))?;
    }
    Ok(())
}
