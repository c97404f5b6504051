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
    if is_terminal && !text.is_ascii() && !is_unicode() { ascii(text).into() } else { text.into() }
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
        assert_eq!(shown("1 ± 2", false), "1 ± 2");
    }
}
