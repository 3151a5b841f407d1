//! Convolutions and pooling of one to three dimensions with any windows, made of the square ones of `ops`.

use candle_core::{Result, Tensor, bail};

use super::super::op::{Around, Conv, Mean, Window};
use crate::model::ops;

/// Applies a convolution to images of the kernel's dimensions.
pub(super) fn convolve(
    conv: &Conv,
    x: &Tensor,
    kernel: &Tensor,
    bias: Option<&Tensor>,
) -> Result<Tensor> {
    let rank = kernel.rank().saturating_sub(2);
    if x.rank() == rank + 1 {
        return convolve(conv, &x.unsqueeze(0)?, kernel, bias)?.squeeze(0);
    }
    let y = match rank {
        1 => images(conv, &x.unsqueeze(2)?, &kernel.unsqueeze(2)?)?.squeeze(2)?,
        2 => images(conv, x, kernel)?,
        3 => volumes(conv, x, kernel)?,
        _ => bail!("a kernel of shape {:?}", kernel.dims()),
    };
    match bias {
        Some(bias) => {
            let mut shape = vec![1; y.rank()];
            shape[1] = bias.elem_count();
            y.broadcast_add(&bias.reshape(shape)?)
        }
        None => Ok(y),
    }
}

/// One number for rows and columns each; `alone` stands for the rows of one dimension.
fn two(numbers: &[usize], alone: usize, rank: usize) -> Result<[usize; 2]> {
    match *numbers {
        [columns] if rank == 1 => Ok([alone, columns]),
        [both] => Ok([both; 2]),
        [rows, columns] => Ok([rows, columns]),
        _ => bail!("{} numbers for rows and columns", numbers.len()),
    }
}

/// A convolution of images whose padding is in the images already.
struct Plane {
    stride: [usize; 2],
    groups: usize,
}

fn images(conv: &Conv, x: &Tensor, kernel: &Tensor) -> Result<Tensor> {
    let rank = conv.stride.len().max(conv.dilation.len());
    let rank = if x.dim(2)? == 1 && kernel.dim(2)? == 1 {
        rank
    } else {
        2
    };
    let stride = two(&conv.stride, 1, rank)?;
    let dilation = two(&conv.dilation, 1, rank)?;
    let (rows, columns) = (kernel.dim(2)?, kernel.dim(3)?);
    if stride.contains(&0) || dilation.contains(&0) || conv.groups == 0 || rows * columns == 0 {
        bail!("{conv:?} with kernels of {rows}×{columns}");
    }
    let kernel = spread(&spread(kernel, 2, dilation[0])?, 3, dilation[1])?;
    let reach = [kernel.dim(2)? - 1, kernel.dim(3)? - 1];
    let around = match &conv.padding {
        Around::By(by) => two(by, 0, rank)?.map(|n| [n; 2]),
        // What cannot be split evenly goes behind.
        Around::Same => reach.map(|n| [n / 2, n - n / 2]),
    };
    let plane = Plane {
        stride,
        groups: conv.groups,
    };
    let Some(added) = &conv.output_padding else {
        return plane.apply(&padded(x, around)?, &kernel);
    };
    // A transposed convolution is one of the image with zeros between its pixels, by turned kernels.
    let added = two(added, 0, rank)?;
    let x = spread(&spread(x, 2, stride[0])?, 3, stride[1])?;
    let outer = |i: usize| {
        let [before, after] = around[i].map(|n| reach[i] as i64 - n as i64);
        [before, after + added[i] as i64]
    };
    let x = framed(&framed(&x, 2, outer(0))?, 3, outer(1))?;
    let plane = Plane {
        stride: [1, 1],
        groups: conv.groups,
    };
    plane.apply(&x, &turned(&kernel, conv.groups)?)
}

fn padded(x: &Tensor, [rows, columns]: [[usize; 2]; 2]) -> Result<Tensor> {
    x.pad_with_zeros(2, rows[0], rows[1])?
        .pad_with_zeros(3, columns[0], columns[1])
}

/// Zeros around an axis; negative numbers cut off.
fn framed(x: &Tensor, at: usize, [before, after]: [i64; 2]) -> Result<Tensor> {
    let cut = |n: i64| (-n).max(0) as usize;
    let Some(count) = x.dim(at)?.checked_sub(cut(before) + cut(after)) else {
        bail!("{before} and {after} around {:?}", x.dims());
    };
    let kept = x.narrow(at, cut(before), count)?;
    kept.pad_with_zeros(at, before.max(0) as usize, after.max(0) as usize)
}

