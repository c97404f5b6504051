//! Ctrl-C and SIGTERM as a flag that the loop reads.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether somebody asked the program to stop.
#[derive(Debug, Clone, Default)]
pub struct Interrupt {
    asked: Arc<AtomicBool>,
}

impl Interrupt {
    /// Listens for Ctrl-C, SIGTERM and SIGHUP. The first asks the loop to save and stop; a second one ends the program at
    /// once with status 130, which costs the steps since the last checkpoint.
    pub fn listen() -> Self {
        let interrupt = Self::default();
        let asked = Arc::clone(&interrupt.asked);
        let installed = ctrlc::set_handler(move || {
            if asked.swap(true, Ordering::SeqCst) {
                std::process::exit(130);
            }
        });
        if let Err(error) = installed {
            eprintln!("note: Ctrl-C will not save the run: {error}");
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
    }
}
