//! Names that strangers chose, as names of files: one rule for what `get` writes and for what a browser is told to save as.

use unicode_normalization::UnicodeNormalization;

/// Bytes in a file's name; most file systems take no more.
const FILE_NAME_BYTES_MAX: usize = 255;
/// An ending of at most so many bytes, its dot included, survives when a name is cut.
const ENDING_BYTES_MAX: usize = 16;
/// What stands for a device on Windows, whatever its ending.
const DEVICES: &[&str] = &["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$", "CLOCK$"];

/// A publisher's name as the name of a file in a folder of the receiver's choice; `None` when nothing of it is left.
///
/// The result is one part of a path, of at most 255 bytes, in Unicode's form NFC, so that names that look alike are alike. It is not
/// hidden, reads in the order in which it is written, has no character that is invisible or that a file system refuses, is no device,
/// and is no option to a command.
pub fn safe_file_name(name: &str) -> Option<String> {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    // What is left out first would have stood between characters that are one.
    let seen = last.chars().filter(|c| !is_unseen(*c));
    let joined = seen.scan(' ', |before, c| {
        let is_behind_one = is_joiner(*before) && (is_variant(c) || !is_variant(*before));
        let keeps = !is_joiner(c) || !(before.is_ascii() || before.is_whitespace() || is_behind_one);
        *before = if keeps { c } else { *before };
        Some(keeps.then_some(c))
    });
    let shown: String = joined.flatten().nfc().map(stand_in).collect();
    let trimmed = shown
        .trim_start_matches(|c: char| c == '.' || c.is_whitespace())
        .trim_end_matches(|c: char| c == '.' || c.is_whitespace());
    if trimmed.is_empty() {
        return None;
    }
    let marked = match (trimmed.strip_prefix('-'), is_device(trimmed)) {
        (Some(rest), _) => format!("_{rest}"),
        (None, true) => format!("_{trimmed}"),
        (None, false) => trimmed.to_owned(),
    };
    Some(cut(&marked))
}

/// Nobody sees them either, but scripts and emoji need them: behind a character that they may belong to, they stay.
fn is_joiner(c: char) -> bool {
    matches!(c, '\u{200c}' | '\u{200d}') || is_variant(c)
}

/// How the character before it is drawn.
fn is_variant(c: char) -> bool {
    matches!(c, '\u{fe00}'..='\u{fe0f}')
}

/// Characters that change how others are shown, or that nobody sees.
fn is_unseen(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180e}'
            | '\u{1bca0}'..='\u{1bca3}' | '\u{1d159}' | '\u{1d173}'..='\u{1d17a}' | '\u{2800}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
            | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

/// What a file system refuses becomes a line, and every kind of space a space.
fn stand_in(c: char) -> char {
    match c {
        '<' | '>' | ':' | '"' | '|' | '?' | '*' => '_',
        c if c.is_whitespace() => ' ',
        c => c,
    }
}

fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default().trim_end().to_uppercase();
    let is_port = |digits: &str| {
        let mut digits = digits.chars();
        matches!(digits.next(), Some('0'..='9' | '¹' | '²' | '³')) && digits.next().is_none()
    };
    DEVICES.contains(&stem.as_str())
        || stem.strip_prefix("COM").is_some_and(is_port)
        || stem.strip_prefix("LPT").is_some_and(is_port)
}

