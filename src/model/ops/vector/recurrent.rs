//! The steps of a recurrent layer: the product with the hidden state, and the cell in one pass.

use candle_core::{Result, Tensor, bail};
use pulp::{Simd, WithSimd};

use super::function::{logistic, tanh};
use super::with;
use crate::model::kernels::dense::{self, Dense, Rows};
use crate::model::kernels::simd::{Level, Rectifier};
use crate::model::ops::RecurrentCell;

/// All steps of one layer in one direction, with arrays of f32 on the CPU.
#[derive(Clone, Copy, Debug)]
pub(in crate::model) struct Steps<'a> {
    pub(in crate::model) cell: RecurrentCell,
    /// Products with the inputs and their bias: (steps, samples, gates·width).
    pub(in crate::model) from_inputs: &'a Tensor,
    /// (gates·width, width).
    pub(in crate::model) weight: &'a Tensor,
    /// (gates·width).
    pub(in crate::model) bias: Option<&'a Tensor>,
    /// The first hidden state, (samples, width).
    pub(in crate::model) hidden: &'a Tensor,
    /// The first cell state of an LSTM, (samples, width).
    pub(in crate::model) state: Option<&'a Tensor>,
    /// True if the last step comes first.
    pub(in crate::model) backwards: bool,
}

/// The hidden states of all steps, (steps, samples, width), and the last hidden and cell state.
pub(in crate::model) type Sequence = (Tensor, Tensor, Option<Tensor>);

impl Steps<'_> {
    /// Runs them.
    ///
    /// # Errors
    /// Shapes that do not fit one another, and candle's.
    pub(in crate::model) fn run(self) -> Result<Sequence> {
        let (steps, samples, gates) = self.from_inputs.dims3()?;
        let (rows, width) = self.weight.dims2()?;
        let state = self
            .state
            .map_or(Ok(vec![]), |state| with(state, <[f32]>::to_vec))?;
        let hidden = with(self.hidden, <[f32]>::to_vec)?;
        let bias = self
            .bias
            .map_or(Ok(vec![0.0; gates]), |bias| with(bias, <[f32]>::to_vec))?;
        let states = samples * width * usize::from(self.cell == RecurrentCell::Lstm);
        let is_whole = rows == gates && gates == self.cell.gates() * width && bias.len() == gates;
        if !is_whole || hidden.len() != samples * width || state.len() != states {
            bail!("states and weights of a recurrent layer that do not fit one another");
        }
        let level = Level::best();
        let mut layer = Running {
            level,
            cell: self.cell,
            weights: with(self.weight, |weight| packed(weight, width, level.lanes()))?,
            bias,
            width,
            hidden,
            state,
            from_hidden: vec![],
        };
        layer
            .bias
            .resize(gates.next_multiple_of(level.lanes()), 0.0);
        let mut sequence = vec![0.0; steps * samples * width];
        with(self.from_inputs, |from_inputs| {
            let size = samples * width;
            for step in 0..steps {
                let step = if self.backwards {
                    steps - 1 - step
                } else {
                    step
                };
                layer.step(&from_inputs[step * samples * gates..][..samples * gates]);
                sequence[step * size..][..size].copy_from_slice(&layer.hidden);
            }
        })?;
        let device = self.from_inputs.device();
        let last = |numbers| Tensor::from_vec(numbers, (samples, width), device);
        Ok((
            Tensor::from_vec(sequence, (steps, samples, width), device)?,
            last(layer.hidden)?,
            self.state.map(|_| last(layer.state)).transpose()?,
        ))
    }
}

/// Returns (outputs, inputs) in the order in which the kernel reads weights: (blocks of outputs, inputs, lanes).
fn packed(weight: &[f32], inputs: usize, lanes: usize) -> Vec<f32> {
    let outputs = weight.len() / inputs.max(1);
    let mut packed = vec![0.0; outputs.next_multiple_of(lanes) * inputs];
    let block = (lanes * inputs).max(1);
    for (block, rows) in packed.chunks_mut(block).zip(weight.chunks(block)) {
        let rows = rows.chunks_exact(inputs.max(1)).map(|row| (row, 1.0));
        dense::lay(block, lanes, rows);
    }
    packed
}

/// A layer between two steps.
struct Running {
    level: Level,
    cell: RecurrentCell,
    weights: Vec<f32>,
    /// A whole number of vectors.
    bias: Vec<f32>,
    width: usize,
    hidden: Vec<f32>,
    state: Vec<f32>,
    /// Products with the hidden state: a row as long as the bias a sample.
    from_hidden: Vec<f32>,
}

