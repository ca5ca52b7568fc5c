//! Cameras.

super::findings! {
    "camera.good" (camera) {
        what id "Kamera {camera} mengirim gambar yang baik." en "Camera {camera} sends good pictures.";
    }
    "camera.name" (camera, host) {
        what id "Nama {host} dari kamera {camera} tidak ditemukan." en "The name {host} of camera {camera} is not found.";
        why id "Namanya keliru, atau jaringan ini tidak punya server nama." en "The name is wrong, or this network has no name server.";
        act id "Tulis alamat IP kamera di konfigurasi dan beri alamat tetap." en "Write the camera's IP address into the configuration, and give it a fixed one.";
    }
    "camera.unreachable" (camera, address, error) {
        what id "Kamera {camera} tidak menjawab di {address}: {error}." en "Camera {camera} does not answer at {address}: {error}.";
        why id "Kamera mati, kabelnya lepas, atau alamatnya berubah." en "It is off, its cable is unplugged, or its address has changed.";
        act id "Periksa lampu kamera dan kabelnya; lihat alamatnya di perute." en "Check its lights and its cable; look its address up in the router.";
    }
    "camera.http" (camera, status) {
        what id "Kamera {camera} menjawab {status}." en "Camera {camera} answers {status}.";
        why id "Alamat gambarnya keliru untuk merek ini, atau kamera sedang terganggu." en "The picture's address is not this maker's, or the camera is in trouble.";
        act id "Periksa snapshot_url; nyalakan ulang kamera." en "Check snapshot_url; restart the camera.";
    }
    "camera.password" (camera) {
        what id "Kamera {camera} menolak nama pengguna atau kata sandi." en "Camera {camera} refuses user or password.";
        why id "Kata sandi di kamera berubah, atau kamera sedang mengunci akun ini." en "The password was changed in the camera, or it has locked this account.";
        act id "Tunggu 35 menit tanpa mencoba, lalu perbaiki berkas kata sandi." en "Wait 35 minutes without trying, then mend the password's file.";
    }
    "camera.paused" (camera, left) {
        what id "Kamera {camera} tidak ditanya selama {left} agar tidak mengunci akun kita." en "Camera {camera} is left alone for {left}, so that it does not lock us out.";
        why id "Kamera menolak kata sandi beberapa kali." en "It refused our password several times.";
        act id "Perbaiki berkas kata sandi, lalu mulai ulang agen." en "Mend the password's file, then restart the agent.";
    }
    "camera.login" (camera, detail) {
        what id "Kamera {camera} meminta cara masuk yang tidak bisa dipakai: {detail}." en "Camera {camera} asks for a login that cannot be used: {detail}.";
        why id "Nama pengguna belum diisi, atau kamera hanya menerima Basic." en "No user is configured, or the camera takes Basic only.";
        act id "Isi username dan password_file, atau pilih Digest di pengaturan kamera." en "Fill in username and password_file, or choose Digest in the camera's settings.";
    }
    "camera.no_picture" (camera, detail) {
        what id "Yang dikirim kamera {camera} bukan gambar: {detail}." en "What camera {camera} sends is no picture: {detail}.";
        why id "Alamat itu memberi halaman atau pesan kesalahan, bukan JPEG." en "That address gives a page or an error, not a JPEG.";
        act id "Buka snapshot_url di peramban; perbaiki di konfigurasi." en "Open snapshot_url in a browser; correct it in the configuration.";
    }
    "camera.short" (camera, detail) {
        what id "Gambar kamera {camera} terpotong atau rusak: {detail}." en "The picture of camera {camera} is cut short or damaged: {detail}.";
        why id "Wi-Fi lemah, kabel buruk, atau kamera kehabisan memori." en "Weak Wi-Fi, a bad cable, or the camera ran out of memory.";
        act id "Nyalakan ulang kamera; periksa kabel; perkecil resolusi." en "Restart the camera; check the cable; lower the resolution.";
    }
    "camera.frozen" (camera) {
        what id "Kamera {camera} mengirim gambar yang sama terus." en "Camera {camera} sends the same picture again and again.";
        why id "Bagian gambar di kamera macet." en "Its imaging part hangs.";
        act id "Nyalakan ulang kamera." en "Restart the camera.";
    }
    "camera.black" (camera) {
        what id "Gambar kamera {camera} hitam." en "The picture of camera {camera} is black.";
        why id "Lensa tertutup, lampu inframerah mati, atau sensornya rusak." en "The lens is covered, the infrared lamp is off, or the sensor is broken.";
        act id "Lihat ke lensanya; bersihkan atau buka tutupnya." en "Look at the lens; clean or uncover it.";
    }
    "camera.view" (camera) {
        what id "Arah kamera {camera} berubah: seluruh gambar ditutup sampai ada yang memastikan." en "The view of camera {camera} has changed: all is masked until someone confirms it.";
        why id "Kamera bergeser, atau resolusinya diganti." en "It was moved, or its resolution was changed.";
        act id "Kembalikan arahnya, atau gambar ulang penutupnya; lalu pastikan di halaman pusat." en "Turn it back, or draw the masks anew; then confirm it on the hub's page.";
    }
    "camera.secret" (camera, error) {
        what id "Kata sandi kamera {camera} tidak bisa dibaca: {error}." en "The password of camera {camera} cannot be read: {error}.";
        why id "Berkasnya tidak ada, kosong, atau terbuka untuk semua orang." en "The file is missing, empty, or open to everyone.";
        act id "Tulis kata sandi ke berkas itu, lalu chmod 600." en "Write the password into that file, then chmod 600.";
    }
    "camera.unknown" (camera, detail) {
        what id "Keadaan kamera {camera} tidak diketahui: {detail}." en "How camera {camera} is could not be found out: {detail}.";
        why id "Belum ada gambar yang diambil sejak agen mulai." en "No picture was taken since the agent's start.";
        act id "Tunggu satu selang, lalu periksa lagi." en "Wait for one interval, and examine again.";
    }
    "camera.absent" () {
        what id "Tidak ada kamera dalam konfigurasi." en "No camera is configured.";
    }
}
