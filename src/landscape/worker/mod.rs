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
mod waiting;

pub use pool::serve;
pub(crate) use pool::{message, open};
#[cfg(test)]
pub(crate) use queue::Queue;
pub(crate) use queue::Task;

use super::LandscapeError;
use protocol::{Found, Report};
use waiting::Waiting;

/// One that measures: on a device of this process, or by a program of the user's own.
trait Worker {
    /// Measures a query.
    fn measure(&mut self, task: &Task, waiting: &dyn Waiting) -> Result<Found, LandscapeError>;

    /// Returns what was found out about the samples and the model since it was asked last.
    fn take_findings(&mut self) -> Vec<Report>;
}
