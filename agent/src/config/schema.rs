//! Every configuration key, once: doc with unit, default and example. The parser takes defaults and names from here,
//! `config print-defaults` prints them.

/// One key.
pub(super) struct Key {
    pub(super) name: &'static str,
    /// The default, as TOML; `None`: nothing.
    pub(super) default: Option<&'static str>,
    /// Whether the file must have it.
    pub(super) required: bool,
    /// An example, as TOML.
    pub(super) example: &'static str,
    pub(super) doc: &'static str,
}

/// One table, or array of tables.
pub(super) struct Table {
    /// Its name; empty: the top of the file.
    pub(super) name: &'static str,
    /// `[[name]]`, any number of times.
    pub(super) many: bool,
    /// May be left out, and is off then.
    pub(super) optional: bool,
    pub(super) doc: &'static str,
    pub(super) keys: &'static [Key],
}

const fn required(name: &'static str, example: &'static str, doc: &'static str) -> Key {
    Key { name, default: None, required: true, example, doc }
}

const fn key(name: &'static str, default: &'static str, example: &'static str, doc: &'static str) -> Key {
    Key { name, default: Some(default), required: false, example, doc }
}

const fn optional(name: &'static str, example: &'static str, doc: &'static str) -> Key {
    Key { name, default: None, required: false, example, doc }
}

pub(super) static TOP: Table = Table {
    name: "",
    many: false,
    optional: false,
    doc: "Configuration of simpul-agent. Relative paths are relative to this file's folder.\n\
          Durations: \"500 ms\", \"30 s\", \"5 min\", \"48 h\", \"14 d\". Sizes: \"16 KiB\", \"64 MiB\", \"1 GiB\".\n\
          Lines that begin with one # are keys without a default, or of parts that are off.",
    keys: &[
        required(
            "node",
            "\"35.12.07.2003-01\"",
            "This node's id, as in its certificate: village code and ordinal by convention.",
        ),
        key(
            "clock",
            "\"auto\"",
            "\"trust\"",
            "\"auto\": wall time only while the kernel says that the clock is synchronised.\n\
             \"trust\": always, for demos and tests.",
        ),
        optional(
            "state_directory",
            "\"/var/lib/simpul/sources\"",
            "Where sources keep the little they remember over a restart. Left out: `sources` beside the spool.",
        ),
    ],
};

pub(super) static SPOOL: Table = Table {
    name: "spool",
    many: false,
    optional: false,
    doc: "The buffer. What happens at a limit is chosen per stream.",
    keys: &[
        key("directory", "\"/var/lib/simpul/spool\"", "\"spool\"", "Where it lives."),
        key(
            "service_bytes_max",
            "\"64 MiB\"",
            "\"128 MiB\"",
            "Service records; at the limit the local API answers 507.",
        ),
        key("event_bytes_max", "\"16 MiB\"", "\"8 MiB\"", "Events; at the limit the oldest go first, counted."),
        key(
            "reading_bytes_max",
            "\"64 MiB\"",
            "\"32 MiB\"",
            "Readings; at the limit rolled up, then the oldest go first, counted.",
        ),
        key(
            "snapshot_bytes_max",
            "\"1 GiB\"",
            "\"8 GiB\"",
            "Images; at the limit thinned, then the oldest go first, counted.",
        ),
        key(
            "kept_bytes_max",
            "\"16 MiB\"",
            "\"32 MiB\"",
            "Acknowledged service records and events, kept in case the hub is restored from a backup.",
        ),
        key("kept_for", "\"48 h\"", "\"7 d\"", "The same in time."),
        key(
            "ballast_bytes",
            "\"4 MiB\"",
            "\"8 MiB\"",
            "A real file that is deleted when the disk is full, so that the spool can go on.",
        ),
        optional(
            "hardware_serial",
            "\"10000000a1b2c3d4\"",
            "The machine's serial, to notice a cloned card. Left out: read from the machine.",
        ),
    ],
};

