//! Every rule once more, for one number, as its paper or PyTorch writes it.

use crate::Setting;
use candle_core::Var;
use lookahead_optim::rule::{Fused, Rule};
use lookahead_optim::schedule_free::IterateWeights;
use lookahead_optim::{
    AdadeltaConfig, AdagradConfig, AdamWConfig, AdamaxConfig, LionConfig, Momentum, NAdamConfig, Optimizer,
    RAdamConfig, RmsPropConfig, ScheduleFreeAdamWConfig, ScheduleFreeSgdConfig, SgdConfig, WeightDecay,
};
use proptest::prelude::*;

#[derive(Debug, Clone, Copy)]
pub(crate) enum Inner {
    Sgd { momentum: f64, dampening: f64, nesterov: bool },
    Adam { beta1: f64, beta2: f64, amsgrad: bool },
    RmsProp { smoothing: f64, momentum: f64, centered: bool },
    RAdam { beta1: f64, beta2: f64 },
    NAdam { beta1: f64, beta2: f64, momentum_decay: f64 },
    Adamax { beta1: f64, beta2: f64 },
    Adagrad { learning_rate_decay: f64, initial_sum: f64 },
    Adadelta { smoothing: f64 },
    Lion { beta1: f64, beta2: f64 },
    ScheduleFreeSgd { momentum: f64, weights: IterateWeights },
    ScheduleFreeAdamW { beta1: f64, beta2: f64, weights: IterateWeights },
}

const EPSILON: f64 = 1e-8;

/// One number's inner optimizer. `state` is all that interpolation mixes; for Adam's kin that includes the two weights which the zero start
/// still has in the moments. `kept` is the rest that a reset clears.
#[derive(Clone)]
pub(crate) struct Scalar {
    pub(crate) state: [f64; 5],
    kept: [f64; 2],
    updates: u64,
}

pub(crate) const FRESH: Scalar = Scalar { state: [0.0, 0.0, 0.0, 1.0, 1.0], kept: [0.0; 2], updates: 0 };

impl Scalar {
    pub(crate) fn step(&mut self, s: &Setting, x: f64, mut g: f64) -> f64 {
        let lr = s.learning_rate;
        if let Inner::ScheduleFreeSgd { .. } | Inner::ScheduleFreeAdamW { .. } = s.inner {
            return self.schedule_free(s, x, g);
        }
        let mut x = x;
        if s.l2 {
            g += s.decay * x;
        } else {
            x -= lr * s.decay * x;
        }
        self.updates += 1;
        let updates = self.updates;
        let [a, b, c, zero_1, zero_2] = &mut self.state;
        match s.inner {
            Inner::Sgd { momentum, dampening, nesterov } => {
                *a = if updates == 1 { g } else { momentum * *a + (1.0 - dampening) * g };
                x - lr * if nesterov { g + momentum * *a } else { *a }
            }
            Inner::Adam { beta1, beta2, amsgrad } => {
                *a = beta1 * *a + (1.0 - beta1) * g;
                *b = beta2 * *b + (1.0 - beta2) * g * g;
                *zero_1 *= beta1;
                *zero_2 *= beta2;
                *c = c.max(*b);
                let v = if amsgrad { *c } else { *b };
                x - lr * (*a / (1.0 - *zero_1)) / ((v / (1.0 - *zero_2)).sqrt() + EPSILON)
            }
            Inner::RmsProp { smoothing, momentum, centered } => {
                *a = smoothing * *a + (1.0 - smoothing) * g * g;
                *b = smoothing * *b + (1.0 - smoothing) * g;
                let v = if centered { *a - *b * *b } else { *a };
                *c = momentum * *c + g / (v.sqrt() + EPSILON);
                x - lr * *c
            }
            Inner::RAdam { beta1, beta2 } => {
                *a = beta1 * *a + (1.0 - beta1) * g;
                *b = beta2 * *b + (1.0 - beta2) * g * g;
                *zero_1 *= beta1;
                *zero_2 *= beta2;
                let t = zero_2.ln() / beta2.ln();
                let m = *a / (1.0 - *zero_1);
                let longest = 2.0 / (1.0 - beta2) - 1.0;
                let rho = longest - 2.0 * t * *zero_2 / (1.0 - *zero_2);
                if rho <= 5.0 {
                    return x - lr * m;
                }
                let r = ((rho - 4.0) * (rho - 2.0) * longest / ((longest - 4.0) * (longest - 2.0) * rho)).sqrt();
                x - lr * m * r * (1.0 - *zero_2).sqrt() / (b.sqrt() + EPSILON)
            }
            Inner::NAdam { beta1, beta2, momentum_decay } => {
                *a = beta1 * *a + (1.0 - beta1) * g;
                *b = beta2 * *b + (1.0 - beta2) * g * g;
                *zero_2 *= beta2;
                let t = zero_2.ln() / beta2.ln();
                let mu = |t: f64| beta1 * (1.0 - 0.5 * 0.96f64.powf(t * momentum_decay));
                *zero_1 *= mu(t);
                let m = mu(t + 1.0) * *a / (1.0 - *zero_1 * mu(t + 1.0)) + (1.0 - mu(t)) * g / (1.0 - *zero_1);
                x - lr * m / ((*b / (1.0 - *zero_2)).sqrt() + EPSILON)
            }
            Inner::Adamax { beta1, beta2 } => {
                *a = beta1 * *a + (1.0 - beta1) * g;
                *b = (beta2 * *b).max(g.abs() + EPSILON);
                *zero_1 *= beta1;
                x - lr / (1.0 - *zero_1) * *a / *b
            }
            Inner::Adagrad { learning_rate_decay, initial_sum } => {
                *a += g * g;
                let lr = lr / (1.0 + (updates - 1) as f64 * learning_rate_decay);
                x - lr * g / ((initial_sum + *a).sqrt() + EPSILON)
            }
            Inner::Adadelta { smoothing } => {
                *a = smoothing * *a + (1.0 - smoothing) * g * g;
                let step = ((*b + EPSILON) / (*a + EPSILON)).sqrt() * g;
                *b = smoothing * *b + (1.0 - smoothing) * step * step;
                x - lr * step
            }
            Inner::Lion { beta1, beta2 } => {
                let direction = beta1 * *a + (1.0 - beta1) * g;
                *a = beta2 * *a + (1.0 - beta2) * g;
                x - lr * direction.signum()
            }
            Inner::ScheduleFreeSgd { .. } | Inner::ScheduleFreeAdamW { .. } => x,
        }
    }

