use std::path::PathBuf;

use lookahead_data::Mixing;
use lookahead_optim::lookahead::StepSize;
use lookahead_optim::{
    AdamWConfig, Average, Group, LookaheadConfig, Momentum, RmsPropConfig, SgdConfig, StatePolicy, WeightDecay,
};
use proptest::prelude::*;

use super::*;
use crate::config::{Around, Experiment, Inner, Protocol, ScheduleConfig, StepsConfig};

fn config() -> Config {
    Config::for_protocol(Experiment::Cifar10, Protocol::Quick)
}

fn quick() -> Overrides {
    Overrides::new(&config())
}

fn with(assignments: &[&str]) -> Result<Config, ConfigError> {
    let mut overrides = quick();
    assignments.iter().try_for_each(|assignment| overrides.set(assignment))?;
    overrides.finish()
}

fn file(folder: &tempfile::TempDir, text: &str) -> PathBuf {
    let path = folder.path().join("config.toml");
    std::fs::write(&path, text).unwrap();
    path
}

#[test]
fn misspelt_keys_get_a_suggestion() {
    for (wrong, right) in [("train.epoch=3", "train.epochs"), ("sgd.lr=1", "sgd.learning_rate"), ("seed=1", "seeds")] {
        let message = with(&[wrong]).unwrap_err().to_string();
        assert!(message.contains("unknown key") && message.contains(&format!("did you mean `{right}`?")), "{message}");
    }
    let message = with(&["utterly_unlike=1"]).unwrap_err().to_string();
    assert!(message.contains("--print-config lists all keys"), "{message}");
}

#[test]
fn values_take_the_type_of_what_they_replace() {
    let config = with(&["sgd.learning_rate=1", "seeds=7", "lookahead.slow_step_size=1"]).unwrap();
    assert_eq!((config.rows[0].inner.learning_rate(), config.seeds.as_slice()), (1.0, &[7][..]));
    assert_eq!(config.rows[3].around.lookahead().unwrap().slow_step_size, StepSize::Fixed(1.0));
}

#[test]
fn a_network_is_changed_by_its_name_alone() {
    let config = with(&["model.name=speednet", "model.width=0.5"]).unwrap();
    assert!(matches!(config.model, crate::config::ModelConfig::SpeedNet(ref parts) if parts.width == 0.5));
    let message = with(&["model.name=speedney"]).unwrap_err().to_string();
    assert!(message.contains("unknown variant `speedney`"), "{message}");
}

#[test]
fn a_choice_can_be_given_by_its_kind_alone() {
    let mixup = "data.mixing={ kind = \"mixup\", alpha = 0.4 }";
    assert_eq!(with(&[mixup]).unwrap().data.images().unwrap().mixing, Mixing::Mixup { alpha: 0.4 });
    assert_eq!(with(&[mixup, "data.mixing=none"]).unwrap().data.images().unwrap().mixing, Mixing::None);
    let message = with(&["data.mixing=mixdown"]).unwrap_err().to_string();
    assert!(message.contains("unknown variant `mixdown`"), "{message}");
    // No momentum has no number that could be changed.
    let message = with(&["sgd.momentum=none", "sgd.momentum=0.9"]).unwrap_err().to_string();
    assert!(message.contains("unknown variant `0.9`, expected one of `none`, `classical`, `nesterov`"), "{message}");
}

#[test]
fn wrong_values_name_key_and_origin() {
    let message = with(&["train.epochs=many"]).unwrap_err().to_string();
    assert_eq!(message, "`train.epochs`: expected a number, got text (\"many\") (from --set)");
    assert!(with(&["train.epochs"]).unwrap_err().to_string().contains("expected key=value"));
    for wrong in [
        "train=1",
        "train.batch_size=-1",
        "train.batch_size=1.5",
        "sgd.momentum.nesterov.momentum=fast",
        "data.train=blur",
    ] {
        let message = with(&[wrong]).unwrap_err().to_string();
        let key = wrong.split('=').next().unwrap();
        assert!(message.starts_with(&format!("`{key}`: ")) && message.contains("--set"), "{message}");
    }
}

