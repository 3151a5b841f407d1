//! Chains of convolutions and Linear layers as LeNet: names tell the layers, and the sizes of the images and of the
//! first Linear layer tell padding, strides and pools.

use std::sync::Arc;

use super::chain::{Chain, Stage};
use super::detect::{Inventory, Mismatch};
use super::layers::{Conv, Layer, Writer};
use super::{Recognized, count, mlp};
use crate::model::activation::Activation;
use crate::model::arrangement::{Arrangement, Borders, Downsampling, Pooling};
use crate::model::ops::Pool;
use crate::model::program::Program;
use crate::model::reading::{NormPosition, Reading};

/// Side of the windows of pools.
const POOL: Pool = Pool::halving(false);
/// Arrangements up to which the other kind of pool is asked for each, and readings up to which all activations are.
const ARRANGEMENTS: usize = 3;
pub(super) const FEW: usize = 2 * ARRANGEMENTS;
/// Activations that are asked of more readings: ReLU, GELU and tanh.
pub(super) const AT_ONCE: usize = 3;

/// The layers behind each convolution in an arrangement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Step {
    padding: usize,
    stride: usize,
    is_pooled: bool,
}

/// An arrangement that gives as many values as the first Linear layer takes.
#[derive(Clone, Debug)]
struct FittingArrangement {
    arrangement: Arrangement,
    steps: Vec<Step>,
    /// Channels, height and width behind the convolutions; `None` where no images were given.
    extents: Option<[usize; 3]>,
    /// The Linear layer takes the mean of each channel.
    is_average: bool,
}

struct ConvNet {
    chain: Chain,
    /// Number of convolutions.
    convs: usize,
}

/// Reads a chain of convolutions and Linear layers; `image` (channels, height, width) decides what names leave open.
pub(super) fn recognize(
    mut inventory: Inventory,
    image: Option<[usize; 3]>,
    asked: Reading,
) -> Result<Recognized, Mismatch> {
    let net = ConvNet::of(Chain::take(&mut inventory)?)?;
    let fits = net.fits(image)?;
    let is_open = fits.len() > 1;
    let chosen = match asked.arrangement.filter(|_| is_open) {
        None => fits.first(),
        Some(asked) => fits.iter().find(|fit| fit.arrangement == asked),
    };
    let fit = chosen.ok_or_else(|| net.other(&fits, asked.arrangement))?;
    let usual = net.chain.open_position();
    let position = asked.norm_position.or(usual);
    let of = |fit: &FittingArrangement, pooling: Pooling| Reading {
        arrangement: is_open.then_some(fit.arrangement),
        pooling: fit.is_pooled().then_some(pooling),
        norm_position: position.filter(|_| usual.is_some()),
        ..Reading::default()
    };
    let pooling = asked.pooling.unwrap_or_default();
    let left: Vec<&FittingArrangement> = match asked.arrangement {
        None => fits.iter().collect(),
        Some(_) => vec![fit],
    };
    let poolings: Vec<Pooling> = match asked.pooling {
        None if left.len() <= ARRANGEMENTS => Pooling::ALL.to_vec(),
        _ => vec![pooling],
    };
    let all = poolings
        .iter()
        .flat_map(|pooling| left.iter().map(|fit| of(fit, *pooling)));
    let mut readings: Vec<Reading> = Vec::new();
    for reading in all {
        if !readings.contains(&reading) {
            readings.push(reading);
        }
    }
    let later = if readings.len() <= FEW {
        Vec::new()
    } else {
        Activation::ALL[AT_ONCE..].to_vec()
    };
    Ok(Recognized {
        name: "convnet".into(),
        evidence: net.evidence(inventory.slots().len(), fit, &fits, asked),
        reading: of(fit, pooling),
        readings,
        activations: later,
        kept: None,
        untold: net.chain.untold(),
        program: net.program(fit, pooling, position.unwrap_or_default()),
    })
}

