//! Programs that `torch.export.save` writes.

use std::sync::LazyLock;

use isoloss::model;
use isoloss::run::{StateDict, TensorInfo};
use isoloss::weights::Layout;
use zip::CompressionMethod;

use super::{archive, assert_sentence, chosen, fixture, write};

/// Models of the fixtures, whose names a program may take weights by.
const MODELS: [&str; 8] = [
    "autoencoder",
    "cnn1d",
    "lstm",
    "mlp",
    "nanogpt",
    "pinn",
    "vgg_bn",
    "vit",
];

/// The tensors of all of these.
static LAYOUT: LazyLock<Layout> = LazyLock::new(|| {
    let mut tensors: Vec<TensorInfo> = Vec::new();
    for model in MODELS {
        let file = fixture(&format!("pt2/{model}/checkpoint-a.safetensors"));
        for tensor in StateDict::open(&file, None).unwrap().tensors() {
            if tensors.iter().all(|known| known.name != tensor.name) {
                tensors.push(tensor.clone());
            }
        }
    }
    Layout::of(&tensors)
});

/// A whole archive, or the program, the list of weights and that of constants, with a zero byte between, of an archive
/// in which everything else is right.
pub fn pt2(input: &[u8]) {
    let Some((form, input)) = chosen(input, 2) else {
        return;
    };
    let path = if form == 0 {
        write("model.pt2", input)
    } else {
        write("model.pt2", &assembled(input))
    };
    let file = path.to_str().unwrap();
    let read = [
        model::arguments(file).err(),
        model::roles(file).err(),
        model::recognize(&LAYOUT, file, None).err(),
    ];
    read.into_iter().flatten().for_each(assert_sentence);
}

fn assembled(input: &[u8]) -> Vec<u8> {
    let mut parts = input.splitn(3, |byte| *byte == 0);
    let mut part = || parts.next().unwrap_or(b"{\"config\": {}}");
    let tensor = [0x3d; 256];
    let files: [(&str, &[u8]); 10] = [
        ("model/archive_format", b"pt2"),
        ("model/archive_version", b"0"),
        ("model/byteorder", b"little"),
        ("model/models/model.json", part()),
        ("model/data/weights/model_weights_config.json", part()),
        ("model/data/weights/weight_0", &tensor),
        ("model/data/weights/weight_1", &tensor),
        ("model/data/constants/model_constants_config.json", part()),
        ("model/data/constants/tensor_0", &tensor),
        ("model/data/constants/tensor_1", &tensor),
    ];
    archive(&files, CompressionMethod::Stored)
}
