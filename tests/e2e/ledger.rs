//! The ledger of releases notices tampering.

use sqlx::{AnyPool, Row as _};

use super::support::{Project, Server};

/// Opens the stopped server's database.
async fn database(server: &Server) -> AnyPool {
    sqlx::any::install_default_drivers();
    let path = server.data().join("platform.sqlite");
    AnyPool::connect(&format!("sqlite://{}", path.display())).await.unwrap()
}

#[tokio::test]
async fn verification_names_the_entry_that_was_tampered_with() {
    let mut server = Server::start().await;
    server.deploy(Project::copy_of("component-hello").path(), "hello").await;
    server.run(&["config:set", "GREETING=hi", "-a", "hello"]).await.ok();
    server.run(&["config:set", "GREETING=ho", "-a", "hello"]).await.ok();
    server.run(&["releases:verify", "-a", "hello"]).await.ok();

    server.stop().await;
    let database_ = database(&server).await;
    let row = sqlx::query("SELECT payload FROM ledger WHERE version = 3").fetch_one(&database_);
    let payload: String = row.await.unwrap().get(0);
    let forged = payload.replacen("GREETING", "GREETINX", 1);
    assert_ne!(payload, forged, "{payload}");
    sqlx::query("UPDATE ledger SET payload = $1 WHERE version = 3")
        .bind(&forged)
        .execute(&database_)
        .await
        .unwrap();
    database_.close().await;

    let mut server = server.restart().await;
    server.run(&["releases:verify", "-a", "hello"]).await.fails(1, "v3");

    // Put back, everything is well again; a config var changed behind the ledger's back is noticed too.
    server.stop().await;
    let database_ = database(&server).await;
    sqlx::query("UPDATE ledger SET payload = $1 WHERE version = 3")
        .bind(&payload)
        .execute(&database_)
        .await
        .unwrap();
    database_.close().await;
    let mut server = server.restart().await;
    server.run(&["releases:verify", "-a", "hello"]).await.ok();

    server.stop().await;
    let database_ = database(&server).await;
    let changed = sqlx::query("UPDATE config_sets SET vars = replace(vars, '\"ho\"', '\"hx\"')")
        .execute(&database_);
    assert!(changed.await.unwrap().rows_affected() > 0);
    database_.close().await;
    let server = server.restart().await;
    server.run(&["releases:verify", "-a", "hello"]).await.fails(1, "v4");
}
