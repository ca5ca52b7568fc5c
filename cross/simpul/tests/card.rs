//! `simpul card` as a process, on files that stand for cards, judged by fsck.vfat and mtools.

mod support;

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use support::{
    BOOKWORM, IMAGE_BYTES, PASSWORD, TOKEN, TRIXIE, bundle, check_fat, command, image, on_fat, said, shown, simpul,
    tool,
};

#[test]
fn an_image_of_each_packing_is_written_and_read_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let plain = image(folder.path(), "a.img", BOOKWORM);
    let bytes = fs::read(&plain).expect("the image");
    tool("xz", &["-k", "-1", &shown(&plain)]);
    tool("gzip", &["-k", "-1", &shown(&plain)]);
    tool("zstd", &["-q", "-1", &shown(&plain)]);
    for name in ["a.img", "a.img.xz", "a.img.gz", "a.img.zst"] {
        let card = folder.path().join(format!("card-of-{name}"));
        let output = simpul(&["card", &shown(&folder.path().join(name)), "--to", &shown(&card), "--yes"]);
        assert!(output.status.success(), "{name}: {}", said(&output));
        assert!(fs::read(&card).expect("the card") == bytes, "{name}");
        assert!(said(&output).contains("read back and found equal"), "{name}: {}", said(&output));
        assert!(said(&output).contains("Writing: 100%"), "plain lines where there is no terminal: {}", said(&output));
    }
}

#[test]
fn a_nodes_files_are_on_the_boot_partition_and_again_the_same() {
    for (files, hook, how) in [(BOOKWORM, "cmdline.txt", "cmdline.txt"), (TRIXIE, "vendor-data", "cloud-init")] {
        let folder = tempfile::tempdir().expect("a folder");
        let image = image(folder.path(), "a.img", files);
        let bundle = bundle(folder.path(), "35.12.07.2003-01", "node.tar");
        let card = folder.path().join("card");
        let output = simpul(&["card", &shown(&image), "--to", &shown(&card), "--node", &shown(&bundle), "--yes"]);
        assert!(output.status.success(), "{}", said(&output));
        assert!(said(&output).contains(how), "{}", said(&output));
        assert!(!said(&output).contains(TOKEN), "the token was said");
        check_fat(folder.path(), &card);
        assert_eq!(on_fat(&card, "simpul-enrolment.token").as_deref(), Some(format!("{TOKEN}\n").as_bytes()));
        assert_eq!(on_fat(&card, "simpul-agent").map(|agent| agent.len()), Some(3_000_000));
        let script = String::from_utf8(on_fat(&card, "simpul-first-boot.sh").expect("the script")).expect("text");
        assert!(!script.contains("='@") && script.contains("VOLUME='1A2B-3C4D'"), "{script}");
        let hooked = String::from_utf8(on_fat(&card, hook).expect("the hook")).expect("text");
        if how == "cmdline.txt" {
            assert_eq!(hooked.lines().count(), 1);
            assert!(hooked.starts_with("console=tty1 root=PARTUUID=1234-02 rootwait quiet init="), "{hooked}");
            assert!(hooked.contains(" systemd.run=/boot/firmware/simpul-first-boot.sh "), "{hooked}");
        } else {
            assert!(hooked.starts_with("#!/bin/sh\n"));
            assert_eq!(on_fat(&card, "user-data").as_deref(), Some(b"#cloud-config\nssh_pwauth: false\n".as_slice()));
        }
        // Beside the node's files nothing of the card changed.
        let (before, after) = (fs::read(&image).expect("the image"), fs::read(&card).expect("the card"));
        assert!(before[..4 << 20] == after[..4 << 20] && before[24 << 20..] == after[24 << 20..]);
        let again = simpul(&["card", "--only-node", "--to", &shown(&card), "--node", &shown(&bundle)]);
        assert!(again.status.success(), "{}", said(&again));
        check_fat(folder.path(), &card);
        let twice = fs::read(&card).expect("the card");
        assert!(on_fat(&card, hook) == Some(hooked.into_bytes()), "the hook is there once");
        assert_eq!(twice.len(), after.len());
    }
}

