//! Colours for losses: perceptually even gradients, cut into bands.

use super::picture::Rgb;

/// A gradient that is even in lightness, so that it also reads without hue.
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
}

impl Colormap {
    /// The colour at `t`, 0 to 1.
    #[must_use]
    pub fn at(self, t: f64) -> Rgb {
        let gradient = match self {
            Self::Viridis => colorous::VIRIDIS,
            Self::Cividis => colorous::CIVIDIS,
            Self::Magma => colorous::MAGMA,
        };
        let colour = gradient.eval_continuous(t);
        Rgb(colour.r, colour.g, colour.b)
    }

    /// The colour of band `index` of `count`, both ends of the gradient used.
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
        for map in [Colormap::Viridis, Colormap::Cividis, Colormap::Magma] {
            let luma: Vec<f64> = (0..13).map(|i| map.band(i, 13).luma()).collect();
            assert!(luma.is_sorted_by(|a, b| a < b), "{map:?}: {luma:?}");
        }
    }

    #[test]
    fn the_ends_of_viridis_are_its_own_and_one_band_is_a_colour_too() {
        assert_eq!(Colormap::Viridis.band(0, 13), Rgb(68, 1, 84));
        assert_eq!(Colormap::Viridis.band(12, 13), Rgb(253, 231, 37));
        assert_eq!(Colormap::Viridis.band(0, 1), Rgb(68, 1, 84));
    }
}
