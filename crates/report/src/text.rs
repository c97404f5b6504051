//! Tables for a terminal: one row per optimizer, differences, and published figures.

use std::fmt::Write as _;

use lookahead_runs::{Spread, Status};

use crate::cells::{Cells, wrapped};
use crate::compare::{Comparison, differences};
use crate::console::one_line;
use crate::metric::Metric;
use crate::number::{ABSENT, clock, interval, signed};
use crate::reference::{Reference, Source};
use crate::report::Report;
use crate::words::direction;

/// The report for a terminal of `width` columns: the results, the differences paired by seed, and published tables.
/// Tables omit columns that do not fit; the score is omitted last. Control characters in names are replaced
/// ([`one_line`]).
pub fn text(report: &Report, width: usize) -> String {
    let mut text = format!("{}\n", heading(report));
    for fact in report.facts() {
        let _ = writeln!(text, "{}", one_line(&fact));
    }
    text = wrapped(&text, width);
    let _ = writeln!(text, "\n{}", ours(report, width));
    let diverged = report.runs.iter().filter(|run| run.status == Status::Diverged);
    let diverged: Vec<String> = diverged.map(|run| one_line(&run.name)).collect();
    if !diverged.is_empty() {
        text.push_str(&wrapped(&format!("diverged, not in the table: {}\n", diverged.join(", ")), width));
    }
    for time in report.times_to_target() {
        text.push_str(&wrapped(&one_line(&time.sentence()), width));
    }
    text.push_str(&told_apart(report, width));
    let quoted = report.references();
    for source in Source::ALL {
        let rows: Vec<&Reference> = quoted.iter().filter(|row| row.source == source).collect();
        if !rows.is_empty() {
            let heading = wrapped(&format!("{} (published figures, {})", source.title(), source.runs()), width);
            let _ = write!(text, "\n{heading}{}\n", theirs(&rows, width));
        }
    }
    text
}

/// `cifar10: protocol quick, resnet20 on cpu`; unknown parts are omitted.
fn heading(report: &Report) -> String {
    let Report { protocol, model, device, .. } = report;
    let name = report.title();
    let protocol = if protocol.is_empty() { String::new() } else { format!("protocol {protocol}") };
    let machine = match (model.as_str(), device.as_str()) {
        (model, "") => model.to_owned(),
        ("", device) => format!("on {device}"),
        (model, device) => format!("{model} on {device}"),
    };
    let facts: Vec<String> = [protocol, machine].into_iter().filter(|fact| !fact.is_empty()).collect();
    one_line(&if facts.is_empty() { name.to_owned() } else { format!("{name}: {}", facts.join(", ")) })
}

/// The rows that have finished runs.
fn ours(report: &Report, width: usize) -> String {
    let task = report.task();
    let scores: Vec<Metric> = task.measures().iter().map(|measure| Metric::Score(*measure)).collect();
    let numbers: Vec<Metric> = [&[Metric::TrainLoss, Metric::Loss], &scores[..]].concat();
    let mut rows = Vec::new();
    for row in &report.rows {
        let seeds = report.finished(row).count();
        let cell = |metric: &Metric| match row.number(*metric) {
            Some(Spread { mean, std: Some(std) }) => format!("{mean:.0$} \u{b1} {std:.0$}", digits(*metric, mean)),
            Some(Spread { mean, std: None }) => format!("{mean:.0$}", digits(*metric, mean)),
            None => ABSENT.to_owned(),
        };
        let mean = |metric: Metric| row.number(metric).map_or(f64::NAN, |number| number.mean);
        if seeds > 0 {
            let mut cells = vec![one_line(&row.id.label())];
            cells.extend(numbers.iter().map(cell));
            let speed = format!("{:.0}", mean(Metric::Speed(task)));
            cells.extend([seeds.to_string(), clock(mean(Metric::Seconds)), speed]);
            rows.push(cells);
        }
    }
    let mut head = vec![String::new()];
    head.extend(numbers.iter().map(|metric| metric.title().to_lowercase()));
    let seeds = head.len();
    head.extend(["seeds".to_owned(), "time/run".to_owned(), Metric::Speed(task).title().to_lowercase()]);
    // The score is the column after the name and two losses; the other scores matter less.
    let mut spare = vec![seeds + 2, seeds + 1];
    spare.extend((4..seeds).rev());
    spare.extend([1, seeds, 2]);
    let head: Vec<&str> = head.iter().map(String::as_str).collect();
    Cells { head: &head, rows, spare: &spare }.fitted(width)
}

