//! The training step in a file or folder name.

use std::path::Path;

/// How surely a number in a name is a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Confidence {
    /// A number that stands by itself, as in `mlp-300.pt`.
    Alone,
    /// Behind a word for a checkpoint or an epoch: `model_300.pt`, `epoch=7`.
    Named,
    /// Behind a word for a step: `step=300`.
    Step,
}

/// What a number in a name counts, where the word before it tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Training steps.
    Step,
    /// Passes over the data.
    Epoch,
}

const EPOCH: [&str; 3] = ["epoch", "ep", "e"];
const STEP: [&str; 5] = ["step", "steps", "iter", "iteration", "it"];
const CHECKPOINT: [&str; 6] = ["checkpoint", "ckpt", "chkpt", "model", "weights", "state"];
/// Words whose number is something else, whatever stands round it.
const OTHER: [&str; 13] = [
    "loss", "acc", "accuracy", "val", "lr", "seed", "rank", "version", "v", "of", "top", "wd", "bs",
];

/// The step that a checkpoint's path tells: the file's own name first, then the folder it is in.
///
/// `epoch=3-step=500.ckpt` is 500, `model_1027.pt` 1027, `checkpoint-500/pytorch_model.bin` 500,
/// `resnet20_best.pth` has none.
#[must_use]
pub fn of(path: &Path, run: &Path) -> Option<u64> {
    find(path, run).map(|(step, _)| step)
}

/// What that step counts, where the path tells.
#[must_use]
pub fn unit(path: &Path, run: &Path) -> Option<Unit> {
    find(path, run)?.1
}

fn find(path: &Path, run: &Path) -> Option<(u64, Option<Unit>)> {
    let name = |path: &Path| {
        let name = if path.is_dir() {
            path.file_name()
        } else {
            path.file_stem()
        };
        name.and_then(|name| name.to_str()).map(str::to_owned)
    };
    if let Some((_, step, unit)) = name(path).and_then(|name| in_name(&name)) {
        return Some((step, unit));
    }
    let folder = path
        .parent()
        .filter(|folder| *folder != run && folder.starts_with(run))?;
    let folder = folder.file_name()?.to_str()?;
    let (confidence, step, unit) = in_name(folder)?;
    (confidence > Confidence::Alone).then_some((step, unit))
}

/// The likeliest number of a name; of equals the last.
fn in_name(name: &str) -> Option<(Confidence, u64, Option<Unit>)> {
    let bytes = name.as_bytes();
    let mut best: Option<(Confidence, u64, Option<Unit>)> = None;
    let mut at = 0;
    while at < bytes.len() {
        let length = bytes[at..]
            .iter()
            .take_while(|c| c.is_ascii_digit())
            .count();
        if length == 0 {
            at += 1;
            continue;
        }
        let (before, after) = (&name[..at], &name[at + length..]);
        let number = name[at..at + length].parse().ok();
        let found = confidence(before, after).zip(number);
        if let Some(((confidence, unit), number)) = found {
            let found = (confidence, number, unit);
            best = best.filter(|best| best.0 > found.0).or(Some(found));
        }
        at += length;
    }
    best
}

fn confidence(before: &str, after: &str) -> Option<(Confidence, Option<Unit>)> {
    let fraction = after
        .strip_prefix('.')
        .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
        || before
            .strip_suffix('.')
            .is_some_and(|rest| rest.ends_with(|c: char| c.is_ascii_digit()));
    if fraction || after.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return None;
    }
    let bare = before.trim_end_matches(['=', '_', '-', '.', ' ', ':']);
    let start = bare
        .rfind(|c: char| !c.is_ascii_alphabetic())
        .map_or(0, |at| at + 1);
    let word = bare.get(start..).unwrap_or_default().to_ascii_lowercase();
    let attached = bare.len() == before.len() && !word.is_empty();
    match word.as_str() {
        word if OTHER.contains(&word) => None,
        word if STEP.contains(&word) => Some((Confidence::Step, Some(Unit::Step))),
        word if EPOCH.contains(&word) => Some((Confidence::Named, Some(Unit::Epoch))),
        word if CHECKPOINT.contains(&word) => Some((Confidence::Named, None)),
        _ if attached => None,
        _ => Some((Confidence::Alone, None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(path: &str) -> Option<u64> {
        of(Path::new(path), Path::new("run"))
    }

    #[test]
    fn steps_are_found_in_the_names_that_trainers_give() {
        for (path, expected) in [
            ("run/model_1027.pt", 1027),
            ("run/step=26.ckpt", 26),
            ("run/epoch=3-step=500.ckpt", 500),
            ("run/epoch=3-step=500-v1.ckpt", 500),
            ("run/epoch=3-val_loss=0.25.ckpt", 3),
            ("run/ckpt_00012.pth", 12),
            ("run/iter_10000.pt", 10000),
            ("run/epoch_7.pt", 7),
            ("run/epoch7.pt", 7),
            ("run/cifar10_epoch5.pt", 5),
            ("run/mlp-64-64_300.pt", 300),
            ("run/model.12.pt", 12),
            ("run/global_step300/mp_rank_00_model_states.pt", 300),
            ("run/checkpoint-500/pytorch_model.bin", 500),
            ("run/step_00012.safetensors", 12),
        ] {
            assert_eq!(step(path), Some(expected), "{path}");
        }
    }

    #[test]
    fn numbers_that_are_no_steps_are_not_taken() {
        for path in [
            "run/resnet20_best.pth",
            "run/pytorch_model.bin",
            "run/last.ckpt",
            "run/best_acc=0.93.pt",
            "run/model-v2.pt",
        ] {
            assert_eq!(step(path), None, "{path}");
        }
    }

    #[test]
    fn a_word_tells_what_the_number_counts() {
        let told = |path: &str| unit(Path::new(path), Path::new("run"));
        assert_eq!(told("run/epoch=3-step=500.ckpt"), Some(Unit::Step));
        assert_eq!(told("run/cifar10_epoch5.pt"), Some(Unit::Epoch));
        assert_eq!(told("run/model_1027.pt"), None);
        assert_eq!(told("run/checkpoint-500/pytorch_model.bin"), None);
    }

    #[test]
    fn the_run_s_own_name_says_nothing() {
        assert_eq!(of(Path::new("step_9/last.ckpt"), Path::new("step_9")), None);
    }
}
