//! How the draw's own words are spelled in JSON: ids as numbers, bytes as hex, shared texts as texts.
//!
//! The rules know no serde, and this room may not teach it to them: serde's derive reaches them through `#[serde(remote)]` in
//! [`crate::store::record::layout`], and the fields in them by `#[serde(with = "at_rest")]`, which is this file.

use crate::draw::fact::{Cause, Eligibility, SealedPick, Settings, VoidReason};
use crate::draw::{
    DrawId, DrawSpec, Entropy, Epoch, EventId, Link, LinkId, LinkRole, Mode, Number, Phase, Pool, Prize, Timestamp,
};
use crate::draw::{PrizeId, SessionId};
use crate::store::record::layout::{CauseLayout, LinkRoleLayout, PhaseLayout, VoidReasonLayout};
use crate::store::record::layout::{
    DrawSpecLayout, EligibilityLayout, LinkLayout, ModeLayout, PoolLayout, PrizeLayout, SealedLayout, SettingsLayout,
};
use data_encoding::HEXLOWER;
use serde::de::{Deserialize, Deserializer, Error, Visitor};
use serde::ser::{Serialize, SerializeTuple, Serializer};
use std::fmt;
use std::sync::Arc;

/// Something with one spelling in the journal.
pub(super) trait AtRest: Sized {
    fn write<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error>;
    fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error>;
}

/// For `#[serde(with = "at_rest")]`.
pub(super) fn serialize<T: AtRest, S: Serializer>(value: &T, to: S) -> Result<S::Ok, S::Error> {
    value.write(to)
}

/// For `#[serde(with = "at_rest")]`.
pub(super) fn deserialize<'de, T: AtRest, D: Deserializer<'de>>(from: D) -> Result<T, D::Error> {
    T::read(from)
}

/// Lends something at rest to serde's own lists and options.
struct Lent<'a, T>(&'a T);

impl<T: AtRest> Serialize for Lent<'_, T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.0.write(to)
    }
}

/// Takes something at rest out of serde's own lists and options.
struct Taken<T>(T);

impl<'de, T: AtRest> Deserialize<'de> for Taken<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        T::read(from).map(Self)
    }
}

impl<T: AtRest> AtRest for Option<T> {
    fn write<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.as_ref().map(Lent).serialize(to)
    }

    fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Ok(Option::<Taken<T>>::deserialize(from)?.map(|taken| taken.0))
    }
}

impl<T: AtRest> AtRest for Arc<T> {
    fn write<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        T::write(self, to)
    }

    fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        T::read(from).map(Arc::new)
    }
}

impl<T: AtRest> AtRest for Arc<[T]> {
    fn write<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(self.iter().map(Lent))
    }

    fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Ok(Vec::<Taken<T>>::deserialize(from)?.into_iter().map(|taken| taken.0).collect())
    }
}

impl<A: AtRest, B: AtRest> AtRest for (A, B) {
    fn write<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut pair = to.serialize_tuple(2)?;
        pair.serialize_element(&Lent(&self.0))?;
        pair.serialize_element(&Lent(&self.1))?;
        pair.end()
    }

    fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let (a, b) = <(Taken<A>, Taken<B>)>::deserialize(from)?;
        Ok((a.0, b.0))
    }
}

impl AtRest for Arc<str> {
    fn write<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self)
    }

    fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Ok(String::deserialize(from)?.into())
    }
}

impl AtRest for EventId {
    fn write<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.as_str())
    }

    fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        EventId::parse(&String::deserialize(from)?).ok_or_else(|| D::Error::custom("not an event id"))
    }
}

/// Reads hex straight into an array: there is one in every registration.
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

impl<const LEN: usize> AtRest for [u8; LEN] {
    fn write<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&HEXLOWER.encode_display(self))
    }

    fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_str(HexVisitor)
    }
}

/// Names that are spelled as what they wrap.
macro_rules! as_its_content {
    ($($name:ident),*) => {$(
        impl AtRest for $name {
            fn write<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                AtRest::write(&self.0, to)
            }

            fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                AtRest::read(from).map(Self)
            }
        }
    )*};
}

/// What serde itself can spell.
macro_rules! as_serde_does {
    ($($name:ty),*) => {$(
        impl AtRest for $name {
            fn write<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                self.serialize(to)
            }

            fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                Self::deserialize(from)
            }
        }
    )*};
}

/// What has a layout of its own.
macro_rules! as_its_layout {
    ($($name:ident $layout:ident),*) => {$(
        impl AtRest for $name {
            fn write<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                $layout::serialize(self, to)
            }

            fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                $layout::deserialize(from)
            }
        }
    )*};
}

as_serde_does!(u32, i64);
as_its_content!(Number, DrawId, PrizeId, LinkId, Timestamp, SessionId, Epoch, Entropy);
as_its_layout!(Phase PhaseLayout, Cause CauseLayout, VoidReason VoidReasonLayout, Mode ModeLayout, LinkRole LinkRoleLayout);
as_its_layout!(Settings SettingsLayout, Prize PrizeLayout, DrawSpec DrawSpecLayout, Pool PoolLayout, Eligibility EligibilityLayout);
as_its_layout!(SealedPick SealedLayout, Link LinkLayout);
