//! Files that one run of each of 132 frameworks leaves in its folder, and the path that is in it.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::*;

#[derive(Deserialize)]
struct Row {
    framework: String,
    files: Vec<PathBuf>,
    order: Vec<PathBuf>,
    steps: Vec<u64>,
    #[serde(default)]
    free: bool,
    #[serde(default)]
    ask: bool,
    #[serde(default)]
    not: BTreeMap<PathBuf, String>,
    #[serde(default)]
    or: Vec<Answer>,
}

#[derive(Deserialize)]
struct Answer {
    order: Vec<PathBuf>,
    steps: Vec<u64>,
}

fn rows() -> Vec<Row> {
    table("names.json")
}

fn table(name: &str) -> Vec<Row> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(name);
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn is_right(row: &Row, found: &FileArrangement) -> bool {
    let order: Vec<&PathBuf> = found.points.iter().map(|point| &point.path).collect();
    let steps: Vec<Option<u64>> = found.points.iter().map(|point| point.step).collect();
    let is = |expected: &[PathBuf], expected_steps: &[u64]| {
        let same_order = order.iter().copied().eq(expected);
        let rising = steps.iter().all(Option::is_none) || steps.is_sorted_by(|a, b| a < b);
        same_order
            && (steps
                .iter()
                .copied()
                .eq(expected_steps.iter().map(|s| Some(*s)))
                || (row.free && rising))
    };
    let others = row
        .not
        .values()
        .filter(|why| why.starts_with("another ") || why.starts_with("disc"));
    let named = !row.ask || !found.alternatives.is_empty() || others.count() < 2;
    named && (is(&row.order, &row.steps) || row.or.iter().any(|or| is(&or.order, &or.steps)))
}

#[test]
fn the_path_of_every_framework_is_found() {
    let rows = rows();
    assert_eq!(rows.len(), 132);
    let mut wrong = Vec::new();
    for row in &rows {
        let found = arrange(&row.files);
        if !is_right(row, &found) {
            let points: Vec<_> = found.points.iter().map(|p| (p.step, &p.path)).collect();
            wrong.push(format!(
                "{}: {points:?} {:?}",
                row.framework, found.alternatives
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

/// Names that were tried after the grammar stood: the first table at random, the second those that it had
/// failed then. The numbers are what holds today, so that none is lost.
#[test]
fn names_that_came_later_are_found_as_far_as_they_were() {
    let mut told = String::new();
    let right = ["more_names.json", "names_of_strangers.json"].map(|name| {
        let rows = table(name);
        let is_wrong = |row: &&Row| !is_right(row, &arrange(&row.files));
        let wrong: Vec<&Row> = rows.iter().filter(is_wrong).collect();
        for row in &wrong {
            let found = arrange(&row.files);
            let points: Vec<_> = found.points.iter().map(|p| (p.step, &p.path)).collect();
            let _ = writeln!(told, "{}: {points:?}, not {:?}", row.framework, row.steps);
        }
        rows.len() - wrong.len()
    });
    assert!(right[0] >= 48 && right[1] >= 41, "{right:?}\n{told}");
}

#[test]
fn every_file_is_a_point_or_left_out_with_a_reason() {
    for row in rows() {
        let found = arrange(&row.files);
        let points = found.points.iter().map(|point| &point.path);
        let mut all: Vec<&PathBuf> = points
            .chain(found.left_out.iter().map(|(path, _)| path))
            .collect();
        all.sort();
        let mut files: Vec<&PathBuf> = row.files.iter().collect();
        files.sort();
        assert_eq!(all, files, "{}", row.framework);
    }
}

#[test]
fn reasons_are_those_of_the_table() {
    let mut wrong = Vec::new();
    for row in rows() {
        let found = arrange(&row.files);
        for (path, why) in &found.left_out {
            let Some(expected) = row.not.get(path) else {
                continue;
            };
            let right = match expected.split([' ', ':']).next().unwrap_or_default() {
                // `train.pt` beside `model.pt` is recognized by its contents alone.
                "optimizer" if path.ends_with("train.pt") => true,
                "optimizer" => matches!(why, LeftOut::Optimizer | LeftOut::TrainingState),
                "metadata" => matches!(
                    why,
                    LeftOut::Metadata
                        | LeftOut::TrainingState
                        | LeftOut::MaybeCopy { .. }
                        | LeftOut::NoStep
                ),
                "average" => matches!(why, LeftOut::Average { .. }),
                "discriminator" => matches!(why, LeftOut::OtherNetwork { .. } | LeftOut::NoStep),
                "part" => matches!(why, LeftOut::Part { .. } | LeftOut::OtherNetwork { .. }),
                _ => continue,
            };
            if !right {
                wrong.push(format!(
                    "{}: {} is {why:?}, not {expected}",
                    row.framework,
                    path.display()
                ));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn a_path_that_grows_keeps_its_steps() {
    let mut wrong = Vec::new();
    // Coqui's best stands between the others, and is not there while they grow.
    for row in rows()
        .into_iter()
        .filter(|row| !row.free && row.framework != "Coqui TTS")
    {
        for length in 1..row.order.len() {
            let found = arrange(&row.order[..length]);
            let found: Vec<_> = found
                .points
                .into_iter()
                .map(|point| (point.step, point.path))
                .collect();
            let is = |order: &[PathBuf], steps: &[u64]| {
                let expected = steps
                    .iter()
                    .map(|step| Some(*step))
                    .zip(order.iter().cloned());
                expected.take(length).eq(found.iter().cloned())
            };
            if !is(&row.order, &row.steps) && !row.or.iter().any(|or| is(&or.order, &or.steps)) {
                wrong.push(format!("{}: {found:?}", row.framework));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}
