use crate::{output, refused, settings, stats, whole};
use js_sys::Array;
use peeredge_node::{HttpFailure, Input, LiveEntry, LiveInput, Node, RangeSpec, TaskInput};
use peeredge_wire::limits::TASK_INLINE_BYTES_MAX;
use peeredge_wire::relay::{Blob, TaskAssurance, TaskLimits, TaskMark, TaskOf, TaskRequest};
use peeredge_wire::{ConnectionId, ContentId, RequestId, Time, Token};
use wasm_bindgen::prelude::*;

/// One node. Every method but [`Engine::poll`], [`Engine::deadline`], [`Engine::id`] and [`Engine::stats`] is one input.
#[wasm_bindgen]
pub struct Engine {
    node: Node,
}

impl Engine {
    fn input(&mut self, now_us: f64, input: Input) {
        self.node.handle(Time::from_micros(whole(now_us)), input);
    }
}

fn content_id(text: &str) -> Result<ContentId, JsError> {
    text.parse().map_err(refused)
}

fn blob(inline: &[u8], content: Option<String>) -> Result<Blob, JsError> {
    match content {
        Some(id) => Ok(Blob::Content(content_id(&id)?)),
        None if inline.len() <= TASK_INLINE_BYTES_MAX => Ok(Blob::Inline(inline.to_vec())),
        None => Err(JsError::new("what is larger goes as a content")),
    }
}

#[wasm_bindgen]
impl Engine {
    /// A node with this Ed25519 secret key (32 bytes) and seed. `settings` is the object that `js/src/engine/slot.ts` types.
    #[wasm_bindgen(constructor)]
    pub fn new(secret_key: &[u8], seed: u64, settings: JsValue) -> Result<Engine, JsError> {
        Ok(Engine { node: Node::new(settings::config(secret_key, seed, settings)?) })
    }

    /// This node's peer id.
    pub fn id(&self) -> String {
        self.node.id().to_string()
    }

    /// The next output as an array, its kind first (see `js/src/engine/slot.ts`); nothing when there is none.
    pub fn poll(&mut self) -> Option<Array> {
        self.node.poll().map(output::to_array)
    }

    /// When to call [`Engine::wake`] at the latest, in microseconds; nothing when never.
    pub fn deadline(&self) -> Option<f64> {
        self.node.deadline().filter(|&at| at != Time::NEVER).map(|at| at.as_micros() as f64)
    }

    /// A picture of the node.
    pub fn stats(&self) -> JsValue {
        stats::to_js(self.node.stats())
    }

    /// The socket to the relay is open.
    #[wasm_bindgen(js_name = relayOpened)]
    pub fn relay_opened(&mut self, now_us: f64) {
        self.input(now_us, Input::RelayOpened);
    }

    /// The relay sent a frame.
    #[wasm_bindgen(js_name = relayMessage)]
    pub fn relay_message(&mut self, now_us: f64, frame: Vec<u8>) {
        self.input(now_us, Input::RelayMessage(frame));
    }

    /// The socket to the relay is closed, or could not be opened.
    #[wasm_bindgen(js_name = relayClosed)]
    pub fn relay_closed(&mut self, now_us: f64) {
        self.input(now_us, Input::RelayClosed);
    }

    /// The local WebRTC stack made an offer, an answer or a candidate.
    pub fn signal(&mut self, now_us: f64, connection: u32, signal: Vec<u8>) {
        self.input(now_us, Input::Signal { connection: ConnectionId(connection), signal });
    }

    /// A data channel is open and takes so many bytes at once.
    pub fn opened(&mut self, now_us: f64, connection: u32, credit_bytes: f64) {
        let credit_bytes = whole(credit_bytes);
        self.input(now_us, Input::Opened { connection: ConnectionId(connection), credit_bytes });
    }

    /// A message arrived on a data channel.
    pub fn message(&mut self, now_us: f64, connection: u32, message: Vec<u8>) {
        self.input(now_us, Input::Message { connection: ConnectionId(connection), message });
    }

    /// A data channel drained: so many more bytes may be sent.
    pub fn credit(&mut self, now_us: f64, connection: u32, bytes: f64) {
        self.input(now_us, Input::Credit { connection: ConnectionId(connection), bytes: whole(bytes) });
    }

    /// A connection is gone, or could not be made.
    pub fn closed(&mut self, now_us: f64, connection: u32) {
        self.input(now_us, Input::Closed { connection: ConnectionId(connection) });
    }

    /// A connection's round trip was measured, in microseconds.
    #[wasm_bindgen(js_name = roundTrip)]
    pub fn round_trip(&mut self, now_us: f64, connection: u32, micros: f64) {
        self.input(now_us, Input::RoundTrip { connection: ConnectionId(connection), micros: whole(micros) });
    }

    /// The store holds a content.
    pub fn stored(&mut self, now_us: f64, content: &str, state: Vec<u8>) -> Result<(), JsError> {
        self.input(now_us, Input::Stored { content: content_id(content)?, state });
        Ok(())
    }

