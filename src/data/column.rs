//! A column of a data set: one tensor for each sample.

/// Numbers of one type, of the first sample to the last.
#[derive(Clone, Debug, PartialEq)]
pub enum ColumnValues {
    /// Floats.
    F32(Vec<f32>),
    /// Whole numbers: classes, ids, truth values.
    I64(Vec<i64>),
}

/// One tensor for each sample, all of the same shape.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// Name of the array in its file, or `images` and `labels` of a set of images.
    pub name: String,
    /// Shape of one sample's tensor, none of whose extents is 0; empty where it is a single number.
    pub shape: Vec<usize>,
    /// All samples' tensors one after another, row-major.
    pub values: ColumnValues,
}

impl ColumnValues {
    /// Returns the number of elements.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::F32(values) => values.len(),
            Self::I64(values) => values.len(),
        }
    }

    /// Returns true if there is no element.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Column {
    /// Returns a column of images of this many channels, rows and pixels a row.
    #[must_use]
    pub fn images(shape: [usize; 3], pixels: Vec<f32>) -> Self {
        Self {
            name: "images".into(),
            shape: shape.to_vec(),
            values: ColumnValues::F32(pixels),
        }
    }

    /// Returns a column of one class for each sample.
    #[must_use]
    pub fn labels(classes: &[u32]) -> Self {
        Self {
            name: "labels".into(),
            shape: Vec::new(),
            values: ColumnValues::I64(classes.iter().copied().map(i64::from).collect()),
        }
    }

    /// Returns the number of elements of a sample.
    #[must_use]
    pub fn row(&self) -> usize {
        self.shape.iter().product()
    }

    /// Returns the number of samples.
    #[must_use]
    pub fn samples(&self) -> usize {
        self.values.len() / self.row().max(1)
    }

    /// Returns true if its numbers are whole ones.
    #[must_use]
    pub fn is_integer(&self) -> bool {
        matches!(self.values, ColumnValues::I64(_))
    }

    /// Returns the samples at these places, as a column of the same name.
    pub(super) fn taken(&self, chosen: &[usize]) -> Self {
        let row = self.row();
        Self {
            name: self.name.clone(),
            shape: self.shape.clone(),
            values: match &self.values {
                ColumnValues::F32(values) => ColumnValues::F32(rows(values, row, chosen)),
                ColumnValues::I64(values) => ColumnValues::I64(rows(values, row, chosen)),
            },
        }
    }
}

/// Returns the rows of these numbers.
fn rows<T: Copy>(values: &[T], row: usize, chosen: &[usize]) -> Vec<T> {
    let of = |&at: &usize| values.get(at * row..(at + 1) * row).unwrap_or_default();
    chosen.iter().flat_map(of).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_keep_their_rows_and_single_numbers_are_rows_of_one() {
        let images = Column::images([1, 1, 2], vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        assert_eq!((images.samples(), images.row()), (3, 2));
        let taken = images.taken(&[0, 2]);
        assert_eq!(taken.values, ColumnValues::F32(vec![1.0, 2.0, 5.0, 6.0]));
        let labels = Column::labels(&[7, 8, 9]);
        assert_eq!((labels.samples(), labels.row()), (3, 1));
        assert_eq!(labels.taken(&[1]).values, ColumnValues::I64(vec![8]));
        assert!(labels.is_integer() && !images.is_integer());
    }
}
