//! The page of experiments that are not like the demo, in a real browser: one point, a thousand classes, two classes, a row that
//! explodes. `just test-browser` runs them; they need chromium and chromedriver, and say so where they are not.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

#[allow(dead_code, reason = "each test file is a crate of its own, and this one clicks on nothing")]
mod browser;
mod synthetic;

use std::fs;

use browser::{Driver, fits, page_of, screenshot, text};
use lookahead_report::Metric;
use lookahead_runs::{Measure, Plan};
use serde_json::Value;
use synthetic::Synthetic;

/// One seed of one epoch, with one line of metrics: every chart has a point that can be seen, and nothing is claimed. The rows
/// differ by less than can be told, without a sign.
#[test]
#[ignore = "needs chromium and chromedriver"]
fn a_chart_of_one_point_is_drawn() {
    let Some(driver) = Driver::start() else { return };
    let root = tempfile::tempdir().unwrap();
    let rows = vec![("sgd", ""), ("adamw", "")];
    let short = Synthetic { rows, seeds: 1, epochs: 1, steps_per_epoch: 10, ..Synthetic::small("demo") };
    let folder = short.write(root.path());
    for (run, top1) in [("sgd-s1", 50.0), ("adamw-s1", 49.999)] {
        let path = folder.join(run).join("summary.json");
        let mut summary: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        summary["top1"] = top1.into();
        synthetic::write_json(&path, &summary);
    }
    let (page, _) = page_of(&folder);
    let session = driver.session(&root.path().join("profile"));
    session.emulate(1280, 900, "light");
    session.open(&page);
    assert_eq!(session.eval("document.querySelector('.differences td.number').textContent"), "0.00");
    for key in ["train_loss", "valid_loss", "top1", "learning_rate"] {
        let shown = session.eval(&format!(
            "[...document.querySelectorAll('[data-key={key}] circle.point')].map(point => getComputedStyle(point).fill)"
        ));
        let shown = shown.as_array().unwrap();
        assert!(shown.len() == 2 && shown.iter().all(|fill| fill != "none"), "{key}: {shown:?}");
    }
    let lead = text(session.eval("document.querySelector('#results .lead').innerText"));
    assert!(lead.contains("One seed per row") && !lead.contains("standard deviation"), "{lead}");
    assert_eq!(session.console(), [] as [String; 0]);
}

/// Three rows of three seeds on a thousand classes: no matrix, the worst first, and a search.
#[test]
#[ignore = "needs chromium and chromedriver"]
fn a_thousand_classes_are_listed_and_searched() {
    let Some(driver) = Driver::start() else { return };
    let root = tempfile::tempdir().unwrap();
    let rows = vec![("sgd", ""), ("lookahead-sgd", "keep"), ("adamw", "")];
    let classes = (0..1000).map(|class| format!("class {class}")).collect();
    let (page, _) = page_of(&Synthetic { rows, classes, ..Synthetic::small("demo") }.write(root.path()));
    let size = fs::metadata(&page).unwrap().len();
    assert!(size < 500_000, "{size} bytes");
    let session = driver.session(&root.path().join("profile"));
    for (width, scheme) in [(1400, "light"), (800, "dark"), (390, "light")] {
        session.emulate(width, 900, scheme);
        session.open(&page);
        assert_eq!(session.eval("document.querySelectorAll('.confusion').length"), 0);
        assert_eq!(session.eval("document.querySelectorAll('.confusions tbody tr').length"), 20);
        let bars =
            session.eval("[...document.querySelectorAll('.class-bars .number')].map(cell => Number(cell.textContent))");
        let bars: Vec<f64> = bars.as_array().unwrap().iter().map(|bar| bar.as_f64().unwrap()).collect();
        assert!(bars.len() == 40 && bars.is_sorted(), "worst first: {bars:?}");
        // All bars begin at one place, and names are whole.
        let lefts = session.eval("new Set([...document.querySelectorAll('.bar-track')].map(track => track.getBoundingClientRect().left)).size");
        assert_eq!(lefts, 1);
        session.press("#class-search", "class 99");
        assert_eq!(session.eval("document.querySelectorAll('.class-bars .bar-name').length"), 11, "99 and 990 to 999");
        fits(&session);
        screenshot(&session, &format!("thousand-classes-{width}"));
    }
    assert_eq!(session.console(), [] as [String; 0]);
}

