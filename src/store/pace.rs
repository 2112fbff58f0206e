//! How far ahead a table is read: as far as threads have use for it and memory allows. No byte depends on it.

use super::InputFile;
use super::session::batch_rows;
use super::units::units;

/// What is on its way at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pace {
    /// Units that are decoded, a thread each.
    pub units: usize,
    /// Batches of each that are decoded before its turn.
    pub ahead: usize,
    /// Stretches that are checked together, a thread each.
    pub wave: usize,
}

/// What reading takes of what it may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// Held at most.
    pub bytes: u64,
    /// Threads that decode, and threads that check.
    pub decoders: usize,
    pub checkers: usize,
}

/// Batches ahead of the reader, at least.
const AHEAD: usize = 2;
/// Units that are open where there are several files: the one being read, and the next.
const OPEN_FILES: usize = 2;

impl Pace {
    /// The slowest, of so many files.
    pub fn slowest(files: usize) -> Self {
        Self { units: files.min(OPEN_FILES), ahead: AHEAD, wave: 1 }
    }
}

/// What the units of a table take.
pub(super) struct Load {
    files: usize,
    units: usize,
    /// Of the largest: its batches, and bytes of its rows.
    batches: usize,
    unit_bytes: u64,
    /// Of an open one, beside its batches.
    open_bytes: u64,
    /// Of a batch; and of what is read beside a batch that is being checked.
    batch_bytes: u64,
    beside_bytes: u64,
}

impl Load {
    /// Of files with rows of `row_bytes`. An open unit holds `open_bytes` before they are decoded, a batch that is being checked
    /// `beside_bytes` beside itself.
    pub fn of(files: &[InputFile], row_bytes: u64, open_bytes: u64, beside_bytes: u64) -> Self {
        let batch_rows = batch_rows(row_bytes);
        let (mut units_of_all, mut batches, mut rows) = (0, 0, 0);
        for unit in files.iter().flat_map(|file| units(file, batch_rows)) {
            units_of_all += 1;
            batches = unit.batches(batch_rows).max(batches);
            rows = unit.rows.max(rows);
        }
        let (unit_bytes, batch_bytes) = (rows.saturating_mul(row_bytes), batch_rows * row_bytes);
        Self { files: files.len(), units: units_of_all, batches, unit_bytes, open_bytes, batch_bytes, beside_bytes }
    }

    /// What reading at a pace holds at most.
    pub fn bytes(&self, pace: Pace) -> u64 {
        // Of each open unit the batches ahead, one being made and one being read.
        let ahead = self.unit_bytes.min(pace.ahead as u64 * self.batch_bytes) + 2 * self.batch_bytes;
        let open = (pace.units as u64).saturating_mul(self.open_bytes.saturating_add(ahead));
        let wave = match pace.wave as u64 {
            1 => self.beside_bytes,
            // Those being checked, what comes of them, and what came of the wave before.
            wave => wave * (3 * self.batch_bytes + self.beside_bytes),
        };
        open.saturating_add(wave)
    }

    /// The slowest that there is.
    pub fn slowest(&self) -> Pace {
        Pace::slowest(self.files)
    }

    /// The fastest of so many threads that holds no more than `room`, if there is one.
    pub fn pace(&self, threads: usize, room: u64) -> Pace {
        let (fits, slowest) = (|pace: &Pace| self.bytes(*pace) <= room, self.slowest());
        let mut checking = (2..=threads).rev().map(|wave| Pace { wave, ..slowest });
        let checking = checking.find(fits).unwrap_or(slowest);
        let mut decoding = (slowest.units.max(2)..=threads.min(self.units)).rev().map(|units| Pace {
            units,
            // The last of them has so much to do before its turn.
            ahead: (self.batches * (units - 1)).div_ceil(units).max(AHEAD),
            ..checking
        });
        decoding.find(fits).unwrap_or(checking)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE_FILE: Load = Load {
        files: 1,
        units: 40,
        batches: 64,
        unit_bytes: 128 << 20,
        open_bytes: 100 << 20,
        batch_bytes: 2 << 20,
        beside_bytes: 0,
    };

    #[test]
    fn without_room_or_threads_nothing_is_read_further_ahead() {
        for load in [ONE_FILE, Load { files: 3, ..ONE_FILE }] {
            let (slowest, least) = (load.slowest(), load.bytes(load.slowest()));
            assert_eq!((slowest.units, slowest.ahead, slowest.wave), (load.files.min(2), 2, 1));
            assert_eq!(least, slowest.units as u64 * (108 << 20), "a row group and four batches of each open file");
            assert_eq!([load.pace(1, u64::MAX), load.pace(8, 0), load.pace(8, least)], [slowest; 3]);
        }
    }

    #[test]
    fn more_room_lets_more_threads_read_and_is_kept_to() {
        let mut before = ONE_FILE.slowest();
        for room in (0..4_000).map(|mebibytes| mebibytes << 20) {
            let pace = ONE_FILE.pace(8, room);
            assert!(pace == ONE_FILE.slowest() || ONE_FILE.bytes(pace) <= room, "{pace:?} in {room}");
            assert!(pace.units >= before.units && pace.wave >= before.wave, "{before:?}, then {pace:?} in {room}");
            before = pace;
        }
        assert_eq!(before, Pace { units: 8, ahead: 56, wave: 8 });
        // Half a row group waits for its turn.
        assert_eq!(ONE_FILE.pace(2, u64::MAX), Pace { units: 2, ahead: 32, wave: 2 });
    }

    #[test]
    fn one_row_group_is_checked_by_all_threads() {
        let load = Load { units: 1, ..ONE_FILE };
        assert_eq!(load.pace(8, u64::MAX), Pace { wave: 8, ..load.slowest() });
    }
}
