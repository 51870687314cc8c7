//! `--help`, written to be read from the top.

use super::args::own_flags;
use crate::config::{Config, KEYS};
use std::fmt::Write;

/// `peeredge --help`.
pub(super) fn overview() -> String {
    "\
peeredge: visitors of a site deliver its files to each other; a relay brings them together.

Try it:
  peeredge publish film.mp4          make a link of a file; nothing leaves this machine yet
  peeredge serve                     start a relay on http://127.0.0.1:8080 that shares it
  peeredge get LINK -o film.mp4      fetch it elsewhere: from peers, the relay, or both at once

Every byte is verified against the link, so it does not matter who delivers it.

Commands:
  serve          run a relay: introductions, its own seeding peer, HTTP, metrics
  publish        turn files into links, whether a relay is running or not
  get            download a link as a native peer
  work           run tasks of others on this machine
  run            have a task run by others, and their answers compared
  verify         read all published contents and say which are damaged
  check          compare the store's records with its files; --repair mends them
  check-config   read all settings, and say what is wrong with them
  print-config   show every setting, its value, and where it came from

`peeredge COMMAND --help` tells more, with examples. -V prints the version.
"
    .into()
}

/// `peeredge COMMAND --help`.
pub(super) fn command(name: &str) -> String {
    let mut out = String::from(match name {
        "serve" => SERVE,
        "publish" => PUBLISH,
        "get" => GET,
        "work" => WORK,
        "run" => RUN,
        "verify" => VERIFY,
        "check" => CHECK,
        "check-config" => CHECK_CONFIG,
        _ => PRINT_CONFIG,
    });
    let own = own_flags(name);
    if !own.is_empty() {
        out.push_str("\nFlags:\n");
    }
    for flag in own {
        let short = flag.short.map_or("    ".into(), |short| format!("-{short}, "));
        let value = flag.value.map_or(String::new(), |value| format!(" {value}"));
        let _ = writeln!(out, "  {short}--{:18} {}", format!("{}{value}", flag.name), flag.doc);
    }
    out.push_str(match name {
        "publish" | "get" | "work" | "run" | "verify" | "check" => "\nSettings (`peeredge serve --help` tells of all; these matter here):\n",
        _ => "\nSettings, as flags; in a file as `key = value`, in the environment as PEEREDGE_KEY.\n\
              Later sources win: defaults, file (--config FILE, PEEREDGE_CONFIG or ./peeredge.toml), environment, flags.\n",
    });
    let defaults = Config::default();
    for key in KEYS.iter().filter(|key| matters(name, key.name)) {
        let flag = format!("--{}", key.name.replace('_', "-"));
        let default = defaults.show(key.name).expect("KEYS lists only settings");
        let often = if key.is_list { "; may be repeated" } else { "" };
        let _ = writeln!(out, "  {flag} <{}> (default {default}{often})", key.kind);
        let _ = writeln!(out, "      {}", key.doc.trim());
    }
    out
}

fn matters(command: &str, key: &str) -> bool {
    match command {
        "publish" => matches!(key, "data_dir" | "public_url" | "bind" | "store_bytes_max"),
        "verify" | "check" => key == "data_dir",
        "work" | "run" => {
            matches!(key, "cache_bytes_max" | "rtc" | "rtc_bind" | "rtc_public" | "public_url" | "log_level")
        }
        "get" => matches!(
            key,
            "cache_bytes_max" | "rtc" | "rtc_bind" | "rtc_public" | "upload_bytes_per_s_max" | "log_level"
        ),
        _ => true,
    }
}

const SERVE: &str = "\
peeredge serve: run a relay until it is stopped (ctrl-C or SIGTERM).

Examples:
  peeredge serve
      On http://127.0.0.1:8080, for this machine only.
  peeredge serve --publish film.mp4 --demo-dir ./site
      The same, sharing a file, with a site's own pages at /.
  peeredge serve --bind 192.0.2.7:8080
      For others too: one TCP and one UDP port, both 8080.
  peeredge serve --bind 127.0.0.1:8080 --public-url https://relay.example --trusted-proxies 127.0.0.1 \\
                 --rtc-bind 192.0.2.7:8080
      Behind a proxy of yours that terminates TLS.

