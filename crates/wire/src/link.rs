use crate::{ContentId, IdError};
use core::fmt;
use core::str::FromStr;

/// A self-certifying link: it names the hash of the manifest, so whoever delivers the bytes need not be trusted.
///
/// Two spellings name the same content: `peeredge:ID`, and `https://RELAY/c/ID/NAME`, which any HTTP client can open too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The content that the link names.
    pub content: ContentId,
    /// `scheme://authority` of the relay that the link names, if it names one.
    pub relay: Option<String>,
}

/// Why a text is no link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkError {
    /// Neither `peeredge:ID` nor `http(s)://RELAY/c/ID`.
    Form,
    /// The part that should be an id is none.
    Id(IdError),
}

impl fmt::Display for LinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LinkError::Form => write!(f, "a link is peeredge:ID or https://RELAY/c/ID"),
            LinkError::Id(error) => write!(f, "the link's id is wrong: {error}"),
        }
    }
}

impl core::error::Error for LinkError {}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.relay {
            Some(relay) => write!(f, "{relay}/c/{}", self.content),
            None => write!(f, "peeredge:{}", self.content),
        }
    }
}

impl FromStr for Link {
    type Err = LinkError;

    fn from_str(text: &str) -> Result<Self, LinkError> {
        let text = text.trim();
        if let Some(id) = text.strip_prefix("peeredge:") {
            return Ok(Link { content: id.parse().map_err(LinkError::Id)?, relay: None });
        }
        let scheme =
            ["https://", "http://"].into_iter().find(|s| text.starts_with(s)).ok_or(LinkError::Form)?;
        let rest = &text[scheme.len()..];
        let (authority, path) = rest.split_once('/').ok_or(LinkError::Form)?;
        let id = path.strip_prefix("c/").ok_or(LinkError::Form)?;
        let id = id.split(['/', '?', '#']).next().unwrap_or_default();
        if authority.is_empty() {
            return Err(LinkError::Form);
        }
        Ok(Link { content: id.parse().map_err(LinkError::Id)?, relay: Some(format!("{scheme}{authority}")) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_name_the_same_content() {
        let content = ContentId([7; 32]);
        let short: Link = format!("peeredge:{content}").parse().unwrap();
        let long: Link = format!("http://127.0.0.1:8080/c/{content}/a%20film.mp4?x#y").parse().unwrap();
        assert_eq!(short.content, long.content);
        assert_eq!(long.relay.as_deref(), Some("http://127.0.0.1:8080"));
        assert_eq!(long.to_string().parse::<Link>(), Ok(long));
        assert_eq!(short.to_string().parse::<Link>(), Ok(short));
    }

    #[test]
    fn wrong_links_are_refused() {
        assert_eq!("ftp://x/c/y".parse::<Link>(), Err(LinkError::Form));
        assert_eq!("http:///c/y".parse::<Link>(), Err(LinkError::Form));
        assert!(matches!("peeredge:xyz".parse::<Link>(), Err(LinkError::Id(_))));
    }
}
