//! What a node says about tasks, and what it shows its page.

mod world;

use peeredge_hvm::{Answer, Claim, Receipt, name_of_input};
use peeredge_node::{Input, TaskInput};
use peeredge_wire::ContentId;
use peeredge_wire::relay::{
    Blob, FromRelay, TaskAssurance, TaskFromRelay, TaskLimits, TaskOf, TaskRefusal, TaskRequest, TaskToRelay,
};
use world::World;

const LIMITS: TaskLimits = TaskLimits { gas: 9, memory_pages: 1, output_bytes: 9, checkpoint_steps: 0 };
const MODULE: ContentId = ContentId([4; 32]);

fn ready() -> World {
    let mut world = World::new();
    world.add(|_| {});
    world.run_until(5, |world| world.peers[0].relay_up);
    world.run_until(1, |_| false);
    world
}

fn tell(world: &mut World, message: TaskFromRelay) {
    world.input(0, Input::RelayMessage(FromRelay::Task(message).encode()));
}

fn lease(world: &mut World, lease: u64) {
    let (input, resume) = (Blob::Inline(vec![1]), None);
    tell(world, TaskFromRelay::Lease { lease, beat_ms: 5, module: MODULE, input, limits: LIMITS, resume });
}

fn answer(lease: u64, end: u8) -> Input {
    let output_hash = *blake3::hash(b"out").as_bytes();
    Input::Task(TaskInput::Answer { lease, end, gas: 5, output: Blob::Inline(b"out".to_vec()), output_hash })
}

#[test]
fn an_answer_is_committed_to_and_shown_only_when_asked() {
    let mut world = ready();
    lease(&mut world, 3);
    world.input(0, answer(3, 0));
    let said = world.peers[0].task_frames.clone();
    let [TaskToRelay::Commit { lease: 3, commitment }] = said[..] else { panic!("{said:?}") };
    tell(&mut world, TaskFromRelay::AskReveal { lease: 3 });
    let Some(TaskToRelay::Reveal { lease, gas, digest, nonce, signature, .. }) =
        world.peers[0].task_frames.last().cloned()
    else {
        panic!("nothing was shown")
    };
    let answer = Answer::parts(0, b"out", 5).expect("done");
    assert_eq!((digest, gas), (answer.digest, 5));
    let (worker, input) = (world.peers[0].node.id(), name_of_input(&Blob::Inline(vec![1])));
    let claim = Claim { lease, module: MODULE.0, input, worker, answer };
    assert_eq!(claim.commitment(&nonce), commitment);
    assert!(Receipt { claim, signature }.verify().is_ok());
    tell(&mut world, TaskFromRelay::AskReveal { lease: 3 });
    assert_eq!(world.peers[0].task_frames.len(), 2, "it is shown once");
}

#[test]
fn what_a_host_could_not_do_is_said_as_trouble_and_never_signed() {
    let mut world = ready();
    lease(&mut world, 3);
    world.input(0, answer(3, 5));
    assert!(matches!(world.peers[0].task_frames[..], [TaskToRelay::Trouble { lease: 3, .. }]));
    world.input(0, answer(3, 0));
    world.input(0, answer(77, 0));
    assert_eq!(
        world.peers[0].task_frames.len(),
        1,
        "a lease that is over, or was never given, is not answered"
    );
}

#[test]
fn a_result_that_its_own_digest_contradicts_is_not_taken_for_one() {
    let mut world = ready();
    for request in [1, 2] {
        let (input, assurance) = (Blob::Inline(vec![1]), TaskAssurance::Replicas(1));
        let submit = TaskInput::Submit(TaskRequest {
            request,
            module: MODULE,
            input,
            limits: LIMITS,
            assurance,
            value: 0,
        });
        world.input(0, Input::Task(submit));
    }
    let result = |request, output: &[u8]| TaskFromRelay::Result {
        request,
        end: 0,
        gas: 5,
        digest: Answer::parts(0, b"out", 5).expect("done").digest,
        runs: 1,
        refereed: false,
        voters: vec![],
        doubt_ppm: 0,
        output: Blob::Inline(output.to_vec()),
        others: vec![],
    };
    tell(&mut world, result(1, b"out"));
    tell(&mut world, result(1, b"out"));
    tell(&mut world, result(2, b"else"));
    let refused = TaskFromRelay::Refused { request: 2, why: TaskRefusal::Disputed };
    assert_eq!(world.peers[0].tasks, [result(1, b"out"), refused]);
}

#[test]
fn after_the_relay_was_away_leases_are_over_and_everything_else_is_said_again() {
    let mut world = ready();
    world.input(0, Input::Task(TaskInput::Offer { slots: 1, memory_pages: 5, whose: TaskOf::OwnSite }));
    let (input, assurance) = (Blob::Inline(vec![1]), TaskAssurance::Strict);
    let submit = TaskInput::Submit(TaskRequest {
        request: 1,
        module: MODULE,
        input,
        limits: LIMITS,
        assurance,
        value: 0,
    });
    world.input(0, Input::Task(submit));
    lease(&mut world, 3);
    let before = world.peers[0].task_frames.clone();
    world.peers[0].relay_up = false;
    world.input(0, Input::RelayClosed);
    assert_eq!(world.peers[0].tasks.last(), Some(&TaskFromRelay::Revoke { lease: 3 }));
    assert!(world.run_until(60, |world| world.peers[0].relay_up));
    world.run_until(1, |_| false);
    assert_eq!(world.peers[0].task_frames[2..], before[..2]);
}
