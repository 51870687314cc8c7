//! Checkpoints: shared by who runs a task and kept by who handed it in, so that it goes on from there when its worker leaves.

use super::contents::CONTENT_BYTES_MAX;
use super::desk::Desk;
use peeredge_hvm::Checkpoint;
use peeredge_node::TaskInput;
use peeredge_wire::ContentId;
use peeredge_wire::relay::TaskMark;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Checkpoints that are shared or kept for one task: one may be replaced while it is asked for.
const MARKS_MAX: usize = 2;
/// A checkpoint is shared for so long at least, and as long as its bytes take at this rate: whoever keeps it has to fetch it.
const MARK_AT_LEAST: Duration = Duration::from_secs(1);
const MARK_BYTES_PER_S: f64 = 1e6;

impl Desk {
    /// Shares the checkpoints of a run as they come, as long as it runs, so that the task can go on elsewhere. There is room for
    /// another when the last one is shared and had time to be fetched.
    pub(super) async fn mark(
        &self,
        lease: u64,
        taken: &mut mpsc::Receiver<(Checkpoint, u64)>,
        has_room: &Arc<AtomicBool>,
    ) {
        let mut shared = VecDeque::new();
        while let Some((checkpoint, gas)) = taken.recv().await {
            let bytes = checkpoint.encode();
            drop(checkpoint);
            let rest = MARK_AT_LEAST + Duration::from_secs_f64(bytes.len() as f64 / MARK_BYTES_PER_S);
            if let Ok(content) = self.share(bytes, "checkpoint").await {
                self.say(TaskInput::Beat { lease, mark: Some(TaskMark { checkpoint: content, gas }) });
                self.hold(&mut shared, content);
            }
            let has_room = has_room.clone();
            tokio::spawn(async move {
                tokio::time::sleep(rest).await;
                has_room.store(true, Ordering::Relaxed);
            });
        }
        shared.into_iter().for_each(|content| self.remove(content));
    }

    /// The newest comes last, also when it was there before; the oldest goes.
    fn hold(&self, contents: &mut VecDeque<ContentId>, content: ContentId) {
        contents.retain(|other| *other != content);
        contents.push_back(content);
        if contents.len() > MARKS_MAX
            && let Some(oldest) = contents.pop_front()
        {
            self.remove(oldest);
        }
    }

    /// Fetches the checkpoints that come and keeps the newest. Never ends; dropped, it fetches no more.
    pub(super) async fn keep(&self, mut marks: mpsc::UnboundedReceiver<ContentId>) -> Infallible {
        let mut kept = VecDeque::new();
        let mut fetching = JoinSet::new();
        let mut ends = VecDeque::new();
        loop {
            tokio::select! {
                Some(content) = marks.recv() => {
                    let desk = self.clone();
                    ends.push_back(fetching.spawn(async move {
                        desk.obtain(content, CONTENT_BYTES_MAX).await.map(|()| content)
                    }));
                    // What its worker has replaced twice is not to be had any more.
                    if ends.len() > MARKS_MAX && let Some(oldest) = ends.pop_front() {
                        oldest.abort();
                    }
                }
                Some(fetched) = fetching.join_next() => {
                    if let Ok(Ok(content)) = fetched {
                        self.hold(&mut kept, content);
                    }
                }
                else => std::future::pending().await,
            }
        }
    }
}
