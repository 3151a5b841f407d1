//! The link from a query that takes long to those who wait for it.

/// Asked and told between the parts of a query.
pub(super) trait Waiting: Sync {
    /// Returns false once nobody waits for the query any more. While measuring is paused it does not return.
    fn goes_on(&self) -> bool;

    /// Takes the number of products with the Hessian so far, and the most that there will be.
    fn product(&self, done: usize, of: usize);
}
