//! Any configuration there is.

use super::{survives, table};
use lookahead_optim::lookahead::{BufferPolicy, StepSize};
use lookahead_optim::parameter::Select;
use lookahead_optim::{
    AdamWConfig, Average, Clip, Gradients, Group, LookaheadConfig, Momentum, RmsPropConfig, SgdConfig, StatePolicy,
    WeightDecay,
};
use proptest::prelude::*;
use std::collections::BTreeMap;

/// Numbers of few digits, which serde_json reads to the bit without its feature `float_roundtrip`.
fn number() -> impl Strategy<Value = f64> {
    prop_oneof![(0u32..=1_000_000).prop_map(|n| f64::from(n) / 1e6), Just(0.0), Just(1.0), Just(1e-8), Just(5e-4)]
}

fn momentum() -> impl Strategy<Value = Momentum> {
    prop_oneof![
        Just(Momentum::None),
        (number(), number()).prop_map(|(momentum, dampening)| Momentum::Classical { momentum, dampening }),
        number().prop_map(Momentum::nesterov),
    ]
}

fn weight_decay() -> impl Strategy<Value = WeightDecay> {
    prop_oneof![Just(WeightDecay::None), number().prop_map(WeightDecay::L2), number().prop_map(WeightDecay::Decoupled)]
}

fn groups() -> impl Strategy<Value = Vec<Group>> {
    let select = prop_oneof![Just(Select::Vectors), "[a-z.*?\"\\\\ ]{0,12}".prop_map(Select::Name)];
    let group = (select, number(), number()).prop_map(|(select, learning_rate_scale, weight_decay_scale)| Group {
        select,
        learning_rate_scale,
        weight_decay_scale,
    });
    prop::collection::vec(group, 0..3)
}

fn gradients() -> impl Strategy<Value = Gradients> {
    let clip = prop_oneof![number().prop_map(Clip::GlobalNorm), number().prop_map(Clip::Value)];
    (prop::option::of(clip), any::<bool>()).prop_map(|(clip, check_finite)| Gradients { clip, check_finite })
}

prop_compose! {
    fn sgd()(learning_rate in number(), momentum in momentum(), weight_decay in weight_decay(), groups in groups(), gradients in gradients())
    -> SgdConfig {
        SgdConfig { learning_rate, momentum, weight_decay, groups, gradients }
    }
}

prop_compose! {
    fn adamw()(
        learning_rate in number(), beta1 in number(), beta2 in number(), epsilon in number(), amsgrad in any::<bool>(),
        weight_decay in weight_decay(), groups in groups(), gradients in gradients(),
    ) -> AdamWConfig {
        AdamWConfig { learning_rate, beta1, beta2, epsilon, amsgrad, weight_decay, groups, gradients }
    }
}

prop_compose! {
    fn rmsprop()(
        learning_rate in number(), smoothing in number(), epsilon in number(), momentum in prop::option::of(number()),
        centered in any::<bool>(), weight_decay in weight_decay(), groups in groups(), gradients in gradients(),
    ) -> RmsPropConfig {
        RmsPropConfig { learning_rate, smoothing, epsilon, momentum, centered, weight_decay, groups, gradients }
    }
}

prop_compose! {
    fn lookahead()(
        period in 1..10_000usize,
        slow_step_size in prop_oneof![
            number().prop_map(StepSize::Fixed),
            number().prop_map(|lowest| StepSize::Adaptive { lowest }),
        ],
        state_policy in prop::sample::select(StatePolicy::ALL.to_vec()),
        buffer_policy in prop::sample::select(vec![BufferPolicy::Keep, BufferPolicy::Average]),
        pulls_back in any::<bool>(),
    ) -> LookaheadConfig {
        LookaheadConfig { sync_period: period.into(), slow_step_size, state_policy, buffer_policy, pulls_back }
    }
}

fn average() -> impl Strategy<Value = Average> {
    prop_oneof![
        ((0..1_000_000usize), number()).prop_map(|(start, power)| Average::Polyak { start, power }),
        (number(), (0..1_000_000usize), any::<bool>()).prop_map(|(decay, start, warm_up)| Average::Ema {
            decay,
            start,
            warm_up
        }),
    ]
}

proptest! {
    #[test]
    fn every_configuration_survives(
        sgd in sgd(), adamw in adamw(), rmsprop in rmsprop(), lookahead in lookahead(), average in average(),
    ) {
        survives(&sgd);
        survives(&adamw);
        survives(&rmsprop);
        survives(&lookahead);
        survives(&average);
    }

    /// TOML keeps every bit of any number.
    #[test]
    fn toml_keeps_every_bit(size in prop::num::f64::NORMAL | prop::num::f64::SUBNORMAL | prop::num::f64::ZERO) {
        let text = toml::to_string(&table(StepSize::Fixed(size))).unwrap();
        let StepSize::Fixed(back) = toml::from_str::<BTreeMap<String, StepSize>>(&text).unwrap()["value"] else {
            panic!("{text}");
        };
        prop_assert_eq!(back.to_bits(), size.to_bits(), "{}", text);
    }
}
