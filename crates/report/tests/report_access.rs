//! Pages of every kind as axe-core, a phone and a printer see them: `just test-browser`, which fetches axe-core into
//! `target/tools`. Needs chromium and chromedriver, and says so where they or axe-core are not. With
//! `$LOOKAHEAD_SCREENSHOTS` set to a folder, it leaves a picture of each page there, and its print.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

#[allow(dead_code, reason = "each test file is a crate of its own, and this one clicks on nothing")]
mod browser;
mod synthetic;

use std::fs;
use std::path::{Path, PathBuf};

use browser::{Driver, Session, fits, page_of, screenshot};
use lookahead_report::{FinalFigures, FinalRun, StudyReport, StudyRow, Trial, study_page};
use lookahead_runs::{Plan, Split, TaskKind};
use serde_json::Value;
use synthetic::Synthetic;

/// Rows of the demo: five, as its protocol has them.
const DEMO: [(&str, &str); 5] =
    [("sgd", ""), ("lookahead-sgd", "keep"), ("adamw", ""), ("lookahead-adamw", "keep"), ("rmsprop", "")];

fn one_run(root: &Path) -> PathBuf {
    Synthetic { rows: vec![("sgd", "")], seeds: 1, ..Synthetic::small("demo") }.write_with_data(root)
}

fn demo(root: &Path) -> PathBuf {
    Synthetic { rows: DEMO.to_vec(), seeds: 1, ..Synthetic::small("demo") }.write_with_data(root)
}

fn thousand_classes(root: &Path) -> PathBuf {
    let rows = vec![("sgd", ""), ("lookahead-sgd", "keep"), ("adamw", "")];
    let classes = (0..1000).map(|class| format!("class {class}")).collect();
    Synthetic { rows, classes, ..Synthetic::small("imagenette") }.write_with_data(root)
}

fn thirty_seeds(root: &Path) -> PathBuf {
    let rows = [&DEMO[..], &[("lookahead-sgd", "reset"), ("lookahead-rmsprop", "keep"), ("polyak", "")]].concat();
    Synthetic { rows, seeds: 30, ..Synthetic::small("cifar10") }.write_with_data(root)
}

/// The first run is done, the second at work, the third not begun.
fn live(root: &Path) -> PathBuf {
    let folder = Synthetic { rows: DEMO[..2].to_vec(), seeds: 1, ..Synthetic::small("demo") }.write_with_data(root);
    let runs = ["sgd-s1", "lookahead-sgd-keep-s1", "adamw-s1"].map(str::to_owned);
    Plan { runs: runs.to_vec() }.write(&folder).unwrap();
    fs::remove_file(folder.join("summary.json")).unwrap();
    let at_work = folder.join(&runs[1]);
    fs::remove_file(at_work.join("summary.json")).unwrap();
    let metrics = fs::read_to_string(at_work.join("metrics.jsonl")).unwrap();
    let half: Vec<&str> = metrics.lines().take(metrics.lines().count() / 2).collect();
    fs::write(at_work.join("metrics.jsonl"), half.join("\n") + "\n").unwrap();
    folder
}

fn two_classes(root: &Path) -> PathBuf {
    let classes = vec!["ants".to_owned(), "bees".to_owned()];
    Synthetic { rows: DEMO[..2].to_vec(), classes, ..Synthetic::small("imagenette") }.write_with_data(root)
}

fn language(root: &Path) -> PathBuf {
    Synthetic::language().write_with_data(root)
}

/// The runs of a study, whose names are long and have no spaces; one was made with other threads.
fn study(root: &Path) -> PathBuf {
    let rows = vec![
        ("adamw@learning_rate=0.004", ""),
        ("lookahead-adamw-reset@learning_rate=0.064@slow_step_size=0.8@sync_period=20", "reset"),
    ];
    let folder = Synthetic { rows, ..Synthetic::language() }.write_with_data(root);
    let path = folder.join("adamw@learning_rate=0.004-s1/env.json");
    let mut environment: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    environment["threads"] = 7.into();
    synthetic::write_json(&path, &environment);
    folder
}

