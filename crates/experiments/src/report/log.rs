//! Reads a run's `metrics.jsonl`, whole or not.

use std::borrow::Cow;
use std::fs;
use std::io;
use std::path::Path;

use serde::Deserialize;

/// A logged step: values are `NaN` where the line has none.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepPoint {
    /// Steps done: one more than the line's `step`, which counts from 0.
    pub step: u64,
    /// Mean training loss since the line before, nats an image.
    pub train_loss: f64,
    /// Learning rate.
    pub learning_rate: f64,
    /// Momentum, or Adam's beta1.
    pub momentum: f64,
    /// Training images a second since the run's start.
    pub images_per_second: f64,
    /// Seconds since the run's start, stops left out.
    pub seconds: f64,
}

/// A finished epoch: values are `NaN` where the line has none.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EpochPoint {
    /// Epochs done.
    pub epoch: u64,
    /// Steps done: one more than the line's `step`, which counts from 0.
    pub step: u64,
    /// Mean training loss of the epoch, nats an image.
    pub train_loss: f64,
    /// Validation loss, nats an image.
    pub valid_loss: f64,
    /// Accuracy, percent.
    pub top1: f64,
    /// Top-5, percent.
    pub top5: f64,
    /// Expected calibration error, 0 to 1.
    pub ece: f64,
    /// Seconds since the run's start, stops left out.
    pub seconds: f64,
}

/// The whole lines of `metrics.jsonl`, steps rising.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Log {
    /// Logged steps.
    pub steps: Vec<StepPoint>,
    /// Finished epochs.
    pub epochs: Vec<EpochPoint>,
    /// What was left out and why, one sentence each.
    pub left_out: Vec<String>,
}

/// A line as it is written; whatever is missing or `null` becomes `NaN`.
#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    kind: Cow<'a, str>,
    step: Option<u64>,
    epoch: Option<u64>,
    train_loss: Option<f64>,
    valid_loss: Option<f64>,
    top1: Option<f64>,
    top5: Option<f64>,
    ece: Option<f64>,
    learning_rate: Option<f64>,
    momentum: Option<f64>,
    images_per_second: Option<f64>,
    seconds: Option<f64>,
}

impl Log {
    /// Reads `path`; a file that is not there is an empty log.
    ///
    /// A line that is no JSON object of a known kind is left out and counted. Where steps go back, as after a resume
    /// from an older checkpoint, the later lines replace the earlier ones.
    ///
    /// # Errors
    /// The operating system's, when the file is there and cannot be read.
    pub fn read(path: &Path) -> io::Result<Self> {
        match fs::read(path) {
            Ok(bytes) => Ok(Self::parse(&bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error),
        }
    }

    /// The same from bytes.
    ///
    /// ```
    /// use lookahead_experiments::report::Log;
    /// let log = Log::parse(b"{\"kind\":\"step\",\"step\":49,\"train_loss\":2.25}\n{\"kind\":\"st");
    /// assert_eq!((log.steps[0].step, log.steps[0].train_loss), (50, 2.25));
    /// assert_eq!(log.left_out, ["the last line of metrics.jsonl is cut short"]);
    /// ```
    pub fn parse(bytes: &[u8]) -> Self {
        let mut log = Self::default();
        let (mut damaged, mut first_damaged, mut replaced, mut cut) = (0usize, 0usize, 0usize, false);
        let whole = bytes.last().is_none_or(|&last| last == b'\n');
        let lines: Vec<&[u8]> = bytes.split(|&byte| byte == b'\n').collect();
        for (number, line) in lines.iter().enumerate().filter(|(_, line)| !line.trim_ascii().is_empty()) {
            match serde_json::from_slice::<Line<'_>>(line) {
                Ok(line) if log.accept(&line, &mut replaced) => {}
                _ if !whole && number + 1 == lines.len() => cut = true,
                _ => {
                    first_damaged = if damaged == 0 { number + 1 } else { first_damaged };
                    damaged += 1;
                }
            }
        }
        match damaged {
            0 => {}
            1 => log.left_out.push(format!("line {first_damaged} of metrics.jsonl is damaged")),
            n => {
                log.left_out.push(format!("{n} lines of metrics.jsonl are damaged, the first is line {first_damaged}"))
            }
        }
        if cut {
            log.left_out.push("the last line of metrics.jsonl is cut short".to_owned());
        }
        if replaced > 0 {
            log.left_out.push(format!(
                "{replaced} lines of metrics.jsonl were written again after a resume; the later ones count"
            ));
        }
        log
    }

