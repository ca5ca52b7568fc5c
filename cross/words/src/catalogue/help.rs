//! The help of `simpul` and its subcommands.

crate::macros::catalogue! {
    /// What `--help` says.
    Help {
        About
            id "Perintah teknisi Simpul: kartu, bundel, label, satu kotak simpul berturut-turut. Bekerja tanpa internet."
            en "The technician's command of Simpul: cards, bundles, labels, a box of nodes in a row. Works offline.";
        Examples id "Contoh:" en "Examples:";
        ExitCodes
            id "Kode keluar: 0 selesai; 1 gagal di tengah jalan; 2 perintah tidak dimengerti; 3 ditolak, tidak ada yang selesai ditulis; 4 dibatalkan, atau tidak ada yang dapat menjawab; 5 bundel atau daftar salah; 6 pusat tidak dapat ditanya, atau menolak."
            en "Exit codes: 0 done; 1 failed on the way; 2 the command is not understood; 3 refused, nothing was finished; 4 stopped, or nobody could answer; 5 a bundle or list is wrong; 6 the hub cannot be asked, or refuses.";
        Usage id "Pemakaian:" en "Usage:";
        Commands id "Perintah" en "Commands";
        Arguments id "Argumen" en "Arguments";
        Options id "Pilihan" en "Options";
        ShowHelp id "Tampilkan bantuan ini" en "Show this help";
        ShowVersion id "Tampilkan versi" en "Show the version";
        LanguageOption
            id "Bahasa: id atau en [bawaan: dari LANG, jika tidak id]"
            en "Language: id or en [default: from LANG, else id]";
        NotUnderstood { what }
            id "Perintah tidak dimengerti: {what}"
            en "The command is not understood: {what}";
        DidYouMean { what }
            id "Mungkin maksudnya {what}?"
            en "Is {what} meant?";
        SomethingMissing
            id "Ada yang kurang."
            en "Something is missing.";
        MoreHelp { command }
            id "Bantuan: {command} --help"
            en "Help: {command} --help";
        Card
            id "Tulis citra ke kartu, baca ulang, dan siapkan pemasangan simpul"
            en "Write an image onto a card, read it back, and prepare a node's installation";
        CardLong
            id "Tulis citra (.img, .xz, .gz, .zst dari Raspberry Pi OS, Armbian, Debian) ke kartu, baca ulang semuanya, lalu taruh agen, konfigurasi, dan kunci pendaftaran di partisi boot. Kartu yang tercabut di tengah jalan tidak akan menyala; jalankan lagi perintah yang sama. Tanpa --to: daftar kartu yang ada."
            en "Write an image (.img, .xz, .gz, .zst of Raspberry Pi OS, Armbian, Debian) onto a card, read all of it back, then put agent, configuration and enrolment token into the boot partition. A card that is pulled out half-way will not boot; run the same command again. Without --to: a list of the cards there are.";
        CardImage id "Berkas citra" en "The image file";
        CardTo id "Perangkat kartu (/dev/sdX), atau berkas" en "The card's device (/dev/sdX), or a file";
        CardNode id "Bundel simpul (folder atau .tar) untuk dipasang saat pertama menyala" en "A node bundle (folder or .tar) to be installed at first boot";
        CardOnlyNode id "Jangan tulis citra; hanya taruh atau perbarui berkas simpul di kartu yang sudah jadi" en "Write no image; only add or renew the node's files on a finished card";
        AllowLarge id "Izinkan perangkat di atas 256 GB" en "Allow devices of more than 256 GB";
        Yes id "Jangan bertanya (untuk skrip)" en "Do not ask (for scripts)";
        CardExampleList id "kartu apa yang ada" en "which cards there are";
        CardExampleWrite id "tulis, baca ulang, siapkan simpul" en "write, read back, prepare the node";
        CardExampleOnlyNode id "perbarui berkas simpul saja" en "renew the node's files only";
        Board
            id "Pasang firmware ke papan I/O, atur, dan uji: banyak papan sekaligus"
            en "Put firmware onto I/O boards, set them up and test them: several at once";
        BoardLong
            id "Papan (Raspberry Pi Pico) dicari di drive BOOTSEL (RPI-RP2) dan di port UART. Papan yang sudah berjalan diperbarui lewat UART; yang sudah memakai firmware ini dilewati. Lalu pengaturan disimpan dan dibaca ulang, dan tiap bagian diuji. Papan yang gagal tidak menghentikan yang lain. Tanpa --drive dan --port semua yang terlihat dikerjakan; --drive pertama milik --port pertama, dan seterusnya."
            en "Boards (Raspberry Pi Pico) are looked for as BOOTSEL drives (RPI-RP2) and at UART ports. One that runs is updated over its UART; one that has this firmware is skipped. Then its settings are kept and read back, and each part is tested. A board that fails does not stop the others. Without --drive and --port all that are seen are done; the first --drive belongs to the first --port, and so on.";
        BoardImage id "Firmware: pico.uf2, dengan pico.img di sebelahnya [bawaan: di sebelah program ini]" en "Firmware: pico.uf2, with pico.img beside it [default: beside this program]";
        BoardDrive id "Drive BOOTSEL sebuah papan (boleh berulang)" en "A board's BOOTSEL drive (may be repeated)";
        BoardPort id "Port UART sebuah papan (boleh berulang)" en "A board's UART port (may be repeated)";
        BoardExpect id "Yang terpasang, misalnya buttons=4,sfp,relay,tamper,supply,battery; disimpan di papan dan diuji [bawaan: menurut pengaturan papan]" en "What is wired, such as buttons=4,sfp,relay,tamper,supply,battery; kept by the board and tested [default: as the board's settings say]";
        BoardNoSelfTest id "Tanpa uji diri" en "No self-test";
        BoardPressAgain id "Uji tombol juga di papan yang tidak baru (jika tidak ada agen yang mengenalnya)" en "Test buttons also of a board that is not new (if no agent knows it)";
        BoardWait id "Batas waktu untuk papan yang mulai dan untuk tiap tombol, dalam detik [bawaan: 60]" en "How long to wait for a board that starts, and for each button, in seconds [default: 60]";
        BoardJson id "Hasil sebagai JSON" en "The result as JSON";
        BoardReport id "Tulis hasil sebagai CSV" en "Write the result as CSV";
        BoardExampleAll id "semua papan yang terlihat" en "all boards that are seen";
        BoardExampleWired id "satu papan di UART-nya: simpan pengaturan, uji semua bagian" en "one board at its UART: keep its settings, test all parts";
        BoardExamplePairs id "dua papan, drive dan port berpasangan, hasil ke CSV" en "two boards, drives and ports in pairs, the result as CSV";
        Bundle
            id "Buat atau periksa bundel simpul"
            en "Make or check a node bundle";
        BundleLong
            id "Bundel berisi semua yang menjadikan satu kartu satu simpul: konfigurasi, kunci pendaftaran, agen. Tiap berkas tercatat dengan panjang dan SHA-256. Bundel memuat rahasia: hapus setelah kartunya jadi."
            en "A bundle holds all that makes one card one node: configuration, enrolment token, agent. Each file is listed with its length and SHA-256. A bundle holds a secret: delete it once the card is done.";
        BundleMake id "Buat bundel" en "Make a bundle";
        BundleCheck id "Periksa bundel" en "Check a bundle";
        BundlePath id "Bundel: folder atau .tar" en "The bundle: folder or .tar";
        BundleConfig id "Konfigurasi agen (agent.toml)" en "The agent's configuration (agent.toml)";
        BundleToken id "Berkas berisi kunci pendaftaran (simpul1...)" en "A file with the enrolment token (simpul1...)";
        BundleIdentity
            id "Berkas identitas dari `simpul bundle ahead`, sebagai ganti kunci pendaftaran"
            en "An identity file of `simpul bundle ahead`, instead of an enrolment token";
        BundleAgent id "Agen: paket .deb atau program simpul-agent" en "The agent: a .deb package or the program simpul-agent";
        BundleSecret id "Berkas kata sandi yang disebut agent.toml (kamera, API lokal), dengan nama yang sama; boleh berulang" en "A file with a password that agent.toml names (camera, local API), called the same; may be repeated";
        BundleTo id "Folder baru atau berkas .tar" en "A new folder or .tar file";
        Label
            id "Buat label: lembar A4 (PDF) atau satu gambar (PNG)"
            en "Make labels: an A4 sheet (PDF) or one picture (PNG)";
        LabelLong
            id "Label berisi desa, id simpul, akhir nomor seri, dan kode QR. PDF: A4, 3 x 8 stiker 70 x 37 mm. PNG: satu label, 300 dpi. Daftar CSV: kolom node,village,serial. Dengan bundel di sebelah daftar, kode QR membuka halaman ponsel simpul itu."
            en "A label has the village, the node's id, the end of its serial, and a QR code. PDF: A4, 3 x 8 stickers of 70 x 37 mm. PNG: one label, 300 dpi. CSV list: columns node,village,serial. With the bundles beside the list, the QR code opens the node's phone page.";
        LabelBundle
            id "Bundel simpul itu: kode QR menjadi tautan ke halaman ponselnya"
            en "The node's bundle: the QR code becomes the link to its phone page";
        LabelList id "Daftar simpul (CSV)" en "The list of nodes (CSV)";
        LabelTo id "Berkas .pdf atau .png" en "The .pdf or .png";
        LabelSkip id "Stiker di lembar pertama yang sudah terpakai" en "Stickers of the first sheet that are used already";
        Known id "CSV kode desa atau simpul yang dikenal (kolom pertama)" en "CSV of known codes of villages or nodes (first column)";
        NodeId id "Id simpul" en "The node's id";
        Village id "Nama desa" en "The village's name";
        Serial id "Nomor seri perangkat" en "The hardware's serial";
        LabelExampleSheet id "lembar untuk satu kotak" en "a sheet for a box";
        LabelExampleOne id "satu label" en "one label";
        Batch
            id "Satu kotak simpul berturut-turut, dengan laporan"
            en "A box of nodes in a row, with a report";
        BatchLong
            id "Untuk tiap baris CSV (node,village,serial,bundle) kartu berikutnya diminta, ditulis, dan dibaca ulang. Keadaan disimpan sesudah tiap langkah: setelah listrik padam, jalankan lagi perintah yang sama. Di akhir ada laporan CSV dan lembar label PDF."
            en "For each line of the CSV (node,village,serial,bundle) the next card is asked for, written, and read back. The state is kept after each step: after a power cut run the same command again. At the end there are a report CSV and a PDF sheet of labels.";
        BatchExample id "tulis satu kotak" en "write a box";
        BundleFetchToken
            id "Minta kunci pendaftaran simpul dari pusat"
            en "Ask the hub for a node's enrolment token";
        BundleFetchTokenLong
            id "Minta kunci pendaftaran untuk satu simpul, dicatat atas nama laptop ini dan ikut dicabut bersamanya. Kunci lama yang belum dipakai tidak berlaku lagi."
            en "Ask for the enrolment token of a node, on the books as this laptop's and revoked with it. An older one that was not used is withdrawn.";
        BundleAhead
            id "Minta identitas simpul untuk tempat tanpa jaringan pada hari pemasangan"
            en "Ask for a node's identity, for a place without an uplink on the day";
        BundleAheadLong
            id "Minta identitas (kunci dan sertifikat) untuk satu simpul, 14 hari, dicatat di laptop ini dan ikut dicabut bersamanya. Taruh di /var/lib/simpul/identity/identity.cbor milik pengguna simpul, atau pakai `simpul bundle make --identity-file`. Begitu tersambung, simpul membuat kuncinya sendiri dan salinan ini tidak berlaku lagi."
            en "Ask for a node's identity (key and certificate), for 14 days, on the books as being on this laptop and revoked with it. Put it at /var/lib/simpul/identity/identity.cbor, owned by the user simpul, or use `simpul bundle make --identity-file`. Once it reaches the hub the node makes a key of its own, and this copy is good for nothing.";
        BundleSecretTo id "Berkas baru untuk ditulis (rahasia)" en "The new file to write (a secret)";
        Login
            id "Daftarkan laptop ini ke pusat, untuk satu minggu"
            en "Log this laptop in at the hub, for a week";
        LoginLong
            id "Tukar kunci teknisi (sekali pakai, dari `simpul-hub technicians add`) dengan sertifikat untuk laptop ini. Kunci rahasia dibuat di laptop ini dan tidak pernah keluar. Sesudah satu minggu perlu kunci teknisi baru. Laptop hilang: segera lapor, operator mencabutnya dengan semua yang ada di dalamnya."
            en "Exchange a technician's token (good once, from `simpul-hub technicians add`) for a certificate of this laptop's. The secret key is made on this laptop and never leaves it. After a week a new token is needed. A lost laptop: report it at once, the operator revokes it with all that is on it.";
        LoginToken
            id "Berkas berisi kunci teknisi [bawaan: dari masukan]"
            en "A file with the technician's token [default: from the input]";
        LoginLaptop
            id "Nama laptop ini [bawaan: nama komputernya]"
            en "This laptop's name [default: the computer's name]";
        DoctorHelp
            id "Periksa simpul: apa yang salah, mengapa, dan apa yang dilakukan"
            en "Examine a node: what is wrong, why, and what to do";
        DoctorLong
            id "Periksa simpul lewat pusat, atau di tempat (--here): pemeriksaan yang sama. Yang paling mungkin menjadi sebab disebut lebih dulu. Kode keluar seperti `simpul-agent doctor`: 0 semua baik; 1 ada peringatan atau yang tidak diketahui; 2 ada yang gagal; 3 tidak dapat memeriksa."
            en "Examine a node through the hub, or on site (--here): the same examination. The most likely cause comes first. Exit codes as of `simpul-agent doctor`: 0 all well; 1 warnings or something unknown; 2 something failed; 3 it cannot examine.";
        DoctorNode id "Id simpul" en "The node's id";
        DoctorHere
            id "Periksa simpul tempat perintah ini dijalankan"
            en "Examine the node that this command runs on";
        DoctorAgent
            id "Program agen [bawaan: simpul-agent]"
            en "The agent's program [default: simpul-agent]";
        DoctorConfig
            id "Konfigurasi agen [bawaan: /etc/simpul/agent.toml]"
            en "The agent's configuration [default: /etc/simpul/agent.toml]";
        DoctorJson id "Sebagai JSON (docs/doctor.md)" en "As JSON (docs/doctor.md)";
        Watch
            id "Lihat simpul menyala sampai semua hijau, lalu catat serah terimanya"
            en "See a node come up until all is green, then record its acceptance";
        WatchLong
            id "Tampilkan langsung: salam pertama, bacaan pertama, gambar pertama (di terminal), hasil pemeriksaan. Jika semua hijau, catatan serah terima ditandatangani laptop ini, disimpan di pusat, dan dibuatkan BAST (PDF) untuk dicetak. Ctrl-C berhenti kapan saja."
            en "Shown live: first hello, first reading, first picture (in the terminal), the examination. Once all is green, an acceptance record is signed by this laptop, kept at the hub, and printed as a hand-over protocol (BAST, PDF). Ctrl-C stops at any time.";
        WatchBast
            id "Berkas PDF BAST [bawaan: BAST-<simpul>-<nomor>.pdf]"
            en "The BAST's PDF [default: BAST-<node>-<number>.pdf]";
        WatchNote
            id "Catatan untuk BAST: letak tepatnya, siapa pemegang kunci"
            en "A note for the BAST: where exactly it stands, who has the key";
        WatchOnce
            id "Lihat sekali saja, tanpa serah terima"
            en "Look once only, without an acceptance";
        WatchWait
            id "Menunggu paling lama sekian menit [bawaan: tanpa batas]"
            en "Wait so many minutes at most [default: without end]";
    }
}
