//! The frame: all runs above, the curves of one run below.

use lookahead_report::clock;
use lookahead_runs::TaskKind;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Cell, Paragraph, Row, Table, TableState, Wrap};

use super::board::Board;
use super::curves::draw_curves;
use super::run_view::{RunView, Stage};
use crate::screen::line::shortened;

/// Charts are drawn if at least this many lines are left for them.
const LINES_OF_CHARTS: u16 = 6;
const SPARK: usize = 16;

pub(super) fn draw(frame: &mut Frame<'_>, board: &Board) {
    let area = frame.area();
    let room = area.height.saturating_sub(2);
    let wanted = board.runs.len() as u16 + 2;
    let table = match room {
        _ if wanted + LINES_OF_CHARTS <= room => wanted,
        16.. => room - room / 2,
        _ => room.min(wanted),
    };
    let keys = "q stop and save   \u{2191}\u{2193} choose a run   f follow";
    let text = if board.note.is_empty() { keys } else { board.note.as_str() };
    // A long note takes two lines.
    let lines = if text.chars().count() > usize::from(area.width) { 2 } else { 1 };
    let [head, runs, curves, foot] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(table),
        Constraint::Min(0),
        Constraint::Length(lines),
    ])
    .areas(area);
    frame.render_widget(Paragraph::new(header(board, area.width.into())), head);
    draw_runs(frame, runs, board);
    if curves.height >= LINES_OF_CHARTS {
        draw_curves(frame, curves, board);
    }
    let foot_text = Span::styled(text.to_owned(), Style::new().add_modifier(Modifier::DIM));
    frame.render_widget(Paragraph::new(foot_text).wrap(Wrap { trim: true }), foot);
}

/// The experiment and its progress, as far as it fits.
fn header(board: &Board, width: usize) -> Line<'static> {
    let mut parts = vec![format!("{} of {} runs done", board.done(), board.runs.len())];
    if let Some((run, all)) = board.seconds_left() {
        parts.extend([format!("all {} left", clock(all)), format!("this run {} left", clock(run))]);
    }
    let mut text = String::new();
    for part in parts {
        if board.experiment.chars().count() + text.len() + 3 + part.len() <= width {
            text.extend(["   ", &part]);
        }
    }
    Line::from(vec![Span::styled(board.experiment.clone(), Style::new().add_modifier(Modifier::BOLD)), Span::raw(text)])
}

/// A column of the table of runs: its heading, its width, and its content for a run.
struct Column {
    head: String,
    width: u16,
    of: fn(&RunView) -> String,
}

/// The columns by priority: the last are dropped first if there is not enough room.
fn columns_of(task: TaskKind) -> [Column; 8] {
    let column = |head: &str, width, of| Column { head: head.to_owned(), width, of };
    let score = format!("{}{}", task.score().name(), task.score().unit());
    let speed = format!("{}/s", task.units());
    [
        column(&score, score.len() as u16, |run| number(last(run.score.points()), 2)),
        column("progress", 8, progress),
        column("train loss", 10, |run| number(last(run.train_loss.points()), 4)),
        column("valid loss", 10, |run| number(run.valid_loss, 4)),
        column("time", 7, |run| if run.seconds > 0.0 { clock(run.seconds) } else { String::new() }),
        column(&speed, speed.len() as u16, |run| number(run.per_second, 0)),
        column("rate", 7, |run| rate(run.learning_rate)),
        column("loss so far", SPARK as u16, sparkline),
    ]
}
/// The same from left to right, by position in [`columns_of`].
const ORDER: [usize; 8] = [1, 2, 7, 3, 0, 6, 5, 4];

