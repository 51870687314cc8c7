use super::Failure;
use super::args::Args;
use super::stop;
use crate::config::Effective;
use crate::get::{Bar, Got, Options, Target, get};
use crate::log;
use crate::peer::Endpoint;
use peeredge_node::RangeSpec;
use peeredge_wire::Link;
use std::path::PathBuf;

/// `peeredge get LINK`.
pub(super) fn run(args: Args, effective: Effective) -> Result<(), Failure> {
    let options = options(&args, effective)?;
    let quiet = args.own("quiet").is_some();
    let level = match options.config.log_level.as_str() {
        // The bar tells what goes on; log lines only what goes wrong.
        "info" => "warn",
        level => level,
    };
    log::start(level, options.config.log_format);
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Failure::failed)?;
    let mut bar = Bar::new(quiet);
    let interrupted = runtime.block_on(async { stop::told() }).map_err(Failure::failed)?;
    let result = runtime.block_on(get(&options, &mut bar, interrupted));
    bar.clear();
    runtime.shutdown_timeout(std::time::Duration::from_millis(200));
    match result {
        Ok(got) => {
            if !quiet {
                crate::say::err(summary(&got));
            }
            Ok(())
        }
        Err(error) => Err(Failure { code: error.exit_code(), message: error.to_string() }),
    }
}

fn summary(got: &Got) -> String {
    let place = got.path.as_ref().map_or("standard output".into(), |path| path.display().to_string());
    format!(
        "{place}: {} bytes, verified ({} from peers, {} from the relay, {} by HTTP)",
        got.bytes, got.from_peers_bytes, got.from_relay_bytes, got.from_http_bytes
    )
}

fn options(args: &Args, effective: Effective) -> Result<Options, Failure> {
    let [word] = args.words.as_slice() else {
        return Err(Failure::usage("get needs one LINK; `peeredge get --help` shows examples"));
    };
    let text = word.to_string_lossy();
    let link: Link = text.parse().map_err(|error| Failure::usage(format_args!("{text}: {error}")))?;
    let Some(relay) = args.own_text("relay")?.or(link.relay) else {
        return Err(Failure::usage("the link names no relay: add --relay https://RELAY"));
    };
    let relay: Endpoint = relay.parse().map_err(|error| Failure::usage(format_args!("{relay}: {error}")))?;
    let range = match args.own_text("range")? {
        None => RangeSpec::Whole,
        Some(text) => {
            range(&text).ok_or_else(|| Failure::usage(format_args!("--range {text} is not A-B, A- or -N")))?
        }
    };
    let target = match args.own("output") {
        None => Target::OwnName,
        Some(path) if path == "-" => Target::Stdout,
        Some(path) if path.is_empty() => {
            return Err(Failure::usage("-o needs a file, or - for standard output"));
        }
        Some(path) => Target::File(PathBuf::from(path)),
    };
    let seed = args.own("seed").is_some();
    if seed && target == Target::Stdout {
        return Err(Failure::usage("--seed needs a file to share; -o - keeps none"));
    }
    let http = args.own("no-http").is_none();
    Ok(Options { content: link.content, relay, range, target, http, seed, config: effective.config })
}

fn range(text: &str) -> Option<RangeSpec> {
    let (start, end) = text.split_once('-')?;
    let number = |text: &str| text.parse::<u64>().ok().filter(|_| text.bytes().all(|c| c.is_ascii_digit()));
    match (start, end) {
        ("", last) => number(last).map(RangeSpec::Last),
        (start, "") => Some(RangeSpec::From { start: number(start)?, end: None }),
        (start, end) => {
            let (start, end) = (number(start)?, number(end)?);
            (start <= end).then_some(RangeSpec::From { start, end: Some(end) })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_as_people_type_them() {
        assert_eq!(range("0-1023"), Some(RangeSpec::From { start: 0, end: Some(1023) }));
        assert_eq!(range("5-"), Some(RangeSpec::From { start: 5, end: None }));
        assert_eq!(range("-7"), Some(RangeSpec::Last(7)));
        for wrong in ["", "-", "5", "9-8", "a-b", "+1-2", "0x1-2"] {
            assert_eq!(range(wrong), None, "{wrong}");
        }
    }
}
