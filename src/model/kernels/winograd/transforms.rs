//! The matrices of Winograd's convolutions, as sums of vectors.
//!
//! F(m×m, 3×3) evaluates polynomials at m + 1 points and at infinity. F(2×2) has 0 and ±1. F(4×4) has 0, ±2/3 and
//! ±3/2: of the points that were tried these have the smallest error, twice that of the sum over taps, where the
//! usual 0, ±1, ±2 have four to five times it (`tests`). The product of 2/3 and 3/2 being 1 saves
//! multiplications, and so does that both come with either sign.

use pulp::Simd;

/// The smaller of the two distances of F(4×4)'s points from 0; the other one is its inverse.
const SMALL: f64 = 2.0 / 3.0;
const LARGE: f64 = 1.0 / SMALL;
const SMALL_SQUARE: f64 = SMALL * SMALL;
const LARGE_SQUARE: f64 = LARGE * LARGE;

/// G of F(2×2): rows 1, (1 + x + x²)/2 at ±1, and the leading coefficient.
const G_OF_TWO: [[f64; 3]; 4] = [
    [1.0, 0.0, 0.0],
    [0.5, 0.5, 0.5],
    [0.5, -0.5, 0.5],
    [0.0, 0.0, 1.0],
];

/// G of F(4×4): (1, p, p²) over the product of the differences to the other points.
const G_OF_FOUR: [[f64; 3]; 6] = {
    let small = 1.0 / (2.0 * SMALL_SQUARE * (SMALL_SQUARE - LARGE_SQUARE));
    let large = 1.0 / (2.0 * LARGE_SQUARE * (LARGE_SQUARE - SMALL_SQUARE));
    [
        [1.0, 0.0, 0.0],
        [small, small * SMALL, small * SMALL_SQUARE],
        [small, -small * SMALL, small * SMALL_SQUARE],
        [large, large * LARGE, large * LARGE_SQUARE],
        [large, -large * LARGE, large * LARGE_SQUARE],
        [0.0, 0.0, 1.0],
    ]
};

// Functions, since vector code in a closure is not compiled for the vectors' instructions.

/// Returns G times one column of three taps.
#[inline(always)]
pub(super) fn of_taps<S: Simd, const N: usize>(simd: S, [a, b, c]: [S::f32s; 3]) -> [S::f32s; N] {
    let g: &[[f64; 3]] = if N == 4 { &G_OF_TWO } else { &G_OF_FOUR };
    let mut out = [a; N];
    for (out, g) in out.iter_mut().zip(g) {
        let factor = |i: usize| simd.splat_f32s(g[i] as f32);
        let sum = simd.mul_f32s(factor(0), a);
        let sum = simd.mul_add_e_f32s(factor(1), b, sum);
        *out = simd.mul_add_e_f32s(factor(2), c, sum);
    }
    out
}

/// Returns Bᵀ times one column of N pixels.
#[inline(always)]
pub(super) fn of_pixels<S: Simd, const N: usize>(simd: S, d: [S::f32s; N]) -> [S::f32s; N] {
    let mut out = d;
    if N == 4 {
        out[0] = simd.sub_f32s(d[0], d[2]);
        out[1] = simd.add_f32s(d[1], d[2]);
        out[2] = simd.sub_f32s(d[2], d[1]);
        out[3] = simd.sub_f32s(d[1], d[3]);
        return out;
    }
    let squares = simd.splat_f32s(-(SMALL_SQUARE + LARGE_SQUARE) as f32);
    out[0] = simd.mul_add_e_f32s(squares, d[2], simd.add_f32s(d[0], d[4]));
    out[5] = simd.mul_add_e_f32s(squares, d[3], simd.add_f32s(d[1], d[5]));
    for (i, point, other) in [(1, SMALL, LARGE_SQUARE), (3, LARGE, SMALL_SQUARE)] {
        let other = simd.splat_f32s(-other as f32);
        let even = simd.mul_add_e_f32s(other, d[2], d[4]);
        let odd = simd.mul_add_e_f32s(other, d[1], d[3]);
        out[i] = simd.mul_add_e_f32s(simd.splat_f32s(point as f32), odd, even);
        out[i + 1] = simd.mul_add_e_f32s(simd.splat_f32s(-point as f32), odd, even);
    }
    out
}

/// Returns Aᵀ times one column of N products: M pixels.
#[inline(always)]
pub(super) fn of_products<S: Simd, const M: usize, const N: usize>(
    simd: S,
    m: [S::f32s; N],
) -> [S::f32s; M] {
    let mut out = [m[0]; M];
    let (sum, difference) = (simd.add_f32s(m[1], m[2]), simd.sub_f32s(m[1], m[2]));
    if N == 4 {
        out[0] = simd.add_f32s(m[0], sum);
        out[1] = simd.sub_f32s(difference, m[3]);
        return out;
    }
    let (far, apart) = (simd.add_f32s(m[3], m[4]), simd.sub_f32s(m[3], m[4]));
    // p_1^k of one pair and p_2^k of the other.
    let both = |power: i32| {
        let of = |point: f64| simd.splat_f32s(point.powi(power) as f32);
        [of(SMALL), of(LARGE)]
    };
    out[0] = simd.add_f32s(m[0], simd.add_f32s(sum, far));
    out[1] = linear(simd, both(1), difference, apart);
    out[2] = linear(simd, both(2), sum, far);
    out[3] = simd.add_f32s(m[5], linear(simd, both(3), difference, apart));
    out
}

/// Returns a x + b y.
#[inline(always)]
fn linear<S: Simd>(simd: S, [a, b]: [S::f32s; 2], x: S::f32s, y: S::f32s) -> S::f32s {
    simd.mul_add_e_f32s(a, x, simd.mul_f32s(b, y))
}
