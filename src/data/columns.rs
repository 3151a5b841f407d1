//! Named arrays as columns: taken as they are, for a model of any kind.

use std::collections::HashSet;
use std::path::Path;

use super::array::Kind;
use super::arrays::{self, Arrays, LARGEST, LARGEST_WHOLE, check_size, listed, stem};
use super::column::{Column, Values};
use super::{Columns, DataError, Dataset, Request, Split, select, tokens};

/// Names of the array that a model should give, the likeliest first.
const TARGETS: [&str; 5] = ["target", "targets", "labels", "label", "y"];

/// Loads columns; `None` where the source is a set of images.
pub(super) fn load(request: &Request, wanted: &Columns) -> Result<Option<Dataset>, DataError> {
    let source = request.source.as_path();
    let ending = source.extension().and_then(|ending| ending.to_str());
    let found = tokens::find(source, request.split);
    let is_text = ending == Some("bin");
    if let Some(text) = found.as_deref().or(is_text.then_some(source)) {
        unscaled(text, request)?;
        if is_text {
            only_split(source, request, &[stem(source)])?;
        }
        return tokens::load(text, request, wanted).map(Some);
    }
    if ending == Some("npy") {
        unscaled(source, request)?;
        only_split(source, request, &[stem(source)])?;
        return single(source, request, wanted).map(Some);
    }
    let Some(mut arrays) = arrays::open(source)? else {
        return Ok(None);
    };
    unscaled(source, request)?;
    let names = arrays.names();
    if !names.iter().any(|name| split_of(name).is_some()) {
        only_split(source, request, &names)?;
    }
    let choice = Choice::of(source, &arrays.names(), request.split, wanted)?;
    let taken = Taking::of(source, arrays.as_mut(), choice, request)?;
    taken.dataset(arrays.as_mut(), request.split).map(Some)
}

/// Refuses figures that pixels are normalized by: columns are taken as they are, and their effect would be missed.
fn unscaled(path: &Path, request: &Request) -> Result<(), DataError> {
    let given = [("--mean", &request.mean), ("--std", &request.std)];
    match given.into_iter().find(|(_, figures)| figures.is_some()) {
        Some((option, _)) => Err(DataError::Unscaled {
            option,
            path: path.to_path_buf(),
        }),
        None => Ok(()),
    }
}

/// Refuses the other split of a file that does not tell them apart: its samples are those of the split that was asked
/// for.
fn only_split(path: &Path, request: &Request, names: &[String]) -> Result<(), DataError> {
    if request.split == request.own {
        return Ok(());
    }
    let expected = format!("arrays of the {} split, e.g. x_{0}", request.split.name());
    Err(DataError::invalid(path, expected, listed(names)))
}

/// The split that a name of an array tells.
fn split_of(name: &str) -> Option<Split> {
    let splits = [Split::Train, Split::Test].into_iter();
    splits.into_iter().find(|split| {
        let word = split.name();
        name.strip_suffix(word)
            .is_some_and(|rest| rest.ends_with('_'))
            || name
                .strip_prefix(word)
                .is_some_and(|rest| rest.starts_with('_'))
    })
}

/// One array, called as its file.
fn single(path: &Path, request: &Request, wanted: &Columns) -> Result<Dataset, DataError> {
    let mut array = arrays::single(path);
    let own = Named {
        array: stem(path),
        column: match &wanted.inputs[..] {
            [only] => only.clone(),
            _ => stem(path),
        },
    };
    let target = wanted.target.as_ref();
    let known = [&own.column, &own.array];
    if let Some(target) = target.filter(|target| !known.contains(target)) {
        let expected = format!("an array {target} for --target");
        return Err(DataError::invalid(path, expected, own.column));
    }
    let choice = Choice {
        target: target.map(|_| own.clone()),
        inputs: vec![own],
        others: Vec::new(),
    };
    let taken = Taking::of(path, array.as_mut(), choice, request)?;
    taken.dataset(array.as_mut(), request.split)
}

/// An array of the file, and what it is called without the split.
#[derive(Clone, Debug, PartialEq)]
struct Named {
    array: String,
    column: String,
}

/// Arrays that are wanted by their names.
#[derive(Debug)]
struct Choice {
    inputs: Vec<Named>,
    target: Option<Named>,
    /// All others, where one of the inputs is not there by its name.
    others: Vec<Named>,
}

