//! Workers that measure, one for each compute device, all on one queue of plans.
//!
//! ```text
//! WorkerRequest ─▶ pool ─▶ queue ─▶ worker on cpu    ─▶ WorkerEvent
//!                               └─▶ worker on cuda:0 ─▶
//! ```
//!
//! A worker measures on a thread of this process (`device_worker`), in a process of its own (`process_worker` here,
//! `stdio` there), or by a program of the user's own (`external_worker`).

pub mod budget;
pub mod client;
mod cost;
mod device_worker;
mod ending;
mod external_worker;
mod gpu_room;
mod gpu_turns;
mod launch;
mod load;
mod lookahead;
mod nvidia;
mod pending;
mod pool;
mod process_worker;
pub mod protocol;
mod queue;
mod ready;
mod recall;
mod running;
mod stdio;
mod waiting;
pub mod wire;
pub mod yielding;

pub use cost::OwnCost;
pub(crate) use cost::memory;
pub(crate) use ending::TOO_MUCH_MEMORY;
pub use launch::Launch;
#[cfg(test)]
pub(crate) use pending::WorkerNumber;
pub use pool::{Hosting, serve};
pub(crate) use pool::{message, open};
#[cfg(test)]
pub(crate) use queue::Queue;
pub(crate) use queue::Task;
pub use stdio::serve_lines;
pub use wire::PROTOCOL;

use super::LandscapeError;
use protocol::{TimedValue, WorkerEvent};
use waiting::Waiting;

/// One that measures: on a device of this process, or by a program of the user's own.
trait Worker {
    /// Measures a query. Those that follow are of the same plan, and it is asked for them next, in this order.
    fn measure(
        &mut self,
        task: &Task,
        following: &[Task],
        waiting: &dyn Waiting,
    ) -> Result<TimedValue, LandscapeError>;

    /// Returns the number of queries that it takes on beside this one.
    fn ahead(&self, _task: &Task) -> usize {
        0
    }

    /// Returns the findings about the samples and the model since it was asked last.
    fn take_findings(&mut self) -> Vec<WorkerEvent>;
}
