//! Labels are read back from their pictures; a box of nodes is written, killed, and gone on with.

mod support;

use std::fs;
use std::process::Stdio;

use support::{BOOKWORM, bundle, bundle_of, command, image, on_fat, said, shown, simpul, tool};

const LIST: &str = "node,village,serial\n\
    35.12.07.2003-01,Banyuglugur,100000003f7a2c11\n\
    35.12.07.2004-01,Kalianget,\n\
    35.12.03.2007-02,Sumberanyar Kulon Progo Wetan,10000000aa00bb22\n";

#[test]
fn the_codes_on_a_sheet_and_a_picture_say_their_nodes() {
    let folder = tempfile::tempdir().expect("a folder");
    let list = folder.path().join("box.csv");
    fs::write(&list, LIST).expect("a list");
    let sheet = folder.path().join("labels.pdf");
    // 23 stickers are gone: the first label is the last of its page.
    let output = simpul(&["label", &shown(&list), "--to", &shown(&sheet), "--skip", "23"]);
    assert!(output.status.success() && said(&output).contains("A4 pages 2"), "{}", said(&output));
    tool("pdftoppm", &["-r", "200", "-png", &shown(&sheet), &shown(&folder.path().join("page"))]);
    let read = |picture: &str| {
        let output = tool("zbarimg", &["-q", "--raw", &shown(&folder.path().join(picture))]);
        String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(read("page-1.png"), ["SIMPUL:1:35.12.07.2003-01:100000003f7a2c11"]);
    let mut second = read("page-2.png");
    second.sort();
    assert_eq!(second, ["SIMPUL:1:35.12.03.2007-02:10000000aa00bb22", "SIMPUL:1:35.12.07.2004-01"]);
    let picture = folder.path().join("one.png");
    let (node, village) = ("a-node_with.letters-01", "Sumberanyar Kulon Progo Wetan Raya Makmur");
    let output = simpul(&["label", "--node", node, "--village", village, "--to", &shown(&picture)]);
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(read("one.png"), [format!("SIMPUL:1:{node}")]);
}

#[test]
fn with_its_bundle_a_nodes_code_is_the_link_to_its_phone_page() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = "35.12.07.2003-01";
    let token = simpul_wire::enrolment::EnrolmentToken {
        node: node.parse().expect("an id"),
        secret: simpul_wire::enrolment::Secret::from_bytes([7; 16]),
        authority: [1; 32],
        addresses: vec!["hub.example:8884".parse().expect("an address")],
        expires_s: 1,
    };
    bundle_of(folder.path(), node, &format!("{node}.tar"), "[phone]\n", &token.to_string());
    // The second has a bundle without the page, the third none.
    bundle(folder.path(), "35.12.07.2004-01", "35.12.07.2004-01.tar");
    let list = folder.path().join("box.csv");
    fs::write(&list, LIST).expect("a list");
    let sheet = folder.path().join("labels.pdf");
    let output = simpul(&["label", &shown(&list), "--to", &shown(&sheet)]);
    assert!(output.status.success(), "{}", said(&output));
    tool("pdftoppm", &["-r", "300", "-png", &shown(&sheet), &shown(&folder.path().join("page"))]);
    let read = |picture: &str| {
        let output = tool("zbarimg", &["-q", "--raw", &shown(&folder.path().join(picture))]);
        let mut lines: Vec<_> = String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    let link = |serial: &str| {
        format!("http://simpul-35-12-07-2003-01.local:8481/#SIMPUL:1:{node}{serial}:ff4d29764c3edc8422ecd192")
    };
    let others = ["SIMPUL:1:35.12.03.2007-02:10000000aa00bb22".to_owned(), "SIMPUL:1:35.12.07.2004-01".to_owned()];
    assert_eq!(read("page-1.png"), [&others[..], &[link(":100000003f7a2c11")]].concat());
    let picture = folder.path().join("one.png");
    let bundle = shown(&folder.path().join(format!("{node}.tar")));
    let one = ["label", "--node", node, "--village", "Banyuglugur", "--bundle", &bundle, "--to", &shown(&picture)];
    let output = simpul(&one);
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(read("one.png"), [link("")]);
    // Another node's bundle would open another node.
    let wrong =
        ["label", "--node", "35.12.07.2009-01", "--village", "X", "--bundle", &bundle, "--to", &shown(&picture)];
    let output = simpul(&wrong);
    assert!(output.status.code() == Some(5) && said(&output).contains(node), "{}", said(&output));
}

#[test]
fn a_wrong_list_is_refused_with_its_line_and_the_nearest_code() {
    let folder = tempfile::tempdir().expect("a folder");
    let put = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).expect("a file");
        shown(&path)
    };
    let known = put("villages.csv", "code,name\n35.12.07.2003,Banyuglugur\n35.12.07.2004,Kalianget\n");
    let to = shown(&folder.path().join("labels.pdf"));
    for (text, what) in [
        ("node,village\n35.12.07.2030-01,Banyuglugur\n", ["maksudnya 35.12.07.2003-01?", "Is 35.12.07.2003-01 meant?"]),
        ("node,village\n99.99.99.9999-01,Banyuglugur\n", ["tidak ada di daftar", "not in the list"]),
        ("node,village\n35.12.07.2003-01,A\n35.12.07.2003-01,B\n", ["baris 2", "line 2"]),
        ("id,village\na,b\n", ["tidak punya kolom node", "no column node"]),
        ("node,village\n", ["tidak berisi satu simpul", "not a single node"]),
    ] {
        let list = put("box.csv", text);
        for (language, what) in ["id", "en"].into_iter().zip(what) {
            let output = simpul(&["label", &list, "--to", &to, "--known", &known, "--language", language]);
            assert!(output.status.code() == Some(5) && said(&output).contains(what), "{what}: {}", said(&output));
        }
    }
    assert!(!folder.path().join("labels.pdf").exists());
}

