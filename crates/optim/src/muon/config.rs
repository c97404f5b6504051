//! Muon's settings.

use super::NewtonSchulz;
use crate::error::{below_one, not_negative, positive};
use crate::group::Select;
use crate::rule::{Rule, from_learning_rate};
use crate::{AdamWConfig, Error, Gradients, Group, Result, WeightDecay};

/// Hyper-parameters of [`Muon`](super::Muon).
///
/// Each parameter of rank 2 or more is treated as a matrix, its first dimension by all others together, and updated by
///
/// ```text
/// g <- g + decay * w   (L2)                     w <- w * (1 - lr * decay)   (decoupled)
/// m <- momentum * m + (1 - momentum) * g
/// u = m, or (1 - momentum) * g + momentum * m   (Nesterov)
/// w <- w - lr * scale * orthogonal(u)
/// ```
///
/// where `orthogonal` brings the singular values near 1 ([`NewtonSchulz`]) and `scale` depends on the shape ([`StepScale`]). The other
/// parameters (biases, scales and shifts of normalisation layers) go to [`AdamW`](crate::AdamW).
///
/// | field | default | meaning | range |
/// | --- | --- | --- | --- |
/// | `learning_rate` | 1e-3 | step length of the matrices; a schedule may reach 0 | `(0, inf)` |
/// | `momentum` | 0.95 | decay rate of the average; set by a momentum schedule | `[0, 1)` |
/// | `nesterov` | true | look ahead by one application of the momentum | |
/// | `newton_schulz` | five steps | [`NewtonSchulz`] | |
/// | `step_scale` | `Original` | [`StepScale`] | |
/// | `weight_decay` | `Decoupled(0.1)` | [`WeightDecay`] of the matrices | |
/// | `left_to_adamw` | none | names of matrices for AdamW, patterns as in [`Select::Name`](crate::parameter::Select::Name); Muon's author advises embeddings and the classifier | |
/// | `adamw` | AdamW's | [`AdamWConfig`] of the other parameters; under a schedule its learning rate stays in proportion to Muon's, which saved state holds | |
/// | `groups` | none | [`Group`]s of matrices with other scales; those of the other parameters are `adamw.groups` | by name |
/// | `gradients` | as they are | [`Gradients`]: clipping by the norm of all parameters together, check | |
///
/// Arithmetic and defaults match `torch.optim.Muon`, with two differences. PyTorch rounds to bf16 inside `orthogonal`; this computes in f32
/// (f64 for f64 weights). PyTorch refuses parameters that are not of rank 2; this flattens the filters of convolutions, as Muon's author
/// does. To leave them to AdamW, name them in `left_to_adamw`.
///
/// # References
/// Jordan, Jin, Boza, You, Cesista, Newhouse, Bernstein: *Muon: An optimizer for hidden layers in neural networks*, 2024,
/// <https://kellerjordan.github.io/posts/muon/>.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct MuonConfig {
    /// Step length of the matrices.
    pub learning_rate: f64,
    /// Decay rate of the average.
    pub momentum: f64,
    /// Look ahead by one application of the momentum.
    pub nesterov: bool,
    /// The iteration.
    pub newton_schulz: NewtonSchulz,
    /// How steps depend on the shape.
    #[doc(alias = "adjust_lr_fn")]
    pub step_scale: StepScale,
    /// Weight decay of the matrices.
    pub weight_decay: WeightDecay,
    /// Matrices for AdamW.
    pub left_to_adamw: Vec<String>,
    /// AdamW's settings for the other parameters.
    pub adamw: AdamWConfig,
    /// Groups of matrices, by name, with their own scales.
    pub groups: Vec<Group>,
    /// Gradient clipping and checks.
    pub gradients: Gradients,
}

impl Default for MuonConfig {
    fn default() -> Self {
        Self {
            learning_rate: 1e-3,
            momentum: 0.95,
            nesterov: true,
            newton_schulz: NewtonSchulz::default(),
            step_scale: StepScale::default(),
            weight_decay: WeightDecay::Decoupled(0.1),
            left_to_adamw: Vec::new(),
            adamw: AdamWConfig::default(),
            groups: Vec::new(),
            gradients: Gradients::default(),
        }
    }
}

from_learning_rate!(MuonConfig);

/// The factor that [`Muon`](super::Muon) applies to the step of a matrix of `rows` and `columns`; torch's `adjust_lr_fn`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum StepScale {
    /// `sqrt(max(1, rows / columns))`.
    #[default]
    Original,
    /// `0.2 * sqrt(max(rows, columns))`: steps of AdamW's size, for AdamW's learning rates and decay.
    #[cfg_attr(feature = "serde", serde(rename = "match-rms-adamw"))]
    MatchRmsAdamW,
    /// `sqrt(rows / columns)`.
    SpectralUnclamped,
}

