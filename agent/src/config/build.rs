//! Sections -> [`Config`]: ranges of single keys, and what several keys say together.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use simpul_wire::Label;
use simpul_wire::limits::IMAGE_BYTES_MAX;
use toml::de::{DeTable, DeValue};

use super::read::{ConfigError, Reader, Section};
use super::{
    CameraAddress, CameraConfig, ClockTrust, Config, EnrolmentConfig, HostConfig, LedConfig, LocalApiConfig, Mask,
    PhoneConfig, SpoolConfig, UplinkConfig, board, schema, secret, update, values,
};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

/// Most cameras of one node: one image a minute each is what a village uplink and a small machine's decoder carry.
const CAMERAS_MAX: usize = 16;
/// Most hub addresses: tried in turn, so more would delay the right one by minutes.
const HUBS_MAX: usize = 8;
/// Most masks of one camera: each is painted into each image.
const MASKS_MAX: usize = 32;
/// Shortest API token: below it, guessing at the rate limit becomes thinkable.
const TOKEN_CHARS_MIN: usize = 16;

pub(super) fn config(text: &str, folder: &Path) -> Result<Config, ConfigError> {
    let reader = Reader::new(text);
    let value = reader.parse().and_then(|table| whole(&reader, table.get_ref(), folder));
    reader.finish(value)
}

fn whole(reader: &Reader<'_>, file: &DeTable<'_>, folder: &Path) -> Option<Config> {
    let top = Section::new(reader, Some(file), &schema::TOP, String::new(), None);
    let node = top.text("node", "1 to 64 letters, digits, '.', '_' or '-'", |text| text.parse().ok());
    let clock = top.text("clock", "\"auto\" or \"trust\"", |text| match text {
        "auto" => Some(ClockTrust::Auto),
        "trust" => Some(ClockTrust::Trust),
        _ => None,
    });
    let state_directory = top.optional_path("state_directory", folder);
    let spool = spool(&section(reader, file, &schema::SPOOL), folder);
    let state_directory = match (state_directory, &spool) {
        (Some(Some(directory)), _) => Some(directory),
        (Some(None), Some(spool)) => Some(spool.directory.parent().unwrap_or(folder).join("sources")),
        _ => None,
    };
    let unknown = PathBuf::new();
    let sources = state_directory.as_deref().unwrap_or(&unknown);
    let uplink = uplink(&section(reader, file, &schema::UPLINK), folder);
    let enrolment = enrolment(&section(reader, file, &schema::ENROLMENT), folder);
    let cameras = cameras(reader, file, folder, sources);
    let local_api = local_api(&section(reader, file, &schema::LOCAL_API), folder, sources);
    let phone = phone(&section(reader, file, &schema::PHONE), sources);
    let led = led(&section(reader, file, &schema::LED));
    let host = host(&section(reader, file, &schema::HOST));
    let board = board::board(reader, &section(reader, file, &schema::BOARD), folder, sources);
    let update = update::update(&section(reader, file, &schema::UPDATE));
    Some(Config {
        node: node?,
        clock: clock?,
        state_directory: state_directory?,
        spool: spool?,
        uplink: uplink?,
        enrolment: enrolment?,
        cameras: cameras?,
        local_api: local_api?,
        phone: phone?,
        led: led?,
        host: host?,
        board: board?,
        update: update?,
    })
}

/// A table of the file by its name; a value in its place that is no table is reported and taken as absent.
fn section<'r, 't>(reader: &'r Reader<'t>, file: &'r DeTable<'t>, schema: &'static schema::Table) -> Section<'r, 't> {
    let found = file.iter().find(|(key, _)| key.get_ref() == schema.name).map(|(_, value)| value);
    let table = found.and_then(|value| value.get_ref().as_table());
    let span = found.map(|value| value.span());
    if found.is_some() && table.is_none() {
        reader.report(span.clone(), schema.name.into(), format!("must be a table: [{}]", schema.name));
    }
    Section::new(reader, table, schema, schema.name.into(), span)
}

