//! What a page needs of PeerHVM besides an engine: the rewrite, and the names of contents and checkpoints.
//!
//! A few functions over plain memory, without glue: the caller asks for room, writes there, calls, and reads what lies at the
//! place that it is told. `js/src/tasks/rewriter.ts` is that caller.
use std::cell::RefCell;

use peeredge_hvm::{Answer, Limits, Refused, Rewritten, instrument, rewrite};

thread_local! {
    /// What the caller wrote, then what it is to read.
    static ROOM: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Makes room for `length` bytes; gives its address. What was there before is gone.
#[unsafe(no_mangle)]
pub extern "C" fn room(length: usize) -> *mut u8 {
    ROOM.with_borrow_mut(|room| {
        *room = vec![0; length];
        room.as_mut_ptr()
    })
}

/// The address of what the last call left.
#[unsafe(no_mangle)]
pub extern "C" fn left() -> *const u8 {
    ROOM.with_borrow(|room| room.as_ptr())
}

/// Its length.
#[unsafe(no_mangle)]
pub extern "C" fn left_length() -> usize {
    ROOM.with_borrow(Vec::len)
}

/// Rewrites the task that was written: 0, or 1 for one that can move, and leaves the rewritten module; or 2, and leaves a
/// sentence that says what it was refused for.
#[unsafe(no_mangle)]
pub extern "C" fn rewrite_task(memory_pages: u32) -> u32 {
    rewritten(instrument, memory_pages)
}

/// As [`rewrite_task`], for a module that is no task.
#[unsafe(no_mangle)]
pub extern "C" fn rewrite_any(memory_pages: u32) -> u32 {
    rewritten(rewrite::rewrite, memory_pages)
}

/// Leaves the BLAKE3 hash of what was written.
#[unsafe(no_mangle)]
pub extern "C" fn hash() {
    ROOM.with_borrow_mut(|room| *room = peeredge_hvm::task::hash(room).to_vec());
}

/// Leaves what receipts name as the answer of a run that ended so, with what was written as its output; nothing for an end that is none
/// of a task.
#[unsafe(no_mangle)]
pub extern "C" fn answer(end: u32) {
    ROOM.with_borrow_mut(|room| {
        let answer = u8::try_from(end).ok().and_then(|end| Answer::parts(end, room, 0));
        *room = answer.map(|answer| answer.digest.to_vec()).unwrap_or_default();
    });
}

fn rewritten(how: fn(&[u8], &Limits) -> Result<Rewritten, Refused>, memory_pages: u32) -> u32 {
    let limits = Limits { memory_pages, ..Limits::default() }.clamped();
    ROOM.with_borrow_mut(|room| match how(room, &limits) {
        Ok(Rewritten { bytes, is_movable }) => {
            *room = bytes;
            u32::from(is_movable)
        }
        Err(refused) => {
            *room = refused.to_string().into_bytes();
            2
        }
    })
}
