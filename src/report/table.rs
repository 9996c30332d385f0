//! A table as a value, and its drawings: for a terminal (comfy-table) and as Markdown.

use comfy_table::{Attribute, Cell as Drawn, CellAlignment, Color, ContentArrangement, presets};

use super::units::plain;

/// A table: headings with their units, rows of the same length.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Table {
    headings: Vec<(String, Side)>,
    rows: Vec<Vec<Cell>>,
}

/// To which side a column is aligned: words left, numbers right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// One cell: text, without anything that could command a terminal, and what it means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    text: String,
    tone: Tone,
}

/// What a cell means; colour is never the only cue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// Nothing in particular.
    Plain,
    /// As it should be.
    Good,
    /// Violated.
    Bad,
    /// Not decided.
    Doubt,
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::toned(text, Tone::Plain)
    }
}

impl Cell {
    /// A cell with a meaning.
    pub fn toned(text: impl Into<String>, tone: Tone) -> Self {
        Self { text: plain(&text.into()), tone }
    }
}

/// How a table is drawn for a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Canvas {
    /// Columns of the terminal; `None` draws as wide as needed.
    pub width: Option<u16>,
    /// Whether colour may be used.
    pub color: bool,
}

/// Columns of the terminal that stdout is; `None` where it is none.
pub fn terminal_width() -> Option<u16> {
    comfy_table::Table::new().width()
}

impl Table {
    /// An empty table with `headings`.
    pub fn new<H: Into<String>>(headings: impl IntoIterator<Item = (H, Side)>) -> Self {
        let heading = |(text, side): (H, Side)| (plain(&text.into()), side);
        let headings = headings.into_iter().map(heading).collect();
        Self { headings, rows: Vec::new() }
    }

    /// Adds a row. A short one is filled up with empty cells.
    pub fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        let mut row: Vec<Cell> = cells.into_iter().take(self.headings.len()).collect();
        row.resize_with(self.headings.len(), || Cell::from(""));
        self.rows.push(row);
    }

    /// For a terminal, without a line end at the end.
    pub fn draw(&self, canvas: Canvas) -> String {
        let mut table = comfy_table::Table::new();
        table.load_style(presets::UTF8_BORDERS_ONLY);
        table.set_content_arrangement(ContentArrangement::Disabled);
        if let Some(width) = canvas.width {
            table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
        }
        if canvas.color {
            table.enforce_styling();
        } else {
            table.force_no_tty();
        }
        table.set_header(self.headings.iter().map(|(text, side)| aligned(text, *side)));
        for row in &self.rows {
            table.add_row(row.iter().zip(&self.headings).map(|(cell, (_, side))| {
                let drawn = aligned(&cell.text, *side);
                match cell.tone {
                    Tone::Plain => drawn,
                    Tone::Good => drawn.fg(Color::Green).add_attribute(Attribute::Bold),
                    Tone::Bad => drawn.fg(Color::Red).add_attribute(Attribute::Bold),
                    Tone::Doubt => drawn.fg(Color::Yellow).add_attribute(Attribute::Bold),
                }
            }));
        }
        table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
    }

    /// As a Markdown table, without a line end at the end.
    pub fn markdown(&self) -> String {
        let line = |cells: Vec<String>| format!("| {} |", cells.join(" | "));
        let headings = self.headings.iter().map(|(text, _)| markdown(text)).collect();
        let rule = self.headings.iter().map(|(_, side)| match side {
            Side::Left => "---".to_owned(),
            Side::Right => "---:".to_owned(),
        });
        let mut lines = vec![line(headings), line(rule.collect())];
        for row in &self.rows {
            lines.push(line(row.iter().map(|cell| markdown(&cell.text)).collect()));
        }
        lines.join("\n")
    }
}

fn aligned(text: &str, side: Side) -> Drawn {
    Drawn::new(text).set_alignment(match side {
        Side::Left => CellAlignment::Left,
        Side::Right => CellAlignment::Right,
    })
}

/// `text` so that Markdown takes it as text, on one line.
pub fn markdown(text: &str) -> String {
    let text = plain(text);
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if matches!(character, '|' | '\\' | '`' | '*' | '_' | '<' | '[') {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}