/// The page of a study itself: two rows of nine trials and three final runs each.
fn page_of_study(root: &Path) -> PathBuf {
    let trial = |rate: usize, step: usize| {
        let values =
            [("learning_rate", ["0.004", "0.016", "0.064"][rate]), ("slow_step_size", ["0.5", "0.8", "1"][step])];
        let accuracy = 60.0 + 3.0 * rate as f64 + step as f64;
        Trial {
            values: values.map(|(key, value)| (key.to_owned(), value.to_owned())).to_vec(),
            scores: vec![(1, accuracy), (2, accuracy + 0.5)],
            loss: 3.0 - accuracy / 50.0,
            diverged: 0,
            is_identity: false,
        }
    };
    let row = |title: &str, baseline| StudyRow {
        title: title.to_owned(),
        baseline,
        trials: (0..9).map(|cell| trial(cell / 3, cell % 3)).collect(),
        chosen: 8,
        edges: vec!["learning_rate".to_owned(), "slow_step_size".to_owned()],
        finals: (101..104)
            .map(|seed| FinalRun {
                seed,
                figures: Some(FinalFigures {
                    score: 70.0 + (seed * if baseline.is_some() { 7 } else { 3 } % 5) as f64,
                    loss: 1.234,
                    seconds: Some(12_345.0 + seed as f64),
                    peak_rss_mb: 1_234,
                }),
            })
            .collect(),
    };
    let study = StudyReport {
        name: "imagenette-quick".to_owned(),
        task: TaskKind::Images,
        split: Split::Test,
        about: vec!["Drawn for this test.".to_owned()],
        rows: vec![row("AdamW", None), row("Lookahead/AdamW (reset)", Some(0))],
    };
    let page = root.join("study.html");
    fs::write(&page, study_page(&study)).unwrap();
    page
}

