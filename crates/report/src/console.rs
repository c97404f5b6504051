//! Output to terminals, pipes and logs, which may be closed, full, or limited to ASCII.

use std::borrow::Cow;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::Path;

use lookahead_runs::{Error, Result};

/// Writes `text` to standard output. A closed pipe, as after `head`, is not an error.
///
/// # Errors
/// [`Error::Output`] if writing fails for another reason, such as a full disk.
pub fn print(text: &str) -> Result<()> {
    let mut output = io::stdout().lock();
    let text = shown(text, output.is_terminal());
    match output.write_all(text.as_bytes()).and_then(|()| output.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Error::output("write", Path::new("standard output"))(error))
        }
        _ => Ok(()),
    }
}

/// Writes a line to standard error. If that fails, the line is lost: a message must not stop a run.
pub fn note(text: &str) {
    let mut output = io::stderr().lock();
    let text = shown(text, output.is_terminal());
    let _ = writeln!(output, "{text}");
}

/// True if the terminal shows Unicode: the first of `LC_ALL`, `LC_CTYPE` and `LANG` that is set names UTF-8. Always
/// true on Windows.
pub fn is_unicode() -> bool {
    let mut values = ["LC_ALL", "LC_CTYPE", "LANG"].iter().filter_map(std::env::var_os);
    let value = values.find(|value| !value.is_empty()).unwrap_or_default();
    cfg!(windows) || names_utf8(&value.to_string_lossy())
}

fn names_utf8(locale: &str) -> bool {
    let locale = locale.to_ascii_lowercase();
    locale.contains("utf-8") || locale.contains("utf8")
}

fn shown(text: &str, is_terminal: bool) -> Cow<'_, str> {
    if !is_terminal {
        return text.into();
    }
    let text = harmless(text);
    if text.is_ascii() || is_unicode() { text } else { ascii(&text).into() }
}

/// `text` without the control characters with which the name of a run could move a terminal's cursor or change its
/// colours. Lines and tabs stay.
fn harmless(text: &str) -> Cow<'_, str> {
    let is_harmful = |character: char| character.is_control() && !matches!(character, '\n' | '\t');
    if !text.contains(is_harmful) {
        return text.into();
    }
    text.replace("\r\n", "\n").replace(is_harmful, REPLACEMENT).into()
}

/// Shown instead of a control character.
pub(crate) const REPLACEMENT: &str = "\u{fffd}";

/// `text` as one line without control characters: a line break or tab becomes a space, every other one U+FFFD. For
/// names in tables, whose columns they would break.
///
/// ```
/// use lookahead_report::console::one_line;
/// assert_eq!(one_line("a\nb\u{1b}[2J"), "a b\u{fffd}[2J");
/// ```
pub fn one_line(text: &str) -> String {
    text.replace(['\n', '\r', '\t'], " ").replace(char::is_control, REPLACEMENT)
}

/// `text` in ASCII: signs, quotation marks and rules are replaced by similar characters, all others by question marks.
///
/// ```
/// use lookahead_report::console::ascii;
/// assert_eq!(ascii("82.00 ± 2.00, −0.50"), "82.00 +- 2.00, -0.50");
/// ```
pub fn ascii(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            character if character.is_ascii() => plain.push(character),
            '\u{b1}' => plain.push_str("+-"),
            '\u{2212}' | '\u{2013}' | '\u{2500}' | '\u{2501}' => plain.push('-'),
            '\u{2550}' => plain.push('='),
            '\u{2018}' | '\u{2019}' => plain.push('\''),
            '\u{201c}' | '\u{201d}' => plain.push('"'),
            '\u{d7}' => plain.push('x'),
            '\u{2026}' => plain.push_str("..."),
            _ => plain.push('?'),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_locale_names_its_characters() {
        assert!(["en_GB.UTF-8", "C.utf8", "de_DE.utf8@euro"].into_iter().all(names_utf8));
        assert!(!["", "C", "POSIX", "de_DE.ISO-8859-1"].into_iter().any(names_utf8));
    }

    #[test]
    fn what_is_no_terminal_gets_every_character() {
        assert_eq!(shown("1 ± 2\u{1b}[2J", false), "1 ± 2\u{1b}[2J");
    }

    /// An escape sequence that clears the screen, a return that hides what is before it, and a C1 control.
    #[test]
    fn no_name_controls_the_terminal() {
        assert_eq!(harmless("a\u{1b}[2J\rb\u{9b}c\n\td"), "a\u{fffd}[2J\u{fffd}b\u{fffd}c\n\td");
        assert_eq!(harmless("a,b\r\n1,2\r\n"), "a,b\n1,2\n");
        assert!(!shown("\u{1b}", true).contains('\u{1b}'));
    }
}
