//! Appearance of pictures: layers, levels, characters, colours.

use crate::plot::{Layers, LevelScale, Marker};

use crate::tui::input::action::Action;
use crate::tui::theme::themes::Themes;

/// Choices of how pictures are drawn.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Appearance {
    /// Bands, lines or both.
    pub layers: Layers,
    /// Spacing of the levels.
    pub scale: LevelScale,
    /// Characters to draw with.
    pub marker: Marker,
    /// Colours, and how many of them.
    pub themes: Themes,
}

impl Appearance {
    /// Turns to the next layers, scale, marker or theme; ignores other actions.
    pub(super) fn update(&mut self, action: Action) {
        match action {
            Action::NextLayers => self.layers = self.layers.next(),
            Action::NextScale => self.scale = self.scale.next(),
            Action::NextMarker => self.marker = self.marker.next(),
            Action::NextTheme => self.themes.next(),
            _ => {}
        }
    }
}
