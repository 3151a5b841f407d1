//! Workers behind commands that start them elsewhere.

use super::*;

#[test]
fn a_launcher_that_hangs_and_a_machine_without_the_samples_hold_up_nobody() {
    let blind = script(
        r#"echo '{"hello":{"protocol":1,"version":"0","host":"node2"}}'
read -r setup
echo '{"ready":{"place":"Cpu","data":{"missing":"no such folder: /scratch/data"}}}'
cat > /dev/null"#,
    );
    let launches = vec![script("exec sleep 600"), blind.clone(), worker("43G")];
    let reports = measured_by(launches, plan(30));
    let values = values(&reports, plan(30).queries.len());
    assert!(values.iter().all(Option::is_some));

    // Where no machine has them, the first is named.
    let hosting = Hosting {
        process: Some(blind.clone()),
        launches: vec![blind; 2],
        ..Hosting::default()
    };
    let mut client = Client::start(setup(), hosting, Arc::new(|_| ())).unwrap();
    let spec = plan(1).spec;
    let begun = client.begin(&spec.shape, std::slice::from_ref(&spec.origin));
    let said = begun.unwrap_err().to_string();
    assert_eq!(said, "node2: no such folder: /scratch/data");
}

#[test]
fn a_command_that_cannot_ask_the_path_measures_nothing_in_silence() {
    let dies = script(
        r#"echo '{"hello":{"protocol":1,"version":"0"}}'
while read -r line; do
  case "$line" in
    '{"setup"'*) echo '{"ready":{"place":"Cpu","data":{"loaded":{"name":"x","samples":9}}}}' ;;
    '{"measure"'*) kill -9 $$ ;;
  esac
done"#,
    );
    let hosting = Hosting {
        process: Some(dies),
        ..Hosting::default()
    };
    let mut client = Client::start(setup(), hosting, Arc::new(|_| ())).unwrap();
    let spec = plan(1).spec;
    let begun = client.begin(&spec.shape, std::slice::from_ref(&spec.origin));
    let said = begun.unwrap_err().to_string();
    assert!(
        said.starts_with("the path was not asked which function it followed"),
        "{said}"
    );
}

/// A worker of a few words that answers quickly, each query by its index and the number of the plan that it holds.
const BY_PLAN: &str = r#"echo '{"hello":{"protocol":1,"version":"0"}}'
number() { echo "$line" | sed "s/.*\"$1\":\([0-9]*\).*/\1/"; }
while read -r line; do
  case "$line" in
    '{"setup"'*) echo '{"ready":{"place":"Cpu","data":{"loaded":{"name":"x","samples":9}}}}' ;;
    '{"plan"'*) plan=$(number generation) ;;
    '{"measure"'*)
      echo "{\"found\":{\"id\":$(number id),\"found\":{\"value\":{\"Measure\":{\"loss\":$(number index).5,\"score\":$plan.5}},\"seconds\":0.001}}}" ;;
  esac
done"#;

#[test]
fn a_plan_that_comes_while_queries_are_asked_ahead_gets_its_own_answers() {
    let hosting = Hosting {
        process: Some(script(BY_PLAN)),
        ..Hosting::default()
    };
    let ((requests, served), (send, reports)) = (channel(), channel());
    requests.send(WorkerRequest::Measure(plan(200))).unwrap();
    let pool = thread::spawn(move || {
        serve(&setup(), &hosting, &served, |report| {
            send.send(report).is_ok()
        });
    });
    let second = Plan {
        generation: 4,
        ..plan(30)
    };
    let mut answered = Vec::new();
    loop {
        match reports.recv_timeout(SOON).unwrap() {
            WorkerEvent::Measured {
                generation,
                index,
                value: QueryAnswer::Measure(measure),
                ..
            } => {
                let told = (measure.loss, measure.score);
                assert_eq!(told, (index as f64 + 0.5, generation as f64 + 0.5));
                answered.push((generation, index));
                if (generation, index) == (3, 10) {
                    requests
                        .send(WorkerRequest::Measure(second.clone()))
                        .unwrap();
                }
            }
            WorkerEvent::Done(generation) => {
                assert_eq!(generation, 4);
                break;
            }
            _ => {}
        }
    }
    drop(requests);
    pool.join().unwrap();
    let of_second = answered.iter().filter(|(generation, _)| *generation == 4);
    assert_eq!(of_second.count(), second.queries.len());
    assert!(
        answered.len() < plan(200).queries.len(),
        "the first went on"
    );
}