#[test]
fn the_first_boots_script_installs_and_takes_its_secrets_away_and_may_be_cut_anywhere() {
    let folder = tempfile::tempdir().expect("a folder");
    let image = image(folder.path(), "a.img", BOOKWORM);
    let bundle = bundle(folder.path(), "35.12.07.2003-01", "node.tar");
    let card = folder.path().join("card");
    let output = simpul(&["card", &shown(&image), "--to", &shown(&card), "--node", &shown(&bundle), "--yes"]);
    assert!(output.status.success(), "{}", said(&output));
    let root = folder.path().join("root");
    let boot = root.join("boot/firmware");
    fs::create_dir_all(&boot).expect("a root");
    tool("mcopy", &["-s", "-i", &support::at(&card), "::*", &shown(&boot)]);
    let script = boot.join("simpul-first-boot.sh");
    let run = |cut_after_ms: Option<u64>| {
        let mut child = Command::new("sh")
            .arg(&script)
            .env("SIMPUL_ROOT", &root)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("sh");
        if let Some(milliseconds) = cut_after_ms {
            std::thread::sleep(Duration::from_millis(milliseconds));
            let _ = child.kill();
        }
        let _ = child.wait();
    };
    // Two cuts, then the whole: three tries are what it allows itself.
    for milliseconds in [3, 12] {
        run(Some(milliseconds));
    }
    run(None);
    let read = |path: &str| fs::read_to_string(root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
    assert_eq!(read("etc/simpul/agent.toml"), "node = \"35.12.07.2003-01\"\n");
    assert_eq!(read("var/lib/simpul/enrolment.token"), format!("{TOKEN}\n"));
    assert_eq!(fs::read(root.join("usr/bin/simpul-agent")).expect("the agent").len(), 3_000_000);
    assert!(!boot.join("simpul-enrolment.token").exists(), "the token is still on the boot partition");
    assert!(!boot.join("simpul-agent.toml").exists());
    assert_eq!(read("etc/simpul/kamera-1.password"), PASSWORD);
    assert!(!boot.join("simpul-secret.kamera-1.password").exists(), "the password is still on the boot partition");
    assert!(!read("boot/firmware/cmdline.txt").contains("systemd."), "{}", read("boot/firmware/cmdline.txt"));
    assert!(read("boot/firmware/cmdline.txt").contains("rootwait quiet init="));
    assert!(read("boot/firmware/simpul-first-boot.log").contains("done"));
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &fs::metadata(root.join("var/lib/simpul/enrolment.token")).expect("it").permissions(),
    );
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_node_with_a_phone_page_gets_the_name_that_its_label_says() {
    let folder = tempfile::tempdir().expect("a folder");
    let image = image(folder.path(), "a.img", BOOKWORM);
    let node = "35.12.07.2003-01";
    let token = simpul_wire::enrolment::EnrolmentToken {
        node: node.parse().expect("an id"),
        secret: simpul_wire::enrolment::Secret::from_bytes([7; 16]),
        authority: [1; 32],
        addresses: vec!["hub.example:8884".parse().expect("an address")],
        expires_s: 1,
    };
    for (more, hostname, hosts) in [
        ("[phone]\n", "simpul-35-12-07-2003-01\n", "127.0.0.1 localhost\n127.0.1.1 simpul-35-12-07-2003-01\n"),
        ("", "raspberrypi\n", "127.0.0.1 localhost\n127.0.1.1\traspberrypi\n"),
    ] {
        let place = tempfile::tempdir().expect("a folder");
        let bundle = support::bundle_of(place.path(), node, "node.tar", more, &token.to_string());
        let card = place.path().join("card");
        let output = simpul(&["card", &shown(&image), "--to", &shown(&card), "--node", &shown(&bundle), "--yes"]);
        assert!(output.status.success(), "{}", said(&output));
        let root = place.path().join("root");
        let boot = root.join("boot/firmware");
        fs::create_dir_all(&boot).expect("a root");
        fs::create_dir_all(root.join("etc")).expect("a root");
        fs::write(root.join("etc/hostname"), "raspberrypi\n").expect("a name");
        fs::write(root.join("etc/hosts"), "127.0.0.1 localhost\n127.0.1.1\traspberrypi\n").expect("names");
        tool("mcopy", &["-s", "-i", &support::at(&card), "::*", &shown(&boot)]);
        let mut script = Command::new("sh");
        script.arg(boot.join("simpul-first-boot.sh")).env("SIMPUL_ROOT", &root);
        let output = script.output().expect("sh");
        assert!(output.status.success(), "{}", said(&output));
        let read = |path: &str| fs::read_to_string(root.join(path)).expect("a file");
        assert_eq!((&*read("etc/hostname"), &*read("etc/hosts")), (hostname, hosts), "{more:?}");
    }
}

#[test]
fn an_identity_that_was_made_ahead_is_installed_where_the_agent_keeps_its_own() {
    use simpul_wire::enrolment::{Identity, KeptIdentity, Trust, Validity};
    let folder = tempfile::tempdir().expect("a folder");
    let trust = Trust { authorities: vec![vec![1].into()], ..Trust::default() };
    let identity = Identity { certificate: vec![0x30].into(), validity: Validity { from_s: 1, to_s: 2 }, trust };
    let node = "35.12.07.2003-01".parse().expect("an id");
    let kept = KeptIdentity { node, key: vec![7; 138].into(), identity, token: None }.to_file();
    let file = folder.path().join("identity.cbor");
    fs::write(&file, &kept).expect("a file");
    let bundle = support::bundle_with(folder.path(), "35.12.07.2003-01", "node.tar", "", ("--identity-file", &file));
    let image = image(folder.path(), "a.img", BOOKWORM);
    let card = folder.path().join("card");
    let output = simpul(&["card", &shown(&image), "--to", &shown(&card), "--node", &shown(&bundle), "--yes"]);
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(on_fat(&card, "simpul-identity.cbor").as_deref(), Some(&kept[..]));
    assert_eq!(on_fat(&card, "simpul-enrolment.token"), None);
    let root = folder.path().join("root");
    let boot = root.join("boot/firmware");
    fs::create_dir_all(&boot).expect("a root");
    tool("mcopy", &["-s", "-i", &support::at(&card), "::*", &shown(&boot)]);
    let mut script = Command::new("sh");
    script.arg(boot.join("simpul-first-boot.sh")).env("SIMPUL_ROOT", &root).stdout(Stdio::null());
    assert!(script.status().expect("sh").success());
    let installed = root.join("var/lib/simpul/identity/identity.cbor");
    assert_eq!(fs::read(&installed).expect("the identity"), kept);
    let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&installed).expect("it").permissions());
    assert_eq!(mode & 0o777, 0o600);
    assert!(!boot.join("simpul-identity.cbor").exists(), "the identity is still on the boot partition");

    // Another node's is refused when the bundle is made.
    let other = simpul(&[
        "bundle",
        "make",
        "--node",
        "35.12.07.2003-010",
        "--village",
        "X",
        "--config",
        &shown(&folder.path().join("config.toml")),
        "--identity-file",
        &shown(&file),
        "--agent",
        &shown(&folder.path().join("simpul-agent")),
        "--to",
        &shown(&folder.path().join("other.tar")),
    ]);
    assert_eq!(other.status.code(), Some(5), "{}", said(&other));
    assert!(said(&other).contains("identity of another node (35.12.07.2003-01)"), "{}", said(&other));
}

