//! Text for HTML and SVG.

use crate::console::REPLACEMENT;

/// Escapes `text` for an element or a quoted attribute of HTML or SVG. Control characters other than tabs and line
/// breaks become U+FFFD: XML forbids them, and one of them makes an SVG file unreadable.
///
/// ```
/// use lookahead_report::escaped;
/// assert_eq!(escaped("a\u{1b}b"), "a\u{fffd}b");
/// assert_eq!(escaped("<a href='x'>\"&\""), "&lt;a href=&#39;x&#39;&gt;&quot;&amp;&quot;");
/// ```
pub fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\t' | '\n' | '\r' => escaped.push(character),
            other if other.is_control() => escaped.push_str(REPLACEMENT),
            other => escaped.push(other),
        }
    }
    escaped
}
