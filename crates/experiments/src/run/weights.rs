//! The digest of weights.

use candle_core::{DType, Tensor};
use lookahead_runs::digest::hexadecimal;
use sha2::{Digest, Sha256};

/// The digest of named tensors in the order of their names, over the name, shape and values (f32, little-endian) of
/// each.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use lookahead_experiments::weights_digest;
/// let one = |x: f32| Tensor::new(&[x], &Device::Cpu);
/// let forward = weights_digest(&[("a".into(), one(1.0)?), ("b".into(), one(2.0)?)])?;
/// let backward = weights_digest(&[("b".into(), one(2.0)?), ("a".into(), one(1.0)?)])?;
/// assert_eq!(forward, backward);
/// assert_ne!(forward, weights_digest(&[("a".into(), one(1.0)?), ("b".into(), one(2.5)?)])?);
/// # Ok::<(), candle_core::Error>(())
/// ```
///
/// # Errors
/// Errors of reading a tensor from its device.
pub fn weights_digest(tensors: &[(String, Tensor)]) -> candle_core::Result<String> {
    let mut sorted: Vec<_> = tensors.iter().collect();
    sorted.sort_by_key(|(name, _)| name);
    let mut hasher = Sha256::new();
    for (name, tensor) in sorted {
        hasher.update(format!("{name}\0{:?}\0", tensor.dims()));
        let values = tensor.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?;
        let mut bytes = Vec::with_capacity(values.len() * 4);
        values.iter().for_each(|value| bytes.extend_from_slice(&value.to_le_bytes()));
        hasher.update(&bytes);
    }
    Ok(hexadecimal(&hasher.finalize()))
}
