//! Choice between the elements of two tensors.

use candle_core::{Result, Tensor};

/// `yes` where `condition` is not 0, else `no`; all of one shape.
///
/// Like `where_cond`, but also for scalars on a GPU: candle uploads the shape there, and the scalar's is empty.
pub(crate) fn select(condition: &Tensor, yes: &Tensor, no: &Tensor) -> Result<Tensor> {
    if no.rank() > 0 {
        return condition.where_cond(yes, no);
    }
    condition.reshape(1)?.where_cond(&yes.reshape(1)?, &no.reshape(1)?)?.reshape(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn scalars_keep_their_shape() {
        let number = |x: f64| Tensor::new(x, &Device::Cpu).unwrap();
        let larger = |a: f64, b: f64| select(&number(a).gt(&number(b)).unwrap(), &number(a), &number(b)).unwrap();
        for (a, b) in [(1.0, 2.0), (2.0, 1.0)] {
            assert_eq!((larger(a, b).rank(), larger(a, b).to_scalar::<f64>().unwrap()), (0, 2.0));
        }
        assert_eq!(larger(f64::NAN, 3.0).to_scalar::<f64>().unwrap(), 3.0);
    }
}
