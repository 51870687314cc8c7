//! Helpers that the flow and interop tests share.
