//! CUB, Online Products, In-shop and tables of open-metric-learning: miniatures in the exact layouts, and wrong ones.
#![allow(clippy::unwrap_used)] // helpers of tests may, as tests do

use npair_data::{
    Amount, Cub, Dataset, Error, InShop, OfficialSide, OmlCsv, OnlineProducts, Picture, RotatedClasses, SplitConfig,
    Subset, sheet::encode_png, split,
};
use npair_types::{ClassId, ExampleId, Streams};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

fn write(root: &Path, file: &str, text: impl AsRef<[u8]>) {
    let path = root.join(file);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

/// A picture of 4 x 3 pixels with the values 0 to 11; what it is called does not matter to the decoder.
fn picture() -> Vec<u8> {
    encode_png(&Picture::new(4, 3, 1, (0..12).collect::<Vec<u8>>()).unwrap()).unwrap()
}

fn sides(data: &dyn Dataset) -> Vec<(u32, OfficialSide)> {
    (0..data.len()).map(|i| (data.labels().get(i).0, data.official(ExampleId(i)).unwrap())).collect()
}

fn file_of(data: &dyn Dataset, example: usize) -> String {
    let path = data.describe(ExampleId(example)).replace('\\', "/");
    path.rsplit('/').next().unwrap().to_owned()
}

/// Three kinds of birds, numbered as the official ones are on either side of the split.
fn cub(root: &Path) {
    let images = "1 001.Black_footed_Albatross/Black_Footed_Albatross_0046_18.jpg\n\
                  2 001.Black_footed_Albatross/Black_Footed_Albatross_0009_34.jpg\n\
                  3 100.Brown_Pelican/Brown_Pelican_0001.jpg\n\
                  4 101.White_Pelican/White_Pelican_0001.jpg\n\
                  5 101.White_Pelican/White_Pelican_0002.jpg\n\
                  6 200.Common_Yellowthroat/Common_Yellowthroat_0003.jpg\n";
    write(root, "images.txt", images);
    write(root, "image_class_labels.txt", "1 1\n2 1\n3 100\n4 101\n5 101\n6 200\n");
    let classes =
        "1 001.Black_footed_Albatross\n100 100.Brown_Pelican\n101 101.White_Pelican\n200 200.Common_Yellowthroat\n";
    write(root, "classes.txt", classes);
    // The split for classification, which is not used: the other way round.
    write(root, "train_test_split.txt", "1 0\n2 0\n3 0\n4 1\n5 1\n6 1\n");
    write(root, "bounding_boxes.txt", "1 60.0 27.0 325.0 304.0\n");
    write(root, "images/001.Black_footed_Albatross/Black_Footed_Albatross_0046_18.jpg", picture());
}

#[test]
fn cub_is_split_by_classes_and_not_by_its_own_list() {
    let dir = tempfile::tempdir().unwrap();
    cub(&dir.path().join("CUB_200_2011"));
    for root in [dir.path().to_owned(), dir.path().join("CUB_200_2011")] {
        let birds = Cub::open(&root).unwrap();
        use OfficialSide::{Test, Train};
        let expected = [(1, Train), (1, Train), (100, Train), (101, Test), (101, Test), (200, Test)];
        assert_eq!(sides(&birds), expected);
        assert_eq!(birds.class_name(ClassId(101)), "101.White_Pelican");
        // Sorted by path within the class; the one that is there decodes, the other is an error that names it.
        assert_eq!(file_of(&birds, 1), "Black_Footed_Albatross_0046_18.jpg");
        assert_eq!(birds.load(ExampleId(1)).unwrap().width(), 4);
        let missing = birds.load(ExampleId(0)).unwrap_err();
        assert!(matches!(&missing, Error::Read { file, .. } if file.ends_with("_0009_34.jpg")), "{missing}");
        let notes = birds.notes();
        assert!(notes.contains(&"has 3 pictures to learn from, the published set has 5864".to_owned()), "{notes:?}");
        assert!(notes.contains(&"has 2 classes for test, the published set has 100".to_owned()), "{notes:?}");
    }
}

#[test]
fn wrong_lists_of_cub_are_named_by_line() {
    let said = |file: &str, text: &str| {
        let dir = tempfile::tempdir().unwrap();
        cub(dir.path());
        write(dir.path(), file, text);
        Cub::open(dir.path()).unwrap_err().to_string()
    };
    assert!(
        said("images.txt", "1 a/b.jpg\n1 a/c.jpg\n").contains("images.txt, line 2, has the id 1, which line 1 has")
    );
    assert!(
        said("images.txt", "1 ../../etc/b.jpg\n").contains("line 1, names the path `../../etc/b.jpg`, which leads out")
    );
    assert!(said("images.txt", "1 /etc/b.jpg\n").contains("leads out of its folder"));
    assert!(said("images.txt", "albatross\n").contains("line 1, is `albatross`"));
    assert!(said("images.txt", "").contains("images.txt is empty"));
    assert!(said("images.txt", "7 a/b.jpg\n").contains("has picture 7, which has no class"));
    assert!(
        said("image_class_labels.txt", "1 1\n2 1\n3 100\n4 101\n5 101\n6 200\n9 1\n").contains("line 7, has picture 9")
    );
    assert!(said("image_class_labels.txt", "1 one\n").contains("line 1, has `one` for the class"));
    assert!(said("image_class_labels.txt", "1 1\n2 1\n3 100\n4 101\n5 101\n6 201\n").contains("line 6, has class 201"));
    let dir = tempfile::tempdir().unwrap();
    let missing = Cub::open(dir.path()).unwrap_err().to_string();
    assert!(missing.contains("classes.txt") && missing.contains("CUB_200_2011"), "{missing}");
}

const SOP_HEADER: &str = "image_id class_id super_class_id path\n";

fn products(root: &Path) {
    let train =
        "1 1 1 bicycle_final/111085122871_0.JPG\n2 1 1 bicycle_final/111085122871_1.JPG\n3 2 2 fan_final/1_0.JPG\n";
    let test = "1 11319 1 bicycle_final/9_0.JPG\n2 11320 12 coffee_maker_final/5_0.JPG\n3 11320 12 coffee_maker_final/5_1.JPG\n";
    write(root, "Ebay_train.txt", format!("{SOP_HEADER}{train}"));
    write(root, "Ebay_test.txt", format!("{SOP_HEADER}{test}"));
    write(root, "bicycle_final/111085122871_0.JPG", picture());
}

#[test]
fn products_are_split_by_their_lists() {
    let dir = tempfile::tempdir().unwrap();
    products(&dir.path().join("Stanford_Online_Products"));
    let set = OnlineProducts::open(dir.path()).unwrap();
    use OfficialSide::{Test, Train};
    assert_eq!(sides(&set), [(1, Train), (1, Train), (2, Train), (11_319, Test), (11_320, Test), (11_320, Test)]);
    assert_eq!(set.group(ClassId(11_320)), Some("coffee_maker"));
    assert_eq!((set.load(ExampleId(0)).unwrap().height(), file_of(&set, 5)), (3, "5_1.JPG".to_owned()));
    assert!(set.notes().contains(&"has 3 pictures for test, the published set has 60502".to_owned()));
}

#[test]
fn wrong_lists_of_products_are_named_by_line() {
    let said = |file: &str, text: &str| {
        let dir = tempfile::tempdir().unwrap();
        products(dir.path());
        write(dir.path(), file, text);
        OnlineProducts::open(dir.path()).unwrap_err().to_string()
    };
    let with = |lines: &str| format!("{SOP_HEADER}{lines}");
    assert!(
        said("Ebay_train.txt", "1 1 1 a/b.JPG\n")
            .contains("Ebay_train.txt, line 1, is `1 1 1 a/b.JPG`, but should be `image_id")
    );
    assert!(said("Ebay_train.txt", "").contains("line 1,"));
    assert!(said("Ebay_train.txt", &with("1 1 a/b.JPG\n")).contains("line 2, is `1 1 a/b.JPG`, but should have the 4"));
    assert!(said("Ebay_train.txt", &with("1 x 1 a/b.JPG\n")).contains("line 2, has `x` for class_id"));
    assert!(said("Ebay_train.txt", &with("1 1 1 a/../../b.JPG\n")).contains("leads out"));
    assert!(said("Ebay_train.txt", &with("1 1 1 a/b.JPG\n2 1 2 a/c.JPG\n")).contains("line 3, puts class 1"));
    assert!(
        said("Ebay_test.txt", &with("1 2 2 fan_final/7.JPG\n"))
            .contains("Ebay_test.txt, line 2, has class 2, which is")
    );
    assert!(said("Ebay_test.txt", &with("1 9 1 bicycle_final/111085122871_0.JPG\n")).contains("in two classes, "));
    assert!(said("Ebay_test.txt", &with("1 9 1 a/b.JPG\n2 9 1 a/b.JPG\n")).contains("lists"));
    assert!(said("Ebay_test.txt", "\u{0}").contains("line 1,"));
}

const IN_SHOP: &str = "6\n\
image_name                                                          item_id          evaluation_status\n\
img/WOMEN/Dresses/id_00000002/02_1_front.jpg                        id_00000002      train\n\
img/WOMEN/Dresses/id_00000002/02_2_side.jpg                         id_00000002      train\n\
img/MEN/Denim/id_00000080/01_1_front.jpg                            id_00000080      train\n\
img/MEN/Denim/id_00000090/01_1_front.jpg                            id_00000090      query\n\
img/MEN/Denim/id_00000090/01_2_side.jpg                             id_00000090      gallery\n\
img/MEN/Denim/id_00000091/02_1_front.jpg                            id_00000091      gallery\n";

#[test]
fn in_shop_has_queries_and_a_gallery() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "Eval/list_eval_partition.txt", IN_SHOP);
    write(dir.path(), "Img/img/WOMEN/Dresses/id_00000002/02_1_front.jpg", picture());
    let set = InShop::open(dir.path()).unwrap();
    use OfficialSide::{Gallery, Query, Train};
    assert_eq!(sides(&set), [(2, Train), (2, Train), (80, Train), (90, Query), (90, Gallery), (91, Gallery)]);
    assert_eq!((set.load(ExampleId(0)).unwrap().width(), set.class_name(ClassId(2))), (4, "id_00000002".to_owned()));
    assert!(set.notes().contains(&"has 2 pictures in the gallery, the published set has 12612".to_owned()));
    assert!(set.notes().contains(&"has 2 items for test, the published set has 3985".to_owned()));
    let parts = split(Arc::new(set), &SplitConfig::Official { val: Amount::Count(0) }, Streams::new(1)).unwrap();
    let test = parts.test.unwrap();
    assert_eq!((parts.train.len(), test.len(), parts.val.is_none()), (3, 3, true));
    assert_eq!(sides(&test), [(90, Query), (90, Gallery), (91, Gallery)]);
}

