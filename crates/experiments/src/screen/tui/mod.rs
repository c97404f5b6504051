//! The full-screen view of a running experiment: `--tui`.
//!
//! The training loop reports events to a [`View`]; a thread of the view draws about five times a second and reads the
//! keys. The loop never waits for the terminal. `q` asks the loop to stop, as Ctrl-C does: it finishes the current step
//! and saves everything, so that the same command resumes.

mod ascii;
mod board;
mod curves;
mod draw;
mod run_view;
mod trace;

use std::io::{self, IsTerminal};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

pub use board::Board;
use lookahead_report::console::is_unicode;
use lookahead_runs::{Error as RunsError, TaskKind};
pub use run_view::Stage;

use crate::error::Result;

/// The time between two frames, and the longest delay of a key.
const TICK: Duration = Duration::from_millis(200);

/// The request of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Request {
    Stop,
    Up,
    Down,
    Follow,
}

impl Request {
    fn of(key: KeyEvent) -> Option<Self> {
        if key.kind != KeyEventKind::Press {
            return None;
        }
        match key.code {
            KeyCode::Char('q') => Some(Self::Stop),
            // In raw mode the terminal sends no signal.
            KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => Some(Self::Stop),
            KeyCode::Up | KeyCode::Char('k') => Some(Self::Up),
            KeyCode::Down | KeyCode::Char('j') => Some(Self::Down),
            KeyCode::Char('f') | KeyCode::Esc => Some(Self::Follow),
            _ => None,
        }
    }
}

/// The view while it is on the screen. Dropping it restores the terminal.
///
/// ```no_run
/// use lookahead_experiments::tui::View;
///
/// let runs = ["sgd-s1".into(), "lookahead-sgd-keep-s1".into()];
/// let view = View::start("cifar10", lookahead_runs::TaskKind::Images, &runs, || eprintln!("stop"))?;
/// view.board().begin("sgd-s1", 5, 1950, 0, &lookahead_runs::Log::default());
/// view.board().steps(50);
/// # Ok::<(), lookahead_experiments::Error>(())
/// ```
#[derive(Debug)]
pub struct View {
    board: Arc<Mutex<Board>>,
    closing: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl View {
    /// Takes over the terminal and shows an experiment whose runs have the given names. The first `q` or Ctrl-C calls
    /// `stop`; a second one restores the terminal and ends the program at once with status 130, as Ctrl-C does.
    ///
    /// # Errors
    /// [`Error::Runs`](crate::Error::Runs) if standard output is not a terminal, or the terminal cannot be set up.
    pub fn start(experiment: &str, task: TaskKind, runs: &[String], stop: impl Fn() + Send + 'static) -> Result<Self> {
        let terminal_path = Path::new("the terminal");
        if !io::stdout().is_terminal() {
            let reason = io::Error::other("standard output is not a terminal; remove --tui");
            return Err(RunsError::output("write", terminal_path)(reason).into());
        }
        let mut terminal = ratatui::try_init().map_err(RunsError::output("write", terminal_path))?;
        let board = Arc::new(Mutex::new(Board::new(experiment, task, runs)));
        let closing = Arc::new(AtomicBool::new(false));
        let (seen, until, unicode) = (Arc::clone(&board), Arc::clone(&closing), is_unicode());
        let thread = std::thread::spawn(move || {
            loop {
                // Read before drawing, so that the last frame shows everything that happened until the end.
                let last = until.load(Ordering::SeqCst);
                // Training continues if the terminal goes away.
                let picture = |frame: &mut ratatui::Frame<'_>| {
                    draw::draw(frame, &locked(&seen));
                    if !unicode {
                        ascii::in_ascii(frame.buffer_mut());
                    }
                };
                if terminal.draw(picture).is_err() || last {
                    return;
                }
                if let Ok(true) = event::poll(TICK)
                    && let Ok(Event::Key(key)) = event::read()
                    && let Some(request) = Request::of(key)
                {
                    answer(request, &seen, &stop);
                }
            }
        });
        Ok(Self { board, closing, thread: Some(thread) })
    }

    /// The board that receives events. Hold it only briefly: the view waits meanwhile.
    pub fn board(&self) -> MutexGuard<'_, Board> {
        locked(&self.board)
    }
}

impl Drop for View {
    fn drop(&mut self) {
        self.closing.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            // The panic hook has already reported a panic of the drawing thread.
            let _ = thread.join();
        }
        give_back();
    }
}

/// Restores the terminal, if it is still there.
fn give_back() {
    let _ = ratatui::try_restore();
}

/// The board, even if a thread panicked while holding it: it is only displayed.
fn locked(board: &Mutex<Board>) -> MutexGuard<'_, Board> {
    board.lock().unwrap_or_else(PoisonError::into_inner)
}

fn answer(request: Request, board: &Mutex<Board>, stop: &impl Fn()) {
    let mut board = locked(board);
    match request {
        Request::Stop if board.is_stopping() => {
            give_back();
            std::process::exit(130);
        }
        Request::Stop => {
            board.stopping();
            stop();
        }
        Request::Up => board.select(-1),
        Request::Down => board.select(1),
        Request::Follow => board.follow(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn q_and_control_c_stop_and_arrows_choose() {
        let key = |code, modifiers| Request::of(KeyEvent::new(code, modifiers));
        assert_eq!(key(KeyCode::Char('q'), KeyModifiers::NONE), Some(Request::Stop));
        assert_eq!(key(KeyCode::Char('c'), KeyModifiers::CONTROL), Some(Request::Stop));
        assert_eq!(key(KeyCode::Char('c'), KeyModifiers::NONE), None);
        assert_eq!(key(KeyCode::Down, KeyModifiers::NONE), Some(Request::Down));
    }

    #[test]
    fn q_asks_once_and_says_so() {
        let board = Mutex::new(Board::new("demo", TaskKind::Images, &["sgd-s1".to_owned()]));
        let asked = AtomicBool::new(false);
        answer(Request::Stop, &board, &|| assert!(!asked.swap(true, Ordering::SeqCst), "asked twice"));
        assert!(asked.load(Ordering::SeqCst) && locked(&board).is_stopping());
    }

    /// Tests run without a terminal, which is just what must be refused.
    #[test]
    fn without_a_terminal_it_says_so() {
        if io::stdout().is_terminal() {
            return;
        }
        let error = View::start("demo", TaskKind::Images, &[], || {}).unwrap_err();
        assert!(error.to_string().contains("not a terminal"), "{error}");
    }
}
