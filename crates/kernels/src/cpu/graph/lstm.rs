//! An LSTM layer as a graph node. It keeps gates and cells; the backward pass computes the gradients of the gates' sums, then
//! all other gradients as matrix products.

use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Result, Shape, Tensor};

use crate::LstmState;
use crate::bundle::{self, Slot};
use crate::cpu::choose::Kernels;
use crate::cpu::element::Element;
use crate::cpu::graph::kept::Kept;
use crate::cpu::graph::pass::on_the_pool;
use crate::cpu::lstm::{Extents, Passed, Recurrence};
use crate::cpu::memory::{Buffer, Place, Values};
use crate::cpu::product::{Order, ProductShape, column_sums};
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
    saved: Kept<(Values<T>, Buffer<T>)>,
}

impl<T: Kernels + Element<Accumulator = T>> LstmNode<T> {
    fn extents(&self) -> Extents {
        Extents { steps: self.plan.steps, batch: self.plan.batch, hidden: self.plan.hidden }
    }

    /// Extents of the products: rows of all steps, inputs, sums.
    fn sizes(&self) -> (usize, usize, usize) {
        (self.plan.steps * self.plan.batch, self.plan.inputs, 4 * self.plan.hidden)
    }

    fn with_recurrence<R>(&self, f: impl FnOnce(&Recurrence<'_, T>) -> Result<R>) -> Result<R> {
        with_elements::<T, _>(&self.plan.layer.weight_hh, |weight| {
            with_elements::<T, _>(&self.plan.state.hidden, |hidden| {
                with_elements::<T, _>(&self.plan.state.cell, |cell| {
                    f(&Recurrence { extents: self.extents(), weight, hidden, cell })
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
        let (rows, inner, columns) = self.sizes();
        let shape = ProductShape { rows, inner, columns };
        let bias = self.bias()?;
        let mut gates = with_elements::<T, _>(&self.plan.layer.weight_ih, |weight| {
            let factors = (x, weight, Order::Columns);
            Ok(on_the_pool(|| run::product(shape, factors, bias.as_deref(), Place::Workspace)))
        })?;
        let (y, cells) =
            self.with_recurrence(|recurrence| Ok(on_the_pool(|| run::lstm_forward(recurrence, &mut gates))))?;
        self.saved.set((gates, cells));
        Ok(y)
    }

    /// Returns the gradient of the input and stores all others in their slots.
    fn backward(&self, x: &Tensor, y: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        let Some(saved) = self.saved.get() else { candle_core::bail!("lstm: backward without forward") };
        let (gates, cells) = &*saved;
        let LstmPlan { layer, state, .. } = &self.plan;
        let (rows, inputs, sums) = self.sizes();
        let (d_sums, d_hidden, d_cell) = with_elements::<T, _>(&dy.contiguous()?, |dy| {
            let run = |d_cell: Option<&[T]>| {
                let passed = Passed { gates, cells, dy, d_cell };
                self.with_recurrence(|recurrence| Ok(on_the_pool(|| run::lstm_backward(recurrence, &passed))))
            };
            match self.of_cell.take_any().and_then(|mut gradients| gradients.pop().flatten()) {
                Some(d_cell) => with_elements::<T, _>(&d_cell, |d_cell| run(Some(d_cell))),
                None => run(None),
            }
        })?;
        let (d_hidden, d_cell) = (tensor(d_hidden, state.hidden.shape()), tensor(d_cell, state.cell.shape()));
        self.of_state.put(vec![Some(d_hidden), Some(d_cell)]);

        let weight_gradient = |of: &Tensor, input: &[T]| {
            let shape = ProductShape { rows: sums, inner: rows, columns: of.dims()[1] };
            tensor(on_the_pool(|| run::product_of_columns(shape, &d_sums, input)), of.shape())
        };
        let (ih, hh) = (&layer.weight_ih, &layer.weight_hh);
        let of_ih = match ih.track_op() {
            true => Some(with_elements::<T, _>(x, |x| Ok(weight_gradient(ih, x)))?),
            false => None,
        };
        let of_hh = match hh.track_op() {
            true => Some(weight_gradient(hh, &self.states_before(y)?)),
            false => None,
        };
        self.of_weights.put(vec![of_ih, of_hh]);
        if let (Some(slot), Some((ih, hh))) = (&self.of_biases, &layer.biases) {
            let gradient = tensor(on_the_pool(|| column_sums(&d_sums, sums)), sums);
            let of = |bias: &Tensor| bias.track_op().then(|| gradient.clone());
            slot.put(vec![of(ih), of(hh)]);
        }
        if !x.track_op() {
            return Ok(None);
        }
        let shape = ProductShape { rows, inner: sums, columns: inputs };
        let dx = with_elements::<T, _>(ih, |weight| {
            let factors = (&d_sums[..], weight, Order::Rows);
            Ok(on_the_pool(|| run::product(shape, factors, None, Place::Tensor)))
        })?;
        Ok(Some(tensor(dx.into_vec(), x.shape())))
    }

    /// The recurrent input of each step: the first state, then all outputs but the last.
    fn states_before(&self, y: &Tensor) -> Result<Buffer<T>> {
        let extents = self.extents();
        let (state, all) = (extents.state_len(), extents.states_len());
        let mut before = Buffer::take(all);
        with_elements::<T, _>(&self.plan.state.hidden, |hidden| {
            before[..state].copy_from_slice(hidden);
            Ok(())
        })?;
        with_elements::<T, _>(y, |y| {
            before[state..].copy_from_slice(&y[..all - state]);
            Ok(())
        })?;
        Ok(before)
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
    saved: Kept<(Values<T>, Buffer<T>)>,
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