type Kind = (&'static str, fn(&Path) -> PathBuf);

const KINDS: [Kind; 8] = [
    ("one-run", one_run),
    ("demo", demo),
    ("thousand-classes", thousand_classes),
    ("thirty-seeds", thirty_seeds),
    ("live", live),
    ("two-classes", two_classes),
    ("language", language),
    ("study", study),
];

/// axe-core's text, of `$AXE` or where `just test-browser` puts it.
fn axe() -> Option<String> {
    let fetched = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/tools/node_modules/axe-core/axe.min.js");
    let path = std::env::var_os("AXE").map_or_else(|| PathBuf::from(fetched), PathBuf::from);
    fs::read_to_string(&path)
        .inspect_err(|error| eprintln!("skipped: no axe-core at {} ({error}); `just axe` fetches it", path.display()))
        .ok()
}

/// What axe-core has against the page as it is, one line a finding: rule, weight, the first elements.
fn findings(session: &Session<'_>, axe: &str) -> Vec<String> {
    session.run(&format!("const done = arguments[arguments.length - 1]; {axe}; done(null);"));
    let found = session.run(
        "const done = arguments[arguments.length - 1]; \
         axe.run(document, { resultTypes: ['violations'] }).then(found => done(found.violations.map(rule => \
         `${rule.id} (${rule.impact}): ${rule.nodes.slice(0, 3).map(node => node.html.slice(0, 160) + ' ' + \
         node.failureSummary.slice(0, 300)).join(' | ')}`)), error => done([String(error)]));",
    );
    found.as_array().unwrap().iter().map(|line| line.as_str().unwrap().to_owned()).collect()
}

#[test]
#[ignore = "needs chromium, chromedriver and axe-core"]
fn axe_finds_nothing_in_either_theme() {
    let Some(axe) = axe() else { return };
    let Some(driver) = Driver::start() else { return };
    let root = tempfile::tempdir().unwrap();
    let session = driver.session(&root.path().join("profile"));
    let mut all = Vec::new();
    let pages = KINDS.map(|(name, write)| (name, page_of(&write(&root.path().join(name))).0));
    for (name, page) in pages.into_iter().chain([("study page", page_of_study(root.path()))]) {
        for (width, scheme) in [(1400, "light"), (1400, "dark"), (390, "light"), (390, "dark")] {
            session.emulate(width, 900, scheme);
            session.open(&page);
            session.eval("document.querySelectorAll('details').forEach(details => details.open = true)");
            let found = findings(&session, &axe);
            all.extend(found.iter().map(|finding| format!("{name}, {width} pixels, {scheme}: {finding}")));
        }
    }
    assert_eq!(all, [] as [String; 0], "{all:#?}");
}

#[test]
#[ignore = "needs chromium and chromedriver"]
fn every_page_fits_every_window_and_paper() {
    let Some(driver) = Driver::start() else { return };
    let root = tempfile::tempdir().unwrap();
    let session = driver.session(&root.path().join("profile"));
    for (name, write) in KINDS {
        let (page, _) = page_of(&write(&root.path().join(name)));
        for (width, scheme) in [(390, "light"), (390, "dark"), (800, "light"), (1400, "light"), (1400, "dark")] {
            session.emulate(width, 900, scheme);
            session.open(&page);
            fits(&session);
            screenshot(&session, &format!("{name}-{width}-{scheme}"));
            if width == 390 {
                names_leave_room(&session, name);
            }
        }
        on_paper(&session, name);
    }
    assert_eq!(session.console(), [] as [String; 0]);
}

/// The column of names stays where it is while the others pass behind it: it must not fill a phone, and no name may lie over
/// the numbers beside it. Tables in `details` count, too.
fn names_leave_room(session: &Session<'_>, name: &str) {
    session.eval("document.querySelectorAll('details').forEach(details => details.open = true)");
    fits(session);
    let bad = session.eval(
        "[...document.querySelectorAll('.figures .name')].filter(cell => { const text = document.createRange(); \
         text.selectNodeContents(cell); const box = cell.getBoundingClientRect(); \
         return box.width > 0.6 * innerWidth || text.getBoundingClientRect().right > box.right + 0.5; \
         }).map(cell => cell.textContent)",
    );
    assert_eq!(bad, Value::Array(vec![]), "{name}");
}

/// On a screen a wide table scrolls; paper cannot, so all columns fit on it.
#[test]
#[ignore = "needs chromium and chromedriver"]
fn the_page_of_a_study_fits_every_window_and_paper() {
    let Some(driver) = Driver::start() else { return };
    let root = tempfile::tempdir().unwrap();
    let page = page_of_study(root.path());
    let session = driver.session(&root.path().join("profile"));
    for width in [390, 1400] {
        session.emulate(width, 900, "light");
        session.open(&page);
        fits(&session);
        screenshot(&session, &format!("study-page-{width}"));
    }
    session.emulate_paper(718);
    fits(&session);
    assert_eq!(session.eval("getComputedStyle(document.querySelector('.wide')).overflowX"), "visible");
    assert_eq!(session.eval("getComputedStyle(document.body).backgroundColor"), "rgb(255, 255, 255)");
    if let Some(folder) = std::env::var_os("LOOKAHEAD_SCREENSHOTS") {
        session.print(&Path::new(&folder).join("study-page.pdf"));
    }
}

/// A4 with Chromium's margins is 718 pixels wide. Ink is dark on white whatever the reader's theme, and what can be clicked on
/// is gone.
fn on_paper(session: &Session<'_>, name: &str) {
    session.emulate_paper(718);
    session.eval("window.dispatchEvent(new Event('beforeprint'))");
    fits(session);
    let colours =
        session.eval("[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]");
    assert_eq!(colours, serde_json::json!(["rgb(27, 34, 44)", "rgb(255, 255, 255)"]), "{name}");
    let shown = session.eval("[...document.querySelectorAll('button, select, input, nav')].filter(control => control.offsetParent && !control.closest('th, .legend')).map(control => control.outerHTML.slice(0, 80))");
    assert_eq!(shown, Value::Array(vec![]), "{name}");
    if let Some(folder) = std::env::var_os("LOOKAHEAD_SCREENSHOTS") {
        session.print(&Path::new(&folder).join(format!("{name}.pdf")));
    }
}
