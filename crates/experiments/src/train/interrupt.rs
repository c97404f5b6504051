//! Ctrl-C, SIGTERM and SIGHUP as a flag that the loop reads.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use lookahead_report::console::note;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

/// Whether the program was asked to stop.
#[derive(Debug, Clone, Default)]
pub struct Interrupt {
    asked: Arc<AtomicBool>,
    /// Whether a request ends the program, because there is nothing to save.
    at_once: Arc<AtomicBool>,
}

/// The exit status of a program that was asked to stop.
const STOPPED: i32 = 130;

impl Interrupt {
    /// Listens for Ctrl-C, SIGTERM and SIGHUP. The first signal asks the loop to save and stop. A second one ends the
    /// program at once with status 130 and loses the steps since the last checkpoint.
    ///
    /// A signal that was ignored when the program started stays ignored, such as SIGHUP under `nohup`. Only Linux
    /// reports this.
    pub fn listen() -> Self {
        let interrupt = Self::default();
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        for signal in signals().filter(|&signal| !is_ignored(&status, signal)) {
            let asked = || Arc::clone(&interrupt.asked);
            // The handler registered first runs first, so it sees whether the flag was already set.
            let listening = flag::register_conditional_shutdown(signal, STOPPED, Arc::clone(&interrupt.at_once))
                .and_then(|_| flag::register_conditional_shutdown(signal, STOPPED, asked()))
                .and_then(|_| flag::register(signal, asked()));
            if let Err(error) = listening {
                note(&format!("note: signal {signal} will not save the run: {error}"));
            }
        }
        interrupt
    }

    /// Whether to stop.
    pub fn is_asked(&self) -> bool {
        self.asked.load(Ordering::SeqCst)
    }

    /// Asks to stop, as the signal does.
    pub fn ask(&self) {
        self.asked.store(true, Ordering::SeqCst);
        if self.at_once.load(Ordering::SeqCst) {
            std::process::exit(STOPPED);
        }
    }

    /// Does `work` that has nothing to save and cannot be asked to stop, such as reading data: a request during it ends
    /// the program at once with status 130. `None`, without the work, if there was a request before.
    pub(crate) fn at_once<T>(&self, work: impl FnOnce() -> T) -> Option<T> {
        // Set before looking: a request that comes between the two ends the program.
        self.at_once.store(true, Ordering::SeqCst);
        let done = (!self.is_asked()).then(work);
        self.at_once.store(false, Ordering::SeqCst);
        done
    }
}

fn signals() -> impl Iterator<Item = i32> {
    #[cfg(unix)]
    let hang_up = Some(signal_hook::consts::SIGHUP);
    #[cfg(not(unix))]
    let hang_up = None;
    [SIGINT, SIGTERM].into_iter().chain(hang_up)
}

/// Whether `/proc/self/status` has `signal` among the ignored ones: the mask's bit `signal - 1`.
fn is_ignored(status: &str, signal: i32) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    mask >> (signal - 1) & 1 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_asked_before_begins_no_work() {
        let interrupt = Interrupt::default();
        assert_eq!(interrupt.at_once(|| 7), Some(7));
        interrupt.ask();
        assert!(interrupt.is_asked() && interrupt.at_once(|| 7).is_none());
    }

    /// 0x1001: SIGHUP (1) and SIGPIPE (13), as `nohup` and Rust's runtime leave them.
    #[test]
    fn the_mask_of_ignored_signals_is_read() {
        let status = "Name:\tdemo\nSigBlk:\t0000000000000003\nSigIgn:\t0000000000001001\nSigCgt:\t0\n";
        assert_eq!([1, 2, 13, 15].map(|signal| is_ignored(status, signal)), [true, false, true, false]);
        assert!(!is_ignored("", 1));
    }
}
