//! The name of a stored image: the SHA-256 of its content and the ending of its format.
//!
//! A client names an image by a path, and a path may lead anywhere: `../secret.key` was once
//! exported as an image. So a file in the folder of images is found by this type alone, which holds
//! nothing but a hash and an ending.

use crate::base::sha256;
use data_encoding::HEXLOWER;
use std::fmt;

/// The path of stored images, before their names.
pub const PATH: &str = "/api/luckydraw/images/";

/// The endings of the formats that are stored.
const ENDINGS: [&str; 4] = ["png", "jpg", "gif", "webp"];

/// The hexadecimal digits of a SHA-256.
const HASH_DIGITS: usize = 64;

/// The file name of a stored image.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ImageName(Box<str>);

impl ImageName {
    /// The name that `text` is; `None` for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        let (hash, ending) = text.split_once('.')?;
        let is_hash = hash.len() == HASH_DIGITS && hash.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        (is_hash && ENDINGS.contains(&ending)).then(|| Self(text.into()))
    }

    /// The name of an image with this content, in the format of one of the endings.
    pub fn of(content: &[u8], ending: &str) -> Self {
        Self(format!("{}.{ending}", HEXLOWER.encode(&sha256(content))).into())
    }

    /// The path by which clients get the image.
    pub fn path(&self) -> String {
        format!("{PATH}{self}")
    }

    /// The name in a path of this server; `None` for the path of anything else.
    pub fn in_path(path: &str) -> Option<Self> {
        path.strip_prefix(PATH).and_then(Self::parse)
    }

    /// The SHA-256 of the content, as 64 lower-case hexadecimal digits.
    pub fn hash(&self) -> &str {
        &self.0[..HASH_DIGITS]
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ImageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_hash_with_an_ending_is_a_name() {
        let hash = "0123456789abcdef".repeat(4);
        for ending in ENDINGS {
            let name = format!("{hash}.{ending}");
            assert_eq!(ImageName::in_path(&format!("{PATH}{name}")).unwrap().as_str(), name);
            assert_eq!(ImageName::parse(&name).unwrap().hash(), hash);
        }
        let upper = hash.to_uppercase();
        for text in ["", "../secret.key", "a.png", &hash, &format!("{hash}.svg"), &format!("{hash}.png/../../secret.key")] {
            assert_eq!(ImageName::parse(text), None, "{text}");
        }
        for text in [format!("{upper}.png"), format!("{hash}.png.png"), format!("../{hash}.png"), format!("{hash}0.png")] {
            assert_eq!(ImageName::parse(&text), None, "{text}");
        }
        assert_eq!(ImageName::in_path(&format!("/other/{hash}.png")), None);
    }
}
