//! The JSON of a record's fields: ids as numbers, bytes as hex, shared texts as texts.
//!
//! The rules know no serde, and must not learn it from here: serde's derive reaches their types by
//! `#[serde(remote)]` in `layout`, and the fields in them by `#[serde(with = "field")]`, which is
//! this file.

use crate::draw::entry_code::EntryDigits;
use crate::draw::proof::Words;
use crate::draw::{DrawId, Entropy, Epoch, EventId, LinkId, Number, PrizeId, SessionId, ShowLength, Timestamp};
use data_encoding::HEXLOWER;
use serde::de::{Deserialize, Deserializer, Error, Visitor};
use serde::ser::{Serialize, SerializeTuple, Serializer};
use std::fmt;
use std::sync::Arc;

/// A type with one spelling in the journal.
pub(super) trait Field: Sized {
    fn write<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error>;
    fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error>;
}

/// For `#[serde(with = "field")]`.
pub(super) fn serialize<T: Field, S: Serializer>(value: &T, to: S) -> Result<S::Ok, S::Error> {
    value.write(to)
}

/// For `#[serde(with = "field")]`.
pub(super) fn deserialize<'de, T: Field, D: Deserializer<'de>>(from: D) -> Result<T, D::Error> {
    T::read(from)
}

/// Writes a field within serde's own lists and options.
struct FieldRef<'a, T>(&'a T);

impl<T: Field> Serialize for FieldRef<'_, T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.0.write(to)
    }
}

/// Reads a field out of serde's own lists and options.
struct OwnedField<T>(T);

impl<'de, T: Field> Deserialize<'de> for OwnedField<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        T::read(from).map(Self)
    }
}

impl<T: Field> Field for Option<T> {
    fn write<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.as_ref().map(FieldRef).serialize(to)
    }

    fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Ok(Option::<OwnedField<T>>::deserialize(from)?.map(|field| field.0))
    }
}

impl<T: Field> Field for Arc<T> {
    fn write<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        T::write(self, to)
    }

    fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        T::read(from).map(Arc::new)
    }
}

impl<T: Field> Field for Arc<[T]> {
    fn write<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(self.iter().map(FieldRef))
    }

    fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Ok(Vec::<OwnedField<T>>::deserialize(from)?.into_iter().map(|field| field.0).collect())
    }
}

impl<A: Field, B: Field> Field for (A, B) {
    fn write<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut pair = to.serialize_tuple(2)?;
        pair.serialize_element(&FieldRef(&self.0))?;
        pair.serialize_element(&FieldRef(&self.1))?;
        pair.end()
    }

    fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let (a, b) = <(OwnedField<A>, OwnedField<B>)>::deserialize(from)?;
        Ok((a.0, b.0))
    }
}

impl Field for Arc<str> {
    fn write<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self)
    }

    fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Ok(String::deserialize(from)?.into())
    }
}

impl Field for Words {
    fn write<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.as_str())
    }

    fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        Words::parse(&text).filter(|words| words.as_str() == text).ok_or_else(|| D::Error::custom("not an outside value"))
    }
}

impl Field for EntryDigits {
    fn write<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(self.as_str().bytes())
    }

    fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let digits = String::from_utf8(Vec::deserialize(from)?).ok();
        digits.and_then(|digits| Self::parse(&digits)).ok_or_else(|| D::Error::custom("not an entry code"))
    }
}

impl Field for ShowLength {
    fn write<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u32(self.seconds())
    }

    fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Self::from_seconds(u32::deserialize(from)?).ok_or_else(|| D::Error::custom("not the length of a show"))
    }
}

impl Field for EventId {
    fn write<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.as_str())
    }

    fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        EventId::parse(&String::deserialize(from)?).ok_or_else(|| D::Error::custom("not an event id"))
    }
}

/// Reads hex straight into an array, since every registration has one.
struct HexVisitor<const LEN: usize>;

impl<const LEN: usize> Visitor<'_> for HexVisitor<LEN> {
    type Value = [u8; LEN];

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{LEN} bytes in lower-case hex")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<[u8; LEN], E> {
        let mut bytes = [0; LEN];
        if HEXLOWER.decode_len(text.len()) != Ok(LEN) || HEXLOWER.decode_mut(text.as_bytes(), &mut bytes).is_err() {
            return Err(E::invalid_value(serde::de::Unexpected::Str(text), &self));
        }
        Ok(bytes)
    }
}

impl<const LEN: usize> Field for [u8; LEN] {
    fn write<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&HEXLOWER.encode_display(self))
    }

    fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_str(HexVisitor)
    }
}

/// Newtypes, spelled as their content.
macro_rules! as_content {
    ($($name:ident),*) => {$(
        impl Field for $name {
            fn write<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                Field::write(&self.0, to)
            }

            fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                Field::read(from).map(Self)
            }
        }
    )*};
}

/// Types that serde itself can spell.
macro_rules! as_serde {
    ($($name:ty),*) => {$(
        impl Field for $name {
            fn write<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                self.serialize(to)
            }

            fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                Self::deserialize(from)
            }
        }
    )*};
}

as_serde!(u32, i64);
as_content!(Number, DrawId, PrizeId, LinkId, Timestamp, SessionId, Epoch, Entropy);
