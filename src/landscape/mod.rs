//! The loss around a checkpoint: where to measure next, what was measured, who measures it.

pub mod interpolate;
pub mod surface;
pub mod survey;
