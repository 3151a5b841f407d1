//! Products of matrices, softmax and attention.

use std::collections::BTreeMap;

use candle_core::{D, DType, Result, Tensor, bail};

use super::Operands;
use crate::model::ops;
use crate::model::ops::vector::{self, Attention, Mask};
use crate::model::program::datum::{axis, broadcast, sum_keeping};
use crate::model::program::kind::Kind;
use crate::model::program::op::Op;

/// Applies a product of matrices, a softmax or an attention.
pub(super) fn apply(op: &Op, operands: &Operands<'_>) -> Result<Tensor> {
    match op {
        Op::MatMul => product(&operands.float(0)?, &operands.float(1)?),
        Op::AddMatMul { beta, alpha } => {
            let product = product(&operands.float(1)?, &operands.float(2)?)?;
            let (added, product) = (scaled(operands.float(0)?, *beta)?, scaled(product, *alpha)?);
            product.broadcast_add(&added)
        }
        Op::Einsum(equation) => einsum(equation, operands),
        Op::Softmax { axis: at, log } => {
            let x = operands.float(0)?;
            let at = axis(*at, x.rank())?;
            softmax(&x, at, *log)
        }
        Op::Attention {
            causal,
            scale,
            grouped,
        } => attention(operands, *causal, *scale, *grouped),
        _ => bail!("{op:?} is no product"),
    }
}

fn scaled(x: Tensor, factor: f64) -> Result<Tensor> {
    if factor == 1.0 { Ok(x) } else { x * factor }
}

/// Returns the product of two arrays of matrices, as PyTorch's `matmul`; vectors count as a row or a column.
pub(super) fn product(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let (row, column) = (a.rank() == 1, b.rank() == 1);
    let a = if row { a.unsqueeze(0)? } else { a.clone() };
    let b = if column { b.unsqueeze(1)? } else { b.clone() };
    let mut c = matrices(&a, &b)?;
    if column {
        c = c.squeeze(D::Minus1)?;
    }
    if row {
        c = c.squeeze(if column { c.rank() - 1 } else { c.rank() - 2 })?;
    }
    Ok(c)
}

/// Brings both together before they are multiplied, because candle's products of arrays that lie apart are wrong in
/// part.
fn matrices(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let (rows, inner) = (a.dim(D::Minus2)?, a.dim(D::Minus1)?);
    let columns = b.dim(D::Minus1)?;
    if b.rank() == 2 {
        let flat = a.contiguous()?.reshape(((), inner))?;
        let c = flat.matmul(&b.contiguous()?)?;
        let dims = [&a.dims()[..a.rank() - 1], &[columns]].concat();
        return c.reshape(dims);
    }
    let lies_turned = matches!(b.stride(), [.., 1, last] if *last != 1);
    if lies_turned && a.dims()[..a.rank() - 2] == b.dims()[..b.rank() - 2] {
        // A right side whose columns lie together is taken as it is, the other way about.
        let turned = b.transpose(D::Minus2, D::Minus1)?.contiguous()?;
        let dims = [&turned.dims()[..turned.rank() - 2], &[rows, columns]].concat();
        let a = a.contiguous()?.reshape(((), rows, inner))?;
        let b = turned.reshape(((), columns, inner))?.transpose(1, 2)?;
        return a.matmul(&b)?.reshape(dims);
    }
    let lead = broadcast(&a.dims()[..a.rank() - 2], &b.dims()[..b.rank() - 2])?;
    let flat = |x: &Tensor, last: [usize; 2]| {
        let full = [lead.as_slice(), &last].concat();
        let x = x.broadcast_as(full)?.contiguous()?;
        x.reshape(((), last[0], last[1]))
    };
    let c = flat(a, [rows, inner])?.matmul(&flat(b, [inner, columns])?)?;
    c.reshape([lead.as_slice(), &[rows, columns]].concat())
}

/// Computes the softmax along an axis, or its logarithm.
pub(super) fn softmax(x: &Tensor, at: usize, log: bool) -> Result<Tensor> {
    if !log && at + 1 == x.rank() && vector::fits(x) {
        return vector::softmax(x);
    }
    let most = x.detach().max_keepdim(at)?;
    let shifted = x.broadcast_sub(&most)?;
    let exponents = shifted.exp()?;
    let sum = ops::summed(&exponents, |exponents| exponents.sum_keepdim(at))?;
    if log {
        shifted.broadcast_sub(&sum.log()?)
    } else {
        exponents.broadcast_div(&sum)
    }
}

/// Returns a score that no place has: its exponential is 0 and it can be subtracted from itself.
fn lowest(dtype: DType) -> f64 {
    if dtype == DType::F16 { -3e4 } else { -1e30 }
}