/// Ants and bees: a small matrix in letters of a usual size, no top-5, and the accuracy on a phone's first screen.
#[test]
#[ignore = "needs chromium and chromedriver"]
fn two_classes_make_a_small_figure() {
    let Some(driver) = Driver::start() else { return };
    let root = tempfile::tempdir().unwrap();
    let classes = vec!["ants".to_owned(), "bees".to_owned()];
    let rows = vec![("sgd", ""), ("lookahead-sgd", "keep")];
    let (page, _) = page_of(&Synthetic { classes, rows, ..Synthetic::small("imagenette") }.write(root.path()));
    let session = driver.session(&root.path().join("profile"));
    for width in [1400, 800, 390] {
        session.emulate(width, 900, "light");
        session.open(&page);
        let height = session.eval("document.querySelector('.confusion .label').getBBox().height * \
            document.querySelector('.confusion').getBoundingClientRect().width / document.querySelector('.confusion').viewBox.baseVal.width");
        assert!(height.as_f64().unwrap() < 24.0, "{height}");
        assert_eq!(session.eval("document.querySelectorAll('[data-key=top5]').length"), 0);
        let heads = text(session.eval("document.querySelector('#results-table thead').textContent"));
        assert!(!heads.contains("Top-5"), "{heads}");
        assert_eq!(
            session.eval("document.querySelector('#title').textContent"),
            "A folder of images",
            "not Imagenette"
        );
        assert_eq!(session.eval("document.querySelector('#theirs')"), Value::Null);
        let names =
            session.eval("[...document.querySelectorAll('#results-table thead th')].map(head => head.textContent)");
        let column = names.as_array().unwrap().iter().position(|name| name == "Top-1 %").unwrap();
        let right = session.eval(&format!(
            "document.querySelector('#results-table tbody tr').children[{column}].getBoundingClientRect().right"
        ));
        assert!(right.as_f64().unwrap() <= f64::from(width), "{width}: the accuracy ends at {right}");
        let last = session.eval("[...document.querySelectorAll('#contents a')].at(-1).getBoundingClientRect().right");
        assert!(last.as_f64().unwrap() <= f64::from(width), "{width}: the navigation ends at {last}");
        fits(&session);
        screenshot(&session, &format!("two-classes-{width}"));
    }
    assert_eq!(session.console(), [] as [String; 0]);
}

/// Runs at work: the page says as of when, counts those not begun, and speaks of nothing that it does not show.
#[test]
#[ignore = "needs chromium and chromedriver"]
fn a_live_page_says_when_and_what_is_missing() {
    let Some(driver) = Driver::start() else { return };
    let root = tempfile::tempdir().unwrap();
    let rows = vec![("sgd", ""), ("lookahead-sgd", "keep")];
    let folder = Synthetic { rows, seeds: 1, ..Synthetic::small("demo") }.write(root.path());
    let names = ["sgd-s1", "lookahead-sgd-keep-s1", "sgd-s2", "lookahead-sgd-keep-s2"].map(str::to_owned);
    Plan { runs: names.to_vec() }.write(&folder).unwrap();
    for name in &names[..2] {
        fs::remove_file(folder.join(name).join("summary.json")).unwrap();
    }
    let (page, _) = page_of(&folder);
    let session = driver.session(&root.path().join("profile"));
    session.emulate(800, 900, "dark");
    session.open(&page);
    let recipe = text(session.eval("document.querySelector('#recipe').textContent"));
    assert!(recipe.contains("0 of 4 runs done, 2 not begun") && recipe.contains("as of 20"), "{recipe}");
    let lead = text(session.eval("document.querySelector('#results .lead').innerText"));
    assert!(lead.contains("No run is done yet") && !lead.contains("Bold") && !lead.contains("differences"), "{lead}");
    assert!(text(session.eval("document.querySelector('#left-out').textContent")).contains("sgd-s2 not begun"));
    fits(&session);
    screenshot(&session, "live");
    assert_eq!(session.console(), [] as [String; 0]);
}

