//! Attention, head by head: scores, softmax and mean of a few rows at a time while they are in cache.
//!
//! Queries, keys and values are read where they lie, whatever their strides are, and the result lies as the product
//! behind it wants it: (…, rows, heads, width).

use candle_core::{CpuStorage, Layout, Result, Storage, Tensor, bail};
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::rows::softmax_row;
use crate::model::kernels::dense::{self, Dense, Rows};
use crate::model::kernels::simd::{Level, Rectifier};

/// Rows of scores that are computed together.
const ROWS: usize = 64;

/// Places that each row sees.
#[derive(Clone, Copy, Debug)]
pub(in crate::model) enum Mask<'a> {
    /// All of them.
    None,
    /// Those up to its own, counted from the first.
    Causal,
    /// Those that are not 0 here (u8, broadcast to the scores).
    Seen(&'a Tensor),
    /// All, but this is added to the scores (f32, broadcast to them).
    Added(&'a Tensor),
}

/// softmax(q·kᵀ·scale + mask)·v, with arrays of f32 on the CPU. A row that sees nothing gives 0, as in PyTorch.
#[derive(Clone, Copy, Debug)]
pub(in crate::model) struct Attention<'a> {
    /// (…, rows, width).
    pub(in crate::model) query: &'a Tensor,
    /// (…, places, width).
    pub(in crate::model) key: &'a Tensor,
    /// (…, places, width of the result).
    pub(in crate::model) value: &'a Tensor,
    /// The factor of the products.
    pub(in crate::model) scale: f64,
    /// Places that count.
    pub(in crate::model) mask: Mask<'a>,
}

/// Matrices of one array, one for each head of each sample.
struct Matrices<'a, T> {
    numbers: &'a [T],
    /// The offset of each.
    starts: Vec<usize>,
    /// From a row to the next.
    stride: usize,
    rows: usize,
    width: usize,
}

impl<'a, T> Matrices<'a, T> {
    fn of(numbers: &'a [T], layout: &Layout) -> Result<Self> {
        let (dims, strides) = (layout.dims(), layout.stride());
        let ([lead @ .., rows, width], [steps @ .., stride, _]) = (dims, strides) else {
            bail!("an attention of an array of shape {dims:?}");
        };
        let mut starts = vec![layout.start_offset()];
        for (count, step) in lead.iter().zip(steps) {
            let inner = starts.iter();
            starts = inner
                .flat_map(|start| (0..*count).map(move |i| start + i * step))
                .collect();
        }
        Ok(Self {
            numbers,
            starts,
            stride: *stride,
            rows: *rows,
            width: *width,
        })
    }

    /// Returns row `row` of matrix `head` and all numbers behind it.
    fn from(&self, head: usize, row: usize) -> &'a [T] {
        &self.numbers[self.starts[head] + row * self.stride..]
    }

    fn row(&self, head: usize, row: usize) -> &'a [T] {
        &self.from(head, row)[..self.width]
    }
}

