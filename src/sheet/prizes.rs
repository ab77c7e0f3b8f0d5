//! Prizes from a table.
//!
//! Each row is read to its end, so that one answer lists all problems of a table. Only an empty
//! cell takes a default: what is not understood is a problem, with its row, column and remedy. Rows
//! that are no prizes, such as titles and sums, are left out and named. Nothing is added to an
//! event here.

use super::columns::{Columns, Field, count_headings, heading_row};
use super::problem::Problem;
use super::table::{self, Fault, Row, Table, TableError};
use super::values::{self, Counted};
use crate::draw::decide::PRIZES_MAX;
use crate::draw::{Event, Mode, Prize, PrizeId, ShowLength};
use crate::wire::request::{NAME_CHARS_MAX, PrizeBody, QUANTITY_MAX};
use std::collections::BTreeMap;

/// The words of a row of sums, folded.
const TOTALS: [&str; 12] = ["합계", "총합계", "총계", "소계", "누계", "계", "합", "총", "total", "grandtotal", "subtotal", "sum"];
/// Characters of a cell that its problem repeats, at most.
const VALUE_CHARS_MAX: usize = 60;

/// The prizes and problems of a table.
#[derive(Debug, Default)]
pub struct ParsedPrizes {
    /// The prizes of the valid rows, with their lines in the file.
    pub prizes: Vec<(u64, Prize)>,
    /// The problems of the other rows.
    pub errors: Vec<CellError>,
    /// Rows that are no prizes.
    pub left_out: Vec<LeftOut>,
    /// Headings of the columns that are left out.
    pub columns_left_out: Vec<String>,
}

/// A problem of a cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CellError {
    /// The line in the file, from 1.
    pub line: u64,
    /// The column in the file, from 0; `None` for a problem of the whole row or table.
    pub place: Option<usize>,
    /// The field that the column holds.
    pub field: Option<Field>,
    /// The start of the cell's text.
    pub value: String,
    /// The problem.
    pub problem: Problem,
}

impl CellError {
    /// The cell's name in a spreadsheet program: `B3`.
    pub fn cell(&self) -> Option<String> {
        let place = self.place?;
        let letter = |place: usize| char::from(b'A' + (place % 26) as u8);
        let first = (place >= 26).then(|| letter(place / 26 - 1));
        Some(first.into_iter().chain([letter(place)]).collect::<String>() + &self.line.to_string())
    }
}

/// A row that is no prize.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// The line in the file, from 1.
    pub line: u64,
    /// `title`, `heading`, `total` or `note`.
    pub kind: &'static str,
    /// Its first text.
    pub text: String,
}

/// Reads the prizes that a file would add to `event`, and the table that they are in.
///
/// # Errors
/// When the file is no table.
pub fn read_file(file: &[u8], event: &Event) -> Result<(Table, ParsedPrizes), TableError> {
    let table = table::read(file, count_headings)?;
    let parsed = read(&table.rows, event);
    Ok((table, parsed))
}

