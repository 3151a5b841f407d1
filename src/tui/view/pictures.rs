//! The pictures of the last frames, kept: one of which nothing has changed is not drawn again.

use std::cell::RefCell;

use ratatui::layout::Rect;

use crate::plot::map::panels::{self};
use crate::plot::map::{self};
use crate::plot::{Chart, MapScene, Panel, Picture, PictureKey, relief};

/// Pictures that are kept: those of one screen, and of the one before it that is turned back to.
const KEPT: usize = 4;

/// Pictures by what they were drawn of, the one asked for last in front.
#[derive(Clone, Debug, Default)]
pub(in crate::tui) struct Pictures(RefCell<Vec<(PictureKey, Chart)>>);

impl Pictures {
    /// Returns a map that fills an area.
    pub(in crate::tui) fn map(&self, scene: &MapScene<'_>, area: Rect) -> Picture {
        let key = PictureKey::default().count(0).scene(scene);
        self.chart(key, area, scene.selected, |width, height| {
            map::chart(scene, width, height)
        })
    }

    /// Returns a relief that fills an area.
    pub(in crate::tui) fn relief(
        &self,
        scene: &MapScene<'_>,
        view: relief::ViewAngle,
        area: Rect,
    ) -> Picture {
        let key = PictureKey::default().count(1).scene(scene);
        let key = key.number(view.turn).number(view.tilt);
        self.chart(key, area, scene.selected, |width, height| {
            relief::chart(scene, view, width, height)
        })
    }

    /// Draws maps side by side that fill an area.
    pub(in crate::tui) fn panels(&self, panels: &[Panel<'_>], area: Rect) -> Picture {
        let key = PictureKey::default().count(2).count(panels.len());
        let key = panels.iter().fold(key, |key, panel| {
            let Panel { title, scene } = panel;
            key.text(title).scene(scene).count(scene.selected)
        });
        self.chart(key, area, 0, |width, height| {
            panels::draw(panels, width, height).into()
        })
    }

    /// Returns the picture of this key and size, drawn only where it is not there.
    fn chart(
        &self,
        key: PictureKey,
        area: Rect,
        selected: usize,
        draw: impl FnOnce(usize, usize) -> Chart,
    ) -> Picture {
        let (width, height) = (area.width.into(), area.height.into());
        let key = key.count(width).count(height);
        let mut kept = self.0.borrow_mut();
        if let Some(at) = kept.iter().position(|(known, _)| *known == key) {
            kept[..=at].rotate_right(1);
        } else {
            kept.truncate(KEPT - 1);
            kept.insert(0, (key, draw(width, height)));
        }
        kept[0].1.looked_at(selected)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plot::Cell;
    use std::cell::Cell as Counter;

    /// Asks for these pictures in turn, and says how often one was drawn.
    fn drawn(asked: &[(f64, u16)]) -> usize {
        let (pictures, count) = (Pictures::default(), Counter::new(0));
        for &(number, width) in asked {
            let key = PictureKey::default().number(number);
            let picture = pictures.chart(key, Rect::new(0, 0, width, 1), 0, |width, height| {
                count.set(count.get() + 1);
                let mut picture = Picture::new(width, height);
                picture.print(0, 0, &number.to_string(), Cell::default());
                picture.into()
            });
            let text = number.to_string();
            assert_eq!(
                picture.text().trim_end(),
                &text[..text.len().min(width.into())]
            );
        }
        count.get()
    }

    #[test]
    fn a_picture_is_drawn_once_for_the_same_numbers_and_size() {
        assert_eq!(drawn(&[(1.5, 8), (1.5, 8), (1.5, 8)]), 1);
        assert_eq!(drawn(&[(1.5, 8), (2.5, 8), (1.5, 8), (1.5, 9)]), 3);
        assert_eq!(
            drawn(&[(f64::NAN, 8), (f64::NAN, 8), (0.0, 8), (-0.0, 8)]),
            3
        );
    }

    #[test]
    fn the_one_that_was_asked_for_longest_ago_is_let_go() {
        let four = [1.0, 2.0, 3.0, 4.0].map(|number| (number, 4));
        assert_eq!(drawn(&[&four[..], &four].concat()), 4);
        assert_eq!(
            drawn(&[&four[..], &[(1.0, 4), (5.0, 4), (1.0, 4)]].concat()),
            5
        );
        assert_eq!(drawn(&[&four[..], &[(5.0, 4), (1.0, 4)]].concat()), 6);
    }
}
