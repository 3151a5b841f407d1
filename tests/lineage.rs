//! The checkpoints that are the path: the newest says what the model is, and the weights tell a resumed run
//! from another one.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use isoloss::run::Checkpoint;
use isoloss::weights::{PathChange, RunPath};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Weights that drift, with a random walk on top, as those of a run do.
struct Walk {
    rng: ChaCha8Rng,
    drift: Vec<f32>,
    weights: Vec<f32>,
}

impl Walk {
    fn new(seed: u64, count: usize) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut numbers = |scale: f32| {
            (0..count)
                .map(|_| scale * (rng.random::<f32>() - 0.5))
                .collect()
        };
        let (weights, drift) = (numbers(0.4), numbers(0.1));
        Self {
            rng,
            drift,
            weights,
        }
    }

    fn step(&mut self) -> Vec<f32> {
        for (weight, drift) in self.weights.iter_mut().zip(&self.drift) {
            *weight += drift + 0.06 * (self.rng.random::<f32>() - 0.5);
        }
        self.weights.clone()
    }
}

/// Writes a matrix, and as many weights of a norm, which are 1.
fn write(path: &Path, weights: &[f32], norms: usize) {
    let rows = weights.len() / 10;
    let end = 4 * weights.len();
    let norm = format!(
        r#","ln.weight":{{"dtype":"F32","shape":[{norms}],"data_offsets":[{end},{}]}}"#,
        end + 4 * norms
    );
    let norm = if norms > 0 { norm.as_str() } else { "" };
    let header = format!(
        r#"{{"fc.weight":{{"dtype":"F32","shape":[{rows},10],"data_offsets":[0,{end}]}}{norm}}}"#
    );
    let bytes: Vec<u8> = weights
        .iter()
        .chain(&vec![1.0; norms])
        .flat_map(|weight| weight.to_le_bytes())
        .collect();
    let length = (header.len() as u64).to_le_bytes();
    fs::write(path, [&length, header.as_bytes(), &bytes].concat()).unwrap();
}

/// A folder in which checkpoints are written, each with a time and a number of arrival.
struct Folder {
    place: tempfile::TempDir,
    now: SystemTime,
    arrival: u64,
    /// Weights of a norm in each checkpoint.
    norms: usize,
}

impl Folder {
    fn new() -> Self {
        Self {
            place: tempfile::tempdir().unwrap(),
            now: SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000),
            arrival: 0,
            norms: 0,
        }
    }

    fn write(&mut self, step: u64, weights: &[f32]) -> Checkpoint {
        self.arrival += 1;
        self.now += Duration::from_secs(60);
        let name = format!("{}_{step}.safetensors", self.arrival);
        let path: PathBuf = self.place.path().join(name);
        write(&path, weights, self.norms);
        Checkpoint {
            arrival: self.arrival,
            modified: Some(self.now),
            ..Checkpoint::new(step, path)
        }
    }
}

fn steps(path: &mut RunPath) -> Vec<u64> {
    path.fit()
        .0
        .iter()
        .map(|checkpoint| checkpoint.step)
        .collect()
}

fn update(path: &mut RunPath, wanted: &[Checkpoint]) -> Vec<PathChange> {
    path.update(wanted.to_vec(), |_, _| {}).changes
}

