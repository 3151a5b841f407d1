//! Reductions, other shapes, selections and new arrays.

use super::super::super::Size;
use super::super::super::kind::Kind;
use super::super::super::op::{AxisSlice, Op, Operand, Padding, Reduction};
use super::super::call::Call;
use super::{Translated, of_first, with};

/// Returns the order of a norm; `None` for those that are a count or a minimum.
fn order(order: f64) -> Option<f64> {
    (order != 0.0 && order != f64::NEG_INFINITY).then_some(order)
}

pub(super) fn reduction(call: &mut Call<'_>, base: &str) -> Option<Translated> {
    let (axes, keep) = (call.ints("dim"), call.truth("keepdim", false));
    let by = match base {
        "sum" => Reduction::Sum,
        "mean" => Reduction::Mean,
        "prod" => Reduction::Prod,
        "any" => Reduction::Any,
        "all" => Reduction::All,
        "logsumexp" => Reduction::LogSumExp,
        "var" | "std" => {
            let less = if call.overload == "correction" || call.has("correction") {
                call.float("correction", 1.0)
            } else {
                f64::from(u8::from(call.truth("unbiased", true)))
            };
            if base == "var" {
                Reduction::Variance(less)
            } else {
                Reduction::Deviation(less)
            }
        }
        "linalg_vector_norm" => Reduction::Norm(order(call.float("ord", 2.0))?),
        "norm" => Reduction::Norm(order(call.float("p", 2.0))?),
        "max" | "min" if call.overload == "dim" => {
            let op = Op::Extreme {
                axis: call.int("dim", 0),
                keep,
                min: base == "min",
            };
            return of_first(call, op);
        }
        "max" | "amax" => Reduction::Max,
        "min" | "amin" => Reduction::Min,
        "argmax" | "argmin" => {
            let op = Op::ArgMax {
                axis: call.maybe_int("dim"),
                keep,
                min: base == "argmin",
            };
            return of_first(call, op);
        }
        "sort" | "topk" => {
            let is_all = base == "sort";
            let op = Op::Sort {
                axis: call.int("dim", -1),
                descending: if is_all {
                    call.truth("descending", false)
                } else {
                    call.truth("largest", true)
                },
                count: (!is_all).then(|| call.size("k", 1)),
            };
            return of_first(call, op);
        }
        "cumsum" => {
            let axis = call.int("dim", 0);
            return of_first(call, Op::CumulativeSum(axis));
        }
        "histc" => {
            let op = Op::Histogram {
                bins: usize::try_from(call.int("bins", 100)).ok()?,
                bounds: ["min", "max"].map(|name| call.float(name, 0.0)),
            };
            return of_first(call, op);
        }
        _ => return None,
    };
    of_first(call, Op::Reduce { by, axes, keep })
}

pub(super) fn shape(call: &mut Call<'_>, base: &str) -> Option<Translated> {
    let op = match base {
        "view" if call.has("dtype") => return None,
        "view" | "reshape" | "_unsafe_view" | "_reshape_alias" => {
            let sizes = call.sizes("size").or_else(|| call.sizes("shape"));
            Op::Reshape(sizes?)
        }
        "reshape_as" | "view_as" => return with(call, Op::ReshapeAs, &["other"]),
        "flatten" => Op::Flatten(call.int("start_dim", 0), call.int("end_dim", -1)),
        "ravel" => Op::Flatten(0, -1),
        "unflatten" => Op::Unflatten(call.int("dim", 0), call.sizes("sizes")?),
        "squeeze" if call.has("dim") => Op::Squeeze(Some(call.ints("dim"))),
        "squeeze" => Op::Squeeze(None),
        "unsqueeze" => Op::Unsqueeze(call.int("dim", 0)),
        "transpose" => Op::Transpose(call.int("dim0", 0), call.int("dim1", 1)),
        "swapaxes" => Op::Transpose(call.int("axis0", 0), call.int("axis1", 1)),
        "t" | "numpy_T" | "T" => Op::Reverse,
        "mT" => Op::Transpose(-2, -1),
        "permute" => Op::Permute(call.ints("dims")),
        "movedim" | "moveaxis" => Op::MoveAxes(call.ints("source"), call.ints("destination")),
        "expand" | "broadcast_to" => Op::Expand(call.sizes("size")?),
        "expand_as" => return with(call, Op::ExpandAs, &["other"]),
        "broadcast_tensors" => return Some((Op::BroadcastTogether, call.list("tensors"))),
        "repeat" => Op::Repeat(call.sizes("repeats")?),
        "tile" => Op::Repeat(call.sizes("dims")?),
        "diagonal" => Op::Diagonal(
            call.int("offset", 0),
            call.int("dim1", 0),
            call.int("dim2", 1),
        ),
        "unfold" => Op::Unfold(
            call.int("dimension", 0),
            call.int("size", 1).max(0) as usize,
            call.int("step", 1).max(1) as usize,
        ),
        "sym_size" => Op::Extent(call.int("dim", 0)),
        _ => return None,
    };
    of_first(call, op)
}

fn slice(call: &Call<'_>) -> AxisSlice {
    AxisSlice {
        axis: call.int("dim", 0),
        start: call.size("start", 0),
        end: call.size("end", i64::MAX),
        step: call.int("step", 1),
    }
}

