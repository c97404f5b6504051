//! Does Lookahead reduce the variance of SGD? Theory and simulation for the noisy quadratic model.
//!
//! The loss is `a / 2 * (x - c)^2` with `c ~ N(0, s^2)` drawn anew each step. With `r = 1 - rate * a`, the variance of SGD settles at
//! `rate^2 a^2 s^2 / (1 - r^2)`, and that of Lookahead's slow weights at
//!
//! ```text
//! alpha^2 (1 - r^2k) / (alpha^2 (1 - r^2k) + 2 alpha (1 - alpha) (1 - r^k))
//! ```
//!
//! times as much (proposition 2 of the paper). Run: `cargo run --release --example noisy-quadratic`.

use candle_core::backprop::GradStore;
use candle_core::{Device, Tensor, Var};
use lookahead_optim::{Lookahead, LookaheadConfig, Optimizer, Result, Sgd, SgdConfig};

fn main() -> Result<()> {
    println!(
        "{:>6} {:>6} {:>3} {:>6} | {:>9} {:>9} | {:>9} {:>9}",
        "a", "rate", "k", "alpha", "SGD", "theory", "slow", "theory"
    );
    for case in CASES {
        let (sgd, slow) = case.simulate()?;
        let Case { curvature, rate, period, step_size, .. } = case;
        println!(
            "{curvature:>6} {rate:>6} {period:>3} {step_size:>6} | {sgd:>9.5} {:>9.5} | {slow:>9.5} {:>9.5}",
            case.sgd_variance(),
            case.slow_variance()
        );
    }
    Ok(())
}

/// One setting of the model.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Case {
    curvature: f64,
    noise_variance: f64,
    rate: f64,
    period: usize,
    step_size: f64,
}

pub(crate) const CASES: [Case; 3] = [
    Case { curvature: 0.7, noise_variance: 1.3, rate: 0.5, period: 5, step_size: 0.5 },
    Case { curvature: 0.4, noise_variance: 0.5, rate: 0.5, period: 10, step_size: 0.8 },
    Case { curvature: 1.0, noise_variance: 2.0, rate: 1.2, period: 3, step_size: 0.3 },
];

/// Independent copies of the model, trained as one parameter.
const COPIES: usize = 50_000;
const CYCLES: usize = 60;

impl Case {
    pub(crate) fn sgd_variance(&self) -> f64 {
        let r = 1.0 - self.rate * self.curvature;
        (self.rate * self.curvature).powi(2) * self.noise_variance / (1.0 - r * r)
    }

    pub(crate) fn slow_variance(&self) -> f64 {
        let (r, k, alpha) = (1.0 - self.rate * self.curvature, self.period as i32, self.step_size);
        let noise = alpha * alpha * (1.0 - r.powi(2 * k));
        noise / (noise + 2.0 * alpha * (1.0 - alpha) * (1.0 - r.powi(k))) * self.sgd_variance()
    }

    /// The variances found: of SGD's weights, and of the slow weights just after a sync.
    pub(crate) fn simulate(&self) -> Result<(f64, f64)> {
        let inner = |x: &Var| {
            let config = SgdConfig { learning_rate: self.rate, ..SgdConfig::default() };
            Sgd::new(vec![("x".into(), x.clone())], config)
        };
        let config = LookaheadConfig {
            sync_period: self.period.into(),
            slow_step_size: self.step_size.into(),
            ..LookaheadConfig::default()
        };
        let (plain, fast) = (start()?, start()?);
        let sgd = self.variance(&plain, inner(&plain)?)?;
        let slow = self.variance(&fast, Lookahead::new(inner(&fast)?, config)?)?;
        Ok((sgd, slow))
    }

    /// The mean square of `x` at the ends of the second half of the cycles.
    fn variance(&self, x: &Var, mut optimizer: impl Optimizer) -> Result<f64> {
        let mut normal = Normal(7);
        let mut sum = 0.0;
        for cycle in 0..CYCLES {
            for _ in 0..self.period {
                let noise: Vec<f64> = (0..COPIES).map(|_| self.noise_variance.sqrt() * normal.next()).collect();
                let centre = Tensor::from_vec(noise, COPIES, &Device::Cpu)?;
                let mut grads = GradStore::default();
                grads.insert(x, ((x.as_detached_tensor() - centre)? * self.curvature)?);
                optimizer.step(&grads)?;
            }
            if cycle >= CYCLES / 2 {
                sum += x.as_detached_tensor().sqr()?.mean_all()?.to_scalar::<f64>()?;
            }
        }
        Ok(sum / (CYCLES - CYCLES / 2) as f64)
    }
}

fn start() -> Result<Var> {
    Ok(Var::zeros(COPIES, candle_core::DType::F64, &Device::Cpu)?)
}

/// Normal numbers: splitmix64 and the Box-Muller transform.
struct Normal(u64);

impl Normal {
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }

    fn next(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }
}
