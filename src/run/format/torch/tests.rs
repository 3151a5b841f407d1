//! Tests of what pickles hold, by programs of the machine and by small files of torch and numpy.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use super::super::StateDict;
use super::*;

/// A tensor of two numbers whose storage is not there.
const TENSOR: &[u8] =
    b"ctorch._utils\n_rebuild_tensor_v2\n((U\x07storagectorch\nFloatStorage\nU\x010U\x03cpuK\x02tQK\x00K\x02\x85K\x01\x85\x89NtR";

/// Returns a program of protocol 2 in which `@` stands for a tensor.
fn program(text: &[u8]) -> Contents {
    let parts: Vec<&[u8]> = text.split(|byte| *byte == b'@').collect();
    read(&parts.join(TENSOR))
}

fn read(text: &[u8]) -> Contents {
    let bytes = [b"\x80\x02", text, b"."].concat();
    contents(&Source::Memory(bytes.into())).unwrap()
}

/// Returns the dotted names of all tensors.
fn names(item: &Item) -> Vec<String> {
    let below = |name: &str, item: &Item| -> Vec<String> {
        let inner = names(item).into_iter();
        inner.map(|inner| format!("{name}.{inner}")).collect()
    };
    match item {
        Item::Tensor(_) => vec![String::new()],
        Item::Dict(_, fields) => {
            let fields = fields.iter();
            fields.flat_map(|(name, item)| below(name, item)).collect()
        }
        Item::List(values) => {
            let numbered = values.iter().enumerate();
            numbered
                .flat_map(|(at, item)| below(&at.to_string(), item))
                .collect()
        }
        _ => Vec::new(),
    }
}

fn fixture(name: &str) -> StateDict {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/torch");
    StateDict::open(&folder.join(name), None).unwrap()
}

#[test]
fn legacy_files_and_arrays_of_every_protocol_give_their_values() {
    let w: Vec<f32> = (0..12u8).map(f32::from).collect();
    for name in ["legacy1.pt", "legacy4.pt", "numpy0.pkl"] {
        let dict = fixture(name);
        let names = dict.tensors().iter().map(|tensor| tensor.name.as_str());
        assert_eq!(names.collect::<Vec<_>>(), ["w", "b"], "{name}");
        assert_eq!(dict.read(0, 0..12).unwrap(), w, "{name}");
        assert_eq!(dict.read(1, 0..2).unwrap(), [1.5, -2.5], "{name}");
    }
}

/// Returns the pickle of an array of `count` floats whose bytes are a text, as numpy has it in protocol 2.
fn array(count: u32, text: &str) -> Contents {
    let mut bytes = b"\x80\x02}U\x01wcnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R(K\x01J"
        .to_vec();
    bytes.extend(count.to_le_bytes());
    bytes.extend(b"\x85cnumpy\ndtype\nU\x02f4K\x00K\x01\x87R(K\x03U\x01<NNNK\x00K\x00K\x00tb\x89c_codecs\nencode\nX");
    bytes.extend((text.len() as u32).to_le_bytes());
    bytes.extend(text.as_bytes());
    bytes.extend(b"U\x06latin1\x86Rtbs.");
    contents(&Source::Memory(bytes.into())).unwrap()
}

#[test]
fn an_array_in_a_long_text_is_read_and_one_of_other_bytes_is_not() {
    for count in [100u32, 40_000] {
        let bytes = (0..count).flat_map(|at| (at as f32 / 7.0).to_le_bytes());
        let text: String = bytes.map(char::from).collect();
        let whole = array(count, &text);
        let mut values = vec![0.0; 30];
        whole.tensors[0].read(70, &mut values).unwrap();
        let expected: Vec<f32> = (70..100u8).map(|at| f32::from(at) / 7.0).collect();
        assert_eq!(values, expected);
        let short = array(3 * count, &text);
        let told = short.tensors[0].read(0, &mut values).unwrap_err();
        assert!(told.contains("not as many"), "{told}");
    }
}

#[test]
fn tensors_are_found_in_objects_of_every_kind() {
    let tuple = program(b"cm\nNT\nK\x05}U\x01w@s\x86\x81");
    assert_eq!(names(&tuple.root), ["1.w."]);
    let slots = program(b"cm\nDS\n)\x81N}U\x05model}U\x01w@ss\x86b");
    assert_eq!(names(&slots.root), ["model.w."]);
    let frozen = program(b"cm\nDS\n)\x81](K\x01}U\x01w@seb");
    assert_eq!(names(&frozen.root), ["1.w."]);
    let flat = program(b"}(U\x06paramsU\x05DenseU\x06kernelt@s");
    assert_eq!(names(&flat.root), ["params.Dense.kernel."]);
    let module = b"}(U\x0b_parameters}U\x01w@sU\x08_modules}u";
    let graph = [
        b"ctorch.fx.graph_module\nreduce_graph_module\n".as_slice(),
        module,
        b"\x85R",
    ];
    assert_eq!(names(&program(&graph.concat()).root), ["w."]);
    let inner = [b"cm\nNet\n)\x81".as_slice(), module, b"b"].concat();
    let compiled = [
        b"ctorch._dynamo.eval_frame\nOptimizedModule\n".as_slice(),
        &inner,
        b"N\x86R",
    ];
    assert_eq!(names(&program(&compiled.concat()).root), ["w."]);
}

