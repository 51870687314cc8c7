//! The frames about tasks.

use super::*;

const LIMITS: TaskLimits =
    TaskLimits { gas: 1 << 40, memory_pages: 1024, output_bytes: 65_536, checkpoint_steps: 8 };

#[test]
fn offer_and_cancel() {
    to_relay(
        ToRelay::Task(TaskToRelay::Offer { slots: 2, memory_pages: 1024, whose: TaskOf::Anybody }),
        "20         # tag
         02         # slots
         00040000   # memory_pages
         01         # whose: anybody's; 0 for the own site's",
    );
    to_relay(ToRelay::Task(TaskToRelay::Cancel { request: 5 }), "22 05000000");
    to_relay(ToRelay::Task(TaskToRelay::Untrue { request: 5 }), "27 05000000");
}

#[test]
fn submit() {
    to_relay(
        ToRelay::Task(TaskToRelay::Submit(TaskRequest {
            request: 5,
            module: CONTENT,
            input: Blob::Inline(b"abc".to_vec()),
            limits: LIMITS,
            assurance: TaskAssurance::Replicas(2),
            value: 7,
        })),
        "21                 # tag
         05000000           # request
         cc*32              # module
         00 0300 616263     # input, inline: length, bytes
         0000000000010000   # gas
         00040000           # memory_pages
         00000100           # output_bytes
         08000000           # checkpoint_steps
         02                 # assurance: replicas; 254 is cheap, 255 strict
         07000000           # value",
    );
}

#[test]
fn beat_commit_reveal_and_trouble() {
    to_relay(ToRelay::Task(TaskToRelay::Beat { lease: 9, mark: None }), "23 0900000000000000 00");
    to_relay(
        ToRelay::Task(TaskToRelay::Beat { lease: 9, mark: Some(TaskMark { checkpoint: CONTENT, gas: 3 }) }),
        "23                 # tag
         0900000000000000   # lease
         01 cc*32           # mark: checkpoint
         0300000000000000   # gas until there",
    );
    to_relay(
        ToRelay::Task(TaskToRelay::Commit { lease: 9, commitment: [0x77; 32] }),
        "24 0900000000000000 77*32",
    );
    to_relay(
        ToRelay::Task(TaskToRelay::Reveal {
            lease: 9,
            end: 0,
            gas: 3,
            digest: [0x11; 32],
            nonce: [0x22; 32],
            signature: [0x33; 64],
            output: Blob::Content(CONTENT),
        }),
        "25                 # tag
         0900000000000000   # lease
         00                 # end
         0300000000000000   # gas
         11*32              # digest
         22*32              # nonce
         33*64              # signature
         01 cc*32           # output, a content",
    );
    to_relay(
        ToRelay::Task(TaskToRelay::Trouble { lease: 9, detail: "no".into() }),
        "26 0900000000000000 0200 6e6f",
    );
}

#[test]
fn lease_revoke_and_ask_reveal() {
    from_relay(
        FromRelay::Task(TaskFromRelay::Lease {
            lease: 9,
            beat_ms: 5000,
            module: CONTENT,
            input: Blob::Content(CONTENT),
            limits: LIMITS,
            resume: None,
        }),
        "a0                 # tag
         0900000000000000   # lease
         88130000           # beat_ms
         cc*32              # module
         01 cc*32           # input, a content
         0000000000010000   # gas
         00040000           # memory_pages
         00000100           # output_bytes
         08000000           # checkpoint_steps
         00                 # no mark",
    );
    from_relay(FromRelay::Task(TaskFromRelay::Revoke { lease: 9 }), "a1 0900000000000000");
    from_relay(FromRelay::Task(TaskFromRelay::AskReveal { lease: 9 }), "a2 0900000000000000");
}

#[test]
fn result_progress_and_refusal() {
    from_relay(
        FromRelay::Task(TaskFromRelay::Result {
            request: 5,
            end: 0,
            gas: 3,
            digest: [0x11; 32],
            runs: 2,
            refereed: true,
            voters: vec![PEER],
            doubt_ppm: 40_000,
            output: Blob::Inline(Vec::new()),
            others: vec![CONTENT],
        }),
        "a3                 # tag
         05000000           # request
         00                 # end
         0300000000000000   # gas
         11*32              # digest
         0200               # runs
         01                 # refereed
         01 aa*32           # voters: count, keys
         409c0000           # doubt_ppm
         01 cc*32           # others: count, contents
         00 0000            # output, inline and empty",
    );
    from_relay(
        FromRelay::Task(TaskFromRelay::Progress { request: 5, runs: 1, worker: PEER }),
        "a4 05000000 0100 aa*32",
    );
    from_relay(
        FromRelay::Task(TaskFromRelay::Refused { request: 5, why: TaskRefusal::NoWorker }),
        "a5 05000000 03",
    );
}

#[test]
fn wrong_task_frames_name_the_field() {
    let decode = |text: &str| ToRelay::decode(&bytes(text)).expect_err("this frame is wrong");
    assert_eq!(decode("20 01 01000100 00"), DecodeError::Value { field: "memory_pages" });
    assert_eq!(decode("21 05000000 cc*32 02"), DecodeError::Value { field: "input" });
    let long = DecodeError::TooLong { field: "input", max: 16 * 1024 };
    assert_eq!(decode("21 05000000 cc*32 00 0140 00*16385"), long);
    assert_eq!(decode("21 05000000 cc*32 00 0000 00*8"), DecodeError::Short { needed: 4, left: 0 });
    assert_eq!(decode("21 05000000 cc*32 00 0000 00*8 00*12 01 00*4"), DecodeError::Value { field: "gas" });
    assert_eq!(
        decode("21 05000000 cc*32 00 0000 01 00*7 00*12 00 00*4"),
        DecodeError::Value { field: "assurance" }
    );
    let decode = |text: &str| FromRelay::decode(&bytes(text)).expect_err("this frame is wrong");
    assert_eq!(decode("a5 05000000 0a"), DecodeError::Value { field: "why" });
    let many = DecodeError::TooLong { field: "voters", max: 32 };
    assert_eq!(decode("a3 00*4 00 00*8 00*32 0000 00 21"), many);
}
