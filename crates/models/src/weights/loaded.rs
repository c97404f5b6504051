//! What a network loaded from named tensors, and what it skipped.

use std::fmt;

use candle_core::DType;

use super::{Naming, mismatch::shortened};

/// Result of [`ResNet::load`](crate::ResNet::load) and its relatives. Its `Display` is one line for a log.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Loaded {
    /// Number of the network's tensors with new values.
    pub tensors: usize,
    /// The naming scheme of the given tensors.
    pub naming: Naming,
    /// Dtypes that were converted to the network's, each once.
    pub converted: Vec<DType>,
    /// Given tensors that were skipped, sorted by their given names: `num_batches_tracked` of PyTorch's batch norms, which count batches
    /// for a changing momentum, and the head if the network keeps its own.
    pub skipped: Vec<String>,
    /// Tensors of the network that were not replaced, sorted: its head after [`load_backbone`](crate::ResNet::load_backbone), otherwise
    /// none.
    pub kept: Vec<String>,
}

impl fmt::Display for Loaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} tensors loaded under the names of {}", self.tensors, self.naming)?;
        if !self.converted.is_empty() {
            let from: Vec<String> = self.converted.iter().map(|dtype| format!("{dtype:?}")).collect();
            write!(f, ", converted from {}", from.join(" and "))?;
        }
        if !self.kept.is_empty() {
            write!(f, "; not replaced: {}", shortened(&self.kept))?;
        }
        let (counters, others): (Vec<_>, Vec<_>) =
            self.skipped.iter().cloned().partition(|name| name.ends_with(super::plan::COUNTER));
        let mut skipped = Vec::new();
        if !counters.is_empty() {
            skipped.push(format!("{} num_batches_tracked", counters.len()));
        }
        if !others.is_empty() {
            skipped.push(shortened(&others));
        }
        if !skipped.is_empty() {
            write!(f, "; skipped: {}", skipped.join(", "))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_says_what_was_done() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_string()).collect::<Vec<_>>();
        let loaded = Loaded {
            tensors: 120,
            naming: Naming::Torchvision,
            converted: vec![DType::F16],
            skipped: names(&["bn1.num_batches_tracked", "fc.bias", "layer1.0.bn1.num_batches_tracked"]),
            kept: names(&["fc.bias", "fc.weight"]),
        };
        assert_eq!(
            loaded.to_string(),
            "120 tensors loaded under the names of torchvision, converted from F16; not replaced: fc.bias, fc.weight; \
             skipped: 2 num_batches_tracked, fc.bias"
        );
    }
}
