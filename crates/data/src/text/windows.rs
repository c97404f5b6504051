use std::sync::Arc;

use candle_core::{Device, Tensor};

use crate::{Error, Result};

/// A token stream cut into windows over several parallel texts, each addressed by its position.
///
/// The stream is cut into `batch` texts of equal length; the remainder at its end is dropped. A window holds the next `steps` tokens of
/// each text, and the token after each as its target. Text b of a window continues in text b of the next, so a model can carry its state.
/// The last window of an epoch may be shorter.
///
/// ```
/// use lookahead_data::TextWindows;
///
/// let windows = TextWindows::new((0..11).collect(), 2, 3)?; // texts 0 to 4 and 5 to 9
/// assert_eq!(windows.len(), 2);
/// let first = windows.window(0)?;
/// assert_eq!(first.tokens, [0, 5, 1, 6, 2, 7]); // (T, B): steps first
/// assert_eq!(first.targets, [1, 6, 2, 7, 3, 8]);
/// assert_eq!(windows.window(1)?.tokens, [3, 8]);
/// # Ok::<(), lookahead_data::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct TextWindows {
    tokens: Arc<[u32]>,
    batch: usize,
    steps: usize,
    /// Tokens of each text.
    length: usize,
}

/// One window: `steps` times `batch` tokens, steps first, and the token after each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextWindow {
    /// Number of steps, T.
    pub steps: usize,
    /// Number of parallel texts, B.
    pub batch: usize,
    /// The tokens, (T, B).
    pub tokens: Vec<u32>,
    /// The token after each, (T, B).
    pub targets: Vec<u32>,
}

impl TextWindows {
    /// Windows of `steps` tokens from each of `batch` texts.
    ///
    /// # Errors
    /// [`Error::Setting`] if either is 0, or if a text would have fewer than two tokens.
    pub fn new(tokens: Arc<[u32]>, batch: usize, steps: usize) -> Result<Self> {
        if batch == 0 || tokens.len() / batch < 2 {
            let rule = "at least 1, and at most half as many as there are tokens";
            return Err(Error::setting("number of parallel texts", batch, rule));
        }
        if steps == 0 {
            return Err(Error::setting("steps per window", steps, "at least 1"));
        }
        let length = tokens.len() / batch;
        Ok(Self { tokens, batch, steps, length })
    }

    /// Number of windows per epoch, at least one.
    #[expect(clippy::len_without_is_empty, reason = "there is a window at least")]
    pub fn len(&self) -> usize {
        (self.length - 1).div_ceil(self.steps)
    }

    /// Number of parallel texts, as passed to [`new`](Self::new).
    pub fn batch(&self) -> usize {
        self.batch
    }

    /// Largest number of steps in a window, as passed to [`new`](Self::new).
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// Number of targets per epoch, over which a perplexity is averaged.
    pub fn targets(&self) -> usize {
        (self.length - 1) * self.batch
    }

    /// The window at `position`, from 0.
    ///
    /// # Errors
    /// [`Error::Index`] if `position` is past the last window.
    pub fn window(&self, position: usize) -> Result<TextWindow> {
        if position >= self.len() {
            return Err(Error::Index { index: position, len: self.len() });
        }
        let first = position * self.steps;
        let steps = self.steps.min(self.length - 1 - first);
        let from = |first: usize| {
            let of_step = |step| (0..self.batch).map(move |text| text * self.length + step);
            (first..first + steps).flat_map(of_step).map(|at| self.tokens[at]).collect()
        };
        Ok(TextWindow { steps, batch: self.batch, tokens: from(first), targets: from(first + 1) })
    }
}

impl TextWindow {
    /// Tokens and targets as u32 tensors (T, B).
    ///
    /// # Errors
    /// [`Error::Candle`] if memory cannot be allocated on the device.
    pub fn to_device(&self, device: &Device) -> Result<(Tensor, Tensor)> {
        let tensor = |numbers: &[u32]| Tensor::from_slice(numbers, (self.steps, self.batch), device);
        Ok((tensor(&self.tokens)?, tensor(&self.targets)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_comes_once_and_texts_go_on() {
        let windows = TextWindows::new((0..100).collect(), 7, 4).unwrap(); // 14 tokens each, 13 targets, 4 windows
        assert_eq!((windows.len(), windows.targets()), (4, 91));
        let all: Vec<_> = (0..4).map(|at| windows.window(at).unwrap()).collect();
        assert_eq!(all.iter().map(|window| window.steps).collect::<Vec<_>>(), [4, 4, 4, 1]);
        let mut targets: Vec<u32> = all.iter().flat_map(|window| window.targets.clone()).collect();
        targets.sort_unstable();
        let expected: Vec<u32> = (0..98).filter(|number| number % 14 != 0).collect();
        assert_eq!(targets, expected);
        for pair in all.windows(2) {
            assert_eq!(pair[0].targets[21..], pair[1].tokens[..7]);
        }
        let (tokens, targets) = all[3].to_device(&Device::Cpu).unwrap();
        assert_eq!((tokens.dims(), targets.dims()), (&[1, 7][..], &[1, 7][..]));
    }

    #[test]
    fn what_makes_no_window_is_refused() {
        let tokens: Arc<[u32]> = (0..5).collect();
        for (batch, steps) in [(0, 1), (3, 1), (1, 0)] {
            assert!(TextWindows::new(tokens.clone(), batch, steps).is_err(), "{batch} {steps}");
        }
        let windows = TextWindows::new(tokens, 2, 9).unwrap();
        assert_eq!(windows.window(1).unwrap_err().to_string(), "index 1 is out of range: it must be below 1");
    }
}
