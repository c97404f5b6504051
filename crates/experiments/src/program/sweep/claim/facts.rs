//! What a study's page says of the study: experiment, data, budgets, axes, identity, origin.

use lookahead_report::counted;
use lookahead_runs::{Environment, RunSummary};

use super::{Claim, Final};
use crate::config::{Around, Config, RunConfig};
use crate::program::origin::origin;

impl Claim<'_> {
    /// The facts, one sentence each.
    pub(super) fn about(&self, finals: &[Final]) -> Vec<String> {
        let file = &self.study.file;
        let list = |seeds: &[u64]| {
            let numbers = seeds.iter().map(u64::to_string).collect::<Vec<_>>().join(", ");
            format!("{} {numbers}", if seeds.len() == 1 { "seed" } else { "seeds" })
        };
        let epochs = distinct(&self.cells.runs, |config| config.train.epochs.to_string());
        let mut facts = vec![format!(
            "Experiment {}, protocol {}, {}, {epochs} {}, batches of {}.",
            file.experiment,
            file.protocol,
            distinct(&self.cells.runs, |config| config.model.name().to_string()),
            if epochs == "1" { "epoch" } else { "epochs" },
            distinct(&self.cells.runs, |config| config.train.batch_size.to_string())
        )];
        if let Some(data) = finals.iter().find_map(|of| of.run.data.as_ref()) {
            facts.push(format!(
                "{}: trained on {} {}, chosen on {} held-out ones, {}.",
                data.name,
                data.train.count,
                data.task.units(),
                data.valid.count,
                match data.test.count {
                    0 => "which also judge the final runs, since there is no test part".to_owned(),
                    count => format!("tested on {count}"),
                }
            ));
        }
        facts.push(format!(
            "{} per row with {}; final runs with {}.",
            counted(self.study.trials, "trial"),
            list(&file.seeds),
            list(&file.final_seeds)
        ));
        for (row, of_row) in file.rows.iter().enumerate() {
            let axes: Vec<String> = self.study.axes(row).iter().map(|(key, axis)| format!("{key} {axis}")).collect();
            facts.push(format!("Tried for {}: {}.", of_row.name(), axes.join("; ")));
        }
        facts.extend(self.identity());
        let of_cells = (0..self.sweep.runs.len()).filter_map(|cell| Environment::read(&self.sweep.path(cell)).ok()?);
        let environments: Vec<Environment> =
            of_cells.chain(finals.iter().filter_map(|of| of.run.environment.clone())).collect();
        facts.push(origin(&environments));
        facts
    }

    /// Whether the identity (a Lookahead that is its inner optimizer) has the weights of its inner optimizer's trial,
    /// if the sweep has both.
    fn identity(&self) -> Option<String> {
        let weights = |run: &RunConfig| {
            let path = self.sweep.folder.join(run.name());
            Some(RunSummary::read(&path).ok()??.weights_sha256)
        };
        let (mut pairs, mut same) = (0, 0);
        for seed in &self.study.file.seeds {
            let runs: Vec<RunConfig> = self.study.settings.iter().map(|setting| setting.run(*seed)).collect();
            for (one, inside) in identities(&runs) {
                if let (Some(ours), Some(theirs)) = (weights(one), weights(inside)) {
                    pairs += 1;
                    same += usize::from(ours == theirs);
                }
            }
        }
        (pairs > 0).then(|| {
            format!(
                "Identity: {same} of {pairs} trials of Lookahead at step size 1 and period 1 equal their inner \
                 optimizer's trial to the bit."
            )
        })
    }
}

/// What the runs have for a setting: one value or, if the rows differ in it, each of them once.
fn distinct(runs: &[RunConfig], of: impl Fn(&Config) -> String) -> String {
    let mut values: Vec<String> = Vec::new();
    for value in runs.iter().map(|run| of(&run.config)) {
        if !values.contains(&value) {
            values.push(value);
        }
    }
    values.join(" or ")
}

/// The runs whose Lookahead is the identity, each with the run of its inner optimizer alone.
fn identities(runs: &[RunConfig]) -> Vec<(&RunConfig, &RunConfig)> {
    let inside = |one: &RunConfig| {
        runs.iter().find(|other| {
            let (ours, theirs) = (&one.config, &other.config);
            other.row.around == Around::Nothing
                && other.row.inner == one.row.inner
                && theirs.train == ours.train
                && theirs.schedule == ours.schedule
                && theirs.data == ours.data
                && theirs.model == ours.model
        })
    };
    runs.iter().filter(|run| run.row.is_identity()).filter_map(|run| Some((run, inside(run)?))).collect()
}

#[cfg(test)]
mod tests {
    use lookahead_optim::{LookaheadConfig, Momentum, SgdConfig, StatePolicy};

    use super::*;
    use crate::config::{Experiment, Inner, Protocol, Row, ScheduleConfig};

    fn run(row: Row) -> RunConfig {
        RunConfig { config: Config::for_protocol(Experiment::Demo, Protocol::Quick), row, seed: 1 }
    }

    /// As if batch and epochs were axes.
    #[test]
    fn settings_in_which_rows_differ_are_listed() {
        let mut runs = [8, 16, 8].map(|batch_size| {
            let mut run = run(Row::plain(Inner::Sgd(SgdConfig::default())));
            run.config.train.batch_size = batch_size;
            run
        });
        let batches = |runs: &[RunConfig]| distinct(runs, |config| config.train.batch_size.to_string());
        assert_eq!(batches(&runs), "8 or 16");
        runs[1].config.train.batch_size = 8;
        assert_eq!(batches(&runs), "8");
    }

    #[test]
    fn only_what_must_be_the_inner_optimizer_is_compared_with_it() {
        let sgd = |momentum| Inner::Sgd(SgdConfig { momentum, ..SgdConfig::default() });
        let (heavy, light) = (sgd(Momentum::nesterov(0.9)), sgd(Momentum::None));
        let identity =
            LookaheadConfig { sync_period: 1.into(), slow_step_size: 1.0.into(), ..LookaheadConfig::default() };
        let reset = LookaheadConfig { state_policy: StatePolicy::Reset, ..identity.clone() };
        let plain = [&heavy, &light].map(|inner| run(Row::plain(inner.clone())));
        let count = |one: RunConfig| identities(&[&plain[..], &[one]].concat()).len();
        let around = |inner: &Inner, config: &LookaheadConfig| run(Row::lookahead(inner.clone(), config.clone()));
        assert_eq!(count(around(&heavy, &identity)), 1);
        assert_eq!(count(around(&light, &reset)), 1, "there is no state to reset");
        for config in [
            reset,
            LookaheadConfig { sync_period: 5.into(), ..identity.clone() },
            LookaheadConfig { slow_step_size: 0.5.into(), ..identity.clone() },
            LookaheadConfig { pulls_back: false, ..identity.clone() },
        ] {
            assert_eq!(count(around(&heavy, &config)), 0, "{config:?}");
        }
        let slower = LookaheadConfig { sync_period: 5.into(), ..identity.clone() };
        assert!(around(&heavy, &slower).row.keeps_inner_path(), "only its evaluation lags behind");
        let falling = Row { around: Around::LookaheadFalling(identity.clone()), ..Row::plain(heavy.clone()) };
        assert!(!falling.keeps_inner_path());
        assert_eq!(count(run(falling)), 0, "its step size is 1 at the start only");
        let mut constant = around(&heavy, &identity);
        constant.config.schedule = ScheduleConfig::Constant;
        assert_eq!(count(constant), 0, "the schedule differs");
    }
}