impl ConvNet {
    fn of(chain: Chain) -> Result<Self, Mismatch> {
        let stages = chain.stages.iter();
        let convs = stages.filter(|stage| matches!(stage.layer, Layer::Conv(_)));
        let convs = convs.count();
        let is_missing = |part: &str| Mismatch::Missing(format!("{part}'s weight"));
        if convs == 0 {
            return Err(is_missing("a convolution"));
        }
        if chain.stages.len() == convs {
            return Err(is_missing("a Linear layer"));
        }
        let net = Self { chain, convs };
        if !net.flattened().is_multiple_of(net.channels()) {
            return Err(Mismatch::Structure(format!(
                "the first Linear layer takes {} values, not a multiple of the {} channels before it",
                net.flattened(),
                net.channels()
            )));
        }
        Ok(net)
    }

    fn convs(&self) -> impl Iterator<Item = &Conv> + Clone {
        self.chain
            .stages
            .iter()
            .filter_map(|stage| match &stage.layer {
                Layer::Conv(conv) => Some(conv),
                Layer::Linear(_) => None,
            })
    }

    fn head(&self) -> &[Stage] {
        &self.chain.stages[self.convs..]
    }

    /// Returns the channels that the convolutions end with.
    fn channels(&self) -> usize {
        self.convs().last().map_or(1, |last| last.outputs.max(1))
    }

    /// Returns the number of values that the first Linear layer takes.
    fn flattened(&self) -> usize {
        self.head().first().map_or(0, |first| first.layer.inputs())
    }

    /// Returns the arrangements that fit the numbers, the usual one first; without images the usual one.
    fn fits(&self, image: Option<[usize; 3]>) -> Result<Vec<FittingArrangement>, Mismatch> {
        let all = Arrangement::ALL.into_iter();
        let mut fits: Vec<FittingArrangement> =
            all.filter_map(|fit| self.fit(fit, image)).collect();
        // As many values as channels are a mean as a rule, which takes any size: one place that is left is no sign.
        let is_mean = self.flattened() == self.channels();
        if is_mean {
            fits.sort_by_key(|fit| !fit.is_padded());
        } else if fits.iter().any(FittingArrangement::is_told) {
            fits.retain(FittingArrangement::is_told);
        }
        let mut distinct: Vec<FittingArrangement> = Vec::new();
        for fit in fits {
            if distinct.iter().all(|known| known.steps != fit.steps) {
                distinct.push(fit);
            }
        }
        if image.is_none() {
            distinct.truncate(1);
        }
        if distinct.is_empty() {
            return Err(self.no_fit(image.unwrap_or_default()));
        }
        Ok(distinct)
    }

    /// Returns the arrangement where it gives what the first Linear layer takes, as it is or as a mean.
    fn fit(
        &self,
        arrangement: Arrangement,
        image: Option<[usize; 3]>,
    ) -> Option<FittingArrangement> {
        let is_mean = self.flattened() == self.channels() && arrangement.borders != Borders::First;
        let exact = self.fit_as(arrangement, false, image);
        exact.or_else(|| self.fit_as(arrangement, true, image).filter(|_| is_mean))
    }

    /// Returns the arrangement with its extents where it leaves room for its pools, and where all values are as many
    /// as the first Linear layer takes, if it does not take their mean.
    fn fit_as(
        &self,
        arrangement: Arrangement,
        is_average: bool,
        image: Option<[usize; 3]>,
    ) -> Option<FittingArrangement> {
        if !self.has_room(arrangement, is_average) {
            return None;
        }
        let steps = self.steps(arrangement, is_average);
        let Some([_, height, width]) = image else {
            return Some(FittingArrangement {
                arrangement,
                steps,
                extents: None,
                is_average,
            });
        };
        let mut convs = self.convs().zip(&steps);
        let [h, w] = convs.try_fold([height, width], |[h, w], (conv, step)| {
            let size = [step.behind(h, conv.kernel)?, step.behind(w, conv.kernel)?];
            if step.is_pooled {
                POOL.windows(size)
            } else {
                Some(size)
            }
        })?;
        let values = h.checked_mul(w)?.checked_mul(self.channels())?;
        (is_average || values == self.flattened()).then_some(FittingArrangement {
            arrangement,
            steps,
            extents: Some([self.channels(), h, w]),
            is_average,
        })
    }

