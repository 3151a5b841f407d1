//! Values and derivatives of operators and programs, beside PyTorch's.

use super::*;

fn scalar(tensor: &Tensor) -> f64 {
    let tensor = tensor.to_dtype(DType::F64).unwrap().flatten_all().unwrap();
    tensor.to_vec1::<f64>().unwrap()[0]
}

fn distance(a: &Tensor, b: &Tensor) -> f64 {
    assert_eq!(a.dims(), b.dims());
    let a = a.to_dtype(DType::F64).unwrap();
    let b = b.to_dtype(DType::F64).unwrap();
    let d = (a - b)
        .and_then(|d| d.abs()?.flatten_all()?.max(0))
        .unwrap();
    scalar(&d)
}

fn check(name: &str) {
    let case = Case::open(name, DType::F32);
    let place = case.place();
    let at = case.json["logits_output"].as_u64().unwrap() as usize;
    for letter in ["a", "b", "c"] {
        let (layout, values) = flat(&case.checkpoint(letter), DType::F32);
        let bound = pt2::read(&case.folder.join("model.pt2"), &layout).unwrap();
        assert_eq!(bound.kept, [] as [String; 0], "{name} {letter}");
        let weights = Weights::new(values, layout);
        let prepared = bound.program.prepare(case.inputs(), &place).unwrap();
        let outputs = bound
            .program
            .run(&weights, &prepared, &place, &mut Norms::Stored)
            .unwrap();
        assert!(outputs.iter().all(|output| output.kind() == Kind::Float));
        let expected = &case.io[&format!("{letter}.logits64")];
        let apart = distance(outputs[at].tensor(), expected);
        assert!(apart < 1e-4, "{name} {letter}: logits {apart}");
        let (loss, expected) = (
            scalar(&case.loss(&outputs)),
            scalar(&case.io[&format!("{letter}.loss")]),
        );
        let apart = (loss / expected - 1.0).abs();
        assert!(apart < 1e-4, "{name} {letter}: loss {loss}, not {expected}");
        derivatives(name, letter);
    }
}

/// Slope and curvature along the way from a to b, in float64.
fn derivatives(name: &str, letter: &str) {
    let case = Case::open(name, DType::F64);
    let place = case.place();
    let (layout, values) = flat(&case.checkpoint(letter), DType::F64);
    let [from, to] = ["a", "b"].map(|letter| tensors(&case.checkpoint(letter)));
    let t = Var::new(&[0f64], &Device::Cpu).unwrap();
    let bound = pt2::read(&case.folder.join("model.pt2"), &layout).unwrap();
    let weights = Weights::new(values, Arc::clone(&layout));
    let moved = layout.slots().iter().enumerate();
    let moved = moved.filter(|(_, slot)| slot.role == Role::Parameter);
    let moved = moved.map(|(at, slot)| {
        let find = |own: &HashMap<String, Tensor>| {
            let tied = case.json["tied"].as_array().unwrap().iter();
            let tied = tied.flat_map(|group| group.as_array().unwrap());
            let mut names = tied.map(|name| name.as_str().unwrap());
            let found = own
                .get(&slot.name)
                .or_else(|| names.find_map(|name| own.get(name)));
            found.unwrap().to_dtype(DType::F64).unwrap()
        };
        let along = (find(&to) - find(&from)).unwrap();
        let own = weights.slot(at).unwrap();
        let step = along.broadcast_mul(&t.reshape(vec![1; along.rank()]).unwrap());
        (at, (own + step.unwrap()).unwrap())
    });
    let moved = weights.with(moved.collect::<Vec<_>>());
    let prepared = bound.program.prepare(case.inputs(), &place).unwrap();
    let outputs = bound
        .program
        .run(&moved, &prepared, &place, &mut Norms::Stored)
        .unwrap();
    let slope = case.loss(&outputs).backward().unwrap();
    let slope = slope.get(&t).unwrap().clone();
    let curvature = slope.sum_all().unwrap().backward().unwrap();
    let curvature = curvature.get(&t).map_or(0.0, scalar);
    for (what, found) in [("slope", scalar(&slope)), ("curvature", curvature)] {
        let expected = scalar(&case.io[&format!("{letter}.{what}")]);
        let bound = (1e-3 * expected.abs()).max(1e-6);
        let apart = (found - expected).abs();
        assert!(
            apart < bound,
            "{name} {letter}: {what} {found}, not {expected}"
        );
    }
}