#[test]
fn a_key_of_lookahead_reaches_every_lookahead_and_no_one_else() {
    let changed = with(&["lookahead.sync_period=10"]).unwrap();
    for (before, after) in config().rows.iter().zip(&changed.rows) {
        assert_eq!(before != after, before.around.lookahead().is_some(), "{}", before.name);
    }
    let mut alone = quick();
    alone.select(&["sgd".into(), "adamw".into()], &[]).unwrap();
    let message = alone.set("lookahead.sync_period=10").unwrap_err().to_string();
    assert!(message.contains("none of them uses Lookahead"), "{message}");
}

/// The sprint has a row `lookahead` beside `average`, which mirrors its slow weights: set in one of the two only, the
/// period would confound their comparison.
#[test]
fn a_key_of_lookahead_reaches_every_lookahead_beside_a_row_of_that_name() {
    let sprint = Config::for_protocol(Experiment::Cifar10, Protocol::Sprint);
    let with = |assignment: &str| {
        let mut overrides = Overrides::new(&sprint);
        overrides.set(assignment).unwrap();
        overrides.finish().unwrap().rows
    };
    let periods = |rows: &[Row]| -> Vec<(String, StepSize, bool)> {
        let of = |row: &Row| {
            let config = row.around.lookahead()?;
            Some((row.name.clone(), config.slow_step_size.clone(), config.sync_period == 10.into()))
        };
        rows.iter().filter_map(of).collect()
    };
    let told = |names: [(&str, bool); 2]| names.map(|(name, is_ten)| (name.to_owned(), StepSize::Fixed(1.0), is_ten));
    assert_eq!(periods(&with("lookahead.sync_period=10")), told([("lookahead", true), ("average", true)]));
    assert_eq!(periods(&with("rows.lookahead.sync_period=10")), told([("lookahead", true), ("average", false)]));
    // What is no key of Lookahead is the row's.
    let rows = with("lookahead.learning_rate=0.5");
    assert_eq!(rows[0].inner.learning_rate(), 0.5);
    assert_eq!(rows[1..], sprint.rows[1..]);
    assert_eq!(with("lookahead.title=Mine")[0].title, "Mine");
}

#[test]
fn a_row_can_be_reached_in_short_and_in_full() {
    for key in ["lookahead-sgd.sync_period=8", "rows.lookahead-sgd.around.lookahead.sync_period=8"] {
        let config = with(&[key]).unwrap();
        assert_eq!(config.rows[3].around.lookahead().unwrap().sync_period, 8.into(), "{key}");
        assert_eq!(config.rows[4].around.lookahead().unwrap().sync_period, 5.into(), "{key}");
    }
    assert_eq!(with(&["sgd.title=Plain SGD"]).unwrap().rows[0].title, "Plain SGD");
}

#[test]
fn a_choice_replaces_the_choice() {
    let momentum = |config: &Config| match &config.rows[0].inner {
        Inner::Sgd(sgd) => (sgd.momentum, sgd.weight_decay),
        other => panic!("{other:?}"),
    };
    let config = with(&["sgd.momentum={classical={momentum=0.8}}", "sgd.weight_decay.decoupled=0.1"]).unwrap();
    assert_eq!(momentum(&config), (Momentum::classical(0.8), WeightDecay::Decoupled(0.1)));
    let config = with(&["sgd.momentum=none"]).unwrap();
    assert_eq!(momentum(&config).0, Momentum::None);
    let config =
        with(&["schedule.steps={milestones=[1],factor=0.5}", "data.mixing={kind=\"mixup\",alpha=0.4}"]).unwrap();
    assert_eq!(config.schedule, ScheduleConfig::Steps(StepsConfig { milestones: vec![1], factor: 0.5 }));
    assert_eq!(config.data.images().unwrap().mixing, Mixing::Mixup { alpha: 0.4 });
    assert_eq!(with(&["schedule=constant"]).unwrap().schedule, ScheduleConfig::Constant);
}

#[test]
fn a_number_given_to_a_choice_is_the_number_of_the_choice() {
    let sgd = |config: &Config| match &config.rows[0].inner {
        Inner::Sgd(sgd) => (sgd.momentum, sgd.weight_decay),
        other => panic!("{other:?}"),
    };
    let config = with(&["sgd.momentum=0.95", "sgd.weight_decay=1e-3"]).unwrap();
    assert_eq!(sgd(&config), (Momentum::nesterov(0.95), WeightDecay::L2(1e-3)));
    // Without a kind there is no number to change.
    let message = with(&["sgd.momentum=none", "sgd.momentum=0.9"]).unwrap_err().to_string();
    assert!(message.starts_with("`sgd.momentum`: "), "{message}");
}

