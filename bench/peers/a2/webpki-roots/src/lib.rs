//! The roots that a2 trusts, from the file that SSL_CERT_FILE names instead of Mozilla's list.

use std::sync::LazyLock;

use rustls_pki_types::TrustAnchor;

pub static TLS_SERVER_ROOTS: LazyLock<Vec<TrustAnchor<'static>>> = LazyLock::new(|| {
    let path = std::env::var_os("SSL_CERT_FILE").expect("SSL_CERT_FILE names the roots");
    let pem = std::fs::read(path).expect("SSL_CERT_FILE can be read");
    rustls_pemfile::certs(&mut pem.as_slice())
        .map(|one| webpki::anchor_from_trusted_cert(&one.expect("a certificate")).expect("a root").to_owned())
        .collect()
});
