//! Data that nodes keep between the forward and the backward pass.

use std::sync::{Arc, Mutex, PoisonError};

/// Data that a node keeps from its forward pass. A backward pass clones the `Arc` and holds no lock while it works, so
/// several passes over one graph may run at the same time.
pub(crate) struct Kept<S>(Arc<Mutex<Option<Arc<S>>>>);

impl<S> Kept<S> {
    pub(crate) fn set(&self, saved: S) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(saved));
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
