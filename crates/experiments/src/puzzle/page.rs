//! The page of the puzzle: table, figure, and what the differences say.

use std::fmt::Write as _;

use super::variants::{RATES, Variant};
use crate::chart::{Chart, Line};
use crate::config::Config;
use crate::environment::Environment;
use crate::stats::{PairedDifference, Spread, by_seed};

/// A variant's runs: final figures by seed, and accuracy by epoch.
#[derive(Debug, Clone)]
pub(super) struct Outcome {
    pub(super) variant: Variant,
    /// (seed, accuracy, validation loss) of the runs that ended.
    pub(super) ends: Vec<(u64, f64, f64)>,
    /// Epochs, and the accuracy after each over seeds.
    pub(super) curve: Vec<(f64, Spread)>,
    /// Seeds whose loss became infinite or not a number.
    pub(super) diverged: Vec<u64>,
}

/// Writes the page; `figure` is the path of the SVG as the page sees it.
pub(super) fn page(outcomes: &[Outcome], config: &Config, environment: &Environment, figure: &str) -> String {
    let mut text = format!(
        "# Why did Lookahead/AdamW collapse?\n\n\
         The original project found Lookahead around AdamW the worst of its optimizers (44 to 77 % where others had 54 to 85 %) and \
         suspected the averages that AdamW keeps. Its notebooks hold two other suspects: inside Lookahead AdamW had the \
         learning rate {} of Lookahead/SGD instead of its own {}, and the reset set the moments to zero but kept the step \
         counter, so that the bias correction no longer fitted. Each is tried alone here, and together.\n\n\
         {} on {} ({}), {} epochs, batch {}, weight decay {}, beta2 {}, sync period {}, slow step size {}; the learning rate is divided by 5 \
         after the epochs {:?}. Validation at the slow weights.\n\n",
        RATES.1,
        RATES.0,
        config.model.name,
        config.experiment,
        images(config),
        config.train.epochs,
        config.train.batch_size,
        config.adamw.weight_decay,
        config.adamw.beta2,
        config.lookahead.sync_period,
        config.lookahead.slow_step_size,
        config.schedule.milestones,
    );
    text.push_str("| | accuracy | validation loss | seeds | to AdamW, paired | 95 % interval | |\n");
    text.push_str("| --- | ---: | ---: | ---: | ---: | ---: | --- |\n");
    for outcome in outcomes {
        text.push_str(&row(outcome, &outcomes[0]));
    }
    let _ = write!(
        text,
        "\n![Validation accuracy by epoch]({figure})\n\n## What explains the collapse\n\n{}\n\n",
        verdict(outcomes)
    );
    for (question, ours, theirs) in QUESTIONS {
        text.push_str(&answer(outcomes, question, ours, theirs));
    }
    let _ = write!(
        text,
        "\nWritten by `just {}` at commit {}{}, on {} with {} threads.\n",
        environment.command,
        environment.commit,
        if environment.dirty { " (changed)" } else { "" },
        environment.cpu,
        environment.threads
    );
    text
}

/// How much of the data set was used.
fn images(config: &Config) -> String {
    let part = |limit: usize| if limit == 0 { "all".to_owned() } else { limit.to_string() };
    format!("{} training images, {} for validation", part(config.data.limit_train), part(config.data.limit_valid))
}

/// The two suspects: each against the same run without it.
const SUSPECTS: &[(&str, &str, &str)] = &[
    ("the learning rate 0.1", "keep-0.1", "keep"),
    ("the reset of the moments without the step counter", "moments", "reset"),
];

/// Which suspects lower the accuracy by more than noise, in a sentence or two.
fn verdict(outcomes: &[Outcome]) -> String {
    let (mut guilty, mut others) = (Vec::new(), Vec::new());
    for (suspect, with, without) in SUSPECTS {
        let (Some(with), Some(without)) = (find(outcomes, with), find(outcomes, without)) else { continue };
        match PairedDifference::of(&pairs(with, without)) {
            Some(d) if d.mean < 0.0 && d.is_distinguishable() => {
                guilty.push(format!("{suspect} ({:+.1} points)", d.mean))
            }
            Some(d) => others.push(format!("{suspect} ({:+.1})", d.mean)),
            None => others.push(format!("{suspect} (too few runs)")),
        }
    }
    match (guilty.as_slice(), others.as_slice()) {
        ([], _) => format!("Nothing here that is more than noise: neither {}.", others.join(" nor ")),
        (guilty, []) => format!("**Both: {}.**", guilty.join(" and ")),
        (guilty, others) => format!("**{}.** Not {}.", capitalized(&guilty.join(" and ")), others.join(" nor ")),
    }
}

fn capitalized(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().collect::<String>() + letters.as_str()).unwrap_or_default()
}

fn find<'a>(outcomes: &'a [Outcome], name: &str) -> Option<&'a Outcome> {
    outcomes.iter().find(|outcome| outcome.variant.name == name)
}

/// What each pair of variants tells.
const QUESTIONS: &[(&str, &str, &str)] = &[
    ("Lookahead itself, state kept", "keep", "adamw"),
    ("A correct reset instead of keeping", "reset", "keep"),
    ("Interpolating instead of keeping", "interpolate", "keep"),
    ("Resetting moments without the counter, instead of a correct reset", "moments", "reset"),
    ("The learning rate 0.1 in AdamW alone", "adamw-0.1", "adamw"),
    ("The learning rate 0.1 under Lookahead, state kept", "keep-0.1", "keep"),
    ("Lookahead at the learning rate 0.1, to AdamW at 0.1", "keep-0.1", "adamw-0.1"),
    ("Both mistakes, to the learning rate alone", "moments-0.1", "keep-0.1"),
];

