//! A bound on the bytes that requests and answers take, however many clients there are.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The bytes that are left.
#[derive(Clone, Debug)]
pub(crate) struct Memory(Arc<Semaphore>);

/// Some bytes, until this is dropped.
#[derive(Debug)]
pub(crate) struct Claim(OwnedSemaphorePermit);

impl Memory {
    pub(crate) fn new(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new(bytes.min(Semaphore::MAX_PERMITS))))
    }

    /// A claim to no bytes yet.
    pub(crate) fn nothing(&self) -> Claim {
        self.claim(0).expect("there are always no bytes left")
    }

    /// Claims `bytes`; `None` if fewer are left.
    pub(crate) fn claim(&self, bytes: usize) -> Option<Claim> {
        let permits = u32::try_from(bytes).ok()?;
        self.0.clone().try_acquire_many_owned(permits).ok().map(Claim)
    }
}

impl Claim {
    /// Makes one claim of two.
    pub(crate) fn join(&mut self, other: Self) {
        self.0.merge(other.0);
    }

    /// The bytes of an answer, which are claimed until they are written or dropped.
    pub(crate) fn hold(self, bytes: Vec<u8>) -> Bytes {
        struct Held(Vec<u8>, #[expect(dead_code, reason = "dropped with the bytes")] Claim);
        impl AsRef<[u8]> for Held {
            fn as_ref(&self) -> &[u8] {
                &self.0
            }
        }
        Bytes::from_owner(Held(bytes, self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_are_given_back_when_the_bytes_are_dropped() {
        let memory = Memory::new(100);
        let mut claim = memory.claim(40).unwrap();
        claim.join(memory.claim(50).unwrap());
        assert!(memory.claim(20).is_none());
        let bytes = claim.hold(vec![7; 90]);
        let part = bytes.slice(..10);
        drop(bytes);
        assert!(memory.claim(20).is_none(), "a part is still there");
        drop(part);
        assert!(memory.claim(100).is_some());
    }
}
