//! The operations of a program, in ATen's vocabulary with their attributes.

use super::Size;
use super::kind::Kind;
use crate::model::ops::RecurrentCell;

/// An operation; its operands stand in the node in the order that is named here, optional ones in brackets.
#[derive(Clone, Debug)]
pub enum Op {
    /// x · weightᵀ + bias: (x, weight, \[bias\]).
    Linear,
    /// A convolution of one to three dimensions: (x, kernel, \[bias\]).
    Conv(Conv),
    /// Batch norm: (x, \[γ\], \[β\], mean, variance).
    BatchNorm {
        /// The number that is added to the variance.
        epsilon: f64,
    },
    /// A convolution and the batch norm behind it: (x, kernel, \[bias\], \[γ\], \[β\], mean, variance).
    ConvNorm {
        /// The convolution.
        conv: Conv,
        /// The number that is added to the variance.
        epsilon: f64,
    },
    /// Normalization over axes of each sample: (x, \[γ\], \[β\]).
    Norm(Normalization),
    /// v·g/‖v‖: (v, g), norms over all axes but one.
    WeightNorm {
        /// The axis that stays.
        axis: i64,
    },
    /// Largest value of windows: (x).
    MaxPool(PoolWindow),
    /// Mean of windows: (x).
    AveragePool(PoolWindow, Mean),
    /// Mean or largest of windows that cover the image in n steps: (x); `None` keeps an extent.
    AdaptivePool {
        /// Rows and columns of the result; one number in one dimension.
        to: Vec<Option<usize>>,
        /// The largest instead of the mean.
        max: bool,
    },
    /// Another size of image: (x).
    Resize {
        /// The rule for values between pixels.
        method: Method,
        /// Extents of the result, where they are given.
        to: Option<Vec<Size>>,
        /// Factors, where they are given.
        factors: Option<Vec<f64>>,
    },
    /// A function of each element: (x).
    Function(Function),
    /// max(x, 0) + slope·min(x, 0) with a slope of its own for each channel: (x, slope).
    Prelu,
    /// A function of pairs of elements: (a, b).
    Binary(Binary),
    /// beta·c + alpha·(a · b): (c, a, b).
    AddMatMul {
        /// The factor of c.
        beta: f64,
        /// The factor of the product.
        alpha: f64,
    },
    /// A matrix product: (a, b).
    MatMul,
    /// A sum of products by letters: (a, \[b\]).
    Einsum(String),
    /// Softmax: (x).
    Softmax {
        /// The axis over which the values add up to 1.
        axis: i64,
        /// Its logarithm.
        log: bool,
    },
    /// Scaled dot-product attention: (query, key, value, \[mask\]).
    Attention {
        /// Each place sees those before it alone.
        causal: bool,
        /// The factor of the products; `None` is 1/√width.
        scale: Option<f64>,
        /// Fewer heads of keys than of queries.
        grouped: bool,
    },
    /// Rows of a table: (table, ids).
    Embedding,
    /// A recurrent network: (x, weights …), or (x, first states …, weights …).
    Recurrent(Recurrent),
    /// A value of several numbers: (x).
    Reduce {
        /// The reduction.
        by: Reduction,
        /// Over which axes; empty is all.
        axes: Vec<i64>,
        /// The axes stay with extent 1.
        keep: bool,
    },
    /// Largest or smallest value along an axis, and its place: (x).
    Extreme {
        /// The axis.
        axis: i64,
        /// Its extent stays as 1.
        keep: bool,
        /// The smallest.
        min: bool,
    },
    /// Places of the largest values: (x).
    ArgMax {
        /// The axis; `None` is all.
        axis: Option<i64>,
        /// Its extent stays as 1.
        keep: bool,
        /// Places of the smallest.
        min: bool,
    },
    /// Values in order along an axis, and their places: (x).
    Sort {
        /// The axis.
        axis: i64,
        /// The largest first.
        descending: bool,
        /// Number of the first ones that are taken.
        count: Option<Size>,
    },
    /// Difference of neighbours along an axis: (x, [values before], [values after]).
    Difference {
        /// The axis.
        axis: i64,
        /// The number of times that differences are taken of what came before.
        times: usize,
    },
    /// Counts of the elements in bins of the same width, between bounds that both belong to a bin: (x).
    Histogram {
        /// The number of bins.
        bins: usize,
        /// The lower and the upper bound; those of the elements where both are 0.
        bounds: [f64; 2],
    },
    /// Sum of all before and with each place: (x).
    CumulativeSum(i64),
    /// Another shape of the same numbers: (x); −1 is what is left.
    Reshape(Vec<Size>),
    /// The shape of another value: (x, other).
    ReshapeAs,
    /// Several axes as one: (x), from the first to the last of these.
    Flatten(i64, i64),
    /// One axis as several: (x).
    Unflatten(i64, Vec<Size>),
    /// Axes of extent 1 are taken out: (x); `None` takes all.
    Squeeze(Option<Vec<i64>>),
    /// An axis of extent 1: (x).
    Unsqueeze(i64),
    /// Two axes change places: (x).
    Transpose(i64, i64),
    /// Axes in another order: (x).
    Permute(Vec<i64>),
    /// Axes in reverse order: (x).
    Reverse,
    /// Axes move to other places: (x), from and to.
    MoveAxes(Vec<i64>, Vec<i64>),
    /// Extents of 1 are repeated: (x); −1 keeps.
    Expand(Vec<Size>),
    /// The shape of another value: (x, other).
    ExpandAs,
    /// All operands with the shape that they broadcast to: (x …), as many results.
    BroadcastTogether,
    /// A stretch of an axis: (x).
    Slice(AxisSlice),
    /// One place of an axis, which goes: (x).
    Select(i64, Size),
    /// Pieces of an axis of these extents, as many results: (x).
    Split(i64, Vec<Size>),
    /// Pieces of n places each: (x).
    SplitEvery(i64, Size),
    /// n pieces: (x).
    Chunk(i64, i64),
    /// The places of an axis one by one: (x).
    Unbind(i64),
    /// Values one after another along an axis: (x …).
    Cat(i64),
    /// Values side by side along a new axis: (x …).
    Stack(i64),
    /// The whole n times along each axis: (x).
    Repeat(Vec<Size>),
    /// Each place n times: (x).
    RepeatInterleave(Size, Option<i64>),
    /// The other way about: (x).
    Flip(Vec<i64>),
    /// Shifted around: (x).
    Roll(Vec<Size>, Vec<i64>),
    /// Channels as pixels: (x).
    PixelShuffle(i64),
    /// The diagonal of two axes: (x).
    Diagonal(i64, i64, i64),
    /// One side of a matrix, the other becomes 0: (x).
    Triangle {
        /// The diagonal that it ends with.
        diagonal: i64,
        /// The side above.
        upper: bool,
    },
    /// Values around: (x); pairs from the last axis on.
    Pad {
        /// Before and after, negative cuts off.
        by: Vec<Size>,
        /// The values.
        with: Padding,
    },
    /// Rows and columns of windows as one axis: (x (N, C, H, W)).
    Patches(PoolWindow),
    /// Windows of an axis as a new last axis: (x), axis, width, step.
    Unfold(i64, usize, usize),
    /// Elements by numbers: (x, \[index\] …), one index for each of the first axes.
    Index,
    /// The same with new values at these places: (x, values, \[index\] …).
    IndexPut {
        /// Added to what is there.
        add: bool,
    },
    /// Elements of an axis by numbers of the same shape: (x, index).
    Gather(i64),
    /// Places of an axis by a list: (x, index).
    IndexSelect(i64),
    /// New values at numbered places of an axis: (x, index, values).
    Scatter {
        /// The axis.
        axis: i64,
        /// Added to what is there.
        add: bool,
    },
    /// Values added at listed places of an axis: (x, index, values).
    IndexAdd(i64),
    /// New values in a stretch: (x, values).
    SliceScatter(AxisSlice),
    /// New values in one place of an axis: (x, values).
    SelectScatter(i64, Size),
    /// A zero or one for each class: (ids).
    OneHot(i64),
    /// One or the other by a condition: (condition, a, b).
    Where,
    /// A value where a condition holds: (x, condition, value).
    MaskedFill,
    /// Bounds: (x, \[least\], \[most\]).
    Clamp,
    /// Numbers from a start to an end: ().
    Range {
        /// The first.
        start: Operand,
        /// The end, which is left out.
        end: Operand,
        /// The step.
        step: Operand,
        /// Whole numbers or floats.
        kind: Kind,
    },
    /// n numbers from a start to an end with both: ().
    Linspace(f64, f64, Size),
    /// One number everywhere: ([shape of this one]), extents, value, kind.
    Full {
        /// The extents; `None` is those of the operand.
        shape: Option<Vec<Size>>,
        /// The number.
        value: Operand,
        /// The kind; `None` is that of the operand.
        kind: Option<Kind>,
    },
    /// The extent of an axis, a whole number: (x).
    Extent(i64),
    /// Another kind: (x).
    Cast(Kind),
    /// The kind of another value: (x, other).
    CastAs,
    /// The same value without a derivative: (x).
    Detach,
    /// The same value: (x).
    Same,
    /// A loss: (prediction, target, \[weight\]).
    Loss(InnerLoss),
    /// Cosine of the angle between vectors: (a, b).
    Cosine(i64, f64),
}

