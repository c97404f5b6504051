//! Passes parameter gradients directly from the node that computes them to the gradient store.

use std::cell::{Cell, RefCell};
use std::sync::{Mutex, PoisonError};

use candle_core::backprop::GradStore;
use candle_core::{DType, Device, Result, Tensor, Var};

/// Parameters and their gradients in one backward pass.
type Gradients = Vec<(Tensor, Tensor)>;

thread_local! {
    /// Gradients computed so far by this thread's pass inside [`gradients_of`].
    static FORMED: RefCell<Option<Gradients>> = const { RefCell::new(None) };
    /// Whether gradients were computed outside [`gradients_of`], where nothing collects them.
    static LOST: Cell<bool> = const { Cell::new(false) };
}

/// Runs `loss` and its backward pass. Returns the loss and its gradients, which equal those of `loss()?.backward()?`,
/// with less work.
///
/// candle's own backward pass adds each parameter's gradient to a tensor of zeros: three passes over all parameters, and
/// two launches per parameter on a GPU. Operations of this crate that run inside `loss` pass the gradients of variables
/// to the store directly. Everything else, including parameters computed from variables, takes candle's path.
///
/// Use the gradients returned here. A second backward pass of the returned loss is an error.
///
/// # Errors
///
/// Errors of `loss` and of the backward pass.
///
/// ```
/// use candle_core::{Device, Tensor, Var};
/// use lookahead_kernels::{conv2d, gradients_of};
///
/// let x = Tensor::ones((1, 2, 2, 1), candle_core::DType::F32, &Device::Cpu)?;
/// let weight = Var::new(&[[[[3f32]]]], &Device::Cpu)?;
/// let (loss, gradients) = gradients_of(|| conv2d(&x, &weight, 1, 0)?.sum_all())?;
/// assert_eq!(loss.to_scalar::<f32>()?, 12.0);
/// assert_eq!(gradients.get(&weight).unwrap().flatten_all()?.to_vec1::<f32>()?, [4.0]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn gradients_of<E: From<candle_core::Error>>(
    loss: impl FnOnce() -> std::result::Result<Tensor, E>,
) -> std::result::Result<(Tensor, GradStore), E> {
    let pass = Pass { outer: FORMED.replace(Some(Vec::new())) };
    let loss = loss()?;
    let mut store = loss.backward()?;
    let formed = FORMED.take().unwrap_or_default();
    drop(pass);
    for (parameter, gradient) in formed {
        let gradient = match store.remove(&parameter) {
            Some(before) => (before + gradient)?,
            None => gradient,
        };
        store.insert(&parameter, gradient);
    }
    for token in tokens().iter() {
        store.remove(token);
    }
    Ok((loss, store))
}

/// A call of [`gradients_of`], ended when dropped; calls may be nested.
struct Pass {
    outer: Option<Gradients>,
}

impl Drop for Pass {
    fn drop(&mut self) {
        FORMED.set(self.outer.take());
    }
}

/// The token of a node inside [`gradients_of`] whose parameters are all variables or constants; otherwise `None`.
pub(super) fn token(parameters: &[&Tensor]) -> Result<Option<Tensor>> {
    let inside = FORMED.with(|formed| formed.borrow().is_some());
    let tracked = parameters.iter().any(|parameter| parameter.track_op());
    if !inside || !tracked || parameters.iter().any(|parameter| parameter.track_op() && !parameter.is_variable()) {
        return Ok(None);
    }
    token_on(parameters[0].device()).map(Some)
}

/// Stores the gradients that a node computed for these parameters.
pub(super) fn put(parameters: &[Tensor], gradients: Vec<Option<Tensor>>) {
    FORMED.with(|formed| match formed.borrow_mut().as_mut() {
        Some(formed) => {
            let pairs = parameters.iter().zip(gradients).filter(|(parameter, _)| parameter.track_op());
            formed.extend(pairs.filter_map(|(parameter, gradient)| Some((parameter.clone(), gradient?))));
        }
        None => LOST.set(true),
    });
}

/// Fails if [`put`] was called outside [`gradients_of`].
pub(super) fn require_taken() -> Result<()> {
    if LOST.take() {
        candle_core::bail!(
            "lookahead-kernels: a loss computed inside gradients_of cannot be differentiated again: use the gradients it returned"
        );
    }
    Ok(())
}

/// A variable holding one zero, shared by all nodes on a device: candle's traversal ends there.
fn token_on(device: &Device) -> Result<Tensor> {
    let mut tokens = tokens();
    if let Some(token) = tokens.iter().find(|token| token.device().same_device(device)) {
        return Ok(token.as_tensor().clone());
    }
    let token = Var::zeros(1, DType::F32, device)?;
    tokens.push(token.clone());
    Ok(token.as_tensor().clone())
}

