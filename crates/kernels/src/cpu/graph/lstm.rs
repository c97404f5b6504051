//! An LSTM layer as a graph node. It keeps gates and cells; the backward pass computes the gradients of the gates' sums and of the
//! inputs, then those of the weights as one pass of matrix products.
//!
//! A node has one output: the outputs of all steps, followed by the last cell state.

use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor};

use crate::LstmState;
use crate::bundle::{self, Slot};
use crate::cpu::choose::Kernels;
use crate::cpu::element::Element;
use crate::cpu::graph::kept::Kept;
use crate::cpu::graph::pass::on_the_pool;
use crate::cpu::lstm::{Extents, Passed, Window};
use crate::cpu::memory::Buffer;
use crate::cpu::product::column_sums;
use crate::cpu::run;
use crate::cpu::tensors::{elements, tensor, with_elements};
use crate::plan::LstmPlan;

pub(crate) fn lstm<T>(x: &Tensor, plan: LstmPlan) -> Result<(Tensor, LstmState)>
where
    T: Kernels + Element<Accumulator = T>,
{
    let (steps, batch, hidden) = (plan.steps, plan.batch, plan.hidden);
    let (weights, of_weights) = bundle::pair(&plan.layer.weight_ih, &plan.layer.weight_hh)?;
    let (state, of_state) = bundle::pair(&plan.state.hidden, &plan.state.cell)?;
    let mut tokens = vec![weights, state];
    let mut of_biases = None;
    if let Some((ih, hh)) = &plan.layer.biases {
        let (token, slot) = bundle::pair(ih, hh)?;
        tokens.push(token);
        of_biases = Some(slot);
    }
    let parameters = Tensor::cat(&tokens, 0)?;
    let tracked = x.track_op() || parameters.track_op();
    let node = LstmNode::<T> { plan, of_weights, of_state, of_biases, tracked, saved: Kept::default() };
    let all = x.apply_op2(&parameters, node)?;
    let y = all.narrow(0, 0, steps)?;
    let state = |states: &Tensor, step| states.narrow(0, step, 1)?.reshape((batch, hidden));
    let (hidden, cell) = (state(&y, steps - 1)?, state(&all, steps)?);
    Ok((y, LstmState { hidden, cell }))
}

struct LstmNode<T: Kernels> {
    plan: LstmPlan,
    of_weights: Slot,
    of_state: Slot,
    of_biases: Option<Slot>,
    /// Whether a backward pass may follow.
    tracked: bool,
    /// Gates and cells of all steps.
    saved: Kept<(Buffer<T>, Buffer<T>)>,
}

impl<T: Kernels + Element<Accumulator = T>> LstmNode<T> {
    fn extents(&self) -> Extents {
        let LstmPlan { steps, batch, inputs, hidden, .. } = self.plan;
        Extents { steps, batch, inputs, hidden }
    }

