use std::path::PathBuf;
use std::sync::Arc;

use super::read;
use crate::fingerprint::Fingerprint;
use crate::{Error, Result, TextUnit, Vocabulary};

/// The embedded text: forty thousand lines of Shakespeare, in the public domain, as the `char-rnn` project cut them.
const SHAKESPEARE: &[u8] = include_bytes!("shakespeare.txt.gz");

/// A tokenized text in its parts. The vocabulary is that of the training part.
///
/// ```
/// use lookahead_data::TextCorpus;
///
/// let shakespeare = TextCorpus::shakespeare()?;
/// assert_eq!((shakespeare.train.len(), shakespeare.valid.len()), (1_003_854, 111_540));
/// assert_eq!(shakespeare.vocabulary.len(), 66); // 65 characters and <unk>
/// # Ok::<(), lookahead_data::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct TextCorpus {
    /// Name of the corpus.
    pub name: String,
    /// The vocabulary of the training part.
    pub vocabulary: Arc<Vocabulary>,
    /// Token ids to train on.
    pub train: Arc<[u32]>,
    /// Token ids to select settings by.
    pub valid: Arc<[u32]>,
    /// Token ids of the test part, read once at the end of a run; `None` if the text has no test part.
    pub test: Option<Arc<[u32]>>,
}

/// The files of a corpus, in UTF-8. For words: one sentence per line, with spaces between tokens. For characters: any text. `.gz` files are
/// unpacked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextFiles {
    /// The training text. Without `valid`, only its first nine tenths.
    pub train: PathBuf,
    /// The validation text. Without it, the last tenth of `train`.
    pub valid: Option<PathBuf>,
    /// The test text, read once at the end of a run.
    pub test: Option<PathBuf>,
}

impl TextCorpus {
    /// The embedded corpus: Shakespeare, character by character. Nine tenths are for training, one tenth for validation.
    ///
    /// # Errors
    /// None, unless the program is damaged.
    pub fn shakespeare() -> Result<Self> {
        Self::shakespeare_by(TextUnit::Characters, 1)
    }

    /// The same text with other tokens. Tokens that occur fewer than `least` times become `<unk>`.
    ///
    /// # Errors
    /// [`Error::Setting`] as for [`Vocabulary::of`].
    pub fn shakespeare_by(unit: TextUnit, least: usize) -> Result<Self> {
        let text = read::unpacked(SHAKESPEARE, "shakespeare.txt.gz")?;
        Self::cut("shakespeare", &text, unit, least)
    }

    /// A corpus from one text. The first nine tenths of its tokens are for training; tokens that occur there fewer than `least` times
    /// become `<unk>`.
    ///
    /// # Errors
    /// [`Error::Setting`] as for [`Vocabulary::of`].
    pub fn cut(name: &str, text: &str, unit: TextUnit, least: usize) -> Result<Self> {
        // Three passes over the text, because a list of its tokens needs many times its memory.
        let before = unit.tokens(text).count() * 9 / 10;
        let vocabulary = Vocabulary::counted(unit.tokens(text).take(before), unit, least)?;
        let mut numbers = unit.tokens(text).map(|token| vocabulary.number(token));
        let (train, valid) = (numbers.by_ref().take(before).collect(), numbers.collect());
        Ok(Self { name: name.to_string(), train, valid, test: None, vocabulary: Arc::new(vocabulary) })
    }

    /// Reads a corpus from files. The training part's vocabulary applies to all parts.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Text`] and, for more than 5 GiB of text, [`Error::TooLarge`], with the file; [`Error::Setting`] as for
    /// [`Vocabulary::of`].
    pub fn read(name: &str, files: &TextFiles, unit: TextUnit, least: usize) -> Result<Self> {
        let train = read::text(&files.train)?;
        let part = |path: &PathBuf, vocabulary: &Vocabulary| -> Result<Arc<[u32]>> {
            let numbers = vocabulary.numbers(&read::text(path)?);
            if numbers.is_empty() {
                return Err(Error::Text {
                    path: path.clone(),
                    problem: "no tokens; choose a file with text".to_string(),
                });
            }
            Ok(numbers.into())
        };
        let mut corpus = match &files.valid {
            None => Self::cut(name, &train, unit, least)?,
            Some(valid) => {
                let vocabulary = Arc::new(Vocabulary::of(&train, unit, least)?);
                let (train, valid) = (vocabulary.numbers(&train).into(), part(valid, &vocabulary)?);
                Self { name: name.to_string(), vocabulary, train, valid, test: None }
            }
        };
        if let Some(test) = &files.test {
            corpus.test = Some(part(test, &corpus.vocabulary)?);
        }
        Ok(corpus)
    }

    /// SHA-256 over vocabulary and all parts: equal digests mean equal data.
    pub fn digest(&self) -> String {
        let mut hash = Fingerprint::new("text");
        hash.text(&self.vocabulary.digest());
        for part in [Some(&self.train), Some(&self.valid), self.test.as_ref()] {
            let bytes: Vec<u8> = part.into_iter().flat_map(|part| part.iter()).flat_map(|n| n.to_le_bytes()).collect();
            hash.bytes(&bytes);
        }
        hash.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_text_is_the_one_that_is_meant() {
        let corpus = TextCorpus::shakespeare().unwrap();
        assert!(corpus.vocabulary.text(&corpus.train[..30]).starts_with("First Citizen:\nBefore we proce"));
        assert!(!corpus.valid.contains(&0), "every character of the last tenth occurs before");
        assert_eq!(corpus.digest(), TextCorpus::shakespeare().unwrap().digest());
    }

    #[test]
    fn a_text_is_cut_by_tokens() {
        let corpus = TextCorpus::cut("t", "a b a b a b a b c\n", TextUnit::Words, 1).unwrap();
        assert_eq!((corpus.train.len(), corpus.valid.len()), (9, 1));
        assert_eq!((corpus.vocabulary.len(), &corpus.valid[..]), (4, &[0][..]));
    }

    #[test]
    fn files_are_plain_or_gzip_and_what_is_wrong_is_named() {
        use std::io::Write as _;
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("train.txt"), "a b c\na b\n").unwrap();
        let packed = |text: &str| {
            let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
            packed.write_all(text.as_bytes()).unwrap();
            packed.finish().unwrap()
        };
        // Two gzip files in a row are one file, as `cat` and bgzip write it.
        std::fs::write(path("valid.txt.gz"), [packed("c a"), packed(" x\n")].concat()).unwrap();
        let files = |valid: &str| TextFiles { train: path("train.txt"), valid: Some(path(valid)), test: None };
        let corpus = TextCorpus::read("t", &files("valid.txt.gz"), TextUnit::Words, 2).unwrap();
        assert_eq!(corpus.vocabulary.tokens(), ["<unk>", "<eos>", "a", "b"]);
        assert_eq!((&corpus.train[..], &corpus.valid[..]), (&[2, 3, 0, 1, 2, 3, 1][..], &[0, 2, 0, 1][..]));

        std::fs::write(path("latin"), b"abc\xe9d").unwrap();
        std::fs::write(path("empty"), b" \t").unwrap();
        std::fs::write(path("cut.gz"), &std::fs::read(path("valid.txt.gz")).unwrap()[..12]).unwrap();
        let cases = [("latin", "byte 3 is not valid"), ("empty", "no tokens"), ("cut.gz", "cut.gz"), ("none", "none")];
        for (name, words) in cases {
            let error = TextCorpus::read("t", &files(name), TextUnit::Words, 1).unwrap_err().to_string();
            assert!(error.contains(name) && error.contains(words), "{error}");
        }
    }
}
