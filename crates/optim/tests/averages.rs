//! Averages on short runs, late starts, statistics.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use candle_core::{DType, Device, Tensor, Var};
use lookahead_optim::{Average, Averaged, Error, Lookahead, LookaheadConfig, Optimizer, Sgd};
use support::{Numbers, gradient_of, gradients, scalar, values};

/// The average after each of `steps` steps of 1 down from 4.
fn path(average: Average, steps: usize) -> Vec<f64> {
    let w = Var::new(4f64, &Device::Cpu).unwrap();
    let mut optimizer = Averaged::new(Sgd::new([("w", w.clone())], 1.0).unwrap(), average).unwrap();
    (0..steps)
        .map(|_| {
            optimizer.step(&gradients(&[(&w, 1.0)])).unwrap();
            optimizer.with_average(|| Ok(scalar(&w))).unwrap()
        })
        .collect()
}

fn close(found: &[f64], expected: &[f64]) {
    let near = found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12);
    assert!(near && found.len() == expected.len(), "{found:?}, expected {expected:?}");
}

#[test]
fn warmed_up_averages_by_hand() {
    // Decays 0, 1/10, 2/11: 3; 3/10 + 2 * 9/10; 2/11 of that and 9/11 of 1.
    let short = [3.0, 2.1, (2.0 * 2.1 + 9.0) / 11.0];
    close(&path(Average::ema(0.9), 3), &short);
    // Until the decay has grown to its value the two are one.
    close(&path(Average::polyak(), 3), &short);
    close(&path(Average::ema(0.05), 3), &[3.0, 0.05 * 3.0 + 0.95 * 2.0, 0.05 * 2.05 + 0.95]);
    close(&path(Average::ema(0.0), 3), &[3.0, 2.0, 1.0]);
    // Power 1 weighs 1, 2, 3.
    close(&path(Average::Polyak { start: 0, power: 1.0 }, 3), &[3.0, 7.0 / 3.0, 10.0 / 6.0]);
}

#[test]
fn an_average_may_start_later_and_begins_with_the_weights_there() {
    close(&path(Average::ema(0.9).starting_at(1), 3), &[3.0, 2.0, 0.1 * 2.0 + 0.9]);
    close(&path(Average::polyak().starting_at(2), 3), &[3.0, 2.0, 1.0]);
    // Without warm-up too: PyTorch's average begins with a copy.
    let constant = Average::Ema { decay: 0.5, start: 1, warm_up: false };
    close(&path(constant, 3), &[3.0, 2.0, 1.5]);
    for wrong in [Average::Polyak { start: 0, power: -1.0 }, Average::Polyak { start: 0, power: f64::NAN }] {
        assert!(matches!(wrong.validate(), Err(Error::OutOfRange { what: "power", .. })));
    }
}

/// Forty weights pulled to zero with noise, from far away: the loss is half the sum of their squares.
fn three_steps(average: Average, seed: u64) -> (f64, f64) {
    const SIZE: usize = 40;
    let mut numbers = Numbers(seed);
    let start = Tensor::from_vec(numbers.take(SIZE), SIZE, &Device::Cpu).unwrap();
    let w = Var::from_tensor(&start).unwrap();
    let mut optimizer = Averaged::new(Sgd::new([("w", w.clone())], 0.5).unwrap(), average).unwrap();
    let loss = || values(&w).iter().map(|x| x * x / 2.0).sum::<f64>();
    for _ in 0..3 {
        let noise = gradient_of(&w, &numbers.take(SIZE).iter().map(|x| 0.4 * x).collect::<Vec<_>>());
        let mut grads = candle_core::backprop::GradStore::default();
        grads.insert(&w, (w.as_detached_tensor() + noise).unwrap());
        optimizer.step(&grads).unwrap();
    }
    let averaged = optimizer.with_average(|| Ok(loss())).unwrap();
    (loss(), averaged)
}

#[test]
fn after_three_steps_an_average_is_no_worse_than_the_weights_by_more_than_noise() {
    let runs = |average| (1..=30).map(move |seed| three_steps(average, seed)).collect::<Vec<_>>();
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let worse_by_deviations = |average| {
        let (last, averaged): (Vec<f64>, Vec<f64>) = runs(average).into_iter().unzip();
        let m = mean(&last);
        let deviation = mean(&last.iter().map(|x| (x - m).powi(2)).collect::<Vec<_>>()).sqrt();
        (mean(&averaged) - m) / deviation
    };
    for average in [Average::polyak(), Average::ema(0.9), Average::ema(0.9999)] {
        let worse = worse_by_deviations(average);
        assert!(worse < 1.0, "{average:?} is worse by {worse} standard deviations of the last loss");
    }
    // Without warm-up the first steps rule it.
    assert!(worse_by_deviations(Average::Ema { decay: 0.998, start: 0, warm_up: false }) > 10.0);
}

/// airbench's Lookahead: every fifth step all tensors of the network, statistics included, go towards the fast ones by a scheduled size.
#[test]
fn airbench_pulls_statistics_along_with_the_weights() {
    use lookahead_optim::lookahead::{BufferPolicy, StepSize};
    use lookahead_optim::schedule::{Airbench, Schedule};
    let schedule = Airbench { steps: 40 };
    let config = LookaheadConfig {
        slow_step_size: StepSize::Scheduled(std::sync::Arc::new(schedule)),
        buffer_policy: BufferPolicy::Average,
        ..LookaheadConfig::default()
    };
    let (w, statistic) = (Var::new(8f64, &Device::Cpu).unwrap(), Var::new(1f64, &Device::Cpu).unwrap());
    let sgd = Sgd::new([("w", w.clone())], 0.25).unwrap();
    let mut optimizer = Lookahead::with_buffers(sgd, config, vec![("mean".into(), statistic.clone())]).unwrap();
    let mut net = [8.0, 1.0];
    let mut ema = net;
    for step in 1..=40 {
        // A forward pass moves the statistic, a step the weight.
        net = [net[0] - 0.25, 0.9 * net[1] + 0.1 * net[0]];
        let live = scalar(&statistic) * 0.9 + 0.1 * scalar(&w);
        statistic.set(&Tensor::new(live, &Device::Cpu).unwrap()).unwrap();
        optimizer.step(&gradients(&[(&w, 1.0)])).unwrap();
        if step % 5 == 0 {
            let decay = 0.95f64.powi(5) * (step as f64 / 40.0).powi(3);
            for (ema, net) in ema.iter_mut().zip(&mut net) {
                *ema = decay * *ema + (1.0 - decay) * *net;
                *net = *ema;
            }
            assert!((schedule.at(step) - (1.0 - decay)).abs() < 1e-15);
        }
        close(&[scalar(&w), scalar(&statistic)], &net);
    }
}

#[test]
fn half_precision_is_averaged_in_f32() {
    let start = Tensor::new(&[1f32], &Device::Cpu).unwrap().to_dtype(DType::BF16).unwrap();
    let w = Var::from_tensor(&start).unwrap();
    let sgd = Sgd::new([("w", w.clone())], 1.0 / 512.0).unwrap();
    let mut optimizer = Averaged::new(sgd, Average::Polyak { start: 0, power: 0.0 }).unwrap();
    for _ in 0..3 {
        optimizer.step(&gradients(&[(&w, 1.0)])).unwrap();
    }
    let average = optimizer.state().unwrap().tensor("average.w").unwrap().to_vec1::<f32>().unwrap();
    assert_eq!(average, [1.0 - 2.0 / 512.0]);
}
