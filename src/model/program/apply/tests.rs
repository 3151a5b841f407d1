//! Operations on operands that a hostile program may have: each gives a result or a sentence.

use std::panic::{AssertUnwindSafe, catch_unwind};

use candle_core::{DType, Device, Result, Tensor};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::model::Weights;
use crate::model::ops::RecurrentCell;
use crate::model::program::datum::{Datum, FloatPlace};
use crate::model::program::kind::Kind;
use crate::model::program::op::{
    Around, AxisSlice, Binary, Conv, Function, InnerLoss, LossKind, Mean, Method, Normalization,
    Op, Operand, Padding, PoolWindow, Recurrent, Reduction,
};
use crate::model::program::run::Norms;
use crate::model::program::{Input, Output, Program, Size, Value};

/// Applies one operation; an operand may be left out.
fn applied(op: Op, data: Vec<Option<Datum>>) -> Result<Datum> {
    let mut program = Program::default();
    let mut operands = Vec::new();
    for datum in &data {
        operands.push(datum.as_ref().map(|_| Value::Input(program.inputs.len())));
        program.inputs.extend(datum.as_ref().map(|datum| Input {
            name: "x".into(),
            kind: datum.kind(),
            shape: vec![None; datum.dims().len()],
        }));
    }
    let value = program.push(op, operands, "operation");
    program.outputs.push(Output { name: None, value });
    let place = FloatPlace {
        device: Device::Cpu,
        dtype: DType::F32,
    };
    let prepared = program.prepare(data.into_iter().flatten().collect(), &place)?;
    let weights = Weights::zeros(std::sync::Arc::default())?;
    let outputs = program.run(&weights, &prepared, &place, &mut Norms::default())?;
    Ok(outputs[0].clone())
}

fn floats(values: &[f32]) -> Datum {
    Datum::float(Tensor::new(values, &Device::Cpu).unwrap())
}

#[test]
fn an_infinite_number_is_in_no_sum_before_it() {
    let values = [1.0, 2.0, f32::NEG_INFINITY, 3.0, f32::INFINITY, 4.0];
    let sums = applied(Op::CumulativeSum(0), vec![Some(floats(&values))]).unwrap();
    let sums = sums.tensor().to_vec1::<f32>().unwrap();
    assert_eq!(sums[..4], [1.0, 3.0, f32::NEG_INFINITY, f32::NEG_INFINITY]);
    assert!(sums[4].is_nan() && sums[5].is_nan(), "{sums:?}");
    // A square of as many numbers would take 40 GB.
    let ones = Datum::float(Tensor::ones(100_000, DType::F32, &Device::Cpu).unwrap());
    let sums = applied(Op::CumulativeSum(-1), vec![Some(ones)]).unwrap();
    let last = sums.tensor().get(99_999).and_then(|x| x.to_scalar::<f32>());
    assert_eq!(last.unwrap(), 1e5);
}

#[test]
fn what_takes_too_much_memory_is_refused() {
    let image = || {
        Some(Datum::float(
            Tensor::zeros((1, 2, 4, 4), DType::F32, &Device::Cpu).unwrap(),
        ))
    };
    let far = |n: i64| vec![Size::Fixed(n); 4];
    let resize = Op::Resize {
        method: Method::Nearest,
        to: None,
        factors: Some(vec![1e9, 1e9]),
    };
    let ops = [
        (Op::Expand(far(1 << 20)), vec![Some(floats(&[1.0]))]),
        (Op::Repeat(far(1 << 20)), vec![image()]),
        (resize, vec![image()]),
        (
            Op::Conv(Conv {
                stride: vec![1],
                padding: Around::By(vec![1 << 40]),
                dilation: vec![1],
                groups: 1,
                output_padding: None,
            }),
            vec![image(), image()],
        ),
    ];
    for (op, data) in ops {
        let told = format!("{op:?}");
        let refused = applied(op, data).map(|datum| datum.dims().to_vec());
        assert!(refused.is_err(), "{told}: {refused:?}");
    }
}

