//! The line of an epoch on a plain terminal or in a log.

use lookahead_report::clock;
use lookahead_runs::EpochRecord;

/// The run, the epoch and the score, and as much of the rest as fits into `width` columns.
pub(super) fn epoch_line(name: &str, at: &EpochRecord, epochs: usize, width: usize) -> String {
    let head = format!("{name:<16}  epoch {}/{epochs}", at.epoch);
    // From left to right, each with its priority: the lowest is dropped first.
    let mut parts = vec![(2, format!("loss {}", loss(at.train_loss))), (3, format!("valid {}", loss(at.valid_loss)))];
    let mut wanted = [4, 0].into_iter();
    for (measure, value) in at.scores.all() {
        parts.push((wanted.next().unwrap_or(0), format!("{} {value:.2}{}", measure.name(), measure.unit())));
    }
    parts.push((1, clock(at.seconds)));
    let line = |least: usize| {
        let kept = parts.iter().filter(|(wanted, _)| *wanted >= least).map(|(_, part)| part.as_str());
        std::iter::once(head.as_str()).chain(kept).collect::<Vec<_>>().join("  ")
    };
    (0..5).map(line).find(|line| line.len() <= width).unwrap_or_else(|| {
        let score = at.scores.all().next().map(|(measure, value)| format!(" {value:.2}{}", measure.unit()));
        let tail = format!(" {}/{epochs}{}", at.epoch, score.unwrap_or_default());
        shortened(name, width.saturating_sub(tail.len()).max(8)) + &tail
    })
}

/// `name` in `room` letters, without its middle if it is longer.
pub(super) fn shortened(name: &str, room: usize) -> String {
    let letters: Vec<char> = name.chars().collect();
    if letters.len() <= room {
        return name.to_owned();
    }
    let end = room / 2;
    let (head, tail) = (&letters[..room.saturating_sub(end + 1)], &letters[letters.len() - end..]);
    head.iter().chain(&['~']).chain(tail).collect()
}

fn loss(value: f64) -> String {
    if value.abs() < 100.0 { format!("{value:.4}") } else { format!("{value:.1}") }
}

#[cfg(test)]
mod tests {
    use lookahead_runs::Scores;

    use super::*;

    fn at(epoch: u64) -> EpochRecord {
        EpochRecord {
            epoch,
            step: 99,
            learning_rate: 0.1,
            train_loss: 1.25,
            valid_loss: 1.5,
            scores: Scores::of_images(61.257, 95.0),
            ece: Some(0.1),
            seconds: 75.0,
        }
    }

    #[test]
    fn a_language_model_has_its_perplexity() {
        let at = EpochRecord { scores: Scores::of_language(90.0f64.ln()), ..at(2) };
        let line = |width| epoch_line("sgd-s1", &at, 3, width);
        assert_eq!(line(80), "sgd-s1            epoch 2/3  loss 1.2500  valid 1.5000  perplexity 90.00  1:15");
        assert_eq!(line(20), "sgd-s1 2/3 90.00");
    }

    #[test]
    fn a_narrow_line_keeps_the_accuracy() {
        let line = |width| epoch_line("lookahead-sgd-keep-s1", &at(12), 100, width);
        assert_eq!(
            line(160),
            "lookahead-sgd-keep-s1  epoch 12/100  loss 1.2500  valid 1.5000  top-1 61.26 %  top-5 95.00 %  1:15"
        );
        assert_eq!(line(80), "lookahead-sgd-keep-s1  epoch 12/100  loss 1.2500  valid 1.5000  top-1 61.26 %");
        assert_eq!(line(60), "lookahead-sgd-keep-s1  epoch 12/100  top-1 61.26 %");
        assert_eq!(line(40), "lookahead-sgd-keep-s1 12/100 61.26 %");
        assert_eq!(line(30), "lookahe~keep-s1 12/100 61.26 %");
        assert_eq!(line(1), "loo~p-s1 12/100 61.26 %");
        assert_eq!(epoch_line("sgd-s1", &at(3), 5, 80).len(), 75);
    }
}
