//! Ctrl-C and SIGTERM.
//!
//! Normally, either signal ends the process immediately: files are written under another name until
//! they are complete, so no partial file is left under a final name. While signals are
//! [deferred](defer), the first one only sets a flag, so that the work can end cleanly; a second
//! one ends the process immediately.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, LazyLock};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag::{register, register_conditional_shutdown};

/// The exit status of a process that was stopped.
pub(crate) const STATUS: u8 = 130;

static REQUESTED: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);
/// Whether the next signal ends the process.
static AT_ONCE: LazyLock<Arc<AtomicBool>> = LazyLock::new(|| Arc::new(AtomicBool::new(true)));

/// Starts to listen to both signals.
pub(crate) fn listen() -> io::Result<()> {
    for signal in [SIGINT, SIGTERM] {
        // Actions run in the order of their registration: the first signal finds AT_ONCE as `defer`
        // left it, and sets it for the second.
        register_conditional_shutdown(signal, STATUS.into(), AT_ONCE.clone())?;
        register(signal, REQUESTED.clone())?;
        register(signal, AT_ONCE.clone())?;
    }
    Ok(())
}

/// Whether a signal has asked the work to end.
pub(crate) fn requested() -> bool {
    REQUESTED.load(SeqCst)
}

/// Until the returned value is dropped, the first signal only sets [`requested`].
#[must_use]
pub(crate) fn defer() -> Deferred {
    AT_ONCE.store(false, SeqCst);
    Deferred
}

pub(crate) struct Deferred;

impl Drop for Deferred {
    fn drop(&mut self) {
        AT_ONCE.store(true, SeqCst);
    }
}
