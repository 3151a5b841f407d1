//! A plane as a file that another machine repeats to the bit: its checkpoints are named by their contents.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::run::{self, Checkpoint, regular};

use super::plane_spec::{BatchNorm, Directions, PlaneSpec};

/// The version of the file.
const VERSION: u32 = 1;
/// Far more bytes than a recipe of 10,000 checkpoints takes.
const LARGEST: u64 = 16 << 20;

/// Reasons why a recipe cannot be made, read or followed.
#[derive(Debug, thiserror::Error)]
pub enum RecipeError {
    /// The file cannot be read.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The file is another one.
    #[error("{}: expected a plane that --plane-out wrote, version {VERSION}: {why}", path.display())]
    Other {
        /// The file.
        path: PathBuf,
        /// The reason.
        why: String,
    },
    /// A checkpoint of it is none of the run.
    #[error("{}: expected the checkpoint of step {step} with the weights {content}, which is none of the run's {known}", path.display())]
    Missing {
        /// The file of the recipe.
        path: PathBuf,
        /// Its step.
        step: u64,
        /// Hash of its weights.
        content: String,
        /// Number of checkpoints that were looked at.
        known: usize,
    },
    /// A checkpoint of the plane cannot be read.
    #[error("{}: cannot be read again for its contents", .0.display())]
    Unread(PathBuf),
    /// The directions are a file already.
    #[error("--plane-out: the directions of {} are a file already, which another machine can take as it is", .0.display())]
    IsFile(PathBuf),
}

/// A plane by the contents of its checkpoints.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlaneRecipe {
    /// The version of the file.
    isoloss_plane: u32,
    /// The plane's origin.
    origin: NamedContent,
    /// Treatment of batch norm's running statistics.
    batch_norm: BatchNorm,
    directions: Directions<NamedContent>,
}

/// A checkpoint by its weights; its step is for people.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct NamedContent {
    step: u64,
    content: String,
}

impl PlaneRecipe {
    /// Reads the contents of a plane's checkpoints.
    ///
    /// # Errors
    /// One cannot be read, or the directions are those of a file.
    pub fn of(spec: &PlaneSpec) -> Result<Self, RecipeError> {
        let key = spec.shape.key.as_deref();
        let named = |checkpoint: &Checkpoint| named(checkpoint, key);
        if let Directions::File { path } = &spec.directions {
            return Err(RecipeError::IsFile(path.clone()));
        }
        Ok(Self {
            isoloss_plane: VERSION,
            origin: named(&spec.origin)?,
            batch_norm: spec.batch_norm,
            directions: spec.directions.told_as(named)?,
        })
    }

    /// Reads a file.
    ///
    /// # Errors
    /// It cannot be read, or is not a recipe.
    pub fn read(path: &Path) -> Result<Self, RecipeError> {
        let other = |why: String| RecipeError::Other {
            path: path.to_path_buf(),
            why,
        };
        let text = regular::read_text(path, LARGEST).map_err(|error| match error.kind() {
            io::ErrorKind::InvalidData => other(format!("found no text: {error}")),
            _ => io_error(path)(error),
        })?;
        let value: serde_json::Value =
            serde_json::from_str(&text).map_err(|_| other("found no JSON".into()))?;
        if value.get("isoloss_plane").is_none() {
            return Err(other("found something else".into()));
        }
        let recipe: Self =
            serde_json::from_value(value).map_err(|error| other(error.to_string()))?;
        let version = recipe.isoloss_plane;
        if version != VERSION {
            return Err(other(format!("found version {version}")));
        }
        if let Directions::Principal {
            members,
            combinations,
        } = &recipe.directions
            && combinations.iter().any(|row| row.len() != members.len())
        {
            return Err(other(
                "its coefficients are not as many as its checkpoints".into(),
            ));
        }
        Ok(recipe)
    }

    /// Returns the text of its file.
    ///
    /// # Errors
    /// A coefficient is NaN or infinite.
    pub fn text(&self) -> Result<String, serde_json::Error> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }

    /// Finds its checkpoints among those of a run: those of the same step first. The error names `file` if one is missing.
    ///
    /// # Errors
    /// One is not among them.
    pub fn among(
        &self,
        members: &[Checkpoint],
        key: Option<&str>,
        file: &Path,
    ) -> Result<(Checkpoint, Directions, BatchNorm), RecipeError> {
        let mut contents: Vec<Option<String>> = vec![None; members.len()];
        let mut find = |wanted: &NamedContent| {
            let mut order: Vec<usize> = (0..members.len()).collect();
            order.sort_by_key(|&at| members[at].step.abs_diff(wanted.step));
            let is_wanted = |&at: &usize| {
                let known = contents[at].get_or_insert_with(|| {
                    named(&members[at], key).map_or(String::new(), |named| named.content)
                });
                *known == wanted.content
            };
            let found = order.into_iter().find(is_wanted);
            found
                .map(|at| members[at].clone())
                .ok_or_else(|| RecipeError::Missing {
                    path: file.to_path_buf(),
                    step: wanted.step,
                    content: wanted.content.clone(),
                    known: members.len(),
                })
        };
        let origin = find(&self.origin)?;
        let directions = self.directions.told_as(find)?;
        Ok((origin, directions, self.batch_norm))
    }
}

