//! The curves of one run, and the scores of all.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::symbols::Marker;
use ratatui::text::Span;
use ratatui::widgets::{Axis, Block, Chart, Dataset, GraphType, Paragraph};

use super::board::Board;
use super::draw::number;
use crate::screen::line::shortened;

pub(super) fn draw_curves(frame: &mut Frame<'_>, area: Rect, board: &Board) {
    let Some(shown) = board.shown() else { return };
    let run = &board.runs[shown];
    let [left, right] = Layout::horizontal([Constraint::Percentage(50), Constraint::Percentage(50)]).areas(area);
    let whole = run.steps.max(1) as f64;
    // One column stays free before the next chart.
    let room = usize::from(left.width).saturating_sub(1);
    let head = "training loss, ";
    let title = match room.checked_sub(head.len()) {
        Some(room) if room >= 8 => format!("{head}{}", shortened(&run.name, room)),
        _ => shortened("training loss", room),
    };
    let any = (f64::NEG_INFINITY, f64::INFINITY);
    draw_chart(frame, left, &title, (whole, any), vec![(run.train_loss.points(), Color::Cyan)]);
    // The score of every run, the chosen one in front.
    let mut lines: Vec<(&[(f64, f64)], Color)> = Vec::new();
    lines.extend(
        board
            .runs
            .iter()
            .enumerate()
            .filter(|(index, _)| *index != shown)
            .map(|(_, run)| (run.score.points(), Color::DarkGray)),
    );
    lines.push((run.score.points(), Color::Green));
    let score = board.task.score();
    let title = format!("{}{}, all runs", score.name(), score.unit());
    let longest = board.runs.iter().map(|run| run.steps).max().unwrap_or(0).max(1) as f64;
    draw_chart(frame, right, &title, (longest, score.range()), lines);
}

/// Draws `lines` over the steps up to `last_step`; values are between `least` and `largest`.
fn draw_chart(
    frame: &mut Frame<'_>,
    area: Rect,
    title: &str,
    (last_step, (least, largest)): (f64, (f64, f64)),
    lines: Vec<(&[(f64, f64)], Color)>,
) {
    let values = lines.iter().flat_map(|(points, _)| points.iter().map(|point| point.1));
    let (low, high) =
        values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
    let block = Block::new().title(Span::styled(title.to_owned(), Style::new().add_modifier(Modifier::BOLD)));
    if low > high {
        return frame.render_widget(Paragraph::new("no values yet").block(block), area);
    }
    let room = if high > low { 0.05 * (high - low) } else { 0.5 * high.abs().max(1e-3) };
    let (low, high) = ((low - room).max(least), (high + room).min(largest));
    let datasets = lines
        .iter()
        .filter(|(points, _)| !points.is_empty())
        .map(|(points, colour)| {
            let kind = if points.len() > 1 { GraphType::Line } else { GraphType::Scatter };
            Dataset::default().marker(Marker::Braille).graph_type(kind).style(Style::new().fg(*colour)).data(points)
        })
        .collect();
    let dim = Style::new().add_modifier(Modifier::DIM);
    let fewest = if high - low > 10.0 { 0 } else { 2 };
    let chart = Chart::new(datasets)
        .block(block)
        .x_axis(Axis::default().bounds([0.0, last_step]).labels(labels(0.0, last_step, 0)).style(dim))
        .y_axis(Axis::default().bounds([low, high]).labels(labels(low, high, fewest)).style(dim));
    frame.render_widget(chart, area);
}

/// Labels of both ends and the middle, with enough digits to differ.
fn labels(low: f64, high: f64, fewest: usize) -> [Span<'static>; 3] {
    let texts = |digits| [low, 0.5 * (low + high), high].map(|value| number(value, digits));
    let differ = |digits: &usize| {
        let [low, middle, high] = texts(*digits);
        low != middle && middle != high
    };
    texts((fewest..8).find(differ).unwrap_or(8)).map(Span::raw)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_differ() {
        let texts = |low, high, fewest| labels(low, high, fewest).map(|label| label.content.into_owned());
        assert_eq!(texts(0.0, 1.0, 0), ["0.0", "0.5", "1.0"]);
        assert_eq!(texts(0.0, 1950.0, 0), ["0", "975", "1950"]);
        assert_eq!(texts(2.348, 2.352, 2), ["2.348", "2.350", "2.352"]);
    }
}
