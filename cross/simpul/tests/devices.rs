//! `simpul card` on block devices: loop devices stand for cards. Needs root, as the power-cut tests do; without it the
//! judgement alone is tested (on a made-up `/sys`, in the crate's own tests).

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;

use support::{BOOKWORM, IMAGE_BYTES, check_fat, image, said, shown, simpul, tool};

/// A loop device that is taken away again.
struct Card {
    device: String,
    mounted: Option<String>,
}

impl Card {
    fn on(file: &Path) -> Self {
        let output = tool("losetup", &["--find", "--show", "--partscan", &shown(file)]);
        Card { device: String::from_utf8_lossy(&output.stdout).trim().to_owned(), mounted: None }
    }
}

impl Drop for Card {
    fn drop(&mut self) {
        if let Some(place) = &self.mounted {
            let _ = Command::new("umount").arg(place).status();
        }
        let _ = Command::new("losetup").args(["--detach", &self.device]).status();
    }
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

#[test]
fn a_device_is_written_and_a_used_one_is_refused() {
    if !is_root() {
        println!("not root: no loop devices, so only files were tested");
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let image = image(folder.path(), "a.img", BOOKWORM);
    let file = folder.path().join("card");
    fs::write(&file, vec![0xEE; IMAGE_BYTES as usize + (8 << 20)]).expect("a card");
    let card = Card::on(&file);
    let output = simpul(&["card", &shown(&image), "--to", &card.device, "--yes"]);
    assert!(output.status.success(), "{}", said(&output));
    assert!(said(&output).contains("O_DIRECT"), "{}", said(&output));
    let (written, wanted) = (fs::read(&file).expect("the card"), fs::read(&image).expect("the image"));
    assert!(written[..wanted.len()] == wanted);
    check_fat(folder.path(), &file);

    let refused = |to: &str, what: &str| {
        let output = simpul(&["card", &shown(&image), "--to", to, "--yes"]);
        assert!(output.status.code() == Some(3) && said(&output).contains(what), "{to}: {}", said(&output));
    };
    let used = folder.path().join("used");
    fs::write(&used, vec![0; 64 << 20]).expect("a card in use");
    let mut used_card = Card::on(&used);
    tool("mkfs.ext4", &["-q", &used_card.device]);
    let place = folder.path().join("in use");
    fs::create_dir(&place).expect("a folder");
    tool("mount", &["-o", "ro", &used_card.device, &shown(&place)]);
    used_card.mounted = Some(shown(&place));
    let before = fs::read(&used).expect("the card");
    refused(&used_card.device, &format!("is mounted at {}", shown(&place)));
    assert!(fs::read(&used).expect("the card") == before, "a refused card was changed");

    let small = folder.path().join("small");
    fs::write(&small, vec![0xEE; (IMAGE_BYTES / 2) as usize]).expect("a small card");
    let small = Card::on(&small);
    refused(&small.device, "card is too small");
}

#[test]
fn this_computers_own_disk_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let image = image(folder.path(), "a.img", BOOKWORM);
    let mounts = fs::read_to_string("/proc/self/mounts").expect("mounts");
    let disks = fs::read_dir("/sys/block").expect("disks").flatten();
    let used = disks
        .map(|disk| format!("/dev/{}", disk.file_name().to_string_lossy()))
        .find(|disk| !disk.contains("loop") && mounts.lines().any(|line| line.starts_with(disk.as_str())));
    let Some(disk) = used.filter(|disk| Path::new(disk).exists()) else {
        println!("no disk of this machine is visible here, so there is none to be refused");
        return;
    };
    let output = simpul(&["card", &shown(&image), "--to", &disk, "--yes"]);
    let text = said(&output);
    let refused = text.contains("system disk") || text.contains("is mounted at");
    assert!(output.status.code() == Some(3) && refused, "{disk}: {text}");
}
