//! What the terminal can show.

use std::io::IsTerminal;

use ratatui::crossterm::terminal;

/// Columns of the terminal; 80 where nothing says.
pub(super) fn columns() -> usize {
    terminal::size().ok().map(|(columns, _)| usize::from(columns)).filter(|&columns| columns > 0).unwrap_or(80)
}

/// Columns that tables on standard output may take: those of the terminal; a file or a pipe holds any line.
pub(crate) fn width() -> usize {
    if std::io::stdout().is_terminal() { columns() } else { usize::MAX }
}

/// Whether standard error is a terminal that bars can be drawn on: one that can move its cursor.
pub(super) fn can_draw() -> bool {
    std::io::stderr().is_terminal() && moves_cursor(std::env::var("TERM").ok().as_deref())
}

/// Without a `TERM` nothing is known of a terminal, but on Windows, which has none.
fn moves_cursor(term: Option<&str>) -> bool {
    match term {
        None | Some("") => cfg!(windows),
        Some(term) => term != "dumb",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dumb_terminal_gets_lines() {
        assert!(moves_cursor(Some("xterm-256color")));
        assert!(!moves_cursor(Some("dumb")) && (cfg!(windows) || !moves_cursor(None)));
    }
}
