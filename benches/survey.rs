//! The points that a surface of 51×51 takes, how far off it is between them, and how long it takes:
//! `RAYON_NUM_THREADS=2 cargo bench --bench survey [-- --json]`.
//!
//! First two trained networks on both of their reference planes, against every point measured. Then the
//! headline: ResNet-20 on 1024 images of 3×32×32, to the first picture of 9×9 points and to rest, with all
//! images everywhere and with half of them, against 2601 points through candle's own convolution and against
//! exact values at places drawn at random.
//!
//! With `--workers` it measures instead how many times as fast several workers are as one, each of 20 ms a point.

#![allow(
    clippy::result_large_err,
    reason = "the library's error, which is made once at most"
)]

#[path = "shared/mod.rs"]
mod bench;
#[path = "shared/workers.rs"]
mod workers;

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use candle_core::{Device, Tensor};
use isoloss::data::column::Column;
use isoloss::data::{self, Count, DataRequest, Dataset, SampleOrder};
use isoloss::landscape::grid::explore::explore;
use isoloss::landscape::grid::surface::{Measure, log_loss};
use isoloss::landscape::grid::survey::spread;
use isoloss::landscape::{
    Complement, Compute, LandscapeError, Objective, Place, Precision, ResidentPlane, Surface, Until,
};
use isoloss::loss::{Criterion, Score};
use isoloss::model::{Datum, FloatPlace, Norms, Weights, recognize};
use isoloss::run::Checkpoint;
use isoloss::weights::normalize::normalize;
use isoloss::weights::{
    BatchNorm, Directions, Ignore, Layout, Norm, Pair, Plane, PlaneSpec, RunShape,
};
use rand::seq::index;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use serde_json::{Map, Value, json};

use bench::{in_turn, resnet, resnet_by_candle, wants_json};

const LINES: usize = 51;
const IMAGE: [usize; 3] = [3, 32, 32];
/// Images of the headline, and those measured everywhere with two fidelities.
const SAMPLES: usize = 1024;
const FEW: usize = 512;
/// Places at which the headline's surface is compared with exact values.
const PLACES: usize = 100;

fn main() -> Result<(), Box<dyn Error>> {
    let is_given = |option: &str| std::env::args().any(|argument| argument == option);
    if is_given(workers::AS_WORKER) {
        return workers::serve();
    }
    if is_given("--workers") {
        return by_workers();
    }
    let mut fixtures = Map::new();
    for (run, samples) in [("mlp-fashion", 256), ("resnet8-fashion", 256)] {
        for (plane, file) in [("pca", "pca"), ("random", "directions")] {
            let row = fixture(run, plane, file, samples)?;
            fixtures.insert(format!("{run} {plane}"), row);
        }
    }
    let headline = headline()?;
    if wants_json() {
        println!("{}", json!({ "fixtures": fixtures, "resnet20": headline }));
        return Ok(());
    }
    println!(
        "a surface of {LINES}x{LINES}: points measured, error of log-loss between them, seconds"
    );
    println!(
        "{:<22} {:>7} {:>8} {:>8} {:>9}",
        "", "points", "mean", "99 %", "seconds"
    );
    for (name, row) in &fixtures {
        println!("{name:<22} {}", figures(row));
    }
    println!("ResNet-20, {SAMPLES} images of 3x32x32");
    for (name, row) in headline.as_object().into_iter().flatten() {
        let times = row["vs_candle"].as_f64().unwrap_or(f64::NAN);
        println!(
            "{name:<22} {}  {times:.0} times as fast as all points by candle",
            figures(row)
        );
    }
    Ok(())
}