/// The differences, or a note if there are none.
fn told_apart(report: &Report, width: usize) -> String {
    let found = differences(report);
    if found.is_empty() {
        return String::new();
    }
    if found.iter().all(|found| found.pairs < 2) {
        let has_one_seed = |row: usize| report.finished(&report.rows[row]).count() == 1;
        let (few, remedy) = match found.iter().all(|found| has_one_seed(found.row) && has_one_seed(found.baseline)) {
            true => ("one seed", "train more seeds"),
            // More seeds of one row alone would not help: it has seeds that the other lacks.
            false => ("one pair", "give all rows the same seeds, three or more"),
        };
        let note = format!("{few}: no difference above can be distinguished from noise; {remedy}");
        return wrapped(&note, width);
    }
    let mut rows = Vec::new();
    let label = |position: usize| one_line(&report.rows[position].id.label());
    let absent = || ABSENT.to_owned();
    for found in &found {
        let Comparison { row, baseline, mean, interval: of, .. } = *found;
        rows.push(vec![
            format!("{} \u{2212} {}", label(row), label(baseline)),
            signed(mean),
            of.map_or_else(absent, |of| interval(of.low, of.high)),
            of.map_or_else(absent, |of| format!("{:.2}", of.smallest_visible())),
            found.verdict().to_owned(),
        ]);
    }
    let score = report.task().score();
    let what = format!("{}, paired by seed{}", score.title().to_lowercase(), direction(score));
    let head = [what.as_str(), "difference", "95 % interval", "smallest visible", ""];
    format!("\n{}\n", Cells { head: &head, rows, spare: &[3, 2] }.fitted(width))
}

fn theirs(rows: &[&Reference], width: usize) -> String {
    let absent = || ABSENT.to_owned();
    let cells = |row: &&Reference| {
        vec![
            row.title(),
            row.train_loss.map_or_else(absent, |value| value.to_string()),
            row.valid_loss.map_or_else(absent, |value| value.to_string()),
            format!("{:.2}", row.top1),
            row.top5.map_or_else(absent, |value| format!("{value:.2}")),
        ]
    };
    let head = ["", "train loss", "loss", "top-1 %", "top-5 %"];
    Cells { head: &head, rows: rows.iter().map(cells).collect(), spare: &[4, 1, 2] }.fitted(width)
}

