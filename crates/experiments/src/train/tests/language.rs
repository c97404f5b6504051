//! A language model in the loop: what it learns, what it carries, what it is judged by.

use candle_core::{DType, Tensor};
use lookahead_data::{TextCorpus, TextUnit};
use lookahead_models::{LanguageModel, LanguageModelConfig, Pass};
use lookahead_optim::LookaheadConfig;
use lookahead_runs::{Measure, Position, RunSummary, Split};

use super::*;
use crate::config::{DataConfig, LstmParts, ModelConfig, TextConfig, Views};
use crate::error::Error;
use crate::parts::TextData;
use crate::train::{Judge, Language, Setup, Unwatched, train, train_from};

/// Two small layers with every kind of dropout, four places of a text, windows of five tokens.
fn run(row: &str, change: impl FnOnce(&mut Config)) -> RunConfig {
    let mut config = Config::for_protocol(Experiment::Language, Protocol::Quick);
    let dropout = LanguageModelConfig::awd_lstm(1).dropout;
    let model = LanguageModelConfig { embedding: 6, hidden: 8, layers: 2, dropout, ..LanguageModelConfig::default() };
    config.model = ModelConfig::Lstm(LstmParts { activation: 2.0, slowness: 1.0, ..LstmParts::of(model) });
    (config.train.epochs, config.train.batch_size) = (2.0, 4);
    if let DataConfig::Text(text) = &mut config.data {
        text.steps = 5;
    }
    change(&mut config);
    config.validate().unwrap();
    let row = config.rows.iter().find(|known| known.name == row).unwrap().clone();
    RunConfig { config, row, seed: 3 }
}

/// A text that repeats itself with variations, with a test part.
fn text(run: &RunConfig) -> Data {
    let letters: String = (0..400u32).map(|at| char::from(b'a' + (at * at / 7 % 5) as u8)).collect();
    let corpus = TextCorpus::cut("letters", &format!("{letters}\n"), TextUnit::Characters, 1).unwrap();
    let corpus = TextCorpus { test: Some(Arc::clone(&corpus.valid)), ..corpus };
    TextData::new(corpus, run.config.text().unwrap()).into()
}

fn trained(run: &RunConfig, data: &Data, folder: &RunFolder) -> RunSummary {
    train(run, data, &CPU, folder, &options(), &mut Unwatched).unwrap()
}

#[test]
fn a_run_is_scored_by_perplexity_and_writes_a_sample() {
    let run = run("lookahead-adamw", |config| config.evaluation.target = 1000.0);
    let data = text(&run);
    let root = tempfile::tempdir().unwrap();
    let folder = open(root.path(), &run, &data);
    let summary = trained(&run, &data, &folder);
    let scores = summary.figures.scores;
    assert_eq!(scores.all().map(|(measure, _)| measure).collect::<Vec<_>>(), [Measure::Perplexity]);
    assert!((scores.get(Measure::Perplexity).ln() - summary.figures.valid_loss).abs() < 1e-12);
    assert_eq!(summary.split, Split::Test);
    let details = summary.details.unwrap();
    // 361 tokens of training, four places of 90: 18 windows, the last of which has four tokens.
    assert_eq!(summary.steps, 2 * 18);
    assert!((summary.figures.per_second * details.time.training() - 2.0 * 4.0 * 89.0).abs() < 1e-6);
    assert_eq!((details.ece, details.classes.len(), details.confusion.len()), (None, 0, 0));
    let sample = details.sample.replace("<unk>", "?");
    assert!(sample.chars().count() == 600 && details.sample.contains('a'), "{:?}", details.sample);
    assert!(details.target.unwrap().reached.is_some_and(|reached| reached.step == 18), "lower is better");
    let best: f64 = details.best_score;
    let log = lookahead_runs::Log::read(&folder.path().join("metrics.jsonl")).unwrap();
    let lowest = log.epochs.iter().map(|epoch| epoch.scores.get(Measure::Perplexity)).fold(f64::INFINITY, f64::min);
    assert_eq!(best, lowest);
}

/// In the middle of an epoch and of a cycle of syncs: the state that is carried, the masks and the optimizer's go on to
/// the bit.
#[test]
fn a_run_that_was_stopped_ends_in_the_same_bits() {
    let run = run("lookahead-sgd", |config| {
        for around in config.rows.iter_mut().filter_map(|row| row.around.lookahead_mut()) {
            *around = LookaheadConfig { sync_period: 4.into(), ..around.clone() };
        }
    });
    assert_eq!(run.row.around.lookahead().unwrap().sync_period, 4.into());
    let data = text(&run);
    let root = tempfile::tempdir().unwrap();
    let whole = trained(&run, &data, &open(root.path(), &run, &data));
    for stop in [1, 7, 18, 25] {
        let root = tempfile::tempdir().unwrap();
        let folder = open(root.path(), &run, &data);
        let interrupt = Interrupt::default();
        let stopping = LoopOptions { interrupt: interrupt.clone(), ..options() };
        let stopped = train(&run, &data, &CPU, &folder, &stopping, &mut StopAt { at: stop, interrupt });
        assert!(matches!(stopped, Err(Error::Interrupted { .. })), "{stop}");
        let resumed = trained(&run, &data, &folder);
        assert_eq!(resumed.weights_sha256, whole.weights_sha256, "stopped after {stop}");
        assert_eq!(resumed.figures.valid_loss, whole.figures.valid_loss, "stopped after {stop}");
    }
}

