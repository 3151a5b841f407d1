//! Programs and files that are refused, each with its reason.

use super::*;

/// Reads an archive in which some text of the program is another, and returns the sentence that refuses it.
fn refused(name: &str, from: &str, to: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.pt2");
    let mut own = ZipArchive::new(File::open(fixture(name).join("model.pt2")).unwrap()).unwrap();
    let mut other = ZipWriter::new(File::create(&path).unwrap());
    for index in 0..own.len() {
        let mut entry = own.by_index(index).unwrap();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        let entry = entry.name().unwrap().into_owned();
        if entry.ends_with("models/model.json") {
            let program = String::from_utf8(bytes).unwrap();
            assert!(program.contains(from), "{from}");
            bytes = program.replace(from, to).into_bytes();
        }
        other
            .start_file(entry, SimpleFileOptions::default())
            .unwrap();
        other.write_all(&bytes).unwrap();
    }
    other.finish().unwrap();
    let state = Case::open(name, DType::F32).checkpoint("a");
    let read = pt2::read(&path, &Layout::of(state.tensors()));
    read.unwrap_err()
        .to_string()
        .replace(path.to_str().unwrap(), "model.pt2")
}

#[rstest]
#[case::operator(
    "pinn",
    "aten.tanh.default",
    "aten.bessel_j0.default",
    "model.pt2 uses 1 operator that isoloss does not know: aten.bessel_j0.default (2×, "
)]
#[case::argument(
    "pinn",
    r#""target": "torch.ops.aten.tanh.default", "inputs": ["#,
    r#""target": "torch.ops.aten.tanh.default", "inputs": [{"name": "decimals", "arg": {"as_int": 1}, "kind": 1}, "#,
    "model.pt2 uses 1 operator that isoloss does not know: aten.tanh.default (2×, "
)]
#[case::second_result(
    "pinn",
    r#""outputs": [{"as_tensor": {"name": "tanh"}}]"#,
    r#""outputs": [{"as_tensor": {"name": "other"}}, {"as_tensor": {"name": "tanh"}}]"#,
    "model.pt2 uses 1 operator that isoloss does not know: aten.tanh.default (1×, "
)]
#[case::training(
    "lstm",
    r#""name": "train", "arg": {"as_bool": false}"#,
    r#""name": "train", "arg": {"as_bool": true}"#,
    "model.pt2 was exported in training mode (aten.lstm.input): call model.eval() before torch.export.export"
)]
#[case::random(
    "pinn",
    "aten.tanh.default",
    "aten.randn_like.default",
    "model.pt2 draws random numbers in forward (aten.randn_like.default): make it deterministic in evaluation mode"
)]
#[case::size(
    "pinn",
    "aten.tanh.default",
    "aten.nonzero.default",
    "model.pt2 has a value whose size depends on the data (aten.nonzero.default)"
)]
#[case::sparse(
    "pinn",
    r#""layout": 7"#,
    r#""layout": 1"#,
    "model.pt2 has a sparse tensor (aten.linear.default): build the model of dense tensors before torch.export.export"
)]
#[case::complex(
    "pinn",
    r#""dtype": 7"#,
    r#""dtype": 10"#,
    "model.pt2 has a tensor of complex numbers (aten.linear.default): compute with real and imaginary parts"
)]
#[case::quantized(
    "pinn",
    "aten.tanh.default",
    "quantized_decomposed.quantize_per_tensor.default",
    "model.pt2 has a quantized tensor (quantized_decomposed.quantize_per_tensor.default): export the model as it was before"
)]
#[case::fake_quantized(
    "pinn",
    "aten.tanh.default",
    "aten.fake_quantize_per_tensor_affine.default",
    "model.pt2 has a quantized tensor (aten.fake_quantize_per_tensor_affine.default)"
)]
#[case::object(
    "pinn",
    r#""user_input": {"arg": {"as_tensor": {"name": "xt"}}}"#,
    r#""custom_obj": {"arg": {"name": "xt"}}"#,
    "model.pt2 has a custom object (xt): give the model tensors alone before torch.export.export"
)]
#[case::schema(
    "pinn",
    r#""major": 8"#,
    r#""major": 9"#,
    "model.pt2: expected a program that torch.export.save wrote, found schema 9 of PyTorch "
)]
#[case::names(
    "pinn",
    r#""parameter_name": ""#,
    r#""parameter_name": "a.b.c."#,
    "tensors of model.pt2 are not in the checkpoint, e.g. a.b.c."
)]
fn what_cannot_be_measured_is_said_in_one_sentence(
    #[case] name: &str,
    #[case] from: &str,
    #[case] to: &str,
    #[case] said: &str,
) {
    let found = refused(name, from, to);
    assert!(found.contains(said), "{found}");
}

#[test]
fn files_that_are_no_programs_are_named() {
    let state = Case::open("pinn", DType::F32).checkpoint("a");
    let layout = Layout::of(state.tensors());
    let missing = pt2::read(&fixture("pinn").join("none.pt2"), &layout);
    assert!(
        missing
            .unwrap_err()
            .to_string()
            .contains("none.pt2: expected a program")
    );
    let weights = pt2::read(&fixture("nanogpt").join("checkpoint-b.pt"), &layout);
    let weights = weights.unwrap_err().to_string();
    assert!(
        weights.contains("weights or TorchScript, no exported program"),
        "{weights}"
    );
    let other = pt2::read(&fixture("lstm").join("model.pt2"), &layout)
        .unwrap_err()
        .to_string();
    assert!(
        other.contains("are not in the checkpoint, e.g. "),
        "{other}"
    );
}

