//! The face for a terminal: bars that come and go, colours, and the last words of a run. A small terminal is acted here, to see
//! what is left on it.

use std::process::{Command, Stdio};

use crate::oracle::python;
use crate::support::{Draw, Room, Rows, STORE, root};

/// Rows of text as a terminal shows them, and where its cursor is.
struct Screen {
    columns: usize,
    rows: Vec<Vec<char>>,
    row: usize,
    column: usize,
    hides_cursor: bool,
}

impl Screen {
    fn shows(written: &str, columns: usize) -> Self {
        let mut screen = Self { columns, rows: vec![Vec::new()], row: 0, column: 0, hides_cursor: false };
        let mut rest = written.chars();
        while let Some(c) = rest.next() {
            match c {
                '\r' => screen.column = 0,
                '\n' => screen.down(1),
                '\u{1b}' => {
                    assert_eq!(rest.next(), Some('['), "{written:?}");
                    let parameters: String = rest.by_ref().take_while(|c| !c.is_ascii_alphabetic()).collect();
                    // `take_while` has taken the letter that ends the sequence.
                    let end = written.len() - rest.as_str().len();
                    screen.control(&parameters, written[..end].chars().next_back().unwrap());
                }
                c => screen.put(c),
            }
        }
        screen
    }

    fn control(&mut self, parameters: &str, letter: char) {
        let count = parameters.parse().unwrap_or(1);
        match (letter, parameters) {
            ('m', _) => {}
            ('A', _) => self.row -= count.min(self.row),
            ('B', _) => self.down(count),
            ('K', "" | "0") => self.rows[self.row].truncate(self.column),
            ('K', "2") => self.rows[self.row].clear(),
            ('J', "" | "0") => {
                self.rows[self.row].truncate(self.column);
                self.rows.truncate(self.row + 1);
            }
            ('h' | 'l', "?25") => self.hides_cursor = letter == 'l',
            _ => panic!("an unknown control sequence: [{parameters}{letter}"),
        }
    }

    fn down(&mut self, count: usize) {
        self.row += count;
        self.rows.resize(self.rows.len().max(self.row + 1), Vec::new());
    }

    fn put(&mut self, c: char) {
        if self.column == self.columns {
            self.down(1);
            self.column = 0;
        }
        let row = &mut self.rows[self.row];
        row.resize(row.len().max(self.column + 1), ' ');
        row[self.column] = c;
        self.column += 1;
    }

    fn lines(&self) -> Vec<String> {
        self.rows.iter().map(|row| row.iter().collect::<String>().trim_end().to_owned()).collect()
    }
}

/// A store that takes more than a second to mine on one thread: a bar is drawn ten times a second.
fn room() -> Room {
    let (room, mut draw) = (Room::new(), Draw(12));
    let n = 3_000;
    let rows = Rows {
        vectors: (0..n).map(|_| (0..128).map(|_| draw.unit()).collect()).collect(),
        labels: (0..n).map(|row| Some(format!("c{}", row % 40))).collect(),
        teams: vec![None; n],
    };
    rows.write(&room.path("store.parquet"));
    let asked = "mine.bands = { hard = 4, semi-hard = 4 }\nmine.pick = 'nearest'\nmine.positives.per_anchor = 16\n";
    room.write("p.toml", &format!("{STORE}{asked}output.path = 'out'\n"));
    room
}

/// All that a run writes to a terminal of so many columns.
fn written(room: &Room, columns: usize, variables: &[(&str, &str)]) -> String {
    let miner = env!("CARGO_BIN_EXE_miner");
    let mut command = Command::new(python());
    command.arg("-B").arg(root().join("tests/terminal/run.py")).arg(columns.to_string());
    command.args([miner, "run", "p.toml", "--threads", "1", "--overwrite", "--fresh", "--set", "name=face"]);
    command.args(["--set", &format!("mine.seed={columns}")]);
    command.current_dir(room.path("")).stdin(Stdio::null());
    // What would stand between the program and its terminal.
    for name in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "COLUMNS"] {
        command.env_remove(name);
    }
    let ran = command.env("TERM", "xterm-256color").envs(variables.iter().copied()).output().unwrap();
    assert!(ran.status.success(), "{ran:?}");
    String::from_utf8(ran.stdout).unwrap()
}

#[test]
fn bars_come_and_go_and_the_figures_stay() {
    let room = room();
    for (columns, bar) in [(120, true), (80, true), (40, false)] {
        let written = written(&room, columns, &[]);
        let frames = written.matches("% of 3,000 anchors").count();
        assert!(frames > 1, "{columns}: {frames} frames in\n{written:?}");
        assert!(!bar || written.contains('░'), "{columns}: {written:?}");
        let screen = Screen::shows(&written, columns);
        let lines = screen.lines();
        let card = lines.iter().position(|line| line.contains("face → ")).unwrap_or_else(|| panic!("{lines:#?}"));
        let (stages, card) = lines.split_at(card);
        for name in ["read", "index", "mine", "write"] {
            let ended = stages.iter().filter(|line| line.split_whitespace().next() == Some(name)).count();
            assert_eq!(ended, 1, "{columns}, {name}: {lines:#?}");
        }
        assert!(!stages.iter().any(|line| line.contains("% of")), "{columns}: a bar is left: {lines:#?}");
        assert!(card.iter().any(|line| line.trim_start().starts_with("took ")), "{columns}: {lines:#?}");
        assert!(card.iter().any(|line| line.contains("miner verify ./out")), "{columns}: {lines:#?}");
        assert!(!screen.hides_cursor, "{columns}: the cursor stays hidden");
        assert!(written.contains("\u{1b}[36m"), "{columns}: without colours");
    }
}

#[test]
fn no_color_leaves_the_bars_and_takes_the_colours() {
    let room = room();
    let written = written(&room, 120, &[("NO_COLOR", "1")]);
    assert!(written.contains('░') && written.contains("% of 3,000 anchors"), "{written:?}");
    let colours = written.split("\u{1b}[").skip(1).filter(|rest| {
        let end = rest.find(|c: char| c.is_ascii_alphabetic()).unwrap();
        rest[end..].starts_with('m')
    });
    assert_eq!(colours.count(), 0, "{written:?}");
}

#[test]
fn a_terminal_that_cannot_move_its_cursor_gets_lines() {
    let written = written(&room(), 120, &[("TERM", "dumb")]);
    assert!(!written.contains('\u{1b}') && written.contains(" mine: begins, 3,000 anchors\r\n"), "{written:?}");
}
