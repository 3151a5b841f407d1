//! The options `--worker` and `--workers`: commands that start workers, here or on other machines.

use std::ffi::OsString;
use std::str::FromStr;

use anyhow::bail;
use clap::Args;

use crate::landscape::Launch;

use super::output::Usage;
use super::startup;

/// Starts a worker in a step of a Slurm allocation. A step asks for all memory of the job where it asks for none, so that
/// a second one would wait for the first.
const SRUN: &str = "srun -u -n1 --exact --mem=0 {}";
/// The same with a GPU of its own.
const SRUN_WITH_GPU: &str = "srun -u -n1 --exact --mem=0 --gpus=1 {}";
/// More workers than any allocation has.
const MOST: usize = 4096;

/// Commands that start workers.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Device")]
pub(super) struct LauncherOptions {
    /// Command that starts a worker, in which {} stands for the worker's own: 'srun -u -n1 --exact --mem=0 --gpus=1 {}',
    /// 'ssh -T node7 {}'; may be given several times
    #[arg(long, value_name = "COMMAND", value_parser = launcher)]
    worker: Vec<Launcher>,
    /// Number of workers that each --worker starts, or of processes here; slurm: as many as the allocation has GPUs or tasks
    #[arg(long, value_name = "N|slurm")]
    workers: Option<Workers>,
}

/// A command with a place for the worker's own.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Launcher {
    /// As it was given.
    text: String,
    words: Vec<String>,
}

fn launcher(text: &str) -> Result<Launcher, String> {
    let words = shlex::split(text).ok_or_else(|| "a quote is open".to_owned())?;
    let places: usize = words.iter().map(|word| word.matches("{}").count()).sum();
    if places == 1 {
        Ok(Launcher {
            text: text.to_owned(),
            words,
        })
    } else {
        Err(format!(
            "expected one {{}} for the worker's own command, found {places}"
        ))
    }
}

impl Launcher {
    /// Returns the command with the worker's own in it: word by word where {} is a word, quoted for a shell within one
    /// or where a shell takes that one word as its script.
    fn around(&self, own: &[OsString]) -> Vec<OsString> {
        let quoted = || {
            let words = own.iter().map(|word| word.to_string_lossy());
            let words: Vec<String> = words
                .map(|word| shlex::try_quote(&word).map_or(String::new(), Into::into))
                .collect();
            words.join(" ")
        };
        let mut command = Vec::new();
        for (at, word) in self.words.iter().enumerate() {
            if word == "{}" && !self.is_script(at) {
                command.extend_from_slice(own);
            } else if word.contains("{}") {
                command.push(word.replace("{}", &quoted()).into());
            } else {
                command.push(word.into());
            }
        }
        command
    }

    /// Returns true if a word follows a shell's -c.
    fn is_script(&self, at: usize) -> bool {
        let before = |back: usize| Some(self.words.get(at.checked_sub(back)?)?.as_str());
        let (Some(shell), Some(option)) = (before(2), before(1)) else {
            return false;
        };
        let name = shell.rsplit('/').next().unwrap_or(shell);
        SHELLS.contains(&name)
            && option.starts_with('-')
            && !option.starts_with("--")
            && option.ends_with('c')
    }
}

/// Shells that take a command as one word.
const SHELLS: [&str; 7] = ["sh", "bash", "dash", "zsh", "ksh", "ash", "fish"];

/// The number of workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Workers {
    Count(usize),
    Slurm,
}

impl FromStr for Workers {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "slurm" {
            return Ok(Self::Slurm);
        }
        let count = text.parse().ok().filter(|count| (1..=MOST).contains(count));
        count
            .map(Self::Count)
            .ok_or_else(|| format!("expected slurm, or a number from 1 to {MOST}"))
    }
}

impl LauncherOptions {
    /// Returns true if workers are to be started by other means than one here for each device.
    pub(super) fn are_given(&self) -> bool {
        !self.worker.is_empty() || self.workers.is_some()
    }

