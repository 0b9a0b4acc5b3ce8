//! Pictures of pictures: contact sheets with coloured borders (a query and its neighbours, say), written as PNG.

use crate::{Error, Picture, Result};
use image::{ExtendedColorType, ImageEncoder, codecs::png::PngEncoder};

/// The border around a tile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Border {
    /// As the paper: no border to be seen.
    #[default]
    None,
    /// Blue: the query.
    Query,
    /// Green: of the right class.
    Right,
    /// Red: of another class.
    Wrong,
}

impl Border {
    fn colour(self) -> [u8; 3] {
        match self {
            Self::None => PAPER,
            Self::Query => [40, 90, 200],
            Self::Right => [30, 150, 60],
            Self::Wrong => [210, 50, 40],
        }
    }
}

const PAPER: [u8; 3] = [238, 238, 238];

/// The largest side of a sheet, in pixels.
const MAX_SIDE: usize = 32_768;

/// Lays pictures out row by row, `columns` a row, each in a tile as large as the largest picture, centred, with its
/// border around the tile. `borders` is empty or has one entry per picture.
///
/// # Errors
/// [`Error::Picture`] if there are no pictures or columns, the borders do not match, or the sheet would be too large.
pub fn contact_sheet(pictures: &[Picture], columns: usize, borders: &[Border]) -> Result<Picture> {
    let fault = |why: String| Error::Picture { why: format!("contact sheet: {why}") };
    if pictures.is_empty() || columns == 0 {
        return Err(fault(format!("{} pictures in {columns} columns; at least 1 of each is needed", pictures.len())));
    }
    if !borders.is_empty() && borders.len() != pictures.len() {
        return Err(fault(format!(
            "{} borders for {} pictures; give one each, or none",
            borders.len(),
            pictures.len()
        )));
    }
    let tile_width = pictures.iter().map(|p| p.width() as usize).max().unwrap_or(1);
    let tile_height = pictures.iter().map(|p| p.height() as usize).max().unwrap_or(1);
    let line = (tile_width.max(tile_height) / 20).max(2);
    let (step_x, step_y) = (tile_width + 3 * line, tile_height + 3 * line);
    let columns = columns.min(pictures.len());
    let rows = pictures.len().div_ceil(columns);
    let too_large = || fault(format!("{columns} x {rows} tiles of {tile_width} x {tile_height} pixels are too large"));
    let side = |tiles: usize, step: usize| {
        tiles.checked_mul(step).map(|s| s + line).filter(|&s| s <= MAX_SIDE).ok_or_else(too_large)
    };
    let (width, height) = (side(columns, step_x)?, side(rows, step_y)?);
    let mut sheet = Sheet { width, pixels: PAPER.repeat(width * height) };
    for (i, picture) in pictures.iter().enumerate() {
        let (left, top) = (line + i % columns * step_x, line + i / columns * step_y);
        let border = borders.get(i).copied().unwrap_or_default();
        sheet.fill(left, top, tile_width + 2 * line, tile_height + 2 * line, border.colour());
        sheet.fill(left + line, top + line, tile_width, tile_height, PAPER);
        let left = left + line + (tile_width - picture.width() as usize) / 2;
        let top = top + line + (tile_height - picture.height() as usize) / 2;
        sheet.paste(left, top, &picture.to_rgb());
    }
    Picture::new(width as u32, height as u32, 3, sheet.pixels)
}

struct Sheet {
    width: usize,
    pixels: Vec<u8>,
}

impl Sheet {
    fn fill(&mut self, left: usize, top: usize, width: usize, height: usize, colour: [u8; 3]) {
        for y in top..top + height {
            let row = &mut self.pixels[(y * self.width + left) * 3..][..width * 3];
            row.chunks_exact_mut(3).for_each(|p| p.copy_from_slice(&colour));
        }
    }

    fn paste(&mut self, left: usize, top: usize, picture: &Picture) {
        for (y, row) in picture.pixels().chunks_exact(picture.width() as usize * 3).enumerate() {
            self.pixels[((top + y) * self.width + left) * 3..][..row.len()].copy_from_slice(row);
        }
    }
}

/// A picture as the bytes of a PNG file.
///
/// # Errors
/// [`Error::Picture`] if the encoder refuses it.
pub fn encode_png(picture: &Picture) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let color = if picture.channels() == 1 { ExtendedColorType::L8 } else { ExtendedColorType::Rgb8 };
    PngEncoder::new(&mut bytes)
        .write_image(picture.pixels(), picture.width(), picture.height(), color)
        .map_err(|e| Error::Picture { why: format!("PNG: {e}") })?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_and_borders_are_where_they_belong() {
        let dark = Picture::new(10, 10, 1, vec![0; 100]).unwrap();
        let wide = Picture::new(20, 4, 3, vec![9; 240]).unwrap();
        let borders = [Border::Query, Border::Right, Border::Wrong];
        let sheet = contact_sheet(&[dark.clone(), wide, dark], 2, &borders).unwrap();
        // Tiles 20 x 10, lines of 2: 2 * (20 + 6) + 2 by 2 * (10 + 6) + 2.
        assert_eq!((sheet.width(), sheet.height()), (54, 34));
        assert_eq!(sheet.pixel(2, 2), Border::Query.colour());
        assert_eq!(sheet.pixel(2 + 26, 2), Border::Right.colour());
        assert_eq!(sheet.pixel(2, 2 + 16), Border::Wrong.colour());
        assert_eq!(sheet.pixel(4 + 5, 4), [0, 0, 0]);
        assert_eq!(sheet.pixel(4 + 4, 4), PAPER);
        let png = encode_png(&sheet).unwrap();
        assert_eq!(crate::decode::decode(&png, String::new).unwrap(), sheet);
    }

    #[test]
    fn impossible_sheets_are_refused() {
        let dot = Picture::new(1, 1, 1, vec![0]).unwrap();
        assert!(contact_sheet(&[], 1, &[]).is_err());
        assert!(contact_sheet(std::slice::from_ref(&dot), 0, &[]).is_err());
        assert!(contact_sheet(std::slice::from_ref(&dot), 1, &[Border::None; 2]).is_err());
        assert!(contact_sheet(&vec![dot; 5000], 5000, &[]).unwrap_err().to_string().contains("too large"));
    }
}