pub(super) static UPLINK: Table = Table {
    name: "uplink",
    many: false,
    optional: false,
    doc: "The way to the hub.",
    keys: &[
        optional(
            "hubs",
            "[\"hub.example:8883\"]",
            "Hub addresses host:port, tried in turn; 1 to 8. Left out: those that the hub tells an enrolled node.",
        ),
        optional(
            "server_name",
            "\"hub.example\"",
            "The name in the hub's certificate. Left out: the one that all hubs have for enrolled nodes, else the\n\
             address's host.",
        ),
        key(
            "ca_file",
            "\"ca.pem\"",
            "\"/etc/simpul/ca.pem\"",
            "PEM file with the district's CA, or two of them; it, certificate and key are not used by an enrolled node.",
        ),
        key("certificate_file", "\"node.pem\"", "\"/etc/simpul/node.pem\"", "PEM file with this node's certificate."),
        key("key_file", "\"node.key\"", "\"/etc/simpul/node.key\"", "PEM file with this node's key, mode 0600."),
        key("state_interval", "\"30 s\"", "\"60 s\"", "How often the agent says how it is; 1 s to 1 h."),
        key(
            "reconnect_max",
            "\"60 s\"",
            "\"5 min\"",
            "Longest pause between attempts to connect, drawn at random below it; 100 ms to 1 h.",
        ),
        key(
            "no_progress",
            "\"60 s\"",
            "\"2 min\"",
            "No acknowledgement for so long with something in flight: connect anew; 1 s to 1 h.",
        ),
        optional(
            "daily_bytes_max",
            "\"150 MB\"",
            "Bytes a day on a metered link; service records and events go first and are never held back.\n\
             Left out: unmetered.",
        ),
    ],
};

pub(super) static ENROLMENT: Table = Table {
    name: "enrolment",
    many: false,
    optional: false,
    doc: "How this node gets its certificate, and keeps it fresh: with the token that `simpul-hub nodes token` prints.",
    keys: &[
        key(
            "directory",
            "\"/var/lib/simpul/identity\"",
            "\"identity\"",
            "Where key, certificate and CAs are kept; only the agent's user can read them.",
        ),
        key(
            "token_file",
            "\"/var/lib/simpul/enrolment.token\"",
            "\"/boot/firmware/simpul.token\"",
            "Where the token is looked for. It is deleted after the first session with the hub.",
        ),
        key(
            "check_interval",
            "\"24 h\"",
            "\"6 h\"",
            "How often the hub is asked for new CAs and addresses; 1 s to 7 d.",
        ),
    ],
};

pub(super) static CAMERA: Table = Table {
    name: "cameras",
    many: true,
    optional: true,
    doc: "A camera; repeat for each, at most 16. Either snapshot_url or onvif_url.",
    keys: &[
        required("id", "\"gate\"", "Its own id: it stays when the camera is moved or replaced."),
        optional(
            "snapshot_url",
            "\"http://192.168.1.64/ISAPI/Streaming/channels/101/picture\"",
            "Where its JPEG is. Hikvision as in the example; Dahua /cgi-bin/snapshot.cgi; Axis /axis-cgi/jpg/image.cgi.",
        ),
        optional(
            "onvif_url",
            "\"http://192.168.1.64/onvif/device_service\"",
            "Its ONVIF device service: asked where its JPEG is.",
        ),
        optional("onvif_profile", "\"Profile_1\"", "Token of the ONVIF profile. Left out: the first."),
        optional("username", "\"viewer\"", "User for HTTP Digest; make one at the camera that may only look."),
        optional("password_file", "\"gate.password\"", "File with the password, mode 0600."),
        key("interval", "\"60 s\"", "\"30 s\"", "Time between polls; 500 ms to 1 d."),
        key("heartbeat", "\"15 min\"", "\"1 h\"", "An unchanged scene is still stored this often; up to 7 d."),
        key("image_bytes_max", "\"4 MiB\"", "\"1 MiB\"", "Largest image taken; 16 KiB to 8 MiB."),
        key(
            "masks",
            "[]",
            "[{ x = 0, y = 600, width = 250, height = 400 }]",
            "Rectangles that nobody may see, in thousandths of width and height: burnt in before an image is stored.",
        ),
        optional(
            "mask_resolution",
            "\"1920x1080\"",
            "Resolution for which the masks were drawn: at another one everything is masked until someone confirms.",
        ),
        key("frozen_after", "5", "10", "So many identical images in a row mean frozen; 2 to 1000."),
        key("simulated", "false", "true", "Marks its images as made by a simulator."),
    ],
};

