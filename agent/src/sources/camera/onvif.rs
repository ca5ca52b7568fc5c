//! ONVIF: where is the snapshot? (Core and Media service specifications; WS-Security UsernameToken Profile 1.0.)
//!
//! GetSystemDateAndTime (the token is dated by the *camera's* clock, which is often wrong) -> GetCapabilities (where
//! media is) -> GetProfiles -> GetSnapshotUri.
//!
//! Of the addresses that a camera returns only port, path and query are taken: **the host stays the configured one.**
//! Cameras behind an address translation, or renumbered, return what they believe they are called; and an answer to a
//! challenge must never go to a host that nobody configured.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use quick_xml::Reader;
use quick_xml::XmlVersion;
use quick_xml::escape::escape;
use quick_xml::events::Event;
use reqwest::{StatusCode, Url};
use simpul_clock::Clock;

use super::http::{Content, Failed, Peer};
use crate::config::Secret;

/// Longest SOAP answer: GetProfiles of a camera with many profiles has 10 to 30 kB.
const ANSWER_BYTES_MAX: usize = 128 * 1024;
/// Longest address or token that is taken from an answer.
const TEXT_BYTES_MAX: usize = 512;

const SOAP: &str = "application/soap+xml; charset=utf-8";

/// Ask for the snapshot's address.
///
/// # Errors
/// As [`Failed`]; a fault "not authorized" is a refusal.
pub async fn snapshot_url(peer: &mut Peer, device: &Url, profile: Option<&str>, clock: &Clock) -> Result<Url, Failed> {
    let date = call(peer, device, "<tds:GetSystemDateAndTime/>", None).await;
    let created = date.ok().and_then(|xml| camera_time(&xml)).unwrap_or_else(|| iso_time(clock.wall_ms()));
    let capabilities = "<tds:GetCapabilities><tds:Category>Media</tds:Category></tds:GetCapabilities>";
    let media = match call(peer, device, capabilities, Some(&created)).await {
        Ok(xml) => match text_of(&xml, "Media", "XAddr") {
            Some(address) => rehost(device, &address)?,
            None => device.clone(),
        },
        // Some devices answer everything at one address and know no capabilities.
        Err(Failed::Unusable(_)) => device.clone(),
        Err(failed) => return Err(failed),
    };
    let token = match profile {
        Some(token) => token.to_owned(),
        None => {
            let xml = call(peer, &media, "<trt:GetProfiles/>", Some(&created)).await?;
            first_profile(&xml).ok_or_else(|| Failed::Unusable("ONVIF: no media profile".into()))?
        }
    };
    let token = escape(&token);
    let ask = format!("<trt:GetSnapshotUri><trt:ProfileToken>{token}</trt:ProfileToken></trt:GetSnapshotUri>");
    let xml = call(peer, &media, &ask, Some(&created)).await?;
    let address =
        text_of(&xml, "MediaUri", "Uri").ok_or_else(|| Failed::Unusable("ONVIF: no snapshot address".into()))?;
    rehost(device, &address)
}

async fn call(peer: &mut Peer, url: &Url, ask: &str, created: Option<&str>) -> Result<String, Failed> {
    let security = match (created, peer.login()) {
        (Some(created), Some(login)) => {
            let mut nonce = [0; 16];
            getrandom::fill(&mut nonce).map_err(|error| Failed::Unusable(format!("no random numbers: {error}")))?;
            let (username, password) = login.credentials();
            security(username, password, &nonce, created)
        }
        _ => String::new(),
    };
    let body = envelope(&security, ask);
    let content = Content { kind: SOAP, bytes: body.as_bytes() };
    let (status, answer) = peer.post(url, content, ANSWER_BYTES_MAX).await?;
    let xml = String::from_utf8(answer).map_err(|_| Failed::Unusable("ONVIF: the answer is not text".into()))?;
    if status == StatusCode::OK && text_of(&xml, "Fault", "Reason").is_none() {
        return Ok(xml);
    }
    if xml.contains("NotAuthorized") {
        return Err(Failed::Refused { times: 1, detail: "ONVIF: user or password refused".into() });
    }
    let reason = text_of(&xml, "Reason", "Text").unwrap_or_default();
    let detail =
        if reason.is_empty() { format!("ONVIF: HTTP {status}") } else { format!("ONVIF: HTTP {status}: {reason}") };
    Err(Failed::Unusable(detail))
}

fn envelope(security: &str, ask: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\
         <s:Envelope xmlns:s=\"http://www.w3.org/2003/05/soap-envelope\" \
         xmlns:tds=\"http://www.onvif.org/ver10/device/wsdl\" xmlns:trt=\"http://www.onvif.org/ver10/media/wsdl\">\
         <s:Header>{security}</s:Header><s:Body>{ask}</s:Body></s:Envelope>"
    )
}

