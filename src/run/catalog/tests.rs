//! Tests of the path that names and contents tell together.

use std::time::{Duration, Instant};

use super::*;

/// Returns a file with its age in seconds since the run began, the counters inside and a number for its weights.
fn entry(
    path: &str,
    time: u64,
    counters: (Option<u64>, Option<u64>),
    content: Option<u8>,
) -> CatalogEntry {
    CatalogEntry {
        path: PathBuf::from(path),
        modified: SystemTime::UNIX_EPOCH + Duration::from_secs(time),
        facts: Some(CheckpointFacts {
            counters: InnerCounters {
                step: counters.0,
                epoch: counters.1,
            },
            signature: 1,
            numbers: 610,
            content: content.map(|content| [content; 32]),
        }),
    }
}

const NONE: (Option<u64>, Option<u64>) = (None, None);

fn steps(catalog: &Catalog) -> Vec<(Option<u64>, String)> {
    let point = |point: &CatalogPoint| (point.step, point.path.display().to_string());
    catalog.points.iter().map(point).collect()
}

fn why(catalog: &Catalog, path: &str) -> Option<LeftOut> {
    let found = catalog
        .left_out
        .iter()
        .find(|(other, _)| other == Path::new(path));
    found.map(|(_, why)| why.clone())
}

fn numbered(content: Option<u8>) -> Vec<CatalogEntry> {
    (0..3)
        .map(|at| {
            entry(
                &format!("epoch={at}.ckpt"),
                at,
                (Some(8 * at + 8), Some(at)),
                content.map(|c| c + at as u8),
            )
        })
        .collect()
}

#[test]
fn a_last_with_the_weights_of_a_point_is_folded_without_a_word() {
    let mut entries = numbered(Some(10));
    entries.push(entry("last.ckpt", 9, (Some(24), Some(2)), Some(12)));
    let found = catalog(&entries);
    assert_eq!(found.points.len(), 3);
    assert_eq!(
        why(&found, "last.ckpt"),
        Some(LeftOut::Copy {
            of: "epoch=2.ckpt".into()
        })
    );
    assert!(
        found.remarks.is_empty() && found.undecided().is_empty(),
        "{found:?}"
    );
}

#[test]
fn a_last_with_weights_and_a_counter_of_its_own_is_a_point_in_the_path_s_unit() {
    let mut entries = numbered(Some(10));
    entries.push(entry("last.ckpt", 9, (Some(40), Some(4)), Some(99)));
    let found = catalog(&entries);
    assert_eq!(
        steps(&found).last(),
        Some(&(Some(4), "last.ckpt".to_owned()))
    );
    assert_eq!(found.unit, StepUnit::Epoch);
    assert_eq!(
        found.points.last().map(|point| point.origin),
        Some(StepOrigin::Counter)
    );
}

#[test]
fn names_after_the_next_epoch_move_the_counter_of_a_last_as_well() {
    let mut entries: Vec<_> = (1..4)
        .map(|at| {
            entry(
                &format!("checkpoint-{at}.pth"),
                at,
                (None, Some(at - 1)),
                Some(at as u8),
            )
        })
        .collect();
    entries.push(entry("last.pth", 9, (None, Some(4)), Some(99)));
    assert_eq!(
        steps(&catalog(&entries)).last(),
        Some(&(Some(5), "last.pth".to_owned()))
    );
}

#[test]
fn a_final_without_a_counter_is_left_out_with_a_sentence() {
    let mut entries = numbered(Some(10));
    entries.push(entry("model_final.pth", 9, NONE, Some(99)));
    let found = catalog(&entries);
    assert_eq!(found.points.len(), 3);
    assert_eq!(why(&found, "model_final.pth"), Some(LeftOut::NoStep));
    let [remark] = found.remarks.as_slice() else {
        panic!("{:?}", found.remarks)
    };
    assert!(remark.starts_with("model_final.pth: left out"), "{remark}");
}

#[test]
fn contents_are_asked_for_where_they_decide_and_there_alone() {
    let mut entries = numbered(None);
    entries.push(entry("last.ckpt", 9, (Some(24), Some(2)), None));
    let found = catalog(&entries);
    assert_eq!(found.points.len(), 3);
    assert_eq!(
        found.undecided(),
        [PathBuf::from("epoch=2.ckpt"), PathBuf::from("last.ckpt")]
    );
    assert_eq!(
        why(&found, "last.ckpt"),
        Some(LeftOut::MaybeCopy {
            of: Some("epoch=2.ckpt".into())
        })
    );
}

