//! Columns of the data matched to what a model takes: by name, then by shape.

use super::column::Column;
use super::{DataError, Dataset};

/// An argument of a model: its name, the extents of one sample (`None` for any) and, for whole numbers, true.
pub type Argument = (String, Vec<Option<usize>>, bool);

impl Dataset {
    /// Returns the column of each argument: the one of its name, or the only other one of its shape and type.
    ///
    /// # Errors
    /// A column does not have what the model takes, or several might be it.
    pub fn arguments(&self, model: &str, wanted: &[Argument]) -> Result<Vec<&Column>, DataError> {
        let mut matched: Vec<Option<&Column>> = Vec::new();
        for argument in wanted {
            let named = self.named(&argument.0);
            if let Some(column) = named.filter(|column| !fits(argument, column)) {
                return Err(self.misfit(model, argument, &[column]));
            }
            matched.push(named);
        }
        while let Some((at, column)) = self.next_by_shape(wanted, &matched) {
            matched[at] = Some(column);
        }
        let rest = self.rest(&matched);
        let found = matched.into_iter().zip(wanted);
        found
            .map(|(column, argument)| column.ok_or_else(|| self.misfit(model, argument, &rest)))
            .collect()
    }

    /// Returns the column of this name; the target too, where the loss is in the model.
    fn named(&self, name: &str) -> Option<&Column> {
        let mut columns = self.inputs.iter().chain(&self.target);
        columns.find(|column| column.name == name)
    }

    /// Returns the inputs that are no argument so far.
    fn rest(&self, matched: &[Option<&Column>]) -> Vec<&Column> {
        let is_taken = |column: &Column| {
            let mut taken = matched.iter().flatten();
            taken.any(|taken| taken.name == column.name)
        };
        let rest = self.inputs.iter().filter(|column| !is_taken(column));
        rest.collect()
    }

    /// Returns an argument that only one of the remaining columns can be.
    fn next_by_shape(
        &self,
        wanted: &[Argument],
        matched: &[Option<&Column>],
    ) -> Option<(usize, &Column)> {
        let rest = self.rest(matched);
        let open = matched.iter().zip(wanted).enumerate();
        open.filter(|(_, (column, _))| column.is_none())
            .find_map(|(at, (_, argument))| {
                let mut fitting = rest.iter().filter(|column| fits(argument, column));
                let only = fitting.next().filter(|_| fitting.next().is_none());
                only.map(|column| (at, *column))
            })
    }

    fn misfit(&self, model: &str, argument: &Argument, rest: &[&Column]) -> DataError {
        let found = rest.iter().map(|column| described(column));
        let found: Vec<String> = found.collect();
        DataError::Argument {
            model: model.into(),
            argument: words(argument),
            data: self.name.clone(),
            found: match &found[..] {
                [] => "no other array".into(),
                found => super::arrays::listed(found),
            },
            remedy: remedy(argument, rest),
        }
    }
}

/// Returns the advice where none of these columns is the argument.
fn remedy((name, shape, is_integer): &Argument, columns: &[&Column]) -> String {
    let fitting = |column: &&&Column| fits(&(name.clone(), shape.clone(), *is_integer), column);
    if columns.iter().filter(fitting).count() > 1 {
        return format!("give the array that it takes the name {name}");
    }
    match columns {
        [only] if only.is_integer() != *is_integer => {
            format!(
                "save {} in the type that training gives the model",
                only.name
            )
        }
        [only] if only.shape.len() == shape.len() => match shape.len() {
            1 => "export with a sample of that length".into(),
            _ => "export with a sample of that size".into(),
        },
        _ => format!("save an array {name} as training gives it to the model"),
    }
}

/// Returns true if the column is what the model takes: where that is one vector of floats, an image of as many too, row
/// by row.
fn fits((_, shape, is_integer): &Argument, column: &Column) -> bool {
    if column.is_integer() != *is_integer {
        return false;
    }
    let mut extents = shape.iter().zip(&column.shape);
    let is_same = shape.len() == column.shape.len()
        && extents.all(|(wanted, found)| wanted.is_none_or(|wanted| wanted == *found));
    is_same || !is_integer && shape[..] == [Some(column.row())]
}

