//! A table as a value, drawn for a terminal, for a file, or as Markdown. The only place that knows
//! the drawing library. No meaning here: cells are finished text.

use comfy_table::{CellAlignment, ContentArrangement, presets};

use super::number::plain;

/// Where a column's text stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// What a table is drawn for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// A terminal of this many columns: lines around, long cells wrapped.
    Terminal(u16),
    /// A file or a pipe: nothing but ASCII lines, nothing wrapped.
    Plain,
    /// GitHub's Markdown.
    Markdown,
}

/// Headings and rows; every row has as many cells as there are headings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    headings: Vec<(String, Align)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// An empty table. A heading names its unit, where it has one.
    pub fn new<const N: usize>(headings: [(&str, Align); N]) -> Self {
        let headings = headings.map(|(text, align)| (text.to_owned(), align)).into();
        Self { headings, rows: Vec::new() }
    }

    /// Appends one row; missing cells are empty, surplus ones are dropped. Control characters are
    /// shown as escapes.
    pub fn row<T: AsRef<str>>(&mut self, cells: impl IntoIterator<Item = T>) {
        let mut row: Vec<_> = cells.into_iter().map(|cell| plain(cell.as_ref())).collect();
        row.resize(self.headings.len(), String::new());
        self.rows.push(row);
    }

    /// Whether it has no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Draws it, with a line end after the last line. Never holds terminal escape codes.
    pub fn draw(&self, look: Look) -> String {
        match look {
            Look::Terminal(width) => self.boxed(Some(width)),
            Look::Plain => self.boxed(None),
            Look::Markdown => self.markdown(),
        }
    }

    fn boxed(&self, width: Option<u16>) -> String {
        let mut table = comfy_table::Table::new();
        table.force_no_tty();
        if let Some(width) = width {
            table.load_style(presets::UTF8_FULL_CONDENSED);
            table.set_content_arrangement(ContentArrangement::Dynamic);
            table.set_width(width);
        } else {
            table.load_style(presets::ASCII_FULL_CONDENSED);
            table.set_content_arrangement(ContentArrangement::Disabled);
        }
        table.set_header(self.headings.iter().map(|(text, _)| text));
        for row in &self.rows {
            table.add_row(row);
        }
        for (column, (_, align)) in table.column_iter_mut().zip(&self.headings) {
            column.set_cell_alignment(match align {
                Align::Left => CellAlignment::Left,
                Align::Right => CellAlignment::Right,
            });
        }
        format!("{}\n", table.trim_fmt())
    }

    fn markdown(&self) -> String {
        let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
        let rule = |align: &Align| match align {
            Align::Left => "---".to_owned(),
            Align::Right => "---:".to_owned(),
        };
        let mut text = line(self.headings.iter().map(|(text, _)| escaped(text)).collect());
        text.push_str(&line(self.headings.iter().map(|(_, align)| rule(align)).collect()));
        for row in &self.rows {
            text.push_str(&line(row.iter().map(|cell| escaped(cell)).collect()));
        }
        text
    }
}

/// Text that Markdown takes as text.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if matches!(character, '|' | '\\' | '`' | '*' | '_' | '<' | '[') {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}
