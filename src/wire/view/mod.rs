//! How things look as the `data` of an answer: [`draws`] and their results, [`proof`], [`prizes`] and their [`imports`], [`people`] who take part and win, [`claims`] at the prize desk, and [`events`]
//! with everything around them.
//!
//! Each view is a small struct written out by serde, so that its fields stand in the source in the order in which they are sent. Whoever builds one for
//! the public passes `Audience::Public`, and what is not announced does not appear.

pub mod backups;
pub mod claims;
pub mod draws;
pub mod events;
pub mod imports;
pub mod people;
pub mod prizes;
pub mod proof;

use serde::Serialize;

/// A view as JSON text.
pub fn json(view: &impl Serialize) -> String {
    serde_json::to_string(view).expect("a view has text keys and finite numbers")
}
