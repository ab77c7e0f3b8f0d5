//! A workbook as it is written: the fewest parts of Office Open XML (ECMA-376) that make one, packed as they come.
//!
//! Only texts and whole numbers go into our sheets, so this is all of the format that is needed: no styles, no table of shared strings, no temporary
//! file. A library that can do charts and pictures besides weighs half a MiB in the program. A text is a text cell, whatever it begins with; what
//! XML cannot hold is spelled as spreadsheet programs spell it, since they call a file broken for one wrong character.

use super::export::{Cell, Sheet};
use std::fmt::Write as _;
use std::io::{Cursor, Write as _};
use zip::result::ZipResult;
use zip::write::{SimpleFileOptions, ZipWriter};

const HEAD: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>\n";
const MAIN: &str = "http://schemas.openxmlformats.org/spreadsheetml/2006/main";
const RELATIONSHIPS: &str = "http://schemas.openxmlformats.org/package/2006/relationships";
const DOCUMENT: &str = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
const SHEET_TYPE: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml";
const BOOK_TYPE: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml";

/// The columns that are named by one letter: more than any of our sheets has.
const COLUMNS: &[u8; 26] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ";

/// The sheets as the bytes of a workbook: the same ones for the same sheets.
///
/// # Errors
/// When a sheet has more than 4 GiB of XML.
///
/// # Panics
/// When a sheet has more than 26 columns.
pub(super) fn written(sheets: Vec<Sheet<'_>>) -> ZipResult<Vec<u8>> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let (mut types, mut names, mut places) = (String::new(), String::new(), String::new());
    for (index, sheet) in (1..).zip(sheets) {
        let place = format!("worksheets/sheet{index}.xml");
        // Writing to a string fails for none of these.
        let _ = write!(types, "<Override PartName=\"/xl/{place}\" ContentType=\"{SHEET_TYPE}\"/>");
        let _ = write!(names, "<sheet name=\"{}\" sheetId=\"{index}\" r:id=\"rId{index}\"/>", sheet.name);
        let _ = write!(places, "{}", relationship(index, "worksheet", &place));
        start(&mut zip, &format!("xl/{place}"))?;
        write_sheet(&mut zip, sheet)?;
    }
    let types = format!(
        "<Types xmlns=\"http://schemas.openxmlformats.org/package/2006/content-types\">\
         <Default Extension=\"rels\" ContentType=\"application/vnd.openxmlformats-package.relationships+xml\"/>\
         <Override PartName=\"/xl/workbook.xml\" ContentType=\"{BOOK_TYPE}\"/>{types}</Types>"
    );
    let root = relationship(1, "officeDocument", "xl/workbook.xml");
    for (place, xml) in [
        ("[Content_Types].xml", types),
        ("_rels/.rels", format!("<Relationships xmlns=\"{RELATIONSHIPS}\">{root}</Relationships>")),
        ("xl/workbook.xml", format!("<workbook xmlns=\"{MAIN}\" xmlns:r=\"{DOCUMENT}\"><sheets>{names}</sheets></workbook>")),
        ("xl/_rels/workbook.xml.rels", format!("<Relationships xmlns=\"{RELATIONSHIPS}\">{places}</Relationships>")),
    ] {
        start(&mut zip, place)?;
        zip.write_all(xml.as_bytes())?;
    }
    Ok(zip.finish()?.into_inner())
}

fn relationship(id: u32, kind: &str, target: &str) -> String {
    format!("<Relationship Id=\"rId{id}\" Type=\"{DOCUMENT}/{kind}\" Target=\"{target}\"/>")
}

/// Begins a part of the workbook.
fn start(zip: &mut ZipWriter<Cursor<Vec<u8>>>, place: &str) -> ZipResult<()> {
    zip.start_file(place, SimpleFileOptions::default())?;
    Ok(zip.write_all(HEAD.as_bytes())?)
}

fn write_sheet(zip: &mut impl std::io::Write, sheet: Sheet<'_>) -> std::io::Result<()> {
    write!(zip, "<worksheet xmlns=\"{MAIN}\"><sheetData>")?;
    let headings = sheet.headings.iter().map(|heading| Cell::from(*heading)).collect();
    let mut xml = String::new();
    for (line, row) in (1..).zip(std::iter::once(headings).chain(sheet.rows)) {
        xml.clear();
        push_row(&mut xml, line, &row);
        zip.write_all(xml.as_bytes())?;
    }
    zip.write_all(b"</sheetData></worksheet>")
}

