//! `base_setup` and `trusted_ca` in a real systemd container, through the channel that production uses.

use phoenix::artifact::Artifact;
use phoenix::model::GuestId;
use serde_json::json;

use super::stand::Stand;

#[test]
fn base_setup_and_trusted_ca_converge_in_a_real_container() {
    let stand = Stand::boot(&["real"]);
    let few = json!({ "packages": ["ca-certificates", "locales", "netbase"], "timezone": "Europe/Berlin" });
    stand.converges("real", "base_setup", &few);

    let key = rcgen::KeyPair::generate().unwrap();
    let mut root = rcgen::CertificateParams::new(Vec::new()).unwrap();
    root.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    root.distinguished_name.push(rcgen::DnType::CommonName, "Example Root");
    let value = root.self_signed(&key).unwrap().pem();
    let publisher: GuestId = stand.container("real").id();
    stand.publish(Artifact { name: "step_ca/root.crt".to_owned(), publisher, value });
    stand.converges("real", "trusted_ca", &json!({}));
    let listed =
        "openssl storeutl -noout -text -certs /etc/ssl/certs/ca-certificates.crt | grep -c 'Example Root' || true";
    assert_ne!(stand.container("real").sh(listed).trim(), "0", "the system does not trust the root");
}