    /// The answer to a read; nothing when the bytes cannot be read.
    pub fn read(&mut self, now_us: f64, token: u32, bytes: Option<Vec<u8>>) {
        self.input(now_us, Input::Read { token: Token(token), bytes });
    }

    /// A write to the store failed.
    #[wasm_bindgen(js_name = storeFailed)]
    pub fn store_failed(&mut self, now_us: f64, content: &str) -> Result<(), JsError> {
        self.input(now_us, Input::StoreFailed { content: content_id(content)? });
        Ok(())
    }

    /// The body that an HTTP request gave.
    #[wasm_bindgen(js_name = httpBody)]
    pub fn http_body(&mut self, now_us: f64, token: u32, body: Vec<u8>) {
        self.input(now_us, Input::Http { token: Token(token), result: Ok(body) });
    }

    /// An HTTP request gave no body: the server's status, or 0 when there was no answer.
    #[wasm_bindgen(js_name = httpFailed)]
    pub fn http_failed(&mut self, now_us: f64, token: u32, status: u16) {
        let failure = if status == 0 { HttpFailure::Network } else { HttpFailure::Status(status) };
        self.input(now_us, Input::Http { token: Token(token), result: Err(failure) });
    }

    /// The page wants a content: its last `last` bytes, or from `start` to `end` (both inclusive), or all of it.
    pub fn fetch(
        &mut self,
        now_us: f64,
        request: u32,
        content: &str,
        start: Option<f64>,
        end: Option<f64>,
        last: Option<f64>,
    ) -> Result<(), JsError> {
        let range = match (last, start) {
            (Some(last), _) => RangeSpec::Last(whole(last)),
            (None, Some(start)) => RangeSpec::From { start: whole(start), end: end.map(whole) },
            (None, None) => RangeSpec::Whole,
        };
        let input = Input::Fetch { request: RequestId(request), content: content_id(content)?, range };
        self.input(now_us, input);
        Ok(())
    }

    /// The site's own server has a content's bytes at an address that the shell knows.
    pub fn origin(&mut self, now_us: f64, content: &str, host: u32) -> Result<(), JsError> {
        let content = content_id(content)?;
        self.input(now_us, Input::OriginHost { content, host });
        self.input(now_us, Input::Origin { content });
        Ok(())
    }

    /// The page plays a request's bytes at such a rate.
    pub fn pace(&mut self, now_us: f64, request: u32, bytes_per_s: f64) {
        self.input(now_us, Input::Pace { request: RequestId(request), bytes_per_s: whole(bytes_per_s) });
    }

    /// The page can take so many more bytes of a request.
    pub fn pull(&mut self, now_us: f64, request: u32, bytes: f64) {
        self.input(now_us, Input::Pull { request: RequestId(request), bytes: whole(bytes) });
    }

    /// The page no longer wants a request.
    pub fn abort(&mut self, now_us: f64, request: u32) {
        self.input(now_us, Input::Abort { request: RequestId(request) });
    }

    /// The user no longer shares a content.
    pub fn remove(&mut self, now_us: f64, content: &str) -> Result<(), JsError> {
        self.input(now_us, Input::Remove { content: content_id(content)? });
        Ok(())
    }

    /// The visitor's caps, or the conditions they depend on, changed.
    pub fn caps(&mut self, now_us: f64, caps: JsValue) -> Result<(), JsError> {
        self.input(now_us, Input::Caps(settings::caps(caps)?));
        Ok(())
    }

    /// The shell has made room for more connections: so many in all, those that it was asked for so far included.
    #[wasm_bindgen(js_name = connectionBudget)]
    pub fn connection_budget(&mut self, now_us: f64, made_max: u32) {
        self.input(now_us, Input::ConnectionBudget { made_max });
    }

    /// The visitor allows so many tasks at once.
    #[wasm_bindgen(js_name = offerTasks)]
    pub fn offer_tasks(&mut self, now_us: f64, slots: u8, memory_pages: u32, anybody: bool) {
        let whose = if anybody { TaskOf::Anybody } else { TaskOf::OwnSite };
        self.input(now_us, Input::Task(TaskInput::Offer { slots, memory_pages, whose }));
    }

    /// No output that a result named hashes to its digest.
    #[wasm_bindgen(js_name = taskUntrue)]
    pub fn task_untrue(&mut self, now_us: f64, request: u32) {
        self.input(now_us, Input::Task(TaskInput::Untrue { request }));
    }

