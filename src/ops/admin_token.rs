//! The admin token: given in the settings, read from the operator's file, or made at the first
//! start and kept.
//!
//! A made token is written whole or not at all, readable by its owner only. Only the banner prints
//! a token, and only on a terminal.

use crate::base::chance;
use crate::base::data_dir::DataDir;
use crate::base::durable_file;
use crate::base::secret::{LEN_MAX, LEN_MIN, Secret};
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

/// Random bytes in a made token.
const RANDOM_LEN: usize = 20;

/// The source of the admin token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdminTokenSource {
    /// The settings hold the token.
    Given(Secret),
    /// The operator's file holds it.
    File(PathBuf),
    /// The supervisor's credential holds it if the file exists; else the same as
    /// [`AdminTokenSource::DataFolder`].
    Credential(PathBuf),
    /// A file in the data folder holds it, made at the first start.
    DataFolder,
}

/// The token of this start.
#[derive(Debug)]
pub struct AdminToken {
    /// The token itself.
    pub secret: Secret,
    /// The file that holds it, if one does.
    pub file: Option<PathBuf>,
}

/// Reasons for which there is no token.
#[expect(missing_docs, reason = "the messages say what failed")]
#[derive(Debug, thiserror::Error)]
pub enum AdminTokenError {
    #[error("the admin token in {} cannot be read or written", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{} does not hold a token of {LEN_MIN} to {LEN_MAX} visible characters", path.display())]
    Malformed { path: PathBuf },
}

impl AdminToken {
    /// Loads the token, and makes it where the data folder is its source and has none. `data_dir`
    /// exists already.
    ///
    /// # Errors
    /// When the file cannot be read or written, or holds something else.
    pub fn load(source: &AdminTokenSource, data_dir: &DataDir) -> Result<Self, AdminTokenError> {
        let path = match source {
            AdminTokenSource::Given(secret) => return Ok(Self { secret: secret.clone(), file: None }),
            AdminTokenSource::File(path) => path.clone(),
            AdminTokenSource::Credential(path) if path.exists() => path.clone(),
            AdminTokenSource::Credential(_) | AdminTokenSource::DataFolder => data_dir.admin_token(),
        };
        let failed = |source| AdminTokenError::Io { path: path.clone(), source };
        if path == data_dir.admin_token() {
            if !path.exists() {
                durable_file::write(&path, format!("{}\n", chance::hex(RANDOM_LEN)).as_bytes()).map_err(failed)?;
            }
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).map_err(failed)?;
        }
        let text = fs::read_to_string(&path).map_err(failed)?;
        let secret = Secret::parse(text.trim()).ok_or_else(|| AdminTokenError::Malformed { path: path.clone() })?;
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
    fn a_token_is_made_once_and_readable_by_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let first = AdminToken::load(&AdminTokenSource::DataFolder, &data(&folder)).unwrap();
        let again = AdminToken::load(&AdminTokenSource::DataFolder, &data(&folder)).unwrap();
        assert_eq!(first.secret, again.secret);
        assert_eq!(first.secret.expose().len(), 2 * RANDOM_LEN);
        let file = first.file.unwrap();
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        let elsewhere = tempfile::tempdir().unwrap();
        assert_ne!(AdminToken::load(&AdminTokenSource::DataFolder, &data(&elsewhere)).unwrap().secret, again.secret);
    }

    #[test]
    fn the_operator_s_file_is_read_and_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        fs::write(&path, "0123456789abcdef-token\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let token = AdminToken::load(&AdminTokenSource::File(path.clone()), &data(&folder)).unwrap();
        assert_eq!(token.secret.expose(), "0123456789abcdef-token");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        assert!(!data(&folder).admin_token().exists());
    }

    #[test]
    fn a_credential_takes_precedence_over_a_made_token() {
        let folder = tempfile::tempdir().unwrap();
        let credential = folder.path().join("credentials");
        let made = AdminToken::load(&AdminTokenSource::Credential(credential.clone()), &data(&folder)).unwrap();
        assert_eq!(made.file.unwrap(), data(&folder).admin_token());
        fs::write(&credential, "a-token-from-a-credential\n").unwrap();
        let token = AdminToken::load(&AdminTokenSource::Credential(credential), &data(&folder)).unwrap();
        assert_eq!(token.secret.expose(), "a-token-from-a-credential");
    }

    #[test]
    fn a_file_without_a_token_is_refused_and_its_text_not_repeated() {
        let folder = tempfile::tempdir().unwrap();
        for text in ["", "short", "with a space in its middle"] {
            fs::write(data(&folder).admin_token(), text).unwrap();
            let error = AdminToken::load(&AdminTokenSource::DataFolder, &data(&folder)).unwrap_err();
            assert!(matches!(error, AdminTokenError::Malformed { .. }));
            assert!(text.is_empty() || !error.to_string().contains(text));
        }
        let nowhere = AdminTokenSource::File(folder.path().join("nowhere"));
        assert!(matches!(AdminToken::load(&nowhere, &data(&folder)), Err(AdminTokenError::Io { .. })));
    }
}
