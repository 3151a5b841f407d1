//! The same results without a screen: JSON, CSV and text of every command, and plain lines.

pub mod average;
pub(crate) mod broken_lines;
pub mod cache;
pub mod checkpoints;
pub mod compare;
pub(crate) mod condition;
pub mod doctor;
pub mod events;
mod graph;
pub mod hessian;
pub mod inspect;
pub mod line;
pub mod lines;
pub mod map;
pub mod measured;
pub mod npz;
mod own;
pub mod path;
pub mod plane;
pub mod result_file;
pub mod score;
pub mod sharpness;
pub mod summary;
pub mod surface;
pub mod trajectory;
pub mod visible;
pub mod vtp;
pub mod weights;

use crate::brief::brief;
use crate::weights::BatchNorm;

pub use average::{AverageReport, AverageRow};
pub use cache::{CacheReport, Measured};
pub use checkpoints::Line;
pub use compare::{CompareReport, Subject, Test};
pub use doctor::{Device, DoctorReport, Run, Terminal};
pub use events::Event;
pub use hessian::{CurvatureFindings, Grid, HessianReport, Point};
pub use inspect::{InspectReport, LeftOutFile, Log, TensorReport};
pub use line::{LineReport, ReportedLine, SplitValues};
pub use npz::Array;
pub use path::PathPoint;
pub use plane::PlaneReport;
pub use sharpness::{SharpnessReport, SharpnessRow};
pub use surface::{FidelityReport, SurfaceReport};
pub use vtp::MeshPiece;
pub use weights::{Histograms, WeightsReport};

/// Characters across of a text that goes to no terminal: what fits a page.
pub const PAGE: usize = 96;

/// Number of left-out items that are named before the rest is summarized as a count.
pub const TOLD: usize = 3;

/// Returns compact JSON in one line, with its end. What is not finite is `null`.
///
/// ```
/// assert_eq!(isoloss::report::json(&[0.5, f64::NAN]).unwrap(), "[0.5,null]\n");
/// ```
///
/// # Errors
/// Never for this crate's own types.
pub fn json(value: &impl serde::Serialize) -> serde_json::Result<String> {
    let text = serde_json::to_string(value)?;
    Ok(visible::json(&text).into_owned() + "\n")
}

/// Returns the rows of a CSV file, the first of which names the columns.
///
/// # Errors
/// Never: rows are written to memory.
fn csv_rows(rows: impl IntoIterator<Item = Vec<String>>) -> Result<String, csv::Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for row in rows {
        writer.write_record(row.iter().map(|cell| visible::line(cell).into_owned()))?;
    }
    let bytes = writer
        .into_inner()
        .map_err(csv::IntoInnerError::into_error)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Returns a number of a CSV cell; empty where it is not finite.
fn cell(value: f64) -> String {
    if value.is_finite() {
        value.to_string()
    } else {
        String::new()
    }
}

/// Characters of a name in a column at most; formatting takes no column of more than 65 535.
const WIDEST: usize = 200;

/// Returns a name as a column has room for it, in one line; JSON and CSV have it whole.
fn in_column(name: &str) -> String {
    brief(&visible::line(name), WIDEST - 1).into_owned()
}

/// Returns a share in percent, with three digits that count.
fn percent(share: f64) -> String {
    if share >= 0.9995 {
        "100 %".into()
    } else if share >= 0.1 {
        format!("{:.1} %", 100.0 * share)
    } else {
        format!("{:.2} %", 100.0 * share)
    }
}

/// Says how running statistics are treated, behind a comma; nothing of a network without any.
fn statistics(bn: BatchNorm, has_statistics: bool) -> String {
    if has_statistics {
        format!(", batch norm {}", bn.name())
    } else {
        String::new()
    }
}

/// Returns a loss, with four digits that count.
fn loss(value: f64) -> String {
    match value {
        value if value.is_nan() => "not a number".into(),
        value if value.is_infinite() => "infinite".into(),
        value if value.abs() >= 1000.0 => format!("{value:.3e}"),
        value if value.abs() >= 100.0 => format!("{value:.1}"),
        value if value.abs() >= 10.0 => format!("{value:.2}"),
        value if value.abs() >= 1.0 => format!("{value:.3}"),
        value => format!("{value:.4}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_finite_is_null_in_json_and_empty_in_csv() {
        assert_eq!(
            json(&[1.5, f64::NAN, f64::INFINITY]).ok().as_deref(),
            Some("[1.5,null,null]\n")
        );
        assert_eq!((cell(f64::NAN), cell(0.25)), (String::new(), "0.25".into()));
    }

    #[test]
    fn a_long_name_is_cut_in_a_column() {
        assert_eq!(in_column("fc1.weight"), "fc1.weight");
        let cut = in_column(&"w".repeat(70_000));
        assert_eq!((cut.chars().count(), cut.ends_with('…')), (WIDEST, true));
    }

    #[test]
    fn numbers_have_the_digits_that_count() {
        assert_eq!(
            [0.91234, 0.05123, 1.0].map(percent),
            ["91.2 %", "5.12 %", "100 %"]
        );
        assert_eq!(
            [0.29512, 2.31, 54.681, 1234.5].map(loss),
            ["0.2951", "2.310", "54.68", "1.234e3"]
        );
    }
}
