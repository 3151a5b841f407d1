//! A live session: the threads that watch, read and measure, and what they have found so far.

pub mod snapshot;