    /// With all three points, as the paper has them; the state is how far the iterate is from the weights.
    fn schedule_free(&mut self, s: &Setting, y: f64, g: f64) -> f64 {
        self.updates += 1;
        let [to_z, v, _, _, zero_2] = &mut self.state;
        let (beta, weights, t, direction) = match s.inner {
            Inner::ScheduleFreeAdamW { beta1, beta2, weights } => {
                let g = if s.l2 { g + s.decay * y } else { g };
                *v = beta2 * *v + (1.0 - beta2) * g * g;
                *zero_2 *= beta2;
                let normalised = g / ((*v / (1.0 - *zero_2)).sqrt() + EPSILON);
                let decay = if s.l2 { 0.0 } else { s.decay };
                (beta1, weights, zero_2.ln() / beta2.ln(), normalised + decay * y)
            }
            Inner::ScheduleFreeSgd { momentum, weights } => (momentum, weights, self.updates as f64, g + s.decay * y),
            _ => return y,
        };
        let lr = s.learning_rate * (t / weights.warm_up as f64).min(1.0);
        let [sum, largest] = &mut self.kept;
        *largest = largest.max(lr);
        let weight = t.powf(weights.step_power) * largest.powf(weights.rate_power);
        *sum += weight;
        let z = y + *to_z;
        let x = (y - (1.0 - beta) * z) / beta;
        let z = z - lr * direction;
        let x = x + weight / *sum * (z - x);
        let y = (1.0 - beta) * z + beta * x;
        *to_z = z - y;
        y
    }
}

