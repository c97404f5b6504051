//! Alternatives for one task; the first that works is kept.

use candle_core::Result;

/// Alternatives, best first. A library may refuse to run what it proposed, so the rest of the list is kept.
#[derive(Debug, Clone)]
pub(crate) struct Attempts<W> {
    ways: Vec<W>,
    /// Index of the one that worked last.
    at: usize,
}

impl<W: Copy> Attempts<W> {
    pub(crate) fn new(ways: Vec<W>) -> Self {
        Self { ways, at: 0 }
    }

    /// Tries the alternative that worked last, then those after it. If none works, it returns the first error, and the next call
    /// starts from the beginning.
    pub(crate) fn run(&mut self, mut attempt: impl FnMut(W) -> Result<()>) -> Result<()> {
        let mut first = None;
        for at in self.at..self.ways.len() {
            match attempt(self.ways[at]) {
                Ok(()) => {
                    self.at = at;
                    return Ok(());
                }
                Err(error) => _ = first.get_or_insert(error),
            }
        }
        let tried = self.ways.len() - self.at;
        self.at = 0;
        Err(candle_core::Error::Msg(match first.map(|error| error.to_string()) {
            // After its first line, an error may have a backtrace.
            Some(error) => {
                format!("all {tried} algorithms failed; the first: {}", error.lines().next().unwrap_or_default())
            }
            None => "the library proposed no algorithm".to_owned(),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs `attempts` where the ways in `works` do; what was tried, and what came of it.
    fn tried(attempts: &mut Attempts<u32>, works: &[u32]) -> (Vec<u32>, std::result::Result<(), String>) {
        let mut tried = Vec::new();
        let outcome = attempts.run(|way| {
            tried.push(way);
            if works.contains(&way) { Ok(()) } else { Err(candle_core::Error::msg(format!("{way} is refused"))) }
        });
        (tried, outcome.map_err(|error| error.to_string()))
    }

    #[test]
    fn the_next_way_is_tried_and_the_one_that_works_is_kept() {
        let mut attempts = Attempts::new(vec![7, 8, 9]);
        assert_eq!(tried(&mut attempts, &[8, 9]), (vec![7, 8], Ok(())));
        assert_eq!(tried(&mut attempts, &[8, 9]), (vec![8], Ok(())));
        assert_eq!(tried(&mut attempts, &[9]), (vec![8, 9], Ok(())));
    }

    #[test]
    fn where_none_works_the_first_error_is_given_and_nothing_is_given_up() {
        let mut attempts = Attempts::new(vec![7, 8]);
        let message = "all 2 algorithms failed; the first: 7 is refused".to_owned();
        assert_eq!(tried(&mut attempts, &[]), (vec![7, 8], Err(message)));
        assert_eq!(tried(&mut attempts, &[7]), (vec![7], Ok(())));
        let message = "the library proposed no algorithm".to_owned();
        assert_eq!(tried(&mut Attempts::new(vec![]), &[]), (vec![], Err(message)));
    }
}
