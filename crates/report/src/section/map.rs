use super::Context;
use crate::input::{EmbeddingMap, MapPoint};
use crate::plot::{SHAPES, shape};
use crate::text::{Cell, Table, esc, number, plural};
use std::collections::BTreeMap;
use std::fmt::Write;

/// Side of the map, in the units of its `viewBox`.
const SIDE: f64 = 360.;
/// Colours of the style; a number that shares no factor with that of the shapes would give more pairs, so every round of shapes moves
/// the colours by one.
const COLOURS: usize = 6;
/// Classes that a legend has room for; the filter knows all of them.
const MOST_IN_LEGEND: usize = 12;
/// Rows of the table of points: of more points the script's filter and the classes' table tell more.
const MOST_ROWS: usize = 500;

/// All maps of all runs.
pub fn html(context: &Context) -> Option<String> {
    context.by_run(|run| {
        let drawn = run.maps.iter().filter(|m| !m.points.is_empty());
        let html: String = drawn.map(|m| one_map(context, m)).collect();
        (!html.is_empty()).then_some(html)
    })
}

fn one_map(context: &Context, map: &EmbeddingMap) -> String {
    let id = context.id("map");
    let classes = classes(&map.points);
    let method = if map.method.is_empty() { "Map to the plane" } else { &map.method };
    let counts = format!(
        "{} of {}",
        plural(map.points.len(), "embedding", "embeddings"),
        plural(classes.len(), "class", "classes")
    );
    let label = esc(&format!("{method}: {counts}. What lies where is in the tables that follow."));
    let mut out =
        format!("<figure class=\"plot map\" id=\"{id}\"><figcaption>{}: {counts}</figcaption>\n", esc(method));
    let _ = write!(
        out,
        "<form class=\"tools\" hidden><label for=\"{id}-class\">Show class</label> <select id=\"{id}-class\">\
         <option value=\"\">all</option>"
    );
    for (name, at) in &classes {
        let _ = write!(out, "<option value=\"{at}\">{}</option>", esc(name));
    }
    let _ = write!(
        out,
        "</select></form>\n<div class=\"map-body\"><div class=\"canvas\"><svg viewBox=\"0 0 {SIDE} {}\" role=\"img\" aria-label=\"{label}\">",
        SIDE + 18.
    );
    out.push_str(&points(context, map, &classes));
    out.push_str("</svg></div><div class=\"card\" role=\"status\" hidden></div></div>\n");
    out.push_str(&legend(&classes));
    let note = if map.note.is_empty() { String::new() } else { format!("{} ", esc(&map.note)) };
    let _ = write!(out, "<p class=\"note\">{note}The axes have no unit.</p>");
    let _ = writeln!(out, "{}{}</figure>", table_of_classes(map, &classes).details(), table_of_points(map).details());
    out
}

/// The classes by name, with the place of each.
fn classes(points: &[MapPoint]) -> BTreeMap<&str, usize> {
    let mut classes: BTreeMap<&str, usize> = points.iter().map(|p| (p.class.as_str(), 0)).collect();
    classes.values_mut().enumerate().for_each(|(at, place)| *place = at);
    classes
}

/// Shape and colour of a class.
fn look(class: usize) -> (usize, usize) {
    (class % SHAPES, (class + class / SHAPES) % COLOURS)
}

