//! Prizes from a table: columns are found by their headings in Korean or English, else by position.
//!
//! Each row is read to its end, so that one answer lists all errors of a table. Nothing is added to
//! an event here.

use super::table::{Row, Table};
use crate::draw::decide::PRIZES_MAX;
use crate::draw::{Event, Mode, Prize, PrizeId};
use crate::wire::parse::Invalid;
use crate::wire::request::PrizeBody;
use std::collections::BTreeMap;

/// The fields with their headings, in the order of the columns of a table without headings.
const COLUMNS: [(&str, &[&str]); 7] = [
    ("prize_name", &["경품명", "이름", "경품", "상품명", "상품", "name", "prize", "prizename"]),
    ("prize_grade", &["등급", "grade", "prizegrade"]),
    ("prize_rank", &["순위", "rank", "prizerank"]),
    ("quantity", &["수량", "개수", "quantity", "qty"]),
    ("draw_mode", &["방식", "추첨방식", "mode", "drawmode"]),
    ("winner_count", &["당첨자수", "당첨인원", "winnercount", "winners"]),
    ("needs_address", &["주소필요", "주소", "needsaddress", "address"]),
];

/// The Korean names of modes.
const MODES: [(&str, Mode); 5] =
    [("슬롯", Mode::Slot), ("카드", Mode::Card), ("네트워크", Mode::Network), ("목록", Mode::List), ("리스트", Mode::List)];

/// The prizes and errors of a table.
#[derive(Debug, Default)]
pub struct ParsedPrizes {
    /// The prizes of the valid rows, with their lines in the file.
    pub prizes: Vec<(u64, Prize)>,
    /// The errors of the other rows.
    pub errors: Vec<CellError>,
}

/// An error in a cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CellError {
    /// The line in the file, from 1.
    pub line: u64,
    /// The field's name on the wire.
    pub column: String,
    /// The rule that the cell breaks.
    pub why: String,
}

/// Reads the prizes that a table would add to `event`.
pub fn read(table: &Table, event: &Event) -> ParsedPrizes {
    let mut parsed = ParsedPrizes::default();
    let (positions, rows) = match table.rows.split_first() {
        Some((first, rest)) => heading_positions(first)
            .map_or_else(|| ((0..COLUMNS.len()).map(Some).collect(), &table.rows[..]), |found| (found, rest)),
        None => (Vec::new(), &[][..]),
    };
    let mut known: BTreeMap<String, Option<u64>> = event.prizes.iter().map(|prize| (prize.name.to_string(), None)).collect();
    let mut rank = event.prizes.iter().map(|prize| prize.rank).max().unwrap_or(0);
    for row in rows {
        let cells = Cells { row, positions: &positions };
        let mut errors = Vec::new();
        let prize = prize(&cells, rank, &mut errors);
        if let Some(prize) = prize {
            rank = prize.rank.max(rank);
            let fits = parsed.prizes.len() + event.prizes.len() < PRIZES_MAX as usize;
            match known.get(&*prize.name) {
                Some(None) => errors.push(cells.error("prize_name", "is on the list already")),
                Some(Some(line)) => errors.push(cells.error("prize_name", &format!("is in row {line} already"))),
                None if !fits => {
                    errors.push(cells.error("prize_name", &format!("is one more than the {PRIZES_MAX} a list takes")))
                }
                None => {
                    known.insert(prize.name.to_string(), Some(row.line));
                    parsed.prizes.push((row.line, prize));
                }
            }
        }
        parsed.errors.extend(errors);
    }
    parsed
}

/// The position of each field, if this row holds headings.
fn heading_positions(row: &Row) -> Option<Vec<Option<usize>>> {
    let words: Vec<_> = row.cells.iter().map(|cell| normalized(cell)).collect();
    let position = |names: &[&str]| words.iter().position(|cell| names.contains(&cell.as_str()));
    let positions: Vec<_> = COLUMNS.iter().map(|(_, names)| position(names)).collect();
    let found = positions.iter().flatten().count();
    // One heading word can be the name of a prize. Two are headings, and so is one that is alone in
    // its row.
    (found >= 2 || found == 1 && words.iter().filter(|cell| !cell.is_empty()).count() == 1).then_some(positions)
}

/// A row with the positions of its fields.
struct Cells<'a> {
    row: &'a Row,
    positions: &'a [Option<usize>],
}