/// Prints how many times as fast several workers are as one.
fn by_workers() -> Result<(), Box<dyn Error>> {
    let report = workers::report()?;
    if wants_json() {
        println!("{report}");
        return Ok(());
    }
    println!("points of 20 ms: a grid of 21x21 whole, and one of 51x51 until it is good");
    println!("workers  seconds  times    seconds  times");
    for row in report.as_array().into_iter().flatten() {
        let figure = |key: &str| row[key].as_f64().unwrap_or(f64::NAN);
        println!(
            "{:>7} {:>8.2} {:>6.2} {:>10.2} {:>6.2}",
            figure("workers"),
            figure("whole_seconds"),
            figure("whole_times"),
            figure("good_seconds"),
            figure("good_times"),
        );
    }
    Ok(())
}

fn figures(row: &Value) -> String {
    let figure = |key: &str| row[key].as_f64().unwrap_or(f64::NAN);
    let percent = |key: &str| match figure(key) {
        share if share.is_nan() => "-".into(),
        share => format!("{:.2} %", 100.0 * share),
    };
    format!(
        "{:>7} {:>8} {:>8} {:>9.2}",
        figure("points"),
        percent("mean"),
        percent("p99"),
        figure("seconds")
    )
}

/// A trained network on a plane of its reference, against every point measured.
fn fixture(run: &str, plane: &str, file: &str, samples: usize) -> Result<Value, Box<dyn Error>> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let (step, name) = match run {
        "mlp-fashion" => (1580, "model_1580.pt"),
        _ => (632, "step=632.ckpt"),
    };
    let origin = Checkpoint::new(step, folder.join(run).join(name));
    let reference = folder.join(format!("{run}.reference"));
    let spec = PlaneSpec {
        shape: RunShape::of(&origin, None)?,
        origin,
        directions: Directions::File {
            path: reference.join(format!("{file}.safetensors")),
        },
        batch_norm: BatchNorm::Frozen,
    };
    let data = data::load(&DataRequest {
        count: Count::At(samples),
        order: SampleOrder::First,
        ..DataRequest::whole(folder.join("fashion-mnist"))
    })?;
    let objective = objective(&spec.shape.layout, &data)?;
    let resident = objective.resident(&spec.make()?)?;
    let known: Value =
        serde_json::from_str(&std::fs::read_to_string(reference.join("reference.json"))?)?;
    let lines = |axis: &str| {
        let lines = known[plane][axis].as_array().into_iter().flatten();
        let lines: Vec<f64> = lines.filter_map(Value::as_f64).collect();
        spread(lines[0], lines[lines.len() - 1], LINES)
    };
    let empty = Surface::new(lines("xs"), lines("ys"));
    let (surface, seconds) = measured(empty.clone(), Until::Good, &objective, &resident)?;
    let (exact, exact_seconds) = measured(empty, Until::Exact, &objective, &resident)?;
    let places = (0..LINES * LINES).map(|at| (at % LINES, at / LINES));
    let truth: Vec<_> = places
        .filter_map(|(i, j)| Some((i, j, exact.get(i, j)?.loss)))
        .collect();
    let [mean, p99] = errors(&surface, &truth);
    Ok(json!({
        "points": surface.measured(), "mean": mean, "p99": p99, "seconds": seconds,
        "vs_exact": exact_seconds / seconds,
    }))
}

fn objective(layout: &Arc<Layout>, data: &Dataset) -> Result<Objective, Box<dyn Error>> {
    let recognized = recognize(layout, "auto", data.image())?;
    let (compute, _) = Compute::open(Place::Cpu, Precision::F32, None)?;
    Ok(Objective::new(
        &recognized,
        Arc::clone(layout),
        data,
        &Criterion::default(),
        &compute,
    )?)
}

/// The loss at places of a plane, one after another.
fn on(
    objective: &Objective,
    plane: &ResidentPlane,
) -> impl FnMut(&[[f64; 2]]) -> Result<Vec<Measure>, LandscapeError> {
    |places| places.iter().map(|at| objective.on(plane, *at)).collect()
}

