//! Views: the `data` of HTTP answers, by subject.
//!
//! A view is a small struct that serde writes, so that its fields are in the source in the order in
//! which they are sent. A caller that answers the public must pass `Audience::Public`, which hides
//! whatever is not announced.

pub mod draws;
pub mod events;
pub mod people;
pub mod prizes;
pub mod proof;
pub mod stages;

use crate::draw::{LinkRole, Phase, Status};
use serde::Serialize;

/// A view as JSON text.
pub fn json(view: &impl Serialize) -> String {
    serde_json::to_string(view).expect("a view has text keys and finite numbers")
}

/// A phase's name on the wire.
pub fn phase_name(phase: Phase) -> &'static str {
    match phase {
        Phase::Open => "open",
        Phase::Drawing => "drawing",
        Phase::Closed => "closed",
    }
}

/// The phase of that name.
pub fn phase_named(name: &str) -> Option<Phase> {
    [Phase::Open, Phase::Drawing, Phase::Closed].into_iter().find(|phase| phase_name(*phase) == name)
}

/// A draw status's name on the wire.
fn status_name(status: Status) -> &'static str {
    match status {
        Status::Started => "started",
        Status::Revealed => "revealed",
        Status::Announced => "announced",
        Status::Cancelled => "cancelled",
    }
}

/// A link role's name on the wire.
pub fn role_name(role: LinkRole) -> &'static str {
    match role {
        LinkRole::Display => "display",
        LinkRole::Staff => "staff",
        LinkRole::Host => "host",
    }
}

/// The link role of that name.
pub fn role_named(name: &str) -> Option<LinkRole> {
    [LinkRole::Display, LinkRole::Staff, LinkRole::Host].into_iter().find(|role| role_name(*role) == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_on_the_wire_lead_back_to_what_they_name() {
        for phase in [Phase::Open, Phase::Drawing, Phase::Closed] {
            assert_eq!(phase_named(phase_name(phase)), Some(phase));
        }
        for role in [LinkRole::Display, LinkRole::Staff, LinkRole::Host] {
            assert_eq!(role_named(role_name(role)), Some(role));
        }
        for name in ["", "Open", "admin", "phone"] {
            assert_eq!((phase_named(name), role_named(name)), (None, None), "{name}");
        }
    }
}
