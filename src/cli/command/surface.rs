//! `isoloss surface`: loss and score on a plane.

use std::path::PathBuf;

use clap::Args;

use crate::cli::options::{DEFAULT_VIEW, MeasureOptions, PathOptions, view};
use crate::cli::output::{Format, Forms, OutputOptions, Usage};
use crate::cli::scene::{EffortOptions, GridOptions, PlaneOptions};
use crate::cli::{learning_rates, progress, warn};
use crate::data::Split;
use crate::landscape::Assumed;
use crate::plot::ViewAngle;
use crate::report::{PathPoint, SurfaceReport};
use crate::run::Logged;

#[derive(Debug, Args)]
pub(in crate::cli) struct Surface {
    /// Folder of the run, or a checkpoint
    run: PathBuf,
    #[command(flatten)]
    path: PathOptions,
    #[command(flatten)]
    measure: MeasureOptions,
    #[command(flatten)]
    plane: PlaneOptions,
    #[command(flatten)]
    grid: GridOptions,
    #[command(flatten)]
    effort: EffortOptions,
    /// A relief instead of the map, turned and tilted by degrees (30,35): --relief=120,50
    #[arg(
        long,
        help_heading = "Output",
        value_name = "TURN,TILT",
        value_parser = view,
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = DEFAULT_VIEW,
        allow_hyphen_values = true
    )]
    relief: Option<ViewAngle>,
    #[command(flatten)]
    output: OutputOptions,
}

impl Surface {
    pub(in crate::cli) fn run(&self) -> anyhow::Result<()> {
        self.output.check(&self.run, Format::OF_MAPS)?;
        let plane = self.plane.plane_out.as_deref();
        self.output.refuse_same("--plane-out", plane)?;
        let is_drawn = matches!(self.output.format, Format::Text | Format::Svg | Format::Png);
        if self.relief.is_some() && !is_drawn {
            return Err(Usage("--relief is a picture: --format text, svg or png".into()).into());
        }
        let scene = (self.plane).scene(&self.run, &self.path, &self.measure)?;
        let mut measuring = self.measure.start(&[&self.run], self.measure.split)?;
        let mut subject = measuring.begin(&self.run, &scene.path.shape, &scene.path.members)?;
        let grid = self.effort.surface(scene.lines(&self.grid));
        let points = grid.x().len() * grid.y().len();
        let bar = progress::at_most("surface", points + 2 * scene.places.len());
        let asked = (grid, self.effort);
        let (grid, fidelity) = scene.explore(&mut measuring, subject.score, asked, &bar)?;
        let path = scene.measure_path(&mut measuring, &bar)?;
        bar.finish_and_clear();
        let members = &scene.path.members;
        let logged = learning_rates::logged(&self.run, &self.path.key, members).unwrap_or_default();
        self.weigh(&mut subject.assumed, &logged, &path)?;
        let report = SurfaceReport {
            run: self.run.display().to_string(),
            origin: scene.origin.step,
            model: subject.model,
            assumed: subject.assumed,
            parameters: scene.path.parameters,
            samples: measuring.samples(),
            split: self.measure.split,
            seed: self.measure.seed,
            bn: scene.spec.batch_norm,
            has_statistics: scene.path.shape.layout.has_statistics(),
            plane: PlaneOptions::report(&scene),
            score: subject.score,
            grid,
            fidelity,
            path,
            drops: learning_rates::drops_with(&self.run, members, &logged),
        };
        let forms = Forms {
            picture: Some(&|palette| report.picture(self.relief, palette)),
            arrays: Some(&|| Ok(report.arrays())),
            pieces: Some(&|| report.pieces()),
        };
        self.output.print(
            |width| report.text(self.relief, width),
            &report.json(),
            || report.csv(),
            &forms,
        )
    }

    /// Holds the losses of the path against those that training logged itself.
    fn weigh(
        &self,
        assumed: &mut Assumed,
        logged: &[Logged],
        path: &[PathPoint],
    ) -> anyhow::Result<()> {
        if self.measure.split != Split::Train {
            return Ok(());
        }
        let pairs = logged.iter().zip(path);
        let pairs: Vec<[f64; 2]> = pairs
            .filter_map(|(logged, point)| Some([logged.train?, point.loss]))
            .collect();
        assumed.weigh(&pairs);
        if let Some(said) = &assumed.logged {
            warn::say(said)?;
        }
        Ok(())
    }
}
