//! The cost of derivatives in forward passes: the backward pass and the Hessian-vector product of a ResNet-20
//! on a micro-batch as Lanczos' method takes it, against candle's own layers, all measured in turn in one
//! run: `cargo bench --bench gradient [-- --json]`.

#[path = "shared/mod.rs"]
mod bench;

use std::error::Error;
use std::process::{Command, exit};
use std::sync::Arc;
use std::thread;

use candle_core::{Device, Result, Tensor, Var};
use isoloss::landscape::curvature::product::KEEP_GRAPH;
use isoloss::model::{Weights, recognize};
use isoloss::weights::{Layout, Role};
use serde_json::json;

use bench::{in_turn, random, wants_json};

const BATCH: usize = 8;
const ROUNDS: usize = 15;
const IMAGE: [usize; 3] = [3, 32, 32];
/// candle walks graphs by recursion.
const STACK: usize = 64 << 20;

type Failure = Box<dyn Error + Send + Sync>;

fn main() -> std::result::Result<(), Failure> {
    // candle keeps gradients differentiable only where the process was started so, and its threads for
    // single operations wait in a loop for one another, which on a busy machine takes most of the time.
    if std::env::var_os(KEEP_GRAPH).is_none() {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(std::env::args_os().skip(1));
        let command = command.env(KEEP_GRAPH, "1").env("CANDLE_NUM_THREADS", "1");
        let status = command.status()?;
        exit(status.code().unwrap_or(1));
    }
    let measured = thread::Builder::new().stack_size(STACK).spawn(measure)?;
    measured.join().map_err(|_| "the measurement panicked")?
}

fn measure() -> std::result::Result<(), Failure> {
    let (tensors, convs) = bench::resnet(3);
    let layout = Arc::new(Layout::of(&tensors));
    let model = recognize(&layout, "auto", Some(IMAGE))?;
    let flat = Tensor::from_vec(random(layout.len()), layout.len(), &Device::Cpu)?;
    let weights = Weights::new(flat, Arc::clone(&layout));
    let pixels = random(BATCH * IMAGE.iter().product::<usize>());
    let images = Tensor::from_vec(pixels, (BATCH, 3, 32, 32), &Device::Cpu)?;
    let slots = layout.slots().iter().enumerate();
    let slots = slots.filter(|(_, slot)| slot.role == Role::Parameter && slot.rank() >= 2);
    let variables: Vec<(usize, Tensor)> = slots
        .map(|(index, _)| {
            let variable = Var::from_tensor(&weights.slot(index)?.contiguous()?)?;
            Ok((index, variable.into_inner()))
        })
        .collect::<Result<_>>()?;
    let weights = weights.with(variables.iter().cloned());
    let variables: Vec<Tensor> = variables.into_iter().map(|pair| pair.1).collect();
    let ours = || model.logits(&weights, &images);
    let candle = || {
        let features = bench::resnet_by_candle(&variables, &convs, &images)?;
        features.matmul(&variables[convs.len()].t()?)
    };
    // Once where an error can be told.
    derive(&ours, &variables, 3)?;
    derive(&candle, &variables, 3)?;
    let [forward, gradient, product, of_candle, gradient_of_candle] = in_turn(
        ROUNDS,
        &mut [
            &mut || drop(derive(&ours, &variables, 1)),
            &mut || drop(derive(&ours, &variables, 2)),
            &mut || drop(derive(&ours, &variables, 3)),
            &mut || drop(derive(&candle, &variables, 1)),
            &mut || drop(derive(&candle, &variables, 2)),
        ],
    );
    print(&[
        ("forward_ms", forward * 1e3),
        ("backward_vs_forward", (gradient - forward) / forward),
        ("product_vs_forward", (product - gradient) / forward),
        ("whole_product_vs_forward", product / forward),
        ("candle_forward_vs_forward", of_candle / forward),
        (
            "candle_backward_vs_backward",
            (gradient_of_candle - of_candle) / (gradient - forward),
        ),
    ]);
    Ok(())
}

fn print(figures: &[(&str, f64)]) {
    if wants_json() {
        let object: serde_json::Map<_, _> = figures
            .iter()
            .map(|(name, figure)| ((*name).to_string(), json!(figure)))
            .collect();
        println!("{}", serde_json::Value::Object(object));
        return;
    }
    println!("ResNet-20, batch {BATCH}, 3x32x32");
    for (name, figure) in figures {
        println!("{:<28} {figure:>8.1}", name.replace('_', " "));
    }
}

/// The sum of the squared logits of a network; with two stages its gradient by the variables, with three
/// the product of its Hessian with the variables themselves.
fn derive(logits: &dyn Fn() -> Result<Tensor>, variables: &[Tensor], stages: usize) -> Result<()> {
    let loss = logits()?.sqr()?.sum_all()?;
    if stages == 1 {
        return Ok(());
    }
    let gradients = loss.backward()?;
    if stages == 2 {
        return Ok(());
    }
    let mut along = Tensor::zeros((), loss.dtype(), loss.device())?;
    for variable in variables {
        if let Some(gradient) = gradients.get(variable) {
            along = (along + (gradient * variable.detach())?.sum_all()?)?;
        }
    }
    along.backward()?;
    Ok(())
}
