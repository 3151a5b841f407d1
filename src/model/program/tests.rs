//! Programs as wholes: batch norm in training mode, and what is joined.

use std::collections::HashMap;

use candle_core::{DType, Device, Tensor, Var, safetensors};

use super::datum::{Datum, FloatPlace};
use super::kind::Kind;
use super::op::{Around, Conv, Function, Op};
use super::run::Norms;
use super::{Input, Output, Program, Value};
use crate::model::Weights;
use crate::run::{Dtype, TensorInfo};
use crate::weights::Layout;

const TENSORS: [(&str, &str); 5] = [
    ("conv.weight", "kernel"),
    ("bn.weight", "weight"),
    ("bn.bias", "bias"),
    ("bn.running_mean", "zeros"),
    ("bn.running_var", "ones"),
];

fn difference(a: &Tensor, b: &Tensor) -> f64 {
    let worst = (a - b).and_then(|d| d.abs()?.flatten_all()?.max(0)?.to_scalar::<f64>());
    worst.unwrap()
}

/// Returns a convolution of stride 2 and its batch norm.
fn conv_norm() -> Program {
    let mut program = Program::default();
    program.inputs.push(Input {
        name: "x".into(),
        kind: Kind::Float,
        shape: vec![None; 4],
    });
    let conv = Conv {
        stride: vec![2],
        padding: Around::By(vec![1]),
        dilation: vec![1],
        groups: 1,
        output_padding: None,
    };
    let operands = vec![Some(Value::Input(0)), Some(Value::Slot(0)), None];
    let y = program.push(Op::Conv(conv), operands, "conv");
    let norm = [
        y,
        Value::Slot(1),
        Value::Slot(2),
        Value::Slot(3),
        Value::Slot(4),
    ];
    let op = Op::BatchNorm { epsilon: 1e-5 };
    let value = program.push(op, norm.map(Some).to_vec(), "bn");
    program.outputs.push(Output { name: None, value });
    program
}

#[test]
fn truth_values_that_a_file_holds_as_numbers_are_truth_values() {
    let mut program = Program::default();
    program.inputs.push(Input {
        name: "mask".into(),
        kind: Kind::Bool,
        shape: vec![None],
    });
    let operands = vec![Some(Value::Input(0))];
    let value = program.push(Op::Function(Function::BitwiseNot), operands, "~mask");
    program.outputs.push(Output { name: None, value });
    let place = FloatPlace {
        device: Device::Cpu,
        dtype: DType::F32,
    };
    let mask = Datum::ints(&[1, 0, 2], &[3]).unwrap();
    let prepared = program.prepare(vec![mask], &place).unwrap();
    let weights = Weights::zeros(std::sync::Arc::default()).unwrap();
    let outputs = program.run(&weights, &prepared, &place, &mut Norms::own());
    let outputs = outputs.unwrap();
    // A whole number's complement would be -2, -1, -3: true everywhere.
    assert_eq!(outputs[0].kind(), Kind::Bool);
    assert_eq!(outputs[0].to_ints().unwrap(), [0, 1, 0]);
}

#[test]
fn batch_norm_trains_as_in_pytorch() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/fixtures/models/training.safetensors"
    );
    let mut values = safetensors::load(path, &Device::Cpu).unwrap();
    let zeros = values["weight"].zeros_like().unwrap();
    values.insert("ones".into(), zeros.ones_like().unwrap());
    values.insert("zeros".into(), zeros);
    let infos = TENSORS.map(|(name, key)| TensorInfo {
        name: name.into(),
        shape: values[key].dims().to_vec(),
        dtype: Dtype::F32,
    });
    let layout = std::sync::Arc::new(Layout::of(&infos));
    let vars = TENSORS.map(|(_, key)| Var::from_tensor(&values[key]).unwrap());
    let weights = Weights::zeros(layout).unwrap();
    let weights = weights.with(vars.iter().map(|var| var.as_tensor().clone()).enumerate());
    let place = FloatPlace {
        device: Device::Cpu,
        dtype: DType::F64,
    };
    for program in [conv_norm(), conv_norm().joined()] {
        let run = |batch: usize| {
            let x = Datum::float(values["x"].get(batch).unwrap());
            let prepared = program.prepare(vec![x], &place).unwrap();
            let mut norms = Norms::own();
            let outputs = program.run(&weights, &prepared, &place, &mut norms);
            let Norms::Own(notes) = norms else {
                panic!("no statistics");
            };
            (outputs.unwrap()[0].tensor().clone(), notes)
        };
        let [(_, first), (y, second)] = [run(0), run(1)];
        assert!(difference(&y, &values["y"]) < 1e-12);
        // PyTorch's running statistics after both batches: momentum 0.1, from 0 and 1.
        for (slot, start, key) in [(3, 0.0, "running_mean"), (4, 1.0, "running_var")] {
            let moved = |running: &Tensor, notes: &HashMap<usize, Tensor>| {
                ((running * 0.9).unwrap() + (&notes[&slot] * 0.1).unwrap()).unwrap()
            };
            let start = (values["zeros"].clone() + start).unwrap();
            let running = moved(&moved(&start, &first), &second);
            assert!(difference(&running, &values[key]) < 1e-14, "{key}");
        }
        let loss = (y * &values["c"]).and_then(|y| y.sum_all()).unwrap();
        let gradients = loss.backward().unwrap();
        for ((_, key), var) in TENSORS.iter().zip(&vars).take(3) {
            let expected = &values[&format!("grad.{key}")];
            let found = gradients.get(var).unwrap();
            assert!(difference(found, expected) < 1e-12, "{key}");
        }
    }
}

#[test]
fn a_norm_is_joined_with_a_convolution_that_nothing_else_takes() {
    let operations = |program: &Program| {
        let live = program.live();
        live.into_iter().filter(|live| *live).count()
    };
    let joined = conv_norm().joined();
    assert_eq!((operations(&conv_norm()), operations(&joined)), (2, 1));
    assert!(joined.has_batch_norm());
    // The convolution's own result is an output, too.
    let mut shared = conv_norm();
    shared.outputs.push(Output {
        name: None,
        value: Value::Node { node: 0, output: 0 },
    });
    assert_eq!(operations(&shared.joined()), 2);
}
