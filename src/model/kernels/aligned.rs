//! Memory for vectors: numbers that begin at the start of a cache line, because a vector that lies across two lines is
//! read and written twice.

use std::ops::{Deref, DerefMut};

/// Bytes of a cache line, and of the widest vector.
const LINE: usize = 64;

/// Numbers that begin at the start of a cache line. Memory grows and is kept.
#[derive(Debug, Default)]
pub(in crate::model) struct Aligned {
    memory: Vec<f32>,
    first: usize,
    len: usize,
}

impl Aligned {
    /// Makes it `len` numbers long. Where it has to grow, all of them are zero then; else they stay.
    pub(in crate::model) fn resize(&mut self, len: usize) {
        if self.first + len > self.memory.len() {
            self.memory = vec![0.0; len + LINE / size_of::<f32>() - 1];
            // Where the start of a line is unknown, any place will do.
            let first = self.memory.as_ptr().align_offset(LINE);
            self.first = first.min(self.memory.len() - len);
        }
        self.len = len;
    }

    /// Makes it at least `len` numbers long, and returns the first of them.
    pub(in crate::model) fn at_least(&mut self, len: usize) -> &mut [f32] {
        self.resize(self.len.max(len));
        &mut self[..len]
    }
}

impl Deref for Aligned {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.memory[self.first..][..self.len]
    }
}

impl DerefMut for Aligned {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.memory[self.first..][..self.len]
    }
}
