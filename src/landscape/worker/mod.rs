//! Workers that measure, one for each compute device, all on one queue of plans.
//!
//! ```text
//! Request ─▶ pool ─▶ queue ─▶ worker on cpu    ─▶ Report
//!                         └─▶ worker on cuda:0 ─▶
//! ```

mod device_worker;
mod external_worker;
mod pool;
pub mod protocol;
mod queue;
mod ready;

pub use pool::serve;
pub(crate) use pool::{message, open};
#[cfg(test)]
pub(crate) use queue::{Queue, Task};
