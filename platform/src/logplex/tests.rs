use super::*;

fn line(app: Uuid, dyno: &str, text: &str) -> LogLine {
    let source = if dyno == "router" { Source::Heroku } else { Source::App };
    LogLine::now(app, source, dyno.to_owned(), text)
}

fn texts(lines: &[Arc<LogLine>]) -> Vec<&str> {
    lines.iter().map(|line| line.text.as_str()).collect()
}

const APP: Uuid = Uuid::from_u128(1);
const OTHER: Uuid = Uuid::from_u128(2);

#[tokio::test]
async fn history_keeps_the_last_lines_of_each_app() {
    let logplex = Logplex::new(&Limits { log_history_lines: 3, ..Limits::default() });
    for n in 1..=5 {
        logplex.write(line(APP, "web.1", &n.to_string()));
    }
    logplex.write(line(OTHER, "web.1", "other"));
    let all = Filter::default();
    assert_eq!(texts(&logplex.history(APP, &all, 100).await), ["3", "4", "5"]);
    assert_eq!(texts(&logplex.history(APP, &all, 2).await), ["4", "5"]);
    assert_eq!(texts(&logplex.history(OTHER, &all, 100).await), ["other"]);
    logplex.forget(APP);
    assert!(logplex.history(APP, &all, 100).await.is_empty());
}

#[tokio::test]
async fn filters_choose_source_and_dyno() {
    let logplex = Logplex::new(&Limits::default());
    for (dyno, text) in [("web.1", "a"), ("web.2", "b"), ("router", "c"), ("webby.1", "d")] {
        logplex.write(line(APP, dyno, text));
    }
    for (source, dyno, expected) in [
        (Some(Source::Heroku), None, vec!["c"]),
        (Some(Source::App), None, vec!["a", "b", "d"]),
        (None, Some("web"), vec!["a", "b"]),
        (None, Some("web.2"), vec!["b"]),
        (Some(Source::Heroku), Some("web"), vec![]),
    ] {
        let filter = Filter { source, dyno: dyno.map(str::to_owned) };
        assert_eq!(texts(&logplex.history(APP, &filter, 10).await), expected, "{filter:?}");
    }
}

#[tokio::test]
async fn a_tail_follows_without_gap_and_learns_what_it_lost() {
    let logplex = Logplex::new(&Limits { log_tail_lines: 4, ..Limits::default() });
    logplex.write(line(APP, "web.1", "before"));
    let (history, mut tail) = logplex.tail(APP, Filter::default(), 10).await.unwrap();
    assert_eq!(texts(&history), ["before"]);
    logplex.write(line(APP, "web.1", "after"));
    assert_eq!(tail.next().await.unwrap().text, "after");
    for n in 0..10 {
        logplex.write(line(APP, "web.1", &n.to_string()));
    }
    logplex.history(APP, &Filter::default(), 0).await;
    let lost = tail.next().await.unwrap().render();
    assert!(
        lost.ends_with("heroku[logplex]: Error L11 (tail buffer overflow): 6 messages dropped")
    );
    assert_eq!(tail.next().await.unwrap().text, "6");
    logplex.forget(APP);
    while tail.next().await.is_some() {}
}

#[tokio::test]
async fn tails_are_bounded() {
    let logplex = Logplex::new(&Limits { log_tails: 1, ..Limits::default() });
    let first = logplex.tail(APP, Filter::default(), 0).await;
    assert!(first.is_some());
    assert!(logplex.tail(APP, Filter::default(), 0).await.is_none());
    drop(first);
    assert!(logplex.tail(APP, Filter::default(), 0).await.is_some());
}

#[tokio::test]
async fn a_full_queue_drops_and_says_so() {
    let logplex = Logplex::new(&Limits { log_queue_lines: 2, ..Limits::default() });
    // The thread needs this lock for every line, so the queue fills up.
    let held = logplex.shared.histories.lock();
    for n in 0..100 {
        logplex.write(line(APP, "web.1", &n.to_string()));
    }
    drop(held);
    let lines = logplex.history(APP, &Filter::default(), 1_000).await;
    let told = lines.iter().filter_map(|line| {
        let (_, lost) = line.text.split_once("overflow): ")?;
        Some(lost.split(' ').next().unwrap().parse::<usize>().unwrap())
    });
    // The thread may have looked for losses once before it stood still.
    let told: Vec<usize> = told.collect();
    let (lost, kept) = (told.iter().sum::<usize>(), lines.len() - told.len());
    assert_eq!(lost + kept, 100, "{told:?}");
    assert_eq!(logplex.dropped(), lost as u64);
    assert!(lost >= 96, "two in the queue, and two that the thread had taken before: {lost}");
}

#[tokio::test]
async fn all_histories_together_are_bounded() {
    let limits = Limits { log_history_bytes: 10_000, log_line_bytes: 1_000, ..Limits::default() };
    let logplex = Logplex::new(&limits);
    let long = "x".repeat(5_000);
    for app in [OTHER, APP, APP] {
        logplex.write(line(app, "web.1", &long));
    }
    let all = Filter::default();
    assert_eq!(logplex.history(OTHER, &all, 10).await.len(), 1);
    for _ in 0..20 {
        logplex.write(line(APP, "web.1", &long));
    }
    assert!(logplex.history(OTHER, &all, 10).await.is_empty(), "the silent app pays first");
    let kept = logplex.history(APP, &all, 100).await;
    assert!((5..10).contains(&kept.len()), "{}", kept.len());
    assert!(kept.iter().all(|line| line.text.len() == 1_000));
}
