//! The final runs of a study: trains the best setting of each row with new seeds, tests once, and writes the page.

use std::path::Path;

use lookahead_report::{FinalFigures, FinalRun, StudyReport, StudyRow, Trial, counted, study_markdown, study_page};
use lookahead_runs::{Environment, Run, RunSummary, atomic};

use super::cells::{Cells, State};
use super::ranking::{Tried, best, tried};
use crate::config::{Around, RunConfig};
use crate::error::{Error, Result};
use crate::program::origin::origin;
use crate::study::{Setting, Study, StudyError};

/// The folder of the final runs, below the sweep's.
const FOLDER: &str = "final";

/// A study whose sweep is finished, with the setting chosen for each row by held-out images.
#[derive(Debug)]
pub(super) struct Claim<'a> {
    study: &'a Study,
    sweep: &'a Cells,
    tried: Vec<Tried<'a>>,
    chosen: Vec<&'a Setting>,
    /// The final runs: row by row, seed by seed.
    pub(super) cells: Cells,
}

impl<'a> Claim<'a> {
    /// Chooses the settings. `any_device`: nothing is trained here, so cells may be on devices that this machine lacks.
    ///
    /// # Errors
    /// [`Error::SweepFirst`] if cells are unfinished, [`Error::AllDiverged`] if every trial of a row diverged,
    /// [`Error::DifferentData`] if cells were trained on different data; a summary that cannot be read; a study without
    /// final seeds.
    pub(super) fn new(study: &'a Study, sweep: &'a Cells, any_device: bool) -> Result<Self> {
        if study.file.final_seeds.is_empty() {
            let reason = "the list is empty; final runs need seeds that tuning has not used".to_owned();
            return Err(StudyError::Key { key: "final_seeds".to_owned(), reason }.into());
        }
        let states = if any_device { sweep.listed()? } else { sweep.states()? };
        let left = states.iter().filter(|state| !matches!(state, State::Done | State::Diverged)).count();
        if left > 0 {
            return Err(Error::SweepFirst { left, cells: states.len() });
        }
        let tried = tried(study, sweep, &states)?;
        if tried.iter().any(|tried| tried.score.is_none()) {
            // All cells have ended, so a summary cannot be read: the choice would be between the others alone.
            (0..states.len()).try_for_each(|cell| RunSummary::read(&sweep.path(cell)).map(drop))?;
        }
        let rows = 0..study.file.rows.len();
        let chosen: Vec<&Setting> = rows.map(|row| chosen(study, &tried, row)).collect::<Result<_>>()?;
        let seeds = &study.file.final_seeds;
        let runs = chosen.iter().flat_map(|setting| seeds.iter().map(|&seed| setting.final_run(seed))).collect();
        let cells = Cells::new(sweep.folder.join(FOLDER), runs);
        Ok(Self { study, sweep, tried, chosen, cells })
    }

    /// The chosen settings in words, with a warning if one lies at the edge of its range.
    pub(super) fn words(&self) -> String {
        let line = |setting: &&Setting| {
            let edges = self.study.edges(setting);
            let edge = match edges.is_empty() {
                true => String::new(),
                false => format!("; at the edge of {}: widen the range for a valid result", edges.join(", ")),
            };
            let units = self.study.file.experiment.task().units();
            format!("chosen on the held-out {units}: {}{edge}", setting.folder())
        };
        self.chosen.iter().map(line).collect::<Vec<_>>().join("\n")
    }

    /// Writes the page and the Markdown into the sweep's folder, and the Markdown to `markdown` too; returns it.
    ///
    /// # Errors
    /// [`Error::DifferentData`] if the final runs were trained on different data; write errors.
    pub(super) fn write(&self, markdown: Option<&Path>) -> Result<String> {
        self.cells.check_data()?;
        let report = self.report();
        let text = study_markdown(&report);
        atomic::write(&self.sweep.folder.join("study.html"), study_page(&report).as_bytes())?;
        for path in [Some(self.sweep.folder.join("study.md").as_path()), markdown].into_iter().flatten() {
            atomic::write(path, text.as_bytes())?;
        }
        Ok(text)
    }

    fn report(&self) -> StudyReport {
        let finals: Vec<Run> = (0..self.cells.runs.len()).map(|cell| Run::read(&self.cells.path(cell))).collect();
        let rows = (0..self.chosen.len()).map(|row| self.row(row, &finals)).collect();
        StudyReport {
            task: self.study.file.experiment.task(),
            split: finals.iter().find_map(|run| Some(run.summary.as_ref()?.split)).unwrap_or_default(),
            name: self.study.name.clone(),
            about: self.about(&finals),
            rows,
        }
    }

