//! Ctrl-C: the first one asks to stop after the running command, the second one stops at once.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use crate::host::interrupt::Interrupt;
use crate::ui::progress::Progress;

/// Exit code of an interrupted program.
const INTERRUPTED: i32 = 130;

/// Watches for SIGINT and SIGTERM from now on; the progress tells what is being finished.
pub fn watch(progress: &Arc<Progress>) -> Interrupt {
    watch_and(progress, || {})
}

/// The same, for who has something to do before the second one ends the program.
pub fn watch_and(progress: &Arc<Progress>, last: impl Fn() + Send + 'static) -> Interrupt {
    let progress = Arc::clone(progress);
    let interrupt = Interrupt::new();
    let asked = interrupt.clone();
    let watching = std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
        runtime.block_on(async {
            use tokio::signal::unix::{SignalKind, signal};
            let (Ok(mut int), Ok(mut term)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate())) else {
                return;
            };
            for round in 0.. {
                poll_fn(|context| match (int.poll_recv(context), term.poll_recv(context)) {
                    (Poll::Pending, Poll::Pending) => Poll::Pending,
                    _ => Poll::Ready(()),
                })
                .await;
                if round > 0 {
                    progress.leave();
                    last();
                    std::process::exit(INTERRUPTED);
                }
                asked.set();
                progress.stopping();
            }
        });
    });
    // Without a watcher the signals keep their usual meaning: the process ends, and the run can be continued.
    drop(watching);
    interrupt
}
