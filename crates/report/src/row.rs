//! Rows of the table: an optimizer, with or without a wrapper, over its seeds.

use std::collections::BTreeMap;

use lookahead_runs::{RowId, Run, Split, Spread, TaskKind};

use crate::metric::{Metric, metrics};

/// A row of the table.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Name, optimizer and wrapper; tables and pages show [`RowId::label`].
    pub id: RowId,
    /// SHA-256 of the data of its runs; `None` if unknown. Runs of one optimizer on different data form separate rows.
    pub data: Option<String>,
    /// The part of the data that its loss and scores are measured on.
    pub split: Split,
    /// Its runs, as indices into [`Report::runs`](crate::Report::runs), sorted by seed.
    pub runs: Vec<usize>,
    /// Index of the row of the inner optimizer, if this row has a wrapper and the experiment has that row.
    pub inner: Option<usize>,
    /// Mean and standard deviation of each of [`metrics`] over the finished runs; `None` without finished runs, and if
    /// one lacks the metric.
    pub numbers: Vec<(Metric, Option<Spread>)>,
}

impl Row {
    /// Mean and standard deviation of `metric`; `None` without finished runs, and if one lacks it.
    pub fn number(&self, metric: Metric) -> Option<Spread> {
        self.numbers.iter().find(|(own, _)| *own == metric)?.1
    }
}

/// SHA-256 of the data of most of `runs`, the first in a tie; `None` if unknown.
pub(crate) fn main_data(runs: &[Run]) -> Option<&str> {
    let all: Vec<&str> = runs.iter().filter_map(Run::data_sha256).collect();
    let count = |data: &str| all.iter().filter(|other| **other == data).count();
    all.iter().copied().rev().max_by_key(|data| count(data))
}

/// The rows of `runs` of `task`, sorted by inner optimizer, the plain one first. A run without data in its folder is
/// assigned the data of most runs.
pub(crate) fn rows(runs: &[Run], task: TaskKind) -> Vec<Row> {
    let main = main_data(runs);
    let mut groups: BTreeMap<(&str, &str, Option<&str>), Vec<usize>> = BTreeMap::new();
    for (position, run) in runs.iter().enumerate() {
        groups.entry((&run.row.name, &run.row.state, run.data_sha256().or(main))).or_default().push(position);
    }
    let mut rows: Vec<Row> = groups.into_iter().map(|((_, _, data), own)| row(runs, task, own, data)).collect();
    for row in rows.iter_mut().filter(|row| row.data.as_deref() != main) {
        // Two rows with the same name must have different titles.
        let data = row.data.as_deref().unwrap_or_default();
        row.id.title = format!("{}, other data {}", row.id.title, data.get(..6).unwrap_or(data));
    }
    rows.sort_by_cached_key(|row| (row.data.as_deref() != main, order(&row.id), row.data.clone()));
    let inner: Vec<Option<usize>> = rows.iter().map(|row| inner(row, &rows, runs)).collect();
    for (row, inner) in rows.iter_mut().zip(inner) {
        row.inner = inner;
    }
    rows
}

fn row(runs: &[Run], task: TaskKind, mut own: Vec<usize>, data: Option<&str>) -> Row {
    own.sort_by_key(|&run| runs[run].seed);
    // A run without configuration has only the row's name; others also have its title.
    let id = own.iter().find(|&&run| !runs[run].config.is_empty()).or(own.first());
    let id = id.map(|&run| runs[run].row.clone()).unwrap_or_default();
    let summaries = || own.iter().filter_map(|&run| runs[run].summary.as_ref());
    let number = |metric: Metric| {
        let values: Vec<f64> = summaries().map(|summary| metric.of(&summary.figures)).collect();
        Spread::of(&values).filter(|spread| spread.mean.is_finite())
    };
    let numbers = metrics(task).into_iter().map(|metric| (metric, number(metric))).collect();
    let split = summaries().next().map_or_else(Split::default, |summary| summary.split);
    Row { id, data: data.map(str::to_owned), split, runs: own, inner: None, numbers }
}

/// The order of rows: by inner optimizer, with averages after the optimizers of the published tables, the plain row
/// first, then by name and state.
fn order(id: &RowId) -> (usize, String, bool, String, usize, String) {
    const KINDS: [&str; 3] = ["sgd", "adamw", "rmsprop"];
    const STATES: [&str; 4] = ["", "keep", "reset", "interpolate"];
    let position = |names: &[&str], name: &str| names.iter().position(|known| *known == name);
    let kind = match position(&KINDS, &id.inner) {
        _ if is_average(id) => KINDS.len(),
        Some(known) => known,
        None => KINDS.len() + 1,
    };
    let state = position(&STATES, &id.state).unwrap_or(STATES.len());
    (kind, id.inner.clone(), !id.is_plain(), id.name.clone(), state, id.state.clone())
}

/// True if the row is an average of an optimizer's weights.
pub(crate) fn is_average(id: &RowId) -> bool {
    id.around == "average"
}

/// The plain row of the inner optimizer of `row`: the one with the same settings, else the one with its name without
/// the prefix or, because names are arbitrary, the first of the same kind.
fn inner(row: &Row, rows: &[Row], runs: &[Run]) -> Option<usize> {
    if row.id.is_plain() {
        return None;
    }
    let is_plain = |other: &Row| other.id.is_plain() && other.data == row.data;
    let plain = |test: &dyn Fn(&Row) -> bool| rows.iter().position(|other| is_plain(other) && test(other));
    let of = settings(row, runs);
    let by_settings = of.and_then(|of| plain(&|other| settings(other, runs) == Some(of)));
    let by_name = || row.id.name.strip_prefix("lookahead-").and_then(|inside| plain(&|other| other.id.name == inside));
    by_settings.or_else(by_name).or_else(|| plain(&|other| other.id.inner == row.id.inner))
}