#[test]
fn a_resumed_run_branches_and_its_old_branch_keeps_a_place_on_the_plane() {
    let (mut folder, mut walk) = (Folder::new(), Walk::new(1, 600));
    let mut wanted: Vec<Checkpoint> = (0..3).map(|i| folder.write(10 * i, &walk.step())).collect();
    let (fork, drift) = (walk.weights.clone(), walk.drift.clone());
    wanted.extend((3..6).map(|i| folder.write(10 * i, &walk.step())));
    let mut path = RunPath::new(None);
    assert!(update(&mut path, &wanted).is_empty());
    assert_eq!(steps(&mut path), [0, 10, 20, 30, 40, 50]);
    // Resumed from step 20, with other batches: another noise and much of the same drift.
    let mut again = Walk::new(2, 600);
    (again.weights, again.drift) = (fork, drift);
    again
        .drift
        .iter_mut()
        .step_by(2)
        .for_each(|drift| *drift = -*drift);
    wanted.push(folder.write(30, &again.step()));
    let changes = update(&mut path, &wanted);
    let [PathChange::Resumed { from, left, .. }] = &changes[..] else {
        panic!("{changes:?}");
    };
    assert_eq!((*from, left.len()), (Some(20), 3));
    assert!(
        changes[0].to_string().contains("follows from step 20"),
        "{}",
        changes[0]
    );
    let (members, fit) = path.fit();
    let told: Vec<u64> = members.iter().map(|checkpoint| checkpoint.step).collect();
    assert_eq!(told, [0, 10, 20, 30]);
    let [branch] = &fit.trajectory.old_branches[..] else {
        panic!("one branch was left");
    };
    assert_eq!(
        (branch.from, &branch.steps[..]),
        (Some(20), &[30, 40, 50][..])
    );
    assert!(branch.coordinates.iter().flatten().all(|at| at.is_finite()));
    wanted.push(folder.write(40, &again.step()));
    assert!(update(&mut path, &wanted).is_empty());
    assert_eq!(steps(&mut path), [0, 10, 20, 30, 40]);
}

#[test]
fn unrelated_weights_are_another_run_whose_path_replaces_the_old_one() {
    let (mut folder, mut walk) = (Folder::new(), Walk::new(1, 600));
    let mut wanted: Vec<Checkpoint> = (0..4).map(|i| folder.write(10 * i, &walk.step())).collect();
    let mut path = RunPath::new(None);
    update(&mut path, &wanted);
    let mut other = Walk::new(9, 600);
    wanted.push(folder.write(0, &other.step()));
    let changes = update(&mut path, &wanted);
    assert!(
        matches!(&changes[..], [PathChange::AnotherRun { left, .. }] if left.len() == 4),
        "{changes:?}"
    );
    wanted.push(folder.write(10, &other.step()));
    assert!(update(&mut path, &wanted).is_empty());
    assert_eq!(steps(&mut path), [0, 10]);
    // One that begins at a higher step as well.
    wanted.push(folder.write(90, &Walk::new(20, 600).step()));
    let changes = update(&mut path, &wanted);
    assert!(
        matches!(&changes[..], [PathChange::AnotherRun { .. }]),
        "{changes:?}"
    );
    assert_eq!(steps(&mut path), [90]);
}

#[test]
fn a_checkpoint_that_comes_late_belongs_between_its_neighbours() {
    let (mut folder, mut walk) = (Folder::new(), Walk::new(3, 600));
    let all: Vec<Checkpoint> = (0..5).map(|i| folder.write(10 * i, &walk.step())).collect();
    let some = [
        all[0].clone(),
        all[1].clone(),
        all[3].clone(),
        all[4].clone(),
    ];
    let mut path = RunPath::new(None);
    update(&mut path, &some);
    // With its own time, and with that of a copy that keeps no times.
    for modified in [all[2].modified, Some(folder.now + Duration::from_secs(600))] {
        let late = Checkpoint {
            arrival: 9,
            modified,
            ..all[2].clone()
        };
        let mut path = RunPath::new(None);
        update(&mut path, &some);
        let wanted = [&some[..], &[late]].concat();
        assert_eq!(update(&mut path, &wanted), []);
        assert_eq!(steps(&mut path), [0, 10, 20, 30, 40]);
    }
}

#[test]
fn what_lay_there_at_once_is_sorted_out_by_times_and_weights_together() {
    let (mut folder, mut walk) = (Folder::new(), Walk::new(4, 600));
    let mut other = Walk::new(5, 600);
    let older: Vec<Checkpoint> = (7..9)
        .map(|i| folder.write(10 * i, &other.step()))
        .collect();
    let newer: Vec<Checkpoint> = (0..4).map(|i| folder.write(10 * i, &walk.step())).collect();
    let mut path = RunPath::new(None);
    let changes = update(&mut path, &[&older[..], &newer].concat());
    assert!(
        matches!(&changes[..], [PathChange::AnotherRun { left, .. }] if left == &older),
        "{changes:?}"
    );
    assert_eq!(steps(&mut path), [0, 10, 20, 30]);
    // The same times after a copy that wrote the last one first: the weights say that it is no leftover.
    let mut copied = newer.clone();
    copied[3].modified = older[0].modified;
    let mut path = RunPath::new(None);
    assert_eq!(update(&mut path, &copied), []);
    assert_eq!(steps(&mut path), [0, 10, 20, 30]);
}