/// Reads the prizes of these rows.
fn read(rows: &[Row], event: &Event) -> ParsedPrizes {
    let mut parsed = ParsedPrizes::default();
    let (headings, body, columns) = match heading_row(rows) {
        Some(at) => {
            let titles = rows[..at].iter().map(|row| left_out(row, "title"));
            parsed.left_out.extend(titles);
            (Some(&rows[at]), &rows[at + 1..], Columns::below(&rows[at]))
        }
        None => match only_column(rows) {
            Some(place) => (None, rows, Columns::of_names(place)),
            None => {
                let line = rows.first().map_or(1, |row| row.line);
                let problem = if rows.is_empty() { Problem::NoPrizes } else { Problem::NoHeadings };
                parsed.errors.push(CellError { line, place: None, field: None, value: String::new(), problem });
                return parsed;
            }
        },
    };
    parsed.columns_left_out = columns.left_out.iter().map(|(_, heading)| heading.clone()).collect();
    if let Some(row) = headings {
        let at = |(place, problem): &(usize, Problem)| error_at(row, *place, None, *problem);
        parsed.errors.extend(columns.problems.iter().map(at));
        if columns.place(Field::Name).is_none() {
            let whole =
                CellError { line: row.line, place: None, field: None, value: String::new(), problem: Problem::NoNameHeading };
            parsed.errors.push(whole);
            return parsed;
        }
    }
    let mut list = List::of(event);
    for row in body {
        match kind_of(row, headings, &columns) {
            Some(kind) => parsed.left_out.push(left_out(row, kind)),
            None => list.add(&Cells { row, columns: &columns }, &mut parsed),
        }
    }
    if parsed.prizes.is_empty() && parsed.errors.is_empty() {
        let line = headings.map_or(1, |row| row.line + 1);
        parsed.errors.push(CellError { line, place: None, field: None, value: String::new(), problem: Problem::NoPrizes });
    }
    parsed
}

/// The only column that has cells. Rows that all hold delimiters have several.
fn only_column(rows: &[Row]) -> Option<usize> {
    let has_delimiters = |row: &Row| row.faults.iter().any(|(_, fault)| *fault == Fault::Delimiters);
    if rows.iter().all(has_delimiters) {
        return None;
    }
    let filled = |row: &Row| row.cells.iter().position(|cell| !cell.is_empty());
    let place = rows.first().and_then(filled)?;
    let is_alone = |row: &Row| row.cells.iter().enumerate().all(|(at, cell)| at == place || cell.is_empty());
    rows.iter().all(is_alone).then_some(place)
}

/// The kind of a row that is no prize.
fn kind_of(row: &Row, headings: Option<&Row>, columns: &Columns) -> Option<&'static str> {
    if headings.is_some_and(|headings| headings.cells == row.cells) {
        return Some("heading");
    }
    let mut texts = row.cells.iter().filter(|cell| !cell.is_empty());
    let first = texts.next()?;
    if headings.is_some() && first.starts_with('※') && texts.next().is_none() {
        return Some("note");
    }
    let word = values::unpunctuated(first).to_lowercase().replace(' ', "");
    // A brand can be a Latin word and a number.
    let bare = word.trim_end_matches(|c: char| c.is_ascii_digit() || matches!(c, ',' | '개' | '명' | '종'));
    let word = if bare.is_ascii() { word.as_str() } else { bare };
    let is_first = row.cells.iter().position(|cell| !cell.is_empty()) <= columns.place(Field::Name);
    (headings.is_some() && is_first && TOTALS.contains(&word)).then_some("total")
}

fn left_out(row: &Row, kind: &'static str) -> LeftOut {
    let first = row.cells.iter().find(|cell| !cell.is_empty());
    LeftOut { line: row.line, kind, text: first.map(|text| shortened(text)).unwrap_or_default() }
}

fn error_at(row: &Row, place: usize, field: Option<Field>, problem: Problem) -> CellError {
    let value = row.cells.get(place).map(|text| shortened(text)).unwrap_or_default();
    CellError { line: row.line, place: Some(place), field, value, problem }
}

fn shortened(text: &str) -> String {
    text.chars().take(VALUE_CHARS_MAX).collect()
}

/// The list as it grows.
struct List {
    /// The names on it, with the lines of the new ones.
    names: BTreeMap<String, Option<u64>>,
    /// The highest rank.
    rank: u32,
}

impl List {
    fn of(event: &Event) -> Self {
        let names = event.prizes.iter().map(|prize| (prize.name.to_string(), None)).collect();
        Self { names, rank: event.prizes.iter().map(|prize| prize.rank).max().unwrap_or(0) }
    }

