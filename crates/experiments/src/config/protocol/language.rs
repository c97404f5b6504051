//! Language models: a quick recipe, Zaremba's two, and AWD-LSTM as the Lookahead paper trains it.

use lookahead_data::TextUnit;
use lookahead_models::LanguageModelConfig;
use lookahead_optim::{AdamWConfig, Clip, Gradients, LookaheadConfig, SgdConfig, WeightDecay};

use crate::config::data::{DataConfig, TextConfig};
use crate::config::experiment::Config;
use crate::config::inner::Inner;
use crate::config::model::{LstmParts, ModelConfig};
use crate::config::names::{Corpus, Experiment, Protocol};
use crate::config::row::Row;
use crate::config::sections::{EvaluationConfig, ScheduleConfig, StepsConfig, TrainConfig};

/// The recipe of `protocol`, or `quick` if language does not have the protocol.
pub(super) fn config(protocol: Protocol) -> Config {
    match protocol {
        Protocol::ZarembaSmall => zaremba_small(),
        Protocol::ZarembaMedium => zaremba_medium(),
        Protocol::Awd => awd(),
        _ => quick(),
    }
}

/// A million characters of Shakespeare, one layer of 256, three epochs with the learning rate halved after each:
/// minutes on two cores. Clipping, dropout and SGD's rate are those of PyTorch's `word_language_model` example.
fn quick() -> Config {
    Config {
        experiment: Experiment::Language,
        protocol: Protocol::Quick,
        device: "auto".to_owned(),
        rows: rows(20.0, 0.004, 0.25, 5, 0.5),
        seeds: vec![1],
        model: ModelConfig::Lstm(LstmParts::of(LanguageModelConfig::characters(1))),
        data: DataConfig::Text(TextConfig {
            corpus: Corpus::Shakespeare,
            unit: TextUnit::Characters,
            least: 1,
            steps: 64,
            limit_train: 0,
            limit_valid: 0,
            test: true,
        }),
        train: TrainConfig { epochs: 3.0, batch_size: 64, accumulate: 1, label_smoothing: 0.0 },
        schedule: halved(1..3, 0.5),
        evaluation: EvaluationConfig::default(),
    }
}

/// Zaremba, Sutskever, Vinyals 2014 (arXiv:1409.2329), small. TensorFlow's `ptb_word_lm.py`
/// reaches a perplexity of 115.91 on the test part with these settings.
///
/// Their loss is the sum over the 20 steps of a window, clipped at 5. For the mean, the rate is 20 times as high and
/// the limit a 20th of theirs.
fn zaremba_small() -> Config {
    Config {
        protocol: Protocol::ZarembaSmall,
        rows: rows(20.0, 0.002, 0.25, 5, 0.5),
        seeds: vec![1, 2, 3],
        model: ModelConfig::Lstm(LstmParts::of(LanguageModelConfig::zaremba_small(1))),
        data: words(20),
        train: TrainConfig { epochs: 13.0, batch_size: 20, ..quick().train },
        schedule: halved(4..13, 0.5),
        ..quick()
    }
}

/// The same, medium, with the factor that `ptb_word_lm.py` has after the sixth epoch; it reaches 82.07 on the test part.
fn zaremba_medium() -> Config {
    Config {
        protocol: Protocol::ZarembaMedium,
        rows: rows(35.0, 0.001, 5.0 / 35.0, 5, 0.5),
        model: ModelConfig::Lstm(LstmParts::of(LanguageModelConfig::zaremba_medium(1))),
        data: words(35),
        train: TrainConfig { epochs: 39.0, ..zaremba_small().train },
        schedule: halved(6..39, 0.8),
        ..zaremba_small()
    }
}

/// AWD-LSTM (Merity et al. 2018, arXiv:1708.02182) in batches of 80, with the settings that reproductions of the
/// Lookahead paper found best.
///
/// Two things differ, because here every step is a function of its number: windows always have 70 tokens, and the rate
/// is halved at fixed epochs instead of after fifteen epochs without improvement.
fn awd() -> Config {
    let parts = LstmParts { activation: 2.0, slowness: 1.0, ..LstmParts::of(LanguageModelConfig::awd_lstm(1)) };
    let mut rows = rows(30.0, 0.005, 0.25, 10, 0.8);
    rows.iter_mut().for_each(|row| match &mut row.inner {
        Inner::Sgd(sgd) => sgd.weight_decay = WeightDecay::L2(1.2e-6),
        Inner::AdamW(adamw) => adamw.weight_decay = WeightDecay::L2(1.2e-6),
        _ => {}
    });
    Config {
        protocol: Protocol::Awd,
        rows,
        model: ModelConfig::Lstm(parts),
        data: words(70),
        train: TrainConfig { epochs: 750.0, batch_size: 80, ..zaremba_small().train },
        schedule: ScheduleConfig::Steps(StepsConfig { milestones: vec![300, 450, 550, 650, 700], factor: 0.5 }),
        ..zaremba_small()
    }
}

/// Penn Treebank by words. Its rare words are already replaced, so every word is kept.
fn words(steps: usize) -> DataConfig {
    DataConfig::Text(TextConfig {
        corpus: Corpus::Ptb,
        unit: TextUnit::Words,
        least: 1,
        steps,
        limit_train: 0,
        limit_valid: 0,
        test: true,
    })
}

/// The rate multiplied by `factor` after each of these epochs.
fn halved(epochs: std::ops::Range<usize>, factor: f64) -> ScheduleConfig {
    ScheduleConfig::Steps(StepsConfig { milestones: epochs.collect(), factor })
}

/// SGD and AdamW at these rates, alone and inside Lookahead, and an average of each. All clip the gradient norm.
fn rows(sgd: f64, adamw: f64, clip: f64, sync_period: usize, slow_step_size: f64) -> Vec<Row> {
    let gradients = Gradients { clip: Some(Clip::GlobalNorm(clip)), ..Gradients::default() };
    let sgd = Inner::Sgd(SgdConfig { learning_rate: sgd, gradients, ..SgdConfig::default() });
    let weight_decay = WeightDecay::Decoupled(0.01);
    let adamw = Inner::AdamW(AdamWConfig { learning_rate: adamw, weight_decay, gradients, ..AdamWConfig::default() });
    let lookahead = LookaheadConfig {
        sync_period: sync_period.into(),
        slow_step_size: slow_step_size.into(),
        ..LookaheadConfig::default()
    };
    vec![
        Row::plain(sgd.clone()),
        Row::plain(adamw.clone()),
        Row::lookahead(sgd.clone(), lookahead.clone()),
        Row::lookahead(adamw.clone(), lookahead),
        Row::ema(adamw, 0.998),
        Row::ema(sgd, 0.998).named("ema-sgd", "EMA/SGD"),
    ]
}