#[test]
fn lower_steps_of_an_unrelated_run_are_left_out_also_where_times_say_nothing() {
    let (mut folder, mut walk) = (Folder::new(), Walk::new(6, 600));
    let mut other = Walk::new(7, 600);
    let mut all: Vec<Checkpoint> = (0..3)
        .map(|i| folder.write(10 * i, &other.step()))
        .collect();
    all.extend((3..6).map(|i| folder.write(10 * i, &walk.step())));
    for checkpoint in &mut all {
        (checkpoint.modified, checkpoint.arrival) = (None, 0);
    }
    let mut path = RunPath::new(None);
    let changes = update(&mut path, &all);
    assert!(
        matches!(&changes[..], [PathChange::AnotherRun { left, .. }] if left.len() == 3),
        "{changes:?}"
    );
    assert_eq!(steps(&mut path), [30, 40, 50]);
    let mut both = RunPath::of_many_runs(None);
    assert_eq!(update(&mut both, &all), []);
    assert_eq!(steps(&mut both).len(), 6);
}

#[test]
fn checkpoints_between_those_of_another_run_are_left_out() {
    let (mut folder, mut walks) = (Folder::new(), [2, 3].map(|seed| Walk::new(seed, 600)));
    // Seeds that were saved by turns under one naming, the second one last.
    let mut all: Vec<Checkpoint> = (0..7)
        .map(|i| folder.write(10 * i, &walks[(i as usize + 1) % 2].step()))
        .collect();
    for checkpoint in &mut all {
        (checkpoint.modified, checkpoint.arrival) = (None, 0);
    }
    let mut path = RunPath::new(None);
    let changes = update(&mut path, &all);
    let [change @ PathChange::SeveralRuns { left, .. }] = &changes[..] else {
        panic!("{changes:?}");
    };
    assert_eq!(left, &[1, 3, 5].map(|i: usize| all[i].clone()));
    assert_eq!(steps(&mut path), [0, 20, 40, 60]);
    let said = change.to_string();
    assert!(
        said.contains("3 checkpoints (steps 10 to 50) among its own are unrelated"),
        "{said}"
    );
    // One that begins the other run is not between, but goes with it.
    let mut path = RunPath::new(None);
    update(&mut path, &all[1..]);
    assert_eq!(steps(&mut path), [20, 40, 60]);
    let mut path = RunPath::new(None);
    update(&mut path, &all[..6]);
    assert_eq!(steps(&mut path), [10, 30, 50]);
    // A single stranger among them.
    let one = [&all[..2], &[all[2].clone(), all[4].clone()]].concat();
    let mut path = RunPath::new(None);
    update(&mut path, &one);
    assert_eq!(steps(&mut path), [0, 20, 40]);
    // Asked for, all are a path.
    let mut both = RunPath::of_many_runs(None);
    assert_eq!(update(&mut both, &all), []);
    assert_eq!(steps(&mut both).len(), 7);
}

