//! Surfaces and paths as a file that ParaView opens: XML PolyData, the loss as height.

use std::fmt::{Display, Write};

use crate::plot::svg;

use super::path::PathPoint;

/// Name of the array of a loss.
const LOSS: &str = "loss";

/// A point: α, β and the value there.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Point {
    place: [f64; 3],
    /// False where the loss was interpolated.
    measured: bool,
    /// Training step; -1 on a surface.
    step: i64,
}

/// One piece of a file: a surface or a path.
#[derive(Clone, Debug, PartialEq)]
pub struct MeshPiece {
    points: Vec<Point>,
    /// Lines through points, by their numbers.
    lines: Vec<Vec<usize>>,
    /// Cells between four points.
    faces: Vec<[usize; 4]>,
    /// Number of the run that it belongs to.
    run: usize,
    /// Name of the value.
    name: &'static str,
}

impl MeshPiece {
    /// Returns a surface over these grid lines. A point whose loss is not finite is a hole: it is left out with its
    /// cells, as the format has no number for it.
    pub(super) fn surface(
        run: usize,
        [x, y]: [&[f64]; 2],
        loss: &[Vec<f64>],
        measured: &[Vec<bool>],
    ) -> Self {
        let mut points = Vec::new();
        let mut numbers = vec![None; x.len() * y.len()];
        for (j, &y) in y.iter().enumerate() {
            for (i, &at) in x.iter().enumerate() {
                let loss = loss[j][i];
                if loss.is_finite() {
                    numbers[j * x.len() + i] = Some(points.len());
                    points.push(Point {
                        place: [at, y, loss],
                        measured: measured[j][i],
                        step: -1,
                    });
                }
            }
        }
        let cells = (1..y.len()).flat_map(|j| (1..x.len()).map(move |i| (i, j)));
        let faces = cells.filter_map(|(i, j)| {
            let at = |i: usize, j: usize| numbers[j * x.len() + i];
            Some([at(i - 1, j - 1)?, at(i, j - 1)?, at(i, j)?, at(i - 1, j)?])
        });
        Self {
            faces: faces.collect(),
            points,
            lines: Vec::new(),
            run,
            name: LOSS,
        }
    }

    /// Returns the same of another value than the loss.
    pub(super) fn of(self, name: &'static str) -> Self {
        Self { name, ..self }
    }

    /// Returns a path, at the height of the surface; of a checkpoint whose loss there is not known, at its own. One
    /// without either interrupts the line.
    pub(super) fn path(run: usize, path: &[PathPoint]) -> Self {
        let height = |point: &PathPoint| {
            let known = [point.plane_loss, point.loss];
            known.into_iter().find(|loss| loss.is_finite())
        };
        let mut points = Vec::new();
        let mut lines = Vec::new();
        for stretch in path.split(|point| height(point).is_none()) {
            let first = points.len();
            points.extend(stretch.iter().filter_map(|point| {
                Some(Point {
                    place: [point.x, point.y, height(point)?],
                    measured: true,
                    step: i64::try_from(point.step).unwrap_or(i64::MAX),
                })
            }));
            if stretch.len() > 1 {
                lines.push((first..points.len()).collect());
            }
        }
        Self {
            points,
            lines,
            faces: Vec::new(),
            run,
            name: LOSS,
        }
    }

    fn write(&self, xml: &mut String) {
        // Writing to a String cannot fail, here and below.
        let _ = writeln!(
            xml,
            "<Piece NumberOfPoints=\"{}\" NumberOfVerts=\"0\" NumberOfLines=\"{}\" NumberOfStrips=\"0\" NumberOfPolys=\"{}\">",
            self.points.len(),
            self.lines.len(),
            self.faces.len()
        );
        let of = |value: fn(&Point) -> i64| self.points.iter().map(value);
        let name = self.name;
        let _ = writeln!(xml, "<PointData Scalars=\"{name}\">");
        let values = self
            .points
            .iter()
            .map(|point| format!("{:e}", point.place[2]));
        array(xml, "Float64", &format!("Name=\"{name}\""), values);
        array(
            xml,
            "UInt8",
            "Name=\"measured\"",
            of(|point| i64::from(point.measured)),
        );
        array(xml, "Int64", "Name=\"step\"", of(|point| point.step));
        let run = self.points.iter().map(|_| self.run);
        array(xml, "Int32", "Name=\"run\"", run);
        xml.push_str("</PointData>\n<Points>\n");
        let places = self.points.iter().map(|point| {
            let [x, y, z] = point.place;
            format!("{x:e} {y:e} {z:e}")
        });
        array(xml, "Float64", "NumberOfComponents=\"3\"", places);
        xml.push_str("</Points>\n");
        cells(xml, "Lines", self.lines.iter().map(Vec::as_slice));
        cells(xml, "Polys", self.faces.iter().map(|face| &face[..]));
        xml.push_str("</Piece>\n");
    }
}

/// Writes a file of these pieces.
#[must_use]
pub fn file(pieces: &[MeshPiece]) -> String {
    let mut xml = format!(
        "<?xml version=\"1.0\"?>\n{}\n<VTKFile type=\"PolyData\" version=\"1.0\" byte_order=\"LittleEndian\">\n<PolyData>\n",
        svg::MARK
    );
    for piece in pieces {
        piece.write(&mut xml);
    }
    xml + "</PolyData>\n</VTKFile>\n"
}

