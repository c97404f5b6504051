//! A study as an HTML page and as Markdown.

use std::fmt::Write as _;

use lookahead_runs::{Split, TaskKind};

use super::answers::answers;
use super::figures::figures;
use super::rates;
use super::tables::{Cells, chosen, differences, or_infinite};
use super::{StudyReport, Trial};
use crate::cells::paragraphs;
use crate::escape::escaped;
use crate::markdown::{aligned, in_cell};
use crate::words::a_unit;

/// Notes on the tables, for page and Markdown.
fn notes(study: &StudyReport) -> [String; 3] {
    let task = study.task;
    let units = task.units();
    let judged = match study.split {
        Split::Test => format!("each of those runs read the test {units} once, after its last epoch"),
        Split::Valid => format!("the data have no test part, so those runs are judged on the held-out {units}, too"),
    };
    let of_diverged = match task {
        TaskKind::Images => "Diverged runs count as 0 % accuracy.",
        TaskKind::Language => {
            "Diverged runs count as infinite perplexity, so their row has no mean; the probability of improvement includes them."
        }
    };
    [
        format!(
            "All rows have the same number of trials, and each row's setting was chosen on {units} held out of training. The chosen setting was trained again \
             with seeds that tuning did not use; {judged}. Mean \u{b1} sample standard deviation over seeds; losses are in nats {}.",
            a_unit(task)
        ),
        "Differences are paired by seed, with a 95 % confidence interval (Student's t) and p corrected for the number of comparisons (Holm). The probability of \
         improvement is the chance that one run is better than another, with a bootstrap interval. The smallest visible difference is the one that this many pairs \
         with this noise would detect in four of five experiments. Effect sizes are given for ten or more pairs."
            .to_owned(),
        format!("{of_diverged} Times are medians and ranges over the runs that had the machine to themselves."),
    ]
}

/// The study as Markdown: results, tables and all trials. The figures are only in [`study_page`].
pub fn study_markdown(study: &StudyReport) -> String {
    let mut text = format!(
        "# Study: {}\n\nWritten by `just study`, from run folders; not edited by hand.\n\n",
        in_cell(&study.name)
    );
    study.about.iter().for_each(|fact| {
        let _ = writeln!(text, "- {}", in_cell(fact));
    });
    let answers = answers(study);
    if !answers.is_empty() {
        text.push_str("\n## In short\n\n");
        answers.iter().for_each(|answer| {
            text.push_str(&paragraphs(&format!("- {}", in_cell(answer))));
        });
    }
    let _ = write!(text, "\n## Chosen settings, fresh seeds\n\n{}", as_markdown(&chosen(study)));
    let differences = differences(study);
    if !differences.rows.is_empty() {
        let _ = write!(text, "\n## Differences\n\n{}", as_markdown(&differences));
    }
    text.push('\n');
    notes(study).iter().for_each(|note| {
        let _ = writeln!(text, "{}", paragraphs(note));
    });
    let ranges = rates::ranges(study);
    if !ranges.rows.is_empty() {
        let _ = write!(text, "## The learning rate\n\n{}\n{}\n", as_markdown(&ranges), paragraphs(&rates::note(study)));
    }
    let at_same_rate = rates::at_same_rate(study);
    if !at_same_rate.rows.is_empty() {
        let _ = write!(text, "At the same learning rate:\n\n{}\n", as_markdown(&at_same_rate));
    }
    let measure = study.task.score();
    text.push_str("## Trials\n\n");
    for row in &study.rows {
        let mut trials: Vec<&Trial> = row.trials.iter().collect();
        trials.sort_by(|a, b| measure.best_first(a.mean(), b.mean()));
        let cells = Cells {
            head: ["Setting", &format!("Valid {}", measure.title().to_lowercase()), "Valid loss", "Diverged"]
                .map(str::to_owned)
                .to_vec(),
            rows: trials.iter().map(|trial| of_trial(trial)).collect(),
        };
        let _ = write!(text, "### {}\n\n{}\n", in_cell(&row.title), as_markdown(&cells));
    }
    text
}

fn of_trial(trial: &Trial) -> Vec<String> {
    vec![trial.words(), or_infinite(trial.mean(), 2), or_infinite(trial.loss, 4), trial.diverged.to_string()]
}

fn as_markdown(cells: &Cells) -> String {
    let mut lines = vec![cells.head.clone()];
    lines.extend(cells.rows.iter().map(|row| row.iter().map(|cell| in_cell(cell)).collect()));
    aligned(&lines, 1)
}

/// The study as one self-contained HTML page: results, tables, and the figures as SVG.
pub fn study_page(study: &StudyReport) -> String {
    let name = escaped(&study.name);
    let mut text = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>Study: {name}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n<h1>Study: {name}</h1>\n<ul>\n"
    );
    study.about.iter().for_each(|fact| {
        let _ = writeln!(text, "<li>{}</li>", escaped(fact));
    });
    text.push_str("</ul>\n");
    let answers = answers(study);
    if !answers.is_empty() {
        text.push_str("<h2>In short</h2>\n<ul>\n");
        answers.iter().for_each(|answer| {
            let _ = writeln!(text, "<li>{}</li>", escaped(answer));
        });
        text.push_str("</ul>\n");
    }
    text.push_str("<h2>Chosen settings, fresh seeds</h2>\n");
    as_html(&mut text, "Chosen settings, fresh seeds", &chosen(study));
    let differences = differences(study);
    if !differences.rows.is_empty() {
        text.push_str("<h2>Differences</h2>\n");
        as_html(&mut text, "Differences", &differences);
    }
    notes(study).iter().for_each(|note| {
        let _ = writeln!(text, "<p class=\"note\">{}</p>", escaped(note));
    });
    let ranges = rates::ranges(study);
    if !ranges.rows.is_empty() {
        text.push_str("<h2>The learning rate</h2>\n");
        as_html(&mut text, "The learning rate", &ranges);
        let _ = writeln!(text, "<p class=\"note\">{}</p>", escaped(&rates::note(study)));
    }
    let at_same_rate = rates::at_same_rate(study);
    if !at_same_rate.rows.is_empty() {
        text.push_str("<h3>At the same learning rate</h3>\n");
        as_html(&mut text, "At the same learning rate", &at_same_rate);
    }
    text.push_str("<h2>Tuning</h2>\n<div class=\"figures\">\n");
    for figure in figures(study) {
        let (title, about) = (escaped(&figure.title), escaped(&figure.about));
        let _ = writeln!(
            text,
            "<figure><h3>{title}</h3>{}{}</div><figcaption>{about}</figcaption></figure>",
            wide(&title),
            figure.svg
        );
    }
    text.push_str("</div>\n</main>\n</body>\n</html>\n");
    text
}

