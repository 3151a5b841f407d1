//! Layers, pooling, products of matrices and losses.

use super::super::super::op::{
    Around, Conv, InnerLoss, LossKind, Mean, Method, Normalization, Op, PoolWindow, Recurrent,
};
use super::super::call::Call;
use super::{Translated, of_first, with};
use crate::model::ops::RecurrentCell;

/// Returns a window; a stride that is left out is the window itself.
fn window(call: &Call<'_>, rank: usize) -> PoolWindow {
    let kernel = call.extents("kernel_size", &vec![1; rank]);
    PoolWindow {
        stride: call.extents("stride", &kernel),
        padding: call.extents("padding", &vec![0; rank]),
        dilation: call.extents("dilation", &vec![1; rank]),
        ceil: call.truth("ceil_mode", false),
        kernel,
    }
}

pub(super) fn layer(call: &mut Call<'_>, base: &str) -> Option<Translated> {
    let rank = match base {
        "conv1d" | "conv_transpose1d" => 1,
        "conv3d" | "conv_transpose3d" => 3,
        _ => 2,
    };
    match base {
        "linear" => with(call, Op::Linear, &["weight", "bias"]),
        "conv1d" | "conv2d" | "conv3d" | "convolution" | "conv_transpose1d"
        | "conv_transpose2d" | "conv_transpose3d" => {
            let default = call.ints("stride").len().max(rank).min(3);
            let default = if base == "convolution" { default } else { rank };
            let padding = match call.word("padding") {
                Some("same") => Around::Same,
                _ => Around::By(call.extents("padding", &vec![0; default])),
            };
            let is_transposed = base.contains("transpose") || call.truth("transposed", false);
            let added = call.extents("output_padding", &vec![0; default]);
            let conv = Conv {
                stride: call.extents("stride", &vec![1; default]),
                padding,
                dilation: call.extents("dilation", &vec![1; default]),
                groups: call.int("groups", 1).max(0) as usize,
                output_padding: is_transposed.then_some(added),
            };
            with(call, Op::Conv(conv), &["weight", "bias"])
        }
        "embedding" => {
            let (table, ids) = (call.value("weight")?, call.value("indices")?);
            Some((Op::Embedding, vec![Some(table), Some(ids)]))
        }
        "_weight_norm" | "_weight_norm_interface" => {
            let (v, g) = (call.value("v")?, call.value("g")?);
            let axis = call.int("dim", 0);
            Some((Op::WeightNorm { axis }, vec![Some(v), Some(g)]))
        }
        "pixel_shuffle" => {
            let factor = call.int("upscale_factor", 1);
            of_first(call, Op::PixelShuffle(factor))
        }
        "im2col" => {
            let window = PoolWindow {
                ceil: false,
                stride: call.extents("stride", &[1, 1]),
                ..window(call, 2)
            };
            of_first(call, Op::Patches(window))
        }
        _ => None,
    }
}

pub(super) fn norm(call: &mut Call<'_>, base: &str) -> Option<Translated> {
    let epsilon = call.float("eps", 1e-5);
    let axes = call.ints("normalized_shape").len();
    match base {
        "batch_norm"
        | "_native_batch_norm_legit_no_training"
        | "_native_batch_norm_legit"
        | "native_batch_norm"
        | "cudnn_batch_norm" => {
            if call.truth("training", false) {
                return None;
            }
            let op = Op::BatchNorm { epsilon };
            with(call, op, &["weight", "bias", "running_mean", "running_var"])
        }
        "instance_norm" => {
            if !call.truth("use_input_stats", true) {
                let op = Op::BatchNorm { epsilon };
                return with(call, op, &["weight", "bias", "running_mean", "running_var"]);
            }
            with(
                call,
                Op::Norm(Normalization::Instance(epsilon)),
                &["weight", "bias"],
            )
        }
        "layer_norm" | "native_layer_norm" => with(
            call,
            Op::Norm(Normalization::Layer(axes, epsilon)),
            &["weight", "bias"],
        ),
        "group_norm" | "native_group_norm" => {
            let groups = call.int("num_groups", call.int("group", 1)).max(1) as usize;
            with(
                call,
                Op::Norm(Normalization::Group(groups, epsilon)),
                &["weight", "bias"],
            )
        }
        "rms_norm" | "_fused_rms_norm" => {
            let epsilon = call.maybe_float("eps");
            with(
                call,
                Op::Norm(Normalization::RootMeanSquare(axes, epsilon)),
                &["weight"],
            )
        }
        _ => None,
    }
}