/// The mask of every row, where there is one.
enum Marks<'a> {
    None,
    Causal,
    Seen(Matrices<'a, u8>),
    Added(Matrices<'a, f32>),
}

/// Returns x with these leading extents, its last axis without gaps.
fn spread(x: &Tensor, lead: &[usize], last: [usize; 2]) -> Result<Tensor> {
    let full = [lead, &last].concat();
    let is_whole = x.dims().last() == Some(&last[1]);
    let is_dense = x.stride().last() == Some(&1);
    if is_whole && !is_dense {
        return x.contiguous()?.broadcast_as(full);
    }
    let x = x.broadcast_as(full)?;
    if is_whole || last[1] == 1 {
        Ok(x)
    } else {
        x.contiguous()
    }
}

impl Attention<'_> {
    /// Returns true if [`Attention::run`] takes it.
    pub(in crate::model) fn fits(&self) -> bool {
        let added = match self.mask {
            Mask::Added(added) => Some(added),
            Mask::None | Mask::Causal | Mask::Seen(_) => None,
        };
        let mut floats = [self.query, self.key, self.value].into_iter().chain(added);
        floats.all(super::fits)
    }

    /// Computes (…, rows, width of the result).
    ///
    /// # Errors
    /// Shapes that do not fit one another, and candle's.
    pub(in crate::model) fn run(self) -> Result<Tensor> {
        let [lead @ .., rows, width] = self.query.dims() else {
            bail!("an attention of an array of shape {:?}", self.query.dims());
        };
        let [.., places, out] = *self.value.dims() else {
            bail!("values of shape {:?}", self.value.dims());
        };
        let query = spread(self.query, lead, [*rows, *width])?;
        let key = spread(self.key, lead, [places, *width])?;
        let value = spread(self.value, lead, [places, out])?;
        let mask = match self.mask {
            Mask::Seen(mask) | Mask::Added(mask) => Some(spread(mask, lead, [*rows, places])?),
            Mask::None | Mask::Causal => None,
        };
        let arrays = [&query, &key, &value].map(Tensor::storage_and_layout);
        let [query, key, value] = [0, 1, 2].map(|i| floats(&arrays[i].0, arrays[i].1));
        let mask = mask.as_ref().map(Tensor::storage_and_layout);
        let heads = Heads {
            query: query?,
            key: key?,
            value: value?,
            scale: self.scale as f32,
            marks: match (self.mask, &mask) {
                (Mask::Seen(_), Some((storage, layout))) => Marks::Seen(bytes(storage, layout)?),
                (Mask::Added(_), Some((storage, layout))) => Marks::Added(floats(storage, layout)?),
                (Mask::Causal, _) => Marks::Causal,
                _ => Marks::None,
            },
        };
        // Heads beside one another in each row: the next product takes them together.
        let (outer, inner) = lead.split_at(lead.len().saturating_sub(1));
        let count = inner.iter().product::<usize>();
        let mut y = vec![0.0; lead.iter().product::<usize>() * rows * out];
        let samples = y.par_chunks_mut((count * rows * out).max(1)).enumerate();
        samples.for_each(|(sample, y)| heads.sample(sample * count, count, y));
        let dims = [outer, &[*rows], inner, &[out]].concat();
        let y = Tensor::from_vec(y, dims, self.query.device())?;
        if inner.is_empty() {
            return Ok(y);
        }
        y.transpose(outer.len(), outer.len() + 1)
    }
}

fn floats<'a>(storage: &'a Storage, layout: &Layout) -> Result<Matrices<'a, f32>> {
    match storage {
        Storage::Cpu(CpuStorage::F32(numbers)) => Matrices::of(numbers, layout),
        _ => bail!("an attention of numbers that are not f32 in memory"),
    }
}

fn bytes<'a>(storage: &'a Storage, layout: &Layout) -> Result<Matrices<'a, u8>> {
    match storage {
        Storage::Cpu(CpuStorage::U8(marks)) => Matrices::of(marks, layout),
        _ => bail!("a mask that is not u8 in memory"),
    }
}

struct Heads<'a> {
    query: Matrices<'a, f32>,
    key: Matrices<'a, f32>,
    value: Matrices<'a, f32>,
    scale: f32,
    marks: Marks<'a>,
}

/// Memory of one sample's heads.
#[derive(Default)]
struct Scratch {
    /// (blocks of places, width, lanes).
    keys: Vec<f32>,
    /// (blocks of the result's width, places, lanes).
    values: Vec<f32>,
    scores: Vec<f32>,
    means: Vec<f32>,
}