    fn row(&self, row: usize, finals: &[Run]) -> StudyRow {
        let own: Vec<&Tried<'_>> = self.tried.iter().filter(|tried| tried.setting.row == row).collect();
        let chosen = own.iter().position(|tried| std::ptr::eq(tried.setting, self.chosen[row])).unwrap_or(0);
        let seeds = self.study.file.final_seeds.len();
        let of_run = |run: &Run| FinalRun { seed: run.seed, figures: final_figures(run) };
        StudyRow {
            title: self.title(row),
            baseline: self.baseline(row),
            trials: own.iter().map(|tried| trial(tried)).collect(),
            chosen,
            edges: self.study.edges(self.chosen[row]).into_iter().map(str::to_owned).collect(),
            finals: finals[row * seeds..(row + 1) * seeds].iter().map(of_run).collect(),
        }
    }

    fn title(&self, row: usize) -> String {
        let title = &self.chosen[row].run(0).row.title;
        title.split(',').next().unwrap_or(title).to_owned()
    }

    /// The plain row of the same inner optimizer, else the first row.
    fn baseline(&self, row: usize) -> Option<usize> {
        let of = |row: usize| self.chosen[row].run(0).row;
        let own = of(row);
        let is_inside = |&other: &usize| {
            let plain = of(other);
            other != row && plain.around == Around::Nothing && plain.inner.kind() == own.inner.kind()
        };
        let inside = (0..self.chosen.len()).find(is_inside).filter(|_| own.around != Around::Nothing);
        inside.or((row > 0).then_some(0))
    }

    fn about(&self, finals: &[Run]) -> Vec<String> {
        let file = &self.study.file;
        let list = |seeds: &[u64]| {
            let numbers = seeds.iter().map(u64::to_string).collect::<Vec<_>>().join(", ");
            format!("{} {numbers}", if seeds.len() == 1 { "seed" } else { "seeds" })
        };
        let config = &self.cells.runs[0].config;
        let mut facts = vec![format!(
            "Experiment {}, protocol {}, {}, {}, batches of {}.",
            file.experiment,
            file.protocol,
            config.model.name(),
            if config.train.epochs == 1.0 { "1 epoch".to_owned() } else { format!("{} epochs", config.train.epochs) },
            config.train.batch_size
        )];
        if let Some(data) = finals.iter().find_map(|run| run.data.as_ref()) {
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
            of_cells.chain(finals.iter().filter_map(|run| run.environment.clone())).collect();
        facts.push(origin(&environments));
        facts
    }

    /// Whether the identity (a Lookahead that is its inner optimizer) has the weights of its inner optimizer's trial, if
    /// the sweep has both.
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

/// The best setting of a row. One that diverged with all of its seeds is no choice.
fn chosen<'a>(study: &Study, tried: &[Tried<'a>], row: usize) -> Result<&'a Setting> {
    let seeds = study.file.seeds.len();
    let best = best(study, tried, row).into_iter().find(|tried| tried.diverged < seeds);
    best.map(|tried| tried.setting)
        .ok_or_else(|| Error::AllDiverged { row: study.file.rows[row].name().to_owned(), trials: study.trials })
}

fn trial(tried: &Tried<'_>) -> Trial {
    Trial {
        values: tried.setting.spelt(),
        scores: tried.by_seed.clone(),
        loss: tried.loss,
        diverged: tried.diverged,
        is_identity: tried.setting.run(0).row.keeps_inner_path(),
    }
}

fn final_figures(run: &Run) -> Option<FinalFigures> {
    let summary = run.summary.as_ref()?;
    let alone = run.environment.as_ref().is_some_and(Environment::was_alone);
    Some(FinalFigures {
        score: summary.figures.scores.get(run.task().score()),
        loss: summary.figures.valid_loss,
        seconds: alone.then_some(summary.figures.seconds),
        peak_rss_mb: summary.peak_rss_mb,
    })
}

#[cfg(test)]
mod tests {
    use lookahead_optim::{LookaheadConfig, Momentum, SgdConfig, StatePolicy};

    use super::*;
    use crate::config::{Config, Experiment, Inner, Protocol, Row, ScheduleConfig};

    fn run(row: Row) -> RunConfig {
        RunConfig { config: Config::for_protocol(Experiment::Demo, Protocol::Quick), row, seed: 1 }
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
