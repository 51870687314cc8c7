//! Contents of tasks: fetched into memory or into a file, shared, and let go.
use super::desk::{Desk, lock};
use crate::publish::{Job as PublishJob, publish_into};
use crate::serve::key;
use peeredge_node::{Input, Output, RangeSpec};
use peeredge_wire::{ContentId, RequestId};
use std::fmt;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// A module, input, output or checkpoint has at most so many bytes.
pub(super) const CONTENT_BYTES_MAX: u64 = 1 << 30;
/// Bytes of outputs that are shared at a time; the oldest go first.
const OUTPUTS_BYTES_MAX: u64 = 1 << 30;
/// A large output is shared for so long after it was answered: whoever asked fetches it at once, and a stranger's bytes are not kept.
const OUTPUT_KEPT: Duration = Duration::from_secs(600);
/// A content that was fetched for a run is there for so long after it, and so many of them at once.
const RESTS_FOR: Duration = Duration::from_secs(10);
const RESTING_MAX: usize = 4;
/// Bytes that a fetch has under way to whoever takes them.
const PULLED_BYTES: u64 = 4 << 20;

/// Why there are no bytes of a content.
pub(super) enum Unfetched {
    TooLarge { length: u64, max: u64 },
    Failed(String),
}

impl fmt::Display for Unfetched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unfetched::TooLarge { length, max } => {
                write!(f, "a content of {length} bytes where at most {max} are allowed")
            }
            Unfetched::Failed(error) => f.write_str(error),
        }
    }
}

impl From<Unfetched> for String {
    fn from(unfetched: Unfetched) -> String {
        unfetched.to_string()
    }
}

impl From<String> for Unfetched {
    fn from(error: String) -> Unfetched {
        Unfetched::Failed(error)
    }
}

/// A file of a run, in a folder of its own, which goes with it.
pub(super) struct Scratch(PathBuf);

impl Scratch {
    pub fn path(&self) -> PathBuf {
        self.0.join("bytes")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Desk {
    /// A place for a file of a run.
    pub(super) fn scratch(&self) -> Result<Scratch, String> {
        // What a run that was killed left there is removed with what publishers left.
        let name = format!("task-{:032x}", u128::from_le_bytes(key::random()));
        let folder = self.0.store.root().join("tmp").join(name);
        std::fs::create_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        Ok(Scratch(folder))
    }

    /// All bytes of a content for a run: this node then no longer holds it, unless it shares it anyway.
    pub(super) async fn take(&self, content: ContentId, bytes_max: u64) -> Result<Vec<u8>, Unfetched> {
        let _taken = Taken::new(self, content);
        let mut bytes = Vec::new();
        let head = |length: u64, bytes: &mut Vec<u8>| bytes.reserve_exact(length as usize);
        self.fetch(content, bytes_max, &mut bytes, head, |bytes, more| {
            bytes.extend_from_slice(more);
            Ok(())
        })
        .await?;
        Ok(bytes)
    }

    /// The same in a file, of which no more is in memory than what is under way.
    pub(super) async fn take_to(
        &self,
        content: ContentId,
        bytes_max: u64,
        path: &Path,
    ) -> Result<File, Unfetched> {
        let _taken = Taken::new(self, content);
        let told = |error: std::io::Error| format!("{}: {error}", path.display());
        let mut file = File::options().read(true).write(true).create_new(true).open(path).map_err(told)?;
        self.fetch(
            content,
            bytes_max,
            &mut file,
            |_, _| (),
            |file, more| tokio::task::block_in_place(|| file.write_all(more)).map_err(told),
        )
        .await?;
        Ok(file)
    }

    /// Has this node hold a content.
    pub(super) async fn obtain(&self, content: ContentId, bytes_max: u64) -> Result<(), Unfetched> {
        self.fetch(content, bytes_max, &mut (), |_, ()| (), |(), _| Ok(())).await
    }

    /// Fetches a content: its length is told first, then its bytes as they come.
    async fn fetch<T>(
        &self,
        content: ContentId,
        bytes_max: u64,
        to: &mut T,
        head: impl FnOnce(u64, &mut T),
        more: impl Fn(&mut T, &[u8]) -> Result<(), String>,
    ) -> Result<(), Unfetched> {
        let request = RequestId(self.0.next.fetch_add(1, Ordering::Relaxed));
        let (told, mut words) = mpsc::unbounded_channel();
        lock(&self.0.fetching).insert(request, told);
        let _forget = Forget(self, request);
        let send = |input| self.0.inputs.send(input).map_err(|_| "the peer ended".to_owned());
        send(Input::Fetch { request, content, range: RangeSpec::Whole })?;
        send(Input::Pull { request, bytes: PULLED_BYTES })?;
        let mut head = Some(head);
        loop {
            match words.recv().await {
                Some(Output::Head { length, .. }) if length > bytes_max => {
                    return Err(Unfetched::TooLarge { length, max: bytes_max });
                }
                Some(Output::Head { length, .. }) => {
                    if let Some(head) = head.take() {
                        head(length, to);
                    }
                }
                Some(Output::Data { bytes, .. }) => {
                    more(to, &bytes)?;
                    send(Input::Pull { request, bytes: bytes.len() as u64 })?;
                }
                Some(Output::Done { .. }) => return Ok(()),
                Some(Output::Failed { error, .. }) => return Err(error.to_string().into()),
                Some(_) => {}
                None => return Err("the peer ended".to_owned().into()),
            }
        }
    }

    /// Shares an output of so many bytes until [`OUTPUT_KEPT`] after it was last answered.
    pub(super) async fn share_for_a_while(&self, output: Scratch, bytes: u64) -> Result<ContentId, String> {
        let content = self.share_file(output, "output").await?;
        let since = Instant::now();
        let gone: Vec<ContentId> = {
            let mut outputs = lock(&self.0.outputs);
            outputs.insert(content, (since, bytes));
            let mut oldest: Vec<_> =
                outputs.iter().map(|(content, (since, bytes))| (*since, *content, *bytes)).collect();
            oldest.sort_unstable();
            let mut sum: u64 = oldest.iter().map(|(.., bytes)| bytes).sum();
            let goes = |(_, other, bytes): &(Instant, ContentId, u64)| {
                let goes = sum > OUTPUTS_BYTES_MAX && *other != content;
                sum -= if goes { *bytes } else { 0 };
                goes
            };
            let gone: Vec<ContentId> =
                oldest.into_iter().filter(goes).map(|(_, content, _)| content).collect();
            outputs.retain(|content, _| !gone.contains(content));
            gone
        };
        gone.into_iter().for_each(|content| self.let_go(content));
        let desk = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(OUTPUT_KEPT).await;
            let mut outputs = lock(&desk.0.outputs);
            // Another run may have answered the same since.
            if outputs.get(&content) == Some(&(since, bytes)) {
                outputs.remove(&content);
                drop(outputs);
                desk.let_go(content);
            }
        });
        Ok(content)
    }