#[test]
fn runs_that_save_by_turns_are_told_apart_while_they_do() {
    // Norms that begin alike make independent weights look alike: a cosine of 0.8 for norms of 4 times the weights.
    for norms in [0, 40] {
        let (mut folder, mut walks) = (Folder::new(), [2, 3].map(|seed| Walk::new(seed, 600)));
        folder.norms = norms;
        let (mut path, mut wanted, mut left) = (RunPath::new(None), Vec::new(), Vec::new());
        for i in 0..8 {
            wanted.push(folder.write(10 * i, &walks[i as usize % 2].step()));
            for change in update(&mut path, &wanted) {
                let PathChange::SeveralRuns { left: others, .. } = change else {
                    panic!("{change:?}");
                };
                left.extend(others.into_iter().map(|other| other.step));
            }
        }
        assert_eq!(left, [10, 30, 50, 70], "{norms}");
        assert_eq!(steps(&mut path), [0, 20, 40, 60], "{norms}");
        // All at once, the newest says which of them is followed.
        for checkpoint in &mut wanted {
            (checkpoint.modified, checkpoint.arrival) = (None, 0);
        }
        let mut path = RunPath::new(None);
        update(&mut path, &wanted);
        assert_eq!(steps(&mut path), [10, 30, 50, 70], "{norms}");
    }
}

#[test]
fn a_last_checkpoint_that_has_nothing_in_common_begins_another_run() {
    let (mut folder, mut walk) = (Folder::new(), Walk::new(2, 600));
    let mut all: Vec<Checkpoint> = (0..4).map(|i| folder.write(10 * i, &walk.step())).collect();
    all.push(folder.write(40, &Walk::new(5, 600).step()));
    for checkpoint in &mut all {
        (checkpoint.modified, checkpoint.arrival) = (None, 0);
    }
    let mut path = RunPath::new(None);
    let changes = update(&mut path, &all);
    assert!(
        matches!(&changes[..], [PathChange::AnotherRun { left, .. }] if left == &all[..4]),
        "{changes:?}"
    );
    assert_eq!(steps(&mut path), [40]);
}

#[test]
fn the_newest_checkpoint_says_what_the_model_is() {
    let (mut folder, mut walk) = (Folder::new(), Walk::new(8, 600));
    let mut wanted: Vec<Checkpoint> = (0..3).map(|i| folder.write(10 * i, &walk.step())).collect();
    let mut wider = Walk::new(8, 800);
    wanted.extend((3..5).map(|i| folder.write(10 * i, &wider.step())));
    let mut path = RunPath::new(None);
    let found = path.update(wanted.clone(), |_, _| {});
    assert_eq!(steps(&mut path), [30, 40]);
    assert_eq!(found.rejected.len(), 3);
    let said = found.rejected[0].error.to_string();
    assert!(
        said.contains("1_0.safetensors") && said.contains("[80, 10]") && said.contains("[60, 10]"),
        "{said}"
    );
    // Chosen by themselves, the first ones are a path as well.
    wanted.truncate(3);
    let mut path = RunPath::new(None);
    update(&mut path, &wanted);
    assert_eq!(steps(&mut path), [0, 10, 20]);
    // One after another: the path begins anew, and what was refused before fits then.
    let narrow = wanted.clone();
    wanted.push(folder.write(0, &wider.step()));
    let changes = update(&mut path, &wanted);
    assert!(
        matches!(&changes[..], [PathChange::AnotherModel { left, .. }] if left == &narrow),
        "{changes:?}"
    );
    assert_eq!(steps(&mut path), [0]);
}

#[test]
fn nothing_is_a_path_like_any_other() {
    let (mut folder, mut walk) = (Folder::new(), Walk::new(10, 600));
    let mut path = RunPath::new(None);
    assert!(steps(&mut path).is_empty());
    let mut sick = walk.step();
    sick[7] = f32::NAN;
    let sick = folder.write(0, &sick);
    let found = path.update(vec![sick.clone()], |_, _| {});
    assert!(found.rejected[0].error.to_string().contains("not finite"));
    assert!(steps(&mut path).is_empty());
    // It is not complained of again.
    let well = folder.write(10, &walk.step());
    let found = path.update(vec![sick, well.clone()], |_, _| {});
    assert!(found.rejected.is_empty() && found.changes.is_empty());
    assert_eq!(steps(&mut path), [10]);
    update(&mut path, &[]);
    assert!(steps(&mut path).is_empty());
    update(&mut path, &[well]);
    assert_eq!(steps(&mut path), [10]);
}

/// Steps of the checkpoints on the path, each with its number of arrival.
fn on_path(path: &mut RunPath) -> Vec<(u64, u64)> {
    let (members, _) = path.fit();
    members.iter().map(|m| (m.step, m.arrival)).collect()
}

