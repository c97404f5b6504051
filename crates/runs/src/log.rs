//! Reads `metrics.jsonl`, complete or not.

use std::fs;
use std::io;
use std::path::Path;

use crate::metrics::{EpochRecord, Record, StepRecord};

/// The complete lines of `metrics.jsonl`, in the order of their steps.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Log {
    /// Logged steps.
    pub steps: Vec<StepRecord>,
    /// Finished epochs.
    pub epochs: Vec<EpochRecord>,
    /// What was left out and why, one phrase per cause.
    pub left_out: Vec<String>,
}

impl Log {
    /// Reads the file `path`; a missing file gives an empty log.
    ///
    /// Lines that are not a [`Record`] are left out and counted. If steps go back, as after a resume from an older
    /// checkpoint, later lines replace earlier ones.
    ///
    /// # Errors
    /// The operating system's error if the file exists but cannot be read.
    pub fn read(path: &Path) -> io::Result<Self> {
        match fs::read(path) {
            Ok(bytes) => Ok(Self::parse(&bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error),
        }
    }

    /// Parses the content of a file as [`read`](Self::read) does.
    ///
    /// ```
    /// use lookahead_runs::Log;
    /// let log = Log::parse(b"{\"kind\":\"step\",\"step\":49,\"train_loss\":2.25}\n{\"kind\":\"st");
    /// assert_eq!((log.steps[0].step, log.steps[0].train_loss), (49, 2.25));
    /// assert_eq!(log.left_out, ["the last line of metrics.jsonl is cut short"]);
    /// ```
    pub fn parse(bytes: &[u8]) -> Self {
        let mut log = Self::default();
        let (mut damaged, mut first_damaged, mut replaced, mut cut) = (0usize, 0usize, 0usize, false);
        let whole = bytes.last().is_none_or(|&last| last == b'\n');
        let lines: Vec<&[u8]> = bytes.split(|&byte| byte == b'\n').collect();
        for (number, line) in lines.iter().enumerate().filter(|(_, line)| !line.trim_ascii().is_empty()) {
            match serde_json::from_slice(line) {
                Ok(record) => replaced += log.accept(record),
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

    /// Steps done according to the last step or epoch; 0 for an empty log.
    pub fn steps_done(&self) -> u64 {
        let step = self.steps.last().map_or(0, StepRecord::steps_done);
        step.max(self.epochs.last().map_or(0, EpochRecord::steps_done))
    }

    /// Adds a line and returns how many earlier ones it replaces.
    fn accept(&mut self, record: Record) -> usize {
        match record {
            Record::Step(record) => {
                let replaced = drop_from(&mut self.steps, |earlier| earlier.step >= record.step);
                self.steps.push(record);
                replaced
            }
            Record::Epoch(record) => {
                let replaced = drop_from(&mut self.epochs, |earlier| earlier.epoch >= record.epoch);
                self.epochs.push(record);
                replaced
            }
        }
    }
}

/// Drops the points after the last one that is not `stale` and returns how many.
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
        assert_eq!((log.epochs[0].scores.top1, log.steps_done()), (Some(50.5), 10));
        assert_eq!(Log::read(Path::new("/nowhere/metrics.jsonl")).unwrap(), Log::default());
    }
}
