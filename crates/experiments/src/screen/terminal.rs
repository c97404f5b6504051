//! The terminal's size and abilities.

use std::io::IsTerminal;

use ratatui::crossterm::terminal;

/// Columns of the terminal; 80 if unknown.
pub(super) fn columns() -> usize {
    terminal::size().ok().map(|(columns, _)| usize::from(columns)).filter(|&columns| columns > 0).unwrap_or(80)
}

/// Columns available for tables on standard output: those of the terminal, or unlimited for a file or a pipe.
pub(crate) fn width() -> usize {
    if std::io::stdout().is_terminal() { columns() } else { usize::MAX }
}

/// Whether bars can be drawn on standard error: whether it is a terminal that can move its cursor.
pub(super) fn can_draw() -> bool {
    std::io::stderr().is_terminal() && moves_cursor(std::env::var("TERM").ok().as_deref())
}

/// Without `TERM`, nothing is known about a terminal, except on Windows, which never sets it.
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
