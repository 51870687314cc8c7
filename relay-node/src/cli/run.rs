use super::Failure;
use super::args::Args;
use super::stop;
use super::work::number;
use crate::config::Effective;
use crate::log;
use crate::peer::Endpoint;
use crate::tasks::{NativePeer, Ran, Request, RunError};
use peeredge_hvm::Limits;
use peeredge_wire::PeerId;
use peeredge_wire::relay::{TaskAssurance, TaskLimits};
use std::io::{Read, Write};
use std::path::Path;

/// `peeredge run task.wasm --input FILE --replicas 2`.
pub(super) fn run(args: Args, effective: Effective) -> Result<(), Failure> {
    let [word] = args.words.as_slice() else {
        return Err(Failure::usage("run needs one MODULE; `peeredge run --help` shows examples"));
    };
    let module = read(Path::new(word))?;
    let input = match args.own("input") {
        None => Vec::new(),
        Some(path) => read(Path::new(path))?,
    };
    let relay = args.own_text("relay")?.unwrap_or_else(|| effective.config.public_url());
    let relay: Endpoint = relay.parse().map_err(|error| Failure::usage(format_args!("{relay}: {error}")))?;
    let replicas = number(&args, "replicas", 1, 32)?.unwrap_or(2);
    let defaults = Limits::default();
    let limits = TaskLimits {
        gas: number(&args, "gas", 1, Limits::GAS_MAX)?.unwrap_or(defaults.gas),
        memory_pages: number(&args, "memory", 0, 4096)?
            .map_or(defaults.memory_pages, |mib| (mib * 16) as u32),
        output_bytes: number(&args, "output-mib", 0, 1024)?
            .map_or(defaults.output_bytes, |mib| (mib << 20) as u32),
        checkpoint_steps: number(&args, "checkpoint-steps", 0, u64::from(u32::MAX))?.unwrap_or(0) as u32,
    };
    let assurance = match args.own_text("assurance")?.as_deref() {
        None => TaskAssurance::Replicas(replicas as u8),
        Some("cheap") => TaskAssurance::Cheap,
        Some("strict") => TaskAssurance::Strict,
        Some(other) => {
            return Err(Failure::usage(format_args!("--assurance {other} is neither cheap nor strict")));
        }
    };
    let quiet = args.own("quiet").is_some();
    let level = match effective.config.log_level.as_str() {
        "info" => "warn",
        level => level,
    };
    log::start(level, effective.config.log_format);
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Failure::failed)?;
    let task = Request { module, input, limits, assurance };
    let ran = runtime.block_on(async {
        let interrupted = stop::told().map_err(Failure::failed)?;
        let peer = NativePeer::start(&relay, &effective.config, 1, 1000).await.map_err(Failure::failed)?;
        let told = |runs: u16, worker: PeerId| {
            if !quiet {
                crate::say::err(format_args!("run {runs}: {worker}"));
            }
        };
        let ran = tokio::select! {
            ran = peer.desk.run(task, told) => ran.map_err(failure),
            () = interrupted => Err(Failure { code: 130, message: "interrupted".into() }),
        };
        tokio::task::spawn_blocking(move || peer.finish()).await.map_err(Failure::failed)?;
        ran
    });
    runtime.shutdown_timeout(std::time::Duration::from_millis(200));
    let ran = ran?;
    write(&args, &ran)?;
    if !quiet {
        crate::say::err(summary(&ran));
    }
    Ok(())
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let at = |error| Failure::failed(format_args!("{}: {error}", path.display()));
    if path.as_os_str() == "-" {
        let mut bytes = Vec::new();
        std::io::stdin().read_to_end(&mut bytes).map_err(at)?;
        return Ok(bytes);
    }
    std::fs::read(path).map_err(at)
}

fn write(args: &Args, ran: &Ran) -> Result<(), Failure> {
    match args.own("output") {
        Some(path) if path != "-" => std::fs::write(path, &ran.output)
            .map_err(|error| Failure::failed(format_args!("{}: {error}", path.to_string_lossy()))),
        _ => std::io::stdout().write_all(&ran.output).map_err(Failure::failed),
    }
}

fn summary(ran: &Ran) -> String {
    let judge = if ran.refereed { "decided by the relay" } else { "agreed" };
    let doubt = match f64::from(ran.doubt_ppm) / 1e4 {
        0.0 => String::new(),
        percent => format!(" (wrong with at most {percent} %, by the relay's reckoning)"),
    };
    let workers: Vec<String> = ran.workers.iter().map(|worker| worker.to_string()[..8].to_owned()).collect();
    let runs = if ran.runs == 1 { "run" } else { "runs" };
    let (bytes, workers) = (ran.output.len(), workers.join(", "));
    format!("{bytes} bytes, {} gas, {} {runs}, {judge}: {workers}{doubt}", ran.gas, ran.runs)
}

/// Exit codes: 3 nobody took it or could run it, 4 the module is no task, 5 the task ended otherwise than done.
fn failure(error: RunError) -> Failure {
    let code = match error {
        RunError::Limits(_) => 2,
        RunError::Refused(_) => 3,
        RunError::Module(_) => 4,
        RunError::Ended { .. } => 5,
        RunError::Content(_) | RunError::Closed => 1,
    };
    Failure { code, message: error.to_string() }
}