/// A row whose validation loss explodes is marked and not drawn to; bands of accuracy stay between 0 and 100.
#[test]
#[ignore = "needs chromium and chromedriver"]
fn one_row_that_explodes_does_not_flatten_the_others() {
    let Some(driver) = Driver::start() else { return };
    let root = tempfile::tempdir().unwrap();
    let folder = Synthetic::small("demo").write(root.path());
    for seed in 1..=3 {
        let metrics = folder.join(format!("rmsprop-s{seed}/metrics.jsonl"));
        let lines = fs::read_to_string(&metrics).unwrap();
        let exploded = |line: &str| {
            let mut record: Value = serde_json::from_str(line).unwrap();
            if record["kind"] == "epoch" {
                record["valid_loss"] = (40_000.0 * record["epoch"].as_f64().unwrap()).into();
                record["top1"] = if seed < 3 { 0.1 } else { 20.1 }.into();
            }
            record.to_string() + "\n"
        };
        fs::write(&metrics, lines.lines().map(exploded).collect::<String>()).unwrap();
    }
    let (page, _) = page_of(&folder);
    let session = driver.session(&root.path().join("profile"));
    session.emulate(1280, 900, "light");
    session.open(&page);
    let labels = |key: &str| {
        let found = session.eval(&format!(
            "[...document.querySelectorAll('[data-key={key}] .axes text')].map(text => text.textContent)"
        ));
        found.as_array().unwrap().iter().map(|label| text(label.clone())).collect::<Vec<_>>()
    };
    assert!(!labels("valid_loss").iter().any(|label| label.contains('k')), "{:?}", labels("valid_loss"));
    let beyond = text(session.eval("document.querySelector('[data-key=valid_loss] .beyond').textContent"));
    assert!(beyond.starts_with("Beyond the axis: RMSProp, up to 320000"), "{beyond}");
    assert_eq!(session.eval("document.querySelectorAll('[data-key=valid_loss] .beyond-mark').length"), 1);
    // Its band would go down to -5, were there such an accuracy: the axis ends at zero.
    assert!(!labels("top1").iter().any(|label| label.starts_with('\u{2212}')), "{:?}", labels("top1"));
    let zero_is_lowest = session.eval(
        "(chart => Number(chart.querySelector('.axes .grid').getAttribute('y1')) === Number(chart.querySelector('.axes .base').getAttribute('y1')))\
         (document.querySelector('[data-key=top1]'))",
    );
    assert_eq!(zero_is_lowest, true);
    assert_eq!(session.console(), [] as [String; 0]);
}

/// A line of `metrics.jsonl`: `step` was done `seconds` after the start.
fn step_line(step: u64, loss: f64, seconds: u64) -> String {
    let record = serde_json::json!({ "kind": "step", "step": step, "epoch": 0, "learning_rate": 0.1,
        "train_loss": loss, "per_second": 800.0, "seconds": seconds });
    record.to_string() + "\n"
}

/// One seed logged every 10 steps, one between: their mean is a level line between its ends, and does not jump from one
/// to the other.
#[test]
#[ignore = "needs chromium and chromedriver"]
fn seeds_of_other_steps_are_averaged() {
    let Some(driver) = Driver::start() else { return };
    let root = tempfile::tempdir().unwrap();
    let folder =
        Synthetic { rows: vec![("sgd", "")], seeds: 2, epochs: 1, ..Synthetic::small("demo") }.write(root.path());
    for (seed, first, loss) in [(1, 9, 1.0), (2, 14, 3.0)] {
        let steps = (0..20).map(|position| first + 10 * position);
        let lines: String = steps.map(|step| step_line(step, loss, step)).collect();
        fs::write(folder.join(format!("sgd-s{seed}/metrics.jsonl")), lines).unwrap();
    }
    let (page, _) = page_of(&folder);
    let session = driver.session(&root.path().join("profile"));
    session.emulate(1280, 900, "light");
    session.open(&page);
    let path = text(session.eval("document.querySelector('[data-key=train_loss] path.line').getAttribute('d')"));
    let heights: Vec<&str> = path.split(['M', 'L']).filter_map(|point| Some(point.split_once(' ')?.1)).collect();
    // 20 steps of either; the first is of one seed alone, and so is the last.
    assert_eq!(heights.len(), 40, "{path}");
    assert!(heights[1..39].iter().all(|height| *height == heights[1]), "{path}");
    assert!(heights[0] != heights[1] && heights[39] != heights[1], "{path}");
}

/// A seed that is done in 100 seconds, and one interrupted half-way after 200: by time, their mean goes on to the right, to the end of
/// the axis, and stays between them.
#[test]
#[ignore = "needs chromium and chromedriver"]
fn seeds_of_other_paces_are_averaged_by_time() {
    let Some(driver) = Driver::start() else { return };
    let root = tempfile::tempdir().unwrap();
    let folder =
        Synthetic { rows: vec![("sgd", "")], seeds: 2, epochs: 1, ..Synthetic::small("demo") }.write(root.path());
    for (seed, steps, seconds, loss) in [(1, 100, 1, 1.0), (2, 50, 4, 3.0)] {
        let lines: String = (1..=steps).map(|done| step_line(done - 1, loss, done * seconds)).collect();
        fs::write(folder.join(format!("sgd-s{seed}/metrics.jsonl")), lines).unwrap();
    }
    fs::remove_file(folder.join("sgd-s2/summary.json")).unwrap();
    let (page, _) = page_of(&folder);
    let session = driver.session(&root.path().join("profile"));
    session.emulate(1280, 900, "light");
    session.open(&page);
    session.eval("document.querySelector('#curves-controls [data-value=time]').click()");
    let path = text(session.eval("document.querySelector('[data-key=train_loss] path.line').getAttribute('d')"));
    let points = path.split(['M', 'L']).filter_map(|point| point.split_once(' '));
    let (places, heights): (Vec<f64>, Vec<&str>) = points.map(|(x, y)| (x.parse::<f64>().unwrap(), y)).unzip();
    assert!(places.is_sorted() && heights.iter().all(|height| *height == heights[0]), "{path}");
    let end = session.eval("Number(document.querySelector('[data-key=train_loss] .base').getAttribute('x2'))");
    assert!((places[places.len() - 1] - end.as_f64().unwrap()).abs() < 0.1, "{path}");
}

