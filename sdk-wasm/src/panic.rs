use std::cell::RefCell;
use wasm_bindgen::prelude::*;

thread_local! {
    static LAST: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// A panic ends in a trap that says nothing by itself: the hook keeps its text for [`take_panic`].
pub(crate) fn install() {
    std::panic::set_hook(Box::new(|info| LAST.with(|last| *last.borrow_mut() = Some(info.to_string()))));
}

/// The text of the panic that ended the engine, if one did. It needs no engine, so it works after the trap.
#[wasm_bindgen(js_name = takePanic)]
pub fn take_panic() -> Option<String> {
    LAST.with(|last| last.borrow_mut().take())
}
