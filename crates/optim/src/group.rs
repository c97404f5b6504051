//! Parameter groups: parameters with their own learning rate or decay.

use crate::error::not_negative;
use crate::parameter::Parameter;
use crate::{Error, Result};

/// A set of parameters with its own scales. If several groups match a parameter, the first applies.
///
/// | field | default | meaning | range |
/// | --- | --- | --- | --- |
/// | `select` | - | which parameters | |
/// | `learning_rate_scale` | 1 | multiplies the learning rate, scheduled or not | `[0, inf)` |
/// | `weight_decay_scale` | 1 | multiplies the decay; 0 disables it | `[0, inf)` |
///
/// ```
/// use lookahead_optim::{Group, SgdConfig, WeightDecay};
///
/// // No decay on biases and batch norm, and the classifier learns ten times as fast: its bias is in both sets, so it comes first.
/// let bias = Group { learning_rate_scale: 10.0, weight_decay_scale: 0.0, ..Group::named("fc.bias") };
/// let classifier = Group { learning_rate_scale: 10.0, ..Group::named("fc.*") };
/// let config = SgdConfig {
///     weight_decay: WeightDecay::L2(5e-4),
///     groups: vec![bias, classifier, Group::no_decay_on_vectors()],
///     ..SgdConfig::default()
/// };
/// # let _ = config;
/// ```
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct Group {
    /// The parameters of the group.
    pub select: Select,
    /// Multiplies the learning rate.
    #[cfg_attr(feature = "serde", serde(default = "one"))]
    pub learning_rate_scale: f64,
    /// Multiplies the weight decay.
    #[cfg_attr(feature = "serde", serde(default = "one"))]
    pub weight_decay_scale: f64,
}

/// Selects the parameters of a [`Group`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum Select {
    /// Parameters whose whole name matches a pattern: `*` matches any text (dots too), `?` one character.
    Name(String),
    /// Parameters of rank 0 or 1: biases and the scales and shifts of normalisation layers, whatever their names.
    Vectors,
}

/// The scale of a group that omits it.
#[cfg(feature = "serde")]
fn one() -> f64 {
    1.0
}

impl Group {
    /// All parameters of rank 0 or 1, without decay: biases and batch norm.
    pub fn no_decay_on_vectors() -> Self {
        Self { select: Select::Vectors, learning_rate_scale: 1.0, weight_decay_scale: 0.0 }
    }

    /// The parameters whose name matches `pattern`, with scales of 1.
    pub fn named(pattern: impl Into<String>) -> Self {
        Self { select: Select::Name(pattern.into()), learning_rate_scale: 1.0, weight_decay_scale: 1.0 }
    }

    pub(crate) fn validate(&self) -> Result<()> {
        not_negative("learning_rate_scale", self.learning_rate_scale)?;
        not_negative("weight_decay_scale", self.weight_decay_scale)
    }

    fn holds(&self, parameter: &Parameter) -> bool {
        match &self.select {
            Select::Name(pattern) => selects(pattern, parameter.name()),
            Select::Vectors => parameter.var().rank() <= 1,
        }
    }
}

/// The scales of one parameter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scales {
    /// Multiplies the learning rate.
    pub learning_rate: f64,
    /// Multiplies the weight decay.
    pub weight_decay: f64,
}

/// The scales of every parameter. The groups have been validated.
///
/// A pattern that matches nothing is an error, since it is probably misspelt. `searched` says what one of the `parameters` is.
pub(crate) fn scales(groups: &[Group], parameters: &[Parameter], searched: &'static str) -> Result<Vec<Scales>> {
    for group in groups {
        if let Select::Name(pattern) = &group.select
            && !parameters.is_empty()
            && !parameters.iter().any(|p| group.holds(p))
        {
            return Err(Error::UnmatchedGroup { pattern: pattern.clone(), searched });
        }
    }
    Ok(parameters
        .iter()
        .map(|parameter| match groups.iter().find(|group| group.holds(parameter)) {
            Some(g) => Scales { learning_rate: g.learning_rate_scale, weight_decay: g.weight_decay_scale },
            None => Scales { learning_rate: 1.0, weight_decay: 1.0 },
        })
        .collect())
}

/// Whether a pattern of [`Select::Name`] matches a name.
pub(crate) fn selects(pattern: &str, name: &str) -> bool {
    let characters = |text: &str| text.chars().collect::<Vec<_>>();
    matches(&characters(pattern), &characters(name))
}

/// Glob matching in O(pattern * text): on a mismatch, the last `*` takes one more character.
fn matches(pattern: &[char], text: &[char]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut retry = None;
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                retry = Some((p, t));
                p += 1;
            }
            Some(&c) if c == '?' || c == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match retry {
                Some((star, from)) => {
                    retry = Some((star, from + 1));
                    p = star + 1;
                    t = from + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|&c| c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{Device, Var};

    #[test]
    fn patterns_match_whole_names() {
        for (pattern, text, expected) in [
            ("fc.*", "fc.weight", true),
            ("fc.*", "layer1.fc.weight", false),
            ("*.bn?.*", "layer1.0.bn2.bias", true),
            ("*.bn?.*", "layer1.0.conv2.bias", false),
            ("*bias", "a.bias.bias", true),
            ("*", "", true),
            ("?", "", false),
            ("a*b*c", "a1b2b3c", true),
            ("a*b*c", "a1b2b3", false),
            ("?.weight", "é.weight", true),
        ] {
            assert_eq!(selects(pattern, text), expected, "{pattern} on {text}");
        }
    }

    #[test]
    fn the_first_group_that_matches_applies() {
        let var = |dims: &[usize]| Var::zeros(dims, candle_core::DType::F32, &Device::Cpu).unwrap();
        let named = [
            ("conv.weight", var(&[2, 2])),
            ("fc.bias", var(&[2])),
            ("fc.weight", var(&[2, 2])),
            ("norm.bias", var(&[2])),
        ];
        let classifier = Group { learning_rate_scale: 10.0, ..Group::named("fc.*") };
        let bias = Group { weight_decay_scale: 0.0, select: Select::Name("fc.bias".into()), ..classifier.clone() };
        let found =
            scales(&[bias, classifier, Group::no_decay_on_vectors()], &Parameter::list(named).unwrap(), "parameter")
                .unwrap();
        let found: Vec<_> = found.iter().map(|scales| (scales.learning_rate, scales.weight_decay)).collect();
        assert_eq!(found, [(1.0, 1.0), (10.0, 0.0), (10.0, 1.0), (1.0, 0.0)]);
    }
}
