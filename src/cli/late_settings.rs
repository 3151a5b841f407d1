//! Settings that a run gets after isoloss was started: `isoloss RUN` waits for them and starts again.
//!
//! A training script that exports its model writes `isoloss.toml` a few seconds after its start, and isoloss may have
//! been started beside it. Nothing can be measured until then, so that nothing is lost.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::config::ConfigPaths;

use super::options::MeasureOptions;

/// Time between two looks at the folder.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// The run has settings now, which are to be read.
#[derive(Debug, thiserror::Error)]
#[error("{} is there now", .0.display())]
pub(super) struct Appeared(pub(super) PathBuf);

/// A file that is waited for; `None` if all that is needed is known.
#[derive(Clone, Debug)]
pub(super) struct LateSettings(Option<PathBuf>);

impl LateSettings {
    /// Waits for nothing.
    pub(super) fn none() -> Self {
        Self(None)
    }

    /// Waits for the settings of a run where nothing gives a loss without them.
    pub(super) fn of(run: &Path, measure: &MeasureOptions) -> Self {
        let places = ConfigPaths::around(Some(run)).run;
        let own = places.into_iter().next().filter(|own| !own.exists());
        Self(own.filter(|_| measure.check().is_err()))
    }

    /// Returns when the file is there; never if nothing is waited for.
    pub(super) async fn appear(self) -> Appeared {
        let Some(path) = self.0 else {
            return std::future::pending().await;
        };
        while !path.is_file() {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Appeared(path)
    }
}