    /// Returns a launch for each worker, around the command of one here; none if nothing was asked for.
    ///
    /// # Errors
    /// There is no allocation of Slurm's.
    pub(super) fn launches(&self, own: &Launch) -> anyhow::Result<Vec<Launch>> {
        let around = |launcher: &Launcher| Launch {
            command: launcher.around(&own.command),
            launcher: Some(launcher.text.clone()),
            ..own.clone()
        };
        let repeated = |launches: Vec<Launch>, count: usize| {
            let all = launches.into_iter();
            all.flat_map(|launch| std::iter::repeat_n(launch, count))
                .collect()
        };
        let given: Vec<Launch> = self.worker.iter().map(around).collect();
        match self.workers {
            None => Ok(given),
            Some(Workers::Count(count)) if given.is_empty() => {
                Ok(repeated(vec![part_of_the_cores(own, count)], count))
            }
            Some(Workers::Count(count)) => Ok(repeated(given, count)),
            Some(Workers::Slurm) => {
                let Allocation { workers, has_gpus } = allocation(|name| std::env::var(name).ok())?;
                if !given.is_empty() {
                    return Ok(repeated(given, workers));
                }
                let srun = if has_gpus { SRUN_WITH_GPU } else { SRUN };
                let srun = launcher(srun).map_err(Usage)?;
                Ok(repeated(vec![around(&srun)], workers))
            }
        }
    }
}

/// Returns the launch of a worker that shares the cores of this machine with others of its kind.
fn part_of_the_cores(own: &Launch, count: usize) -> Launch {
    let threads = (startup::threads() / count).max(1).to_string();
    let mut launch = own.clone();
    launch
        .environment
        .push((startup::THREADS.into(), threads.into()));
    launch
}

/// The allocation of Slurm.
#[derive(Debug, PartialEq)]
struct Allocation {
    workers: usize,
    has_gpus: bool,
}

/// Reads the allocation from the environment that Slurm gives.
fn allocation(variable: impl Fn(&str) -> Option<String>) -> anyhow::Result<Allocation> {
    if variable("SLURM_JOB_ID").is_none() {
        bail!(Usage(
            "--workers slurm: expected to run inside an allocation (salloc or sbatch), found no SLURM_JOB_ID".into()
        ));
    }
    let number = |name: &str| {
        let count = variable(name)?.parse().ok();
        count.filter(|count| (1..=MOST).contains(count))
    };
    let nodes = number("SLURM_JOB_NUM_NODES").unwrap_or(1);
    let on_nodes = number("SLURM_GPUS_ON_NODE").map(|gpus| gpus * nodes);
    let gpus = number("SLURM_GPUS").or(on_nodes);
    Ok(Allocation {
        workers: gpus.or(number("SLURM_NTASKS")).unwrap_or(nodes).min(MOST),
        has_gpus: gpus.is_some(),
    })
}

/// Returns true if a launcher of parallel programs has started this process beside others: each would do the same, and
/// the first of them says so.
///
/// # Errors
/// This is the first.
pub(super) fn is_another_copy() -> anyhow::Result<bool> {
    let variable = |name: &str| std::env::var(name).ok();
    let Some(sentence) = copies(variable) else {
        return Ok(false);
    };
    let ranks = ["SLURM_PROCID", "OMPI_COMM_WORLD_RANK", "PMI_RANK"];
    let rank = ranks.into_iter().find_map(variable);
    if rank.is_none_or(|rank| rank == "0") {
        bail!(Usage(sentence));
    }
    Ok(true)
}

