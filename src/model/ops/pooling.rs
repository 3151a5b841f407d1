//! Pooling: the largest value or the mean of each window of an image.

use candle_core::{Result, Tensor, bail};

use super::resize::weighted;
use super::{at, constant, global_average, summed};

/// A pooling window, as PyTorch's `max_pool2d` and `avg_pool2d` take it: height before width.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pool {
    /// Height and width of the window.
    pub kernel: [usize; 2],
    /// Step from one window to the next.
    pub stride: [usize; 2],
    /// Places that the first and last windows may hang over the edge, at most half of the window. Such places
    /// are never the largest, and count as 0 in a mean.
    pub padding: [usize; 2],
    /// Distance of neighbouring places in a window; 1 for a mean.
    pub dilation: [usize; 2],
    /// One more window where the last step is not a whole one (PyTorch's `ceil_mode`).
    pub ceil: bool,
    /// Places in the padding count in a mean's divisor (PyTorch's default).
    pub count_include_pad: bool,
    /// Divisor of a mean, instead of the number of places.
    pub divisor: Option<f64>,
}

impl Pool {
    /// Returns square windows without padding.
    #[must_use]
    pub const fn square(kernel: usize, stride: usize) -> Self {
        Self {
            kernel: [kernel; 2],
            stride: [stride; 2],
            padding: [0; 2],
            dilation: [1; 2],
            ceil: false,
            count_include_pad: true,
            divisor: None,
        }
    }

    /// Returns the usual halving: 2×2 windows side by side.
    #[must_use]
    pub const fn halving(ceil: bool) -> Self {
        Self {
            ceil,
            ..Self::square(2, 2)
        }
    }

    /// Returns the numbers of windows down and across an image of this height and width; `None` if not even
    /// one fits.
    #[must_use]
    pub fn windows(self, [height, width]: [usize; 2]) -> Option<[usize; 2]> {
        Some([self.count(0, height)?, self.count(1, width)?])
    }

    fn count(self, side: usize, len: usize) -> Option<usize> {
        let (stride, padding) = (self.stride[side], self.padding[side]);
        let reach = self.dilation[side].checked_mul(self.kernel[side].checked_sub(1)?)?;
        let reach = reach.checked_add(1)?;
        if len == 0 || stride == 0 || self.dilation[side] == 0 || padding > reach / 2 {
            return None;
        }
        let overhang = if self.ceil { stride - 1 } else { 0 };
        let travel = len
            .checked_add(2 * padding)?
            .checked_add(overhang)?
            .checked_sub(reach)?;
        let count = travel / stride + 1;
        // The last window starts inside the image or the padding before it.
        let starts_beyond = self.ceil && (count - 1) * stride >= len + padding;
        Some(count - usize::from(starts_beyond))
    }

    /// Returns the places of each window along one side, without those over the edge.
    fn places(self, side: usize, len: usize) -> Option<Windows> {
        let (stride, padding, dilation) =
            (self.stride[side], self.padding[side], self.dilation[side]);
        let window = |start: usize| {
            let places = (0..self.kernel[side]).map(|tap| start + tap * dilation);
            let places = places.filter_map(|place| place.checked_sub(padding));
            places.filter(|place| *place < len).collect()
        };
        let starts = (0..self.count(side, len)?).map(|index| index * stride);
        Some(starts.map(window).collect())
    }

    fn both(self, x: &Tensor) -> Result<[Windows; 2]> {
        let (_, _, height, width) = x.dims4()?;
        match (self.places(0, height), self.places(1, width)) {
            (Some(rows), Some(columns)) => Ok([rows, columns]),
            _ => bail!("{self:?} does not fit into {height}×{width} pixels"),
        }
    }

    /// Returns the largest value in each window of x (N, C, H, W); the gradient goes to the first largest.
    ///
    /// # Errors
    /// candle's, or the windows do not fit, or one lies beside the image.
    pub fn max(self, x: &Tensor) -> Result<Tensor> {
        let [rows, columns] = self.both(x)?;
        largest(x, &rows, &columns)
    }

    /// Returns the mean of each window of x (N, C, H, W).
    ///
    /// # Errors
    /// candle's, or the windows do not fit or are dilated.
    pub fn average(self, x: &Tensor) -> Result<Tensor> {
        let (_, _, height, width) = x.dims4()?;
        let [rows, columns] = self.both(x)?;
        if self.dilation != [1; 2] {
            bail!("a mean over dilated windows");
        }
        let sum = sum(&sum(x, 3, &columns)?, 2, &rows)?;
        if let Some(divisor) = self.divisor {
            return sum / divisor;
        }
        let (rows, columns) = (self.spans(0, height, &rows), self.spans(1, width, &columns));
        let pairs = rows
            .iter()
            .flat_map(|row| columns.iter().map(move |column| row * column));
        let areas: Vec<f64> = pairs.map(|area| area as f64).collect();
        match areas.first() {
            Some(first) if areas.iter().all(|area| area == first) => sum / *first,
            _ => {
                let areas = constant(areas, (rows.len(), columns.len()), x)?;
                sum.broadcast_div(&areas)
            }
        }
    }