#[test]
fn a_box_goes_on_after_a_crash_and_ends_with_its_report() {
    let folder = tempfile::tempdir().expect("a folder");
    let image = image(folder.path(), "a.img", BOOKWORM);
    let list = folder.path().join("box.csv");
    fs::write(&list, LIST).expect("a list");
    for node in ["35.12.07.2003-01", "35.12.07.2004-01", "35.12.03.2007-02"] {
        bundle(folder.path(), node, &format!("{node}.tar"));
    }
    let to = folder.path().join("card.img");
    let (list_shown, image_shown, to_shown) = (shown(&list), shown(&image), shown(&to));
    let arguments = ["batch", &list_shown, "--image", &image_shown, "--to", &to_shown, "--yes"];
    let state = folder.path().join("box.csv.state");
    let second = "\"35.12.07.2004-01\": \"writing\"";
    let mut child = command(&arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("simpul runs");
    // Killed in the second card: its state is the event that is waited for.
    while !fs::read_to_string(&state).unwrap_or_default().contains(second) {
        assert!(child.try_wait().expect("it runs").is_none(), "it was done before it could be killed");
        std::thread::yield_now();
    }
    let _ = child.kill();
    let _ = child.wait();
    let again = command(&arguments).output().expect("simpul runs");
    let text = said(&again);
    assert!(again.status.success() && text.contains("1 of 3 are done"), "{text}");
    assert!(text.contains("35.12.07.2004-01 was interrupted then"), "{text}");
    let report = fs::read_to_string(folder.path().join("box.csv.report.csv")).expect("a report");
    assert_eq!(report.lines().filter(|line| line.ends_with(",done")).count(), 3, "{report}");
    assert!(fs::read(folder.path().join("box.csv.labels.pdf")).expect("labels").starts_with(b"%PDF"));
    for node in ["35.12.07.2003-01", "35.12.07.2004-01", "35.12.03.2007-02"] {
        let card = folder.path().join(format!("card-{node}.img"));
        let config = on_fat(&card, "simpul-agent.toml").expect("the node's configuration");
        assert_eq!(String::from_utf8_lossy(&config), format!("node = \"{node}\"\n"));
    }
    fs::write(&state, "{ torn").expect("a torn state");
    let torn = command(&arguments).output().expect("simpul runs");
    assert!(torn.status.code() == Some(5) && said(&torn).contains("is damaged"), "{}", said(&torn));
}

#[test]
fn a_box_with_the_wrong_bundle_is_refused_before_its_first_card() {
    let folder = tempfile::tempdir().expect("a folder");
    let image = image(folder.path(), "a.img", BOOKWORM);
    let list = folder.path().join("box.csv");
    fs::write(&list, "node,village,bundle\nx-1,Satu,b.tar\nx-2,Dua,b.tar\n").expect("a list");
    bundle(folder.path(), "x-1", "b.tar");
    let to = folder.path().join("card.img");
    let output = simpul(&["batch", &shown(&list), "--image", &shown(&image), "--to", &shown(&to), "--yes"]);
    assert!(output.status.code() == Some(5) && said(&output).contains("is for x-1, not for x-2"), "{}", said(&output));
    assert!(!folder.path().join("card-x-1.img").exists());
}
