//! What a relay reads from outside beside frames: signals, descriptions, STUN, its store, names, addresses, and settings. Given what is
//! almost right: no panic, and what is taken is written again as it was meant. Requests are in `src/http/fuzz.rs`.

use peeredge_attacks::fuzz::{Dice, fuzz};
use peeredge_relay::config::{Flag, KEYS, load};
use peeredge_relay::names::safe_file_name;
use peeredge_relay::peer::Endpoint;
use peeredge_relay::rtc::signal::Signal;
use peeredge_relay::rtc::stun::{StunLimits, StunServer};
use peeredge_relay::store::{Entry, Store};
use peeredge_wire::ContentId;
use std::time::Instant;
use str0m::change::{SdpAnswer, SdpOffer};

/// What Chromium offers for one data channel.
const SDP: &str = "v=0\r\no=- 4611731400430051336 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n\
    a=extmap-allow-mixed\r\na=msid-semantic: WMS\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\n\
    a=candidate:1 1 udp 2113937151 6f1c-22.local 5000 typ host generation 0\r\na=ice-ufrag:abcd\r\n\
    a=ice-pwd:0123456789abcdefghijklmn\r\na=ice-options:trickle\r\n\
    a=fingerprint:sha-256 00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF\r\n\
    a=setup:actpass\r\na=mid:0\r\na=sctp-port:5000\r\na=max-message-size:262144\r\n";

#[test]
fn signals() {
    let valid = [
        Signal::Offer { sdp: SDP.into() }.to_blob(),
        br#"{"type":"candidate","candidate":"candidate:1 1 udp 1 192.0.2.7 5000 typ host","mid":"0"}"#
            .to_vec(),
        br#"{"type":"answer","sdp":"v=0"}"#.to_vec(),
    ];
    fuzz(21, 20_000, &valid, |blob| {
        if let Ok(signal) = Signal::parse(blob, 16 << 10) {
            assert_eq!(Signal::parse(&signal.to_blob(), 64 << 10).ok(), Some(signal));
        }
    });
}

#[test]
fn descriptions() {
    fuzz(22, 8_000, &[SDP.as_bytes().to_vec()], |sdp| {
        if let Ok(sdp) = str::from_utf8(sdp) {
            let _ = SdpOffer::from_sdp_string(sdp);
            let _ = SdpAnswer::from_sdp_string(sdp);
        }
    });
}

#[test]
fn stun() {
    let now = Instant::now();
    let source = "192.0.2.7:5000".parse().expect("an address");
    let mut request = vec![0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42];
    request.extend([7; 12]);
    let mut with_attribute = request.clone();
    with_attribute[3] = 8;
    with_attribute.extend([0x80, 0x22, 0, 4, 1, 2, 3, 4]);
    fuzz(23, 60_000, &[request, with_attribute], |datagram| {
        let mut server = StunServer::new(StunLimits::default(), now);
        if let Some(answer) = server.answer(now, source, datagram) {
            assert!(answer.len() <= 44, "never much more than was asked");
            assert_eq!(answer[8..20], datagram[8..20], "the transaction that was asked");
        }
    });
}

#[test]
fn entries() {
    let entry = |of_task| {
        let (name, media_type) = ("ein Film.mp4".into(), "video/mp4".into());
        Entry { content: ContentId([3; 32]), length: 1 << 40, records_bytes: 96, name, media_type, of_task }
    };
    fuzz(24, 60_000, &[entry(false).encode(), entry(true).encode()], |bytes| {
        if let Some(entry) = Entry::decode(bytes) {
            assert_eq!(entry.encode(), bytes);
        }
    });
}

/// Names of contents, as `get` writes them and a browser is told to: whatever a publisher chose, one part of a path.
#[test]
fn names_of_files() {
    let names =
        ["ein Film.mp4", "../../etc/passwd", "CON.txt", "gnp.\u{202e}exe", "-rf", "a\\b\0c", "e\u{301}.mkv"];
    let names = names.map(|name| name.as_bytes().to_vec());
    fuzz(26, 40_000, &names, |name| {
        let Some(name) = safe_file_name(&String::from_utf8_lossy(name)) else { return };
        assert!((1..=255).contains(&name.len()) && !name.starts_with(['.', '-']));
        assert!(!name.contains(|c: char| c.is_control() || "/\\<>:\"|?*\u{202e}".contains(c)), "{name:?}");
        assert_eq!(safe_file_name(&name).as_deref(), Some(&*name), "it is one already");
    });
}

