//! The file of a proof, as it is read: each value into its type at once, each list up to its bound.
//!
//! A generic JSON tree takes some twenty times the memory of its text, and the text is a
//! stranger's. A draw stays text until it is checked, and is dropped afterwards.

use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;

/// The highest number of a proof.
pub(super) const NUMBER_MAX: u32 = 1 << 21;
/// The most draws of a file: those of a session.
const DRAWS_MAX: usize = 10_000;
/// The most items of any other list.
const ITEMS_MAX: usize = NUMBER_MAX as usize;

/// A proof file.
#[derive(Deserialize)]
pub(super) struct Proof<'a> {
    pub event_id: String,
    pub event_session_id: String,
    #[serde(default)]
    pub anchors: List<String, DRAWS_MAX>,
    #[serde(borrow)]
    pub draws: List<&'a RawValue, DRAWS_MAX>,
    pub leaves: Option<Leaves>,
}

/// The registrations that the newest lock holds.
#[derive(Deserialize)]
pub(super) struct Leaves {
    pub draw_id: u32,
    pub hashes: List<String>,
}

/// The fields that tell draws apart before they are checked.
#[derive(Deserialize)]
pub(super) struct DrawHeader {
    pub draw_id: u32,
    /// `None` where the field is missing, which is not the same as `null`.
    #[serde(default, deserialize_with = "present")]
    pub version: Option<Option<u64>>,
    pub prize_name: Option<String>,
}

/// A locked draw as the file has it.
#[derive(Deserialize)]
pub(super) struct LockedDraw {
    pub draw_id: u32,
    pub status: String,
    pub event_id: Option<String>,
    pub chain: usize,
    pub place: u32,
    pub prize_name: String,
    pub prize_rank: u32,
    pub draw_mode: String,
    pub winner_count: u32,
    #[serde(deserialize_with = "Option::deserialize")]
    pub redraw_of: Option<RedrawOf>,
    pub registered_through: u32,
    pub roster_root: Option<String>,
    pub pool_size: u32,
    pub excluded: List<Numbers>,
    pub weights: Option<List<(u32, u16)>>,
    pub outside: String,
    pub round: Option<u64>,
    pub drand_chain: Option<String>,
    pub started_at_ms: i64,
    pub head: String,
    pub fallback: Option<String>,
    #[serde(deserialize_with = "Option::deserialize")]
    pub outside_value: Option<String>,
    pub seed: String,
    pub picks: List<u32>,
    #[serde(deserialize_with = "Option::deserialize")]
    pub code: Option<String>,
    pub voided: List<Voided>,
}

/// A draw from before locks.
#[derive(Deserialize)]
pub(super) struct FirstVersionDraw {
    pub draw_id: u32,
    pub status: String,
    pub winner_count: u32,
    #[serde(deserialize_with = "Option::deserialize")]
    pub redraw_of: Option<RedrawOf>,
    pub pool: List<(u32, u32)>,
    pub pool_size: u32,
    pub registered_through: u32,
    pub excluded: List<(u32, u32)>,
    pub weights: List<(u32, u16)>,
    pub entropy: String,
    pub commitment: String,
    pub picks: List<u32>,
    pub voided: List<Voided>,
}

/// The voided seat that a draw fills again.
#[derive(Deserialize)]
pub(super) struct RedrawOf {
    pub draw_id: u32,
    pub draw_number: u32,
}

/// A seat that was voided.
#[derive(Deserialize)]
pub(super) struct Voided {
    pub draw_number: u32,
}

/// A number, or the first and last of a run.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Numbers {
    One(u32),
    Run(u32, u32),
}

/// A list of at most `MAX` items. A longer one is refused at its first item too many.
pub(super) struct List<T, const MAX: usize = ITEMS_MAX>(Vec<T>);

impl<T, const MAX: usize> Default for List<T, MAX> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T, const MAX: usize> Deref for List<T, MAX> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<'de, T: Deserialize<'de>, const MAX: usize> Deserialize<'de> for List<T, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Items<T, const MAX: usize>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>, const MAX: usize> Visitor<'de> for Items<T, MAX> {
            type Value = List<T, MAX>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a list of at most {MAX}")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
                let mut list = Vec::new();
                while let Some(item) = items.next_element()? {
                    if list.len() == MAX {
                        return Err(A::Error::custom(format_args!("a list has more than {MAX} items")));
                    }
                    list.push(item);
                }
                Ok(List(list))
            }
        }

        deserializer.deserialize_seq(Items(PhantomData))
    }
}

/// Reads an object, or the one that the `data` of an answer holds.
pub(super) fn read_object<'a, T: Deserialize<'a>>(text: &'a [u8]) -> Result<T, serde_json::Error> {
    #[derive(Deserialize)]
    struct Answer<'a> {
        #[serde(borrow)]
        data: Option<&'a RawValue>,
    }
    let text = std::str::from_utf8(text).map_err(serde_json::Error::custom)?;
    let answer: Answer<'a> = parse_object(text)?;
    parse_object(answer.data.map_or(text, RawValue::get))
}

/// Reads an object. A list of the same values is none, though serde would take it.
pub(super) fn parse_object<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, serde_json::Error> {
    if text.trim_start().starts_with('{') {
        return serde_json::from_str(text);
    }
    Err(serde_json::Error::custom("not an object"))
}

/// Reads a value that is there, `null` included.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<u64>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_ends_at_its_bound_and_an_array_is_no_object() {
        assert_eq!(serde_json::from_str::<List<u32, 3>>("[1,2,3]").unwrap().len(), 3);
        assert!(serde_json::from_str::<List<u32, 3>>("[1,2,3,4]").is_err());
        let header = |text: &str| parse_object::<DrawHeader>(text).map(|header| header.version);
        assert_eq!(header(r#"{"draw_id":1}"#).unwrap(), None);
        assert_eq!(header(r#"{"draw_id":1,"version":null}"#).unwrap(), Some(None));
        assert_eq!(header(r#" {"draw_id":1,"version":2}"#).unwrap(), Some(Some(2)));
        assert!(header("[1,2]").is_err() && header(r#"{"draw_id":1,"draw_id":2}"#).is_err());
    }
}
