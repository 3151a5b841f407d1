//! Images a second through whole networks, with new weights at every pass, against candle's own
//! convolution and against what the machine's matrix product allows, all measured in turn in one run:
//! `cargo bench --bench forward [-- --json]`. With a folder that `benches/pytorch.py` wrote, its six
//! exported networks are measured instead, beside PyTorch. With `--device cuda:0` whole points of 1024 images are measured
//! there, in f32, bf16 and f16, against the device's own matrix product. With `--passes` it takes turns with
//! `benches/pytorch.py --onnxruntime`: for each line on standard input, a network's name, it prints the seconds of one batch.

#[path = "shared/mod.rs"]
mod bench;
#[path = "shared/device.rs"]
mod device;
#[path = "shared/exported.rs"]
mod exported;

use std::collections::HashMap;
use std::error::Error;
use std::iter;
use std::sync::Arc;
use std::time::Instant;

use candle_core::{DType, Device, Tensor};
use isoloss::landscape::{Place, Precision};
use isoloss::model::{Datum, FusedNetwork, Weights, recognize};
use isoloss::run::TensorInfo;
use isoloss::weights::Layout;
use serde_json::{Map, Value, json};

use bench::{Conv, conv, in_turn, matmul_rate, named, norm, random, wants_json};

const BATCH: usize = 128;
const ROUNDS: usize = 7;
const IMAGE: [usize; 3] = [3, 32, 32];

/// A network as its tensors, as candle runs it, and what a sample costs.
struct Bench {
    name: &'static str,
    tensors: Vec<TensorInfo>,
    convs: Vec<Conv>,
    candle: fn(&[Tensor], &[Conv], &Tensor) -> candle_core::Result<Tensor>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut words = std::env::args()
        .skip(1)
        .filter(|word| !["--json", "--bench"].contains(&word.as_str()));
    let first = words.next();
    if first.as_deref() == Some("--device") {
        let place = words.next().ok_or("--device: expected cuda:N or metal")?;
        return on_device(place.parse()?);
    }
    let benches = [
        resnet("resnet20", 3),
        resnet("resnet56", 9),
        vgg9(),
        narrow_vgg9(),
    ];
    if first.as_deref() == Some("--passes") {
        return passes(&benches);
    }
    if let Some(folder) = first {
        let table = exported::measure(folder.as_ref())?;
        if wants_json() {
            println!("{table}");
        }
        return Ok(());
    }
    let matmul = matmul_rate()?;
    let mut table = Map::new();
    for bench in &benches {
        table.insert(bench.name.into(), measure(bench, matmul)?);
    }
    if wants_json() {
        println!("{}", Value::Object(table));
        return Ok(());
    }
    println!(
        "batch {BATCH}, 3x32x32, matrix product {:.0} GFLOP/s",
        matmul / 1e9
    );
    println!(
        "{:<10} {:>10} {:>10} {:>10}",
        "", "images/s", "x candle", "x product"
    );
    for (name, row) in &table {
        let figure = |key: &str| row[key].as_f64().unwrap_or(f64::NAN);
        let images = figure("images_per_second");
        println!(
            "{name:<10} {images:>10.0} {:>10.1} {:>10.2}",
            figure("vs_candle"),
            figure("vs_matmul")
        );
    }
    Ok(())
}

/// Measures points of all networks on a device, in each type.
fn on_device(place: Place) -> Result<(), Box<dyn Error>> {
    let mut table = Map::new();
    let convnets = [resnet("resnet20", 3), resnet("resnet56", 9), vgg9()];
    let convnets = convnets.map(|bench| (bench.name, work(&bench.convs), bench.tensors));
    for (network, work, tensors) in iter::once(mlp()).chain(convnets) {
        for (name, precision) in [
            ("f32", Precision::F32),
            ("bf16", Precision::Bf16),
            ("f16", Precision::F16),
        ] {
            let row = device::measure(&tensors, work, place, precision)?;
            table.insert(format!("{network} {name}"), row);
        }
    }
    if wants_json() {
        println!("{}", Value::Object(table));
        return Ok(());
    }
    println!("{place}, points of 1024 images of 3x32x32");
    println!(
        "{:<14} {:>10} {:>10} {:>10} {:>10}",
        "", "ms", "images/s", "of product", "TFLOP/s"
    );
    for (name, row) in &table {
        let figure = |key: &str| row[key].as_f64().unwrap_or(f64::NAN);
        println!(
            "{name:<14} {:>10.2} {:>10.0} {:>10.3} {:>10.1}",
            figure("milliseconds_per_point"),
            figure("images_per_second"),
            figure("of_matmul"),
            figure("matmul_tflops")
        );
    }
    Ok(())
}

/// Answers each name of a network with the seconds of one batch.
fn passes(benches: &[Bench]) -> Result<(), Box<dyn Error>> {
    let mut ready = HashMap::new();
    for bench in benches {
        ready.insert(bench.name, Ours::of(bench)?);
    }
    for name in std::io::stdin().lines() {
        let name = name?;
        let ours = ready.get(name.trim()).ok_or("no such network")?;
        let start = Instant::now();
        ours.kernels.logits(&ours.weights, &[&ours.pixels])?;
        println!("{}", start.elapsed().as_secs_f64());
    }
    Ok(())
}

/// A network that is ready, weights for it and a batch.
struct Ours {
    kernels: FusedNetwork,
    weights: Weights,
    pixels: Vec<f32>,
}

