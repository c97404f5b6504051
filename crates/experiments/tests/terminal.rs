//! Terminals of several widths and kinds, through a pseudo-terminal that Python makes. Says so when it skips.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
#![cfg(unix)]

mod program;

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use program::{SMALL, demo};

/// Runs a program on a terminal of so many columns; what it wrote, and its status. Once `after` is on the screen, keys
/// are typed, and the terminal gets another size where `resized` names one, with the signal that a window sends; what
/// was written before ends there with a form feed.
const PTY: &str = r#"
import fcntl, json, os, pty, select, struct, sys, termios
columns, rows, environment, arguments, after, keys, resized = json.loads(sys.stdin.read())
child, terminal = pty.fork()
if child == 0:
    os.environ.update(environment)
    for name in [name for name, value in environment.items() if value == ""]:
        del os.environ[name]
    os.read(0, 1)
    os.execv(arguments[0], arguments)
fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
os.write(terminal, b"\n")
seen, typed = b"", False
while True:
    try:
        part = os.read(terminal, 65536)
    except OSError:
        break
    if not part:
        break
    seen += part
    if (keys or resized) and not typed and after.encode() in seen:
        os.write(terminal, keys.encode())
        if resized:
            # The kernel sends SIGWINCH to who has the terminal.
            fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", resized[1], resized[0], 0, 0))
            seen += b"\f"
        typed = True
status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
sys.stdout.buffer.write(b"%d\n" % status + seen)
"#;

struct Seen {
    status: i32,
    text: String,
}

#[allow(clippy::too_many_arguments, reason = "a terminal has as many sides")]
fn on_terminal(
    folder: &Path,
    (columns, rows): (u16, u16),
    environment: &[(&str, &str)],
    arguments: &[&str],
    typing: (&str, &str),
) -> Option<Seen> {
    on_resized_terminal(folder, (columns, rows), environment, arguments, typing, None)
}