/// Small attributes and operands, drawn at random.
struct Draw(ChaCha8Rng);

impl Draw {
    fn int(&mut self) -> i64 {
        self.0.random_range(-3..4)
    }

    fn count(&mut self) -> usize {
        self.0.random_range(0..4)
    }

    fn truth(&mut self) -> bool {
        self.0.random()
    }

    fn float(&mut self) -> f64 {
        [0.0, 1.0, -1.0, 0.5, f64::INFINITY, f64::NAN][self.0.random_range(0..6)]
    }

    fn size(&mut self) -> Size {
        Size::Fixed(self.int())
    }

    fn ints(&mut self) -> Vec<i64> {
        (0..self.count()).map(|_| self.int()).collect()
    }

    fn counts(&mut self) -> Vec<usize> {
        (0..self.count()).map(|_| self.count()).collect()
    }

    fn sizes(&mut self) -> Vec<Size> {
        (0..self.count()).map(|_| self.size()).collect()
    }

    fn kind(&mut self) -> Kind {
        [Kind::Bool, Kind::Int, Kind::Float][self.0.random_range(0..3)]
    }

    fn slice(&mut self) -> AxisSlice {
        AxisSlice {
            axis: self.int(),
            start: self.size(),
            end: self.size(),
            step: self.int(),
        }
    }

    fn window(&mut self) -> PoolWindow {
        PoolWindow {
            kernel: self.counts(),
            stride: self.counts(),
            padding: self.counts(),
            dilation: self.counts(),
            ceil: self.truth(),
        }
    }

    fn conv(&mut self) -> Conv {
        Conv {
            stride: self.counts(),
            padding: if self.truth() {
                Around::By(self.counts())
            } else {
                Around::Same
            },
            dilation: self.counts(),
            groups: self.count(),
            output_padding: self.truth().then(|| self.counts()),
        }
    }

    fn datum(&mut self) -> Option<Datum> {
        if self.0.random_range(0..8) == 0 {
            return None;
        }
        let rank = self.0.random_range(0..5);
        let dims: Vec<usize> = (0..rank).map(|_| self.0.random_range(0..4)).collect();
        let count = dims.iter().product();
        let ints: Vec<f64> = (0..count).map(|_| self.int() as f64).collect();
        Some(match self.kind() {
            Kind::Float => {
                let tensor = Tensor::from_vec(ints, dims, &Device::Cpu).unwrap();
                Datum::float(tensor.to_dtype(DType::F32).unwrap())
            }
            Kind::Int => Datum::host(ints, &dims, Kind::Int).unwrap(),
            Kind::Bool => {
                let truths = ints.iter().map(|n| f64::from(u8::from(*n > 0.0)));
                Datum::host(truths.collect(), &dims, Kind::Bool).unwrap()
            }
        })
    }

