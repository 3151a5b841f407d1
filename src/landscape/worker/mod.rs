//! Those who measure: a worker for each compute device, all on one queue of plans.
//!
//! ```text
//! Request ─▶ pool ─▶ queue ─▶ evaluator on cpu    ─▶ Report
//!                         └─▶ evaluator on cuda:0 ─▶
//! ```

mod evaluator;
mod pool;
pub mod protocol;
mod queue;

pub use pool::serve;
pub(crate) use pool::{message, open};