#[allow(clippy::too_many_arguments, reason = "a terminal has as many sides")]
fn on_resized_terminal(
    folder: &Path,
    (columns, rows): (u16, u16),
    environment: &[(&str, &str)],
    arguments: &[&str],
    typing: (&str, &str),
    resized: Option<(u16, u16)>,
) -> Option<Seen> {
    let mut variables = serde_json::Map::new();
    // A variable that is empty here is not set there.
    for (name, value) in [("LC_ALL", "C.UTF-8"), ("TERM", "xterm-256color"), ("COLUMNS", "")].iter().chain(environment)
    {
        variables.insert((*name).to_owned(), (*value).into());
    }
    let arguments: Vec<&str> = std::iter::once(env!("CARGO_BIN_EXE_demo")).chain(arguments.iter().copied()).collect();
    let job = serde_json::json!([columns, rows, variables, arguments, typing.0, typing.1, resized]);
    let spawned = Command::new("python3")
        .args(["-c", PTY])
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let Ok(mut child) = spawned else {
        eprintln!("skipped: no python3, which makes pseudo-terminals");
        return None;
    };
    child.stdin.take().unwrap().write_all(job.to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (status, text) = text.split_once('\n').unwrap_or_else(|| panic!("python3 failed: {text}"));
    Some(Seen { status: status.parse().unwrap(), text: text.to_owned() })
}

/// The screen that a full-screen program left: signs put where the cursor was.
struct Screen {
    cells: Vec<Vec<char>>,
}

impl Screen {
    fn of(text: &str, (columns, rows): (u16, u16)) -> Self {
        let mut cells = vec![vec![' '; columns.into()]; rows.into()];
        let (mut row, mut column) = (0usize, 0usize);
        let mut signs = text.chars().peekable();
        while let Some(sign) = signs.next() {
            match sign {
                '\u{1b}' if signs.peek() == Some(&'[') => {
                    signs.next();
                    let mut parameters = String::new();
                    let last = loop {
                        match signs.next() {
                            Some(end) if end.is_ascii_alphabetic() => break end,
                            Some(inner) => parameters.push(inner),
                            None => break ' ',
                        }
                    };
                    if last == 'H' {
                        let mut numbers = parameters.split(';').map(|number| number.parse().unwrap_or(1usize));
                        (row, column) = (numbers.next().unwrap_or(1) - 1, numbers.next().unwrap_or(1) - 1);
                    }
                }
                '\u{1b}' => drop(signs.next()),
                '\r' => column = 0,
                '\n' => row += 1,
                sign if sign.is_control() => {}
                sign => {
                    if let Some(cell) = cells.get_mut(row).and_then(|row| row.get_mut(column)) {
                        *cell = sign;
                    }
                    column += 1;
                }
            }
        }
        Self { cells }
    }

    fn text(&self) -> String {
        self.cells.iter().map(|row| row.iter().collect::<String>().trim_end().to_owned() + "\n").collect()
    }
}

/// The lines as they were drawn, one after the other over the same place too, without colours.
fn lines(text: &str) -> Vec<String> {
    let mut plain = String::new();
    let mut signs = text.chars().peekable();
    while let Some(sign) = signs.next() {
        if sign == '\u{1b}' && signs.next() == Some('[') {
            while signs.next().is_some_and(|inner| !inner.is_ascii_alphabetic()) {}
            continue;
        }
        plain.push(sign);
    }
    plain.split(['\r', '\n']).map(|line| line.trim_end().to_owned()).filter(|line| !line.is_empty()).collect()
}

const ROWS: &[&str] = &["--optimizers", "sgd,lookahead-adamw", "--epochs", "2", "--seeds", "1,2", "--log-every", "1"];

#[test]
fn every_line_fits_the_terminal() {
    let folder = tempfile::tempdir().unwrap();
    for columns in [160, 80, 60, 40] {
        let out = format!("w{columns}");
        let arguments = [SMALL, ROWS, &["--out", &out]].concat();
        let Some(seen) = on_terminal(folder.path(), (columns, 24), &[], &arguments, ("", "")) else { return };
        assert_eq!(seen.status, 0, "{}", seen.text);
        let lines = lines(&seen.text);
        fit(&lines, columns);
        assert_eq!(lines.iter().filter(|line| line.contains(" 2/2")).count(), 4, "{lines:#?}");
        assert!(lines.iter().any(|line| line.contains("top-1 %")), "{lines:#?}");
    }
}

#[track_caller]
fn fit(lines: &[String], columns: u16) {
    for line in lines {
        // Bars fill their line with spaces, and the next begins where the terminal breaks it.
        let signs: Vec<char> = line.chars().collect();
        // A line that the text fills to its end is followed by the bar of all runs.
        let fills = |at: usize| signs[at..].iter().take(8).collect::<String>().ends_with("/4 runs");
        let broken = |at: &usize| signs[at - 1] != ' ' && signs[*at] != ' ' && !fills(*at);
        let at = (columns.into()..signs.len()).step_by(columns.into()).find(broken);
        assert_eq!(at, None, "{columns}: {line}");
    }
}

/// A window that is drawn narrower or wider in the middle of a run: bars, lines and tables are as wide as it is from
/// then on.
#[test]
fn bars_follow_a_window_that_changes() {
    let folder = tempfile::tempdir().unwrap();
    for (from, to) in [(160, 40), (100, 60), (40, 160)] {
        let out = format!("from{from}");
        let arguments = [SMALL, ROWS, &["--out", &out]].concat();
        // The first run's bar says how far it is.
        let typing = (if from < 60 { " %" } else { "/8" }, "");
        let (size, then) = ((from, 24), Some((to, 24)));
        let Some(seen) = on_resized_terminal(folder.path(), size, &[], &arguments, typing, then) else { return };
        assert_eq!(seen.status, 0, "{}", seen.text);
        let (before, after) = seen.text.split_once('\u{c}').expect("the window was changed");
        fit(&lines(before), from);
        // Pictures of the first run may be on their way while the window changes; those of the second are made for it.
        let after = lines(after);
        let settled = after.iter().skip_while(|line| !line.starts_with("sgd-s2")).cloned().collect::<Vec<_>>();
        assert!(settled.len() > 8, "{after:#?}");
        fit(&settled, to);
        let bars = settled.iter().filter(|line| line.contains("experiment")).count();
        assert_eq!(bars > 0, to >= 80, "{settled:#?}");
    }
}

/// The full-screen view fills a window of another size, smaller or larger, at the next picture.
#[test]
fn the_view_follows_a_window_that_changes() {
    let folder = tempfile::tempdir().unwrap();
    for (number, (from, to)) in [((160, 40), (40, 20)), ((60, 20), (120, 40))].into_iter().enumerate() {
        let out = format!("w{number}");
        let arguments = [SMALL, ROWS, &["--out", &out, "--tui"]].concat();
        let Some(seen) = on_resized_terminal(folder.path(), from, &[], &arguments, ("sgd-s1", ""), Some(to)) else {
            return;
        };
        assert_eq!(seen.status, 0, "{}", seen.text);
        let (_, after) = seen.text.split_once('\u{c}').expect("the window was changed");
        // From the first picture in the new size on; it begins with an empty screen.
        let (_, drawn) = after.split_once("\u{1b}[2J").expect("the view was drawn anew");
        let drawn = drawn.split("\u{1b}[?1049l").next().unwrap();
        let screen = Screen::of(drawn, to).text();
        for part in ["sgd-s1", "lookahead-adamw-keep-s2", "top-1"] {
            assert!(screen.contains(part), "{to:?}: {part} is not on\n{screen}");
        }
        let widest = screen.lines().map(|line| line.chars().count()).max().unwrap();
        assert_eq!(widest, usize::from(to.0), "the view fills its window: {screen}");
        assert!(!screen.contains("-1│"), "no accuracy is below 0: {screen}");
        let beyond = places(drawn).filter(|&(row, column)| row > to.1.into() || column > to.0.into()).count();
        assert_eq!(beyond, 0, "written outside of a window of {to:?}: {screen}");
    }
}

/// Where the cursor was sent, from 1.
fn places(text: &str) -> impl Iterator<Item = (usize, usize)> + '_ {
    text.split("\u{1b}[").skip(1).filter_map(|part| {
        let (place, _) = part.split_once('H')?;
        let (row, column) = place.split_once(';')?;
        Some((row.parse().ok()?, column.parse().ok()?))
    })
}