    fn of_layers(&mut self) -> Vec<Op> {
        let norms = [
            Normalization::Layer(self.count(), 1e-5),
            Normalization::Group(self.count(), 1e-5),
            Normalization::Instance(1e-5),
            Normalization::RootMeanSquare(self.count(), None),
        ];
        let mut ops = norms.map(Op::Norm).to_vec();
        let mean = Mean {
            counts_padding: self.truth(),
            divisor: None,
        };
        let methods = [
            Method::Nearest,
            Method::Linear(self.truth()),
            Method::Cubic(self.truth()),
        ];
        for method in methods {
            ops.push(Op::Resize {
                method,
                to: self.truth().then(|| self.sizes()),
                factors: self.truth().then(|| vec![self.float(), self.float()]),
            });
        }
        for cell in [RecurrentCell::Lstm, RecurrentCell::Gru, RecurrentCell::Tanh] {
            ops.push(Op::Recurrent(Recurrent {
                cell,
                states: self.count(),
                layers: self.count(),
                bidirectional: self.truth(),
                batch_first: self.truth(),
                biases: self.truth(),
            }));
        }
        let adaptive = (0..self.count()).map(|_| self.truth().then(|| self.count()));
        let to = adaptive.collect::<Vec<_>>();
        ops.extend([
            Op::Linear,
            Op::Conv(self.conv()),
            Op::BatchNorm { epsilon: 1e-5 },
            Op::ConvNorm {
                conv: self.conv(),
                epsilon: 1e-5,
            },
            Op::WeightNorm { axis: self.int() },
            Op::MaxPool(self.window()),
            Op::AveragePool(self.window(), mean),
            Op::AdaptivePool {
                to,
                max: self.truth(),
            },
            Op::Patches(self.window()),
            Op::PixelShuffle(self.int()),
            Op::MatMul,
            Op::AddMatMul {
                beta: self.float(),
                alpha: self.float(),
            },
            Op::Softmax {
                axis: self.int(),
                log: self.truth(),
            },
            Op::Attention {
                causal: self.truth(),
                scale: None,
                grouped: self.truth(),
            },
            Op::Embedding,
            Op::Prelu,
            Op::Cosine(self.int(), 1e-8),
        ]);
        for equation in [
            "abc->abc",
            "ab,bc->ac",
            "...a,ab->...b",
            "a->",
            "->",
            "ab,ab",
            ",->",
            "aa->a",
        ] {
            ops.push(Op::Einsum(equation.into()));
        }
        ops
    }

    fn of_numbers(&mut self) -> Vec<Op> {
        let reductions = [
            Reduction::Sum,
            Reduction::Mean,
            Reduction::Variance(1.0),
            Reduction::Deviation(0.0),
            Reduction::Max,
            Reduction::Min,
            Reduction::Prod,
            Reduction::Norm(self.float()),
            Reduction::LogSumExp,
            Reduction::Any,
            Reduction::All,
        ];
        let mut ops = Vec::new();
        for by in reductions {
            ops.push(Op::Reduce {
                by,
                axes: self.ints(),
                keep: self.truth(),
            });
        }
        let functions = [
            Function::Relu,
            Function::Not,
            Function::BitwiseNot,
            Function::Round,
        ];
        ops.extend(functions.map(Op::Function));
        let pairs = [
            Binary::Add(1.0),
            Binary::FloorDiv,
            Binary::TruncDiv,
            Binary::Mod,
            Binary::Pow,
            Binary::And,
        ];
        ops.extend(pairs.map(Op::Binary));
        let number = |draw: &mut Self| Operand::Fixed(draw.float());
        ops.extend([
            Op::Extreme {
                axis: self.int(),
                keep: self.truth(),
                min: self.truth(),
            },
            Op::ArgMax {
                axis: self.truth().then(|| self.int()),
                keep: self.truth(),
                min: self.truth(),
            },
            Op::Sort {
                axis: self.int(),
                descending: self.truth(),
                count: self.truth().then(|| self.size()),
            },
            Op::Difference {
                axis: self.int(),
                times: self.count(),
            },
            Op::Histogram {
                bins: self.count(),
                bounds: [self.float(), self.float()],
            },
            Op::CumulativeSum(self.int()),
            Op::Where,
            Op::MaskedFill,
            Op::Clamp,
            Op::Range {
                start: number(self),
                end: number(self),
                step: number(self),
                kind: self.kind(),
            },
            Op::Linspace(self.float(), self.float(), self.size()),
            Op::Full {
                shape: self.truth().then(|| self.sizes()),
                value: number(self),
                kind: self.truth().then(|| self.kind()),
            },
            Op::Triangle {
                diagonal: self.int(),
                upper: self.truth(),
            },
            Op::Cast(self.kind()),
            Op::CastAs,
            Op::Extent(self.int()),
        ]);
        ops
    }

