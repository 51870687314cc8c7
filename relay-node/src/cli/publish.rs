use super::Failure;
use super::args::Args;
use crate::config::{Effective, Source};
use crate::http::link;
use crate::own_file;
use crate::peer::Endpoint;
use crate::publish::{Job, Outcome, publish};
use crate::say;
use crate::serve::URL_FILE;
use indicatif::{ProgressBar, ProgressStyle};
use std::path::{Path, PathBuf};

/// Bytes of an address.
const URL_BYTES_MAX: u64 = 4 << 10;

/// `peeredge publish FILE...`: one line a file on standard output, its link; the rest on standard error.
pub(super) fn run(args: Args, effective: Effective) -> Result<(), Failure> {
    let (name, media_type) = (args.own_text("name")?, args.own_text("type")?);
    if args.words.is_empty() {
        return Err(Failure::usage("publish needs a FILE; `peeredge publish --help` shows examples"));
    }
    if args.words.len() > 1 && name.is_some() {
        return Err(Failure::usage("--name fits one FILE only"));
    }
    let quiet = args.own("quiet").is_some();
    let root = effective.config.data_dir();
    let base = base(&effective, &root);
    let config = effective.config;
    for word in &args.words {
        let path = PathBuf::from(word);
        let job =
            Job { path: path.clone(), name: name.clone(), media_type: media_type.clone(), of_task: false };
        let bar = if quiet { ProgressBar::hidden() } else { ProgressBar::new(0) };
        bar.set_style(
            ProgressStyle::with_template(
                "{msg} {wide_bar} {bytes}/{total_bytes} {binary_bytes_per_sec} {eta}",
            )
            .expect("the template is constant"),
        );
        bar.set_message(path.file_name().unwrap_or_default().to_string_lossy().into_owned());
        let mut progress = |done, all| {
            bar.set_length(all);
            bar.set_position(done);
        };
        let outcome = publish(&root, &job, config.store_bytes_max.0, &mut progress);
        bar.finish_and_clear();
        let outcome =
            outcome.map_err(|error| Failure::failed(format_args!("{}: {error}", path.display())))?;
        print(&base, &outcome, quiet)?;
    }
    Ok(())
}

/// How the relay is reached: as this command's own settings say, else as the running relay noted, else as it would by default.
fn base(effective: &Effective, root: &Path) -> String {
    let said = ["public_url", "bind"].iter().any(|key| effective.source(key) != Source::Default);
    let noted = own_file::read_text(&root.join(URL_FILE), URL_BYTES_MAX);
    let noted = noted.ok().filter(|url| url.parse::<Endpoint>().is_ok());
    match (said, noted) {
        (false, Some(url)) => url,
        _ => effective.config.public_url(),
    }
}

fn print(base: &str, outcome: &Outcome, quiet: bool) -> Result<(), Failure> {
    say::out(link(base, &outcome.content.to_string(), &outcome.name)).map_err(Failure::failed)?;
    if !quiet {
        let how = if outcome.known { "already published" } else { "published" };
        let (name, bytes, content) = (&outcome.name, outcome.length, outcome.content);
        say::err(format_args!("{how}: {name} ({bytes} bytes), also peeredge:{content}"));
    }
    Ok(())
}