/// Returns softmax(q·kᵀ·scale + mask)·v; a row whose every place is masked gives 0, as in PyTorch.
fn attention(
    operands: &Operands<'_>,
    causal: bool,
    scale: Option<f64>,
    grouped: bool,
) -> Result<Tensor> {
    let query = operands.float(0)?;
    let (mut key, mut value) = (operands.float(1)?, operands.float(2)?);
    if grouped {
        let heads = query.dim(D::Minus(3))?;
        (key, value) = (repeated(&key, heads)?, repeated(&value, heads)?);
    }
    let width = query.dim(D::Minus1)?;
    let mask = match operands.maybe(3) {
        Some(mask) if mask.kind() == Kind::Float => Some(operands.scope.float(mask)?),
        Some(mask) => Some(mask.condition(mask.dims(), operands.scope.place)?),
        None => None,
    };
    let attention = Attention {
        query: &query,
        key: &key,
        value: &value,
        scale: scale.unwrap_or_else(|| 1.0 / (width as f64).sqrt()),
        mask: match &mask {
            Some(mask) if mask.dtype() == DType::U8 => Mask::Seen(mask),
            Some(mask) => Mask::Added(mask),
            None if causal => Mask::Causal,
            None => Mask::None,
        },
    };
    if attention.fits() {
        attention.run()
    } else {
        decomposed(attention)
    }
}

/// Returns the same of candle's operations, whose derivatives are right.
fn decomposed(attention: Attention<'_>) -> Result<Tensor> {
    let turned = attention.key.transpose(D::Minus2, D::Minus1)?;
    let mut scores = product(&(attention.query * attention.scale)?, &turned)?;
    let allowed = match attention.mask {
        Mask::None => None,
        Mask::Causal => Some(before(&scores)?),
        Mask::Seen(mask) => Some(mask.clone()),
        Mask::Added(mask) => {
            let sees = mask.detach().ne(f64::NEG_INFINITY)?;
            let finite = sees.where_cond(&mask.contiguous()?, &mask.zeros_like()?)?;
            scores = scores.broadcast_add(&finite)?;
            has_hidden(&sees)?.then_some(sees)
        }
    };
    let weights = match allowed {
        Some(allowed) => masked(&scores, &allowed)?,
        None => softmax(&scores, scores.rank() - 1, false)?,
    };
    product(&weights, attention.value)
}

/// Returns true if a mask hides anything.
fn has_hidden(sees: &Tensor) -> Result<bool> {
    let least = sees.flatten_all()?.min(0)?;
    Ok(least.to_scalar::<u8>()? == 0)
}

/// Returns the heads of keys and values, each for several heads of queries.
fn repeated(x: &Tensor, heads: usize) -> Result<Tensor> {
    let Some(at) = x.rank().checked_sub(3) else {
        bail!("heads of shape {:?}", x.dims());
    };
    let own = x.dims()[at].max(1);
    let ids: Vec<u32> = (0..heads).map(|head| (head * own / heads) as u32).collect();
    x.contiguous()?
        .index_select(&Tensor::new(ids, x.device())?, at)
}

/// Lets each place see itself and those before it, counted from the first.
fn before(scores: &Tensor) -> Result<Tensor> {
    let (rows, columns) = (scores.dim(D::Minus2)?, scores.dim(D::Minus1)?);
    let sees = (0..rows * columns).map(|i| u8::from(i % columns <= i / columns));
    Tensor::from_vec(sees.collect(), (rows, columns), scores.device())
}

fn masked(scores: &Tensor, allowed: &Tensor) -> Result<Tensor> {
    let last = scores.rank() - 1;
    let low = (scores.zeros_like()? + lowest(scores.dtype()))?;
    let sees = allowed.broadcast_as(scores.shape())?.contiguous()?;
    let scores = sees.where_cond(scores, &low)?;
    let most = scores.detach().max_keepdim(last)?;
    let seen = sees.to_dtype(scores.dtype())?;
    let exponents = (scores.broadcast_sub(&most)?.exp()? * &seen)?;
    // A row without any place has a sum of 0, which becomes 1.
    let none = (1.0 - seen.max_keepdim(last)?)?;
    let sum = (sum_keeping(&exponents, &[last])? + none)?;
    exponents.broadcast_div(&sum)
}

/// Returns the letters of one operand; an ellipsis becomes letters of its own, the last axis first.
fn letters(term: &str, rank: usize) -> Result<Vec<char>> {
    let term: String = term.chars().filter(|c| !c.is_whitespace()).collect();
    let Some((left, right)) = term.split_once("...") else {
        return Ok(term.chars().collect());
    };
    let named = left.chars().count() + right.chars().count();
    let Some(others) = rank.checked_sub(named) else {
        bail!("{term} of {rank} axes");
    };
    // Private-use characters: no equation has them.
    let others = (0..others)
        .rev()
        .filter_map(|i| char::from_u32(0xE000 + i as u32));
    Ok(left.chars().chain(others).chain(right.chars()).collect())
}