#[test]
fn a_damaged_file_on_the_card_is_not_installed_and_the_card_still_boots() {
    let folder = tempfile::tempdir().expect("a folder");
    let image = image(folder.path(), "a.img", BOOKWORM);
    let bundle = bundle(folder.path(), "35.12.07.2003-01", "node.tar");
    let card = folder.path().join("card");
    assert!(
        simpul(&["card", &shown(&image), "--to", &shown(&card), "--node", &shown(&bundle), "--yes"]).status.success()
    );
    let root = folder.path().join("root");
    let boot = root.join("boot/firmware");
    fs::create_dir_all(&boot).expect("a root");
    tool("mcopy", &["-s", "-i", &support::at(&card), "::*", &shown(&boot)]);
    fs::write(boot.join("simpul-agent"), "torn").expect("a torn agent");
    for _ in 0..3 {
        let mut script = Command::new("sh");
        script.arg(boot.join("simpul-first-boot.sh")).env("SIMPUL_ROOT", &root).stderr(Stdio::null());
        assert!(script.status().expect("sh").success());
    }
    assert!(!root.join("usr/bin/simpul-agent").exists());
    let line = fs::read_to_string(boot.join("cmdline.txt")).expect("the line");
    assert!(!line.contains("systemd.run"), "after three tries the card boots as it is: {line}");
    assert!(fs::read_to_string(boot.join("simpul-first-boot.log")).expect("a log").contains("given up"));
}