    /// Adds the prize of a row, or its problems. Without a rank it gets the one after the highest.
    fn add(&mut self, cells: &Cells<'_>, parsed: &mut ParsedPrizes) {
        let mut problems = cells.structural_problems();
        if problems.is_empty()
            && let Some(prize) = cells.prize(self.rank, &mut problems)
        {
            self.rank = prize.rank.max(self.rank);
            let problem = match self.names.get(&*prize.name) {
                Some(None) => Some(Problem::Listed),
                Some(Some(line)) => Some(Problem::Duplicate(*line as u32)),
                None => (self.names.len() >= PRIZES_MAX as usize).then_some(Problem::ListFull(PRIZES_MAX)),
            };
            match problem {
                Some(problem) => cells.report(Field::Name, problem, &mut problems),
                None => {
                    self.names.insert(prize.name.to_string(), Some(cells.row.line));
                    parsed.prizes.push((cells.row.line, prize));
                }
            }
        }
        parsed.errors.extend(problems);
    }
}

/// A row with its columns.
struct Cells<'a> {
    row: &'a Row,
    columns: &'a Columns,
}

impl Cells<'_> {
    /// Problems that move cells into other columns: the values of such a row mean nothing.
    fn structural_problems(&self) -> Vec<CellError> {
        let faults =
            self.row.faults.iter().filter(|(_, fault)| matches!(fault, Fault::Quote | Fault::SplitNumber | Fault::Delimiters));
        let broken: Vec<_> = faults
            .map(|(place, fault)| error_at(self.row, *place, self.columns.field_at(*place), Problem::from(*fault)))
            .collect();
        if !broken.is_empty() {
            return broken;
        }
        let filled = self.row.cells.iter().enumerate().filter(|(_, cell)| !cell.is_empty()).map(|(place, _)| place);
        let stray = filled.filter(|place| self.columns.is_without_heading(*place));
        stray.map(|place| error_at(self.row, place, None, Problem::NoHeading)).collect()
    }

    fn report(&self, field: Field, problem: Problem, problems: &mut Vec<CellError>) {
        problems.push(match self.columns.place(field) {
            Some(place) => error_at(self.row, place, Some(field), problem),
            None => CellError { line: self.row.line, place: None, field: Some(field), value: String::new(), problem },
        });
    }

    /// The text of a field, empty where its value is another than its writer sees.
    fn text(&self, field: Field, problems: &mut Vec<CellError>) -> &str {
        let Some(place) = self.columns.place(field) else { return "" };
        let is_number = matches!(field, Field::Rank | Field::Quantity | Field::WinnerCount);
        // One grade or answer can be of several rows, a number or name of each cannot.
        let is_shared = !matches!(field, Field::Name | Field::Quantity | Field::WinnerCount);
        let is_meant = |fault: Fault| match fault {
            Fault::Merged => is_shared,
            Fault::Formatted => is_number,
            _ => false,
        };
        let fault = self.row.faults.iter().find(|(at, fault)| *at == place && !is_meant(*fault));
        if let Some((_, fault)) = fault {
            self.report(field, Problem::from(*fault), problems);
            return "";
        }
        self.row.cells.get(place).map_or("", String::as_str)
    }

    /// A name, `None` for an empty cell.
    fn name(&self, field: Field, problems: &mut Vec<CellError>) -> Option<String> {
        let text = self.text(field, problems);
        if text.chars().count() > NAME_CHARS_MAX {
            self.report(field, Problem::TooLong(NAME_CHARS_MAX as u32), problems);
        }
        (!text.is_empty()).then(|| text.to_owned())
    }

    /// A number, `None` for an empty cell.
    fn number(&self, field: Field, counted: Counted, problems: &mut Vec<CellError>) -> Option<u32> {
        let text = self.text(field, problems);
        if text.is_empty() {
            return None;
        }
        let number = values::number(text, counted);
        number.map_err(|problem| self.report(field, problem, problems)).ok()
    }

    fn mode(&self, problems: &mut Vec<CellError>) -> Option<Mode> {
        let text = self.text(Field::Mode, problems);
        let mode = values::mode(text);
        if mode.is_none() && !text.is_empty() {
            self.report(Field::Mode, Problem::UnknownMode, problems);
        }
        mode
    }

    fn show_seconds(&self, problems: &mut Vec<CellError>) -> Option<u32> {
        let seconds = self.number(Field::ShowLength, Counted::Seconds, problems)?;
        if ShowLength::from_seconds(seconds).is_none() {
            self.report(Field::ShowLength, Problem::UnknownLength, problems);
        }
        Some(seconds)
    }

    fn yes(&self, field: Field, problems: &mut Vec<CellError>) -> bool {
        let answer = values::yes_or_no(self.text(field, problems));
        if answer.is_none() {
            self.report(field, Problem::NotYesOrNo, problems);
        }
        answer.unwrap_or(false)
    }

    /// The prize of the row.
    fn prize(&self, rank: u32, problems: &mut Vec<CellError>) -> Option<Prize> {
        let name = self.name(Field::Name, problems);
        if name.is_none() && problems.is_empty() {
            self.report(Field::Name, Problem::Missing, problems);
        }
        let mode = self.mode(problems);
        let body = PrizeBody {
            prize_name: name.unwrap_or_default(),
            prize_rank: self.number(Field::Rank, Counted::Rank, problems).unwrap_or_else(|| rank.saturating_add(1)),
            prize_grade: self.name(Field::Grade, problems),
            quantity: self.number(Field::Quantity, Counted::Things, problems).unwrap_or(1),
            draw_mode: mode.map(|mode| mode.name().to_owned()),
            winner_count: self.number(Field::WinnerCount, Counted::People, problems),
            show_seconds: self.show_seconds(problems),
            prize_image: None,
            repeat_winners: self.yes(Field::RepeatWinners, problems),
            group: self.name(Field::Group, problems),
            version: None,
            needs_address: self.yes(Field::NeedsAddress, problems),
        };
        let counts = [Field::Quantity, Field::Mode, Field::WinnerCount].map(Some);
        if !problems.iter().any(|problem| counts.contains(&problem.field)) {
            self.check_counts(body.quantity, body.winner_count, mode, problems);
        }
        if !problems.is_empty() {
            return None;
        }
        let prize = body.prize(PrizeId(0));
        prize.map_err(|_| self.report(Field::Name, Problem::Refused, problems)).ok()
    }

    fn check_counts(&self, quantity: u32, winners: Option<u32>, mode: Option<Mode>, problems: &mut Vec<CellError>) {
        if !(1..=QUANTITY_MAX).contains(&quantity) {
            return self.report(Field::Quantity, Problem::OutOfRange(1, QUANTITY_MAX), problems);
        }
        // A prize without a mode is drawn by slot machine.
        let shown = mode.unwrap_or_default().winners_max();
        match winners {
            Some(0) => self.report(Field::WinnerCount, Problem::OutOfRange(1, shown), problems),
            Some(count) if count > shown => self.report(Field::WinnerCount, Problem::TooManyWinners(shown), problems),
            Some(count) if count > quantity => self.report(Field::WinnerCount, Problem::MoreThanQuantity(quantity), problems),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draw::sample;
    use std::collections::BTreeSet;

    #[test]
    fn fuzzed_tables_are_read_or_refused() {
        let event = sample::event().build();
        crate::fuzz::run("tables", 500, |file| match read_file(file, &event) {
            Ok((table, parsed)) => {
                let problems: BTreeSet<_> = parsed.errors.iter().map(|error| error.problem.code()).collect();
                let rows = (table.rows.len().min(8), parsed.left_out.len().min(2));
                format!("{} in {:?} of {rows:?} rows, {problems:?}", table.format, table.encoding)
            }
            Err(error) => error.to_string(),
        });
    }

    fn parsed(text: &str) -> ParsedPrizes {
        read_file(text.as_bytes(), &sample::event().build()).unwrap().1
    }

    fn errors(text: &str) -> Vec<String> {
        let error =
            |error: CellError| format!("{} {}", error.cell().unwrap_or_else(|| error.line.to_string()), error.problem.code());
        parsed(text).errors.into_iter().map(error).collect()
    }

    #[test]
    fn headings_are_found_in_both_languages_and_any_order() {
        for text in [
            "수량\t경품 명\t주소 필요\t방식\t당첨자 수\t순위\t등급\n1,000개\t자전거\tO\t카드\t5\t2등\t1등",
            "Qty,Prize_Name,memo,needs_address,draw_mode,winner_count,rank,grade\n1000.0,자전거,?,Yes,card,5,2,1등",
        ] {
            let parsed = parsed(text);
            assert_eq!(parsed.errors, [], "{text}");
            let (_, prize) = &parsed.prizes[0];
            assert_eq!((&*prize.name, prize.grade.as_deref(), prize.rank), ("자전거", Some("1등"), 2), "{text}");
            assert_eq!(
                (prize.quantity, prize.mode, prize.winner_count, prize.needs_address),
                (1000, Some(Mode::Card), Some(5), true)
            );
        }
        assert_eq!(errors("자전거,1등,2,1000,CARD,5,true"), ["1 no_headings"], "a place says nothing of a column");
    }

    #[test]
    fn missing_fields_get_defaults() {
        let parsed = parsed("이름\n자전거\n우산\n");
        let made: Vec<_> = parsed.prizes.iter().map(|(line, prize)| (*line, prize.rank, prize.quantity)).collect();
        assert_eq!(made, [(2, 2, 1), (3, 3, 1)], "the list has a prize of rank 1");
    }

    #[test]
    fn each_wrong_cell_is_reported() {
        assert_eq!(
            errors("name,quantity,mode,address\nA,x,roulette,maybe\nB,0,,\n,1,,\nTV,1,,\nC,1,,\nC,1,,"),
            [
                "C2 unknown_mode",
                "B2 not_a_number",
                "D2 not_yes_or_no",
                "B3 out_of_range",
                "A4 missing",
                "A5 listed",
                "A7 duplicate",
            ]
        );
        assert_eq!(errors("name,winners\nA,2"), ["B2 too_many_winners"]);
        assert_eq!(errors("name,mode,winners\nA,card,2"), ["C2 more_than_quantity"]);
        assert_eq!(errors(&format!("name,qty\n{},1", "가".repeat(201))), ["A2 too_long"]);
        assert_eq!(errors(""), ["1 no_prizes"]);
        assert_eq!(errors("name,qty\n"), ["2 no_prizes"]);
    }

    #[test]
    fn strange_names_are_names() {
        let names = ["<script>alert(1)</script>", "=cmd|'/C calc'!A0", "😀🎁", "שלום \u{202e}RTL", &"가".repeat(200)];
        let parsed = parsed(&format!("name\tqty\n{}", names.map(|name| format!("{name}\t1")).join("\n")));
        assert_eq!(parsed.errors, []);
        assert_eq!(parsed.prizes.iter().map(|(_, prize)| &*prize.name).collect::<Vec<_>>(), names);
    }

    #[test]
    fn a_cell_is_named_as_a_spreadsheet_names_it() {
        let cell = |place| {
            let row = Row { line: 7, cells: Vec::new(), faults: Vec::new() };
            error_at(&row, place, None, Problem::Missing).cell().unwrap()
        };
        assert_eq!([0, 25, 26, 63].map(cell), ["A7", "Z7", "AA7", "BL7"]);
    }

    #[test]
    fn every_problem_has_a_code_of_its_own() {
        let codes = Problem::ALL.map(Problem::code).into_iter().chain(TableError::ALL.map(TableError::code));
        let codes: BTreeSet<_> = codes.collect();
        assert_eq!(codes.len(), Problem::ALL.len() + TableError::ALL.len());
    }
}