#[test]
fn wrong_lists_of_in_shop_are_named_by_line() {
    let said = |from: &str, to: &str| {
        let dir = tempfile::tempdir().unwrap();
        assert!(IN_SHOP.contains(from));
        write(dir.path(), "list_eval_partition.txt", IN_SHOP.replacen(from, to, 1));
        InShop::open(dir.path()).unwrap_err().to_string()
    };
    assert!(said("6\n", "7\n").contains("line 1, promises 7 rows, the list has 6"));
    assert!(said("6\n", "").contains("line 1, has `image_name"));
    assert!(said("evaluation_status", "status").contains("line 2,"));
    assert!(said("query", "probe").contains("line 6, has the status `probe`"));
    assert!(said("id_00000090      gallery", "id_00000090      train").contains("line 7, has id_00000090 as train"));
    assert!(said("id_00000091      gallery", "id_00000091").contains("line 8,"));
    assert!(said("id_00000091      gallery", "91 gallery").contains("has the item `91`"));
    assert!(said("img/MEN/Denim/id_00000091/", "../").contains("leads out"));
    assert!(said(IN_SHOP, "").contains("is empty"));
}

const TABLE: &str = "label,path,split,is_query,is_gallery,category,x_1,x_2,y_1,y_2\n\
5,images/a.png,train,,,birds,,,,\n\
5,\"images/b, c.png\",train,None,None,birds,1.0,3.0,0.0,2.0\n\
6,images/d.png,train,,,,,,,\n\
7,images/e.png,validation,True,True,fish,,,,\n\
7,images/f.png,validation,1,0,fish,,,,\n\
8,images/g.png,validation,False,True,,,,,\n\
8,images/h.png,validation,False,False,,,,,\n";