fn push_row(xml: &mut String, line: u32, row: &[Cell]) {
    assert!(row.len() <= COLUMNS.len(), "a column of ours has one letter");
    let _ = write!(xml, "<row r=\"{line}\">");
    for (column, cell) in COLUMNS.iter().map(|letter| char::from(*letter)).zip(row) {
        match cell {
            Cell::Text(text) | Cell::Phone(text) => {
                let _ = write!(xml, "<c r=\"{column}{line}\" t=\"inlineStr\"><is><t xml:space=\"preserve\">");
                push_text(xml, text);
                xml.push_str("</t></is></c>");
            }
            Cell::Number(number) => {
                let _ = write!(xml, "<c r=\"{column}{line}\"><v>{number}</v></c>");
            }
            Cell::Empty => {}
        }
    }
    xml.push_str("</row>");
}

/// A text within an element: what is markup in XML is escaped, and what cannot stand in XML is spelled `_xHHHH_` (ECMA-376, part 1, section 22.9.2.19), as is
/// the beginning of a text that looks like such a spelling.
fn push_text(xml: &mut String, text: &str) {
    for (at, letter) in text.char_indices() {
        match letter {
            '&' => xml.push_str("&amp;"),
            '<' => xml.push_str("&lt;"),
            '>' => xml.push_str("&gt;"),
            '_' if is_spelling(&text.as_bytes()[at..]) => xml.push_str("_x005F_"),
            '\t' | '\n' => xml.push(letter),
            _ if letter.is_control() || matches!(letter, '\u{fffe}' | '\u{ffff}') => {
                let _ = write!(xml, "_x{:04X}_", u32::from(letter));
            }
            _ => xml.push(letter),
        }
    }
}

fn is_spelling(text: &[u8]) -> bool {
    matches!(text, [b'_', b'x', digits @ .., ] if digits.len() > 4 && digits[..4].iter().all(u8::is_ascii_hexdigit) && digits[4] == b'_')
}

#[cfg(test)]
mod tests {
    use super::super::table::cell;
    use super::super::workbook;
    use super::*;
    use std::io::Read as _;

    fn sheet(name: &'static str, texts: &[&str]) -> Sheet<'static> {
        let rows: Vec<_> = texts.iter().map(|text| vec![Cell::from(*text), Cell::Empty, Cell::Number(u32::MAX)]).collect();
        Sheet { name, headings: &["name", "nothing", "count"], rows: Box::new(rows.into_iter()) }
    }

    /// What a text is between its tags.
    fn spelled(text: &str) -> String {
        let mut xml = String::new();
        push_text(&mut xml, text);
        xml
    }

    #[test]
    fn what_goes_in_comes_out() {
        let texts = ["=1+1", "<a href=\"x\">&amp;</a>", "]]>", "  홍길동 😀  ", "two\nlines", "+82 10"];
        let read = workbook::rows(&written(vec![sheet("first", &texts), sheet("second", &["other"])]).unwrap()).unwrap();
        let read: Vec<_> = read.into_iter().map(|row| row.cells.join("|")).collect();
        assert_eq!(read[0], "name|nothing|count");
        assert_eq!(read[1..], texts.map(|text| format!("{}||4294967295", cell(text))));
    }

    #[test]
    fn what_xml_cannot_hold_is_spelled() {
        assert_eq!(spelled("a\0b\u{1b}\r\u{ffff}"), "a_x0000_b_x001B__x000D__xFFFF_");
        assert_eq!(spelled("_x0041_"), "_x005F_x0041_", "what looks like a spelling stays what it is");
        assert_eq!(spelled("_x004_ _x _xyz12_ snake_x_case"), "_x004_ _x _xyz12_ snake_x_case");
        assert_eq!(spelled("a\tb\nc"), "a\tb\nc");
    }

    #[test]
    fn every_part_is_named_and_every_name_is_a_part() {
        let file = written(vec![sheet("one", &[]), sheet("two", &["x"])]).unwrap();
        let mut zip = zip::ZipArchive::new(Cursor::new(file)).unwrap();
        let mut text = |place: &str| {
            let mut text = String::new();
            zip.by_name(place).unwrap().read_to_string(&mut text).unwrap();
            text
        };
        let (types, book, places) = (text("[Content_Types].xml"), text("xl/workbook.xml"), text("xl/_rels/workbook.xml.rels"));
        for (index, name) in [(1, "one"), (2, "two")] {
            assert!(text(&format!("xl/worksheets/sheet{index}.xml")).contains("<row r=\"1\">"));
            assert!(types.contains(&format!("PartName=\"/xl/worksheets/sheet{index}.xml\"")), "{types}");
            assert!(book.contains(&format!("<sheet name=\"{name}\" sheetId=\"{index}\" r:id=\"rId{index}\"/>")), "{book}");
            assert!(places.contains(&format!("Id=\"rId{index}\"")) && places.contains(&format!("sheet{index}.xml")), "{places}");
        }
        assert!(text("_rels/.rels").contains("Target=\"xl/workbook.xml\""));
    }
}