/// What would do nothing is no key, or a conflict.
#[test]
fn settings_that_would_do_nothing_are_refused() {
    for (assignment, reason) in [
        ("data.image_size=64", "no transform in it sets the size of images"),
        ("data.min_scale=0.5", "unknown key"),
        ("data.mixing_alpha=0.2", "unknown key"),
        ("data.mixing.alpha=0.2", "unknown key"),
        ("schedule.factor=0.1", "unknown key"),
        ("schedule.steps.factor=0.1", "missing field"),
        ("schedule.one-cycle.milestones=[1]", "unknown key"),
        ("polyak.learning_rate=0.1", "unknown key"),
    ] {
        let message = with(&[assignment]).unwrap_err().to_string();
        assert!(message.contains(reason), "{assignment}: {message}");
    }
    let constant = with(&["schedule=constant", "schedule.one-cycle.momentum.high=0.9"]).unwrap_err().to_string();
    assert!(constant.contains("missing field"), "{constant}");
}

#[test]
fn the_image_size_is_set_in_both_pipelines() {
    let mut overrides = Overrides::new(&Config::for_protocol(Experiment::Imagenette, Protocol::Quick));
    overrides.set("data.image_size=160").unwrap();
    let config = overrides.finish().unwrap();
    let data = config.images().unwrap().clone();
    assert_eq!((data.train, data.valid), (Pipeline::fastai_train(160).unwrap(), Pipeline::fastai_eval(160).unwrap()));
}

#[test]
fn rows_are_selected_from_those_there_are_and_those_of_the_protocol() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder, "[[rows]]\nname = \"mine\"\n[rows.inner.sgd]\nlearning_rate = 0.1\n");
    let all = Config::all_rows(Experiment::Cifar10, Protocol::Quick);
    let mut overrides = quick();
    overrides.file(&path).unwrap();
    overrides.select(&["mine".into(), "polyak".into()], &all).unwrap();
    let rows = overrides.clone().finish().unwrap().rows;
    assert_eq!(rows.iter().map(|row| row.title.as_str()).collect::<Vec<_>>(), ["mine", "Polyak"]);
    let message = overrides.select(&["polyack".into()], &all).unwrap_err().to_string();
    assert!(message.contains("there is no row `polyack` (did you mean `polyak`?)"), "{message}");
}

#[test]
fn the_printed_configuration_is_a_valid_file() {
    let folder = tempfile::tempdir().unwrap();
    for protocol in [Protocol::Paper, Protocol::OriginalEffective] {
        let printed = Config::for_protocol(Experiment::Cifar10, protocol);
        let mut overrides = quick();
        overrides.file(&file(&folder, &printed.to_toml())).unwrap();
        assert_eq!(overrides.finish().unwrap(), printed);
    }
}

fn number() -> impl Strategy<Value = f64> {
    prop_oneof![Just(0.5), Just(1e-9), Just(0.1 + 0.2), 1e-6..0.999f64]
}

fn decay() -> impl Strategy<Value = WeightDecay> {
    let number = number();
    prop_oneof![
        Just(WeightDecay::None),
        number.prop_map(WeightDecay::L2),
        (0.0..9.0f64).prop_map(WeightDecay::Decoupled)
    ]
}

fn inner() -> impl Strategy<Value = Inner> {
    let momentum = prop_oneof![
        Just(Momentum::None),
        number().prop_map(Momentum::nesterov),
        (number(), number()).prop_map(|(momentum, dampening)| Momentum::Classical { momentum, dampening }),
    ];
    let groups = prop_oneof![Just(vec![]), Just(vec![Group::no_decay_on_vectors(), Group::named("fc.*")])];
    let sgd = (number(), momentum, decay(), groups).prop_map(|(learning_rate, momentum, weight_decay, groups)| {
        Inner::Sgd(SgdConfig { learning_rate, momentum, weight_decay, groups, ..SgdConfig::default() })
    });
    let adamw =
        (number(), number(), any::<bool>(), decay()).prop_map(|(learning_rate, beta2, amsgrad, weight_decay)| {
            Inner::AdamW(AdamWConfig { learning_rate, beta2, amsgrad, weight_decay, ..AdamWConfig::default() })
        });
    let rmsprop =
        (number(), proptest::option::of(number()), any::<bool>()).prop_map(|(smoothing, momentum, centered)| {
            Inner::RmsProp(RmsPropConfig { smoothing, momentum, centered, ..RmsPropConfig::default() })
        });
    prop_oneof![sgd, adamw, rmsprop]
}