/// Zeros between the places of an axis, which then lie `step` apart.
fn spread(x: &Tensor, at: usize, step: usize) -> Result<Tensor> {
    let extent = x.dim(at)?;
    if step == 1 || extent < 2 {
        return Ok(x.clone());
    }
    let apart = x.unsqueeze(at + 1)?.pad_with_zeros(at + 1, 0, step - 1)?;
    apart
        .flatten(at, at + 1)?
        .narrow(at, 0, (extent - 1) * step + 1)
}

/// (I, O/groups, k, l) to (O, I/groups, k, l), the taps from last to first.
fn turned(kernel: &Tensor, groups: usize) -> Result<Tensor> {
    let (inputs, outputs, rows, columns) = kernel.dims4()?;
    let split = kernel.reshape((groups, inputs / groups.max(1), outputs, rows * columns))?;
    let ids: Vec<u32> = (0..(rows * columns) as u32).rev().collect();
    let ids = Tensor::new(ids, kernel.device())?;
    let split = split.transpose(1, 2)?.contiguous()?.index_select(&ids, 3)?;
    split.reshape((groups * outputs, inputs / groups.max(1), rows, columns))
}

impl Plane {
    fn apply(&self, x: &Tensor, kernel: &Tensor) -> Result<Tensor> {
        let (inputs, own) = (x.dim(1)?, kernel.dim(1)?);
        if own * self.groups != inputs || !kernel.dim(0)?.is_multiple_of(self.groups) {
            bail!(
                "kernels of {:?} in {} groups on {:?}",
                kernel.dims(),
                self.groups,
                x.dims()
            );
        }
        if self.groups > 1 && own == 1 {
            return self.depthwise(x, kernel);
        }
        let outputs = kernel.dim(0)? / self.groups;
        let parts = (0..self.groups).map(|group| {
            let x = x.narrow(1, group * own, own)?;
            self.one(&x, &kernel.narrow(0, group * outputs, outputs)?)
        });
        let parts = parts.collect::<Result<Vec<_>>>()?;
        match &parts[..] {
            [one] => Ok(one.clone()),
            parts => Tensor::cat(parts, 1),
        }
    }

    /// All channels see one another.
    fn one(&self, x: &Tensor, kernel: &Tensor) -> Result<Tensor> {
        let [rows, columns] = self.stride;
        if rows == columns {
            return ops::conv(x, kernel, None, rows, 0);
        }
        let y = ops::conv(x, kernel, None, 1, 0)?;
        every(
            &every(&y, 2, 0, rows, y.dim(2)?.div_ceil(rows))?,
            3,
            0,
            columns,
            y.dim(3)?.div_ceil(columns),
        )
    }

    /// Each channel by its own: a sum over the taps of shifted images.
    fn depthwise(&self, x: &Tensor, kernel: &Tensor) -> Result<Tensor> {
        let (outputs, _, rows, columns) = kernel.dims4()?;
        let times = outputs / x.dim(1)?.max(1);
        let x = if times > 1 {
            let ids: Vec<u32> = (0..outputs).map(|i| (i / times) as u32).collect();
            x.contiguous()?
                .index_select(&Tensor::new(ids, x.device())?, 1)?
        } else {
            x.clone()
        };
        let count = |at: usize, taps: usize| {
            let travel = x.dims()[at].checked_sub(taps);
            travel.map(|travel| travel / self.stride[at - 2] + 1)
        };
        let (Some(height), Some(width)) = (count(2, rows), count(3, columns)) else {
            bail!("kernels of {:?} on {:?}", kernel.dims(), x.dims());
        };
        let mut sum: Option<Tensor> = None;
        for row in 0..rows {
            let line = every(&x, 2, row, self.stride[0], height)?;
            for column in 0..columns {
                let tap = kernel.narrow(2, row, 1)?.narrow(3, column, 1)?;
                let tap = tap.reshape((1, outputs, 1, 1))?;
                let part = every(&line, 3, column, self.stride[1], width)?.broadcast_mul(&tap)?;
                sum = Some(match sum {
                    Some(sum) => (sum + part)?,
                    None => part,
                });
            }
        }
        match sum {
            Some(sum) => Ok(sum),
            None => bail!("a kernel without taps"),
        }
    }
}