    /// Steps done, by the last line of either kind.
    pub fn last_step(&self) -> u64 {
        let step = self.steps.last().map_or(0, |point| point.step);
        step.max(self.epochs.last().map_or(0, |point| point.step))
    }

    fn accept(&mut self, line: &Line<'_>, replaced: &mut usize) -> bool {
        let number = |value: Option<f64>| value.unwrap_or(f64::NAN);
        match (line.kind.as_ref(), line.step.map(|step| step.saturating_add(1)), line.epoch) {
            ("step", Some(step), _) => {
                *replaced += drop_from(&mut self.steps, |point| point.step >= step);
                self.steps.push(StepPoint {
                    step,
                    train_loss: number(line.train_loss),
                    learning_rate: number(line.learning_rate),
                    momentum: number(line.momentum),
                    images_per_second: number(line.images_per_second),
                    seconds: number(line.seconds),
                });
                true
            }
            ("epoch", Some(step), Some(epoch)) => {
                *replaced += drop_from(&mut self.epochs, |point| point.epoch >= epoch);
                self.epochs.push(EpochPoint {
                    epoch,
                    step,
                    train_loss: number(line.train_loss),
                    valid_loss: number(line.valid_loss),
                    top1: number(line.top1),
                    top5: number(line.top5),
                    ece: number(line.ece),
                    seconds: number(line.seconds),
                });
                true
            }
            _ => false,
        }
    }
}

/// Drops the tail of `points` from the first one that is `stale`; says how many.
fn drop_from<T>(points: &mut Vec<T>, stale: impl Fn(&T) -> bool) -> usize {
    let keep = points.iter().rposition(|point| !stale(point)).map_or(0, |last| last + 1);
    let dropped = points.len() - keep;
    points.truncate(keep);
    dropped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(step: u64, loss: f64) -> String {
        format!("{{\"kind\":\"step\",\"step\":{step},\"train_loss\":{loss}}}\n")
    }

    #[test]
    fn a_damaged_line_costs_only_itself() {
        let text = format!("{}not json\n{}{{\"kind\":\"other\"}}\n{}", step(1, 3.0), step(2, 2.0), step(3, 1.0));
        let log = Log::parse(text.as_bytes());
        assert_eq!(log.steps.iter().map(|point| point.train_loss).collect::<Vec<_>>(), [3.0, 2.0, 1.0]);
        assert_eq!(log.left_out, ["2 lines of metrics.jsonl are damaged, the first is line 2"]);
    }

    #[test]
    fn a_file_that_ends_within_a_line_keeps_the_lines_before() {
        let text = step(1, 3.0) + "{\"kind\":\"step\",\"step\":2,\"train_lo";
        let log = Log::parse(text.as_bytes());
        assert_eq!((log.steps.len(), log.left_out.len()), (1, 1));
        // The same bytes with their newline are damage, not a writer at work.
        let log = Log::parse((text + "\n").as_bytes());
        assert_eq!(log.left_out, ["line 2 of metrics.jsonl is damaged"]);
    }

    #[test]
    fn bytes_that_are_no_text_are_damage() {
        let mut bytes = step(1, 3.0).into_bytes();
        bytes.extend_from_slice(&[0, 0xff, 0xfe, b'\n', 0, 0, 0]);
        let log = Log::parse(&bytes);
        assert_eq!((log.steps.len(), log.left_out.len()), (1, 2));
    }

    #[test]
    fn after_a_resume_the_later_lines_count() {
        let text = [step(1, 3.0), step(2, 2.5), step(3, 2.0), step(2, 2.4), step(3, 1.9)].concat();
        let log = Log::parse(text.as_bytes());
        assert_eq!(log.steps.iter().map(|point| point.train_loss).collect::<Vec<_>>(), [3.0, 2.4, 1.9]);
        assert!(log.left_out[0].starts_with("2 lines"), "{:?}", log.left_out);
    }

    #[test]
    fn a_missing_value_is_nan_and_a_missing_file_is_empty() {
        let log = Log::parse(b"{\"kind\":\"epoch\",\"epoch\":1,\"step\":9,\"valid_loss\":null,\"top1\":50.5}\n");
        assert!(log.epochs[0].valid_loss.is_nan());
        assert_eq!((log.epochs[0].top1, log.last_step()), (50.5, 10));
        assert_eq!(Log::read(Path::new("/nowhere/metrics.jsonl")).unwrap(), Log::default());
    }
}
