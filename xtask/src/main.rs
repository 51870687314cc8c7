//! Build steps that are more than one command: `cargo run -p xtask -- wasm` makes the package's wasm module and its glue.
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

const HELP: &str = "\
usage: cargo run -p xtask -- COMMAND

commands:
  wasm OUT   build sdk-wasm for the web and write peeredge.js and peeredge_bg.wasm into the folder OUT
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let result = match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["wasm", out] => wasm(Path::new(out)),
        _ => {
            eprint!("{HELP}");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What panics name is a crate's file: where the registry lies on this machine is nobody's business, and makes no module larger.
fn flags() -> String {
    let home = std::env::var("CARGO_HOME").ok();
    let home = home.or_else(|| std::env::home_dir().map(|home| format!("{}/.cargo", home.display())));
    let registries = std::fs::read_dir(format!("{}/registry/src", home.unwrap_or_default()));
    let remapped = registries
        .into_iter()
        .flatten()
        .flatten()
        .map(|registry| format!("\u{1f}--remap-path-prefix\u{1f}{}/=", registry.path().display()));
    std::iter::once("-C\u{1f}target-feature=+simd128".to_owned()).chain(remapped).collect()
}

/// Compiles the slot with 128-bit SIMD, which every browser with transferable data channels has, and makes its glue.
fn wasm(out: &Path) -> Result<(), String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().ok_or("xtask has no folder above it")?;
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let status = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .current_dir(root)
        .args([
            "build",
            "--profile",
            "wasm",
            "--package",
            "peeredge-sdk-wasm",
            "--target",
            "wasm32-unknown-unknown",
        ])
        .env("CARGO_ENCODED_RUSTFLAGS", flags())
        .status()
        .map_err(|error| format!("cargo cannot be run: {error}"))?;
    if !status.success() {
        return Err("the slot does not compile".into());
    }
    let mut bindgen = wasm_bindgen_cli_support::Bindgen::new();
    bindgen.input_path(target.join("wasm32-unknown-unknown/wasm/peeredge_sdk_wasm.wasm"));
    bindgen
        .out_name("peeredge")
        .omit_default_module_path(false)
        .typescript(false)
        .remove_name_section(true)
        .remove_producers_section(true);
    bindgen.web(true).map_err(|error| error.to_string())?;
    bindgen.generate(out).map_err(|error| format!("{error:#}"))
}
