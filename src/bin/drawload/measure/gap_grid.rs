//! Deliveries as a grid of draws and phones: frames that were due, those that never came, and late
//! ones.

use super::delivery_ledger::{DeliveryLedger, FRAMES_MAX, per_line};

/// Missing frames by draw and by phone: a column per draw and one for frames of no draw, a row per
/// phone and one for the display. Where the grid is full, neighbours share a cell; none is left
/// out.
#[derive(Clone, Debug, Default)]
pub struct GapGrid {
    /// In the order of their ids.
    pub draws: Vec<u32>,
    pub draws_per_column: usize,
    pub sockets: usize,
    pub sockets_per_row: usize,
    pub columns: usize,
    pub rows: usize,
    /// Row by row.
    pub cells: Vec<Cell>,
}

/// Frames that were due in a cell, those of them that did not come, and the latest announcement.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cell {
    pub due: u64,
    pub lost: u64,
    pub late_us: u64,
}

impl GapGrid {
    /// Missing frames up to `end_seq`, as a grid. Looks at every frame of every socket.
    pub fn of(ledger: &DeliveryLedger, end_seq: u64) -> Self {
        let sockets = ledger.socket_count();
        let draws: Vec<u32> = ledger.draws.keys().copied().collect();
        let (draws_per_column, sockets_per_row) = (per_line(draws.len()), per_line(sockets));
        // The last column holds frames of no draw, and those that no socket received, of which
        // nothing is known.
        let columns = draws.len().div_ceil(draws_per_column) + 1;
        let rows = sockets.div_ceil(sockets_per_row);
        let column_of = |seq| {
            let draw = ledger.frames.get(&seq).and_then(|frame| frame.draw);
            let place = draw.and_then(|draw| draws.binary_search(&draw).ok());
            place.map_or(columns - 1, |place| place / draws_per_column)
        };
        let first = ledger.first_base().map_or(end_seq, |base| base.min(end_seq));
        let column_of: Vec<usize> = (first + 1..=end_seq.min(first + FRAMES_MAX)).map(column_of).collect();
        let mut cells = vec![Cell::default(); rows * columns];
        for (socket, seq, received) in ledger.due_frames(end_seq) {
            let column = usize::try_from(seq - first - 1).ok().and_then(|at| column_of.get(at)).copied();
            let cell = &mut cells[socket / sockets_per_row * columns + column.unwrap_or(columns - 1)];
            cell.due += 1;
            cell.lost += u64::from(!received);
        }
        for (place, draw) in ledger.draws.values().enumerate() {
            for (row, late_us) in draw.late_by_row_us.iter().enumerate() {
                let late = &mut cells[row * columns + place / draws_per_column].late_us;
                *late = (*late).max(*late_us);
            }
        }
        Self { draws, draws_per_column, sockets, sockets_per_row, columns, rows, cells }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::delivery_ledger::{Balance, GRID_MAX, NumberedFrame};

    fn frame(seq: u64, draw: u32) -> NumberedFrame<'static> {
        NumberedFrame { kind: "winner_announced", seq, epoch: "e", draw: Some(draw), winners: &[7], show_us: None, text: "same" }
    }

    #[test]
    fn one_gap_among_two_million_is_in_the_grid_and_at_its_place() {
        let (phones, draws) = (19_900, 100);
        let mut ledger = DeliveryLedger::new(phones + 1);
        (0..=phones).for_each(|socket| ledger.sync(socket, 0, "e"));
        for draw in 1..=draws {
            let frame = frame(draw.into(), draw);
            for socket in (0..=phones).filter(|socket| (*socket, draw) != (12_345, 67)) {
                ledger.receive(socket, frame, 1);
            }
        }
        let gaps = GapGrid::of(&ledger, draws.into());
        assert!(gaps.rows <= GRID_MAX && gaps.columns == 101, "{} × {}", gaps.rows, gaps.columns);
        assert_eq!(gaps.cells.iter().map(|cell| cell.due).sum::<u64>(), 19_901 * 100);
        let lost: Vec<usize> = (0..gaps.cells.len()).filter(|at| gaps.cells[*at].lost > 0).collect();
        assert_eq!(lost, [12_345 / gaps.sockets_per_row * gaps.columns + 66]);
        assert_eq!(gaps.cells[lost[0]].lost, 1);
    }

    #[test]
    fn the_grid_and_the_balance_have_the_same_gaps() {
        let mut ledger = DeliveryLedger::new(3);
        (0..3).for_each(|socket| ledger.sync(socket, 10, "e"));
        ledger.receive(0, frame(11, 1), 1);
        ledger.receive(1, frame(12, 1), 1);
        ledger.vanish(2);
        let sum = |gaps: &GapGrid| gaps.cells.iter().fold((0, 0), |(due, lost), cell| (due + cell.due, lost + cell.lost));
        for end in [0, 10, 11, 14] {
            let Balance { expected, lost, .. } = ledger.balance(end);
            assert_eq!(sum(&GapGrid::of(&ledger, end)), (expected, lost), "up to {end}");
        }
        assert_eq!(sum(&GapGrid::of(&DeliveryLedger::new(0), 9)), (0, 0));
    }
}
