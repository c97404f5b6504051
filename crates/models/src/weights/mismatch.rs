//! Differences between given tensors and those of a network.

use std::fmt;

use candle_core::DType;

/// Maximum number of names of a kind in a message.
const SHOWN: usize = 5;

/// The differences between named tensors and those of a network. Each list is sorted by name; at least one is not empty.
///
/// `Display` shows at most five names of a kind and the number of others.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Mismatch {
    /// Names of the network without a given tensor.
    pub missing: Vec<String>,
    /// Given names, as given, that are not the network's or that duplicate one.
    pub unexpected: Vec<String>,
    /// Tensors whose shape differs from the network's.
    pub misshapen: Vec<Misshapen>,
    /// Tensors that are not floating-point with 16, 32 or 64 bits.
    pub not_floats: Vec<(String, DType)>,
    /// Whether only the last layer differs, so that [`ResNet::load_backbone`](crate::ResNet::load_backbone) or
    /// [`SpeedNet::load_backbone`](crate::SpeedNet::load_backbone) would succeed.
    pub head_only: bool,
}

/// A tensor whose shape differs from the network's.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Misshapen {
    /// The network's name for it.
    pub name: String,
    /// The network's shape.
    pub expected: Vec<usize>,
    /// The given shape.
    pub got: Vec<usize>,
}

impl Mismatch {
    pub(crate) fn is_empty(&self) -> bool {
        let Self { missing, unexpected, misshapen, not_floats, head_only: _ } = self;
        missing.is_empty() && unexpected.is_empty() && misshapen.is_empty() && not_floats.is_empty()
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let misshapen: Vec<String> = self
            .misshapen
            .iter()
            .map(|Misshapen { name, expected, got }| format!("{name} is {got:?}, the network's {expected:?}"))
            .collect();
        let not_floats: Vec<String> =
            self.not_floats.iter().map(|(name, dtype)| format!("{name} is {dtype:?}")).collect();
        let kinds = [
            (&self.missing, "missing"),
            (&self.unexpected, "unexpected"),
            (&misshapen, "with another shape"),
            (&not_floats, "not floating-point"),
        ];
        let parts: Vec<String> = kinds
            .into_iter()
            .filter(|(names, _)| !names.is_empty())
            .map(|(names, what)| format!("{} {what} ({})", names.len(), shortened(names)))
            .collect();
        write!(f, "the tensors do not match the network: {}", parts.join("; "))?;
        if self.head_only {
            f.write_str("; only the last layer differs: `load_backbone` loads all others")?;
        }
        Ok(())
    }
}

impl std::error::Error for Mismatch {}

/// The first few of `names`, and the number of others.
pub(super) fn shortened(names: &[String]) -> String {
    let shown = names.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_show_five_names_of_a_kind() {
        let names = |count: usize| (0..count).map(|i| format!("n{i}")).collect::<Vec<_>>();
        let mismatch = Mismatch {
            missing: names(5),
            unexpected: names(7),
            not_floats: vec![("m".to_string(), DType::U8)],
            ..Mismatch::default()
        };
        assert_eq!(
            mismatch.to_string(),
            "the tensors do not match the network: 5 missing (n0, n1, n2, n3, n4); 7 unexpected (n0, n1, n2, n3, n4 and 2 more); \
             1 not floating-point (m is U8)"
        );
    }
}
