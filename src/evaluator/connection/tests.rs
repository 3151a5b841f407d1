//! Programs that answer, fail, fall silent and talk nonsense.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::path::PathBuf;

use rstest::rstest;
use tempfile::TempDir;

use super::*;
use crate::run::{Dtype, TensorInfo};
use crate::weights::BatchNorm;

/// Returns a program of a shell: greets, then does for each line what `body` says; `$n` counts its starts.
fn script(folder: &TempDir, body: &str) -> EvaluatorOptions {
    let path = folder.path().join("evaluator.sh");
    let starts = folder.path().join("starts");
    let text = format!(
        r#"echo x >> '{starts}'; n=$(wc -l < '{starts}' | tr -d ' ')
read -r hello
echo loading data
echo '{{"ready": {{"protocol": 1, "score": "accuracy", "device": "abacus", "samples": {{"train": 9, "test": 4}}}}}}'
id() {{ echo "$line" | sed 's/.*"id":\([0-9]*\).*/\1/'; }}
while read -r line; do
  case "$line" in
    *'"plane":{{'*) echo "{{\"plane\": {{\"id\": $(id)}}}}" ;;
    *'"stop"'*) exit 0 ;;
    *) {body} ;;
  esac
done
"#,
        starts = starts.display()
    );
    std::fs::write(&path, text).unwrap();
    options(&format!("sh {}", path.display()))
}

fn options(command: &str) -> EvaluatorOptions {
    EvaluatorOptions {
        command: command.parse().unwrap(),
        from: None,
        timeout: Duration::from_secs(20),
        split: Split::Train,
        samples: Count::At(9),
        seed: 0,
    }
}

fn connection(options: EvaluatorOptions) -> (Connection, Arc<Mutex<Vec<String>>>) {
    let told = Arc::new(Mutex::new(Vec::new()));
    let list = Arc::clone(&told);
    let tell: Tell = Arc::new(move |sentence| list.lock().unwrap().push(sentence));
    let checkpoint = PathBuf::from("runs/a/step_1.pt");
    (
        Connection::new(options, "auto".into(), checkpoint, tell),
        told,
    )
}

fn plane() -> Plane {
    let tensor = TensorInfo {
        name: "w".into(),
        shape: vec![2],
        dtype: Dtype::F32,
    };
    Plane {
        layout: Arc::new(Layout::of(&[tensor])),
        origin: vec![1.0, 2.0],
        directions: [vec![1.0, 0.0], vec![0.0, 1.0]],
        batch_norm: BatchNorm::Frozen,
    }
}

const ANSWER: &str = r#"echo "{\"measured\": {\"id\": $(id), \"loss\": 0.25, \"score\": 0.5}}""#;

#[test]
fn the_time_of_answers_holds_neither_the_start_nor_planes() {
    let folder = TempDir::new().unwrap();
    let body = format!("sleep 0.2; {ANSWER}");
    let mut options = script(&folder, &body);
    let path = folder.path().join("evaluator.sh");
    let slow = std::fs::read_to_string(&path).unwrap();
    let slow = slow.replace("echo loading data", "sleep 1.5");
    let slow = slow.replace("*'\"plane\":{'*) ", "*'\"plane\":{'*) sleep 1.5; ");
    assert_eq!(slow.matches("sleep 1.5").count(), 2);
    std::fs::write(&path, slow).unwrap();
    options.timeout = Duration::from_secs(60);
    let (connection, _) = connection(options);
    connection.open().unwrap();
    assert_eq!(connection.answering(), Duration::ZERO);
    let plane = connection.plane(&plane()).unwrap();
    let begin = Instant::now();
    for _ in 0..2 {
        connection
            .measure_on_plane(&plane, [0.5, 0.0], Split::Train, 9)
            .unwrap();
    }
    let answering = connection.answering();
    assert!(answering >= Duration::from_millis(400), "{answering:?}");
    assert!(answering + Duration::from_millis(1500) <= begin.elapsed());
}

