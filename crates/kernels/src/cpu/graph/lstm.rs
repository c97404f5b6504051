//! An LSTM layer as a graph node. It keeps gates and cells; the backward pass computes the gradients of the gates' sums and of the
//! inputs, then those of the weights as one pass of matrix products.

use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Result, Shape, Tensor};

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
    let (saved, of_cell) = (Kept::default(), Slot::between_nodes());
    let last = LastCell::<T> { shape: (batch, hidden), saved: saved.clone(), of_cell: of_cell.clone() };
    let y = x.apply_op2(
        &parameters,
        LstmNode::<T> { plan, of_weights, of_state, of_biases, of_cell, saved: saved.clone() },
    )?;
    let state = LstmState { hidden: y.narrow(0, steps - 1, 1)?.reshape((batch, hidden))?, cell: y.apply_op1(last)? };
    if !tracked {
        saved.clear();
    }
    Ok((y, state))
}

struct LstmNode<T: Kernels> {
    plan: LstmPlan,
    of_weights: Slot,
    of_state: Slot,
    of_biases: Option<Slot>,
    /// Where the gradient of the last cell state comes from.
    of_cell: Slot,
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
        self.saved.set((gates, cells));
        Ok(y)
    }

    /// Returns the gradient of the input and stores all others in their slots.
    fn backward(&self, x: &Tensor, y: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        let Some(saved) = self.saved.get() else { candle_core::bail!("lstm: backward without forward") };
        let (gates, cells) = &*saved;
        let LstmPlan { layer, state, .. } = &self.plan;
        let of_x = x.track_op();
        let of_window = with_elements::<T, _>(&dy.contiguous()?, |dy| {
            let run = |d_cell: Option<&[T]>| {
                let passed = Passed { gates, cells, dy, d_cell };
                with_elements::<T, _>(x, |x| {
                    self.with_window(x, None, |window| run::lstm_backward(window, &passed, of_x))
                })
            };
            match self.of_cell.take_any().and_then(|mut gradients| gradients.pop().flatten()) {
                Some(d_cell) => with_elements::<T, _>(&d_cell, |d_cell| run(Some(d_cell))),
                None => run(None),
            }
        })?;
        let d_hidden = tensor(of_window.hidden, state.hidden.shape());
        self.of_state.put(vec![Some(d_hidden), Some(tensor(of_window.cell, state.cell.shape()))]);
        self.of_weights.put(self.weight_gradients(x, y, &of_window.gates)?);
        if let (Some(slot), Some((ih, hh))) = (&self.of_biases, &layer.biases) {
            let sums = 4 * self.plan.hidden;
            let gradient = tensor(on_the_pool(|| column_sums(&of_window.gates, sums)), sums);
            let of = |bias: &Tensor| bias.track_op().then(|| gradient.clone());
            slot.put(vec![of(ih), of(hh)]);
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
                    let factors = [([x, &[]], *inputs), ([first, &y[..y.len() - first.len()]], *hidden)];
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
        Ok((T::to_cpu_storage_owned(y), (self.plan.steps, self.plan.batch, self.plan.hidden).into()))
    }

    fn bwd(&self, x: &Tensor, token: &Tensor, y: &Tensor, dy: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        Ok((self.backward(x, y, dy)?, bundle::gradient(token)?))
    }
}

/// The last cell state, as a node after the outputs. It passes its gradient to the layer's node, which candle reaches later.
struct LastCell<T: Kernels> {
    shape: (usize, usize),
    saved: Kept<(Buffer<T>, Buffer<T>)>,
    of_cell: Slot,
}

impl<T: Kernels> CustomOp1 for LastCell<T> {
    fn name(&self) -> &'static str {
        "lstm"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        let Some(saved) = self.saved.get() else { candle_core::bail!("lstm: a cell state without a layer") };
        let cells = &saved.1;
        let last = cells[cells.len() - self.shape.0 * self.shape.1..].to_vec();
        Ok((T::to_cpu_storage_owned(last), self.shape.into()))
    }

    fn bwd(&self, y: &Tensor, _: &Tensor, d_cell: &Tensor) -> Result<Option<Tensor>> {
        self.of_cell.put(vec![Some(d_cell.contiguous()?)]);
        // The cell state does not depend on the outputs, but candle must continue to their node.
        y.zeros_like().map(Some)
    }
}
