//! Images as boards have them, made by the system's own tools (sfdisk, mkfs.vfat, mcopy), and the real `simpul`.

#![allow(dead_code, reason = "each test file uses its part")]

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// Where the FAT partition of every image here begins.
pub const FAT_AT: u64 = 4 << 20;
const FAT_BYTES: u64 = 20 << 20;
/// An image's length: boot code, FAT, and a stand-in for the root.
pub const IMAGE_BYTES: u64 = 32 << 20;

/// A program of the system, which has to be there.
pub fn tool(name: &str, arguments: &[&str]) -> Output {
    let output = Command::new(name).args(arguments).stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| panic!("{name} (dosfstools, mtools, fdisk, mount): {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name} {arguments:?}: {said} {}", String::from_utf8_lossy(&output.stdout));
    output
}

/// An image with the given files on its FAT.
pub fn image(folder: &Path, name: &str, files: &[(&str, &str)]) -> PathBuf {
    let path = folder.join(name);
    let mut bytes: Vec<u8> = (0..IMAGE_BYTES).map(|index| (index / 512 * 31 + index) as u8).collect();
    bytes[..4096].fill(0);
    fs::write(&path, bytes).expect("the image");
    let mut sfdisk = Command::new("sfdisk").arg("--quiet").arg(&path).stdin(Stdio::piped()).spawn().expect("sfdisk");
    let table = "label: dos\nstart=8192, size=40960, type=c\nstart=49152, size=16384, type=83\n";
    sfdisk.stdin.take().expect("a pipe").write_all(table.as_bytes()).expect("sfdisk reads");
    assert!(sfdisk.wait().expect("sfdisk ends").success());
    let shown = path.display().to_string();
    let kilobytes = (FAT_BYTES / 1024).to_string();
    tool("mkfs.vfat", &["-F", "16", "-n", "bootfs", "-i", "1A2B3C4D", "--offset", "8192", &shown, &kilobytes]);
    for (name, content) in files {
        let from = folder.join("content");
        fs::write(&from, content).expect("a file");
        tool("mcopy", &["-i", &at(&path), &from.display().to_string(), &format!("::{name}")]);
    }
    path
}

/// How mtools names the FAT in an image.
pub fn at(image: &Path) -> String {
    format!("{}@@{FAT_AT}", image.display())
}

/// A file on the FAT of a card.
pub fn on_fat(card: &Path, name: &str) -> Option<Vec<u8>> {
    let output = Command::new("mtype").args(["-i", &at(card), &format!("::{name}")]).output().expect("mtype");
    output.status.success().then_some(output.stdout)
}

/// The FAT is whole, as its checker says.
pub fn check_fat(folder: &Path, card: &Path) {
    let bytes = fs::read(card).expect("the card");
    let fat = folder.join("fat");
    fs::write(&fat, &bytes[FAT_AT as usize..(FAT_AT + FAT_BYTES) as usize]).expect("the FAT alone");
    tool("fsck.vfat", &["-n", &fat.display().to_string()]);
}

/// What Raspberry Pi OS bookworm has on its FAT, as far as it matters here.
pub const BOOKWORM: &[(&str, &str)] = &[
    ("cmdline.txt", "console=tty1 root=PARTUUID=1234-02 rootwait quiet init=/usr/lib/raspberrypi-sys-mods/firstboot\n"),
    ("config.txt", "[all]\n"),
    ("issue.txt", "Raspberry Pi reference 2024-11-19\n"),
    ("kernel8.img", "kernel"),
    ("kernel_2712.img", "kernel"),
];

/// What an image with cloud-init has there.
pub const TRIXIE: &[(&str, &str)] = &[
    ("cmdline.txt", "console=tty1 root=PARTUUID=1234-02 rootwait\n"),
    ("meta-data", "instance-id: rpios-image\n"),
    ("user-data", "#cloud-config\nssh_pwauth: false\n"),
    ("kernel8.img", "kernel"),
];

/// The token of these tests' bundles; not to be found anywhere but on a card.
pub const TOKEN: &str = "simpul1qy0testtokenthatstandsnowhereelse";

/// A camera's password in them.
pub const PASSWORD: &str = "sandi-kamera-yang-tidak-ada\n";

/// A bundle for `node`, made by `simpul` itself.
pub fn bundle(folder: &Path, node: &str, to: &str) -> PathBuf {
    bundle_of(folder, node, to, "", TOKEN)
}

/// As [`bundle`], with more in its configuration and a token of its own.
pub fn bundle_of(folder: &Path, node: &str, to: &str, more: &str, token: &str) -> PathBuf {
    let file = folder.join("token.txt");
    fs::write(&file, format!("{token}\n")).expect("a file");
    bundle_with(folder, node, to, more, ("--token-file", &file))
}

/// The same, with this credential.
pub fn bundle_with(folder: &Path, node: &str, to: &str, more: &str, (option, credential): (&str, &Path)) -> PathBuf {
    let put = |name: &str, bytes: &[u8]| {
        let path = folder.join(name);
        fs::write(&path, bytes).expect("a file");
        path.display().to_string()
    };
    let mut agent = b"\x7FELF\x02\x01\x01".to_vec();
    agent.resize(3_000_000, 0x5A);
    agent[18..20].copy_from_slice(&[0xB7, 0]);
    let (config, agent) =
        (put("config.toml", format!("node = \"{node}\"\n{more}").as_bytes()), put("simpul-agent", &agent));
    let password = put("kamera-1.password", PASSWORD.as_bytes());
    let to = folder.join(to);
    let made = simpul(&[
        "bundle",
        "make",
        "--node",
        node,
        "--village",
        "Banyuglugur",
        "--config",
        &config,
        option,
        &credential.display().to_string(),
        "--agent",
        &agent,
        "--secret",
        &password,
        "--to",
        &to.display().to_string(),
    ]);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    to
}

/// `simpul` as a command, in English, without a terminal.
pub fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_simpul"));
    command.args(arguments).env("LANG", "en_GB.UTF-8").env_remove("LC_ALL").env_remove("LC_MESSAGES");
    command.stdin(Stdio::null());
    command
}

/// Run `simpul`.
pub fn simpul(arguments: &[&str]) -> Output {
    command(arguments).output().expect("simpul runs")
}

/// What it said, both ways, in one.
pub fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// A path as an argument.
pub fn shown(path: &Path) -> String {
    path.display().to_string()
}