pub(super) static LOCAL_API: Table = Table {
    name: "local_api",
    many: false,
    optional: true,
    doc: "The HTTP API for queue software, kiosks and tax boxes on the village LAN. Left out: off.",
    keys: &[
        key("listen", "\"127.0.0.1:8480\"", "\"192.168.1.10:8480\"", "Address and port to listen on."),
        required("token_file", "\"local-api.token\"", "File with the bearer token, at least 16 characters, mode 0600."),
        key("body_bytes_max", "\"16 KiB\"", "\"64 KiB\"", "Largest request body; 1 KiB to 1 MiB."),
        key(
            "requests_per_second_max",
            "20",
            "50",
            "Requests per second and client address, sustained; bursts of ten times as many; 1 to 10000.",
        ),
    ],
};

pub(super) static PHONE: Table = Table {
    name: "phone",
    many: false,
    optional: true,
    doc: "The page that a technician opens with a phone on the village LAN, with the code on the node's label: examine the\n\
          node, aim its cameras, draw masks, accept it. It listens only until the node is accepted. Left out: off.",
    keys: &[
        key("listen", "\"0.0.0.0:8481\"", "\"192.168.1.10:8481\"", "Address and port to listen on."),
        key(
            "open_for",
            "\"14 d\"",
            "\"3 d\"",
            "An unused code opens for so long, of the agent's running time; 1 min to 90 d.",
        ),
    ],
};

pub(super) static LED: Table = Table {
    name: "led",
    many: false,
    optional: true,
    doc: "The machine's own LED shows how the node is (docs/phone.md). Left out: it is left alone.",
    keys: &[key(
        "name",
        "\"auto\"",
        "\"ACT\"",
        "Its name in /sys/class/leds. \"auto\": ACT or led0, as on a Raspberry Pi.",
    )],
};

pub(super) static HOST: Table = Table {
    name: "host",
    many: false,
    optional: false,
    doc: "The machine itself: processor, memory, disk, card wear, temperature, supply, link.",
    keys: &[
        key("enabled", "true", "false", "Whether to measure it."),
        key("interval", "\"10 s\"", "\"60 s\"", "Time between samples; 1 s to 1 h."),
    ],
};

pub(super) static BOARD: Table = Table {
    name: "board",
    many: false,
    optional: true,
    doc: "The I/O board: buttons at the desks, fibre optics, supply, relay. Left out: there is none.",
    keys: &[
        key(
            "port",
            "\"auto\"",
            "\"/dev/ttyAMA0\"",
            "\"auto\": a USB serial device of Raspberry Pi's (2e8a); no other device is ever written to.\n\
             Otherwise the serial port, such as a UART or a link in /dev/serial/by-id.",
        ),
        key("long_press_ms", "1500", "2000", "A press of at least so many milliseconds is a long one; 300 to 10000."),
        key("cages", "[]", "[0, 1]", "SFP cages that are wired, from 0; their readings are optics.0 and optics.1."),
        key(
            "battery_low_mv",
            "0",
            "11500",
            "The battery is nearly empty below so many millivolts; 0: there is no battery; up to 60000.",
        ),
        key("relay", "false", "true", "Whether a relay is wired: the room may then switch its load off and on again."),
        optional(
            "firmware",
            "\"/var/lib/simpul/pico.img\"",
            "Image that the board is updated with when it runs another version, over the same serial port; the file is looked\n\
             at when the agent starts, and each minute for another time or size. An image that does not confirm itself is\n\
             given back by the board and not sent to it again. See `simpul-agent board update IMAGE --check`.",
        ),
        key("simulated", "false", "true", "Marks its counts as made by a simulator."),
    ],
};

