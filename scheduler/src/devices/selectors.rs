//! Expressions that choose devices, compiled once.

use std::collections::HashMap;
use std::sync::Arc;

use mainstay_api::devices::Selector;
use parking_lot::Mutex;

/// Expressions that are remembered at the most.
const MOST: usize = 1000;

/// An expression, or why it does not compile.
pub(super) type Compiled = Result<Selector, String>;

/// All that were compiled; clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct Selectors(Arc<Mutex<HashMap<String, Arc<Compiled>>>>);

impl Selectors {
    pub(super) fn get(&self, expression: &str) -> Arc<Compiled> {
        let mut known = self.0.lock();
        if let Some(found) = known.get(expression) {
            return found.clone();
        }
        if known.len() >= MOST {
            known.clear();
        }
        let compiled = Arc::new(Selector::compile(expression).map_err(|error| error.to_string()));
        known.insert(expression.to_owned(), compiled.clone());
        compiled
    }
}
