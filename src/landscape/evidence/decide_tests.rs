//! Decisions about networks whose activation is known, where the updates tell little or nothing of it.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::ops::RangeInclusive;
use std::path::Path;

use candle_core::Device;

use crate::data::column::ColumnValues;
use crate::data::scale::PixelScale;
use crate::data::{self, DataRequest, Dataset};
use crate::demo::{self, DemoOptions};
use crate::landscape::device::Compute;
use crate::loss::Criterion;
use crate::model::{Activation, Reading, Shortcuts};
use crate::run::Checkpoint;
use crate::weights::RunShape;

use super::answers::{Answers, AskedUpdate};
use super::effort::spread;
use super::inquiry::Inquiry;
use super::{Assumed, Question};

/// Returns the question to a path of which nothing is known.
fn question<'a>(
    shape: &'a RunShape,
    members: &'a [Checkpoint],
    data: &'a Dataset,
    (criterion, compute, answers): (&'a Criterion, &'a Compute, &'a Answers),
) -> Question<'a> {
    Question {
        shape,
        members,
        data,
        model: "auto",
        criterion,
        asked: Reading::default(),
        compute,
        answers,
    }
}

/// Returns the checkpoints of a run with these steps.
fn members_of(run: &str, steps: RangeInclusive<u64>) -> Vec<Checkpoint> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/readings")
        .join(run);
    let file = |step: u64| folder.join(format!("step_{step:03}.safetensors"));
    steps
        .step_by(16)
        .map(|step| Checkpoint::new(step, file(step)))
        .collect()
}

/// Returns the answer of a run's own updates, and of its newest checkpoint, on these samples.
fn answered(run: &str, steps: RangeInclusive<u64>, data: &Dataset) -> Assumed {
    let members = members_of(run, steps);
    let shape = RunShape::of_model(members.last().unwrap(), None, None).unwrap();
    let (criterion, answers) = (Criterion::default(), Answers::default());
    let rest = (&criterion, &Compute::on(Device::Cpu), &answers);
    question(&shape, &members, data, rest)
        .answer(&|| true)
        .unwrap()
}

/// Returns the decision about the run that was trained with tanh, where the updates of its path are said to follow each
/// activation by these cosines.
fn decided(cosine: impl Fn(Activation, usize) -> f64) -> Assumed {
    decided_of("vgg-tanh", 160, cosine)
}

/// Returns the same of another run.
fn decided_of(run: &str, until: u64, cosine: impl Fn(Activation, usize) -> f64) -> Assumed {
    let members = members_of(run, 0..=until);
    let shape = RunShape::of_model(members.last().unwrap(), None, None).unwrap();
    let data = data::load(&DataRequest::whole("digits")).unwrap();
    let answers = Answers::default();
    let rest = (&Criterion::default(), &Compute::on(Device::Cpu), &answers);
    let question = question(&shape, &members, &data, rest);
    let samples = Inquiry::new(&question, &|| true).unwrap().few.samples();
    assert!(samples < data.samples());
    let base = question.recognize(question.asked).unwrap().reading;
    for activation in Activation::ALL {
        for from in spread(members.len() - 1) {
            let subject = |scale| AskedUpdate {
                reading: Reading {
                    activation: Some(activation),
                    ..base
                },
                scale,
                samples,
                from: members[from].clone(),
                to: members[from + 1].clone(),
            };
            answers.keep(subject(0), cosine(activation, from));
            for scale in 1..=data.scales.len() {
                answers.keep(subject(scale), -0.5);
            }
        }
    }
    question.answer(&|| true).unwrap()
}

/// Returns a wrong reading that is followed a little better than the right one, about which the updates tell nothing.
fn hardly(activation: Activation, from: usize, ahead: f64) -> f64 {
    let scatter = if from.is_multiple_of(2) { 1.0 } else { -1.0 };
    match activation {
        Activation::Silu => ahead + 0.002 * scatter,
        Activation::Tanh => 0.03 + 0.06 * scatter,
        _ => -0.2,
    }
}

#[test]
fn a_reading_whose_loss_is_far_higher_is_not_taken_for_updates_that_hardly_follow_it() {
    let assumed = decided(|activation, from| hardly(activation, from, 0.04));
    assert_eq!(assumed.function.reading.activation, Some(Activation::Tanh));
    assert_eq!(assumed.warning, None);
}