pub(super) fn piece(call: &mut Call<'_>, base: &str) -> Option<Translated> {
    let axis = call.int("dim", 0);
    let op = match base {
        "slice" => Op::Slice(slice(call)),
        "select" => Op::Select(axis, call.size("index", 0)),
        "narrow" => {
            let (Size::Fixed(start), Size::Fixed(length)) =
                (call.size("start", 0), call.size("length", 0))
            else {
                return None;
            };
            let end = start.checked_add(length)?;
            // From a place that counts from the end, 0 is the end itself.
            let is_to_end = start < 0 && end == 0;
            Op::Slice(AxisSlice {
                axis,
                start: Size::Fixed(start),
                end: Size::Fixed(if is_to_end { i64::MAX } else { end }),
                step: 1,
            })
        }
        "split" if call.is_list("split_size") => Op::Split(axis, call.sizes("split_size")?),
        "split" => Op::SplitEvery(axis, call.size("split_size", 1)),
        "split_with_sizes" => Op::Split(axis, call.sizes("split_sizes")?),
        "chunk" => Op::Chunk(axis, call.int("chunks", 1)),
        "unbind" => Op::Unbind(axis),
        "cat" | "concat" => return Some((Op::Cat(axis), call.list("tensors"))),
        "stack" => return Some((Op::Stack(axis), call.list("tensors"))),
        _ => return None,
    };
    of_first(call, op)
}

pub(super) fn selection(call: &mut Call<'_>, base: &str) -> Option<Translated> {
    let axis = call.int("dim", 0);
    let op = match base {
        "index" | "index_put" => {
            let is_put = base == "index_put";
            let mut operands = vec![Some(call.first()?)];
            if is_put {
                operands.push(Some(call.value("values")?));
            }
            operands.extend(call.list("indices"));
            let add = call.truth("accumulate", false);
            let op = if is_put {
                Op::IndexPut { add }
            } else {
                Op::Index
            };
            return Some((op, operands));
        }
        "gather" => return with(call, Op::Gather(axis), &["index"]),
        "index_select" => return with(call, Op::IndexSelect(axis), &["index"]),
        "scatter" | "scatter_add" => {
            let values = if call.has("src") { "src" } else { "value" };
            let add = base == "scatter_add";
            return with(call, Op::Scatter { axis, add }, &["index", values]);
        }
        "index_add" => return with(call, Op::IndexAdd(axis), &["index", "source"]),
        "slice_scatter" => {
            let slice = slice(call);
            return with(call, Op::SliceScatter(slice), &["src"]);
        }
        "select_scatter" => {
            let op = Op::SelectScatter(axis, call.size("index", 0));
            return with(call, op, &["src"]);
        }
        "diff" => {
            let ends = ["prepend", "append"].map(|name| call.value(name));
            let [before, after] = ends;
            let op = Op::Difference {
                axis: call.int("dim", -1),
                times: usize::try_from(call.int("n", 1)).ok()?,
            };
            return Some((op, vec![Some(call.first()?), before, after]));
        }
        "one_hot" => Op::OneHot(call.int("num_classes", -1)),
        "repeat_interleave" => Op::RepeatInterleave(call.size("repeats", 1), call.maybe_int("dim")),
        "flip" => Op::Flip(call.ints("dims")),
        "roll" => Op::Roll(call.sizes("shifts")?, call.ints("dims")),
        "pad" | "constant_pad_nd" => Op::Pad {
            by: call.sizes("pad")?,
            with: match call.word("mode") {
                Some("reflect") => Padding::Reflect,
                Some("replicate") => Padding::Replicate,
                Some("circular") => Padding::Circular,
                _ => Padding::Constant(call.float("value", 0.0)),
            },
        },
        "reflection_pad1d" | "reflection_pad2d" => Op::Pad {
            by: call.sizes("padding")?,
            with: Padding::Reflect,
        },
        "replication_pad1d" | "replication_pad2d" => Op::Pad {
            by: call.sizes("padding")?,
            with: Padding::Replicate,
        },
        _ => return None,
    };
    of_first(call, op)
}

pub(super) fn creation(call: &mut Call<'_>, base: &str) -> Option<Translated> {
    let kind = call.kind("dtype");
    let value = match base {
        "ones" | "ones_like" | "new_ones" => Operand::Fixed(1.0),
        "full" | "full_like" | "new_full" => call.operand("fill_value", 0.0),
        "fill" => call.operand("value", 0.0),
        "scalar_tensor" => call.operand("s", 0.0),
        _ => Operand::Fixed(0.0),
    };
    match base {
        "arange" => {
            let is_float = ["start", "end", "step"]
                .iter()
                .any(|name| call.is_float(name));
            let default = if is_float { Kind::Float } else { Kind::Int };
            let op = Op::Range {
                start: call.operand("start", 0.0),
                end: call.operand("end", 0.0),
                step: call.operand("step", 1.0),
                kind: kind.unwrap_or(default),
            };
            Some((op, Vec::new()))
        }
        "linspace" => {
            let op = Op::Linspace(
                call.float("start", 0.0),
                call.float("end", 0.0),
                call.size("steps", 100),
            );
            Some((op, Vec::new()))
        }
        "zeros" | "ones" | "full" | "empty" | "scalar_tensor" => {
            let shape = if base == "scalar_tensor" {
                Vec::new()
            } else {
                call.sizes("size")?
            };
            let filled = if call.is_float("fill_value") || base != "full" {
                Kind::Float
            } else {
                Kind::Int
            };
            let op = Op::Full {
                shape: Some(shape),
                value,
                kind: Some(kind.unwrap_or(filled)),
            };
            Some((op, Vec::new()))
        }
        "zeros_like" | "ones_like" | "full_like" | "fill" | "zero" | "empty_like" => {
            let shape = None;
            of_first(call, Op::Full { shape, value, kind })
        }
        "new_zeros" | "new_ones" | "new_full" | "new_empty" => {
            let shape = Some(call.sizes("size")?);
            of_first(call, Op::Full { shape, value, kind })
        }
        "tril" | "triu" => {
            let op = Op::Triangle {
                diagonal: call.int("diagonal", 0),
                upper: base == "triu",
            };
            of_first(call, op)
        }
        _ => None,
    }
}
