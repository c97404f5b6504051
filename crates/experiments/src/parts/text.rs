//! The parts of a text, and their windows.

use std::sync::Arc;

use lookahead_data::{TextCorpus, TextWindows, Vocabulary};
use lookahead_runs::{DataPart, DataSet, TaskKind, digest};

use super::sealed::Sealed;
use crate::config::TextConfig;
use crate::error::Result;

/// The parts of a text, cut to the limits of a configuration.
#[derive(Debug, Clone)]
pub struct TextData {
    /// The vocabulary.
    pub vocabulary: Arc<Vocabulary>,
    /// The training part.
    pub train: Arc<[u32]>,
    /// The part that each epoch is validated on.
    pub valid: Arc<[u32]>,
    /// The test part, sealed; `None` if the configuration does not test or the corpus has none.
    pub test: Option<Sealed<Arc<[u32]>>>,
    /// Name, digest and counts.
    pub about: DataSet,
}

/// Number of places at which the validation and the test part are read in parallel, each from a zero state: ten, as in
/// AWD-LSTM.
const READ_AT_ONCE: usize = 10;

impl TextData {
    /// Cuts `corpus` to the limits of `config` and takes the digest. If `data.test` is false, the test part is dropped
    /// at once.
    pub fn new(corpus: TextCorpus, config: &TextConfig) -> Self {
        let limited = |tokens: Arc<[u32]>, count: usize| match count {
            0 => tokens,
            count => tokens.get(..count).map_or(Arc::clone(&tokens), Arc::from),
        };
        let TextCorpus { name, vocabulary, train, valid, test } = corpus;
        let (train, valid) = (limited(train, config.limit_train), limited(valid, config.limit_valid));
        let test = test.filter(|_| config.test).map(|test| limited(test, config.limit_valid));
        let part = |part: &str, tokens: &[u32]| DataPart { name: format!("{name}/{part}"), count: tokens.len() as u64 };
        let bytes = |tokens: &[u32]| tokens.iter().flat_map(|token| token.to_le_bytes()).collect::<Vec<u8>>();
        let mut pieces = vec![vocabulary.digest().into_bytes(), bytes(&train), bytes(&valid)];
        pieces.extend(test.as_deref().map(bytes));
        let about = DataSet {
            task: TaskKind::Language,
            sha256: digest::of_pieces(pieces.iter().map(Vec::as_slice)),
            train: part("train", &train),
            valid: part("valid", &valid),
            test: test.as_deref().map(|test| part("test", test)).unwrap_or_default(),
            held_out: true,
            classes: Vec::new(),
            name,
        };
        Self { vocabulary, train, valid, test: test.map(Sealed::new), about }
    }

    /// The training windows: `batch` places in parallel, `steps` tokens each.
    ///
    /// # Errors
    /// A text that is too short.
    pub fn train_windows(&self, batch: usize, steps: usize) -> Result<TextWindows> {
        Ok(TextWindows::new(Arc::clone(&self.train), batch, steps)?)
    }

    /// The windows of a part for evaluation.
    ///
    /// # Errors
    /// A text of fewer than two tokens.
    pub fn judged(tokens: &Arc<[u32]>, steps: usize) -> Result<TextWindows> {
        let places = READ_AT_ONCE.min(tokens.len() / 2).max(1);
        Ok(TextWindows::new(Arc::clone(tokens), places, steps)?)
    }
}

#[cfg(test)]
mod tests {
    use lookahead_data::TextUnit;

    use super::*;
    use crate::config::{Config, DataConfig, Experiment, Protocol};

    fn settings() -> TextConfig {
        match Config::for_protocol(Experiment::Language, Protocol::Quick).data {
            DataConfig::Text(text) => text,
            other => panic!("{other:?}"),
        }
    }

    fn corpus() -> TextCorpus {
        let corpus = TextCorpus::cut("letters", &"abcde".repeat(40), TextUnit::Characters, 1).unwrap();
        TextCorpus { test: Some(Arc::clone(&corpus.valid)), ..corpus }
    }

    #[test]
    fn limits_cut_and_what_tunes_gets_no_test_part() {
        let whole = TextData::new(corpus(), &settings());
        let counts = |data: &TextData| [&data.about.train, &data.about.valid, &data.about.test].map(|part| part.count);
        assert_eq!(counts(&whole), [180, 20, 20]);
        let cut = TextData::new(corpus(), &TextConfig { limit_train: 100, limit_valid: 7, ..settings() });
        assert_eq!((counts(&cut), &cut.train[..]), ([100, 7, 7], &whole.train[..100]));
        let tuned = TextData::new(corpus(), &TextConfig { test: false, ..settings() });
        assert!(tuned.test.is_none() && tuned.about.test.is_empty());
        let digests = [&whole, &cut, &tuned].map(|data| data.about.sha256.clone());
        assert!(digests[0] != digests[1] && digests[0] != digests[2]);
    }

    #[test]
    fn a_short_part_is_read_at_fewer_places() {
        let tokens: Arc<[u32]> = (0..7).collect();
        assert_eq!(TextData::judged(&tokens, 5).unwrap().targets(), 3);
        assert!(TextData::judged(&tokens[..1].into(), 5).is_err());
    }
}