/// A surface as far as is asked for, and the seconds that it took.
fn measured(
    mut surface: Surface,
    until: Until,
    objective: &Objective,
    plane: &ResidentPlane,
) -> Result<(Surface, f64), LandscapeError> {
    let start = Instant::now();
    explore(&mut surface, &[], until, on(objective, plane))?;
    Ok((surface, start.elapsed().as_secs_f64()))
}

/// Mean and 99th percentile of the error in log-loss, as shares of the range of what is true (docs/math.md 11).
fn errors(surface: &Surface, truth: &[(usize, usize, f64)]) -> [f64; 2] {
    let found = surface.sample(surface.x(), surface.y());
    let heights = truth.iter().map(|(_, _, loss)| log_loss(*loss));
    let range = heights.clone().fold(f64::NEG_INFINITY, f64::max)
        - heights.clone().fold(f64::INFINITY, f64::min);
    let mut errors: Vec<f64> = (truth.iter().zip(heights))
        .map(|((i, j, _), z)| (log_loss(found.loss[j * surface.x().len() + i]) - z).abs() / range)
        .collect();
    errors.sort_by(f64::total_cmp);
    let mean = errors.iter().sum::<f64>() / errors.len() as f64;
    [mean, errors[errors.len() * 99 / 100]]
}

/// ResNet-20 around a point where it is right about every image, on a random filter-normalized plane.
fn headline() -> Result<Value, Box<dyn Error>> {
    let (tensors, convs) = resnet(3);
    let layout = Arc::new(Layout::of(&tensors));
    let mut data = images();
    let origin = right_about(&layout, &mut data)?;
    let objective = objective(&layout, &data)?;
    let mut directions: Pair = isoloss::weights::direction::random(&layout, 0);
    for direction in &mut directions {
        normalize(direction, &origin, &layout, Norm::Filter, Ignore::Biasbn);
    }
    let resident = objective.resident(&Plane {
        layout: Arc::clone(&layout),
        origin,
        directions,
        batch_norm: BatchNorm::Frozen,
    })?;
    let lines = spread(-1.0, 1.0, LINES);
    let empty = Surface::new(lines.clone(), lines);
    let truth = places(&empty, &objective, &resident)?;
    // One point by candle alone: all images in batches, as peers do it.
    let pixels = Tensor::from_slice(data.pixels(), (SAMPLES, 3, 32, 32), &Device::Cpu)?;
    let batches = pixels.chunk(SAMPLES / 128, 0)?;
    let folded: Vec<Tensor> = (convs.iter())
        .map(|conv| {
            Tensor::ones(
                (conv.outputs, conv.inputs, 3, 3),
                candle_core::DType::F32,
                &Device::Cpu,
            )
        })
        .collect::<Result<_, _>>()?;
    let mut point = || {
        for images in &batches {
            let _ = resnet_by_candle(&folded, &convs, images);
        }
    };
    let [point] = in_turn(3, &mut [&mut point]);
    let all_points = point * (LINES * LINES) as f64;
    let row = |surface: &Surface, points: usize, seconds: f64| {
        let [mean, p99] = errors(surface, &truth);
        json!({ "points": points, "mean": mean, "p99": p99, "seconds": seconds, "vs_candle": all_points / seconds })
    };
    let first = Surface::new(spread(-1.0, 1.0, 9), spread(-1.0, 1.0, 9));
    let (_, first_seconds) = measured(first, Until::Exact, &objective, &resident)?;
    let (alone, seconds) = measured(empty.clone(), Until::Good, &objective, &resident)?;
    let few = objective.few(FEW)?;
    let start = Instant::now();
    let (sketch, _) = measured(empty, Until::Good, &few, &resident)?;
    let all = on(&objective, &resident);
    let complement = Complement::explore(&sketch, Some(Score::Accuracy), all)?;
    let both = complement.map_or_else(|| sketch.clone(), |complement| complement.add_to(&sketch));
    let both_seconds = start.elapsed().as_secs_f64();
    Ok(json!({
        "9x9, first picture": { "points": 81, "seconds": first_seconds, "vs_candle": all_points / first_seconds },
        "all everywhere": row(&alone, alone.measured(), seconds),
        "half, and all at a few": row(&both, both.measured(), both_seconds),
    }))
}