#[test]
fn planes_points_and_weights_are_answered_by_one_process() {
    let folder = TempDir::new().unwrap();
    let (connection, told) = connection(script(&folder, ANSWER));
    connection.open().unwrap();
    assert_eq!(connection.samples(Split::Test).unwrap(), 4);
    assert_eq!(connection.score(), Some(Score::Accuracy));
    assert_eq!(connection.device(), "abacus");
    let plane = connection.plane(&plane()).unwrap();
    let expected = Measure {
        loss: 0.25,
        score: 0.5,
    };
    for at in [[0.0, 0.0], [0.5, -1.0]] {
        let found = connection
            .measure_on_plane(&plane, at, Split::Train, 9)
            .unwrap();
        assert_eq!(found, expected);
    }
    let layout = Arc::new(Layout::default());
    let found = connection
        .measure_weights(&layout, &[], Split::Test, 4)
        .unwrap();
    assert_eq!(found, expected);
    let starts = std::fs::read_to_string(folder.path().join("starts")).unwrap();
    assert_eq!((starts.as_str(), told.lock().unwrap().len()), ("x\n", 0));
}

#[rstest]
#[case::it_ends("exit 7", "it ended (exit status: 7)")]
#[case::it_talks_nonsense("echo nonsense", "it wrote a line that is no answer: nonsense")]
#[case::it_answers_another(
    r#"echo '{"measured": {"id": 999, "loss": 1}}'"#,
    "it answered another question than"
)]
#[case::it_is_late("sleep 600", "no answer in 1 s")]
fn a_point_is_asked_again_of_a_new_process(#[case] first: &str, #[case] said: &str) {
    let folder = TempDir::new().unwrap();
    let body = format!("if [ $n = 1 ]; then {first}; else {ANSWER}; fi");
    let mut options = script(&folder, &body);
    if first.starts_with("sleep") {
        // Ten times this for the first answer.
        options.timeout = Duration::from_millis(100);
    }
    let (connection, told) = connection(options);
    let plane = connection.plane(&plane()).unwrap();
    let found = connection
        .measure_on_plane(&plane, [0.0; 2], Split::Train, 9)
        .unwrap();
    assert_eq!(found.loss, 0.25);
    let told = told.lock().unwrap();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains(said), "{told:?}");
    assert!(told[0].ends_with("it is started again in 1 s"), "{told:?}");
}

#[test]
fn a_point_that_ends_it_twice_has_no_loss_and_the_next_one_has() {
    let folder = TempDir::new().unwrap();
    let body = format!("case \"$line\" in *'\"at\":[3.0'*) exit 1 ;; *) {ANSWER} ;; esac");
    let (connection, told) = connection(script(&folder, &body));
    let plane = connection.plane(&plane()).unwrap();
    let on = |alpha| connection.measure_on_plane(&plane, [alpha, 0.0], Split::Train, 9);
    let said = on(3.0).unwrap_err().to_string();
    assert!(
        said.contains("no loss at (3.000, 0.000): it ended twice there"),
        "{said}"
    );
    assert_eq!(told.lock().unwrap().len(), 1);
    assert_eq!(on(0.0).unwrap().loss, 0.25);
}

#[test]
fn a_point_without_a_loss_says_why_and_the_process_lives() {
    let folder = TempDir::new().unwrap();
    let body = r#"echo "{\"failed\": {\"id\": $(id), \"why\": \"CUDA out of memory\"}}""#;
    let (connection, told) = connection(script(&folder, body));
    let plane = connection.plane(&plane()).unwrap();
    for _ in 0..2 {
        let found = connection.measure_on_plane(&plane, [0.0; 2], Split::Train, 9);
        let said = found.unwrap_err().to_string();
        assert!(said.ends_with(": CUDA out of memory"), "{said}");
    }
    let starts = std::fs::read_to_string(folder.path().join("starts")).unwrap();
    assert_eq!((starts.as_str(), told.lock().unwrap().len()), ("x\n", 0));
}

#[rstest]
#[case::it_is_not_there("isoloss-no-such-program", "cannot be started")]
#[case::it_ends_at_once(
    "sh -c 'echo no module named jax >&2; exit 1'",
    "not ready: it ended (exit status: 1): no module named jax"
)]
#[case::a_ready_without_a_protocol(
    r#"sh -c 'read -r line; echo hello; echo "{\"ready\": {\"samples\": {\"train\": 3}}}"; read -r line'"#,
    r#"found {"ready": {"samples": {"train": 3}}}"#
)]
#[case::another_protocol(
    r#"sh -c 'read -r line; echo "{\"ready\": {\"protocol\": 3, \"samples\": {}}}"; read -r line'"#,
    "it speaks protocol 3, this isoloss speaks protocol 1"
)]
fn what_does_not_get_ready_is_told(#[case] command: &str, #[case] said: &str) {
    let (connection, _) = connection(options(command));
    let found = connection.open().unwrap_err().to_string();
    assert!(found.contains(said), "{found}");
}