#[test]
fn a_resume_that_saves_at_other_steps_leaves_all_of_the_old_branch() {
    let (mut folder, mut walk) = (Folder::new(), Walk::new(21, 600));
    let mut all: Vec<Checkpoint> = (1..=3)
        .map(|i| folder.write(10 * i, &walk.step()))
        .collect();
    let mut resumed = Walk {
        rng: ChaCha8Rng::seed_from_u64(99),
        drift: walk.drift.iter().rev().copied().collect(),
        weights: walk.weights.clone(),
    };
    all.extend((4..=6).map(|i| folder.write(10 * i, &walk.step())));
    let mut path = RunPath::new(None);
    update(&mut path, &all);
    for i in 3..=6 {
        all.push(folder.write(10 * i + 5, &resumed.step()));
        update(&mut path, &all);
    }
    assert_eq!(steps(&mut path), [10, 20, 30, 35, 45, 55, 65]);
    let left = path.left_behind();
    let left: Vec<u64> = left.iter().map(|one| one.step).collect();
    assert_eq!(left, [40, 50, 60]);
    // The same files at once, as a later session or `--disk-only` finds them: by their times alone.
    for checkpoint in &mut all {
        checkpoint.arrival = 0;
    }
    let mut path = RunPath::new(None);
    update(&mut path, &all);
    assert_eq!(steps(&mut path), [10, 20, 30, 35, 45, 55, 65]);
}

#[test]
fn kept_and_new_ones_that_are_read_together_are_told_apart_by_arrival() {
    let (mut folder, mut walk) = (Folder::new(), Walk::new(31, 600));
    let mut other = Walk::new(32, 600);
    let before: Vec<Checkpoint> = (1..=5)
        .map(|i| folder.write(10 * i, &walk.step()))
        .collect();
    let after: Vec<Checkpoint> = (1..=3)
        .map(|i| folder.write(10 * i, &other.step()))
        .collect();
    let mut path = RunPath::new(None);
    let changes = update(&mut path, &[&before[..], &after].concat());
    assert!(matches!(&changes[..], [PathChange::AnotherRun { left, .. }] if left.len() == 5));
    assert_eq!(on_path(&mut path), [(10, 6), (20, 7), (30, 8)]);
}

#[test]
fn files_that_were_copied_in_any_order_are_one_path() {
    let mut walk = Walk::new(41, 600);
    let mut folder = Folder::new();
    let all: Vec<Checkpoint> = (0..12)
        .map(|i| folder.write(10 * i, &walk.step()))
        .collect();
    let orders: [fn(usize) -> u64; 3] = [
        |i| 100 - i as u64,
        |i| (7 * i as u64) % 12,
        // By name: 0, 10, 100, 110, 20, 30 …
        |i| [0, 1, 4, 5, 6, 7, 8, 9, 10, 11, 2, 3][i],
    ];
    for (number, order) in orders.into_iter().enumerate() {
        let mut copied = all.clone();
        for (i, checkpoint) in copied.iter_mut().enumerate() {
            checkpoint.modified = Some(folder.now + Duration::from_secs(order(i)));
            checkpoint.arrival = 0;
        }
        let mut path = RunPath::new(None);
        assert_eq!(update(&mut path, &copied), [], "order {number}");
        assert_eq!(steps(&mut path).len(), 12, "order {number}");
    }
    // One that is much older than the one before it is told, where its weights fit.
    let mut doubtful = all;
    doubtful[11].modified = Some(folder.now - Duration::from_secs(6000));
    for checkpoint in &mut doubtful {
        checkpoint.arrival = 0;
    }
    let mut path = RunPath::new(None);
    let changes = update(&mut path, &doubtful);
    assert!(
        matches!(&changes[..], [PathChange::Doubtful { first, .. }] if first.step == 110),
        "{changes:?}"
    );
    assert_eq!(steps(&mut path).len(), 12);
}