#[rstest]
fn an_exported_program_gives_pytorch_s_numbers(
    #[values(
        "autoencoder",
        "cnn1d",
        "hf_bert",
        "hf_gpt2",
        "lstm",
        "mlp",
        "nanogpt",
        "pinn",
        "swin",
        "unet_diffusion",
        "vgg_bn",
        "vit"
    )]
    name: &str,
) {
    let name = name.to_owned();
    twice_differentiable(move || check(&name));
}

/// Each operator's values, and slope and curvature of Σ c·y³ along a direction of the parameters.
fn check_operators() {
    let folder = fixture("operators");
    let values = folder.join("values.safetensors");
    let values = candle_core::safetensors::load(values, &Device::Cpu).unwrap();
    let state = StateDict::open(&folder.join("checkpoint.safetensors"), None).unwrap();
    let (layout, flat) = flat(&state, DType::F64);
    let bound = pt2::read(&folder.join("model.pt2"), &layout).unwrap();
    let weights = Weights::new(flat, Arc::clone(&layout));
    let t = Var::new(&[0f64], &Device::Cpu).unwrap();
    let moved = layout.slots().iter().enumerate().filter_map(|(at, slot)| {
        let along = values.get(&format!("direction.{}", slot.name))?;
        let along = along.to_dtype(DType::F64).unwrap();
        let step = along.broadcast_mul(&t.reshape(vec![1; along.rank()]).unwrap());
        Some((at, (weights.slot(at).unwrap() + step.unwrap()).unwrap()))
    });
    let moved = weights.with(moved.collect::<Vec<_>>());
    let place = FloatPlace {
        device: Device::Cpu,
        dtype: DType::F64,
    };
    let x = Tensor::zeros((2, 1), DType::F64, &Device::Cpu).unwrap();
    let prepared = bound
        .program
        .prepare(vec![Datum::float(x)], &place)
        .unwrap();
    let outputs = bound
        .program
        .run(&moved, &prepared, &place, &mut Norms::Stored)
        .unwrap();
    let mut wrong = Vec::new();
    assert_eq!(outputs.len(), 145);
    for (output, datum) in bound.program.outputs.iter().zip(outputs) {
        let name = output.name.as_deref().unwrap();
        let y = datum.tensor();
        let expected = &values[&format!("{name}.y")];
        if y.dims() != expected.dims() {
            wrong.push(format!(
                "{name}: shape {:?}, not {:?}",
                y.dims(),
                expected.dims()
            ));
            continue;
        }
        let apart = distance(y, expected);
        if apart.is_nan() || apart >= 1e-9 {
            wrong.push(format!("{name}: values {apart}"));
            continue;
        }
        let c = values[&format!("{name}.c")].to_dtype(DType::F64).unwrap();
        let cube = y
            .sqr()
            .and_then(|square| ((square * y)? * c)?.sum_all())
            .unwrap();
        let slope = cube.backward().unwrap();
        let slope = slope.get(&t).cloned();
        let curvature = slope
            .as_ref()
            .map(|slope| slope.sum_all().unwrap().backward().unwrap());
        let curvature = curvature
            .and_then(|second| second.get(&t).map(scalar))
            .unwrap_or(0.0);
        let found = [slope.as_ref().map_or(0.0, scalar), curvature];
        let expected: Vec<f64> = values[&format!("{name}.slopes")].to_vec1().unwrap();
        for (what, (found, expected)) in ["slope", "curvature"]
            .iter()
            .zip(found.iter().zip(expected))
        {
            let apart = (found - expected).abs();
            if apart.is_nan() || apart > 1e-6 * expected.abs().max(1.0) {
                wrong.push(format!("{name}: {what} {found}, not {expected}"));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn operators_in_f32_without_gradients_have_pytorch_s_values() {
    let folder = fixture("operators");
    let values = folder.join("values.safetensors");
    let values = candle_core::safetensors::load(values, &Device::Cpu).unwrap();
    let state = StateDict::open(&folder.join("checkpoint.safetensors"), None).unwrap();
    let (layout, flat) = flat(&state, DType::F32);
    let bound = pt2::read(&folder.join("model.pt2"), &layout).unwrap();
    let place = FloatPlace {
        device: Device::Cpu,
        dtype: DType::F32,
    };
    let x = Tensor::zeros((2, 1), DType::F32, &Device::Cpu).unwrap();
    let weights = Weights::new(flat, Arc::clone(&layout));
    let program = &bound.program;
    let prepared = program.prepare(vec![Datum::float(x)], &place).unwrap();
    let outputs = program.run(&weights, &prepared, &place, &mut Norms::Stored);
    for (output, datum) in program.outputs.iter().zip(outputs.unwrap()) {
        let name = output.name.as_deref().unwrap();
        let expected = &values[&format!("{name}.y")];
        assert_eq!(datum.tensor().dims(), expected.dims(), "{name}");
        let apart = distance(datum.tensor(), expected);
        assert!(apart < 1e-4, "{name}: {apart}");
    }
}

/// Runs a test again in a process in which gradients stay differentiable, on a stack that deep graphs need.
fn twice_differentiable(work: impl FnOnce() + Send + 'static) {
    if std::env::var_os(KEEP_GRAPH).is_some() {
        let thread = std::thread::Builder::new().stack_size(64 << 20);
        thread.spawn(work).unwrap().join().unwrap();
        return;
    }
    let own = std::thread::current().name().unwrap().to_owned();
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &own])
        .env(KEEP_GRAPH, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout);
    let why = String::from_utf8_lossy(&child.stderr);
    assert!(
        child.status.success() && said.contains("1 passed"),
        "{said}{why}"
    );
}

#[test]
fn operators_have_pytorch_s_values_and_both_derivatives() {
    twice_differentiable(check_operators);
}

/// As PyTorch 2.6 and 2.8 laid archives out: make_layouts.py.
#[rstest]
fn archives_of_older_pytorch_hold_the_same_program(
    #[values("torch-2.6.pt2", "torch-2.8.pt2")] file: &str,
) {
    let case = Case::open("hf_bert", DType::F32);
    let state = case.checkpoint("a");
    // A tensor that the checkpoint lacks is taken from the archive.
    let infos = state.tensors().iter();
    let infos = infos.filter(|info| info.name != "classifier.weight");
    let layout = Arc::new(Layout::of(&infos.cloned().collect::<Vec<_>>()));
    let all = tensors(&state);
    let slots = layout.slots().iter();
    let flat: Vec<Tensor> = slots
        .map(|slot| all[&slot.name].flatten_all().unwrap())
        .collect();
    let weights = Weights::new(Tensor::cat(&flat, 0).unwrap(), Arc::clone(&layout));
    let outputs = |path: &Path| {
        let bound = pt2::read(path, &layout).unwrap();
        assert_eq!(bound.kept, ["classifier.weight"]);
        let place = case.place();
        let prepared = bound.program.prepare(case.inputs(), &place).unwrap();
        let outputs = bound
            .program
            .run(&weights, &prepared, &place, &mut Norms::Stored);
        let outputs = outputs.unwrap().into_iter();
        let numbers = outputs.map(|output| output.tensor().flatten_all().unwrap());
        numbers
            .flat_map(|numbers| numbers.to_vec1::<f32>().unwrap())
            .map(f32::to_bits)
            .collect::<Vec<_>>()
    };
    let found = outputs(&fixture("layouts").join(file));
    assert_eq!(found, outputs(&case.folder.join("model.pt2")));
}