    /// No longer shares a task's content; but one that somebody published, too.
    fn let_go(&self, content: ContentId) {
        if self.0.store.entry(content).is_some_and(|entry| entry.of_task) {
            self.remove(content);
        }
    }

    /// Makes a content of these bytes, which this node then shares.
    pub(super) async fn share(&self, bytes: Vec<u8>, name: &'static str) -> Result<ContentId, String> {
        let scratch = self.scratch()?;
        let path = scratch.path();
        let written = tokio::task::spawn_blocking(move || {
            std::fs::write(&path, bytes).map_err(|error| format!("{}: {error}", path.display()))
        });
        written.await.map_err(|error| error.to_string())??;
        self.share_file(scratch, name).await
    }

    /// Makes a content of a file, which this node then shares.
    async fn share_file(&self, scratch: Scratch, name: &'static str) -> Result<ContentId, String> {
        let desk = self.clone();
        let shared = tokio::task::spawn_blocking(move || {
            let media_type = Some("application/octet-stream".to_owned());
            let job = PublishJob { path: scratch.path(), name: Some(name.into()), media_type, of_task: true };
            let inputs = desk.0.inputs.clone();
            let mut imported = |imported: crate::store::Imported| {
                let content = imported.entry.content;
                let _ = inputs.send(Input::Stored { content, state: imported.state });
            };
            let outcome = publish_into(&desk.0.store, &job, u64::MAX, &mut |_, _| (), &mut imported);
            outcome.map(|outcome| outcome.content).map_err(|error| error.to_string())
        });
        shared.await.map_err(|error| error.to_string())?
    }
}

/// Takes a fetch's place away, however it ends, and ends it if nobody waits any more.
struct Forget<'a>(&'a Desk, RequestId);

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        lock(&self.0.0.fetching).remove(&self.1);
        let _ = self.0.0.inputs.send(Input::Abort { request: self.1 });
    }
}

/// A note that a content is being fetched for a run. With the last one of a content goes the content, if nobody shares it, a little
/// later: the next run often has the same input.
struct Taken<'a>(&'a Desk, ContentId);

impl<'a> Taken<'a> {
    fn new(desk: &'a Desk, content: ContentId) -> Self {
        *lock(&desk.0.taking).entry(content).or_default() += 1;
        Taken(desk, content)
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        let Taken(desk, content) = *self;
        let mut taking = lock(&desk.0.taking);
        let Some(count) = taking.get_mut(&content) else { return };
        *count -= 1;
        if *count > 0 {
            return;
        }
        let resting = taking.values().filter(|count| **count == 0).count();
        drop(taking);
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) if resting <= RESTING_MAX => {
                let desk = desk.clone();
                runtime.spawn(async move {
                    tokio::time::sleep(RESTS_FOR).await;
                    desk.let_rest(content);
                });
            }
            _ => desk.let_rest(content),
        }
    }
}

impl Desk {
    /// Lets go of a content that no run takes any more.
    fn let_rest(&self, content: ContentId) {
        let mut taking = lock(&self.0.taking);
        if taking.get(&content) != Some(&0) {
            return;
        }
        taking.remove(&content);
        drop(taking);
        if self.0.store.entry(content).is_none() {
            self.remove(content);
        }
    }
}
