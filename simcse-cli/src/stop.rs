//! Ctrl-C and SIGTERM. Where there is nothing to save they end the process at once: what it writes has another name until
//! it is complete. In a [deferred](defer) stretch the first one is noted, and the work ends itself in good order; a second
//! one ends the process at once, too.

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

/// Listens to both signals from now on.
pub(crate) fn listen() -> io::Result<()> {
    for signal in [SIGINT, SIGTERM] {
        register_conditional_shutdown(signal, STATUS.into(), AT_ONCE.clone())?;
        register(signal, REQUESTED.clone())?;
        register(signal, AT_ONCE.clone())?;
    }
    Ok(())
}

/// Whether the work is to end.
pub(crate) fn requested() -> bool {
    REQUESTED.load(SeqCst)
}

/// Until what is returned is dropped, the first signal only makes it [`requested`] to stop.
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