#[test]
fn workers_behind_launchers_with_banners_give_the_values_of_one() {
    let one = measured(Some(worker("40G")), plan(12), |_| ());
    let launch = worker("40G");
    let banner = |text: &str| {
        let own = launch.command.iter().map(|word| word.to_string_lossy());
        let own = own.collect::<Vec<_>>().join(" ");
        let script = format!("{text}; exec {own}");
        Launch::new(
            vec!["sh".into(), "-c".into(), script.into()],
            launch.environment.clone(),
        )
    };
    let launches = vec![
        banner("echo Welcome to node 7; echo; echo '{}'"),
        banner("seq 900"),
        banner(r"printf '\033]0;node7\007'"),
    ];
    let queries = plan(12).queries.len();
    let of = |reports: &[WorkerEvent]| -> Vec<Vec<u64>> {
        let values = values(reports, queries).into_iter();
        values.map(|value| bits(&value.unwrap())).collect()
    };
    for launch in &launches {
        let alone = measured_by(vec![launch.clone()], plan(12));
        assert!(
            alone.contains(&WorkerEvent::Device("cpu".into())),
            "{alone:?}"
        );
        assert_eq!(of(&alone), of(&one));
    }
    let several = measured_by(launches, plan(12));
    assert_eq!(of(&several), of(&one));
}

#[test]
fn what_is_said_instead_of_a_hello_is_quoted() {
    for (text, told) in [
        (
            "echo Welcome to node 7; exit 3",
            "worker on cpu: it ended with exit code 3; it said no hello, and before: Welcome to node 7",
        ),
        (
            r#"echo '{"hello":{"protocol":9,"version":"9.1"}}'; cat"#,
            "the worker is isoloss 9.1 and speaks protocol 9, this one speaks protocol 1",
        ),
        (
            "echo no such device >&2; exit 3",
            "worker on cpu: it ended with exit code 3: no such device",
        ),
    ] {
        let reports = measured(Some(script(text)), plan(1), |_| ());
        assert!(
            reports.contains(&WorkerEvent::NoData(told.into())),
            "{reports:?}"
        );
    }
}

#[test]
fn paths_of_the_command_line_are_those_of_a_worker_that_starts_in_another_folder() {
    let surface = |more: &[&str]| {
        let words = "surface resnet8-fashion --data fashion-mnist --samples 16 --plane random \
                     --x=-1:1:2 --y=-1:1:2 --exact --format json";
        let mut program = program();
        program.args(words.split_whitespace()).args(more);
        let output = program.current_dir(fixture("")).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        output.stdout
    };
    let by_login = surface(&["--worker", "sh -c 'cd / && echo Welcome && {}'"]);
    assert!(by_login == surface(&["--in-process"]));
}

#[test]
fn a_folder_that_a_worker_does_not_see_is_named() {
    let (mut child, lines) = started();
    let setup = Setup {
        folder: Some("/not/there".into()),
        ..Setup::of(isoloss::data::DataRequest::whole("data"))
    };
    let order = wire::line(&WorkerOrder::Setup(Box::new(setup))).unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(format!("{order}\n").as_bytes()).unwrap();
    let _hello = lines.recv_timeout(SOON).unwrap();
    let refused = lines.recv_timeout(SOON).unwrap();
    assert!(
        refused.contains("/not/there: isoloss was started there, and data is looked for in it"),
        "{refused}"
    );
    drop(stdin);
    child.wait().unwrap();
}
