//! What is said while boards are flashed, updated and tested.

crate::macros::catalogue! {
    /// The words of `simpul board`.
    Board {
        ImageNotFound { places }
            id "Firmware tidak ditemukan. Dicari di: {places}. Sebutkan berkasnya dengan --image."
            en "No firmware was found. Looked for at: {places}. Name the file with --image.";
        ImageUnreadable { file, error }
            id "{file} tidak dapat dibaca: {error}. Tidak ada papan yang disentuh."
            en "{file} cannot be read: {error}. No board was touched.";
        ImageIsFolder { file }
            id "{file} adalah folder. Sebutkan berkas pico.uf2 di dalamnya."
            en "{file} is a folder. Name the file pico.uf2 in it.";
        Uf2Empty { file }
            id "{file} kosong. Salin ulang; tidak ada papan yang disentuh."
            en "{file} is empty. Copy it again; no board was touched.";
        Uf2TooLarge { file }
            id "{file} lebih besar dari memori Pico, jadi bukan firmware ini. Tidak ada papan yang disentuh."
            en "{file} is larger than a Pico's flash, so it is not this firmware. No board was touched.";
        Uf2Elf { file }
            id "{file} adalah ELF, bahan pembuat UF2. Pakai pico.uf2; tidak ada papan yang disentuh."
            en "{file} is an ELF, what a UF2 is made of. Use pico.uf2; no board was touched.";
        Uf2Not { file }
            id "{file} bukan berkas UF2. Pakai pico.uf2; tidak ada papan yang disentuh."
            en "{file} is no UF2 file. Use pico.uf2; no board was touched.";
        Uf2Length { file, said, there }
            id "{file} tidak utuh: seharusnya {said} blok, yang ada {there} blok utuh. Salin ulang; tidak ada papan yang disentuh."
            en "{file} is not whole: it says {said} blocks and has {there} whole ones. Copy it again; no board was touched.";
        Uf2Block { file, block }
            id "{file} rusak di blok {block}. Salin ulang; tidak ada papan yang disentuh."
            en "{file} is damaged in block {block}. Copy it again; no board was touched.";
        Uf2Order { file, block, found }
            id "{file} kehilangan blok {block}: di tempatnya ada blok {found}. Salin ulang; tidak ada papan yang disentuh."
            en "{file} lacks block {block}: block {found} is in its place. Copy it again; no board was touched.";
        Uf2Family { file, block, family }
            id "{file} untuk cip lain (keluarga {family} di blok {block}), bukan RP2040. Pakai pico.uf2; tidak ada papan yang disentuh."
            en "{file} is for another chip (family {family} in block {block}), not for an RP2040. Use pico.uf2; no board was touched.";
        Uf2Outside { file, block, address }
            id "{file} menulis di {address} (blok {block}), di luar tempat firmware. Tidak ada papan yang disentuh."
            en "{file} writes at {address} (block {block}), outside of the firmware's place. No board was touched.";
        Uf2Twice { file, block, address }
            id "{file} menulis {address} dua kali (blok {block}). Salin ulang; tidak ada papan yang disentuh."
            en "{file} writes {address} twice (block {block}). Copy it again; no board was touched.";
        SendMissing { file }
            id "{file} tidak ada. pico.uf2 dan pico.img dibuat bersama: taruh di folder yang sama."
            en "{file} is missing. pico.uf2 and pico.img are built together: put both into one folder.";
        SendDamaged { file, error }
            id "{file} tidak dapat dipakai: {error}. Tidak ada papan yang disentuh."
            en "{file} cannot be used: {error}. No board was touched.";
        OtherBuild { uf2, send }
            id "{uf2} dan {send} bukan dari pembuatan yang sama. Ambil keduanya dari rilis yang sama; tidak ada papan yang disentuh."
            en "{uf2} and {send} are not of the same build. Take both from one release; no board was touched.";
        ExpectUnknown { word }
            id "--expect: \"{word}\" tidak dikenal. Yang dikenal: buttons=1..8, sfp=1..2, relay, tamper, supply, battery."
            en "--expect: \"{word}\" is not known. Known are: buttons=1..8, sfp=1..2, relay, tamper, supply, battery.";
        NoBoard
            id "Tidak ada papan yang terlihat. Tahan BOOTSEL sambil mencolokkan USB, atau sambungkan UART dan sebutkan: --port /dev/ttyUSB0 (Windows: --port COM5)."
            en "No board is to be seen. Hold BOOTSEL while you plug in USB, or connect its UART and name it: --port /dev/ttyUSB0 (Windows: --port COM5).";
        NotMounted { device }
            id "Papan di {device} menunggu firmware, tetapi drive-nya belum dipasang. Jalankan: udisksctl mount -b {device}"
            en "The board at {device} waits for firmware, but its drive is not mounted. Run: udisksctl mount -b {device}";
        TooMany { limit }
            id "Paling banyak {limit} papan sekaligus. Kerjakan dalam beberapa kali."
            en "At most {limit} boards at once. Do them in several runs.";
        NamedTwice { path }
            id "{path} disebut dua kali."
            en "{path} is named twice.";
        ReportUnwritable { file, error }
            id "Laporan {file} tidak dapat ditulis: {error}. Pilih tempat lain dengan --report."
            en "The report {file} cannot be written: {error}. Choose another place with --report.";
        PortForbidden
            id "port tidak boleh dibuka: masukkan pengguna ini ke grup dialout, lalu masuk ulang."
            en "the port may not be opened: add this user to the group dialout, then log in again.";
        PortBusy
            id "port dipakai program lain (agen?): hentikan di sana dulu."
            en "another program holds the port (an agent?): stop it first.";
        PortClosed { error }
            id "port tidak dapat dibuka: {error}. Periksa kabel dan namanya."
            en "the port cannot be opened: {error}. Check the cable and the name.";
        PortLost { error }
            id "port hilang di tengah jalan: {error}. Periksa kabelnya, lalu jalankan lagi."
            en "the port went away on the way: {error}. Check its cable, then run this again.";
        Silent
            id "tidak ada papan yang menjawab. Periksa TX/RX (disilang) dan listriknya; papan kosong: tahan BOOTSEL sambil mencolokkan USB."
            en "no board answers. Check TX/RX (crossed) and its power; an empty board: hold BOOTSEL while you plug in USB.";
        NoInfo { error }
            id "bukan drive papan: INFO_UF2.TXT tidak dapat dibaca ({error}). Tidak ada yang ditulis."
            en "no drive of a board: INFO_UF2.TXT cannot be read ({error}). Nothing was written.";
        NotAPico { said }
            id "bukan Raspberry Pi Pico: drive ini menyebut dirinya {said}, bukan RPI-RP2. Tidak ada yang ditulis."
            en "no Raspberry Pi Pico: this drive calls itself {said}, not RPI-RP2. Nothing was written.";
        DriveLost { percent, error }
            id "tercabut saat ditulis, pada {percent}% ({error}). Tahan BOOTSEL sambil mencolokkan USB, lalu jalankan lagi."
            en "unplugged while it was written, at {percent}% ({error}). Hold BOOTSEL while you plug in USB, then run this again.";
        DriveStays
            id "semua sudah ditulis, tetapi papan tidak mulai. Cabut, tahan BOOTSEL sambil mencolokkan lagi, lalu ulangi; jika tetap begitu, ganti Pico-nya."
            en "all was written, but the board does not start. Unplug it, hold BOOTSEL while you plug it in again, and repeat; if it stays so, replace the Pico.";
        NeverCame { seconds }
            id "sudah ditulis, tetapi tidak ada yang menjawab di port selama {seconds} dtk. Periksa TX/RX dan listriknya, atau pasangan --drive dan --port."
            en "written, but nobody answered at the port for {seconds} s. Check TX/RX and its power, or which --drive belongs to which --port.";
        NotAPair
            id "papan di port ini berjalan, jadi drive itu milik papan lain. Periksa pasangan --drive dan --port; tidak ada yang ditulis."
            en "the board at this port runs, so that drive is another board's. Check which --drive belongs to which --port; nothing was written.";
        Unverified
            id "sudah ditulis, tetapi belum diperiksa: sambungkan UART dan sebutkan dengan --port."
            en "written, but not verified: connect its UART and name it with --port.";
        OtherVersion { said, wanted }
            id "papan menjawab dengan firmware {said}, bukan {wanted}. Jalankan lagi; jika tetap begitu, pasang lewat BOOTSEL."
            en "the board answers with firmware {said}, not {wanted}. Run this again; if it stays so, flash it by way of BOOTSEL.";
        OtherHardware
            id "papan ini bukan Pico; firmware ini bukan untuknya. Tidak ada yang ditulis."
            en "this board is no Pico; this firmware is not for it. Nothing was written.";
        OtherProtocol { board, own }
            id "papan memakai protokol versi {board}, program ini {own}. Perbarui yang lebih lama; papan lewat BOOTSEL."
            en "the board speaks version {board} of the link and this program {own}. Update the older one; a board by way of BOOTSEL.";
        UpdateFailed { why }
            id "pembaruan tidak berhasil ({why}); papan tetap memakai firmware sebelumnya. Jalankan lagi, atau pasang lewat BOOTSEL."
            en "the update did not succeed ({why}); the board runs what it ran before. Run this again, or flash it by way of BOOTSEL.";
        SettingsRefused
            id "papan tidak menyimpan pengaturannya. Jalankan lagi; jika tetap begitu, ganti Pico-nya."
            en "the board does not keep its settings. Run this again; if it stays so, replace the Pico.";
        JournalBroken
            id "memori hitungan papan tidak berfungsi. Ganti Pico-nya: hitungan akan hilang saat listrik padam."
            en "the board's memory of totals does not work. Replace the Pico: counts would be lost in a power cut.";
        FellSilent
            id "papan berhenti menjawab di tengah jalan. Periksa listrik dan kabelnya, lalu jalankan lagi."
            en "the board stopped answering on the way. Check its power and cable, then run this again.";
        SelfTestFailed
            id "uji diri menemukan yang salah atau tidak ada; lihat barisnya."
            en "the self-test found something wrong or missing; see its lines.";
        BrokeOff
            id "pekerjaan terhenti di dalam program ini. Jalankan lagi, dan laporkan."
            en "the work broke off inside this program. Run this again, and report it.";

        StageLook id "mencari papan" en "looking for the board";
        StageFlash id "menulis firmware" en "writing firmware";
        StageWait id "menunggu papan mulai" en "waiting for the board to start";
        StageUpdate id "memperbarui lewat UART" en "updating over the UART";
        StageProve id "memasang sekali lagi lewat UART" en "installing once more over the UART";
        StageSettings id "menyimpan pengaturan" en "keeping settings";
        StageTest id "uji diri" en "self-test";

        Found { serial, version }
            id "nomor seri {serial}, firmware {version}"
            en "serial {serial}, firmware {version}";
        AlreadyThere { version }
            id "firmware {version} sudah terpasang, dilewati"
            en "firmware {version} is there already, skipped";
        AskSupply id "mengukur suplai" en "measuring the supply";
        AskBattery id "mengukur baterai" en "measuring the battery";
        AskSfp { cage } id "membaca modul SFP {cage}" en "reading SFP module {cage}";
        AskRelay id "relai: dengarkan, mati 1 detik lalu menyala" en "relay: listen, off for 1 second and on again";
        AskTamper id "BUKA penutup kotak, lalu TUTUP lagi" en "OPEN the lid, then CLOSE it again";
        AskButton { button } id "TEKAN tombol {button}" en "PRESS button {button}";

        Supply id "suplai" en "supply";
        Battery id "baterai" en "battery";
        Sfp { cage } id "SFP {cage}" en "SFP {cage}";
        Relay id "relai" en "relay";
        Tamper id "sakelar penutup" en "lid switch";
        Button { button } id "tombol {button}" en "button {button}";

        Present id "ada" en "present";
        Wrong id "SALAH" en "WRONG";
        Timeout id "TIDAK ADA JAWABAN" en "TIMEOUT";
        Skipped id "dilewati" en "skipped";

        Volts { volts } id "{volts} V" en "{volts} V";
        NotTwelveVolts { volts }
            id "{volts} V, bukan 12 V: periksa sekering, masukan 12 V, dan pembagi tegangan"
            en "{volts} V, not 12 V: check fuse, 12 V input and divider";
        NoPowerGood { volts }
            id "{volts} V, tetapi power-good menyebut PLN padam: periksa komparator di pin 15"
            en "{volts} V, but power-good says that the mains are gone: check the comparator at pin 15";
        NoModule
            id "tidak ada modul di kotak: pasang modulnya; jika sudah, periksa kabel SDA dan SCL"
            en "no module in the cage: put one in; if it is in, check the wires SDA and SCL";
        NoDiagnostics
            id "modul ini tidak mengukur apa-apa (tanpa DDM): pakai modul dengan DDM"
            en "this module measures nothing (no DDM): use one with DDM";
        NoLight
            id "modul terbaca, tetapi tidak ada cahaya: periksa serat optiknya"
            en "the module can be read, but there is no light: check the fibre";
        BusStuck
            id "jalur SDA atau SCL tertahan rendah: periksa korsleting dan resistor 4,7 kOhm ke 3,3 V"
            en "SDA or SCL is held low: check for a short and the 4.7 kOhm to 3.3 V";
        BadModule
            id "data modul rusak: coba modul lain, pendekkan kabelnya"
            en "the module's data is damaged: try another module, shorten the wires";
        ModuleStarts
            id "modul belum siap mengukur: tunggu sebentar, lalu jalankan lagi"
            en "the module is not ready to measure: wait a little, then run this again";
        NotWired
            id "papan tidak diberi tahu tentang bagian ini: sebutkan dengan --expect"
            en "the board was not told of this part: name it with --expect";
        Unreadable { why }
            id "tidak terbaca ({why}): periksa kabelnya"
            en "not to be read ({why}): check its wires";
        Light { module, dbm } id "{module} {dbm} dBm" en "{module} {dbm} dBm";
        Switched
            id "diputus dan disambung lagi; pastikan bebannya ikut mati dan menyala"
            en "switched off and on again; see that the load went with it";
        RelayTooSoon
            id "baru saja diputus: tunggu satu menit, lalu jalankan lagi"
            en "it was switched just now: wait a minute, then run this again";
        RelayRefused
            id "papan menolak: relai tidak ada di pengaturannya, sebutkan dengan --expect"
            en "the board refuses: its settings have no relay, name it with --expect";
        RelayBusy
            id "perintah lain sedang dikerjakan: tunggu, lalu jalankan lagi"
            en "another order is being done: wait, then run this again";
        RelayInterrupted
            id "papan mulai ulang saat relai menarik: periksa suplai kumparan dan dioda 1N4007"
            en "the board started anew while the relay pulled: check the coil's supply and the 1N4007";
        LidInverted
            id "menyebut terbuka saat tertutup: pakai sakelar yang tersambung saat penutup tertutup"
            en "it says open when closed: use a switch whose contact is closed with the lid";
        LidStaysOpen
            id "terbaca dibuka, tidak terbaca ditutup: setel sakelarnya"
            en "it was seen to open and not to close: adjust the switch";
        OtherButtons { buttons }
            id "yang terbaca tombol {buttons}: kabel tertukar atau tersambung"
            en "button {buttons} was seen: wires are crossed or joined";
        Stuck
            id "tertekan terus: periksa korsleting atau optokoplernya"
            en "held down all the time: check for a short or its optocoupler";
        NotNew
            id "papan ini tidak baru: agen mungkin mengenalnya, dan tekanan uji akan dihitung sebagai layanan. Jika tidak ada agen yang mengenalnya: --press-again"
            en "this board is not new: an agent may know it and would count a test press as a visit. If no agent knows it: --press-again";
        TimeoutHand
            id "periksa kabel dan pin-nya"
            en "check its wires and pin";
        TimeoutReading
            id "papan tidak mengirim ukuran: jalankan lagi"
            en "the board sends no measurements: run this again";
        TimeoutRelay
            id "papan tidak menjawab perintah relai: jalankan lagi"
            en "the board does not answer the relay's order: run this again";

        PlaceColumn id "tempat" en "place";
        SerialColumn id "nomor seri" en "serial";
        FirmwareColumn id "firmware" en "firmware";
        HowColumn id "cara" en "how";
        ResultColumn id "hasil" en "result";
        HowNot id "tidak dipasang" en "not installed";
        HowAlready id "sudah ada" en "there already";
        HowDrive id "BOOTSEL" en "BOOTSEL";
        HowLine id "UART" en "UART";
        Well id "beres" en "done";
        Elsewhere
            id "ditulis; hasilnya di baris port-nya"
            en "written; see its port's line";
        Failed { why } id "GAGAL: {why}" en "FAILED: {why}";
        AllDone { done, total }
            id "Beres: {done} dari {total}."
            en "Done: {done} of {total}.";
        ReportWritten { file } id "Laporan: {file}" en "Report: {file}";
    }
}