/// Number of decimals of a mean and of its deviation.
fn digits(metric: Metric, mean: f64) -> usize {
    let is_loss = matches!(metric, Metric::TrainLoss | Metric::Loss);
    if is_loss && mean.abs() >= 100.0 { 1 } else { metric.digits() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{finished, language, report, unfinished};

    #[test]
    fn three_seeds_are_compared_pair_by_pair() {
        let mut runs = vec![];
        for (seed, sgd, lookahead) in [(1, 80.0, 81.0), (2, 82.0, 83.1), (3, 84.0, 84.9)] {
            runs.push(finished(&format!("sgd-s{seed}"), sgd));
            runs.push(finished(&format!("lookahead-sgd-keep-s{seed}"), lookahead));
            let reset = sgd + f64::from(seed) - 2.0;
            runs.push(finished(&format!("lookahead-sgd-reset-s{seed}"), reset));
        }
        let text = text(&report(runs), usize::MAX);
        assert!(text.starts_with("cifar10: protocol quick, resnet20 on cpu\n"), "{text}");
        let line = |start: &str| text.lines().find(|line| line.contains(start)).unwrap_or_default().to_owned();
        let keep = line("Lookahead/SGD (keep) \u{2212} SGD");
        // Differences 1.0, 1.1 and 0.9: the interval is 1 +- 4.3027 * 0.1 / sqrt(3).
        assert!(keep.contains("+1.00") && keep.contains("+0.75 to +1.25") && !keep.contains("not dist"), "{text}");
        assert!(line("Lookahead/SGD (reset) \u{2212} SGD").contains("not distinguishable"), "{text}");
        assert!(line(" SGD ").contains("82.00 ± 2.00") && line(" SGD ").contains("1:01"), "{text}");
        assert!(text.contains("published figures") && text.contains("95.27"), "{text}");
    }

    #[test]
    fn every_line_fits_and_the_accuracy_stays() {
        let mut runs = vec![];
        for (seed, luck) in [(1, 2.0), (2, -3.0), (3, 0.5)] {
            // The luck of a seed differs from row to row, so that no difference is distinguishable from noise.
            for (row, top1, share) in
                [("sgd", 80.0, 0.0), ("lookahead-adamw-interpolate", 81.5, 1.0), ("adamw", 79.0, 2.0)]
            {
                let mut run = finished(&format!("{row}-s{seed}"), top1 + share * luck);
                run.summary.as_mut().unwrap().figures.train_loss = 150.4 + 21.0 * f64::from(seed);
                runs.push(run);
            }
        }
        let mut report = report(runs);
        report
            .warnings
            .push("A sentence that is longer than any terminal of eighty columns would show in one line.".to_owned());
        for width in [40, 60, 80, 160] {
            let text = text(&report, width);
            for line in text.lines() {
                assert!(line.chars().count() <= width, "{width}: {line}");
            }
            assert!(text.contains("top-1 %") && text.contains("81.33"), "{width}: {text}");
            assert_eq!(text.contains("images/s"), width > 120, "{width}: {text}");
            for whole in ["Lookahead/AdamW", "(interpolate)", "distinguishable", "difference"] {
                assert!(text.contains(whole), "{width}: `{whole}` is broken in {text}");
            }
        }
        assert!(text(&report, 160).contains("192.4 \u{b1} 21.0"), "one precision for both");
    }

    #[test]
    fn one_seed_claims_nothing() {
        let text = text(&report(vec![finished("sgd-s1", 80.0), finished("lookahead-sgd-keep-s1", 90.0)]), usize::MAX);
        assert!(text.contains("one seed: no difference above can be distinguished from noise"), "{text}");
        assert!(text.contains("90.00") && !text.contains('±') && !text.contains("+10.00"), "{text}");
    }

    /// SGD has seeds 1 to 3, AdamW 3 to 5: three seeds each, and one pair.
    #[test]
    fn one_pair_of_many_seeds_asks_for_the_same_seeds() {
        let seeds = ["sgd-s1", "sgd-s2", "sgd-s3", "adamw-s3", "adamw-s4", "adamw-s5"];
        let text = text(&report(seeds.map(|name| finished(name, 80.0)).to_vec()), usize::MAX);
        let note = "one pair: no difference above can be distinguished from noise; give all rows the same seeds, three or more";
        assert!(text.lines().any(|line| line == note) && !text.contains("one seed"), "{text}");
    }

    /// A title that clears the screen and one that begins a line; a name of a run that did not finish.
    #[test]
    fn names_control_neither_the_terminal_nor_the_lines() {
        let mut runs = vec![];
        for (seed, sgd, adamw) in [(1, 80.0, 81.0), (2, 82.0, 83.1)] {
            runs.push(finished(&format!("sgd-s{seed}"), sgd));
            runs.push(finished(&format!("adamw-s{seed}"), adamw));
        }
        for run in &mut runs {
            run.row.title.insert_str(1, "\u{1b}[2J\nx");
        }
        let mut diverged = unfinished("rmsprop\r-s1");
        diverged.status = Status::Diverged;
        runs.push(diverged);
        let mut report = report(runs);
        report.model = "net\u{9b}1m".to_owned();
        report.warnings.push("one\u{7}".to_owned());
        for width in [40, usize::MAX] {
            let text = text(&report, width);
            assert!(!text.contains(|character: char| character.is_control() && character != '\n'), "{text:?}");
        }
        let text = text(&report, usize::MAX);
        for part in ["S\u{fffd}[2J xGD", "net\u{fffd}1m", "one\u{fffd}", "not in the table: rmsprop -s1"] {
            assert!(text.contains(part), "{part}: {text:?}");
        }
    }

    #[test]
    fn what_did_not_finish_is_no_row() {
        let mut diverged = unfinished("adamw-s1");
        diverged.status = Status::Diverged;
        let mut report = report(vec![finished("sgd-s1", 80.0), diverged, unfinished("rmsprop-s1")]);
        report.name = "mine".to_owned();
        report.protocol.clear();
        report.model.clear();
        let text = text(&report, usize::MAX);
        assert!(text.starts_with("mine: on cpu\n") && text.ends_with("not in the table: adamw-s1\n"), "{text}");
        assert!(!text.contains("AdamW") && !text.contains("RMSProp"), "{text}");
    }

    /// Differences of -5.0 and -4.8.
    #[test]
    fn a_language_model_is_judged_by_its_perplexity() {
        let runs =
            [("sgd-s1", 90.0), ("sgd-s2", 92.0), ("lookahead-sgd-keep-s1", 85.0), ("lookahead-sgd-keep-s2", 87.2)];
        let report = report(runs.map(|(name, perplexity)| language(name, perplexity)).to_vec());
        let wide = text(&report, 160);
        let line =
            |start: &str| wide.lines().find(|line| line.trim().starts_with(start)).unwrap_or_default().to_owned();
        for part in ["train loss", " loss ", "perplexity", "seeds", "time/run", "tokens/s"] {
            assert!(line("train loss").contains(part), "{part}: {wide}");
        }
        assert!(line("SGD").contains(" 91.00 \u{b1} 1.41 ") && line("SGD").trim_end().ends_with("800"), "{wide}");
        let difference = line("Lookahead/SGD (keep) \u{2212} SGD");
        assert!(difference.contains("\u{2212}4.90") && difference.trim_end().ends_with("better"), "{wide}");
        assert!(wide.contains("perplexity, paired by seed (lower is better)"), "{wide}");
        assert!(!wide.contains("top-") && !wide.contains("images") && !wide.contains("published figures"), "{wide}");
        for width in [40, 60, 80] {
            let text = text(&report, width);
            assert!(text.lines().all(|line| line.chars().count() <= width), "{width}: {text}");
            assert!(text.contains("perplexity") && text.contains("91.00"), "{width}: {text}");
        }
    }
}