pub(crate) fn build(s: &Setting, x: &Var) -> Box<dyn Optimizer> {
    fn boxed<R: Rule>(x: &Var, rule: R) -> Box<dyn Optimizer> {
        Box::new(Fused::<R>::new(vec![("x".to_string(), x.clone())], rule).unwrap())
    }
    let (learning_rate, epsilon) = (s.learning_rate, EPSILON);
    let weight_decay = if s.l2 { WeightDecay::L2(s.decay) } else { WeightDecay::Decoupled(s.decay) };
    match s.inner {
        Inner::Sgd { momentum, dampening, nesterov } => {
            let momentum =
                if nesterov { Momentum::nesterov(momentum) } else { Momentum::Classical { momentum, dampening } };
            boxed(x, SgdConfig { learning_rate, momentum, weight_decay, ..Default::default() })
        }
        Inner::Adam { beta1, beta2, amsgrad } => {
            boxed(x, AdamWConfig { learning_rate, beta1, beta2, amsgrad, weight_decay, ..AdamWConfig::default() })
        }
        Inner::RmsProp { smoothing, momentum, centered } => {
            let momentum = Some(momentum);
            let config =
                RmsPropConfig { learning_rate, smoothing, momentum, centered, weight_decay, ..Default::default() };
            boxed(x, config)
        }
        Inner::RAdam { beta1, beta2 } => {
            boxed(x, RAdamConfig { learning_rate, beta1, beta2, weight_decay, ..Default::default() })
        }
        Inner::NAdam { beta1, beta2, momentum_decay } => {
            let config =
                NAdamConfig { learning_rate, beta1, beta2, momentum_decay, weight_decay, ..Default::default() };
            boxed(x, config)
        }
        Inner::Adamax { beta1, beta2 } => {
            boxed(x, AdamaxConfig { learning_rate, beta1, beta2, weight_decay, ..Default::default() })
        }
        Inner::Adagrad { learning_rate_decay, initial_sum } => {
            let config = AdagradConfig {
                learning_rate,
                learning_rate_decay,
                initial_sum,
                epsilon,
                weight_decay,
                ..Default::default()
            };
            boxed(x, config)
        }
        Inner::Adadelta { smoothing } => {
            boxed(x, AdadeltaConfig { learning_rate, smoothing, epsilon, weight_decay, ..Default::default() })
        }
        Inner::Lion { beta1, beta2 } => {
            boxed(x, LionConfig { learning_rate, beta1, beta2, weight_decay, ..Default::default() })
        }
        Inner::ScheduleFreeSgd { momentum, weights } => {
            boxed(x, ScheduleFreeSgdConfig { learning_rate, momentum, weights, weight_decay, ..Default::default() })
        }
        Inner::ScheduleFreeAdamW { beta1, beta2, weights } => {
            let config =
                ScheduleFreeAdamWConfig { learning_rate, beta1, beta2, weights, weight_decay, ..Default::default() };
            boxed(x, config)
        }
    }
}

pub(crate) fn inner() -> impl Strategy<Value = Inner> {
    let weights = || {
        (1usize..30, 0.0..1.0, 0.0..2.0).prop_map(|(warm_up, step_power, rate_power)| IterateWeights {
            warm_up,
            step_power,
            rate_power,
        })
    };
    prop_oneof![
        (0.0..0.95, 0.0..1.0, any::<bool>()).prop_map(|(momentum, dampening, nesterov)| Inner::Sgd {
            momentum,
            dampening: if nesterov { 0.0 } else { dampening },
            nesterov
        }),
        (0.0..0.95, 0.5..0.999, any::<bool>()).prop_map(|(beta1, beta2, amsgrad)| Inner::Adam {
            beta1,
            beta2,
            amsgrad
        }),
        (0.5..0.99, 0.0..0.9, any::<bool>()).prop_map(|(smoothing, momentum, centered)| Inner::RmsProp {
            smoothing,
            momentum,
            centered
        }),
        (0.0..0.95, 0.5..0.999).prop_map(|(beta1, beta2)| Inner::RAdam { beta1, beta2 }),
        (0.0..0.95, 0.5..0.999, 0.0..0.5).prop_map(|(beta1, beta2, momentum_decay)| Inner::NAdam {
            beta1,
            beta2,
            momentum_decay
        }),
        (0.0..0.95, 0.5..0.999).prop_map(|(beta1, beta2)| Inner::Adamax { beta1, beta2 }),
        (0.0..0.1, 0.0..0.5)
            .prop_map(|(learning_rate_decay, initial_sum)| Inner::Adagrad { learning_rate_decay, initial_sum }),
        (0.5..0.99).prop_map(|smoothing| Inner::Adadelta { smoothing }),
        (0.0..0.95, 0.5..0.999).prop_map(|(beta1, beta2)| Inner::Lion { beta1, beta2 }),
        (0.1..0.95, weights()).prop_map(|(momentum, weights)| Inner::ScheduleFreeSgd { momentum, weights }),
        (0.1..0.95, 0.5..0.999, weights()).prop_map(|(beta1, beta2, weights)| Inner::ScheduleFreeAdamW {
            beta1,
            beta2,
            weights
        }),
    ]
}
