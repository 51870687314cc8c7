use wasmparser::{Operator, WasmFeatures};

/// What modules may use: the parts of WebAssembly whose results are the same on every host, once NaNs are canonical.
pub(super) const FEATURES: WasmFeatures = WasmFeatures::MUTABLE_GLOBAL
    .union(WasmFeatures::SATURATING_FLOAT_TO_INT)
    .union(WasmFeatures::SIGN_EXTENSION)
    .union(WasmFeatures::REFERENCE_TYPES)
    .union(WasmFeatures::MULTI_VALUE)
    .union(WasmFeatures::BULK_MEMORY)
    .union(WasmFeatures::SIMD)
    .union(WasmFeatures::FLOATS)
    .union(WasmFeatures::EXTENDED_CONST);

/// The name of the proposal that an operator belongs to, if modules must not use it.
pub(super) fn forbidden(operator: &Operator<'_>) -> Option<&'static str> {
    macro_rules! name {
        ($(@$proposal:ident $op:ident $({ $($arg:ident: $argty:ty),* })? => $visit:ident ($($ann:tt)*))*) => {
            match operator {
                $(Operator::$op { .. } => stringify!($proposal),)*
                _ => "an unknown proposal",
            }
        };
    }
    let name = wasmparser::for_each_operator!(name);
    let is_allowed = matches!(
        name,
        "mvp" | "bulk_memory" | "reference_types" | "saturating_float_to_int" | "sign_extension" | "simd"
    );
    (!is_allowed).then_some(name)
}