    fn of_losses(&mut self) -> Vec<Op> {
        let losses = [
            LossKind::CrossEntropy(self.int(), self.float()),
            LossKind::Nll(self.int()),
            LossKind::Mse,
            LossKind::L1,
            LossKind::SmoothL1(self.float()),
            LossKind::Huber(self.float()),
            LossKind::Bce,
            LossKind::BceWithLogits,
            LossKind::KlDiv(self.truth()),
        ];
        let reduction = self.int();
        let loss = |kind| Op::Loss(InnerLoss { kind, reduction });
        losses.map(loss).to_vec()
    }

    fn of_shapes(&mut self) -> Vec<Op> {
        let paddings = [
            Padding::Constant(0.0),
            Padding::Constant(1.0),
            Padding::Reflect,
            Padding::Replicate,
            Padding::Circular,
        ];
        let mut ops = Vec::new();
        for with in paddings {
            ops.push(Op::Pad {
                by: self.sizes(),
                with,
            });
        }
        ops.extend([
            Op::Reshape(self.sizes()),
            Op::ReshapeAs,
            Op::Flatten(self.int(), self.int()),
            Op::Unflatten(self.int(), self.sizes()),
            Op::Squeeze(self.truth().then(|| self.ints())),
            Op::Unsqueeze(self.int()),
            Op::Transpose(self.int(), self.int()),
            Op::Permute(self.ints()),
            Op::Reverse,
            Op::MoveAxes(self.ints(), self.ints()),
            Op::Expand(self.sizes()),
            Op::ExpandAs,
            Op::BroadcastTogether,
            Op::Slice(self.slice()),
            Op::Select(self.int(), self.size()),
            Op::Split(self.int(), self.sizes()),
            Op::SplitEvery(self.int(), self.size()),
            Op::Chunk(self.int(), self.int()),
            Op::Unbind(self.int()),
            Op::Cat(self.int()),
            Op::Stack(self.int()),
            Op::Repeat(self.sizes()),
            Op::RepeatInterleave(self.size(), self.truth().then(|| self.int())),
            Op::Flip(self.ints()),
            Op::Roll(self.sizes(), self.ints()),
            Op::Diagonal(self.int(), self.int(), self.int()),
            Op::Unfold(self.int(), self.count(), self.count()),
            Op::Index,
            Op::IndexPut { add: self.truth() },
            Op::Gather(self.int()),
            Op::IndexSelect(self.int()),
            Op::Scatter {
                axis: self.int(),
                add: self.truth(),
            },
            Op::IndexAdd(self.int()),
            Op::SliceScatter(self.slice()),
            Op::SelectScatter(self.int(), self.size()),
            Op::OneHot(self.int()),
        ]);
        ops
    }
}

#[test]
fn no_operation_panics_whatever_its_operands_are() {
    let mut draw = Draw(ChaCha8Rng::seed_from_u64(7));
    let mut panics = std::collections::BTreeMap::new();
    let mut results = 0;
    for _ in 0..4000 {
        let ops = [
            draw.of_layers(),
            draw.of_numbers(),
            draw.of_losses(),
            draw.of_shapes(),
        ];
        let ops = ops.concat();
        for op in ops {
            let operands: Vec<Option<Datum>> = (0..=draw.count()).map(|_| draw.datum()).collect();
            let shapes: Vec<_> = operands
                .iter()
                .map(|datum| {
                    datum
                        .as_ref()
                        .map(|datum| (datum.kind(), datum.dims().to_vec()))
                })
                .collect();
            let told = format!("{op:?} {shapes:?}");
            let name = told.split([' ', '(']).next().unwrap_or_default().to_owned();
            match catch_unwind(AssertUnwindSafe(|| applied(op, operands))) {
                Ok(result) => results += usize::from(result.is_ok()),
                Err(_) => {
                    panics.entry(name).or_insert(told);
                }
            }
        }
    }
    assert!(panics.is_empty(), "{panics:#?}");
    assert!(results > 10_000, "{results}");
}
