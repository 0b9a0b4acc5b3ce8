//! The page as a whole.

#[path = "../examples/made_up/mod.rs"]
mod made_up;

use npair_report::{Error, Page, RunPart, Thumb, ThumbKind};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

const SECTIONS: [&str; 14] = [
    "headline",
    "about",
    "curves",
    "scores",
    "recall",
    "verification",
    "similarities",
    "neighbours",
    "worst-queries",
    "worst-classes",
    "confused",
    "map",
    "comparison",
    "notes",
];

/// The sample of one run or two; its maps are computed once.
fn sample(runs: usize) -> Page {
    static PAGES: [OnceLock<Page>; 2] = [OnceLock::new(), OnceLock::new()];
    PAGES[runs - 1].get_or_init(|| made_up::page(runs).expect("the sample's maps")).clone()
}

fn html(page: &Page) -> String {
    page.html().expect("the page is whole")
}

/// Every value of an attribute.
fn values<'a>(html: &'a str, attribute: &str) -> Vec<&'a str> {
    let begin = format!(" {attribute}=\"");
    html.split(&begin).skip(1).map(|rest| &rest[..rest.find('"').expect("the quote ends")]).collect()
}

fn sections(html: &str) -> Vec<&str> {
    html.split("<section id=\"").skip(1).map(|rest| &rest[..rest.find('"').expect("the quote ends")]).collect()
}

#[test]
fn every_section_is_there_in_reading_order() {
    assert_eq!(sections(&html(&sample(2))), SECTIONS);
    let of_one: Vec<&str> = SECTIONS.into_iter().filter(|s| *s != "comparison").collect();
    assert_eq!(sections(&html(&sample(1))), of_one);
}

#[test]
fn a_section_without_data_is_left_out() {
    let whole = sample(1);
    type Empty = fn(&mut RunPart);
    let without: [(&str, Empty); 11] = [
        ("about", |r| r.facts.clear()),
        ("curves", |r| r.curves = npair_report::Curves::default()),
        ("scores", |r| r.scores.clear()),
        ("recall", |r| r.recall_at.clear()),
        ("similarities", |r| r.histogram = None),
        ("neighbours", |r| r.examples.clear()),
        ("worst-queries", |r| r.worst_queries.clear()),
        ("worst-classes", |r| r.worst_classes.clear()),
        ("confused", |r| r.confused_pairs.clear()),
        ("map", |r| r.maps.clear()),
        ("verification", |r| {
            r.roc.clear();
            r.thresholds.clear();
        }),
    ];
    for (name, empty) in without {
        let mut page = whole.clone();
        empty(&mut page.runs[0]);
        let html = html(&page);
        // Without scores there is no headline either.
        let gone = if name == "scores" { vec!["scores", "headline"] } else { vec![name] };
        let expected: Vec<&str> = SECTIONS.into_iter().filter(|s| *s != "comparison" && !gone.contains(s)).collect();
        assert_eq!(sections(&html), expected, "without {name}");
        assert!(!html.contains(&format!("href=\"#{name}\"")), "a link leads to {name}, which is not there");
    }
    let bare = Page { runs: vec![RunPart { name: "bare".into(), ..RunPart::default() }], ..Page::default() };
    let bare = html(&bare);
    assert!(sections(&bare).is_empty() && bare.contains("<h1>npair report</h1>"));
}

#[test]
fn headings_are_in_order_and_ids_are_unique() {
    for runs in [1, 2] {
        let html = html(&sample(runs));
        assert_eq!(html.matches("<h1").count(), 1);
        let levels: Vec<u32> = html.split("<h").skip(1).filter_map(|rest| rest.chars().next()?.to_digit(10)).collect();
        assert!(levels.windows(2).all(|w| w[1] <= w[0] + 1), "{levels:?}");
        let ids = values(&html, "id");
        let unique: BTreeSet<&str> = ids.iter().copied().collect();
        assert_eq!(ids.len(), unique.len());
        let targets = values(&html, "href").into_iter().filter_map(|h| h.strip_prefix('#'));
        let labels = ["for", "aria-labelledby"].into_iter().flat_map(|a| values(&html, a));
        for target in targets.chain(labels) {
            assert!(unique.contains(target), "nothing is called {target}");
        }
    }
}

