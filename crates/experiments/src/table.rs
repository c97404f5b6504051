//! The printed table: the original's columns, one row an optimizer, and what can be told apart.

use std::fmt::Write as _;

use comfy_table::{CellAlignment, Table, presets};

use crate::names::{OptimizerName, State};
use crate::progress::clock;
use crate::reference::{Reference, Source, references};
use crate::stats::{PairedDifference, Spread, by_seed};
use crate::summary::{ExperimentSummary, RunSummary};

/// The whole text printed at the end of an experiment: our table, the paired differences, their tables.
pub fn render(summary: &ExperimentSummary) -> String {
    let mut text = format!(
        "{}: protocol {}, {} on {}\n{}\n",
        summary.experiment,
        summary.protocol,
        summary.model,
        summary.device,
        ours(summary)
    );
    if !summary.diverged.is_empty() {
        let _ = writeln!(text, "diverged, and left out above: {}", summary.diverged.join(", "));
    }
    text.push_str(&differences(&summary.runs));
    let quoted = references(summary.experiment);
    for source in Source::ALL {
        let rows: Vec<&Reference> = quoted.iter().filter(|row| row.source == source).collect();
        if !rows.is_empty() {
            let _ = write!(text, "\n{} (their figures, {})\n{}\n", source.title(), source.runs(), theirs(&rows));
        }
    }
    text
}

fn new_table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY).set_header(header.iter().copied());
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_cell_alignment(if index == 0 { CellAlignment::Left } else { CellAlignment::Right });
    }
    table
}

/// Our rows.
fn ours(summary: &ExperimentSummary) -> Table {
    // Short headings: with deviations the table stays within 120 columns.
    let mut table =
        new_table(&["", "train loss", "valid loss", "top-1 %", "top-5 %", "seeds", "time a run", "images/s"]);
    for row in &summary.rows {
        let n = row.seeds.len();
        table.add_row([
            title(row.optimizer, row.state),
            spread(row.train_loss, n, loss),
            spread(row.valid_loss, n, loss),
            spread(row.top1, n, |value| format!("{value:.2}")),
            spread(row.top5, n, |value| format!("{value:.2}")),
            n.to_string(),
            clock(row.seconds.mean),
            format!("{:.0}", row.images_per_second.mean),
        ]);
    }
    table
}

fn theirs(rows: &[&Reference]) -> Table {
    let mut printed = new_table(&["", "train loss", "valid loss", "top-1 %", "top-5 %"]);
    let absent = || "-".to_owned();
    for row in rows {
        printed.add_row([
            row.optimizer.title().to_owned(),
            row.train_loss.map_or_else(absent, |value| value.to_string()),
            row.valid_loss.map_or_else(absent, |value| value.to_string()),
            format!("{:.2}", row.top1),
            row.top5.map_or_else(absent, |value| format!("{value:.2}")),
        ]);
    }
    printed
}

/// Differences in accuracy, paired by seed: of each Lookahead to what is inside it, and of each optimizer to the first.
fn differences(runs: &[RunSummary]) -> String {
    let pairs = comparisons(runs);
    if pairs.is_empty() {
        return String::new();
    }
    let Some(most) = pairs.iter().map(|(ours, theirs)| paired(runs, *ours, *theirs).len()).max() else {
        return String::new();
    };
    if most < 2 {
        return "one seed: no difference above can be told from noise; give --seeds 1,2,3 or more\n".to_owned();
    }
    let mut table = new_table(&["top-1 %, paired by seed", "difference", "95 % interval", "effect size", ""]);
    for (ours, theirs) in pairs {
        let Some(difference) = PairedDifference::of(&paired(runs, ours, theirs)) else { continue };
        table.add_row([
            format!("{} - {}", title(ours.0, ours.1), title(theirs.0, theirs.1)),
            format!("{:+.2}", difference.mean),
            format!("{:+.2} .. {:+.2}", difference.low, difference.high),
            format!("{:+.1}", difference.effect_size),
            if difference.is_distinguishable() { String::new() } else { "not distinguishable".to_owned() },
        ]);
    }
    format!("{table}\n")
}

type Key = (OptimizerName, State);

