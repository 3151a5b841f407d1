//! Named arrays as columns: taken as they are, for a model of any kind.

use std::collections::HashSet;
use std::path::Path;

use super::array::Kind;
use super::arrays::{self, Arrays, LARGEST, LARGEST_WHOLE, check_size, listed, stem};
use super::column::{Column, ColumnValues};
use super::{Columns, DataError, DataRequest, Dataset, Split, select, tokens};

/// Names of the array that a model should give, the likeliest first.
const TARGETS: [&str; 5] = ["target", "targets", "labels", "label", "y"];

/// Loads columns; `None` where the source is a set of images.
pub(super) fn load(request: &DataRequest, wanted: &Columns) -> Result<Option<Dataset>, DataError> {
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
    let of_split = arrays::of_split(source, request.split)?;
    let file = of_split.as_deref().unwrap_or(source);
    let Some(mut arrays) = arrays::open(file)? else {
        return Ok(None);
    };
    unscaled(file, request)?;
    let names = arrays.names();
    let tells = of_split.is_some() || names.iter().any(|name| split_of(name).is_some());
    if !tells {
        only_split(file, request, &names)?;
    }
    let choice = Choice::of(file, &names, request.split, wanted)?;
    let taken = Taking::of(file, arrays.as_mut(), choice, request)?;
    let dataset = taken.dataset(arrays.as_mut(), request.split)?;
    Ok(Some(Dataset {
        // A file that is called as its split says nothing about the set.
        name: stem(source),
        ..dataset
    }))
}

/// Refuses figures that pixels are normalized by: columns are taken as they are, and their effect would be missed.
fn unscaled(path: &Path, request: &DataRequest) -> Result<(), DataError> {
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
fn only_split(path: &Path, request: &DataRequest, names: &[String]) -> Result<(), DataError> {
    if request.split == request.own {
        return Ok(());
    }
    let expected = format!("arrays of the {} split, e.g. x_{0}", request.split.name());
    Err(DataError::invalid(path, expected, listed(names)))
}

/// Returns the split that a name of an array tells.
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

/// Returns one array, called as its file.
fn single(path: &Path, request: &DataRequest, wanted: &Columns) -> Result<Dataset, DataError> {
    let mut array = arrays::single(path);
    let own = NamedColumn {
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
struct NamedColumn {
    array: String,
    column: String,
}

/// Arrays that are wanted by their names.
#[derive(Debug)]
struct Choice {
    inputs: Vec<NamedColumn>,
    target: Option<NamedColumn>,
    /// All others, where one of the inputs is not there by its name.
    others: Vec<NamedColumn>,
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
        let inputs: Vec<NamedColumn> = wanted
            .inputs
            .iter()
            .filter_map(|input| find(input))
            .collect();
        let is_all = !wanted.inputs.is_empty() && inputs.len() == wanted.inputs.len();
        let is_other = |named: &&NamedColumn| {
            !is_all && !inputs.contains(*named) && target.as_ref() != Some(*named)
        };
        Ok(Self {
            others: named.iter().filter(is_other).cloned().collect(),
            inputs,
            target,
        })
    }
}

/// Returns the names without the split, `x` of `x_train` or `train_x`; those of the other split are left out. A name
/// that the model knows stays as it is, and so does one that would be there twice.
fn named(names: &[String], split: Split, known: &[String]) -> Vec<NamedColumn> {
    let ends = |name: &str, split: Split| -> Option<String> {
        let short = name.strip_suffix(split.name())?.strip_suffix('_');
        short.map(str::to_owned)
    };
    let begins = |name: &str, split: Split| -> Option<String> {
        let short = name.strip_prefix(split.name())?.strip_prefix('_');
        short.map(str::to_owned)
    };
    let without = |name: &str, split| ends(name, split).or_else(|| begins(name, split));
    let other = split.other();
    // One without a word of a split is that of training where the other has a word.
    let own: HashSet<String> = names
        .iter()
        .filter_map(|name| without(name, split))
        .collect();
    let is_kept = |name: &&String| {
        known.contains(name) && !own.contains(*name)
            || without(name, other).is_none() && !own.contains(*name)
    };
    let name = |name: &String| NamedColumn {
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
    inputs: Vec<NamedColumn>,
    target: Option<NamedColumn>,
    /// Places of the samples in the file, ascending.
    indices: Vec<usize>,
}

impl<'a> Taking<'a> {
    fn of(
        path: &'a Path,
        arrays: &mut dyn Arrays,
        choice: Choice,
        request: &DataRequest,
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
        select::check(path, total, request)?;
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
        let of_input = |named: &NamedColumn| inputs.iter().find(|input| input.name == named.column);
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

    fn column(&self, arrays: &mut dyn Arrays, named: &NamedColumn) -> Result<Column, DataError> {
        let (head, data) = arrays.open(&named.array)?;
        let failed = |error| DataError::io(self.path, error);
        let chosen = &self.indices;
        let values = if head.kind.is_integer() {
            let values = head.take(data, chosen, Kind::whole, |_, _| {});
            ColumnValues::I64(values.map_err(failed)?)
        } else {
            let values = head.take(data, chosen, Kind::value, |_, _| {});
            ColumnValues::F32(values.map_err(failed)?)
        };
        if let ColumnValues::F32(values) = &values
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

/// Returns the number of rows, and of elements of one, of an array that may be a column.
fn extents(
    path: &Path,
    arrays: &mut dyn Arrays,
    named: &NamedColumn,
) -> Result<[usize; 2], DataError> {
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
mod tests;
