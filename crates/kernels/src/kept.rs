//! What nodes keep between their two passes.

use std::sync::{Arc, Mutex, PoisonError};

/// What a node keeps from its forward pass. A backward pass takes a share of it and holds no lock while it works: another
/// pass over the same graph may run beside it.
pub(crate) struct Kept<S>(Arc<Mutex<Option<Arc<S>>>>);

impl<S> Kept<S> {
    pub(crate) fn set(&self, saved: S) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(saved));
    }

    pub(crate) fn clear(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    pub(crate) fn get(&self) -> Option<Arc<S>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl<S> Default for Kept<S> {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(None)))
    }
}

impl<S> Clone for Kept<S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}