/// The settings of a row's inner optimizer, as its runs' configuration has them.
fn settings<'a>(row: &Row, runs: &'a [Run]) -> Option<&'a toml::Value> {
    row.runs.iter().find_map(|&run| runs[run].config.get("rows")?.as_array()?.first()?.get("inner"))
}

#[cfg(test)]
mod tests {
    use lookahead_runs::{DataSet, Measure};

    use super::*;
    use crate::testing::{finished, unfinished};

    fn labels(rows: &[Row]) -> Vec<String> {
        rows.iter().map(|row| row.id.label()).collect()
    }

    #[test]
    fn rows_know_the_optimizer_inside() {
        let names = [
            "zeta-s1",
            "polyak-s1",
            "lookahead-sgd-reset-s1",
            "adamw-s1",
            "lookahead-sgd-keep-s1",
            "sgd-s1",
            "beta-s1",
        ];
        let rows = rows(&names.map(unfinished), TaskKind::Images);
        let wanted = ["SGD", "Lookahead/SGD (keep)", "Lookahead/SGD (reset)", "AdamW", "Polyak", "beta", "zeta"]
            .map(str::to_owned);
        assert_eq!(labels(&rows), wanted);
        let inner: Vec<Option<usize>> = rows.iter().map(|row| row.inner).collect();
        assert_eq!(inner, [None, Some(0), Some(0), None, Some(0), None, None]);
    }

    /// `nesterov` and `heavy` are both SGD inside; a Lookahead goes with the one it is named after.
    #[test]
    fn a_name_says_more_than_a_kind() {
        let names = ["heavy-s1", "nesterov-s1", "lookahead-nesterov-keep-s1", "slow-keep-s1"];
        let mut runs = names.map(unfinished);
        for run in &mut runs {
            run.row.inner = "sgd".to_owned();
        }
        runs[3].row.around = "lookahead".to_owned();
        let rows = rows(&runs, TaskKind::Images);
        let inner: Vec<(&str, Option<usize>)> = rows.iter().map(|row| (row.id.name.as_str(), row.inner)).collect();
        assert_eq!(inner, [("heavy", None), ("nesterov", None), ("lookahead-nesterov", Some(1)), ("slow", Some(0))]);
    }

    /// As in a comparison of learning rates: the Lookahead at the high rate goes with the plain optimizer at the high
    /// rate.
    #[test]
    fn the_same_settings_say_more_than_a_name() {
        let names = ["adamw-s1", "adamw-high-s1", "lookahead-adamw-keep-s1"];
        let mut runs = names.map(unfinished);
        for (run, rate) in runs.iter_mut().zip([0.001, 0.1, 0.1]) {
            let text = format!("rows = [{{ inner = {{ adamw = {{ learning_rate = {rate} }} }} }}]");
            (run.config, run.row.inner) = (text.parse().unwrap(), "adamw".to_owned());
        }
        let rows = rows(&runs, TaskKind::Images);
        let of = |name: &str| rows.iter().position(|row| row.id.name == name);
        assert_eq!(rows[of("lookahead-adamw").unwrap()].inner, of("adamw-high"));
    }

    #[test]
    fn only_finished_runs_are_in_the_numbers_and_seeds_are_in_order() {
        let runs = [finished("sgd-s10", 50.0), finished("sgd-s2", 60.0), unfinished("sgd-s3")];
        let rows = rows(&runs, TaskKind::Images);
        assert_eq!(rows[0].runs, [1, 2, 0]);
        assert_eq!(rows[0].number(Metric::Score(Measure::Top1)).unwrap().mean, 55.0);
    }

    /// A folder that was filled twice, the second time on other pixels: nothing is averaged or paired across.
    #[test]
    fn runs_on_other_data_are_rows_of_their_own() {
        let on = |name: &str, data: &str| {
            let mut run = finished(name, 80.0);
            run.data = Some(DataSet { sha256: data.to_owned(), ..DataSet::default() });
            run
        };
        let runs = [
            on("sgd-s1", "aaaaaaaa"),
            on("sgd-s2", "bbbbbbbb"),
            on("lookahead-sgd-keep-s1", "aaaaaaaa"),
            on("lookahead-sgd-keep-s2", "bbbbbbbb"),
            on("adamw-s1", "aaaaaaaa"),
            unfinished("adamw-s2"),
        ];
        let rows = rows(&runs, TaskKind::Images);
        let wanted = [
            "SGD",
            "Lookahead/SGD (keep)",
            "AdamW",
            "SGD, other data bbbbbb",
            "Lookahead/SGD, other data bbbbbb (keep)",
        ];
        assert_eq!(labels(&rows), wanted.map(str::to_owned));
        assert_eq!(rows.iter().map(|row| row.inner).collect::<Vec<_>>(), [None, Some(0), None, None, Some(3)]);
        assert_eq!(rows[2].runs.len(), 2, "what does not say its data goes with the others");
    }

    #[test]
    fn a_run_without_its_configuration_does_not_rename_its_row() {
        let mut runs = [finished("slow-s1", 50.0), finished("slow-s2", 60.0)];
        runs[1].config.insert("experiment".to_owned(), "demo".into());
        runs[1].row.title = "Slow SGD".to_owned();
        assert_eq!(labels(&rows(&runs, TaskKind::Images)), ["Slow SGD"]);
    }
}
