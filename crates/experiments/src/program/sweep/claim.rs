//! The final runs of a study: trains the best setting of each row with new seeds, tests once, and writes the page.

use std::collections::BTreeSet;
use std::path::Path;

use lookahead_report::{FinalFigures, FinalRun, StudyReport, StudyRow, Trial, counted, study_markdown, study_page};
use lookahead_runs::{Run, RunSummary, atomic};

use super::cells::{Cells, State};
use super::ranking::{Tried, best, tried};
use crate::config::{Around, RunConfig};
use crate::error::{Error, Result};
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
    /// Chooses the settings.
    ///
    /// # Errors
    /// [`Error::SweepFirst`] if cells are unfinished, [`Error::AllDiverged`] if every trial of a row diverged; a summary
    /// that cannot be read; a study without final seeds.
    pub(super) fn new(study: &'a Study, sweep: &'a Cells) -> Result<Self> {
        if study.file.final_seeds.is_empty() {
            let reason = "the list is empty; final runs need seeds that tuning has not used".to_owned();
            return Err(StudyError::Key { key: "final_seeds".to_owned(), reason }.into());
        }
        let states = sweep.states()?;
        let left = states.iter().filter(|state| !matches!(state, State::Done | State::Diverged)).count();
        if left > 0 {
            return Err(Error::SweepFirst { left, cells: states.len() });
        }
        let tried = tried(study, sweep, &states);
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
    /// Write errors.
    pub(super) fn write(&self, markdown: Option<&Path>) -> Result<String> {
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
        let of = |key: fn(&lookahead_runs::Environment) -> String| {
            let values: BTreeSet<String> = finals
                .iter()
                .filter_map(|run| run.environment.as_ref())
                .map(key)
                .filter(|text| !text.is_empty())
                .collect();
            values.into_iter().collect::<Vec<_>>().join(", ")
        };
        let commit = of(|env| format!("{}{}", env.commit, if env.dirty { " with uncommitted changes" } else { "" }));
        let word = if commit.contains(", ") { "Commits (not all runs used the same code):" } else { "Commit" };
        let machine = of(|env| format!("{}, {}", env.cpu, counted(env.threads, "thread")));
        facts.push(format!("{word} {commit}; {machine}."));
        facts
    }

    /// Whether Lookahead at step size 1 and period 1 has the weights of its inner optimizer, if the sweep has both.
    fn identity(&self) -> Option<String> {
        let weights = |setting: &Setting, seed: u64| {
            let path = self.sweep.folder.join(setting.run(seed).name());
            Some(Run::read(&path).summary?.weights_sha256)
        };
        let is_identity = |run: &RunConfig| {
            run.row.around.lookahead().is_some_and(|of| of.slow_step_size == 1.0.into() && of.sync_period == 1.into())
        };
        let (mut pairs, mut same) = (0, 0);
        for seed in &self.study.file.seeds {
            for one in self.study.settings.iter().filter(|setting| is_identity(&setting.run(*seed))) {
                let run = one.run(*seed);
                let is_inside = |other: &&Setting| {
                    let other = other.run(*seed);
                    let rest =
                        |run: &RunConfig| (run.config.train.clone(), run.config.data.clone(), run.config.model.clone());
                    other.row.around == Around::Nothing
                        && other.row.inner == run.row.inner
                        && rest(&other) == rest(&run)
                };
                if let Some(inside) = self.study.settings.iter().find(is_inside)
                    && let (Some(ours), Some(theirs)) = (weights(one, *seed), weights(inside, *seed))
                {
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

/// The best setting of a row. One that diverged with all of its seeds is no choice.
fn chosen<'a>(study: &Study, tried: &[Tried<'a>], row: usize) -> Result<&'a Setting> {
    let seeds = study.file.seeds.len();
    let best = best(study, tried, row).into_iter().find(|tried| tried.diverged < seeds);
    best.map(|tried| tried.setting)
        .ok_or_else(|| Error::AllDiverged { row: study.file.rows[row].name().to_owned(), trials: study.trials })
}

fn trial(tried: &Tried<'_>) -> Trial {
    Trial { values: tried.setting.spelt(), scores: tried.by_seed.clone(), loss: tried.loss, diverged: tried.diverged }
}

fn final_figures(run: &Run) -> Option<FinalFigures> {
    let summary = run.summary.as_ref()?;
    let alone = run.environment.as_ref().is_some_and(lookahead_runs::Environment::was_alone);
    Some(FinalFigures {
        score: summary.figures.scores.get(run.task().score()),
        loss: summary.figures.valid_loss,
        seconds: alone.then_some(summary.figures.seconds),
        peak_rss_mb: summary.peak_rss_mb,
    })
}
