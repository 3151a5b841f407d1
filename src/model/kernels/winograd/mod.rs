//! Winograd's convolutions F(2×2, 3×3) and F(4×4, 3×3) (Lavin & Gray 2015): four pixels of a 3×3 convolution
//! from sixteen products, or sixteen from thirty-six, where the sum over taps takes nine for each.
//!
//! Y = Aᵀ[(G g Gᵀ) ∘ (Bᵀ d B)]A for each tile d of pixels that overlaps its neighbours by two. Summed over the input
//! channels, each place of the tile is a matrix product with the tiles as rows (`products`); `transforms` has the
//! matrices. Tiles at the lower and right edge are moved back into the image where its sides are no multiples.

mod products;
#[cfg(test)]
mod tests;
mod transforms;
mod weights;

use std::ops::Range;

use pulp::{Simd, WithSimd};

use self::products::{GROUP, Products};
use self::transforms::{of_pixels, of_products};
pub(in crate::model) use self::weights::OfBlock;
use super::aligned::Aligned;
use super::conv::{Conv, Shape};
use super::simd::Level;

/// Convolutions of a network in which tiles of 4×4 pixels are taken: their error is twice that of the sum over taps, and
/// what the layers of a deeper network make of it is more than its logits may be wrong by.
const DEEPEST: usize = 64;
/// Groups of tiles that go through the products together, at least and at most.
const GROUPS: [usize; 2] = [2, 16];

/// The number of pixels that a tile gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::model) enum Tile {
    /// 2×2.
    Two,
    /// 4×4.
    Four,
}

impl Tile {
    /// Returns the way that costs least for a convolution of a network of `depth` convolutions; `None` if the sum over
    /// taps does.
    pub(in crate::model) fn cheapest(shape: &Shape, depth: usize) -> Option<Self> {
        if (shape.kernel, shape.stride) != (3, 1) {
            return None;
        }
        let pixels = shape.output.height * shape.output.width;
        let direct = 9 * pixels * shape.input.channels * shape.output.blocks();
        let allowed: &[Self] = if depth <= DEEPEST {
            &[Self::Two, Self::Four]
        } else {
            &[Self::Two]
        };
        let ways = allowed.iter().map(|tile| (tile.cost(shape), *tile));
        let cheaper = ways.filter(|(cost, _)| *cost < direct);
        cheaper.min_by_key(|(cost, _)| *cost).map(|(_, tile)| tile)
    }

    /// Returns the products that one tile takes for a pair of channels.
    pub(in crate::model) const fn products(self) -> usize {
        match self {
            Self::Two => 16,
            Self::Four => 36,
        }
    }

    /// Returns the products of vectors, and the time of the transforms as so many of them: for each block of channels
    /// of a tile's pixels, and of its sums. Those were measured.
    fn cost(self, shape: &Shape) -> usize {
        let (side, pixels, sums) = match self {
            Self::Two => (2, 140, 120),
            Self::Four => (4, 440, 540),
        };
        let at = shape.output;
        if at.height.min(at.width) < side {
            return usize::MAX;
        }
        let tiles = at.height.div_ceil(side) * at.width.div_ceil(side);
        let products = self.products() * shape.input.channels * at.blocks();
        tiles * (products + pixels * shape.input.blocks() + sums * at.blocks())
    }
}

/// Tiles on both sides of the products, (groups, places, `stride_of`, lanes); memory that is kept.
#[derive(Debug, Default)]
pub(in crate::model) struct Scratch {
    inputs: Aligned,
    outputs: Aligned,
}

/// Runs the convolution, with weights (output blocks, products, inputs, lanes).
pub(in crate::model) fn run(
    conv: &Conv,
    tile: Tile,
    level: Level,
    scratch: &mut Scratch,
    y: &mut [f32],
) {
    match tile {
        Tile::Two => Tiles::<2, 4> { conv }.run(level, scratch, y),
        Tile::Four => Tiles::<4, 6> { conv }.run(level, scratch, y),
    }
}

/// The tiles of a convolution's images: each reads N×N pixels and gives M×M.
#[derive(Clone, Copy)]
struct Tiles<'a, 'b, const M: usize, const N: usize> {
    conv: &'a Conv<'b>,
}

impl<const M: usize, const N: usize> Tiles<'_, '_, M, N> {
    fn run(self, level: Level, scratch: &mut Scratch, y: &mut [f32]) {
        let shape = self.conv.shape;
        let lanes = shape.input.lanes;
        let (inputs, outputs) = (shape.input.blocks() * lanes, shape.output.blocks() * lanes);
        let [fewest, most] = GROUPS;
        // As many tiles as take the room of the weights, so that neither of the two is read far more than the other.
        let even = inputs * outputs / (inputs + outputs);
        let groups = (even / GROUP).clamp(fewest, most);
        let tiles = self.conv.images() * self.count();
        for first in (0..tiles).step_by(groups * GROUP) {
            let tiles = first..tiles.min(first + groups * GROUP);
            let groups = tiles.len().div_ceil(GROUP);
            let room = |blocks| groups * N * N * stride_of(blocks) * lanes;
            let x = scratch.inputs.at_least(room(shape.input.blocks()));
            let sums = scratch.outputs.at_least(room(shape.output.blocks()));
            level.run(Inputs {
                of: self,
                tiles: tiles.clone(),
                to: x,
            });
            level.run(Products::<N> {
                x,
                shape,
                groups,
                weights: self.conv.weights,
                y: sums,
            });
            level.run(Outputs {
                of: self,
                tiles,
                from: sums,
                y: &mut *y,
            });
        }
    }

