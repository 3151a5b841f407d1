//! Files of ids as nanoGPT writes them: one long text, cut into blocks, each to be continued by one id.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use crate::run::regular;

use super::arrays::{LARGEST_WHOLE, stem};
use super::column::{Column, ColumnValues};
use super::{Columns, Count, DataError, DataRequest, Dataset, Split, TokenType, select};

/// Ids of a block where nothing is said.
const BLOCK: usize = 256;
/// Names of nanoGPT's arguments.
const IDS: &str = "idx";
const NEXT: &str = "targets";

/// Finds the file of a split in a folder that holds ids; `None` if that may be one of CIFAR-100, which has
/// `train.bin` and `test.bin` too.
pub(super) fn find(folder: &Path, split: Split) -> Option<PathBuf> {
    let there = |name: &str| Some(folder.join(name)).filter(|path| path.is_file());
    let (train, held_out) = (there("train.bin"), there("val.bin"));
    if held_out.is_none() && there("test.bin").is_some() {
        return None;
    }
    match split {
        Split::Train => train,
        Split::Test => held_out,
    }
}

/// Loads blocks of ids, and as target the same shifted by one.
pub(super) fn load(
    path: &Path,
    request: &DataRequest,
    wanted: &Columns,
) -> Result<Dataset, DataError> {
    let text = Text::open(path, wanted)?;
    let blocks = text.ids.saturating_sub(1) / text.block;
    let taken = match request.count {
        Count::At(count) => count.min(blocks),
        Count::All => blocks,
    };
    if taken.saturating_mul(text.block) > LARGEST_WHOLE {
        let expected =
            format!("at most {LARGEST_WHOLE} ids in all samples; take fewer by --samples");
        let found = format!("{taken} samples of {} ids", text.block);
        return Err(DataError::invalid(path, expected, found));
    }
    let (ids, next) = text.read(&select::chosen(blocks, request))?;
    let column = |name: &str, values| Column {
        name: name.into(),
        shape: vec![text.block],
        values: ColumnValues::I64(values),
    };
    let ids = column(IDS, ids);
    let target = match wanted.target.as_deref() {
        Some(IDS) => ids.clone(),
        Some(NEXT) | None => column(NEXT, next),
        Some(other) => {
            let expected = format!("--target {NEXT}, the next ids, or {IDS}");
            return Err(DataError::invalid(path, expected, other));
        }
    };
    Ok(Dataset {
        split: request.split,
        normalization: format!("blocks of {} ids", text.block),
        ..Dataset::of(&stem(path), vec![ids], Some(target))
    })
}

/// An open file of ids.
struct Text<'a> {
    path: &'a Path,
    file: File,
    token: TokenType,
    /// Number of ids.
    ids: usize,
    /// Ids of a sample.
    block: usize,
}

impl<'a> Text<'a> {
    fn open(path: &'a Path, wanted: &Columns) -> Result<Self, DataError> {
        let file = regular::open(path).map_err(|error| DataError::io(path, error))?;
        let bytes = file
            .metadata()
            .map_err(|error| DataError::io(path, error))?;
        let (token, bytes) = (wanted.token, bytes.len() as usize);
        let size = token.size();
        if bytes % size != 0 {
            let expected = format!("ids of {size} bytes each (--token-type)");
            return Err(DataError::invalid(path, expected, format!("{bytes} bytes")));
        }
        let block = wanted.block.unwrap_or(BLOCK).max(1);
        let ids = bytes / size;
        if ids <= block {
            let expected = format!("more than the {block} ids of a sample (--block)");
            return Err(DataError::invalid(path, expected, format!("{ids} ids")));
        }
        Ok(Self {
            path,
            file,
            token,
            ids,
            block,
        })
    }

    /// Returns the ids of these blocks, and those that follow them.
    fn read(&self, chosen: &[usize]) -> Result<(Vec<i64>, Vec<i64>), DataError> {
        let size = self.token.size();
        let mut bytes = vec![0; (self.block + 1) * size];
        let (mut ids, mut next) = (Vec::new(), Vec::new());
        for place in chosen {
            let start = (place * self.block * size) as u64;
            let mut file = &self.file;
            let read = file.seek(SeekFrom::Start(start));
            read.and_then(|_| file.read_exact(&mut bytes))
                .map_err(|error| DataError::io(self.path, error))?;
            let all = bytes.chunks_exact(size).map(|id| self.token.id(id));
            ids.extend(all.clone().take(self.block));
            next.extend(all.skip(1));
        }
        Ok((ids, next))
    }
}

