//! One plan on several devices gives what one device gives, and outlives those that do not open.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a panic is how a test fails"
)]

mod program;

use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use isoloss::data::Split;
use isoloss::landscape::worker::serve;
use isoloss::landscape::{
    Hosting, Place, Plan, Precision, Query, QueryAnswer, WorkerEvent, WorkerRequest,
};
use isoloss::run::Checkpoint;
use program::{digits, fixture, random_plane};

/// A GPU that no machine has.
const ABSENT: Place = Place::Cuda(4096);

/// 25 points of a random plane through the last checkpoint of a real run, and that checkpoint itself.
fn plan() -> Plan {
    let checkpoint = Checkpoint::new(240, fixture("digits-run/step_0240.safetensors"));
    let at = |i: u32| f64::from(i) / 4.0 - 0.5;
    let points = (0..25).map(|i| Query::on_plane([at(i % 5), at(i / 5)]));
    Plan {
        generation: 3,
        spec: random_plane(&checkpoint),
        split: Split::Train,
        queries: points.chain([Query::of_checkpoint(checkpoint)]).collect(),
    }
}

/// All reports up to the end of the plan.
fn reports(devices: &[Place], precision: Precision) -> Vec<WorkerEvent> {
    let setup = digits(devices, precision);
    let ((requests, served), (send, reports)) = (channel(), channel());
    requests.send(WorkerRequest::Measure(plan())).unwrap();
    let crew = thread::spawn(move || {
        serve(&setup, &Hosting::default(), &served, |report| {
            send.send(report).is_ok()
        });
    });
    let mut all = Vec::new();
    while !matches!(
        all.last(),
        Some(WorkerEvent::Done(_) | WorkerEvent::Failed { index: None, .. })
    ) {
        all.push(reports.recv_timeout(Duration::from_secs(60)).unwrap());
    }
    drop(requests);
    crew.join().unwrap();
    assert_eq!(reports.try_iter().next(), None);
    all
}

/// The losses by query; each is told once.
fn losses(reports: &[WorkerEvent]) -> Vec<f64> {
    let mut losses = vec![None; plan().queries.len()];
    for report in reports {
        if let WorkerEvent::Measured {
            index,
            value: QueryAnswer::Measure(measure),
            generation,
            recalled,
        } = report
        {
            assert_eq!(*generation, 3);
            assert!(!recalled, "nothing is kept here");
            assert!(losses[*index].replace(measure.loss).is_none(), "{index}");
        }
    }
    losses.into_iter().map(Option::unwrap).collect()
}

/// The reports that are no values.
fn others(reports: Vec<WorkerEvent>) -> Vec<WorkerEvent> {
    let others = reports.into_iter();
    others
        .filter(|report| !matches!(report, WorkerEvent::Measured { .. } | WorkerEvent::Cost(_)))
        .collect()
}

#[test]
fn two_devices_give_what_one_gives_and_speak_as_one() {
    let [one, two] = [&[Place::Cpu][..], &[Place::Cpu, Place::Cpu]]
        .map(|devices| reports(devices, Precision::F32));
    let losses = [losses(&one), losses(&two)];
    assert!(losses[0][0] != losses[0][24]);
    assert_eq!(losses[0], losses[1]);
    // Each device says what it takes for granted, which is the same.
    let [one, two] = [others(one), others(two)].map(|mut reports| {
        reports.dedup();
        reports
    });
    assert_eq!(
        (&one[0], &two[0]),
        (
            &WorkerEvent::Device("cpu".into()),
            &WorkerEvent::Device("cpu,cpu".into())
        )
    );
    assert!(matches!(one[1], WorkerEvent::Data { samples: 1437, .. }));
    assert!(matches!(&one[2], WorkerEvent::Model { name, .. } if name == "mlp"));
    assert!(matches!(&one[3], WorkerEvent::Assumed(assumed) if !assumed.doubtful));
    assert_eq!(one[4..], [WorkerEvent::Done(3)]);
    assert_eq!(one[1..], two[1..]);
}

#[test]
fn a_device_that_does_not_open_is_told_and_the_others_measure() {
    let both = reports(&[ABSENT, Place::Cpu], Precision::F32);
    assert_eq!(
        losses(&both),
        losses(&reports(&[Place::Cpu], Precision::F32))
    );
    let others = others(both);
    assert_eq!(others[0], WorkerEvent::Device("cpu".into()));
    assert!(matches!(&others[1], WorkerEvent::Lost(why) if why.starts_with("device cuda:4096: ")));
}

#[test]
fn without_a_device_the_model_is_told_and_plans_fail() {
    let told = reports(&[ABSENT], Precision::Bf16);
    let no_data = |report: &WorkerEvent| matches!(report, WorkerEvent::NoData(why) if why.starts_with("device cuda:"));
    assert!(no_data(&told[0]), "{told:?}");
    assert!(matches!(&told[1], WorkerEvent::Model { name, .. } if name == "mlp"));
    assert_eq!(told.len(), 3);
}