impl StepScale {
    pub(super) fn of(self, rows: usize, columns: usize) -> f64 {
        let (rows, columns) = (rows as f64, columns as f64);
        match self {
            Self::Original => (rows / columns).max(1.0).sqrt(),
            Self::MatchRmsAdamW => 0.2 * rows.max(columns).sqrt(),
            Self::SpectralUnclamped => (rows / columns).sqrt(),
        }
    }
}

impl MuonConfig {
    /// The learning rate of the matrices.
    pub fn learning_rate(&self) -> f64 {
        self.learning_rate
    }

    /// Sets the learning rate of the matrices, and AdamW's in proportion; if Muon's was 0, AdamW's stays. A rate of 0 therefore makes
    /// AdamW's 0 for good; [`Muon`](super::Muon) itself keeps the proportion it was built with.
    pub fn set_learning_rate(&mut self, learning_rate: f64) {
        if self.learning_rate > 0.0 {
            self.adamw.learning_rate *= learning_rate / self.learning_rate;
        }
        self.learning_rate = learning_rate;
    }

    /// Checks the settings, as [`Muon::new`](super::Muon::new) does.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for the first field out of range; [`Error::VectorsAmongMatrices`] for a group of vectors in `groups`.
    pub fn validate(&self) -> Result<()> {
        // AdamW's rate is a multiple of it.
        positive("learning_rate", self.learning_rate)?;
        below_one("momentum", self.momentum)?;
        if self.groups.iter().any(|group| group.select == Select::Vectors) {
            return Err(Error::VectorsAmongMatrices);
        }
        self.newton_schulz.validate()?;
        self.weight_decay.validate()?;
        self.gradients.validate()?;
        self.groups.iter().try_for_each(Group::validate)?;
        not_negative("adamw.learning_rate", self.adamw.learning_rate)?;
        self.adamw.validate()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Muon;
    use candle_core::{Device, Var};

    #[test]
    fn adamw_stays_in_proportion_and_the_configuration_shows_it() {
        let vars =
            || [("a", Var::new(&[[1f32]], &Device::Cpu).unwrap()), ("b", Var::new(&[1f32], &Device::Cpu).unwrap())];
        let adamw = AdamWConfig { learning_rate: 0.25, ..AdamWConfig::default() };
        let mut muon = Muon::new(vars(), MuonConfig { learning_rate: 0.5, adamw, ..MuonConfig::default() }).unwrap();
        for (rate, expected) in [(0.0, 0.0), (1.0, 0.5)] {
            muon.set_learning_rate(rate);
            assert_eq!((muon.config().adamw.learning_rate, muon.rest().unwrap().learning_rate()), (expected, expected));
        }
        // The proportion is loaded with the rates.
        let mut other = Muon::new(vars(), 0.1).unwrap();
        crate::Optimizer::load_state(&mut other, &crate::Optimizer::state(&muon).unwrap()).unwrap();
        assert_eq!((other.config().learning_rate, other.config().adamw.learning_rate), (1.0, 0.5));
        other.set_learning_rate(0.25);
        assert_eq!(other.rest().unwrap().learning_rate(), 0.125);
        // To 0 there is none.
        let error = Muon::new(vars(), 0.0).unwrap_err().to_string();
        assert_eq!(error, "learning_rate should be in (0, inf), but is 0");
    }

    /// `weight` is a matrix; `bias` and `embedding` are AdamW's.
    #[test]
    fn groups_say_what_they_select_from() {
        let refused = |groups: Vec<Group>, of_adamw: Vec<Group>| {
            let var = |dims: &[usize]| Var::zeros(dims, candle_core::DType::F32, &Device::Cpu).unwrap();
            let named = [("bias", var(&[2])), ("embedding", var(&[3, 2])), ("weight", var(&[2, 2]))];
            let adamw = AdamWConfig { groups: of_adamw, ..AdamWConfig::default() };
            let left_to_adamw = vec!["embedding".to_owned()];
            let config = MuonConfig { groups, adamw, left_to_adamw, ..MuonConfig::default() };
            Muon::new(named, config).err().map(|error| error.to_string())
        };
        let vectors = Group::no_decay_on_vectors;
        assert_eq!(refused(vec![Group::named("weight")], vec![Group::named("embedding"), vectors()]), None);
        let error = refused(vec![vectors()], vec![]).unwrap();
        assert!(error.ends_with("put the group of vectors into `adamw.groups`"), "{error}");
        for name in ["bias", "embedding"] {
            assert_eq!(
                refused(vec![Group::named(name)], vec![]).unwrap(),
                format!(
                    "the group pattern `{name}` matches no matrix of Muon's; the other parameters have `adamw.groups`"
                )
            );
        }
        assert_eq!(
            refused(vec![], vec![Group::named("weight")]).unwrap(),
            "the group pattern `weight` matches no parameter of AdamW's; Muon's matrices have `groups`"
        );
    }
}
