//! Results of isoloss, known by how they begin: those alone are replaced unasked.

/// Bytes at the beginning of a file that tell.
pub(super) const HEAD: usize = 4096;

/// Beginnings of the objects that commands print as JSON, and a name that comes soon after.
const JSON: [(&str, &str); 9] = [
    (r#"{"run":""#, r#","parameters":"#),
    (r#"{"run":""#, r#","model":"#),
    (r#"{"run":""#, r#","origin":{"#),
    (r#"{"run":""#, r#","step":"#),
    (r#"{"path":""#, r#","key":"#),
    (r#"{"a":""#, r#","alpha":["#),
    (r#"{"samples":"#, r#","bn":""#),
    (r#"{"layer":"#, r#","edges":["#),
    (r#"{"version":"#, r#","terminal":{"#),
];
/// First columns of the tables that commands print as CSV.
const CSV: [&str; 11] = [
    "name,shape,dtype,role,norm",
    "step,x,y,residual",
    "step,norm,update_norm",
    "x,y,loss,accuracy",
    "direction,seed,alpha",
    "x,y,lambda_max",
    "node,weight",
    "last,loss,accuracy,change",
    "step,critical_step",
    "run,label,x,y",
    "from,to,step",
];
/// Phrases of the first lines that commands print for people, all those of one line each.
const TEXT: [&[&str]; 10] = [
    &[" checkpoints, ", " parameters"],
    &[" parameters, norm "],
    &[" parameters, ", " plane"],
    &[": mlp, ", " parameters"],
    &[" samples, ", "batch norm "],
    &[" samples, ", "running statistics "],
    &[" samples, ", " weights of rank 2 and more, seed "],
    &[" weights from ", ", standard deviation "],
    &[": ", ", ", " train samples"],
    &[": ", ", ", " test samples"],
];
/// Beginnings of pictures.
const PICTURES: [&str; 3] = [
    "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 ",
    "\u{1b}[0;",
    " isoloss  ",
];

/// Tells a result of isoloss by the beginning of its file, or a file that holds nothing yet.
pub(super) fn is_result(head: &[u8]) -> bool {
    let text = match std::str::from_utf8(head) {
        Ok(text) => text,
        // The head may end within a character.
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(&head[..error.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => return false,
    };
    text.is_empty()
        || JSON
            .iter()
            .any(|(start, then)| text.starts_with(start) && text.contains(then))
        || CSV.iter().any(|start| text.starts_with(start))
        || PICTURES.iter().any(|start| text.starts_with(start))
        || text.lines().take(4).any(|line| {
            let says = |phrases: &&[&str]| phrases.iter().all(|phrase| line.contains(phrase));
            TEXT.iter().any(says)
        })
}