/// Returns a sum of products by letters, of one or two operands.
fn einsum(equation: &str, operands: &Operands<'_>) -> Result<Tensor> {
    let all = operands.all()?;
    let (inputs, output) = match equation.split_once("->") {
        Some((inputs, output)) => (inputs, Some(output)),
        None => (equation, None),
    };
    let tensors = all.iter().map(|datum| operands.scope.float(datum));
    let tensors = tensors.collect::<Result<Vec<_>>>()?;
    let terms = inputs.split(',').zip(&tensors);
    let terms = terms.map(|(term, x)| letters(term, x.rank()));
    let terms: Vec<Vec<char>> = terms.collect::<Result<_>>()?;
    let most = terms.iter().flatten().filter(|c| **c >= '\u{E000}').max();
    let dots = most.map_or(0, |most| *most as usize - 0xE000 + 1);
    let output = match output {
        Some(output) => {
            let named = output.replace("...", "");
            let named = named.chars().filter(|c| !c.is_whitespace()).count();
            letters(
                output,
                named + if output.contains("...") { dots } else { 0 },
            )?
        }
        None => implied(&terms),
    };
    let repeats = |term: &Vec<char>| {
        let mut seen = term.clone();
        seen.sort_unstable();
        seen.dedup();
        seen.len() != term.len()
    };
    let mut ranks = terms.iter().zip(&tensors);
    if ranks.any(|(term, x)| term.len() != x.rank()) {
        let shapes: Vec<&[usize]> = tensors.iter().map(Tensor::dims).collect();
        bail!("einsum {equation:?} of shapes {shapes:?}");
    }
    if terms.iter().any(repeats) {
        bail!("the diagonal of einsum {equation:?}");
    }
    match (&terms[..], &tensors[..]) {
        ([term], [x]) => arranged(&summed(x, term, &output)?, &kept(term, &output), &output),
        ([a, b], [x, y]) => contracted((x, a), (y, b), &output),
        _ => bail!("einsum {equation:?} of {} operands", tensors.len()),
    }
}

/// Returns the letters that stand once, in order, if no result is named.
fn implied(terms: &[Vec<char>]) -> Vec<char> {
    let mut counts = BTreeMap::new();
    for letter in terms.iter().flatten() {
        *counts.entry(*letter).or_insert(0) += 1;
    }
    let once = counts.into_iter().filter(|(_, count)| *count == 1);
    once.map(|(letter, _)| letter).collect()
}

fn kept(term: &[char], output: &[char]) -> Vec<char> {
    let kept = term.iter().filter(|letter| output.contains(letter));
    kept.copied().collect()
}

/// Returns the sum over letters that nobody wants.
fn summed(x: &Tensor, term: &[char], wanted: &[char]) -> Result<Tensor> {
    let gone = (0..term.len()).filter(|at| !wanted.contains(&term[*at]));
    let gone: Vec<usize> = gone.collect();
    let sum = sum_keeping(x, &gone)?;
    let left = (0..term.len()).filter(|at| !gone.contains(at));
    sum.reshape(left.map(|at| x.dims()[at]).collect::<Vec<_>>())
}

/// Returns the axes in the order of other letters.
fn arranged(x: &Tensor, term: &[char], order: &[char]) -> Result<Tensor> {
    let order = order
        .iter()
        .map(|letter| term.iter().position(|own| own == letter));
    match order.collect::<Option<Vec<usize>>>() {
        Some(order) if order.is_empty() => Ok(x.clone()),
        Some(order) => x.permute(order),
        None => bail!("a letter of the result that no operand has"),
    }
}

/// Returns the product of two operands as one product of arrays of matrices.
fn contracted(
    (x, a): (&Tensor, &[char]),
    (y, b): (&Tensor, &[char]),
    output: &[char],
) -> Result<Tensor> {
    let wanted = |other: &[char]| [other, output].concat();
    let (x, y) = (summed(x, a, &wanted(b))?, summed(y, b, &wanted(a))?);
    let (a, b) = (kept(a, &wanted(b)), kept(b, &wanted(a)));
    let pick = |from: &[char], test: &dyn Fn(&char) -> bool| -> Vec<char> {
        from.iter().copied().filter(|letter| test(letter)).collect()
    };
    let batch = pick(&a, &|c| b.contains(c) && output.contains(c));
    let inner = pick(&a, &|c| b.contains(c) && !output.contains(c));
    let left = pick(&a, &|c| !b.contains(c));
    let right = pick(&b, &|c| !a.contains(c));
    let extent = |letters: &[char]| -> Vec<usize> {
        let of = |letter: &char| {
            let here = a.iter().position(|own| own == letter);
            here.map(|at| x.dims()[at]).or_else(|| {
                let there = b.iter().position(|own| own == letter)?;
                Some(y.dims()[there])
            })
        };
        letters.iter().filter_map(of).collect()
    };
    let size = |letters: &[char]| extent(letters).iter().product::<usize>();
    let shaped = |x: &Tensor, own: &[char], order: [&[char]; 3]| {
        let x = arranged(x, own, &order.concat())?.contiguous()?;
        x.reshape((size(order[0]), size(order[1]), size(order[2])))
    };
    let c = shaped(&x, &a, [&batch, &left, &inner])?.matmul(&shaped(
        &y,
        &b,
        [&batch, &inner, &right],
    )?)?;
    let found = [batch, left, right].concat();
    arranged(&c.reshape(extent(&found))?, &found, output)
}