/// Names are shown whole if they fit next to the score. Otherwise they are shortened in the middle, because runs often
/// differ only at the beginning or the end.
fn draw_runs(frame: &mut Frame<'_>, area: Rect, board: &Board) {
    let all = columns_of(board.task);
    let longest = board.runs.iter().map(|run| run.name.chars().count()).max().unwrap_or(3).clamp(3, 34) as u16;
    let longest = longest.min(area.width.saturating_sub(1 + 1 + 1 + all[0].width)).max(3);
    let mut left = area.width.saturating_sub(1 + 1 + longest);
    let mut columns = 0;
    while columns < all.len() && left > all[columns].width {
        left -= 1 + all[columns].width;
        columns += 1;
    }
    let shown: Vec<&Column> = ORDER.iter().filter(|&&column| column < columns).map(|&at| &all[at]).collect();
    let widths = [1, longest].into_iter().chain(shown.iter().map(|column| column.width)).map(Constraint::Length);
    let heads = ["", "run"].into_iter().chain(shown.iter().map(|column| column.head.as_str()));
    let rows = board.runs.iter().map(|run| {
        let (mark, colour) = match run.stage {
            Stage::Waiting => ("·", Color::DarkGray),
            Stage::Running => ("▶", Color::Cyan),
            Stage::Done => ("✓", Color::Green),
            Stage::Diverged => ("✗", Color::Red),
        };
        let marked =
            [Cell::from(Span::styled(mark, Style::new().fg(colour))), Cell::from(shortened(&run.name, longest.into()))];
        Row::new(marked.into_iter().chain(shown.iter().map(|column| Cell::from((column.of)(run)))))
    });
    let table = Table::new(rows, widths)
        .header(Row::new(heads).style(Style::new().add_modifier(Modifier::DIM)))
        .row_highlight_style(Style::new().add_modifier(Modifier::BOLD))
        .block(Block::new().borders(Borders::BOTTOM).border_style(Style::new().add_modifier(Modifier::DIM)));
    let mut state = TableState::new().with_selected(board.shown());
    frame.render_stateful_widget(table, area, &mut state);
}

fn progress(run: &RunView) -> String {
    match run.stage {
        Stage::Running if run.steps > 0 => format!("{:5.1} %", 100.0 * run.step as f64 / run.steps as f64),
        Stage::Done => "done".to_owned(),
        Stage::Diverged => "diverged".to_owned(),
        _ => String::new(),
    }
}

fn last(points: &[(f64, f64)]) -> f64 {
    points.last().map_or(f64::NAN, |point| point.1)
}

/// The training loss in eight heights, from the run's start to now.
fn sparkline(run: &RunView) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let points = run.train_loss.points();
    let buckets = points.len().min(SPARK);
    let means: Vec<f64> = (0..buckets)
        .map(|bucket| {
            let part = &points[bucket * points.len() / buckets..(bucket + 1) * points.len() / buckets];
            part.iter().map(|point| point.1).sum::<f64>() / part.len() as f64
        })
        .collect();
    let (low, high) =
        means.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), &mean| (low.min(mean), high.max(mean)));
    let height = |mean: f64| if high > low { ((mean - low) / (high - low) * 7.0).round() as usize } else { 3 };
    means.into_iter().map(|mean| BARS[height(mean).min(7)]).collect()
}

pub(super) fn number(value: f64, digits: usize) -> String {
    if value.is_finite() { format!("{value:.digits$}") } else { String::new() }
}

fn rate(value: f64) -> String {
    match value {
        value if !value.is_finite() => String::new(),
        value if value != 0.0 && value.abs() < 1e-3 => format!("{value:.1e}"),
        value => format!("{value:.4}"),
    }
}

#[cfg(test)]
mod tests {
    use lookahead_runs::{Log, Record, StepRecord};
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::*;

    fn step(done: u64, train_loss: f64, learning_rate: f64, per_second: f64, seconds: f64) -> Record {
        let step = done - 1;
        Record::Step(StepRecord { step, epoch: 0, learning_rate, momentum: None, train_loss, per_second, seconds })
    }

    fn epoch(done: u64, valid_loss: f64, top1: f64) -> Record {
        let line = format!(
            "{{\"kind\":\"epoch\",\"epoch\":1,\"step\":{},\"valid_loss\":{valid_loss},\"top1\":{top1}}}",
            done - 1
        );
        Record::Epoch(Log::parse(line.as_bytes()).epochs[0])
    }

    fn at_work() -> Board {
        let names: Vec<String> = ["sgd-s1", "lookahead-sgd-keep-s1", "adamw-s1"].map(str::to_owned).to_vec();
        let mut board = Board::new("cifar10", TaskKind::Images, &names);
        board.begin("sgd-s1", 2, 100, 0, &Log::default());
        for done in 1..=100 {
            board.record(&step(done, 3.0 - 0.02 * done as f64, 0.1, 812.0, 2.0 * done as f64));
        }
        board.record(&epoch(100, 1.25, 76.5));
        board.end("sgd-s1", Stage::Done);
        board.begin("lookahead-sgd-keep-s1", 2, 100, 0, &Log::default());
        board.record(&step(20, 2.5, 2e-5, 790.0, 40.0));
        board.record(&epoch(20, 1.5, 60.0));
        board
    }