#[test]
fn a_score_that_has_no_scale_is_left_out_with_a_word() {
    let of_bleu = r#"sh -c 'read -r line; echo "{\"ready\": {\"protocol\": 1, \"score\": \"bleu\", \"samples\": {\"train\": 3}}}"; cat > /dev/null'"#;
    let (connection, told) = connection(options(of_bleu));
    connection.open().unwrap();
    assert_eq!(connection.score(), None);
    let told = told.lock().unwrap();
    let said = "the score bleu is left out, expected one of accuracy, perplexity, r2";
    assert!(told[0].ends_with(said), "{told:?}");
}

#[test]
fn a_flood_is_late_and_takes_no_memory() {
    let mut options = options("yes");
    options.timeout = Duration::from_millis(30);
    let (connection, _) = connection(options);
    let found = connection.open().unwrap_err().to_string();
    assert!(found.ends_with("it was not ready after 0.3 s"), "{found}");
}

#[test]
fn samples_that_it_lacks_are_told() {
    let only_train = r#"sh -c 'read -r line; echo "{\"ready\": {\"protocol\": 1, \"samples\": {\"train\": 3}}}"; cat > /dev/null'"#;
    let (connection, _) = connection(options(only_train));
    connection.open().unwrap();
    let said = connection.samples(Split::Test).unwrap_err().to_string();
    assert!(
        said.ends_with("expected test samples, it has those of train"),
        "{said}"
    );
    assert_eq!(connection.score(), None);
}

/// Returns the lines of the documented session: those of isoloss, and the answers.
fn documented() -> [Vec<String>; 2] {
    let text = include_str!("../../../docs/evaluator.md");
    let of = |mark: &str| {
        let lines = text.lines().filter_map(|line| line.strip_prefix(mark));
        lines.map(str::to_owned).collect()
    };
    [of("> "), of("< ")]
}

/// Returns a line without the folders of its files, which are new each time.
fn without_folders(line: &str) -> serde_json::Value {
    let mut message: serde_json::Value = serde_json::from_str(line).unwrap();
    let bodies = message.as_object_mut().unwrap().values_mut();
    for body in bodies.filter_map(serde_json::Value::as_object_mut) {
        for key in ["origin", "x", "y", "file"] {
            if let Some(path) = body.get_mut(key) {
                let name = Path::new(path.as_str().unwrap()).file_name().unwrap();
                *path = name.to_str().unwrap().into();
            }
        }
    }
    message
}

#[test]
fn the_documented_session_is_the_one_that_is_spoken() {
    let [questions, answers] = documented();
    let folder = TempDir::new().unwrap();
    let [played, heard] = ["answers", "heard"].map(|name| folder.path().join(name));
    std::fs::write(&played, answers.join("\n") + "\n").unwrap();
    let path = folder.path().join("replay.sh");
    let text = format!(
        "exec 3< '{}'\nwhile read -r line; do echo \"$line\" >> '{}'; read -r answer <&3 && echo \"$answer\"; done\n",
        played.display(),
        heard.display()
    );
    std::fs::write(&path, text).unwrap();
    let options = EvaluatorOptions {
        samples: Count::At(1024),
        ..options(&format!("bash {}", path.display()))
    };
    let tell: Tell = Arc::new(|_| {});
    let checkpoint = PathBuf::from("runs/a/step_100.safetensors");
    let connection = Connection::new(options, "auto".into(), checkpoint, tell);
    connection.open().unwrap();
    assert_eq!(connection.device(), "cuda:0");
    let plane = connection.plane(&plane()).unwrap();
    let on = |at| {
        connection
            .measure_on_plane(&plane, at, Split::Train, 1024)
            .unwrap()
    };
    let first = Measure {
        loss: 0.5121,
        score: 0.84,
    };
    assert_eq!(on([0.0, 0.0]), first);
    let second = on([0.25, -1.5]);
    assert!(second.loss.is_nan() && second.score == 0.1, "{second:?}");
    let layout = Arc::new(Layout::default());
    let failed = connection
        .measure_weights(&layout, &[], Split::Test, 512)
        .unwrap_err();
    assert!(
        failed.to_string().ends_with("CUDA out of memory"),
        "{failed}"
    );
    drop(connection);
    let heard = std::fs::read_to_string(heard).unwrap();
    let heard: Vec<_> = heard.lines().map(without_folders).collect();
    let questions: Vec<_> = questions.iter().map(|line| without_folders(line)).collect();
    assert_eq!(heard, questions);
}