/// Password digest = base64(SHA-1(nonce, created, password)).
fn security(username: &str, password: &Secret, nonce: &[u8], created: &str) -> String {
    let mut digest = ring::digest::Context::new(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY);
    digest.update(nonce);
    digest.update(created.as_bytes());
    digest.update(password.expose().as_bytes());
    let (digest, nonce, username) = (STANDARD.encode(digest.finish()), STANDARD.encode(nonce), escape(username));
    let base = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss";
    format!(
        "<w:Security s:mustUnderstand=\"1\" xmlns:w=\"{base}-wssecurity-secext-1.0.xsd\"><w:UsernameToken>\
         <w:Username>{username}</w:Username>\
         <w:Password Type=\"{base}-username-token-profile-1.0#PasswordDigest\">{digest}</w:Password>\
         <w:Nonce EncodingType=\"{base}-soap-message-security-1.0#Base64Binary\">{nonce}</w:Nonce>\
         <u:Created xmlns:u=\"{base}-wssecurity-utility-1.0.xsd\">{created}</u:Created>\
         </w:UsernameToken></w:Security>"
    )
}

/// Path, query and port of `returned` at the configured host; https stays https.
fn rehost(configured: &Url, returned: &str) -> Result<Url, Failed> {
    let wrong = || Failed::Unusable("ONVIF: the camera returned no usable http address".to_owned());
    let mut url = Url::parse(returned.trim()).map_err(|_| wrong())?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(wrong());
    }
    if configured.scheme() == "https" && url.scheme() == "http" {
        url.set_port(configured.port()).map_err(|()| wrong())?;
        url.set_scheme("https").map_err(|()| wrong())?;
    }
    url.set_host(configured.host_str()).map_err(|_| wrong())?;
    url.set_username("").map_err(|()| wrong())?;
    url.set_password(None).map_err(|()| wrong())?;
    url.set_fragment(None);
    Ok(url)
}

/// The text of the first element `inner` somewhere inside `outer`, by local names.
fn text_of(xml: &str, outer: &str, inner: &str) -> Option<String> {
    let mut reader = Reader::from_str(xml);
    let mut outside = 0_usize;
    let mut found: Option<String> = None;
    loop {
        match reader.read_event().ok()? {
            Event::Start(element) => {
                let name = element.local_name();
                if name.as_ref() == outer {
                    outside += 1;
                } else if outside > 0 && found.is_none() && name.as_ref() == inner {
                    found = Some(String::new());
                }
            }
            Event::End(element) => {
                let name = element.local_name();
                if name.as_ref() == inner && found.is_some() {
                    return found.map(|text| text.trim().to_owned());
                }
                if name.as_ref() == outer {
                    outside = outside.saturating_sub(1);
                }
            }
            Event::Text(text) => push(&mut found, &text.xml_content(XmlVersion::Implicit1_0))?,
            Event::CData(text) => push(&mut found, &text.xml_content(XmlVersion::Implicit1_0))?,
            Event::GeneralRef(reference) => {
                let character = match reference.resolve_char_ref().ok()? {
                    Some(character) => character,
                    None => match &*reference.xml_content(XmlVersion::Implicit1_0) {
                        "amp" => '&',
                        "lt" => '<',
                        "gt" => '>',
                        "quot" => '"',
                        "apos" => '\'',
                        // Entities of a document's own are not expanded: they can grow without bound.
                        _ => return None,
                    },
                };
                push(&mut found, character.encode_utf8(&mut [0; 4]))?;
            }
            Event::Eof => return None,
            _ => {}
        }
    }
}

fn push(found: &mut Option<String>, text: &str) -> Option<()> {
    if let Some(found) = found {
        if found.len() + text.len() > TEXT_BYTES_MAX {
            return None;
        }
        found.push_str(text);
    }
    Some(())
}

/// The token of the first media profile.
fn first_profile(xml: &str) -> Option<String> {
    let mut reader = Reader::from_str(xml);
    loop {
        match reader.read_event().ok()? {
            Event::Start(element) | Event::Empty(element) if element.local_name().as_ref() == "Profiles" => {
                let token =
                    element.attributes().flatten().find(|attribute| attribute.key.local_name().as_ref() == "token")?;
                let token = token.normalized_value(XmlVersion::Implicit1_0).ok()?;
                return (token.len() <= TEXT_BYTES_MAX).then(|| token.into_owned());
            }
            Event::Eof => return None,
            _ => {}
        }
    }
}