impl Choice {
    fn of(
        path: &Path,
        names: &[String],
        split: Split,
        wanted: &Columns,
    ) -> Result<Self, DataError> {
        let named = named(names, split, &wanted.inputs);
        let find = |name: &str| named.iter().find(|named| named.column == name).cloned();
        // One that the model takes as well comes last.
        let (taken, others): (Vec<&str>, Vec<&str>) = (TARGETS.iter().copied())
            .partition(|target| wanted.inputs.iter().any(|input| input == target));
        let target = if let Some(target) = &wanted.target {
            Some(find(target).ok_or_else(|| {
                let expected = format!("an array {target} for --target");
                DataError::invalid(path, expected, listed(names))
            })?)
        } else {
            others.into_iter().chain(taken).find_map(find)
        };
        let inputs: Vec<Named> = wanted
            .inputs
            .iter()
            .filter_map(|input| find(input))
            .collect();
        let is_all = !wanted.inputs.is_empty() && inputs.len() == wanted.inputs.len();
        let is_other =
            |named: &&Named| !is_all && !inputs.contains(*named) && target.as_ref() != Some(*named);
        Ok(Self {
            others: named.iter().filter(is_other).cloned().collect(),
            inputs,
            target,
        })
    }
}

/// Names without the split, `x` of `x_train` or `train_x`; those of the other split are left out. A name that
/// the model knows stays as it is, and so does one that would be there twice.
fn named(names: &[String], split: Split, known: &[String]) -> Vec<Named> {
    let ends = |name: &str, split: Split| -> Option<String> {
        let short = name.strip_suffix(split.name())?.strip_suffix('_');
        short.map(str::to_owned)
    };
    let begins = |name: &str, split: Split| -> Option<String> {
        let short = name.strip_prefix(split.name())?.strip_prefix('_');
        short.map(str::to_owned)
    };
    let without = |name: &str, split| ends(name, split).or_else(|| begins(name, split));
    let other = match split {
        Split::Train => Split::Test,
        Split::Test => Split::Train,
    };
    // One without a word of a split is that of training where the other has a word.
    let own: HashSet<String> = names
        .iter()
        .filter_map(|name| without(name, split))
        .collect();
    let is_kept = |name: &&String| {
        known.contains(name) && !own.contains(*name)
            || without(name, other).is_none() && !own.contains(*name)
    };
    let name = |name: &String| Named {
        column: match without(name, split) {
            Some(short) if !known.contains(name) => short,
            _ => name.clone(),
        },
        array: name.clone(),
    };
    names.iter().filter(is_kept).map(name).collect()
}

/// The arrays that are taken, and the rows of each.
struct Taking<'a> {
    path: &'a Path,
    inputs: Vec<Named>,
    target: Option<Named>,
    /// Places of the samples in the file, ascending.
    indices: Vec<usize>,
}

impl<'a> Taking<'a> {
    fn of(
        path: &'a Path,
        arrays: &mut dyn Arrays,
        choice: Choice,
        request: &Request,
    ) -> Result<Self, DataError> {
        let mut common: Option<(String, usize)> = None;
        let mut numbers = 0usize;
        for named in choice.inputs.iter().chain(&choice.target) {
            let [rows, row] = extents(path, arrays, named)?;
            agree(path, &mut common, &named.array, rows)?;
            numbers = numbers.saturating_add(row);
        }
        let is_known = common.is_some();
        let mut inputs = choice.inputs;
        for named in choice.others {
            // One that has no samples, or others, is not what the model takes.
            let Ok([rows, row]) = extents(path, arrays, &named) else {
                continue;
            };
            if is_known && common.as_ref().is_some_and(|(_, known)| *known != rows) {
                continue;
            }
            agree(path, &mut common, &named.array, rows)?;
            numbers = numbers.saturating_add(row);
            inputs.push(named);
        }
        let Some((_, total)) = common else {
            let expected = "arrays with a row for each sample";
            return Err(DataError::invalid(path, expected, listed(&arrays.names())));
        };
        let indices = select::chosen(total, request);
        if indices.len().saturating_mul(numbers) > LARGEST {
            let expected =
                format!("at most {LARGEST} numbers in all arrays; take fewer by --samples");
            let found = format!("{} samples of {numbers}", indices.len());
            return Err(DataError::invalid(path, expected, found));
        }
        Ok(Self {
            path,
            inputs,
            target: choice.target,
            indices,
        })
    }

    fn dataset(self, arrays: &mut dyn Arrays, split: Split) -> Result<Dataset, DataError> {
        let mut inputs = Vec::new();
        for named in &self.inputs {
            inputs.push(self.column(arrays, named)?);
        }
        let of_input = |named: &Named| inputs.iter().find(|input| input.name == named.column);
        let target = match &self.target {
            Some(named) => Some(match of_input(named) {
                Some(input) => input.clone(),
                None => self.column(arrays, named)?,
            }),
            None => None,
        };
        Ok(Dataset {
            split,
            normalization: "columns as the file has them".into(),
            ..Dataset::of(&stem(self.path), inputs, target)
        })
    }

