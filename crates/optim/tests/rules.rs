//! Rules that are not this crate's own.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use candle_core::{Device, Var};
use lookahead_optim::rule::{Clock, Fused, Number, Rule, Scales, Settings};
use lookahead_optim::{
    AdadeltaConfig, AdagradConfig, AdamWConfig, AdamaxConfig, Clip, Error, Group, LionConfig, MuonConfig, NAdamConfig,
    Optimizer, RAdamConfig, Result, RmsPropConfig, ScheduleFreeAdamWConfig, ScheduleFreeSgdConfig, SgdConfig,
    WeightDecay,
};
use support::{gradients, scalar, values};

/// Adds each gradient to every slot, and their sum to the weight.
#[derive(Debug, Clone)]
struct Sums {
    slots: Vec<&'static str>,
    valid: bool,
}

impl Rule for Sums {
    const NAME: &'static str = "sums";
    type Update = ();

    fn validate(&self) -> Result<()> {
        if self.valid { Ok(()) } else { Err(Error::NoCurvature) }
    }

    fn learning_rate(&self) -> f64 {
        1.0
    }

    fn set_learning_rate(&mut self, _: f64) {}

    fn slots(&self) -> Vec<&'static str> {
        self.slots.clone()
    }

    fn update(&self, _: &Clock, _: Scales) {}

    fn element<X: Number, const N: usize>((): &(), w: X, g: X, state: [X; N]) -> (X, [X; N]) {
        let state = state.map(|x| x + g.clone());
        (state.iter().cloned().fold(w, |w, x| w + x), state)
    }

    fn settings(&self, _: &mut Settings) {}
}

fn build(slots: &[&'static str], valid: bool) -> Result<(Var, Fused<Sums>)> {
    let w = Var::new(&[0f64], &Device::Cpu)?;
    let rule = Sums { slots: slots.to_vec(), valid };
    Ok((w.clone(), Fused::new(vec![("w".into(), w)], rule)?))
}

/// A configuration read from a file is checked in full before anything is built.
#[test]
fn every_configuration_checks_all_its_numbers() {
    fn group() -> Group {
        Group { learning_rate_scale: -1.0, ..Group::named("w") }
    }
    macro_rules! check {
        ($($config:ty),*) => {$(
            let name = stringify!($config);
            <$config>::default().validate().unwrap();
            let message = |change: fn(&mut $config)| {
                let mut config = <$config>::default();
                change(&mut config);
                config.validate().err().map(|error| error.to_string()).unwrap_or_default()
            };
            for (change, what, value) in [
                ((|c| c.learning_rate = f64::NAN) as fn(&mut $config), "learning_rate", "NaN"),
                (|c| c.gradients.clip = Some(Clip::Value(0.0)), "clip", "0"),
                (|c| c.groups = vec![group()], "learning_rate_scale", "-1"),
                (|c| c.weight_decay = WeightDecay::L2(-1.0), "weight_decay", "-1"),
            ] {
                let message = message(change);
                let whole = message.starts_with(&format!("{what} should")) && message.ends_with(&format!("is {value}"));
                assert!(whole, "{name}: {message}");
            }
        )*};
    }
    check!(
        SgdConfig,
        AdamWConfig,
        RmsPropConfig,
        RAdamConfig,
        NAdamConfig,
        AdamaxConfig,
        AdagradConfig,
        AdadeltaConfig,
        LionConfig,
        ScheduleFreeSgdConfig,
        ScheduleFreeAdamWConfig,
        MuonConfig
    );
}

#[test]
fn three_slots_are_carried_along_and_a_fourth_is_refused() {
    let (w, mut optimizer) = build(&["a", "b", "c"], true).unwrap();
    for expected in [3.0, 9.0] {
        optimizer.step(&gradients(&[(&w, 1.0)])).unwrap();
        assert_eq!(scalar(&w), expected);
    }
    let state = optimizer.state().unwrap();
    assert_eq!(state.tensors().map(|(_, tensor)| values(tensor)).collect::<Vec<_>>(), [[2.0], [2.0], [2.0]]);

    // Before anything else is looked at.
    let error = build(&["a", "b", "c", "d"], false).unwrap_err();
    assert!(matches!(error, Error::TooManySlots { rule: "sums", count: 4, limit: 3 }));
    assert_eq!(error.to_string(), "the rule sums has 4 slots, but the limit is 3");
}