/// Exact losses at places of the grid drawn at random.
fn places(
    grid: &Surface,
    objective: &Objective,
    plane: &ResidentPlane,
) -> Result<Vec<(usize, usize, f64)>, LandscapeError> {
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let chosen = index::sample(&mut random, LINES * LINES, PLACES).into_iter();
    let places = chosen.map(|at| (at % LINES, at / LINES));
    places
        .map(|(i, j)| {
            let Measure { loss, .. } = objective.on(plane, [grid.x()[i], grid.y()[j]])?;
            Ok((i, j, loss))
        })
        .collect()
}

/// Images that differ: ramps of any colour, with noise.
fn images() -> Dataset {
    let mut random = ChaCha8Rng::seed_from_u64(2);
    let mut normal = move || random.sample::<f32, _>(StandardNormal);
    let [channels, height, width] = IMAGE;
    let mut pixels = Vec::with_capacity(SAMPLES * channels * height * width);
    for _ in 0..SAMPLES * channels {
        let [level, across, down] = [normal(), normal(), normal()];
        for place in 0..height * width {
            let (x, y) = (
                (place % width) as f32 / 16.0 - 1.0,
                (place / width) as f32 / 16.0 - 1.0,
            );
            pixels.push(level + across * x + down * y + 0.3 * normal());
        }
    }
    Dataset::of("ramps", vec![Column::images(IMAGE, pixels)], None)
}

/// Weights by He's rule with running statistics of the images, and as labels what they predict.
fn right_about(layout: &Arc<Layout>, data: &mut Dataset) -> Result<Vec<f32>, Box<dyn Error>> {
    let mut random = ChaCha8Rng::seed_from_u64(3);
    let mut flat = vec![0.0; layout.len()];
    for slot in layout.slots() {
        let fan_in: usize = slot.shape.iter().skip(1).product();
        let spread = (2.0 / fan_in as f32).sqrt();
        for value in &mut flat[slot.offset..][..slot.len()] {
            *value = match slot.shape.len() {
                1 if slot.name.ends_with("weight") || slot.name.ends_with("running_var") => 1.0,
                1 => 0.0,
                // Logits far enough apart that the network is sure.
                2 => 8.0 * spread * random.sample::<f32, _>(StandardNormal),
                _ => spread * random.sample::<f32, _>(StandardNormal),
            };
        }
    }
    let recognized = recognize(layout, "auto", Some(IMAGE))?;
    let images = Tensor::from_slice(data.pixels(), (SAMPLES, 3, 32, 32), &Device::Cpu)?;
    let weights = Weights::new(
        Tensor::from_slice(&flat, flat.len(), &Device::Cpu)?,
        Arc::clone(layout),
    );
    let place = FloatPlace {
        device: Device::Cpu,
        dtype: candle_core::DType::F32,
    };
    let program = &recognized.program;
    let prepared = program.prepare(vec![Datum::float(images.clone())], &place)?;
    let mut norms = Norms::own();
    program.run(&weights, &prepared, &place, &mut norms)?;
    let weights = match norms {
        Norms::Own(statistics) => weights.with(statistics),
        Norms::Stored => weights,
    };
    let logits = recognized.logits(&weights, &images)?;
    let labels: Vec<u32> = logits.argmax(1)?.to_vec1()?;
    data.target = Some(Column::labels(&labels));
    for (index, slot) in layout.slots().iter().enumerate() {
        let values: Vec<f32> = weights.slot(index)?.flatten_all()?.to_vec1()?;
        flat[slot.offset..][..slot.len()].copy_from_slice(&values);
    }
    Ok(flat)
}
