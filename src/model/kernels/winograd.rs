//! Winograd's convolution F(2×2, 3×3) (Lavin & Gray 2015): four pixels of a 3×3 convolution from sixteen
//! products where the sum over taps takes thirty-six.
//!
//! Y = Aᵀ[(G g Gᵀ) ∘ (Bᵀ d B)]A for each tile d of 4×4 pixels that overlaps its neighbours by two. Summed
//! over the input channels, each of the sixteen places is a fully connected layer on the tiles as samples.

use std::ops::Range;

use pulp::{Simd, WithSimd};

use super::conv::Conv;
use super::dense::{Dense, Rows};
use super::simd::{Level, Rectifier};

/// Numbers in the widest vector.
pub(super) const WIDEST: usize = 16;
/// Products of a tile.
pub(super) const PRODUCTS: usize = 16;
/// Tiles that go through the products together: each weight that is read serves so many.
const TILES: usize = 64;

/// Tiles on both sides of the products, (products, tiles, channels in whole blocks); memory that is kept.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    inputs: Vec<f32>,
    outputs: Vec<f32>,
    zeros: Vec<f32>,
}

/// A number of several kernels beside one another.
type Lane = [f32; WIDEST];

/// G g Gᵀ of several kernels, row by row.
pub(super) fn transformed(kernels: &[Lane; 9]) -> [Lane; PRODUCTS] {
    let mut rows = [[[0.0; WIDEST]; 4]; 3];
    for (row, taps) in rows.iter_mut().zip(kernels.as_chunks().0) {
        *row = before_weights(*taps);
    }
    let mut places = [[0.0; WIDEST]; PRODUCTS];
    for j in 0..4 {
        for (i, place) in before_weights(rows.map(|row| row[j]))
            .into_iter()
            .enumerate()
        {
            places[4 * i + j] = place;
        }
    }
    places
}

/// G times one column.
fn before_weights([a, b, c]: [Lane; 3]) -> [Lane; 4] {
    let (mut sum, mut difference) = (a, a);
    for i in 0..WIDEST {
        let outer = a[i] + c[i];
        sum[i] = (outer + b[i]) * 0.5;
        difference[i] = (outer - b[i]) * 0.5;
    }
    [a, sum, difference, c]
}

/// The convolution, with weights (output blocks, products, inputs, lanes).
pub(super) fn run(conv: &Conv, level: Level, scratch: &mut Scratch, y: &mut [f32]) {
    let shape = conv.shape;
    let lanes = shape.input.lanes;
    let outputs = shape.output.blocks() * lanes;
    let inputs = shape.input.blocks() * lanes;
    let tiles = conv.images() * shape.output.height * shape.output.width / 4;
    scratch.zeros.resize(outputs, 0.0);
    for first in (0..tiles).step_by(TILES) {
        let tiles = first..tiles.min(first + TILES);
        let count = tiles.len();
        scratch.inputs.resize(PRODUCTS * count * inputs, 0.0);
        scratch.outputs.resize(PRODUCTS * count * outputs, 0.0);
        level.run(Inputs {
            conv,
            tiles: tiles.clone(),
            to: &mut scratch.inputs,
        });
        let products = scratch.inputs.chunks_exact(count * inputs);
        let products = products.zip(scratch.outputs.chunks_exact_mut(count * outputs));
        let product = shape.input.channels * lanes;
        for (n, (values, sums)) in products.enumerate() {
            Dense {
                x: Rows {
                    values,
                    stride: inputs,
                },
                inputs: shape.input.channels,
                weights: &conv.weights[n * product..],
                step: PRODUCTS * product,
                bias: &scratch.zeros,
                rectifier: Rectifier::Off,
            }
            .run(level, count, sums);
        }
        level.run(Outputs {
            conv,
            tiles,
            from: &scratch.outputs,
            y: &mut *y,
        });
    }
}

impl Conv<'_> {
    /// Image, row and column of a tile's first pixel.
    fn tile(&self, tile: usize) -> (usize, usize, usize) {
        let [rows, columns] = [self.shape.output.height / 2, self.shape.output.width / 2];
        (
            tile / (rows * columns),
            tile / columns % rows * 2,
            tile % columns * 2,
        )
    }
}

