//! Convolutions, pooling and other sizes of images of one to three dimensions, by the layers of `ops`.

use candle_core::{Result, Tensor, bail};

use super::super::op::{Around, Conv, Mean, Method, PoolWindow};
use super::create;
use crate::model::ops::{self, Pool};

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
    match rank {
        1 => images(conv, rank, &x.unsqueeze(2)?, &kernel.unsqueeze(2)?, bias)?.squeeze(2),
        2 => images(conv, rank, x, kernel, bias),
        3 => {
            let (x, window) = way(conv, rank, x, kernel)?;
            match &conv.output_padding {
                Some(added) => {
                    let added = sides(added, rank, 0)?;
                    ops::conv_transpose3d(&x, kernel, bias, &window, added)
                }
                None => ops::conv3d(&x, kernel, bias, &window),
            }
        }
        _ => bail!("a kernel of shape {:?}", kernel.dims()),
    }
}

fn images(
    conv: &Conv,
    rank: usize,
    x: &Tensor,
    kernel: &Tensor,
    bias: Option<&Tensor>,
) -> Result<Tensor> {
    let (x, window) = way(conv, rank, x, kernel)?;
    match &conv.output_padding {
        Some(added) => ops::conv_transpose(&x, kernel, bias, &window, sides(added, rank, 0)?),
        None => ops::conv(&x, kernel, bias, &window),
    }
}

/// Returns the way of a kernel over images, and the images with those zeros that cannot be split evenly.
fn way<const D: usize>(
    conv: &Conv,
    rank: usize,
    x: &Tensor,
    kernel: &Tensor,
) -> Result<(Tensor, ops::ConvWindow<D>)> {
    let mut window = ops::ConvWindow {
        stride: sides(&conv.stride, rank, 1)?,
        padding: [0; D],
        dilation: sides(&conv.dilation, rank, 1)?,
        groups: conv.groups,
    };
    let mut x = x.clone();
    match &conv.padding {
        Around::By(by) => {
            window.padding = sides(by, rank, 0)?;
            let mut dims = x.dims().to_vec();
            for (extent, by) in dims.iter_mut().rev().zip(window.padding.iter().rev()) {
                *extent = extent.saturating_add(by.saturating_mul(2));
            }
            create::element_count(&dims, x.elem_count())?;
        }
        Around::Same => {
            for side in 0..D {
                let reach = window.dilation[side] * kernel.dim(2 + side)?.saturating_sub(1);
                window.padding[side] = reach / 2;
                x = x.pad_with_zeros(2 + side, 0, reach % 2)?;
            }
        }
    }
    Ok((x, window))
}

/// Returns a number for each of D sides: one stands for all, and `alone` for those that images of this rank lack.
fn sides<const D: usize>(numbers: &[usize], rank: usize, alone: usize) -> Result<[usize; D]> {
    let mut sides = [alone; D];
    let own = sides.iter_mut().skip(D.saturating_sub(rank));
    match numbers {
        [one] => own.for_each(|side| *side = *one),
        numbers if numbers.len() == rank => {
            own.zip(numbers).for_each(|(side, number)| *side = *number);
        }
        _ => bail!("{} numbers for {rank} sides", numbers.len()),
    }
    Ok(sides)
}

/// Returns the largest value, or the mean, of windows on the last one or two axes.
pub(super) fn pooled(window: &PoolWindow, mean: Option<Mean>, x: &Tensor) -> Result<Tensor> {
    // One number may stand for both axes.
    let rank = match x.rank() {
        4 => 2,
        _ => window.kernel.len().max(window.padding.len()),
    };
    let kernel = sides(&window.kernel, rank, 1)?;
    let pool = Pool {
        kernel,
        stride: match &window.stride[..] {
            [] => kernel,
            stride => sides(stride, rank, 1)?,
        },
        padding: sides(&window.padding, rank, 0)?,
        dilation: sides(&window.dilation, rank, 1)?,
        ceil: window.ceil,
        count_include_pad: mean.is_none_or(|mean| mean.counts_padding),
        divisor: mean.and_then(|mean| mean.divisor),
    };
    as_images(x, rank, |x| match mean {
        Some(_) => pool.average(x),
        None => pool.max(x),
    })
}

/// Does with arrays of any rank what is defined for images; in one dimension the rows are one.
fn as_images(
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

/// Returns windows as columns: (N, C, H, W) to (N, C·k·l, places), as PyTorch's `unfold`.
pub(super) fn patches(window: &PoolWindow, x: &Tensor) -> Result<Tensor> {
    let way = ops::ConvWindow {
        stride: sides(&window.stride, 2, 1)?,
        padding: sides(&window.padding, 2, 0)?,
        dilation: sides(&window.dilation, 2, 1)?,
        groups: 1,
    };
    let patches = ops::patches(x, sides(&window.kernel, 2, 1)?, &way)?;
    patches.flatten(1, 2)
}

/// Applies pooling by windows that cover the image in so many steps: ⌊iL/o⌋ to ⌈(i+1)L/o⌉.
pub(super) fn adaptive(to: &[Option<usize>], max: bool, x: &Tensor) -> Result<Tensor> {
    if to.len() == 3 {
        let lead = x.rank().saturating_sub(3);
        if max || to.iter().any(|extent| *extent != Some(1)) {
            bail!("adaptive pooling of volumes to {to:?}");
        }
        let mean = ops::summed(&x.flatten_from(lead)?, |x| x.mean_keepdim(lead))?;
        return mean.unsqueeze(lead)?.unsqueeze(lead);
    }
    let extents = match *to {
        [columns] => [Some(1), columns],
        [rows, columns] => [rows, columns],
        _ => bail!("adaptive pooling to {to:?}"),
    };
    as_images(x, to.len(), |x| {
        if max {
            ops::adaptive_max(x, extents)
        } else {
            ops::adaptive_average(x, extents)
        }
    })
}

/// Applies an interpolation to other extents, which are given or follow from factors.
pub(super) fn resized(
    method: Method,
    to: Option<&[i64]>,
    factors: Option<&[f64]>,
    x: &Tensor,
) -> Result<Tensor> {
    let rank = x.rank().saturating_sub(2);
    as_images(x, rank, |x| {
        let (_, _, height, width) = x.dims4()?;
        let (size, ratios) = match (to, factors) {
            (_, Some(factors)) => {
                let [down, across] = match *factors {
                    [across] => [1.0, across],
                    [down, across] => [down, across],
                    _ => bail!("{} factors of an image", factors.len()),
                };
                let grown = |extent: usize, factor: f64| (extent as f64 * factor) as usize;
                let size = [grown(height, down), grown(width, across)];
                (size, Some([1.0 / down, 1.0 / across]))
            }
            (Some(&[columns]), None) => ([1, extent(columns)], None),
            (Some(&[rows, columns]), None) => ([extent(rows), extent(columns)], None),
            _ => bail!("another size without one"),
        };
        if size.contains(&0) {
            bail!("an image without pixels");
        }
        let (samples, channels, ..) = x.dims4()?;
        let images = samples.saturating_mul(channels).max(1);
        create::element_count(&[images, size[0], size[1]], x.elem_count())?;
        match method {
            Method::Nearest => ops::upsample_nearest(x, size, ratios),
            Method::Linear(corners) => ops::upsample_bilinear(x, size, corners, ratios),
            Method::Cubic(corners) => ops::upsample_bicubic(x, size, corners, ratios),
        }
    })
}

fn extent(size: i64) -> usize {
    usize::try_from(size).unwrap_or(0)
}