#[test]
fn a_table_has_boxes_categories_and_its_own_sides() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "table.csv", TABLE);
    write(dir.path(), "images/b, c.png", picture());
    let set = OmlCsv::open(dir.path().join("table.csv")).unwrap();
    use OfficialSide::{Gallery, Query, Test, Train};
    assert_eq!(sides(&set), [(5, Train), (5, Train), (6, Train), (7, Test), (7, Query), (8, Gallery)]);
    assert_eq!(
        (set.group(ClassId(5)), set.group(ClassId(6)), set.group(ClassId(7))),
        (Some("birds"), None, Some("fish"))
    );
    // The box 1..3 x 0..2 of a picture with the values 0 to 11 in rows of 4.
    let cut = set.load(ExampleId(1)).unwrap();
    assert_eq!((cut.width(), cut.height(), cut.pixels()), (2, 2, &[1, 2, 5, 6][..]));
    assert_eq!(set.notes(), ["1 validation rows are neither query nor gallery and were left out"]);
}

#[test]
fn boxes_beyond_the_picture_are_cut_or_refused() {
    let dir = tempfile::tempdir().unwrap();
    let table = "y_2,y_1,x_2,x_1,is_gallery,is_query,split,path,label\n\
                 99,1,99,2,,,train,a.png,1\n9,3,9,0,,,train,b.png,2\n";
    write(dir.path(), "t.csv", table);
    write(dir.path(), "a.png", picture());
    write(dir.path(), "b.png", picture());
    let set = OmlCsv::open(dir.path().join("t.csv")).unwrap();
    assert_eq!(set.load(ExampleId(0)).unwrap().pixels(), [6, 7, 10, 11]);
    assert!(set.load(ExampleId(1)).unwrap_err().to_string().contains("0..9 x 3..9 is not in the picture of 4 x 3"));
}