#[test]
fn updates_that_follow_clearly_what_the_losses_speak_against_are_a_warning() {
    let clear = |activation, from| match activation {
        Activation::Tanh => 0.35 + hardly(activation, from, 0.0),
        _ => hardly(activation, from, 0.4),
    };
    let assumed = decided(clear);
    assert_eq!(assumed.function.reading.activation, Some(Activation::Tanh));
    let warning = assumed.warning.unwrap();
    assert!(
        warning.contains("the updates follow another reading better"),
        "{warning}"
    );
}

/// The last two checkpoints of a network with batch norm that knows its samples by heart leave only readings whose loss
/// is about its own: the statistics of batches would make all of them look alike.
#[test]
fn two_files_of_a_network_that_knows_its_samples_by_heart_are_read_by_their_losses() {
    let folder = tempfile::tempdir().unwrap();
    let data = data::load(&DataRequest::whole("digits"))
        .unwrap()
        .evenly_chosen(256);
    let options = DemoOptions {
        checkpoints: 40,
        seconds: 0.0,
        seed: 0,
    };
    demo::train(&data, folder.path(), &options).unwrap();
    let mut files: Vec<_> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    let last = files.split_off(files.len() - 2).into_iter();
    let members: Vec<Checkpoint> = (1..)
        .zip(last)
        .map(|(step, path)| Checkpoint::new(step, path))
        .collect();
    let shape = RunShape::of_model(&members[1], None, None).unwrap();
    let (criterion, answers) = (Criterion::default(), Answers::default());
    let rest = (&criterion, &Compute::on(Device::Cpu), &answers);
    let assumed = question(&shape, &members, &data, rest)
        .answer(&|| true)
        .unwrap();
    let activation = assumed.function.reading.activation;
    assert_eq!(activation, Some(Activation::Relu), "{assumed:?}");
    let [lowest, highest] = assumed.loss_range.unwrap_or([1.0; 2]);
    assert!(highest <= 3.0 * lowest, "{assumed:?}");
}

