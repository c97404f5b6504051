//! A row: an optimizer, and what wraps it.

use lookahead_optim::lookahead::BufferPolicy;
use lookahead_optim::{Average, LookaheadConfig, StatePolicy};
use lookahead_runs::RowId;
use serde::{Deserialize, Serialize};

use super::inner::Inner;

/// One row of a table.
///
/// ```
/// use lookahead_experiments::{Around, Inner, Row};
/// use lookahead_optim::{LookaheadConfig, SgdConfig};
/// let row = Row::lookahead(Inner::Sgd(SgdConfig::default()), LookaheadConfig::default());
/// assert_eq!((row.name.as_str(), row.title.as_str()), ("lookahead-sgd", "Lookahead/SGD"));
/// assert_eq!(row.folder(), "lookahead-sgd-keep");
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// Its name in files, folders and flags: letters, digits, `-` and `_`, and for a study's coordinates `@=.+`. Rows
    /// with the same name differ in their state policy.
    pub name: String,
    /// Its title in tables; by default its name.
    #[serde(default)]
    pub title: String,
    /// The optimizer that makes the steps.
    pub inner: Inner,
    /// What wraps it.
    #[serde(default)]
    pub around: Around,
}

/// What wraps an optimizer.
///
/// In a file: `"nothing"`, the default, or a table with one key: `around = { lookahead = { sync_period = 5 } }`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Around {
    /// The optimizer runs alone.
    #[default]
    Nothing,
    /// Lookahead.
    Lookahead(LookaheadConfig),
    /// Lookahead as in the original project: each sync sets the moments of the inner optimizer to zero but keeps their
    /// step counters. It exists to measure that mistake and is not for training.
    LookaheadMomentsZeroed(LookaheadConfig),
    /// Lookahead whose slow step size falls over the run, from its setting at the start to 0.226 of it at the end:
    /// [`Airbench`](lookahead_optim::schedule::Airbench).
    LookaheadFalling(LookaheadConfig),
    /// An average of the weights, for evaluation only.
    Average(Average),
}

impl Around {
    /// The settings of Lookahead; `None` without Lookahead.
    pub fn lookahead(&self) -> Option<&LookaheadConfig> {
        match self {
            Self::Lookahead(config) | Self::LookaheadMomentsZeroed(config) | Self::LookaheadFalling(config) => {
                Some(config)
            }
            Self::Nothing | Self::Average(_) => None,
        }
    }

    /// The settings of Lookahead, mutable; `None` without Lookahead.
    pub fn lookahead_mut(&mut self) -> Option<&mut LookaheadConfig> {
        match self {
            Self::Lookahead(config) | Self::LookaheadMomentsZeroed(config) | Self::LookaheadFalling(config) => {
                Some(config)
            }
            Self::Nothing | Self::Average(_) => None,
        }
    }

    /// Whether it is Lookahead in form but an exponential average of the weights in effect: after each step, the slow
    /// weights follow the fast ones and pull nothing back. The step size is the average's decay.
    pub(crate) fn is_exponential_average(&self) -> bool {
        self.lookahead().is_some_and(|config| !config.pulls_back && config.sync_period == 1.into())
    }

    /// Checks the settings.
    ///
    /// # Errors
    /// The first setting that is out of range.
    pub fn validate(&self) -> lookahead_optim::Result<()> {
        match self {
            Self::Nothing => Ok(()),
            Self::Lookahead(config) | Self::LookaheadMomentsZeroed(config) | Self::LookaheadFalling(config) => {
                config.validate()
            }
            Self::Average(average) => average.validate(),
        }
    }
}

impl Row {
    /// `inner` alone, under its name.
    pub fn plain(inner: Inner) -> Self {
        Self { name: inner.kind().to_owned(), title: inner.title().to_owned(), inner, around: Around::Nothing }
    }

    /// Lookahead around `inner`.
    pub fn lookahead(inner: Inner, config: LookaheadConfig) -> Self {
        let (name, title) = (format!("lookahead-{}", inner.kind()), format!("Lookahead/{}", inner.title()));
        Self { name, title, inner, around: Around::Lookahead(config) }
    }

    /// An average of the weights of `inner`: the row `polyak`.
    pub fn polyak(inner: Inner, average: Average) -> Self {
        Self { name: "polyak".to_owned(), title: "Polyak".to_owned(), inner, around: Around::Average(average) }
    }

    /// An exponential average of the weights of `inner`: the row `ema`.
    pub fn ema(inner: Inner, decay: f64) -> Self {
        Self::polyak(inner, Average::ema(decay)).named("ema", "EMA")
    }

    /// The same row with another name and title.
    #[must_use]
    pub fn named(self, name: &str, title: &str) -> Self {
        Self { name: name.to_owned(), title: title.to_owned(), ..self }
    }

    /// What happens to the inner state at a sync; `None` without Lookahead, and if the fast weights are not pulled back.
    pub fn state(&self) -> Option<StatePolicy> {
        self.around.lookahead().filter(|config| config.pulls_back).map(|config| config.state_policy)
    }

    /// Whether its Lookahead leaves the path of the inner optimizer as it is: each sync takes all of the way, and what
    /// else a sync may change, state and statistics, stays. The slow weights, which are evaluated, may lag behind.
    pub(crate) fn keeps_inner_path(&self) -> bool {
        let Around::Lookahead(config) = &self.around else { return false };
        config.slow_step_size == 1.0.into()
            && config.pulls_back
            && config.buffer_policy == BufferPolicy::Keep
            && (config.state_policy == StatePolicy::Keep || !self.inner.has_state())
    }

    /// Whether it is Lookahead in form and its inner optimizer in effect, to the bit: it
    /// [keeps the path](Self::keeps_inner_path), and a sync after each step keeps the slow weights from lagging behind.
    pub(crate) fn is_identity(&self) -> bool {
        self.keeps_inner_path() && self.around.lookahead().is_some_and(|config| config.sync_period == 1.into())
    }

    /// The part of a run folder's name that identifies the row: `<name>[-<state>]`.
    pub fn folder(&self) -> String {
        self.id().folder()
    }

    /// The row as a report reads it from a run folder's configuration.
    pub fn id(&self) -> RowId {
        // A valid row can be written as TOML, and the reader looks for rows.
        let rows = toml::Value::try_from([self]).unwrap_or_else(|_| toml::Value::Array(Vec::new()));
        RowId::of_config(&toml::Table::from_iter([("rows".to_owned(), rows)])).unwrap_or_default()
    }
}

/// `rows` with one copy of each Lookahead row for each of `policies`, without duplicates.
pub fn states_of(rows: Vec<Row>, policies: &[StatePolicy]) -> Vec<Row> {
    let mut all: Vec<Row> = Vec::new();
    for row in rows {
        let copies: Vec<Row> = match row.state() {
            None => vec![row],
            Some(_) => policies
                .iter()
                .map(|&policy| {
                    let mut copy = row.clone();
                    if let Some(config) = copy.around.lookahead_mut() {
                        config.state_policy = policy;
                    }
                    copy
                })
                .collect(),
        };
        for copy in copies {
            if !all.contains(&copy) {
                all.push(copy);
            }
        }
    }
    all
}