/// `TERM=dumb`, as in an editor's shell, or none at all: a line an epoch, and nothing that moves the cursor.
#[test]
fn a_terminal_without_a_cursor_gets_plain_lines() {
    let folder = tempfile::tempdir().unwrap();
    for (term, out) in [("dumb", "a"), ("", "b")] {
        let arguments = [SMALL, &["--out", out]].concat();
        let Some(seen) = on_terminal(folder.path(), (80, 24), &[("TERM", term)], &arguments, ("", "")) else { return };
        assert!(seen.text.contains("sgd-s1") && seen.text.contains("epoch 1/1"), "{}", seen.text);
        assert!(!seen.text.contains('\u{1b}'), "{:?}", seen.text);
    }
}

#[test]
fn a_locale_without_more_gets_ascii() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = [SMALL, ROWS].concat();
    let Some(seen) = on_terminal(folder.path(), (100, 24), &[("LC_ALL", "C")], &arguments, ("", "")) else { return };
    assert!(seen.text.is_ascii(), "{}", seen.text);
    assert!(seen.text.contains(" +- "), "{}", seen.text);
}

/// After a resume the full-screen view has the runs that were done: their figures, their curves, an axis of their
/// steps.
#[test]
fn the_view_remembers_finished_runs_and_stops_with_a_word() {
    let folder = tempfile::tempdir().unwrap();
    let long = ["--limit-valid", "50", "--epochs", "6"];
    let first = demo(folder.path(), &long);
    assert!(first.status.success());
    let summary = fs::read(folder.path().join("runs/demo/sgd-s1/summary.json")).unwrap();
    let summary: serde_json::Value = serde_json::from_slice(&summary).unwrap();
    let top1 = format!("{:.2}", summary["top1"].as_f64().unwrap());
    let mut stops = 0;
    for size in [(40, 20), (80, 24), (160, 40)] {
        // The second run is long enough to be stopped; its first line of metrics comes with every step.
        let arguments = [SMALL, &long, &["--seeds", "1,2", "--log-every", "1", "--tui"]].concat();
        // `q` is typed as soon as the run that was done is seen to be.
        let Some(seen) = on_terminal(folder.path(), size, &[], &arguments, ("✓", "q")) else { return };
        let stopped = seen.status == 130;
        assert!(stopped || seen.status == 0, "{}: {}", seen.status, seen.text);
        let screen = Screen::of(seen.text.split("\u{1b}[?1049l").next().unwrap(), size).text();
        assert!(screen.contains("sgd-s1") && screen.contains(&top1), "{size:?}: {top1} is not on\n{screen}");
        if stopped {
            stops += 1;
            assert!(screen.contains("stopping, all will be saved"), "{size:?}: {screen}");
        }
        let _ = fs::remove_dir_all(folder.path().join("runs/demo/sgd-s2"));
    }
    // Now and then the run may end before the key is read, but not each time.
    assert!(stops > 0, "`q` stopped no run");
}