impl Cells<'_> {
    fn text(&self, column: &str) -> &str {
        let place = COLUMNS.iter().position(|(name, _)| *name == column).and_then(|index| *self.positions.get(index)?);
        place.and_then(|place| self.row.cells.get(place)).map_or("", String::as_str)
    }

    fn error(&self, column: &str, why: &str) -> CellError {
        CellError { line: self.row.line, column: column.to_owned(), why: why.to_owned() }
    }

    /// A number as people write it: `1,000`, `3개`, `2등`. `None` for an empty cell.
    fn number(&self, column: &str, errors: &mut Vec<CellError>) -> Option<u32> {
        let text = self.text(column);
        if text.is_empty() {
            return None;
        }
        let bare = text.trim_end_matches(['개', '명', '등', '위', ' ']).replace(',', "");
        let number = bare.strip_suffix(".0").unwrap_or(&bare).parse();
        if number.is_err() {
            errors.push(self.error(column, "must be a whole number"));
        }
        number.ok()
    }

    fn mode(&self, errors: &mut Vec<CellError>) -> Option<Mode> {
        let name = normalized(self.text("draw_mode"));
        if name.is_empty() {
            return None;
        }
        let korean = MODES.iter().find(|(called, _)| *called == name).map(|(_, mode)| *mode);
        let mode = Mode::named(&name).or(korean);
        if mode.is_none() {
            errors.push(self.error("draw_mode", "must be one of slot, card, network, list"));
        }
        mode
    }

    fn yes(&self, column: &str, errors: &mut Vec<CellError>) -> bool {
        match normalized(self.text(column)).as_str() {
            "예" | "네" | "필요" | "o" | "y" | "yes" | "1" | "true" | "참" => true,
            "" | "아니오" | "아니요" | "불필요" | "x" | "n" | "no" | "0" | "false" | "거짓" | "-" => false,
            _ => {
                errors.push(self.error(column, "must be yes or no"));
                false
            }
        }
    }
}

/// The prize of a row. Without a rank it gets the one after `rank`.
fn prize(cells: &Cells<'_>, rank: u32, errors: &mut Vec<CellError>) -> Option<Prize> {
    let grade = cells.text("prize_grade");
    let body = PrizeBody {
        prize_name: cells.text("prize_name").to_owned(),
        prize_rank: cells.number("prize_rank", errors).unwrap_or_else(|| rank.saturating_add(1)),
        prize_grade: (!grade.is_empty()).then(|| grade.to_owned()),
        quantity: cells.number("quantity", errors).unwrap_or(1),
        draw_mode: cells.mode(errors).map(|mode| mode.name().to_owned()),
        winner_count: cells.number("winner_count", errors),
        prize_image: None,
        repeat_winners: false,
        group: None,
        version: None,
        needs_address: cells.yes("needs_address", errors),
    };
    match body.prize(PrizeId(0)) {
        // A prize without a mode is drawn by slot machine.
        Ok(prize) if prize.winner_count.is_some_and(|count| count > prize.mode.unwrap_or_default().winners_max()) => {
            errors.push(cells.error("winner_count", "is more than the mode shows at once"));
        }
        Ok(prize) if errors.is_empty() => return Some(prize),
        Ok(_) => {}
        Err(Invalid::Field { field, why }) => errors.push(cells.error(&field, &why)),
        Err(Invalid::NotJson { .. }) => unreachable!("nothing was parsed"),
    }
    None
}

/// A cell for comparison: in lower case, without blanks, underscores and hyphens.
fn normalized(cell: &str) -> String {
    cell.chars().filter(|c| !c.is_whitespace() && !matches!(c, '_' | '-' | '*')).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::super::table;
    use super::*;
    use crate::draw::sample;

    #[test]
    fn fuzzed_tables_are_read_or_refused() {
        let event = sample::event().build();
        crate::fuzz::run("tables", 500, |file| match table::read(file) {
            Ok(table) => {
                let _prizes = read(&table, &event);
                format!("{} in {:?} of {} rows", table.format, table.encoding, table.rows.len().min(8))
            }
            Err(error) => error.to_string(),
        });
    }

    fn parsed(text: &str) -> ParsedPrizes {
        read(&table::read(text.as_bytes()).unwrap(), &sample::event().build())
    }

    fn errors(text: &str) -> Vec<String> {
        let error = |error: CellError| format!("{} {}: {}", error.line, error.column, error.why);
        parsed(text).errors.into_iter().map(error).collect()
    }

    #[test]
    fn headings_are_found_in_both_languages_and_any_order() {
        for text in [
            "수량\t경품 명\t주소 필요\t방식\t당첨자 수\t순위\t등급\n1,000개\t자전거\tO\t카드\t5\t2등\t1등",
            "Qty,Prize_Name,memo,needs_address,draw_mode,winner_count,rank,grade\n1000.0,자전거,?,Yes,card,5,2,1등",
            "자전거,1등,2,1000,CARD,5,true",
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
                "2 quantity: must be a whole number",
                "2 draw_mode: must be one of slot, card, network, list",
                "2 needs_address: must be yes or no",
                "3 quantity: must be 1 to 100000",
                "4 prize_name: must not be empty",
                "5 prize_name: is on the list already",
                "7 prize_name: is in row 6 already",
            ]
        );
        assert_eq!(errors("name,winners\nA,2"), ["2 winner_count: is more than the mode shows at once"]);
        assert_eq!(errors(&format!("name,qty\n{},1", "가".repeat(201))), ["2 prize_name: must be at most 200 characters"]);
    }

    #[test]
    fn strange_names_are_names() {
        let names = ["<script>alert(1)</script>", "=cmd|'/C calc'!A0", "😀🎁", "שלום \u{202e}RTL", &"가".repeat(200)];
        let parsed = parsed(&format!("name\tqty\n{}", names.map(|name| format!("{name}\t1")).join("\n")));
        assert_eq!(parsed.errors, []);
        assert_eq!(parsed.prizes.iter().map(|(_, prize)| &*prize.name).collect::<Vec<_>>(), names);
    }
}