    fn column(&self, arrays: &mut dyn Arrays, named: &Named) -> Result<Column, DataError> {
        let (head, data) = arrays.open(&named.array)?;
        let failed = |error| DataError::io(self.path, error);
        let chosen = &self.indices;
        let values = if head.kind.is_integer() {
            let values = head.take(data, chosen, Kind::whole, |_, _| {});
            Values::I64(values.map_err(failed)?)
        } else {
            let values = head.take(data, chosen, Kind::value, |_, _| {});
            Values::F32(values.map_err(failed)?)
        };
        if let Values::F32(values) = &values
            && let Some((at, found)) = values.iter().enumerate().find(|(_, v)| !v.is_finite())
        {
            return Err(DataError::NotFiniteColumn {
                path: self.path.to_path_buf(),
                column: named.array.clone(),
                sample: chosen.get(at / head.row()).copied().unwrap_or_default(),
                found: *found,
            });
        }
        Ok(Column {
            name: named.column.clone(),
            shape: head.shape.iter().skip(1).copied().collect(),
            values,
        })
    }
}

/// Number of rows, and of elements of one, of an array that may be a column.
fn extents(path: &Path, arrays: &mut dyn Arrays, named: &Named) -> Result<[usize; 2], DataError> {
    let name = &named.array;
    let (head, _) = arrays.open(name)?;
    // Whole numbers take eight bytes each, whatever they are in the file.
    let most = if head.kind.is_integer() {
        LARGEST_WHOLE
    } else {
        LARGEST
    };
    check_size(path, name, &head, most)?;
    if head.shape.is_empty() || head.row() == 0 {
        let expected = format!("an array {name} with a row for each sample");
        let found = format!("shape {:?}", head.shape);
        return Err(DataError::invalid(path, expected, found));
    }
    Ok([head.rows(), head.row()])
}

