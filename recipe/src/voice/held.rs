//! What is said while several work at the same time: kept, and said when it is one's turn.

use std::cell::RefCell;

thread_local! {
    static HELD: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

/// Does something, and keeps what this thread says meanwhile. What is drawn is drawn.
pub fn held<T>(work: impl FnOnce() -> T) -> (T, Vec<String>) {
    HELD.set(Some(Vec::new()));
    let result = work();
    (result, HELD.take().unwrap_or_default())
}

/// Keeps a text, if this thread's are kept.
pub(super) fn keep(text: &str) -> bool {
    HELD.with_borrow_mut(|held| held.as_mut().map(|held| held.push(text.to_owned())).is_some())
}
