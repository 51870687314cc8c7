//! Runs tasks natively. A [`TaskRunner`] has threads of its own, so that tasks never slow whoever asked for them.
//!
//! | module | what it owns |
//! |---|---|
//! | [`job`] | what is to be run, and what is told of it |
//! | [`stop`] | how a run is stopped from outside |
//! | `compile` | modules to code, within a bound of time and memory |
//! | `engine` | wasmtime, set as tasks need it, and the tick of its deadlines |
//! | `run` | one run, as `docs/task-abi.md` has it |
//! | `pool` | the threads |
mod compile;
mod engine;
pub mod job;
mod pool;
mod run;
pub mod stop;

pub use compile::{OPTIMISED_FOR, compile_stdin};
pub use engine::config;
pub use job::{From, Job, Progress, Ran, Spool};
pub use pool::{NoThreads, TaskRunner};
pub use stop::Stop;
