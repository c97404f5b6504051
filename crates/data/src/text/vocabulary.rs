use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use crate::fingerprint::Fingerprint;
use crate::{Error, Result};

/// What counts as a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TextUnit {
    /// The text between spaces; the end of a line is the token `<eos>`. A last line without a line feed has no `<eos>`, which PyTorch's
    /// word language model gives to every line.
    Words,
    /// Each character, including the end of a line.
    Characters,
}

/// The token for words that the vocabulary lacks.
const UNKNOWN: &str = "<unk>";
/// The token for the end of a line.
const END: &str = "<eos>";

impl TextUnit {
    /// The tokens of `text`, in order.
    pub(super) fn tokens(self, text: &str) -> impl Iterator<Item = &str> {
        // One of the two is empty.
        let (characters, lines) = match self {
            Self::Characters => (text, ""),
            Self::Words => ("", text),
        };
        let characters = characters.char_indices().map(move |(at, c)| &characters[at..at + c.len_utf8()]);
        let lines = lines.split_inclusive('\n');
        characters.chain(lines.flat_map(|line| line.split_whitespace().chain(line.ends_with('\n').then_some(END))))
    }
}

/// The tokens of a model, by id. `<unk>`, id 0, stands for all others; the tokens of the training text follow in byte order.
///
/// ```
/// use lookahead_data::{TextUnit, Vocabulary};
///
/// let vocabulary = Vocabulary::of("a rose is a rose\n", TextUnit::Words, 2)?;
/// assert_eq!(vocabulary.tokens(), ["<unk>", "a", "rose"]);
/// assert_eq!(vocabulary.numbers("a rose is red\n"), [1, 2, 0, 0, 0]); // the line's end was seen once only
/// # Ok::<(), lookahead_data::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vocabulary {
    unit: TextUnit,
    tokens: Vec<String>,
    numbers: HashMap<String, u32>,
}

impl Vocabulary {
    /// The vocabulary of a training text: the tokens that occur at least `least` times.
    ///
    /// # Errors
    /// [`Error::Setting`] if `least` is 0, or if no token occurs that often.
    pub fn of(text: &str, unit: TextUnit, least: usize) -> Result<Self> {
        Self::counted(unit.tokens(text), unit, least)
    }

    /// The vocabulary of `tokens`, as for [`of`](Self::of).
    pub(super) fn counted<'a>(tokens: impl Iterator<Item = &'a str>, unit: TextUnit, least: usize) -> Result<Self> {
        if least == 0 {
            return Err(Error::setting("least occurrences of a token", least, "at least 1"));
        }
        let mut counts = BTreeMap::<&str, usize>::new();
        for token in tokens {
            *counts.entry(token).or_default() += 1;
        }
        counts.remove(UNKNOWN);
        counts.retain(|_, count| *count >= least);
        if counts.is_empty() {
            let rule = "at most the count of the most frequent token";
            return Err(Error::setting("least occurrences of a token", least, rule));
        }
        let tokens: Vec<String> = std::iter::once(UNKNOWN).chain(counts.into_keys()).map(str::to_string).collect();
        let numbers = tokens.iter().zip(0..).map(|(token, number)| (token.clone(), number)).collect();
        Ok(Self { unit, tokens, numbers })
    }

    /// The tokens, in the order of their ids.
    pub fn tokens(&self) -> &[String] {
        &self.tokens
    }

    /// Number of tokens, including `<unk>`.
    #[expect(clippy::len_without_is_empty, reason = "a vocabulary has <unk> at least")]
    pub fn len(&self) -> usize {
        self.tokens.len()
    }

    /// What counts as a token.
    pub fn unit(&self) -> TextUnit {
        self.unit
    }

    /// The token ids of `text`.
    pub fn numbers(&self, text: &str) -> Vec<u32> {
        self.unit.tokens(text).map(|token| self.number(token)).collect()
    }

    /// The id of a token; 0, the id of `<unk>`, if the vocabulary lacks it.
    pub fn number(&self, token: &str) -> u32 {
        self.numbers.get(token).copied().unwrap_or(0)
    }

    /// The text of token ids. Words are joined by spaces and `<eos>` ends a line; characters are joined as they are. An id out of range
    /// counts as `<unk>`.
    pub fn text(&self, numbers: &[u32]) -> String {
        let token = |number: &u32| self.tokens.get(*number as usize).map_or(UNKNOWN, String::as_str);
        let mut text = String::new();
        for token in numbers.iter().map(token) {
            match self.unit {
                TextUnit::Characters => text.push_str(token),
                TextUnit::Words if token == END => text.push('\n'),
                TextUnit::Words => {
                    if !text.is_empty() && !text.ends_with('\n') {
                        text.push(' ');
                    }
                    text.push_str(token);
                }
            }
        }
        text
    }

    /// SHA-256 over unit and tokens in order: equal digests mean equal ids.
    pub fn digest(&self) -> String {
        let mut hash = Fingerprint::new("vocabulary");
        hash.text(match self.unit {
            TextUnit::Words => "words",
            TextUnit::Characters => "characters",
        });
        hash.number(self.tokens.len());
        self.tokens.iter().for_each(|token| hash.text(token));
        hash.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_words_with_the_ends_of_lines_or_characters() {
        let tokens = |unit: TextUnit, text: &'static str| unit.tokens(text).collect::<Vec<_>>();
        assert_eq!(tokens(TextUnit::Words, " a  b\n\nc"), ["a", "b", "<eos>", "<eos>", "c"]);
        assert_eq!(tokens(TextUnit::Characters, "aé\n"), ["a", "é", "\n"]);
    }

    #[test]
    fn numbers_are_in_the_order_of_bytes_and_go_back_to_text() {
        let text = "b a <unk> b\na Z\n";
        let vocabulary = Vocabulary::of(text, TextUnit::Words, 1).unwrap();
        assert_eq!(vocabulary.tokens(), ["<unk>", "<eos>", "Z", "a", "b"]);
        assert_eq!(vocabulary.numbers(text), [4, 3, 0, 4, 1, 3, 2, 1]);
        assert_eq!(vocabulary.text(&vocabulary.numbers(text)), text);
        assert_eq!(vocabulary.text(&[4, 99]), "b <unk>");
        let characters = Vocabulary::of("ab a", TextUnit::Characters, 2).unwrap();
        assert_eq!(characters.numbers("a b"), [1, 0, 0]);
    }

    #[test]
    fn digests_tell_vocabularies_apart() {
        let of = |text, unit| Vocabulary::of(text, unit, 1).unwrap().digest();
        assert_eq!(of("a b", TextUnit::Words), of("b a", TextUnit::Words));
        assert_ne!(of("a b", TextUnit::Words), of("a c", TextUnit::Words));
        assert_ne!(of("a", TextUnit::Words), of("a", TextUnit::Characters));
    }

    #[test]
    fn a_vocabulary_of_nothing_is_refused() {
        assert!(Vocabulary::of("a", TextUnit::Words, 0).unwrap_err().to_string().contains("is 0"));
        for (text, least) in [("", 1), ("a b", 2), ("<unk> <unk>", 1)] {
            let error = Vocabulary::of(text, TextUnit::Words, least).unwrap_err().to_string();
            assert!(error.contains("must be at most the count of the most frequent token"), "{error}");
        }
    }
}
