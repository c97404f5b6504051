//! The graph node behind [`plain_network`](crate::plain_network) and [`conv2d`](crate::conv2d()).

use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor};

use crate::Mode;
use crate::bundle::{self, Slot};
use crate::cpu::choose::Kernels;
use crate::cpu::conv::Epilogue;
use crate::cpu::graph::kept::Kept;
use crate::cpu::graph::pass::{self, Found, OfParameters, on_the_pool};
use crate::cpu::layer::{self, Statistics};
use crate::cpu::memory::{Buffer, Place, Values};
use crate::cpu::run;
use crate::cpu::tensors::{elements, with_weight};
use crate::plan::PlainPlan;

pub(crate) fn plain_network<T: Kernels>(x: &Tensor, plans: Vec<PlainPlan>, mode: Mode) -> Result<Tensor> {
    let (mut tokens, mut slots) = (Vec::with_capacity(plans.len()), Vec::with_capacity(plans.len()));
    for PlainPlan { weight, bias, norm, .. } in &plans {
        let (token, slot) = match norm {
            Some(norm) => bundle::triple(weight, &norm.weight, &norm.bias)?,
            None => bundle::pair(weight, bias.as_ref().unwrap_or(weight))?,
        };
        tokens.push(token);
        slots.push(slot);
    }
    let parameters = Tensor::cat(&tokens, 0)?;
    let tracked = x.track_op() || parameters.track_op();
    x.apply_op2(&parameters, PlainNode::<T> { plans, slots, mode, tracked, saved: Kept::default() })
}

/// Data that one layer keeps for the backward pass.
struct Saved<T: Kernels> {
    /// The tap of each maximum of the pool.
    winners: Option<Buffer<u8>>,
    /// The input of batch norm or of the activation; `None` if neither follows.
    given: Option<Values<T>>,
    statistics: Option<Statistics<T>>,
    /// The layer's output; `None` for the last layer, whose output candle keeps.
    output: Option<Values<T>>,
}

struct PlainNode<T: Kernels> {
    plans: Vec<PlainPlan>,
    slots: Vec<Slot>,
    mode: Mode,
    /// Whether a backward pass may follow.
    tracked: bool,
    saved: Kept<Vec<Saved<T>>>,
}

impl<T: Kernels> PlainNode<T> {
    fn forward(&self, x: &[T]) -> Result<(CpuStorage, Shape)> {
        let Some(last) = self.plans.last() else {
            candle_core::bail!("plain_network: no layers");
        };
        let mut saved: Vec<Saved<T>> = Vec::with_capacity(self.plans.len());
        let mut output: Option<Values<T>> = None;
        for (index, plan) in self.plans.iter().enumerate() {
            let place = if index + 1 == self.plans.len() { Place::Tensor } else { Place::Workspace };
            let (left, y) = self.run_layer(plan, output.as_deref().unwrap_or(x), place)?;
            let before = output.replace(y);
            if self.tracked {
                if let Some(saved) = saved.last_mut() {
                    saved.output = before;
                }
                saved.push(left);
            }
        }
        if self.tracked {
            self.saved.set(saved);
        }
        let output = output.map(Values::into_vec).unwrap_or_default();
        Ok((T::to_cpu_storage_owned(output), last.output_extents().into()))
    }

    /// Runs one layer. Returns its data for the backward pass, except its output, and its output.
    fn run_layer(&self, plan: &PlainPlan, x: &[T], place: Place) -> Result<(Saved<T>, Values<T>)> {
        if let (None, None, Some(norm)) = (&plan.bias, &plan.pool, &plan.norm)
            && layer::folds(self.mode, self.tracked, plan.after)
        {
            let of = (&plan.weight, norm);
            let y = layer::convolve_normalised(&plan.shape, x, of, None, plan.after, place)?;
            return Ok((Saved { winners: None, given: None, statistics: None, output: None }, y));
        }
        let (shape, ends) = (&plan.shape, plan.norm.is_none() && plan.after.is_none());
        let place_of_sum = if ends && plan.pool.is_none() { place } else { Place::Workspace };
        let convolved = match &plan.bias {
            Some(bias) => with_weight::<T, _>(&plan.weight, |weight| {
                with_weight::<T, _>(bias, |bias| {
                    let epilogue = Epilogue { bias: Some(bias), ..Epilogue::NONE };
                    Ok(run::conv2d_forward(shape, x, weight, epilogue, place_of_sum))
                })
            })?,
            None => layer::convolve(shape, x, &plan.weight, place_of_sum)?,
        };
        let (given, winners) = match &plan.pool {
            Some(pool) => {
                let (largest, winners) = run::largest(pool, &convolved, Place::Workspace);
                (largest, Some(winners))
            }
            None => (convolved, None),
        };
        let left = |given, statistics| Saved { winners, given, statistics, output: None };
        match (&plan.norm, plan.after) {
            (Some(norm), after) => {
                let (y, statistics) = layer::normalise(norm, self.mode, &given, None, after, place, self.tracked)?;
                statistics.update_running(norm)?;
                Ok((left(Some(given), Some(statistics)), y))
            }
            (None, Some(after)) => {
                let y = run::activate(after, &given, place);
                Ok((left(Some(given), None), y))
            }
            (None, None) => Ok((left(None, None), given)),
        }
    }