    fn steps(&self, arrangement: Arrangement, is_average: bool) -> Vec<Step> {
        let of = |(i, conv): (usize, &Conv)| {
            let is_last = i + 1 == self.convs;
            let is_padded = match arrangement.borders {
                Borders::None => false,
                Borders::Same => true,
                Borders::First => i == 0,
            };
            Step {
                padding: if is_padded { (conv.kernel - 1) / 2 } else { 0 },
                stride: if arrangement.steps == Downsampling::Strided {
                    2
                } else {
                    1
                },
                is_pooled: match arrangement.steps {
                    Downsampling::Told => self.room(i, is_average) == Some(true),
                    Downsampling::ToldAndLast => is_last || self.room(i, is_average) == Some(true),
                    Downsampling::Each => true,
                    Downsampling::Last => is_last,
                    Downsampling::Inner => !is_last,
                    Downsampling::Second => i % 2 == 1,
                    Downsampling::None | Downsampling::Strided => false,
                },
            }
        };
        self.convs().enumerate().map(of).collect()
    }

    /// Returns true if numbers of modules leave room for a pool behind a convolution: beside the activation, and
    /// what makes a vector of an image, or takes its mean first; `None` if they do not tell.
    fn room(&self, conv: usize, is_average: bool) -> Option<bool> {
        let between = self.chain.stages.get(conv)?.between?;
        let is_last = conv + 1 == self.convs;
        let others = 1 + u64::from(is_last) + u64::from(is_last && is_average);
        (between > 0).then_some(between > others)
    }

    /// Returns true if the numbers of modules leave room for an arrangement's pools.
    fn has_room(&self, arrangement: Arrangement, is_average: bool) -> bool {
        let last = self.convs - 1;
        let is_last_told = self.room(last, is_average).is_some();
        let are_told = (0..last).all(|conv| self.room(conv, is_average).is_some());
        match arrangement.steps {
            Downsampling::Told => are_told && (last > 0 || is_last_told),
            Downsampling::ToldAndLast => are_told && last > 0 && !is_last_told,
            _ => {
                let steps = self.steps(arrangement, is_average);
                let mut steps = steps.iter().enumerate();
                steps.all(|(conv, step)| {
                    !step.is_pooled || self.room(conv, is_average) != Some(false)
                })
            }
        }
    }

    fn no_fit(&self, [channels, height, width]: [usize; 3]) -> Mismatch {
        Mismatch::Structure(format!(
            "its first Linear layer takes {} values from {} channels, which no usual padding, stride and pooling of \
             {} makes of an image of {channels}×{height}×{width}: export the model (--model model.pt2)",
            self.flattened(),
            self.channels(),
            count(self.convs, "convolution"),
        ))
    }

    /// Says that an arrangement that was asked for does not fit.
    fn other(&self, fits: &[FittingArrangement], asked: Option<Arrangement>) -> Mismatch {
        let known: Vec<&str> = fits.iter().map(|fit| fit.arrangement.name()).collect();
        Mismatch::Structure(format!(
            "--arrangement {} does not give the {} values of its first Linear layer, expected {}",
            asked.map_or("auto", Arrangement::name),
            self.flattened(),
            known.join(", ")
        ))
    }

