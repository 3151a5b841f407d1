//! ATen's operators as operations of a program: one table. An operator that is not in it is refused by name.

mod arrays;
mod layers;

use self::arrays::{creation, piece, reduction, selection, shape};
use self::layers::{layer, loss, norm, pooling, product, recurrent};
use super::super::Value;
use super::super::kind::Kind;
use super::super::op::{Binary, Function, Op};
use super::call::Call;

/// An operation with its operands.
pub(super) type Translated = (Op, Vec<Option<Value>>);

/// Parts of the table.
const PARTS: [fn(&mut Call<'_>, &str) -> Option<Translated>; 14] = [
    same, function, pair, layer, norm, pooling, product, reduction, shape, piece, selection,
    creation, loss, recurrent,
];

/// Translates a call; `None` if the operator is not known, or has an argument that its translation does not know:
/// leaving that out would give other numbers.
pub(super) fn translate(call: &mut Call<'_>) -> Option<Translated> {
    let base = call.base.clone();
    let translated = PARTS.iter().find_map(|part| {
        call.forget();
        part(call, &base)
    })?;
    call.ignored().is_empty().then_some(translated)
}

/// Returns an operation of the first operand alone.
fn of_first(call: &mut Call<'_>, op: Op) -> Option<Translated> {
    let x = call.first()?;
    Some((op, vec![Some(x)]))
}

/// Returns an operation of the first operand and others by name.
fn with(call: &mut Call<'_>, op: Op, others: &[&str]) -> Option<Translated> {
    let mut operands = vec![Some(call.first()?)];
    operands.extend(others.iter().map(|name| call.value(name)));
    Some((op, operands))
}

/// Translates what gives its operand, in another type at most: every cast of floats means the type of layers.
fn same(call: &mut Call<'_>, base: &str) -> Option<Translated> {
    match base {
        "contiguous"
        | "clone"
        | "alias"
        | "detach"
        | "lift_fresh_copy"
        | "lift_fresh"
        | "dropout"
        | "native_dropout"
        | "alpha_dropout"
        | "feature_dropout"
        | "feature_alpha_dropout"
        | "positive"
        | "view_of"
        | "conj"
        | "resolve_conj"
        | "resolve_neg" => of_first(call, Op::Same),
        "to" | "_to_copy" if call.overload == "other" => with(call, Op::CastAs, &["other"]),
        "to" | "_to_copy" => match call.kind("dtype") {
            Some(kind) => of_first(call, Op::Cast(kind)),
            None if call.has("dtype") => None,
            None => of_first(call, Op::Same),
        },
        "type_as" => with(call, Op::CastAs, &["other"]),
        "float" | "double" | "half" => of_first(call, Op::Cast(Kind::Float)),
        "long" | "int" => of_first(call, Op::Cast(Kind::Int)),
        "bool" => of_first(call, Op::Cast(Kind::Bool)),
        "copy" => {
            let (to, from) = (call.first()?, call.value("src")?);
            Some((Op::ExpandAs, vec![Some(from), Some(to)]))
        }
        _ => None,
    }
}

/// Functions without attributes, by name.
const FUNCTIONS: [(&str, Function); 36] = [
    ("relu", Function::Relu),
    ("silu", Function::Silu),
    ("mish", Function::Mish),
    ("log_sigmoid", Function::LogSigmoid),
    ("tanh", Function::Tanh),
    ("sigmoid", Function::Sigmoid),
    ("relu6", Function::Hardtanh(0.0, 6.0)),
    ("hardswish", Function::Hardswish),
    ("hardsigmoid", Function::Hardsigmoid),
    (
        "selu",
        Function::Elu(1.673_263_242_354_377_2, 1.050_700_987_355_480_5, 1.0),
    ),
    ("neg", Function::Neg),
    ("negative", Function::Neg),
    ("abs", Function::Abs),
    ("exp", Function::Exp),
    ("expm1", Function::Expm1),
    ("log", Function::Log),
    ("log1p", Function::Log1p),
    ("log2", Function::Log2),
    ("sqrt", Function::Sqrt),
    ("rsqrt", Function::Rsqrt),
    ("square", Function::Square),
    ("reciprocal", Function::Reciprocal),
    ("sin", Function::Sin),
    ("cos", Function::Cos),
    ("erf", Function::Erf),
    ("special_erf", Function::Erf),
    ("sign", Function::Sign),
    ("sgn", Function::Sign),
    ("floor", Function::Floor),
    ("ceil", Function::Ceil),
    ("round", Function::Round),
    ("trunc", Function::Trunc),
    ("logical_not", Function::Not),
    ("bitwise_not", Function::BitwiseNot),
    ("isnan", Function::IsNan),
    ("isinf", Function::IsInf),
];

fn function(call: &mut Call<'_>, base: &str) -> Option<Translated> {
    if base == "prelu" {
        return with(call, Op::Prelu, &["weight"]);
    }
    let plain = FUNCTIONS.iter().find(|(name, _)| *name == base);
    let function = match plain {
        Some((_, function)) => *function,
        None => match base {
            "gelu" => Function::Gelu(call.word("approximate") == Some("tanh")),
            "leaky_relu" => Function::LeakyRelu(call.float("negative_slope", 0.01)),
            "elu" => Function::Elu(
                call.float("alpha", 1.0),
                call.float("scale", 1.0),
                call.float("input_scale", 1.0),
            ),
            "celu" => {
                let alpha = call.float("alpha", 1.0);
                Function::Elu(alpha, 1.0, 1.0 / alpha)
            }
            "softplus" => {
                Function::Softplus(call.float("beta", 1.0), call.float("threshold", 20.0))
            }
            "hardtanh" => {
                Function::Hardtanh(call.float("min_val", -1.0), call.float("max_val", 1.0))
            }
            "hardshrink" => Function::Hardshrink(call.float("lambd", 0.5)),
            "softshrink" => Function::Softshrink(call.float("lambd", 0.5)),
            "threshold" => {
                Function::Threshold(call.float("threshold", 0.0), call.float("value", 0.0))
            }
            _ => return None,
        },
    };
    of_first(call, Op::Function(function))
}

fn pair(call: &mut Call<'_>, base: &str) -> Option<Translated> {
    let alpha = call.float("alpha", 1.0);
    let binary = match base {
        "add" => Binary::Add(alpha),
        "sub" | "subtract" => Binary::Sub(alpha),
        "rsub" => Binary::ReverseSub(alpha),
        "mul" | "multiply" => Binary::Mul,
        "div" | "true_divide" | "divide" | "truediv" => match call.word("rounding_mode") {
            Some("floor") => Binary::FloorDiv,
            Some("trunc") => Binary::TruncDiv,
            _ => Binary::Div,
        },
        "floor_divide" | "floordiv" => Binary::FloorDiv,
        "remainder" | "mod" => Binary::Mod,
        "pow" => Binary::Pow,
        "maximum" => Binary::Maximum,
        "minimum" => Binary::Minimum,
        "max" | "min" if call.overload == "other" => {
            if base == "max" {
                Binary::Maximum
            } else {
                Binary::Minimum
            }
        }
        "eq" => Binary::Eq,
        "ne" | "not_equal" => Binary::Ne,
        "lt" | "less" => Binary::Lt,
        "le" | "less_equal" => Binary::Le,
        "gt" | "greater" => Binary::Gt,
        "ge" | "greater_equal" => Binary::Ge,
        "logical_and" | "bitwise_and" | "__and__" | "and" => Binary::And,
        "logical_or" | "bitwise_or" | "__or__" | "or" => Binary::Or,
        "logical_xor" | "bitwise_xor" | "__xor__" | "xor" => Binary::Xor,
        "where" => {
            let condition = call.value("condition")?;
            let (a, b) = (call.first()?, call.value("other")?);
            return Some((Op::Where, vec![Some(condition), Some(a), Some(b)]));
        }
        "masked_fill" => return with(call, Op::MaskedFill, &["mask", "value"]),
        "clamp" | "clip" => return with(call, Op::Clamp, &["min", "max"]),
        "clamp_min" => return with(call, Op::Clamp, &["min", ""]),
        "clamp_max" => return with(call, Op::Clamp, &["", "max"]),
        _ => return None,
    };
    // Scalars of Python are called `a` and `b`; a power may have its scalar on either side.
    let a = call.first().or_else(|| call.value("a"))?;
    let b = ["other", "exponent", "b"];
    let b = b.iter().find_map(|name| call.value(name))?;
    Some((Op::Binary(binary), vec![Some(a), Some(b)]))
}
