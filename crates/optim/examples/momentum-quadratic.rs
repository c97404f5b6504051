//! When does Lookahead speed up momentum? Theory and simulation for a quadratic without noise.
//!
//! With momentum 0.99, which is too much for small condition numbers, the weights oscillate; Lookahead damps them. One step of classical
//! momentum on curvature `l` maps (x, v) by `A = [[1 - rate l, b], [-rate l, b]]`; one cycle of Lookahead that keeps the momentum by
//! `diag(alpha, 1) A^k + diag(1 - alpha, 0)`, and with reset x by `1 - alpha + alpha (A^k)_11`. The rate of convergence is the spectral radius,
//! per step, of the worse of two curvatures, 1 / condition and 1. The learning rate is the best for each line.
//! Run: `cargo run --release --example momentum-quadratic`.

use candle_core::backprop::GradStore;
use candle_core::{Device, Tensor, Var};
use lookahead_optim::{Lookahead, LookaheadConfig, Momentum, Optimizer, Result, Sgd, SgdConfig, StatePolicy};

pub(crate) const MOMENTUM: f64 = 0.99;
pub(crate) const PERIOD: usize = 20;
pub(crate) const STEP_SIZE: f64 = 0.5;

fn main() -> Result<()> {
    println!("{:>9} {:>10} {:>9} {:>9} {:>9}", "condition", "", "rate", "theory", "simulated");
    for condition in [10.0, 100.0, 1000.0] {
        for (name, method) in
            [("momentum", None), ("keep", Some(StatePolicy::Keep)), ("reset", Some(StatePolicy::Reset))]
        {
            let (rate, theory) = best(condition, method);
            let simulated = simulate(&curvatures(condition), rate, method, theory)?;
            println!("{condition:>9} {name:>10} {rate:>9.4} {theory:>9.5} {simulated:>9.5}");
        }
    }
    Ok(())
}

/// The smallest and the largest curvature.
pub(crate) fn curvatures(condition: f64) -> [f64; 2] {
    [1.0 / condition, 1.0]
}

/// The best learning rate and the rate of convergence with it.
pub(crate) fn best(condition: f64, method: Option<StatePolicy>) -> (f64, f64) {
    let curvatures = curvatures(condition);
    let worst = |rate: f64| curvatures.iter().map(|l| theory(*l, rate, method)).fold(0.0, f64::max);
    // The worst rate has narrow valleys, so the grid is fine: from 1e-4 to 4, where momentum diverges.
    (0..40_000)
        .map(|i| 1e-4 * 4e4f64.powf(f64::from(i) / 40_000.0))
        .map(|rate| (rate, worst(rate)))
        .fold((0.0, f64::INFINITY), |best, next| if next.1 < best.1 { next } else { best })
}

/// The rate of convergence per step on one curvature.
pub(crate) fn theory(curvature: f64, rate: f64, method: Option<StatePolicy>) -> f64 {
    let a = [[1.0 - rate * curvature, MOMENTUM], [-rate * curvature, MOMENTUM]];
    if method.is_none() {
        return spectral_radius(a);
    }
    let mut power = [[1.0, 0.0], [0.0, 1.0]];
    for _ in 0..PERIOD {
        power = product(a, power);
    }
    let cycle = match method {
        Some(StatePolicy::Reset) => (1.0 - STEP_SIZE + STEP_SIZE * power[0][0]).abs(),
        _ => {
            let pulled = [STEP_SIZE * power[0][0] + 1.0 - STEP_SIZE, STEP_SIZE * power[0][1]];
            spectral_radius([pulled, power[1]])
        }
    };
    cycle.powf(1.0 / PERIOD as f64)
}

/// The same rate, measured: the decay of weights trained on all curvatures at once, after the initial transient.
pub(crate) fn simulate(curvatures: &[f64], rate: f64, method: Option<StatePolicy>, guess: f64) -> Result<f64> {
    let a = Tensor::new(curvatures, &Device::Cpu)?;
    let x = Var::from_tensor(&a.ones_like()?)?;
    let config = SgdConfig { learning_rate: rate, momentum: Momentum::classical(MOMENTUM), ..SgdConfig::default() };
    let sgd = Sgd::new(vec![("x".into(), x.clone())], config)?;
    let mut optimizer: Box<dyn Optimizer> = match method {
        None => Box::new(sgd),
        Some(state_policy) => {
            let (sync_period, slow_step_size) = (PERIOD.into(), STEP_SIZE.into());
            let config = LookaheadConfig { sync_period, slow_step_size, state_policy, ..LookaheadConfig::default() };
            Box::new(Lookahead::new(sgd, config)?)
        }
    };
    // Stop before the weights reach the smallest numbers.
    let cycles = ((-600.0 / guess.ln()) as usize / PERIOD).min(1500);
    // Peak sizes in a middle and in a last window: single values of an oscillation may be near zero.
    let window = cycles / 10;
    let (mut middle, mut last) = (0f64, 0f64);
    for cycle in 0..cycles {
        for _ in 0..PERIOD {
            let mut grads = GradStore::default();
            grads.insert(&x, (x.as_detached_tensor() * &a)?);
            optimizer.step(&grads)?;
        }
        let size = x.as_detached_tensor().abs()?.max(0)?.to_scalar::<f64>()?;
        if (window..2 * window).contains(&cycle) {
            middle = middle.max(size / guess.powi(((cycle - window) * PERIOD) as i32));
        }
        if cycle >= cycles - window {
            last = last.max(size / guess.powi(((cycle + window - cycles) * PERIOD) as i32));
        }
    }
    let steps = (cycles - 2 * window) * PERIOD;
    Ok((last / middle).powf(1.0 / steps as f64))
}

fn product(a: [[f64; 2]; 2], b: [[f64; 2]; 2]) -> [[f64; 2]; 2] {
    let entry = |i: usize, j: usize| a[i][0] * b[0][j] + a[i][1] * b[1][j];
    [[entry(0, 0), entry(0, 1)], [entry(1, 0), entry(1, 1)]]
}

fn spectral_radius([[a, b], [c, d]]: [[f64; 2]; 2]) -> f64 {
    let (half_trace, determinant) = ((a + d) / 2.0, a * d - b * c);
    let discriminant = half_trace * half_trace - determinant;
    if discriminant < 0.0 { determinant.sqrt() } else { half_trace.abs() + discriminant.sqrt() }
}