/// Every point, with what the script shows of it.
fn points(context: &Context, map: &EmbeddingMap, classes: &BTreeMap<&str, usize>) -> String {
    let ends = |value: fn(&MapPoint) -> f64| {
        let values = || map.points.iter().map(value);
        let (low, high) = (values().fold(f64::INFINITY, f64::min), values().fold(f64::NEG_INFINITY, f64::max));
        (low, high - low)
    };
    let ((left, width), (low, height)) = (ends(|p| p.x), ends(|p| p.y));
    // Of many points each is smaller.
    let radius = if map.points.len() > 600 { 2. } else { 3. };
    // One scale for both axes: distances are what the map is for.
    let scale = (SIDE - 24.) / width.max(height).max(f64::MIN_POSITIVE);
    let scale = if scale.is_finite() { scale } else { 0. };
    let mut out = format!("<path class=\"frame\" d=\"M1 1H{0}V{0}H1z\"/>", SIDE - 1.);
    let _ = write!(
        out,
        "<text class=\"mid label\" x=\"{}\" y=\"{}\">first axis across, second axis upwards (no unit)</text><g class=\"points\">",
        SIDE / 2.,
        SIDE + 14.
    );
    for point in &map.points {
        let class = classes.get(point.class.as_str()).copied().unwrap_or(0);
        let x = SIDE / 2. + scale * (point.x - left - width / 2.);
        let y = SIDE / 2. - scale * (point.y - low - height / 2.);
        let (form, colour) = look(class);
        let picture = point.picture.map_or_else(String::new, |index| {
            context.thumb(index);
            format!(" data-p=\"{index}\"")
        });
        let path = if point.path.is_empty() { String::new() } else { format!(" · {}", esc(&point.path)) };
        let _ = writeln!(
            out,
            "<path class=\"s{colour}\" data-c=\"{class}\"{picture} d=\"{}\"><title>{}{path}</title></path>",
            shape(form, x, y, radius),
            esc(&point.class)
        );
    }
    out + "</g>"
}

fn legend(classes: &BTreeMap<&str, usize>) -> String {
    if classes.len() > MOST_IN_LEGEND || classes.len() < 2 {
        return String::new();
    }
    let mut out = String::from("<ul class=\"legend\">");
    for (name, at) in classes {
        let (form, colour) = look(*at);
        let _ = write!(
            out,
            "<li><svg viewBox=\"0 0 16 16\" class=\"key\" aria-hidden=\"true\"><path class=\"dot s{colour}\" d=\"{}\"/></svg>{}</li>",
            shape(form, 8., 8., 4.),
            esc(name)
        );
    }
    out + "</ul>\n"
}

/// What a look at the map would tell: where every class is, how wide it is spread, and which one is next to it.
fn table_of_classes(map: &EmbeddingMap, classes: &BTreeMap<&str, usize>) -> Table {
    let mut sums = vec![(0f64, 0f64, 0f64); classes.len()];
    let place = |p: &MapPoint| classes.get(p.class.as_str()).copied().unwrap_or(0);
    for point in &map.points {
        let (x, y, n) = &mut sums[place(point)];
        (*x, *y, *n) = (*x + point.x, *y + point.y, *n + 1.);
    }
    let centres: Vec<(f64, f64)> = sums.iter().map(|(x, y, n)| (x / n, y / n)).collect();
    let mut spread = vec![0f64; classes.len()];
    for point in &map.points {
        let at = place(point);
        spread[at] += (point.x - centres[at].0).hypot(point.y - centres[at].1) / sums[at].2;
    }
    let head = ["Class", "Points", "Centre across", "Centre upwards", "Mean distance from it", "Next class"];
    let mut table = Table::new("Numbers: classes on the map", &head);
    for (name, &at) in classes {
        let apart = |other: usize| (centres[at].0 - centres[other].0).hypot(centres[at].1 - centres[other].1);
        let others = classes.iter().filter(|(_, other)| **other != at);
        let next = others.min_by(|a, b| apart(*a.1).total_cmp(&apart(*b.1))).map_or("–", |(name, _)| *name);
        let mut cells = vec![Cell::Text((*name).to_owned()), Cell::Number((sums[at].2 as usize).to_string())];
        cells.extend([centres[at].0, centres[at].1, spread[at]].map(|v| Cell::Number(number(v))));
        cells.push(Cell::Text(next.to_owned()));
        table.rows.push(cells);
    }
    table
}

fn table_of_points(map: &EmbeddingMap) -> Table {
    let shown = map.points.len().min(MOST_ROWS);
    let caption = if shown < map.points.len() {
        format!("Numbers: the first {shown} of {} points", map.points.len())
    } else {
        "Numbers: points".to_owned()
    };
    let mut table = Table::new(caption, &["Class", "Across", "Upwards", "From"]);
    for point in map.points.iter().take(shown) {
        let [x, y] = [point.x, point.y].map(|v| Cell::Number(number(v)));
        table.rows.push(vec![Cell::Text(point.class.clone()), x, y, Cell::Text(point.path.clone())]);
    }
    table
}