/// Notes the number of rows of the first array, which all others must have.
fn agree(
    path: &Path,
    common: &mut Option<(String, usize)>,
    name: &str,
    rows: usize,
) -> Result<(), DataError> {
    match common {
        Some((first, known)) if *known != rows => Err(DataError::Rows {
            path: path.to_path_buf(),
            names: [first.clone(), name.to_owned()],
            rows: [*known, rows],
        }),
        Some(_) => Ok(()),
        None => {
            *common = Some((name.to_owned(), rows));
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use std::fs;
    use std::path::PathBuf;

    use half::{bf16, f16};
    use npyz::WriterBuilder;
    use safetensors::Dtype;
    use safetensors::tensor::{TensorView, serialize};
    use tempfile::TempDir;

    use super::super::{Count, Order, Request, load};
    use super::*;

    fn bytes<const N: usize, T: Copy>(values: &[T], of: fn(T) -> [u8; N]) -> Vec<u8> {
        values.iter().flat_map(|value| of(*value)).collect()
    }

    /// Writes a file of these arrays of ten rows of floats, whole numbers and others.
    fn file(arrays: &[(&str, Dtype, &[usize], Vec<u8>)]) -> (TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("d.safetensors");
        let views = arrays.iter().map(|(name, dtype, shape, bytes)| {
            (
                *name,
                TensorView::new(*dtype, shape.to_vec(), bytes).unwrap(),
            )
        });
        fs::write(&path, serialize(views, None).unwrap()).unwrap();
        (folder, path)
    }

    fn request(path: impl Into<PathBuf>, inputs: &[&str], target: Option<&str>) -> Request {
        Request {
            columns: Some(Columns {
                inputs: inputs.iter().copied().map(str::to_owned).collect(),
                target: target.map(str::to_owned),
                ..Columns::default()
            }),
            ..Request::whole(path)
        }
    }

    /// The names of inputs and target, or the error.
    fn said(request: &Request) -> String {
        load(request).map_or_else(
            |error| error.to_string(),
            |data| {
                let names: Vec<&str> = data.inputs.iter().map(|input| &*input.name).collect();
                let target = data.target.as_ref().map(|target| &*target.name);
                format!("{} -> {}", names.join(" "), target.unwrap_or("nothing"))
            },
        )
    }

    fn floats(count: usize) -> Vec<u8> {
        let values: Vec<f32> = (0..count).map(|i| 300.0 + i as f32).collect();
        bytes(&values, f32::to_le_bytes)
    }

    fn ids(count: i64) -> Vec<u8> {
        bytes(&(0..count).collect::<Vec<_>>(), i64::to_le_bytes)
    }

    #[test]
    fn every_type_is_a_float_or_a_whole_number_and_nothing_is_normalized() {
        let halves = [0.5, -300.0].map(f16::from_f32);
        let brains = [0.5, -256.0].map(bf16::from_f32);
        let (_folder, path) = file(&[
            ("a", Dtype::F16, &[2], bytes(&halves, f16::to_le_bytes)),
            ("b", Dtype::BF16, &[2], bytes(&brains, bf16::to_le_bytes)),
            ("c", Dtype::F64, &[2], bytes(&[0.5, 1e3], f64::to_le_bytes)),
            ("d", Dtype::U8, &[2, 1, 1], vec![255, 7]),
            ("e", Dtype::BOOL, &[2], vec![1, 0]),
            (
                "y",
                Dtype::I64,
                &[2],
                bytes(&[-100, (1 << 53) + 1], i64::to_le_bytes),
            ),
        ]);
        let data = load(&request(path, &["a", "b", "c", "d", "e"], None)).unwrap();
        let values: Vec<&Values> = data.inputs.iter().map(|input| &input.values).collect();
        assert_eq!(*values[0], Values::F32(vec![0.5, -300.0]));
        assert_eq!(*values[1], Values::F32(vec![0.5, -256.0]));
        assert_eq!(*values[2], Values::F32(vec![0.5, 1e3]));
        assert_eq!(*values[3], Values::I64(vec![255, 7]));
        assert_eq!(*values[4], Values::I64(vec![1, 0]));
        assert_eq!(data.inputs[3].shape, [1, 1]);
        let target = data.target.unwrap();
        assert_eq!(target.values, Values::I64(vec![-100, (1 << 53) + 1]));
        assert!(target.shape.is_empty());
    }

    #[test]
    fn arguments_and_target_are_taken_by_their_names() {
        let (_folder, path) = file(&[
            ("input_ids", Dtype::I64, &[3, 2], ids(6)),
            ("labels", Dtype::I64, &[3], ids(3)),
            ("loss", Dtype::F32, &[1], floats(1)),
            ("mask", Dtype::F32, &[3, 2], floats(6)),
            ("y", Dtype::F32, &[3, 1], floats(3)),
        ]);
        let said = |inputs: &[&str], target| said(&request(&path, inputs, target));
        assert_eq!(
            said(&["mask", "input_ids"], None),
            "mask input_ids -> labels"
        );
        // An argument is no target of its own, unless the user says so.
        assert_eq!(
            said(&["input_ids", "labels"], None),
            "input_ids labels -> y"
        );
        assert_eq!(said(&["mask"], Some("mask")), "mask -> mask");
        assert_eq!(said(&["mask"], Some("y")), "mask -> y");
        // What is not there by its name is matched by shape, so that all of as many rows are there.
        assert_eq!(said(&["mask", "ids"], None), "mask input_ids y -> labels");
        let sentence = said(&["mask"], Some("targets"));
        assert!(
            sentence.ends_with(
                "expected an array targets for --target, found input_ids, labels, loss, mask, y"
            ),
            "{sentence}"
        );
        let sentence = said(&["mask", "loss"], None);
        assert!(
            sentence
                .ends_with("expected as many rows in every array, found 3 in mask and 1 in loss"),
            "{sentence}"
        );
        let sentence = said(&[], None);
        assert_eq!(sentence, "input_ids mask y -> labels");
    }

    #[test]
    fn rows_are_chosen_alike_in_every_column() {
        let (_folder, path) = file(&[
            ("x", Dtype::I64, &[50, 1], ids(50)),
            ("y", Dtype::I64, &[50], ids(50)),
        ]);
        let mut request = request(path, &["x"], None);
        (request.count, request.order) = (Count::At(9), Order::Random);
        let data = load(&request).unwrap();
        assert_eq!(data.samples(), 9);
        assert_eq!(
            Some(&data.inputs[0].values),
            data.target.as_ref().map(|y| &y.values)
        );
        assert_eq!(data.few(3).samples(), 3);
        request.seed = 1;
        assert_ne!(load(&request).unwrap().target, data.target);
    }

    #[test]
    fn what_cannot_be_a_column_is_said() {
        let mut wrong = vec![0.0f32; 6];
        (wrong[4], wrong[5]) = (f32::NAN, f32::INFINITY);
        // More than float32 holds.
        let large = [1.0, -1e300, 1e300];
        let (_folder, path) = file(&[
            ("empty", Dtype::F32, &[3, 0], Vec::new()),
            ("large", Dtype::F64, &[3], bytes(&large, f64::to_le_bytes)),
            ("one", Dtype::F32, &[], floats(1)),
            ("x", Dtype::F32, &[3, 2], bytes(&wrong, f32::to_le_bytes)),
        ]);
        let said = |name| said(&request(&path, &[name], None));
        let expected = "d.safetensors: expected numbers that are finite in float32, found ";
        for (name, found) in [
            ("x", "NaN in x of sample 2"),
            ("large", "-inf in large of sample 1"),
        ] {
            let expected = format!("{expected}{found}, counted from 0");
            assert!(said(name).contains(&expected), "{}", said(name));
        }
        for name in ["empty", "one"] {
            let expected = format!("expected an array {name} with a row for each sample");
            assert!(said(name).contains(&expected), "{}", said(name));
        }
    }

    #[test]
    fn figures_of_pixels_are_refused_where_columns_are_taken_as_they_are() {
        let (folder, path) = file(&[("x", Dtype::F32, &[3, 2], floats(6))]);
        let tokens = folder.path().join("train.bin");
        fs::write(&tokens, vec![0; 1200]).unwrap();
        let single = folder.path().join("x.npy");
        for source in [&path, &tokens, &single, &folder.path().to_path_buf()] {
            let of = |mean: Option<f32>, std: Option<f32>| Request {
                mean: mean.map(|mean| vec![mean]),
                std: std.map(|std| vec![std]),
                ..request(source, &["x"], None)
            };
            for (of, option) in [
                (of(Some(0.5), None), "--mean"),
                (of(None, Some(2.0)), "--std"),
            ] {
                let said = said(&of);
                let expected = format!("{option}: {}", folder.path().display());
                assert!(said.starts_with(&expected), "{said}");
                assert!(said.contains("read in columns"), "{said}");
            }
        }
        // A set of images is normalized, whatever the model.
        let images = Request {
            mean: Some(vec![0.5]),
            ..request("digits", &["x"], None)
        };
        assert_eq!(said(&images), "images -> labels");
    }

    #[test]
    fn names_with_the_split_are_those_of_the_split() {
        let (_folder, path) = file(&[
            ("x_test", Dtype::F32, &[2], floats(2)),
            ("x_train", Dtype::F32, &[3], floats(3)),
            ("y_test", Dtype::F32, &[2], floats(2)),
            ("y_train", Dtype::F32, &[3], floats(3)),
        ]);
        let mut of = request(&path, &["x"], None);
        assert_eq!(
            (said(&of).as_str(), load(&of).unwrap().samples()),
            ("x -> y", 3)
        );
        of.split = Split::Test;
        assert_eq!(
            (said(&of).as_str(), load(&of).unwrap().samples()),
            ("x -> y", 2)
        );
        assert_eq!(
            said(&request(&path, &["x_test"], Some("x_test"))),
            "x_test -> x_test"
        );
    }

    #[test]
    fn a_single_array_is_called_as_the_only_argument_or_as_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("signal.npy");
        let writer = npyz::WriteOptions::new().default_dtype().shape(&[2, 3]);
        let mut writer = writer
            .writer(fs::File::create(&path).unwrap())
            .begin_nd()
            .unwrap();
        writer.extend((0..6).map(f64::from)).unwrap();
        writer.finish().unwrap();
        let data = load(&request(&path, &["x"], None)).unwrap();
        assert_eq!((data.samples(), &*data.inputs[0].name), (2, "x"));
        assert_eq!(data.pixels(), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
        assert_eq!(said(&request(&path, &["x"], Some("x"))), "x -> x");
        assert_eq!(said(&request(&path, &["x"], Some("signal"))), "x -> x");
        assert_eq!(
            said(&request(&path, &[], Some("signal"))),
            "signal -> signal"
        );
        let sentence = said(&request(&path, &[], Some("y")));
        assert!(
            sentence.ends_with("expected an array y for --target, found signal"),
            "{sentence}"
        );
        assert!(
            load(&Request::whole(&path)).is_err(),
            "the built-in ones take images"
        );
    }

    #[test]
    fn sets_of_images_are_normalized_for_any_model() {
        let plain = load(&Request::whole("digits")).unwrap();
        assert_eq!(load(&request("digits", &["x"], None)).unwrap(), plain);
        assert_eq!(said(&request("digits", &["x"], None)), "images -> labels");
    }
}