fn named(checkpoint: &Checkpoint, key: Option<&str>) -> Result<NamedContent, RecipeError> {
    let (file, key) = checkpoint.source(key);
    let content =
        run::content(file, key).ok_or_else(|| RecipeError::Unread(checkpoint.path.clone()))?;
    Ok(NamedContent {
        step: checkpoint.step,
        content: blake3::Hash::from_bytes(content).to_hex().to_string(),
    })
}

fn io_error(path: &Path) -> impl FnOnce(io::Error) -> RecipeError {
    let path = path.to_path_buf();
    move |source| RecipeError::Io { path, source }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use super::*;
    use crate::weights::run_checkpoint::RunShape;
    use std::fs;

    /// Returns the checkpoints of the digits in a folder of their own, under names of their own.
    fn members(folder: &Path, name: &str) -> Vec<Checkpoint> {
        let copy = |step: u64| {
            let original = format!("tests/fixtures/digits-run/step_{step:04}.safetensors");
            let path = folder.join(format!("{name}{step}.safetensors"));
            fs::copy(original, &path).unwrap();
            Checkpoint::new(step, path)
        };
        [0, 10, 20, 240].map(copy).into()
    }

    fn spec(members: &[Checkpoint]) -> PlaneSpec {
        PlaneSpec {
            shape: RunShape::of(&members[3], None).unwrap(),
            origin: members[3].clone(),
            directions: Directions::Principal {
                members: members.to_vec(),
                combinations: [
                    vec![0.1, 0.2, -0.7, 0.4],
                    vec![1.0 / 3.0, -1.0 / 3.0, 1e-300, -0.0],
                ],
            },
            batch_norm: BatchNorm::States,
        }
    }

    #[test]
    fn a_plane_is_repeated_to_the_bit_where_the_run_was_moved() {
        let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (own, moved) = (members(here.path(), "a"), members(there.path(), "b"));
        let file = there.path().join("plane.json");
        let text = PlaneRecipe::of(&spec(&own)).unwrap().text().unwrap();
        assert!(text.len() < 2048);
        fs::write(&file, text).unwrap();
        let recipe = PlaneRecipe::read(&file).unwrap();
        let (origin, directions, batch_norm) = recipe.among(&moved, None, &file).unwrap();
        let found = PlaneSpec {
            origin,
            directions,
            batch_norm,
            shape: RunShape::of(&moved[3], None).unwrap(),
        };
        assert_eq!(
            found,
            PlaneSpec {
                shape: found.shape.clone(),
                ..spec(&moved)
            }
        );
        let (found, own) = (found.make().unwrap(), spec(&own).make().unwrap());
        assert_eq!(
            (found.origin, found.directions),
            (own.origin, own.directions)
        );
    }

    #[test]
    fn what_is_missing_or_another_file_is_told_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let own = members(folder.path(), "a");
        let file = folder.path().join("plane.json");
        let recipe = PlaneRecipe::of(&spec(&own)).unwrap();
        let said = recipe
            .among(&own[..3], None, &file)
            .unwrap_err()
            .to_string();
        assert!(
            said.contains("plane.json: expected the checkpoint of step 240 with the weights"),
            "{said}"
        );
        fs::write(&file, b"\xff\xfe weights").unwrap();
        let said = PlaneRecipe::read(&file).unwrap_err().to_string();
        assert!(
            said.contains("expected a plane that --plane-out wrote"),
            "{said}"
        );
        for text in ["", "{}", "{\"isoloss_plane\": 2}", "[[[[[["] {
            fs::write(&file, text).unwrap();
            let said = PlaneRecipe::read(&file).unwrap_err().to_string();
            assert!(
                said.contains("plane.json: expected a plane that --plane-out wrote"),
                "{said}"
            );
        }
        let text = serde_json::to_string(&recipe).unwrap().replace("0.1,", "");
        fs::write(&file, text).unwrap();
        assert!(PlaneRecipe::read(&file).is_err());
    }
}
