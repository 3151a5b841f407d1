//! Images of another size, as PyTorch's `interpolate` makes them.
//!
//! A ratio is the distance between neighbouring pixels of the result, in pixels of x. PyTorch takes
//! 1/factor if it was called with factors, and the ratio of the sizes (`None`) if not.

use candle_core::{D, Result, Tensor, bail};

use super::{at, constant};

/// Returns the nearest pixel before each place (`mode="nearest"`): x (N, C, H, W) to this height and width.
///
/// # Errors
/// candle's, or an image is empty.
pub fn upsample_nearest(x: &Tensor, size: [usize; 2], ratios: Option<[f64; 2]>) -> Result<Tensor> {
    let mut x = x.clone();
    for (side, dim) in [(0, 2), (1, 3)] {
        let (from, to) = (extent(&x, dim)?, size[side]);
        // PyTorch counts in f32, which decides where a place falls on a pixel's edge.
        let ratio = ratios.map_or(from as f32 / to as f32, |ratios| ratios[side] as f32);
        // These two sizes are counted without the factors.
        let pixel = |place: usize| match to {
            _ if to == from => place,
            _ if to == 2 * from => place / 2,
            _ => ((place as f32 * ratio) as usize).min(from - 1),
        };
        x = at(&x, dim, &(0..to).map(pixel).collect::<Vec<_>>())?;
    }
    Ok(x)
}

/// Returns the mean of neighbouring pixels, weighted by nearness (`mode="bilinear"`): x (N, C, H, W) to this
/// height and width.
///
/// # Errors
/// candle's, or an image is empty.
pub fn upsample_bilinear(
    x: &Tensor,
    size: [usize; 2],
    align_corners: bool,
    ratios: Option<[f64; 2]>,
) -> Result<Tensor> {
    // PyTorch copies a side whose size stays, whatever the factor.
    let stays = |side: usize, dim: usize| Result::Ok(size[side] == x.dim(dim)?);
    let ratios = match ratios {
        Some([rows, columns]) => Some([
            if stays(0, 2)? { 1.0 } else { rows },
            if stays(1, 3)? { 1.0 } else { columns },
        ]),
        None => None,
    };
    resized(x, size, align_corners, ratios, |place, len| {
        let place = place.max(0.0);
        let (first, beyond) = split(place, len);
        vec![(first, 1.0 - beyond), (first + 1.0, beyond)]
    })
}

/// Returns cubic interpolation over four pixels a side (`mode="bicubic"`): x (N, C, H, W) to this height
/// and width.
///
/// # Errors
/// candle's, or an image is empty.
pub fn upsample_bicubic(
    x: &Tensor,
    size: [usize; 2],
    align_corners: bool,
    ratios: Option<[f64; 2]>,
) -> Result<Tensor> {
    resized(x, size, align_corners, ratios, |place, len| {
        let (first, beyond) = split(place, len);
        let pixels = [-1.0, 0.0, 1.0, 2.0].map(|step| first + step);
        let weight = |pixel: f64| cubic((first + beyond - pixel).abs());
        pixels.map(|pixel| (pixel, weight(pixel))).to_vec()
    })
}

/// Returns the weight of a pixel at this distance: Keys' kernel with PyTorch's a.
fn cubic(distance: f64) -> f64 {
    const A: f64 = -0.75;
    if distance <= 1.0 {
        ((A + 2.0) * distance - (A + 3.0)) * distance * distance + 1.0
    } else {
        ((A * distance - 5.0 * A) * distance + 8.0 * A) * distance - 4.0 * A
    }
}

/// Returns the pixel before a place, which is never beyond the last, and how far behind it the place is.
fn split(place: f64, len: usize) -> (f64, f64) {
    let first = place.floor().min(len as f64 - 1.0);
    (first, (place - first).clamp(0.0, 1.0))
}

/// Resizes both sides. `taps` gives the pixels that a place is made of, with their weights; pixels over an
/// edge are those at the edge.
fn resized(
    x: &Tensor,
    size: [usize; 2],
    align_corners: bool,
    ratios: Option<[f64; 2]>,
    taps: impl Fn(f64, usize) -> Vec<(f64, f64)>,
) -> Result<Tensor> {
    let mut x = x.clone();
    for (side, dim) in [(1, 3), (0, 2)] {
        let (from, to) = (extent(&x, dim)?, size[side]);
        let ratio = match ratios {
            _ if align_corners => (from - 1) as f64 / to.saturating_sub(1).max(1) as f64,
            Some(ratios) => ratios[side],
            None => from as f64 / to as f64,
        };
        let start = if align_corners {
            0.0
        } else {
            ratio / 2.0 - 0.5
        };
        let of_place = |place: usize| {
            let taps = taps(start + place as f64 * ratio, from).into_iter();
            let last = (from - 1) as f64;
            taps.map(|(pixel, weight)| (pixel.clamp(0.0, last) as usize, weight))
                .collect()
        };
        x = weighted(&x, dim, &(0..to).map(of_place).collect::<Vec<_>>())?;
    }
    Ok(x)
}

/// Returns the extent of an image that is not empty.
fn extent(x: &Tensor, dim: usize) -> Result<usize> {
    match x.dim(dim)? {
        0 => bail!("an image without pixels"),
        len => Ok(len),
    }
}

/// Returns sums of pixels along one dimension: for each place, the pixels and their weights. Many places
/// at once are a product with a matrix.
pub(super) fn weighted(x: &Tensor, dim: usize, places: &[Vec<(usize, f64)>]) -> Result<Tensor> {
    let len = x.dim(dim)?;
    let mut matrix = vec![0.0; len * places.len()];
    for (place, taps) in places.iter().enumerate() {
        for (pixel, weight) in taps {
            if let Some(sum) = matrix.get_mut(pixel * places.len() + place) {
                *sum += weight;
            }
        }
    }
    let matrix = constant(matrix, (len, places.len()), x)?;
    let last = x.transpose(dim, D::Minus1)?.contiguous()?;
    let mut shape = last.dims().to_vec();
    let product = last.reshape(((), len))?.matmul(&matrix)?;
    if let Some(last) = shape.last_mut() {
        *last = places.len();
    }
    product
        .reshape(shape)?
        .transpose(dim, D::Minus1)?
        .contiguous()
}
