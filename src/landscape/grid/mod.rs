//! The grid of a surface: its levels, which point is wanted next, the losses between points.
//!
//! ```text
//! survey (levels) ─▶ explore (what next) ─▶ surface (measured) ─▶ refine (where it is not good yet)
//!                                              │
//!                              interpolate, field (between the points) ─▶ plot
//! ```

pub mod explore;
pub mod fidelity;
pub mod field;
pub mod interpolate;
pub mod lattice;
pub mod refine;
pub mod surface;
pub mod survey;
