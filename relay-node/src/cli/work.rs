use super::Failure;
use super::args::Args;
use super::stop;
use crate::config::Effective;
use crate::log;
use crate::peer::Endpoint;
use crate::tasks::NativePeer;
use peeredge_node::Event;

/// `peeredge work --relay URL`.
pub(super) fn run(args: Args, effective: Effective) -> Result<(), Failure> {
    args.no_more_words("work takes only flags")?;
    let Some(relay) = args.own_text("relay")? else {
        return Err(Failure::usage("work needs --relay URL; `peeredge work --help` shows examples"));
    };
    let relay: Endpoint = relay.parse().map_err(|error| Failure::usage(format_args!("{relay}: {error}")))?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let slots = number(&args, "slots", 1, 64)?.unwrap_or(cores.min(64) as u64);
    let duty = number(&args, "duty", 1, 1000)?.unwrap_or(1000);
    let memory_mib = number(&args, "memory", 1, 4096)?.unwrap_or(256);
    log::start(&effective.config.log_level, effective.config.log_format);
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Failure::failed)?;
    let done = runtime.block_on(async {
        let mut stop = std::pin::pin!(stop::told().map_err(Failure::failed)?);
        let started = NativePeer::start(&relay, &effective.config, slots as usize, duty as u16).await;
        let mut peer = started.map_err(Failure::failed)?;
        peer.desk.offer(slots as u8, (memory_mib << 20 >> 16) as u32);
        loop {
            tokio::select! {
                event = peer.events.recv() => match event {
                    Some(Event::RelayReady { .. }) => tracing::info!(id = %peer.id, slots, duty, "working"),
                    Some(Event::RelayLost) => tracing::warn!("the relay is away; trying again"),
                    Some(event) => tracing::debug!(?event, "peer"),
                    None => return Err(Failure::failed("the peer ended")),
                },
                () = stop.as_mut() => break,
            }
        }
        let computed = peer.desk.computed();
        tokio::task::spawn_blocking(move || peer.finish()).await.map_err(Failure::failed)?;
        Ok(computed)
    })?;
    runtime.shutdown_timeout(std::time::Duration::from_millis(200));
    crate::say::err(format_args!("{} tasks done, {} gas", done.tasks, done.gas));
    Ok(())
}

/// A whole number of one of the command's own flags.
pub(super) fn number(args: &Args, name: &str, min: u64, max: u64) -> Result<Option<u64>, Failure> {
    let Some(text) = args.own_text(name)? else { return Ok(None) };
    match text.parse::<u64>() {
        Ok(number) if (min..=max).contains(&number) => Ok(Some(number)),
        _ => Err(Failure::usage(format_args!("--{name} {text} is no whole number from {min} to {max}"))),
    }
}