#[test]
fn equal_weights_under_two_steps_of_one_family_are_two_points() {
    let entries: Vec<_> = (0..3)
        .map(|at| entry(&format!("step_{at}.pt"), at, NONE, Some(7)))
        .collect();
    assert_eq!(catalog(&entries).points.len(), 3);
}

#[test]
fn two_networks_are_named_in_one_sentence() {
    let entries: Vec<_> = [5, 10, 15]
        .iter()
        .flat_map(|at| {
            [
                entry(&format!("{at}_net_G.pth"), *at, NONE, None),
                entry(&format!("{at}_net_D.pth"), *at, NONE, None),
            ]
        })
        .collect();
    let found = catalog(&entries);
    assert_eq!(found.points.len(), 3);
    let [remark] = found.remarks.as_slice() else {
        panic!("{:?}", found.remarks)
    };
    assert_eq!(
        remark,
        "several networks lie here: *_net_G.pth (3 files) is followed, the others are --only '*_net_D.pth' (3 files)"
    );
}

#[test]
fn the_newest_of_two_runs_is_followed_and_the_other_named() {
    let run = |version: u64, time: u64, count: u64| {
        (0..count).map(move |at| {
            let path = format!(
                "version_{version}/checkpoints/epoch={at}-step={}.ckpt",
                10 * at
            );
            entry(&path, time + at, NONE, None)
        })
    };
    for (first, second, followed) in [(0, 100, "version_1"), (100, 0, "version_0")] {
        let entries: Vec<_> = run(0, first, 5).chain(run(1, second, 9)).collect();
        let found = catalog(&entries);
        assert!(
            found
                .points
                .iter()
                .all(|point| point.path.starts_with(followed)),
            "{followed}"
        );
        let [remark] = found.remarks.as_slice() else {
            panic!("{:?}", found.remarks)
        };
        assert!(
            remark.contains("version_0") && remark.contains("version_1") && remark.contains("runs"),
            "{remark}"
        );
    }
}

#[test]
fn an_average_beside_the_model_is_told() {
    let entries: Vec<_> = [0, 1000, 2000]
        .iter()
        .flat_map(|at| {
            ["model", "ema_0.9999_", "opt"]
                .map(|name| entry(&format!("{name}{at:06}.pt"), *at, NONE, None))
        })
        .collect();
    let found = catalog(&entries);
    assert_eq!(
        steps(&found).last(),
        Some(&(Some(2000), "model002000.pt".to_owned()))
    );
    let [remark] = found.remarks.as_slice() else {
        panic!("{:?}", found.remarks)
    };
    assert!(
        remark.contains("average") && remark.contains("ema_0.9999"),
        "{remark}"
    );
}

#[test]
fn counters_inside_decide_where_names_do_not() {
    let entries = [
        entry("b.pt", 1, (Some(300), None), Some(1)),
        entry("a.pt", 2, (Some(100), None), Some(2)),
        entry("c.pt", 3, (Some(200), None), Some(3)),
    ];
    let found = catalog(&entries);
    let order: Vec<Option<u64>> = found.points.iter().map(|point| point.step).collect();
    assert_eq!(order, [Some(100), Some(200), Some(300)]);
    assert_eq!(found.unit, StepUnit::Step);
    assert!(found.remarks.is_empty(), "{:?}", found.remarks);
}

#[test]
fn one_file_written_over_is_a_path_by_its_counter() {
    let entries: Vec<_> = [(3, 30), (1, 10), (2, 20)]
        .map(|(time, step)| entry("ckpt.pt", time, (Some(step), None), Some(time as u8)))
        .into();
    let found = catalog(&entries);
    assert_eq!(
        found
            .points
            .iter()
            .map(|point| point.step)
            .collect::<Vec<_>>(),
        [Some(10), Some(20), Some(30)]
    );
    assert_eq!(
        found
            .points
            .iter()
            .map(|point| point.entry)
            .collect::<Vec<_>>(),
        [1, 2, 0]
    );
}

#[test]
fn times_order_what_nothing_else_does_and_that_is_said() {
    let entries = [
        entry("x.pt", 5, NONE, Some(1)),
        entry("y.pt", 2, NONE, Some(2)),
        entry("a.pt", 2, NONE, Some(3)),
    ];
    let found = catalog(&entries);
    assert_eq!(
        steps(&found),
        [
            (Some(0), "a.pt".to_owned()),
            (Some(1), "y.pt".to_owned()),
            (Some(2), "x.pt".to_owned())
        ]
    );
    let [remark] = found.remarks.as_slice() else {
        panic!("{:?}", found.remarks)
    };
    assert!(
        remark.contains("times") && remark.contains("names"),
        "{remark}"
    );
}

