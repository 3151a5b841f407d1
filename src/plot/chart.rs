//! A picture in which only the path is still to be inked: all that is the same whichever checkpoint is
//! looked at.

use super::picture::{Cell, Picture};

/// Column and row of a cell.
pub(super) type CellPlace = (usize, usize);

/// A cell of the path, or a mark on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stroke {
    pub(super) place: CellPlace,
    /// The checkpoint to which it leads.
    pub(super) checkpoint: usize,
    /// As it looks up to the checkpoint that is looked at, and after it.
    pub(super) cells: [Cell; 2],
}

impl Stroke {
    /// Returns a mark that looks the same before and after.
    pub(super) fn mark(place: CellPlace, cell: Cell) -> Self {
        Self {
            place,
            checkpoint: 0,
            cells: [cell; 2],
        }
    }
}

/// The path as it is inked over a picture.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Course {
    /// In the order in which they are put.
    pub(super) strokes: Vec<Stroke>,
    /// Cell of each checkpoint that is in sight.
    pub(super) stations: Vec<Option<CellPlace>>,
    /// The mark of the checkpoint that is looked at, where that is not the last one.
    pub(super) selected: Cell,
}

impl Course {
    /// Inks the path while this checkpoint is looked at.
    pub(super) fn ink(&self, picture: &mut Picture, selected: usize) {
        for stroke in &self.strokes {
            let after = usize::from(stroke.checkpoint > selected);
            picture.put(stroke.place.0, stroke.place.1, stroke.cells[after]);
        }
        let last = self.stations.len().saturating_sub(1);
        if let Some(Some((column, row))) = self.stations.get(selected).filter(|_| selected < last) {
            picture.put(*column, *row, self.selected);
        }
    }
}

/// A picture and the path that is still to be inked on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chart {
    pub(super) picture: Picture,
    pub(super) course: Course,
}

impl Chart {
    /// Returns the picture while this checkpoint is looked at.
    #[must_use]
    pub fn looked_at(&self, selected: usize) -> Picture {
        let mut picture = self.picture.clone();
        self.course.ink(&mut picture, selected);
        picture
    }
}

impl From<Picture> for Chart {
    /// Returns a picture that is done.
    fn from(picture: Picture) -> Self {
        Self {
            picture,
            course: Course::default(),
        }
    }
}