    /// Returns the tiles of an image, as rows and columns.
    fn sides(self) -> [usize; 2] {
        let at = self.conv.shape.output;
        [at.height.div_ceil(M), at.width.div_ceil(M)]
    }

    fn count(self) -> usize {
        self.sides().iter().product()
    }

    /// Returns the image, row and column of a tile's first pixel.
    fn first(self, tile: usize) -> (usize, usize, usize) {
        let at = self.conv.shape.output;
        let [rows, columns] = self.sides();
        (
            tile / (rows * columns),
            (tile / columns % rows * M).min(at.height - M),
            (tile % columns * M).min(at.width - M),
        )
    }
}

/// Returns the vectors of a group of tiles at one place, (blocks, [`GROUP`]), and one that is not used: places that lay
/// a power of two apart would drive each other out of the cache.
fn stride_of(blocks: usize) -> usize {
    blocks * GROUP + 1
}

/// Bᵀ d B of some tiles.
struct Inputs<'a, 'b, 'c, const M: usize, const N: usize> {
    of: Tiles<'a, 'b, M, N>,
    tiles: Range<usize>,
    to: &'c mut [f32],
}

impl<const M: usize, const N: usize> WithSimd for Inputs<'_, '_, '_, M, N> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let conv = self.of.conv;
        let at = conv.shape.input;
        let corner = (at.halo - conv.shape.padding) * (at.row() + at.lanes);
        let (x, _) = S::as_simd_f32s(conv.x);
        let (to, _) = S::as_mut_simd_f32s(self.to);
        let stride = stride_of(at.blocks());
        for (n, tile) in self.tiles.enumerate() {
            let (image, top, left) = self.of.first(tile);
            let first = image * at.len() + corner + top * at.row() + left * at.lanes;
            let to = &mut to[n / GROUP * N * N * stride..][..N * N * stride];
            for block in 0..at.blocks() {
                let first = (first + block * at.block()) / at.lanes;
                let Line(tile) = &mut Line([[simd.splat_f32s(0.0); N]; N]);
                for (i, row) in tile.iter_mut().enumerate() {
                    let x = &x[first + i * at.row() / at.lanes..][..N];
                    if let Some(x) = x.first_chunk() {
                        *row = of_pixels(simd, *x);
                    }
                }
                let place = block * GROUP + n % GROUP;
                for j in 0..N {
                    let places = of_pixels(simd, column(tile, j));
                    for (row, sum) in to.chunks_exact_mut(N * stride).zip(places) {
                        row[j * stride + place] = sum;
                    }
                }
            }
        }
    }
}

/// Aᵀ M A of some tiles, and what follows the convolution.
struct Outputs<'a, 'b, 'c, const M: usize, const N: usize> {
    of: Tiles<'a, 'b, M, N>,
    tiles: Range<usize>,
    from: &'c [f32],
    y: &'c mut [f32],
}

impl<const M: usize, const N: usize> WithSimd for Outputs<'_, '_, '_, M, N> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let conv = self.of.conv;
        let at = conv.shape.output;
        let (from, _) = S::as_simd_f32s(self.from);
        let (bias, _) = S::as_simd_f32s(conv.bias);
        let (y, _) = S::as_mut_simd_f32s(self.y);
        let stride = stride_of(at.blocks());
        for (n, tile) in self.tiles.enumerate() {
            let (image, top, left) = self.of.first(tile);
            let from = &from[n / GROUP * N * N * stride..][..N * N * stride];
            for (block, bias) in bias.iter().enumerate() {
                let place = block * GROUP + n % GROUP;
                let Line(tile) = &mut Line([[*bias; N]; M]);
                for j in 0..N {
                    let mut products = [*bias; N];
                    for (to, row) in products.iter_mut().zip(from.chunks_exact(N * stride)) {
                        *to = row[j * stride + place];
                    }
                    let sums: [_; M] = of_products(simd, products);
                    for (row, sum) in tile.iter_mut().zip(sums) {
                        row[j] = sum;
                    }
                }
                for (i, products) in tile.iter().enumerate() {
                    let mut sums: [_; M] = of_products(simd, *products);
                    for sum in &mut sums {
                        *sum = simd.add_f32s(*sum, *bias);
                    }
                    let place = at.block() * block + at.pixel(top + i, left);
                    if let Some(residual) = &conv.residual {
                        let at = residual.at;
                        let place = image * at.len() + at.block() * block + at.pixel(top + i, left);
                        let (add, _) = S::as_simd_f32s(&residual.values[place..][..M * at.lanes]);
                        for (sum, add) in sums.iter_mut().zip(add) {
                            *sum = simd.add_f32s(*sum, *add);
                        }
                    }
                    let y = &mut y[(image * at.len() + place) / at.lanes..][..M];
                    for (y, sum) in y.iter_mut().zip(sums) {
                        *y = conv.shape.rectifier.apply(simd, sum);
                    }
                }
            }
        }
    }
}

/// Vectors that begin at the start of a cache line.
#[repr(align(64))]
struct Line<T>(T);

/// Reads column `j` of a tile.
#[inline(always)]
fn column<T: Copy, const N: usize, const ROWS: usize>(
    tile: &[[T; N]; ROWS],
    j: usize,
) -> [T; ROWS] {
    let mut column = [tile[0][j]; ROWS];
    for (to, row) in column.iter_mut().zip(tile) {
        *to = row[j];
    }
    column
}