    fn program(
        &self,
        fit: &FittingArrangement,
        pooling: Pooling,
        position: NormPosition,
    ) -> Arc<Program> {
        let channels = self.convs().next().map(|first| first.inputs);
        let (mut writer, mut x) = Writer::of(&[channels, None, None]);
        if let Some(norm) = &self.chain.first {
            x = writer.norm(x, norm);
        }
        let pool = |writer: &mut Writer, x| match pooling {
            Pooling::Max => writer.max(x, POOL),
            Pooling::Average => writer.average(x, POOL),
        };
        for ((stage, conv), step) in self.chain.stages.iter().zip(self.convs()).zip(&fit.steps) {
            x = writer.conv(x, &conv.with(step.stride, step.padding));
            let is_after = stage.position().unwrap_or(position) == NormPosition::After;
            // Two modules ahead of a norm are the activation and the pool.
            let is_behind = is_after && stage.ahead.is_some_and(|ahead| ahead > 1);
            if is_after {
                x = writer.relu(x);
            }
            if is_behind && step.is_pooled {
                x = pool(&mut writer, x);
            }
            if let Some(norm) = &stage.norm {
                x = writer.norm(x, norm);
            }
            if !is_after {
                x = writer.relu(x);
            }
            if !is_behind && step.is_pooled {
                x = pool(&mut writer, x);
            }
        }
        x = if fit.is_average {
            writer.global_average(x)
        } else {
            writer.flatten(x)
        };
        x = mlp::write(&mut writer, x, self.head(), position);
        writer.finish(x)
    }

    fn evidence(
        &self,
        tensors: usize,
        fit: &FittingArrangement,
        fits: &[FittingArrangement],
        asked: Reading,
    ) -> String {
        let kernels = self.convs().map(|conv| format!("{0}×{0}", conv.kernel));
        let mut kernels: Vec<String> = kernels.collect();
        kernels.dedup();
        let arrangement = match fit.extents {
            None => "the size of the samples tells padding and pools".into(),
            Some(extents) => {
                let [c, h, w] = extents;
                let sizes = if fit.is_average {
                    format!("and the mean of {c}×{h}×{w}")
                } else {
                    format!("which make {c}×{h}×{w} = {} values", self.flattened())
                };
                format!("{}, {sizes}", fit.arrangement.words())
            }
        };
        let open = match (asked.arrangement, fits.len() - 1) {
            (Some(_), _) | (None, 0) => String::new(),
            (None, others) => format!(
                " (assumed; {others} other {} the numbers too)",
                if others == 1 {
                    "arrangement fits"
                } else {
                    "arrangements fit"
                }
            ),
        };
        let pools = match (fit.is_pooled(), asked.pooling) {
            (false, _) => "",
            (true, None) => ", max pooling assumed",
            (true, Some(Pooling::Max)) => ", max pooling",
            (true, Some(Pooling::Average)) => ", average pooling",
        };
        format!(
            "{} of {} {} of widths {} and {} of widths {}, taken one after another: {arrangement}{open}{pools}{}{}",
            count(tensors, "tensor"),
            count(self.convs, "convolution"),
            kernels.join(", "),
            mlp::widths(&self.chain.stages[..self.convs]),
            count(self.head().len(), "Linear layer"),
            mlp::widths(self.head()),
            mlp::norms(&self.chain, asked),
            if asked.activation.is_none() {
                "; names do not tell the activation"
            } else {
                ""
            },
        )
    }
}

impl FittingArrangement {
    fn is_pooled(&self) -> bool {
        self.steps.iter().any(|step| step.is_pooled)
    }

    fn is_told(&self) -> bool {
        matches!(
            self.arrangement.steps,
            Downsampling::Told | Downsampling::ToldAndLast
        )
    }

    fn is_padded(&self) -> bool {
        self.arrangement.borders == Borders::Same
    }
}

impl Step {
    /// Returns the number of places that a convolution gives of a side of so many; `None` if there are none.
    fn behind(self, len: usize, kernel: usize) -> Option<usize> {
        let padded = len.checked_add(2 * self.padding)?;
        Some(padded.checked_sub(kernel)? / self.stride + 1)
    }
}