#[test]
fn a_whole_module_knows_its_buffers_and_which_of_them_it_does_not_save() {
    let fields =
        b"}(U\x0b_parameters}U\x01w@sU\x08_buffers}(U\x04mask@U\x0crunning_mean@U\x04temp@u\
        U\x1b_non_persistent_buffers_setc__builtin__\nset\n](U\x04tempe\x85Ru";
    let module = program(&[b"cm\nNet\n)\x81".as_slice(), fields, b"b"].concat());
    assert_eq!(names(&module.root), ["w.", "mask.", "running_mean."]);
    let types = module.tensors.iter().map(|tensor| tensor.dtype.clone());
    let buffer = Dtype::Other("buffer".into());
    assert_eq!(types.collect::<Vec<_>>(), [Dtype::F32, buffer, Dtype::F32]);
}

#[test]
fn states_of_optax_are_no_list_of_networks() {
    let state = program(b"coptax._src.transform\nScaleByAdamState\nK\x05}U\x01w@s\x86\x81");
    assert_eq!(names(&state.root), Vec::<String>::new());
}

/// A log of training, before a tensor: 1.5 million dicts of three entries.
#[test]
fn a_long_log_beside_a_model_costs_little() {
    let mut text = b"}(U\x03log](}q\x00(U\x01aq\x01K\x01U\x01bq\x02K\x02U\x01cq\x03K\x03u".to_vec();
    for at in 4..1_500_000u32 {
        text.extend(b"}r");
        text.extend(at.to_le_bytes());
        text.extend(b"(h\x01K\x01h\x02K\x02h\x03K\x03u");
    }
    text.extend([TENSOR, b"eU\x01w", TENSOR, b"u"].concat());
    let found = read(&text);
    assert_eq!(names(&found.root), ["log.1499997.", "w."]);
    let log = found.root.get("log").unwrap();
    let Item::List(values) = log else {
        panic!("{log:?}")
    };
    let is_kept = |at: usize| matches!(values[at], Item::Dict(..));
    assert!(is_kept(63) && !is_kept(64) && !is_kept(1_000_000));
}

/// Tensors that fit into the bytes of a tree.
const LARGEST_TREE: usize = (16 << 20) / size_of::<Stored>();

/// The nodes of a tree whose dicts hold one dict twice are 2^60; what a pickle holds beside them is planted.
#[test]
fn values_that_are_met_again_take_bounded_memory_and_leave_others_whole() {
    let mut text = b"}(U\x04bomb@".to_vec();
    for _ in 0..60 {
        text.extend(b"q\x000}(U\x01ah\x00U\x01bh\x00u");
    }
    text.extend(b"U\x01w@u");
    let found = program(&text);
    assert!(
        found.tensors.len() < LARGEST_TREE,
        "{}",
        found.tensors.len()
    );
    assert!(
        found
            .root
            .get("w")
            .is_some_and(|item| matches!(item, Item::Tensor(_)))
    );
}

/// Names that are put together are bounded too: modules in modules, each with a long name.
#[test]
fn long_names_of_nested_modules_take_bounded_memory() {
    let name = [b"X\x00\x10\x00\x00".as_slice(), &[b'n'; 4 << 10], b"q\x010"].concat();
    let mut text = [&name, b"@q\x000".as_slice()].concat();
    text.extend(b"}(");
    for at in 0..20_000u32 {
        text.extend(
            [
                b"X\x04\x00\x00\x00".as_slice(),
                format!("{at:04x}").as_bytes(),
                b"h\x00",
            ]
            .concat(),
        );
    }
    text.extend(b"uq\x020cm\nNet\n)\x81}(U\x0b_parametersh\x02U\x08_modules}ubq\x030");
    for _ in 0..60 {
        text.extend(b"cm\nNet\n)\x81}(U\x0b_parametersh\x02U\x08_modules}h\x01h\x03subq\x030");
    }
    text.extend(b"h\x03");
    let found = program(&text);
    let Item::Dict(_, fields) = &found.root else {
        panic!("no dict")
    };
    assert!(fields.iter().map(|(name, _)| name.len()).sum::<usize>() <= 17 << 20);
}

#[test]
fn sizes_without_end_are_told_as_that() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.pt");
    let huge = TENSOR.strip_suffix(b"K\x02\x85K\x01\x85\x89NtR").unwrap();
    let size = b"\x8a\x05\0\0\0\0\x01\x8a\x05\0\0\0\0\x01\x86K\x00K\x00\x86\x89NtR";
    let bytes = [b"\x80\x02}U\x01w".as_slice(), huge, size, b"s."].concat();
    std::fs::write(&path, bytes).unwrap();
    let told = StateDict::open(&path, None).unwrap_err().to_string();
    assert!(told.contains("more numbers than"), "{told}");
}