#[test]
fn a_bundle_stands_only_on_the_card() {
    let folder = tempfile::tempdir().expect("a folder");
    let scratch = folder.path().join("scratch");
    fs::create_dir(&scratch).expect("a folder");
    let image = image(folder.path(), "a.img", BOOKWORM);
    let bundle = bundle(folder.path(), "35.12.07.2003-01", "node");
    let card = folder.path().join("card");
    let output = command(&["card", &shown(&image), "--to", &shown(&card), "--node", &shown(&bundle), "--yes"])
        .env("TMPDIR", &scratch)
        .env("HOME", &scratch)
        .current_dir(&scratch)
        .output()
        .expect("simpul runs");
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(fs::read_dir(&scratch).expect("the folder").count(), 0, "something was left behind");
    let found =
        fs::read(&card).expect("the card").windows(TOKEN.len()).filter(|bytes| bytes == &TOKEN.as_bytes()).count();
    assert_eq!(found, 1);
}

#[test]
fn a_killed_write_leaves_no_disk_and_the_second_run_says_so_and_completes() {
    let folder = tempfile::tempdir().expect("a folder");
    let image = image(folder.path(), "a.img", BOOKWORM);
    let whole = fs::read(&image).expect("the image");
    let card = folder.path().join("card");
    let (mut unfinished, mut complete) = (0, 0);
    // A process that is killed loses nothing that it wrote, so the seed is the moment alone: each 3 ms later.
    for kill_after_ms in (0..100).map(|round| round * 3) {
        fs::write(&card, vec![0xEE; IMAGE_BYTES as usize]).expect("an old card");
        let mut child = command(&["card", &shown(&image), "--to", &shown(&card), "--yes"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("simpul runs");
        std::thread::sleep(Duration::from_millis(kill_after_ms));
        let _ = child.kill();
        let status = child.wait().expect("it ends");
        let left = fs::read(&card).expect("the card");
        if left[510..512] == [0x55, 0xAA] {
            assert!(left == whole, "killed after {kill_after_ms} ms: it looks bootable and is not whole");
            complete += 1;
        } else {
            assert!(!status.success(), "killed after {kill_after_ms} ms: done, and no disk");
            unfinished += usize::from(left.starts_with(b"SIMPUL-UNFINISHED"));
        }
    }
    println!("100 kills, 0 to 297 ms: unfinished {unfinished}, complete {complete}");
    assert!(unfinished > 0, "no kill met the write");
    let mut head = whole[..512].to_vec();
    head.fill(0);
    fs::write(&card, vec![0xEE; IMAGE_BYTES as usize]).expect("an old card");
    // The last word of an interrupted run, made by one: killed as soon as its mark is there.
    let mut child = command(&["card", &shown(&image), "--to", &shown(&card), "--yes"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("simpul runs");
    while !fs::read(&card).expect("the card").starts_with(b"SIMPUL-UNFINISHED") {
        assert!(child.try_wait().expect("it runs").is_none(), "it was done before it could be killed");
    }
    let _ = child.kill();
    let _ = child.wait();
    let again = simpul(&["card", &shown(&image), "--to", &shown(&card), "--yes"]);
    assert!(again.status.success() && said(&again).contains("left unfinished: a.img"), "{}", said(&again));
    assert!(fs::read(&card).expect("the card") == whole);
}

#[test]
fn each_bad_input_is_refused_in_both_languages_and_nothing_is_written() {
    let folder = tempfile::tempdir().expect("a folder");
    let good = image(folder.path(), "good.img", BOOKWORM);
    let whole = fs::read(&good).expect("the image");
    let put = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, bytes).expect("a file");
        shown(&path)
    };
    tool("xz", &["-k", "-1", &shown(&good)]);
    tool("gzip", &["-k", "-1", &shown(&good)]);
    tool("zstd", &["-q", "-1", &shown(&good)]);
    let part = |name: &str| {
        let bytes = fs::read(folder.path().join(name)).expect("an archive");
        bytes[..bytes.len() * 3 / 4].to_vec()
    };
    let mut damaged = fs::read(folder.path().join("good.img.xz")).expect("an archive");
    let middle = damaged.len() / 2;
    damaged[middle..middle + 64].fill(0x11);
    let small = put("small-card", &vec![0xEE; (IMAGE_BYTES / 2) as usize]);
    let old = put("old-card", &vec![0xEE; IMAGE_BYTES as usize]);
    let cases: Vec<(String, &str, u8, [&str; 2])> = vec![
        (shown(&folder.path().join("none.img")), &old, 3, ["tidak dapat dibaca", "cannot be read"]),
        (shown(folder.path()), &old, 3, ["bukan berkas", "not a file"]),
        (put("empty.img", b""), &old, 3, ["bukan citra disk", "not a disk image"]),
        (put("page.img", &b"<html>404</html>".repeat(100_000)), &old, 3, ["bukan citra disk", "not a disk image"]),
        (put("zeros.img", &vec![0; 4 << 20]), &old, 3, ["bukan citra disk", "not a disk image"]),
        (put("a.zip", b"PK\x03\x04............................"), &old, 3, ["berkas ZIP", "ZIP file"]),
        (put("a.qcow2", b"QFI\xFB............................"), &old, 3, ["berkas qcow2", "qcow2 file"]),
        (put("torn.img.xz", &part("good.img.xz")), &old, 3, ["terpotong", "cut short"]),
        (put("torn.img.gz", &part("good.img.gz")), &old, 3, ["terpotong", "cut short"]),
        (put("torn.img.zst", &part("good.img.zst")), &old, 3, ["terpotong", "cut short"]),
        (put("damaged.img.xz", &damaged), &old, 1, ["rusak", "damaged"]),
        (put("short.img", &whole[..20 << 20]), &old, 3, ["terlalu pendek", "too short"]),
        (shown(&good), &small, 3, ["Kartu terlalu kecil", "card is too small"]),
        (shown(&folder.path().join("good.img.gz")), &small, 3, ["Kartu terlalu kecil", "card is too small"]),
        (shown(&good), "/dev/simpul-none", 3, ["tidak ada", "does not exist"]),
        (shown(&good), "/tmp", 3, ["adalah folder", "is a folder"]),
    ];
    for (image, to, code, texts) in cases {
        for (language, text) in ["id", "en"].into_iter().zip(texts) {
            let output = simpul(&["card", &image, "--to", to, "--yes", "--language", language]);
            let said = said(&output);
            assert_eq!(output.status.code(), Some(code.into()), "{image} to {to}: {said}");
            assert!(said.contains(text), "{image} to {to} in {language}: {said}");
            let card = fs::read(to).unwrap_or_default();
            assert!(card.get(510..512) != Some(&[0x55, 0xAA]), "{image}: it looks bootable");
        }
    }
    put("good.img.sha256", format!("{}  good.img\n", "00".repeat(32)).as_bytes());
    let output = simpul(&["card", &shown(&good), "--to", &old, "--yes"]);
    assert!(output.status.code() == Some(3) && said(&output).contains("does not match"), "{}", said(&output));
}

#[test]
fn a_bundle_that_does_not_fit_is_refused_before_the_card_is_touched() {
    let folder = tempfile::tempdir().expect("a folder");
    let image = image(folder.path(), "a.img", BOOKWORM);
    let bundle = bundle(folder.path(), "35.12.07.2003-01", "node");
    let card = folder.path().join("card");
    let refused = |what: &str| {
        let output = simpul(&["card", &shown(&image), "--to", &shown(&card), "--node", &shown(&bundle), "--yes"]);
        assert!(output.status.code() == Some(5) && said(&output).contains(what), "{what}: {}", said(&output));
        assert!(!said(&output).contains(TOKEN), "the token was said");
        assert!(!card.exists());
    };
    let token = bundle.join("enrolment.token");
    fs::write(&token, "simpul1another\n").expect("another token");
    refused("does not match bundle.toml");
    fs::remove_file(&token).expect("no token");
    refused("is missing");
    fs::remove_file(bundle.join("bundle.toml")).expect("no manifest");
    refused("no node bundle");
}

#[test]
fn an_image_without_a_place_for_the_first_boot_says_so_and_does_not_boot() {
    let folder = tempfile::tempdir().expect("a folder");
    let bundle = bundle(folder.path(), "35.12.07.2003-01", "node.tar");
    let foreign = ("cmdline.txt", "root=/dev/mmcblk0p2 systemd.run=/boot/firstrun.sh\n");
    let other_machine = ("kernel7.img", "kernel");
    for (files, what) in [
        (&[("EFI.TXT", "grub")][..], "no place for a first boot"),
        (&[foreign][..], "first boot of its own in cmdline.txt"),
        (&[("cmdline.txt", "root=/dev/mmcblk0p2\n"), other_machine][..], "is for arm64, the image is for armhf"),
    ] {
        let image = image(folder.path(), "a.img", files);
        let card = folder.path().join("card");
        fs::write(&card, b"").expect("an empty file");
        let output = simpul(&["card", &shown(&image), "--to", &shown(&card), "--node", &shown(&bundle), "--yes"]);
        assert!(output.status.code() == Some(3) && said(&output).contains(what), "{what}: {}", said(&output));
        let left = fs::read(&card).expect("the card");
        assert!(left.starts_with(b"SIMPUL-UNFINISHED"), "{what}");
        assert!(left.len() < IMAGE_BYTES as usize, "{what}: it was said at the end only");
    }
}

#[test]
fn a_question_without_a_terminal_is_an_answer_of_its_own_and_never_a_wait() {
    let folder = tempfile::tempdir().expect("a folder");
    let image = image(folder.path(), "a.img", BOOKWORM);
    let card = folder.path().join("card");
    // A pipe that stays open and never says anything: the one that would hang.
    let mut child = command(&["card", &shown(&image), "--to", &shown(&card)])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("simpul runs");
    let _open = child.stdin.take();
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(4), "{}", said(&output));
    assert!(said(&output).contains("--yes"), "{}", said(&output));
    assert_eq!(fs::metadata(&card).map(|file| file.len()).unwrap_or(0), 0);
}

#[test]
fn a_key_at_a_terminal_is_the_answer() {
    let folder = tempfile::tempdir().expect("a folder");
    let image = image(folder.path(), "a.img", BOOKWORM);
    let card = folder.path().join("card");
    let line = format!("{} card {} --to {}", env!("CARGO_BIN_EXE_simpul"), shown(&image), shown(&card));
    let with_key = |key: &str| {
        let script = format!("sleep 1; printf '%s' {key}; sleep 20");
        let mut keys = Command::new("sh").args(["-c", &script]).stdout(Stdio::piped()).spawn().expect("sh");
        let typed = keys.stdout.take().expect("a pipe");
        let output = Command::new("script").args(["-qec", &line, "/dev/null"]).stdin(typed).output().expect("script");
        let _ = keys.kill();
        let _ = keys.wait();
        output
    };
    let no = with_key("n");
    assert_eq!(no.status.code(), Some(4), "{}", said(&no));
    assert_eq!(fs::metadata(&card).map(|file| file.len()).unwrap_or(0), 0);
    let yes = with_key("y");
    assert!(yes.status.success(), "{}", said(&yes));
    assert!(fs::read(&card).expect("the card") == fs::read(&image).expect("the image"));
}