impl Running {
    fn step(&mut self, from_inputs: &[f32]) {
        let samples = self.hidden.len() / self.width.max(1);
        self.from_hidden.resize(samples * self.bias.len(), 0.0);
        Dense {
            x: Rows {
                values: &self.hidden,
                stride: self.width,
            },
            inputs: self.width,
            weights: &self.weights,
            step: self.width * self.level.lanes(),
            bias: &self.bias,
            rectifier: Rectifier::Off,
        }
        .run(self.level, samples, &mut self.from_hidden);
        let level = self.level;
        level.run(Cells {
            layer: self,
            from_inputs,
        });
    }
}

/// The cells of all samples in one step.
struct Cells<'a> {
    layer: &'a mut Running,
    from_inputs: &'a [f32],
}

impl WithSimd for Cells<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Running {
            cell,
            bias,
            width,
            hidden,
            state,
            from_hidden,
            ..
        } = self.layer;
        let width = (*width).max(1);
        let rows = self.from_inputs.chunks_exact(cell.gates() * width);
        let rows = rows.zip(from_hidden.chunks_exact(bias.len().max(1)));
        let mut states = state.chunks_exact_mut(width);
        for ((x, h), hidden) in rows.zip(hidden.chunks_exact_mut(width)) {
            match cell {
                RecurrentCell::Lstm => {
                    let state = states.next().unwrap_or_default();
                    lstm(parts(x, width), parts(h, width), hidden, state);
                }
                RecurrentCell::Gru => gru(parts(x, width), parts(h, width), hidden),
                RecurrentCell::Tanh => plain(parts(x, width), parts(h, width), hidden, tanh),
                RecurrentCell::Relu => plain(parts(x, width), parts(h, width), hidden, |x| {
                    if x <= 0.0 { 0.0 } else { x }
                }),
            }
        }
    }
}

/// Returns the gates of a row.
#[inline(always)]
fn parts<const GATES: usize>(row: &[f32], width: usize) -> [&[f32]; GATES] {
    std::array::from_fn(|gate| &row[gate * width..][..width])
}

// Lengths that are known at the start spare a check at every number: the compiler makes vectors of the loops.

/// Computes c' = σ(f)·c + σ(i)·tanh(g), h' = σ(o)·tanh(c').
#[inline(always)]
fn lstm(x: [&[f32]; 4], h: [&[f32]; 4], hidden: &mut [f32], state: &mut [f32]) {
    let width = hidden.len().min(state.len());
    let (hidden, state) = (&mut hidden[..width], &mut state[..width]);
    let [xi, xf, xg, xo] = x;
    let [hi, hf, hg, ho] = h;
    let (xi, xf, xg, xo) = (&xi[..width], &xf[..width], &xg[..width], &xo[..width]);
    let (hi, hf, hg, ho) = (&hi[..width], &hf[..width], &hg[..width], &ho[..width]);
    for k in 0..width {
        let kept = logistic(xf[k] + hf[k]) * state[k];
        let cell = kept + logistic(xi[k] + hi[k]) * tanh(xg[k] + hg[k]);
        state[k] = cell;
        hidden[k] = logistic(xo[k] + ho[k]) * tanh(cell);
    }
}

/// Computes n = tanh(x + σ(r)·h), h' = n + σ(z)·(h − n).
#[inline(always)]
fn gru(x: [&[f32]; 3], h: [&[f32]; 3], hidden: &mut [f32]) {
    let width = hidden.len();
    let [xr, xz, xn] = x;
    let [hr, hz, hn] = h;
    let (xr, xz, xn) = (&xr[..width], &xz[..width], &xn[..width]);
    let (hr, hz, hn) = (&hr[..width], &hz[..width], &hn[..width]);
    for k in 0..width {
        let new = tanh(xn[k] + logistic(xr[k] + hr[k]) * hn[k]);
        hidden[k] = new + logistic(xz[k] + hz[k]) * (hidden[k] - new);
    }
}

/// Returns h' = f(x + h).
#[inline(always)]
fn plain(x: [&[f32]; 1], h: [&[f32]; 1], hidden: &mut [f32], of: impl Fn(f32) -> f32) {
    let rows = x[0].iter().zip(h[0]);
    let numbers = hidden.iter_mut().zip(rows);
    numbers.for_each(|(hidden, (x, h))| *hidden = of(x + h));
}
