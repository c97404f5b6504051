//! Configurations in files: TOML and JSON, their exact text, and what is refused.
#![cfg(feature = "serde")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod more;
mod random;

use lookahead_optim::lookahead::{BufferPolicy, Period, StepSize};
use lookahead_optim::parameter::Select;
use lookahead_optim::schedule::Constant;
use lookahead_optim::{
    AdamWConfig, Average, Clip, Gradients, Group, LookaheadConfig, Momentum, RmsPropConfig, SgdConfig, StatePolicy,
    WeightDecay,
};
use serde::{Serialize, de::DeserializeOwned};
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

/// TOML has tables only at its top.
fn table<T>(value: T) -> BTreeMap<String, T> {
    BTreeMap::from([("value".to_string(), value)])
}

/// Written, read, the same; both ways.
fn survives<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: &T) {
    let text = toml::to_string(&table(value)).unwrap();
    assert_eq!(toml::from_str::<BTreeMap<String, T>>(&text).unwrap()["value"], *value, "{text}");
    let text = serde_json::to_string(value).unwrap();
    assert_eq!(serde_json::from_str::<T>(&text).unwrap(), *value, "{text}");
}

/// The value that `text` is in a TOML file.
fn read<T: DeserializeOwned>(text: &str) -> T {
    toml::from_str::<BTreeMap<String, T>>(&format!("value = {text}")).unwrap().remove("value").unwrap()
}

#[test]
fn every_form_by_hand() {
    assert_eq!(read::<Momentum>("'none'"), Momentum::None);
    assert_eq!(read::<Momentum>("{ nesterov = { momentum = 0.9 } }"), Momentum::nesterov(0.9));
    assert_eq!(read::<Momentum>("{ classical = { momentum = 0.9 } }"), Momentum::classical(0.9));
    let damped = Momentum::Classical { momentum: 0.5, dampening: 1.0 };
    assert_eq!(read::<Momentum>("{ classical = { momentum = 0.5, dampening = 1 } }"), damped);
    assert_eq!(read::<WeightDecay>("'none'"), WeightDecay::None);
    assert_eq!(read::<WeightDecay>("{ l2 = 5e-4 }"), WeightDecay::L2(5e-4));
    assert_eq!(read::<WeightDecay>("{ decoupled = 1 }"), WeightDecay::Decoupled(1.0));
    assert_eq!(read::<Select>("'vectors'"), Select::Vectors);
    assert_eq!(read::<Group>("{ select = { name = 'fc.*' } }"), Group::named("fc.*"));
    let vectors = read::<Group>("{ select = 'vectors', weight_decay_scale = 0 }");
    assert_eq!(vectors, Group::no_decay_on_vectors());
    assert_eq!(read::<Clip>("{ global-norm = 1 }"), Clip::GlobalNorm(1.0));
    assert_eq!(read::<Clip>("{ value = 0.5 }"), Clip::Value(0.5));
    assert_eq!(read::<Period>("5"), Period::Fixed(5));
    assert_eq!(read::<StepSize>("0.8"), StepSize::Fixed(0.8));
    assert_eq!(read::<StepSize>("1"), StepSize::Fixed(1.0));
    assert_eq!(read::<StepSize>("{ adaptive = { lowest = 0.1 } }"), StepSize::Adaptive { lowest: 0.1 });
    assert_eq!(serde_json::from_str::<StepSize>("1").unwrap(), StepSize::Fixed(1.0));
    assert_eq!(read::<BufferPolicy>("'average'"), BufferPolicy::Average);
    assert_eq!(read::<BufferPolicy>("'keep'"), BufferPolicy::Keep);
    for policy in StatePolicy::ALL {
        assert_eq!(read::<StatePolicy>(&format!("'{policy}'")), policy);
    }
    assert_eq!(read::<Average>("{ polyak = {} }"), Average::polyak());
    assert_eq!(read::<Average>("{ ema = { decay = 0.998 } }"), Average::ema(0.998));
}

