//! Calls into a library that panics on some input.

use std::any::Any;
use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

thread_local! {
    static SILENT: Cell<bool> = const { Cell::new(false) };
}

static HOOK: Once = Once::new();

/// What `call` returns, or the message that it panicked with. The tokenizers library indexes and
/// unwraps what a hostile `tokenizer.json` leaves out, in more ways than we could check for; to the
/// user, it is just another bad file.
///
/// Nothing is printed: a panic hook, installed once in front of the program's own, stays silent on
/// a thread that is inside this function and passes on every other panic. Whatever `call` was
/// changing when it panicked must not be used afterward.
pub(crate) fn caught<T>(call: impl FnOnce() -> T) -> Result<T, String> {
    HOOK.call_once(|| {
        let programs_own = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            if !SILENT.get() {
                programs_own(panic);
            }
        }));
    });
    let outer = SILENT.replace(true);
    let result = panic::catch_unwind(AssertUnwindSafe(call));
    SILENT.set(outer);
    result.map_err(message)
}

fn message(payload: Box<dyn Any + Send>) -> String {
    match (payload.downcast_ref::<&str>(), payload.downcast_ref::<String>()) {
        (Some(text), _) => (*text).to_owned(),
        (_, Some(text)) => text.clone(),
        _ => "a panic".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_its_message_and_the_thread_speaks_again() {
        assert_eq!(caught(|| 1), Ok(1));
        let inner = caught(|| caught(|| [0; 2][std::hint::black_box(2)]));
        assert_eq!(inner, Ok(Err("index out of bounds: the len is 2 but the index is 2".to_owned())));
        assert_eq!(caught(|| panic!("no")), Err::<(), _>("no".to_owned()));
        assert!(!SILENT.get());
    }
}
