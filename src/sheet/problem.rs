//! Problems of a list of prizes: each with a stable code for pages, and its remedy in English.

use super::table::Fault;

/// The reason why a cell or a row makes no prize.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// An empty name.
    #[error("must not be empty: write the prize's name, or remove the row")]
    Missing,
    /// A text over its bound.
    #[error("must be at most {0} characters")]
    TooLong(u32),
    /// No number.
    #[error("must be a whole number: write digits, such as 3")]
    NotANumber,
    /// A comma or point that is no thousands separator.
    #[error("the comma or point can mean two numbers: write digits alone, such as 2 or 1000")]
    DecimalComma,
    /// A fraction.
    #[error("must be a whole number, without a fraction")]
    NotWhole,
    /// A word behind the number that is no counter.
    #[error("the text behind the number is not understood: write the number alone")]
    UnknownCounter,
    /// A date.
    #[error("is a date: set the cell's format to text and write the value again")]
    Date,
    /// An error value.
    #[error("is an error of the spreadsheet: correct the formula, or write the value")]
    ErrorValue,
    /// A formula without its value.
    #[error("the file holds the formula and no value: open it in a spreadsheet program and save it, or write the value")]
    NoValue,
    /// A number that its format shows as something else.
    #[error("is shown otherwise than it is stored: set the cell's format to text and write what is to be read")]
    Formatted,
    /// A number that belongs to several rows.
    #[error("belongs to several rows: unmerge the cell and write a value into each row")]
    Merged,
    /// A quotation mark that does not end its cell.
    #[error("a quotation mark opens here and does not end the cell: remove it, or close it")]
    Quote,
    /// A number split at its thousands separator.
    #[error("a comma within a number splits this cell: put the text into quotation marks, or save as .xlsx")]
    SplitNumber,
    /// A line of several cells below one heading.
    #[error("the line has several cells and the list one heading: name each column, or put the text into quotation marks")]
    Delimiters,
    /// A cell to the right of the headings.
    #[error("has no heading above it: name the column, or put a name with commas into quotation marks")]
    NoHeading,
    /// A number outside its range.
    #[error("must be {0} to {1}")]
    OutOfRange(u32, u32),
    /// No mode.
    #[error("must be one of slot, card, network, list")]
    UnknownMode,
    /// Another length than shows have.
    #[error("must be one of 2, 5, 9, 15 seconds, or empty")]
    UnknownLength,
    /// Neither yes nor no.
    #[error("must be yes or no")]
    NotYesOrNo,
    /// The name of an earlier row.
    #[error("is in row {0} already: add the quantities, or change a name")]
    Duplicate(u32),
    /// The name of a listed prize.
    #[error("is on the list already: remove the row, or change the name")]
    Listed,
    /// A list that is full.
    #[error("is one more than the {0} a list takes")]
    ListFull(u32),
    /// More winners per draw than the mode shows.
    #[error("is more than the {0} that the mode shows at once: choose another mode, or fewer winners")]
    TooManyWinners(u32),
    /// More winners per draw than prizes.
    #[error("is more than the quantity of {0}")]
    MoreThanQuantity(u32),
    /// A heading that is not known.
    #[error("is no heading that is known: rename it or remove the column")]
    UnknownHeading,
    /// A second heading of a field.
    #[error("means the same column as another heading: remove one of them")]
    DuplicateHeading,
    /// Headings without one for names.
    #[error("no column has the prizes' names: name it 경품명 or Prize")]
    NoNameHeading,
    /// Several columns without headings.
    #[error("the columns have no headings: write them into the first row, such as 경품명, 수량 or Prize, Quantity")]
    NoHeadings,
    /// A table without prizes.
    #[error("there are no prizes: write one into each row below the headings")]
    NoPrizes,
    /// A value that no other problem describes.
    #[error("is not accepted")]
    Refused,
}

impl Problem {
    /// One problem of each kind.
    pub const ALL: [Problem; 30] = {
        use Problem::*;
        [
            Missing,
            TooLong(0),
            NotANumber,
            DecimalComma,
            NotWhole,
            UnknownCounter,
            Date,
            ErrorValue,
            NoValue,
            Formatted,
            Merged,
            Quote,
            SplitNumber,
            Delimiters,
            NoHeading,
            OutOfRange(0, 0),
            UnknownMode,
            UnknownLength,
            NotYesOrNo,
            Duplicate(0),
            Listed,
            ListFull(0),
            TooManyWinners(0),
            MoreThanQuantity(0),
            UnknownHeading,
            DuplicateHeading,
            NoNameHeading,
            NoHeadings,
            NoPrizes,
            Refused,
        ]
    };

    /// The problem's name on the wire.
    pub fn code(self) -> &'static str {
        match self {
            Problem::Missing => "missing",
            Problem::TooLong(_) => "too_long",
            Problem::NotANumber => "not_a_number",
            Problem::DecimalComma => "decimal_comma",
            Problem::NotWhole => "not_whole",
            Problem::UnknownCounter => "unknown_counter",
            Problem::Date => "date",
            Problem::ErrorValue => "error_value",
            Problem::NoValue => "no_value",
            Problem::Formatted => "formatted",
            Problem::Merged => "merged",
            Problem::Quote => "quote",
            Problem::SplitNumber => "split_number",
            Problem::Delimiters => "delimiters",
            Problem::NoHeading => "no_heading",
            Problem::OutOfRange(..) => "out_of_range",
            Problem::UnknownMode => "unknown_mode",
            Problem::UnknownLength => "unknown_length",
            Problem::NotYesOrNo => "not_yes_or_no",
            Problem::Duplicate(_) => "duplicate",
            Problem::Listed => "listed",
            Problem::ListFull(_) => "list_full",
            Problem::TooManyWinners(_) => "too_many_winners",
            Problem::MoreThanQuantity(_) => "more_than_quantity",
            Problem::UnknownHeading => "unknown_heading",
            Problem::DuplicateHeading => "duplicate_heading",
            Problem::NoNameHeading => "no_name_heading",
            Problem::NoHeadings => "no_headings",
            Problem::NoPrizes => "no_prizes",
            Problem::Refused => "refused",
        }
    }

    /// The bound, or the other row, that the problem is about.
    pub fn limit(self) -> Option<u32> {
        match self {
            Problem::TooLong(limit)
            | Problem::OutOfRange(_, limit)
            | Problem::Duplicate(limit)
            | Problem::ListFull(limit)
            | Problem::TooManyWinners(limit)
            | Problem::MoreThanQuantity(limit) => Some(limit),
            _ => None,
        }
    }
}

impl From<Fault> for Problem {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::ErrorValue => Problem::ErrorValue,
            Fault::NoValue => Problem::NoValue,
            Fault::Date => Problem::Date,
            Fault::Formatted | Fault::Scaled => Problem::Formatted,
            Fault::Merged => Problem::Merged,
            Fault::Quote => Problem::Quote,
            Fault::SplitNumber => Problem::SplitNumber,
            Fault::Delimiters => Problem::Delimiters,
        }
    }
}
