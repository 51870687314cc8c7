use super::Failure;
use super::args::Args;
use crate::config::Effective;
use crate::log;
use crate::say;
use crate::store::{check as check_store, verify_folder};
use indicatif::{ProgressBar, ProgressStyle};
use peeredge_wire::{ContentId, Link};

fn bar(template: &str) -> ProgressBar {
    let bar = ProgressBar::new(0);
    bar.set_style(ProgressStyle::with_template(template).expect("the template is constant"));
    bar
}

/// A publisher's name on a terminal.
fn shown(name: &str) -> String {
    crate::names::safe_file_name(name).unwrap_or_default()
}

/// `peeredge verify [LINK...]`.
pub(super) fn verify(args: Args, effective: Effective) -> Result<(), Failure> {
    let quiet = args.own("quiet").is_some();
    let mut only = Vec::new();
    for word in &args.words {
        let text = word.to_string_lossy();
        let link = text.parse::<Link>().map(|link| link.content).or_else(|_| text.parse::<ContentId>());
        let content = link.map_err(|_| Failure::usage(format_args!("{text} is neither a link nor an id")))?;
        only.push(Some(content));
    }
    if only.is_empty() {
        only.push(None);
    }
    let root = effective.config.data_dir();
    let bar = bar("{msg} {wide_bar} {bytes}/{total_bytes} {binary_bytes_per_sec}");
    let (mut looked, mut wrong) = (0, 0);
    for only in only {
        let mut progress = |name: &str, done, all| {
            bar.set_message(shown(name));
            bar.set_length(all);
            bar.set_position(done);
        };
        let verdicts = verify_folder(&root, only, &mut progress).map_err(Failure::failed)?;
        if let (Some(content), true) = (only, verdicts.is_empty()) {
            bar.finish_and_clear();
            return Err(Failure::failed(format_args!("{content} is not published in {}", root.display())));
        }
        for verdict in verdicts {
            looked += 1;
            let (content, name) = (verdict.content, shown(&verdict.name));
            let line = match &verdict.wrong {
                Some(what) => format!("damaged {content} {name}: {what}"),
                None => format!("ok {content} {name}"),
            };
            wrong += usize::from(verdict.wrong.is_some());
            if !quiet || verdict.wrong.is_some() {
                bar.suspend(|| say::out(line.trim_end())).map_err(Failure::failed)?;
            }
        }
    }
    bar.finish_and_clear();
    match wrong {
        0 => Ok(()),
        wrong => Err(Failure::failed(format_args!("{wrong} of {looked} contents are damaged"))),
    }
}

/// `peeredge check [--repair]`.
pub(super) fn check(args: Args, effective: Effective) -> Result<(), Failure> {
    args.no_more_words("check takes only flags")?;
    // What is found is printed below; the log would say it again.
    log::start("off", effective.config.log_format);
    let root = effective.config.data_dir();
    let bar = bar("{spinner} {msg}");
    let checked = check_store(&root, args.own("repair").is_some(), &mut |name| bar.set_message(shown(name)));
    bar.finish_and_clear();
    let checked = checked.map_err(Failure::failed)?;
    for finding in &checked.findings {
        let mark = if finding.mended { "mended" } else { "wrong" };
        say::out(format_args!("{mark} {}: {}", finding.subject, finding.what)).map_err(Failure::failed)?;
    }
    let served = checked.served;
    if checked.is_sound() {
        let line = format!("ok: {served} contents are recorded and there; `peeredge verify` reads them");
        return say::out(line).map_err(Failure::failed);
    }
    let wrong = checked.findings.iter().filter(|finding| !finding.mended).count();
    Err(Failure::failed(format_args!("{wrong} things are not in order; {served} contents are served")))
}
