//! The configurations of the optimizers beside SGD, AdamW and RMSProp.

use super::survives;
use lookahead_optim::muon::{NewtonSchulz, StepScale};
use lookahead_optim::schedule_free::IterateWeights;
use lookahead_optim::{
    AdadeltaConfig, AdagradConfig, AdamWConfig, AdamaxConfig, LionConfig, LookaheadConfig, MuonConfig, NAdamConfig,
    RAdamConfig, RangerConfig, ScheduleFreeAdamWConfig, ScheduleFreeSgdConfig, WeightDecay,
};
use serde::{Serialize, de::DeserializeOwned};
use std::fmt::Debug;

/// `text` is `expected`, nothing is the default, and a key that is none is refused.
fn means<T: Serialize + DeserializeOwned + PartialEq + Debug + Default>(text: &str, expected: T) {
    assert_eq!(toml::from_str::<T>(text).unwrap(), expected);
    assert_eq!(toml::from_str::<T>("").unwrap(), T::default());
    assert_ne!(expected, T::default());
    survives(&expected);
    survives(&T::default());
    let error = toml::from_str::<T>("learning_rat = 1").unwrap_err().to_string();
    assert!(error.contains("learning_rat"), "{error}");
}

#[test]
fn rules() {
    let weight_decay = WeightDecay::Decoupled(0.5);
    let common = "learning_rate = 0.25\nweight_decay = { decoupled = 0.5 }\n";
    let text = |rest: &str| format!("{common}{rest}");
    let learning_rate = 0.25;
    let (beta1, beta2, epsilon) = (0.75, 0.5, 1.0);
    let betas = "beta1 = 0.75\nbeta2 = 0.5\n";
    let all = format!("{betas}epsilon = 1\n");
    means(&text(&all), RAdamConfig { learning_rate, beta1, beta2, epsilon, weight_decay, ..Default::default() });
    means(&text(&all), AdamaxConfig { learning_rate, beta1, beta2, epsilon, weight_decay, ..Default::default() });
    means(&text(betas), LionConfig { learning_rate, beta1, beta2, weight_decay, ..Default::default() });
    means(
        &text("momentum_decay = 0.5"),
        NAdamConfig { learning_rate, weight_decay, momentum_decay: 0.5, ..Default::default() },
    );
    let adagrad = AdagradConfig { learning_rate_decay: 0.5, initial_sum: 2.0, ..Default::default() };
    means("learning_rate_decay = 0.5\ninitial_sum = 2", adagrad);
    means("smoothing = 0.5\nepsilon = 1", AdadeltaConfig { smoothing: 0.5, epsilon, ..Default::default() });
    let weights = IterateWeights { warm_up: 10, step_power: 1.0, rate_power: 0.5 };
    let free = "weights = { warm_up = 10, step_power = 1, rate_power = 0.5 }\n";
    means(
        &text(&format!("{free}momentum = 0.5")),
        ScheduleFreeSgdConfig { learning_rate, momentum: 0.5, weights, weight_decay, ..Default::default() },
    );
    means(
        &text(&format!("{free}{all}")),
        ScheduleFreeAdamWConfig { learning_rate, beta1, beta2, epsilon, weights, weight_decay, ..Default::default() },
    );
}

#[test]
fn what_is_made_of_others() {
    let muon = MuonConfig {
        momentum: 0.5,
        nesterov: false,
        newton_schulz: NewtonSchulz { coefficients: [2.0, -1.5, 0.5], steps: 3, ..NewtonSchulz::default() },
        step_scale: StepScale::MatchRmsAdamW,
        left_to_adamw: vec!["fc.*".into()],
        adamw: AdamWConfig { learning_rate: 0.5, ..AdamWConfig::default() },
        ..MuonConfig::default()
    };
    let text = "momentum = 0.5\nnesterov = false\nstep_scale = 'match-rms-adamw'\nleft_to_adamw = ['fc.*']\n\
                newton_schulz = { coefficients = [2, -1.5, 0.5], steps = 3 }\nadamw = { learning_rate = 0.5 }\n";
    means(text, muon);
    let ranger = RangerConfig {
        inner: RAdamConfig { learning_rate: 0.5, ..RAdamConfig::default() },
        lookahead: LookaheadConfig { sync_period: 3.into(), ..LookaheadConfig::default() },
    };
    means("inner = { learning_rate = 0.5 }\nlookahead = { sync_period = 3 }", ranger);
}
