//! Living lines for guests at work below ordinary lines for what is finished.
//!
//! After each drawing the cursor is back at the beginning of the first living line. So the next drawing needs not know
//! how many rows the last one takes by now: it erases from there to the end of the screen, also after the terminal was
//! resized and has folded the lines anew.

use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::at_work::AtWork;
use super::frame;

/// Between two drawings of the living lines.
const TICK: Duration = Duration::from_millis(100);
/// Erases from the cursor to the end of the screen.
const ERASE: &str = "\r\x1b[J";

/// What living lines are drawn on.
pub trait Terminal: Send {
    /// Columns and rows, as they are now.
    fn size(&self) -> (usize, usize);
    /// Whether colours are wished.
    fn colored(&self) -> bool;
    /// Writes text with control codes, as it is.
    fn write(&mut self, text: &str);
}

/// Lines for terminals.
pub struct Live {
    shared: Arc<Shared>,
    ticker: Option<(Sender<()>, JoinHandle<()>)>,
}

struct Shared {
    at_work: Arc<Mutex<AtWork>>,
    rate: f64,
    screen: Mutex<Screen>,
}

struct Screen {
    terminal: Box<dyn Terminal>,
    /// Living lines are on the screen, below the cursor.
    drawn: bool,
    /// Somebody else uses the terminal: lines for later.
    held: Option<String>,
}

impl Live {
    /// Living lines about `at_work`; in a second of real time `rate` seconds pass on the node.
    pub fn new(at_work: Arc<Mutex<AtWork>>, rate: f64, terminal: Box<dyn Terminal>) -> Live {
        let screen = Screen { terminal, drawn: false, held: None };
        let shared = Arc::new(Shared { at_work, rate, screen: Mutex::new(screen) });
        let (stop, stopped) = mpsc::channel();
        let ticking = Arc::clone(&shared);
        let ticker = std::thread::Builder::new().name("live view".to_owned()).spawn(move || {
            while stopped.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                ticking.draw("");
            }
        });
        // Without a thread of its own the view moves with every event.
        Live { shared, ticker: ticker.ok().map(|thread| (stop, thread)) }
    }

    /// Columns of the terminal.
    pub fn columns(&self) -> usize {
        self.shared.screen().terminal.size().0
    }

    /// Shows lines that stay, each ending with a newline, above the living ones.
    pub fn above(&self, lines: &str) {
        self.shared.draw(lines);
    }

    /// Lends the terminal to somebody else, who asks the operator something.
    pub fn lend<T>(&self, to: impl FnOnce() -> T) -> T {
        self.shared.screen().hold();
        let answer = to();
        let held = self.shared.screen().held.take();
        self.shared.draw(&held.unwrap_or_default());
        answer
    }

    /// Takes the living lines off the screen, for good.
    pub fn leave(&self) {
        self.shared.screen().hold();
    }
}

impl Shared {
    fn screen(&self) -> MutexGuard<'_, Screen> {
        self.screen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn draw(&self, above: &str) {
        let mut screen = self.screen();
        let (columns, rows) = screen.terminal.size();
        let lines = {
            let at_work = self.at_work.lock().unwrap_or_else(PoisonError::into_inner);
            frame::lines(&at_work, at_work.now(Instant::now(), self.rate), columns, rows)
        };
        screen.draw(above, &lines);
    }
}

impl Screen {
    fn draw(&mut self, above: &str, lines: &[String]) {
        if let Some(held) = &mut self.held {
            held.push_str(above);
            return;
        }
        let mut text = String::new();
        if self.drawn {
            text.push_str(ERASE);
        }
        let shown = format!("{above}{}", lines.join("\n"));
        match self.terminal.colored() {
            true => text.push_str(&shown),
            false => text.push_str(&anstream::adapter::strip_str(&shown).to_string()),
        }
        if lines.len() > 1 {
            text.push_str(&format!("\x1b[{}A", lines.len() - 1));
        }
        if !lines.is_empty() {
            text.push('\r');
        }
        self.drawn = !lines.is_empty();
        if !text.is_empty() {
            self.terminal.write(&text);
        }
    }

    fn hold(&mut self) {
        if self.held.is_none() {
            self.draw("", &[]);
            self.held = Some(String::new());
        }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.ticker.take() {
            drop(stop);
            drop(thread.join());
        }
        self.shared.screen().hold();
    }
}
