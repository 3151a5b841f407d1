//! The link from a query that takes long to those who wait for it.

/// The wish of those who wait for a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// It is wanted.
    GoOn,
    /// It is wanted later: measuring is paused.
    Rest,
    /// Nobody waits for it any more.
    Stop,
}

/// Asked and told between the parts of a query.
pub(super) trait Waiting: Sync {
    /// Returns the wish of this moment.
    fn wish(&self) -> Wish;

    /// Returns false once nobody waits for the query any more. While measuring is paused it does not return.
    fn goes_on(&self) -> bool;

    /// Takes the number of products with the Hessian so far, and the most that there will be.
    fn product(&self, done: usize, of: usize);

    /// Takes the number of samples that a forward pass takes at once.
    fn batch(&self, samples: usize);
}
