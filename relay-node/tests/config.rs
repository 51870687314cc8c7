//! Settings: sources in order, and complaints that name key, source and cure.
mod support;

use support::{Folder, command, run, text};

fn complaint(words: &[&str]) -> String {
    let out = run(words);
    assert_eq!(out.status.code(), Some(2), "{words:?}: {}", text(&out.stderr));
    text(&out.stderr)
}

#[test]
fn an_unknown_key_in_a_file_is_named_with_its_line_and_the_right_one() {
    let folder = Folder::new("config");
    let file = folder.path("peeredge.toml");
    std::fs::write(&file, "# a comment\nlog_level = \"warn\"\npublic_ulr = \"https://a.example\"\n").unwrap();
    let says = complaint(&["check-config", "--config", file.to_str().unwrap()]);
    assert!(says.contains("unknown setting public_ulr"), "{says}");
    assert!(says.contains("peeredge.toml:3"), "{says}");
    assert!(says.contains("did you mean public_url?"), "{says}");
}

#[test]
fn an_unknown_variable_or_flag_is_named_in_its_own_spelling() {
    let out = command(&["check-config"]).env("PEEREDGE_BIDN", "127.0.0.1:1").output().unwrap();
    assert_eq!(out.status.code(), Some(2));
    let says = text(&out.stderr);
    assert!(says.contains("PEEREDGE_BIDN") && says.contains("did you mean PEEREDGE_BIND?"), "{says}");
    let says = complaint(&["serve", "--peers-mox", "7"]);
    assert!(says.contains("did you mean --peers-max?"), "{says}");
    let says = complaint(&["print-cofnig"]);
    assert!(says.contains("did you mean print-config?"), "{says}");
}

#[test]
fn the_benchmarks_own_variables_are_no_settings() {
    let out = command(&["check-config"]).env("PEEREDGE_DATA", "/traces").output().unwrap();
    assert!(out.status.success(), "{}", text(&out.stderr));
}

#[test]
fn placement_ahead_of_demand_can_be_turned_off() {
    let out = run(&["check-config", "--ahead-slot-ms=0"]);
    assert!(out.status.success(), "{}", text(&out.stderr));
}

#[test]
fn a_wrong_value_names_key_and_source() {
    let folder = Folder::new("config");
    let file = folder.path("peeredge.toml");
    for (line, key, wrong) in [
        ("bind = \"localhost\"", "bind", "no address and port"),
        ("peers_max = -1", "peers_max", "no number"),
        ("peers_max = [1]", "peers_max", "found array"),
        ("rtc = \"maybe\"", "rtc", "neither true nor false"),
        ("store_bytes_max = \"12 parsecs\"", "store_bytes_max", "no number of bytes"),
        ("header_timeout_ms = 0", "header_timeout_ms", "milliseconds"),
        ("log_format = \"xml\"", "log_format", "json"),
        ("public_url = \"relay.example\"", "public_url", "https://HOST"),
        ("rtc_bind = \"x\"", "rtc_bind", "no address and port"),
        ("egress_cost_per_gb = \"much\"", "egress_cost_per_gb", "no amount"),
        ("peer_costs = [\"10.0.0.0=1\"]", "peer_costs", "ADDRESS/BITS=COST"),
        ("publishers = [\"alice\"]", "publishers", "NAME=VALUE/BUDGET"),
        ("owners = [\"alice=x\"]", "owners", "no content"),
    ] {
        std::fs::write(&file, format!("{line}\n")).unwrap();
        let says = complaint(&["check-config", "--config", file.to_str().unwrap()]);
        let named = says.contains(&format!("setting {key} (")) && says.contains("peeredge.toml:1");
        assert!(named && says.contains(wrong), "{line}: {says}");
    }
    std::fs::write(&file, "bind = \n").unwrap();
    let says = complaint(&["check-config", "--config", file.to_str().unwrap()]);
    assert!(says.contains("peeredge.toml"), "{says}");
    let out = command(&["check-config"]).env("PEEREDGE_RTC", "1").output().unwrap();
    assert!(text(&out.stderr).contains("setting rtc (environment PEEREDGE_RTC)"), "{}", text(&out.stderr));
}

