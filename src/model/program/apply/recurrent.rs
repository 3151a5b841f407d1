//! LSTM, GRU and plain recurrent networks, kept whole as torch.export keeps them.

use candle_core::{Result, Tensor, bail};

use super::Operands;
use crate::model::ops::{self, RecurrentCell, vector};
use crate::model::program::datum::Datum;
use crate::model::program::op::{Function, Recurrent};

/// The weights of one layer in one direction.
struct Layer {
    /// (gates·H, inputs).
    input: Tensor,
    /// (gates·H, H).
    hidden: Tensor,
    biases: Option<[Tensor; 2]>,
    /// The matrix that the hidden state is projected by.
    projection: Option<Tensor>,
}

/// The state of a layer between two steps.
#[derive(Clone)]
struct State {
    hidden: Tensor,
    cell: Option<Tensor>,
}

/// Gives the sequence of the last layer, and the last states: hidden and, for an LSTM, cell.
pub(super) fn apply(recurrent: Recurrent, operands: &Operands<'_>) -> Result<Vec<Datum>> {
    let mut x = operands.float(0)?;
    if x.rank() != 3 {
        bail!("a sequence of shape {:?}, expected a batch", x.dims());
    }
    if recurrent.batch_first {
        x = x.transpose(0, 1)?;
    }
    let first = (1..=recurrent.states).map(|i| operands.float(i));
    let first = first.collect::<Result<Vec<_>>>()?;
    let Some(hidden) = first.first() else {
        bail!("a recurrent network without a first state");
    };
    let weights = operands.from(1 + recurrent.states).iter().flatten();
    let weights = weights.map(|datum| operands.scope.float(datum));
    let mut weights = weights.collect::<Result<Vec<_>>>()?.into_iter();
    let directions = 1 + usize::from(recurrent.bidirectional);
    let is_projected = recurrent.cell == RecurrentCell::Lstm
        && first
            .get(1)
            .is_some_and(|cell| cell.dim(2).ok() != hidden.dim(2).ok());
    let (mut last_hidden, mut last_cell) = (Vec::new(), Vec::new());
    for layer in 0..recurrent.layers {
        let mut sides = Vec::with_capacity(directions);
        for direction in 0..directions {
            let weights = next_layer(&mut weights, recurrent, is_projected)?;
            let place = layer * directions + direction;
            let state = State {
                hidden: hidden.get(place)?,
                cell: first.get(1).map(|cell| cell.get(place)).transpose()?,
            };
            let (side, state) = run(recurrent, &weights, &x, state, direction == 1)?;
            sides.push(side);
            last_hidden.push(state.hidden);
            last_cell.extend(state.cell);
        }
        x = Tensor::cat(&sides, 2)?;
    }
    if recurrent.batch_first {
        x = x.transpose(0, 1)?;
    }
    let mut given = vec![x, Tensor::stack(&last_hidden, 0)?];
    if !last_cell.is_empty() {
        given.push(Tensor::stack(&last_cell, 0)?);
    }
    Ok(given.into_iter().map(Datum::float).collect())
}

fn next_layer(
    weights: &mut impl Iterator<Item = Tensor>,
    recurrent: Recurrent,
    is_projected: bool,
) -> Result<Layer> {
    let mut next = || match weights.next() {
        Some(tensor) => Ok(tensor),
        None => bail!("weights of a recurrent network are missing"),
    };
    Ok(Layer {
        input: next()?,
        hidden: next()?,
        biases: if recurrent.biases {
            Some([next()?, next()?])
        } else {
            None
        },
        projection: if is_projected { Some(next()?) } else { None },
    })
}

/// Returns all steps of one layer in one direction: x (T, N, inputs) to (T, N, H).
fn run(
    recurrent: Recurrent,
    layer: &Layer,
    x: &Tensor,
    mut state: State,
    backwards: bool,
) -> Result<(Tensor, State)> {
    let (steps, samples, inputs) = x.dims3()?;
    let [input_bias, hidden_bias] = match &layer.biases {
        Some([input, hidden]) => [Some(input), Some(hidden)],
        None => [None, None],
    };
    // The products with the inputs of all steps are one.
    let rows = x.contiguous()?.reshape((steps * samples, inputs))?;
    let rows = ops::linear(&rows, &layer.input, input_bias)?;
    let rows = rows.reshape((steps, samples, ()))?;
    let kept = [&rows, &layer.hidden, &state.hidden];
    if layer.projection.is_none() && kept.into_iter().all(vector::fits) {
        let steps = vector::Steps {
            cell: recurrent.cell,
            from_inputs: &rows,
            weight: &layer.hidden,
            bias: hidden_bias,
            hidden: &state.hidden,
            state: state.cell.as_ref(),
            backwards,
        };
        let (sequence, hidden, cell) = steps.run()?;
        return Ok((sequence, State { hidden, cell }));
    }
    let turned = layer.hidden.t()?.contiguous()?;
    let mut sequence = Vec::with_capacity(steps);
    for step in 0..steps {
        let step = if backwards { steps - 1 - step } else { step };
        let mut from_hidden = state.hidden.contiguous()?.matmul(&turned)?;
        if let Some(bias) = hidden_bias {
            from_hidden = from_hidden.broadcast_add(bias)?;
        }
        state = next_state(recurrent, &rows.get(step)?, &from_hidden, &state)?;
        if let Some(projection) = &layer.projection {
            state.hidden = ops::linear(&state.hidden, projection, None)?;
        }
        sequence.push(state.hidden.clone());
    }
    if backwards {
        sequence.reverse();
    }
    Ok((Tensor::stack(&sequence, 0)?, state))
}

fn next_state(
    recurrent: Recurrent,
    from_input: &Tensor,
    from_hidden: &Tensor,
    before: &State,
) -> Result<State> {
    let width = from_hidden.dim(1)? / recurrent.cell.gates();
    let gate = |x: &Tensor, i: usize| x.narrow(1, i * width, width);
    let sum = || from_input + from_hidden;
    let sigmoid = |x: &Tensor| Function::Sigmoid.of(x);
    let tanh = |x: &Tensor| Function::Tanh.of(x);
    match (recurrent.cell, &before.cell) {
        (RecurrentCell::Lstm, Some(cell)) => {
            let sum = sum()?;
            let [input, forget] = [sigmoid(&gate(&sum, 0)?)?, sigmoid(&gate(&sum, 1)?)?];
            let candidate = tanh(&gate(&sum, 2)?)?;
            let cell = ((forget * cell)? + (input * candidate)?)?;
            let hidden = (sigmoid(&gate(&sum, 3)?)? * tanh(&cell)?)?;
            Ok(State {
                hidden,
                cell: Some(cell),
            })
        }
        (RecurrentCell::Gru, _) => {
            let both = |i| gate(from_input, i)? + gate(from_hidden, i)?;
            let (reset, update) = (sigmoid(&both(0)?)?, sigmoid(&both(1)?)?);
            let new = tanh(&(gate(from_input, 2)? + (reset * gate(from_hidden, 2)?)?)?)?;
            let hidden = (&new + (update * (&before.hidden - &new)?)?)?;
            Ok(State { hidden, cell: None })
        }
        (RecurrentCell::Tanh, _) => Ok(State {
            hidden: tanh(&sum()?)?,
            cell: None,
        }),
        (RecurrentCell::Relu, _) => Ok(State {
            hidden: Function::Relu.of(&sum()?)?,
            cell: None,
        }),
        (RecurrentCell::Lstm, None) => bail!("an LSTM without a first cell state"),
    }
}
