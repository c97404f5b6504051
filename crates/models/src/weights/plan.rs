//! Matches given tensors with the network's, before anything changes.

use std::collections::{BTreeMap, BTreeSet};

use candle_core::{DType, Tensor};

use super::{Loaded, Mismatch, Misshapen, Weights, naming::Translation};

/// The name suffix of the batch counters in PyTorch's batch norms.
pub(super) const COUNTER: &str = ".num_batches_tracked";

/// Name prefixes of the last layer: torchvision's, and that of fastai and of [`SpeedNet`](crate::SpeedNet).
const HEADS: [&str; 2] = ["fc.", "head."];

fn of_a_head(name: &str) -> bool {
    HEADS.iter().any(|head| name.starts_with(head))
}

fn float(dtype: DType) -> bool {
    matches!(dtype, DType::F16 | DType::BF16 | DType::F32 | DType::F64)
}

/// Given tensors by the network's names, and the result. `own` are the network's tensors; with `keep_head` its last layer is kept.
pub(crate) fn plan(
    own: &BTreeMap<&str, &Tensor>,
    weights: Weights,
    keep_head: bool,
) -> Result<(BTreeMap<String, Tensor>, Loaded), Mismatch> {
    let translation = Translation::of(weights.tensors.keys().map(String::as_str));
    let mut wanted: BTreeSet<&str> = own.keys().copied().collect();
    let mut kept = Vec::new();
    if keep_head {
        wanted.retain(|name| !of_a_head(name));
        kept = own.keys().filter(|name| of_a_head(name)).map(|name| (*name).to_string()).collect();
    }

    let (mut chosen, mut skipped, mut converted) = (BTreeMap::new(), Vec::new(), Vec::new());
    let mut mismatch = Mismatch::default();
    let mut head_only = own.keys().any(|name| of_a_head(name));
    for (given, tensor) in weights.tensors {
        let name = translation.own(&given);
        let head = of_a_head(&name);
        if name.ends_with(COUNTER) || (keep_head && head) {
            skipped.push(given);
            continue;
        }
        let Some(own) = own.get(name.as_str()).filter(|_| !chosen.contains_key(&name)) else {
            head_only &= head;
            mismatch.unexpected.push(given);
            continue;
        };
        if !float(tensor.dtype()) {
            head_only = false;
            mismatch.not_floats.push((name.clone(), tensor.dtype()));
        } else if tensor.shape() != own.shape() {
            head_only &= head;
            let (expected, got) = (own.dims().to_vec(), tensor.dims().to_vec());
            mismatch.misshapen.push(Misshapen { name: name.clone(), expected, got });
        } else if tensor.dtype() != own.dtype() && !converted.contains(&tensor.dtype()) {
            converted.push(tensor.dtype());
        }
        chosen.insert(name, tensor);
    }
    for name in wanted.into_iter().filter(|name| !chosen.contains_key(*name)) {
        head_only &= of_a_head(name);
        mismatch.missing.push(name.to_string());
    }
    if !mismatch.is_empty() {
        // Sorted by the network's names, whose order may differ from that of the given names.
        mismatch.misshapen.sort_by(|a, b| a.name.cmp(&b.name));
        mismatch.not_floats.sort_by(|a, b| a.0.cmp(&b.0));
        mismatch.head_only = head_only;
        return Err(mismatch);
    }
    let loaded = Loaded { tensors: chosen.len(), naming: translation.naming, converted, skipped, kept };
    Ok((chosen, loaded))
}
