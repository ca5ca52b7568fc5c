//! What a hub's enrolment listener offers: over TLS with the node's certificate, `Range` included, and cut on demand.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use ring::signature::{Ed25519KeyPair, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use sha2::{Digest, Sha256};
use simpul_testkit::pki::Authority;
use simpul_wire::update::{
    ConfigurationOffer, Manifest, Offers, Part, ProgramOffer, SIGNED_PREFIX, SignedManifest, Version,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// An offer and the contents that it names.
pub type Offered = (Offers, Vec<Vec<u8>>);

#[derive(Default)]
struct Inner {
    offers: Offers,
    contents: HashMap<String, Vec<u8>>,
    cut_after: Option<usize>,
    requests: Vec<String>,
}

#[derive(Clone)]
pub struct Offering {
    inner: Arc<Mutex<Inner>>,
    pub address: String,
}

impl Offering {
    pub async fn start(authority: &Authority) -> Offering {
        let identity = authority.server(&["hub.simpul.internal"]).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(authority.certificate_pem().as_bytes()).unwrap()).unwrap();
        let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build().unwrap();
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(clients)
            .with_single_cert(
                vec![CertificateDer::from_pem_slice(identity.certificate_pem.as_bytes()).unwrap()],
                PrivateKeyDer::from_pem_slice(identity.key_pem.as_bytes()).unwrap(),
            )
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let offering = Offering { inner: Arc::default(), address };
        let served = offering.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (served, acceptor) = (served.clone(), acceptor.clone());
                // What a peer does that is killed is no news.
                tokio::spawn(async move { served.converse(acceptor, stream).await.ok() });
            }
        });
        offering
    }

    pub fn offer(&self, (offers, contents): Offered) {
        let mut inner = self.inner.lock().unwrap();
        inner.offers = offers;
        for content in contents {
            inner.contents.insert(hex::encode(Sha256::digest(&content)), content);
        }
    }

    /// The next content is cut after so many bytes.
    pub fn cut_after(&self, bytes: usize) {
        self.inner.lock().unwrap().cut_after = Some(bytes);
    }

    pub fn requests(&self) -> Vec<String> {
        self.inner.lock().unwrap().requests.clone()
    }

    async fn converse(&self, acceptor: TlsAcceptor, stream: TcpStream) -> std::io::Result<()> {
        let mut stream = acceptor.accept(stream).await?;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await?);
        }
        let head = String::from_utf8_lossy(&head).to_lowercase();
        let (answer, cut) = self.answer(&head);
        let end = cut.unwrap_or(answer.len()).min(answer.len());
        stream.write_all(&answer[..end]).await?;
        stream.shutdown().await
    }

    fn answer(&self, head: &str) -> (Vec<u8>, Option<usize>) {
        let mut inner = self.inner.lock().unwrap();
        inner.requests.push(head.to_owned());
        let path = head.split(' ').nth(1).unwrap_or_default();
        let whole = |status: &str, more: &str, body: &[u8]| {
            let head =
                format!("HTTP/1.1 {status}\r\n{more}content-length: {}\r\nconnection: close\r\n\r\n", body.len());
            [head.as_bytes(), body].concat()
        };
        if path == "/v1/updates" {
            return (whole("200 OK", "", &inner.offers.to_vec()), None);
        }
        let Some(content) = path.strip_prefix("/v1/updates/content/").and_then(|hash| inner.contents.get(hash)) else {
            return (whole("404 Not Found", "", b""), None);
        };
        let from = head.lines().find_map(|line| line.strip_prefix("range: bytes=")?.strip_suffix('-')?.parse().ok());
        let answer = match from {
            Some(from) if from < content.len() => {
                let range = format!("content-range: bytes {from}-{}/{}\r\n", content.len() - 1, content.len());
                whole("206 Partial Content", &range, &content[from..])
            }
            Some(_) => whole("416 Range Not Satisfiable", "", b""),
            None => whole("200 OK", "", content),
        };
        (answer, inner.cut_after.take())
    }
}

fn key() -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap()
}

/// The district's public key.
pub fn public_key() -> Vec<u8> {
    key().public_key().as_ref().to_vec()
}

/// A program of version 0.2.0 that does `body` when it is not asked who it is.
pub fn script(body: &str) -> Vec<u8> {
    script_of(2, body)
}

/// The same of another version. Large, so that its download can be cut.
pub fn script_of(minor: u16, body: &str) -> Vec<u8> {
    let who = format!("echo simpul-agent 0.{minor}.0 here spool 1");
    let mut text = format!("#!/bin/sh\ncase \"$1\" in introduce) {who}; exit 0;; esac\n{body}\nexit 1\n").into_bytes();
    // What a shell never comes to, and zstd cannot make small.
    let mut noise = u64::from(minor) + 1;
    text.extend(b"#");
    while text.len() < 3_000_000 {
        noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        text.extend(hex::encode(noise.to_be_bytes()).bytes());
        text.extend((noise >> 20).to_be_bytes().map(|byte| byte | 0x80));
    }
    text
}

fn pack(bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![0; zstd_safe::compress_bound(bytes.len())];
    let length = zstd_safe::compress(out.as_mut_slice(), bytes, 1).unwrap();
    out.truncate(length);
    out
}

/// An offer of a program, signed by the district; `change` before it is signed.
pub fn agent_offer(rollout: u8, program: &[u8], change: impl FnOnce(&mut Manifest)) -> Offered {
    let content = pack(program);
    let mut manifest = Manifest {
        part: Part::Agent,
        version: Version { major: 0, minor: 2, patch: 0 },
        platform: format!("{}-linux", std::env::consts::ARCH).parse().unwrap(),
        content_bytes: content.len() as u32,
        content_sha256: Sha256::digest(&content).into(),
        installed_bytes: program.len() as u32,
        installed_sha256: Sha256::digest(program).into(),
        floor: Version::default(),
        downgrade: false,
    };
    change(&mut manifest);
    let bytes = manifest.to_vec();
    let signature = key().sign(&[SIGNED_PREFIX, &bytes].concat());
    let mut key_id = [0; 8];
    key_id.copy_from_slice(&Sha256::digest(public_key())[..8]);
    let signed = SignedManifest { manifest: bytes.into(), key_id, signature: signature.as_ref().try_into().unwrap() };
    let offers = Offers { agent: Some(ProgramOffer { rollout: [rollout; 16], signed }), ..Offers::default() };
    (offers, vec![content])
}

/// An offer of a configuration.
pub fn configuration_offer(rollout: u8, revision: u64, text: &str) -> Offered {
    let offer = ConfigurationOffer {
        rollout: [rollout; 16],
        revision,
        content_bytes: text.len() as u32,
        content_sha256: Sha256::digest(text).into(),
    };
    (Offers { configuration: Some(offer), ..Offers::default() }, vec![text.as_bytes().to_vec()])
}
