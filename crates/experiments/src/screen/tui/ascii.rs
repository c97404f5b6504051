//! The view for a locale that has only ASCII.

use ratatui::buffer::Buffer;

/// Replaces each character by a similar one in ASCII.
pub(super) fn in_ascii(buffer: &mut Buffer) {
    for cell in &mut buffer.content {
        let sign = cell.symbol().chars().next().unwrap_or(' ');
        if sign.is_ascii() {
            continue;
        }
        cell.set_char(match sign {
            '─' | '━' | '╌' => '-',
            '│' | '┃' => '|',
            '┌'..='╿' => '+',
            '▁'..='▃' => '.',
            '▄'..='▆' => 'o',
            '▇' | '█' => '#',
            '▶' => '>',
            '✓' => 'v',
            '✗' => 'x',
            '·' => '.',
            '↑' => '^',
            '↓' => 'v',
            '\u{2800}' => ' ',
            '\u{2801}'..='\u{28ff}' => '*',
            '…' => '~',
            _ => '?',
        });
    }
}

#[cfg(test)]
mod tests {
    use ratatui::layout::Rect;

    use super::*;

    #[test]
    fn each_sign_becomes_one_of_its_kind() {
        let mut buffer = Buffer::empty(Rect::new(0, 0, 12, 1));
        buffer.set_string(0, 0, "a─│┌█▁▶✓⠀⠇é…", ratatui::style::Style::new());
        in_ascii(&mut buffer);
        let signs: String = buffer.content.iter().map(|cell| cell.symbol()).collect();
        assert_eq!(signs, "a-|+#.>v *?~");
    }
}
