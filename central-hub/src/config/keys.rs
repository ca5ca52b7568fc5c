//! Every key of the configuration, once: what it means, its unit, its default. `config print-defaults` prints this
//! table and the check for unknown keys goes by it, so neither can name a key that the other does not know.

/// A key of the configuration file.
#[derive(Debug)]
pub struct Key {
    /// Section and name, such as `web.listen`.
    pub path: &'static str,
    /// What it means, for people.
    pub doc: &'static str,
    /// Unit or kind of the value.
    pub unit: &'static str,
    /// The default as TOML; `None`: not set.
    pub default: Option<&'static str>,
    /// A value to learn from, as TOML.
    pub example: &'static str,
}

/// The keys, in the order in which they are printed.
pub const KEYS: &[Key] = &[
    Key {
        path: "data_directory",
        doc: "Where the hub keeps everything: records, images, tokens, certificates. Made if missing; only its owner can read it.",
        unit: "path",
        default: Some("\"/var/lib/simpul-hub\""),
        example: "\"/srv/simpul\"",
    },
    Key {
        path: "timezone",
        doc: "The district's time zone: what \"today\" means on the wall.",
        unit: "WIB (UTC+7), WITA (UTC+8) or WIT (UTC+9)",
        default: Some("\"WIB\""),
        example: "\"WITA\"",
    },
    Key {
        path: "clock",
        doc: "When the hub's own clock is right enough to be handed out to nodes: \"auto\" when systemd-timesyncd says so, \"trust\" always (with chrony or ntpd).",
        unit: "auto or trust",
        default: Some("\"auto\""),
        example: "\"trust\"",
    },
    Key {
        path: "mqtt.listen",
        doc: "Address of the hub's own MQTT server (TLS, client certificates). Not together with mqtt.external_url.",
        unit: "address:port",
        default: Some("\"0.0.0.0:8883\""),
        example: "\"0.0.0.0:8883\"",
    },
    Key {
        path: "mqtt.external_url",
        doc: "Use this broker instead of the hub's own server. The command line's --mqtt says the same.",
        unit: "mqtts://host[:port]",
        default: None,
        example: "\"mqtts://broker.example:8883\"",
    },
    Key {
        path: "mqtt.ca_file",
        doc: "The district's CA (one or two certificates): who signs the nodes, and the broker.",
        unit: "PEM file; default DATA/pki/ca.pem",
        default: None,
        example: "\"/etc/simpul/ca.pem\"",
    },
    Key {
        path: "mqtt.certificate_file",
        doc: "The hub's certificate for MQTT.",
        unit: "PEM file; default DATA/pki/hub.pem",
        default: None,
        example: "\"/etc/simpul/hub.pem\"",
    },
    Key {
        path: "mqtt.key_file",
        doc: "Its key; only the hub's user may read it.",
        unit: "PEM file; default DATA/pki/hub.key",
        default: None,
        example: "\"/etc/simpul/hub.key\"",
    },
    Key {
        path: "mqtt.revoked_file",
        doc: "Serial numbers of revoked certificates, one a line in hexadecimal.",
        unit: "file",
        default: None,
        example: "\"/etc/simpul/revoked\"",
    },
    Key {
        path: "mqtt.share_group",
        doc: "With an external broker: the name that all hubs of one store share, so that each publish goes to one of them.",
        unit: "1 to 64 letters, digits, '.', '_' or '-'",
        default: Some("\"simpul-hub\""),
        example: "\"simpul-hub\"",
    },
    Key {
        path: "web.listen",
        doc: "Address of the page and the API. Anything but loopback needs certificate, key and at least one token.",
        unit: "address:port",
        default: Some("\"127.0.0.1:8470\""),
        example: "\"0.0.0.0:8470\"",
    },
    Key {
        path: "web.certificate_file",
        doc: "Certificate chain for HTTPS. Together with web.key_file.",
        unit: "PEM file",
        default: None,
        example: "\"/etc/simpul/web.pem\"",
    },
    Key {
        path: "web.key_file",
        doc: "Its key. Together with web.certificate_file.",
        unit: "PEM file",
        default: None,
        example: "\"/etc/simpul/web.key\"",
    },
    Key {
        path: "web.tokens_file",
        doc: "Named tokens, hashed, managed with `simpul-hub token`. While the file is missing, loopback is open to everybody on this machine.",
        unit: "file, mode 0600; default DATA/tokens",
        default: None,
        example: "\"/etc/simpul/tokens\"",
    },
    Key {
        path: "store.budget_bytes_max",
        doc: "How much disk the hub may use. Images are thinned first; acknowledgements are withheld last.",
        unit: "bytes, or with KiB, MiB, GiB or TiB",
        default: Some("\"100 GiB\""),
        example: "\"2 TiB\"",
    },
    Key {
        path: "store.snapshot_retention_days",
        doc: "Images are deleted this long after they were taken.",
        unit: "days, 1 to 365",
        default: Some("14"),
        example: "30",
    },
    Key {
        path: "enrolment.listen",
        doc: "Address at which nodes get and renew their certificates (HTTPS with the hub's own certificate; `simpul-hub ca init` makes it). Not set: they do not.",
        unit: "address:port",
        default: None,
        example: "\"0.0.0.0:8884\"",
    },
    Key {
        path: "enrolment.addresses",
        doc: "Where nodes find that listener: stands in each token, and nodes are told of changes. Several: tried in turn.",
        unit: "list of 1 to 8 \"host:port\"",
        default: Some("[]"),
        example: "[\"hub.example:8884\", \"192.0.2.7:8884\"]",
    },
    Key {
        path: "enrolment.hubs",
        doc: "Where nodes find MQTT: they are told with each certificate, and of changes within a day.",
        unit: "list of 1 to 8 \"host:port\"",
        default: Some("[]"),
        example: "[\"hub.example:8883\", \"192.0.2.7:8883\"]",
    },
    Key {
        path: "enrolment.certificate_seconds",
        doc: "How long a node's certificate holds; it is renewed at two thirds of that. 34300800 are 397 days.",
        unit: "seconds, 10 to 157680000",
        default: Some("34300800"),
        example: "7776000",
    },
    Key {
        path: "updates.keys",
        doc: "Whose signatures on programs are taken: the public keys that `simpul-hub updates key generate` printed. The keys themselves stay off the hub.",
        unit: "list of at most 4 keys, 64 hexadecimal digits each",
        default: Some("[]"),
        example: "[\"d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a\"]",
    },
    Key {
        path: "updates.rate_kib_per_second",
        doc: "How fast all nodes together download updates: what is left of the hub's uplink is for records and images.",
        unit: "KiB/s, 64 to 1048576",
        default: Some("1024"),
        example: "4096",
    },
    Key {
        path: "updates.node_rate_kib_per_second",
        doc: "How fast one node downloads updates.",
        unit: "KiB/s, 8 to 1048576",
        default: Some("128"),
        example: "16",
    },
    Key {
        path: "updates.downloads_max",
        doc: "How many nodes download at once; the others come again.",
        unit: "1 to 64",
        default: Some("16"),
        example: "32",
    },
    Key {
        path: "nodes.file",
        doc: "The nodes to expect: a CSV file with the header id,name,village_code,village_name.",
        unit: "CSV file",
        default: None,
        example: "\"/etc/simpul/nodes.csv\"",
    },
    Key {
        path: "nodes.list",
        doc: "The same, written here: tables with id, name, village_code and village_name.",
        unit: "list of tables",
        default: Some("[]"),
        example: "[{ id = \"35.12.07.2003-01\", name = \"Kantor desa\", village_code = \"35.12.07.2003\", village_name = \"Sumberanyar\" }]",
    },
    Key {
        path: "demo.fibre_control",
        doc: "The demo's fibre switch: the address of its proxy. Leave it out anywhere else.",
        unit: "http://127.0.0.1:port",
        default: None,
        example: "\"http://127.0.0.1:9000\"",
    },
];

/// Keys of one table of `nodes.list`.
pub const NODE_KEYS: &[&str] = &["id", "name", "village_code", "village_name"];

/// The whole file as it would be with every default, each key with its explanation. Valid as it stands.
pub fn print_defaults() -> String {
    let mut text = String::from(
        "# Simpul hub. Every key with its default; lines that begin with '#' are not set.\n\
         # Relative paths begin at this file's folder. DATA is data_directory.\n",
    );
    let mut section = "";
    for key in KEYS {
        let (of, name) = key.path.split_once('.').unwrap_or(("", key.path));
        if of != section {
            text += &format!("\n[{of}]\n");
            section = of;
        }
        text += &format!("\n# {}\n# Value: {}.\n", key.doc, key.unit);
        match key.default {
            Some(default) => text += &format!("{name} = {default}\n"),
            None => text += &format!("#{name} = {}\n", key.example),
        }
    }
    text
}
