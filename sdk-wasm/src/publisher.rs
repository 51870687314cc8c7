use crate::{refused, whole};
use js_sys::{Array, Uint8Array};
use wasm_bindgen::prelude::*;

/// Makes a content of a file that is pushed through it, in a few KiB of memory.
#[wasm_bindgen]
pub struct Publisher {
    publisher: peeredge_node::Publisher,
}

#[wasm_bindgen]
impl Publisher {
    /// Begins a content of `length` bytes.
    #[wasm_bindgen(constructor)]
    pub fn new(length: f64, name: &str, media_type: &str) -> Result<Publisher, JsError> {
        let publisher = peeredge_node::Publisher::new(whole(length), name, media_type).map_err(refused)?;
        Ok(Publisher { publisher })
    }

    /// Takes the next bytes, any number of them.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), JsError> {
        self.publisher.push(bytes).map_err(refused)
    }

    /// The records made since the last call, to be appended to the records area.
    #[wasm_bindgen(js_name = takeRecords)]
    pub fn take_records(&mut self) -> Uint8Array {
        Uint8Array::from(self.publisher.take_records().as_slice())
    }

    /// Ends the file: content id and state. What [`Publisher::take_records`] gives then is the last of it.
    pub fn finish(&mut self) -> Result<Array, JsError> {
        let published = self.publisher.finish().map_err(refused)?;
        let content = JsValue::from(published.content.to_string());
        Ok([content, Uint8Array::from(published.state.as_slice()).into()].iter().collect())
    }
}
