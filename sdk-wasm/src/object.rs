use js_sys::Object;
use wasm_bindgen::prelude::*;

#[wasm_bindgen]
extern "C" {
    /// A plain object, whose fields are read and written by name.
    #[wasm_bindgen(extends = Object)]
    pub(crate) type Fields;

    #[wasm_bindgen(method, structural, indexing_getter)]
    pub(crate) fn get(this: &Fields, name: &str) -> JsValue;

    #[wasm_bindgen(method, structural, indexing_setter)]
    pub(crate) fn set(this: &Fields, name: &str, value: JsValue);
}

impl Fields {
    /// A number. `Infinity` is no bound.
    pub(crate) fn number(&self, name: &str) -> Result<f64, JsError> {
        self.get(name).as_f64().ok_or_else(|| wrong(name))
    }

    /// A text.
    pub(crate) fn text(&self, name: &str) -> Result<String, JsError> {
        self.get(name).as_string().ok_or_else(|| wrong(name))
    }

    /// A truth value.
    pub(crate) fn flag(&self, name: &str) -> Result<bool, JsError> {
        self.get(name).as_bool().ok_or_else(|| wrong(name))
    }
}

fn wrong(name: &str) -> JsError {
    JsError::new(&format!("the setting {name} is missing, or of another kind"))
}

/// Makes an object of names and values.
macro_rules! object {
    ($($name:literal: $value:expr),+ $(,)?) => {{
        let object: $crate::object::Fields = js_sys::Object::new().unchecked_into();
        $(object.set($name, JsValue::from($value));)+
        JsValue::from(object)
    }};
}
pub(crate) use object;
