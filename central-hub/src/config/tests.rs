//! Bad configurations with their exact errors, and the defaults.

use super::*;

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(text, Path::new("/etc/simpul/hub.toml"), &Overrides::default())
}

fn problems(text: &str) -> Vec<String> {
    match parse(text) {
        Err(ConfigError::Invalid { problems, .. }) => problems.iter().map(Problem::to_string).collect(),
        other => panic!("{text:?} was not refused as invalid: {other:?}"),
    }
}

#[test]
fn what_print_defaults_prints_is_the_default() {
    let printed = parse(&print_defaults().replace("listen = \"0.0.0.0:8883\"\n", "")).unwrap();
    assert_eq!(format!("{printed:?}"), format!("{:?}", parse("").unwrap()));
    let whole = parse(&print_defaults()).unwrap();
    assert_eq!(format!("{whole:?}"), format!("{printed:?}"));
}

#[test]
fn every_example_is_a_valid_value() {
    for key in keys::KEYS.iter().filter(|key| !key.path.ends_with("_file") && key.path != "nodes.file") {
        let text = match key.path.split_once('.') {
            Some(("web", _)) => continue,
            // Needs the two lists beside it.
            Some(("enrolment", "listen")) => continue,
            Some((section, name)) => format!("[{section}]\n{name} = {}", key.example),
            None => format!("{} = {}", key.path, key.example),
        };
        assert!(parse(&text).is_ok(), "{text}: {:?}", parse(&text));
    }
}

#[test]
fn each_bad_value_is_refused_with_its_exact_error() {
    let cases: &[(&str, &str)] = &[
        ("timezon = \"WIB\"", "unknown key timezon: did you mean timezone?"),
        ("[web]\nlisten_on = \"127.0.0.1:1\"", "unknown key web.listen_on: did you mean web.listen?"),
        ("[wbe]\nlisten = \"127.0.0.1:1\"", "unknown key wbe: did you mean web?"),
        ("[zzz]\nq = 1", "unknown key zzz: remove it, or see `simpul-hub config print-defaults` for all keys"),
        ("timezone = \"GMT\"", "timezone = \"GMT\": WIB, WITA or WIT is allowed; correct it"),
        ("clock = \"maybe\"", "clock = \"maybe\": auto or trust is allowed; correct it"),
        ("timezone = 7", "timezone = 7: a text in quotes is allowed; correct it"),
        (
            "[web]\nlisten = \"localhost\"",
            "web.listen = \"localhost\": an IP address and a port such as 127.0.0.1:8470 or [::1]:8470 is allowed; correct it",
        ),
        (
            "[web]\nlisten = \"0.0.0.0:80\"",
            "web.listen = \"0.0.0.0:80\": without HTTPS only a loopback address such as 127.0.0.1:8470 is allowed; set \
             web.certificate_file and web.key_file and add a token with `simpul-hub token add NAME`, or listen on loopback",
        ),
        (
            "[enrolment]\nlisten = \"127.0.0.1:1\"",
            "enrolment.addresses, enrolment.hubs: with a listener write both: where nodes find it, and where they find MQTT",
        ),
        (
            "[mqtt]\nca_file = \"a\"\n[enrolment]\nlisten = \"127.0.0.1:1\"\naddresses = [\"h:1\"]\nhubs = [\"h:2\"]",
            "enrolment.listen, mqtt.ca_file: leave it out: the hub's own CA, which enrols the nodes, makes it in DATA/pki",
        ),
        (
            "[enrolment]\naddresses = [\"h\"]",
            "enrolment.addresses = [\"h\"]: a list of at most 8 \"host:port\" is allowed; correct it",
        ),
        ("[mqtt]\nlisten = \"127.0.0.1:8470\"", "mqtt.listen, web.listen: give them different ports"),
        ("[web]\nkey_file = \"a\"", "web.certificate_file, web.key_file: set both, or neither"),
        (
            "[mqtt]\nexternal_url = \"mqtt://broker\"",
            "mqtt.external_url = \"mqtt://broker\": mqtts://host or mqtts://host:port is allowed (TLS always; user and \
             password are not used); correct it",
        ),
        (
            "[mqtt]\nshare_group = \"a/b\"",
            "mqtt.share_group = \"a/b\": 1 to 64 letters, digits, '.', '_' or '-' are allowed; use the same name on all \
             hubs of one store",
        ),
        (
            "[mqtt]\nlisten = \"127.0.0.1:1\"\nexternal_url = \"mqtts://broker\"",
            "mqtt.listen, mqtt.external_url: set one of them: own server or other broker",
        ),
        (
            "[store]\nbudget_bytes_max = \"1 GB\"",
            "store.budget_bytes_max = \"1 GB\": at least 256 MiB is allowed, such as \"200 GiB\" or a number of bytes; correct it",
        ),
        (
            "[store]\nsnapshot_retention_days = 0",
            "store.snapshot_retention_days = 0: a whole number from 1 to 365 is allowed; correct it",
        ),
        (
            "[demo]\nfibre_control = \"http://192.0.2.1:9000\"",
            "demo.fibre_control = \"http://192.0.2.1:9000\": only http://127.0.0.1:port or http://[::1]:port is allowed; \
             leave it out: only the demo sets it",
        ),
        (
            "[nodes]\nlist = [{ id = \"a b\" }]",
            "nodes.list[0].id = \"a b\": 1 to 64 letters, digits, '.', '_' or '-', beginning with a letter or digit; \
             correct it as it stands on the node's label",
        ),
        (
            "[nodes]\nlist = [{ id = \"a\", vilage_code = \"1\" }]",
            "unknown key nodes.list[0].vilage_code: did you mean village_code?",
        ),
        (
            "[nodes]\nlist = [{ id = \"a\", village_code = 35 }]",
            "nodes.list[0].village_code = 35: a text in quotes is allowed (codes are text); correct it",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(problems(text), [*expected], "{text}");
    }
}

#[test]
fn all_problems_of_a_file_are_told_at_once() {
    assert_eq!(problems("timezone = \"GMT\"\nx = 1\n[store]\nsnapshot_retention_days = 999").len(), 3);
}

#[test]
fn the_command_line_overrides_the_file() {
    let overrides = Overrides { data_directory: Some("/d".into()), mqtt: Some("mqtts://cluster.example".into()) };
    let text = "data_directory = \"/x\"\n[mqtt]\nlisten = \"127.0.0.1:1\"";
    let config = Config::parse(text, Path::new("hub.toml"), &overrides).unwrap();
    assert_eq!(config.data_directory, Path::new("/d"));
    assert_eq!(config.web.tokens_file, Path::new("/d/tokens"));
    assert_eq!(
        config.mqtt.side,
        MqttSide::External { url: "mqtts://cluster.example".into(), share_group: "simpul-hub".into() }
    );
}

#[test]
fn relative_paths_begin_at_the_files_folder() {
    let config = parse("[mqtt]\nca_file = \"ca.pem\"").unwrap();
    assert_eq!(config.mqtt.ca_file, Path::new("/etc/simpul/ca.pem"));
}

#[test]
fn a_file_that_is_named_must_be_there() {
    let error = Config::load(Some(Path::new("/nowhere/hub.toml")), &Overrides::default()).unwrap_err();
    assert!(error.to_string().starts_with("cannot read /nowhere/hub.toml: "), "{error}");
}
