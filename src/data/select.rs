//! Choice of the samples of a split.

use std::path::Path;

use rand::SeedableRng;
use rand::seq::index;
use rand_chacha::ChaCha8Rng;

use super::images::Images;
use super::{Count, DataError, DataRequest, SampleOrder};

/// Samples of a set that are measured at most: a compressed file may claim any number.
const MOST: usize = 1 << 25;

/// Makes sure that not more samples are asked for than are ever measured.
///
/// # Errors
/// They are more.
pub(super) fn check(path: &Path, total: usize, request: &DataRequest) -> Result<(), DataError> {
    let count = match request.count {
        Count::At(count) => count.min(total),
        Count::All => total,
    };
    if count <= MOST {
        return Ok(());
    }
    let expected = format!("at most {MOST} samples; take fewer by --samples");
    Err(DataError::invalid(path, expected, count.to_string()))
}

/// Returns the places of the samples that are asked for, ascending.
pub(super) fn chosen(total: usize, request: &DataRequest) -> Vec<usize> {
    let count = match request.count {
        Count::At(count) if count < total => count,
        _ => return (0..total).collect(),
    };
    match request.order {
        SampleOrder::First => (0..count).collect(),
        SampleOrder::Random => {
            let mut generator = ChaCha8Rng::seed_from_u64(request.seed);
            let mut chosen = index::sample(&mut generator, total, count).into_vec();
            chosen.sort_unstable();
            chosen
        }
    }
}

/// Takes samples out.
pub(super) fn take(images: Images, chosen: &[usize]) -> Images {
    if chosen.len() == images.labels.len() {
        return images;
    }
    let len = images.image_len();
    let image = |&i: &usize| images.pixels[i * len..(i + 1) * len].iter().copied();
    Images {
        name: images.name.clone(),
        shape: images.shape,
        pixels: chosen.iter().flat_map(image).collect(),
        labels: chosen.iter().map(|&i| images.labels[i]).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(count: Count, order: SampleOrder, seed: u64) -> Vec<u32> {
        let images = Images {
            name: "numbers".into(),
            shape: [1, 1, 2],
            pixels: (0..100u8)
                .flat_map(|i| [f32::from(i), -f32::from(i)])
                .collect(),
            labels: (0..100).collect(),
        };
        let request = DataRequest {
            count,
            order,
            seed,
            ..DataRequest::whole("x")
        };
        let chosen = chosen(images.labels.len(), &request);
        let taken = take(images, &chosen);
        for (pixels, label) in taken.pixels.chunks(2).zip(&taken.labels) {
            assert_eq!(
                pixels,
                [*label as f32, -(*label as f32)],
                "an image keeps its label"
            );
        }
        taken.labels
    }

    #[test]
    fn a_seed_names_its_samples_and_none_comes_twice() {
        let mut random = taken(Count::At(40), SampleOrder::Random, 1);
        assert_eq!(random, taken(Count::At(40), SampleOrder::Random, 1));
        assert_ne!(random, taken(Count::At(40), SampleOrder::Random, 2));
        assert!(random.is_sorted());
        random.dedup();
        assert_eq!(random.len(), 40);
    }

    #[test]
    fn more_samples_than_are_ever_measured_are_refused_before_they_are_counted_out() {
        let asked = |count| DataRequest {
            count,
            ..DataRequest::whole("x")
        };
        let check = |total, count| super::check(Path::new("x.npz"), total, &asked(count));
        assert!(check(MOST, Count::All).is_ok() && check(usize::MAX, Count::At(5)).is_ok());
        let refused = check(MOST + 1, Count::All).unwrap_err().to_string();
        assert!(
            refused.contains("x.npz") && refused.contains("--samples"),
            "{refused}"
        );
    }

    #[test]
    fn the_first_are_the_first_and_more_than_all_is_all() {
        assert_eq!(taken(Count::At(3), SampleOrder::First, 0), [0, 1, 2]);
        assert_eq!(taken(Count::At(1000), SampleOrder::Random, 0).len(), 100);
        assert_eq!(taken(Count::All, SampleOrder::Random, 0).len(), 100);
    }
}