/// So many places of an axis, from a start on, so far apart.
fn every(x: &Tensor, at: usize, start: usize, step: usize, count: usize) -> Result<Tensor> {
    super::view::every(x, (at, start, count, step))
}

/// A sum over the taps of the depth of convolutions of images.
fn volumes(conv: &Conv, x: &Tensor, kernel: &Tensor) -> Result<Tensor> {
    let Around::By(padding) = &conv.padding else {
        bail!("padding \"same\" of volumes");
    };
    let (_, _, depth, ..) = x.dims5()?;
    let taps = kernel.dim(2)?;
    let three = |numbers: &[usize]| match numbers {
        [all] => vec![*all; 3],
        other => other.to_vec(),
    };
    let [stride, padding, dilation] = [&conv.stride, padding, &conv.dilation].map(|n| three(n));
    let ([stride, ..], [around, ..], [dilation_of_depth, ..]) =
        (&stride[..], &padding[..], &dilation[..])
    else {
        bail!("{conv:?}");
    };
    let room = (depth + 2 * around).checked_sub(dilation_of_depth * taps.saturating_sub(1) + 1);
    let (Some(travel), None, true) = (room, &conv.output_padding, *stride > 0) else {
        bail!("{conv:?} of volumes {:?}", x.dims());
    };
    let planes = Conv {
        stride: three(&conv.stride)[1..].to_vec(),
        padding: Around::By(padding[1..].to_vec()),
        dilation: dilation[1..].to_vec(),
        ..conv.clone()
    };
    let x = x.pad_with_zeros(2, *around, *around)?;
    let mut slices = Vec::new();
    for place in (0..=travel).step_by(*stride) {
        let mut sum: Option<Tensor> = None;
        for tap in 0..taps {
            let plane = x
                .narrow(2, place + tap * dilation_of_depth, 1)?
                .squeeze(2)?;
            let part = images(&planes, &plane, &kernel.narrow(2, tap, 1)?.squeeze(2)?)?;
            sum = Some(match sum {
                Some(sum) => (sum + part)?,
                None => part,
            });
        }
        slices.extend(sum);
    }
    Tensor::stack(&slices, 2)
}

/// The places of one axis in which windows stand.
struct Windows {
    count: usize,
    kernel: usize,
    stride: usize,
    padding: usize,
    dilation: usize,
}

impl Windows {
    fn along(window: &Window, i: usize, extent: usize, rank: usize) -> Result<Self> {
        let kernel = two(&window.kernel, 1, rank)?[i];
        let stride = if window.stride.is_empty() {
            kernel
        } else {
            two(&window.stride, 1, rank)?[i]
        };
        let (padding, dilation) = (
            two(&window.padding, 0, rank)?[i],
            two(&window.dilation, 1, rank)?[i],
        );
        let reach = dilation * kernel.saturating_sub(1) + 1;
        let (Some(travel), true) = ((extent + 2 * padding).checked_sub(reach), stride > 0) else {
            bail!("windows of {kernel} on {extent} places");
        };
        let whole = travel / stride + 1;
        // The last window must begin within the image or the padding before it.
        let hangs =
            window.ceil && !travel.is_multiple_of(stride) && whole * stride < extent + padding;
        Ok(Self {
            count: whole + usize::from(hangs),
            kernel,
            stride,
            padding,
            dilation,
        })
    }

    /// Places behind the image that the last window reaches, or less than the padding if none does.
    fn behind(&self, extent: usize) -> usize {
        let end = (self.count - 1) * self.stride + self.dilation * (self.kernel - 1) + 1;
        end.saturating_sub(extent + self.padding)
    }

    /// The part of an axis that is under one place of every window.
    fn under(&self, x: &Tensor, at: usize, tap: usize) -> Result<Tensor> {
        every(x, at, tap * self.dilation, self.stride, self.count)
    }

    /// Numbers by which sums over each window are divided.
    fn counts(&self, extent: usize, counts_padding: bool) -> Vec<f64> {
        let (from, to) = if counts_padding {
            (0, extent + 2 * self.padding)
        } else {
            (self.padding, extent + self.padding)
        };
        let count = |window: usize| {
            let start = window * self.stride;
            let end = start + self.kernel;
            (end.min(to).saturating_sub(start.max(from))) as f64
        };
        (0..self.count).map(count).collect()
    }
}

