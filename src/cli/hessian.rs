//! `isoloss hessian`: the ends of the Hessian's spectrum at a point or on a map, and its density.

use std::path::PathBuf;
use std::str::FromStr;

use anyhow::bail;
use clap::Args;

use crate::landscape::curvature::density::density;
use crate::landscape::curvature::product::Curvature;
use crate::landscape::curvature::{Effort, Extremes, RESOLUTION, extremes};
use crate::landscape::plane::DevicePlane;
use crate::landscape::survey;
use crate::report::hessian::{Findings, Grid, Point, Report};

use super::learning_rates;
use super::options::{KeyOption, MeasureOptions, Steps};
use super::output::{Format, Forms, OutputOptions, Usage};
use super::progress;
use super::scene::{GridOptions, PlaneOptions, Scene};

/// Lines a side of the map where the user does not say: each point takes as many gradients as a
/// surface's takes losses.
const LINES: usize = 11;

#[derive(Debug, Args)]
pub(super) struct Hessian {
    /// Folder of the run, or a checkpoint
    run: PathBuf,
    #[command(flatten)]
    key: KeyOption,
    #[command(flatten)]
    measure: MeasureOptions,
    /// Checkpoints of the path: A..B or every:N
    #[arg(long, value_name = "STEPS")]
    steps: Option<Steps>,
    #[command(flatten)]
    plane: PlaneOptions,
    /// Point of the plane: α,β
    #[arg(
        long,
        value_name = "A,B",
        default_value = "0,0",
        allow_hyphen_values = true
    )]
    point: Place,
    /// Also on a grid of the plane: |λmin/λmax| at each point
    #[arg(long)]
    map: bool,
    #[command(flatten)]
    grid: GridOptions,
    /// Also the density of the spectrum at the point
    #[arg(long)]
    density: bool,
    /// Random vectors of the density
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..=1000))]
    probes: u64,
    /// Most Hessian-vector products at a point, and for each vector of the density
    #[arg(long, value_name = "N", default_value_t = 80, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    iterations: u32,
    /// Stop when each end is known to this share of itself, or known to be below a thousandth of the other
    #[arg(long, value_name = "ERROR", default_value_t = 0.01)]
    tolerance: f64,
    #[command(flatten)]
    output: OutputOptions,
}

/// A point of the plane, written `α,β`.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Place([f64; 2]);

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |part: &str| {
            part.trim()
                .parse::<f64>()
                .ok()
                .filter(|value| value.is_finite())
        };
        let pair = text
            .split_once(',')
            .and_then(|(a, b)| number(a).zip(number(b)));
        match pair {
            Some((alpha, beta)) => Ok(Self([alpha, beta])),
            None => Err("expected two numbers A,B".to_owned()),
        }
    }
}

impl Hessian {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        let offered = match (self.map, self.density) {
            (true, _) => Format::OF_MAPS,
            (false, true) => Format::OF_CURVES,
            // One point is no picture.
            (false, false) => Format::OF_TABLES,
        };
        let format = self.output.format;
        if !self.map && !self.density && !offered.contains(&format) {
            let more = if Format::OF_CURVES.contains(&format) {
                "--map or --density"
            } else {
                "--map"
            };
            let name = format.name();
            bail!(Usage(format!(
                "--format {name}: one point has no such form; add {more}"
            )));
        }
        self.output.check(&self.run, offered)?;
        let scene = (self.plane).scene(&self.run, &self.key, self.steps, &self.measure)?;
        let objective = scene.objective.model()?;
        let resident = objective.resident(&scene.plane)?;
        let curvature = Curvature::new(objective)?;
        let at = |place: [f64; 2]| self.at(&scene, &curvature, &resident, place);
        let point = Point::of(self.point.0, at(self.point.0)?);
        let map = self.map.then(|| self.map(&scene, at)).transpose()?;
        let density = self
            .density
            .then(|| {
                let weights = objective.weights_on(&resident, self.point.0)?;
                let hessian = curvature.at(&weights)?;
                let bar = progress::bar("density", self.probes as usize * self.iterations as usize);
                density(
                    &hessian,
                    self.probes,
                    self.iterations as usize,
                    self.measure.seed,
                    || {
                        bar.inc(1);
                        true
                    },
                )
            })
            .transpose()?;
        let origin = std::slice::from_ref(&scene.origin);
        let learning_rate = learning_rates::of(&self.run, &self.key, origin)
            .pop()
            .flatten();
        let report = Report::from(Findings {
            run: self.run.display().to_string(),
            origin: scene.origin.step,
            model: scene.model.clone(),
            assumed: scene.assumed.clone(),
            at: point,
            learning_rate,
            samples: scene.objective.samples(),
            parameters: curvature.dimension(),
            seed: self.measure.seed,
            map,
            density,
        });
        let forms = Forms {
            picture: Some(&|tints| report.picture(tints)),
            arrays: Some(&|| Ok(report.arrays()?)),
            pieces: Some(&|| report.pieces()),
        };
        self.output
            .print(|width| report.text(width), &report, || report.csv(), &forms)
    }

    fn at(
        &self,
        scene: &Scene,
        curvature: &Curvature,
        resident: &DevicePlane,
        place: [f64; 2],
    ) -> anyhow::Result<Extremes> {
        let effort = Effort {
            tolerance: self.tolerance,
            resolution: RESOLUTION,
            iterations: self.iterations as usize,
            seed: self.measure.seed,
        };
        let hessian = curvature.at(&scene.objective.model()?.weights_on(resident, place)?)?;
        let bar = progress::bar("products", self.iterations as usize);
        let found = extremes(&hessian, effort, |_, _| {
            bar.inc(1);
            true
        })?;
        bar.finish_and_clear();
        Ok(found)
    }

    fn map(
        &self,
        scene: &Scene,
        at: impl Fn([f64; 2]) -> anyhow::Result<Extremes>,
    ) -> anyhow::Result<Grid> {
        let [x, y] = self.grid.lines(scene.window(), LINES);
        let mut points: Vec<Vec<Option<Point>>> = vec![vec![None; x.len()]; y.len()];
        let bar = progress::bar("curvature", x.len() * y.len());
        let sides = [&x, &y].map(|lines| survey::Side::of(lines.len()));
        for level in 0..survey::levels(sides) {
            for (i, j) in survey::additions(sides, [&x, &y], level, &scene.coordinates()) {
                let place = [x[i], y[j]];
                points[j][i] = Some(Point::of(place, at(place)?));
                bar.inc(1);
            }
        }
        bar.finish_and_clear();
        let points = points
            .into_iter()
            .map(|row| row.into_iter().flatten().collect())
            .collect();
        Ok(Grid { x, y, points })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_two_numbers() {
        assert_eq!("0.5,-1e-2".parse(), Ok(Place([0.5, -0.01])));
        for wrong in ["1", "1,2,3", "a,b", "1,inf", ""] {
            assert!(wrong.parse::<Place>().is_err(), "{wrong}");
        }
    }
}
