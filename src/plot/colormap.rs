//! Colours for losses: perceptually even gradients, cut into bands.

use super::picture::Rgb;

/// Source of the colours of bands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bands {
    /// A gradient, all of which recedes into the ground by this share, so that the path stands out.
    Gradient {
        /// From the lowest band to the highest.
        map: Colormap,
        /// 0 to 1.
        recede: f64,
    },
    /// These colours, the lowest band first, and none that are fainter.
    Steps(&'static [Rgb]),
}

impl Bands {
    /// Returns true if there are fainter colours than those of the bands.
    #[must_use]
    pub fn has_shades(self) -> bool {
        matches!(self, Self::Gradient { .. })
    }

    /// Returns the colour of band `index` of `count` on a ground, and how it is where it is dim.
    #[must_use]
    pub fn band(self, index: usize, count: usize, ground: Rgb, dim: bool) -> Rgb {
        match self {
            Self::Gradient { map, recede } => {
                let dimmed = recede + (1.0 - recede) * DIM;
                let share = if dim { dimmed } else { recede };
                map.band(index, count).towards(ground, share)
            }
            Self::Steps(steps) => {
                let last = steps.len().saturating_sub(1);
                let gaps = count.saturating_sub(1).max(1);
                let at = (2 * index * last + gaps) / (2 * gaps);
                steps.get(at.min(last)).copied().unwrap_or(ground)
            }
        }
    }
}

/// Share of what sets it off from the ground that a band loses when it is dim.
const DIM: f64 = 0.4;

/// A gradient that grows in lightness, so that it also reads without hue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Colormap {
    /// Blue over green to yellow.
    #[default]
    Viridis,
    /// Blue over grey to yellow: the same to colour-blind eyes.
    Cividis,
    /// Black over purple to cream.
    Magma,
    /// Black over red to yellow.
    Inferno,
    /// Blue over pink to yellow.
    Plasma,
    /// ColorBrewer's, from dark blue over green to pale yellow.
    YlGnBu,
    /// ColorBrewer's, from dark purple to pale blue.
    BuPu,
    /// ColorBrewer's, from brown over orange to pale yellow.
    YlOrBr,
}

/// ColorBrewer's maps begin at white, on which no path would be seen.
const PALEST: f64 = 0.12;

impl Colormap {
    /// The maps that a theme can name.
    pub const ALL: [Self; 8] = [
        Self::Viridis,
        Self::Cividis,
        Self::Magma,
        Self::Inferno,
        Self::Plasma,
        Self::YlGnBu,
        Self::BuPu,
        Self::YlOrBr,
    ];

    /// Returns its name, as themes call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Viridis => "viridis",
            Self::Cividis => "cividis",
            Self::Magma => "magma",
            Self::Inferno => "inferno",
            Self::Plasma => "plasma",
            Self::YlGnBu => "ylgnbu",
            Self::BuPu => "bupu",
            Self::YlOrBr => "ylorbr",
        }
    }

    /// Returns the colour at `t`, 0 to 1.
    #[must_use]
    pub fn at(self, t: f64) -> Rgb {
        let brewer = |gradient: colorous::Gradient| {
            gradient.eval_continuous(PALEST + (1.0 - PALEST) * (1.0 - t))
        };
        let colour = match self {
            Self::Viridis => colorous::VIRIDIS.eval_continuous(t),
            Self::Cividis => colorous::CIVIDIS.eval_continuous(t),
            Self::Magma => colorous::MAGMA.eval_continuous(t),
            Self::Inferno => colorous::INFERNO.eval_continuous(t),
            Self::Plasma => colorous::PLASMA.eval_continuous(t),
            Self::YlGnBu => brewer(colorous::YELLOW_GREEN_BLUE),
            Self::BuPu => brewer(colorous::BLUE_PURPLE),
            Self::YlOrBr => brewer(colorous::YELLOW_ORANGE_BROWN),
        };
        Rgb(colour.r, colour.g, colour.b)
    }

    /// Returns the colour of band `index` of `count`, both ends of the gradient used.
    #[must_use]
    pub fn band(self, index: usize, count: usize) -> Rgb {
        self.at(index as f64 / count.saturating_sub(1).max(1) as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn higher_bands_are_lighter() {
        for map in Colormap::ALL {
            let luma: Vec<f64> = (0..13).map(|i| map.band(i, 13).luma()).collect();
            assert!(luma.is_sorted_by(|a, b| a < b), "{map:?}: {luma:?}");
        }
    }

    #[test]
    fn as_many_bands_as_steps_have_a_step_each() {
        const STEPS: &[Rgb] = &[Rgb(1, 1, 1), Rgb(2, 2, 2), Rgb(3, 3, 3)];
        let bands = |count| -> Vec<u8> {
            let band = |index| Bands::Steps(STEPS).band(index, count, Rgb(0, 0, 0), true).0;
            (0..count).map(band).collect()
        };
        assert_eq!(bands(3), [1, 2, 3]);
        assert_eq!(bands(2), [1, 3]);
        assert_eq!(bands(5), [1, 2, 2, 3, 3]);
        assert_eq!(bands(1), [1]);
    }

    #[test]
    fn the_ends_of_viridis_are_its_own_and_one_band_is_a_colour_too() {
        assert_eq!(Colormap::Viridis.band(0, 13), Rgb(68, 1, 84));
        assert_eq!(Colormap::Viridis.band(12, 13), Rgb(253, 231, 37));
        assert_eq!(Colormap::Viridis.band(0, 1), Rgb(68, 1, 84));
    }
}