pub(super) static DESK: Table = Table {
    name: "board.desk",
    many: true,
    optional: true,
    doc: "A desk with a button; repeat for each. A button without an entry is switched off.",
    keys: &[
        required("button", "1", "The button, 1 to 8, as printed on the board."),
        required("service", "\"ktp\"", "Code of the service that it counts."),
        optional("desk", "\"1\"", "The desk's name, when there are several for the service."),
        key(
            "long_press",
            "\"no_show\"",
            "\"undo\"",
            "What a long press means. \"no_show\": who was called did not come. \"undo\": the press before was a mistake,\n\
             one less. \"ignore\": nothing.",
        ),
    ],
};

pub(super) static UPDATE: Table = Table {
    name: "update",
    many: false,
    optional: false,
    doc: "Updates from the hub, of an enrolled node: programs (signed), and this configuration. What is new runs on trial;\n\
          what does not reach the hub goes back by itself. This file wins over the hub's as soon as somebody edits it.",
    keys: &[
        optional(
            "keys",
            "[\"4cb5abf6ad79fbf5abbccafcc269d85cd2651ed4b885b5869f241aedf0a5ba29\"]",
            "Public keys (Ed25519, hexadecimal or base64) of which one must have signed a program; at most 4.\n\
             Left out: programs are not taken from afar.",
        ),
        key(
            "not_between",
            "[]",
            "[\"07:30-12:00\"]",
            "Times of day at which nothing is restarted: people queue. It does not wait for longer than a day.",
        ),
        key("zone", "\"WIB\"", "\"WITA\"", "The zone of these times: WIB, WITA or WIT."),
        key("look_every", "\"1 h\"", "\"15 min\"", "How often the hub is asked; it also says so itself; 1 s to 1 d."),
        key(
            "trial",
            "\"15 min\"",
            "\"30 min\"",
            "So long something new may run without the hub's acknowledgement before it goes back; 5 s to 1 h.",
        ),
    ],
};

pub(super) static TABLES: [&Table; 12] =
    [&TOP, &SPOOL, &UPLINK, &ENROLMENT, &CAMERA, &LOCAL_API, &PHONE, &LED, &HOST, &BOARD, &DESK, &UPDATE];

impl Table {
    pub(super) fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }
}

/// A configuration with every key: doc, default and example. What has no default is commented out; what is required
/// stands with its example.
pub fn print_defaults() -> String {
    let mut out = String::new();
    for table in TABLES {
        comment(&mut out, table.doc);
        // An optional table is commented out whole, so that what is printed is what is on by default.
        let off = if table.optional { "# " } else { "" };
        match (table.name, table.many) {
            ("", _) => out.push('\n'),
            (name, true) => out.push_str(&format!("{off}[[{name}]]\n")),
            (name, false) => out.push_str(&format!("{off}[{name}]\n")),
        }
        for key in table.keys {
            comment(&mut out, key.doc);
            match key.default {
                Some(default) => {
                    comment(&mut out, &format!("Default {default}. Example: {}", key.example));
                    out.push_str(&format!("{off}{} = {default}\n", key.name));
                }
                None if key.required => {
                    comment(&mut out, "Required.");
                    out.push_str(&format!("{off}{} = {}\n", key.name, key.example));
                }
                None => {
                    comment(&mut out, "No default.");
                    out.push_str(&format!("# {} = {}\n", key.name, key.example));
                }
            }
        }
        out.push('\n');
    }
    out
}

fn comment(out: &mut String, text: &str) {
    for line in text.lines() {
        out.push_str(&format!("## {}\n", line.trim_start()));
    }
}