#[test]
fn wrong_tables_are_named_by_line() {
    let said = |from: &str, to: &str| {
        let dir = tempfile::tempdir().unwrap();
        assert!(TABLE.contains(from), "{from}");
        write(dir.path(), "t.csv", TABLE.replacen(from, to, 1));
        OmlCsv::open(dir.path().join("t.csv")).unwrap_err().to_string()
    };
    assert!(said("is_query,is_gallery", "is_query,gallery").contains("t.csv, line 1, lacks the columns is_gallery"));
    assert!(said("x_1,x_2", "x1,x_2").contains("lacks the columns x_1"));
    assert!(said("category", "label").contains("has the column label twice, 1 and 6"));
    assert!(
        said("6,images/d.png,train,,,,,,,", "6,images/d.png,train,,,")
            .contains("line 4, has 6 columns, the header has 10")
    );
    assert!(said("6,images/d.png", "six,images/d.png").contains("line 4, has the label `six`"));
    assert!(said("6,images/d.png", "-6,images/d.png").contains("has the label `-6`"));
    assert!(said("images/d.png", "../d.png").contains("line 4, names the path `../d.png`, which leads out"));
    assert!(said("validation,1,0", "tset,1,0").contains("line 6, has the split `tset`"));
    assert!(said("validation,1,0", "validation,,0").contains("line 6, is for validation, but"));
    assert!(said("validation,1,0", "validation,perhaps,0").contains("has `perhaps` for is_query"));
    assert!(said("d.png,train,,", "d.png,train,True,").contains("line 4, is for training and yet"));
    assert!(said("1.0,3.0", "3.0,1.0").contains("line 3, has an empty box"));
    assert!(said("1.0,3.0", ",3.0").contains("has `` for x_1"));
    assert!(
        said("images/f.png,validation,1,0,fish", "images/f.png,validation,1,0,birds")
            .contains("line 6, has label 7 of category birds")
    );
    assert!(said(TABLE, "label,path,split,is_query,is_gallery\n").contains("has no rows"));
    assert!(said(TABLE, "").contains("lacks the columns label, path"));
}

