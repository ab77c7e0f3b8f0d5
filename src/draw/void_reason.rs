//! The reasons for voiding a seat, and their names on the wire and in the journal.

/// The reason for voiding a seat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VoidReason {
    /// The winner is not there.
    Absent,
    /// The winner does not want the prize.
    Declined,
    /// The winner was not entitled to take part.
    Ineligible,
    /// The winner holds more than one number.
    DuplicatePerson,
    /// The operator made a mistake: the only reason after which the number may win again.
    OperatorError,
    /// Any other reason.
    Other,
}

impl VoidReason {
    /// Every reason.
    pub const ALL: [VoidReason; 6] = [
        VoidReason::Absent,
        VoidReason::Declined,
        VoidReason::Ineligible,
        VoidReason::DuplicatePerson,
        VoidReason::OperatorError,
        VoidReason::Other,
    ];

    /// The reason's name on the wire and in the journal.
    pub fn name(self) -> &'static str {
        match self {
            VoidReason::Absent => "absent",
            VoidReason::Declined => "declined",
            VoidReason::Ineligible => "ineligible",
            VoidReason::DuplicatePerson => "duplicate_person",
            VoidReason::OperatorError => "operator_error",
            VoidReason::Other => "other",
        }
    }

    /// The reason of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.name() == name)
    }
}
