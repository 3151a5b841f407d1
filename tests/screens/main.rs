//! The screen, cell by cell: text and style, at three sizes and in every state that a run can be in.

#![allow(clippy::expect_used)]

mod colours;
mod drawn;
mod keys;
mod map;
mod missing;
#[path = "../synthetic/mod.rs"]
mod synthetic;
mod trust;
mod views;
