//! Samples: files of all formats, whole or made of parts so that mutations reach behind checksums.

use std::path::{Path, PathBuf};

use isoloss::data::{Columns, Count, DataRequest, SampleOrder, Split, TokenType, load};
use zip::CompressionMethod;

use super::checkpoints::with_body;
use super::{archive, assert_sentence, chosen, halves, write};

/// Samples that are asked for.
const SAMPLES: usize = 16;

/// Writes the files of a form, and returns what `--data` would be.
type Form = fn(&[u8]) -> PathBuf;

/// The forms, as the first byte chooses them; those that are read as columns too come first.
const FORMS: [Form; 11] = [
    |input| write("raw.npz", input),
    |input| {
        npz(
            "arrays.npz",
            ["x", "target"],
            input,
            CompressionMethod::Stored,
        )
    },
    |input| {
        npz(
            "packed.npz",
            ["x_train", "y_train"],
            input,
            CompressionMethod::Deflated,
        )
    },
    |input| write("table.safetensors", &with_body(input)),
    |input| write("ids.npy", input),
    |input| write("ids.bin", input),
    |input| {
        npz(
            "images.npz",
            ["images", "labels"],
            input,
            CompressionMethod::Stored,
        )
    },
    |input| idx("idx", "", input),
    |input| idx("packed", ".gz", input),
    |input| folder(&write("cifar-10/data_batch_1.bin", input)),
    |input| folder(&write("cifar-10-python/data_batch_1", input)),
];
/// Number of forms that a model of any kind takes.
const COLUMNS: usize = 6;

/// The first byte chooses a form, and in its upper half how it is read.
pub fn data(input: &[u8]) {
    let Some((form, rest)) = chosen(input, FORMS.len()) else {
        return;
    };
    let how = input[0] / FORMS.len() as u8;
    let columns = (form < COLUMNS && how.is_multiple_of(2)).then(|| Columns {
        inputs: vec!["x".into()],
        target: None,
        block: Some(4),
        token: [TokenType::U16, TokenType::U32][usize::from(how / 2 % 2)],
    });
    let request = DataRequest {
        count: Count::At(SAMPLES),
        order: [SampleOrder::First, SampleOrder::Random][usize::from(how / 4 % 2)],
        split: [Split::Train, Split::Test][usize::from(how / 8 % 2)],
        columns,
        ..DataRequest::whole(FORMS[form](rest))
    };
    if let Err(error) = load(&request) {
        assert_sentence(error);
    }
}

/// An archive of two arrays.
fn npz(file: &str, names: [&str; 2], input: &[u8], method: CompressionMethod) -> PathBuf {
    let (first, second) = halves(input);
    let names = names.map(|name| format!("{name}.npy"));
    let files = [(names[0].as_str(), first), (names[1].as_str(), second)];
    write(file, &archive(&files, method))
}

/// A folder of images and labels.
fn idx(name: &str, ending: &str, input: &[u8]) -> PathBuf {
    let (labels, images) = halves(input);
    write(&format!("{name}/train-labels-idx1-ubyte{ending}"), labels);
    folder(&write(
        &format!("{name}/train-images-idx3-ubyte{ending}"),
        images,
    ))
}

fn folder(path: &Path) -> PathBuf {
    path.parent().unwrap().to_path_buf()
}