fn row() -> impl Strategy<Value = Row> {
    let policy = prop_oneof![Just(StatePolicy::Keep), Just(StatePolicy::Reset), Just(StatePolicy::Interpolate)];
    let size =
        prop_oneof![number().prop_map(StepSize::Fixed), number().prop_map(|lowest| StepSize::Adaptive { lowest })];
    let lookahead = (1usize..99, size, policy).prop_map(|(period, slow_step_size, state_policy)| LookaheadConfig {
        sync_period: period.into(),
        slow_step_size,
        state_policy,
        ..LookaheadConfig::default()
    });
    let around = prop_oneof![
        Just(Around::Nothing),
        lookahead.clone().prop_map(Around::Lookahead),
        lookahead.prop_map(Around::LookaheadMomentsZeroed),
        number().prop_map(|decay| Around::Average(Average::ema(decay))),
        (0usize..9999).prop_map(|start| Around::Average(Average::polyak().starting_at(start))),
    ];
    ("[a-z0-9_-]{1,12}", "\\PC{1,20}", inner(), around).prop_map(|(name, title, inner, around)| Row {
        name,
        title,
        inner,
        around,
    })
}

proptest! {
    #[test]
    fn every_row_survives_toml(rows in proptest::collection::vec(row(), 1..4)) {
        let written = Config { rows, ..config() };
        let read: Config = toml::from_str(&written.to_toml()).unwrap();
        prop_assert_eq!(&read, &written);
        for (row, of_run) in written.rows.iter().zip(Config { seeds: vec![3], ..written.clone() }.runs()) {
            let table: toml::Table = toml::to_string(&of_run.to_table()).unwrap().parse().unwrap();
            prop_assert_eq!(lookahead_runs::RowId::of_config(&table), Some(row.id()));
        }
    }

    #[test]
    fn what_was_set_is_printed_and_read_again(
        rate in number(),
        period in 1usize..50,
        epochs in 1usize..500,
        seeds in proptest::collection::btree_set(0u64..1000, 1..4),
        choices in proptest::sample::subsequence(
            vec![
                "sgd.momentum=none",
                "adamw.weight_decay={l2=0.001}",
                "rmsprop.momentum=0.9",
                "schedule=constant",
                "schedule={steps={milestones=[2,3],factor=0.1}}",
                "schedule.one-cycle-fastai-v1.warmup=0.25",
                "data.train=[{op=\"pad-crop\",border=\"reflect\"},{op=\"alternating-flip\"}]",
                "data.mixing={kind=\"cutmix\",alpha=1}",
                "lookahead.state_policy=interpolate",
                "model.head=fastai",
            ],
            0..10,
        ),
    ) {
        let mut overrides = quick();
        for assignment in [
            format!("sgd.learning_rate={rate}"),
            format!("lookahead.sync_period={period}"),
            format!("train.epochs={epochs}"),
            format!("seeds={seeds:?}").replace('{', "[").replace('}', "]"),
        ] {
            overrides.set(&assignment).unwrap();
        }
        for choice in choices {
            // A schedule chosen before may leave no place for the next choice.
            let _ = overrides.set(choice);
        }
        let config = overrides.finish().unwrap();
        prop_assert_eq!(config.rows[0].inner.learning_rate(), rate);
        prop_assert_eq!(&config.seeds, &seeds.into_iter().collect::<Vec<_>>());
        let folder = tempfile::tempdir().unwrap();
        let mut again = quick();
        again.file(&file(&folder, &config.to_toml())).unwrap();
        prop_assert_eq!(again.finish().unwrap(), config);
    }
}
