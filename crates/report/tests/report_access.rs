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
use lookahead_runs::Plan;
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

type Kind = (&'static str, fn(&Path) -> PathBuf);

const KINDS: [Kind; 7] = [
    ("one-run", one_run),
    ("demo", demo),
    ("thousand-classes", thousand_classes),
    ("thirty-seeds", thirty_seeds),
    ("live", live),
    ("two-classes", two_classes),
    ("language", language),
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
    for (name, write) in KINDS {
        let (page, _) = page_of(&write(&root.path().join(name)));
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
        }
        on_paper(&session, name);
    }
    assert_eq!(session.console(), [] as [String; 0]);
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
