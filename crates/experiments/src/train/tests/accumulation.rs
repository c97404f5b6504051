//! A step over several parts has the mean of their gradients.

use candle_core::Tensor;
use lookahead_runs::TimeSplit;

use super::{CPU, data, row, run, shapes};
use crate::train::{Gradients, Setup};

fn gradients(accumulate: usize, steps: usize) -> Vec<(f64, Vec<(String, Tensor)>)> {
    // Parts of four images, whatever makes a step of them.
    let run = run(row("sgd"), |config| {
        (config.train.batch_size, config.train.accumulate) = (4 * accumulate, accumulate);
    });
    let data = data(&run, shapes(16, 8));
    let mut setup = Setup::new(&run, &data, &CPU).unwrap();
    setup.begin(0, 0).unwrap();
    (0..steps)
        .map(|step| {
            let mut time = TimeSplit::default();
            let Gradients { loss, store } = setup.gradients(step, &mut time).unwrap();
            assert!(time.forward > 0.0 && time.backward > 0.0 && time.optimizer == 0.0);
            let of = |(name, var): (String, candle_core::Var)| (name, store.get(&var).unwrap().clone());
            (f64::from(loss.to_scalar::<f32>().unwrap()), setup.task.parameters().into_iter().map(of).collect())
        })
        .collect()
}

#[test]
fn the_gradient_of_parts_is_their_mean() {
    let parts = gradients(1, 2);
    let whole = &gradients(2, 1)[0];
    assert_ne!(parts[0].0, parts[1].0, "the parts must differ");
    assert!((whole.0 - 0.5 * (parts[0].0 + parts[1].0)).abs() < 1e-6);
    for (index, (name, gradient)) in whole.1.iter().enumerate() {
        let mean = ((&parts[0].1[index].1 + &parts[1].1[index].1).unwrap() * 0.5).unwrap();
        let largest =
            |tensor: &Tensor| tensor.abs().unwrap().flatten_all().unwrap().max(0).unwrap().to_scalar::<f32>().unwrap();
        let apart = largest(&(gradient - &mean).unwrap());
        // Halving is exact; only the order of the sum may differ.
        assert!(apart <= 1e-6 * largest(&mean), "{name}: {apart}");
    }
}

#[test]
fn an_epoch_that_ends_within_a_step_is_an_error() {
    let run = run(row("sgd"), |config| (config.train.batch_size, config.train.accumulate) = (16, 4));
    let data = data(&run, shapes(16, 8));
    let mut setup = Setup::new(&run, &data, &CPU).unwrap();
    setup.task.begin(0, 2).unwrap();
    let error = setup.gradients(7, &mut TimeSplit::default()).unwrap_err();
    assert_eq!(error.to_string(), "the epoch ended before step 7 had a full batch");
}