/// At most as many bytes as a file system takes, with the ending, and no character in parts.
fn cut(name: &str) -> String {
    if name.len() <= FILE_NAME_BYTES_MAX {
        return name.to_owned();
    }
    let dot = name.rfind('.').filter(|dot| name.len() - dot <= ENDING_BYTES_MAX);
    let (stem, ending) = name.split_at(dot.unwrap_or(name.len()));
    let end = stem.floor_char_boundary(FILE_NAME_BYTES_MAX - ending.len());
    // What ends it now may be what no name ends with.
    let kept = format!("{}{ending}", &stem[..end]);
    kept.trim_end_matches(|c: char| c == '.' || c.is_whitespace()).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strangers_name_becomes_a_name_of_a_file_or_nothing() {
        for (name, safe) in [
            ("film.mp4", "film.mp4"),
            ("ein Film – Größe ½.mp4", "ein Film – Größe ½.mp4"),
            ("映画.mp4", "映画.mp4"),
            ("👩\u{200d}🚀.png", "👩\u{200d}🚀.png"),
            // Folders.
            ("../../etc/passwd", "passwd"),
            ("..\\..\\boot.ini", "boot.ini"),
            ("C:\\x", "x"),
            ("C:evil.txt", "C_evil.txt"),
            ("/absolute", "absolute"),
            // Hidden, or an option to a command.
            (".bashrc", "bashrc"),
            (" . .hidden", "hidden"),
            ("-rf", "_rf"),
            ("--output=x", "_-output=x"),
            // What cannot be seen, or changes how others are shown.
            ("a\u{1b}[2Jb", "a[2Jb"),
            ("a\0b\r\nc\u{7f}\u{85}", "abc"),
            ("gnp.\u{202e}exe", "gnp.exe"),
            ("\u{2066}a\u{2069}\u{200f}b\u{61c}", "ab"),
            ("a\u{200b}\u{feff}\u{ad}b", "ab"),
            ("a\u{e0041}\u{3164}b", "ab"),
            ("a\u{200d}b\u{200c}\u{fe0f}.txt", "ab.txt"),
            ("\u{200d}映\u{200d}\u{200d}画", "映\u{200d}画"),
            ("👩\u{200d}❤\u{fe0f}\u{200d}👩.png", "👩\u{200d}❤\u{fe0f}\u{200d}👩.png"),
            ("❤\u{fe0f}\u{fe0f}\u{200d}\u{200c}.png", "❤\u{fe0f}\u{200d}.png"),
            ("a\u{2800}\u{1d173}b", "ab"),
            ("a\u{a0}b\u{2003}c\u{2028}d", "a b cd"),
            // What Windows refuses or takes for something else.
            ("a<b>c:d\"e|f?g*h", "a_b_c_d_e_f_g_h"),
            ("name.", "name"),
            ("name. . .", "name"),
            ("CON", "_CON"),
            ("con.tar.gz", "_con.tar.gz"),
            ("Aux .txt", "_Aux .txt"),
            ("lpt1", "_lpt1"),
            ("COM³.log", "_COM³.log"),
            ("conin$", "_conin$"),
            ("COM10", "COM10"),
            ("CONSOLE", "CONSOLE"),
            ("nul\u{200b}", "_nul"),
            // Names that differ by normalisation only are the same.
            ("e\u{301}.txt", "\u{e9}.txt"),
            ("\u{e9}.txt", "\u{e9}.txt"),
        ] {
            assert_eq!(safe_file_name(name).as_deref(), Some(safe), "{name:?}");
        }
        for name in [
            "",
            ".",
            "..",
            "...",
            "/",
            "a/",
            "\n",
            " ",
            "\u{202e}",
            "..\\",
            "\u{200b}.",
            "\u{200d}",
            "\u{2800}\u{fe0f}",
        ] {
            assert_eq!(safe_file_name(name), None, "{name:?}");
        }
    }

    #[test]
    fn a_long_name_keeps_its_ending_and_whole_characters() {
        let long =
            |stem: &str, times: usize, ending: &str| safe_file_name(&(stem.repeat(times) + ending)).unwrap();
        assert_eq!(long("n", 255, ""), "n".repeat(255));
        assert_eq!(long("n", 300, ".mp4"), "n".repeat(251) + ".mp4");
        assert_eq!(long("ü", 127, ".mp4").len(), 4 + 250);
        assert!(long("映", 100, ".tar").ends_with("映.tar"));
        // A dot far from the end is no ending.
        assert_eq!(long("a.", 1, &"b".repeat(300)).len(), 255);
        // What stands before a device's name needs room, too.
        assert!(long("con.", 1, &"x".repeat(251)).len() <= 255);
    }

    #[test]
    fn what_the_page_shows_as_unseen_is_in_no_file_name() {
        let table: serde_json::Value =
            serde_json::from_str(include_str!("../../tests/media-types.json")).expect("a table");
        for range in table["unseen"].as_array().expect("a list") {
            let [first, last] = [0, 1].map(|at| range[at].as_u64().expect("a code") as u32);
            for code in first..=last {
                let unseen = char::from_u32(code).expect("a character");
                assert_eq!(safe_file_name(&format!("a{unseen}b")).as_deref(), Some("ab"), "{code:x}");
            }
        }
    }

    #[test]
    fn safe_twice_is_safe_once() {
        for name in ["..a", "-con", "con.", ". -x", "a\u{301}.", "-\u{202e}-", "_nul.txt"] {
            let once = safe_file_name(name).unwrap();
            assert_eq!(safe_file_name(&once).as_deref(), Some(once.as_str()), "{name:?}");
        }
    }
}
