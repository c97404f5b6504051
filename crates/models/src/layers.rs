//! The layers with weights: convolution with batch norm, and the linear layer.

use candle_core::{Tensor, Var};
use lookahead_kernels::{After, BatchNorm, ConvBatchNorm, Mode, batch_norm, conv2d_batch_norm};

use crate::{BatchNormConfig, Pass, Result, init::Init, store::StoreBuilder};

/// The variable for a pass: tracked in training, without a graph in evaluation.
pub(crate) fn weight(var: &Var, pass: Pass) -> Tensor {
    match pass {
        Pass::Train { .. } => var.as_tensor().clone(),
        Pass::Eval => var.as_detached_tensor(),
    }
}

pub(crate) fn mode(pass: Pass) -> Mode {
    match pass {
        Pass::Train { .. } => Mode::Train,
        Pass::Eval => Mode::Eval,
    }
}

/// Batch norm over the last dimension: weight 1 and bias 0, running mean 0 and variance 1 at the start.
#[derive(Debug)]
pub(crate) struct Norm {
    weight: Var,
    bias: Var,
    running_mean: Var,
    running_var: Var,
    config: BatchNormConfig,
}

impl Norm {
    pub(crate) fn new(store: &mut StoreBuilder<'_>, name: &str, channels: usize) -> Result<Self> {
        let (zero, one) = (Init::Constant(0.0), Init::Constant(1.0));
        Ok(Self {
            weight: store.parameter(format!("{name}.weight"), &[channels], one)?,
            bias: store.parameter(format!("{name}.bias"), &[channels], zero)?,
            running_mean: store.buffer(format!("{name}.running_mean"), &[channels], zero)?,
            running_var: store.buffer(format!("{name}.running_var"), &[channels], one)?,
            config: store.batch_norm,
        })
    }

    fn kernel(&self, pass: Pass) -> Result<BatchNorm> {
        let (mean, var) = (self.running_mean.clone(), self.running_var.clone());
        let norm = BatchNorm::new(weight(&self.weight, pass), weight(&self.bias, pass), mean, var)?;
        Ok(BatchNorm { momentum: self.config.momentum, eps: self.config.eps, ..norm })
    }

    /// Features (N, C) to the same shape.
    pub(crate) fn forward_features(&self, x: &Tensor, pass: Pass) -> Result<Tensor> {
        let (n, c) = x.dims2()?;
        let x = x.reshape((n, 1, 1, c))?;
        let y = batch_norm(&x, &self.kernel(pass)?, After::Nothing, mode(pass))?;
        Ok(y.reshape((n, c))?)
    }
}

/// A convolution without bias followed by batch norm: one node of the graph.
#[derive(Debug)]
pub(crate) struct ConvNorm {
    weight: Var,
    norm: Norm,
    stride: usize,
    padding: usize,
}

impl ConvNorm {
    /// `shape` is (O, I, Kh, Kw); `conv` and `norm` are the names of the two halves.
    pub(crate) fn new(
        store: &mut StoreBuilder<'_>,
        conv: &str,
        norm: &str,
        shape: [usize; 4],
        stride: usize,
    ) -> Result<Self> {
        Ok(Self {
            weight: store.parameter(format!("{conv}.weight"), &shape, Init::he_fan_out(&shape))?,
            norm: Norm::new(store, norm, shape[0])?,
            stride,
            padding: shape[2] / 2,
        })
    }

    /// The layer in the kernels' form.
    pub(crate) fn kernel(&self, pass: Pass) -> Result<ConvBatchNorm> {
        let (stride, padding) = (self.stride, self.padding);
        Ok(ConvBatchNorm { weight: weight(&self.weight, pass), stride, padding, norm: self.norm.kernel(pass)? })
    }

    /// Activations (N, H, W, I) to (N, ceil(H / stride), ceil(W / stride), O), followed by a relu.
    pub(crate) fn forward_relu(&self, x: &Tensor, pass: Pass) -> Result<Tensor> {
        let ConvBatchNorm { weight, stride, padding, norm } = self.kernel(pass)?;
        Ok(conv2d_batch_norm(x, &weight, stride, padding, &norm, After::Relu, mode(pass))?)
    }
}

/// `x W^T + b`, with PyTorch's shapes: weight (outputs, inputs), bias (outputs).
#[derive(Debug)]
pub(crate) struct Linear {
    weight: Var,
    bias: Var,
}

impl Linear {
    pub(crate) fn new(
        store: &mut StoreBuilder<'_>,
        name: &str,
        [outputs, inputs]: [usize; 2],
        [weight, bias]: [Init; 2],
    ) -> Result<Self> {
        Ok(Self {
            weight: store.parameter(format!("{name}.weight"), &[outputs, inputs], weight)?,
            bias: store.parameter(format!("{name}.bias"), &[outputs], bias)?,
        })
    }

    /// Features (N, inputs) to (N, outputs).
    pub(crate) fn forward(&self, x: &Tensor, pass: Pass) -> Result<Tensor> {
        Ok(x.matmul(&weight(&self.weight, pass).t()?)?.broadcast_add(&weight(&self.bias, pass))?)
    }
}