impl Heads<'_> {
    /// Writes `count` heads from `first` on: (rows, heads, width of the result).
    fn sample(&self, first: usize, count: usize, y: &mut [f32]) {
        let level = Level::best();
        let (rows, out) = (self.query.rows, self.value.width);
        let lanes = level.lanes();
        // What the kernel adds to its products: nothing.
        let nothing = vec![0.0; self.key.rows.max(out).next_multiple_of(lanes)];
        let mut scratch = Scratch::default();
        for head in 0..count {
            self.pack(first + head, lanes, &mut scratch);
            for row in (0..rows).step_by(ROWS) {
                let chunk = row..(row + ROWS).min(rows);
                let means = self.rows(first + head, chunk.clone(), level, &nothing, &mut scratch);
                let means = means.chunks_exact(out.next_multiple_of(lanes).max(1));
                for (row, mean) in chunk.zip(means) {
                    y[(row * count + head) * out..][..out].copy_from_slice(&mean[..out]);
                }
            }
        }
    }

    /// Brings the keys and values of a head into the order in which the kernel reads weights.
    fn pack(&self, head: usize, lanes: usize, scratch: &mut Scratch) {
        let (places, width, out) = (self.key.rows, self.key.width, self.value.width);
        let resize = |numbers: &mut Vec<f32>, blocks: usize, inner: usize| {
            numbers.resize(blocks.div_ceil(lanes) * inner * lanes, 0.0);
        };
        resize(&mut scratch.keys, places, width);
        resize(&mut scratch.values, out, places);
        let blocks = scratch.keys.chunks_mut((width * lanes).max(1));
        for (number, block) in blocks.enumerate() {
            let own = number * lanes..places.min((number + 1) * lanes);
            let rows = own.map(|place| (self.key.row(head, place), 1.0));
            dense::lay(block, lanes, rows);
        }
        for place in 0..places {
            let value = self.value.row(head, place).chunks(lanes);
            for (block, value) in value.enumerate() {
                let to = (block * places + place) * lanes;
                scratch.values[to..][..value.len()].copy_from_slice(value);
            }
        }
    }

    /// Returns the result of some rows of a head, each a whole number of vectors long.
    fn rows<'s>(
        &self,
        head: usize,
        rows: std::ops::Range<usize>,
        level: Level,
        nothing: &[f32],
        scratch: &'s mut Scratch,
    ) -> &'s [f32] {
        let lanes = level.lanes();
        let (width, places) = (self.key.width, self.key.rows);
        // Rows further down see more; what none of these sees is not computed.
        let seen = match self.marks {
            Marks::Causal => places.min(rows.end),
            _ => places,
        };
        let (wide, out) = (
            seen.next_multiple_of(lanes),
            self.value.width.next_multiple_of(lanes),
        );
        scratch.scores.resize(rows.len() * wide, 0.0);
        scratch.means.resize(rows.len() * out, 0.0);
        Dense {
            x: Rows {
                values: self.query.from(head, rows.start),
                stride: self.query.stride,
            },
            inputs: width,
            weights: &scratch.keys,
            step: width * lanes,
            bias: &nothing[..wide],
            rectifier: Rectifier::Off,
        }
        .run(level, rows.len(), &mut scratch.scores);
        level.run(Shares {
            heads: self,
            head,
            first: rows.start,
            seen,
            scores: &mut scratch.scores,
            wide,
        });
        Dense {
            x: Rows {
                values: &scratch.scores,
                stride: wide,
            },
            inputs: seen,
            weights: &scratch.values,
            step: places * lanes,
            bias: &nothing[..out],
            rectifier: Rectifier::Off,
        }
        .run(level, rows.len(), &mut scratch.means);
        &scratch.means
    }
}

/// Rows of scores that become shares.
struct Shares<'a, 'b> {
    heads: &'a Heads<'b>,
    head: usize,
    /// Number of the first row.
    first: usize,
    /// Places that any of the rows sees.
    seen: usize,
    scores: &'a mut [f32],
    /// From a row to the next.
    wide: usize,
}