#[test]
fn nothing_is_asked_for_from_outside() {
    let html = html(&sample(2));
    for attribute in ["href", "src", "srcset", "action", "xlink:href", "poster", "data"] {
        for value in values(&html, attribute) {
            assert!(
                value.starts_with('#') || value.starts_with("data:"),
                "{attribute}={}",
                &value[..value.len().min(60)]
            );
        }
    }
    // Besides the bytes of pictures there is no address at all, and no word that fetches.
    let bare: String = html.split("href=\"data:").map(|rest| &rest[rest.find('"').unwrap_or(0)..]).collect();
    for word in [
        "http:",
        "https:",
        "\"//",
        "url(\"",
        "@import",
        "fetch(",
        "XMLHttpRequest",
        "import(",
        "<iframe",
        "<object",
        " style=\"",
        " onclick",
        " onload",
    ] {
        assert!(!bare.contains(word), "{word}");
    }
    let policy = "default-src 'none'; img-src data:; style-src 'sha256-";
    assert!(html.contains(policy) && !html.contains("unsafe-inline"));
}

/// Replaces every text of a report but the pictures' bytes and the names of kinds.
fn hostile(value: &mut serde_json::Value, key: &str, text: &str, count: &mut usize) {
    use serde_json::Value;
    match value {
        Value::String(s) if !["data", "kind", "name"].contains(&key) => {
            *count += 1;
            *s = text.to_owned();
        }
        // Runs are told apart by their names.
        Value::String(s) if key == "name" => *s = format!("{text}{s}"),
        Value::Array(all) => all.iter_mut().for_each(|v| hostile(v, key, text, count)),
        Value::Object(map) => map.iter_mut().for_each(|(key, v)| hostile(v, key, text, count)),
        _ => (),
    }
}

#[test]
fn every_text_is_shown_as_text() {
    for text in [
        "<script>alert(1)</script>",
        "\"><img src=x onerror=alert(1)>",
        "' onfocus='alert(1)",
        "</title></style>&amp;<!--",
    ] {
        let mut json = serde_json::to_value(sample(2)).expect("a report is JSON");
        let mut count = 0;
        hostile(&mut json, "", text, &mut count);
        assert!(count > 500, "{count} texts were replaced");
        let html = html(&serde_json::from_value(json).expect("it still is a report"));
        assert!(!html.contains(text), "{text}");
        let first = text
            .replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;")
            .replace('"', "&quot;")
            .replace('\'', "&#39;");
        assert!(html.matches(&first).count() > 500, "{first}");
        // As many tags as of a harmless text.
        let mut tame = serde_json::to_value(sample(2)).expect("a report is JSON");
        hostile(&mut tame, "", "tame", &mut count);
        let tame = self::html(&serde_json::from_value(tame).expect("it still is a report"));
        assert_eq!(tags(&html), tags(&tame), "{text}");
    }
}

/// How often every tag begins.
fn tags(html: &str) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    for rest in html.split('<').skip(1) {
        *counts.entry(rest.split([' ', '>', '\n']).next().unwrap_or("")).or_default() += 1;
    }
    counts
}

#[test]
fn a_picture_is_there_once_and_only_if_it_is_shown() {
    let page = sample(1);
    let whole = html(&page);
    assert_eq!(whole.matches("href=\"data:image/png;base64,").count(), page.pictures.len());
    assert!(whole.matches("<use href=\"#p3\"").count() >= 1);
    let mut less = page.clone();
    less.runs[0].maps.clear();
    let shown = html(&less).matches("href=\"data:image/").count();
    assert!(shown > 10 && shown < 80, "{shown}");
}

#[test]
fn every_plot_has_words_and_numbers() {
    let html = html(&sample(2));
    let figures: Vec<&str> = html.split("<figure class=\"plot").skip(1).collect();
    assert!(figures.len() > 10);
    for figure in figures {
        let figure = &figure[..figure.find("</figure>").expect("it ends")];
        assert!(figure.contains("<figcaption>") && figure.contains("role=\"img\" aria-label=\""));
        assert!(figure.contains("<details><summary>Numbers") && figure.contains("<th scope=\"row\""));
        assert!(figure.matches("class=\"mid label\"").count() >= 1);
        assert!(!figure.contains("NaN") && !figure.contains("inf"), "{}", &figure[..200]);
    }
}