fn spool(section: &Section<'_, '_>, folder: &Path) -> Option<SpoolConfig> {
    // 64 KiB: a test's spool. Above 64 GiB the opening time of a row of small databases has not been measured.
    let size = |name| section.bytes(name, 64 * KIB..64 * GIB);
    let directory = section.path("directory", folder);
    let (service, event, reading) = (size("service_bytes_max"), size("event_bytes_max"), size("reading_bytes_max"));
    let (snapshot, kept) = (size("snapshot_bytes_max"), size("kept_bytes_max"));
    let kept_for = section.duration("kept_for", Duration::from_secs(1)..30 * DAY);
    let ballast = section.bytes("ballast_bytes", 64 * KIB..GIB);
    let serial = section.optional("hardware_serial", "1 to 64 visible characters", |text| {
        let fits = (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        fits.then(|| text.to_owned())
    });
    Some(SpoolConfig {
        directory: directory?,
        service_bytes_max: service?,
        event_bytes_max: event?,
        reading_bytes_max: reading?,
        snapshot_bytes_max: snapshot?,
        kept_bytes_max: kept?,
        kept_for: kept_for?,
        ballast_bytes: ballast?,
        hardware_serial: serial?,
    })
}

fn uplink(section: &Section<'_, '_>, folder: &Path) -> Option<UplinkConfig> {
    let hubs = section.list("hubs", HUBS_MAX, "1 to 8 addresses host:port", |item| {
        let text = item.as_str()?;
        let (host, port) = text.rsplit_once(':')?;
        let fits =
            !host.is_empty() && !host.contains(['/', '@', ' ']) && port.parse::<u16>().is_ok_and(|port| port > 0);
        fits.then(|| text.to_owned())
    });
    // Left out is a choice, an empty list a slip.
    let empty = section.raw("hubs").is_some() && hubs.as_ref().is_some_and(Vec::is_empty);
    if empty {
        section.report("hubs", "an empty list; write at least one address host:port".into());
    }
    let name = section.optional("server_name", "a host name", |text| {
        let fits = (1..=253).contains(&text.len()) && !text.contains(['/', ':', '@', ' ']);
        fits.then(|| text.to_owned())
    });
    let ca_file = section.path("ca_file", folder);
    let certificate_file = section.path("certificate_file", folder);
    let key_file = section.path("key_file", folder);
    // Whether the key is there and fits is the uplink's to say; that nobody else can read it is refused here.
    if let Some(path) = key_file.as_ref().filter(|path| path.exists()) {
        report_secret(section, "key_file", secret::check_mode(path));
    }
    let state_interval = section.duration("state_interval", Duration::from_secs(1)..HOUR);
    let reconnect_max = section.duration("reconnect_max", Duration::from_millis(100)..HOUR);
    let no_progress = section.duration("no_progress", Duration::from_secs(1)..HOUR);
    let daily = section.optional_bytes("daily_bytes_max", MIB..1024 * GIB);
    Some(UplinkConfig {
        hubs: hubs?,
        server_name: name?,
        ca_file: ca_file?,
        certificate_file: certificate_file?,
        key_file: key_file?,
        state_interval: state_interval?,
        reconnect_max: reconnect_max?,
        no_progress: no_progress?,
        daily_bytes_max: daily?,
    })
}

fn enrolment(section: &Section<'_, '_>, folder: &Path) -> Option<EnrolmentConfig> {
    let (directory, token_file) = (section.path("directory", folder), section.path("token_file", folder));
    let check_interval = section.duration("check_interval", Duration::from_secs(1)..7 * DAY);
    Some(EnrolmentConfig { directory: directory?, token_file: token_file?, check_interval: check_interval? })
}

fn report_secret<T>(section: &Section<'_, '_>, name: &str, result: Result<T, secret::SecretError>) {
    if let Err(error) = result {
        section.report(name, error.to_string());
    }
}

fn cameras(
    reader: &Reader<'_>,
    file: &DeTable<'_>,
    folder: &Path,
    state_directory: &Path,
) -> Option<Vec<CameraConfig>> {
    let Some((_, value)) = file.iter().find(|(key, _)| key.get_ref() == "cameras") else { return Some(Vec::new()) };
    let tables = value.get_ref().as_array().filter(|items| items.iter().all(|item| item.get_ref().is_table()));
    let Some(tables) = tables else {
        reader.report(Some(value.span()), "cameras".into(), "must be tables: [[cameras]]".into());
        return None;
    };
    if tables.len() > CAMERAS_MAX {
        let what = format!("{} cameras, at most {CAMERAS_MAX} on one node", tables.len());
        reader.report(Some(value.span()), "cameras".into(), what);
    }
    let mut ids = BTreeSet::new();
    let mut cameras = Vec::new();
    let mut whole = true;
    for (index, item) in tables.iter().enumerate() {
        let place = format!("cameras[{index}]");
        let section = Section::new(reader, item.get_ref().as_table(), &schema::CAMERA, place, Some(item.span()));
        match camera(&section, folder, state_directory) {
            Some(camera) => {
                if !ids.insert(camera.id.clone()) {
                    section.report("id", format!("\"{}\" is the id of another camera already", camera.id));
                }
                cameras.push(camera);
            }
            None => whole = false,
        }
    }
    whole.then_some(cameras)
}

fn camera(section: &Section<'_, '_>, folder: &Path, state_directory: &Path) -> Option<CameraConfig> {
    let id = section.text("id", "1 to 64 letters, digits, '.', '_' or '-'", |text| {
        // As safe as a node's id: the state file is named by it.
        text.parse::<simpul_wire::NodeId>().ok().and_then(|_| text.parse::<Label>().ok())
    });
    let address = address(section);
    let username = section.optional("username", "1 to 128 visible characters, no ':'", |text| {
        let fits = (1..=128).contains(&text.len()) && text.bytes().all(|b| (0x20..0x7f).contains(&b) && b != b':');
        fits.then(|| text.to_owned())
    });
    let password_file = section.optional_path("password_file", folder);
    match (&username, &password_file) {
        (Some(Some(_)), Some(None)) => section.report("password_file", "missing beside username".into()),
        (Some(None), Some(Some(_))) => section.report("username", "missing beside password_file".into()),
        (_, Some(Some(path))) => report_secret(section, "password_file", secret::read_secret(path)),
        _ => {}
    }
    let interval = section.duration("interval", Duration::from_millis(500)..DAY);
    let heartbeat = section.duration("heartbeat", Duration::from_millis(500)..7 * DAY);
    if let (Some(interval), Some(heartbeat)) = (interval, heartbeat)
        && heartbeat < interval
    {
        let (shown, least) = (values::show_duration(heartbeat), values::show_duration(interval));
        section.report("heartbeat", format!("{shown} is shorter than the interval ({least}); write at least that"));
    }
    let image_bytes_max = section.bytes("image_bytes_max", 16 * KIB..u64::from(IMAGE_BYTES_MAX));
    let masks = section.list("masks", MASKS_MAX, "at most 32 rectangles within 0 to 1000", mask);
    let resolution = section.optional("mask_resolution", "width x height in pixels", values::resolution);
    if let (Some(masks), Some(Some(_))) = (&masks, &resolution)
        && masks.is_empty()
    {
        section.report("mask_resolution", "given without masks; add masks or leave it out".into());
    }
    let frozen_after = section.integer("frozen_after", 2..1_000);
    let simulated = section.flag("simulated");
    Some(CameraConfig {
        id: id?,
        address: address?,
        username: username?,
        password_file: password_file?,
        interval: interval?,
        heartbeat: heartbeat?,
        image_bytes_max: u32::try_from(image_bytes_max?).ok()?,
        masks: masks?,
        mask_resolution: resolution?,
        frozen_after: frozen_after?,
        simulated: simulated?,
        state_directory: state_directory.to_owned(),
    })
}

fn address(section: &Section<'_, '_>) -> Option<CameraAddress> {
    let allowed = "an http:// or https:// address without user or password (they go to username and password_file)";
    let url = |name| section.optional(name, allowed, |text| is_plain_url(text).then(|| text.to_owned()));
    let (snapshot, onvif) = (url("snapshot_url"), url("onvif_url"));
    let profile = section.optional("onvif_profile", "1 to 64 visible characters", |text| {
        let fits = (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        fits.then(|| text.to_owned())
    });
    match (snapshot?, onvif?, profile?) {
        (Some(url), None, None) => Some(CameraAddress::Snapshot(url)),
        (None, Some(device), profile) => Some(CameraAddress::Onvif { device, profile }),
        (Some(_), Some(_), _) => {
            section.report("onvif_url", "given beside snapshot_url; keep one of them".into());
            None
        }
        (Some(_), None, Some(_)) => {
            section.report("onvif_profile", "given without onvif_url".into());
            None
        }
        (None, None, _) => {
            let what = "missing; write snapshot_url = \"http://...\" or onvif_url = \"http://...\"";
            section.report("snapshot_url", what.into());
            None
        }
    }
}

fn is_plain_url(text: &str) -> bool {
    let Ok(url) = reqwest::Url::parse(text) else { return false };
    let scheme = matches!(url.scheme(), "http" | "https");
    scheme && url.has_host() && url.username().is_empty() && url.password().is_none() && text.len() <= 512
}

fn mask(item: &DeValue<'_>) -> Option<Mask> {
    let table = item.as_table().filter(|table| table.len() == 4)?;
    let side = |name: &str| -> Option<u16> {
        let (_, value) = table.iter().find(|(key, _)| key.get_ref() == name)?;
        let integer = value.get_ref().as_integer()?;
        u16::from_str_radix(integer.as_str(), integer.radix()).ok()
    };
    let mask = Mask { x: side("x")?, y: side("y")?, width: side("width")?, height: side("height")? };
    let within = |start: u16, length: u16| length > 0 && start.checked_add(length).is_some_and(|end| end <= 1_000);
    (within(mask.x, mask.width) && within(mask.y, mask.height)).then_some(mask)
}

fn local_api(section: &Section<'_, '_>, folder: &Path, state_directory: &Path) -> Option<Option<LocalApiConfig>> {
    if !section.is_present() {
        return Some(None);
    }
    let listen = section.text("listen", "an address and a port", |text| text.parse::<SocketAddr>().ok());
    let token_file = section.path("token_file", folder);
    if let Some(path) = &token_file {
        match secret::read_secret(path) {
            Ok(token) if token.expose().len() < TOKEN_CHARS_MIN => {
                let what = format!("{}: at least {TOKEN_CHARS_MIN} characters are expected", path.display());
                section.report("token_file", what);
            }
            result => report_secret(section, "token_file", result),
        }
    }
    let body = section.bytes("body_bytes_max", KIB..MIB);
    let rate = section.integer("requests_per_second_max", 1..10_000);
    Some(Some(LocalApiConfig {
        listen: listen?,
        token_file: token_file?,
        body_bytes_max: usize::try_from(body?).ok()?,
        requests_per_second_max: rate?,
        state_directory: state_directory.to_owned(),
    }))
}

fn phone(section: &Section<'_, '_>, state_directory: &Path) -> Option<Option<PhoneConfig>> {
    if !section.is_present() {
        return Some(None);
    }
    let listen = section.text("listen", "an address and a port", |text| text.parse::<SocketAddr>().ok());
    let open_for = section.duration("open_for", Duration::from_secs(60)..90 * DAY);
    Some(Some(PhoneConfig { listen: listen?, open_for: open_for?, state_directory: state_directory.to_owned() }))
}

fn led(section: &Section<'_, '_>) -> Option<Option<LedConfig>> {
    if !section.is_present() {
        return Some(None);
    }
    let name = section.text("name", "1 to 64 letters, digits, '.', '_', ':' or '-'", |text| {
        let fits = (1..=64).contains(&text.len()) && !text.starts_with('.');
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b':' | b'-');
        (fits && text.bytes().all(plain)).then(|| text.to_owned())
    })?;
    Some(Some(LedConfig { name: (name != "auto").then_some(name) }))
}

fn host(section: &Section<'_, '_>) -> Option<Option<HostConfig>> {
    let enabled = section.flag("enabled");
    let interval = section.duration("interval", Duration::from_secs(1)..HOUR);
    let (enabled, interval) = (enabled?, interval?);
    Some(enabled.then_some(HostConfig { interval }))
}