/// Bᵀ d B of some tiles.
struct Inputs<'a, 'b> {
    conv: &'a Conv<'b>,
    tiles: Range<usize>,
    to: &'a mut [f32],
}

impl WithSimd for Inputs<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let at = self.conv.shape.input;
        let corner = (at.halo - self.conv.shape.padding) * (at.row() + at.lanes);
        let (x, _) = S::as_simd_f32s(self.conv.x);
        let (to, _) = S::as_mut_simd_f32s(self.to);
        let blocks = at.blocks();
        let product = self.tiles.len() * blocks;
        for (n, tile) in self.tiles.enumerate() {
            let (image, row, column) = self.conv.tile(tile);
            let first = image * at.len() + corner + row * at.row() + column * at.lanes;
            for block in 0..blocks {
                let first = (first + block * at.block()) / at.lanes;
                let mut rows = [[simd.splat_f32s(0.0); 4]; 4];
                for (i, row) in rows.iter_mut().enumerate() {
                    let x = &x[first + i * at.row() / at.lanes..][..4];
                    *row = before(simd, [x[0], x[1], x[2], x[3]]);
                }
                for j in 0..4 {
                    let column = before(simd, [rows[0][j], rows[1][j], rows[2][j], rows[3][j]]);
                    for i in 0..4 {
                        to[(4 * i + j) * product + n * blocks + block] = column[i];
                    }
                }
            }
        }
    }
}

/// Aᵀ M A of some tiles, and what follows the convolution.
struct Outputs<'a, 'b> {
    conv: &'a Conv<'b>,
    tiles: Range<usize>,
    from: &'a [f32],
    y: &'a mut [f32],
}

impl WithSimd for Outputs<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (conv, at) = (self.conv, self.conv.shape.output);
        let (from, _) = S::as_simd_f32s(self.from);
        let (bias, _) = S::as_simd_f32s(conv.bias);
        let (y, _) = S::as_mut_simd_f32s(self.y);
        let blocks = at.blocks();
        let product = self.tiles.len() * blocks;
        for (n, tile) in self.tiles.enumerate() {
            let (image, row, column) = conv.tile(tile);
            for (block, bias) in bias.iter().enumerate() {
                let mut rows = [[simd.splat_f32s(0.0); 2]; 4];
                for (i, row) in rows.iter_mut().enumerate() {
                    let place = |j: usize| (4 * i + j) * product + n * blocks + block;
                    *row = after(
                        simd,
                        [
                            from[place(0)],
                            from[place(1)],
                            from[place(2)],
                            from[place(3)],
                        ],
                    );
                }
                #[allow(clippy::needless_range_loop)] // a column of four arrays
                for j in 0..2 {
                    let sums = after(simd, [rows[0][j], rows[1][j], rows[2][j], rows[3][j]]);
                    for (i, sum) in sums.into_iter().enumerate() {
                        let mut sum = simd.add_f32s(sum, *bias);
                        if let Some(residual) = &conv.residual {
                            let at = residual.at;
                            let place = at.block() * block + at.pixel(row + i, column + j);
                            let (add, _) =
                                S::as_simd_f32s(&residual.values[image * at.len() + place..]);
                            sum = simd.add_f32s(sum, add[0]);
                        }
                        let place = at.block() * block + at.pixel(row + i, column + j);
                        y[(image * at.len() + place) / at.lanes] =
                            conv.shape.rectifier.apply(simd, sum);
                    }
                }
            }
        }
    }
}

// Functions, since vector code in a closure is not compiled for the vectors' instructions.

/// Bᵀ times one column.
#[inline(always)]
fn before<S: Simd>(simd: S, [a, b, c, d]: [S::f32s; 4]) -> [S::f32s; 4] {
    [
        simd.sub_f32s(a, c),
        simd.add_f32s(b, c),
        simd.sub_f32s(c, b),
        simd.sub_f32s(b, d),
    ]
}

/// Aᵀ times one column.
#[inline(always)]
fn after<S: Simd>(simd: S, [a, b, c, d]: [S::f32s; 4]) -> [S::f32s; 2] {
    let (sum, difference) = (simd.add_f32s(b, c), simd.sub_f32s(b, c));
    [simd.add_f32s(a, sum), simd.sub_f32s(difference, d)]
}
