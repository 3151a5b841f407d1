//! Curvature against PyTorch's exact Hessians of two tiny networks, of which
//! tests/fixtures/models/make_hessian.py tells how they were made.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::collections::HashMap;
use std::sync::Arc;

use candle_core::{Device, Tensor};
use serde_json::Value;

use super::density::{Density, density};
use super::product::{Curvature, KEEP_GRAPH};
use super::{Effort, RESOLUTION, extremes, extremes_of};
use crate::data::Dataset;
use crate::data::column::Column;
use crate::landscape::LandscapeError;
use crate::landscape::device::Compute;
use crate::landscape::objective::ModelObjective;
use crate::loss::Criterion;
use crate::model::{Weights, recognize};
use crate::run::{Dtype, TensorInfo};
use crate::test_device;
use crate::test_process::in_a_process_that_keeps_graphs;
use crate::weights::Layout;

const MODELS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/models");

/// Returns a tiny network of the fixtures with its samples, labelled 0, 1, 2.
fn tiny(name: &str, batch: usize) -> (ModelObjective, Weights) {
    tiny_on(name, batch, &Device::Cpu)
}

fn tiny_on(name: &str, batch: usize, device: &Device) -> (ModelObjective, Weights) {
    let path = format!("{MODELS}/{name}.safetensors");
    let tensors: HashMap<String, Tensor> =
        candle_core::safetensors::load(path, &Device::Cpu).unwrap();
    let mut infos: Vec<TensorInfo> = tensors
        .iter()
        .filter(|(name, _)| !["input", "logits"].contains(&name.as_str()))
        .filter(|(name, _)| !name.ends_with("num_batches_tracked"))
        .map(|(name, tensor)| TensorInfo {
            name: name.clone(),
            shape: tensor.dims().into(),
            dtype: Dtype::F32,
        })
        .collect();
    // Here the order of names is PyTorch's own: that of the Hessian's rows.
    infos.sort_by(|a, b| a.name.cmp(&b.name));
    let layout = Arc::new(Layout::of(&infos));
    let input = &tensors["input"];
    let (count, channels, height, width) = input.dims4().unwrap();
    let pixels = input.flatten_all().unwrap().to_vec1().unwrap();
    let images = Column::images([channels, height, width], pixels);
    let labels: Vec<u32> = (0..count as u32).collect();
    let data = Dataset::of(name, vec![images], Some(Column::labels(&labels)));
    let recognized = recognize(&layout, "auto", data.image()).unwrap();
    let compute = Compute {
        batch: Some(batch),
        ..Compute::on(device.clone())
    };
    let criterion = Criterion::default();
    let objective = ModelObjective::new(
        &recognized,
        Arc::clone(&layout),
        &data,
        &criterion,
        &compute,
    )
    .unwrap();
    let slots = layout.slots().iter();
    let flat: Vec<Tensor> = slots
        .map(|slot| tensors[&slot.name].flatten_all().unwrap())
        .collect();
    let flat = Tensor::cat(&flat, 0).unwrap();
    let weights = Weights::new(flat.to_device(device).unwrap(), layout);
    (objective, weights)
}

fn exact(name: &str) -> Value {
    let text = std::fs::read_to_string(format!("{MODELS}/hessian.json")).unwrap();
    serde_json::from_str::<Value>(&text).unwrap()[name].take()
}

test_device!(few_samples_of_small_batches_are_measured);
fn few_samples_of_small_batches_are_measured(device: &Device) {
    // Of three batches of one sample each, two have none of the samples that are taken.
    let (objective, _) = tiny_on("resnet8", 1, device);
    let few = objective.few(1).unwrap();
    assert_eq!(few.samples(), 1);
    let origin = Tensor::zeros(few.layout().len(), candle_core::DType::F32, device).unwrap();
    assert!(few.at(origin).unwrap().loss.is_finite());
}

test_device!(products_and_extreme_eigenvalues_are_those_of_the_exact_hessian);
fn products_and_extreme_eigenvalues_are_those_of_the_exact_hessian(device: &Device) {
    let test = "landscape::curvature::tests::products_and_extreme_eigenvalues_are_those_of_the_exact_hessian";
    if !in_a_process_that_keeps_graphs(&format!("{test}::{}", test_device::name(device))) {
        return;
    }
    for name in ["mlp", "resnet8"] {
        let expected = exact(name);
        // One batch, and micro-batches of two and one.
        for batch in [3, 2] {
            let (objective, weights) = tiny_on(name, batch, device);
            let curvature = Curvature::new(&objective).unwrap();
            assert_eq!(expected["dimension"], curvature.dimension());
            let hessian = curvature.at(&weights).unwrap();
            let v: Vec<f64> = (0..curvature.dimension())
                .map(|i| (i as f64).sin())
                .collect();
            let product = hessian.product(&v).unwrap();
            let exact = expected["product"].as_array().unwrap();
            let largest = exact
                .iter()
                .map(|e| e.as_f64().unwrap().abs())
                .fold(0.0, f64::max);
            for (found, exact) in product.iter().zip(exact) {
                assert!(
                    (found - exact.as_f64().unwrap()).abs() < 1e-5 * largest,
                    "{name}"
                );
            }
            let [max, min] =
                ["lambda_max", "lambda_min"].map(|end| expected[end].as_f64().unwrap());
            for tolerance in [0.02, 0.01, 1e-3] {
                let effort = Effort {
                    tolerance,
                    ..Effort::default()
                };
                let found = extremes(&hessian, effort, |_, _| true).unwrap();
                let is_near = |found: f64, exact: f64| {
                    (found - exact).abs() < tolerance * exact.abs().max(RESOLUTION * max)
                };
                assert!(is_near(found.lambda_max, max), "{name}: {found:?}");
                assert!(is_near(found.lambda_min, min), "{name}: {found:?}");
                assert!(found.converged && (found.ratio() * max / min.abs() - 1.0).abs() < 0.03);
            }
        }
    }
}