/// Who has labels and paths has a data set; sides are read as people write them.
#[test]
fn tables_of_labels_and_paths_alone_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let official = |text: &str| {
        write(dir.path(), "t.csv", text);
        let set = OmlCsv::open(dir.path().join("t.csv")).unwrap();
        (0..set.len()).map(|i| set.official(ExampleId(i))).collect::<Vec<_>>()
    };
    assert_eq!(official("path,label\nx/../a.png,1\nb.png,1\nc.png,2\n"), [None; 3]);
    let (train, test) = (Some(OfficialSide::Train), Some(OfficialSide::Test));
    assert_eq!(official("path,label,split\na.png,1,Train\nb.png,1,TEST\nc.png,2,val\n"), [train, test, test]);
    let flags = "path,label,split,is_query,is_gallery\na.png,1,train,,\nb.png,2,test,yes,No\nc.png,2,test,No,Y\n";
    assert_eq!(official(flags), [train, Some(OfficialSide::Query), Some(OfficialSide::Gallery)]);
    write(dir.path(), "t.csv", "path,label\na.png,cat\nb.png,dog\na.png,dog\n");
    let said = OmlCsv::open(dir.path().join("t.csv")).unwrap_err().to_string();
    assert!(said.contains("in two classes, cat and dog, as line 2 does"), "{said}");
}

/// The table's rows, whatever separates its columns and however its header and labels are written.
#[test]
fn tables_of_other_programs_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let classes = |text: &str| {
        write(dir.path(), "t.csv", text);
        let set = OmlCsv::open(dir.path().join("t.csv")).unwrap();
        set.labels().as_slice().iter().map(|&c| (c.0, set.class_name(c))).collect::<Vec<_>>()
    };
    const PLAIN: &str = "label,path,split,is_query,is_gallery\n7,a.png,train,,\n9,b.png,validation,1,1\n";
    let want = [(7, "label 7".to_owned()), (9, "label 9".to_owned())];
    for text in [
        PLAIN.to_owned(),
        PLAIN.replace(',', ";"),
        PLAIN.replace(',', "\t"),
        PLAIN.replace('\n', "\r\n"),
        format!("\u{feff}{PLAIN}"),
        PLAIN.replace("label,path,split", "Label,PATH,Split"),
        PLAIN.replace("7,", "7.0,").replace("9,", "9.0,"),
    ] {
        assert_eq!(classes(&text), want, "{text:?}");
    }
    let words = classes(&PLAIN.replace("7,", "red fox,").replace("9,", "badger,"));
    assert_eq!(words, [(0, "badger".to_owned()), (1, "red fox".to_owned())]);
}

