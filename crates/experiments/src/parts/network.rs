//! The interface between the training loop and an image network.

use std::fmt::Debug;

use candle_core::{DType, Tensor, Var};
use lookahead_models::{Pass, ResNet, Result, SpeedNet};

/// A network that classifies images.
pub trait Network: Debug {
    /// Logits (N, classes) of images (N, 3, H, W).
    ///
    /// # Errors
    /// Images of another shape, dtype or device.
    fn forward(&self, images: &Tensor, pass: Pass) -> Result<Tensor>;

    /// The trained parameters, sorted by name.
    fn parameters(&self) -> Vec<(String, Var)>;

    /// Tensors that are saved but not trained, such as running statistics, sorted by name.
    fn buffers(&self) -> Vec<(String, Var)>;

    /// Parameters and buffers, sorted by name. The tensors are not copies.
    fn state(&self) -> Vec<(String, Tensor)>;

    /// The dtype of its images.
    fn dtype(&self) -> DType;
}

/// Forwards to the inherent methods with the same names.
macro_rules! networks {
    ($($network:ty),*) => {$(
        impl Network for $network {
            fn forward(&self, images: &Tensor, pass: Pass) -> Result<Tensor> {
                self.forward(images, pass)
            }

            fn parameters(&self) -> Vec<(String, Var)> {
                self.parameters()
            }

            fn buffers(&self) -> Vec<(String, Var)> {
                self.buffers()
            }

            fn state(&self) -> Vec<(String, Tensor)> {
                self.state()
            }

            fn dtype(&self) -> DType {
                self.dtype()
            }
        }
    )*};
}
networks!(ResNet, SpeedNet);