#[test]
fn another_run_after_a_resume_leaves_the_dead_branch_as_well() {
    let (mut folder, mut walk) = (Folder::new(), Walk::new(51, 600));
    let mut all: Vec<Checkpoint> = (1..=6)
        .map(|i| folder.write(10 * i, &walk.step()))
        .collect();
    let mut path = RunPath::new(None);
    update(&mut path, &all);
    let mut resumed = Walk::new(52, 600);
    resumed.weights = walk.weights.clone();
    for step in [40, 50] {
        all.push(folder.write(step, &resumed.step()));
        update(&mut path, &all);
    }
    assert!(!path.left_behind().is_empty());
    let mut other = Walk::new(53, 600);
    all.push(folder.write(10, &other.step()));
    let changes = update(&mut path, &all);
    assert!(
        matches!(&changes[..], [PathChange::AnotherRun { left, .. }] if left.len() == 8),
        "{changes:?}"
    );
    assert_eq!(steps(&mut path), [10]);
    assert!(path.left_behind().is_empty());
}

#[test]
fn a_lost_copy_takes_its_point_off_and_keeps_no_other_from_the_path() {
    let (mut folder, mut walk) = (Folder::new(), Walk::new(61, 600));
    let all: Vec<Checkpoint> = (0..5).map(|i| folder.write(10 * i, &walk.step())).collect();
    let mut path = RunPath::new(None);
    update(&mut path, &all[..4]);
    fs::remove_file(&all[1].path).unwrap();
    let told = path.update(all.clone(), |_, _| {});
    assert_eq!(told.lost, all[1..2]);
    assert_eq!(steps(&mut path), [0, 20, 30, 40]);
}

#[test]
fn what_a_session_knew_of_signs_and_branches_the_next_one_knows() {
    let (mut folder, mut walk) = (Folder::new(), Walk::new(71, 600));
    let mut all: Vec<Checkpoint> = (0..5).map(|i| folder.write(10 * i, &walk.step())).collect();
    let mut path = RunPath::new(None);
    update(&mut path, &all);
    let mut resumed = Walk::new(72, 600);
    resumed.weights.clone_from(&walk.weights);
    for step in [30, 40, 50] {
        all.push(folder.write(step, &resumed.step()));
        update(&mut path, &all);
    }
    let before = path.fit().1.trajectory.clone();
    assert_eq!(before.old_branches.len(), 1);
    let mut memory = path.memory();
    for at in &mut memory.coordinates {
        at[1] = -at[1];
    }
    let mut next = RunPath::new(None);
    next.recall(memory);
    assert_eq!(update(&mut next, &all), []);
    let after = next.fit().1.trajectory.clone();
    assert_eq!(after.old_branches.len(), 1);
    assert_eq!(after.old_branches[0].steps, before.old_branches[0].steps);
    for (old, new) in before.coordinates.iter().zip(&after.coordinates) {
        assert!((old[0] - new[0]).abs() < 1e-6 && (old[1] + new[1]).abs() < 1e-6);
    }
}

#[test]
fn an_old_file_that_is_read_after_newer_ones_is_the_old_branch_s() {
    let (mut folder, mut walk) = (Folder::new(), Walk::new(81, 600));
    let mut all: Vec<Checkpoint> = (1..=3)
        .map(|i| folder.write(10 * i, &walk.step()))
        .collect();
    let mut resumed = Walk::new(82, 600);
    resumed.weights.clone_from(&walk.weights);
    let old: Vec<Checkpoint> = (4..=6)
        .map(|i| folder.write(10 * i, &walk.step()))
        .collect();
    folder.now += Duration::from_secs(7200);
    all.extend((4..=5).map(|i| folder.write(10 * i, &resumed.step())));
    // Copies of these were kept; the old file was not, so that it comes from the folder as a new one.
    let late = Checkpoint {
        arrival: 20,
        ..old[2].clone()
    };
    let together = [&all[..], &[late]].concat();
    for first in [&all[..], &together[..]] {
        let mut path = RunPath::new(None);
        update(&mut path, first);
        update(&mut path, &together);
        assert_eq!(steps(&mut path), [10, 20, 30, 40, 50]);
    }
}
