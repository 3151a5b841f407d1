//! isoloss watches a training run's checkpoint folder, places every checkpoint on the principal
//! plane of the run's own trajectory, measures the loss around it and draws contours and path.

pub mod data;
pub mod landscape;
pub mod model;
pub mod plot;
pub mod run;
pub mod session;
pub mod tui;
pub mod weights;