fn row(outcome: &Outcome, baseline: &Outcome) -> String {
    let figure = |values: Vec<f64>, digits: usize| match (Spread::of(&values), values.len()) {
        (None, _) => "-".to_owned(),
        (Some(spread), 1) => format!("{:.digits$}", spread.mean),
        (Some(spread), _) => format!("{:.digits$} ± {:.digits$}", spread.mean, spread.std),
    };
    let accuracy = figure(outcome.ends.iter().map(|end| end.1).collect(), 2);
    let loss = figure(outcome.ends.iter().map(|end| end.2).collect(), 3);
    let (difference, interval, verdict) = match PairedDifference::of(&pairs(outcome, baseline)) {
        Some(d) if outcome.variant != baseline.variant => (
            format!("{:+.2}", d.mean),
            format!("{:+.2} .. {:+.2}", d.low, d.high),
            if d.is_distinguishable() { "" } else { "not distinguishable" },
        ),
        _ => (String::new(), String::new(), ""),
    };
    let verdict = match outcome.diverged.as_slice() {
        [] => verdict.to_owned(),
        seeds => format!("diverged with seeds {seeds:?}"),
    };
    format!(
        "| {} | {accuracy} % | {loss} | {} | {difference} | {interval} | {verdict} |\n",
        outcome.variant.title,
        outcome.ends.len()
    )
}

fn answer(outcomes: &[Outcome], question: &str, ours: &str, theirs: &str) -> String {
    let (Some(ours), Some(theirs)) = (find(outcomes, ours), find(outcomes, theirs)) else { return String::new() };
    match PairedDifference::of(&pairs(ours, theirs)) {
        None => format!("- {question}: too few runs that ended to tell.\n"),
        Some(d) => format!(
            "- {question}: {:+.2} points ({:+.2} .. {:+.2}), {}.\n",
            d.mean,
            d.low,
            d.high,
            if d.is_distinguishable() { "more than noise" } else { "not distinguishable from noise" }
        ),
    }
}

fn pairs(ours: &Outcome, theirs: &Outcome) -> Vec<(f64, f64)> {
    let accuracies = |outcome: &Outcome| outcome.ends.iter().map(|end| (end.0, end.1)).collect::<Vec<_>>();
    by_seed(&accuracies(ours), &accuracies(theirs))
}

/// Accuracy by epoch, a line a variant.
pub(super) fn figure(outcomes: &[Outcome]) -> String {
    Chart {
        title: "AdamW, alone and inside Lookahead".to_owned(),
        x_title: "Epoch",
        y_title: "Validation accuracy (%)",
        x_is_logarithmic: false,
        y_is_logarithmic: false,
        lines: outcomes
            .iter()
            .map(|outcome| Line {
                name: outcome.variant.title.to_owned(),
                stroke: outcome.variant.stroke(),
                points: outcome.curve.clone(),
            })
            .collect(),
        mark: None,
    }
    .to_svg()
}

#[cfg(test)]
mod tests {
    use super::super::variants::VARIANTS;
    use super::*;

    /// Outcomes of three seeds around the given accuracies; others around 50.
    fn outcomes(accuracies: &[(&str, f64)]) -> Vec<Outcome> {
        let outcome = |variant: &Variant| {
            let of_variant = accuracies.iter().find(|(name, _)| *name == variant.name);
            let accuracy = of_variant.map_or(50.0, |(_, accuracy)| *accuracy);
            let ends = [(1, accuracy - 0.1, 1.0), (2, accuracy, 1.0), (3, accuracy + 0.2, 1.0)].to_vec();
            Outcome { variant: *variant, ends, curve: vec![], diverged: vec![] }
        };
        VARIANTS.iter().map(outcome).collect()
    }

    #[test]
    fn the_verdict_names_what_lowers_the_accuracy() {
        let high_rate = verdict(&outcomes(&[("keep-0.1", 40.0), ("moments", 50.0)]));
        assert_eq!(
            high_rate,
            "**The learning rate 0.1 (-10.0 points).** Not the reset of the moments without the step counter (+0.0)."
        );
        assert!(verdict(&outcomes(&[("keep-0.1", 40.0), ("moments", 30.0)])).starts_with("**Both: "));
        assert!(verdict(&outcomes(&[("keep-0.1", 60.0)])).starts_with("Nothing here"));
        let mut few = outcomes(&[]);
        few.iter_mut().for_each(|outcome| outcome.ends.truncate(1));
        assert!(verdict(&few).contains("too few runs"));
    }

    #[test]
    fn the_page_has_a_row_a_variant_and_says_how_it_was_made() {
        let config = super::super::variants::base(crate::names::Experiment::Demo, 10);
        let mut some = outcomes(&[("keep", 44.0)]);
        some[8].ends.clear();
        some[8].diverged = vec![1, 2, 3];
        let environment = Environment::here("cpu", 2).unwrap();
        let page = page(&some, &config, &environment, "f.svg");
        assert!(page.contains("| Lookahead, keep | 44.03 ± 0.15 % | 1.000 ± 0.000 | 3 | -6.00 |"), "{page}");
        assert!(
            page.contains("diverged with seeds [1, 2, 3]")
                && page.contains("(all training images, all for validation)")
        );
        assert!(page.contains("![Validation accuracy by epoch](f.svg)") && page.contains("Written by `just "));
    }
}
