//! Checkpoints: whole files, pickles in a whole archive, headers of safetensors before a whole body.

use std::path::Path;

use isoloss::model;
use isoloss::run::{Checkpoint, Hyper, content, header};
use isoloss::weights::{RunCheckpoint, RunShape, direction};
use safetensors::tensor::Metadata;
use zip::CompressionMethod;

use super::{archive, assert_sentence, chosen, write};

/// Bytes behind a header at most.
const BODY: usize = 1 << 20;

/// A file as it is.
pub fn torch(input: &[u8]) {
    checkpoint(&write("step_1.pt", input));
}

/// The pickle of an archive in which everything else is right.
pub fn pickle(input: &[u8]) {
    let storage = [0x3d; 96];
    let files: [(&str, &[u8]); 7] = [
        ("archive/data.pkl", input),
        ("archive/byteorder", b"little"),
        ("archive/data/0", &storage),
        ("archive/data/1", &storage),
        ("archive/data/2", &storage),
        ("archive/data/3", &storage),
        ("archive/version", b"3\n"),
    ];
    let bytes = archive(&files, CompressionMethod::Stored);
    checkpoint(&write("step_1.pt", &bytes));
}

/// A header with its length and as many bytes as it promises, or the index of a folder of two files.
pub fn safetensors(input: &[u8]) {
    let Some((form, input)) = chosen(input, 2) else {
        return;
    };
    if form == 1 {
        let index = write("sharded/model.safetensors.index.json", input);
        for (part, tensor) in [("00001", "a.weight"), ("00002", "b.weight")] {
            let header =
                format!(r#"{{"{tensor}":{{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]}}}}"#);
            let name = format!("sharded/model-{part}-of-00002.safetensors");
            write(&name, &with_body(header.as_bytes()));
        }
        return checkpoint(index.parent().unwrap());
    }
    checkpoint(&write("step_1.safetensors", &with_body(input)));
}

/// A file of safetensors with this header.
pub(super) fn with_body(header: &[u8]) -> Vec<u8> {
    let promised = serde_json::from_slice::<Metadata>(header);
    let promised = promised.map_or(0, |metadata| metadata.data_len());
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header);
    bytes.resize(bytes.len() + promised.min(BODY), 0x3d);
    bytes
}

/// Reads header, names, settings and, where there is a layout, all values; asks for the model.
fn checkpoint(path: &Path) {
    let checkpoint = Checkpoint::new(1, path);
    let _ = Hyper::of(&checkpoint);
    if let Err(error) = header(path, Some("model")) {
        assert_sentence(error);
    }
    let _ = content(path, None);
    let shape = match RunShape::of(&checkpoint, None) {
        Ok(shape) => shape,
        Err(error) => return assert_sentence(error),
    };
    if let Err(error) = model::recognize(&shape.layout, "auto", None) {
        assert_sentence(error);
    }
    let read = RunCheckpoint::open(&checkpoint, &shape);
    let read = read.and_then(|open| direction::flat(&shape.layout, &open));
    if let Err(error) = read {
        assert_sentence(error);
    }
}
