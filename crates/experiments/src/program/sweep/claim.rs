//! The final runs of a study: trains the best setting of each row with new seeds, tests once, and writes the page.

mod facts;

use std::path::Path;

use lookahead_report::{FinalFigures, FinalRun, StudyReport, StudyRow, Trial, study_markdown, study_page};
use lookahead_runs::{Environment, Measure, Run, RunSummary, atomic};

use super::cells::{Cells, State};
use super::ranking::{Tried, best, tried};
use crate::config::Around;
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

    /// Writes the page and the Markdown into the sweep's folder, and the Markdown to `markdown` too; returns it. The
    /// final runs, whose states these are, have ended.
    ///
    /// # Errors
    /// [`Error::DifferentData`] if the final runs were trained on different data; a summary that cannot be read or is
    /// damaged; write errors.
    pub(super) fn write(&self, states: &[State], markdown: Option<&Path>) -> Result<String> {
        self.cells.check_data()?;
        let report = self.report(states)?;
        let text = study_markdown(&report);
        atomic::write(&self.sweep.folder.join("study.html"), study_page(&report).as_bytes())?;
        for path in [Some(self.sweep.folder.join("study.md").as_path()), markdown].into_iter().flatten() {
            atomic::write(path, text.as_bytes())?;
        }
        Ok(text)
    }

    fn report(&self, states: &[State]) -> Result<StudyReport> {
        let finals: Vec<Final> =
            states.iter().enumerate().map(|(cell, state)| self.read_final(cell, *state)).collect::<Result<_>>()?;
        let rows = (0..self.chosen.len()).map(|row| self.row(row, &finals)).collect();
        Ok(StudyReport {
            task: self.study.file.experiment.task(),
            split: finals.iter().find_map(|of| Some(of.summary.as_ref()?.split)).unwrap_or_default(),
            name: self.study.name.clone(),
            about: self.about(&finals),
            rows,
        })
    }

    /// A final run that has ended. Only its state says that it diverged: without a summary, a finished run is damaged.
    fn read_final(&self, cell: usize, state: State) -> Result<Final> {
        let summary = if state == State::Done { Some(self.cells.summary(cell)?) } else { None };
        Ok(Final { run: Run::read(&self.cells.path(cell)), summary })
    }

    fn row(&self, row: usize, finals: &[Final]) -> StudyRow {
        let own: Vec<&Tried<'_>> = self.tried.iter().filter(|tried| tried.setting.row == row).collect();
        let chosen = own.iter().position(|tried| std::ptr::eq(tried.setting, self.chosen[row])).unwrap_or(0);
        let seeds = self.study.file.final_seeds.len();
        let measure = self.study.file.experiment.task().score();
        let of_run = |(seed, of): (&u64, &Final)| FinalRun { seed: *seed, figures: of.figures(measure) };
        StudyRow {
            title: self.chosen[row].title.clone(),
            baseline: self.baseline(row),
            trials: own.iter().map(|tried| trial(tried)).collect(),
            chosen,
            edges: self.study.edges(self.chosen[row]).into_iter().map(str::to_owned).collect(),
            finals: self.study.file.final_seeds.iter().zip(&finals[row * seeds..]).map(of_run).collect(),
        }
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

/// A final run that has ended.
#[derive(Debug)]
struct Final {
    run: Run,
    /// `None` if it diverged.
    summary: Option<RunSummary>,
}

impl Final {
    fn figures(&self, measure: Measure) -> Option<FinalFigures> {
        let summary = self.summary.as_ref()?;
        let alone = self.run.environment.as_ref().is_some_and(Environment::was_alone);
        Some(FinalFigures {
            score: summary.figures.scores.get(measure),
            loss: summary.figures.valid_loss,
            seconds: alone.then_some(summary.figures.seconds),
            peak_rss_mb: summary.peak_rss_mb,
        })
    }
}