fn tokens() -> std::sync::MutexGuard<'static, Vec<Var>> {
    static TOKENS: Mutex<Vec<Var>> = Mutex::new(Vec::new());
    TOKENS.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{After, BatchNorm, ConvBatchNorm, Mode, ResidualBlock, batch_norm, conv2d_batch_norm, residual_blocks};

    fn var(shape: &[usize], seed: usize) -> Result<Var> {
        let numbers = (0..shape.iter().product()).map(|i| ((i * 7 + seed * 5) % 13) as f32 / 6.5 - 0.9);
        Var::from_tensor(&Tensor::from_iter(numbers, &Device::Cpu)?.reshape(shape)?)
    }

    struct Network {
        filters: Var,
        /// Those of a residual block.
        inner: Var,
        scale: Var,
        shift: Var,
        /// A scale is computed from it.
        root: Var,
    }

    impl Network {
        fn new() -> Result<Self> {
            let (filters, inner) = (var(&[4, 3, 3, 3], 1)?, var(&[4, 4, 3, 3], 5)?);
            Ok(Self { filters, inner, scale: var(&[4], 2)?, shift: var(&[4], 3)?, root: var(&[4], 4)? })
        }

        /// Layers and a block that share a shift, and a layer whose scale is no variable.
        fn loss(&self, x: &Tensor) -> crate::Result<Tensor> {
            let norm = |weight: &Tensor| -> crate::Result<BatchNorm> {
                let (mean, one) = (Var::zeros(4, DType::F32, &Device::Cpu)?, Var::ones(4, DType::F32, &Device::Cpu)?);
                BatchNorm::new(weight.clone(), self.shift.as_tensor().clone(), mean, one)
            };
            let y = conv2d_batch_norm(x, &self.filters, 1, 1, &norm(&self.scale)?, After::Relu, Mode::Train)?;
            let y = batch_norm(&y, &norm(&self.scale)?, After::Nothing, Mode::Train)?;
            let inner = self.inner.as_tensor().clone();
            let layer = || -> crate::Result<_> {
                Ok(ConvBatchNorm { weight: inner.clone(), stride: 1, padding: 1, norm: norm(&self.scale)? })
            };
            let block = ResidualBlock { path: vec![layer()?, layer()?], shortcut: None };
            let y = residual_blocks(&y, &[block], Mode::Train)?;
            let y = batch_norm(&y, &norm(&self.root.sqr()?)?, After::Relu, Mode::Train)?;
            Ok((&y * var(y.dims(), 3)?.as_tensor())?.sum_all()?)
        }
    }

    #[test]
    fn gradients_are_those_of_candles_backward_pass() -> crate::Result<()> {
        let (x, network) = (var(&[2, 5, 4, 3], 0)?, Network::new()?);
        let expected = network.loss(&x)?.backward()?;
        let (loss, got) = gradients_of(|| network.loss(&x))?;
        assert_eq!(loss.to_scalar::<f32>()?, network.loss(&x)?.to_scalar::<f32>()?);
        for var in [&x, &network.filters, &network.inner, &network.scale, &network.shift, &network.root] {
            let values = |store: &GradStore| store.get(var).map(|gradient| gradient.flatten_all()?.to_vec1::<f32>());
            let (expected, got) = (values(&expected).transpose()?, values(&got).transpose()?);
            let (Some(expected), Some(got)) = (expected, got) else { panic!("no gradient") };
            // Shared variables add up in another order.
            let close = |(a, b): (&f32, &f32)| (a - b).abs() <= 1e-5 * (1.0 + a.abs());
            assert!(expected.iter().zip(&got).all(close), "{expected:?} {got:?}");
        }
        Ok(())
    }

    #[test]
    fn a_loss_that_is_taken_backward_later_is_an_error() -> crate::Result<()> {
        let (x, network) = (var(&[2, 5, 4, 3], 0)?, Network::new()?);
        let (loss, _) = gradients_of(|| network.loss(&x))?;
        let message = loss.backward().unwrap_err().to_string();
        assert!(message.contains("cannot be differentiated again"), "{message}");
        // An error inside leaves nothing behind.
        let failed = gradients_of(|| Err::<Tensor, _>(candle_core::Error::Msg("no loss".into())));
        assert!(failed.is_err() && network.loss(&x)?.backward().is_ok());
        Ok(())
    }
}