/// Returns the spectrum of a trained network, in small: a bulk at 0, a few large ones, a smallest one that is a
/// half percent of the largest.
fn trained() -> Vec<f64> {
    let bulk = (0..280).map(|i| 0.002 * f64::from(i % 29) - 0.004);
    let large = (0..20).map(|i| 0.2 + 0.15 * f64::from(i));
    bulk.chain(large).chain([4.0, -0.0224]).collect()
}

fn of_diagonal(values: &[f64], effort: Effort) -> super::Extremes {
    let product = |v: &[f64]| Ok(v.iter().zip(values).map(|(v, value)| v * value).collect());
    extremes_of(values.len(), product, effort, |_, _| true).unwrap()
}

#[test]
fn a_small_lambda_min_is_known_to_a_share_of_itself() {
    for seed in 0..16 {
        let effort = Effort {
            seed,
            ..Effort::default()
        };
        let found = of_diagonal(&trained(), effort);
        assert!((found.lambda_min / -0.0224 - 1.0).abs() < 0.01, "{found:?}");
        assert!(found.converged && (found.ratio() / 0.0056 - 1.0).abs() < 0.02);
        // To a share of λmax it would be known long before.
        let coarse = Effort {
            resolution: 1.0,
            ..effort
        };
        assert!(of_diagonal(&trained(), coarse).iterations < found.iterations);
    }
}

#[test]
fn what_was_given_too_few_products_says_so_and_lies_inside_the_spectrum() {
    let effort = Effort {
        iterations: 15,
        ..Effort::default()
    };
    let found = of_diagonal(&trained(), effort);
    assert!(!found.converged && found.iterations == 15);
    assert!(found.lambda_max <= 4.0 + 1e-12 && found.lambda_min >= -0.0224 - 1e-12);
}

#[test]
fn a_spectrum_without_negative_ends_has_no_ratio_to_speak_of() {
    let values: Vec<f64> = (0..200).map(|i| (f64::from(i) / 199.0).powi(8)).collect();
    let found = of_diagonal(&values, Effort::default());
    assert!(found.converged && found.ratio() < RESOLUTION, "{found:?}");
}

#[test]
fn the_mean_of_the_density_is_the_trace_over_the_dimension() {
    let test =
        "landscape::curvature::tests::the_mean_of_the_density_is_the_trace_over_the_dimension";
    if !in_a_process_that_keeps_graphs(test) {
        return;
    }
    let expected = exact("mlp");
    let (objective, weights) = tiny("mlp", 3);
    let curvature = Curvature::new(&objective).unwrap();
    let hessian = curvature.at(&weights).unwrap();
    let found = Density::mean(
        (0..60)
            .map(|i| density(&hessian, 30, 7 + i, || true).unwrap())
            .collect(),
    );
    assert!((found.weights.iter().sum::<f64>() - 1.0).abs() < 1e-9);
    let mean: f64 = found
        .nodes
        .iter()
        .zip(&found.weights)
        .map(|(node, weight)| node * weight)
        .sum();
    let exact = expected["trace"].as_f64().unwrap() / curvature.dimension() as f64;
    // Sixty random vectors estimate it to a few thousandths of the spectrum's width.
    assert!((mean - exact).abs() < 0.01, "{mean} {exact}");
    let ends = ["lambda_min", "lambda_max"].map(|end| expected[end].as_f64().unwrap());
    assert!(
        found
            .nodes
            .iter()
            .all(|node| (ends[0] - 1e-3..ends[1] + 1e-3).contains(node))
    );
}

#[test]
fn a_process_that_cuts_graphs_is_refused() {
    if std::env::var_os(KEEP_GRAPH).is_some() {
        return;
    }
    let (objective, _) = tiny("mlp", 3);
    let error = Curvature::new(&objective).unwrap_err().to_string();
    assert!(error.contains("CANDLE_GRAD_DO_NOT_DETACH=1"), "{error}");
}

#[test]
fn a_product_that_is_told_to_stop_stops() {
    let test = "landscape::curvature::tests::a_product_that_is_told_to_stop_stops";
    if !in_a_process_that_keeps_graphs(test) {
        return;
    }
    let (objective, weights) = tiny("mlp", 3);
    let curvature = Curvature::new(&objective).unwrap();
    let hessian = curvature.at(&weights).unwrap();
    let mut told = Vec::new();
    let stopped = extremes(&hessian, Effort::default(), |done, of| {
        told.push((done, of));
        told.len() < 3
    });
    assert!(matches!(stopped, Err(LandscapeError::Stopped)));
    let most = Effort::default().iterations.min(hessian.dimension());
    assert_eq!(told, [(0, most), (1, most), (2, most)]);
}