#[test]
fn opening_to_all_addresses_needs_a_name_for_peers() {
    let says = complaint(&["check-config", "--bind", "0.0.0.0:8080"]);
    assert!(says.contains("public_url") && says.contains("must be set"), "{says}");
    let says =
        complaint(&["check-config", "--bind", "0.0.0.0:8080", "--public-url", "http://192.0.2.7:8080"]);
    assert!(says.contains("rtc_public"), "{says}");
}

#[test]
fn later_sources_win_and_print_config_says_so() {
    let folder = Folder::new("config");
    let file = folder.path("peeredge.toml");
    std::fs::write(
        &file,
        "peers_max = 1\npeers_per_owner_max = 1\nconnections_max = 1\nstore_bytes_max = \"2 GiB\"\n",
    )
    .unwrap();
    let out = command(&["print-config", "--config", file.to_str().unwrap(), "--peers-max=3"])
        .env("PEEREDGE_PEERS_MAX", "2")
        .env("PEEREDGE_PEERS_PER_OWNER_MAX", "2")
        .output()
        .unwrap();
    assert!(out.status.success(), "{}", text(&out.stderr));
    let lines: Vec<String> =
        text(&out.stdout).lines().map(|l| l.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    for expected in [
        "peers_max = 3 # flag --peers-max".to_owned(),
        "peers_per_owner_max = 2 # environment PEEREDGE_PEERS_PER_OWNER_MAX".to_owned(),
        format!("connections_max = 1 # {}:3", file.display()),
        format!("store_bytes_max = 2147483648 # {}:4", file.display()),
        "rtc = true # default".to_owned(),
    ] {
        assert!(lines.contains(&expected), "{expected:?} is missing in\n{}", text(&out.stdout));
    }
    // What it prints is itself a configuration file with the same meaning.
    let printed = folder.path("printed.toml");
    std::fs::write(&printed, &out.stdout).unwrap();
    let again = run(&["print-config", "--config", printed.to_str().unwrap()]);
    let values = |out: &[u8]| {
        text(out).lines().map(|l| l.split(" # ").next().unwrap().trim().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(values(&out.stdout), values(&again.stdout));
}

#[test]
fn help_teaches() {
    let overview = text(&run(&["--help"]).stdout);
    for word in ["serve", "publish", "get LINK", "check-config", "print-config"] {
        assert!(overview.contains(word), "{word}");
    }
    for name in ["serve", "publish", "get", "check-config", "print-config"] {
        let out = run(&[name, "--help"]);
        assert!(out.status.success());
        assert!(text(&out.stdout).contains("Example"), "{name}");
    }
}

#[test]
fn prices_values_and_budgets_are_read_and_shown() {
    let folder = Folder::new("config");
    let file = folder.path("peeredge.toml");
    let content = "a".repeat(52);
    let text_of = |publisher: &str| {
        format!(
            "egress_cost_per_gb = 0.05\npeer_costs = [\"10.0.0.0/8=0.02\"]\n\
             publishers = [\"alice=2.5/10\", \"bob=1\"]\nowners = [\"{content}={publisher}\"]\n"
        )
    };
    std::fs::write(&file, text_of("alice")).unwrap();
    let out = run(&["print-config", "--config", file.to_str().unwrap()]);
    assert!(out.status.success(), "{}", text(&out.stderr));
    let shown = text(&out.stdout);
    for line in [
        "egress_cost_per_gb = 0.05".to_owned(),
        "peer_costs = [\"10.0.0.0/8=0.02\"]".to_owned(),
        "publishers = [\"alice=2.5/10.0\", \"bob=1.0\"]".to_owned(),
        format!("owners = [\"{content}=alice\"]"),
    ] {
        assert!(shown.contains(&line), "{line}: {shown}");
    }
    std::fs::write(&file, text_of("carol")).unwrap();
    let says = complaint(&["check-config", "--config", file.to_str().unwrap()]);
    assert!(says.contains("setting owners") && says.contains("\"carol\" is none of publishers"), "{says}");
}