impl TokenType {
    fn size(self) -> usize {
        match self {
            Self::U16 => 2,
            Self::U32 => 4,
        }
    }

    fn id(self, bytes: &[u8]) -> i64 {
        match (self, bytes) {
            (Self::U16, &[a, b]) => u16::from_le_bytes([a, b]).into(),
            (Self::U32, &[a, b, c, d]) => u32::from_le_bytes([a, b, c, d]).into(),
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use std::fs;

    use super::super::load;
    use super::*;

    fn request(path: &Path, columns: Columns) -> DataRequest {
        DataRequest {
            columns: Some(columns),
            ..DataRequest::whole(path)
        }
    }

    fn columns(block: usize, token: TokenType, target: Option<&str>) -> Columns {
        Columns {
            inputs: vec![IDS.into()],
            target: target.map(str::to_owned),
            block: Some(block),
            token,
        }
    }

    fn values(column: Option<&Column>) -> Vec<i64> {
        match column.map(|column| &column.values) {
            Some(ColumnValues::I64(values)) => values.clone(),
            _ => Vec::new(),
        }
    }

    #[test]
    fn blocks_follow_one_another_and_the_target_is_one_ahead() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, ids: &[u16]| {
            let bytes: Vec<u8> = ids.iter().flat_map(|id| id.to_le_bytes()).collect();
            fs::write(folder.path().join(name), bytes).unwrap();
        };
        // Nine ids are two blocks of three: the third would need a tenth behind it.
        write("train.bin", &[5, 6, 7, 8, 9, 10, 11, 12, 50_256]);
        write("val.bin", &[1, 2, 3, 4]);
        let mut of = request(folder.path(), columns(3, TokenType::U16, None));
        let data = load(&of).unwrap();
        assert_eq!(
            (data.samples(), data.inputs[0].shape.as_slice()),
            (2, &[3][..])
        );
        assert_eq!(values(data.inputs.first()), [5, 6, 7, 8, 9, 10]);
        assert_eq!(values(data.target.as_ref()), [6, 7, 8, 9, 10, 11]);
        (of.count, of.order) = (Count::At(1), super::super::SampleOrder::First);
        assert_eq!(values(load(&of).unwrap().inputs.first()), [5, 6, 7]);
        of.split = Split::Test;
        assert_eq!(values(load(&of).unwrap().target.as_ref()), [2, 3, 4]);
        let file = folder.path().join("train.bin");
        let own = request(&file, columns(8, TokenType::U16, Some(IDS)));
        let data = load(&own).unwrap();
        assert_eq!(values(data.target.as_ref()), values(data.inputs.first()));
        let data = load(&request(&file, columns(8, TokenType::U16, None))).unwrap();
        assert_eq!(values(data.target.as_ref())[7], 50_256);
    }

    #[test]
    fn what_does_not_fit_is_said_with_its_option() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ids.bin");
        let wide = [70_000u32, 1, 2].map(u32::to_le_bytes).concat();
        fs::write(&file, &wide).unwrap();
        let data = load(&request(&file, columns(2, TokenType::U32, None))).unwrap();
        assert_eq!(values(data.inputs.first()), [70_000, 1]);
        fs::write(&file, &wide[..10]).unwrap();
        let said = |columns| load(&request(&file, columns)).unwrap_err().to_string();
        let sentence = said(columns(2, TokenType::U32, None));
        assert!(
            sentence.contains("ids of 4 bytes each (--token-type), found 10 bytes"),
            "{sentence}"
        );
        let sentence = said(Columns::default());
        assert!(
            sentence.contains("more than the 256 ids of a sample (--block), found 5 ids"),
            "{sentence}"
        );
        let sentence = said(columns(2, TokenType::U16, Some("z")));
        assert!(
            sentence.contains("expected --target targets, the next ids, or idx, found z"),
            "{sentence}"
        );
    }

    #[test]
    fn a_folder_of_cifar_is_none_of_ids() {
        let folder = tempfile::tempdir().unwrap();
        let touch = |name: &str| fs::write(folder.path().join(name), "").unwrap();
        assert_eq!(find(folder.path(), Split::Train), None);
        touch("train.bin");
        assert!(find(folder.path(), Split::Train).is_some());
        touch("test.bin");
        assert_eq!(find(folder.path(), Split::Train), None);
        touch("val.bin");
        assert!(find(folder.path(), Split::Test).is_some());
    }
}
