//! Other sizes of images: adaptive pooling and interpolation, as products with small matrices from both sides.

use candle_core::{Result, Tensor, bail};

use super::super::op::Method;
use super::window::as_images;
use crate::model::ops;

/// Applies pooling by windows that cover the image in so many steps: ⌊iL/o⌋ to ⌈(i+1)L/o⌉.
pub(super) fn adaptive(to: &[Option<usize>], max: bool, x: &Tensor) -> Result<Tensor> {
    if to.len() == 3 {
        let lead = x.rank().saturating_sub(3);
        if max || to.iter().any(|extent| *extent != Some(1)) {
            bail!("adaptive pooling of volumes to {to:?}");
        }
        let mean = x.flatten_from(lead)?.mean_keepdim(lead)?;
        return mean.unsqueeze(lead)?.unsqueeze(lead);
    }
    let extents = match *to {
        [columns] => [Some(1), columns],
        [rows, columns] => [rows, columns],
        _ => bail!("adaptive pooling to {to:?}"),
    };
    as_images(x, to.len(), |x| {
        let (_, _, height, width) = x.dims4()?;
        let [rows, columns] = [extents[0].unwrap_or(height), extents[1].unwrap_or(width)];
        if max {
            return largest(&largest(x, 2, rows)?, 3, columns);
        }
        if [rows, columns] == [1, 1] {
            return x.flatten_from(2)?.mean_keepdim(2)?.unsqueeze(3);
        }
        from_both_sides(x, &means(height, rows), &means(width, columns))
    })
}

fn covered(extent: usize, steps: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..steps).map(move |i| (i * extent / steps, ((i + 1) * extent).div_ceil(steps)))
}

/// The largest values of windows along an axis.
fn largest(x: &Tensor, at: usize, steps: usize) -> Result<Tensor> {
    let windows = covered(x.dim(at)?, steps);
    let parts = windows.map(|(from, to)| {
        let mut most = x.narrow(at, from, 1)?;
        for place in from + 1..to {
            let other = x.narrow(at, place, 1)?;
            most = ops::larger(&most, &other)?;
        }
        Ok(most)
    });
    Tensor::cat(&parts.collect::<Result<Vec<_>>>()?, at)
}

/// Shares of the places of one axis in those of another, row by row.
type Shares = Vec<Vec<f64>>;

fn means(extent: usize, steps: usize) -> Shares {
    let row = |(from, to): (usize, usize)| {
        let share = 1.0 / (to - from) as f64;
        let within = |place: usize| (from..to).contains(&place);
        (0..extent)
            .map(|place| if within(place) { share } else { 0.0 })
            .collect()
    };
    covered(extent, steps).map(row).collect()
}

/// Combines rows by `down` and columns by `across`.
fn from_both_sides(x: &Tensor, down: &Shares, across: &Shares) -> Result<Tensor> {
    let (samples, channels, height, width) = x.dims4()?;
    let matrix = |shares: &Shares| {
        let columns = shares.first().map_or(0, Vec::len);
        let flat = shares.concat();
        let matrix = Tensor::from_vec(flat, (shares.len(), columns), &candle_core::Device::Cpu)?;
        matrix.to_dtype(x.dtype())?.to_device(x.device())
    };
    let (rows, columns) = (down.len(), across.len());
    let across = matrix(across)?.t()?.contiguous()?;
    let y = x.contiguous()?.reshape(((), width))?.matmul(&across)?;
    let y = y
        .reshape((samples * channels, height, columns))?
        .transpose(1, 2)?;
    let down = matrix(down)?.t()?.contiguous()?;
    let y = y.contiguous()?.reshape(((), height))?.matmul(&down)?;
    let y = y
        .reshape((samples * channels, columns, rows))?
        .transpose(1, 2)?;
    y.contiguous()?.reshape((samples, channels, rows, columns))
}

/// Applies an interpolation to other extents.
pub(super) fn resized(
    method: Method,
    to: Option<&[i64]>,
    factors: Option<&[f64]>,
    x: &Tensor,
) -> Result<Tensor> {
    let rank = x.rank().saturating_sub(2);
    as_images(x, rank, |x| {
        let (_, _, height, width) = x.dims4()?;
        let axes = match (to, factors) {
            (Some([columns]), None) => [Resized::to(height, 1), Resized::to(width, *columns)],
            (Some([rows, columns]), None) => {
                [Resized::to(height, *rows), Resized::to(width, *columns)]
            }
            (_, Some([columns])) => [Resized::to(height, 1), Resized::by(width, *columns)],
            (_, Some([rows, columns])) => {
                [Resized::by(height, *rows), Resized::by(width, *columns)]
            }
            _ => bail!("another size without one"),
        };
        let [down, across] = axes.map(|axis| axis.shares(method));
        if down.is_empty() || across.is_empty() {
            bail!("an image without pixels");
        }
        from_both_sides(x, &down, &across)
    })
}

/// One axis of an image and its new extent.
struct Resized {
    from: usize,
    to: usize,
    /// Old places for each new one.
    ratio: f64,
}

impl Resized {
    fn to(from: usize, to: i64) -> Self {
        let to = to.max(0) as usize;
        Self {
            from,
            to,
            ratio: from as f64 / to.max(1) as f64,
        }
    }

    fn by(from: usize, factor: f64) -> Self {
        Self {
            from,
            to: (from as f64 * factor).floor() as usize,
            ratio: 1.0 / factor,
        }
    }

    fn shares(&self, method: Method) -> Shares {
        (0..self.to).map(|i| self.row(method, i)).collect()
    }

    /// The shares of the old places in a new one.
    fn row(&self, method: Method, i: usize) -> Vec<f64> {
        let mut row = vec![0.0; self.from];
        let last = self.from.saturating_sub(1);
        let mut add = |place: f64, share: f64| {
            row[place.clamp(0.0, last as f64) as usize] += share;
        };
        let centre = |corners: bool| {
            if corners && self.to > 1 {
                i as f64 * last as f64 / (self.to - 1) as f64
            } else if corners {
                0.0
            } else {
                (i as f64 + 0.5) * self.ratio - 0.5
            }
        };
        match method {
            Method::Nearest => add((i as f64 * self.ratio).floor(), 1.0),
            Method::Linear(corners) => {
                let at = centre(corners).max(0.0);
                let rest = at - at.floor();
                add(at.floor(), 1.0 - rest);
                add(at.floor() + 1.0, rest);
            }
            Method::Cubic(corners) => {
                let at = centre(corners);
                let rest = at - at.floor();
                for tap in -1_i32..3 {
                    let share = cubic((f64::from(tap) - rest).abs());
                    add(at.floor() + f64::from(tap), share);
                }
            }
        }
        row
    }
}

/// Keys's cubic with a = −0.75, as PyTorch has it.
fn cubic(away: f64) -> f64 {
    const A: f64 = -0.75;
    if away <= 1.0 {
        ((A + 2.0) * away - (A + 3.0)) * away * away + 1.0
    } else if away < 2.0 {
        ((away - 5.0) * away + 8.0) * A * away - 4.0 * A
    } else {
        0.0
    }
}