    /// Returns the length of each window that a mean counts: never what lies beyond the padding.
    fn spans(self, side: usize, len: usize, windows: &Windows) -> Vec<usize> {
        let inside = windows.iter().map(Vec::len);
        if !self.count_include_pad {
            return inside.collect();
        }
        let end = len + 2 * self.padding[side];
        let starts = (0..windows.len()).map(|index| index * self.stride[side]);
        starts
            .map(|start| self.kernel[side].min(end - start))
            .collect()
    }
}

/// Places of each window along one side of an image.
type Windows = Vec<Vec<usize>>;

/// Returns the largest value in each window of rows and columns.
fn largest(x: &Tensor, rows: &Windows, columns: &Windows) -> Result<Tensor> {
    let larger = |largest: Tensor, other: Tensor| larger(&largest, &other);
    // Within the rows first, so that of equal values it is the first of the first row.
    let x = combined(x, 3, columns, larger)?;
    combined(&x, 2, rows, larger)
}

/// Returns the larger of two, the first of equals, to which the gradient goes; NaN counts as the largest.
fn larger(largest: &Tensor, other: &Tensor) -> Result<Tensor> {
    // `>` alone would drop a NaN that is not the first value.
    let replaces = (other.gt(largest)? + other.ne(other)?)?;
    replaces.where_cond(&other.contiguous()?, &largest.contiguous()?)
}

/// Returns the sum of each window along one dimension.
fn sum(x: &Tensor, dim: usize, windows: &Windows) -> Result<Tensor> {
    let longest = windows.iter().map(Vec::len).max().unwrap_or_default();
    if windows.iter().all(|window| window.len() == longest) {
        return combined(x, dim, windows, |sum, other| sum + other);
    }
    // A window over the edge takes a zero from behind it.
    let zero = x.dim(dim)?;
    let filled = windows.iter().map(|window| {
        let zeros = std::iter::repeat_n(zero, longest - window.len());
        window.iter().copied().chain(zeros).collect()
    });
    let x = x.pad_with_zeros(dim, 0, 1)?;
    combined(&x, dim, &filled.collect(), |sum, other| sum + other)
}

/// Combines each window's values along one dimension, place by place. A window that has fewer places than
/// the longest repeats its last, which changes no maximum.
fn combined(
    x: &Tensor,
    dim: usize,
    windows: &Windows,
    combine: impl Fn(Tensor, Tensor) -> Result<Tensor>,
) -> Result<Tensor> {
    let longest = windows.iter().map(Vec::len).max().unwrap_or_default();
    let mut result: Option<Tensor> = None;
    for place in 0..longest {
        let of_window = |window: &Vec<usize>| window.get(place).or(window.last()).copied();
        let Some(positions) = windows.iter().map(of_window).collect::<Option<Vec<_>>>() else {
            bail!("a pooling window beside the image");
        };
        let value = at(x, dim, &positions)?;
        result = Some(match result {
            Some(result) => combine(result, value)?,
            None => value,
        });
    }
    result.ok_or_else(|| candle_core::Error::Msg("a pooling window without places".into()))
}

/// Returns PyTorch's `adaptive_avg_pool2d` of x (N, C, H, W): means of as many windows as are wanted on each
/// side, which overlap where they do not divide it; `None` keeps a side.
///
/// # Errors
/// candle's, or no windows are wanted.
pub fn adaptive_average(x: &Tensor, size: [Option<usize>; 2]) -> Result<Tensor> {
    let (images, channels, ..) = x.dims4()?;
    if size == [Some(1); 2] {
        return global_average(x)?.reshape((images, channels, 1, 1));
    }
    let mut x = x.clone();
    for (side, dim) in [(1, 3), (0, 2)] {
        let len = x.dim(dim)?;
        let count = size[side].unwrap_or(len);
        let windows = adaptive(len, count)?;
        if len == count {
            continue;
        }
        x = if len % count == 0 {
            let mut shape = x.dims().to_vec();
            shape[dim] = count;
            shape.insert(dim + 1, len / count);
            summed(&x.reshape(shape)?, |x| x.mean(dim + 1))?
        } else {
            let share = |window: Vec<usize>| {
                let weight = 1.0 / window.len() as f64;
                window.into_iter().map(|place| (place, weight)).collect()
            };
            weighted(&x, dim, &windows.into_iter().map(share).collect::<Vec<_>>())?
        };
    }
    Ok(x)
}

/// Returns PyTorch's `adaptive_max_pool2d` of x (N, C, H, W): the largest values of as many windows as are
/// wanted on each side; `None` keeps a side.
///
/// # Errors
/// candle's, or no windows are wanted.
pub fn adaptive_max(x: &Tensor, [rows, columns]: [Option<usize>; 2]) -> Result<Tensor> {
    let (_, _, height, width) = x.dims4()?;
    let rows = adaptive(height, rows.unwrap_or(height))?;
    let columns = adaptive(width, columns.unwrap_or(width))?;
    largest(x, &rows, &columns)
}

/// Returns the places of windows that cover a side, from ⌊i·len/count⌋ to ⌈(i + 1)·len/count⌉.
fn adaptive(len: usize, count: usize) -> Result<Windows> {
    if len == 0 || count == 0 {
        bail!("{count} pooling windows on {len} pixels");
    }
    let window = |i: usize| (i * len / count..((i + 1) * len).div_ceil(count)).collect();
    Ok((0..count).map(window).collect())
}