#[test]
fn of_two_files_with_one_step_the_later_counts() {
    let entries = [
        entry("epoch_1_acc_0.50.pt", 9, NONE, Some(1)),
        entry("epoch_1_acc_0.60.pt", 1, NONE, Some(2)),
        entry("epoch_2_acc_0.70.pt", 10, NONE, Some(3)),
    ];
    let found = catalog(&entries);
    assert_eq!(
        steps(&found).first(),
        Some(&(Some(1), "epoch_1_acc_0.50.pt".to_owned()))
    );
    assert!(
        found
            .remarks
            .iter()
            .any(|remark| remark.starts_with("epoch_1_acc_0.60.pt")),
        "{:?}",
        found.remarks
    );
}

#[test]
fn another_network_is_no_copy_whatever_it_is_called() {
    let mut entries = numbered(Some(10));
    let mut other = entry("best.ckpt", 9, NONE, Some(99));
    other.facts = other.facts.map(|facts| CheckpointFacts {
        signature: 2,
        ..facts
    });
    entries.push(other);
    assert!(matches!(
        why(&catalog(&entries), "best.ckpt"),
        Some(LeftOut::OtherNetwork { .. })
    ));
}

#[test]
fn counters_become_steps_where_names_start_again() {
    let file = |epoch: u64, at: u64, step: u64| {
        entry(
            &format!("epoch_{epoch}_iter_{at}.pt"),
            step,
            (Some(step), None),
            None,
        )
    };
    let entries = [
        file(1, 100, 100),
        file(1, 200, 200),
        file(2, 100, 300),
        file(2, 200, 400),
    ];
    let found = catalog(&entries);
    assert_eq!(found.unit, StepUnit::Step);
    assert_eq!(found.points.last().and_then(|point| point.step), Some(400));
}

#[test]
fn a_root_model_never_hides_the_folders_beside_it() {
    let mut entries: Vec<_> = [900, 1000]
        .iter()
        .map(|at| entry(&format!("checkpoint-{at}"), *at, NONE, Some(*at as u8)))
        .collect();
    entries.push(entry("", 2000, NONE, Some(1000u64 as u8)));
    let found = catalog(&entries);
    assert_eq!(found.points.len(), 2);
    assert_eq!(
        why(&found, ""),
        Some(LeftOut::Copy {
            of: "checkpoint-1000".into()
        })
    );
}

#[test]
fn a_thousand_files_take_no_time() {
    let entries: Vec<_> = (0..1000)
        .map(|at| {
            entry(
                &format!("checkpoints/{at:06}/pretrained_model/model.safetensors"),
                at,
                (Some(at), None),
                None,
            )
        })
        .collect();
    let start = Instant::now();
    assert_eq!(catalog(&entries).points.len(), 1000);
    // Twenty milliseconds where tests are compiled with optimization and run alone.
    assert!(
        start.elapsed() < Duration::from_millis(500),
        "{:?}",
        start.elapsed()
    );
}

#[test]
fn a_family_of_copies_is_folded_without_a_word() {
    let mut entries: Vec<_> = (1..5u64)
        .map(|at| {
            entry(
                &format!("checkpoint_{}_{at}0.pt", at.div_ceil(2)),
                at,
                NONE,
                Some(at as u8),
            )
        })
        .collect();
    entries.push(entry("checkpoint1.pt", 2, NONE, Some(2)));
    entries.push(entry("checkpoint2.pt", 4, NONE, Some(4)));
    let found = catalog(&entries);
    assert_eq!(found.points.len(), 4);
    assert!(
        found.remarks.is_empty() && found.alternatives.is_empty(),
        "{found:?}"
    );
    assert_eq!(
        why(&found, "checkpoint2.pt"),
        Some(LeftOut::Copy {
            of: "checkpoint_2_40.pt".into()
        })
    );
}

#[test]
fn a_family_that_ended_before_another_began_is_not_followed() {
    let old = (1..8).map(|at| entry(&format!("epoch_{at}.pt"), at, NONE, None));
    let new = (1..3).map(|at| entry(&format!("iter_{at}00.pt"), 100 + at, NONE, None));
    let found = catalog(&old.chain(new).collect::<Vec<_>>());
    assert_eq!(found.unit, StepUnit::Step);
    assert_eq!(found.points.len(), 2);
    assert!(
        found
            .remarks
            .iter()
            .any(|remark| remark.contains("--only 'epoch_*.pt'")),
        "{:?}",
        found.remarks
    );
}