Paths: /ws (peers), /c/ID (contents), /m/ID and /r/ID (manifests and records), /api/contents, /livez, /readyz.
On the operator's port (--admin-bind): /operator, /metrics.
";

const PUBLISH: &str = "\
peeredge publish FILE...: turn files into links.

The file is copied into the store of `data_dir`, from which a relay with the same `data_dir` shares it, at once when it is
running. Publishing an unchanged file again costs nothing.

Examples:
  peeredge publish film.mp4
  peeredge publish --name 'The film' --type video/mp4 build/output.bin
";

const GET: &str = "\
peeredge get LINK: download as a native peer, from other peers, the relay and plain HTTP at once.

An interrupted download goes on where it stopped when the same command is given again: what has arrived lies in
FILE.peeredge-part until the file is whole.

Examples:
  peeredge get http://127.0.0.1:8080/c/ID/film.mp4
  peeredge get peeredge:ID --relay https://relay.example -o film.mp4
  peeredge get LINK -o - --range 0-1023 | xxd
  peeredge get LINK -o film.mp4 --seed

-o may name a device or a pipe, which is written through; a link is followed; a file keeps its rights and owner.

Exit codes: 0 done, 1 failed, 2 wrong words or settings, 3 nobody has the content, 4 what arrived contradicts the link,
5 the range is outside the content, 6 the relay cannot be reached, is silent, or is none, 7 the relay refused, 130 interrupted.
";

const WORK: &str = "\
peeredge work --relay URL: run tasks of others on this machine until stopped (ctrl-C or SIGTERM).

Tasks are sandboxed WebAssembly without files, network or clock, on threads of their own. The relay measures this machine by the
results that others agree with; nothing is claimed.

Examples:
  peeredge work --relay https://relay.example
  peeredge work --relay http://127.0.0.1:8080 --slots 2 --duty 250
      Two tasks at once, each computing a quarter of the time.
";

const RUN: &str = "\
peeredge run MODULE: have a task run by browsers and native nodes, and their answers compared.

Examples:
  peeredge run task.wasm --input picture.raw --replicas 2 -o result.raw
  peeredge run task.wasm --relay https://relay.example --assurance strict < /dev/null

Exit codes: 0 done, 1 failed, 2 wrong words or settings, 3 nobody took it or could run it, 4 the module is no task, 5 the task
ended otherwise than done, 130 interrupted.
";

const VERIFY: &str = "\
peeredge verify [LINK...]: read what is published in `data_dir`, all or these, and compare it with what the links say.

A relay may be running: it verifies what it serves as well, and is told what is found here. One line a content on standard output.

Examples:
  peeredge verify
  peeredge verify peeredge:ID --data-dir /srv/peeredge

Exit codes: 0 everything is what was published, 1 something is damaged: publish its file again, or put a copy back.
";

const CHECK: &str = "\
peeredge check: compare the record file of `data_dir` with the files beside it. Stop the relay first.

With --repair a record file that is missing, empty or damaged is made again from contents/: each content is read as a whole and taken in
if it is what its id says. Nothing is deleted; a damaged record file is set aside.

Examples:
  peeredge check
  peeredge check --repair --data-dir /srv/peeredge

Exit codes: 0 everything is in order (now), 1 something is not, 2 wrong words or settings.
";

const CHECK_CONFIG: &str = "\
peeredge check-config: read all settings as `serve` would, and say what is wrong with them.

Example:
  peeredge check-config --config /etc/peeredge.toml
";

const PRINT_CONFIG: &str = "\
peeredge print-config: every setting, its value, and where it came from. The output is a valid configuration file.

Example:
  peeredge print-config --bind 192.0.2.7:80 > peeredge.toml
";