    /// Returns the gradient of the input, if `wanted`, and adds those of the parameters to `found`.
    fn backward<'a>(&'a self, x: &[T], dy: &[T], wanted: bool, found: &mut Found<'a>) -> Result<Option<Values<T>>> {
        let Some(saved) = self.saved.get() else {
            candle_core::bail!("plain_network: backward without forward");
        };
        // What lies below the lowest trained layer needs no gradient.
        let lowest = if wanted { Some(0) } else { self.plans.iter().position(PlainPlan::is_trained) };
        let lowest = lowest.unwrap_or(self.plans.len());
        let mut carried: Option<Values<T>> = None;
        for (index, (plan, left)) in self.plans.iter().zip(saved.iter()).enumerate().skip(lowest).rev() {
            let input = index.checked_sub(1).and_then(|before| saved[before].output.as_deref()).unwrap_or(x);
            let (sum_gradient, mut parameters) = sum_gradient(plan, left, carried.as_deref().unwrap_or(dy))?;
            let sum_gradient = sum_gradient.as_deref().or(carried.as_deref()).unwrap_or(dy);
            parameters[0] = layer::weight_gradient(&plan.shape, input, sum_gradient, &plan.weight)?;
            if let Some(bias) = &plan.bias {
                parameters[1] = layer::bias_gradient(sum_gradient, bias)?;
            }
            found.push((&self.slots[index], parameters));
            if index == lowest && !wanted {
                return Ok(None);
            }
            // The first layer's input gradient becomes a tensor.
            let place = if index == 0 { Place::Tensor } else { Place::Workspace };
            carried = Some(layer::input_gradient(&plan.shape, sum_gradient, &plan.weight, place)?);
        }
        Ok(carried)
    }
}

/// The gradient of the convolution's output, `None` if it is `dy` itself, and the list of parameter gradients with those of
/// batch norm filled in.
fn sum_gradient<T: Kernels>(plan: &PlainPlan, left: &Saved<T>, dy: &[T]) -> Result<(Option<Values<T>>, OfParameters)> {
    let mut parameters = vec![None; if plan.norm.is_some() { 3 } else { 2 }];
    let given_gradient = match (&left.given, &plan.norm, &left.statistics, plan.after) {
        (Some(given), Some(norm), Some(statistics), _) => {
            let gradients = layer::normalise_backward(norm, statistics, given, dy, Place::Workspace, None)?;
            (parameters[1], parameters[2]) = (Some(gradients.scale), Some(gradients.bias));
            Some(gradients.input)
        }
        (Some(given), None, _, Some(after)) => Some(run::activate_backward(after, given, dy, Place::Workspace)),
        _ => None,
    };
    match (&plan.pool, &left.winners) {
        (Some(pool), Some(winners)) => {
            let dy = given_gradient.as_deref().unwrap_or(dy);
            Ok((Some(run::spread(pool, dy, winners, Place::Workspace)), parameters))
        }
        _ => Ok((given_gradient, parameters)),
    }
}

impl<T: Kernels> CustomOp2 for PlainNode<T> {
    fn name(&self) -> &'static str {
        "plain_network"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = elements(x, layout)?;
        on_the_pool(|| self.forward(x))
    }

    fn bwd(
        &self,
        x: &Tensor,
        parameters: &Tensor,
        _: &Tensor,
        dy: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        pass::backward(x, parameters, dy, |x, dy, wanted, found| self.backward(x, dy, wanted, found))
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device, Var};

    use super::*;
    use crate::plan::{ConvShape, Window};

    /// Two layers of one weight each, 2 and 3, of which the second alone is trained.
    #[test]
    fn layers_below_the_lowest_trained_one_are_left_out() -> Result<()> {
        let weight = |value: f64| Var::from_tensor(&Tensor::full(value, (1, 1, 1, 1), &Device::Cpu)?);
        let window = Window::dense((1, 1), 1, 0);
        let shape =
            ConvShape { batch: 1, input: (1, 1), output: (1, 1), channels_in: 1, channels_out: 1, groups: 1, window };
        let (frozen, trained) = (weight(2.0)?.as_detached_tensor(), weight(3.0)?);
        let plans = vec![PlainPlan::convolution(shape, &frozen, None), PlainPlan::convolution(shape, &trained, None)];
        let slots = vec![Slot::default(), Slot::default()];
        let node = PlainNode::<f64> { plans, slots, mode: Mode::Eval, tracked: true, saved: Kept::default() };
        node.forward(&[5.0])?;
        for (wanted, layers, dx) in [(false, 1, None), (true, 2, Some(vec![6.0]))] {
            let mut found = Found::new();
            let got = node.backward(&[5.0], &[1.0], wanted, &mut found)?.map(Values::into_vec);
            assert_eq!((got, found.len()), (dx, layers));
            let of_second = found[0].1[0].as_ref().ok_or_else(|| candle_core::Error::msg("no gradient"))?;
            assert_eq!(of_second.to_dtype(DType::F64)?.flatten_all()?.to_vec1::<f64>()?, [10.0]);
        }
        Ok(())
    }
}
