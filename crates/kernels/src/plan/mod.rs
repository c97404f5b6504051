//! Checked computations, independent of any device: extents, parameters, and layers built from them.

mod activation;
mod batch_norm;
mod block;
mod lstm;
mod mode;
mod options;
mod plain;
mod row_norm;
mod window;

pub use activation::Activation;
pub(crate) use activation::{TANH_CUBE, TANH_SCALE};
pub use batch_norm::BatchNorm;
pub(crate) use block::{BlockPlan, Input, LayerPlan, NormPlan, Shortcut};
pub use block::{ConvBatchNorm, ResidualBlock};
pub(crate) use lstm::LstmPlan;
pub use lstm::{Lstm, LstmState};
pub use mode::{After, Mode};
pub use options::Conv2dOptions;
pub use plain::PlainLayer;
pub(crate) use plain::PlainPlan;
pub(crate) use row_norm::RowNormPlan;
pub use row_norm::{LayerNorm, RmsNorm};
pub(crate) use window::{ConvShape, PoolShape, Window};
