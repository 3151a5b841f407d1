//! `isoloss hessian`: the ends of the Hessian's spectrum at a point or on a map, and its density.

use std::path::PathBuf;
use std::str::FromStr;

use anyhow::{Context, bail};
use clap::Args;
use indicatif::ProgressBar;

use crate::cli::learning_rates;
use crate::cli::measure::Measuring;
use crate::cli::options::{MeasureOptions, PathOptions, PlaneKind};
use crate::cli::output::{Format, Forms, OutputOptions, Usage};
use crate::cli::progress;
use crate::cli::scene::{GridOptions, PlaneChoice, PlaneOptions, Scene};
use crate::landscape::curvature::RESOLUTION;
use crate::landscape::curvature::product::dimension;
use crate::landscape::{Density, Effort, Position, Quantity, Query, QueryAnswer, Step};
use crate::report::{CurvatureFindings, Grid, HessianReport, Point};

/// Lines a side of the map where the user does not say: each point takes as many gradients as a
/// surface's takes losses.
const LINES: usize = 11;

#[derive(Debug, Args)]
pub(in crate::cli) struct Hessian {
    /// Folder of the run, or a checkpoint
    run: PathBuf,
    #[command(flatten)]
    path: PathOptions,
    #[command(flatten)]
    measure: MeasureOptions,
    #[command(flatten)]
    plane: PlaneOptions,
    /// Point of the plane: α,β
    #[arg(
        long,
        help_heading = "Plane",
        value_name = "A,B",
        default_value = "0,0",
        allow_hyphen_values = true
    )]
    point: PlanePoint,
    /// Also on a grid of the plane: |λmin/λmax| at each point
    #[arg(long, help_heading = "Measuring")]
    map: bool,
    #[command(flatten)]
    grid: GridOptions,
    /// Also the density of the spectrum at the point
    #[arg(long, help_heading = "Measuring")]
    density: bool,
    /// Random vectors of the density
    #[arg(long, help_heading = "Measuring", value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..=1000))]
    probes: u64,
    /// Most Hessian-vector products at a point, and for each vector of the density
    #[arg(long, help_heading = "Measuring", value_name = "N", default_value_t = 80, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    iterations: u32,
    /// Stop when each end is known to this share of itself, or known to be below a thousandth of the other
    #[arg(
        long,
        help_heading = "Measuring",
        value_name = "ERROR",
        default_value_t = 0.01
    )]
    tolerance: f64,
    #[command(flatten)]
    output: OutputOptions,
}

/// A point of the plane, written `α,β`.
#[derive(Clone, Copy, Debug, PartialEq)]
struct PlanePoint([f64; 2]);

impl FromStr for PlanePoint {
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
    pub(in crate::cli) fn run(&self) -> anyhow::Result<()> {
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
        let plane = self.plane.plane_out.as_deref();
        self.output.refuse_same("--plane-out", plane)?;
        let scene = (self.plane()).scene(&self.run, &self.path, &self.measure)?;
        let mut measuring = self.measure.start(&[&self.run], self.measure.split)?;
        let function = measuring.begin(&self.run, &scene.path.shape, &scene.path.members)?;
        let bar = progress::bar("products", self.iterations as usize);
        let at = self.at(
            &scene,
            &[self.point.0],
            &mut measuring,
            (&bar, Step::Product),
        )?;
        bar.finish_and_clear();
        let map = (self.map)
            .then(|| self.map(&scene, &mut measuring))
            .transpose()?;
        let density = (self.density)
            .then(|| self.density(&scene, &mut measuring))
            .transpose()?;
        let origin = std::slice::from_ref(&scene.origin);
        let learning_rate = learning_rates::of(&self.run, &self.path.key, origin)
            .pop()
            .flatten();
        let settings = learning_rates::settings(&self.run, origin).pop();
        let report = HessianReport::from(CurvatureFindings {
            run: self.run.display().to_string(),
            origin: scene.origin.step,
            model: function.model,
            assumed: function.assumed,
            at: *at
                .first()
                .context("expected the curvature of a point, found none")?,
            learning_rate,
            optimizer: settings.and_then(|settings| settings.optimizer),
            samples: measuring.samples(),
            parameters: dimension(&scene.path.shape.layout),
            seed: self.measure.seed,
            plane: PlaneOptions::report(&scene),
            path: scene.steps().zip(scene.coordinates()).collect(),
            map,
            density,
        });
        let forms = Forms {
            picture: Some(&|palette| report.picture(palette)),
            arrays: Some(&|| Ok(report.arrays()?)),
            pieces: Some(&|| report.pieces()),
        };
        self.output
            .print(|width| report.text(width), &report, || report.csv(), &forms)
    }