/// A number of a range or a fill: a float that is known, or a [`Size`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Operand {
    /// A number.
    Fixed(f64),
    /// A whole number that the program computes.
    Of(Size),
}

/// A convolution; vectors have an entry for each dimension of the image.
#[derive(Clone, Debug, PartialEq)]
pub struct Conv {
    /// From one place to the next.
    pub stride: Vec<usize>,
    /// Zeros around the image.
    pub padding: Around,
    /// From one tap to the next.
    pub dilation: Vec<usize>,
    /// Parts of the channels that do not see one another.
    pub groups: usize,
    /// A transposed convolution, with what is added to one side of its result.
    pub output_padding: Option<Vec<usize>>,
}

/// Zeros around an image.
#[derive(Clone, Debug, PartialEq)]
pub enum Around {
    /// n on both sides.
    By(Vec<usize>),
    /// The padding that keeps the extents.
    Same,
}

/// Windows on an image; vectors have an entry for each dimension.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolWindow {
    /// Extents of the window.
    pub kernel: Vec<usize>,
    /// From one window to the next.
    pub stride: Vec<usize>,
    /// Places around the image on both sides.
    pub padding: Vec<usize>,
    /// From one place of a window to the next.
    pub dilation: Vec<usize>,
    /// The last window may hang over the edge.
    pub ceil: bool,
}

