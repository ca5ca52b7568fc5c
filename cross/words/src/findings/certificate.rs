//! This node's certificate and key.

super::findings! {
    "certificate.good" (until) {
        what id "Sertifikat simpul ini berlaku sampai {until}." en "This node's certificate is valid until {until}.";
    }
    "certificate.file" (path, error) {
        what id "{path} tidak bisa dipakai: {error}." en "{path} cannot be used: {error}.";
        why id "Berkas tidak ada, kosong, atau tidak boleh dibaca pengguna ini." en "The file is missing, empty, or this user may not read it.";
        act id "Salin berkas itu lagi dari pusat; periksa pemiliknya; periksa dengan sudo." en "Copy that file from the hub again; check its owner; examine with sudo.";
    }
    "certificate.expired" (at) {
        what id "Sertifikat simpul ini kedaluwarsa sejak {at}." en "This node's certificate expired on {at}.";
        why id "Tidak diperbarui pada waktunya, atau jam di sini terlalu maju." en "It was not renewed in time, or the clock here is ahead.";
        act id "Terbitkan sertifikat baru di pusat dan salin ke sini. Data menunggu dengan aman." en "Issue a new one at the hub and copy it here. The data waits safely.";
    }
    "certificate.expires_soon" (at, left) {
        what id "Sertifikat simpul ini berlaku tinggal {left}, sampai {at}." en "This node's certificate is valid for {left} more, until {at}.";
        why id "Masa berlakunya hampir habis." en "Its time is nearly over.";
        act id "Terbitkan sertifikat baru di pusat sebelum tanggal itu." en "Issue a new one at the hub before that date.";
    }
    "certificate.not_yet_valid" (at) {
        what id "Sertifikat simpul ini baru berlaku mulai {at}." en "This node's certificate is valid only from {at}.";
        why id "Jam di sini tertinggal, atau jam di pusat keliru saat menerbitkannya." en "The clock here is behind, or the hub's was wrong when it was issued.";
        act id "Bandingkan jam di sini dan di pusat." en "Compare the clocks here and at the hub.";
    }
    "certificate.wrong_node" (name, node) {
        what id "Sertifikat ini milik {name}, sedangkan simpul ini {node}." en "This certificate is for {name}, and this node is {node}.";
        why id "Kartu atau berkas tertukar." en "Cards or files were swapped.";
        act id "Salin sertifikat dan kunci yang benar, atau perbaiki node di konfigurasi." en "Copy the right certificate and key, or correct node in the configuration.";
    }
    "certificate.wrong_key" () {
        what id "Kunci tidak cocok dengan sertifikat simpul ini." en "The key does not belong to this node's certificate.";
        why id "Salah satu berkas diganti tanpa pasangannya." en "One of the files was replaced without the other.";
        act id "Salin sertifikat dan kunci bersama-sama dari penerbitan yang sama." en "Copy certificate and key together, from the same issue.";
    }
    "certificate.wrong_authority" () {
        what id "Sertifikat simpul ini bukan dari otoritas dalam berkas CA." en "This node's certificate is not by the authority in the CA file.";
        why id "Berkas CA atau sertifikat berasal dari kabupaten lain, atau otoritasnya diganti." en "The CA file or the certificate is another district's, or the authority was replaced.";
        act id "Salin berkas CA dan sertifikat yang berlaku dari pusat." en "Copy the valid CA file and certificate from the hub.";
    }
}