impl Ours {
    fn of(bench: &Bench) -> Result<Self, Box<dyn Error>> {
        let layout = Arc::new(Layout::of(&bench.tensors));
        let recognized = recognize(&layout, "auto", Some(IMAGE))?;
        let one = Tensor::zeros((1, 3, 32, 32), DType::F32, &Device::Cpu)?;
        let trace = recognized.program.trace(&layout, &[Datum::float(one)])?;
        let kernels = FusedNetwork::of(&recognized.program, &trace, 0).ok_or("no kernels")?;
        let flat = Tensor::from_vec(random(layout.len()), layout.len(), &Device::Cpu)?;
        Ok(Self {
            kernels,
            weights: Weights::new(flat, layout),
            pixels: random(BATCH * IMAGE.iter().product::<usize>()),
        })
    }
}

fn measure(bench: &Bench, matmul: f64) -> Result<Value, Box<dyn Error>> {
    let Ours {
        kernels,
        weights,
        pixels,
    } = Ours::of(bench)?;
    let images = Tensor::from_slice(&pixels, (BATCH, 3, 32, 32), &Device::Cpu)?;
    let folded: Vec<Tensor> = bench
        .convs
        .iter()
        .map(|conv| {
            let shape = (conv.outputs, conv.inputs, 3, 3);
            Tensor::from_vec(random(conv.outputs * conv.inputs * 9), shape, &Device::Cpu)
        })
        .collect::<Result<_, _>>()?;
    let mut passes = [
        &mut || drop(kernels.logits(&weights, &[&pixels])) as _,
        &mut || drop((bench.candle)(&folded, &bench.convs, &images)) as _,
    ] as [&mut dyn FnMut(); 2];
    let [ours, candle] = in_turn(ROUNDS, &mut passes);
    Ok(json!({
        "images_per_second": BATCH as f64 / ours,
        "vs_candle": candle / ours,
        "vs_matmul": (BATCH * work(&bench.convs)) as f64 / ours / matmul,
    }))
}

/// Floating-point operations of an image.
fn work(convs: &[Conv]) -> usize {
    let work = |conv: &Conv| 2 * 9 * conv.inputs * conv.outputs * conv.width * conv.width;
    convs.iter().map(work).sum()
}

/// A network whose points a GPU computes faster than they are sent to it: its name, the floating-point operations of an
/// image, its tensors.
fn mlp() -> (&'static str, usize, Vec<TensorInfo>) {
    let (widths, mut work, mut tensors) = ([3072, 256, 256, 10], 0, Vec::new());
    for (number, pair) in widths.windows(2).enumerate() {
        let (inputs, outputs) = (pair[0], pair[1]);
        named(
            &mut tensors,
            &format!("{}.weight", 2 * number),
            &[outputs, inputs],
        );
        named(&mut tensors, &format!("{}.bias", 2 * number), &[outputs]);
        work += 2 * inputs * outputs;
    }
    ("mlp", work, tensors)
}

fn resnet(name: &'static str, n: usize) -> Bench {
    let (tensors, convs) = bench::resnet(n);
    Bench {
        name,
        tensors,
        convs,
        candle: bench::resnet_by_candle,
    }
}

/// A VGG by its convolutions (outputs, width of the image, whether a 2×2 max pool follows) and the widths
/// of its head.
fn vgg(name: &'static str, features: &[(usize, usize, bool)], head: &[usize]) -> Bench {
    let (mut tensors, mut convs) = (Vec::new(), Vec::new());
    let (mut number, mut inputs) = (0, 3);
    for &(outputs, width, pool) in features {
        let shape = [outputs, inputs, 3, 3];
        named(&mut tensors, &format!("features.{number}.weight"), &shape);
        named(&mut tensors, &format!("features.{number}.bias"), &[outputs]);
        norm(&mut tensors, &format!("features.{}", number + 1), outputs);
        convs.push(Conv {
            inputs,
            outputs,
            width,
            stride: 1,
        });
        number += if pool { 4 } else { 3 };
        inputs = outputs;
    }
    for (number, widths) in head.windows(2).enumerate() {
        let prefix = format!("classifier.{}", 3 * number);
        let shape = [widths[1], widths[0]];
        named(&mut tensors, &format!("{prefix}.weight"), &shape);
        named(&mut tensors, &format!("{prefix}.bias"), &[widths[1]]);
    }
    Bench {
        name,
        tensors,
        convs,
        candle: vgg_by_candle,
    }
}

/// The VGG-9 of Li et al. 2018.
fn vgg9() -> Bench {
    let features = [
        (64, 32, true),
        (128, 16, true),
        (256, 8, false),
        (256, 8, true),
        (512, 4, false),
        (512, 4, true),
    ];
    vgg("vgg9", &features, &[2048, 512, 512, 10])
}

/// The VGG-9 of the interpolation fixture: a quarter as wide, seven convolutions.
fn narrow_vgg9() -> Bench {
    let features = [
        (16, 32, false),
        (16, 32, true),
        (32, 16, false),
        (32, 16, true),
        (64, 8, false),
        (64, 8, false),
        (64, 8, true),
    ];
    vgg("vgg9-16", &features, &[1024, 64, 10])
}

fn vgg_by_candle(
    kernels: &[Tensor],
    convs: &[Conv],
    images: &Tensor,
) -> candle_core::Result<Tensor> {
    let mut x = images.clone();
    for (i, kernel) in kernels.iter().enumerate() {
        x = conv(&x, kernel, 1)?.relu()?;
        let next = convs.get(i + 1).map_or(0, |next| next.width);
        if next < convs[i].width {
            x = x.max_pool2d(2)?;
        }
    }
    x.flatten_from(1)
}