/// Which rows are compared, without repetition: Lookahead with its inner optimizer first.
fn comparisons(runs: &[RunSummary]) -> Vec<(Key, Key)> {
    let mut keys: Vec<Key> = Vec::new();
    for run in runs {
        if !keys.contains(&(run.optimizer, run.state)) {
            keys.push((run.optimizer, run.state));
        }
    }
    let mut pairs: Vec<(Key, Key)> = Vec::new();
    for &ours in keys.iter().filter(|key| key.0.is_lookahead()) {
        if let Some(&theirs) = keys.iter().find(|key| key.0 == ours.0.inner()) {
            pairs.push((ours, theirs));
        }
    }
    if let Some((&first, rest)) = keys.split_first() {
        for &ours in rest {
            if !pairs.contains(&(ours, first)) {
                pairs.push((ours, first));
            }
        }
    }
    pairs
}

/// Accuracies of the seeds that both have.
fn paired(runs: &[RunSummary], ours: Key, theirs: Key) -> Vec<(f64, f64)> {
    let of = |key: Key| -> Vec<(u64, f64)> {
        let own = runs.iter().filter(|run| (run.optimizer, run.state) == key);
        own.map(|run| (run.seed, run.top1)).collect()
    };
    by_seed(&of(ours), &of(theirs))
}

/// `Lookahead/SGD` or, where the policy is not the usual one, `Lookahead/SGD, reset`.
fn title(optimizer: OptimizerName, state: State) -> String {
    match state {
        State::Keep => optimizer.title().to_owned(),
        state => format!("{}, {state}", optimizer.title()),
    }
}

fn loss(value: f64) -> String {
    if value.abs() >= 100.0 { format!("{value:.1}") } else { format!("{value:.4}") }
}

/// Mean and, from two seeds on, standard deviation.
fn spread(value: Spread, seeds: usize, format: impl Fn(f64) -> String) -> String {
    match seeds {
        0 | 1 => format(value.mean),
        _ => format!("{} ± {}", format(value.mean), format(value.std)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::{Experiment, ModelName, Protocol};
    use crate::summary::{SCHEMA, rows};

    fn run(optimizer: OptimizerName, state: State, seed: u64, top1: f64) -> RunSummary {
        RunSummary {
            optimizer,
            state,
            seed,
            train_loss: 0.5,
            valid_loss: 0.6,
            top1,
            top5: 99.0,
            steps: 10,
            seconds: 61.0,
            images_per_second: 800.0,
            peak_rss_mb: 1,
            weights_sha256: String::new(),
            details: None,
        }
    }

    fn summary(runs: Vec<RunSummary>) -> ExperimentSummary {
        ExperimentSummary {
            schema: SCHEMA,
            experiment: Experiment::Cifar10,
            protocol: Protocol::Quick,
            device: "cpu".into(),
            model: ModelName::ResNet20,
            rows: rows(&runs, 5),
            runs,
            diverged: vec![],
        }
    }

    #[test]
    fn three_seeds_are_compared_pair_by_pair() {
        use OptimizerName::{LookaheadSgd, Sgd};
        let mut runs = vec![];
        for (seed, sgd, lookahead) in [(1, 80.0, 81.0), (2, 82.0, 83.1), (3, 84.0, 84.9)] {
            runs.push(run(Sgd, State::Keep, seed, sgd));
            runs.push(run(LookaheadSgd, State::Keep, seed, lookahead));
            runs.push(run(LookaheadSgd, State::Reset, seed, sgd + f64::from(seed as u32) - 2.0));
        }
        let text = render(&summary(runs));
        let line = |start: &str| text.lines().find(|line| line.contains(start)).unwrap_or_default().to_owned();
        assert!(
            line("Lookahead/SGD - SGD").contains("+1.00") && !line("Lookahead/SGD - SGD").contains("not dist"),
            "{text}"
        );
        assert!(line("Lookahead/SGD, reset - SGD").contains("not distinguishable"), "{text}");
        assert!(line(" SGD ").contains("82.00 ± 2.00"), "{text}");
        assert!(text.contains("their figures") && text.contains("95.27"), "{text}");
    }

    #[test]
    fn one_seed_claims_nothing() {
        let runs =
            vec![run(OptimizerName::Sgd, State::Keep, 1, 80.0), run(OptimizerName::LookaheadSgd, State::Keep, 1, 90.0)];
        let text = render(&summary(runs));
        assert!(text.contains("one seed: no difference above can be told from noise"), "{text}");
        assert!(!text.contains('±') || text.contains("their figures"), "{text}");
    }
}
