//! A linear layer, alone and followed by the loss. Parameter gradients are computed in their final layout.

use std::marker::PhantomData;

use candle_core::{CpuStorage, CustomOp2, DType, Layout, Result, Shape, Tensor, WithDType};

use crate::bundle::{self, Slot};
use crate::cpu::choose::Kernels;
use crate::cpu::cross_entropy::{Row, Targets};
use crate::cpu::element::Element;
use crate::cpu::graph::kept::Kept;
use crate::cpu::graph::pass::on_the_pool;
use crate::cpu::memory::{Place, Values};
use crate::cpu::product::{Order, ProductShape, column_sums, mask_in_place};
use crate::cpu::run;
use crate::cpu::tensors::{elements, indices, tensor, with_elements};

pub(crate) fn linear<T>(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor>
where
    T: Kernels + Element<Accumulator = T>,
{
    let (token, layer) = Layer::new(weight, bias)?;
    x.apply_op2(&token, Linear::<T> { layer, element: PhantomData })
}

/// `op` is the function that was called, for messages.
pub(crate) fn linear_cross_entropy<T>(
    op: &'static str,
    x: &Tensor,
    mask: Option<&Tensor>,
    (weight, bias): (&Tensor, Option<&Tensor>),
    targets: &Tensor,
    smoothing: f64,
) -> crate::Result<Tensor>
where
    T: Kernels + Element<Accumulator = T>,
{
    let classes = weight.dims()[0];
    let numbers = indices(op, "targets", targets, classes, "below the number of classes")?;
    let (token, layer) = Layer::new(weight, bias)?;
    let (tracked, mask) = (x.track_op() || token.track_op(), mask.cloned());
    let node = LinearCrossEntropy::<T> { layer, mask, classes: numbers, smoothing, tracked, saved: Kept::default() };
    Ok(x.apply_op2(&token, node)?)
}

/// The parameters, and where their gradients go.
struct Layer {
    weight: Tensor,
    bias: Option<Tensor>,
    slot: Slot,
}

impl Layer {
    fn new(weight: &Tensor, bias: Option<&Tensor>) -> Result<(Tensor, Self)> {
        let (token, slot) = bundle::pair(weight, bias.unwrap_or(weight))?;
        Ok((token, Self { weight: weight.clone(), bias: bias.cloned(), slot }))
    }

    /// Rows in, inputs and outputs.
    fn shape(&self, elements: usize) -> ProductShape {
        let (columns, inner) = (self.weight.dims()[0], self.weight.dims()[1]);
        ProductShape { rows: elements / inner, inner, columns }
    }

    fn forward<T>(&self, x: &[T], place: Place) -> Result<Values<T>>
    where
        T: Kernels + Element<Accumulator = T>,
    {
        let shape = self.shape(x.len());
        let product = |weight: &[T], bias: Option<&[T]>| {
            on_the_pool(|| run::product(shape, (x, weight, Order::Columns), bias, place))
        };
        with_elements::<T, _>(&self.weight, |weight| match &self.bias {
            Some(bias) => with_elements::<T, _>(bias, |bias| Ok(product(weight, Some(bias)))),
            None => Ok(product(weight, None)),
        })
    }

    /// Returns the gradient of the input, if it is wanted, and stores those of the parameters in the slot.
    fn backward<T>(&self, x: &[T], of_x: bool, dy: &[T]) -> Result<Option<Vec<T>>>
    where
        T: Kernels + Element<Accumulator = T>,
    {
        let ProductShape { rows, inner, columns } = self.shape(x.len());
        let dx = match of_x {
            true => Some(with_elements::<T, _>(&self.weight, |weight| {
                let shape = ProductShape { rows, inner: columns, columns: inner };
                let product = || run::product(shape, (dy, weight, Order::Rows), None, Place::Tensor);
                Ok(on_the_pool(product).into_vec())
            })?),
            false => None,
        };
        let weight = match self.weight.track_op() {
            true => {
                let mut gradients = on_the_pool(|| run::product_of_columns((columns, rows), dy, &[([x, &[]], inner)]));
                gradients.pop().map(|gradient| tensor(gradient, self.weight.shape()))
            }
            false => None,
        };
        let bias = self.bias.as_ref().filter(|bias| bias.track_op());
        let bias = bias.map(|_| tensor(on_the_pool(|| column_sums(dy, columns)), columns));
        self.slot.put(vec![weight, bias])?;
        Ok(dx)
    }
}

struct Linear<T> {
    layer: Layer,
    element: PhantomData<fn() -> T>,
}

impl<T: Kernels + Element<Accumulator = T>> CustomOp2 for Linear<T> {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        let y = self.layer.forward(elements::<T>(x, layout)?, Place::Tensor)?.into_vec();
        let mut shape = layout.shape().dims().to_vec();
        if let Some(last) = shape.last_mut() {
            *last = self.layer.weight.dims()[0];
        }
        Ok((T::to_cpu_storage_owned(y), shape.into()))
    }

    fn bwd(&self, x: &Tensor, token: &Tensor, _: &Tensor, dy: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let dx = with_elements::<T, _>(&dy.contiguous()?, |dy| {
            with_elements::<T, _>(x, |values| self.layer.backward(values, x.track_op(), dy))
        })?;
        Ok((dx.map(|dx| tensor(dx, x.shape())), bundle::gradient(token)))
    }
}

