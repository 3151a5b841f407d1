//! An analysis as recordings have it: one field for each kind of picture.

use serde::{Deserialize, Serialize};

use super::{Analysis, AnalysisPicture, AnalysisProgress, AnalysisResult, CurvatureMap, LineCurve};
use crate::landscape::Surface;
use crate::run::Checkpoint;

/// The fields of an analysis in a recording; those of other pictures are empty.
#[derive(Serialize, Deserialize)]
pub(super) struct AnalysisRecord {
    analysis: Analysis,
    lines: Vec<LineCurve>,
    curvature: Option<CurvatureMap>,
    plane: Option<Surface>,
    #[serde(rename = "stations")]
    checkpoints: Vec<Checkpoint>,
    left: usize,
    /// 0 in recordings of earlier versions.
    #[serde(default)]
    share: f64,
    seconds_left: Option<f64>,
}

impl From<AnalysisResult> for AnalysisRecord {
    fn from(result: AnalysisResult) -> Self {
        let mut record = Self {
            analysis: result.analysis,
            lines: Vec::new(),
            curvature: None,
            plane: None,
            checkpoints: Vec::new(),
            left: result.left,
            share: result.share,
            seconds_left: result.seconds_left,
        };
        match result.picture {
            AnalysisPicture::Lines(lines) => record.lines = lines,
            AnalysisPicture::Plane(plane) => record.plane = Some(plane),
            AnalysisPicture::Curvature(map) => record.curvature = Some(map),
            AnalysisPicture::Stability(checkpoints) => record.checkpoints = checkpoints,
        }
        record
    }
}

impl TryFrom<AnalysisRecord> for AnalysisResult {
    type Error = &'static str;

    fn try_from(record: AnalysisRecord) -> Result<Self, Self::Error> {
        let picture = match record.analysis {
            Analysis::Random | Analysis::Update | Analysis::Line => {
                AnalysisPicture::Lines(record.lines)
            }
            Analysis::Plane => AnalysisPicture::Plane(
                record
                    .plane
                    .ok_or("an analysis of a random plane has no plane")?,
            ),
            Analysis::Curvature => AnalysisPicture::Curvature(
                record
                    .curvature
                    .ok_or("an analysis of the curvature has no map")?,
            ),
            Analysis::Stability => AnalysisPicture::Stability(record.checkpoints),
        };
        Ok(Self {
            analysis: record.analysis,
            picture,
            left: record.left,
            share: record.share,
            seconds_left: record.seconds_left,
            progress: AnalysisProgress::default(),
        })
    }
}