/// The start of a region that scrolls; with a tab stop, since a keyboard scrolls only what has the focus. `name` is
/// escaped.
fn wide(name: &str) -> String {
    format!("<div class=\"wide\" tabindex=\"0\" role=\"region\" aria-label=\"{name}\">")
}

fn as_html(text: &mut String, name: &str, cells: &Cells) {
    let _ = write!(text, "{}<table>\n<thead><tr>", wide(name));
    cells.head.iter().for_each(|head| {
        let _ = write!(text, "<th scope=\"col\">{}</th>", escaped(head));
    });
    text.push_str("</tr></thead>\n<tbody>\n");
    for row in &cells.rows {
        text.push_str("<tr>");
        for (column, cell) in row.iter().enumerate() {
            let cell = escaped(cell);
            let _ = match column {
                0 => write!(text, "<th scope=\"row\">{cell}</th>"),
                _ => write!(text, "<td>{cell}</td>"),
            };
        }
        text.push_str("</tr>\n");
    }
    text.push_str("</tbody>\n</table></div>\n");
}

const STYLE: &str = "
:root { color-scheme: light dark; }
body { margin: 0; font: 15px/1.5 system-ui, sans-serif; color: light-dark(#1d2733, #e4e9ee); background: light-dark(#fff, #14191f); }
main { max-width: 1240px; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.2rem; margin-top: 2rem; } h3 { font-size: 1rem; margin: 0 0 .4rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .7rem; text-align: right; border-bottom: 1px solid light-dark(#dde3e9, #303a44); }
th, td { white-space: nowrap; }
tbody th { font-weight: inherit; }
th:first-child, td:nth-child(3) { text-align: left; }
.note, figcaption { max-width: 62rem; color: light-dark(#52606d, #a3b0bc); }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 560px), 1fr)); gap: 1.5rem; }
figure { margin: 0; min-width: 0; }
figure svg { max-width: 100%; height: auto; }
@media print {
  :root { color-scheme: light; }
  main { max-width: none; padding: 0; }
  .wide { overflow: visible; }
  th, td { padding: 2pt 3pt; white-space: normal; }
  table { font-size: 7.5pt; }
  tr, figure { break-inside: avoid; }
}
";

#[cfg(test)]
mod tests {
    use super::super::tables::INFINITE;
    use super::super::testing::{of_language, study};
    use super::*;

    #[test]
    fn names_are_escaped_and_all_parts_are_there() {
        let page = study_page(&study());
        assert!(
            !page.contains("<SGD>") && page.contains("Lookahead/&lt;SGD&gt;") && page.contains("Drawn &amp; small.")
        );
        assert_eq!((page.matches("<table>").count(), page.matches("<svg ").count()), (3, 3));
        // A keyboard reaches each of them, and a printer shows all of their columns.
        assert_eq!(page.matches("<div class=\"wide\" tabindex=\"0\" role=\"region\" aria-label=\"").count(), 6);
        assert!(
            page.contains("<th scope=\"row\">Lookahead/&lt;SGD&gt;</th>")
                && page.contains(".wide { overflow: visible; }")
        );
        let text = study_markdown(&study());
        for part in [
            "# Study: shapes",
            "## In short",
            "## Differences",
            "Lookahead/\\<SGD> \u{2212} SGD",
            "### SGD",
            " infinite |",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }

    #[test]
    fn a_study_of_language_speaks_of_tokens_and_lists_the_lowest_first() {
        // In one line: a sentence may be broken anywhere.
        let text = study_markdown(&of_language()).replace('\n', " ");
        assert!(
            text.contains("held out of training")
                && text.contains("nats per token")
                && text.contains("test tokens once"),
            "{text}"
        );
        let text = study_markdown(&StudyReport { split: Split::Valid, ..of_language() });
        assert!(text.contains("no test part") && text.contains("| Held-out perplexity |"), "{text}");
        for word in ["top-1", "image", "accurac", "%,"] {
            assert!(!text.contains(word), "{word}: {text}");
        }
        let trials: Vec<&str> = text.lines().filter(|line| line.starts_with("| learning_rate")).collect();
        let of = |line: &str| line.split('|').nth(2).unwrap().trim().to_owned();
        assert_eq!(trials.iter().map(|line| of(line)).collect::<Vec<_>>(), ["89.75", "99.75", INFINITE]);
        let page = study_page(&of_language());
        assert!(page.contains("<th scope=\"col\">Test perplexity</th>"), "{page}");
        assert!(!page.contains("NaN") && !page.contains(">inf<"), "{page}");
    }
}