    /// Returns the plane of the options, and a random one for the checkpoint itself: it is on all of them, and a run of
    /// two checkpoints has no other.
    fn plane(&self) -> PlaneOptions {
        let mut plane = self.plane.clone();
        let is_checkpoint = self.point.0 == [0.0, 0.0] && !self.map;
        if is_checkpoint && !plane.is_chosen() && plane.plane_out.is_none() {
            plane.plane = Some(PlaneChoice::Kind(PlaneKind::Random));
        }
        plane
    }

    /// Measures the ends of the spectrum at places.
    fn at(
        &self,
        scene: &Scene,
        places: &[[f64; 2]],
        measuring: &mut Measuring,
        bar: (&ProgressBar, Step),
    ) -> anyhow::Result<Vec<Point>> {
        let effort = Effort {
            tolerance: self.tolerance,
            resolution: RESOLUTION,
            iterations: self.iterations as usize,
            seed: self.measure.seed,
        };
        let query = |at: &[f64; 2]| {
            let at = Position::Plane(*at);
            Query::of(Quantity::Extremes { at, effort })
        };
        let found = measuring.values(&scene.spec, places.iter().map(query).collect(), bar)?;
        let point = |(at, found): (&[f64; 2], QueryAnswer)| match found {
            QueryAnswer::Curvature(ends) => Ok(Point::of(*at, ends)),
            other => bail!("expected a curvature of a worker, found {other:?}"),
        };
        places.iter().zip(found).map(point).collect()
    }

    fn map(&self, scene: &Scene, measuring: &mut Measuring) -> anyhow::Result<Grid> {
        let [x, y] = self.grid.lines(scene.window(), LINES);
        let bar = progress::bar("curvature", x.len() * y.len());
        let row = |y: f64| x.iter().map(move |x| [*x, y]);
        let places: Vec<[f64; 2]> = y.iter().flat_map(|y| row(*y)).collect();
        let points = self.at(scene, &places, measuring, (&bar, Step::Answer))?;
        bar.finish_and_clear();
        let points = points.chunks(x.len()).map(<[Point]>::to_vec).collect();
        Ok(Grid { x, y, points })
    }

    /// Measures the density of the spectrum, each random vector for itself.
    fn density(&self, scene: &Scene, measuring: &mut Measuring) -> anyhow::Result<Density> {
        let steps = self.iterations as usize;
        let query = |probe| {
            Query::of(Quantity::Density {
                at: Position::Plane(self.point.0),
                steps,
                seed: self.measure.seed.wrapping_add(probe),
            })
        };
        let bar = progress::bar("density", self.probes as usize * steps);
        let queries = (0..self.probes).map(query).collect();
        let found = measuring.values(&scene.spec, queries, (&bar, Step::Product))?;
        bar.finish_and_clear();
        let density = |value| match value {
            QueryAnswer::Density(density) => Ok(density),
            other => bail!("expected a density of a worker, found {other:?}"),
        };
        let seen = found
            .into_iter()
            .map(density)
            .collect::<anyhow::Result<Vec<_>>>()?;
        Ok(Density::mean(seen))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_two_numbers() {
        assert_eq!("0.5,-1e-2".parse(), Ok(PlanePoint([0.5, -0.01])));
        for wrong in ["1", "1,2,3", "a,b", "1,inf", ""] {
            assert!(wrong.parse::<PlanePoint>().is_err(), "{wrong}");
        }
    }
}
