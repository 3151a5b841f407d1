//! A data set in memory: named columns, of which some are what a model takes and one is what it should give.

use super::Split;
use super::column::{Column, ColumnValues};
use super::scale::PixelScale;

/// Samples in memory, ready to be copied to a device.
#[derive(Clone, Debug, PartialEq)]
pub struct Dataset {
    /// Name of the set, e.g. `fashion-mnist`, or of the folder or file for an unknown one.
    pub name: String,
    /// Train or test.
    pub split: Split,
    /// Columns that a model may take. All have the same number of samples.
    pub inputs: Vec<Column>,
    /// The values that the model should give; `None` if the data have nothing of the kind.
    pub target: Option<Column>,
    /// Words for the screen about how pixels were normalized (e.g. `mean 0.286 std 0.353 (fashion-mnist)`).
    pub normalization: String,
    /// The figures that they were normalized by.
    pub scale: PixelScale,
    /// Other figures that training may have normalized them by; empty where the user says, and where there are
    /// no pixels.
    pub scales: Vec<PixelScale>,
    /// Number of classes of the whole split, also of samples that were not taken.
    pub(super) classes: usize,
}

impl Dataset {
    /// Returns training samples that nothing was done to.
    #[must_use]
    pub fn of(name: &str, inputs: Vec<Column>, target: Option<Column>) -> Self {
        let largest = match target.as_ref().map(|target| &target.values) {
            Some(ColumnValues::I64(values)) => values.iter().max().copied(),
            _ => None,
        };
        let largest = largest.and_then(|largest| usize::try_from(largest).ok());
        Self {
            name: name.into(),
            split: Split::Train,
            inputs,
            target,
            normalization: String::new(),
            scale: PixelScale::default(),
            scales: Vec::new(),
            classes: largest.map_or(0, |largest| largest.saturating_add(1)),
        }
    }

    /// Returns the BLAKE3 hash of all that a loss may take of it.
    #[must_use]
    pub fn content(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        for column in self.inputs.iter().chain(&self.target) {
            let head = format!("{}\0{:?}\0", column.name, column.shape);
            hasher.update(head.as_bytes());
            match &column.values {
                ColumnValues::F32(values) => {
                    hasher.update(b"f32").update(bytemuck::cast_slice(values))
                }
                ColumnValues::I64(values) => {
                    hasher.update(b"i64").update(bytemuck::cast_slice(values))
                }
            };
        }
        // The scale tells by which figures others may be put in the place of its own.
        hasher.update(format!("{:?}\0{:?}\0{}", self.split, self.scale, self.classes).as_bytes());
        hasher.update(&[u8::from(self.target.is_some())]);
        *hasher.finalize().as_bytes()
    }

    /// Returns the number of samples.
    #[must_use]
    pub fn samples(&self) -> usize {
        let mut columns = self.inputs.iter().chain(&self.target);
        columns.next().map_or(0, Column::samples)
    }

    /// Returns the channels, height and width of the images, where a row of a table is an image of one line; `None` if
    /// the only input is neither.
    #[must_use]
    pub fn image(&self) -> Option<[usize; 3]> {
        match &self.inputs[..] {
            [only] if !only.is_integer() => match only.shape[..] {
                [channels, height, width] => Some([channels, height, width]),
                [features] => Some([1, 1, features]),
                _ => None,
            },
            _ => None,
        }
    }

    /// Returns the pixels of the images, or features of the table, row-major; empty if the only input is neither.
    #[must_use]
    pub fn pixels(&self) -> &[f32] {
        match self.inputs.first().map(|column| &column.values) {
            Some(ColumnValues::F32(pixels)) if self.image().is_some() => pixels,
            _ => &[],
        }
    }

    /// Returns the class of each sample; `None` if the target is something else.
    #[must_use]
    pub fn labels(&self) -> Option<Vec<u32>> {
        let target = self.target.as_ref()?;
        match &target.values {
            ColumnValues::I64(labels) if target.shape.is_empty() => labels
                .iter()
                .map(|label| u32::try_from(*label).ok())
                .collect(),
            _ => None,
        }
    }

    /// Says how its numbers were normalized.
    #[must_use]
    pub fn normalization_in_words(&self) -> String {
        if self.scale == PixelScale::default() {
            self.normalization.clone()
        } else {
            self.scale.words()
        }
    }

    /// Returns the number of classes: one more than the largest label of the whole split, 0 if the target has no
    /// classes.
    #[must_use]
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Returns at most `count` of the samples, spread evenly over the file's order, which may be that of the
    /// classes.
    #[must_use]
    pub fn evenly_chosen(&self, count: usize) -> Self {
        let all = self.samples();
        let chosen: Vec<usize> = match count.min(all) {
            0 => Vec::new(),
            count => (0..count)
                .map(|i| (2 * i + 1) * all / (2 * count))
                .collect(),
        };
        let taken = |column: &Column| column.taken(&chosen);
        Self {
            inputs: self.inputs.iter().map(taken).collect(),
            target: self.target.as_ref().map(taken),
            name: self.name.clone(),
            normalization: self.normalization.clone(),
            scale: self.scale.clone(),
            scales: self.scales.clone(),
            ..*self
        }
    }

    /// Returns the same samples, their pixels normalized by other figures.
    #[must_use]
    pub fn rescaled(&self, scale: &PixelScale) -> Self {
        let mut rescaled = Self {
            scale: scale.clone(),
            normalization: scale.words(),
            ..self.clone()
        };
        if let [images] = &mut rescaled.inputs[..]
            && let row = images.row().max(1)
            && let ColumnValues::F32(pixels) = &mut images.values
        {
            for image in pixels.chunks_mut(row) {
                self.scale.exchange(scale, image);
            }
        }
        rescaled
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use super::*;

    #[test]
    fn images_and_tables_are_known_and_nothing_else_is_one() {
        let set = |shape: &[usize], count: usize| {
            let column = Column {
                name: "x".into(),
                shape: shape.to_vec(),
                values: ColumnValues::F32(vec![0.5; count]),
            };
            Dataset::of("set", vec![column], Some(Column::labels(&[0, 3])))
        };
        assert_eq!(set(&[3, 2, 1], 12).image(), Some([3, 2, 1]));
        assert_eq!(set(&[6], 12).image(), Some([1, 1, 6]));
        assert_eq!(set(&[2, 3], 12).image(), None);
        let mut two = set(&[6], 12);
        two.inputs.push(Column::labels(&[1, 1]));
        assert_eq!((two.image(), two.pixels().len()), (None, 0));
        assert_eq!((two.samples(), two.classes()), (2, 4));
    }

    #[test]
    fn labels_are_classes_one_for_each_sample() {
        let mut set = Dataset::of("set", Vec::new(), Some(Column::labels(&[2, 0, 1, 1])));
        assert_eq!(set.labels(), Some(vec![2, 0, 1, 1]));
        assert_eq!(set.evenly_chosen(2).labels(), Some(vec![0, 1]));
        assert_eq!(set.evenly_chosen(2).classes(), 3);
        set.target.as_mut().unwrap().values = ColumnValues::I64(vec![2, -100, 1, 1]);
        assert_eq!(set.labels(), None);
        set.target.as_mut().unwrap().shape = vec![2];
        assert_eq!(set.labels(), None);
    }
}
