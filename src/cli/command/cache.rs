//! `isoloss cache`: the checkpoints and measured values that were kept, and how to be rid of them.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use crate::cache;
use crate::cli::output;
use crate::report;
use crate::report::{CacheReport, Measured};
use crate::store::{Contents, Store, StoreError, StorePlace};
use crate::weights::{PlaneFiles, PlanesKept};

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people.
    Text,
    /// For programs; the names are stable.
    Json,
    /// For spreadsheets and plots.
    Csv,
}

/// The kept checkpoints and measured values.
#[derive(Debug, Args)]
pub(in crate::cli) struct Cache {
    #[command(subcommand)]
    action: CacheAction,
}

#[derive(Debug, Subcommand)]
enum CacheAction {
    /// Every run of which checkpoints are kept, and the measured values: how many, and how much room they take
    List {
        /// Format of the list
        #[arg(long, value_enum, default_value = "text")]
        format: Format,
    },
    /// Remove what is kept of a run; of all runs if none is named
    Clear {
        /// Folder of the run, which need not be there any more
        run: Option<PathBuf>,
    },
    /// Print the folder of the copies: that of a run, or that of all
    Path {
        /// Folder of the run
        run: Option<PathBuf>,
    },
}

impl Cache {
    pub(in crate::cli) fn run(&self) -> anyhow::Result<()> {
        match &self.action {
            CacheAction::List { format } => {
                let measured = measured(Store::contents, PlaneFiles::kept)?;
                let report = CacheReport::new(cache::list(), measured);
                output::to_stdout(&match format {
                    Format::Text => report.text(),
                    Format::Json => report::json(&report)?,
                    Format::Csv => report.csv()?,
                })
            }
            CacheAction::Clear { run } => {
                let cleared = cache::clear(run.as_deref())?;
                let folder = run.as_deref().map(cache::real);
                let folder = folder.as_deref();
                let removed = measured(|store| store.clear(folder), |planes| planes.clear(folder));
                let measured = match removed {
                    // It is damaged, or the disk is too full to note that there is less.
                    Err(error) if folder.is_none() => {
                        Store::remove().map_err(|_| error)?;
                        None
                    }
                    removed => removed?,
                };
                output::to_stdout(&CacheReport::new(cleared, measured).removed())
            }
            CacheAction::Path { run } => {
                let folder = match run {
                    Some(run) => cache::folder_of(run),
                    None => cache::root(),
                };
                let none =
                    || anyhow::anyhow!("the user has no home folder, so that nothing is kept");
                let folder = folder.ok_or_else(none)?;
                output::to_stdout(&format!("{}\n", folder.display()))
            }
        }
    }
}

/// Looks at the measured values, if there are any.
fn measured(
    look: impl FnOnce(&Store) -> Result<Contents, StoreError>,
    look_at: impl FnOnce(&PlaneFiles) -> PlanesKept,
) -> Result<Option<Measured>, StoreError> {
    let Some(file) = Store::path().filter(|file| file.is_file()) else {
        return Ok(None);
    };
    let place = StorePlace {
        path: file.clone(),
        room: u64::MAX,
    };
    Ok(Some(Measured {
        // They do without the database.
        planes: look_at(&place.planes()),
        contents: look(&Store::open(&file, place.room)?)?,
        file,
    }))
}