#[test]
fn a_tensor_of_another_shape_is_named_with_both_shapes() {
    let state = Case::open("pinn", DType::F32).checkpoint("a");
    let mut infos = state.tensors().to_vec();
    let own = infos[0].shape.clone();
    infos[0].shape.push(1);
    let said = pt2::read(&fixture("pinn").join("model.pt2"), &Layout::of(&infos));
    let said = said.unwrap_err().to_string();
    let expected = format!(
        "takes {} of shape {own:?}, the checkpoint has {:?}",
        infos[0].name, infos[0].shape
    );
    assert!(said.contains(&expected), "{said}");
}

#[test]
fn a_file_that_is_cut_or_changed_is_an_error_and_no_panic() {
    let bytes = std::fs::read(fixture("pinn").join("model.pt2")).unwrap();
    let state = Case::open("pinn", DType::F32).checkpoint("a");
    let layout = Layout::of(state.tensors());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.pt2");
    for cut in (0..bytes.len()).step_by(97) {
        std::fs::write(&path, &bytes[..cut]).unwrap();
        let said = pt2::read(&path, &layout).unwrap_err().to_string();
        let is_told = said.contains("an archive that is damaged or was cut, copy or export it");
        assert_eq!(is_told, cut > 0, "cut at {cut}: {said}");
        let mut changed = bytes.clone();
        changed[cut] ^= 0x55;
        std::fs::write(&path, &changed).unwrap();
        let _ = pt2::read(&path, &layout);
    }
}

/// The parts of older archives are archives themselves, of weights, with ends of their own.
#[rstest]
fn an_archive_that_is_cut_is_never_taken_for_one_of_its_parts(
    #[values("layouts/torch-2.6.pt2", "layouts/torch-2.8.pt2", "nanogpt/model.pt2")] file: &str,
) {
    let bytes = std::fs::read(fixture(file)).unwrap();
    let layout = Layout::of(&[]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.pt2");
    let ends = bytes.windows(4).enumerate();
    let ends = ends.filter(|(_, mark)| mark == b"PK\x05\x06");
    let mut cuts: Vec<usize> = ends.map(|(at, _)| (at + 22).min(bytes.len() - 1)).collect();
    cuts.extend((4..bytes.len()).step_by(1009));
    for cut in cuts {
        std::fs::write(&path, &bytes[..cut]).unwrap();
        let said = pt2::read(&path, &layout).unwrap_err().to_string();
        assert!(said.contains("damaged or was cut"), "{cut}: {said}");
    }
    std::fs::write(&path, "weights").unwrap();
    let said = pt2::read(&path, &layout).unwrap_err().to_string();
    assert!(said.ends_with("found no zip archive"), "{said}");
}

#[test]
fn a_program_of_a_fixed_number_of_samples_is_refused() {
    let weight = TensorInfo {
        name: "weight".into(),
        shape: vec![3],
        dtype: Dtype::F32,
    };
    let layout = Layout::of(&[weight]);
    let said = pt2::read(&fixture("operators/fixed.pt2"), &layout).unwrap_err();
    let said = said.to_string();
    let expected = "fixed.pt2 takes exactly 2 samples (x): export a batch of two or more with \
                    dynamic_shapes={\"x\": {0: torch.export.Dim.AUTO}}";
    assert!(said.contains(expected), "{said}");
}

/// PyTorch's functional form says the same without a write.
#[test]
fn a_write_to_a_part_of_a_tensor_is_refused_and_its_functional_form_is_right() {
    let weight = TensorInfo {
        name: "weight".into(),
        shape: vec![3],
        dtype: Dtype::F32,
    };
    let layout = Arc::new(Layout::of(&[weight]));
    let said = pt2::read(&fixture("operators/writes.pt2"), &layout).unwrap_err();
    let said = said.to_string();
    assert!(
        said.contains("writes.pt2 writes into part of a tensor (aten.copy_.default"),
        "{said}"
    );
    assert!(said.contains("program.run_decompositions({})"), "{said}");
    let bound = pt2::read(&fixture("operators/written.pt2"), &layout).unwrap();
    let place = FloatPlace {
        device: Device::Cpu,
        dtype: DType::F32,
    };
    let x = Tensor::ones((2, 5), DType::F32, &Device::Cpu).unwrap();
    let weights = Tensor::new(&[3f32, 4.0, 5.0], &Device::Cpu).unwrap();
    let prepared = bound
        .program
        .prepare(vec![Datum::float(x)], &place)
        .unwrap();
    let outputs = bound.program.run(
        &Weights::new(weights, layout),
        &prepared,
        &place,
        &mut Norms::Stored,
    );
    let found = outputs.unwrap()[0].tensor().to_vec2::<f32>().unwrap();
    assert_eq!(found, [[2.0, 6.0, 8.0, 10.0, 2.0]; 2]);
}
