use core::fmt;

/// Why a module is not rewritten, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// What is wrong.
    pub reason: Reason,
    /// The index of the function that has it; `None` when it is not in a function's code.
    pub function: Option<u32>,
    /// Its offset in the module, in bytes.
    pub offset: usize,
}

/// What a module is refused for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The module is not valid WebAssembly; the validator's sentence says why.
    Invalid(String),
    /// It needs a proposal whose results could differ from host to host, or that is not supported.
    Feature(&'static str),
    /// A task has no imports.
    Import {
        /// From where.
        module: String,
        /// What.
        name: String,
    },
    /// A task needs this export, with this type.
    MissingExport(&'static str),
    /// The module has an export whose name is kept for the rewrite.
    ReservedExport(String),
    /// The memory starts with more pages than the limits allow.
    MemoryPages {
        /// Pages at the start.
        pages: u64,
        /// Pages allowed.
        max: u32,
    },
    /// The tables start with more elements together than [`TABLE_ELEMENTS_MAX`](super::TABLE_ELEMENTS_MAX).
    TableElements(u64),
    /// The function needs a frame, or stands above frames of functions that cannot recurse, of more slots than
    /// [`STACK_SLOTS_STATIC`](super::STACK_SLOTS_STATIC).
    StackSlots(u64),
    /// The function has so many locals that there is no room for the rewrite's own.
    Locals(u32),
    /// It has more of something than every engine takes, or than is compiled in good time; `docs/task-rewrite.md` lists what.
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many.
        count: u64,
        /// How many are allowed.
        max: u64,
    },
    /// The module, or what it would become, has more bytes than a host takes.
    Bytes {
        /// The bytes it has.
        bytes: usize,
        /// The bytes it may have.
        max: usize,
    },
}

impl Refused {
    /// A refusal of something outside of functions.
    pub(super) fn module(reason: Reason, offset: usize) -> Self {
        Refused { reason, function: None, offset }
    }

    /// What the validator or the reader found.
    pub(super) fn invalid(error: &wasmparser::BinaryReaderError, function: Option<u32>) -> Self {
        Refused { reason: Reason::Invalid(error.message().into()), function, offset: error.offset() }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.reason {
            Reason::Invalid(message) => write!(f, "not a valid module: {message}")?,
            Reason::Feature(name) => write!(f, "needs {name}, which tasks must not use")?,
            Reason::Import { module, name } => write!(f, "imports {module}.{name}; a task has no imports")?,
            Reason::MissingExport(name) => write!(f, "has no export {name} of the right type")?,
            Reason::ReservedExport(name) => write!(f, "exports {name}, a name kept for the host")?,
            Reason::MemoryPages { pages, max } => write!(f, "starts with {pages} pages of memory of {max}")?,
            Reason::TableElements(count) => write!(f, "starts with tables of {count} elements")?,
            Reason::StackSlots(slots) => write!(f, "needs {slots} slots of stack")?,
            Reason::Locals(count) => write!(f, "has {count} locals")?,
            Reason::TooMany { what, count, max } => write!(f, "has {count} {what} of {max}")?,
            Reason::Bytes { bytes, max } => write!(f, "has {bytes} bytes of {max}")?,
        }
        match self.function {
            Some(function) => write!(f, " (function {function}, offset {})", self.offset),
            None => write!(f, " (offset {})", self.offset),
        }
    }
}

impl core::error::Error for Refused {}
