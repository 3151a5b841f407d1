//! Loops of layers over vectors, which know no network: convolutions, fully connected layers, pooling.
//!
//! Images lie in blocks of channels as wide as a vector (`blocked`, called NCHWc by others), so that the
//! inner loop of a convolution (`conv`) is one broadcast and one fused multiply-add for each vector of
//! products; 3×3 kernels of many channels take a quarter of the products (`winograd`). Vector instructions are
//! those of the crate `pulp`, which picks AVX-512, AVX2 with FMA, or NEON at run time and has a portable form for
//! other machines; with it there is no `unsafe` here at all.

// What handles vectors has to be inlined into the function that is compiled for their instructions.
#![allow(clippy::inline_always)]

pub(in crate::model) mod aligned;
pub(in crate::model) mod blocked;
pub(in crate::model) mod conv;
pub(in crate::model) mod dense;
pub(in crate::model) mod depthwise;
pub(in crate::model) mod planar;
pub(in crate::model) mod pointwise;
pub(in crate::model) mod pooling;
pub(crate) mod simd;
pub(in crate::model) mod winograd;