#[test]
fn numbers_of_a_plot_have_the_unit_of_its_axis() {
    let mut page = sample(1);
    page.runs[0].recall_at.truncate(1);
    page.runs[0].recall_at[0].value = 0.6789;
    page.runs[0].roc = vec![(0.0321, 0.6543), (0.4, 0.8)];
    let html = html(&page);
    // K, recall@K in %; FAR and TAR in %; FAR and false reject rate in %.
    for row in [["1", "67.89"], ["3.21", "65.43"], ["3.21", "34.57"]] {
        let cells = row.map(|cell| format!("<td class=\"n\">{cell}</td>")).concat();
        assert!(html.contains(&cells), "{row:?}");
    }
}

#[test]
fn what_is_wrong_is_said() {
    let fails = |change: fn(&mut Page), says: &str| {
        let mut page = sample(1);
        change(&mut page);
        let error = page.html().expect_err(says).to_string();
        assert!(error.contains(says) && !error.contains('\n'), "{error}");
    };
    fails(|p| p.runs.clear(), "no run");
    fails(|p| p.runs.push(p.runs[0].clone()), "two runs are named \"n-pair\"");
    fails(|p| p.runs[0].scores[1].value = f64::NAN, "recall@2 of n-pair is not finite");
    fails(|p| p.runs[0].curves.loss[3].1 = f64::INFINITY, "the curve loss of n-pair is not finite");
    fails(|p| p.runs[0].curves.rate.swap(0, 1), "its steps have to ascend");
    fails(|p| p.runs[0].roc[5].1 = 1.5, "from 0 to 1");
    fails(|p| p.runs[0].roc.swap(5, 9), "its rates have to ascend");
    fails(|p| p.runs[0].recall_at[0].k = 0, "1 or more");
    fails(|p| p.runs[0].recall_at[0].low = None, "both ends, or none");
    fails(|p| p.runs[0].scores[0].low = Some(2.), "its lower end has to come first");
    fails(|p| p.runs[0].examples[0].neighbours[0].picture = 999, "names picture 999, but the page holds 240");
    fails(|p| p.runs[0].maps[0].points[7].picture = Some(240), "names picture 240");
    fails(|p| p.runs[0].maps[0].points[7].x = f64::NAN, "a point of a map");
    fails(|p| p.runs[0].histogram.as_mut().expect("there is one").same.clear(), "one edge more than counts");
    fails(|p| p.runs[0].histogram.as_mut().expect("there is one").edges.swap(1, 2), "its edges have to ascend");
    fails(|p| p.pictures[1].kind = ThumbKind::Jpeg, "does not begin as a jpeg file");
    fails(|p| p.pictures[0] = Thumb::default(), "picture 0 does not begin as a png file");
}

#[test]
fn a_report_comes_back_from_json() {
    let page = sample(2);
    let text = serde_json::to_string(&page).expect("a report is JSON");
    assert_eq!(Page::from_json(&text).expect("it is read"), page);
    let short = Page::from_json(r#"{"runs": [{"name": "a", "scores": [{"name": "recall@1", "value": 0.5}]}]}"#);
    assert_eq!(sections(&html(&short.expect("the rest is optional"))), ["headline", "scores"]);
    for wrong in [r#"{"runs": [{"nmae": "a"}]}"#, "[", r#"{"pictures": [{"kind": "png", "data": "?"}]}"#] {
        assert!(matches!(Page::from_json(wrong), Err(Error::Json(_))), "{wrong}");
    }
}

/// Values that leave no room between the ends of an axis, or no values at all in the range of one.
#[test]
fn odd_numbers_are_drawn_all_the_same() {
    let mut page = sample(1);
    let run = &mut page.runs[0];
    run.roc = vec![(0., 1.), (1., 1.)];
    run.curves.loss = vec![(5., 2.)];
    run.curves.rate = vec![(0., 0.); 3];
    run.curves.gradient_norm = vec![(0., 1e-300), (1., 1e300)];
    run.recall_at.truncate(1);
    run.maps[0].points.iter_mut().for_each(|p| (p.x, p.y) = (3., 3.));
    run.maps[1].points.truncate(1);
    if let Some(histogram) = &mut run.histogram {
        histogram.same.fill(0);
    }
    let html = html(&page);
    for word in ["NaN", "inf ", ">inf<"] {
        assert!(!html.split("<script>").next().unwrap_or("").contains(word), "{word}");
    }
    assert!(
        html.contains("<figcaption>ROC") && !html.contains("<figcaption>DET"),
        "no place of this curve has two errors"
    );
}