/// Two rows of a language model: what is there is of perplexity, and what is of classes is not there.
#[test]
#[ignore = "needs chromium and chromedriver"]
fn a_language_model_is_judged_by_its_perplexity() {
    let Some(driver) = Driver::start() else { return };
    let root = tempfile::tempdir().unwrap();
    let folder = Synthetic::language().write_with_data(root.path());
    // Seeds so far apart that the band would reach below 1, which no perplexity is.
    for (seed, perplexity) in [(1, 1.2), (2, 40.0)] {
        let metrics = folder.join(format!("sgd-s{seed}/metrics.jsonl"));
        let changed = |line: &str| {
            let mut record: Value = serde_json::from_str(line).unwrap();
            if record["kind"] == "epoch" {
                record["perplexity"] = perplexity.into();
            }
            record.to_string() + "\n"
        };
        fs::write(&metrics, fs::read_to_string(&metrics).unwrap().lines().map(changed).collect::<String>()).unwrap();
    }
    let (page, report) = page_of(&folder);
    let session = driver.session(&root.path().join("profile"));
    for (width, scheme) in [(1400, "light"), (390, "dark")] {
        session.emulate(width, 900, scheme);
        session.open(&page);
        let texts = |selector: &str| {
            let found =
                session.eval(&format!("[...document.querySelectorAll('{selector}')].map(found => found.textContent)"));
            found.as_array().unwrap().iter().map(|found| text(found.clone())).collect::<Vec<_>>()
        };
        let heads = texts("#results-table thead th");
        for head in ["Train loss", "Loss", "Perplexity", "Seconds", "Tokens/s"] {
            assert!(heads.iter().any(|own| own == head), "{head}: {heads:?}");
        }
        let of_runs = texts("#runs-table thead th");
        assert!(of_runs.contains(&"Best perplexity".to_owned()) && !of_runs.contains(&"Calibration error".to_owned()));
        let shown = text(session.eval("document.body.innerText"));
        for word in ["op-1", "op-5", "image", "ccuracy", "Classes", "onfusion"] {
            assert!(!shown.contains(word), "{word}: {shown}");
        }
        // The lower mean is bold, and lower is better wherever that is said.
        for (row, is_best) in [(0, false), (1, true)] {
            let mean = report.rows[row].number(Metric::Score(Measure::Perplexity)).unwrap().mean;
            let bold = texts(&format!("#results-table tbody tr:nth-child({}) b", row + 1));
            assert_eq!(bold.contains(&format!("{mean:.2}")), is_best, "{bold:?}");
        }
        assert_eq!(texts(".differences thead th")[1..3], ["← better · worse →", "Difference"]);
        let verdict = texts(".differences tbody td:last-child");
        assert_eq!(verdict, ["better"]);
        assert!(texts(".differences td.number")[0].starts_with('\u{2212}'));
        let titles = texts("#charts .chart-title");
        assert_eq!(titles[..3], ["Training loss, nats per token", "Validation loss, nats per token", "Perplexity"]);
        // The ticks of y, from the lowest: an axis from 1 on has none at 0.
        let ticks = texts("[data-key=perplexity] .axes .grid + text");
        assert!(!ticks.is_empty() && ticks.iter().all(|tick| tick.parse::<f64>().unwrap() >= 1.0), "{ticks:?}");
        // The lower edge of the band is the bottom of the axis, which is 1, or above it.
        let lowest = session.eval("(chart => [Math.max(...[...chart.querySelectorAll('path.band')].flatMap(band => [...band.getAttribute('d').matchAll(/ ([\\d.]+)/g)].map(found => Number(found[1])))), Number(chart.querySelector('.axes .base').getAttribute('y1'))])(document.querySelector('[data-key=perplexity]'))");
        assert!(lowest[0].as_f64().unwrap() <= lowest[1].as_f64().unwrap() + 0.06, "{lowest}");
        assert_eq!(texts("#sample h2"), ["Sample"]);
        let samples = texts("#sample pre");
        assert!(samples.len() == 2 && samples[0].starts_with("sgd, seed 1\n\nThe <b>slow</b>"), "{samples:?}");
        assert_eq!(session.eval("document.querySelector('#sample pre').getAttribute('aria-label')"), "Sample of SGD");
        assert!(texts("#contents a").contains(&"Sample".to_owned()));
        fits(&session);
        screenshot(&session, &format!("language-model-{width}"));
    }
    assert_eq!(session.console(), [] as [String; 0]);
}