/// Writes an array, one element a line; `what` is an attribute.
fn array(xml: &mut String, kind: &str, what: &str, values: impl Iterator<Item = impl Display>) {
    let _ = writeln!(xml, "<DataArray type=\"{kind}\" {what} format=\"ascii\">");
    for value in values {
        let _ = writeln!(xml, "{value}");
    }
    xml.push_str("</DataArray>\n");
}

fn cells<'a>(xml: &mut String, name: &str, cells: impl Iterator<Item = &'a [usize]> + Clone) {
    let _ = writeln!(xml, "<{name}>");
    array(
        xml,
        "Int64",
        "Name=\"connectivity\"",
        cells.clone().flatten(),
    );
    let mut end = 0;
    let ends = cells.map(|cell| {
        end += cell.len();
        end
    });
    array(xml, "Int64", "Name=\"offsets\"", ends);
    let _ = writeln!(xml, "</{name}>");
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use super::*;
    use resvg::usvg::roxmltree::{Document, Node};

    fn attribute<'a>(node: &Node<'a, '_>, name: &str) -> &'a str {
        node.attribute(name).unwrap()
    }

    /// Returns the numbers of the array of a name within a node.
    fn numbers(node: Node<'_, '_>, within: &str, name: Option<&str>) -> Vec<f64> {
        let parent = node
            .children()
            .find(|child| child.has_tag_name(within))
            .unwrap();
        let mut arrays = parent
            .children()
            .filter(|child| child.has_tag_name("DataArray"));
        let found = arrays
            .find(|array| array.attribute("Name") == name)
            .unwrap();
        let words = found.text().unwrap_or_default().split_whitespace();
        words.map(|word| word.parse().unwrap()).collect()
    }

    fn at(step: u64, loss: f64) -> PathPoint {
        PathPoint {
            step,
            x: step as f64,
            y: 0.0,
            residual: 0.0,
            loss: 9.0,
            plane_loss: loss,
        }
    }

    #[test]
    fn counts_numbers_and_offsets_fit_and_a_hole_has_no_cells() {
        let mut loss: Vec<Vec<f64>> = (0..3)
            .map(|j| (0..4).map(|i| f64::from(10 * j + i)).collect())
            .collect();
        loss[0][0] = f64::NAN;
        let (x, y) = ([-1.0, 0.0, 1.0, 1e-300], [0.0, 0.5, 1.0]);
        let pieces = [
            MeshPiece::surface(0, [&x, &y], &loss, &vec![vec![true; 4]; 3]),
            MeshPiece::path(0, &[at(1, 3.0), at(2, f64::NAN), at(3, 1.0)]),
        ];
        let xml = file(&pieces);
        let document = Document::parse(&xml).unwrap();
        let root = document.root_element();
        assert_eq!(attribute(&root, "type"), "PolyData");
        let pieces: Vec<Node<'_, '_>> = root
            .descendants()
            .filter(|node| node.has_tag_name("Piece"))
            .collect();
        let count =
            |piece: &Node<'_, '_>, of: &str| -> usize { attribute(piece, of).parse().unwrap() };
        // Twelve points and six cells, of which one point and its cell are a hole.
        let counts =
            |piece| ["NumberOfPoints", "NumberOfLines", "NumberOfPolys"].map(|of| count(piece, of));
        assert_eq!(
            [counts(&pieces[0]), counts(&pieces[1])],
            [[11, 0, 5], [3, 1, 0]]
        );
        for piece in &pieces {
            let points = numbers(*piece, "Points", None);
            assert_eq!(points.len(), 3 * count(piece, "NumberOfPoints"));
            let heights: Vec<f64> = points.chunks(3).map(|point| point[2]).collect();
            assert_eq!(numbers(*piece, "PointData", Some("loss")), heights);
            for (cells, of) in [("Lines", "NumberOfLines"), ("Polys", "NumberOfPolys")] {
                let offsets = numbers(*piece, cells, Some("offsets"));
                let connected = numbers(*piece, cells, Some("connectivity"));
                assert_eq!(offsets.len(), count(piece, of));
                assert_eq!(
                    offsets.last().map_or(0, |end| *end as usize),
                    connected.len()
                );
                assert!(
                    connected
                        .iter()
                        .all(|number| (*number as usize) < points.len() / 3)
                );
            }
        }
        // The first cell that is left is the second of the first row.
        let first = &numbers(pieces[0], "Polys", Some("connectivity"))[..4];
        assert_eq!(first, [0.0, 1.0, 5.0, 4.0]);
        assert_eq!(
            numbers(pieces[1], "PointData", Some("step")),
            [1.0, 2.0, 3.0]
        );
        // The second checkpoint has no loss on the plane, but its own.
        assert_eq!(
            numbers(pieces[1], "PointData", Some("loss")),
            [3.0, 9.0, 1.0]
        );
    }

    #[test]
    fn a_checkpoint_without_a_loss_interrupts_the_path() {
        let unknown = PathPoint {
            loss: f64::NAN,
            ..at(2, f64::NAN)
        };
        let piece = MeshPiece::path(
            0,
            &[at(0, 1.0), at(1, 1.0), unknown, at(3, 1.0), at(4, 1.0)],
        );
        assert_eq!(piece.lines, [vec![0, 1], vec![2, 3]]);
        assert_eq!(piece.points.len(), 4);
    }
}