#[test]
fn what_is_said_of_labels_is_true() {
    let said = |label: &str| {
        let dir = tempfile::tempdir().unwrap();
        let table =
            format!("label,path,split,is_query,is_gallery\n1,a.png,train,,\n2,b.png,train,,\n{label},c.png,train,,\n");
        write(dir.path(), "t.csv", table);
        OmlCsv::open(dir.path().join("t.csv")).unwrap_err().to_string()
    };
    assert!(said("1099511627776").contains("line 4, has the label `1099511627776`, beyond 4294967295"));
    assert!(said("0.5").contains("line 4, has the label `0.5`; labels are whole numbers from 0 on, or words"));
    assert!(said("").contains("line 4, has no label"));
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "t.csv", "label|path|split|is_query|is_gallery\n");
    let said = OmlCsv::open(dir.path().join("t.csv")).unwrap_err().to_string();
    assert!(said.contains("it has `label|path|split|is_query|is_gallery`, separated by commas"), "{said}");
}

#[test]
fn a_picture_that_is_listed_twice_is_named_with_both_lines() {
    let dir = tempfile::tempdir().unwrap();
    let said = |label: &str| {
        let table =
            format!("label,path,split,is_query,is_gallery\n1,a.png,train,,\n2,b.png,train,,\n{label},a.png,train,,\n");
        write(dir.path(), "t.csv", table);
        OmlCsv::open(dir.path().join("t.csv")).unwrap_err().to_string()
    };
    let (same, other) = (said("1"), said("2"));
    assert!(same.contains("t.csv, line 4, lists ") && same.contains("a.png twice, as line 2 does"), "{same}");
    assert!(other.contains("in two classes, label 1 and label 2, as line 2 does"), "{other}");
}

#[test]
fn the_official_split_keeps_classes_back_and_passes_through() {
    let dir = tempfile::tempdir().unwrap();
    let mut table = "label,path,split,is_query,is_gallery\n".to_owned();
    for class in 0..20 {
        for i in 0..3 {
            let (side, flag) = if class < 14 { ("train", "") } else { ("validation", "True") };
            table += &format!("{class},{class}/{i}.png,{side},{flag},{flag}\n");
        }
    }
    write(dir.path(), "t.csv", table);
    let all: Arc<dyn Dataset> = Arc::new(OmlCsv::open(dir.path().join("t.csv")).unwrap());
    let make = |val, seed| split(all.clone(), &SplitConfig::Official { val }, Streams::new(seed)).unwrap();
    let classes = |s: &Subset| -> BTreeSet<u32> { s.labels().classes().iter().map(|c| c.0).collect() };
    let parts = make(Amount::Count(4), 1);
    let (train, val, test) = (classes(&parts.train), classes(&parts.val.unwrap()), classes(&parts.test.unwrap()));
    assert_eq!((train.len(), val.len()), (10, 4));
    assert_eq!(test, (14..20).collect());
    assert_eq!(train.union(&val).copied().collect::<BTreeSet<u32>>(), (0..14).collect());
    assert_ne!(val, classes(&make(Amount::Count(4), 2).val.unwrap()));
    assert_eq!(make(Amount::Fraction(0.25), 1).val.unwrap().labels().classes().len(), 4);
    assert!(make(Amount::Count(0), 1).val.is_none());
    // Views say the same of their examples.
    let last: Arc<dyn Dataset> = Arc::new(Subset::new(all.clone(), "two", vec![ExampleId(59), ExampleId(0)]).unwrap());
    assert_eq!(sides(last.as_ref()), [(19, OfficialSide::Test), (0, OfficialSide::Train)]);
    assert_eq!(last.official(ExampleId(2)), None);
    let turned = RotatedClasses::new(last).unwrap();
    assert_eq!(turned.official(ExampleId(3)), Some(OfficialSide::Test));
    assert_eq!(turned.official(ExampleId(4)), Some(OfficialSide::Train));
    let glyphs = npair_data::GlyphSet::new(npair_data::GlyphConfig::default()).unwrap();
    let none = split(Arc::new(glyphs), &SplitConfig::Official { val: Amount::Count(0) }, Streams::new(1)).unwrap_err();
    assert!(none.to_string().contains("has no official split"), "{none}");
}