    fn screen(board: &Board, width: u16, height: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| draw(frame, board)).unwrap();
        terminal.backend().to_string()
    }

    #[test]
    fn all_runs_curves_rates_and_times_are_on_the_screen() {
        let screen = screen(&at_work(), 130, 40);
        for part in [
            "cifar10   1 of 3 runs done   all 6:00 left   this run 2:40 left",
            "✓ sgd-s1",
            "done",
            "76.50",
            "█▇",
            "▶ lookahead-sgd-keep-s1",
            "20.0 %",
            "2.5000",
            "2.0e-5",
            "790",
            "· adamw-s1",
            "training loss, lookahead-sgd-keep-s1",
            "top-1 %, all runs",
            "q stop and save",
            "3:20",
        ] {
            assert!(screen.contains(part), "{part} is not on\n{screen}");
        }
    }

    /// The scores of all runs need the steps of the longest, whichever run is chosen.
    #[test]
    fn a_run_that_waits_leaves_the_scores_of_the_others() {
        let mut board = at_work();
        board.select(1);
        assert_eq!(board.shown(), Some(2));
        let screen = screen(&board, 130, 40);
        // The left chart is empty; the right one ends at step 100, in the middle is 50.
        let axis = screen.lines().rev().find(|line| line.contains("100")).unwrap_or_default();
        assert!(axis.contains("50") && axis.contains("100"), "{screen}");
    }

    #[test]
    fn any_size_and_any_state_can_be_drawn() {
        let mut diverged = at_work();
        diverged.end("lookahead-sgd-keep-s1", Stage::Diverged);
        diverged.stopping();
        for board in [Board::new("demo", TaskKind::Images, &[]), at_work(), diverged] {
            for (width, height) in [(1, 1), (3, 2), (20, 5), (40, 19), (40, 20), (80, 24), (250, 70)] {
                screen(&board, width, height);
            }
        }
    }

    #[test]
    fn a_narrow_terminal_keeps_whole_names_and_drops_columns() {
        let screen = screen(&at_work(), 60, 15);
        for part in ["▶ lookahead-sgd-keep-s1", "20.0 %", "60.00", "2.5000", "training loss", "q stop and save"] {
            assert!(screen.contains(part), "{part} is not on\n{screen}");
        }
        assert!(!screen.contains("images/s"), "{screen}");
    }

    #[test]
    fn stopping_is_told_in_any_width() {
        let mut board = at_work();
        board.stopping();
        assert!(screen(&board, 80, 24).contains("stopping, all will be saved (q again: at once)"));
        let narrow = screen(&board, 40, 24);
        assert!(narrow.contains("stopping, all will be saved (q again: at") && narrow.contains("\"once)"), "{narrow}");
        assert!(
            narrow.contains("1 of 3 runs done ") && !narrow.contains("left"),
            "a part that is cut says nothing: {narrow}"
        );
    }

    #[test]
    fn forty_columns_show_the_accuracy_beside_a_long_name() {
        let mut board = Board::new("demo", TaskKind::Images, &["lookahead-adamw-interpolate-s12".to_owned()]);
        board.begin("lookahead-adamw-interpolate-s12", 1, 20, 0, &Log::default());
        board.record(&epoch(20, 1.5, 61.25));
        let screen = screen(&board, 40, 20);
        assert!(
            screen.contains("61.25") && screen.contains("interpolate-s12") && screen.contains("lookahead-a"),
            "{screen}"
        );
    }

    /// 2.352 to 2.348: two digits would print one number three times.
    #[test]
    fn labels_of_an_axis_differ() {
        let mut board = Board::new("demo", TaskKind::Images, &["sgd-s1".to_owned()]);
        board.begin("sgd-s1", 1, 20, 0, &Log::default());
        for (done, loss) in [(5, 2.352), (10, 2.350), (15, 2.348)] {
            board.record(&step(done, loss, 0.1, 800.0, 1.0));
        }
        let screen = screen(&board, 100, 20);
        for label in ["2.348", "2.350", "2.352"] {
            assert!(screen.contains(label), "{label}: {screen}");
        }
    }
}