impl WithSimd for Shares<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let scale = self.heads.scale;
        for (i, row) in self.scores.chunks_exact_mut(self.wide.max(1)).enumerate() {
            let number = self.first + i;
            let count = match self.heads.marks {
                Marks::Causal => self.seen.min(number + 1),
                _ => self.seen,
            };
            let (row, hidden) = row.split_at_mut(count);
            match &self.heads.marks {
                Marks::None | Marks::Causal => row.iter_mut().for_each(|x| *x *= scale),
                Marks::Seen(marks) => {
                    let marks = marks.row(self.head, number);
                    for (x, mark) in row.iter_mut().zip(marks) {
                        *x = if *mark == 0 {
                            f32::NEG_INFINITY
                        } else {
                            *x * scale
                        };
                    }
                }
                Marks::Added(added) => {
                    let added = added.row(self.head, number);
                    let numbers = row.iter_mut().zip(added);
                    numbers.for_each(|(x, add)| *x = *x * scale + add);
                }
            }
            softmax_row(row);
            hidden.fill(0.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{D, Device};

    use super::*;

    fn tensor(seed: usize, shape: &[usize]) -> Tensor {
        let count = shape.iter().product::<usize>();
        let number = |i: usize| ((i * 7919 + seed * 31) % 101) as f32 / 40.0 - 1.2;
        Tensor::from_vec((0..count).map(number).collect(), shape, &Device::Cpu).unwrap()
    }

    /// Returns the same by candle; hidden places have a score of −1e30.
    fn usual(q: &Tensor, k: &Tensor, v: &Tensor, scale: f64, seen: Option<&Tensor>) -> Tensor {
        let contiguous = |x: &Tensor| x.contiguous().unwrap();
        let turned = contiguous(&k.t().unwrap());
        let mut scores = (contiguous(q).matmul(&turned).unwrap() * scale).unwrap();
        if let Some(seen) = seen {
            let low = (scores.zeros_like().unwrap() - 1e30).unwrap();
            let seen = seen.broadcast_as(scores.shape()).unwrap();
            scores = seen.where_cond(&scores, &low).unwrap();
        }
        let most = scores.max_keepdim(D::Minus1).unwrap();
        let shares = scores.broadcast_sub(&most).unwrap().exp().unwrap();
        let sums = shares.sum_keepdim(D::Minus1).unwrap();
        let shares = shares.broadcast_div(&sums).unwrap();
        shares.matmul(&contiguous(v)).unwrap()
    }

    fn apart(a: &Tensor, b: &Tensor) -> f32 {
        assert_eq!(a.dims(), b.dims());
        let worst = (a - b).and_then(|d| d.abs()?.flatten_all()?.max(0)?.to_scalar::<f32>());
        worst.unwrap()
    }

    /// Returns the queries, keys and values of (samples, heads, places, width) that lie as a model's split makes them.
    fn heads(rows: usize, places: usize) -> [Tensor; 3] {
        [(1, rows, 20), (2, places, 20), (3, places, 13)].map(|(seed, places, width)| {
            let x = tensor(seed, &[2, places, 3, width]);
            x.transpose(1, 2).unwrap()
        })
    }

    #[test]
    fn it_is_candle_s_under_every_mask() {
        for (rows, places) in [(1, 1), (5, 7), (70, 70), (130, 130), (70, 9)] {
            let [q, k, v] = heads(rows, places);
            let run = |mask| {
                let attention = Attention {
                    query: &q,
                    key: &k,
                    value: &v,
                    scale: 0.7,
                    mask,
                };
                attention.run().unwrap()
            };
            assert!(apart(&run(Mask::None), &usual(&q, &k, &v, 0.7, None)) < 1e-5);
            let before = (0..rows * places).map(|i| u8::from(i % places <= i / places));
            let before = Tensor::from_vec(before.collect(), (rows, places), &Device::Cpu).unwrap();
            let causal = usual(&q, &k, &v, 0.7, Some(&before));
            assert!(apart(&run(Mask::Causal), &causal) < 1e-5);
            assert!(apart(&run(Mask::Seen(&before)), &causal) < 1e-5);
            let padding = (0..2 * places).map(|i| u8::from(i % places < 1 + i / places * 4));
            let padding = Tensor::from_vec(padding.collect(), (2, 1, 1, places), &Device::Cpu);
            let padding = padding.unwrap();
            let padded = usual(&q, &k, &v, 0.7, Some(&padding));
            assert!(apart(&run(Mask::Seen(&padding)), &padded) < 1e-5);
            let added = padding.to_dtype(candle_core::DType::F32).unwrap();
            let added = ((added - 1.0).unwrap() * 1e30).unwrap();
            assert!(apart(&run(Mask::Added(&added)), &padded) < 1e-5);
        }
    }

    #[test]
    fn a_row_that_sees_nothing_is_0_and_nan_goes_through() {
        let [q, k, v] = heads(5, 7);
        let marks = Tensor::zeros((5, 7), candle_core::DType::U8, &Device::Cpu).unwrap();
        let attention = |q, mask| Attention {
            query: q,
            key: &k,
            value: &v,
            scale: 1.0,
            mask,
        };
        let none = attention(&q, Mask::Seen(&marks)).run().unwrap();
        assert_eq!(apart(&none, &none.zeros_like().unwrap()), 0.0);
        let spoiled = (&q * f64::NAN).unwrap();
        let spoiled = attention(&spoiled, Mask::Causal).run().unwrap();
        let numbers: Vec<f32> = spoiled.flatten_all().unwrap().to_vec1().unwrap();
        assert!(numbers.iter().all(|x| x.is_nan()));
    }

    #[test]
    fn one_head_without_samples_and_shared_keys_are_taken() {
        let (q, k, v) = (tensor(1, &[6, 4]), tensor(2, &[9, 4]), tensor(3, &[9, 5]));
        let run = |query| Attention {
            query,
            key: &k,
            value: &v,
            scale: 0.5,
            mask: Mask::None,
        };
        let one = run(&q).run().unwrap();
        assert!(apart(&one, &usual(&q, &k, &v, 0.5, None)) < 1e-5);
        let three = Tensor::stack(&[&q, &q, &q], 0).unwrap();
        let all = run(&three).run().unwrap();
        assert_eq!(apart(&all.get(2).unwrap(), &one), 0.0);
    }
}