/// Returns the command to write instead where several copies were started.
fn copies(variable: impl Fn(&str) -> Option<String>) -> Option<String> {
    let number = |name: &str| variable(name)?.parse::<usize>().ok();
    let srun = number("SLURM_STEP_NUM_TASKS").filter(|_| variable("SLURM_PROCID").is_some());
    let (starter, count, instead) = if let Some(count) = srun {
        ("srun", count, "--workers slurm".to_owned())
    } else {
        let count = number("OMPI_COMM_WORLD_SIZE").or(number("PMI_SIZE"))?;
        let instead = format!("--worker 'mpirun -q -n 1 {{}}' --workers {count}");
        ("mpirun", count, instead)
    };
    (count > 1).then(|| {
        format!(
            "{starter} has started {count} copies of isoloss, which would all do the same; start one, without {starter}, and add {instead}"
        )
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use super::*;
    use std::collections::HashMap;

    fn own() -> Launch {
        Launch::new(vec!["/opt/iso loss".into(), "worker".into()], Vec::new())
    }

    fn options(worker: &[&str], workers: Option<Workers>) -> LauncherOptions {
        LauncherOptions {
            worker: worker.iter().map(|text| launcher(text).unwrap()).collect(),
            workers,
        }
    }

    fn commands(options: &LauncherOptions) -> Vec<String> {
        let launches = options.launches(&own()).unwrap();
        let words = |launch: &Launch| {
            launch
                .command
                .iter()
                .map(|word| word.to_string_lossy().into_owned())
                .collect::<Vec<_>>()
                .join("|")
        };
        launches.iter().map(words).collect()
    }

    #[test]
    fn the_worker_stands_where_the_launcher_has_its_braces() {
        let two = options(
            &["ssh -T node7 {}", "sh -c 'module load cuda && exec {}'"],
            None,
        );
        assert_eq!(
            commands(&two),
            [
                "ssh|-T|node7|/opt/iso loss|worker",
                "sh|-c|module load cuda && exec '/opt/iso loss' worker"
            ]
        );
        let scripts = options(
            &[
                "docker exec -i x /bin/sh -c {}",
                "bash -lc '{}'",
                "ssh -c {}",
            ],
            None,
        );
        assert_eq!(
            commands(&scripts),
            [
                "docker|exec|-i|x|/bin/sh|-c|'/opt/iso loss' worker",
                "bash|-lc|'/opt/iso loss' worker",
                "ssh|-c|/opt/iso loss|worker"
            ]
        );
        let each = options(&["a {}", "b {}"], Some(Workers::Count(2)));
        assert_eq!(commands(&each).len(), 4);
        let here = options(&[], Some(Workers::Count(3)));
        assert_eq!(commands(&here), vec!["/opt/iso loss|worker"; 3]);
        assert!(options(&[], None).launches(&own()).unwrap().is_empty());
        for wrong in ["srun", "a {} {}", "a 'b {}"] {
            assert!(launcher(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_number_of_workers_is_read() {
        assert_eq!("8".parse(), Ok(Workers::Count(8)));
        assert_eq!("slurm".parse(), Ok(Workers::Slurm));
        for wrong in ["0", "-1", "5000", "all", ""] {
            assert!(wrong.parse::<Workers>().is_err(), "{wrong}");
        }
    }

    fn environment(variables: &[(&str, &str)]) -> impl Fn(&str) -> Option<String> + use<> {
        let variables: HashMap<String, String> = variables
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()))
            .collect();
        move |name| variables.get(name).cloned()
    }

    #[test]
    fn slurm_tells_its_gpus_or_its_tasks() {
        let of = |more: &[(&str, &str)]| {
            let job = [&[("SLURM_JOB_ID", "1"), ("SLURM_JOB_NUM_NODES", "2")], more].concat();
            allocation(environment(&job)).unwrap()
        };
        let found = |workers, has_gpus| Allocation { workers, has_gpus };
        assert_eq!(of(&[("SLURM_GPUS", "8")]), found(8, true));
        assert_eq!(
            of(&[("SLURM_GPUS_ON_NODE", "4"), ("SLURM_NTASKS", "2")]),
            found(8, true)
        );
        assert_eq!(of(&[("SLURM_NTASKS", "6")]), found(6, false));
        assert_eq!(of(&[]), found(2, false));
        assert!(allocation(environment(&[])).is_err());
    }

    #[test]
    fn copies_are_told_what_to_write_instead() {
        let said = |variables: &[(&str, &str)]| copies(environment(variables));
        assert_eq!(said(&[]), None);
        // A shell inside an allocation has tasks, and no step.
        assert_eq!(said(&[("SLURM_JOB_ID", "1"), ("SLURM_NTASKS", "8")]), None);
        assert_eq!(
            said(&[("SLURM_PROCID", "0"), ("SLURM_STEP_NUM_TASKS", "1")]),
            None
        );
        let srun = said(&[("SLURM_PROCID", "3"), ("SLURM_STEP_NUM_TASKS", "8")]).unwrap();
        assert!(
            srun.contains("8 copies") && srun.ends_with("add --workers slurm"),
            "{srun}"
        );
        let mpi = said(&[("OMPI_COMM_WORLD_SIZE", "4")]).unwrap();
        assert!(
            mpi.ends_with("add --worker 'mpirun -q -n 1 {}' --workers 4"),
            "{mpi}"
        );
        assert!(said(&[("PMI_SIZE", "2")]).is_some());
    }
}
