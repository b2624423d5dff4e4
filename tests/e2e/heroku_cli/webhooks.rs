//! `heroku webhooks` and what a receiver gets.

use super::{Heroku, finish};
use crate::support::{HttpReceiver, Identity, PATIENCE, Server};

/// The value of a line like `Webhook ID:  01234567-…`.
fn id(said: &str) -> String {
    let id = said.split_whitespace().find(|word| word.parse::<uuid::Uuid>().is_ok());
    id.unwrap_or_else(|| panic!("no id: {said}")).to_owned()
}

#[tokio::test]
async fn the_heroku_command_adds_webhooks_and_shows_deliveries() {
    let identity = Identity::of("localhost");
    let options = ["--egress-network", "127.0.0.1/32", "--egress-ca", identity.authority()];
    let limits = [("WPAAS_LIMIT_WEBHOOK_REST_MS", "100")];
    let server = Server::start_with(&options, &limits).await;
    let heroku = Heroku::of(server).await;
    let receiver = HttpReceiver::start(&identity).await;
    let url = format!("https://localhost:{}/hooks", receiver.port);
    heroku.says("create hooked", &["Creating hooked... done"]).await;
    heroku.says("webhooks -a hooked", &["hooked has no webhooks"]).await;
    let add = format!("webhooks:add -i api:release,api:app -l sync -u {url} -a hooked");
    heroku.says(&add, &["Adding webhook to", "Webhooks Signing Secret"]).await;
    let listed = heroku.says("webhooks -a hooked", &[&url, "api:app,api:release", "sync"]).await;
    let webhook = id(&listed);
    heroku
        .says(&format!("webhooks:info {webhook} -a hooked"), &["api:app,api:release", &url])
        .await;
    let private = "webhooks:add -i api:app -l sync -u https://10.1.2.3/ -a hooked";
    let refused = heroku.run(private).await;
    assert!(refused.contains("private") && !refused.ends_with("[exit 0]"), "{refused}");

    // The first attempt finds it down.
    *receiver.down.lock() = true;
    heroku.says("config:set A=1 -a hooked", &["done"]).await;
    let tried = async {
        loop {
            let said = heroku.says("webhooks:deliveries -a hooked", &[]).await;
            if said.contains("retrying") && said.contains("503") {
                return said;
            }
        }
    };
    let said = tokio::time::timeout(PATIENCE, tried).await.unwrap();
    *receiver.down.lock() = false;
    let delivery = id(&said);
    let delivered = async {
        loop {
            let said = heroku.run("webhooks:deliveries --status succeeded -a hooked").await;
            if said.contains(&delivery) {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, delivered).await.unwrap();
    let texts = ["succeeded", "api:release", "Set A config vars"];
    heroku.says(&format!("webhooks:deliveries:info {delivery} -a hooked"), &texts).await;
    let events = heroku.says("webhooks:events -a hooked", &["release", "create"]).await;
    let event = format!("webhooks:events:info {} -a hooked", id(&events));
    heroku.says(&event, &["Set A config vars"]).await;
    let received = receiver.received.lock().clone();
    assert_eq!(received.len(), 1, "{received:?}");
    assert!(received[0].head.contains("heroku-webhook-hmac-sha256: "), "{received:?}");

    let update = format!("webhooks:update {webhook} -i api:app -l notify -u {url} -a hooked");
    heroku.says(&update, &["Updating webhook", "done"]).await;
    heroku.says("maintenance:on -a hooked", &["done"]).await;
    let told = async {
        while receiver.received.lock().len() < 2 {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, told).await.unwrap();
    heroku
        .says(&format!("webhooks:remove {webhook} -a hooked"), &["Removing webhook", "done"])
        .await;
    let gone = finish(heroku.heroku(&format!("webhooks:info {webhook} -a hooked"))).await;
    assert!(gone.contains("Couldn't find that webhook"), "{gone}");
    assert!(heroku.recorder.check() > 12);
}
