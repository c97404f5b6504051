//! The learning-rate range test of Smith (2017), arXiv:1506.01186.

use lookahead_runs::TimeSplit;
use serde::Serialize;

use crate::error::{Error, Result};
use crate::train::{Interrupt, Setup};

/// The result of a range test.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct RangeTest {
    /// The row.
    pub(super) optimizer: String,
    /// Learning rate and smoothed training loss of each step.
    pub(super) curve: Vec<(f64, f64)>,
    /// The rate at which the smoothed loss fell fastest, which fastai suggests as a peak for OneCycle.
    pub(super) steepest: Option<f64>,
    /// A tenth of the rate with the lowest smoothed loss.
    pub(super) tenth_of_lowest: Option<f64>,
}

/// Weight of the past in the smoothed loss, as in fastai.
const SMOOTHING: f64 = 0.98;
/// The test ends when the smoothed loss is this many times its lowest.
const BROKEN: f64 = 4.0;

/// Learning rates from `lowest` to `highest` in `steps` steps.
#[derive(Debug, Clone, Copy)]
pub(super) struct Range {
    pub(super) lowest: f64,
    pub(super) highest: f64,
    pub(super) steps: usize,
}

impl Range {
    /// The learning rate of step `step`; they rise exponentially.
    fn at(self, step: usize) -> f64 {
        self.lowest * (self.highest / self.lowest).powf(step as f64 / (self.steps - 1) as f64)
    }
}

/// Trains as the run would, with learning rates that go through `range`; a loss that is not finite ends the test.
pub(super) fn range_test(mut setup: Setup<'_>, range: Range, interrupt: &Interrupt) -> Result<RangeTest> {
    let (mut curve, mut average, mut lowest) = (Vec::new(), 0.0, f64::INFINITY);
    let mut time = TimeSplit::default();
    for step in 0..range.steps {
        if interrupt.is_asked() {
            let what = format!("the range test of {}", setup.run.row.name);
            return Err(Error::Stopped { what, remedy: "it was not saved" });
        }
        let rate = range.at(step);
        setup.optimizer.set_learning_rate(rate);
        // As in training, an incomplete batch at the end of an epoch is dropped.
        if step % setup.steps_per_epoch == 0 {
            setup.begin(step / setup.steps_per_epoch, 0)?;
        }
        let gradients = setup.gradients(step, &mut time)?;
        let value = gradients.loss.to_dtype(candle_core::DType::F64)?.to_scalar::<f64>()?;
        if !value.is_finite() {
            break;
        }
        average = SMOOTHING * average + (1.0 - SMOOTHING) * value;
        let smoothed = average / (1.0 - SMOOTHING.powi(step as i32 + 1));
        curve.push((rate, smoothed));
        lowest = smoothed.min(lowest);
        if smoothed > BROKEN * lowest {
            break;
        }
        setup.optimizer.step(&gradients.store)?;
    }
    let (steepest, tenth_of_lowest) = suggestions(&curve);
    Ok(RangeTest { optimizer: setup.run.row.name.clone(), curve, steepest, tenth_of_lowest })
}

/// The rate of the steepest fall, and a tenth of the rate of the lowest loss before training breaks down.
///
/// The first tenth of the curve is ignored, since smoothing has little data there. Slopes are taken over a tenth of the
/// curve, so that no single batch decides.
fn suggestions(curve: &[(f64, f64)]) -> (Option<f64>, Option<f64>) {
    let settled = &curve[curve.len() / 10..];
    let fall = before_the_break(settled);
    let reach = (curve.len() / 20).max(1);
    let slopes = fall.windows(2 * reach + 1).map(|part| {
        let (first, last) = (part[0], part[2 * reach]);
        (part[reach].0, (last.1 - first.1) / (last.0 / first.0).ln())
    });
    let steepest = slopes.min_by(|a, b| a.1.total_cmp(&b.1)).filter(|(_, slope)| *slope < 0.0).map(|(rate, _)| rate);
    (steepest, fall.last().map(|(rate, _)| rate / 10.0))
}