pub(super) fn pooling(call: &mut Call<'_>, base: &str) -> Option<Translated> {
    let rank = if base.contains("1d") { 1 } else { 2 };
    match base {
        "max_pool1d" | "max_pool2d" | "max_pool2d_with_indices" => {
            let window = window(call, rank);
            of_first(call, Op::MaxPool(window))
        }
        "avg_pool1d" | "avg_pool2d" => {
            let mean = Mean {
                counts_padding: call.truth("count_include_pad", true),
                divisor: call.maybe_float("divisor_override"),
            };
            let window = window(call, rank);
            of_first(call, Op::AveragePool(window, mean))
        }
        "adaptive_avg_pool1d"
        | "adaptive_avg_pool2d"
        | "_adaptive_avg_pool2d"
        | "adaptive_avg_pool3d"
        | "adaptive_max_pool1d"
        | "adaptive_max_pool2d" => {
            let to = call.ints("output_size").into_iter();
            let op = Op::AdaptivePool {
                to: to.map(|n| usize::try_from(n).ok()).collect(),
                max: base.contains("max"),
            };
            of_first(call, op)
        }
        "upsample_nearest1d" | "upsample_nearest2d" => resize(call, Method::Nearest),
        "upsample_linear1d" | "upsample_bilinear2d" => {
            let corners = call.truth("align_corners", false);
            resize(call, Method::Linear(corners))
        }
        "upsample_bicubic2d" => {
            let corners = call.truth("align_corners", false);
            resize(call, Method::Cubic(corners))
        }
        _ => None,
    }
}

fn resize(call: &mut Call<'_>, method: Method) -> Option<Translated> {
    let op = Op::Resize {
        method,
        to: call.sizes("output_size"),
        factors: call.floats("scale_factors"),
    };
    of_first(call, op)
}

pub(super) fn product(call: &mut Call<'_>, base: &str) -> Option<Translated> {
    match base {
        "matmul" | "bmm" | "mm" | "mv" | "dot" => {
            let x = call.first()?;
            let other = ["other", "mat2", "vec", "tensor"];
            let other = other.iter().find_map(|name| call.value(name))?;
            Some((Op::MatMul, vec![Some(x), Some(other)]))
        }
        "addmm" | "baddbmm" => {
            let op = Op::AddMatMul {
                beta: call.float("beta", 1.0),
                alpha: call.float("alpha", 1.0),
            };
            let names = if base == "addmm" {
                ["mat1", "mat2"]
            } else {
                ["batch1", "batch2"]
            };
            with(call, op, &names)
        }
        "outer" | "ger" => {
            let (a, b) = (call.first()?, call.value("vec2")?);
            Some((Op::Einsum("i,j->ij".into()), vec![Some(a), Some(b)]))
        }
        "einsum" => {
            let equation = call.word("equation")?.to_owned();
            Some((Op::Einsum(equation), call.list("tensors")))
        }
        "softmax" | "_softmax" | "log_softmax" | "_log_softmax" => {
            let op = Op::Softmax {
                axis: call.int("dim", -1),
                log: base.contains("log"),
            };
            of_first(call, op)
        }
        "scaled_dot_product_attention" => {
            if call.float("dropout_p", 0.0) != 0.0 {
                return None;
            }
            let op = Op::Attention {
                causal: call.truth("is_causal", false),
                scale: call.maybe_float("scale"),
                grouped: call.truth("enable_gqa", false),
            };
            let operands = ["query", "key", "value", "attn_mask"];
            Some((op, operands.map(|name| call.value(name)).to_vec()))
        }
        "cosine_similarity" => {
            let (a, b) = (call.value("x1")?, call.value("x2")?);
            let op = Op::Cosine(call.int("dim", 1), call.float("eps", 1e-8));
            Some((op, vec![Some(a), Some(b)]))
        }
        _ => None,
    }
}

pub(super) fn loss(call: &mut Call<'_>, base: &str) -> Option<Translated> {
    let ignore = call.int("ignore_index", -100);
    let kind = match base {
        "cross_entropy_loss" => LossKind::CrossEntropy(ignore, call.float("label_smoothing", 0.0)),
        "nll_loss_nd" | "nll_loss" | "nll_loss2d" => LossKind::Nll(ignore),
        "mse_loss" => LossKind::Mse,
        "l1_loss" => LossKind::L1,
        "smooth_l1_loss" => LossKind::SmoothL1(call.float("beta", 1.0)),
        "huber_loss" => LossKind::Huber(call.float("delta", 1.0)),
        "binary_cross_entropy" => LossKind::Bce,
        "binary_cross_entropy_with_logits" if !call.has("pos_weight") => LossKind::BceWithLogits,
        "kl_div" => LossKind::KlDiv(call.truth("log_target", false)),
        _ => return None,
    };
    let reduction = call.int("reduction", 1);
    with(
        call,
        Op::Loss(InnerLoss { kind, reduction }),
        &["target", "weight"],
    )
}

pub(super) fn recurrent(call: &mut Call<'_>, base: &str) -> Option<Translated> {
    let cell = match base {
        "lstm" => RecurrentCell::Lstm,
        "gru" => RecurrentCell::Gru,
        "rnn_tanh" => RecurrentCell::Tanh,
        "rnn_relu" => RecurrentCell::Relu,
        _ => return None,
    };
    if call.overload != "input" || call.truth("train", false) {
        return None;
    }
    let states = match call.list("hx") {
        states if states.is_empty() => vec![call.value("hx")],
        states => states,
    };
    let op = Op::Recurrent(Recurrent {
        cell,
        states: states.len(),
        layers: call.int("num_layers", 1).max(0) as usize,
        bidirectional: call.truth("bidirectional", false),
        batch_first: call.truth("batch_first", false),
        biases: call.truth("has_biases", true),
    });
    let mut operands = vec![Some(call.first()?)];
    operands.extend(states);
    operands.extend(call.list("params"));
    Some((op, operands))
}
