//! Plans of pictures on demand, and the places of their answers.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use super::plan::{curvature_of, random};
use super::*;
use crate::landscape::{Position, Quantity};
use crate::session::job::Job;
use crate::weights::{BatchNorm, PlaneSpec, RunShape};

fn checkpoint(step: u64) -> Checkpoint {
    Checkpoint::new(step, format!("{step}.pt"))
}

fn plan(analysis: Analysis, count: u64) -> Option<(AnalysisResult, Vec<Job<AnalysisTarget>>)> {
    let members: Vec<Checkpoint> = (0..count).map(checkpoint).collect();
    let spec = PlaneSpec {
        shape: RunShape::default(),
        origin: checkpoint(count - 1),
        directions: random(0),
        batch_norm: BatchNorm::Frozen,
    };
    let subject = AnalysisSubject {
        spec: &spec,
        members: &members,
        window: [[-1.0, 1.0]; 2],
        split: Split::Train,
        seed: 5,
        next: 7,
    };
    AnalysisResult::plan(analysis, subject)
}

#[test]
fn lines_have_both_ends_among_their_points_and_both_splits() {
    let (findings, plans) = plan(Analysis::Line, 3).unwrap();
    assert_eq!(
        plans
            .iter()
            .map(|p| (p.generation, p.split))
            .collect::<Vec<_>>(),
        [(7, Split::Train), (8, Split::Test)]
    );
    assert_eq!(plans[0].spec.origin, checkpoint(0));
    assert!(
        [0.0, 1.0]
            .iter()
            .all(|end| findings.lines()[0].alpha.contains(end))
    );
    let (overlaid, plans) = plan(Analysis::Random, 1).unwrap();
    let seeds: Vec<_> = overlaid.lines().iter().map(|line| line.seed).collect();
    assert_eq!((seeds, plans.len()), (vec![Some(5), Some(6), Some(7)], 3));
    assert!(plan(Analysis::Update, 1).is_none() && plan(Analysis::Line, 1).is_none());
}

#[test]
fn a_smooth_random_plane_rests_and_a_rough_one_asks_for_more() {
    let ends = |loss: &dyn Fn(f64, f64) -> f64| {
        let (mut findings, jobs) = plan(Analysis::Plane, 3).unwrap();
        let mut measured = 0;
        let mut next = jobs.into_iter().next().map(|job| job.tasks);
        while let Some(tasks) = next {
            for (query, target) in tasks {
                let Quantity::Loss(Position::Plane([x, y])) = query.quantity else {
                    panic!("{query:?}")
                };
                let measure = Measure {
                    loss: loss(x, y),
                    score: 0.5,
                };
                findings.take(target, &QueryAnswer::Measure(measure));
                measured += 1;
            }
            next = findings.next_batch();
        }
        assert_eq!(findings.left, 0);
        measured
    };
    assert_eq!(ends(&|x, y| (x + y).exp()), 81);
    let rough = |x: f64, y: f64| 0.1 + (12.9 * x + 78.2 * y).sin().abs() * 43.7 % 1.0;
    let measured = ends(&rough);
    assert!(measured > 33 * 33 * 9 / 10, "{measured}");
}

#[test]
fn stability_is_measured_once_at_each_checkpoint_the_newest_first() {
    let (findings, plans) = plan(Analysis::Stability, 5).unwrap();
    let AnalysisPicture::Stability(checkpoints) = &findings.picture else {
        panic!("{:?}", findings.picture)
    };
    let order: Vec<u64> = checkpoints.iter().map(|member| member.step).collect();
    assert_eq!(order, [4, 0, 2, 3, 1]);
    let (query, target) = plans[0].task(7, 1).unwrap();
    assert_eq!(*query, curvature_of(&checkpoint(0)));
    assert_eq!(findings.checkpoint(*target), Some(&checkpoint(0)));
    assert_eq!((plans[0].task(7, 5), plans[0].task(8, 0)), (None, None));
}

#[test]
fn answers_find_their_place_and_strangers_none() {
    let (mut findings, plans) = plan(Analysis::Curvature, 3).unwrap();
    let found = Extremes {
        lambda_max: 2.0,
        lambda_min: -1.0,
        iterations: 9,
        converged: true,
    };
    let target = |index| plans[0].task(7, index).map(|task| task.1);
    findings.take(target(0).unwrap(), &QueryAnswer::Curvature(found));
    assert_eq!((plans[0].task(6, 0), target(999)), (None, None));
    let map = findings.curvature().unwrap();
    assert_eq!(map.here, Some(found));
    assert_eq!(findings.left, plans[0].tasks.len() - 1);
    // One answer has no pace; the first product of the next one has.
    assert_eq!(findings.seconds_left, None);
    let begun = findings.share;
    findings.take_product(target(1).unwrap(), 3, 30);
    assert!(findings.share > begun && findings.seconds_left.is_some_and(|left| left > 0.0));
    findings.take(target(1).unwrap(), &QueryAnswer::Curvature(found));
    let mut before = findings.share;
    for (_, target) in &plans[0].tasks[2..] {
        findings.take_product(*target, 29, 30);
        findings.take(*target, &QueryAnswer::Curvature(found));
        assert!(findings.share >= before && (findings.share < 1.0 || findings.left == 0));
        before = findings.share;
    }
    assert_eq!(
        (findings.left, findings.share, findings.seconds_left),
        (0, 1.0, None)
    );
    assert_eq!(plans[0].tasks.len(), 1 + 81);
}
