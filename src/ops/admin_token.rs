//! The admin token: given by the operator, read from a file of theirs, or made at the first start and kept.
//!
//! A made token is written whole or not at all, readable by its owner only. The token itself is printed by nobody but the
//! banner, and only on a terminal.

use crate::base::chance;
use crate::base::data_dir::DataDir;
use crate::base::durable_file;
use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

/// What a made token is made of, in bytes.
const RANDOM_LEN: usize = 20;

/// The shortest token, in characters: 16 are beyond guessing at the slowed pace of wrong ones.
pub const LEN_MIN: usize = 16;

/// The longest token, in characters.
pub const LEN_MAX: usize = 256;

/// A token that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes a text that is long enough to be a token, and of visible ASCII characters, so that a header can carry it.
    pub fn parse(text: &str) -> Option<Self> {
        let fits = (LEN_MIN..=LEN_MAX).contains(&text.len());
        (fits && text.bytes().all(|b| b.is_ascii_graphic())).then(|| Self(text.into()))
    }

    /// The token itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// Where the token comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// It was given.
    Given(Secret),
    /// It is in this file, which is the operator's.
    File(PathBuf),
    /// It is in this file, if the supervisor handed one over; else it is as [`Source::Kept`].
    Handed(PathBuf),
    /// It is kept in the data folder, and made there at the first start.
    Kept,
}

/// The token of this start, and the file it is in, if it is in one.
#[derive(Debug)]
pub struct AdminToken {
    pub secret: Secret,
    pub file: Option<PathBuf>,
}

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum AdminTokenError {
    #[error("the admin token in {} cannot be read or written", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{} does not hold a token of {LEN_MIN} to {LEN_MAX} visible characters", path.display())]
    Misshapen { path: PathBuf },
}

impl AdminToken {
    /// Gets the token; `data_dir` is there already.
    ///
    /// # Errors
    /// When its file cannot be read or written, or holds something else.
    pub fn obtain(source: &Source, data_dir: &DataDir) -> Result<Self, AdminTokenError> {
        let path = match source {
            Source::Given(secret) => return Ok(Self { secret: secret.clone(), file: None }),
            Source::File(path) => path.clone(),
            Source::Handed(path) if path.exists() => path.clone(),
            Source::Handed(_) | Source::Kept => data_dir.admin_token(),
        };
        let failed = |source| AdminTokenError::Io { path: path.clone(), source };
        if path == data_dir.admin_token() {
            if !path.exists() {
                durable_file::write(&path, format!("{}\n", chance::hex(RANDOM_LEN)).as_bytes()).map_err(failed)?;
            }
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).map_err(failed)?;
        }
        let text = fs::read_to_string(&path).map_err(failed)?;
        let secret = Secret::parse(text.trim()).ok_or_else(|| AdminTokenError::Misshapen { path: path.clone() })?;
        Ok(Self { secret, file: Some(path) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(folder: &tempfile::TempDir) -> DataDir {
        DataDir::new(folder.path())
    }

    #[test]
    fn a_token_is_made_once_and_kept_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let first = AdminToken::obtain(&Source::Kept, &data(&folder)).unwrap();
        let again = AdminToken::obtain(&Source::Kept, &data(&folder)).unwrap();
        assert_eq!(first.secret, again.secret);
        assert_eq!(first.secret.expose().len(), 2 * RANDOM_LEN);
        let file = first.file.unwrap();
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        let elsewhere = tempfile::tempdir().unwrap();
        assert_ne!(AdminToken::obtain(&Source::Kept, &data(&elsewhere)).unwrap().secret, again.secret);
    }

    #[test]
    fn a_file_of_the_operator_is_read_and_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        fs::write(&path, "0123456789abcdef-token\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let token = AdminToken::obtain(&Source::File(path.clone()), &data(&folder)).unwrap();
        assert_eq!(token.secret.expose(), "0123456789abcdef-token");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        assert!(!data(&folder).admin_token().exists());
    }

    #[test]
    fn a_token_that_is_handed_over_is_taken_and_otherwise_one_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let handed = folder.path().join("credentials");
        let kept = AdminToken::obtain(&Source::Handed(handed.clone()), &data(&folder)).unwrap();
        assert_eq!(kept.file.unwrap(), data(&folder).admin_token());
        fs::write(&handed, "a-token-that-was-handed-over\n").unwrap();
        let token = AdminToken::obtain(&Source::Handed(handed), &data(&folder)).unwrap();
        assert_eq!(token.secret.expose(), "a-token-that-was-handed-over");
    }

    #[test]
    fn a_file_without_a_token_is_refused_and_not_repeated() {
        let folder = tempfile::tempdir().unwrap();
        for text in ["", "short", "with a space in its middle"] {
            fs::write(data(&folder).admin_token(), text).unwrap();
            let error = AdminToken::obtain(&Source::Kept, &data(&folder)).unwrap_err();
            assert!(matches!(error, AdminTokenError::Misshapen { .. }));
            assert!(text.is_empty() || !error.to_string().contains(text));
        }
        let nowhere = Source::File(folder.path().join("nowhere"));
        assert!(matches!(AdminToken::obtain(&nowhere, &data(&folder)), Err(AdminTokenError::Io { .. })));
    }
}
