//! Tables of text that fit the width of a terminal.

use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Table, TableStyle, Width, presets};
use unicode_width::UnicodeWidthStr as _;

use crate::number::ABSENT;

/// Maximum line length of documents, in columns.
const DOCUMENT: usize = 160;

/// Breaks the lines of `text` between words at 160 columns, as in documents, and indents what continues a point of a list. Not suited to
/// tables.
///
/// ```
/// use lookahead_report::paragraphs;
/// let words = "word ".repeat(40);
/// assert_eq!(paragraphs(&format!("{}\n\nfour", words.trim_end())).lines().count(), 4);
/// assert!(paragraphs(&format!("- {}", words.trim_end())).contains("\n  word"));
/// ```
pub fn paragraphs(text: &str) -> String {
    wrapped(text, DOCUMENT)
}

/// Breaks lines longer than `width` columns between words; longer words stay whole. Points of a list are indented.
pub(crate) fn wrapped(text: &str, width: usize) -> String {
    let mut lines = String::new();
    for line in text.lines() {
        let mut used = 0;
        let next_line = if line.starts_with("- ") { "\n  " } else { "\n" };
        for word in line.split(' ') {
            let letters = word.width();
            let gap = match used {
                0 => "",
                used if used + 1 + letters > width => next_line,
                _ => " ",
            };
            used = if gap == next_line { gap.len() - 1 + letters } else { used + gap.len() + letters };
            lines.extend([gap, word]);
        }
        lines.push('\n');
    }
    lines
}

/// Columns of a cell besides its text: a space on either side, and the gap to the next cell.
const PADDING: usize = 3;

/// A table: headings and rows of text.
pub(crate) struct Cells<'a> {
    pub(crate) head: &'a [&'a str],
    pub(crate) rows: Vec<Vec<String>>,
    /// Columns that may be omitted, in the order of omission.
    pub(crate) spare: &'a [usize],
}

impl Cells<'_> {
    /// The table with as many columns as fit. If the required columns do not fit, their texts are broken between words;
    /// if words are too long for that, each row becomes a list.
    pub(crate) fn fitted(&self, width: usize) -> String {
        let with = |left_out: usize| {
            let gone = &self.spare[..left_out];
            (0..self.head.len()).filter(|column| !gone.contains(column)).collect::<Vec<_>>()
        };
        let fits = |table: &Table| table.lines().all(|line| line.width() <= width);
        let tables = (0..=self.spare.len()).map(|left_out| self.table(&with(left_out), presets::NOTHING));
        if let Some(table) = tables.into_iter().find(fits) {
            return table.trim_fmt();
        }
        let columns = with(self.spare.len());
        if columns.iter().map(|&column| self.longest_word(column) + PADDING).sum::<usize>() > width {
            return self.listed(width);
        }
        // Cells of several lines need rules between the rows.
        let mut table = self.table(&columns, presets::UTF8_HORIZONTAL_ONLY);
        table.set_content_arrangement(ContentArrangement::Dynamic);
        table.set_width(u16::try_from(width).unwrap_or(u16::MAX));
        for (cells, &column) in table.column_iter_mut().zip(&columns) {
            let room = u16::try_from(self.longest_word(column) + 2).unwrap_or(u16::MAX);
            cells.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(room)));
        }
        table.to_string()
    }

    fn longest_word(&self, column: usize) -> usize {
        let cells = self.rows.iter().map(|row| row[column].as_str()).chain([self.head[column]]);
        cells.flat_map(|cell| cell.split(' ')).map(|word| word.width()).max().unwrap_or(0)
    }

    /// Each row as its name, with every cell on a separate line below.
    fn listed(&self, width: usize) -> String {
        let mut text = String::new();
        if !self.head[0].is_empty() {
            text += &wrapped(self.head[0], width);
        }
        for row in &self.rows {
            text += &wrapped(&row[0], width);
            for (head, cell) in self.head.iter().zip(row).skip(1).filter(|(_, cell)| *cell != ABSENT) {
                let gap = if head.is_empty() { "" } else { " " };
                let line = wrapped(&format!("{head}{gap}{cell}"), width.saturating_sub(2));
                line.lines().for_each(|line| text += &format!("  {line}\n"));
            }
        }
        text.truncate(text.trim_end().len());
        text
    }

    fn table(&self, columns: &[usize], style: TableStyle) -> Table {
        let mut table = Table::new();
        table.load_style(style).set_header(columns.iter().map(|&column| self.head[column]));
        for (index, column) in table.column_iter_mut().enumerate() {
            column.set_cell_alignment(if index == 0 { CellAlignment::Left } else { CellAlignment::Right });
        }
        for row in &self.rows {
            table.add_row(columns.iter().map(|&column| row[column].as_str()));
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Five characters of two columns each.
    const WIDE: &str = "\u{6162}\u{6b65}\u{4f18}\u{5316}\u{5668}";

    #[test]
    fn a_wide_character_has_two_columns() {
        assert_eq!(wrapped(&format!("{WIDE} {WIDE}"), 20), format!("{WIDE}\n{WIDE}\n"));
        assert_eq!(wrapped(&format!("{WIDE} {WIDE}"), 21), format!("{WIDE} {WIDE}\n"));
        // Accents that combine have none.
        assert_eq!(wrapped("a\u{301}b\u{301} c", 4), "a\u{301}b\u{301} c\n");
    }

    /// The name has 10 columns with a space on either side, the number 4 with its spaces: 18 in all.
    #[test]
    fn a_table_of_wide_names_fits() {
        let cells = Cells { head: &["", "loss"], rows: vec![vec![WIDE.to_owned(), "1.25".to_owned()]], spare: &[1] };
        for (width, has_loss) in [(17, false), (20, true)] {
            let table = cells.fitted(width);
            assert!(table.lines().all(|line| line.width() <= width), "{width}: {table}");
            assert_eq!(table.contains("1.25"), has_loss, "{width}: {table}");
        }
    }
}