/// The curve up to its lowest loss. Once the loss has risen by a quarter of the whole fall, training has broken down:
/// how far it falls again says nothing about good rates.
fn before_the_break(curve: &[(f64, f64)]) -> &[(f64, f64)] {
    let lowest = curve.iter().map(|point| point.1).fold(f64::INFINITY, f64::min);
    let highest = curve.iter().map(|point| point.1).take_while(|&loss| loss > lowest).fold(lowest, f64::max);
    let mut end = 0;
    for (at, &(_, loss)) in curve.iter().enumerate() {
        if loss < curve[end].1 {
            end = at;
        } else if loss > curve[end].1 + 0.25 * (highest - lowest) {
            break;
        }
    }
    &curve[..curve.len().min(end + 1)]
}

#[cfg(test)]
mod tests {
    use lookahead_data::{Shapes, ShapesConfig};

    use super::*;
    use crate::config::{Config, Experiment, Protocol};
    use crate::parts::{Data, ImageData};

    #[test]
    fn rates_rise_exponentially() {
        let rates: Vec<f64> = (0..3).map(|step| Range { lowest: 1e-2, highest: 1.0, steps: 3 }.at(step)).collect();
        assert!((rates[0] - 0.01).abs() < 1e-12 && (rates[1] - 0.1).abs() < 1e-12 && (rates[2] - 1.0).abs() < 1e-12);
    }

    /// The first loss of a test is that of training's first step: over both parts of its batch.
    #[test]
    fn a_test_takes_the_steps_that_training_takes() {
        let mut config = Config::for_protocol(Experiment::Demo, Protocol::Quick);
        (config.train.batch_size, config.train.accumulate) = (8, 2);
        let images = config.data.images_mut().unwrap();
        images.held_out = 0.0;
        let shapes = Shapes::draw(&ShapesConfig { train: 16, valid: 8, ..ShapesConfig::default() }).unwrap();
        let data: Data = ImageData::new(shapes, images).unwrap().into();
        let run = config.runs().remove(0);
        let setup = || Setup::new(&run, &data, &candle_core::Device::Cpu).unwrap();
        let mut first = setup();
        first.begin(0, 0).unwrap();
        let gradients = first.gradients(0, &mut TimeSplit::default()).unwrap();
        let loss = f64::from(gradients.loss.to_scalar::<f32>().unwrap());
        // Twelve steps on two steps' images: six epochs.
        let range = Range { lowest: 1e-6, highest: 1e-5, steps: 12 };
        let test = range_test(setup(), range, &Interrupt::default()).unwrap();
        assert_eq!(test.curve.len(), 12);
        assert!((test.curve[0].1 - loss).abs() < 1e-9, "{} is not {loss}", test.curve[0].1);
    }

    /// Flat, then one steep step between 0.1 and 1, then rising: the steepest fall is around 0.1, the lowest is at 1.
    #[test]
    fn the_suggestions_are_where_the_curve_says() {
        let curve = [(1e-3, 2.3), (1e-2, 2.29), (1e-1, 2.2), (1.0, 1.2), (10.0, 3.0)];
        assert_eq!(suggestions(&curve), (Some(1e-1), Some(1e-1)));
        assert_eq!(suggestions(&[(1.0, 1.0), (2.0, 2.0)]).0, None);
        assert_eq!(suggestions(&[]), (None, None));
    }

    /// One lucky batch before the fall, and a steeper fall of a loss that broke and comes back, are not what is asked
    /// for.
    #[test]
    fn neither_a_lucky_batch_nor_a_loss_on_its_way_back_is_the_steepest() {
        let loss = |i: usize| match i {
            20 => 2.8,
            0..40 => 3.0,
            40..60 => 3.0 - 0.05 * (i - 40) as f64,
            60 => 2.0,
            _ => 9.0 - 0.5 * (i - 61) as f64,
        };
        let curve: Vec<(f64, f64)> = (0..80).map(|i| (1.1f64.powi(i as i32), loss(i))).collect();
        let (steepest, tenth_of_lowest) = suggestions(&curve);
        assert!((curve[40].0..curve[60].0).contains(&steepest.unwrap()), "{steepest:?}");
        assert_eq!(tenth_of_lowest, Some(curve[60].0 / 10.0));
    }
}