/// The largest value, or the mean, of windows on the last one or two axes.
pub(super) fn pooled(window: &Window, mean: Option<Mean>, x: &Tensor) -> Result<Tensor> {
    let rank = window.kernel.len().max(window.padding.len());
    // One number may stand for both axes.
    let rank = if x.rank() == 4 { 2 } else { rank };
    as_images(x, rank, |x| {
        let (height, width) = (x.dim(2)?, x.dim(3)?);
        let rows = Windows::along(window, 0, height, rank)?;
        let columns = Windows::along(window, 1, width, rank)?;
        let fill = if mean.is_some() {
            0.0
        } else {
            f64::NEG_INFINITY
        };
        let down = [rows.padding, rows.behind(height)];
        let right = [columns.padding, columns.behind(width)];
        let framed = surrounded(&surrounded(x, 2, down, fill)?, 3, right, fill)?;
        let mut result: Option<Tensor> = None;
        for row in 0..rows.kernel {
            let line = rows.under(&framed, 2, row)?;
            for column in 0..columns.kernel {
                let value = columns.under(&line, 3, column)?;
                result = Some(match result {
                    Some(result) if mean.is_some() => (result + value)?,
                    Some(result) => ops::larger(&result, &value)?,
                    None => value,
                });
            }
        }
        match (result, mean) {
            (Some(sum), Some(mean)) => divided(&sum, &rows, &columns, [height, width], mean),
            (Some(most), None) => Ok(most),
            (None, _) => bail!("windows without places"),
        }
    })
}

fn divided(
    sum: &Tensor,
    rows: &Windows,
    columns: &Windows,
    [height, width]: [usize; 2],
    mean: Mean,
) -> Result<Tensor> {
    if let Some(divisor) = mean.divisor {
        return sum / divisor;
    }
    let along = columns.counts(width, mean.counts_padding);
    let counts = rows.counts(height, mean.counts_padding);
    let counts = counts
        .iter()
        .flat_map(|row| along.iter().map(move |column| 1.0 / (row * column)));
    let counts = Tensor::from_iter(counts, sum.device())?.to_dtype(sum.dtype())?;
    sum.broadcast_mul(&counts.reshape((rows.count, columns.count))?)
}

/// One number before and behind an axis.
fn surrounded(x: &Tensor, at: usize, [before, behind]: [usize; 2], fill: f64) -> Result<Tensor> {
    if fill == 0.0 || before + behind == 0 {
        return x.pad_with_zeros(at, before, behind);
    }
    let part = |extent: usize| {
        let mut dims = x.dims().to_vec();
        dims[at] = extent;
        Tensor::full(fill, dims, x.device())?.to_dtype(x.dtype())
    };
    Tensor::cat(&[&part(before)?, x, &part(behind)?], at)
}

/// Does with arrays of any rank what is defined for images; in one dimension the rows are one.
pub(super) fn as_images(
    x: &Tensor,
    rank: usize,
    work: impl FnOnce(&Tensor) -> Result<Tensor>,
) -> Result<Tensor> {
    let is_alone = x.rank() == rank + 1;
    let mut images = if is_alone { x.unsqueeze(0)? } else { x.clone() };
    if rank == 1 {
        images = images.unsqueeze(2)?;
    }
    let mut y = work(&images)?;
    if rank == 1 {
        y = y.squeeze(2)?;
    }
    if is_alone { y.squeeze(0) } else { Ok(y) }
}

/// Windows as columns: (N, C, H, W) to (N, C·k·l, places), as PyTorch's `unfold`.
pub(super) fn patches(window: &Window, x: &Tensor) -> Result<Tensor> {
    let (samples, channels, height, width) = x.dims4()?;
    let rows = Windows::along(window, 0, height, 2)?;
    let columns = Windows::along(window, 1, width, 2)?;
    let x = padded(x, [[rows.padding; 2], [columns.padding; 2]])?;
    let mut taps = Vec::with_capacity(rows.kernel * columns.kernel);
    for row in 0..rows.kernel {
        let line = rows.under(&x, 2, row)?;
        for column in 0..columns.kernel {
            taps.push(columns.under(&line, 3, column)?.flatten_from(2)?);
        }
    }
    let all = Tensor::stack(&taps, 2)?;
    all.reshape((samples, channels * taps.len(), ()))
}
