use super::Context;
use crate::text::{Cell, Table, percent, plural};

/// Classes that are found worst.
pub fn worst(context: &Context) -> Option<String> {
    context.by_run(|run| {
        let has_pictures = run.worst_classes.iter().any(|c| !c.pictures.is_empty());
        let mut head = vec!["Class", "recall@1", "Queries"];
        head.extend(has_pictures.then_some("Pictures"));
        let caption = format!("{} found worst, worst first", plural(run.worst_classes.len(), "class", "classes"));
        let mut table = Table::new(caption, &head);
        for row in &run.worst_classes {
            let mut cells = vec![Cell::Text(row.class.clone())];
            cells.extend([percent(row.recall), row.count.to_string()].map(Cell::Number));
            cells.extend(has_pictures.then(|| thumbs(context, &row.pictures)));
            table.rows.push(cells);
        }
        (!table.rows.is_empty()).then(|| table.html())
    })
}

/// Classes that are taken for each other.
pub fn confused(context: &Context) -> Option<String> {
    context.by_run(|run| {
        let pairs = &run.confused_pairs;
        let has_pictures = pairs.iter().any(|p| !p.a_pictures.is_empty() || !p.b_pictures.is_empty());
        let mut head = vec!["Queries of", "Nearest is of", "Queries"];
        if has_pictures {
            head.extend(["The queries' class", "The other class"]);
        }
        let mut table = Table::new("Queries whose nearest neighbour is of another class, most frequent first", &head);
        for pair in pairs {
            let mut cells = vec![Cell::Text(pair.a.clone()), Cell::Text(pair.b.clone())];
            cells.push(Cell::Number(pair.count.to_string()));
            if has_pictures {
                cells.extend([&pair.a_pictures, &pair.b_pictures].map(|pictures| thumbs(context, pictures)));
            }
            table.rows.push(cells);
        }
        (!table.rows.is_empty()).then(|| table.html())
    })
}

fn thumbs(context: &Context, pictures: &[usize]) -> Cell {
    let html: String = pictures.iter().map(|&index| context.thumb(index)).collect();
    Cell::Html(format!("<span class=\"thumbs\">{html}</span>"))
}
