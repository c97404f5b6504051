//! Rules that a configuration breaks.

use std::borrow::Cow;
use std::path::PathBuf;

/// A rule that a configuration breaks.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A key that no protocol has.
    #[error("unknown key `{key}`{}{}", from_where(.origin), did_you_mean(.suggestion))]
    UnknownKey {
        /// The dotted key.
        key: String,
        /// `--set` or the file's name.
        origin: String,
        /// The nearest existing key.
        suggestion: Option<String>,
    },
    /// A value of the wrong type, or an unknown name.
    #[error("`{key}`: {reason}{}", from_where(.origin))]
    WrongValue {
        /// The dotted key.
        key: String,
        /// `--set` or the file's name.
        origin: String,
        /// What was expected.
        reason: String,
    },
    /// A row that neither the configuration nor its protocol has.
    #[error("there is no row `{name}`{}; the rows are {}", did_you_mean_row(.suggestion), .known.join(", "))]
    UnknownRow {
        /// The name.
        name: String,
        /// The nearest existing name.
        suggestion: Option<String>,
        /// All names.
        known: Vec<String>,
    },
    /// A `--set` without `=`.
    #[error("--set {given}: expected key=value, such as sgd.learning_rate=0.1")]
    NotAnAssignment {
        /// What was given.
        given: String,
    },
    /// A file that cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// A file that is not valid TOML.
    #[error("{}: {reason}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// The parser's report.
        reason: String,
    },
    /// A number outside its range.
    #[error("`{key}` must be {rule}, but is {value}")]
    OutOfRange {
        /// The dotted key.
        key: String,
        /// The range in words.
        rule: Cow<'static, str>,
        /// The offending value.
        value: String,
    },
    /// Two flags or keys that conflict.
    #[error("{first} and {second} conflict: {why}")]
    Conflict {
        /// The first of them.
        first: String,
        /// The second.
        second: String,
        /// Why, and what to do.
        why: String,
    },
}

fn from_where(origin: &str) -> String {
    if origin.is_empty() { String::new() } else { format!(" (from {origin})") }
}

fn did_you_mean(suggestion: &Option<String>) -> String {
    match suggestion {
        Some(key) => format!("; did you mean `{key}`?"),
        None => "; --print-config lists all keys".to_owned(),
    }
}

fn did_you_mean_row(suggestion: &Option<String>) -> String {
    suggestion.as_ref().map(|name| format!(" (did you mean `{name}`?)")).unwrap_or_default()
}