#[test]
fn addresses_of_relays() {
    let texts =
        ["https://relay.example", "ws://127.0.0.1:8080/", "http://[::1]:80", "wss://Relay.example:443"];
    fuzz(27, 40_000, &texts.map(|text| text.as_bytes().to_vec()), |text| {
        let Ok(text) = str::from_utf8(text) else { return };
        if let Ok(endpoint) = text.parse::<Endpoint>() {
            let proved = endpoint.proved();
            assert!(
                !proved.is_empty()
                    && !proved.contains(['/', '@', '?', '#', ' '])
                    && proved == proved.to_lowercase()
            );
        }
    });
}

fn folder(name: &str) -> std::path::PathBuf {
    let folder = std::env::temp_dir().join(format!("peeredge-fuzz-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    folder
}

/// A record file with some bytes changed: the store opens or says in a sentence why not.
#[test]
fn record_files() {
    let folder = folder("records");
    let sound = folder.join("sound");
    drop(Store::open(&sound).expect("a new store"));
    let file = std::fs::read_dir(&sound)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path())
        .find(|path| path.extension().is_some_and(|ending| ending == "redb"))
        .expect("a record file");
    let bytes = std::fs::read(&file).expect("its bytes");
    let mut dice = Dice::new(28);
    let mut refused = 0;
    for number in 0..60 {
        let mut changed = bytes.clone();
        for _ in 0..1 + dice.below(20) {
            // Where there is something to read, and not in the free pages behind.
            let most = 1usize << *dice.of(&[7, 10, 14, 17]);
            let (at, byte) = (dice.below(bytes.len().min(most)), dice.next() as u8);
            changed[at] = byte;
        }
        if dice.one_in(4) {
            changed.truncate(dice.below(bytes.len()));
        }
        let root = folder.join(number.to_string());
        std::fs::create_dir_all(&root).expect("a folder");
        std::fs::write(root.join(file.file_name().expect("a file")), changed).expect("room");
        match Store::open(&root) {
            Ok(store) => assert!(store.entries().is_empty(), "nothing was published"),
            Err(error) => {
                assert!(error.to_string().len() > 10, "{error:?}");
                refused += 1;
            }
        }
        std::fs::remove_dir_all(&root).expect("ours");
    }
    std::fs::remove_dir_all(&folder).expect("ours");
    assert!(refused > 5, "{refused}");
}

#[test]
fn files_of_settings() {
    let folder = folder("settings");
    let path = folder.join("peeredge.toml");
    let valid = [
        "bind = \"127.0.0.1:8080\"\nhosts = [\"a.example\"]\nupload_bytes_per_s_max = \"1MiB\"\n",
        "[[publishers]]\nname = \"a\"\nvalue_per_gb = 0.5\n",
        "peer_costs = [\"10.0.0.0/8=3\"]\ntrusted_proxies = [\"10.0.0.0/8\"]\nrtc = false\n",
    ];
    fuzz(29, 3_000, &valid.map(|text| text.as_bytes().to_vec()), |text| {
        std::fs::write(&path, text).expect("room");
        if let Err(error) = load(Some(&path), [], &[]) {
            assert!(!error.to_string().is_empty());
        }
    });
    std::fs::remove_dir_all(&folder).expect("ours");
}

#[test]
fn settings() {
    let mut dice = Dice::new(25);
    let values = [
        "1",
        "64KiB",
        "1TiB",
        "127.0.0.1:8080",
        "[::1]:0",
        "true",
        "a=1",
        "10.0.0.0/8=3",
        "500ms",
        "video=0.5/10",
        "*",
    ];
    let values = values.map(|value| value.as_bytes().to_vec());
    for key in KEYS {
        fuzz(dice.next(), 120, &values, |value| {
            let Ok(value) = str::from_utf8(value) else { return };
            let env = format!("PEEREDGE_{}", key.name.to_uppercase());
            let _ = load(None, [(env, value.to_owned())], &[]);
            let flag = Flag { name: key.name.replace('_', "-"), value: value.to_owned() };
            let _ = load(None, [], &[flag]);
        });
    }
}