/// Without dropout and regularisation: the loop's losses are those of windows taken by hand, each from the state behind
/// the one before.
#[test]
fn the_state_goes_from_window_to_window_and_not_from_epoch_to_epoch() {
    let run = run("sgd", |config| {
        config.model =
            ModelConfig::Lstm(LstmParts::of(LanguageModelConfig { hidden: 7, layers: 1, ..Default::default() }));
    });
    let data = text(&run);
    let Data::Text(tokens) = &data else { panic!() };
    let model = || {
        let config =
            LanguageModelConfig { vocabulary: tokens.vocabulary.len(), hidden: 7, layers: 1, ..Default::default() };
        LanguageModel::new(&config, 5, DType::F64, &CPU).unwrap()
    };
    let windows = tokens.train_windows(4, 5).unwrap();
    let mut task = Language::new(&run, tokens, &CPU).unwrap().with(model()).unwrap();
    for epoch in 0..2 {
        crate::train::Task::begin(&mut task, epoch, 0).unwrap();
        let (own, mut state) = (model(), model().begin(4).unwrap());
        for position in 0..windows.len() {
            assert!(crate::train::Task::load(&mut task).unwrap());
            let loss = crate::train::Task::loss(&mut task, Pass::Train { step: 0 }).unwrap();
            let (tokens, targets) = windows.window(position).unwrap().to_device(&CPU).unwrap();
            let (expected, after) = own.loss(&tokens, &targets, &state, Pass::Eval).unwrap();
            state = after;
            let number = |tensor: &Tensor| tensor.to_scalar::<f64>().unwrap();
            assert!((number(&loss) - number(&expected)).abs() < 1e-12, "window {position}");
        }
        assert!(!crate::train::Task::load(&mut task).unwrap());
    }
}

#[test]
fn validation_leaves_the_state_of_training_alone_and_test_is_sealed() {
    let run = run("adamw", |_| ());
    let data = text(&run);
    let mut setup = Setup::new(&run, &data, &CPU).unwrap();
    setup.begin(0, 0).unwrap();
    setup.gradients(0, &mut lookahead_runs::TimeSplit::default()).unwrap();
    let carried = |setup: &Setup<'_>| -> Vec<Vec<f32>> {
        let numbers = |(_, var): (String, candle_core::Var)| var.flatten_all().unwrap().to_vec1().unwrap();
        setup.task.carried().unwrap().into_iter().map(numbers).collect()
    };
    let before = carried(&setup);
    assert!(before.len() == 4 && before[0].iter().any(|number| *number != 0.0));
    setup.task.judge(Judge::Valid(Views::One), &Interrupt::default()).unwrap().unwrap();
    setup.task.sample().unwrap().unwrap();
    assert_eq!(carried(&setup), before);
    let early = setup.task.judge(Judge::Test(&Position::default()), &Interrupt::default());
    assert!(matches!(early, Err(Error::TestTooEarly { .. })));
}

#[test]
fn what_tunes_has_no_test_part() {
    let run = run("adamw", |config| config.data.set_test(false));
    let data = text(&run);
    let root = tempfile::tempdir().unwrap();
    let folder = open(root.path(), &run, &data);
    let setup = Setup::new(&run, &data, &CPU).unwrap();
    assert!(!setup.task.has_test());
    let summary = train_from(setup, &folder, &options(), &mut Unwatched).unwrap();
    assert_eq!((summary.split, summary.details.unwrap().valid), (Split::Valid, None));
}

#[test]
fn a_text_too_short_for_its_batch_is_refused_by_name() {
    let run = run("adamw", |config| config.train.batch_size = 300);
    let message = Setup::new(&run, &text(&run), &CPU).unwrap_err().to_string();
    assert_eq!(message, "`train.batch_size` must be at most half the number of training tokens (180), but is 300");
}

/// Penn Treebank's settings are those of a text of its kind.
#[test]
fn the_settings_of_a_text_are_checked() {
    let broken = |change: fn(&mut TextConfig)| {
        let mut config = Config::for_protocol(Experiment::Language, Protocol::ZarembaSmall);
        config.validate().unwrap();
        if let DataConfig::Text(text) = &mut config.data {
            change(text);
        }
        config.validate().unwrap_err().to_string()
    };
    assert!(broken(|text| text.steps = 0).contains("`data.steps`"));
    assert!(broken(|text| text.least = 0).contains("`data.least`"));
}