/// A network whose last block gives zeros unless shortcuts pass it by, and whose last layer makes much of what it gets.
#[test]
fn a_reading_whose_loss_is_far_above_guessing_is_not_taken_of_a_run_that_learned_nothing() {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/readings/resnet8-noshort/step_160.safetensors");
    let mut tensors = candle_core::safetensors::load(fixture, &Device::Cpu).unwrap();
    for (name, factor) in [
        ("layer3.0.bn2.weight", 0.0),
        ("layer3.0.bn2.bias", 0.0),
        ("linear.weight", 1000.0),
    ] {
        let tensor = tensors.get_mut(name).unwrap();
        *tensor = (&*tensor * factor).unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("step_1.safetensors");
    candle_core::safetensors::save(&tensors, &file).unwrap();
    let members = [Checkpoint::new(1, file)];
    let shape = RunShape::of_model(&members[0], None, None).unwrap();
    let data = data::load(&DataRequest::whole("digits")).unwrap();
    let (criterion, answers) = (Criterion::default(), Answers::default());
    let rest = (&criterion, &Compute::on(Device::Cpu), &answers);
    let assumed = question(&shape, &members, &data, rest)
        .answer(&|| true)
        .unwrap();
    let reading = assumed.function.reading;
    assert_eq!(reading.shortcuts, Some(Shortcuts::None), "{assumed:?}");
    assert_eq!(reading.activation, Some(Activation::Relu), "{assumed:?}");
    assert!(!assumed.tied.iter().any(|tied| tied.contains("padded")));
}

/// A checkpoint alone, of which neither updates nor losses tell much: running statistics do, as soon as training has begun.
#[test]
fn one_file_is_read_by_its_running_statistics() {
    let data = data::load(&DataRequest::whole("digits")).unwrap();
    for (run, scale, shortcuts) in [
        ("resnet8", Some("-1 to 1"), Some(Shortcuts::Padded)),
        ("resnet8-noshort", None, Some(Shortcuts::None)),
    ] {
        for step in [48, 96, 160] {
            let assumed = answered(run, step..=step, &data);
            let function = &assumed.function;
            assert_eq!(
                function.reading.activation,
                Some(Activation::Relu),
                "{assumed:?}"
            );
            assert_eq!(function.reading.shortcuts, shortcuts, "{assumed:?}");
            let pixels = function.pixels.as_ref().map(|pixels| &*pixels.source);
            assert_eq!(pixels, scale, "{run} {step}: {assumed:?}");
        }
    }
}

/// Returns the decision where the updates follow all activations alike, so that losses alone tell them apart.
fn alike(run: &str, until: u64) -> Assumed {
    let scattered = |from: usize| if from.is_multiple_of(2) { 0.05 } else { -0.05 };
    decided_of(run, until, |_, from| 0.4 + scattered(from))
}

#[test]
fn a_tied_reading_is_measured_under_the_scale_that_suits_it() {
    let assumed = alike("resnet8-noshort", 144);
    // The run's own, by the running statistics of its first batch norm.
    assert_eq!(assumed.function.pixels, None, "{assumed:?}");
    let others: Vec<&str> = assumed.alternatives.iter().map(|it| &*it.reading).collect();
    assert!(
        !others.iter().any(|other| other.contains("pixels")),
        "{others:?}"
    );
    let [lowest, highest] = assumed.loss_range.unwrap();
    assert!(highest <= 3.0 * lowest, "{assumed:?}");
}

#[test]
fn a_scale_whose_loss_is_far_higher_is_not_one_of_many_tied() {
    let assumed = alike("resnet8", 48);
    // The run's own.
    let pixels = assumed.function.pixels.as_ref().unwrap();
    assert_eq!(pixels.source, "-1 to 1", "{assumed:?}");
    assert!(!assumed.tied.contains(&"0 to 16".into()), "{assumed:?}");
}

#[test]
fn figures_that_are_none_of_the_usual_ones_are_found_by_running_statistics_and_said() {
    let mut data = data::load(&DataRequest::whole("digits")).unwrap();
    let known = answered("resnet8", 160..=160, &data);
    assert_eq!(known.warning, None, "the run's own scale is a usual one");
    // Without it the others are left, none of which fits.
    data.scales.retain(|scale| scale.source != "-1 to 1");
    let assumed = answered("resnet8", 160..=160, &data);
    assert!(assumed.doubtful, "{assumed:?}");
    let warning = assumed.warning.unwrap();
    let figures = warning.split(' ').filter_map(|word| word.parse().ok());
    let figures: Vec<f64> = figures.collect();
    assert!(
        figures.len() == 2 && figures.iter().all(|figure| (figure - 0.5).abs() < 0.05),
        "{warning}"
    );
}

#[test]
fn samples_that_training_never_saw_are_doubtful() {
    let mut data = data::load(&DataRequest::whole("digits")).unwrap();
    let own = data.scales.iter().find(|scale| scale.source == "-1 to 1");
    data = data.rescaled(&own.unwrap().clone());
    data.scale = PixelScale::default();
    data.scales.clear();
    let known = answered("resnet8", 0..=160, &data);
    assert_eq!(known.warning, None, "those that it saw");
    // Pixels in another order are no digits.
    let ColumnValues::F32(pixels) = &mut data.inputs[0].values else {
        panic!("digits are numbers");
    };
    for image in pixels.chunks_mut(64) {
        let old = image.to_vec();
        for (at, pixel) in image.iter_mut().enumerate() {
            *pixel = old[at * 37 % 64];
        }
    }
    let assumed = answered("resnet8", 0..=160, &data);
    assert!(assumed.doubtful && assumed.warning.is_some(), "{assumed:?}");
}

#[test]
fn running_statistics_are_foreign_to_blank_images_and_not_to_the_run_s_own() {
    let mut data = data::load(&DataRequest::whole("digits")).unwrap();
    let members = members_of("resnet8", 160..=160);
    let shape = RunShape::of_model(&members[0], None, None).unwrap();
    let are_foreign = |data: &Dataset| {
        let (criterion, answers) = (Criterion::default(), Answers::default());
        let rest = (&criterion, &Compute::on(Device::Cpu), &answers);
        let question = question(&shape, &members, data, rest);
        // The usual reading, which is the run's.
        let inquiry = Inquiry::new(&question, &|| true).unwrap();
        inquiry.are_foreign(0).unwrap()
    };
    assert!(!are_foreign(&data));
    if let ColumnValues::F32(pixels) = &mut data.inputs[0].values {
        pixels.fill(0.0);
    }
    assert!(are_foreign(&data));
}