/// The camera's UTC time from GetSystemDateAndTime, as the token's `Created`.
fn camera_time(xml: &str) -> Option<String> {
    let number = |name: &str, range: std::ops::RangeInclusive<u32>| -> Option<u32> {
        text_of(xml, "UTCDateTime", name)?.parse().ok().filter(|number| range.contains(number))
    };
    let (year, month, day) = (number("Year", 1970..=9999)?, number("Month", 1..=12)?, number("Day", 1..=31)?);
    let (hour, minute, second) = (number("Hour", 0..=23)?, number("Minute", 0..=59)?, number("Second", 0..=61)?);
    Some(format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z"))
}

/// Unix milliseconds as `2026-11-24T05:00:00Z` (days to civil date over eras of 400 years).
pub(crate) fn iso_time(wall_ms: i64) -> String {
    let seconds = wall_ms.div_euclid(1_000);
    let (days, second_of_day) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (second_of_day / 3_600, second_of_day / 60 % 60, second_of_day % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_stays_the_configured_one() {
        let configured = Url::parse("http://192.168.1.64:8000/onvif/device_service").unwrap();
        for (returned, expected) in [
            ("http://10.0.0.9/snap.jpg?chan=1&a=b", "http://192.168.1.64/snap.jpg?chan=1&a=b"),
            ("http://evil.example:8080/x#y", "http://192.168.1.64:8080/x"),
            ("http://user:secret@0.0.0.0/x", "http://192.168.1.64/x"),
            (" https://192.168.1.64/x ", "https://192.168.1.64/x"),
        ] {
            assert_eq!(rehost(&configured, returned).unwrap().as_str(), expected);
        }
        for returned in ["rtsp://192.168.1.64/x", "file:///etc/passwd", "/snap.jpg", ""] {
            assert!(rehost(&configured, returned).is_err(), "{returned}");
        }
        let https = Url::parse("https://camera:8443/onvif").unwrap();
        assert_eq!(rehost(&https, "http://camera/x").unwrap().as_str(), "https://camera:8443/x");
    }

    #[test]
    fn addresses_come_out_with_their_entities_resolved() {
        let xml = "<?xml version=\"1.0\"?><E:Env xmlns:E=\"e\"><t:Uri>outside</t:Uri><t:MediaUri>\
                   <tt:Uri>http://c/x?a=1&amp;b=&#50;</tt:Uri><tt:Uri>second</tt:Uri></t:MediaUri></E:Env>";
        assert_eq!(text_of(xml, "MediaUri", "Uri").as_deref(), Some("http://c/x?a=1&b=2"));
        let cdata = "<MediaUri><Uri><![CDATA[http://c/?a&b]]></Uri></MediaUri>";
        assert_eq!(text_of(cdata, "MediaUri", "Uri").as_deref(), Some("http://c/?a&b"));
        let bomb = "<!DOCTYPE x [<!ENTITY a \"aaaa\">]><MediaUri><Uri>&a;&a;</Uri></MediaUri>";
        assert_eq!(text_of(bomb, "MediaUri", "Uri"), None);
        assert_eq!(text_of(&format!("<MediaUri><Uri>{}</Uri></MediaUri>", "a".repeat(600)), "MediaUri", "Uri"), None);
        assert_eq!(text_of("<MediaUri><Uri>a", "MediaUri", "Uri"), None);
    }

    #[test]
    fn the_first_profile_is_taken() {
        let xml = "<r><trt:Profiles fixed=\"true\" token=\"P&amp;1\"/><trt:Profiles token=\"P2\"></trt:Profiles></r>";
        assert_eq!(first_profile(xml).as_deref(), Some("P&1"));
        assert_eq!(first_profile("<r/>"), None);
    }

    #[test]
    fn times_are_written_as_the_token_wants_them() {
        for (wall_ms, expected) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400_000, "2000-02-29T00:00:00Z"),
            (1_795_500_245_999, "2026-11-24T06:04:05Z"),
            (4_107_542_399_000, "2100-02-28T23:59:59Z"),
        ] {
            assert_eq!(iso_time(wall_ms), expected);
        }
        let xml = "<UTCDateTime><Time><Hour>5</Hour><Minute>6</Minute><Second>7</Second></Time><Date><Year>2026</Year>\
                   <Month>1</Month><Day>2</Day></Date></UTCDateTime>";
        assert_eq!(camera_time(xml).as_deref(), Some("2026-01-02T05:06:07Z"));
        assert_eq!(camera_time(&xml.replace("<Hour>5", "<Hour>25")), None);
    }

    #[test]
    fn the_token_is_that_of_the_onvif_programmers_guide() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        std::fs::write(&path, "userpassword").unwrap();
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        let password = crate::config::read_secret(&path).unwrap();
        let nonce = STANDARD.decode("LKqI6G/AikKCQrN0zqZFlg==").unwrap();
        let header = security("user<", &password, &nonce, "2010-09-16T07:50:45Z");
        assert!(header.contains(">tuOSpGlFlIXsozq4HFNeeGeFLEI=</w:Password>"), "{header}");
        assert!(header.contains("<w:Username>user&lt;</w:Username>"));
    }
}