#[test]
fn what_is_left_out_has_its_default_and_whole_numbers_are_numbers() {
    assert_eq!(toml::from_str::<SgdConfig>("").unwrap(), SgdConfig::default());
    assert_eq!(toml::from_str::<AdamWConfig>("").unwrap(), AdamWConfig::default());
    assert_eq!(toml::from_str::<RmsPropConfig>("").unwrap(), RmsPropConfig::default());
    assert_eq!(toml::from_str::<LookaheadConfig>("").unwrap(), LookaheadConfig::default());
    assert_eq!(toml::from_str::<Gradients>("").unwrap(), Gradients::default());
    let config = toml::from_str::<SgdConfig>("learning_rate = 1").unwrap();
    assert_eq!(config, SgdConfig { learning_rate: 1.0, ..SgdConfig::default() });
}

/// A change here breaks the files of others.
#[test]
fn the_text_is_pinned() {
    let sgd = SgdConfig {
        learning_rate: 0.1,
        momentum: Momentum::nesterov(0.9),
        weight_decay: WeightDecay::L2(5e-4),
        groups: vec![Group::no_decay_on_vectors(), Group { learning_rate_scale: 10.0, ..Group::named("fc.*") }],
        gradients: Gradients { clip: Some(Clip::GlobalNorm(1.0)), check_finite: true },
    };
    assert_eq!(toml::to_string(&sgd).unwrap(), SGD);
    assert_eq!(toml::from_str::<SgdConfig>(SGD).unwrap(), sgd);
    let lookahead = LookaheadConfig { state_policy: StatePolicy::Reset, ..LookaheadConfig::default() };
    assert_eq!(toml::to_string(&lookahead).unwrap(), LOOKAHEAD);
    assert_eq!(toml::from_str::<LookaheadConfig>(LOOKAHEAD).unwrap(), lookahead);
    // What is `None` is not written, in JSON either.
    let rmsprop = serde_json::to_string(&RmsPropConfig::default()).unwrap();
    assert!(!rmsprop.contains("null") && !rmsprop.contains(r#""momentum""#) && !rmsprop.contains("clip"), "{rmsprop}");
}

const LOOKAHEAD: &str = r#"sync_period = 5
slow_step_size = 0.5
state_policy = "reset"
buffer_policy = "keep"
"#;

const SGD: &str = r#"learning_rate = 0.1

[momentum.nesterov]
momentum = 0.9

[weight_decay]
l2 = 0.0005

[[groups]]
select = "vectors"
learning_rate_scale = 1.0
weight_decay_scale = 0.0

[[groups]]
learning_rate_scale = 10.0
weight_decay_scale = 1.0

[groups.select]
name = "fc.*"

[gradients]
check_finite = true

[gradients.clip]
global-norm = 1.0
"#;

/// The messages alone: as text, a TOML error quotes the line.
fn refusal<T: DeserializeOwned + Debug>(text: &str) -> [String; 2] {
    let value: toml::Table = toml::from_str(&format!("value = {text}")).unwrap();
    let json = serde_json::to_string(&value["value"]).unwrap();
    let toml = toml::from_str::<BTreeMap<String, T>>(&format!("value = {text}")).unwrap_err();
    [toml.message().to_string(), serde_json::from_str::<T>(&json).unwrap_err().to_string()]
}

#[test]
fn an_unknown_field_is_refused_by_name() {
    for messages in [
        refusal::<SgdConfig>("{ nestrov = true }"),
        refusal::<AdamWConfig>("{ nestrov = true }"),
        refusal::<RmsPropConfig>("{ nestrov = true }"),
        refusal::<LookaheadConfig>("{ nestrov = true }"),
        refusal::<Gradients>("{ nestrov = true }"),
        refusal::<Group>("{ select = 'vectors', nestrov = true }"),
        refusal::<Momentum>("{ nesterov = { momentum = 0.9, nestrov = true } }"),
        refusal::<Momentum>("{ classical = { momentum = 0.9, nestrov = true } }"),
        refusal::<Momentum>("{ nestrov = { momentum = 0.9 } }"),
        refusal::<Momentum>("'nestrov'"),
        refusal::<WeightDecay>("{ nestrov = 0.1 }"),
        refusal::<Select>("{ nestrov = 'fc.*' }"),
        refusal::<Clip>("{ nestrov = 1.0 }"),
        refusal::<StatePolicy>("'nestrov'"),
        refusal::<BufferPolicy>("'nestrov'"),
        refusal::<StepSize>("{ nestrov = 0.1 }"),
        refusal::<StepSize>("{ adaptive = { lowest = 0.1 }, nestrov = 1 }"),
        refusal::<StepSize>("{ adaptive = { lowest = 0.1, nestrov = 1 } }"),
        refusal::<Average>("{ polyak = { start = 0, nestrov = 1 } }"),
        refusal::<Average>("{ ema = { decay = 0.9, nestrov = 1 } }"),
    ] {
        for message in messages {
            assert!(message.contains("nestrov"), "{message}");
        }
    }
}

#[test]
fn what_is_needed_or_of_another_kind_is_refused() {
    for (messages, word) in [
        (refusal::<Group>("{ learning_rate_scale = 2 }"), "`select`"),
        (refusal::<Momentum>("{ classical = {} }"), "`momentum`"),
        (refusal::<Average>("{ ema = {} }"), "`decay`"),
        (refusal::<StepSize>("{}"), "`adaptive`"),
        (refusal::<StepSize>("{ adaptive = {} }"), "`lowest`"),
        (refusal::<StepSize>("'half'"), "a number or a table `adaptive`"),
        (refusal::<Period>("-1"), "-1"),
        (refusal::<Period>("2.5"), "2.5"),
    ] {
        for message in messages {
            assert!(message.contains(word), "{message}");
        }
    }
}

#[test]
fn a_schedule_cannot_be_written() {
    let period = LookaheadConfig { sync_period: Period::Scheduled(Arc::new(Constant(5.0))), ..Default::default() };
    let size = LookaheadConfig { slow_step_size: StepSize::Scheduled(Arc::new(Constant(0.5))), ..Default::default() };
    for (config, message) in [
        (period, "a schedule cannot be written to a file; use a fixed period"),
        (size, "a schedule cannot be written to a file; use a fixed or an adaptive step size"),
    ] {
        assert_eq!(serde_json::to_string(&config).unwrap_err().to_string(), message);
        assert!(toml::to_string(&config).unwrap_err().to_string().contains(message));
    }
}

/// The example of the README means what it seems to.
#[test]
fn the_readme_s_file_is_read() {
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct File {
        inner: SgdConfig,
        lookahead: LookaheadConfig,
    }

    let readme = include_str!("../../README.md");
    let (_, text) = readme.split_once("```toml\n").unwrap();
    let (text, _) = text.split_once("```").unwrap();
    let File { inner, lookahead } = toml::from_str(text).unwrap();
    let expected = SgdConfig {
        learning_rate: 0.05,
        momentum: Momentum::nesterov(0.9),
        weight_decay: WeightDecay::L2(5e-4),
        groups: vec![
            Group { learning_rate_scale: 10.0, weight_decay_scale: 0.0, ..Group::named("fc.bias") },
            Group { learning_rate_scale: 10.0, ..Group::named("fc.*") },
            Group::no_decay_on_vectors(),
        ],
        gradients: Gradients { clip: Some(Clip::GlobalNorm(1.0)), check_finite: false },
    };
    assert_eq!(inner, expected);
    let expected = LookaheadConfig {
        sync_period: 10.into(),
        slow_step_size: 0.8.into(),
        state_policy: StatePolicy::Reset,
        ..LookaheadConfig::default()
    };
    assert_eq!(lookahead, expected);
}