/// The divisor of a mean over windows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mean {
    /// Places of the padding count.
    pub counts_padding: bool,
    /// A number instead of the count.
    pub divisor: Option<f64>,
}

/// Normalization over axes of each sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Normalization {
    /// Over the last n axes, with ε.
    Layer(usize, f64),
    /// Over groups of channels, with ε.
    Group(usize, f64),
    /// Over the places of each channel, with ε.
    Instance(f64),
    /// By the root of the mean square over the last n axes, with ε.
    RootMeanSquare(usize, Option<f64>),
}

/// A rule for values between pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// The nearest pixel.
    Nearest,
    /// On lines between pixels; corners may be aligned.
    Linear(bool),
    /// On cubics between pixels; corners may be aligned.
    Cubic(bool),
}

/// A function of one element.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(missing_docs, reason = "PyTorch's functions, by its names")]
pub enum Function {
    Relu,
    LeakyRelu(f64),
    /// Slope α below 0, factor, and factor of the argument.
    Elu(f64, f64, f64),
    Silu,
    Mish,
    /// β and the threshold above which it is linear.
    Softplus(f64, f64),
    LogSigmoid,
    Tanh,
    Sigmoid,
    /// Smallest and largest value.
    Hardtanh(f64, f64),
    Hardswish,
    Hardsigmoid,
    Hardshrink(f64),
    Softshrink(f64),
    /// The second number instead of all that is not above the first.
    Threshold(f64, f64),
    /// True for the approximation with the hyperbolic tangent.
    Gelu(bool),
    Neg,
    Abs,
    Exp,
    Expm1,
    Log,
    Log1p,
    Log2,
    Sqrt,
    Rsqrt,
    Square,
    Reciprocal,
    Sin,
    Cos,
    Erf,
    Sign,
    Floor,
    Ceil,
    Round,
    Trunc,
    Not,
    /// The other bits of whole numbers, the other truth values.
    BitwiseNot,
    IsNan,
    IsInf,
}