    /// The page hands a task in. `assurance`: so many replicas, 254 for cheap, 255 for strict.
    #[wasm_bindgen(js_name = submitTask)]
    #[allow(clippy::too_many_arguments, reason = "the fields of one message")]
    pub fn submit_task(
        &mut self,
        now_us: f64,
        request: u32,
        module: &str,
        input: &[u8],
        input_content: Option<String>,
        gas: u64,
        memory_pages: u32,
        output_bytes: u32,
        checkpoint_steps: u32,
        assurance: u8,
        value: u32,
    ) -> Result<(), JsError> {
        let limits = TaskLimits { gas: gas.max(1), memory_pages, output_bytes, checkpoint_steps };
        let assurance = match assurance {
            254 => TaskAssurance::Cheap,
            255 => TaskAssurance::Strict,
            votes => TaskAssurance::Replicas(votes),
        };
        let (module, input) = (content_id(module)?, blob(input, input_content)?);
        let task = TaskInput::Submit(TaskRequest { request, module, input, limits, assurance, value });
        self.input(now_us, Input::Task(task));
        Ok(())
    }

    /// The page no longer wants a task.
    #[wasm_bindgen(js_name = cancelTask)]
    pub fn cancel_task(&mut self, now_us: f64, request: u32) {
        self.input(now_us, Input::Task(TaskInput::Cancel { request }));
    }

    /// A run goes on, and may be gone on with from `checkpoint`, a content that this peer shares.
    #[wasm_bindgen(js_name = taskBeat)]
    pub fn task_beat(
        &mut self,
        now_us: f64,
        lease: f64,
        checkpoint: Option<String>,
        gas: u64,
    ) -> Result<(), JsError> {
        let checkpoint = checkpoint.map(|id| content_id(&id)).transpose()?;
        let mark = checkpoint.map(|checkpoint| TaskMark { checkpoint, gas });
        self.input(now_us, Input::Task(TaskInput::Beat { lease: whole(lease), mark }));
        Ok(())
    }

    /// A run came to its end; `output_hash` is BLAKE3 of its output.
    #[wasm_bindgen(js_name = taskAnswer)]
    #[allow(clippy::too_many_arguments, reason = "the fields of one message")]
    pub fn task_answer(
        &mut self,
        now_us: f64,
        lease: f64,
        end: u8,
        gas: u64,
        output: &[u8],
        output_content: Option<String>,
        output_hash: &[u8],
    ) -> Result<(), JsError> {
        let output_hash = output_hash.try_into().map_err(|_| JsError::new("a hash has 32 bytes"))?;
        let (lease, output) = (whole(lease), blob(output, output_content)?);
        self.input(now_us, Input::Task(TaskInput::Answer { lease, end, gas, output, output_hash }));
        Ok(())
    }

    /// A run cannot be done here.
    #[wasm_bindgen(js_name = taskTrouble)]
    pub fn task_trouble(&mut self, now_us: f64, lease: f64, detail: String) {
        self.input(now_us, Input::Task(TaskInput::Trouble { lease: whole(lease), detail }));
    }

    /// What time it is (milliseconds since 1970): said before any of the following.
    #[wasm_bindgen(js_name = liveClock)]
    pub fn live_clock(&mut self, now_us: f64, unix_ms: f64) {
        self.input(now_us, Input::Live(LiveInput::Clock { unix_ms: whole(unix_ms) }));
    }

    /// Begins a live content under this name, now (milliseconds since 1970).
    #[wasm_bindgen(js_name = liveBegin)]
    pub fn live_begin(&mut self, now_us: f64, name: String, epoch_ms: f64) {
        self.input(now_us, Input::Live(LiveInput::Begin { name, epoch_ms: whole(epoch_ms) }));
    }

    /// Adds a content to a live content.
    #[wasm_bindgen(js_name = liveAppend)]
    pub fn live_append(
        &mut self,
        now_us: f64,
        name: String,
        content: &str,
        length: f64,
        duration_ms: u32,
    ) -> Result<(), JsError> {
        let entry = LiveEntry { content: content_id(content)?, length: whole(length), duration_ms };
        self.input(now_us, Input::Live(LiveInput::Append { name, entry }));
        Ok(())
    }

    /// Ends a live content.
    #[wasm_bindgen(js_name = liveEnd)]
    pub fn live_end(&mut self, now_us: f64, name: String) {
        self.input(now_us, Input::Live(LiveInput::End { name }));
    }

    /// The page follows a live content.
    pub fn follow(&mut self, now_us: f64, follow: u32, publisher: &str, name: String) -> Result<(), JsError> {
        let publisher = publisher.parse().map_err(refused)?;
        let follow = RequestId(follow);
        self.input(now_us, Input::Live(LiveInput::Follow { follow, publisher, name }));
        Ok(())
    }

    /// The page no longer follows it.
    pub fn unfollow(&mut self, now_us: f64, follow: u32) {
        self.input(now_us, Input::Live(LiveInput::Unfollow { follow: RequestId(follow) }));
    }

    /// The deadline has come.
    pub fn wake(&mut self, now_us: f64) {
        self.input(now_us, Input::Wake);
    }

    /// Say goodbye.
    pub fn close(&mut self, now_us: f64) {
        self.input(now_us, Input::Close);
    }
}
