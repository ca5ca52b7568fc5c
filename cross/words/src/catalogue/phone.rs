//! What a node's phone page says. `agent/build.rs` puts into the page what it asks for, in both languages.

crate::macros::catalogue! {
    /// The words of a node's phone page.
    Phone {
        Title id "Simpul" en "Simpul";
        Language id "English" en "Bahasa Indonesia";
        Enter id "Pindai kode QR" en "Scan the QR code";
        EnterHow id "Pindai kode QR pada label kotak dengan kamera ponsel. Jika yang terbuka halaman ini tanpa kode: salin isi kode QR, lalu tempel di bawah." en "Scan the QR code on the case's label with the phone's camera. If this page opened without a code: copy what the QR code says and paste it below.";
        Paste id "Isi kode QR" en "What the QR code says";
        Open id "Buka" en "Open";
        NoCodeInIt id "Tidak ada kode di dalamnya. Salin seluruh isi kode QR dari label." en "There is no code in it. Copy all that the label's QR code says.";
        State id "Keadaan" en "State";
        Up id "Terhubung ke pusat" en "Connected to the hub";
        Down id "Tidak terhubung ke pusat" en "Not connected to the hub";
        Since { n } id "sejak {n}" en "for {n}";
        LastAck id "Tanda terima terakhir" en "Last acknowledgement";
        Ago { n } id "{n} yang lalu" en "{n} ago";
        NoAck id "belum ada" en "none yet";
        Waiting id "Menunggu dikirim" en "Waiting to be sent";
        Records { n } id "{n} catatan" en "{n} records";
        Lost id "Hilang" en "Lost";
        ClockIs id "Jam" en "Clock";
        ClockGood id "sudah disetel" en "set";
        ClockBad id "belum disetel" en "not set yet";
        Card id "Kartu penyimpanan" en "Storage card";
        CardFull id "penuh" en "full";
        Board id "Papan tombol" en "Button board";
        Unknown id "tidak diketahui" en "unknown";
        NoAnswer id "Simpul tidak menjawab. Periksa Wi-Fi ponsel dan listrik kotak; halaman ini mencoba lagi sendiri." en "The node does not answer. Check the phone's Wi-Fi and the case's power; this page tries again by itself.";
        Examine id "Pemeriksaan" en "Examination";
        ExamineNow id "Periksa sekarang" en "Examine now";
        Examining id "Sedang diperiksa, paling lama 30 detik." en "Being examined, for 30 seconds at most.";
        NotExamined id "Belum diperiksa." en "Not examined yet.";
        WellToo { n } id "Yang baik: {n}" en "What is well: {n}";
        Cameras id "Kamera" en "Cameras";
        NoCameras id "Tidak ada kamera dalam konfigurasi." en "No camera is configured.";
        CameraGood id "gambar baik" en "good picture";
        CameraUnreachable id "tidak menjawab" en "does not answer";
        CameraUnauthorized id "kata sandi ditolak" en "password refused";
        CameraBadImage id "gambar rusak" en "damaged picture";
        CameraFrozen id "gambar macet" en "frozen picture";
        CameraBlack id "gambar hitam" en "black picture";
        CameraViewChanged id "arah berubah: semua ditutup" en "view changed: all is masked";
        Live id "Lihat langsung" en "Look live";
        Stop id "Berhenti melihat" en "Stop looking";
        LiveNote id "Gambar ini tanpa penutup dan hanya tampil di ponsel ini. Setiap kali melihat dicatat di pusat." en "This picture is without masks and is shown on this phone only. Each look is logged at the hub.";
        StoppedItself id "Berhenti sendiri setelah 10 menit." en "Stopped by itself after 10 minutes.";
        Draw id "Gambar penutup dengan jari: geser di atas gambar. Yang tertutup tidak pernah disimpan atau dikirim." en "Draw masks with a finger: drag over the picture. What is masked is never stored or sent.";
        Undo id "Urungkan" en "Undo";
        Clear id "Hapus semua" en "Remove all";
        Save id "Simpan penutup" en "Save masks";
        Saved id "Tersimpan. Berlaku mulai gambar berikutnya." en "Saved. In force from the next picture on.";
        Unsaved id "Belum disimpan." en "Not saved yet.";
        Masks { n, fixed } id "Penutup: {n} digambar, {fixed} tetap dari konfigurasi." en "Masks: {n} drawn, {fixed} fixed by the configuration.";
        TooManyMasks id "Paling banyak 32 penutup. Gabungkan beberapa." en "32 masks at most. Merge some.";
        Confirm id "Arah sudah benar" en "The view is right";
        ConfirmHow id "Tekan setelah kamera dan penutupnya benar: gambar berikutnya hanya ditutup di tempat yang digambar." en "Press it once camera and masks are right: from then on only what is drawn is masked.";
        Confirmed id "Dipastikan. Gambar dari arah ini sudah disimpan." en "Confirmed. A picture of this view has been stored.";
        Accept id "Siap dipakai" en "Ready for use";
        AcceptHow id "Setelah ini halaman ditutup dan kode pada label tidak berlaku lagi. Pusat melihat nama Anda dan hasil pemeriksaan." en "After this the page is closed and the label's code is over. The hub sees your name and what the examination found.";
        Name id "Nama teknisi" en "Technician's name";
        AcceptNow id "Siap, tutup halaman" en "Ready, close the page";
        AcceptFirst id "Periksa dulu sebelum menyatakan siap." en "Examine first, then declare it ready.";
        AcceptSure id "Tekan sekali lagi untuk memastikan." en "Press once more to make sure.";
        Accepted id "Simpul ini sudah siap. Terima kasih." en "This node is ready. Thank you.";
        AcceptedHow id "Halaman ini boleh ditutup. Untuk membukanya lagi, buat kode baru di simpul: sudo simpul-agent phone-code" en "This page may be closed. To open it again, make a new code at the node: sudo simpul-agent phone-code";
        WrongCode id "Kode ini bukan milik simpul ini. Pindai label pada kotaknya sendiri." en "This is not this node's code. Scan the label on its own case.";
        TooManyTries id "Terlalu banyak kode salah. Tunggu satu menit." en "Wrong codes too often. Wait for a minute.";
        CodeUsed id "Kode ini sudah dipakai oleh ponsel lain. Buat yang baru di simpul: sudo simpul-agent phone-code" en "The code was used by another phone. Make a new one at the node: sudo simpul-agent phone-code";
        CodeExpired id "Kode ini terlalu lama tidak dipakai. Buat yang baru di simpul: sudo simpul-agent phone-code" en "The code was not used for too long. Make a new one at the node: sudo simpul-agent phone-code";
        SessionOver id "Sesi sudah berakhir atau alamat ponsel berubah. Pindai label sekali lagi." en "The session is over, or the phone's address has changed. Scan the label once more.";
        Busy id "Sedang sibuk, coba lagi." en "Busy, try again.";
        CameraSays { what } id "Kamera: {what}" en "Camera: {what}";
        Failed { what } id "Gagal: {what}" en "Failed: {what}";
    }
}