    /// Runs `f` on the pool, on the window of `x` and the plan's tensors. The backward pass needs no bias.
    fn with_window<R: Send>(
        &self,
        x: &[T],
        bias: Option<&[T]>,
        f: impl FnOnce(&Window<'_, T>) -> R + Send,
    ) -> Result<R> {
        let LstmPlan { layer, state, .. } = &self.plan;
        with_elements::<T, _>(&layer.weight_ih, |weight_ih| {
            with_elements::<T, _>(&layer.weight_hh, |weight_hh| {
                with_elements::<T, _>(&state.hidden, |hidden| {
                    with_elements::<T, _>(&state.cell, |cell| {
                        let extents = self.extents();
                        let window = Window { extents, x, weight_ih, weight_hh, bias, hidden, cell };
                        Ok(on_the_pool(|| f(&window)))
                    })
                })
            })
        })
    }

    /// The sum of both biases.
    fn bias(&self) -> Result<Option<Vec<T>>> {
        let Some((ih, hh)) = &self.plan.layer.biases else { return Ok(None) };
        with_elements::<T, _>(ih, |ih| {
            with_elements::<T, _>(hh, |hh| Ok(Some(ih.iter().zip(hh).map(|(a, b)| *a + *b).collect())))
        })
    }

    fn forward(&self, x: &[T]) -> Result<Vec<T>> {
        let bias = self.bias()?;
        let (y, gates, cells) = self.with_window(x, bias.as_deref(), run::lstm_forward)?;
        if self.tracked {
            self.saved.set((gates, cells));
        }
        Ok(y)
    }

    /// Returns the gradient of the input and stores all others in their slots.
    fn backward(&self, x: &Tensor, y: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        let Some(saved) = self.saved.get() else { candle_core::bail!("lstm: backward without forward") };
        let (gates, cells) = &*saved;
        let LstmPlan { layer, state, .. } = &self.plan;
        let of_x = x.track_op();
        let of_window = with_elements::<T, _>(&dy.contiguous()?, |dy| {
            let (dy, d_cell) = dy.split_at(cells.len());
            let passed = Passed { gates, cells, dy, d_cell };
            with_elements::<T, _>(x, |x| self.with_window(x, None, |window| run::lstm_backward(window, &passed, of_x)))
        })?;
        let d_hidden = tensor(of_window.hidden, state.hidden.shape());
        self.of_state.put(vec![Some(d_hidden), Some(tensor(of_window.cell, state.cell.shape()))])?;
        self.of_weights.put(self.weight_gradients(x, y, &of_window.gates)?)?;
        if let (Some(slot), Some((ih, hh))) = (&self.of_biases, &layer.biases) {
            let sums = 4 * self.plan.hidden;
            let gradient = tensor(on_the_pool(|| column_sums(&of_window.gates, sums)), sums);
            let of = |bias: &Tensor| bias.track_op().then(|| gradient.clone());
            slot.put(vec![of(ih), of(hh)])?;
        }
        Ok(of_window.x.map(|dx| tensor(dx, x.shape())))
    }

    /// The gradients of the tracked weights: those of the gates' sums times the inputs, and times the state before each step (the first
    /// state, then all outputs but the last).
    fn weight_gradients(&self, x: &Tensor, y: &Tensor, d_gates: &[T]) -> Result<Vec<Option<Tensor>>> {
        let LstmPlan { layer, state, steps, batch, inputs, hidden } = &self.plan;
        let weights = [&layer.weight_ih, &layer.weight_hh];
        let gradients = with_elements::<T, _>(x, |x| {
            with_elements::<T, _>(&state.hidden, |first| {
                with_elements::<T, _>(y, |y| {
                    let all_but_last = &y[..(steps - 1) * batch * hidden];
                    let factors = [([x, &[]], *inputs), ([first, all_but_last], *hidden)];
                    let wanted: Vec<_> =
                        weights.iter().zip(factors).filter(|(weight, _)| weight.track_op()).map(|(_, f)| f).collect();
                    let extents = (4 * hidden, steps * batch);
                    Ok(on_the_pool(|| run::product_of_columns(extents, d_gates, &wanted)))
                })
            })
        })?;
        let mut gradients = gradients.into_iter();
        let of = |weight: &Tensor| -> Option<Tensor> {
            let gradient = if weight.track_op() { gradients.next() } else { None };
            gradient.map(|gradient| tensor(gradient, weight.shape()))
        };
        Ok(weights.map(of).into())
    }
}

impl<T: Kernels + Element<Accumulator = T>> CustomOp2 for LstmNode<T> {
    fn name(&self) -> &'static str {
        "lstm"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        let y = self.forward(elements::<T>(x, layout)?)?;
        Ok((T::to_cpu_storage_owned(y), (self.plan.steps + 1, self.plan.batch, self.plan.hidden).into()))
    }

    fn bwd(&self, x: &Tensor, token: &Tensor, y: &Tensor, dy: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        Ok((self.backward(x, y, dy)?, bundle::gradient(token)))
    }
}