/// Returns an argument in words, e.g. `input_ids of (batch, 12) whole numbers`.
fn words((name, shape, is_integer): &Argument) -> String {
    let extents = shape.iter().map(|extent| match extent {
        Some(extent) => extent.to_string(),
        None => "any".into(),
    });
    sentence(name, extents, *is_integer)
}

fn described(column: &Column) -> String {
    let extents = column.shape.iter().map(usize::to_string);
    sentence(&column.name, extents, column.is_integer())
}

fn sentence(name: &str, extents: impl Iterator<Item = String>, is_integer: bool) -> String {
    let extents: Vec<String> = ["batch".to_owned()].into_iter().chain(extents).collect();
    let kind = if is_integer {
        "whole numbers"
    } else {
        "floats"
    };
    format!("{name} of ({}) {kind}", extents.join(", "))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use super::super::column::ColumnValues;
    use super::*;

    fn column(name: &str, shape: &[usize], is_integer: bool) -> Column {
        let count = 2 * shape.iter().product::<usize>();
        Column {
            name: name.into(),
            shape: shape.to_vec(),
            values: if is_integer {
                ColumnValues::I64(vec![1; count])
            } else {
                ColumnValues::F32(vec![1.0; count])
            },
        }
    }

    fn argument(name: &str, shape: &[usize], is_integer: bool) -> Argument {
        (
            name.into(),
            shape.iter().copied().map(Some).collect(),
            is_integer,
        )
    }

    /// Returns the names of the matched columns, or the error.
    fn said(inputs: Vec<Column>, wanted: &[Argument]) -> String {
        let target = Some(column("labels", &[], true));
        let data = Dataset::of("d", inputs, target);
        let found = data.arguments("model.pt2", wanted);
        found.map_or_else(
            |error| error.to_string(),
            |found| {
                found
                    .iter()
                    .map(|column| column.name.clone())
                    .collect::<Vec<_>>()
                    .join(" ")
            },
        )
    }

    #[test]
    fn names_come_first_and_shapes_tell_the_rest() {
        let inputs = || {
            vec![
                column("ids", &[12], true),
                column("mask", &[12], true),
                column("image", &[3, 4, 4], false),
            ]
        };
        let by_both = [
            argument("pixels", &[3, 4, 4], false),
            argument("mask", &[12], true),
        ];
        assert_eq!(said(inputs(), &by_both), "image mask");
        // `mask` is taken by its name, so that only one of its shape is left.
        let left = [
            argument("input_ids", &[12], true),
            argument("mask", &[12], true),
        ];
        assert_eq!(said(inputs(), &left), "ids mask");
        let loss = [argument("mask", &[12], true), argument("labels", &[], true)];
        assert_eq!(said(inputs(), &loss), "mask labels");
        let any = [("x".to_owned(), vec![Some(3), None, None], false)];
        assert_eq!(said(inputs(), &any), "image");
        assert_eq!(said(inputs(), &[argument("x", &[48], false)]), "image");
    }

    #[test]
    fn what_does_not_fit_is_said_with_the_remedy() {
        let wanted = [argument("input_ids", &[12], true)];
        assert_eq!(
            said(vec![column("ids", &[64], true)], &wanted),
            "model.pt2 takes input_ids of (batch, 12) whole numbers, d has ids of (batch, 64) whole numbers: export with a sample of that length"
        );
        assert_eq!(
            said(vec![column("input_ids", &[12], false)], &wanted),
            "model.pt2 takes input_ids of (batch, 12) whole numbers, d has input_ids of (batch, 12) floats: save input_ids in the type that training gives the model"
        );
        let two = vec![column("a", &[12], true), column("b", &[12], true)];
        let sentence = said(two, &wanted);
        assert!(
            sentence.ends_with("give the array that it takes the name input_ids"),
            "{sentence}"
        );
        let none = said(Vec::new(), &wanted);
        assert!(
            none.ends_with(
                "d has no other array: save an array input_ids as training gives it to the model"
            ),
            "{none}"
        );
        let once = [argument("a", &[12], true), argument("b", &[12], true)];
        let sentence = said(vec![column("ids", &[12], true)], &once);
        assert!(sentence.starts_with("model.pt2 takes b of"), "{sentence}");
    }
}