/// A function of two elements.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(missing_docs, reason = "PyTorch's functions, by its names")]
pub enum Binary {
    /// a + α·b.
    Add(f64),
    /// a − α·b.
    Sub(f64),
    /// b − α·a.
    ReverseSub(f64),
    Mul,
    Div,
    FloorDiv,
    TruncDiv,
    Mod,
    Pow,
    Maximum,
    Minimum,
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    And,
    Or,
    Xor,
}

/// A value of several numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(missing_docs, reason = "PyTorch's functions, by its names")]
pub enum Reduction {
    Sum,
    Mean,
    /// The divisor is less than the count by this.
    Variance(f64),
    Deviation(f64),
    Max,
    Min,
    Prod,
    /// The norm of order p.
    Norm(f64),
    LogSumExp,
    Any,
    All,
}

/// A stretch of an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AxisSlice {
    /// The axis.
    pub axis: i64,
    /// The first place; negative counts from the end.
    pub start: Size,
    /// The end, which is left out; negative counts from the end.
    pub end: Size,
    /// The step.
    pub step: i64,
}

/// Values around an image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Padding {
    /// One number.
    Constant(f64),
    /// As in a mirror, without the edge.
    Reflect,
    /// The edge again.
    Replicate,
    /// From the other side.
    Circular,
}

/// A recurrent network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recurrent {
    /// Its cell.
    pub cell: RecurrentCell,
    /// Number of first states among the operands.
    pub states: usize,
    /// Layers on one another.
    pub layers: usize,
    /// A second one that reads from the end.
    pub bidirectional: bool,
    /// The samples come first, then the steps.
    pub batch_first: bool,
    /// There are biases.
    pub biases: bool,
}

/// A loss inside of a program.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct InnerLoss {
    /// The kind.
    pub kind: LossKind,
    /// 0 is none, 1 the mean, 2 the sum.
    pub reduction: i64,
}

/// The kind of a loss inside of a program.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(missing_docs, reason = "PyTorch's losses, by its names")]
pub enum LossKind {
    /// The loss of logits, with the class to ignore and the smoothing.
    CrossEntropy(i64, f64),
    /// The loss of log-probabilities, with the class to ignore.
    Nll(i64),
    Mse,
    L1,
    /// With its width.
    SmoothL1(f64),
    /// With its width.
    Huber(f64),
    Bce,
    BceWithLogits,
    /// True where the target is a logarithm.
    KlDiv(bool),
}

impl Op {
    /// Returns the place of a batch norm's mean among its operands, behind which its variance stands; `None` for
    /// another operation.
    pub(in crate::model) fn statistics(&self) -> Option<usize> {
        match self {
            Self::BatchNorm { .. } => Some(3),
            Self::ConvNorm { .. } => Some(5),
            _ => None,
        }
    }

    /// Returns the sizes among its attributes.
    pub(super) fn sizes(&self) -> Vec<Size> {
        match self {
            Self::Reshape(sizes)
            | Self::Unflatten(_, sizes)
            | Self::Expand(sizes)
            | Self::Split(_, sizes)
            | Self::Repeat(sizes)
            | Self::Roll(sizes, _)
            | Self::Pad { by: sizes, .. } => sizes.clone(),
            Self::Resize { to: sizes, .. } => sizes.iter().flatten().copied().collect(),
            Self::Select(_, size)
            | Self::SplitEvery(_, size)
            | Self::RepeatInterleave(size, _)
            | Self::SelectScatter(_, size)
            | Self::Linspace(_, _, size)
            | Self::Sort {
                count: Some(size), ..
            } => vec![*size],
            Self::Slice(slice) | Self::SliceScatter(slice) => vec![slice.start, slice.end],
            Self::Range {
                start, end, step, ..
            } => [start, end, step]
                .into_iter()
                .filter_map(|operand| operand.size())
                .collect(),
            Self::Full { shape, value, .. } => {
                let extents = shape.iter().flatten().copied();
                extents.chain(value.size()).collect()
            }
            _ => Vec::new(),
        }
    }
}

impl Operand {
    fn size(self) -> Option<Size> {
        match self {
            Self::Of(size) => Some(size),
            Self::Fixed(_) => None,
        }
    }
}