struct LinearCrossEntropy<T: Kernels> {
    layer: Layer,
    mask: Option<Tensor>,
    classes: Vec<u32>,
    smoothing: f64,
    /// Whether a backward pass may follow.
    tracked: bool,
    saved: Kept<Saved<T>>,
}

struct Saved<T: Kernels> {
    /// The input times the mask, if there is one.
    dropped: Option<Values<T>>,
    logits: Values<T>,
    /// The loss's results for each row.
    rows: Vec<Row>,
}

impl<T: Kernels + Element<Accumulator = T>> CustomOp2 for LinearCrossEntropy<T> {
    fn name(&self) -> &'static str {
        "linear_cross_entropy"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = elements::<T>(x, layout)?;
        let ProductShape { rows: count, columns, .. } = self.layer.shape(x.len());
        let dropped = match &self.mask {
            Some(mask) => {
                Some(with_elements::<T, _>(mask, |mask| Ok(on_the_pool(|| run::masked(x, mask, Place::Workspace))))?)
            }
            None => None,
        };
        let logits = self.layer.forward(dropped.as_deref().unwrap_or(x), Place::Workspace)?;
        let mut rows = vec![Row::EMPTY; count];
        let targets = Targets::Classes(&self.classes);
        on_the_pool(|| T::cross_entropy(&logits, targets, columns, self.smoothing, &mut rows));
        let loss = Row::mean_loss(&rows);
        if self.tracked {
            self.saved.set(Saved { dropped, logits, rows });
        }
        Ok((T::to_cpu_storage_owned(vec![<T as WithDType>::from_f64(loss)]), Shape::from(())))
    }

    fn bwd(&self, x: &Tensor, token: &Tensor, _: &Tensor, dy: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let Some(saved) = self.saved.get() else {
            candle_core::bail!("linear_cross_entropy: backward without forward");
        };
        let Saved { dropped, logits, rows } = &*saved;
        let upstream = dy.to_dtype(DType::F64)?.to_scalar::<f64>()? / rows.len() as f64;
        let (classes, targets) = (self.layer.weight.dims()[0], Targets::Classes(&self.classes));
        let d_logits = on_the_pool(|| {
            run::cross_entropy_backward(logits, targets, classes, self.smoothing, upstream, rows, Place::Workspace)
        });
        let backward = |values: &[T]| self.layer.backward(values, x.track_op(), &d_logits);
        let mut dx = match dropped {
            Some(dropped) => backward(dropped)?,
            None => with_elements::<T, _>(x, backward)?,
        };
        if let (Some(dx), Some(mask)) = (&mut dx, &self.mask) {
            with_elements::<T, _>(mask, |mask| {
                on_the_pool(|| mask_in_place(dx, mask));
                Ok(())
            })?;
        }
        Ok((dx.map(|dx| tensor(dx, x.shape())), bundle::gradient(token)))
    }
}
